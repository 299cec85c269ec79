// Follows chart.js, classes.js and steering.js. Live curves of a training on a canvas: loss on the left, OA, Kappa and F-score on the right.
//
// The model has `points`, little-endian float32 of shape (point, 6): epoch, train loss, valid loss, OA, Kappa, F-score;
// `status`: {epochs, best, low, phase, part, left, name, seconds, speed, paused, rate, scale, controls}; and `compared`:
// [{name, points, mean}], trainings beside, drawn thin and dashed. Below, where it is known, `classes` (see classes.js).
// Each change draws the whole picture once, in one frame.

const COLUMNS = 6;
const F_SCORE = 5;
const HEIGHT = 300;
const DASHES = [[6, 3], [2, 2], [9, 3, 2, 3], [4, 6], [12, 4], [2, 5]];
const MEAN_DASH = [12, 3];
const PANELS = [
  { title: "Loss", series: [
    { column: 1, name: "train", colour: "#9aa3ad" },
    { column: 2, name: "valid", colour: "#cc79a7" } ] },
  { title: "Valid metrics", upTo: 1, series: [
    { column: 3, name: "OA", colour: "#0072b2", dark: "#56b4e9" },
    { column: 4, name: "Kappa", colour: "#d55e00" },
    { column: 5, name: "F-score", colour: "#009e73" } ] },
];

/** Python's bytes as rows of numbers. */
export function rows(view) {
  if (!view || !view.byteLength) return [];
  const values = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  return Array.from({ length: values.length / COLUMNS }, (_, i) => values.subarray(i * COLUMNS, (i + 1) * COLUMNS));
}

/**
 * The lower end of an axis of metrics, whose upper end is 1: in steps of 0.1 from 0.5 to 0.9, of 0.2 below. As
 * `lower_end` in figures/curves.py.
 */
export function lowerEnd(low) {
  const steps = low >= 0.5 ? 10 : 5;
  return Math.min(0.9, Math.floor(low * steps + 1e-6) / steps);
}

/** The range of a panel, widened to whole ticks so that it seldom moves; `low`: of the metrics, of points not sent too. */
function range(panel, points, low) {
  const all = points.flatMap((row) => panel.series.map((one) => row[one.column])).filter(Number.isFinite);
  if (panel.upTo) return [all.length ? lowerEnd(Math.min(...all, low ?? panel.upTo)) : 0, panel.upTo];
  const high = all.length ? Math.max(1e-6, ...all) : 1;
  const marks = ticks(0, high, 4);
  const step = marks[1] - marks[0] || high;
  return [0, Math.ceil(high / step - 1e-9) * step];
}

/** The last epoch of the axis: grows in steps towards the number asked for. */
function lastEpoch(points, asked) {
  const now = points.length ? points[points.length - 1][0] : 1;
  const round = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].find((one) => one >= now) || now;
  return Math.max(2, asked ? Math.min(round, Math.max(asked, now)) : round);
}

class Panel {
  constructor(spec, box, points, others, status, look) {
    this.spec = spec;
    this.series = spec.series.map((one) => ({ ...one, colour: (look.dark && one.dark) || one.colour }));
    this.points = points;
    this.others = others;
    this.look = look;
    this.left = box.left + 46;
    this.right = box.right - 14;
    this.top = box.top + 40;
    this.bottom = box.bottom - 40;
    this.x0 = 1;
    const all = [points, ...others.map((one) => one.points)];
    this.x1 = Math.max(...all.map((one) => lastEpoch(one, status.epochs)));
    [this.y0, this.y1] = range(spec, all.flat(), status.low);
  }

  x(epoch) { return this.left + ((epoch - this.x0) / (this.x1 - this.x0)) * (this.right - this.left); }
  y(value) { return this.bottom - ((value - this.y0) / (this.y1 - this.y0)) * (this.bottom - this.top); }

  epochAt(x) { return this.x0 + ((x - this.left) / (this.right - this.left)) * (this.x1 - this.x0); }

  draw(c, shown, best) {
    this.axes(c);
    if (best) this.upright(c, best, this.look.quiet, [4, 3]);
    this.others.forEach(({ points, mean }, i) => {
      this.series.forEach((one) => this.beside(c, points, one, mean ? MEAN_DASH : DASHES[i % DASHES.length], mean));
    });
    this.series.forEach((one) => this.curve(c, one));
    if (best) this.words(c, best, `best ${best}`, this.bottom - 6, this.look.quiet);
    if (shown.hover) this.cursor(c, shown.row);
    this.legend(c, shown.row);
  }

  axes(c) {
    const { text, quiet, grid, line } = this.look;
    c.lineWidth = 1;
    c.textBaseline = "middle";
    c.textAlign = "right";
    for (const value of ticks(this.y0, this.y1, 5)) {
      const y = Math.round(this.y(value)) + 0.5;
      stroke(c, grid, [[this.left, y], [this.right, y]]);
      c.fillStyle = quiet;
      c.fillText(label(value), this.left - 8, y);
    }
    c.textAlign = "center";
    c.textBaseline = "top";
    const marks = ticks(0, this.x1, Math.max(2, Math.min(6, (this.right - this.left) / 60)));
    for (const epoch of new Set([1, ...marks.filter((one) => one >= 1 && Number.isInteger(one))])) {
      if (epoch === 1 && marks.includes(2) && this.x(2) - this.x(1) < 14) continue;
      const x = Math.round(this.x(epoch)) + 0.5;
      stroke(c, line, [[x, this.bottom], [x, this.bottom + 4]]);
      c.fillStyle = quiet;
      c.fillText(label(epoch), x, this.bottom + 8);
    }
    stroke(c, line, [[this.left, this.bottom + 0.5], [this.right, this.bottom + 0.5]]);
    c.fillStyle = quiet;
    c.fillText("epoch", (this.left + this.right) / 2, this.bottom + 23);
    c.textAlign = "left";
    c.textBaseline = "alphabetic";
    c.fillStyle = text;
    c.font = `600 12px ${this.look.font}`;
    c.fillText(this.spec.title, this.left, this.top - 24);
    c.font = `12px ${this.look.font}`;
  }

  /** A vertical line at an epoch. */
  upright(c, epoch, colour, dash) {
    const x = Math.round(this.x(epoch)) + 0.5;
    c.setLineDash(dash);
    stroke(c, colour, [[x, this.top], [x, this.bottom]]);
    c.setLineDash([]);
  }

  /** Words beside an epoch's line; what is drawn below them stops short of them. */
  words(c, epoch, words, y, colour) {
    const x = Math.round(this.x(epoch)) + 0.5;
    const flip = x + 8 + c.measureText(words).width > this.right;
    c.textAlign = flip ? "right" : "left";
    c.strokeStyle = this.look.back;
    c.lineWidth = 4;
    c.lineJoin = "round";
    c.strokeText(words, x + (flip ? -6 : 6), y);
    c.lineWidth = 1;
    c.fillStyle = colour;
    c.fillText(words, x + (flip ? -6 : 6), y);
    c.textAlign = "left";
  }

  places(points, series) {
    const known = points.filter((row) => Number.isFinite(row[series.column]));
    return known.map((row) => [this.x(row[0]), this.y(row[series.column])]);
  }

  /** The curve of a training beside: there to be compared with, not to be looked at. */
  beside(c, points, series, dash, mean) {
    c.setLineDash(dash);
    c.globalAlpha = mean ? 0.9 : 0.6;
    c.lineWidth = mean ? 2 : 1;
    stroke(c, series.colour, this.places(points, series));
    c.lineWidth = c.globalAlpha = 1;
    c.setLineDash([]);
  }

  curve(c, series) {
    const places = this.places(this.points, series);
    c.lineWidth = 2;
    c.lineJoin = "round";
    stroke(c, series.colour, places);
    if (places.length) this.dot(c, places[places.length - 1], series.colour);
    c.lineWidth = 1;
  }

  dot(c, [x, y], colour) {
    c.beginPath();
    c.arc(x, y, 3, 0, 2 * Math.PI);
    c.fillStyle = colour;
    c.fill();
  }

  cursor(c, row) {
    this.upright(c, row[0], this.look.text, []);
    this.series.forEach((one) => this.dot(c, [this.x(row[0]), this.y(row[one.column])], one.colour));
    this.words(c, row[0], `epoch ${row[0]}`, this.top + 12, this.look.text);
  }

  legend(c, row) {
    let x = this.left;
    const widthWith = (value) => this.series.map((one) => 35 + c.measureText(one.name + value).width);
    const needed = widthWith(" 0.000").reduce((sum, one) => sum + one) - 16;
    const hasRoom = needed <= this.right + 14 - this.left;
    const widths = widthWith(hasRoom ? " 0.000" : "");
    for (const [i, one] of this.series.entries()) {
      c.fillStyle = one.colour;
      c.fillRect(x, this.top - 14, 14, 3);
      c.fillStyle = this.look.text;
      const text = row && hasRoom ? `${one.name} ${number(row[one.column])}` : one.name;
      c.fillText(text, x + 19, this.top - 8);
      x += widths[i];
    }
  }
}

/** The sentence above the curves; `points`: those sent, the best epoch among them. */
export function caption(status, points) {
  const row = points[points.length - 1];
  if (!row && !status.phase) return "Waiting for the first epoch";
  const epoch = row ? row[0] : 0;
  const going = status.paused ? "Paused" : "Training";
  const head = { waiting: "So far", running: going, stopped: "Stopped", failed: "Failed", done: "Done" }[status.phase] || "";
  const asked = status.epochs >= epoch ? ` of ${status.epochs}` : ""; // there may be more than are asked for now
  const parts = [`${head}${status.name ? ` (${status.name})` : ""}: epoch ${epoch}${asked}`];
  const kept = status.best && points.find((one) => one[0] === status.best);
  if (status.best) parts.push(`best ${status.best}${kept ? ` (F-score ${number(kept[F_SCORE])})` : ""}`);
  if (status.phase === "running" && !status.paused && status.left != null) parts.push(`about ${duration(status.left)} left`);
  return parts.join(" · ");
}

/** The line below the sentence: how fast it goes. */
export function facts(status) {
  const parts = [];
  if (status.seconds) parts.push(`${status.seconds < 10 ? status.seconds.toPrecision(2) : Math.round(status.seconds)} s an epoch`);
  if (status.speed) parts.push(`${Number(status.speed.toPrecision(2)).toLocaleString("en")} samples a second`);
  if (status.rate && !(status.controls || []).length) parts.push(rateWords(status));
  return parts.join(" · ");
}

/** The classes in words, for who does not see them. */
function classWords({ labels = [], scores = [], epoch }) {
  return `F-score of each class, epoch ${epoch}: ${labels.map((one, i) => `${one} ${number(scores[i])}`).join(", ")}`;
}

/** The row nearest to where the pointer is, or the last one. */
function shownRow(points, pointer, panels) {
  const last = points[points.length - 1];
  const panel = pointer && panels.find((one) => pointer.x >= one.left - 6 && pointer.x <= one.right + 6);
  if (!panel || !last) return { row: last, hover: false };
  const epoch = panel.epochAt(pointer.x);
  const near = (a, b) => (Math.abs(b[0] - epoch) < Math.abs(a[0] - epoch) ? b : a);
  return { row: points.reduce(near), hover: true };
}

function draw(canvas, model, pointer) {
  const paper = prepare(canvas);
  if (!paper) return;
  const { c, width, height, look } = paper;
  const points = rows(model.get("points")), status = model.get("status");
  const others = (model.get("compared") || []).map((one) => ({ ...one, points: rows(one.points) }));
  const half = width / 2;
  const panels = PANELS.map((spec, i) => {
    const box = { left: i * half, right: (i + 1) * half, top: 0, bottom: height };
    return new Panel(spec, box, points, others, status, look);
  });
  const shown = shownRow(points, pointer, panels);
  panels.forEach((panel) => panel.draw(c, shown, status.best));
}

/** Names of the trainings beside, each with a sample of its line. */
function legend(element, compared) {
  element.hidden = !compared.length;
  element.replaceChildren(...[{ name: "this run" }, ...compared].map(({ name, mean }, i) => {
    const row = document.createElement("span");
    const dash = !i ? "" : (mean ? MEAN_DASH : DASHES[(i - 1) % DASHES.length]).join(" ");
    row.innerHTML = `<svg width="28" height="8" aria-hidden="true"><line x1="0" x2="28" y1="4" y2="4"
      stroke="currentColor" stroke-width="${i && !mean ? 1 : 2}" stroke-dasharray="${dash}"/></svg>`;
    row.append(name);
    return row;
  }));
}

function render({ model, el }) {
  el.classList.add("lc-curves");
  el.innerHTML = `<div class="lc-caption"></div><div class="lc-progress"><div></div></div>
    <div class="lc-facts"></div><div hidden></div><div class="lc-runs" hidden></div><canvas role="img"></canvas>
    <canvas class="lc-classes" role="img" hidden></canvas>`;
  const [words, { firstChild: progress }, told, buttons, names, canvas, below] = el.children;
  canvas.style.height = `${HEIGHT}px`;
  const steer = steering(buttons, model);
  let pointer = null, pointed = null;
  const now = () => {
    const points = rows(model.get("points")), status = model.get("status");
    words.textContent = caption(status, points);
    canvas.setAttribute("aria-label", words.textContent);
    progress.style.width = `${100 * (status.part || 0)}%`;
    progress.style.visibility = status.phase === "running" ? "visible" : "hidden";
    told.textContent = facts(status);
    steer.now();
    legend(names, model.get("compared") || []);
    draw(canvas, model, pointer);
    const classes = model.get("classes") || {};
    below.hidden = !(classes.labels && classes.labels.length) && !status.classes;
    below.style.height = `${classHeight((classes.labels || []).length || status.classes || 0)}px`;
    below.setAttribute("aria-label", classWords(classes));
    drawClasses(below, classes, pointed);
  };
  const { soon, end } = follow(model, ["points", "status", "compared", "classes"], canvas, now);
  const point = (event) => { pointer = event && { x: event.offsetX, y: event.offsetY }; soon(); };
  canvas.onpointermove = point;
  canvas.onpointerleave = () => point(null);
  below.onpointermove = (event) => { pointed = { x: event.offsetX, y: event.offsetY }; soon(); };
  below.onpointerleave = () => { pointed = null; soon(); };
  now();
  return () => { steer.end(); end(); };
}

export default { render };
