"""Mapping and sample extraction on a demo tile: from files to class map or features, beside the usual loops."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from gap_filling import Scene, by_gather
from interleaved import CORES, Contender, agree, table, take_turns
from rasterio.enums import Resampling

from toolkit import Experiment
from toolkit.experiment.tiles import open_series
from toolkit.features.stack import FeatureStack
from toolkit.ground.bands import NODATA
from toolkit.ground.grid import offset
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.checkpoint import Model
from toolkit.learning.parameters import LearningParams
from toolkit.learning.training import train_network
from toolkit.mapping.classify import classify_tile
from toolkit.mapping.memory import MappingParams
from toolkit.products.raster import grid_of
from toolkit.samples.extraction import PIXEL, PixelFeatures, extract
from toolkit.samples.store import SampleStore
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries

try:
    from sklearn.ensemble import RandomForestClassifier
except ImportError:
    RandomForestClassifier = None


@dataclass
class Tile:
    """A tile of the demo with a trained network, and a random forest where scikit-learn is there."""

    series: TileSeries
    stack: FeatureStack
    model: Model
    forest: RandomForestClassifier | None
    folder: Path

    @property
    def pixels(self) -> int:
        return self.series.grid.shape[0] * self.series.grid.shape[1]


def open_tile(demo: Path, folder: Path) -> Tile:
    """Train on 3,000 pixels of the true map; good enough for a map that has many classes."""
    experiment = Experiment.load(demo / "experiment.yml")
    series = open_series(experiment, tiles=experiment.series.tiles[:1])[0]
    pixels = random_pixels(series, 3000)
    row, col = (round(one) for one in offset(series.grid, grid_of(demo / "truth.tif")))
    with rasterio.open(demo / "truth.tif") as truth:
        pixels["code"] = truth.read(1)[pixels["row"] + row, pixels["col"] + col]
    store = SampleStore(folder / "samples")
    extract(PixelFeatures(series, experiment.stack, pixels["row"], pixels["col"]), pixels, store, key="bench")
    store.finish(experiment.stack.names, "bench")
    found = store.load()
    result = train_network(
        TrainingSamples(found.features, found.codes, found.polygons),
        LearningParams(epochs=10, batch_size=512, learning_rate=1e-3, device="cpu"),
        seed=0,
        nomenclature=experiment.nomenclature,
        feature_names=experiment.stack.names,
        dates=experiment.stack.days,
        folder=folder / "learning",
        key="bench",
    )
    forest = RandomForestClassifier(100, max_depth=25, n_jobs=CORES, random_state=0) if RandomForestClassifier else None
    if forest is not None:
        forest.fit(found.features, found.codes)
    return Tile(series, experiment.stack, Model.load(result.model_folder), forest, folder)


def random_pixels(series: TileSeries, count: int, seed: int = 0) -> np.ndarray:
    """Pixels without class, each as if it were a polygon, in the order of the rows."""
    places = np.sort(np.random.default_rng(seed).choice(np.prod(series.grid.shape), count, replace=False))
    pixels = np.zeros(count, dtype=PIXEL)
    pixels["row"], pixels["col"] = np.divmod(places, series.grid.shape[1])
    pixels["polygon"] = np.arange(count)
    return pixels


def ours_map(tile: Tile, params: MappingParams) -> np.ndarray:
    paths = classify_tile(tile.series, tile.stack, tile.model, tile.folder / "map", params, key="bench")
    with rasterio.open(paths["classes"]) as raster:
        return raster.read(1)


def decode(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(1)


def usual_read(series: TileSeries) -> Scene:
    """Bands and masks by rasterio, 20 m to 10 m by nearest neighbour: the tile is one window, each file read once."""
    height, width = series.grid.shape
    values = np.empty((len(series.acquisitions), len(series.bands), height, width), dtype=np.int16)
    validity = np.ones((len(series.acquisitions), height, width), dtype=bool)
    for t, one in enumerate(series.acquisitions):
        for mask, _ in one.masks:
            validity[t] &= usual_window(mask.path, height, width) == 0
        for b, (band, _) in enumerate(one.bands):
            values[t, b] = usual_window(band.path, height, width)
            validity[t] &= values[t, b] != NODATA
    return flat_scene(values, validity, series)


def usual_window(path: Path, height: int, width: int) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(1, out_shape=(height, width), resampling=Resampling.nearest)


def flat_scene(
    values: np.ndarray, validity: np.ndarray, series: TileSeries, stack: FeatureStack | None = None
) -> Scene:
    output_dates = stack.days if stack else np.empty(0, "datetime64[D]")
    flat = values.reshape(*values.shape[:2], -1), validity.reshape(len(validity), -1)
    return Scene(*flat, series.dates, output_dates)


def usual_features(scene: Scene, stack: FeatureStack) -> np.ndarray:
    """The same 481 features by NumPy, (pixel, feature) as classifiers take them."""
    scene = replace(scene, output_dates=stack.days)
    series = by_gather(scene, scene.empty())
    red, nir, swir = (series[:, stack.bands.index(band)] for band in ("B4", "B8", "B11"))
    indices = [difference(nir, red), difference(swir, nir), np.sqrt((series**2).sum(axis=1))]
    return np.concatenate([series.reshape(-1, series.shape[2]), *indices]).T


def difference(plus: np.ndarray, minus: np.ndarray) -> np.ndarray:
    total = plus + minus
    return np.divide(1000 * (plus - minus), total, out=np.zeros_like(total), where=np.abs(total) >= 1e-5)


def usual_map(tile: Tile, predict: Callable[[np.ndarray], np.ndarray], series: TileSeries | None = None) -> np.ndarray:
    """The loop as it is usually written: windows, gap-filling by NumPy, predict, write."""
    series = series or tile.series
    scene = usual_read(series)
    classes = predict(usual_features(scene, tile.stack)) * scene.validity.any(axis=0)
    classes = classes.reshape(series.grid.shape).astype(np.uint8)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "compress": "deflate"}
    height, width = classes.shape
    with rasterio.open(
        tile.folder / "usual.tif", "w", height=height, width=width, crs=str(series.grid.crs),
        transform=series.grid.affine, **profile
    ) as raster:  # fmt: skip
        raster.write(classes, 1)
    return classes


def measure_mapping(tile: Tile, rounds: int) -> None:
    """A demo tile from files to class map, against decoding alone and against the usual loop."""
    nearest = replace(tile, series=replace(tile.series, resampling="nearest"))

    def predict(features: np.ndarray) -> np.ndarray:
        return tile.model.predict(features.T)[0]

    peer = usual_map(tile, predict)
    share = float((ours_map(nearest, MappingParams()) != peer).mean())
    agree(f"map of {len(np.unique(peer))} classes with the usual loop's, share of pixels", share, 1e-3)
    paths = [file.path for one in tile.series.acquisitions for file, _ in (*one.bands, *one.masks)]
    pool = ThreadPoolExecutor(CORES)
    amount = tile.pixels / 1e6
    contenders = [
        Contender("decoding", lambda: list(pool.map(decode, paths)), amount),
        Contender("ours", lambda: ours_map(tile, MappingParams()), amount),
        Contender("ours, 1 GB", lambda: ours_map(tile, MappingParams(memory_gb=1)), amount),
        Contender("usual + network", lambda: usual_map(tile, predict), amount),
    ]
    if tile.forest is not None:
        contenders.append(Contender("usual + forest", lambda: usual_map(tile, tile.forest.predict), amount))
    take_turns(contenders, rounds)
    pool.shutdown()
    print()
    title = f"4. Mapping, a demo tile of {len(tile.series.acquisitions)} dates, {len(paths)} files, {CORES} workers"
    print(table(title, "Mpx", contenders, ["decoding", contenders[-1].name]))
    print("decoding: rasterio reads the same files whole, by all workers, and drops them")
    print("usual: re-creation of the common loop (rasterio, NumPy gather, predict), each file read once, one thread")
    tiling = FileTiling.of(tile.series)
    print(f"ours: {len(tiling.cover())} block(s) of {tiling.block_size[0]} x {tiling.block_size[1]} pixels")


def sampled(tile: Tile, pixels: np.ndarray) -> Scene:
    """Every band and mask at the points, by rasterio's `sample`."""
    x, y = tile.series.grid.affine * (pixels["col"] + 0.5, pixels["row"] + 0.5)
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    values = np.empty((len(tile.series.acquisitions), len(tile.series.bands), len(points)), dtype=np.int16)
    validity = np.ones((len(tile.series.acquisitions), len(points)), dtype=bool)
    for t, one in enumerate(tile.series.acquisitions):
        for mask, _ in one.masks:
            validity[t] &= at_points(mask.path, points) == 0
        for b, (band, _) in enumerate(one.bands):
            values[t, b] = at_points(band.path, points)
            validity[t] &= values[t, b] != NODATA
    return flat_scene(values, validity, tile.series)


def at_points(path: Path, points: list[tuple[float, float]]) -> np.ndarray:
    with rasterio.open(path) as raster:
        return np.fromiter((value[0] for value in raster.sample(points)), dtype=np.int32, count=len(points))


def ours_samples(tile: Tile, pixels: np.ndarray) -> np.ndarray:
    store = SampleStore(tile.folder / "extracted")
    extract(PixelFeatures(tile.series, tile.stack, pixels["row"], pixels["col"]), pixels, store, key="bench")
    return np.load(store.folder / tile.series.tile / "features.npy")


def measure_extraction(tile: Tile, rounds: int) -> None:
    """Features of 0.3 % of a tile's pixels, against rasterio's `sample` with NumPy's gap-filling."""
    pixels = random_pixels(tile.series, round(0.003 * tile.pixels), seed=1)
    nearest = replace(tile, series=replace(tile.series, resampling="nearest"))
    peer = usual_features(sampled(tile, pixels), tile.stack)
    agree("samples with rasterio's sample", np.abs(ours_samples(nearest, pixels) - peer).max())
    amount = len(pixels) / 1e3
    contenders = [
        Contender("ours", lambda: ours_samples(tile, pixels), amount),
        Contender("sample()", lambda: usual_features(sampled(tile, pixels), tile.stack), amount),
    ]
    take_turns(contenders, rounds)
    print()
    print(table(f"5. Sample extraction, {len(pixels)} pixels of a demo tile", "k samples", contenders, ["sample()"]))
    print("On so small a tile a file is one block that stays in GDAL's cache: `sample` is at its best here")
