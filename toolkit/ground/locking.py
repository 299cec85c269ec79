"""One process at a time in a folder. The lock ends with the process, however it ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.ground.errors import RunFolderError
from toolkit.ground.writing import explained

try:
    import fcntl
except ImportError:  # Windows has no flock; there the folder is not guarded
    fcntl = None  # type: ignore[assignment]


@contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Hold the folder while the block runs.

    Raises:
        RunFolderError: another process holds it; the message names that process.
    """
    path = folder / ".lock"
    with explained(path):
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise RunFolderError(
                    f"{folder} is in use by {file.read().strip() or 'another process'}; wait for it, or end it first"
                ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
