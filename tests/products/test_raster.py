from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_jp2, write_tif
from toolkit.ground.errors import ProductError
from toolkit.products.handles import close_rasters
from toolkit.products.raster import check_whole, grid_of, read_into, read_thinned, read_window


@pytest.fixture
def tif(tmp_path: Path) -> Path:
    yield write_tif(tmp_path / "a.tif", np.arange(30, dtype=np.int16).reshape(5, 6), (300000, 4900020), 10)
    close_rasters()


def test_window_inside_and_beyond_the_edges(tif: Path) -> None:
    assert read_window(tif, 1, 2, 2, 3, fill=-1).tolist() == [[8, 9, 10], [14, 15, 16]]
    beyond = read_window(tif, -1, 4, 3, 4, fill=-1)
    assert beyond.tolist() == [[-1, -1, -1, -1], [4, 5, -1, -1], [10, 11, -1, -1]]
    assert (read_window(tif, 100, 100, 2, 2, fill=7) == 7).all()


def test_a_view_is_read_into(tif: Path) -> None:
    whole = np.full((5, 7), 99, np.int16)
    read_into(whole[1:4, 2:6], tif, -1, 4, fill=-1)
    assert whole[1:4, 2:6].tolist() == read_window(tif, -1, 4, 3, 4, fill=-1).tolist()
    whole[1:4, 2:6] = 99
    assert (whole == 99).all()


def test_grid(tif: Path) -> None:
    assert grid_of(tif).shape == (5, 6)


def test_file_that_is_no_raster_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.tif"
    path.write_bytes(b"not a raster")
    with pytest.raises(ProductError, match=r"b\.tif cannot be read.*12 bytes.*fetch the file again"):
        grid_of(path)
    with pytest.raises(ProductError, match="does not exist"):
        grid_of(tmp_path / "c.tif")
    path.write_bytes(b"")
    with pytest.raises(ProductError, match=r"cannot be read \(it is empty\)"):
        grid_of(path)


def test_file_cut_short_is_noticed_from_its_header(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 30000, (300, 300)).astype(np.int16)
    path = write_tif(tmp_path / "a.tif", noise, (0, 3000), 10)
    check_whole(path)
    close_rasters()
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ProductError, match="cut short"):
        check_whole(path)
    with pytest.raises(ProductError, match="cannot be read"):
        read_window(path, 250, 0, 50, 300, fill=0)
    close_rasters()


@pytest.mark.parametrize("to_the_end", [False, True])
def test_jpeg_2000_cut_short_is_noticed_from_its_boxes(tmp_path: Path, to_the_end: bool) -> None:
    """The length of the last box, the code stream, is told, or it goes to the end."""
    path = write_jp2(tmp_path / "a.jp2", np.arange(6400, dtype=np.uint16).reshape(80, 80), (300000, 4900020), 10)
    whole = path.read_bytes()
    if to_the_end:
        at = whole.index(b"jp2c") - 4
        whole = whole[:at] + bytes(4) + whole[at + 4 :]
        path.write_bytes(whole)
    check_whole(path)
    close_rasters()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(ProductError, match="it is cut short"):
        check_whole(path)
    close_rasters()


def test_codes_are_not_taken_from_what_jpeg_2000_holds_reduced(tmp_path: Path) -> None:
    """A reduced code is a mean of its neighbours': between 4 and 9 there would be 6 and 7."""
    classes = np.where(np.random.default_rng(0).random((600, 600)) < 0.3, 9, 4).astype(np.uint8)
    path = write_jp2(tmp_path / "scl.jp2", classes, (300000, 4900020), 20)
    assert set(np.unique(read_thinned(path, 100, codes=True))) == {4, 9}
    assert read_thinned(path, 100, codes=True).shape == (100, 100)
    assert not set(np.unique(read_thinned(path, 100))) <= {4, 9}
    close_rasters()
