"""`landcover app`: the workbench as a page for people who do not code; nothing comes from elsewhere."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.driving import click_map

TABS = ("Tiles", "Features", "Samples", "Network", "Tuning", "Mapping", "Run", "Map", "Accuracy", "All parameters")

TOKEN = "a-token-for-this-test"


@pytest.fixture
def shown_demo(request: pytest.FixtureRequest) -> Path:
    """The experiment on the page: a tiny one, or that of `LANDCOVER_SHOW`, for the picture of the README."""
    named = os.environ.get("LANDCOVER_SHOW")
    return Path(named) if named else request.getfixturevalue("finished_demo")


@pytest.fixture
def app(browser_name: str, shown_demo: Path, tmp_path: Path) -> Iterator[str]:
    """Address of the page."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "toolkit.cli", "app", str(shown_demo), "--port", str(port), "--no-browser"]
    places = {f"JUPYTER_{kind.upper()}_DIR": str(tmp_path / kind) for kind in ("config", "data", "runtime")}
    log = tmp_path / "app.log"
    with log.open("wb") as file:
        environment = {**os.environ, **places, "JUPYTER_TOKEN": TOKEN}
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    base = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            urllib.request.urlopen(f"{base}/api/status?token={TOKEN}", timeout=2).close()
            break
        except OSError:
            time.sleep(0.3)
    else:
        pytest.fail(log.read_text()[-3000:])
    yield base
    server.terminate()
    server.wait(30)


def test_the_workbench_as_a_page(app: str, open_page: Callable[..., Any], artefacts: Path) -> None:
    page, seen = open_page(width=1440, height=1080)
    page.goto(f"{app}/?token={TOKEN}")
    page.wait_for_selector(".lc-workbench", timeout=120_000)
    assert "/voila/render/" in page.url
    expect(page.locator(".lc-workbench .lc-stage").first).to_contain_text("clean")
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_timeout(2500)
        page.screenshot(path=artefacts / f"app_{tab.split()[0].lower()}.png")
    page.get_by_role("tab", name="Accuracy").click()
    expect(page.locator(".lc-result-table")).to_contain_text("Kappa")
    expect(page.locator(".lc-result img")).to_be_visible()
    page.get_by_role("tab", name="Map", exact=True).click()
    shown = page.locator(".lc-map")
    expect(shown.locator("img.leaflet-tile-loaded[src*='landcover/squares']").first).to_be_visible()
    click_map(shown.locator(".leaflet-container"), 60, -40, shown.locator(".lc-inspector canvas").count)
    page.wait_for_timeout(1000)
    page.screenshot(path=artefacts / "workbench.png")
    assert set(seen.squares) == {200}
    assert seen.beside_base_map == [] and seen.errors == []
    assert page.locator("[role=alert]:visible").all_inner_texts() == []


def test_a_stranger_sees_nothing(app: str) -> None:
    for path in ("/", "/voila/render/workbench.ipynb", "/landcover/check", "/api/contents"):
        try:
            with urllib.request.urlopen(app + path) as reply:
                assert re.search("/login", reply.url), path
        except urllib.error.HTTPError as error:
            assert error.code in (401, 403), path
