// A number as text, and a slider over round numbers. While the slider moves the text follows; the value is sent when
// it is let go.
//
// The model has `value`, the text; `marks`, the round numbers as texts, ascending; `placeholder` and `words`, a help.

/** The position of the mark nearest to a number on a logarithmic scale; null where it is no number. */
export function nearest(marks, text) {
  const number = Number(text);
  if (!text.trim() || !Number.isFinite(number)) return null;
  const place = (value) => Math.log(Math.max(Number(value), Number.MIN_VALUE));
  const off = marks.map((mark) => Math.abs(place(mark) - place(number)));
  return off.indexOf(Math.min(...off));
}

function render({ model, el }) {
  el.classList.add("lc-log");
  const box = document.createElement("div");
  box.className = "widget-text jupyter-widget-text lc-log-text";
  const text = document.createElement("input");
  text.type = "text";
  text.spellcheck = false;
  text.autocomplete = "off";
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = 0;
  slider.step = 1;
  box.append(text);
  el.append(box, slider);

  const marks = () => model.get("marks");
  const send = (value) => {
    model.set("value", value);
    model.save_changes();
  };
  const rest = () => {
    const position = nearest(marks(), text.value);
    if (position !== null) slider.value = position;
    slider.setAttribute("aria-valuetext", text.value);
  };
  const show = () => {
    text.value = model.get("value");
    text.placeholder = model.get("placeholder");
    slider.max = marks().length - 1;
    rest();
  };
  const name = () => {
    const words = model.get("words");
    text.title = words;
    slider.setAttribute("aria-label", words);
  };

  text.addEventListener("change", () => { rest(); send(text.value); });
  slider.addEventListener("input", () => {
    text.value = marks()[slider.value];
    slider.setAttribute("aria-valuetext", text.value);
  });
  slider.addEventListener("change", () => send(text.value));
  for (const trait of ["value", "marks", "placeholder"]) model.on(`change:${trait}`, show);
  model.on("change:words", name);
  show();
  name();
}

export default { render };
