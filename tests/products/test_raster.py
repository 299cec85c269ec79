import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_jp2, write_tif
from toolkit.ground.errors import ProductError
from toolkit.products import raster
from toolkit.products.raster import (
    check_whole,
    close_rasters,
    grid_of,
    open_raster,
    read_as_free,
    read_into,
    read_thinned,
    read_window,
    shared_raster,
    use_raster_memory,
)


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


def run(code: str, *arguments: object, **environment: str) -> str:
    """What a fresh process prints: limits of a process are best not played with in this one."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    found = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


MANY = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[3])))
from toolkit.products.raster import read_window

files, together = sorted(Path(sys.argv[1]).iterdir()), Barrier(2)

def read_all(_):
    together.wait()
    return sum(int(read_window(path, 0, 0, 5, 6, fill=0).sum()) for path in files * 2)

with ThreadPoolExecutor(2) as pool:
    print(*pool.map(read_all, range(2)), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.fixture
def many(tif: Path, tmp_path: Path) -> Path:
    """A folder of 330 copies of a raster."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(330):
        (folder / f"{number}.tif").write_bytes(tif.read_bytes())
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
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


def test_threads_share_the_files_that_the_process_may_open(many: Path) -> None:
    whole = str(330 * 2 * 435)
    assert run(MANY, many, 300, 300).split() == [whole, whole, "300"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_the_soft_limit_of_open_files_is_raised(many: Path) -> None:
    assert run(MANY, many, 300, 3000).split()[-1] == "3000"


def test_a_threads_handles_stay_within_its_share(tif: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_rasters()
    monkeypatch.setattr(raster, "_share", lambda: 3)
    copies = [tmp_path / f"{number}.tif" for number in range(5)]
    for copy in copies:
        copy.write_bytes(tif.read_bytes())
    handles = [open_raster(copy) for copy in copies]
    assert [handle.closed for handle in handles] == [True, True, False, False, False]
    assert open_raster(copies[2]) is handles[2]
    open_raster(copies[0])
    assert handles[3].closed and not handles[2].closed, "the one used longest ago goes first"


def test_a_shared_handle_is_of_one_thread_at_a_time(tif: Path) -> None:
    users: list[int] = []

    def use(_: int) -> object:
        with shared_raster(tif) as dataset, shared_raster(tif) as again:
            assert dataset is again, "the same thread may ask for it once more"
            users.append(1)
            assert sum(users) == 1
            read_into(np.empty((5, 6), np.int16), tif, 0, 0, fill=0)
            users.append(-1)
            return dataset

    with ThreadPoolExecutor(4) as pool:
        handles = set(pool.map(use, range(40)))
    (dataset,) = handles
    assert not dataset.closed, "it is kept open for the next"
    close_rasters()
    assert dataset.closed


def test_shared_handles_are_closed_where_memory_is_short_but_for_those_in_use(tif: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.tif"
    other.write_bytes(tif.read_bytes())
    use_raster_memory(64, keep_open=False)
    try:
        with shared_raster(tif) as first:
            with shared_raster(other) as second:
                assert not first.closed
            assert second.closed and not first.closed
    finally:
        use_raster_memory(raster.GDAL_CACHE, keep_open=True)


def test_a_file_that_could_not_be_opened_is_tried_again(tif: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.tif"
    with pytest.raises(ProductError, match="does not exist"), shared_raster(late):
        pass
    late.write_bytes(tif.read_bytes())
    with shared_raster(late) as dataset:
        assert dataset.shape == (5, 6)


def test_too_many_open_files_is_told_as_what_it_is(tif: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise raster.RasterioError(f"{path}: Too many open files")

    monkeypatch.setattr(raster.rasterio, "open", refuse)
    with pytest.raises(ProductError, match=r"all [\d,]+ files open that it may; raise the limit with `ulimit -n`"):
        grid_of(tif)


CACHE = """
import toolkit.products.raster
from rasterio._env import get_gdal_config
print(int(get_gdal_config("GDAL_CACHEMAX")) >> 20)
"""


def test_gdal_keeps_a_bounded_memory_unless_the_user_says_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GDAL_CACHEMAX")
    assert run(CACHE) == "256"
    assert run(CACHE, GDAL_CACHEMAX="100") == "100"


def test_a_file_that_another_thread_is_at_is_read_after_those_that_are_free(tif: Path, tmp_path: Path) -> None:
    other, taken, done = tmp_path / "b.tif", threading.Event(), threading.Event()
    other.write_bytes(tif.read_bytes())
    order: list[str] = []

    def hold() -> None:
        with shared_raster(tif):
            taken.set()
            done.wait(20)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        assert taken.wait(20)
        read_as_free(
            [
                (tif, lambda: order.append("held")),
                (other, lambda: (order.append("free"), done.set(), held.result())),
                (other, lambda: order.append("last")),
            ]
        )
    assert order == ["free", "held", "last"], "it is come back to as soon as it is free"


def test_files_that_are_never_free_are_waited_for(tif: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster, "_is_free", lambda _: False)
    order: list[int] = []
    read_as_free([(tif, partial(order.append, number)) for number in range(5)])
    assert sorted(order) == [0, 1, 2, 3, 4]
