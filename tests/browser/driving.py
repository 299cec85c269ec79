"""What a person does in JupyterLab, for the tests of this folder."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

IDLE = "() => document.querySelector('#jp-main-statusbar')?.innerText.includes('| Idle')"
BEGUN = r"() => [...document.querySelectorAll('.jp-InputPrompt')].some(one => /\d|\*/.test(one.innerText))"
FINISHED = r"""() => document.querySelector("[data-mime-type='application/vnd.jupyter.error']")
  || [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(one => /\d/.test(one.innerText))"""
ERRORS = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"

CLICKED = """one => {
  window.clickedAt = null;
  one.addEventListener("click", () => { window.clickedAt = performance.now(); }, { once: true, capture: true });
}"""


def open_notebook(page: Page, lab: Any, name: str) -> None:
    """Open one of our notebooks, copied beside the server."""
    shutil.copy(NOTEBOOKS / name, lab.folder)
    page.goto(lab.url(name))
    page.wait_for_selector(".jp-CodeCell", timeout=90_000)


def open_cells(page: Page, lab: Any, *cells: str) -> None:
    """Open a notebook of these cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(notebook, lab.folder / "cells.ipynb")
    page.goto(lab.url("cells.ipynb"))
    page.wait_for_selector(".jp-CodeCell", timeout=90_000)


def run_all(page: Page, *, until_finished: bool = True) -> None:
    """Run > Run All Cells, once the kernel listens."""
    page.wait_for_function(IDLE, timeout=90_000)
    for _ in range(3):
        menu(page, "Run", "runmenu:run-all")
        try:
            page.wait_for_function(BEGUN, timeout=10_000)
        except Exception:  # the menu was clicked before the kernel was connected
            continue
        break
    else:
        pytest.fail("Run All Cells did not begin")
    if until_finished:
        page.wait_for_function(FINISHED, timeout=300_000)


def menu(page: Page, name: str, command: str) -> None:
    """Choose an entry of Lab's menu bar."""
    page.locator("li.lm-MenuBar-item", has_text=re.compile(f"^{name}$")).click()
    page.locator(f"li.lm-Menu-item[data-command='{command}']").click()


def save_and_reload(page: Page, until: str) -> None:
    """Save the notebook and open its page anew, until this is there."""
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    page.wait_for_timeout(1500)
    page.reload()
    page.wait_for_selector(until, timeout=90_000)


def restart_and_run(page: Page) -> None:
    """Restart the kernel and run all cells."""
    page.wait_for_function(IDLE, timeout=90_000)
    menu(page, "Kernel", "kernelmenu:restart")
    page.locator(".jp-Dialog button", has_text="Restart").click()
    page.wait_for_timeout(2000)
    run_all(page)


def output_of(page: Page, source: str) -> Any:
    """Outputs of the code cell that holds this text."""
    return page.locator(".jp-CodeCell", has_text=source).locator(".jp-Cell-outputArea").last


def errors_in(page: Page) -> list[str]:
    """Errors and warnings that cells left."""
    return page.locator(ERRORS).all_inner_texts()


def eventually(page: Page, holds: Callable[[], Any], seconds: float = 20) -> None:
    """Look again until this is true: a busy machine draws late."""
    end = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < end:
        page.wait_for_timeout(200)
    assert found


def click_map(view: Any, right: int, down: int, answered: Callable[[], Any]) -> None:
    """Click so far from the middle of a map, again until it answers: a map that still moves takes no click."""
    box = view.bounding_box()

    def clicked() -> Any:
        view.click(position={"x": box["width"] / 2 + right, "y": box["height"] / 2 + down})
        view.page.wait_for_timeout(2000)
        return answered()

    eventually(view.page, clicked, 40)


def colours_of(path: Path) -> np.ndarray:
    """(y, x) picture colours as 0xrrggbb."""
    with Image.open(path) as picture:
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(int), -1, 0)
    return (red << 16) | (green << 8) | blue


def milliseconds(page: Page, click: Any, until: str, timeout: float = 10_000) -> float:
    """Time from a real click, as the page sees it, until a function of the page is true."""
    click.evaluate(CLICKED)
    click.click()
    return float(page.wait_for_function(f"() => ({until})() && performance.now() - window.clickedAt").json_value())


def blank_frames(page: Page, states: list[Any]) -> int:
    """In how many frames a canvas showed nothing while the page went through these states, one a frame."""
    return int(
        page.evaluate(
            """async (states) => {
              const canvas = document.querySelector("canvas");
              let blank = 0;
              for (const next of states) {
                window.change(next);
                await new Promise(requestAnimationFrame);
                const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                blank += !data.some((value) => value > 0);
              }
              return blank;
            }""",
            states,
        )
    )
