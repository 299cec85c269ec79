"""Where a kernel and its Jupyter server meet: a folder that only this user can enter, a small file for each layer.

The server makes the folder, named after its host and process, and holds a lock in it while it lives. A kernel knows
the process that started it, puts layers there and takes them away; the server shows what stands there and nothing
else. So no second port is open, and no file can be seen that was not put on a map.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO

from jupyter_core.paths import jupyter_runtime_dir

from toolkit.ground.errors import LandcoverError
from toolkit.ground.writing import aside
from toolkit.webmap.layers import RasterLayer, fingerprint

try:
    import fcntl
except ImportError:  # Windows has no flock; there no route is found, and maps show pictures of their view
    fcntl = None  # type: ignore[assignment]

PREFIX = "landcover/"
"""Below this part of the server's base URL lie the squares."""

_KEY = re.compile(r"[A-Za-z0-9_-]{32}")
_SERVER, _LOCK = "server.json", "server.lock"
_LARGEST = 10_000_000
"""Bytes of a file of layers at most."""


@dataclass
class Route:
    """The way from this kernel to its Jupyter server: layers added here can be seen by whoever is logged in there."""

    folder: Path
    base_url: str
    """Path of the server's pages, with a slash at both ends."""
    _keys: dict[str, str] = field(default_factory=dict, repr=False)
    """The key in each URL given out."""

    def __post_init__(self) -> None:
        atexit.register(self.close)

    @classmethod
    def find(cls) -> Route | None:
        """The route to the Jupyter server that started this kernel; None where it does not run our extension."""
        parent = os.environ.get("JPY_PARENT_PID", "")
        if not parent.isdecimal():
            return None
        folder = folder_of(int(parent))
        if not _is_ours(folder) or not _is_held(folder):
            return None
        try:
            base_url = json.loads((folder / _SERVER).read_text(encoding="utf-8"))["base_url"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return cls(folder, base_url)

    @property
    def check_url(self) -> str:
        """Answers a browser that is logged in, and is absent where the route does not work."""
        return f"{self.base_url}{PREFIX}check"

    def add(self, *layers: RasterLayer) -> str:
        """Let the server show layers, one over another: the last lies on top.

        Returns:
            the path of their squares, with `{z}`, `{x}` and `{y}` to be filled in; when a file has changed, add the
            layers anew, for browsers keep what they have seen of a URL.

        Raises:
            ProductError: a file of the layers is absent.
            RunFolderError: the disk is full.
        """
        key, version = secrets.token_urlsafe(24), fingerprint(layers)
        with aside(self.folder / f"{key}.json") as part:
            _write_privately(part, "\n".join(layer.to_json() for layer in layers))
        url = f"{self.base_url}{PREFIX}squares/{key}/{{z}}/{{x}}/{{y}}.png?v={version}"
        self._keys[url] = key
        return url

    def remove(self, url: str) -> None:
        """Let the server show these layers no longer; a URL that is unknown is passed over."""
        if key := self._keys.pop(url, None):
            with suppress(OSError):
                (self.folder / f"{key}.json").unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all that was added here."""
        for url in list(self._keys):
            self.remove(url)


@dataclass
class Meeting:
    """The server's side: its folder, held until `close`."""

    folder: Path
    _lock: IO[str] = field(repr=False)

    @classmethod
    def open(cls, base_url: str) -> Meeting:
        """Make this server's folder, and sweep those of servers of this host that ended without doing so.

        Raises:
            LandcoverError: something else stands in its place, or there are no file locks here.
        """
        if fcntl is None:
            raise LandcoverError("layers need file locks, which this system does not have")
        folder = folder_of(os.getpid())
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(folder.parent)
            return cls._made(folder, base_url)
        except OSError as error:
            raise LandcoverError(
                f"{folder} cannot be made ({error.strerror}); take away what stands there, or name another folder in "
                "JUPYTER_RUNTIME_DIR"
            ) from None

    @classmethod
    def _made(cls, folder: Path, base_url: str) -> Meeting:
        """The folder comes to its place when it is locked: no other server may take it for one left behind."""
        part = Path(tempfile.mkdtemp(prefix=".landcover-", dir=folder.parent))
        lock = (part / _LOCK).open("w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_privately(part / _SERVER, json.dumps({"base_url": base_url}))
            part.rename(folder)
        except OSError:
            lock.close()
            shutil.rmtree(part)
            raise
        return cls(folder, lock)

    def layers(self, key: str) -> tuple[RasterLayer, ...]:
        """The layers of a key; none where no such key stands here, or no longer."""
        try:
            path = self.folder / f"{key}.json"
            found = path.lstat() if _KEY.fullmatch(key) else None
            if found is None or not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
                return ()
            return _layers(path, found.st_ino)
        except (OSError, ValueError):
            return ()

    def close(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _sweep(runtime: Path) -> None:
    """Take away the folders of servers of this host that ended without doing so."""
    for folder in runtime.glob(_name("*")):
        if _is_ours(folder) and not _is_held(folder):
            shutil.rmtree(folder, ignore_errors=True)


def folder_of(process: int) -> Path:
    """The folder of a Jupyter server of this host by its process; home folders may be shared by several hosts."""
    return Path(jupyter_runtime_dir()) / _name(str(process))


def _name(process: str) -> str:
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
    return f"landcover-{host}-{process}"


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder, no link, that belongs to this user and that no other may enter."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _is_held(folder: Path) -> bool:
    """Whether the server that made the folder lives: its lock ends with it, however it ends.

    So a folder left behind is told from a living one even where a new process has the old one's number.
    """
    try:
        with (folder / _LOCK).open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@lru_cache(maxsize=64)
def _layers(path: Path, inode: int) -> tuple[RasterLayer, ...]:
    """What stands in a file; it is written once and never changed."""
    return tuple(map(RasterLayer.from_json, path.read_text(encoding="utf-8").splitlines()))


def _write_privately(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
