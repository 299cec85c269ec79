// Follows chart.js. Buttons that steer a training: Pause and Go on, Stop, and its learning rate.
//
// Each click is a message {id, ask, factor}; the kernel answers {heard: id, problem} as soon as it reads it. Where a
// cell keeps the kernel busy and nothing comes back, that is said.

const UNHEARD_AFTER = 2500;
const UNHEARD = "The kernel is busy with the cell and hears no click. Its ■ stops the training, and the best epoch is "
  + "kept; a training in a RunPanel can be paused, and its rate changed, at any time.";
const FACTORS = [["÷ 10", 0.1], ["÷ 2", 0.5], ["× 2", 2], ["× 10", 10]];

/** A learning rate as people write it. */
export function rateWords(status) {
  if (!status.rate) return "";
  const by = status.scale && Math.abs(status.scale - 1) > 1e-9 ? ` (× ${label(status.scale)} by hand)` : "";
  return `learning rate ${label(Number(status.rate.toPrecision(3)))}${by}`;
}

/** Make the buttons in an element; gives {now, end}: to be called after each change of the status, and at the end. */
export function steering(element, model) {
  element.className = "lc-steering";
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", "Steer the training");
  element.innerHTML = `<button data-ask="pause" title="Hold it before its next batch">Pause</button>
    <button data-ask="stop" title="Stop it; the best epoch is kept">Stop</button><span class="lc-apart"></span>
    ${FACTORS.map(([words, factor]) => `<button data-ask="rate" data-factor="${factor}"
      title="Multiply the learning rate by ${factor}, from the next batch on">${words}</button>`).join("")}
    <span class="lc-rate"></span><span class="lc-unheard" role="alert"></span>`;
  const buttons = [...element.querySelectorAll("button")], rate = element.querySelector(".lc-rate");
  const pause = buttons[0], note = element.querySelector(".lc-unheard");
  let asked = null, counted = 0, timer = 0, wanted = null, offered = [];

  const click = (button) => {
    const status = model.get("status");
    const ask = button === pause && status.paused ? "go on" : button.dataset.ask;
    const scale = wanted || status.scale || 1;
    const factor = ask === "rate" ? scale * Number(button.dataset.factor) : null;
    if (factor) wanted = factor;
    asked = { id: `${Date.now()}-${++counted}`, ask, factor };
    model.send(asked);
    clearTimeout(timer);
    timer = setTimeout(() => { note.textContent = UNHEARD; wanted = asked = null; now(); }, UNHEARD_AFTER);
    now();
  };
  const heard = (message) => {
    if (!message || !asked || message.heard !== asked.id) return;
    clearTimeout(timer);
    note.textContent = message.problem || "";
    if (message.problem) wanted = asked = null;
    now();
  };
  const done = (status) => asked && ({
    "pause": status.paused, "go on": !status.paused, "stop": false, "rate": close(status.scale, wanted),
  })[asked.ask];

  function now() {
    const status = model.get("status"), running = status.phase === "running";
    if ((status.controls || []).length) offered = status.controls;  // they stay, idle, when it ends: nothing jumps
    if (done(status) || !running) wanted = asked = null;
    element.hidden = !offered.length;
    const waits = asked && asked.ask !== "rate";
    for (const button of buttons) {
      button.hidden = !offered.includes(button.dataset.ask);
      button.disabled = !running || Boolean(waits);
    }
    const words = asked && asked.ask === "pause" ? "Pausing" : status.paused ? "Go on" : "Pause";
    if (pause.textContent !== words) pause.textContent = words;
    const told = rateWords(status);
    if (rate.textContent !== told) rate.textContent = told;
    if (!running) note.textContent = "";
  }
  buttons.forEach((button) => { button.onclick = () => click(button); });
  model.on("msg:custom", heard);
  return { now, end: () => { clearTimeout(timer); model.off("msg:custom", heard); } };
}

function close(a, b) {
  return b == null || Math.abs((a || 1) - b) <= 1e-6 * b;
}
