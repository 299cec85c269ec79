"""What several rooms' tests need: small products in their true layouts, a small demo, and the real data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from toolkit import Experiment, clean, run, sample
from toolkit.demo.write import FORMATS, write_demo

TEN_METRES = ("B2", "B3", "B4", "B8")
TWENTY_METRES = ("B5", "B6", "B7", "B8A", "B11", "B12")


def write_tif(
    path: Path, array: np.ndarray, corner: tuple[float, float], pixel: float, crs: str = "EPSG:32631"
) -> Path:
    """A tiled GeoTIFF without a nodata tag, as Theia delivers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "height": array.shape[0],
        "width": array.shape[1],
        "count": 1,
        "dtype": array.dtype,
        "crs": crs,
        "transform": from_origin(*corner, pixel, pixel),
        "compress": "deflate",
    }
    with rasterio.open(path, "w", **profile) as target:
        target.write(array, 1)
    return path


def write_theia(
    root: Path,
    date: str,
    *,
    tile: str = "31TCJ",
    value: int | np.ndarray = 1000,
    cloud: np.ndarray | None = None,
    size: int = 20,
    corner: tuple[float, float] = (300000, 4900020),
    letter: str = "C",
    version: str = "2-2",
    platform: str = "SENTINEL2A",
    bands: tuple[str, ...] = TEN_METRES + TWENTY_METRES,
    time: str = "105824-462",
) -> Path:
    """One Theia folder; band values are `value` plus 10 times the band's position; `cloud` is a CLM at 10 m."""
    name = f"{platform}_{date.replace('-', '')}-{time}_L2A_T{tile}_{letter}_V{version}"
    folder = root / name
    for position, band in enumerate(bands):
        pixel, side = (10, size) if band in TEN_METRES else (20, size // 2)
        array = np.broadcast_to(np.asarray(value), (size, size))[:: size // side, :: size // side]
        shifted = np.where(array == -10000, -10000, array + 10 * position).astype(np.int16)
        write_tif(folder / f"{name}_FRE_{band}.tif", shifted, corner, pixel)
    clear = np.zeros((size, size), dtype=np.uint8)
    for kind, mask in (("CLM", clear if cloud is None else cloud), ("EDG", clear), ("SAT", clear)):
        write_tif(folder / "MASKS" / f"{name}_{kind}_R1.tif", mask.astype(np.uint8), corner, 10)
    return folder


@pytest.fixture
def theia() -> Callable[..., Path]:
    """Writes one small Theia product; see `write_theia`."""
    return write_theia


def write_jp2(
    path: Path, array: np.ndarray, corner: tuple[float, float], pixel: float, tile: int | None = None
) -> Path:
    """A lossless JPEG 2000 without a nodata value, in tiles or in one piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tiles = {"tiled": True, "blockxsize": tile, "blockysize": tile} if tile else {}
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", height=array.shape[0], width=array.shape[1], count=1, dtype=array.dtype,
        crs="EPSG:32631", transform=from_origin(*corner, pixel, pixel), QUALITY="100", REVERSIBLE="YES", **tiles,
    ) as target:  # fmt: skip
        target.write(array, 1)
    return path


def write_sen2cor(
    root: Path,
    date: str,
    *,
    tile: str = "31TCJ",
    value: int | np.ndarray = 1000,
    scl: np.ndarray | int = 4,
    size: int = 20,
    corner: tuple[float, float] = (300000, 4900020),
    baseline: str = "0509",
    made: str = "20240601T120000",
    unit: str = "A",
    time: str = "105441",
    strip: str | None = None,
    offset: int | None = -1000,
    bands: tuple[str, ...] = TEN_METRES + TWENTY_METRES,
    tiles: dict[int, int] | None = None,
    metadata: bool = True,
) -> Path:
    """One SAFE folder; reflectances x 10000 are `value` plus 10 times the band's position; `scl` is at 20 m.

    Args:
        strip: hour at which the strip of data begins, that of the granule's name; default `time`.
        offset: what the metadata say is to be added to the values; None for nothing said and nothing added.
        tiles: pixel size -> rows and columns of the files' tiles.
    """
    day, step = date.replace("-", ""), tiles or {}
    safe = root / f"S2{unit}_MSIL2A_{day}T{time}_N{baseline}_R051_T{tile}_{made}.SAFE"
    images = safe / "GRANULE" / f"L2A_T{tile}_A013204_{day}T{strip or time}" / "IMG_DATA"
    for position, band in enumerate(bands):
        pixel, side = (10, size) if band in TEN_METRES else (20, size // 2)
        array = np.broadcast_to(np.asarray(value), (size, size))[:: size // side, :: size // side]
        stored = np.where(array == -10000, 0, array + 10 * position - (offset or 0)).astype(np.uint16)
        name = f"T{tile}_{day}T{time}_{band if band == 'B8A' else f'B{int(band[1:]):02}'}_{pixel}m.jp2"
        write_jp2(images / f"R{pixel}m" / name, stored, corner, pixel, step.get(pixel))
    classes = np.broadcast_to(np.asarray(scl, dtype=np.uint8), (size // 2, size // 2))
    write_jp2(images / "R20m" / f"T{tile}_{day}T{time}_SCL_20m.jp2", classes, corner, 20, step.get(20))
    if metadata:
        (safe / "MTD_MSIL2A.xml").write_text(sen2cor_metadata(baseline, offset))
    return safe


def sen2cor_metadata(baseline: str, offset: int | None, quantification: str = "10000") -> str:
    """What MTD_MSIL2A.xml says of values, and no more."""
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{band}">{offset}</BOA_ADD_OFFSET>' for band in range(13))
    return (
        '<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">'
        f"<n1:General_Info><PROCESSING_BASELINE>{baseline[:2]}.{baseline[2:]}</PROCESSING_BASELINE>"
        "<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>"
        "<SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>"
        f'<BOA_QUANTIFICATION_VALUE unit="none">{quantification}</BOA_QUANTIFICATION_VALUE>'
        f"{offsets if offset is not None else ''}</n1:General_Info></n1:Level-2A_User_Product>"
    )


@pytest.fixture
def sen2cor() -> Callable[..., Path]:
    """Writes one small Sen2Cor product; see `write_sen2cor`."""
    return write_sen2cor


@pytest.fixture(scope="session")
def tiny_demo_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of four tiles of 80 x 80 pixels and a dozen dates, written once; do not write into it."""
    return write_demo(tmp_path_factory.mktemp("source") / "demo", seed=0, size=80, dates=12)


@pytest.fixture
def tiny_demo(tiny_demo_source: Path, tmp_path: Path) -> Path:
    """Experiment file of a demo of its own, whose images are shared and which trains in a second."""
    return own_demo(tiny_demo_source, tmp_path / "demo")


@pytest.fixture(scope="session")
def finished_demo(tiny_demo_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment file of a tiny demo with a model and maps, made once; do not write into its run folder."""
    path = own_demo(tiny_demo_source, tmp_path_factory.mktemp("finished") / "demo")
    run(Experiment.load(path))
    return path


@pytest.fixture(scope="session")
def sampled_demo_source(tiny_demo_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment file of a tiny demo, its polygons cleaned and its samples drawn; do not write into its run folder."""
    path = own_demo(tiny_demo_source, tmp_path_factory.mktemp("sampled") / "demo")
    experiment = Experiment.load(path)
    clean(experiment)
    sample(experiment)
    return path


@pytest.fixture
def sampled_demo(sampled_demo_source: Path, tmp_path: Path) -> Path:
    """Experiment file of a demo of its own that is ready to train."""
    shutil.copytree(sampled_demo_source.parent, tmp_path / "demo", symlinks=True, copy_function=shutil.copy2)
    return tmp_path / "demo" / sampled_demo_source.name


def own_demo(source: Path, folder: Path) -> Path:
    """A demo in this folder with the images of another, and an experiment that trains in a second."""
    folder.mkdir()
    for entry in source.iterdir():
        if entry.name in FORMATS:
            (folder / entry.name).symlink_to(entry)
        elif entry.is_file():
            shutil.copy(entry, folder / entry.name)
    text = (folder / "experiment.yml").read_text(encoding="utf-8")
    head = text.split("sampling:")[0]
    (folder / "experiment.yml").write_text(
        head + "sampling: {max_per_class: 150}\nlearning: {epochs: 3, batch_size: 256, learning_rate: 1.0e-3}\n",
        encoding="utf-8",
    )
    return folder / "experiment.yml"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images and labels, which is not part of the repository."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LANDCOVER_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set LANDCOVER_REAL_DATA to their folder")
    return folder
