"""External features: seamless, the same for sampling and mapping, and refused in words where they go wrong."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import write_theia, write_tif
from tests.features.conftest import DAYS, ArraySeries, own
from toolkit import external_feature
from toolkit.features.chosen import ChosenFeature
from toolkit.features.external import ExternalFunction
from toolkit.features.phenology import phenology
from toolkit.features.reading import TileFeatures
from toolkit.features.stack import FeatureParams, FeatureStack
from toolkit.features.texture import window_sum
from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import FeatureError, ParameterError
from toolkit.ground.grid import Block, blocks
from toolkit.ground.params import Params, param
from toolkit.ground.streaming import stream
from toolkit.products.handles import close_rasters
from toolkit.products.theia import find_theia
from toolkit.samples.extraction import PixelFeatures
from toolkit.series.timeseries import SeriesParams, TileSeries

TEXTURE = ChosenFeature("texture", {"day": date(2018, 7, 18), "radius": 3})

GAUSSIAN = '''
def kernel(sigma, radius):
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-(offsets / sigma) ** 2 / 2)
    return weights / weights.sum()

@external_feature(padding=lambda params: round(4 * params.sigma), outputs=["smooth_{band}_{date}"])
def smooth(block, band: str = "B8", sigma: float = param(1.5, "Width.", gt=0, le=10)):
    """Gaussian of a band on every date."""
    radius = round(4 * sigma)
    values = block.filled(band).astype(np.float64)
    for axis in (1, 2):
        wide = np.pad(values, [(0, 0), *((radius, radius) if one == axis else (0, 0) for one in (1, 2))])
        taps = [np.take(wide, np.arange(k, k + values.shape[axis]), axis) for k in range(2 * radius + 1)]
        values = sum(weight * tap for weight, tap in zip(kernel(sigma, radius), taps))
    return values
'''


class Mine(Params):
    """Parameters as a class of their own."""

    size: int = param(2, "Size.", ge=1)


def by_blocks(features: TileFeatures, size: int) -> np.ndarray:
    """All features of a tile, block by block."""
    whole = np.empty((len(features.stack), *features.series.grid.shape), dtype=np.float32)
    for block in blocks(features.series.grid.shape, size):
        whole[(slice(None), *block.slices)] = features.read(block)[0]
    return whole


@settings(max_examples=15, deadline=None)
@given(size=st.integers(1, 50), sigma=st.sampled_from([0.8, 1.5]))
def test_filters_are_seamless_over_blocks_of_any_size(scene: ArraySeries, size: int, sigma: float) -> None:
    features = scene.of(TEXTURE, own(GAUSSIAN, "smooth", sigma=sigma))
    assert features.stack.padding == round(4 * sigma)
    whole, _ = features.read(scene.whole)
    assert np.array_equal(by_blocks(features, max(size, 4)), whole)


def test_a_filter_does_not_depend_on_the_padding_of_another(scene: ArraySeries) -> None:
    alone, _ = scene.of(TEXTURE).read(scene.whole)
    both, _ = scene.of(TEXTURE, own(GAUSSIAN, "smooth", sigma=5.0)).read(scene.whole)
    assert np.array_equal(alone, both[: len(alone)])


def test_other_features_are_as_without_external_ones(scene: ArraySeries) -> None:
    alone, clear = scene.of().read(scene.whole)
    both, both_clear = scene.of(TEXTURE).read(scene.whole)
    assert np.array_equal(alone, both[:-1]) and np.array_equal(clear, both_clear)


def test_texture_is_the_standard_deviation_of_the_pixels_that_were_seen(scene: ArraySeries) -> None:
    features, clear = scene.of(TEXTURE).read(scene.whole)
    stack = scene.of(TEXTURE).stack
    assert stack.names[-1] == "texture_B8_20180718_3"
    band = features[stack.names.index("B8_20180720")].astype(np.float64)
    for row, col in ((0, 0), (18, 20), (36, 42), (9, 19), (5, 30)):
        window = (slice(max(row - 3, 0), row + 4), slice(max(col - 3, 0), col + 4))
        wanted = band[window][clear[window] > 0].std()
        assert features[-1, row, col] == pytest.approx(wanted, rel=1e-5)
    assert (features[-1][clear == 0] == 0).all()


def test_window_sum_is_the_same_wherever_the_array_begins() -> None:
    values = np.random.default_rng(0).normal(0, 1e6, (60, 50)) ** 3
    assert np.array_equal(window_sum(values, 2)[10:-2, 7:-2], window_sum(values[8:, 5:], 2)[2:-2, 2:-2])


def test_phenology_of_a_season_with_a_known_course() -> None:
    days = np.arange("2019-01-01", "2019-12-31", 10, dtype="datetime64[D]")
    course = np.interp(np.arange(len(days)), [0, 8, 16, 30], [100, 200, 800, 150]).astype(np.float32)
    late = np.roll(course, 3)
    flat = np.full_like(course, 300)

    class Block:
        dates = days

        @staticmethod
        def filled(name: str) -> np.ndarray:
            assert name == "NDVI"
            return np.stack([course, late, flat], axis=1)[:, None]

    peak, amplitude, start = (one[0] for one in phenology(Block(), index="NDVI", threshold=0.5))
    assert peak.tolist() == [161, 191, 1]
    assert amplitude.tolist() == [700, 700, 0]
    # Half of the rise from 100 to 800 is 450: at (450 - 200) / 600 of the 80 days after day 81.
    assert start[:2] == pytest.approx([81 + 80 * 250 / 600, 111 + 80 * 250 / 600], abs=0.01)
    assert start[2] == 1


def test_phenology_in_a_stack_has_three_names(scene: ArraySeries) -> None:
    features = scene.of(ChosenFeature("phenology", {"threshold": 0.2}))
    assert features.stack.names[-3:] == ("peak_day_NDVI", "amplitude_NDVI", "season_start_NDVI")
    values, clear = features.read(scene.whole)
    assert set(np.unique(values[-3][clear > 0])) <= {1, 101, 201, 301}


SEEN_BY = """
@external_feature(padding=2, outputs=["x", "date_{date}", "first"])
def mine(block, band: str = "b4"):
    y, x = np.indices(block.shape)
    cols = (block.grid.affine * (x + 0.5, y + 0.5))[0]
    assert block.filled(band).shape == (len(block.dates), *block.shape)
    assert block.raw("B8").dtype == np.int16 and block.raw("B8").shape == block.validity.shape
    assert len(block.acquired) == len(block.validity) and block.tile == "31TCJ"
    assert block.nearest("2018-04-30") == 1
    try:
        block.filled("B4")[:] = 0
    except ValueError:
        return cols, 2 * block.filled(band), block.raw(band)[0]
"""


def test_a_function_sees_grid_dates_and_raw_values(scene: ArraySeries) -> None:
    features = scene.of(own(SEEN_BY))
    names = features.stack.names
    assert names[-6:] == ("x", *(f"date_{day.replace('-', '')}" for day in DAYS), "first")
    values, clear = features.read(Block(5, 6, 9, 8))
    seen = clear > 0
    assert np.array_equal(values[-6][seen], np.broadcast_to(300065 + 10 * np.arange(8), (9, 8))[seen])
    assert np.array_equal(values[-5][seen], 2 * values[names.index("B4_20180101")][seen])
    assert np.array_equal(values[-1][seen], scene.values[0, 0, 5:14, 6:14][seen])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "    return 1 / (band == 'B8' and 0)",
            r"my_features.py, line 7: ZeroDivisionError.*31TCJ, block of rows 3 to 8",
        ),
        ("    return block.filled('B5')[0]", r"line 7: ParameterError: 'B5' is neither.*known: B4, B8, NDVI"),
        ("    return block.filled(band)", r"mine is float32 of shape \(4, 8, 9\); .*\(y, x\) = \(8, 9\)"),
        ("    return block.filled(band)[0][1:-1, 1:-1]", r"shape \(6, 7\).*padding included"),
        ("    return block.filled(band)[0], 3", "1 arrays are needed, not 2 arrays"),
        ("    return 'text'", "mine is <U4"),
        ("    return np.where(block.seen, np.nan, 0)", "mine is nan at row 3, column 4 of tile 31TCJ"),
        ("    return np.full(block.shape, 1e300)", "mine is inf at row 3, column 4"),
    ],
)
def test_what_goes_wrong_is_said_with_line_block_and_name(scene: ArraySeries, body: str, message: str) -> None:
    text = f"@external_feature(padding=1)\ndef mine(block, band: str = 'B8'):\n    # counted\n{body}\n"
    with pytest.raises(FeatureError, match=message):
        scene.of(own(text)).read(Block(3, 4, 6, 7))


def test_nan_is_fine_where_a_pixel_was_never_seen(scene: ArraySeries) -> None:
    features, clear = scene.of(
        own("@external_feature()\ndef mine(block):\n    return np.where(block.seen, 1, np.nan)")
    ).read(scene.whole)
    assert np.array_equal(features[-1], (clear > 0).astype(np.float32))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def mine(block):\n    return 1", "write @external_feature"),
        ("@external_feature()\ndef mien(block):\n    return 1", "did you mean 'mien'"),
        ("import nothing_of_this_name", "line 4: ModuleNotFoundError"),
        ("def mine(block:", "line 4: SyntaxError"),
        ("@external_feature()\ndef mine(block, size):\n    return 1", "argument 'size' needs an annotation"),
        ("@external_feature(outputs=['a_{band}'])\ndef mine(block):\n    return 1", "{band} in 'a_{band}' is none"),
        ("@external_feature(outputs=['a b'])\ndef mine(block):\n    return 1", "'a b' is no name of a feature"),
        ("@external_feature(padding=-1)\ndef mine(block):\n    return 1", "padding = -1"),
        ("@external_feature()\ndef mine():\n    return 1", "its first is the block"),
    ],
)
def test_a_file_without_a_usable_function_is_refused(scene: ArraySeries, text: str, message: str) -> None:
    features = scene.of(own(text))
    with pytest.raises(FeatureError, match=message):
        _ = features.stack.names, features.stack.padding


def test_parameters_are_held_against_the_annotations(scene: ArraySeries) -> None:
    with pytest.raises(ParameterError, match=r"smooth of my_features.py: sigma = 0\.0"):
        _ = scene.of(own(GAUSSIAN, "smooth", sigma=0.0)).stack.names
    with pytest.raises(ParameterError, match="did you mean 'sigma'"):
        _ = scene.of(own(GAUSSIAN, "smooth", sigmas=1.0)).stack.names
    with pytest.raises(ValueError, match="day is missing"):
        FeatureParams.model_validate({"external": ["texture"]})
    with pytest.raises(ValueError, match="did you mean 'texture'"):
        FeatureParams.model_validate({"external": ["textur"]})


def test_parameters_may_be_one_model() -> None:
    @external_feature(padding=lambda params: params.size)
    def mine(block: object, params: Mine) -> int:
        """Says its size."""
        return params.size

    assert isinstance(mine, ExternalFunction) and mine.params is Mine
    assert mine.padding_for(Mine(size=4)) == 4 and mine.apply(None, Mine(size=3)) == 3
    assert mine.meaning == "Says its size." and mine(None, Mine()) == 2


def test_two_features_of_one_name_are_refused(scene: ArraySeries) -> None:
    with pytest.raises(ParameterError, match="two features are called texture_B8_20180718_3"):
        _ = scene.of(TEXTURE, TEXTURE).stack.names
    other = ChosenFeature("texture", {"day": date(2018, 7, 18), "radius": 2})
    assert len(scene.of(TEXTURE, other).stack) == 14


def test_loading_parameters_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    (tmp_path / "mine.py").write_text(f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n")
    params = FeatureParams.model_validate({"external": [{"name": "mine", "file": "mine.py"}]})
    series = SeriesParams.model_validate(
        {"source": "s", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-02-01"}
    )
    stack = FeatureStack.of(series, params, tmp_path)
    assert not mark.exists()
    with pytest.raises(FeatureError, match="has no feature function 'mine'"):
        _ = stack.names
    assert mark.exists()


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="relative to the experiment file"):
        SourceFile.read(tmp_path / "absent.py")
    with pytest.raises(ParameterError, match=r"ends in \.py"):
        SourceFile.read(tmp_path / "absent.txt")


def test_the_text_travels_to_another_process(scene: ArraySeries, tmp_path: Path) -> None:
    """Nothing of the function itself is sent: the file need not exist there."""
    row, col = np.array([3, 3, 20]), np.array([4, 9, 20])
    work = PixelFeatures(scene, scene.of(own(GAUSSIAN, "smooth")).stack, row, col)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
        ((_, arrays),) = stream(work, [scene.whole], tmp_path / "blocks", key="k", executor=pool)
    here = work(scene.whole)
    assert np.array_equal(arrays["features"], here["features"])


@pytest.fixture
def series(tmp_path: Path) -> TileSeries:
    rng = np.random.default_rng(0)
    for day in ("2018-01-10", "2018-03-01", "2018-06-20"):
        cloud = (rng.random((40, 40)) < 0.3).astype(np.uint8)
        write_theia(tmp_path / "theia", day, size=40, value=rng.integers(0, 5000, (40, 40)), cloud=cloud)
    params = SeriesParams.model_validate(
        {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-06-30", "area": None}
    )
    yield TileSeries.open("31TCJ", find_theia(tmp_path / "theia"), params)
    close_rasters()


def test_sampling_and_mapping_have_the_same_features(series: TileSeries) -> None:
    stack = FeatureStack(
        series.bands, ("2018-01-01", "2018-04-01"), ("ndvi",), external=(TEXTURE, own(GAUSSIAN, "smooth"))
    )
    whole, whole_clear = TileFeatures(series, stack).read(Block(0, 0, 40, 40))
    assert np.array_equal(by_blocks(TileFeatures(series, stack), 16), whole)
    rng = np.random.default_rng(1)
    row, col = rng.integers(0, 40, 25), rng.integers(0, 40, 25)
    work = PixelFeatures(series, stack, row, col)
    for block in blocks((40, 40), 16):
        found = work(block) if len(work.inside(block)) else {"position": []}
        for position, features, clear in zip(*found.values(), strict=True) if len(found) == 3 else ():
            assert np.array_equal(features, whole[:, row[position], col[position]])
            assert clear == whole_clear[row[position], col[position]]


def test_a_raster_on_the_grid_is_seamless_and_true(series: TileSeries, tmp_path: Path) -> None:
    """A plane in degrees: bilinear interpolation gives it back, wherever the block begins."""
    from pyproj import Transformer

    left, bottom, right, top = series.grid.boundingbox
    to_degrees = Transformer.from_crs(32631, 4326, always_xy=True)
    (west, south), (east, north) = to_degrees.transform(left, bottom), to_degrees.transform(right, top)
    x, y = np.meshgrid(west - 0.002 + 0.0005 * (np.arange(30) + 0.5), north + 0.002 - 0.0005 * (np.arange(30) + 0.5))
    assert x.max() > east and y.min() < south
    plane = (1000 + 20000 * (x - west) + 30000 * (y - south)).astype(np.float32)
    write_tif(tmp_path / "dem_31TCJ.tif", plane, (west - 0.002, north + 0.002), 0.0005, "EPSG:4326")
    text = "@external_feature(padding=1)\ndef mine(block):\n    return block.raster('dem')"
    feature = own(text)
    feature = ChosenFeature("mine", {}, feature.source, {"dem": str(tmp_path / "dem_{tile}.tif")})
    features = TileFeatures(series, FeatureStack(series.bands, ("2018-01-01",), external=(feature,)))
    whole, clear = features.read(Block(0, 0, 40, 40))
    assert np.array_equal(by_blocks(features, 7), whole)
    cols, rows = np.meshgrid(np.arange(40) + 0.5, np.arange(40) + 0.5)
    longitude, latitude = to_degrees.transform(*(series.grid.affine * (cols, rows)))
    wanted = 1000 + 20000 * (longitude - west) + 30000 * (latitude - south)
    assert np.abs(whole[-1] - wanted)[clear > 0].max() < 0.01
    with pytest.raises(FeatureError, match="raster 'dme' is not named in `rasters`; did you mean 'dem'"):
        other = own(text.replace("'dem'", "'dme'"))
        other = ChosenFeature("mine", {}, other.source, feature.rasters)
        TileFeatures(series, FeatureStack(series.bands, ("2018-01-01",), external=(other,))).read(Block(0, 0, 4, 4))


def test_a_raster_without_a_file_is_said() -> None:
    entry = {"name": "phenology", "rasters": {"dem": "heights"}}
    params = FeatureParams.model_validate({"external": [entry]})
    series = SeriesParams.model_validate(
        {"source": "s", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-02-01"}
    )
    with pytest.raises(ParameterError, match="no file is given for the raster 'heights'; did you mean 'height'"):
        FeatureStack.of(series, params, rasters={"height": "x.tif"})
