// The log of a job, folded. `text` is only sent while a person looks at it, which they tell by `is_open`.

function render({ model, el }) {
  el.classList.add("lc-job-log");
  el.innerHTML = `<details><summary>Log</summary><pre tabindex="0" aria-label="Log"></pre></details>`;
  const log = el.firstChild, text = log.lastChild;
  const tell = () => {
    const isAtEnd = text.scrollTop + text.clientHeight > text.scrollHeight - 20;
    text.textContent = model.get("text") || "Nothing yet.";
    if (isAtEnd) text.scrollTop = text.scrollHeight;
  };
  log.open = model.get("is_open");
  log.ontoggle = () => {
    model.set("is_open", log.open);
    model.save_changes();
  };
  model.on("change:text", tell);
  tell();
  return () => model.off("change:text", tell);
}

export default { render };
