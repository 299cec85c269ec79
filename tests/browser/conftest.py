"""A real browser and a real JupyterLab, both on this machine only."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW_TO = "no Chromium found: `apt install chromium`, or `python -m playwright install chromium`"
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BASE_MAP = re.compile(
    r"https://(tile\.openstreetmap\.org/\d+/\d+/\d+\.png"
    r"|server\.arcgisonline\.com/ArcGIS/rest/services/World_Imagery/MapServer/tile/\d+/\d+/\d+)"
)


@dataclass
class Seen:
    """What a page asked for outside this machine, and what went wrong in it."""

    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    squares: list[int] = field(default_factory=list)
    """The server's answers to squares of our maps."""

    @property
    def beside_base_map(self) -> list[str]:
        """What was asked for outside this machine that is no tile of the base map."""
        return [url for url in self.outside if not BASE_MAP.match(url)]


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Folder of screenshots to look at; ignored by git."""
    folder = Path(__file__).parents[2] / "artefacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browser_name() -> Iterator[str]:
    """Path of Chromium. Without one, tests are skipped, but in continuous integration they fail."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    found = next((path for name in NAMES if (path := shutil.which(name))), own if Path(own).exists() else None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(HOW_TO)
        pytest.skip(HOW_TO)
    yield found


@pytest.fixture(scope="module")
def browser(browser_name: str) -> Iterator[Browser]:
    """One browser for the tests of a file; not longer, for its event loop is in the way of other tests' loops."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser_name, args=OPTIONS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., tuple[Page, Seen]]]:
    """Opens a page with a profile of its own; tiles of the base map are answered here, all else outside is refused."""
    contexts: list[BrowserContext] = []

    def opened(width: int = 1280, height: int = 1000, scale: float = 1) -> tuple[Page, Seen]:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=scale))
        return _watched(contexts[-1])

    yield opened
    for context in contexts:
        context.close()


def _watched(context: BrowserContext) -> tuple[Page, Seen]:
    page, seen = context.new_page(), Seen()

    def answer(route: Route) -> None:
        seen.outside.append(route.request.url)
        if BASE_MAP.match(route.request.url):
            route.fulfill(status=200, content_type="image/png", body=_base_map_tile())
        else:
            route.abort()

    context.route(re.compile(r"^(?!http://127\.0\.0\.1|data:|blob:)"), answer)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("response", lambda reply: seen.squares.append(reply.status) if "/landcover/squares/" in reply.url else None)
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    return page, seen


def _base_map_tile() -> bytes:
    import io

    content = io.BytesIO()
    tile = Image.new("RGB", (256, 256), (242, 239, 233))
    tile.paste((222, 217, 207), (0, 0, 256, 2))
    tile.paste((222, 217, 207), (0, 0, 2, 256))
    tile.save(content, "PNG")
    return content.getvalue()


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab."""

    base: str
    """With the base URL, without a slash at its end."""
    token: str
    folder: Path

    def url(self, notebook: str) -> str:
        return f"{self.base}/doc/tree/{notebook}?token={self.token}"

    def page(self, notebook: str) -> str:
        """The notebook rendered by Voila."""
        return f"{self.base}/voila/render/{notebook}?token={self.token}"

    @property
    def port(self) -> str:
        return self.base.split(":")[2].split("/")[0]


@pytest.fixture
def start_lab(browser_name: str, tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Starts JupyterLab with these environment variables, its settings and its files in a folder of its own."""
    servers: list[subprocess.Popen[bytes]] = []

    def started(environment: dict[str, str], base_url: str = "", theme: str = "JupyterLab Light") -> Lab:
        folder = tmp_path / "lab"
        lab = Lab(f"http://127.0.0.1:{_free_port()}{base_url}", secrets.token_hex(16), folder)
        _write_settings(folder / "config" / "lab" / "user-settings" / "@jupyterlab", theme)
        places = {f"JUPYTER_{kind.upper()}_DIR": str(folder / kind) for kind in ("config", "data", "runtime")}
        with (tmp_path / "lab.log").open("wb") as log:
            command = [sys.executable, "-m", "jupyterlab", *_arguments(lab)]
            servers.append(
                subprocess.Popen(command, env={**os.environ, **places, **environment}, stdout=log, stderr=log)
            )
        _wait_for(lab, tmp_path / "lab.log")
        return lab

    yield started
    for server in servers:
        server.terminate()
        server.wait(30)


def _arguments(lab: Lab) -> list[str]:
    return [
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={lab.port}",
        f"--ServerApp.base_url={lab.base.partition(lab.port)[2] or '/'}",
        f"--ServerApp.root_dir={lab.folder}",
        f"--IdentityProvider.token={lab.token}",
        "--ServerApp.allow_unauthenticated_access=False",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LanguageServerManager.autodetect=False",  # it asks npm, for a second
    ]


def _write_settings(folder: Path, theme: str) -> None:
    """No questions about news, and every cell in the page whether it is in view or not."""
    settings: dict[str, Any] = {
        "apputils-extension/notification": {"fetchNews": "false", "doNotDisturbMode": True},
        "apputils-extension/themes": {"theme": theme},
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, content in settings.items():
        path = folder / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(lab: Lab, log: Path, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{lab.base}/api/status?token={lab.token}", timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
