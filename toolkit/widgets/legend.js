// The legend of a class map: a button a class, with colour, label, area and share; pressed classes are shown alone.
//
// The model has `rows`: [{code, label, colour, area, share}], and `chosen`: codes shown alone, none for all.

function row(model, one) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "lc-legend-row";
  button.dataset.code = one.code;
  button.title = `Show ${one.label} alone; with Shift, together with others`;
  const chip = document.createElement("span");
  chip.className = "lc-chip";
  chip.style.background = one.colour;
  button.append(chip);
  for (const [name, text] of [["label", one.label], ["area", one.area], ["share", one.share]]) {
    const cell = document.createElement("span");
    cell.className = `lc-legend-${name}`;
    cell.textContent = text;
    button.append(cell);
  }
  button.onclick = (event) => choose(model, one.code, event.shiftKey || event.ctrlKey || event.metaKey);
  return button;
}

/** Show a class alone, all again where it was alone before; or add it to, or take it from, those shown. */
export function choose(model, code, together) {
  const chosen = model.get("chosen"), there = chosen.includes(code);
  const others = chosen.filter((one) => one !== code);
  const next = together ? (there ? others : [...chosen, code]) : there && !others.length ? [] : [code];
  model.set("chosen", next);
  model.save_changes();
}

function render({ model, el }) {
  el.classList.add("lc-legend");
  const head = document.createElement("div"), rows = document.createElement("div");
  head.className = "lc-legend-head";
  head.innerHTML = "<b>Classes</b><span></span>";
  const all = document.createElement("button");
  all.type = "button";
  all.textContent = "show all";
  all.className = "lc-legend-all";
  all.onclick = () => { model.set("chosen", []); model.save_changes(); };
  head.append(all);
  el.append(head, rows);
  const press = () => {
    const chosen = model.get("chosen");
    all.style.visibility = chosen.length ? "visible" : "hidden";
    for (const one of rows.children) {
      const on = chosen.includes(Number(one.dataset.code));
      one.setAttribute("aria-pressed", on);
      one.classList.toggle("lc-quiet", chosen.length > 0 && !on);
    }
  };
  const fill = () => {
    rows.replaceChildren(...model.get("rows").map((one) => row(model, one)));
    el.style.display = model.get("rows").length ? "" : "none";
    press();
  };
  model.on("change:rows", fill);
  model.on("change:chosen", press);
  fill();
  return () => { model.off("change:rows", fill); model.off("change:chosen", press); };
}

export default { render };
