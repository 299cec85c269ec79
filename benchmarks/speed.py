"""How fast: gap-filling, features, training, mapping and sample extraction, each beside its bound and its peers.

Every section first checks that all contenders give the same result, then times them by turns. The rates of two runs
must not be compared, their ratios may (docs/performance.md).

    python benchmarks/speed.py          (or `make bench`; about three minutes on two cores)
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import rasterio
import torch
from interleaved import BUSY, Contender, table, take_turns, watched
from rasterio.enums import Resampling
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from toolkit import Experiment
from toolkit.demo import write_demo
from toolkit.experiment.tiles import open_series
from toolkit.features.stack import FeatureStack
from toolkit.ground.bands import BAND_NAMES, NODATA
from toolkit.ground.grid import blocks, offset
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.checkpoint import Model
from toolkit.learning.devices import torch_threads
from toolkit.learning.fitting import Fitting, prepare
from toolkit.learning.training import LearningParams, train_network
from toolkit.mapping.classify import MappingParams, block_size, classify_tile
from toolkit.products.raster import grid_of
from toolkit.samples.extraction import PIXEL, extract
from toolkit.samples.store import SampleStore
from toolkit.series.gapfill import fill_gaps
from toolkit.series.timeline import regular_dates
from toolkit.series.timeseries import TileSeries

try:
    import xarray
except ImportError:
    xarray = None  # type: ignore[assignment]
try:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits
except ImportError:
    MLPClassifier = None

CORES = os.cpu_count() or 1
TOLERANCE = 1e-2
"""In units of reflectance x 10000."""


def agree(what: str, difference: float, allowed: float = TOLERANCE) -> None:
    """Say how far two results are apart; end the run where that is too far."""
    if not difference <= allowed:
        sys.exit(f"{what} differs by {difference:.3g}, allowed {allowed:g}: nothing is timed")
    print(f"  agrees: {what}, largest difference {difference:.2g} (allowed {allowed:g})")


# ---------------------------------------------------------------------------------------------------- gap-filling


@dataclass
class Scene:
    """A simulated series: 70 dates, 10 bands, 40 % cloudy."""

    values: np.ndarray
    """(date, band, pixel) int16."""
    validity: np.ndarray
    """(date, pixel) bool."""
    dates: np.ndarray
    output_dates: np.ndarray

    @classmethod
    def make(cls, size: int, seed: int = 0) -> Scene:
        rng = np.random.default_rng(seed)
        values = rng.integers(0, 10_000, (70, 10, size * size), dtype=np.int16)
        sky = rng.random((70, size // 8, size // 8)) > 0.4
        validity = sky.repeat(8, axis=1).repeat(8, axis=2).reshape(70, -1)
        validity[:, :100] = False  # never seen
        year = np.arange(np.datetime64("2018-01-01"), np.datetime64("2019-01-01"))
        days = np.sort(rng.choice(year, 70, replace=False))
        return cls(values, validity, days, regular_dates(year[0].item(), np.datetime64("2018-12-27").item(), 10))

    def cut(self, start: int, stop: int) -> Scene:
        values, validity = (np.ascontiguousarray(one[..., start:stop]) for one in (self.values, self.validity))
        return Scene(values, validity, self.dates, self.output_dates)

    def empty(self) -> np.ndarray:
        """Memory for the result, touched."""
        return np.zeros((len(self.output_dates), *self.values.shape[1:]), dtype=np.float32)

    def days(self) -> tuple[np.ndarray, np.ndarray]:
        """Acquisition and output days as float32."""
        return tuple((one - self.dates[0]).astype(np.float32) for one in (self.dates, self.output_dates))


def ours(scene: Scene, out: np.ndarray | None = None) -> np.ndarray:
    return fill_gaps(scene.values, scene.validity, scene.dates, scene.output_dates, out)


def by_gather(scene: Scene, out: np.ndarray, chunk: int = 8192) -> np.ndarray:
    """Vectorised NumPy: positions of the last and next usable date by `maximum.accumulate`, then a gather."""
    days, output_days = scene.days()
    seen = np.searchsorted(days, output_days, side="right")
    count, pixels = scene.validity.shape
    for start in range(0, pixels, chunk):
        part = slice(start, min(start + chunk, pixels))
        valid, values = scene.validity[:, part], scene.values[:, :, part]
        rows = np.arange(count)[:, None]
        edge = np.ones((1, valid.shape[1]), dtype=int)
        before = np.concatenate([-edge, np.maximum.accumulate(np.where(valid, rows, -1))])[seen]
        after = np.minimum.accumulate(np.where(valid, rows, count)[::-1])[::-1]
        after = np.concatenate([after, count * edge])[seen]
        first = np.where(before < 0, np.minimum(after, count - 1), before)
        second = np.where(after == count, first, after)
        gap = np.maximum(days[second] - days[first], np.float32(1e-3))
        weight = np.clip((output_days[:, None] - days[first]) / gap, 0, 1)[:, None]
        low = np.take_along_axis(values, first[:, None], axis=0).astype(np.float32)
        high = np.take_along_axis(values, second[:, None], axis=0)
        out[:, :, part] = (low + weight * (high - low)) * valid.any(axis=0)
    return out


def by_interp(scene: Scene) -> np.ndarray:
    """`numpy.interp`, pixel by pixel and band by band."""
    days, output_days = scene.days()
    out = scene.empty()
    for pixel in np.flatnonzero(scene.validity.any(axis=0)):
        valid = scene.validity[:, pixel]
        for band in range(out.shape[1]):
            out[:, band, pixel] = np.interp(output_days, days[valid], scene.values[valid, band, pixel])
    return out


def by_xarray(scene: Scene) -> np.ndarray:
    """xarray: interpolate the missing, then onto the output dates; NaN before the first and after the last."""
    days, output_days = scene.days()
    values = np.where(scene.validity[:, None], scene.values, np.float32(np.nan))
    array = xarray.DataArray(values, dims=("time", "band", "pixel"), coords={"time": days})
    return array.interpolate_na("time").interp(time=output_days).to_numpy()


def measure_gap_filling(size: int, rounds: int) -> None:
    """Our kernel on one and two threads against a memory copy and three other ways."""
    scene = Scene.make(size)
    pixels = size * size
    halves = [scene.cut(0, pixels // 2), scene.cut(pixels // 2, pixels)]
    out, parts = scene.empty(), [half.empty() for half in halves]
    few, fewer = scene.cut(0, 2048), scene.cut(0, 1024)
    pool = ThreadPoolExecutor(2)
    source = np.ones((scene.values.nbytes + scene.validity.nbytes + out.nbytes) // 2, dtype=np.uint8)
    target = np.zeros_like(source)

    def two_threads(work: Callable[..., object], *arguments: Iterable[object]) -> None:
        list(pool.map(work, *arguments))

    truth = by_interp(few)
    agree("ours with numpy.interp", np.abs(ours(few) - truth).max())
    agree("NumPy gather with numpy.interp", np.abs(by_gather(few, few.empty()) - truth).max())
    two_threads(ours, halves, parts)
    agree("two threads with one", np.abs(np.concatenate(parts, axis=2) - ours(scene)).max(), 0)
    amount = pixels / 1e6
    contenders = [
        Contender("copy, 1 thread", lambda: np.copyto(target, source), amount),
        Contender("ours, 1 thread", lambda: ours(scene, out), amount),
        Contender(
            "copy, 2 threads",
            lambda: two_threads(np.copyto, np.array_split(target, 2), np.array_split(source, 2)),
            amount,
        ),
        Contender("ours, 2 threads", lambda: two_threads(ours, halves, parts), amount),
        Contender("NumPy gather", lambda: by_gather(scene, out), amount),
        Contender("numpy.interp by pixel*", lambda: by_interp(few), 2048 / 1e6),
    ]
    if xarray:
        found = by_xarray(fewer)
        inside = np.isfinite(found)
        agree("xarray with numpy.interp, ends aside", np.abs(found - truth[..., :1024])[inside].max())
        contenders.append(Contender("xarray*", lambda: by_xarray(fewer), 1024 / 1e6))
    take_turns(contenders, rounds)
    title = f"1. Gap-filling, 70 dates x 10 bands x {size} x {size} int16 -> 37 dates float32"
    print(table(title, "Mpx", contenders, ["copy, 1 thread", "copy, 2 threads", "NumPy gather"]))
    print("copy: as many bytes read and written as input and output have.  *: on 2048 or 1024 pixels")
    pool.shutdown()
    measure_features(scene, out, rounds)


def measure_features(scene: Scene, out: np.ndarray, rounds: int) -> None:
    """The whole feature stack against its gap-filling."""
    stack = FeatureStack(BAND_NAMES, tuple(str(day) for day in scene.output_dates), ("ndvi", "ndwi", "brightness"))
    features, _ = stack.compute(scene.values, scene.validity, scene.dates)
    agree("features with gap-filling", np.abs(features[: 37 * 10] - ours(scene, out).reshape(370, -1)).max(), 0)
    red, nir = (out[:, BAND_NAMES.index(band)] for band in ("B4", "B8"))
    total = np.where(nir + red == 0, 1, nir + red)
    agree("NDVI with its formula", np.abs(features[370:407] - 1000 * (nir - red) / total).max())
    amount = features.shape[1] / 1e6
    contenders = [
        Contender("gap-filling", lambda: ours(scene, out), amount),
        Contender("gap-filling*", lambda: ours(scene), amount),
        Contender("FeatureStack*", lambda: stack.compute(scene.values, scene.validity, scene.dates), amount),
    ]
    take_turns(contenders, rounds)
    print()
    print(table("2. Features, 481 a pixel, 1 thread", "Mpx", contenders, ["gap-filling", "gap-filling*"]))
    print("*: into fresh memory, whose pages the system hands out one by one")


# ------------------------------------------------------------------------------------------------------- training


def simulated_samples(count: int, classes: int = 20, seed: int = 0) -> tuple[TrainingSamples, Nomenclature]:
    """Samples of 481 features around a centre for each class, 50 to a polygon."""
    rng = np.random.default_rng(seed)
    polygons = np.arange(count) // 50
    codes = rng.integers(1, classes + 1, polygons[-1] + 1).astype(np.uint8)[polygons]
    features = rng.standard_normal((count, 481), dtype=np.float32)
    features += rng.standard_normal((classes + 1, 481), dtype=np.float32)[codes] * np.float32(0.2)
    named = tuple(LandCoverClass(code, f"class {code}", f"#{code * 12:02x}8040") for code in range(1, classes + 1))
    return TrainingSamples(features, codes, polygons), Nomenclature("simulated", named)


def always(done: int, batches: int) -> bool:
    return True


def check_training(samples: TrainingSamples, nomenclature: Nomenclature) -> None:
    """One epoch of ours ends with the loss and the metrics of the same epoch in plain torch."""
    few = TrainingSamples(samples.features[:20_000], samples.codes[:20_000], samples.polygons[:20_000])
    fitting = prepared(few, nomenclature)
    plain = copy.deepcopy(fitting.network)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3)
    order = fitting.batches
    loss = fitting.train_epoch(1, always)
    valid_loss, matrix = fitting.evaluate()
    again = prepared(few, nomenclature)
    replayed: list[tuple[torch.Tensor, torch.Tensor]] = []
    again.batches = Recorder(order, replayed)  # type: ignore[assignment]
    again.train_epoch(1, always)
    losses = [plain_step(plain, optimizer, *batch) for batch in replayed]
    mean = np.average(losses, weights=[len(labels) for _, labels in replayed])
    features, labels = fitting.valid
    with torch.inference_mode():
        logits = plain(features)
    agree("train loss with plain torch", abs(loss - mean), 1e-4)
    agree("valid loss with plain torch", abs(valid_loss - float(functional.cross_entropy(logits, labels))), 1e-4)
    agree("OA with plain torch", abs(matrix.oa - float((logits.argmax(1) == labels).float().mean())), 1e-3)


class Recorder:
    """Batches that are kept as they go by."""

    def __init__(self, batches: object, kept: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.batches, self.kept = batches, kept

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def shuffled(self, seed: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        for features, labels in self.batches.shuffled(seed):  # type: ignore[attr-defined]
            self.kept.append((features.clone(), labels.clone()))
            yield features, labels


def prepared(samples: TrainingSamples, nomenclature: Nomenclature) -> Fitting:
    """The published network and its samples, ready for an epoch; a learning rate at which one epoch shows."""
    params = LearningParams(learning_rate=1e-3, batch_size=4096, device="cpu")
    return prepare(samples, params, 0, nomenclature, [str(one) for one in range(481)])[0]


def plain_step(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer, features: torch.Tensor, labels: torch.Tensor
) -> float:
    optimizer.zero_grad()
    loss = functional.cross_entropy(network(features), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def loader_epoch(loader: DataLoader, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for features, labels in loader:
        plain_step(network, optimizer, features, labels)


class Products:
    """The matrix products of one epoch, forward and backward, and nothing else."""

    def __init__(self, network: torch.nn.Module, batches: list[tuple[int, int]]) -> None:
        weights = [one.weight.detach() for one in network.modules() if isinstance(one, torch.nn.Linear)]
        self.rows = [stop - start for start, stop in batches]
        largest = max(self.rows)
        self.layers = [
            (weight, torch.randn(largest, weight.shape[1]), torch.randn(largest, weight.shape[0]), weight.clone())
            for weight in weights
        ]
        self.backward = [torch.empty_like(inputs) for _, inputs, _, _ in self.layers]
        self.forward = [torch.empty_like(outputs) for _, _, outputs, _ in self.layers]

    def __call__(self) -> None:
        for rows in self.rows:
            for layer, (weight, inputs, gradient, to_weight) in enumerate(self.layers):
                torch.mm(inputs[:rows], weight.T, out=self.forward[layer][:rows])
                torch.mm(gradient[:rows].T, inputs[:rows], out=to_weight)
                if layer:
                    torch.mm(gradient[:rows], weight, out=self.backward[layer][:rows])


def measure_training(count: int, rounds: int) -> None:
    """An epoch of the published network, on one thread and on all cores."""
    samples, nomenclature = simulated_samples(count)
    check_training(samples, nomenclature)
    fitting = prepared(samples, nomenclature)
    del samples
    train, labels, size = fitting.batches.features, fitting.batches.labels, len(fitting.batches.features)
    network = copy.deepcopy(fitting.network)
    loader = DataLoader(TensorDataset(train, labels), batch_size=4096, shuffle=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    amount = size / 1e3
    epoch = partial(fitting.train_epoch, 1, always)
    contenders = [
        Contender("products", Products(network, fitting.batches.bounds), amount),
        Contender("ours", epoch, amount),
        Contender("ours + valid", lambda: (epoch(), fitting.evaluate()), amount),
        Contender("DataLoader", lambda: loader_epoch(loader, network, optimizer), amount),
    ]
    if MLPClassifier:
        widths = tuple(one.out_features for one in network.modules() if isinstance(one, torch.nn.Linear))
        peer = MLPClassifier(widths[:-1], batch_size=4096, learning_rate_init=1e-3, alpha=0, shuffle=True)
        target, classes = labels.numpy(), np.arange(20)
        contenders.append(
            Contender("scikit-learn", lambda: peer.partial_fit(train.numpy(), target, classes=classes), amount)
        )
    for threads in sorted({1, CORES}):
        again = [Contender(one.name, one.run, one.amount) for one in contenders]
        with torch_threads(threads), limited(threads):
            take_turns(again, rounds)
        print()
        title = f"3. Training, {threads} thread(s): an epoch of {size:,} x 481, 20 classes, batch 4096"
        print(table(title, "k samples", again, ["products", "DataLoader"]))
    print(f"products: the matrix products alone.  valid: loss, matrix and metrics of {count - size:,} more samples")


def limited(threads: int) -> object:
    """NumPy's and scikit-learn's threads, as far as they can be held."""
    return threadpool_limits(threads) if MLPClassifier else torch_threads(None)


# -------------------------------------------------------------------------------------------- mapping, extraction


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
    extract(series, experiment.stack, pixels, store, key="bench")
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
    forest = RandomForestClassifier(100, max_depth=25, n_jobs=CORES, random_state=0) if MLPClassifier else None
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
    predict = lambda features: tile.model.predict(features.T)[0]  # noqa: E731
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
    for memory in (4, 1):
        size = block_size(tile.series, tile.stack, memory, CORES)
        count = len(list(blocks(tile.series.grid.shape, size)))
        print(f"ours with {memory} GB: {count} block(s) of at most {size} pixels a side")


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
    extract(tile.series, tile.stack, pixels, store, key="bench")
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


# ------------------------------------------------------------------------------------------------------------ run


def machine() -> str:
    """Processor, and versions of what is compared."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    found = {line.split(":")[0].strip(): line.split(":", 1)[1].strip() for line in lines if ":" in line}
    flags = set(found.get("flags", "").split())
    wanted = [one for one in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if one in flags]
    name = found.get("model name", platform.processor() or platform.machine())
    packages = ("numpy", "numba", "torch", "rasterio", "scikit-learn", "xarray")
    versions = [f"{one} {installed(one)}" for one in packages]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {name}, {CORES} cores, {' '.join(wanted) or 'features unknown'}\n"
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="gap-filling on 512 x 512 pixels instead of 256 x 256")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (default: 5)")
    parser.add_argument("--demo", type=Path, help="a demo that stands already (default: one is written and dropped)")
    options = parser.parse_args()
    print(machine() + "\n")
    with watched() as others, tempfile.TemporaryDirectory(prefix="landcover-bench-") as folder:
        measure_gap_filling(512 if options.full else 256, 2 * options.rounds - 1)
        measure_training(200_000, max(1, options.rounds - 2))
        demo = options.demo or write_demo(Path(folder) / "demo", size=300, dates=20)
        tile = open_tile(demo, Path(folder))
        measure_mapping(tile, options.rounds)
        measure_extraction(tile, options.rounds)
    print(f"\nOther programs took {others[0]:.2f} cores on average: {'BUSY' if others[0] > BUSY else 'quiet'} machine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
