"""A real Jupyter server with our extension, as it is installed: by token, under a hub's prefix, and by no one else."""

from __future__ import annotations

import io
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
import websocket
from PIL import Image

from tests.webmap.conftest import colours, pixels, square_at, write_strips
from toolkit.ground.nomenclature import Nomenclature
from toolkit.webmap.layers import RasterLayer
from toolkit.webmap.rendering import bounds_of, square

SETTINGS = {
    "the server's defaults": ("/", ()),
    "a hub's prefix, and no page without login": (
        "/hub/user/alice/",
        ("--ServerApp.allow_unauthenticated_access=False",),
    ),
}
INSTALL = "the server does not know the extension; install the project anew: `make env`"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


@dataclass
class Server:
    """A running Jupyter server, and a kernel of it."""

    port: int
    base: str
    token: str
    folder: Path
    process: subprocess.Popen[bytes]
    kernel: str = ""

    def ask(self, path: str, *, token: str | None = None, method: str = "GET", data: Any = None) -> Answer:
        """Answer to a path with the base URL in it, with the token of the server, another one, or none (`""`)."""
        token = self.token if token is None else token
        headers = {"Authorization": f"token {token}"} if token else {}
        body = None if data is None else json.dumps(data).encode()
        return fetch(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method=method))

    def run(self, code: str) -> str:
        """Run code in the kernel; what it printed."""
        if not self.kernel:
            self.kernel = json.loads(self.ask(f"{self.base}api/kernels", method="POST", data={}).body)["id"]
        url = f"ws://127.0.0.1:{self.port}{self.base}api/kernels/{self.kernel}/channels"
        channel = websocket.create_connection(url, header=[f"Authorization: token {self.token}"], timeout=60)
        try:
            return run_in(channel, code)
        finally:
            channel.close()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def meeting(self) -> Path:
        """The folder where kernels and server meet."""
        (folder,) = (self.folder / "runtime").glob(f"landcover-*-{self.process.pid}")
        return folder


def fetch(request: urllib.request.Request, *handlers: urllib.request.BaseHandler) -> Answer:
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=30) as reply:
            return Answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def run_in(channel: websocket.WebSocket, code: str) -> str:
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    header = {"msg_id": secrets.token_hex(8), "msg_type": "execute_request", "version": "5.3", "username": ""}
    header["session"] = header["msg_id"]
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    channel.send(json.dumps(message))
    printed = ""
    while True:
        reply = json.loads(channel.recv())
        if reply["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        if reply["msg_type"] == "stream":
            printed += reply["content"]["text"]
        elif reply["msg_type"] == "error":
            pytest.fail("\n".join(reply["content"]["traceback"]))
        elif reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
            return printed.strip()


@pytest.fixture(scope="module", params=SETTINGS.values(), ids=list(SETTINGS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base, options = request.param
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    token = secrets.token_hex(16)
    places = {f"JUPYTER_{kind.upper()}_DIR": str(folder / kind) for kind in ("config", "data", "runtime")}
    command = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"),
        *(f"--ServerApp.port={port}", f"--ServerApp.base_url={base}", f"--ServerApp.root_dir={folder}"),
        *(f"--IdentityProvider.token={token}", *options),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **places}, stdout=log, stderr=log)
    running = Server(port, base, token, folder, process)
    try:
        wait_for(running)
        yield running
    finally:
        process.terminate()
        process.wait(30)


def wait_for(server: Server, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if server.ask(f"{server.base}api/status").status == 200:
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the Jupyter server did not start:\n{server.log[-3000:]}")


@pytest.fixture(scope="module")
def shown(server: Server, class_layer: RasterLayer) -> str:
    """URL of a class map that the server's kernel put on a map."""
    return add(server, class_layer)


def add(server: Server, layer: RasterLayer) -> str:
    return server.run(
        "from toolkit.webmap.registry import Route\nfrom toolkit.webmap.layers import RasterLayer\n"
        f"route = globals().get('route') or Route.find()\nprint(route.add(RasterLayer.from_json({layer.to_json()!r})))"
    )


def at(url: str, layer: RasterLayer, zoom: int = 13) -> str:
    """URL of the square in the middle of the layer."""
    (south, west), (north, east) = bounds_of(layer)
    x, y = square_at((west + east) / 2, (south + north) / 2, zoom)
    return url.format(z=zoom, x=x, y=y)


def test_only_who_is_logged_in_reaches_the_route(server: Server) -> None:
    check = f"{server.base}landcover/check"
    answer = server.ask(check)
    assert answer.status == 200, INSTALL
    assert json.loads(answer.body)["landcover"]
    for token in ("", "wrong"):
        assert server.ask(check, token=token).status == 403


def test_square_of_a_kernel_s_layer_is_shown(server: Server, shown: str, class_layer: RasterLayer) -> None:
    answer = server.ask(at(shown, class_layer))
    assert answer.status == 200, server.log[-2000:]
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, max-age=86400"
    assert not answer.headers["Access-Control-Allow-Origin"]
    (south, west), (north, east) = bounds_of(class_layer)
    expected = square(class_layer, 13, *square_at((west + east) / 2, (south + north) / 2, 13))
    assert answer.body == expected
    assert len(colours(pixels(answer.body))) > 10
    with Image.open(io.BytesIO(answer.body)) as picture:
        assert picture.mode == "P"
    assert server.ask(at(shown, class_layer)).body == expected, "the second time from memory"


def test_square_is_refused_without_login(server: Server, shown: str, class_layer: RasterLayer) -> None:
    for token in ("", "wrong"):
        answer = server.ask(at(shown, class_layer), token=token)
        assert answer.status == 403
        assert str(class_layer.files[0]).encode() not in answer.body


def test_a_browser_s_cookie_is_a_login(server: Server, shown: str, class_layer: RasterLayer) -> None:
    root = f"http://127.0.0.1:{server.port}"
    cookies = urllib.request.HTTPCookieProcessor(CookieJar())
    picture = urllib.request.Request(root + at(shown, class_layer))
    assert fetch(picture, cookies).status == 403
    assert fetch(urllib.request.Request(f"{root}{server.base}api/me?token={server.token}"), cookies).status == 200
    assert fetch(picture, cookies).status == 200


def test_where_the_layer_is_not_there_is_nothing(server: Server, shown: str) -> None:
    """A picture, for maps leave what they showed before where none comes."""
    for z in (13, 99):
        answer = server.ask(shown.format(z=z, x=0, y=0))
        assert answer.status == 200
        with Image.open(io.BytesIO(answer.body)) as picture:
            assert picture.convert("RGBA").getcolors() == [(1, (0, 0, 0, 0))]


@pytest.mark.parametrize(
    "path",
    [
        "squares/" + "k" * 32 + "/0/0/0.png",
        "squares/server/0/0/0.png",
        "squares/..%2F..%2Fserver/0/0/0.png",
        "squares/{key}/0/0/-1.png",
        "squares/{key}/0/0/0.jpg",
        "squares/{key}/0/999999999/0.png",
        "",
    ],
)
def test_what_is_no_square_is_not_found(server: Server, shown: str, path: str) -> None:
    key = shown.split("/")[-4]
    assert server.ask(f"{server.base}landcover/{path.format(key=key)}").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_nothing_but_reading(server: Server, shown: str, class_layer: RasterLayer, method: str) -> None:
    assert server.ask(at(shown, class_layer), method=method).status == 405


def test_layer_taken_away_is_not_shown(server: Server, class_layer: RasterLayer) -> None:
    url = add(server, class_layer)
    assert server.ask(at(url, class_layer)).status == 200
    server.run(f"route.remove({url!r})")
    assert server.ask(at(url, class_layer)).status == 404


def test_changed_file_is_shown_anew_and_not_kept(server: Server, tmp_path: Path, names: Nomenclature) -> None:
    import numpy as np

    from toolkit.webmap.layers import Indexed

    path = write_strips(tmp_path / "a.tif", np.full((900, 900), 3, np.uint8))
    layer = RasterLayer((path,), Indexed(names.colour_table()), 0)
    url = add(server, layer)
    for code, cached in ((3, "max-age=86400"), (9, "no-cache")):
        write_strips(tmp_path / "new.tif", np.full((900, 900), code, np.uint8))
        if code == 9:
            (tmp_path / "new.tif").replace(path)
        answer = server.ask(at(url, layer))
        assert colours(pixels(answer.body)) == {names.colour_table()[code]}
        assert answer.headers["Cache-Control"] == f"private, {cached}"


def test_squares_nobody_waits_for_any_more_do_no_harm(server: Server, shown: str, class_layer: RasterLayer) -> None:
    for shift in range(12):
        path = at(shown, class_layer, 16).replace(".png", f".png?again={shift}&")
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: token {server.token}\r\n\r\n"
            one.sendall(request.encode())
    assert server.ask(at(shown, class_layer, 16)).status == 200
    assert "Traceback" not in server.log


def test_file_that_cannot_be_read_is_told_without_a_traceback(
    server: Server, tmp_path: Path, class_layer: RasterLayer
) -> None:
    path = tmp_path / "broken.tif"
    path.write_bytes(b"not a tiff")
    url = add(server, RasterLayer((path,), class_layer.style, 0))
    for _ in range(2):
        answer = server.ask(at(url, class_layer))
        assert answer.status == 404
        assert "broken.tif cannot be read" in json.loads(answer.body)["message"]
        path.unlink(missing_ok=True)
    assert "Traceback" not in server.log


def test_layers_go_with_the_kernel_and_the_folder_with_the_server(
    server: Server, shown: str, class_layer: RasterLayer
) -> None:
    assert server.ask(at(shown, class_layer)).status == 200
    assert server.ask(f"{server.base}api/kernels/{server.kernel}", method="DELETE").status == 204
    assert server.ask(at(shown, class_layer)).status == 404
    meeting = server.meeting()
    assert [path.name for path in meeting.glob("*.json")] == ["server.json"]
    server.process.terminate()
    server.process.wait(30)
    assert not meeting.exists()


def test_the_server_s_start_is_not_slowed() -> None:
    slow = {"rasterio", "numpy", "PIL", "torch", "geopandas", "ipywidgets", "pandas", "pydantic"}
    code = f"import sys, toolkit.webmap.extension; print(*({slow} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
