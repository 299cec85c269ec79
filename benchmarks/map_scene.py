"""A scene to map at full width: products as Theia delivers them, a network of the published size, without training.

Ten bands at 10 and 20 m in tiles of 512 x 512 pixels, texture and noise as in Sentinel-2 images, 40 % of clouds in
coherent patches; a scene of more than 2048 x 2048 pixels repeats that pattern (files compress each of their tiles by
itself, so that it costs as much to read as any). The network has random weights: what it says is of no worth, what it
costs is as ever.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import rasterio
from interleaved import CORES
from rasterio.transform import from_origin
from rasterio.windows import Window

from toolkit.features.stack import FeatureParams, FeatureStack
from toolkit.ground.bands import BAND_NAMES
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.batches import Standardiser
from toolkit.learning.checkpoint import Model
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import MlpParams, build_network
from toolkit.products.theia import find_theia
from toolkit.series.timeseries import SeriesParams, TileSeries

TEN_METRES = ("B2", "B3", "B4", "B8")
CORNER = (300000, 4900020)
PATTERN = 2048
"""Pixels a side of what a scene repeats."""
CODECS = {"deflate": {"compress": "deflate", "zlevel": 6}, "zstd": {"compress": "zstd", "zstd_level": 1}}
PARAMS = SeriesParams.model_validate(
    {"source": "bench", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-12-27", "step_days": 10}
)


@dataclass(frozen=True)
class MapScene:
    """A tile on disk, its features, and a network for them."""

    series: TileSeries
    stack: FeatureStack
    model: Model

    @property
    def pixels(self) -> int:
        return self.series.grid.shape[0] * self.series.grid.shape[1]

    @property
    def files(self) -> list[Path]:
        return [file.path for one in self.series.acquisitions for file, _ in (*one.bands, *one.masks)]


def open_scene(folder: Path) -> MapScene:
    """A scene that was written."""
    series = TileSeries.open("31TCJ", find_theia(folder), PARAMS)
    stack = FeatureStack.of(PARAMS, FeatureParams(indices=("ndvi", "ndwi", "brightness")))
    return MapScene(series, stack, random_model(stack))


def random_model(stack: FeatureStack) -> Model:
    """The published network with random weights, the same every time."""
    import torch

    torch.manual_seed(0)
    nomenclature = Nomenclature.load("oso_23")
    dates = np.array(stack.dates, dtype="datetime64[D]")
    network = build_network(MlpParams(), InputLayout.of(stack.names, dates), len(nomenclature))
    count = len(stack.names)
    scale = Standardiser(np.full(count, 1500.0), np.full(count, 700.0))
    # As drawn, the pixel hardly matters beside the biases, and all would be of one class.
    weights = {name: value * (3 if value.dim() > 1 else 1) for name, value in network.state_dict().items()}
    return Model(MlpParams(), weights, scale, stack.names, nomenclature, dates, 0, {"epoch": 1, "f_score": 0.0})


def write_scene(folder: Path, size: int, dates: int, codec: str = "deflate") -> None:
    """Write `dates` products of `size` x `size` pixels of 10 m, where they are not there yet."""
    done = folder / f"done_{size}_{dates}_{codec}"
    if done.exists():
        return
    days = np.sort(np.random.default_rng(1).choice(360, dates, replace=False))
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda one: _write_date(folder, int(one[1]), one[0], size, CODECS[codec]), enumerate(days)))
    done.touch()


def _write_date(folder: Path, day: int, place: int, size: int, codec: dict[str, object]) -> None:
    rng, side = np.random.default_rng([7, place]), min(size, PATTERN)
    fields = _patches(np.random.default_rng(3), side, 32)
    noise = rng.normal(0, 35, (side, side)).astype(np.float32)
    name = f"SENTINEL2A_{np.datetime64('2018-01-01') + day}".replace("-", "") + "-105824-462_L2A_T31TCJ_C_V2-2"
    for number, band in enumerate(BAND_NAMES):
        season = 1 + 0.6 * np.sin(2 * np.pi * (day / 365 + fields * 0.5) + number * 0.3)
        values = np.roll(noise, 37 * number, axis=1) + 800 + 1200 * fields * season
        step = 1 if band in TEN_METRES else 2
        array = values[::step, ::step].clip(1, 12000).astype(np.int16)
        _write(folder / name / f"{name}_FRE_{band}.tif", array, 10 * step, size // step, {**codec, "predictor": 2})
    haze = _patches(rng, side, 64)
    cloud = (haze < np.quantile(haze, np.clip(rng.normal(0.4, 0.25), 0.02, 0.98))).astype(np.uint8)
    for kind, mask in (("CLM", cloud), ("EDG", np.zeros_like(cloud)), ("SAT", np.zeros_like(cloud))):
        _write(folder / name / "MASKS" / f"{name}_{kind}_R1.tif", mask, 10, size, codec)


def _patches(rng: np.random.Generator, size: int, side: int) -> np.ndarray:
    """Random values, one a square of so many pixels a side, float32 (y, x)."""
    coarse = rng.random((-(-size // side), -(-size // side)), dtype=np.float32)
    return coarse.repeat(side, axis=0).repeat(side, axis=1)[:size, :size]


def _write(path: Path, pattern: np.ndarray, pixel: int, size: int, codec: dict[str, object]) -> None:
    """A pattern (y, x), repeated to `size` x `size` pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    side = len(pattern)
    with rasterio.open(
        path, "w", driver="GTiff", height=size, width=size, count=1, dtype=pattern.dtype, crs="EPSG:32631",
        transform=from_origin(*CORNER, pixel, pixel), tiled=True, blockxsize=512, blockysize=512, **codec,
    ) as target:  # fmt: skip
        for row, col in product(range(0, size, side), repeat=2):
            part = pattern[: size - row, : size - col]
            target.write(part, 1, window=Window(col, row, part.shape[1], part.shape[0]))
