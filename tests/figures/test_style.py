from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as tree
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from toolkit.figures.curves import curves_figure
from toolkit.figures.style import png, spread, svg, text_width

PNG_START = b"\x89PNG\r\n\x1a\n"


def history(seed=0, epochs=30):
    rng = np.random.default_rng(seed)
    names = ("train_loss", "valid_loss", "oa", "kappa", "f_score")
    return [{"epoch": epoch, **{name: rng.random() for name in names}} for epoch in range(1, epochs + 1)]


def test_svg_is_one_element_without_date_or_script():
    text = svg(curves_figure(history()))
    root = tree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and text.startswith("<svg")
    assert "<script" not in text and "dc:date" not in text


def test_the_same_figure_gives_the_same_bytes():
    first, second = curves_figure(history()), curves_figure(history())
    assert png(first) == png(second) and svg(first) == svg(second)
    assert png(first) != png(curves_figure(history(seed=1)))


def test_png_has_the_size_asked_for():
    content = png(curves_figure(history()), dpi=50)
    assert content[:8] == PNG_START
    width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    assert (width, height) == (500, 180)


def test_threads_draw_at_the_same_time():
    alone = [png(curves_figure(history(seed)), dpi=40) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: png(curves_figure(history(seed)), dpi=40), range(4)))
    assert together == alone


def test_a_notebook_shows_a_figure_by_itself():
    content, size = curves_figure(history())._repr_png_()
    assert content[:8] == PNG_START and size == {"width": 800, "height": 288}
    assert isinstance(curves_figure(history()), Figure)


def test_pyplot_is_never_imported():
    rooms = ", ".join(
        f"toolkit.figures.{name}" for name in ("style", "confusion", "curves", "classes", "maps", "folds")
    )
    code = f"import sys, {rooms}; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("positions", "gap", "placed"),
    [
        ([], 1, []),
        ([5], 1, [5]),
        ([1, 9], 1, [1, 9]),
        ([4, 4], 1, [3.5, 4.5]),
        ([9, 1], 1, [9, 1]),
        ([0, 0.5, 5], 1, [-0.25, 0.75, 5]),
        ([3, 3, 3.4], 1, [2.1333333, 3.1333333, 4.1333333]),
    ],
)
def test_spread(positions, gap, placed):
    assert spread(positions, gap) == pytest.approx(placed)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_spread_keeps_order_and_distance(positions):
    placed = spread(positions, 0.1)
    order = np.argsort(positions, kind="stable")
    assert len(placed) == len(positions)
    assert (np.diff(np.array(placed)[order]) >= 0.1 - 1e-9).all()
    assert np.mean(placed or [0]) == pytest.approx(np.mean(positions or [0]))


@pytest.mark.parametrize(
    ("positions", "placed"), [([1, 1, 1], [0.8, 0.9, 1]), ([0, 0], [0, 0.1]), ([0, 0.02, 0.98, 1], [0, 0.1, 0.9, 1])]
)
def test_spread_between_ends(positions, placed):
    assert spread(positions, 0.1, 0, 1) == pytest.approx(placed)


def test_text_width_grows_with_text_and_size():
    assert 0 == text_width(" ") < text_width("Corn") < text_width("Corn and soy")
    assert text_width("Corn", 18) == pytest.approx(2 * text_width("Corn", 9), rel=0.02)
