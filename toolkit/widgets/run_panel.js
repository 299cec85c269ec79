// Follows chart.js. The stages of a run: what is done, what runs, how far it is.
//
// The model has `state`, {headline, stages: [{name, state, message, part, left, seconds}]}. Rows are made once and then
// changed in place.

const MARKS = {
  "done": "✓", "up to date": "✓", "running": "●", "waiting": "○", "outdated": "↻", "stopped": "■", "failed": "✕",
};

/** What stands at the end of a row: time left while it runs, time taken once it is done. */
export function timeOf(stage) {
  if (stage.state === "running") return stage.left == null ? "" : `about ${duration(stage.left)} left`;
  if (!stage.seconds) return "";
  return stage.seconds < 10 ? `${stage.seconds.toFixed(1)} s` : duration(stage.seconds);
}

function makeRow() {
  const row = document.createElement("div");
  row.setAttribute("role", "listitem");
  row.innerHTML = `<span class="lc-mark" aria-hidden="true"></span><span class="lc-name"></span>
    <span class="lc-state"></span><span class="lc-message"></span><span class="lc-time"></span>
    <span class="lc-part"><span></span></span>`;
  return row;
}

function fillRow(row, stage) {
  const say = (name, text) => {
    const cell = row.querySelector(`.lc-${name}`);
    if (cell.textContent !== text) cell.textContent = text;
  };
  row.className = `lc-stage lc-is-${stage.state.replaceAll(" ", "-")}`;
  say("mark", MARKS[stage.state] || "");
  say("name", stage.name);
  say("state", stage.state === "running" && stage.part != null ? `${Math.floor(100 * stage.part)} %` : stage.state);
  say("message", stage.message);
  say("time", timeOf(stage));
  row.querySelector(".lc-message").title = stage.message;
  const part = row.querySelector(".lc-part");
  part.firstChild.style.width = `${100 * (stage.part || 0)}%`;
  part.classList.toggle("lc-moving", stage.state === "running" && stage.part == null);
}

function render({ model, el }) {
  el.classList.add("lc-stages");
  el.innerHTML = `<div class="lc-headline" role="status"></div><div role="list"></div>`;
  const [headline, list] = el.children;
  const now = () => {
    const { headline: words = "", stages = [] } = model.get("state");
    if (headline.textContent !== words) headline.textContent = words;
    while (list.children.length > stages.length) list.lastChild.remove();
    while (list.children.length < stages.length) list.append(makeRow());
    stages.forEach((stage, i) => fillRow(list.children[i], stage));
  };
  model.on("change:state", now);
  now();
  return () => model.off("change:state", now);
}

export default { render };
