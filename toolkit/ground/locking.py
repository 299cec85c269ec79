"""One process at a time in a folder. The lock ends with the process that holds it, however that ends."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from toolkit.ground.errors import RunFolderError
from toolkit.ground.writing import explained

try:
    import fcntl
except ImportError:  # Windows has no flock; there the folder is not guarded
    fcntl = None  # type: ignore[assignment]

GUARDED = fcntl is not None
"""Whether this system has locks that end with their process."""

LOCK = ".lock"
"""Name of the file that is locked."""
PATIENCE = 0.3
"""Seconds to try for: whoever looks at a lock (`holder_of`) has it for a moment."""

LENGTH = 512
"""Bytes of what is written in a lock's file: always as many, so that nobody reads half of it."""

_OWNERS: dict[Path, int] = {}
"""Folder -> the thread of this process that works under its lock."""


@dataclass(frozen=True)
class Holder:
    """Who works in a folder."""

    name: str
    """In words, for the message to others: `process 12 on host`."""
    id: str = ""
    """For programs; it stays the same as long as the lock is held."""


class FolderLock:
    """The right to work in a folder, held until `release` or the end of the process.

    Within `with`, its thread works under this lock: `only_process_in` on the same folder asks no more.
    """

    def __init__(self, folder: Path, file: TextIO) -> None:
        self.folder, self._file = folder.resolve(), file

    @classmethod
    def take(cls, folder: Path, holder: Holder | None = None) -> FolderLock:
        """Take the lock of a folder; the folder is made if need be.

        Args:
            holder: who works there, by default this process.

        Raises:
            RunFolderError: another one holds it, the message names who; or the disk is full.
        """
        path = folder / LOCK
        with explained(path):
            folder.mkdir(parents=True, exist_ok=True)
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="utf-8", errors="replace")
        if not _try(file, patience=PATIENCE):
            name = _read(file).name
            file.close()
            raise RunFolderError(f"{folder} is in use by {name}; wait for it, or stop it first")
        lock = cls(folder, file)
        try:
            with explained(path):  # the first to write into the folder meets the full disk
                lock.say(holder or Holder(f"process {os.getpid()} on {socket.gethostname()}"))
        except BaseException:
            lock.release()
            raise
        return lock

    @classmethod
    def inherit(cls, folder: Path, descriptor: int) -> FolderLock:
        """The lock that the process which started this one took and handed on."""
        os.set_inheritable(descriptor, False)
        return cls(folder, os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace"))

    @property
    def descriptor(self) -> int:
        """The open file, to hand the lock on to another process; it is held as long as one of them has it open."""
        return self._file.fileno()

    def say(self, holder: Holder) -> None:
        """Write down who works in the folder."""
        text = f"{holder.id}\n{holder.name}".encode()[: LENGTH - 1].ljust(LENGTH - 1) + b"\n"
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        os.write(self.descriptor, text)

    def release(self) -> None:
        """Let others work in the folder, once no process has the lock any more."""
        self._file.close()

    def __enter__(self) -> FolderLock:
        _OWNERS[self.folder] = threading.get_ident()
        return self

    def __exit__(self, *_: object) -> None:
        _OWNERS.pop(self.folder, None)
        self.release()


@contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Hold the folder while the block runs; it is held already in a thread that works within a `FolderLock`.

    Raises:
        RunFolderError: another one holds it; the message names who.
    """
    if _OWNERS.get(folder.resolve()) == threading.get_ident():
        yield
        return
    with FolderLock.take(folder):
        yield


def holder_of(folder: Path) -> Holder | None:
    """Who works in the folder, as they said it themselves; None where nobody does, and on systems without flock."""
    try:
        file = (folder / ".lock").open("r", encoding="utf-8", errors="replace")
    except OSError:
        return None
    with file:
        return None if _try(file, shared=True) else _read(file)


def _try(file: TextIO, *, shared: bool = False, patience: float = 0) -> bool:
    """Whether the lock could be had within `patience` seconds."""
    if fcntl is None:
        return True
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True


def _read(file: TextIO) -> Holder:
    file.seek(0)
    id_, _, name = file.read().partition("\n")
    return Holder(name.strip() or "another process", id_)
