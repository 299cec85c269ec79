"""`Panel`: the base of what a cell shows and what follows an experiment: it ends what it began."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as W
from IPython import get_ipython

_BY_CELL: dict[str, tuple[str, list[Panel]]] = {}
"""Cell -> its last execution, and the panels that this made."""


class Panel(W.VBox):
    """A box that is closed when the cell that made it is run again.

    Jupyter itself keeps every widget until the kernel ends: a panel that is no longer seen would go on following the
    experiment, and work for nobody after each change.
    """

    _endings: tuple[Callable[[], Any], ...] = ()

    def __init__(self, children: Sequence[Any] = ()) -> None:
        super().__init__(children)
        _take_place(self)

    def close(self) -> None:
        """Take the panel away, with all that is in it; it follows nothing any more."""
        if self.comm is None:  # closed before; Python closes a widget once more when it forgets it
            return
        endings, self._endings = self._endings, ()
        for end in endings:
            end()
        close_inner(self)
        super().close()

    def _end_with(self, *endings: Callable[[], Any]) -> None:
        """Have these called when the panel is closed."""
        self._endings += endings


def _take_place(panel: Panel) -> None:
    """Close the panels that an earlier execution of the cell made; nothing where no cell is run, or it has no id."""
    parent: dict[str, Any] = getattr(get_ipython(), "get_parent", dict)()
    cell = parent.get("metadata", {}).get("cellId")
    if not cell:
        return
    execution = parent["header"]["msg_id"]
    before, panels = _BY_CELL.get(cell, ("", []))
    if before == execution:
        panels.append(panel)
        return
    _BY_CELL[cell] = execution, [panel]
    for one in panels:
        one.close()


def close_inner(box: W.Box) -> None:
    """Close all that is in a box, but not the box."""
    for child in box.children:
        if isinstance(child, W.Box) and not isinstance(child, Panel):
            close_inner(child)
        child.close()
