"""A training steered from a browser: who is steered, and how its clicks reach a kernel that a cell keeps busy."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import ipywidgets as W

from toolkit.ground.errors import LandcoverError

LOG = logging.getLogger(__name__)

ALL = ("pause", "stop", "rate")
"""What can be asked of a training."""


class Steered(Protocol):
    """A training that is steered: one of this process (`TrainingRun`) or that of a job (`Job`)."""

    def pause(self) -> None: ...

    def go_on(self) -> None: ...

    def stop(self) -> None: ...

    def scale_rate(self, factor: float) -> None: ...


def obey(steered: Steered | None, message: dict[str, Any]) -> str:
    """Do what a browser asks, `{ask, factor}`; the words of a refusal, or nothing."""
    try:
        if steered is None:
            return "no training is at work"
        ask = message.get("ask")
        if ask == "rate":
            steered.scale_rate(float(message["factor"]))
        else:
            {"pause": steered.pause, "go on": steered.go_on, "stop": steered.stop}[str(ask)]()
    except LandcoverError as error:
        return str(error)
    except Exception as error:
        LOG.error("a training could not be steered", exc_info=error)
        return f"Defect of the toolkit: {type(error).__name__}: {error}"
    return ""


def let_clicks_through(widget: W.Widget) -> None:
    """Have clicks on a widget answered while a cell runs.

    JupyterLab sends them to a thread of the kernel beside the one of the cells (a subshell). ipykernel from 7.4 on
    sends them to the thread that spoke last with the widget instead: to the one that a training in a cell keeps busy.
    Where there is no such thread, a click waits for the end of the cell, and the browser says so.
    """
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = lambda data, default: default
