// A night that a person moves through: zoom, pointer, touch and keys; all rows share one view.

const FEWEST_EPOCHS = 10;
const EPOCHS_AROUND = 20;
const DRAG_PIXELS = 6;

class Strip {
  constructor(container, night) {
    this.night = night;
    this.hidden = new Set();
    this.pointers = new Map();
    this.readout = new Readout(night, (name, hide) => {
      this.hidden[hide ? "add" : "delete"](name);
      this.draw();
    });
    this.canvas = element("canvas");
    this.cursor = element("i", { className: "cursor" });
    this.selection = element("i", { className: "dragged", hidden: true });
    this.picture = element("div", { className: "picture", tabIndex: 0 }, this.canvas, this.cursor, this.selection);
    this.picture.setAttribute("role", "slider");
    this.picture.setAttribute("aria-label", `Epoch of ${night.id}`);
    this.picture.setAttribute("aria-valuemin", night.first_epoch);
    this.picture.setAttribute("aria-valuemax", night.first_epoch + night.epochs - 1);
    container.append(element("div", { className: "strip" }, this.toolbar(), ...this.readout.parts, this.picture));
    this.view = { from: 0, to: night.epochs };
    this.point(0);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  toolbar() {
    this.range = element("output");
    const button = (words, label, action) => {
      const node = element("button", { type: "button", title: label }, words);
      node.setAttribute("aria-label", label);
      node.addEventListener("click", action);
      return node;
    };
    return element(
      "div", { className: "toolbar" },
      button("+", "Zoom in", () => this.zoom(0.5)),
      button("−", "Zoom out", () => this.zoom(2)),
      button("◀", "Earlier", () => this.pan(-0.5)),
      button("▶", "Later", () => this.pan(0.5)),
      button("Whole night", "Whole night", () => this.look(0, this.night.epochs)),
      this.range,
    );
  }

  // Show the epochs from `from` to `to`, moved or cut so that they are the night's.
  look(from, to) {
    const span = Math.min(Math.max(to - from, Math.min(FEWEST_EPOCHS, this.night.epochs)), this.night.epochs);
    const start = Math.min(Math.max((from + to - span) / 2, 0), this.night.epochs - span);
    this.view = { from: start, to: start + span };
    this.draw();
  }

  zoom(factor, at = this.centre()) {
    const { from, to } = this.view;
    this.look(at - (at - from) * factor, at + (to - at) * factor);
  }

  centre() {
    const { from, to } = this.view;
    return this.epoch >= from && this.epoch < to ? this.epoch + 0.5 : (from + to) / 2;
  }

  pan(share) {
    const step = share * (this.view.to - this.view.from);
    const least = -this.view.from, most = this.night.epochs - this.view.to;
    const shift = Math.min(Math.max(step, least), most);
    this.look(this.view.from + shift, this.view.to + shift);
  }

  // Put the cursor on an epoch, and say what it holds.
  point(epoch) {
    this.epoch = Math.min(Math.max(Math.floor(epoch), 0), this.night.epochs - 1);
    this.readout.show(this.epoch);
    this.picture.setAttribute("aria-valuenow", this.night.first_epoch + this.epoch);
    this.picture.setAttribute("aria-valuetext", this.readout.words(this.epoch));
    this.drawOver();
  }

  jump(epoch) {
    this.look(epoch - EPOCHS_AROUND, epoch + EPOCHS_AROUND + 1);
    this.point(epoch);
    this.picture.focus({ preventScroll: true });
  }

  draw() {
    const width = this.picture.clientWidth;
    if (!width) return;
    drawNight(this.canvas, this.night, this.hidden, this.view, width);
    const time = (epoch) => elapsed((this.night.first_epoch + epoch) * PAGE.epoch_s).slice(0, -3);
    this.range.textContent = `${time(this.view.from)} to ${time(this.view.to)}`;
    this.drawOver();
  }

  // The cursor, and the part that is being dragged over, lie over the picture.
  drawOver() {
    this.cover(this.cursor, this.epoch, this.epoch + 1);
    if (this.dragged) this.cover(this.selection, Math.min(...this.dragged), Math.max(...this.dragged));
    else this.selection.hidden = true;
  }

  cover(mark, from, to) {
    const width = this.picture.clientWidth;
    if (!width) return;
    const x = xOf(this.view, width);
    const left = Math.max(x(from), LEFT), right = Math.min(x(to), width - RIGHT);
    mark.hidden = right <= left;
    mark.style.left = `${(left / width) * 100}%`;
    mark.style.width = `${((right - left) / width) * 100}%`;
  }

  listen() {
    const on = (name, action) => this.picture.addEventListener(name, action, { passive: false });
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.release(event));
    on("pointercancel", (event) => {
      this.dragged = null;
      this.release(event);
    });
    on("dblclick", () => this.look(0, this.night.epochs));
    on("wheel", (event) => this.wheel(event));
    on("keydown", (event) => this.key(event));
  }

  xIn(event) {
    return event.clientX - this.picture.getBoundingClientRect().left;
  }

  epochUnder(event) {
    return epochAt(this.view, this.picture.clientWidth, this.xIn(event));
  }

  press(event) {
    this.picture.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: this.xIn(event), epoch: this.epochUnder(event) });
    this.point(this.epochUnder(event));
  }

  move(event) {
    const pressed = this.pointers.get(event.pointerId);
    if (this.pointers.size === 2 && pressed) {
      this.pinch(event);
      return;
    }
    this.dragged = null;
    if (pressed && event.pointerType === "mouse" && Math.abs(this.xIn(event) - pressed.x) > DRAG_PIXELS) {
      this.dragged = [pressed.epoch, this.epochUnder(event)];
    }
    this.point(this.epochUnder(event));
  }

  // Two fingers: each stays on the epoch that it was put on.
  pinch(event) {
    const finger = this.pointers.get(event.pointerId);
    finger.now = this.xIn(event);
    const [a, b] = [...this.pointers.values()];
    const apart = (b.now ?? b.x) - (a.now ?? a.x);
    const epochs = (b.epoch - a.epoch) / apart;
    if (Math.abs(apart) < DRAG_PIXELS || !(epochs > 0)) return;
    const width = this.picture.clientWidth - LEFT - RIGHT;
    const from = a.epoch - ((a.now ?? a.x) - LEFT) * epochs;
    this.look(from, from + width * epochs);
  }

  release(event) {
    this.pointers.delete(event.pointerId);
    if (!this.dragged) return;
    const [from, to] = this.dragged;
    this.dragged = null;
    this.look(Math.min(from, to), Math.max(from, to));
  }

  // The wheel alone scrolls the page.
  wheel(event) {
    if (event.ctrlKey || event.metaKey) this.zoom(Math.exp(event.deltaY * 0.004), this.epochUnder(event));
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan((event.deltaX || event.deltaY) * 0.002);
    else return;
    event.preventDefault();
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -20, PageUp: 20, Home: -Infinity, End: Infinity };
    const actions = { "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.look(0, this.night.epochs) };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) this.step(steps[event.key]);
    else if (event.key in actions) actions[event.key]();
    else return;
    event.preventDefault();
  }

  step(epochs) {
    this.point(this.epoch + epochs);
    const { from, to } = this.view;
    if (this.epoch < from || this.epoch + 1 > to) {
      const half = (to - from) / 2;
      this.look(this.epoch - half, this.epoch + half);
    }
  }
}
