// The trials of a tuning: parallel coordinates, and the table below them. `state` is {axes: [{name, ticks, weight}],
// trials: [{trial, state, score, values, heights, seconds, message}]}, the best trial first.

const SVG = "http://www.w3.org/2000/svg";
const HIGH = 230, TOP = 46, BOTTOM = 14, LEFT = 70, RIGHT = 64;
const FRONT = 0.25; // share of the complete trials drawn in colour; as in figures/tuning.py

function make(name, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.textContent = text;
  return element;
}

/** The class of each line: the best, those of the better quarter, others, and those without a score. */
export function ranks(trials) {
  const complete = trials.filter((one) => one.state === "complete").length;
  const front = Math.max(1, Math.ceil(FRONT * complete));
  return trials.map((one, i) => (one.state !== "complete" ? "off" : i === 0 ? "best" : i < front ? "front" : "rest"));
}

/** The places a line goes through; an axis that the trial has no value on is passed over. */
export function places(trial, across, down) {
  return trial.heights.flatMap((height, i) => (height == null ? [] : [[across(i), down(height)]]));
}

function picture(state, width) {
  const { axes, trials } = state;
  const step = (width - LEFT - RIGHT) / Math.max(1, axes.length - 1);
  const across = (i) => LEFT + i * step, down = (height) => TOP + (1 - height) * (HIGH - TOP - BOTTOM);
  const svg = make("svg", { width, height: HIGH, role: "img" });
  svg.append(make("title", {}, `Parallel coordinates of ${trials.length} trials`));
  const kinds = ranks(trials);
  [...trials.keys()].reverse().sort((a, b) => (kinds[a] === "off" ? 0 : 1) - (kinds[b] === "off" ? 0 : 1)).forEach((i) => {
    const points = places(trials[i], across, down).map((one) => one.map((x) => x.toFixed(1)).join(",")).join(" ");
    const line = make("polyline", { points, class: `lc-trial lc-${kinds[i]}`, "data-trial": trials[i].trial });
    line.append(make("title", {}, `trial ${trials[i].trial}: ${trials[i].score || trials[i].message}`));
    svg.append(line);
  });
  axes.forEach((axis, i) => {
    svg.append(make("line", { x1: across(i), x2: across(i), y1: down(0), y2: down(1), class: "lc-axis-line" }));
    svg.append(make("text", { x: across(i), y: 14, class: "lc-axis-name" }, axis.name));
    if (axis.weight) svg.append(make("text", { x: across(i), y: 29, class: "lc-tick lc-middle" }, `importance ${axis.weight}`));
    axis.ticks.forEach(([height, text]) =>
      svg.append(make("text", { x: across(i) + 6, y: down(height) + 4, class: "lc-tick" }, text)));
  });
  return svg;
}

function table(state, sorting, sort) {
  const names = ["trial", state.axes.at(-1).name, ...state.axes.slice(0, -1).map((one) => one.name), "time", ""];
  const cells = (one) => [String(one.trial), one.score, ...one.values, one.seconds, one.state === "complete" ? "" : one.message || one.state];
  const element = document.createElement("table");
  const head = element.createTHead().insertRow();
  names.forEach((name, i) => {
    const cell = document.createElement("th"), button = document.createElement("button");
    button.textContent = name;
    button.onclick = () => sort(i);
    cell.setAttribute("aria-sort", sorting.column === i ? (sorting.up ? "ascending" : "descending") : "none");
    if (name) cell.append(button);
    head.append(cell);
  });
  const body = element.createTBody(), kinds = ranks(state.trials);
  order(state.trials.map(cells), sorting).forEach((i) => {
    const row = body.insertRow();
    row.className = `lc-${kinds[i]}`;
    row.dataset.trial = state.trials[i].trial;
    row.tabIndex = 0;
    cells(state.trials[i]).forEach((text) => { row.insertCell().textContent = text; });
    if (kinds[i] === "best") row.cells[0].textContent = `★ ${state.trials[i].trial}`;
  });
  return element;
}

/** Places of the rows, sorted by a column; numbers as numbers, empty cells last. No column: as they are. */
export function order(rows, { column, up }) {
  const found = rows.map((_, i) => i);
  if (column == null) return found;
  const value = (i) => { const text = rows[i][column], number = parseFloat(text); return Number.isNaN(number) ? text : number; };
  return found.sort((a, b) => {
    const [one, other] = [value(a), value(b)];
    if (one === "" || other === "") return (one === "") - (other === "");
    const less = typeof one === typeof other ? (one < other ? -1 : one > other ? 1 : 0) : typeof one === "number" ? -1 : 1;
    return up ? less : -less;
  });
}

function render({ model, el }) {
  el.classList.add("lc-trials");
  const sorting = { column: null, up: true };
  let width = 0;
  const chart = document.createElement("div"), list = document.createElement("div");
  list.className = "lc-trials-table";
  el.append(chart, list);

  const mark = (trial) => el.querySelectorAll("[data-trial]").forEach((one) =>
    one.classList.toggle("lc-marked", one.dataset.trial === trial));
  const over = (event) => mark(event.target.closest?.("[data-trial]")?.dataset.trial);
  ["pointerover", "focusin"].forEach((name) => el.addEventListener(name, over));
  ["pointerleave", "focusout"].forEach((name) => el.addEventListener(name, () => mark(undefined)));

  const draw = () => {
    const state = model.get("state");
    const isEmpty = !state.trials?.length;
    el.classList.toggle("lc-empty-trials", isEmpty);
    width = el.clientWidth || width;
    if (isEmpty || !width) { chart.replaceChildren(); list.replaceChildren(isEmpty ? "No trials yet." : ""); return; }
    const least = LEFT + RIGHT + 96 * (state.axes.length - 1);
    chart.replaceChildren(picture(state, Math.max(width, least)));
    const scrolled = list.scrollTop;
    list.replaceChildren(table(state, sorting, (column) => {
      Object.assign(sorting, { column, up: sorting.column === column ? !sorting.up : true });
      draw();
      list.querySelectorAll("th button")[column]?.focus();
    }));
    list.scrollTop = scrolled;
  };
  const size = new ResizeObserver(() => { if (el.clientWidth !== width) draw(); });
  size.observe(el);
  model.on("change:state", draw);
  draw();
  return () => { model.off("change:state", draw); size.disconnect(); };
}

export default { render };
