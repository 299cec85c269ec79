"""The inputs of forms that are our own JavaScript, in a real browser without Jupyter around them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from toolkit.widgets.form_tools import PythonCell
from toolkit.widgets.log_number import LogNumber
from toolkit.widgets.panel_frame import PanelFrame

STYLE = (resources.files("toolkit.widgets") / "style.css").read_text(encoding="utf-8")
MARKS = ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1"]

RENDER = """
async ([script, state]) => {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const module = await import(url);
  const model = { state, listeners: {}, saved: [],
    get(name) { return this.state[name]; },
    set(name, value) { this.state[name] = value; },
    save_changes() { this.saved.push(this.state.value); },
    on(event, call) { this.listeners[event] = call; } };
  window.model = model;
  window.change = (name, value) => { model.state[name] = value; model.listeners[`change:${name}`](); };
  module.default.render({ model, el: document.getElementById("widget") });
}
"""


REFUSE = """
() => {
  navigator.clipboard.writeText = () => Promise.reject(new Error("no"));
  document.execCommand = () => false;
}
"""


@pytest.fixture
def render(open_page: Callable[..., Any]) -> Callable[..., Page]:
    def render(script: str, **state: Any) -> Page:
        page, seen = open_page(width=600, height=400)
        page.route("**/page.html", lambda route: route.fulfill(body="<body></body>", content_type="text/html"))
        page.goto("http://127.0.0.1:9/page.html")
        page.set_content(f"<style>{STYLE}</style><div id=around><div class=lc-keys><div id=widget></div></div></div>")
        page.evaluate(RENDER, [script, state])
        assert seen.errors == []
        return page

    return render


def saved(page: Page) -> list[str]:
    return page.evaluate("window.model.saved")


@pytest.fixture
def rate(render: Callable[..., Page]) -> Page:
    return render(LogNumber._esm, value="0.005", marks=MARKS, placeholder="not set", words="Learning rate. A step.")


def test_slider_rests_at_the_nearest_round_number_and_changes_nothing(rate: Page) -> None:
    slider = rate.get_by_role("slider", name="Learning rate")
    for text, position in (("0.005", 2), ("1e-2", 3), ("0.00312", 1), ("1e-9", 0), ("12345.678", 6), ("fast", 6)):
        rate.evaluate("text => window.change('value', text)", text)
        expect(slider).to_have_value(str(position))
        expect(rate.get_by_role("textbox")).to_have_value(text)
    assert saved(rate) == []


def test_text_follows_the_slider_and_is_sent_when_it_is_let_go(rate: Page) -> None:
    slider, text = rate.get_by_role("slider"), rate.get_by_role("textbox")
    box = slider.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    rate.mouse.move(box["x"] + box["width"] / 3, y)
    rate.mouse.down()
    rate.mouse.move(box["x"] + box["width"] - 2, y, steps=4)
    expect(text).to_have_value("0.1")
    assert saved(rate) == []
    rate.mouse.up()
    assert saved(rate) == ["0.1"]


def test_slider_is_moved_with_the_keyboard(rate: Page) -> None:
    slider = rate.get_by_role("slider")
    rate.get_by_role("textbox").focus()
    rate.keyboard.press("Tab")
    expect(slider).to_be_focused()
    rate.keyboard.press("ArrowRight")
    rate.keyboard.press("ArrowRight")
    assert saved(rate) == ["0.01", "0.02"]
    expect(slider).to_have_attribute("aria-valuetext", "0.02")


def test_exact_number_is_typed(rate: Page) -> None:
    text = rate.get_by_role("textbox")
    text.fill("0.00123456789")
    text.press("Enter")
    assert saved(rate) == ["0.00123456789"]
    expect(rate.get_by_role("slider")).to_have_value("0")


def test_copy_puts_the_text_into_the_clipboard_and_shows_it(render: Callable[..., Page]) -> None:
    page = render(PythonCell._esm, text="experiment = 1\n")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(page.get_by_role("textbox")).to_be_hidden()
    page.get_by_role("button", name="Copy as Python").click()
    expect(page.get_by_role("status")).to_have_text("copied; paste it into a cell")
    assert page.evaluate("navigator.clipboard.readText()") == "experiment = 1\n"
    page.evaluate("window.change('text', 'experiment = 2')")
    expect(page.get_by_role("textbox")).to_have_value("experiment = 2")
    page.get_by_role("button", name="Hide").click()
    expect(page.get_by_role("textbox")).to_be_hidden()


def test_text_is_selected_where_the_browser_refuses_the_clipboard(render: Callable[..., Page]) -> None:
    page = render(PythonCell._esm, text="experiment = 1")
    page.evaluate(REFUSE)
    page.get_by_role("button", name="Copy as Python").click()
    expect(page.get_by_role("status")).to_have_text("press Ctrl+C to copy")
    area = page.get_by_role("textbox")
    expect(area).to_be_focused()
    assert area.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") == "experiment = 1"


def test_keys_stay_in_the_panel_but_those_of_the_notebook(render: Callable[..., Page]) -> None:
    page = render(PanelFrame._esm)
    page.evaluate(
        """() => {
          window.heard = [];
          document.querySelector('#around').addEventListener('keydown', (event) => window.heard.push(event.key));
          document.querySelector('.lc-keys').insertAdjacentHTML('beforeend', '<input type=range>');
        }"""
    )
    page.wait_for_timeout(100)
    page.get_by_role("slider").focus()
    for key in ("x", "ArrowDown", "Enter", "Control+s", "Shift+Enter", "Escape"):
        page.keyboard.press(key)
    assert page.evaluate("window.heard") == ["Control", "s", "Enter", "Escape"]
