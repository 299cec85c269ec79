// What a map asks of the browser that only the page can do.
//
// `url`: asked for with the login of the page; `answer` tells the kernel whether it was reached.
// `laid_out`: counts changes of the layout; maps then measure their place anew, as they do when the window changes.

async function ask(model) {
  const url = model.get("url");
  if (!url) return;
  let answer;
  try {
    const reply = await fetch(url, { credentials: "same-origin", cache: "no-store" });
    answer = reply.ok && !reply.redirected ? "reached" : `the server answers ${reply.status}`;
  } catch (error) {
    answer = `the server cannot be reached (${error.message})`;
  }
  model.set("answer", answer);
  model.save_changes();
}

/** The end of dragging a divider is no click on the map below it. */
function keepFromMap(event) {
  if (event.target.classList?.contains("leaflet-sbs-range")) event.stopPropagation();
}

function measure() {
  for (const later of [50, 300]) setTimeout(() => window.dispatchEvent(new Event("resize")), later);
}

export default {
  initialize({ model }) {
    ask(model);
    const again = () => ask(model);
    model.on("change:url", again);
    model.on("change:laid_out", measure);
    document.addEventListener("click", keepFromMap, true);
    return () => {
      model.off("change:url", again);
      model.off("change:laid_out", measure);
      document.removeEventListener("click", keepFromMap, true);
    };
  },
};
