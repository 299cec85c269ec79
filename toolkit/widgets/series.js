// Follows chart.js. Time series on a canvas: panels one below another over one axis of time.
//
// The model has `panels`, [{title, low, high, curves: [{name, colour, dash, points, line}]}], where points and line
// are counts; and `data`, little-endian float32, for each curve in this order: days, values and clearness (0, 1) of its
// points, then days and values of its line. Days count from 1970. Each change draws the whole picture once, in one frame.

const DAY = 86400000;
const PANEL = 172, LEFT = 52, RIGHT = 14, TITLE = 24, FOOT = 40, GAP = 14;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The panels with the numbers of their curves. */
export function decode(panels, view) {
  const bytes = view && view.byteLength ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : new ArrayBuffer(0);
  const numbers = new Float32Array(bytes);
  let at = 0;
  const take = (count) => numbers.subarray(at, (at += count));
  return panels.map((panel) => ({
    ...panel,
    curves: panel.curves.map(({ name, colour, dash, points, line }) => ({
      name, colour, dash: dash || [], days: take(points), values: take(points), clear: take(points), lineDays: take(line), line: take(line),
    })),
  }));
}

/** Ticks of a range of days, at most one in 38 pixels: [{day, month, year}], year where it begins or the axis does. */
export function months(first, last, width) {
  const begin = new Date(first * DAY), end = new Date(last * DAY);
  const span = (end.getUTCFullYear() - begin.getUTCFullYear()) * 12 + end.getUTCMonth() - begin.getUTCMonth() + 1;
  const step = [1, 2, 3, 6, 12, 24, 60, 120].find((one) => (span / one) * 38 <= width) || 240;
  const from = begin.getUTCFullYear() * 12 + Math.floor(begin.getUTCMonth() / step) * step;
  const marks = [];
  for (let month = from; marks.length < 100; month += step) {
    const day = Date.UTC(Math.floor(month / 12), month % 12, 1) / DAY;
    if (day > last) break;
    if (day < first) continue;
    const year = !marks.length || month % 12 === 0 ? String(Math.floor(month / 12)) : "";
    marks.push({ day, month: step < 12 ? MONTHS[month % 12] : "", year });
  }
  return marks;
}

/** A day as people write it: 2018-05-03. */
export function date(day) {
  return new Date(day * DAY).toISOString().slice(0, 10);
}

/** Value of the line on a day; NaN beyond its ends. */
export function lineAt(curve, day) {
  const { lineDays: days, line } = curve;
  const next = days.findIndex((one) => one >= day);
  if (next < 0 || (next === 0 && days[0] !== day)) return NaN;
  if (days[next] === day) return line[next];
  const share = (day - days[next - 1]) / (days[next] - days[next - 1]);
  return line[next - 1] + share * (line[next] - line[next - 1]);
}

/** The point of a day, a clear one before a masked one: {value, clear}; null where there is none. */
function pointAt(curve, day) {
  const there = [...curve.days.keys()].filter((i) => curve.days[i] === day && Number.isFinite(curve.values[i]));
  const best = there.find((i) => curve.clear[i]) ?? there[0];
  return best === undefined ? null : { value: curve.values[best], clear: Boolean(curve.clear[best]) };
}

/** What stands in the box under the pointer: [{curve, point, line}]. */
function readings(panel, day) {
  return panel.curves.map((curve) => ({ curve, point: pointAt(curve, day), line: lineAt(curve, day) }));
}

/** The readings in words, for those who hear them. */
export function words(panel, day) {
  const parts = readings(panel, day).map(({ curve, point, line }) => {
    if (!curve.days.length) return `${curve.name} line ${number(line)}`;
    const measured = point ? `${number(point.value)}${point.clear ? "" : " masked"}` : "not measured";
    return `${curve.name} ${measured}, line ${number(line)}`;
  });
  return `${date(day)}, ${panel.title}: ${parts.join("; ")}`;
}

/** Every day of a point, once, in order; where there are no points those of the lines. */
function daysOf(panels) {
  const curves = panels.flatMap((panel) => panel.curves);
  const points = curves.flatMap((one) => [...one.days]);
  const days = points.length ? points : curves.flatMap((one) => [...one.lineDays]);
  return [...new Set(days)].sort((a, b) => a - b);
}

/** Days of the whole axis, with a little room at its ends. */
function extent(panels) {
  const all = panels.flatMap((panel) => panel.curves.flatMap((one) => [...one.days, ...one.lineDays]));
  if (!all.length) return [0, 1];
  const first = all.reduce((a, b) => Math.min(a, b)), last = all.reduce((a, b) => Math.max(a, b));
  const room = Math.max(1, (last - first) * 0.01);
  return [first - room, last + room];
}

class SeriesPanel {
  constructor(panel, index, width, [first, last], look) {
    Object.assign(this, { ...panel, look, first, last });
    this.left = LEFT;
    this.right = width - RIGHT;
    this.top = index * PANEL + TITLE;
    this.bottom = (index + 1) * PANEL - GAP;
  }

  x(day) { return this.left + ((day - this.first) / (this.last - this.first)) * (this.right - this.left); }
  y(value) { return this.bottom - ((value - this.low) / (this.high - this.low)) * (this.bottom - this.top); }
  dayAt(x) { return this.first + ((x - this.left) / (this.right - this.left)) * (this.last - this.first); }

  draw(c, marks) {
    this.axes(c, marks);
    c.save();
    c.beginPath();
    c.rect(this.left, this.top - 5, this.right - this.left, this.bottom - this.top + 10);
    c.clip();
    this.curves.forEach((one) => this.masked(c, one));
    this.curves.forEach((one) => this.line(c, one));
    this.curves.forEach((one) => this.clear(c, one));
    c.restore();
  }

  axes(c, marks) {
    const { text, quiet, grid, line } = this.look;
    c.lineWidth = 1;
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const value of ticks(this.low, this.high, 6)) {
      const y = Math.round(this.y(value)) + 0.5;
      stroke(c, grid, [[this.left, y], [this.right, y]]);
      c.fillStyle = quiet;
      c.fillText(label(value), this.left - 8, y);
    }
    for (const { day } of marks) {
      const x = Math.round(this.x(day)) + 0.5;
      stroke(c, grid, [[x, this.top], [x, this.bottom]]);
    }
    stroke(c, line, [[this.left, this.bottom + 0.5], [this.right, this.bottom + 0.5]]);
    c.textAlign = "left";
    c.textBaseline = "alphabetic";
    c.fillStyle = text;
    c.font = `600 12px ${this.look.font}`;
    c.fillText(this.title, this.left, this.top - 9);
    c.font = `12px ${this.look.font}`;
  }

  line(c, curve) {
    c.lineWidth = 1.75;
    c.lineJoin = "round";
    c.setLineDash(curve.dash);
    let run = [];
    const end = () => { if (run.length) stroke(c, curve.colour, run); run = []; };
    curve.lineDays.forEach((day, i) => {
      if (Number.isFinite(curve.line[i])) run.push([this.x(day), this.y(curve.line[i])]);
      else end();
    });
    end();
    c.setLineDash([]);
    c.lineWidth = 1;
  }

  clear(c, curve) {
    curve.days.forEach((day, i) => {
      if (curve.clear[i]) this.dot(c, [this.x(day), this.y(curve.values[i])], curve.colour, 2.75);
    });
  }

  /** Quiet crosses; those beyond the scale stand at its edge. */
  masked(c, curve) {
    c.globalAlpha = 0.5;
    curve.days.forEach((day, i) => {
      if (curve.clear[i] || !Number.isFinite(curve.values[i])) return;
      const x = this.x(day), y = Math.min(this.bottom, Math.max(this.top, this.y(curve.values[i])));
      stroke(c, curve.colour, [[x - 3, y - 3], [x + 3, y + 3]]);
      stroke(c, curve.colour, [[x - 3, y + 3], [x + 3, y - 3]]);
    });
    c.globalAlpha = 1;
  }

  dot(c, [x, y], colour, radius) {
    c.beginPath();
    c.arc(x, y, radius, 0, 2 * Math.PI);
    c.fillStyle = colour;
    c.fill();
  }

  cursor(c, day) {
    const x = Math.round(this.x(day)) + 0.5;
    stroke(c, this.look.quiet, [[x, this.top], [x, this.bottom]]);
  }
}

/** The box with the values of a day: the name of each curve, what was measured (struck where masked), the line. */
function drawBox(c, panel, day, width) {
  const rows = readings(panel, day), look = panel.look;
  const names = Math.max(...rows.map((one) => c.measureText(one.curve.name).width), c.measureText(date(day)).width - 16);
  const wide = 24 + names + 132, high = 30 + 17 * rows.length;
  const x = panel.x(day) + 12 + wide > width ? panel.x(day) - 12 - wide : panel.x(day) + 12;
  const y = Math.max(2, Math.min(panel.top, panel.bottom + FOOT - high));
  Object.assign(c, { fillStyle: look.back, strokeStyle: look.line, textBaseline: "middle", textAlign: "left" });
  c.fillRect(x, y, wide, high);
  c.strokeRect(Math.round(x) + 0.5, Math.round(y) + 0.5, Math.round(wide), Math.round(high));
  c.fillStyle = look.text;
  c.fillText(date(day), x + 8, y + 14);
  Object.assign(c, { fillStyle: look.quiet, textAlign: "right" });
  c.fillText("measured", x + wide - 60, y + 14);
  c.fillText("line", x + wide - 8, y + 14);
  rows.forEach((row, i) => drawReading(c, row, look, { x, y: y + 31 + 17 * i, wide }));
}

function drawReading(c, { curve, point, line }, look, { x, y, wide }) {
  Object.assign(c, { fillStyle: curve.colour, textAlign: "left" });
  c.fillRect(x + 8, y - 2, 10, 3);
  c.fillStyle = look.text;
  c.fillText(curve.name, x + 24, y);
  c.textAlign = "right";
  const text = point ? number(point.value) : "–";
  if (point && !point.clear) {
    c.fillStyle = look.quiet;
    stroke(c, look.quiet, [[x + wide - 61 - c.measureText(text).width, y], [x + wide - 59, y]]);
  }
  c.fillText(text, x + wide - 60, y);
  c.fillStyle = look.text;
  c.fillText(number(line), x + wide - 8, y);
}

function drawMonths(c, panel, marks) {
  const { quiet, line } = panel.look;
  Object.assign(c, { textAlign: "center", textBaseline: "top" });
  for (const { day, month, year } of marks) {
    const x = Math.round(panel.x(day)) + 0.5;
    stroke(c, line, [[x, panel.bottom], [x, panel.bottom + 4]]);
    c.fillStyle = quiet;
    const wide = c.measureText(month || year).width / 2;
    const inside = Math.max(wide, Math.min(panel.right + RIGHT - wide, x));
    [month, year].filter(Boolean).forEach((text, i) => c.fillText(text, inside, panel.bottom + 8 + 14 * i));
  }
}

/** Strokes and gaps as a background that repeats. */
function dashed(colour, dash) {
  let at = 0;
  const stops = dash.map((length, i) => `${i % 2 ? "transparent" : colour} ${at}px ${(at += length)}px`);
  return `repeating-linear-gradient(90deg, ${stops.join(", ")})`;
}

/** Names and colours of all curves, and what the marks mean. */
function drawLegend(element, panels) {
  const curves = new Map(panels.flatMap((panel) => panel.curves).map((one) => [`${one.name} ${one.colour}`, one]));
  const named = [...curves.values()].map(({ name, colour, dash }) => {
    const item = document.createElement("span"), chip = document.createElement("i");
    if (dash.length) chip.style.width = "30px";
    chip.style.background = dash.length ? dashed(colour, dash) : colour;
    item.append(chip, name);
    return item;
  });
  const key = document.createElement("span");
  key.className = "lc-key";
  key.textContent = "● clear   × masked   ─ gap-filled";
  element.replaceChildren(...named, ...(panels.length ? [key] : []));
}

/** Draws everything; gives the panels as they stand, for the pointer. */
function drawAll(canvas, panels, cursor) {
  const space = prepare(canvas);
  if (!space || !panels.length) return [];
  const { c, width, look } = space, range = extent(panels);
  const marks = months(...range, width - LEFT - RIGHT);
  const drawn = panels.map((panel, i) => new SeriesPanel(panel, i, width, range, look));
  drawn.forEach((panel) => panel.draw(c, marks));
  drawMonths(c, drawn[drawn.length - 1], marks);
  if (cursor && drawn[cursor.panel]) {
    drawn.forEach((panel) => panel.cursor(c, cursor.day));
    drawBox(c, drawn[cursor.panel], cursor.day, width);
  }
  return drawn;
}

const nearest = (days, day) => days.reduce((a, b) => (Math.abs(b - day) < Math.abs(a - day) ? b : a));

/** Where the arrow keys move the cursor; null for a key that means nothing here. */
export function moved(cursor, key, days, panels) {
  const clamp = (value, most) => Math.min(Math.max(value, 0), most - 1);
  if (!days.length) return null;
  const at = cursor ? days.indexOf(nearest(days, cursor.day)) : -1, panel = cursor ? clamp(cursor.panel, panels) : 0;
  const to = { ArrowRight: at + 1, ArrowLeft: at < 0 ? days.length - 1 : at - 1, Home: 0, End: days.length - 1 }[key];
  if (to !== undefined) return { day: days[clamp(to, days.length)], panel };
  const other = { ArrowDown: panel + 1, ArrowUp: panel - 1 }[key];
  return other !== undefined && cursor ? { day: days[at], panel: clamp(other, panels) } : null;
}

function render({ model, el }) {
  el.classList.add("lc-series");
  el.innerHTML = `<div class="lc-names"></div><canvas role="img" tabindex="0"></canvas><div class="lc-heard" aria-live="polite"></div>`;
  const [names, canvas, heard] = el.children;
  let panels = [], drawn = [], cursor = null;
  const show = () => {
    drawn = drawAll(canvas, panels, cursor);
    if (cursor && panels[cursor.panel]) heard.textContent = words(panels[cursor.panel], cursor.day);
  };
  const read = () => {
    panels = decode(model.get("panels"), model.get("data"));
    const height = panels.length ? `${panels.length * PANEL + FOOT - GAP}px` : "0";
    if (canvas.style.height !== height) canvas.style.height = height;
    canvas.setAttribute("aria-label", `Time series: ${panels.map((one) => one.title).join(", ")}. Arrow keys read values.`);
    drawLegend(names, panels);
  };
  const { soon, end } = follow(model, [], canvas, show);
  const changed = () => { read(); soon(); };
  ["panels", "data"].forEach((name) => model.on(`change:${name}`, changed));
  canvas.onpointermove = (event) => {
    const days = daysOf(panels);
    if (!drawn.length || !days.length) return;
    const panel = Math.min(panels.length - 1, Math.floor(event.offsetY / PANEL));
    cursor = { day: nearest(days, drawn[0].dayAt(event.offsetX)), panel };
    soon();
  };
  canvas.onpointerleave = canvas.onblur = () => { cursor = null; soon(); };
  canvas.onkeydown = (event) => {
    const next = event.key === "Escape" ? null : moved(cursor, event.key, daysOf(panels), panels.length);
    if (!next && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    cursor = next;
    soon();
  };
  read();
  show();
  return () => {
    ["panels", "data"].forEach((name) => model.off(`change:${name}`, changed));
    end();
  };
}

/** A file handed to the person, made here so that nothing is written on the server. */
function initialize({ model }) {
  model.on("msg:custom", ({ name, text }) => {
    const link = document.createElement("a"), url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    Object.assign(link, { href: url, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  });
}

export default { initialize, render };
