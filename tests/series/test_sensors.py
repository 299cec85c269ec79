"""Further sensors: what each takes from the series, and their images on the pixels of the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import write_theia
from toolkit.ground.errors import ParameterError, ProductError
from toolkit.ground.grid import Block, offset, project_bounds
from toolkit.ground.params import build
from toolkit.products.theia import find_theia
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.sensors import series_of
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import SeriesParams, TileSeries

FIRST: dict[str, Any] = {
    "source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-03-31", "bands": ["B2", "B8"],
}  # fmt: skip


def params(*sensors: dict[str, Any], **changes: Any) -> SeriesParams:
    return build(SeriesParams, {**FIRST, "sensors": sensors, **changes}, "test")


def test_what_a_sensor_does_not_say_is_as_in_the_series() -> None:
    series = params({"name": "a", "source": "l8"}, {"name": "b", "source": "s1", "bands": ["B4"], "step_days": 30})
    like, own = (series_of(one, series) for one in series.sensors)
    assert like == params(source="l8")
    assert own == params(source="s1", bands=["B4"], step_days=30)
    assert len(own.days) == 3 and len(series.days) == 9


def test_seasons_are_those_of_the_series_unless_the_period_is_another() -> None:
    seasons = [{"start": "2018-01-01", "end": "2018-01-31", "step_days": 5}]
    series = params(
        {"name": "a", "source": "x"},
        {"name": "b", "source": "x", "step_days": 15},
        {"name": "c", "source": "x", "end": "2018-02-10"},
        seasons=seasons,
    )
    like, own_step, own_period = (series_of(one, series) for one in series.sensors)
    assert (len(like.days), len(own_step.days)) == (7, 3)
    assert not own_period.seasons and own_period.periods == ((date(2018, 1, 1), date(2018, 2, 10), 10),)


@pytest.mark.parametrize("name", ["", "a/b", "a b", "2a", "a_b", "a.b"])
def test_a_name_is_letters_and_figures(name: str) -> None:
    with pytest.raises(ParameterError, match=r"sensors\.0\.name"):
        params({"name": name, "source": "x"})


def opened(
    folder: Path, pixels: int = 20, area: tuple[float, ...] | None = None, **product: Any
) -> tuple[TileSeries, TileSeries]:
    """A first sensor of 20 x 20 pixels of 10 m, and B8A of another of as many pixels as 20 m need."""
    write_theia(folder / "first", "2018-01-05", value=np.arange(400).reshape(20, 20))
    cloud = np.zeros((pixels, pixels), np.uint8)
    cloud[:2, :2] = 1
    write_theia(
        folder / "second", "2018-01-08", value=np.arange(pixels**2).reshape(pixels, pixels), cloud=cloud,
        **{"size": pixels, "bands": ("B8A",), **product},
    )  # fmt: skip
    series = params({"name": "a", "source": "x", "bands": ["B8A"]}, area=area)
    first = TileSeries.open("31TCJ", find_theia(folder / "first"), series)
    second = series_of(series.sensors[0], series)
    return first, TileSeries.open("31TCJ", find_theia(folder / "second"), second, onto=first.grid)


def test_coarse_pixels_come_onto_the_fine_grid_as_those_of_the_first_sensor_do(tmp_path: Path) -> None:
    """As B8A of the same values in the first sensor itself."""
    first, second = opened(tmp_path)
    write_theia(tmp_path / "both", "2018-01-08", value=np.arange(400).reshape(20, 20), bands=("B2", "B8A"))
    alike = TileSeries.open("31TCJ", find_theia(tmp_path / "both"), params(bands=["B2", "B8A"]))
    values, validity = second.read(Block(3, 2, 11, 13))
    assert second.grid == first.grid and values.shape == (1, 1, 11, 13)
    expected, _ = alike.read(Block(3, 2, 11, 13))
    assert np.array_equal(values[:, 0], expected[:, 1] - 10)  # whose band values differ by 10 a band
    assert validity.all() and not second.read(Block(0, 0, 2, 2))[1].any()


def test_an_area_of_the_first_is_that_of_all(tmp_path: Path) -> None:
    whole, second = opened(tmp_path / "whole")
    west, south, east, north = project_bounds(whole.grid.boundingbox, whole.grid.crs, "EPSG:4326")
    part, second_part = opened(tmp_path / "part", area=((west + east) / 2, south, east, (south + north) / 2))
    height, width = part.grid.shape
    assert second_part.grid == part.grid and 0 < height < 20 and 0 < width < 20
    row, col = map(round, offset(part.grid, whole.grid))
    expected = second.read(Block(row, col, height, width))
    for found, wanted in zip(second_part.read(Block(0, 0, height, width)), expected, strict=True):
        assert np.array_equal(found, wanted)


def test_images_may_reach_less_far_than_those_of_the_first(tmp_path: Path) -> None:
    _, second = opened(tmp_path, pixels=10)
    values, validity = second.read(Block(0, 0, 20, 20))
    assert (values[0, 0, 10:] == -10000).all() and not validity[0, 10:].any() and validity[0, 4:8, 4:8].all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corner": (300005, 4900020)}, r"does not fit the pixels of the first sensor .* edge on edge; warp"),
        ({"corner": (400000, 4900020)}, r"none of its 1 images, .* covers any of 20 x 20 pixels"),
    ],
)
def test_images_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProductError, match=message):
        opened(tmp_path, **change)


def test_finer_pixels_than_those_of_the_first_are_refused(tmp_path: Path, theia: Callable[..., Path]) -> None:
    theia(tmp_path / "coarse", "2018-01-05", bands=("B8A",))
    theia(tmp_path / "fine", "2018-01-05", bands=("B8",))
    first = TileSeries.open("31TCJ", find_theia(tmp_path / "coarse"), params(bands=["B8A"]))
    with pytest.raises(ProductError, match="make the sensor of the finer pixels the first"):
        TileSeries.open("31TCJ", find_theia(tmp_path / "fine"), params(bands=["B8"]), onto=first.grid)


def test_files_of_all_sensors_count(tmp_path: Path) -> None:
    first, second = opened(tmp_path)
    alone, both = FileTiling.of(first), FileTiling.of(replace(first, others=(second,)))
    assert both.decoded_bytes((64, 64)) == alone.decoded_bytes((64, 64)) + FileTiling.of(second).decoded_bytes((64, 64))
    assert both.index_bytes > alone.index_bytes > 0 and both.decoded_bytes((20, 20)) > alone.decoded_bytes((20, 20))
    assert both.block_size == alone.block_size


def test_each_sensor_of_a_block_has_memory_of_its_own(tmp_path: Path) -> None:
    first, second = opened(tmp_path)
    buffer, block = SeriesBuffer(), Block(0, 0, 20, 20)
    values, _ = first.read(block, buffer)
    before = values.copy()
    beside, _ = second.read(block, buffer.beside(0))
    assert np.array_equal(values, before) and not np.shares_memory(values, beside)
    assert buffer.beside(0) is buffer.beside(0)
    assert buffer.nbytes == 2 * (values.size + beside.size) + 2 * 3 * 400
