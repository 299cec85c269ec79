"""Errors of callbacks, shown where the person is looking: without this, Jupyter swallows them."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Any

import ipywidgets as W

from toolkit.ground.errors import LandcoverError

LOG = logging.getLogger(__name__)

RED = "var(--jp-error-color1, #d32f2f)"


class ErrorBox(W.HTML):
    """The place of a panel where the error of a callback is shown; it takes no room while all is well."""

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def guard(self, function: Callable[..., Any], *, clears: bool = True) -> Callable[..., Any]:
        """The function for use as a callback: an error is shown here and logged, and does not go further.

        Args:
            clears: whether success takes away the error of the callback before. False for what no person asked for,
                such as the pointer over a shape: they are still reading.
        """

        @wraps(function)
        def guarded(*arguments: Any, **named: Any) -> Any:
            try:
                result = function(*arguments, **named)
            except Exception as error:
                self.tell(error)
                return None
            if clears:
                self.clear()
            return result

        return guarded

    def tell(self, error: Exception) -> None:
        """Show an error: a person's mistake in its words, a defect with its traceback, which is logged too."""
        if isinstance(error, LandcoverError):
            self.show(str(error))
            return
        LOG.error("a widget's callback failed", exc_info=error)
        self.show_defect(error)

    def show(self, message: str) -> None:
        """Show a message to a person."""
        self.value = message_html(message)
        self.layout.display = ""

    def show_defect(self, error: Exception) -> None:
        """Show an error that is a defect of the toolkit, its traceback folded."""
        trace = escape("".join(traceback.format_exception(error)))
        head = f"Defect of the toolkit: {type(error).__name__}: {error}"
        self.value = f"{message_html(head)}<details><summary>Traceback</summary><pre>{trace}</pre></details>"
        self.layout.display = ""

    def clear(self) -> None:
        """Show nothing."""
        self.value = ""
        self.layout.display = "none"


def message_html(message: str) -> str:
    """A message of refusal or failure as HTML; further lines, a formula and the mark below it, keep their columns."""
    head, _, lines = message.partition("\n")
    below = f"<pre style='margin:0;color:inherit'>{escape(lines)}</pre>" if lines else ""
    return f"<div role='alert' style='color:{RED};line-height:1.35;padding:4px 0'>{escape(head)}{below}</div>"
