"""What a map asks of the page it is on."""

from __future__ import annotations

from importlib import resources

import anywidget
import traitlets


class Page(anywidget.AnyWidget):
    """The browser's side of a map, without a face of its own."""

    _esm = (resources.files("toolkit.widgets") / "page.js").read_text(encoding="utf-8")

    url = traitlets.Unicode().tag(sync=True)
    """What the browser is asked to reach, for kernel and browser may disagree behind some proxies; empty: nothing."""
    answer = traitlets.Unicode().tag(sync=True)
    """`""` not known yet, `"reached"`, or in words why it is not."""
    laid_out = traitlets.Int(0).tag(sync=True)
    """Raised where the place of maps on the page was changed, so that they measure it anew."""
