// Live curves of a training on a canvas: loss on the left, OA, Kappa and F-score on the right.
//
// The model has `points`, little-endian float32 of shape (point, 6): epoch, train loss, valid loss, OA, Kappa, F-score;
// and `status`: {epochs, epoch, best, phase, part, left}. Each change draws the whole picture once, in one frame.

const COLUMNS = 6;
const HEIGHT = 300;
const PANELS = [
  { title: "Loss", series: [
    { column: 1, name: "train", colour: "#9aa3ad" },
    { column: 2, name: "valid", colour: "#cc79a7" } ] },
  { title: "Valid metrics", fixed: [0, 1], series: [
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

/** Round steps (1, 2, 5 times a power of ten) that cut a range into about `count`. */
export function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((one) => one * power >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** The range of a panel, widened to whole ticks so that it seldom moves. */
function range(panel, points) {
  const all = points.flatMap((row) => panel.series.map((one) => row[one.column])).filter(Number.isFinite);
  if (panel.fixed) return [Math.min(panel.fixed[0], Math.floor(Math.min(0, ...all) * 5) / 5), panel.fixed[1]];
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

function theme(element) {
  const style = getComputedStyle(element);
  const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  return {
    text: read("--jp-ui-font-color1", style.color || "#222"),
    quiet: read("--jp-ui-font-color2", "#777"),
    line: read("--jp-border-color1", "#bbb"),
    grid: read("--jp-border-color3", "#eee"),
    back: read("--jp-layout-color0", "#fff"),
    dark: document.body.dataset.jpThemeLight === "false",
    font: read("--jp-ui-font-family", "system-ui, sans-serif"),
  };
}

function number(value) {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(3);
}

function label(value) {
  return String(Number(value.toPrecision(6)));
}

class Panel {
  constructor(spec, box, points, asked, look) {
    this.spec = spec;
    this.series = spec.series.map((one) => ({ ...one, colour: (look.dark && one.dark) || one.colour }));
    this.points = points;
    this.look = look;
    this.left = box.left + 46;
    this.right = box.right - 14;
    this.top = box.top + 40;
    this.bottom = box.bottom - 40;
    this.x0 = 1;
    this.x1 = lastEpoch(points, asked);
    [this.y0, this.y1] = range(spec, points);
  }

  x(epoch) { return this.left + ((epoch - this.x0) / (this.x1 - this.x0)) * (this.right - this.left); }
  y(value) { return this.bottom - ((value - this.y0) / (this.y1 - this.y0)) * (this.bottom - this.top); }

  epochAt(x) { return this.x0 + ((x - this.left) / (this.right - this.left)) * (this.x1 - this.x0); }

  draw(c, shown, best) {
    this.axes(c);
    if (best) this.mark(c, best, `best ${best}`, this.bottom - 6, this.look.quiet, [4, 3]);
    this.series.forEach((one) => this.curve(c, one));
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

  /** A vertical line at an epoch, with words beside it. */
  mark(c, epoch, words, y, colour, dash) {
    const x = Math.round(this.x(epoch)) + 0.5;
    c.setLineDash(dash);
    stroke(c, colour, [[x, this.top], [x, this.bottom]]);
    c.setLineDash([]);
    const flip = x + 8 + c.measureText(words).width > this.right;
    c.textAlign = flip ? "right" : "left";
    c.fillStyle = colour;
    c.fillText(words, x + (flip ? -5 : 5), y);
    c.textAlign = "left";
  }

  curve(c, series) {
    const known = this.points.filter((row) => Number.isFinite(row[series.column]));
    const places = known.map((row) => [this.x(row[0]), this.y(row[series.column])]);
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
    this.mark(c, row[0], `epoch ${row[0]}`, this.top + 12, this.look.text, []);
    this.series.forEach((one) => this.dot(c, [this.x(row[0]), this.y(row[one.column])], one.colour));
  }

  legend(c, row) {
    let x = this.left;
    for (const one of this.series) {
      c.fillStyle = one.colour;
      c.fillRect(x, this.top - 14, 14, 3);
      c.fillStyle = this.look.text;
      const text = row ? `${one.name} ${number(row[one.column])}` : one.name;
      c.fillText(text, x + 19, this.top - 8);
      x += 19 + c.measureText(`${one.name} 0.000`).width + 16;
    }
  }
}

function stroke(c, colour, places) {
  c.strokeStyle = colour;
  c.beginPath();
  places.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
  c.stroke();
}

/** The sentence above the curves. */
export function caption(status, row) {
  if (!row && !status.phase) return "Waiting for the first epoch";
  const epoch = row ? row[0] : 0;
  const head = { running: "Training", stopped: "Stopped", done: "Done" }[status.phase] || "";
  const parts = [`${head}: epoch ${epoch}${status.epochs ? ` of ${status.epochs}` : ""}`];
  if (status.best) parts.push(`best ${status.best}`);
  if (status.phase === "running" && status.left != null) parts.push(`about ${duration(status.left)} left`);
  return parts.join(" · ");
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
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
  const width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
  if (!width) return;
  const wide = Math.round(width * ratio), high = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const c = canvas.getContext("2d"), look = theme(canvas);
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  c.font = `12px ${look.font}`;
  const points = rows(model.get("points")), status = model.get("status");
  const half = width / 2;
  const panels = PANELS.map((spec, i) => {
    const box = { left: i * half, right: (i + 1) * half, top: 0, bottom: height };
    return new Panel(spec, box, points, status.epochs, look);
  });
  const shown = shownRow(points, pointer, panels);
  panels.forEach((panel) => panel.draw(c, shown, status.best));
}

function render({ model, el }) {
  el.classList.add("lc-curves");
  el.innerHTML = `<div class="lc-caption"></div><div class="lc-progress"><div></div></div><canvas role="img"></canvas>`;
  const [words, progress, canvas] = [el.children[0], el.children[1].firstChild, el.children[2]];
  canvas.style.height = `${HEIGHT}px`;
  let waiting = 0, pointer = null;
  const now = () => {
    waiting = 0;
    const points = rows(model.get("points")), status = model.get("status");
    words.textContent = caption(status, points[points.length - 1]);
    canvas.setAttribute("aria-label", words.textContent);
    progress.style.width = `${100 * (status.part || 0)}%`;
    progress.style.visibility = status.phase === "running" ? "visible" : "hidden";
    draw(canvas, model, pointer);
  };
  const soon = () => { waiting = waiting || requestAnimationFrame(now); };
  const follow = (event) => { pointer = event && { x: event.offsetX, y: event.offsetY }; soon(); };
  canvas.onpointermove = follow;
  canvas.onpointerleave = () => follow(null);
  model.on("change:points", soon);
  model.on("change:status", soon);
  const size = new ResizeObserver(soon), look = new MutationObserver(soon);
  size.observe(canvas);
  look.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
  now();
  return () => {
    model.off("change:points", soon);
    model.off("change:status", soon);
    size.disconnect();
    look.disconnect();
    cancelAnimationFrame(waiting);
  };
}

export default { render };
