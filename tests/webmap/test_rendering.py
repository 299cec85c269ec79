"""Pictures of layers: exact colours and true classes at every zoom, in the right place; what is not there is clear."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from scipy.ndimage import gaussian_filter

from tests.conftest import write_jp2, write_tif
from tests.webmap.conftest import (
    LEFT,
    PIXEL,
    TOP,
    centres,
    colours,
    patches,
    pixels,
    square_at,
    write_classes,
    write_strips,
)
from toolkit.ground.errors import ProductError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.webmap import reduced, sources
from toolkit.webmap.layers import Composite, Indexed, Ramp, RasterLayer
from toolkit.webmap.rendering import bounds_of, render, square

GREY = Ramp(0, 255, ((0, 0, 0), (255, 255, 255)))
STRETCH = Composite((0, 0, 0), (1000, 2000, 4000))
NATIVE = 14
"""The zoom at which a pixel of a square is about one of 10 m at 44 degrees north."""


def middle(layer: RasterLayer) -> tuple[float, float]:
    """Longitude and latitude."""
    (south, west), (north, east) = bounds_of(layer)
    return (west + east) / 2, (south + north) / 2


def extent(layer: RasterLayer) -> tuple[float, float, float, float]:
    """West, south, east and north in web mercator, metres."""
    (south, west), (north, east) = bounds_of(layer)
    return Transformer.from_crs(4326, 3857, always_xy=True).transform_bounds(west, south, east, north)


def positions(zoom: int, x: int, y: int, crs: str = "EPSG:32631", left: float = LEFT) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the file, with fractions, of each pixel's centre of a square: exactly, and slowly."""
    across, along = Transformer.from_crs(3857, crs, always_xy=True).transform(*centres(zoom, x, y))
    return (TOP - along) / PIXEL, (across - left) / PIXEL


def nearest(values: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Values at these positions; 0 outside."""
    row, col = np.floor(rows).astype(int), np.floor(cols).astype(int)
    inside = (row >= 0) & (col >= 0) & (row < values.shape[0]) & (col < values.shape[1])
    return np.where(inside, values[row.clip(0, values.shape[0] - 1), col.clip(0, values.shape[1] - 1)], 0)


def palette(names: Nomenclature) -> np.ndarray:
    """Colour of every value, uint8 (256, 4)."""
    table = np.zeros((256, 4), np.uint8)
    for value, colour in names.colour_table().items():
        table[value] = colour
    return table


def test_every_zoom_shows_exact_colours_only(class_layer: RasterLayer, names: Nomenclature) -> None:
    exact = colours(palette(names))
    for zoom in range(4, 20):
        x, y = square_at(*middle(class_layer), zoom)
        seen = colours(pixels(square(class_layer, zoom, x, y)))
        assert seen, f"zoom {zoom} shows nothing"
        assert seen <= exact, f"zoom {zoom}"


@pytest.mark.parametrize("zoom", [NATIVE, NATIVE + 2, NATIVE + 4])
def test_each_pixel_is_the_file_s_nearest(
    class_layer: RasterLayer, codes: np.ndarray, names: Nomenclature, zoom: int
) -> None:
    x, y = square_at(*middle(class_layer), zoom)
    rows, cols = positions(zoom, x, y)
    wanted = palette(names)[nearest(codes, rows, cols)]
    differs = (pixels(square(class_layer, zoom, x, y)) != wanted).any(axis=-1)
    border = np.minimum(np.abs(rows - np.rint(rows)), np.abs(cols - np.rint(cols)))
    assert border[differs].max(initial=0) < 0.15, "only where two pixels of the file meet"
    assert differs.mean() < 0.06


@pytest.mark.parametrize("zoom", [10, 11, 12, 13])
def test_zoomed_out_a_pixel_is_a_class_that_is_there(
    class_layer: RasterLayer, codes: np.ndarray, names: Nomenclature, zoom: int
) -> None:
    x, y = square_at(*middle(class_layer), zoom)
    seen, (rows, cols) = pixels(square(class_layer, zoom, x, y)), positions(zoom, x, y)
    half = 2 ** (NATIVE - zoom)
    for row, col in np.random.default_rng(0).integers(0, 256, (200, 2)):
        top, left = int(rows[row, col]), int(cols[row, col])
        if seen[row, col, 3]:
            around = codes[max(0, top - half) : top + half + 1, max(0, left - half) : left + half + 1]
            assert seen[row, col].tolist() in palette(names)[np.unique(around)].tolist()


def test_squares_of_all_zooms_cover_the_file_and_nothing_else(class_layer: RasterLayer, codes: np.ndarray) -> None:
    for zoom in (9, 12):
        x, y = square_at(*middle(class_layer), zoom)
        for column, row in ((x, y), (x + 1, y), (x, y + 1)):
            found = square(class_layer, zoom, column, row)
            rows, cols = positions(zoom, column, row)
            inside = nearest(np.ones_like(codes), rows, cols) > 0
            shown = np.zeros((256, 256), bool) if found is None else pixels(found)[..., 3] > 0
            hole = (rows > -8) & (rows < codes.shape[0] // 8 + 8) & (cols > -8) & (cols < codes.shape[1] // 8 + 8)
            edge = np.min([np.abs(rows), np.abs(cols), np.abs(rows - 2300), np.abs(cols - 2300)], axis=0) < 40
            assert (shown == inside)[~hole & ~edge].all()


def test_no_data_is_clear_and_alpha_is_all_or_nothing(class_layer: RasterLayer) -> None:
    seen = pixels(render(class_layer, extent(class_layer), 300, 300))
    assert set(np.unique(seen[..., 3]).tolist()) == {0, 255}
    assert not seen[12:25, 12:25].any(), "the corner without data"


def test_values_without_a_colour_are_clear(class_map: Path, codes: np.ndarray) -> None:
    one = RasterLayer((class_map,), Indexed({7: (1, 2, 3, 255), 8: (9, 9, 9, 0)}), 0)
    x, y = square_at(*middle(one), NATIVE)
    seen = pixels(square(one, NATIVE, x, y))
    assert colours(seen) == {(1, 2, 3, 255)}
    expected = (nearest(codes, *positions(NATIVE, x, y)) == 7).mean()
    assert (seen[..., 3] > 0).mean() == pytest.approx(expected, abs=0.005)


def test_outside_there_is_no_picture(class_layer: RasterLayer) -> None:
    x, y = square_at(*middle(class_layer), 12)
    assert square(class_layer, 12, x + 20, y) is None
    assert square(class_layer, 12, x, y - 20) is None
    for nowhere in ((-1, 0, 0), (2, 4, 0), (2, 0, -1), (25, 0, 0)):
        assert square(class_layer, *nowhere) is None


def test_square_is_the_view_of_its_bounds(class_layer: RasterLayer) -> None:
    x, y = square_at(*middle(class_layer), 13)
    across, along = centres(13, x, y)
    half = (across[0, 1] - across[0, 0]) / 2
    bounds = (across.min() - half, along.min() - half, across.max() + half, along.max() + half)
    assert (pixels(render(class_layer, bounds, 256, 256)) == pixels(square(class_layer, 13, x, y))).mean() > 0.999
    wide = pixels(render(class_layer, bounds, 512, 100))
    assert wide.shape == (100, 512, 4)


@pytest.mark.parametrize("view", [((0, 0, 0, 1), 5, 5), ((0, 0, 1, 1), 0, 5), ((0, 0, 1, 1), 5, 5000)])
def test_a_view_that_cannot_be_is_refused(class_layer: RasterLayer, view: tuple) -> None:
    with pytest.raises(ValueError, match="no view"):
        render(class_layer, *view)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32"])
def test_ramp_runs_from_low_to_high(tmp_path: Path, dtype: str) -> None:
    values = np.broadcast_to(np.linspace(0, 120, 300), (300, 300)).astype(dtype)
    layer = RasterLayer((write_strips(tmp_path / "a.tif", values),), Ramp(20, 100, ((0, 0, 100), (200, 0, 100))))
    x, y = square_at(*middle(layer), NATIVE)
    seen, there = pixels(square(layer, NATIVE, x, y)), nearest(values, *positions(NATIVE, x, y)) > 0
    wanted = np.clip((nearest(values, *positions(NATIVE, x, y)).astype(float) - 20) / 80, 0, 1) * 200
    assert np.abs(seen[..., 0].astype(float) - wanted)[there].mean() < 1.5
    assert (seen[there][:, 1:] == (0, 100, 255)).mean() > 0.98


def test_ramp_of_one_value_does_not_fail(tmp_path: Path) -> None:
    layer = RasterLayer((write_strips(tmp_path / "a.tif", np.full((300, 300), 5, np.uint8)),), Ramp(5, 5, GREY.colours))
    seen = pixels(square(layer, NATIVE, *square_at(*middle(layer), NATIVE)))
    assert set(seen[seen[..., 3] > 0][:, 0].tolist()) == {0}


@pytest.mark.parametrize("nodata", [float("nan"), None])
def test_not_a_number_is_clear(tmp_path: Path, nodata: float | None) -> None:
    values = np.full((300, 300), 50, np.float32)
    values[:, :150] = np.nan
    layer = RasterLayer((write_strips(tmp_path / "a.tif", values),), GREY, nodata, averaged=True)
    for size in (600, 70):  # finer and coarser than the file
        seen = pixels(render(layer, extent(layer), size, size))
        assert (seen[..., 3] > 0).mean() == pytest.approx(0.5, abs=0.04)
        assert {colour[0] for colour in colours(seen)} <= {49, 50, 51}


@pytest.mark.parametrize("nodata", [-10000, 300, float("nan"), 0.5])
def test_nodata_that_no_pixel_can_have_hides_nothing(tmp_path: Path, nodata: float) -> None:
    layer = RasterLayer((write_strips(tmp_path / "a.tif", np.full((300, 300), 44, np.uint8)),), GREY, nodata)
    assert {colour[0] for colour in colours(pixels(render(layer, extent(layer), 100, 100)))} == {44}


def bands(folder: Path, size: int = 700, nodata: int = -10000) -> tuple[Path, Path, Path]:
    """Red, green and blue with 500, 1000 and 1000, and nothing in the west."""
    paths = []
    for name, value in (("red", 500), ("green", 1000), ("blue", 1000)):
        values = np.full((size, size), value, np.int16)
        values[:, : size // 2] = nodata
        paths.append(write_strips(folder / f"{name}.tif", values))
    return tuple(paths)  # type: ignore[return-value]


@pytest.mark.parametrize("zoom", [10, 12, NATIVE, 16])
def test_composite_is_stretched_band_by_band_and_clear_without_data(tmp_path: Path, zoom: int) -> None:
    layer = RasterLayer(bands(tmp_path), STRETCH, -10000, averaged=True)
    seen = pixels(square(layer, zoom, *square_at(*middle(layer), zoom)))
    assert colours(seen) == {(128, 128, 64, 255)}, "no trace of -10000 at the edge"
    assert set(np.unique(seen[..., 3]).tolist()) == {0, 255}


def test_composite_without_gaps_has_no_alpha(tmp_path: Path) -> None:
    files = tuple(write_strips(tmp_path / f"{i}.tif", np.full((900, 900), 500, np.int16)) for i in range(3))
    layer = RasterLayer(files, STRETCH, -10000)
    x, y = square_at(*middle(layer), 16)
    assert (pixels(square(layer, 16, x, y)) == (128, 64, 32, 255)).all()


def test_averaged_values_are_means_and_others_are_true(tmp_path: Path) -> None:
    rows, cols = np.indices((1200, 1200))
    path = write_strips(tmp_path / "board.tif", (((rows + cols) % 2) * 200).astype(np.uint8))
    for averaged, expected in ((True, range(80, 121)), (False, (0, 200))):
        layer = RasterLayer((path,), GREY, averaged=averaged)
        seen = pixels(square(layer, 11, *square_at(*middle(layer), 11)))
        inside = seen[seen[..., 3] > 0][:, 0]
        assert np.isin(inside, list(expected)).mean() > 0.97


def test_a_large_file_without_overviews_is_read_once_for_zoomed_out_views(
    tmp_path: Path, names: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    original = reduced.reduced
    monkeypatch.setattr(
        reduced, "reduced", lambda dataset, *rest: made.append(dataset.name) or original(dataset, *rest)
    )
    codes = patches(4200)
    plain = RasterLayer((write_strips(tmp_path / "plain.tif", codes, nodata=0),), Indexed(names.colour_table()), 0)
    proper = RasterLayer((write_classes(tmp_path / "proper.tif", codes, names),), plain.style, 0)
    for zoom in (9, 10, 11):
        x, y = square_at(*middle(plain), zoom)
        one, other = pixels(square(plain, zoom, x, y)), pixels(square(proper, zoom, x, y))
        assert colours(one) <= colours(palette(names))
        assert (one[..., 3] == other[..., 3]).all()
        if zoom > 9:  # here both have the same reduction
            assert (one == other).all()
    assert made == [str(tmp_path / "plain.tif")]
    square(plain, NATIVE, *square_at(*middle(plain), NATIVE))
    assert len(made) == 1


def test_tiles_of_two_zones_lie_one_over_another(tmp_path: Path, names: Nomenclature) -> None:
    style = Indexed(names.colour_table())
    to_zone_30 = Transformer.from_crs("EPSG:32631", "EPSG:32630", always_xy=True)
    left = to_zone_30.transform(LEFT, TOP)[0]
    west = RasterLayer(
        (write_strips(tmp_path / "30.tif", np.full((900, 900), 3, np.uint8), "EPSG:32630", left),), style, 0
    )
    east = RasterLayer((write_strips(tmp_path / "31.tif", np.full((900, 900), 9, np.uint8)),), style, 0)
    (south, west_edge), (north, east_edge) = bounds_of([west, east])
    assert west_edge == min(bounds_of(west)[0][1], bounds_of(east)[0][1])
    assert (south, north) == (
        min(bounds_of(one)[0][0] for one in (west, east)),
        max(bounds_of(one)[1][0] for one in (west, east)),
    )
    assert east_edge == max(bounds_of(west)[1][1], bounds_of(east)[1][1])
    x, y = square_at(*middle(east), 12)
    below, above = (tuple(palette(names)[code].tolist()) for code in (3, 9))
    for stack in ((west, east), (east, west)):
        seen = pixels(square(stack, 12, x, y))
        alone = [pixels(square(one, 12, x, y))[..., 3] > 0 for one in stack]
        on_top = above if stack[1] is east else below
        assert (seen[alone[1]] == on_top).all(), "the last lies on top"
        assert ((seen[..., 3] > 0) == (alone[0] | alone[1])).all()
        assert colours(seen) <= {below, above}


def test_changed_file_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    layer = RasterLayer((path,), GREY)
    for value in (10, 200):
        write_strips(tmp_path / "new.tif", np.full((300, 300), value, np.uint8)).replace(path)
        seen = pixels(square(layer, NATIVE, *square_at(*middle(layer), NATIVE)))
        assert set(seen[seen[..., 3] > 0][:, 0].tolist()) == {value}


def test_more_files_than_handles_in_many_threads(
    tmp_path: Path, names: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "OPEN_FILES", 8)
    style, found = Indexed(names.colour_table()), {}
    layers = [
        RasterLayer((write_strips(tmp_path / f"{i}.tif", np.full((300, 300), i % 23 + 1, np.uint8)),), style, 0)
        for i in range(20)
    ]

    def draw(part: list[RasterLayer]) -> None:
        for layer in part:
            seen = pixels(square(layer, NATIVE, *square_at(*middle(layer), NATIVE)))
            found[layer.files[0]] = colours(seen)

    threads = [threading.Thread(target=draw, args=(part,)) for part in (layers, layers[::-1], layers[10:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {layer.files[0]: {names.colour_table()[i % 23 + 1]} for i, layer in enumerate(layers)}


def test_file_that_is_no_raster_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"not a tiff")
    layer = RasterLayer((tmp_path / "a.tif",), GREY)
    with pytest.raises(ProductError, match=r"a\.tif cannot be read .* make it again"):
        bounds_of(layer)
    with pytest.raises(ProductError, match=r"a\.tif cannot be read"):
        square(layer, 0, 0, 0)


def test_file_cut_short_is_told(tmp_path: Path) -> None:
    path = write_strips(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 255, (900, 900)).astype(np.uint8))
    layer = RasterLayer((path,), GREY)
    at = square_at(*middle(layer), NATIVE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(ProductError, match=r"a\.tif cannot be read"):
        square(layer, NATIVE, *at)


def test_file_without_a_place_is_told(tmp_path: Path) -> None:
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", count=1, dtype="uint8", height=9, width=9,
                       transform=rasterio.transform.from_origin(0, 9, 1, 1)) as target:  # fmt: skip
        target.write(np.ones((9, 9), np.uint8), 1)
    with pytest.raises(ProductError, match="no coordinate reference system"):
        bounds_of(RasterLayer((tmp_path / "a.tif",), GREY))


def test_vanished_file_is_told(tmp_path: Path) -> None:
    path = write_strips(tmp_path / "a.tif", np.ones((300, 300), np.uint8))
    layer = RasterLayer((path,), GREY)
    at = square_at(*middle(layer), NATIVE)
    assert square(layer, NATIVE, *at)
    path.unlink()
    with pytest.raises(ProductError, match=r"a\.tif cannot be read"):
        square(layer, NATIVE, *at)


def test_jpeg_2000_gives_the_same_picture_as_geotiff(tmp_path: Path) -> None:
    """To the bit from near; nearly so from afar, where it is of what the file holds reduced: no plain means."""
    rng = np.random.default_rng(0)
    bands = [gaussian_filter(rng.normal(size=(512, 512)), 6) * 8000 + 2000 for _ in range(3)]
    both = []
    for ending, write in ((".tif", write_tif), (".jp2", write_jp2)):
        files = tuple(
            write(tmp_path / f"{place}{ending}", band.clip(1).astype(np.uint16), (LEFT, TOP), PIXEL)
            for place, band in enumerate(bands)
        )
        both.append(RasterLayer(files, Composite((1000, 1000, 1000), (4000, 4000, 4000)), 0, True))
    assert sources.source_of(both[1].files[0]).factors[:2] == (1, 2)
    for size, most in ((1024, 0), (64, 8)):
        tif, jp2 = (pixels(render(layer, extent(layer), size, size)).astype(int) for layer in both)
        inside = (tif[..., 3] == 255) & (jp2[..., 3] == 255)
        assert inside.mean() > 0.9
        assert np.abs(tif - jp2)[inside].mean() <= most
