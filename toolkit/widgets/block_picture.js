// Tiles while they are classified: a square a block. Squares are made once for a tile, and then change their colour.
//
// The model has `tiles`: [{name, blocks: [[row, column, height, width]]}], and `state`: {headline, more, tiles:
// [{standings, words, error}]}, of the same tiles.

const SVG = "http://www.w3.org/2000/svg";
const KINDS = ["done", "running", "failed", "waiting"];

function makeSquare([row, column, height, width], _, all) {
  const square = document.createElementNS(SVG, "rect");
  const gap = all.length > 1 ? Math.min(height, width) / 12 : 0;
  const at = { x: column, y: row, width: width - gap, height: height - gap };
  for (const [name, value] of Object.entries(at)) square.setAttribute(name, value);
  square.append(document.createElementNS(SVG, "title"));
  return square;
}

function makeTile({ name, blocks }) {
  const figure = document.createElement("figure"), picture = document.createElementNS(SVG, "svg");
  const height = Math.max(...blocks.map((one) => one[0] + one[2]));
  const width = Math.max(...blocks.map((one) => one[1] + one[3]));
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  picture.setAttribute("role", "img");
  picture.append(...blocks.map(makeSquare));
  const caption = document.createElement("figcaption");
  caption.innerHTML = "<b></b> <span></span>";
  caption.firstChild.textContent = name;
  figure.append(picture, caption);
  return figure;
}

function fillTile(figure, { name, blocks }, { standings, words, error }) {
  const [picture, caption] = figure.children;
  standings.forEach((standing, i) => {
    const square = picture.children[i], kind = `lc-${standing}`;
    if (square.getAttribute("class") === kind) return;
    square.setAttribute("class", kind);
    const place = blocks.length > 1 ? `row ${blocks[i][0]}, column ${blocks[i][1]}: ` : "";
    square.firstChild.textContent = place + standing;
  });
  if (caption.lastChild.textContent !== words) caption.lastChild.textContent = words;
  picture.setAttribute("aria-label", `${name}: ${words}`);
  figure.title = error;
}

function key() {
  const line = document.createElement("div");
  line.className = "lc-blocks-key";
  line.innerHTML = KINDS.map((kind) => `<span><i class="lc-${kind}"></i>${kind}</span>`).join("");
  return line;
}

function render({ model, el }) {
  el.classList.add("lc-blocks");
  el.innerHTML = `<div class="lc-blocks-head" role="status"></div><div class="lc-blocks-tiles"></div><div></div>`;
  const [head, list, more] = el.children;
  more.before(key());
  let made = "";
  const now = () => {
    const tiles = model.get("tiles"), { headline = "", more: others = "", tiles: states = [] } = model.get("state");
    const wanted = JSON.stringify(tiles);
    if (wanted !== made) list.replaceChildren(...tiles.map(makeTile));
    made = wanted;
    if (head.textContent !== headline) head.textContent = headline;
    more.textContent = others;
    if (states.length === tiles.length) states.forEach((one, i) => fillTile(list.children[i], tiles[i], one));
  };
  model.on("change:tiles change:state", now);
  now();
  return () => model.off("change:tiles change:state", now);
}

export default { render };
