// Follows chart.js. The classes of a training, on one canvas: a row a class with its F-score as a bar, and beside it
// its row of the confusion matrix, reference downwards, predicted to the right, both in the same order.
//
// The model has `classes`: {epoch, labels, scores, counts}; counts are little-endian int32 of shape (class, class).

const SCORE = "#009e73", WRONG = "#d55e00", RIGHT = "#0072b2", RIGHT_DARK = "#56b4e9";
const HEAD = 40, FOOT = 22, LEAST_HEIGHT = 300;

/** Python's classes as {labels, scores, rows, sums, size}; null where there is no matrix. */
export function classTable(classes) {
  if (!classes || !classes.labels || !classes.labels.length) return null;
  const view = classes.counts, size = classes.labels.length;
  const counts = new Int32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const rows = Array.from({ length: size }, (_, i) => counts.subarray(i * size, (i + 1) * size));
  return { ...classes, size, rows, sums: rows.map((row) => row.reduce((sum, one) => sum + one, 0)) };
}

/** The height that a table of this many classes takes, fixed for a training so that nothing below it moves. */
export function classHeight(size) {
  return Math.max(LEAST_HEIGHT, HEAD + FOOT + size * 15);
}

/** Where everything stands on a canvas of this width. */
function plan(width, height, size) {
  const step = Math.min(26, (height - HEAD - FOOT) / size);
  const labels = Math.min(190, 0.26 * width), bars = Math.min(260, 0.24 * width);
  const left = labels + bars + 62;
  const side = Math.min(step * size, width - left - (width > 700 ? 210 : 8));
  return { step, labels, bar: labels + 8, bars, left, cell: side / size, side, top: HEAD };
}

/** A label cut to fit. */
function fitted(c, text, width) {
  if (c.measureText(text).width <= width) return text;
  let short = text;
  while (short.length > 1 && c.measureText(`${short}…`).width > width) short = short.slice(0, -1);
  return `${short.trim()}…`;
}

/** The cell of the matrix below the pointer, or null. */
function cellAt(p, size, pointer) {
  if (!pointer) return null;
  const column = Math.floor((pointer.x - p.left) / p.cell), row = Math.floor((pointer.y - p.top) / p.step);
  const inside = column >= 0 && column < size && row >= 0 && row < size;
  return inside ? { row, column } : null;
}

/** What a cell says, in lines. */
export function cellWords(table, { row, column }) {
  const count = table.rows[row][column], sum = table.sums[row];
  const share = sum ? `${(100 * count / sum).toFixed(1)} % of ${sum.toLocaleString("en")}` : "no valid samples";
  const what = row === column ? ["recognised"] : ["taken for", table.labels[column]];
  return [table.labels[row], ...what, `${count.toLocaleString("en")} samples`, share];
}

/** Draw all of it. */
export function drawClasses(canvas, classes, pointer) {
  const table = classTable(classes);
  const paper = prepare(canvas);
  if (!paper) return;
  const { c, width, height, look } = paper;
  const size = table ? table.size : 1, p = plan(width, height, size);
  heads(c, p, look, table);
  if (!table) return;
  const small = Math.max(9, Math.min(12, p.step - 2));
  c.textBaseline = "middle";
  for (let i = 0; i < size; i++) classRow(c, p, look, table, i, small);
  c.font = `12px ${look.font}`;
  c.strokeStyle = look.line;
  c.strokeRect(Math.round(p.left) - 0.5, p.top - 0.5, Math.round(p.side) + 1, Math.round(p.step * size) + 1);
  const at = cellAt(p, size, pointer);
  if (at) pointed(c, p, look, table, at, width);
}

function heads(c, p, look, table) {
  c.textBaseline = "alphabetic";
  c.textAlign = "left";
  c.fillStyle = look.text;
  c.font = `600 12px ${look.font}`;
  c.fillText("F-score of each class", p.bar, 14);
  c.fillText("Confusion matrix", p.left, 14);
  c.font = `12px ${look.font}`;
  c.fillStyle = look.quiet;
  c.fillText(table ? `valid samples, epoch ${table.epoch}` : "after the first epoch", p.bar, 31);
  c.fillText("predicted, in the order of the rows", p.left, 31);
}

function classRow(c, p, look, table, i, small) {
  const y = p.top + (i + 0.5) * p.step, thick = Math.max(3, Math.min(10, 0.55 * p.step));
  c.font = `${small}px ${look.font}`;
  c.fillStyle = look.text;
  c.textAlign = "right";
  c.fillText(fitted(c, table.labels[i], p.labels - 4), p.labels, y);
  c.fillStyle = look.grid;
  c.fillRect(p.bar, y - thick / 2, p.bars, thick);
  c.fillStyle = SCORE;
  c.fillRect(p.bar, y - thick / 2, p.bars * table.scores[i], thick);
  c.textAlign = "left";
  c.fillStyle = table.sums[i] ? look.text : look.quiet;
  c.fillText(table.sums[i] ? number(table.scores[i]) : "–", p.bar + p.bars + 6, y);
  for (let j = 0; j < table.size; j++) {
    const share = table.sums[i] ? table.rows[i][j] / table.sums[i] : 0;
    if (!share) continue;
    c.globalAlpha = 0.12 + 0.88 * Math.sqrt(share);
    c.fillStyle = i === j ? (look.dark ? RIGHT_DARK : RIGHT) : WRONG;
    c.fillRect(p.left + j * p.cell, p.top + i * p.step, Math.max(1, p.cell - 1), Math.max(1, p.step - 1));
    c.globalAlpha = 1;
  }
}

/** The cell below the pointer: framed, and told beside the matrix, or below it where there is no room. */
function pointed(c, p, look, table, at, width) {
  c.strokeStyle = look.text;
  c.lineWidth = 1.5;
  c.strokeRect(p.left + at.column * p.cell, p.top + at.row * p.step, p.cell - 0.5, p.step - 0.5);
  c.lineWidth = 1;
  const words = cellWords(table, at), x = p.left + p.side + 14;
  c.textAlign = "left";
  c.textBaseline = "alphabetic";
  c.fillStyle = look.text;
  if (width - x > 150) words.forEach((one, i) => c.fillText(fitted(c, one, width - x), x, p.top + 12 + 18 * i));
  else c.fillText(fitted(c, words.join(" · "), width - 8), 4, p.top + p.step * table.size + 17);
}
