from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_tif
from toolkit.ground.errors import ProductError
from toolkit.products.raster import check_whole, close_rasters, grid_of, read_window


@pytest.fixture
def tif(tmp_path: Path) -> Path:
    yield write_tif(tmp_path / "a.tif", np.arange(30, dtype=np.int16).reshape(5, 6), (300000, 4900020), 10)
    close_rasters()


def test_window_inside_and_beyond_the_edges(tif: Path) -> None:
    assert read_window(tif, 1, 2, 2, 3, fill=-1).tolist() == [[8, 9, 10], [14, 15, 16]]
    beyond = read_window(tif, -1, 4, 3, 4, fill=-1)
    assert beyond.tolist() == [[-1, -1, -1, -1], [4, 5, -1, -1], [10, 11, -1, -1]]
    assert (read_window(tif, 100, 100, 2, 2, fill=7) == 7).all()


def test_grid(tif: Path) -> None:
    assert grid_of(tif).shape == (5, 6)


def test_file_that_is_no_raster_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.tif"
    path.write_bytes(b"not a raster")
    with pytest.raises(ProductError, match=r"b\.tif cannot be read.*12 bytes.*fetch the file again"):
        grid_of(path)
    with pytest.raises(ProductError, match="does not exist"):
        grid_of(tmp_path / "c.tif")


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
