// What every chart of our own shares: ticks, numbers, lines, the look of the page it stands in, and when to draw.
//
// anywidget takes one text: a widget's script is this file followed by its own.

/** Round steps (1, 2, 5 times a power of ten) that cut a range into about `count`. */
export function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((one) => one * power >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** Colours and font of the page, JupyterLab's where there is one. */
export function theme(element) {
  const style = getComputedStyle(element);
  const dark = document.body.dataset.jpThemeLight === "false";
  const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  return {
    text: read("--jp-ui-font-color1", style.color || "#222"),
    quiet: read("--jp-ui-font-color2", "#777"),
    line: read("--jp-border-color1", "#bbb"),
    grid: read("--jp-border-color3", "#eee"),
    back: read("--jp-layout-color0", dark ? "#111" : "#fff"),
    dark,
    font: read("--jp-ui-font-family", "system-ui, sans-serif"),
  };
}

/** A value as people read it. */
export function number(value) {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(3);
}

/** A tick's value without the noise of floats. */
export function label(value) {
  return String(Number(value.toPrecision(6)));
}

/** A time as people say it. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** A line through places [x, y]. */
export function stroke(c, colour, places) {
  c.strokeStyle = colour;
  c.beginPath();
  places.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
  c.stroke();
}

/** The canvas as fine as the screen, wiped: {c, width, height, look} in pixels of the page; null where it has no room. */
export function prepare(canvas) {
  const width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
  if (!width) return null;
  const wide = Math.round(width * ratio), high = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const c = canvas.getContext("2d"), look = theme(canvas);
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  c.font = `12px ${look.font}`;
  return { c, width, height, look };
}

/**
 * Call `now` once a frame at most: after each change of these traits, of the canvas's size or of the page's theme.
 * Gives `soon`, which asks for it, and `end`, which ends it.
 */
export function follow(model, traits, canvas, now) {
  let waiting = 0;
  const frame = () => { waiting = 0; now(); };
  const soon = () => { waiting = waiting || requestAnimationFrame(frame); };
  traits.forEach((name) => model.on(`change:${name}`, soon));
  const size = new ResizeObserver(soon), look = new MutationObserver(soon);
  size.observe(canvas);
  look.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
  const end = () => {
    traits.forEach((name) => model.off(`change:${name}`, soon));
    size.disconnect();
    look.disconnect();
    cancelAnimationFrame(waiting);
  };
  return { soon, end };
}
