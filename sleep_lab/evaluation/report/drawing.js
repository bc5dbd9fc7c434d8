// How a night looks: its rows over one time axis, for the epochs in view.

const PAGE = JSON.parse(document.getElementById("nights-data").textContent);
const EPOCHS_PER_HOUR = 3600 / PAGE.epoch_s;
const INK = "#222", SOFT = "#555", GRID = "#dfe3e8";
const LEFT = 38, RIGHT = 8, LABEL = 17, CLOCK = 18, AXIS = 34;
const HEIGHTS = { hypnogram: 50, hypnodensity: 84, spectrogram: 110, review: 9 };
const DIFFERS = 5;
const TICK_STEPS_MIN = [1, 2, 5, 10, 15, 30, 60, 120, 240, 480];

const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const COLOURMAP = bytesOf(PAGE.colourmap);

// The rows of a night, top to bottom: the reference first, then the others in their order.
function rowsOf(night, hidden) {
  const hypnograms = night.hypnograms.filter(({ name }) => !hidden.has(name));
  hypnograms.sort((a, b) => (b.name === night.reference) - (a.name === night.reference));
  const reference = night.hypnograms.find(({ name }) => name === night.reference);
  const rows = hypnograms.map((hypnogram) => ({
    kind: "hypnogram", label: hypnogram.name, codes: hypnogram.codes,
    reference: reference === hypnogram ? null : reference?.codes,
  }));
  if (night.hypnodensity) rows.push({ kind: "hypnodensity", label: titled("Hypnodensity", night.hypnodensity) });
  if (night.spectrogram) rows.push({ kind: "spectrogram", label: `${titled("Spectrogram", night.spectrogram)} (Hz)` });
  if (night.review.length) rows.push({ kind: "review", label: "Review first" });
  let top = CLOCK;
  for (const row of rows) {
    row.top = top + LABEL;
    row.height = HEIGHTS[row.kind];
    top = row.top + row.height + (row.reference ? DIFFERS + 2 : 0) + 5;
  }
  return { rows, height: top + AXIS };
}

const titled = (what, { name }) => (name ? `${what}: ${name}` : what);

// Draw a night on a canvas of `width` pixels; `view` has the first epoch in view and the one after.
function drawNight(canvas, night, hidden, view, width) {
  const { rows, height } = rowsOf(night, hidden);
  const context = scaled(canvas, width, height);
  const picture = { context, night, view, width, bottom: height - AXIS, x: xOf(view, width) };
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  drawTimeAxis(picture);
  for (const row of rows) {
    text(picture, row.label, LEFT, row.top - 5, { font: "600 12px", most: width - LEFT - RIGHT });
    context.save();
    context.beginPath();
    context.rect(LEFT, row.top - 1, width - LEFT - RIGHT, row.height + DIFFERS + 3);
    context.clip();
    DRAW[row.kind](picture, row);
    context.restore();
    SCALE[row.kind]?.(picture, row);
  }
}

function xOf(view, width) {
  const pixels = (width - LEFT - RIGHT) / (view.to - view.from);
  return (epoch) => LEFT + (epoch - view.from) * pixels;
}

function epochAt(view, width, x) {
  return view.from + ((x - LEFT) / (width - LEFT - RIGHT)) * (view.to - view.from);
}

// A canvas is drawn with two pixels per pixel at least, so that it prints sharp.
function scaled(canvas, width, height) {
  const ratio = Math.max(window.devicePixelRatio || 1, 2);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

function text({ context }, words, x, y, { font = "11px", align = "left", colour = INK, most } = {}) {
  context.font = `${font} system-ui, "Liberation Sans", sans-serif`;
  context.textAlign = align;
  context.fillStyle = colour;
  let shown = words;
  while (most && shown.length > 1 && context.measureText(shown).width > most) {
    shown = shown.replace(/…$/, "").slice(0, -1) + "…";
  }
  context.fillText(shown, x, y);
}

// Runs of equal values among the epochs in view: calls back with value, first epoch, epoch after.
function eachRun({ view, night }, valueAt, callback) {
  const last = Math.min(Math.ceil(view.to), night.epochs);
  let first = Math.max(Math.floor(view.from), 0);
  for (let epoch = first + 1; epoch <= last; epoch++) {
    if (epoch < last && valueAt(epoch) === valueAt(first)) continue;
    callback(valueAt(first), first, epoch);
    first = epoch;
  }
}

function bar(context, from, to, y, height) {
  context.fillRect(from, y, Math.max(to - from, 0.7), height);
}

function levelY(row, code) {
  const step = row.height / PAGE.stages.length;
  return row.top + row.height - (PAGE.levels[code] + 0.5) * step;
}

const DRAW = {
  hypnogram(picture, row) {
    const { context, x } = picture;
    let before = null;
    eachRun(picture, (epoch) => row.codes[epoch], (code, first, after) => {
      const y = code === "-" ? null : levelY(row, code);
      if (y !== null && before !== null) {
        context.fillStyle = "#888";
        context.fillRect(x(first) - 0.4, Math.min(y, before), 0.8, Math.abs(y - before));
      }
      before = y;
    });
    eachRun(picture, (epoch) => row.codes[epoch], (code, first, after) => {
      if (code === "-") return;
      const thick = PAGE.stages[code] === "REM" ? 6 : 4;
      context.fillStyle = PAGE.colours[code];
      bar(context, x(first), x(after), levelY(row, code) - thick / 2, thick);
    });
    if (row.reference) drawDisagreement(picture, row);
  },

  hypnodensity(picture, row) {
    const { context, night, view, x } = picture;
    const bottomUp = PAGE.levels.map((_, level) => PAGE.levels.indexOf(level));
    const last = Math.min(Math.ceil(view.to), night.epochs);
    for (let epoch = Math.max(Math.floor(view.from), 0); epoch < last; epoch++) {
      let y = row.top + row.height;
      for (const code of bottomUp) {
        const high = (probability(night, epoch, code) * row.height);
        context.fillStyle = PAGE.colours[code];
        // half a pixel over the next: no seams
        context.fillRect(x(epoch), y - high, x(epoch + 1) - x(epoch) + 0.5, high + 0.3);
        y -= high;
      }
    }
  },

  spectrogram({ context, night, x }, row) {
    const { from, to } = night.spectrogram;
    context.imageSmoothingEnabled = false;
    context.drawImage(spectrogramImage(night), x(from), row.top, x(to) - x(from), row.height);
  },

  review({ context, night, x }, row) {
    context.fillStyle = INK;
    for (const epoch of night.review) bar(context, x(epoch), Math.max(x(epoch + 1), x(epoch) + 1.5), row.top, row.height);
  },
};

const SCALE = {
  hypnogram(picture, row) {
    PAGE.stages.forEach((stage, code) => {
      text(picture, stage, LEFT - 5, levelY(row, code) + 3.5, { font: "9.5px", align: "right", colour: SOFT });
    });
  },
  hypnodensity(picture, row) {
    for (const share of [0, 0.5, 1]) {
      text(picture, `${share}`, LEFT - 5, row.top + (1 - share) * (row.height - 8) + 8, { font: "10px", align: "right", colour: SOFT });
    }
  },
  spectrogram(picture, row) {
    const { lowest_hz: lowest, highest_hz: highest } = picture.night.spectrogram;
    const step = highest > 40 ? 20 : 10;
    for (let hertz = 0; hertz < highest; hertz += step) {
      const y = row.top + row.height * (1 - (hertz - lowest) / (highest - lowest));
      text(picture, `${hertz}`, LEFT - 5, Math.min(Math.max(y + 3.5, row.top + 8), row.top + row.height), { font: "10px", align: "right", colour: SOFT });
    }
  },
};

function drawDisagreement(picture, row) {
  const { context, x, width } = picture;
  const y = row.top + row.height + 1;
  context.fillStyle = "#eef0f3";
  context.fillRect(LEFT, y, width - LEFT - RIGHT, DIFFERS);
  context.fillStyle = PAGE.disagreement;
  eachRun(picture, (epoch) => differs(row, epoch), (different, first, after) => {
    if (different) bar(context, x(first), x(after), y, DIFFERS);
  });
}

function differs({ codes, reference }, epoch) {
  return Boolean(reference) && reference[epoch] !== "-" && codes[epoch] !== reference[epoch];
}

function probability(night, epoch, code) {
  night.probabilities ??= bytesOf(night.hypnodensity.bytes);
  return night.probabilities[epoch * PAGE.stages.length + Number(code)] / 255;
}

function spectrogramImage(night) {
  if (night.image) return night.image;
  const { columns, bins, bytes } = night.spectrogram;
  const power = bytesOf(bytes);
  const image = new ImageData(columns, bins);
  for (let column = 0; column < columns; column++) {
    for (let bin = 0; bin < bins; bin++) {
      const colour = power[column * bins + bin] * 3;
      const pixel = ((bins - 1 - bin) * columns + column) * 4;
      image.data.set(COLOURMAP.subarray(colour, colour + 3), pixel);
      image.data[pixel + 3] = 255;
    }
  }
  night.image = document.createElement("canvas");
  night.image.width = columns;
  night.image.height = bins;
  night.image.getContext("2d").putImageData(image, 0, 0);
  return night.image;
}

function drawTimeAxis(picture) {
  const { context, night, view, width, bottom, x } = picture;
  const hours = (view.to - view.from) / EPOCHS_PER_HOUR;
  const most = Math.max(Math.floor((width - LEFT - RIGHT) / 50), 2);
  const step = TICK_STEPS_MIN.find((minutes) => (hours * 60) / minutes <= most) ?? TICK_STEPS_MIN.at(-1);
  const epochs = (step * 60) / PAGE.epoch_s;
  const label = (tick, y, name) => {
    const at = Math.min(Math.max(x(tick), LEFT + 12), width - RIGHT - 16);
    text(picture, name, at, y, { align: "center", colour: SOFT });
  };
  const each = (offset, callback) => {
    const first = Math.ceil((view.from + offset) / epochs - 1e-9) * epochs;
    for (let tick = first; tick <= view.to + offset + 1e-9; tick += epochs) callback(tick - offset, tick);
  };
  each(night.first_epoch, (at, tick) => {
    context.fillStyle = GRID;
    context.fillRect(x(at) - 0.5, CLOCK, 1, bottom - CLOCK);
    label(at, bottom + 14, elapsed(tick * PAGE.epoch_s).slice(0, -3));
  });
  text(picture, "Time since the start of the recording (h:mm)", LEFT, bottom + 29, { colour: SOFT, most: width - LEFT - RIGHT });
  if (night.start_s === null) return;
  each(night.first_epoch + night.start_s / PAGE.epoch_s, (at, tick) => {
    label(at, CLOCK - 6, onTheClock(tick * PAGE.epoch_s).slice(0, -3));
  });
}

const two = (number) => String(number).padStart(2, "0");

function elapsed(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

function onTheClock(seconds) {
  return elapsed(Math.round(seconds) % 86400).padStart(8, "0");
}
