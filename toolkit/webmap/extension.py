"""The Jupyter server's part: squares of the layers that its kernels put on maps, for whoever is logged in.

    <base URL>landcover/check                                   {"landcover": version}
    <base URL>landcover/squares/<key>/<zoom>/<x>/<y>.png        200 a picture, 404 no such layer

Loaded at the server's start, so it imports little; rasterio and its friends come with the first square. Pictures are
made in threads: the server goes on answering meanwhile.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
from base64 import b64decode
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from toolkit import __version__
from toolkit.ground.errors import LandcoverError
from toolkit.webmap.layers import RasterLayer, fingerprint
from toolkit.webmap.registry import PREFIX, Meeting

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

THREADS = min(4, os.cpu_count() or 1)
"""Squares made at a time. Each thread has handles of its own, and so decodes strips of its own."""
MOST_BYTES = 64 * 2**20
"""Pictures kept to be sent again."""
NOTHING = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNgYGBgAAAABQABeqhXUAAAAABJRU5ErkJggg==")
"""A transparent pixel, where a layer shows nothing: maps leave what they showed before where no picture comes."""
SECONDS = 24 * 3600
"""How long a browser keeps a square; another content has another URL."""


Place = tuple[str, int, int, int]
"""Version of the layers, zoom, column and row."""


class Squares:
    """Makes squares in threads and keeps those made last."""

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="landcover-squares")
        self._kept: OrderedDict[Place, bytes | None] = OrderedDict()
        self._bytes = 0

    async def find(self, key: str) -> tuple[tuple[RasterLayer, ...], str]:
        """The layers of a key, none where there are none such, and the version they are in now.

        Raises:
            ProductError: a file of the layers is absent.
        """
        return await asyncio.to_thread(self._find, key)  # not among the makers of squares, who may all be busy

    def _find(self, key: str) -> tuple[tuple[RasterLayer, ...], str]:
        layers = self._meeting.layers(key)
        return layers, fingerprint(layers)

    async def make(self, layers: tuple[RasterLayer, ...], place: Place) -> bytes | None:
        """A square; None where it shows nothing.

        Raises:
            ProductError: a file of the layers cannot be read.
        """
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place]
        loop = asyncio.get_running_loop()
        picture = await loop.run_in_executor(self._threads, _square, layers, *place[1:])
        self._keep(place, picture)
        return picture

    def _keep(self, place: Place, picture: bytes | None) -> None:
        if place not in self._kept:
            self._kept[place] = picture
            self._bytes += _size(picture)
        while self._bytes > MOST_BYTES:
            self._bytes -= _size(self._kept.popitem(last=False)[1])

    def close(self) -> None:
        """Show nothing any more."""
        self._meeting.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Handler(APIHandler):
    """Reads only, and only for whoever is logged in, whatever the server's default for other pages is."""

    SUPPORTED_METHODS = ("GET",)
    auth_resource = "landcover"

    def initialize(self, squares: Squares) -> None:
        self.squares = squares


class CheckHandler(_Handler):
    """Answers that the route works."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps({"landcover": __version__}))


class SquareHandler(_Handler):
    """Sends a square."""

    _made: asyncio.Future[bytes | None] | None = None

    @web.authenticated
    @authorized
    async def get(self, key: str, z: str, x: str, y: str) -> None:
        try:
            layers, version = await self.squares.find(key)
            if not layers:
                raise web.HTTPError(404, "no such layer")
            self._made = asyncio.ensure_future(self.squares.make(layers, (version, int(z), int(x), int(y))))
            picture = await self._made
        except LandcoverError as error:
            raise web.HTTPError(404, str(error)) from None  # whoever is logged in may know the file's name
        except asyncio.CancelledError:
            return
        lasting = self.get_argument("v", "") == version
        self.set_header("Cache-Control", f"private, max-age={SECONDS}" if lasting else "private, no-cache")
        self.finish(picture or NOTHING, set_content_type="image/png")

    def on_connection_close(self) -> None:
        """Do not make what nobody waits for any more: the map was moved on."""
        if self._made is not None:
            self._made.cancel()


def _square(layers: tuple[RasterLayer, ...], z: int, x: int, y: int) -> bytes | None:
    from toolkit.webmap.rendering import square

    return square(layers, z, x, y)


def _size(picture: bytes | None) -> int:
    """Bytes of memory, about; that nothing is there must be remembered too."""
    return 200 + len(picture or b"")


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "toolkit.webmap.extension"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Open the meeting point and answer below the base URL; where that fails the server starts without us."""
    try:
        squares = Squares(Meeting.open(app.base_url))
    except LandcoverError as error:
        app.log.warning("landcover: maps will show pictures of their view instead of squares: %s", error)
        return
    atexit.register(squares.close)
    below = app.base_url.rstrip("/") + "/" + PREFIX
    number = r"(\d{1,8})"
    app.web_app.add_handlers(
        ".*$",
        [
            (f"{below}check", CheckHandler, {"squares": squares}),
            (rf"{below}squares/([\w-]{{32}})/(\d{{1,2}})/{number}/{number}\.png", SquareHandler, {"squares": squares}),
        ],
    )
