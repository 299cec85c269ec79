"""Outputs appear whole or not at all: written beside their place under another name, then renamed."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.ground.errors import RunFolderError

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A path to write to, in the folder of `path` and with its suffix.

    When the block ends well, what was written takes the place of `path` in one step; when it fails, what was
    written is deleted and `path` is as it was. The folder is made if need be.

    Raises:
        RunFolderError: the disk is full, or the folder cannot be written.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}.part{path.suffix}")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say in words why `path` cannot be written.

    Raises:
        RunFolderError: the disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise _explain(error, path) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Raises:
        RunFolderError: the disk is full, or the folder cannot be written.
    """
    with aside(path) as part:
        part.write_text(text, encoding="utf-8")


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file, in one write.

    Raises:
        RunFolderError: the disk is full, or the folder cannot be written.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _explain(error: OSError, path: Path) -> Exception:
    """The message for a full disk or a folder that cannot be written; any other error unchanged."""
    if error.errno in NO_SPACE:
        return RunFolderError(f"the disk is full while writing {path}; free some space, then start again")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS} or isinstance(
        error, FileExistsError | NotADirectoryError
    ):
        return RunFolderError(f"{path} cannot be written ({error.strerror}); choose another folder or its permissions")
    return error
