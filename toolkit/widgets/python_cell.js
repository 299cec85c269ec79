// A button that copies `text` to the clipboard. The text is shown too, selected, for where the browser refuses, as it
// does on a page without https.

async function copied(area) {
  try {
    await navigator.clipboard.writeText(area.value);
    return true;
  } catch {
    area.select();
    return document.execCommand("copy");
  }
}

function render({ model, el }) {
  el.classList.add("lc-copy");
  const button = document.createElement("button");
  button.className = "lm-Widget jupyter-widgets jupyter-button widget-button";
  button.textContent = "Copy as Python";
  button.title = "A cell that makes this experiment";
  const shown = document.createElement("div");
  shown.className = "lc-code";
  shown.hidden = true;
  const said = document.createElement("span");
  said.className = "lc-quiet";
  said.setAttribute("role", "status");
  const close = document.createElement("button");
  close.className = "lm-Widget jupyter-widgets jupyter-button widget-button";
  close.textContent = "Hide";
  const area = document.createElement("textarea");
  area.readOnly = true;
  area.spellcheck = false;
  area.setAttribute("aria-label", "The experiment as Python");
  shown.append(area, said, close);
  el.append(button, shown);

  const show = () => {
    area.value = model.get("text");
    area.rows = Math.min(16, area.value.split("\n").length);
    said.textContent = "";
  };
  button.addEventListener("click", async () => {
    shown.hidden = false;
    show();
    area.focus();
    area.select();
    said.textContent = (await copied(area)) ? "copied; paste it into a cell" : "press Ctrl+C to copy";
  });
  close.addEventListener("click", () => { shown.hidden = true; button.focus(); });
  model.on("change:text", show);
  show();
}

export default { render };
