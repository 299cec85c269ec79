// Keys pressed without Ctrl, Alt or Cmd in a panel are for its inputs; the notebook's one-key commands do not get them.

const TRIES = 60;

/** The panel around an element, once both are in the page. */
function panelOf(el, found, tries = TRIES) {
  const panel = el.closest(".lc-keys");
  if (panel) found(panel);
  else if (tries > 0) requestAnimationFrame(() => panelOf(el, found, tries - 1));
}

function render({ el }) {
  const keep = (event) => {
    const forNotebook = event.ctrlKey || event.metaKey || event.altKey || event.key === "Escape";
    if (!forNotebook && !(event.shiftKey && event.key === "Enter")) event.stopPropagation();
  };
  let panel;
  panelOf(el, (found) => {
    panel = found;
    panel.addEventListener("keydown", keep);
  });
  return () => panel?.removeEventListener("keydown", keep);
}

export default { render };
