"""Handles on raster files: how many, whose, and for how long."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from tests.conftest import write_tif
from toolkit.ground.errors import ProductError
from toolkit.products import handles
from toolkit.products.handles import close_rasters, open_raster, read_as_free, shared_raster, use_raster_memory
from toolkit.products.raster import grid_of, held, read_into


@pytest.fixture
def tif(tmp_path: Path) -> Path:
    yield write_tif(tmp_path / "a.tif", np.arange(30, dtype=np.int16).reshape(5, 6), (300000, 4900020), 10)
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
def test_threads_share_the_files_that_the_process_may_open(many: Path) -> None:
    whole = str(330 * 2 * 435)
    assert run(MANY, many, 300, 300).split() == [whole, whole, "300"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_the_soft_limit_of_open_files_is_raised(many: Path) -> None:
    assert run(MANY, many, 300, 3000).split()[-1] == "3000"


def test_a_threads_handles_stay_within_its_share(tif: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_rasters()
    monkeypatch.setattr(handles, "_share", lambda: 3)
    copies = [tmp_path / f"{number}.tif" for number in range(5)]
    for copy in copies:
        copy.write_bytes(tif.read_bytes())
    opened = [open_raster(copy) for copy in copies]
    assert [handle.closed for handle in opened] == [True, True, False, False, False]
    assert open_raster(copies[2]) is opened[2]
    open_raster(copies[0])
    assert opened[3].closed and not opened[2].closed, "the one used longest ago goes first"


def test_a_shared_handle_is_of_one_thread_at_a_time(tif: Path) -> None:
    users: list[int] = []

    def use(_: int) -> object:
        with shared_raster(tif) as dataset, shared_raster(tif) as again:
            assert dataset is again, "the same thread may ask for it once more"
            users.append(1)
            assert sum(users) == 1
            assert dataset.read(1).shape == (5, 6)
            users.append(-1)
            return dataset

    with ThreadPoolExecutor(4) as pool:
        datasets = set(pool.map(use, range(40)))
    (dataset,) = datasets
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
        use_raster_memory(handles.GDAL_CACHE, keep_open=True)


def test_a_held_file_of_gdals_stays_open_where_memory_is_short(tif: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.tif" for number in range(6)]
    with rasterio.open(tif) as dataset:
        for file in files:
            rasterio.shutil.copy(dataset, file, driver="GTiff", compress="lzma")
    opened: list[Path] = []

    def read(file: Path) -> None:
        with held(file) as layout:
            for row in range(layout.height):
                read_into(np.empty((1, layout.width), layout.dtype), file, row, 0, fill=0)

    def counted(path: Path) -> object:
        opened.append(path)
        return rasterio.open(path)

    use_raster_memory(64, keep_open=False)
    try:
        with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as pool:
            patch.setattr(handles, "_opened", counted)
            list(pool.map(read, files * 4))
    finally:
        use_raster_memory(handles.GDAL_CACHE, keep_open=True)
    assert 0 < len(opened) <= len(files) * 4, "not once for each row"


def test_a_file_that_could_not_be_opened_is_tried_again(tif: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.tif"
    with pytest.raises(ProductError, match="does not exist"), shared_raster(late):
        pass
    late.write_bytes(tif.read_bytes())
    with shared_raster(late) as dataset:
        assert dataset.shape == (5, 6)


def test_too_many_open_files_is_told_as_what_it_is(tif: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise handles.RasterioError(f"{path}: Too many open files")

    monkeypatch.setattr(handles.rasterio, "open", refuse)
    with pytest.raises(ProductError, match=r"all [\d,]+ files open that it may; raise the limit with `ulimit -n`"):
        grid_of(tif)


CACHE = """
import toolkit.products.handles
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
                (tif, lambda to: to.append("held")),
                (other, lambda to: (to.append("free"), done.set(), held.result())),
                (other, lambda to: to.append("last")),
            ],
            order,
        )
    assert order == ["free", "held", "last"], "it is come back to as soon as it is free"


def _append(number: int, order: list[int]) -> None:
    order.append(number)


def test_files_that_are_never_free_are_waited_for(tif: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "_is_free", lambda _: False)
    order: list[int] = []
    read_as_free([(tif, partial(_append, number)) for number in range(5)], order)
    assert sorted(order) == [0, 1, 2, 3, 4]
