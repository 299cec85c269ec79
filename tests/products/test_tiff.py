"""GeoTIFFs decoded without GDAL: the same pixels, and GDAL's words where anything is amiss."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from toolkit.ground.errors import ProductError
from toolkit.products import tiff
from toolkit.products.handles import close_rasters
from toolkit.products.layout import TIFF
from toolkit.products.raster import layout_of, read_into, read_window
from toolkit.products.tiff import _ROOM, PROBLEMS, READ_AT_ONCE, DamagedTile, tiff_tiles
from toolkit.products.tiff_header import PREDICTOR

SHAPE = (70, 90)
TILED = {"tiled": True, "blockxsize": 32, "blockysize": 16}
STRIPS = {"blockysize": 8}
ONE_STRIP: dict[str, Any] = {}
WINDOWS = (
    (0, 0, 70, 90),
    (16, 32, 16, 32),
    (5, 7, 40, 50),
    (-3, 60, 30, 50),
    (60, -9, 30, 20),
    (69, 89, 1, 1),
    (99, 0, 4, 4),
)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_rasters()


def write(path: Path, dtype: str, shape: tuple[int, int] = SHAPE, bands: int = 1, **options: Any) -> np.ndarray:
    """A file of noise on a slope, and its pixels."""
    rng = np.random.default_rng(0)
    slope = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))
    array = (slope + rng.integers(0, 90, shape)).astype(dtype)
    grid = {"crs": "EPSG:32631", "transform": from_origin(300000, 4900020, 10, 10)}
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=bands, dtype=dtype, **grid, **options
    ) as target:
        for band in range(bands):
            target.write(array, band + 1)
    return array


def read(path: Path, row: int, col: int, height: int, width: int, number: int = 1) -> np.ndarray:
    out = np.full((height + 2, width + 2), 77, layout_of(path).dtype)[1:-1, 1:-1]  # a view, as blocks are
    read_into(out, path, row, col, fill=3, number=number)
    return out


OURS = [
    (dtype, compress, predictor, cut)
    for (dtype, compress, predictor), cut in product(
        [
            *product(("uint8", "int16", "uint16"), ("deflate", "lzw", "zstd"), (1, 2)),
            *product(("float32",), ("deflate", "zstd"), (1, 3)),
            *product(("uint8", "int8", "int16", "float32"), (None,), (1,)),
        ],
        (TILED, STRIPS, ONE_STRIP),
    )
]


@pytest.mark.parametrize(("dtype", "compress", "predictor", "cut"), OURS)
def test_every_window_has_the_pixels_that_gdal_reads(
    tmp_path: Path, dtype: str, compress: str | None, predictor: int, cut: dict[str, Any]
) -> None:
    options = {"compress": compress, "predictor": predictor} if compress else {}
    path = tmp_path / "a.tif"
    array = write(path, dtype, **cut, **options)
    tiles = tiff_tiles(path)
    assert tiles is not None, "it is one of ours"
    with rasterio.open(path) as dataset:
        assert tiles.layout.dtype == dataset.dtypes[0]
        assert (tiles.layout.rows, tiles.layout.cols) == dataset.block_shapes[0]
    for window in WINDOWS:
        out = np.empty(window[2:], dtype)
        tiles.read(out, *window[:2], fill=3)
        assert np.array_equal(out, read_window(path, *window, fill=3)), window
    assert np.array_equal(read(path, 0, 0, *SHAPE), array)


def test_a_file_larger_than_classic_ones_can_be(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    array = write(path, "int16", **TILED, compress="deflate", BIGTIFF="YES")
    assert tiff_tiles(path) is not None
    assert np.array_equal(read(path, 0, 0, *SHAPE), array)


def test_a_cloud_optimised_file_with_overviews_and_a_mask(tmp_path: Path) -> None:
    source, path = tmp_path / "a.tif", tmp_path / "cog.tif"
    array = write(source, "int16", (600, 700), nodata=-10000)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(source, "r+") as dataset:
        dataset.write_mask(array > 100)
    rasterio.shutil.copy(source, path, driver="COG", compress="deflate", predictor="yes", blocksize=128)
    with rasterio.open(path) as dataset:
        assert dataset.overviews(1)
    tiles = tiff_tiles(path)
    assert tiles is not None and (tiles.layout.height, tiles.layout.rows) == (600, 128)
    assert np.array_equal(read(path, 0, 0, 600, 700), array)


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("int16", {"bands": 3}),
        ("int32", {}),
        ("float32", {"compress": "deflate", "predictor": 2}),
        ("int16", {"shape": (3000, 3000), "compress": "zstd", "blockysize": 3000}),  # a tile of 18 MB
        ("uint8", {"compress": "jpeg", **TILED}),
        ("int16", {"compress": "lzma"}),
        ("int16", {"ENDIANNESS": "BIG"}),
        ("uint16", {"nbits": 12}),
    ],
)
def test_what_is_not_ours_is_read_by_gdal(tmp_path: Path, dtype: str, options: dict[str, Any]) -> None:
    path = tmp_path / "a.tif"
    write(path, dtype, **options)
    assert tiff_tiles(path) is None
    assert layout_of(path).decoder != TIFF
    assert np.array_equal(read(path, 5, 7, 40, 50), read_window(path, 5, 7, 40, 50, 3))
    if options.get("bands"):
        assert np.array_equal(read(path, 0, 0, *SHAPE, number=2), read_window(path, 0, 0, *SHAPE, 3, number=2))


def test_tiles_that_were_never_written_are_gdals(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=64, width=64, count=1, dtype="int16", nodata=-5, compress="zstd",
        tiled=True, blockxsize=32, blockysize=32, SPARSE_OK=True,
    ) as target:  # fmt: skip
        target.write(np.full((32, 32), 9, np.int16), 1, window=rasterio.windows.Window(32, 0, 32, 32))
    found = read(path, 0, 0, 64, 64)
    assert (found[:32, 32:] == 9).all() and (found[32:] == -5).all() and (found[:, :32] == -5).all()


def test_a_file_that_changes_is_looked_at_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    first = write(path, "int16", **TILED, compress="deflate")
    assert np.array_equal(read(path, 0, 0, *SHAPE), first)
    second = write(path, "uint8", (40, 50), **STRIPS, compress="zstd")
    assert np.array_equal(read(path, 0, 0, 40, 50), second)
    path.unlink()
    with pytest.raises(ProductError, match="does not exist"):
        read_into(second, path, 0, 0, fill=0)


def test_threads_read_a_file_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    array = write(path, "int16", (300, 300), **TILED, compress="zstd", predictor=2)

    def window(place: int) -> bool:
        row, col = 7 * place % 200, 11 * place % 200
        return np.array_equal(read(path, row, col, 90, 80), array[row : row + 90, col : col + 80])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(window, range(200)))


def test_a_few_bytes_lost_amid_a_deflated_tile_are_noticed(tmp_path: Path) -> None:
    """By its checksum, at which GDAL does not look."""
    path = tmp_path / "a.tif"
    write(path, "int16", (300, 300), tiled=True, blockxsize=128, blockysize=128, compress="deflate", predictor=2)
    whole, tiles = path.read_bytes(), tiff_tiles(path)
    assert tiles is not None
    at = int(tiles.offsets[4] + tiles.sizes[4] // 2)
    path.write_bytes(whole[:at] + bytes(200) + whole[at + 200 :])
    with pytest.raises(ProductError, match=r"a\.tif cannot be read \(the tile in row 1, column 1 is damaged"):
        read(path, 0, 0, 300, 300)
    assert read(path, 0, 0, 128, 128).any(), "the others are as they were"


def test_a_last_strip_of_more_rows_than_the_file_is_gdals(tmp_path: Path) -> None:
    """Some write it whole."""
    path = tmp_path / "a.tif"
    array = write(path, "uint8", (20, 30), blockysize=8, compress="deflate")
    tiles, content = tiff_tiles(path), bytearray(path.read_bytes())
    assert tiles is not None and len(tiles.offsets) == 3
    longer = zlib.compress(array[16:].tobytes() + bytes(4 * 30))
    at = tag_of(content, 279)  # lengths of the strips, three short numbers somewhere else
    size, kind = len(longer), int.from_bytes(content[at + 2 : at + 4], "little")
    width = {3: 2, 4: 4}[kind]
    lengths = int.from_bytes(content[at + 8 : at + 12], "little") + 2 * width
    content[lengths : lengths + width] = size.to_bytes(width, "little")
    starts_at = tag_of(content, 273)
    starts = int.from_bytes(content[starts_at + 8 : starts_at + 12], "little") + 8
    content[starts : starts + 4] = len(content).to_bytes(4, "little")
    path.write_bytes(content + longer)
    assert np.array_equal(read(path, 0, 0, 20, 30), array)


@pytest.mark.parametrize("compress", ["deflate", "lzw", "zstd", None])
def test_what_is_damaged_is_told_in_gdals_words(tmp_path: Path, compress: str | None) -> None:
    path = tmp_path / "a.tif"
    write(path, "int16", (300, 300), **TILED, **({"compress": compress} if compress else {}))
    whole, tiles = path.read_bytes(), tiff_tiles(path)
    assert tiles is not None
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ProductError, match=r"cannot be read (?!.*previous exception)"):
        read(path, 0, 0, 300, 300)
    if compress in ("deflate", "zstd"):
        at, size = int(tiles.offsets[5]), int(tiles.sizes[5])
        path.write_bytes(whole[:at] + bytes(size) + whole[at + size :])
        close_rasters()
        with pytest.raises(ProductError, match="cannot be read"):
            read(path, 0, 0, 300, 300)


def tag_of(content: bytes, tag: int) -> int:
    """Where the entry of a tag stands in a classic TIFF."""
    at = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[at : at + 2], "little")
    (found,) = (p for p in range(at + 2, at + 2 + 12 * count, 12) if content[p : p + 2] == tag.to_bytes(2, "little"))
    return found


def test_a_tag_of_another_type_is_gdals(tmp_path: Path) -> None:
    """As predictor 1, its pixels would be differences."""
    path = tmp_path / "a.tif"
    array, content = write(path, "int16", compress="deflate", predictor=2), bytearray(path.read_bytes())
    content[tag_of(content, PREDICTOR) + 2] = 8  # a short number with a sign
    path.write_bytes(content)
    assert tiff_tiles(path) is None
    assert np.array_equal(read(path, 0, 0, *SHAPE), array)


def test_a_header_takes_no_memory_for_what_it_promises(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    entries = b"".join(struct.pack("<HHII", tag, 1, 4 << 20, 8) for tag in range(256, 556))
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 5 << 20) + bytes((5 << 20) - 8) + struct.pack("<H", 300) + entries)
    tracemalloc.start()
    try:
        assert tiff_tiles(path) is None
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


def test_a_narrow_window_of_a_wide_file_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    array = write(path, "uint8", (3000, 3000))
    tiles = tiff_tiles(path)
    assert tiles is not None and tiles.as_array

    def room() -> int:
        assert np.array_equal(read(path, 0, 2990, 3000, 9), array[:, 2990:2999])
        return len(_ROOM._tile)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(room).result() <= READ_AT_ONCE


def test_too_many_open_files_are_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    write(path, "int16", **TILED)

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert tiff_tiles(path) is None
    assert tiff_tiles(path) is not None


def test_few_places_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "MOST_KNOWN", 100)
    index, path = tiff._Index(), tmp_path
    for number in range(20):
        path = tmp_path / f"{number}.tif"
        write(path, "int16", **TILED, compress="deflate")  # 15 tiles
        assert index.of(path) is not None
        assert 15 <= index._count == sum(len(one.offsets) for _, one in index._files.values() if one) <= 100
    assert index.of(path) is index.of(path)


@given(
    places=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=6),
    options=st.sampled_from(
        [
            {**TILED, "compress": "zstd", "predictor": 2},
            {**STRIPS, "compress": "deflate"},
            {**STRIPS, "BIGTIFF": "YES"},
            {**TILED, "BIGTIFF": "YES", "compress": "lzw"},
            {},
        ]
    ),
)
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_header_brings_gdals_pixels_or_one_of_the_named_problems(
    tmp_path: Path, places: list[tuple[int, int]], options: dict[str, Any]
) -> None:
    name = "_".join(map(str, options.values()))
    whole, path = tmp_path / f"whole {name}.tif", tmp_path / "a.tif"
    if not whole.exists():
        write(whole, "int16", (64, 64), **options)
    content = bytearray(whole.read_bytes())
    for place, value in places:
        content[place % len(content)] = value
    path.write_bytes(content)
    tiles = tiff_tiles(path)
    if tiles is None:
        return
    out = np.empty((20, 20), tiles.layout.dtype)
    try:
        tiles.read(out, 3, 3, fill=0)
        wanted = read_window(path, 3, 3, 20, 20, fill=0)
    except (*PROBLEMS, DamagedTile, ProductError):
        return
    finally:
        close_rasters()
    assert np.array_equal(out, wanted)
