"""`events.jsonl`: what happened in a run folder, one line of JSON for each change of a step's state or its progress."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from toolkit.ground.writing import append_line

State = Literal["running", "done", "up to date", "stopped", "failed"]

PAUSED = "paused in"
"""How the message of a step begins that is held."""

_KINDS = {"time": str, "step": str, "state": str, "done": int, "total": int, "message": str, "seconds": int | float}
"""What stands in every line."""


@dataclass(frozen=True)
class Event:
    """A change of a step's state, or its progress."""

    step: str
    state: State
    done: int = 0
    total: int = 0
    message: str = ""
    seconds: float = 0.0


def note_event(path: Path, event: Event, **more: Any) -> None:
    """Add a line: the time, the event, and what else is to be known.

    Raises:
        RunFolderError: the disk is full, or the folder cannot be written.
    """
    line = {"time": datetime.now().astimezone().isoformat(timespec="milliseconds"), **vars(event), **more}
    append_line(path, json.dumps(line, ensure_ascii=False))


class EventReader:
    """Reads the lines that were added since it read last; other processes may write meanwhile.

    Args:
        start: place in the file to begin at, in bytes.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self._path, self._place = path, start

    def read(self) -> list[dict[str, Any]]:
        """The new whole lines; a line that is damaged is left out."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        return [line for one in whole.splitlines() if (line := _parsed(one)) is not None]


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The event of a line; None where it is none: it may be cut short, or written by something else."""
    try:
        content = json.loads(line)
        datetime.fromisoformat(content["time"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    fits = all(isinstance(content.get(name), kind) for name, kind in _KINDS.items())
    return content if fits and content["state"] in get_args(State) else None
