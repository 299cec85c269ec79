"""The map as a person uses it: exact colours, swiped, compared, clicked; behind a hub, and not without login."""

from __future__ import annotations

import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.driving import click_map, colours_of, errors_in, eventually, open_cells, output_of, run_all
from toolkit.experiment.config import Experiment
from toolkit.experiment.map_products import postprocess
from toolkit.experiment.verbs import classify, mosaic
from toolkit.ground.nomenclature import Nomenclature

HUB = "/hub/user/alice"
"""The base URL of a server that a hub has started."""


@pytest.fixture
def opened(
    open_page: Callable[..., Any], start_lab: Callable[..., Any], finished_demo: Path
) -> Callable[..., tuple[Page, Any, Any, Locator]]:
    def opened(base_url: str = "", experiment: Path = finished_demo, **look: Any) -> tuple[Page, Any, Any, Locator]:
        lab = start_lab({}, base_url=base_url)
        page, seen = open_page(**look)
        open_cells(
            page,
            lab,
            "from toolkit import Experiment, widgets",
            f"class_map = widgets.ClassMap(Experiment.load({str(experiment)!r}))\nclass_map",
        )
        seen.errors.clear()
        run_all(page)
        assert errors_in(page) == []
        shown = output_of(page, "ClassMap").locator(".lc-map")
        expect(shown.locator("img.leaflet-tile-loaded[src*='landcover/squares']").first).to_be_visible()
        return page, seen, lab, shown

    return opened


def set_opacity(shown: Locator, name: str, keys: str) -> None:
    handle = shown.locator(".lc-layers > *", has_text=name).locator(".noUi-handle")
    handle.press(keys)


def colours_in_the_middle(shown: Locator, path: Path, part: float = 0.2) -> set[int]:
    """Colours of the middle of the map, which is all of it mapped ground."""
    shown.locator(".leaflet-container").first.screenshot(path=path)
    colours = colours_of(path)
    height, width = colours.shape
    rows, columns = (slice(int(side * (0.5 - part / 2)), int(side * (0.5 + part / 2))) for side in (height, width))
    return set(np.unique(colours[rows, columns]).tolist())


def test_exact_colours_at_every_zoom_and_nothing_from_elsewhere(
    opened: Callable[..., Any], artefacts: Path, tmp_path: Path
) -> None:
    page, seen, _, shown = opened()
    classes = {int(one.colour[1:], 16): one.label for one in Nomenclature.load("oso_23").classes}
    shown.get_by_role("checkbox", name="Tiles").uncheck()
    set_opacity(shown, "Classification", "End")
    expect(shown.locator("path.leaflet-interactive")).to_have_count(0)
    for zoom in range(3):
        picture = tmp_path / f"zoom_{zoom}.png"
        page.wait_for_timeout(700)  # the animation of the zoom
        eventually(page, lambda picture=picture: colours_in_the_middle(shown, picture) <= set(classes))
        assert len(colours_in_the_middle(shown, picture)) > 1 or zoom
        shown.get_by_role("button", name="Zoom in").click()
    labels = shown.locator(".lc-legend-label").all_inner_texts()
    assert set(labels) <= set(classes.values()) and len(labels) > 3
    assert set(seen.squares) == {200}
    assert seen.outside and seen.beside_base_map == [] and seen.errors == []
    shown.screenshot(path=artefacts / "map.png")


def test_the_postprocessed_map_and_the_longest_gap_are_layers(
    opened: Callable[..., Any], finished_demo: Path, artefacts: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished_demo.parent, tmp_path / "demo", symlinks=True, copy_function=shutil.copy2)
    experiment = Experiment.load(tmp_path / "demo" / finished_demo.name)
    experiment.set({"mapping.longest_gap": True, "postprocess.majority_radius": 2})
    classify(experiment, overwrite=True)
    mosaic(experiment, overwrite=True)
    postprocess(experiment)
    page, seen, _, shown = opened(experiment=experiment.path)
    shown.get_by_role("checkbox", name="Tiles").uncheck()
    classes = {int(one.colour[1:], 16) for one in Nomenclature.load("oso_23").classes}
    pictures = []
    for name in ("Classification", "Post-processed", "Longest gap"):
        for other in ("Classification", "Post-processed", "Longest gap"):
            shown.get_by_role("checkbox", name=other).set_checked(other == name)
        set_opacity(shown, name, "End")
        picture = artefacts / f"map_layer_{len(pictures)}.png"
        page.wait_for_timeout(1000)
        eventually(
            page,
            lambda picture=picture, name=name: (
                (colours_in_the_middle(shown, picture, part=0.5) <= classes) == (name != "Longest gap")
            ),
        )
        pictures.append(colours_of(artefacts / f"map_layer_{len(pictures)}.png"))
    assert (pictures[0] != pictures[1]).mean() > 0.005, "specks are gone"
    shown.screenshot(path=artefacts / "map_longest_gap.png")
    assert set(seen.squares) == {200} and seen.errors == []


def test_a_class_is_isolated_and_all_come_back(opened: Callable[..., Any], tmp_path: Path) -> None:
    page, seen, _, shown = opened()
    shown.get_by_role("checkbox", name="Tiles").uncheck()
    set_opacity(shown, "Classification", "End")
    row = shown.locator(".lc-legend-row").first
    label = row.locator(".lc-legend-label").inner_text()
    colour = next(int(one.colour[1:], 16) for one in Nomenclature.load("oso_23").classes if one.label == label)
    row.focus()
    page.keyboard.press("Enter")
    expect(row).to_have_attribute("aria-pressed", "true")
    others = {int(one.colour[1:], 16) for one in Nomenclature.load("oso_23").classes} - {colour}
    eventually(page, lambda: not colours_in_the_middle(shown, tmp_path / "one.png", part=0.5) & others)
    shown.locator(".lc-legend-all").click()
    eventually(page, lambda: colours_in_the_middle(shown, tmp_path / "all.png", part=0.5) & others)
    assert seen.errors == []


def test_swipe_is_dragged(opened: Callable[..., Any], artefacts: Path, tmp_path: Path) -> None:
    page, seen, _, shown = opened()
    shown.get_by_role("checkbox", name="Tiles").uncheck()
    shown.get_by_role("button", name="Swipe").click()
    divider = shown.locator(".leaflet-sbs-divider")
    expect(divider).to_be_visible()
    page.wait_for_timeout(1000)
    before, box = divider.bounding_box(), shown.locator(".leaflet-container").first.bounding_box()
    assert before and box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y, steps=6)
    page.mouse.up()
    page.wait_for_timeout(300)
    after = divider.bounding_box()
    assert after and 80 < after["x"] - before["x"] < 160
    expect(shown.locator(".lc-inspector")).to_contain_text("Click on the map")  # the drag was no click
    left = shown.locator("div.leaflet-layer", has=page.locator("img[src*='landcover/squares']"))
    assert "rect" in left.first.evaluate("one => one.style.clip")
    shown.screenshot(path=artefacts / "map_swipe.png")
    shown.get_by_role("button", name="Map", exact=True).click()
    expect(divider).to_have_count(0)
    expect(shown.locator("img[src*='landcover/squares']").first).to_be_visible()
    assert seen.errors == []


def test_linked_maps_move_together(opened: Callable[..., Any], artefacts: Path) -> None:
    page, seen, _, shown = opened(width=1920)
    shown.get_by_role("button", name="Side by side").click()
    maps = shown.locator(".leaflet-container")
    expect(maps).to_have_count(2)
    eventually(page, lambda: (found := centre_tile(maps.nth(0))) and found == centre_tile(maps.nth(1)))
    before, box = centre_tile(maps.nth(0)), maps.nth(0).bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 240, steps=5)
    page.mouse.up()
    eventually(page, lambda: centre_tile(maps.nth(0)) == centre_tile(maps.nth(1)) not in (None, before))
    shown.screenshot(path=artefacts / "map_side_by_side.png")
    assert seen.errors == []


def centre_tile(one: Locator) -> tuple[str, int, int] | None:
    """Which square of the base map lies under the middle of a map, and where in it the middle is, by 8 pixels."""
    found: tuple[str, int, int] | None = one.evaluate(
        """view => {
          const box = view.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
          for (const tile of view.querySelectorAll("img.leaflet-tile[src*='openstreetmap']")) {
            const place = tile.getBoundingClientRect();
            if (place.left <= x && x < place.right && place.top <= y && y < place.bottom)
              return [tile.src, Math.round((x - place.left) / 8), Math.round((y - place.top) / 8)];
          }
          return null;
        }"""
    )
    return found


def test_pixel_inspector_answers_a_click(opened: Callable[..., Any], artefacts: Path) -> None:
    _, seen, _, shown = opened()
    inspector = shown.locator(".lc-inspector")
    click_map(shown.locator(".leaflet-container").first, 15, -20, inspector.locator("canvas").count)
    expect(inspector).to_contain_text(re.compile(r"\d\.\d{6} E \d+\.\d{6} N · 31T\w+ row \d+, column \d+"))
    expect(inspector).to_contain_text("clear dates")
    expect(inspector.locator("canvas")).to_be_visible()
    expect(shown.locator("path[fill='#0072b2']")).to_have_count(1)
    shown.screenshot(path=artefacts / "map_pixel.png")
    assert seen.errors == []


def test_under_a_hub_s_base_url_and_not_without_login(opened: Callable[..., Any], artefacts: Path) -> None:
    page, seen, lab, shown = opened(HUB)
    source = shown.locator("img[src*='landcover/squares']").first.get_attribute("src")
    assert source and source.startswith(f"{HUB}/landcover/squares/")
    assert set(seen.squares) == {200}
    place = lab.base.removesuffix(HUB) + source
    with urllib.request.urlopen(f"{place}&token={lab.token}") as reply:
        assert reply.status == 200
    assert refused(place) and refused(place.replace(re.findall(r"squares/([\w-]+)/", place)[0], "A" * 32))
    assert page.get_by_text("picture of the view").count() == 0
    assert seen.errors == []


def test_through_voila_on_the_lab_server(
    open_page: Callable[..., Any], start_lab: Callable[..., Any], finished_demo: Path
) -> None:
    lab = start_lab({})
    cell = f"from toolkit import Experiment, widgets\nwidgets.ClassMap(Experiment.load({str(finished_demo)!r}))"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbformat.write(notebook, lab.folder / "map.ipynb")
    page, seen = open_page()
    page.goto(lab.page("map.ipynb"))
    shown = page.locator(".lc-map")
    expect(shown.locator("img.leaflet-tile-loaded[src*='landcover/squares']").first).to_be_visible(timeout=90_000)
    assert set(seen.squares) == {200}


def refused(url: str) -> bool:
    """Whether the server sends a stranger away: refused, or to the login."""
    try:
        with urllib.request.urlopen(url) as reply:
            return "/login" in reply.url
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)
