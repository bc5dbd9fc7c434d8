// What the epoch under the pointer holds, in words; its names also show and hide the rows.

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const stageName = (code) => PAGE.stages[code] ?? "unscored";

class Readout {
  constructor(night, onHide) {
    this.night = night;
    this.reference = night.hypnograms.find(({ name }) => name === night.reference);
    this.when = element("p", { className: "when" });
    this.names = night.hypnograms.map((hypnogram) => this.name(hypnogram, onHide));
    this.parts = [this.when, element("ul", { className: "names" }, ...this.names.map(({ item }) => item))];
    if (night.hypnodensity) this.parts.push(this.probabilities());
  }

  name(hypnogram, onHide) {
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => onHide(hypnogram.name, !box.checked));
    const swatch = element("i", { className: "swatch" });
    const stage = element("output");
    const suffix = hypnogram === this.reference ? " (ref.)" : "";
    const label = element("span", { title: hypnogram.name + suffix }, hypnogram.name + suffix);
    const item = element("li", {}, element("label", {}, box, swatch, label, stage));
    return { hypnogram, item, swatch, stage };
  }

  probabilities() {
    this.shares = PAGE.stages.map((stage, code) => {
      const words = document.createTextNode("");
      const share = element("i");
      share.style.background = PAGE.colours[code];
      return { words, share, item: element("div", {}, words, share) };
    });
    return element("div", { className: "probabilities" }, ...this.shares.map(({ item }) => item));
  }

  show(epoch) {
    const { night } = this;
    this.when.textContent = this.time(epoch);
    for (const { hypnogram, item, swatch, stage } of this.names) {
      const code = hypnogram.codes[epoch];
      stage.textContent = stageName(code);
      swatch.style.background = PAGE.colours[code] ?? "transparent";
      const { reference } = this;
      item.classList.toggle("differs", differs({ codes: hypnogram.codes, reference: reference?.codes }, epoch));
    }
    this.shares?.forEach(({ words, share }, code) => {
      const percent = `${Math.round(probability(night, epoch, code) * 100)}%`;
      words.textContent = `${PAGE.stages[code]} ${percent}`;
      share.style.width = percent;
    });
  }

  time(epoch) {
    const { night } = this;
    const seconds = (night.first_epoch + epoch) * PAGE.epoch_s;
    const clock = night.start_s === null ? "" : ` · ${onTheClock(night.start_s + seconds)}`;
    return `Epoch ${night.first_epoch + epoch} · ${elapsed(seconds)} from the start${clock}`;
  }

  words(epoch) {
    const stages = this.night.hypnograms.map(({ name, codes }) => `${name} ${stageName(codes[epoch])}`);
    return [this.time(epoch), ...stages].join("; ");
  }
}
