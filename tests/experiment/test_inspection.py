"""A pixel in full, held against an independent reading of the same files."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer

from toolkit import Experiment, train
from toolkit.experiment import inspection
from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.tiles import open_series
from toolkit.features.stack import FeatureStack
from toolkit.ground.errors import CatalogError, LandcoverError, ParameterError
from toolkit.ground.grid import Block
from toolkit.products.masks import THEIA_MASKS, MaskFile

TILES = ("31TCJ", "31TCK", "31TDJ", "31TDK")
INDEX_OF_BAND = {"NDVI": (1000, "B8", "B4"), "NDWI": (1000, "B11", "B8")}


@pytest.fixture(scope="module")
def experiment(finished_demo: Path) -> Experiment:
    return Experiment.load(finished_demo)


@pytest.fixture(scope="module")
def reader(experiment: Experiment) -> PixelReader:
    return PixelReader(experiment)


@pytest.fixture
def copied(finished_demo: Path, tmp_path: Path) -> Experiment:
    """The finished demo in a folder of its own, to be changed."""
    shutil.copytree(finished_demo.parent, tmp_path / "copy", symlinks=True)
    return Experiment.load(tmp_path / "copy" / finished_demo.name)


def place_of(path: Path, row: float, col: float) -> tuple[float, float]:
    """Longitude and latitude of the middle of a pixel of a raster."""
    with rasterio.open(path) as dataset:
        x, y = dataset.transform * (col + 0.5, row + 0.5)
        return Transformer.from_crs(dataset.crs, 4326, always_xy=True).transform(x, y)


def value_at(path: Path, longitude: float, latitude: float) -> int:
    with rasterio.open(path) as dataset:
        x, y = Transformer.from_crs(4326, dataset.crs, always_xy=True).transform(longitude, latitude)
        return int(next(dataset.sample([(x, y)]))[0])


def lonely(experiment: Experiment, tile: str = "31TCJ") -> tuple[float, float]:
    """A place in the outer corner of a tile, that no other tile covers."""
    return place_of(experiment.folder / "mapping" / tile / "classes.tif", 70 if tile == "31TCJ" else 8, 9)


def test_raw_values_and_masks_are_those_of_the_files(experiment: Experiment, reader: PixelReader) -> None:
    place = lonely(experiment)
    series = reader.read(*place).series
    assert series is not None
    folders = sorted((experiment.path.parent / "theia" / "31TCJ").iterdir(), key=lambda one: one.name.split("_")[1])
    assert [one.name.split("_")[1][:8] for one in folders] == [str(day).replace("-", "") for day in series.dates]
    assert series.values.dtype == np.int16 and series.values.shape == (len(folders), len(series.bands))
    for band in ("B2", "B3", "B4", "B8"):
        found = [value_at(next(one.glob(f"*_FRE_{band}.tif")), *place) for one in folders]
        np.testing.assert_array_equal(series.values[:, series.bands.index(band)], found)
    masks = [[path for kind in THEIA_MASKS for path in one.glob(f"MASKS/*_{kind}_R1.tif")] for one in folders]
    clear = [all(value_at(path, *place) == 0 for path in paths) for paths in masks]
    np.testing.assert_array_equal(series.validity, clear & (series.values != -10000).all(axis=1))
    assert 0 < series.clear_dates < len(folders)


def test_twenty_metre_bands_are_those_that_sampling_sees(experiment: Experiment, reader: PixelReader) -> None:
    (opened,) = open_series(experiment, tiles=["31TCJ"])
    report = reader.read(*lonely(experiment))
    values, validity = opened.read(Block(0, 0, *opened.grid.shape))
    assert report.series is not None
    np.testing.assert_array_equal(report.series.values, values[:, :, report.place.row, report.place.col])
    np.testing.assert_array_equal(report.series.validity, validity[:, report.place.row, report.place.col])


def test_gap_filled_curves_are_interpolated_between_clear_dates(experiment: Experiment, reader: PixelReader) -> None:
    series = reader.read(*lonely(experiment)).series
    assert series is not None
    clear = series.validity
    days, dates = series.days.astype(int), series.dates[clear].astype(int)
    expected = {
        band: np.interp(days, dates, series.values[clear, i].astype(float)) for i, band in enumerate(series.bands)
    }
    for band in series.bands:
        np.testing.assert_allclose(series.filled[band], expected[band], atol=0.01)
    for name, (scale, plus, minus) in INDEX_OF_BAND.items():
        wanted = scale * (expected[plus] - expected[minus]) / (expected[plus] + expected[minus])
        np.testing.assert_allclose(series.filled[name], wanted, atol=0.05)
    norm = np.sqrt(sum(values**2 for values in expected.values()))
    np.testing.assert_allclose(series.filled["Brightness"], norm, rtol=1e-5)


def test_measured_indices_have_the_same_formula(experiment: Experiment, reader: PixelReader) -> None:
    series = reader.read(*lonely(experiment)).series
    assert series is not None
    red, nir = (series.values[:, series.bands.index(band)].astype(float) for band in ("B4", "B8"))
    seen = (series.values != -10000).all(axis=1)
    np.testing.assert_allclose(series.measured["NDVI"][seen], (1000 * (nir - red) / (nir + red))[seen], atol=0.05)
    assert np.isnan(series.measured["NDVI"][~seen]).all()


def test_class_and_confidence_are_the_maps_and_the_models(experiment: Experiment, reader: PixelReader) -> None:
    rng = np.random.default_rng(0)
    mosaic = experiment.folder / "mapping" / "classes.tif"
    with rasterio.open(mosaic) as dataset:
        classes, height, width = dataset.read(1), dataset.height, dataset.width
    told = 0
    for row, col in zip(rng.integers(0, height, 40), rng.integers(0, width, 40), strict=True):
        if classes[row, col] == 0:
            continue
        place = place_of(mosaic, row, col)
        report = reader.read(*place)
        assert report.mapped is not None and report.probabilities is not None
        assert not any("another model" in note for note in report.notes)
        assert report.code == report.mapped.code == classes[row, col]
        folder = experiment.folder / "mapping" / report.place.tile
        assert report.mapped.confidence == value_at(folder / "confidence.tif", *place)
        assert report.mapped.validity == value_at(folder / "validity.tif", *place) == report.clear_dates
        shares = list(report.probabilities.values())
        assert sum(shares) == pytest.approx(1, abs=1e-5) and shares == sorted(shares, reverse=True)
        assert next(iter(report.probabilities)) == report.code
        assert round(100 * shares[0]) == report.mapped.confidence
        told += 1
    assert told > 20


def test_where_tiles_overlap_the_pixel_is_of_the_tile_in_the_mosaic(
    experiment: Experiment, reader: PixelReader
) -> None:
    mosaic = experiment.folder / "mapping" / "classes.tif"
    with rasterio.open(mosaic) as dataset:
        height, width = dataset.shape
    place = place_of(mosaic, height // 2 - 2, width // 2 - 2)
    report = reader.read(*place)
    over = [tile for tile in TILES if inside(experiment.folder / "mapping" / tile / "classes.tif", *place)]
    assert report.place.also_in and {report.place.tile, *report.place.also_in} == set(over)
    middles = {tile: to_middle(experiment.folder / "mapping" / tile / "classes.tif", *place) for tile in over}
    assert report.place.tile == min(middles, key=lambda tile: middles[tile])
    assert report.notes[0].startswith("Also in ") and report.place.tile in report.notes[0]


def inside(path: Path, longitude: float, latitude: float) -> bool:
    with rasterio.open(path) as dataset:
        x, y = Transformer.from_crs(4326, dataset.crs, always_xy=True).transform(longitude, latitude)
        return dataset.bounds.left <= x < dataset.bounds.right and dataset.bounds.bottom < y <= dataset.bounds.top


def to_middle(path: Path, longitude: float, latitude: float) -> float:
    with rasterio.open(path) as dataset:
        x, y = Transformer.from_crs(4326, dataset.crs, always_xy=True).transform(longitude, latitude)
        return float(np.hypot(x - sum(dataset.bounds[::2]) / 2, y - sum(dataset.bounds[1::2]) / 2))


@pytest.mark.parametrize("role", ["train", "test"])
def test_ground_truth_is_the_polygon_under_the_place(experiment: Experiment, reader: PixelReader, role: str) -> None:
    frame = gpd.read_file(experiment.folder / "ground_truth" / f"{role}.gpkg")
    one = frame.iloc[len(frame) // 2]
    point = gpd.GeoSeries([one.geometry.representative_point()], crs=frame.crs).to_crs(4326).iloc[0]
    truth = reader.read(point.x, point.y).truth
    assert truth is not None
    assert (truth.code, truth.role, truth.polygon) == (one["code"], role, one["polygon"])


def test_without_a_polygon_there_is_no_ground_truth(experiment: Experiment, reader: PixelReader) -> None:
    mosaic = experiment.folder / "mapping" / "classes.tif"
    frame = gpd.read_file(experiment.folder / "ground_truth" / "clean.gpkg").to_crs(4326)
    free = next(
        place for row in range(5, 60) if not frame.intersects(shapely.Point(place := place_of(mosaic, row, 30))).any()
    )
    report = reader.read(*free)
    assert report.truth is None
    assert "no ground truth here" in report.words


def test_before_the_split_the_polygon_has_no_role(copied: Experiment) -> None:
    for role in ("train", "test"):
        (copied.folder / "ground_truth" / f"{role}.gpkg").unlink()
    frame = gpd.read_file(copied.folder / "ground_truth" / "clean.gpkg")
    point = gpd.GeoSeries([frame.geometry.iloc[0].representative_point()], crs=frame.crs).to_crs(4326).iloc[0]
    truth = PixelReader(copied).read(point.x, point.y).truth
    assert truth is not None and truth.role is None
    assert truth.code in set(frame["code"])


def test_outside_of_all_tiles_is_told(reader: PixelReader) -> None:
    with pytest.raises(ParameterError, match=r"longitude 10\.0000, latitude 50\.0000 lies in none of the tiles 31TCJ"):
        reader.read(10, 50)


def test_a_change_of_the_period_is_seen(copied: Experiment) -> None:
    reader, place = PixelReader(copied), lonely(copied)
    before = reader.read(*place)
    copied.set({"series.start": "2018-04-01", "series.end": "2018-09-30", "series.margin_days": 0})
    after = reader.read(*place)
    assert before.series is not None and after.series is not None
    assert len(after.series.dates) < len(before.series.dates)
    assert after.series.dates.min() >= np.datetime64("2018-04-01") and str(after.series.days[0]) == "2018-04-01"
    assert after.mapped == before.mapped
    assert after.probabilities is None
    assert any("the feature stack has" in note and "missing B2_20180101" in note for note in after.notes)


def test_an_area_moves_the_row_and_column(copied: Experiment) -> None:
    reader, place = PixelReader(copied), lonely(copied)
    before = reader.read(*place)
    longitude, latitude = place
    copied.set({"series.area": (longitude - 0.0005, latitude - 0.0005, longitude + 0.01, latitude + 0.0005)})
    after = reader.read(*place)
    assert before.series is not None and after.series is not None
    assert (after.place.row, after.place.col) != (before.place.row, before.place.col)
    np.testing.assert_array_equal(after.series.values, before.series.values)
    elsewhere = reader.read(longitude - 0.0005, latitude + 0.001)
    assert elsewhere.series is None and elsewhere.mapped is not None
    assert any("another series.area" in note for note in elsewhere.notes)


def test_a_new_map_is_seen(copied: Experiment) -> None:
    reader, place = PixelReader(copied), lonely(copied)
    before = reader.read(*place)
    path = copied.folder / "mapping" / "31TCJ" / "classes.tif"
    other = next(code for code in copied.nomenclature.codes.tolist() if code != before.code)
    with rasterio.open(path) as dataset:
        profile, classes = dataset.profile, dataset.read(1)
    path.unlink()
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.full_like(classes, other), 1)
    after = reader.read(*place)
    assert after.code == other != before.code
    assert any("another model" in note for note in after.notes)


def test_a_new_model_is_seen(copied: Experiment) -> None:
    reader, place = PixelReader(copied), lonely(copied)
    before = reader.read(*place)
    copied.set({"seed": 1})
    train(copied, overwrite=True)
    assert reader.read(*place).probabilities != before.probabilities


def test_without_a_map_the_model_tells_the_class(copied: Experiment) -> None:
    place = lonely(copied)
    with_map = PixelReader(copied).read(*place)
    shutil.rmtree(copied.folder / "mapping")
    report = PixelReader(copied).read(*place)
    assert report.mapped is None and report.code == with_map.code
    assert report.confidence == pytest.approx(with_map.confidence, abs=0.0051)
    assert "Not classified yet: `classify` makes the map." in report.notes


def test_without_a_run_there_is_the_series(copied: Experiment) -> None:
    place = lonely(copied)
    shutil.rmtree(copied.folder)
    report = PixelReader(copied).read(*place)
    assert report.series is not None and report.series.clear_dates
    assert report.code is None and report.probabilities is None and report.truth is None
    assert "No model yet: `train` makes it." in report.notes
    assert "no class" in repr(report)


def test_without_images_there_is_the_map(copied: Experiment) -> None:
    place = lonely(copied)
    (copied.path.parent / "theia").unlink()
    report = PixelReader(copied).read(*place)
    assert report.series is None and report.mapped is not None and report.code
    assert report.clear_dates == report.mapped.validity
    assert any("theia" in note and "does not exist" in note for note in report.notes)
    assert report.to_frame().empty


def test_where_only_the_mosaic_is_left_it_is_read(copied: Experiment) -> None:
    place = lonely(copied)
    before = PixelReader(copied).read(*place)
    for tile in TILES:
        shutil.rmtree(copied.folder / "mapping" / tile)
    after = PixelReader(copied).read(*place)
    assert before.mapped is not None and after.mapped is not None
    assert (after.mapped.code, after.mapped.confidence) == (before.mapped.code, before.mapped.confidence)
    assert after.mapped.validity is None and after.clear_dates == before.clear_dates


def test_with_neither_images_nor_maps_the_reason_is_told(copied: Experiment) -> None:
    place = lonely(copied)
    shutil.rmtree(copied.folder)
    (copied.path.parent / "theia").unlink()
    reader = PixelReader(copied)
    reader.warm()
    with pytest.raises(CatalogError, match="does not exist"):
        reader.read(*place)


def test_a_pixel_that_was_never_clear_has_neither_class_nor_line(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MaskFile, "is_clear", lambda self, mask, out=None: np.zeros(mask.shape, bool))
    report = PixelReader(experiment).read(*lonely(experiment))
    assert report.series is not None and report.clear_dates == 0 and report.probabilities is None
    assert np.isnan(report.series.curve("NDVI").line_values).all()


def test_warming_reads_no_image_twice(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = PixelReader(experiment)
    reader.warm()

    def opened_again(*_: object, **__: object) -> None:
        raise AssertionError("the images were opened before")

    monkeypatch.setattr(inspection, "open_series", opened_again)
    for tile in TILES:
        assert reader.read(*lonely(experiment, tile)).series is not None


def test_any_thread_may_read(experiment: Experiment, reader: PixelReader) -> None:
    places = [lonely(experiment, tile) for tile in TILES] * 3
    expected = [reader.read(*place).words for place in places]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda place: reader.read(*place).words, places)) == expected


def test_report_in_words_and_as_a_table(experiment: Experiment, reader: PixelReader) -> None:
    report = reader.read(*lonely(experiment))
    assert report.series is not None and report.code is not None and report.confidence is not None
    label = experiment.nomenclature.label(report.code)
    head = f"31TCJ row {report.place.row}, column {report.place.col} · {label} {report.confidence:.2f}"
    seen = f"{report.clear_dates} clear dates, longest gap {report.longest_gap} days"
    assert report.words.startswith(f"{head} · {seen} · ")
    assert report.words in repr(report) and label in report._repr_html_()
    frame = report.to_frame()
    assert list(frame.columns[:6]) == ["longitude", "latitude", "tile", "date", "kind", "clear"]
    assert tuple(frame.columns[6:]) == report.series.names
    measured = frame[frame["kind"] == "measured"]
    np.testing.assert_allclose(measured["B4"], report.series.measured["B4"] / 10000, atol=1e-5)
    assert measured["clear"].sum() == report.clear_dates
    filled = frame[frame["kind"] == "gap-filled"]
    np.testing.assert_allclose(filled["NDVI"], report.series.filled["NDVI"] / 1000, atol=1e-5)
    assert filled["clear"].isna().all()


def test_an_unreadable_map_is_told(copied: Experiment) -> None:
    place = lonely(copied)
    (copied.folder / "mapping" / "31TCJ" / "confidence.tif").write_bytes(b"nothing")
    with pytest.raises(LandcoverError, match=r"confidence\.tif cannot be read .* make it again"):
        PixelReader(copied).read(*place)


def test_a_damaged_map_is_named_instead_of_its_tile_denied(copied: Experiment) -> None:
    place = lonely(copied)
    path = copied.folder / "mapping" / "31TCJ" / "classes.tif"
    path.write_bytes(b"junk")
    with pytest.raises(LandcoverError, match=r"31TCJ/classes\.tif cannot be read .* make it again"):
        PixelReader(copied).read(*place)


def test_methods_are_compared_on_what_was_read_once(experiment: Experiment, reader: PixelReader) -> None:
    place = lonely(experiment)
    report = reader.read(*place, methods=("linear", "whittaker", "previous"))
    series = report.series
    assert series is not None and series.method == "linear" and list(series.others) == ["whittaker", "previous"]
    for method in series.others:
        other = Experiment(experiment.params, experiment.path)
        other.set({"series.gap_filling": {"method": method}})
        alone = PixelReader(other).read(*place).series
        assert alone is not None
        for name in series.names:
            np.testing.assert_array_equal(series.others[method][name], alone.filled[name])
    own, *others = series.curves("NDVI", "1 field", "#000000")
    assert [one.name for one in others] == ["1 field · whittaker", "1 field · previous"]
    assert len(own.days) and not own.dash and all(one.dash and not len(one.days) for one in others)
    assert series.longest_gap >= max(np.diff(series.dates[series.validity]).astype(int))


def test_without_classes_the_series_is_the_same_and_nothing_else_is_asked(
    experiment: Experiment, reader: PixelReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = lonely(experiment)
    whole = reader.read(*place)
    monkeypatch.setattr(FeatureStack, "compute", None)
    alone = PixelReader(experiment, classes=False)
    report = alone.read(*place)
    assert report.series is not None and whole.series is not None
    for name in report.series.names:
        np.testing.assert_array_equal(report.series.filled[name], whole.series.filled[name])
    assert report.mapped is None and report.probabilities is None and report.notes == ()
    assert "class" not in report.series_words and report.truth == whole.truth
    longitude, latitude = alone.middle("31TCJ")
    assert alone.read(longitude, latitude).place.tile == "31TCJ"
