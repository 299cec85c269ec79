"""How maps are usually made, written again for comparison: windows by rasterio, a DataLoader, an eo-learn style chain.

None of these is the named package itself: each is the loop that its documentation and users write with it. Files are
opened anew for each window, and 20 m bands are brought to 10 m by GDAL within the window, as such loops do.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import rasterio
import torch
from gap_filling import Scene, by_gather
from interleaved import CORES, Contender
from map_scene import TEN_METRES, MapScene
from numba import njit, prange
from rasterio.enums import Resampling
from rasterio.windows import Window

try:
    from sklearn.ensemble import RandomForestClassifier
except ImportError:
    RandomForestClassifier = None

Predict = Callable[[np.ndarray], np.ndarray]

SIDE = 512
REMARKS = [
    "rasterio + network / + forest: re-creation of the sequential loop over windows; NumPy gather fills the gaps",
    "DataLoader: re-creation of torchgeo's pattern, a Dataset of windows with workers that read and fill the gaps",
    "eo-learn style: re-creation; a patch of float32, every series by np.interp in compiled parallel loops, a forest",
]


def contenders(scene: MapScene, folder: Path, windows: int) -> list[Contender]:
    """The peers on a few windows in the middle of the scene."""
    chosen = _windows(scene, windows)
    amount = sum(one.height * one.width for one in chosen) / 1e6
    network = _network(scene)
    found = [
        Contender("rasterio + network", lambda: _sequential(scene, chosen, network), amount),
        Contender(f"DataLoader({CORES})", lambda: _by_loader(scene, chosen * CORES, network), amount * CORES),
    ]
    if RandomForestClassifier is not None:
        forest = _forest(scene, chosen[0])
        found.append(Contender("rasterio + forest", lambda: _sequential(scene, chosen, forest.predict), amount))
        found.append(Contender("eo-learn style", lambda: _eolearn_style(scene, chosen, forest.predict), amount))
        otb = _otb(scene, chosen[0], forest, folder)
        found.extend([otb] if otb else [])
    return found


def _windows(scene: MapScene, count: int) -> list[Window]:
    height, width = scene.series.grid.shape
    places = [(row, col) for row in range(0, height, SIDE) for col in range(0, width, SIDE)]
    return [Window(col, row, min(SIDE, width - col), min(SIDE, height - row)) for row, col in places[:count]]


def _read(scene: MapScene, window: Window) -> Scene:
    """Values and masks of a window; each file is opened for it."""
    shape = int(window.height), int(window.width)
    series = scene.series
    values = np.empty((len(series.acquisitions), len(series.bands), *shape), np.int16)
    validity = np.ones((len(series.acquisitions), *shape), bool)
    for t, one in enumerate(series.acquisitions):
        for b, (band, _) in enumerate(one.bands):
            with rasterio.open(band.path) as raster:
                step = 1 if series.bands[b] in TEN_METRES else 2
                part = Window(window.col_off / step, window.row_off / step, window.width / step, window.height / step)
                way = Resampling.nearest if step == 1 else Resampling.bilinear
                values[t, b] = raster.read(1, window=part, out_shape=shape, resampling=way)
        for mask, _ in one.masks:
            with rasterio.open(mask.path) as raster:
                validity[t] &= raster.read(1, window=window) == 0
    flat = values.reshape(*values.shape[:2], -1), validity.reshape(len(validity), -1)
    return Scene(*flat, series.dates, scene.stack.days)


def _features(scene: MapScene, filled: np.ndarray) -> np.ndarray:
    """Gap-filled (date, band, pixel) to (pixel, feature)."""
    red, nir, swir = (filled[:, scene.stack.bands.index(band)] for band in ("B4", "B8", "B11"))
    indices = [_ratio(nir, red), _ratio(swir, nir), np.sqrt((filled**2).sum(axis=1))]
    return np.concatenate([filled.reshape(-1, filled.shape[2]), *indices]).T.astype(np.float32)


def _ratio(plus: np.ndarray, minus: np.ndarray) -> np.ndarray:
    return 1000 * (plus - minus) / np.maximum(plus + minus, 1e-5)


def _window_features(scene: MapScene, window: Window) -> np.ndarray:
    read = _read(scene, window)
    return _features(scene, by_gather(read, read.empty()))


def _network(scene: MapScene) -> Predict:
    return lambda features: scene.model.predict(np.ascontiguousarray(features.T))[0]


def _forest(scene: MapScene, window: Window) -> RandomForestClassifier:
    features = _window_features(scene, window)[:: max(1, SIDE * SIDE // 3000)]
    codes = np.random.default_rng(0).integers(1, 24, len(features))
    return RandomForestClassifier(100, max_depth=25, n_jobs=CORES, random_state=0).fit(features, codes)


def _sequential(scene: MapScene, windows: list[Window], predict: Predict) -> list[np.ndarray]:
    return [predict(_window_features(scene, window)) for window in windows]


class Windows(torch.utils.data.Dataset):
    """Features of each window."""

    def __init__(self, scene: MapScene, windows: list[Window]) -> None:
        self.scene, self.windows = scene, windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, place: int) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(_window_features(self.scene, self.windows[place])))


def _by_loader(scene: MapScene, windows: list[Window], predict: Predict) -> list[np.ndarray]:
    loader = torch.utils.data.DataLoader(Windows(scene, windows), batch_size=None, num_workers=CORES)
    return [predict(features.numpy()) for features in loader]


@njit(parallel=True, cache=True)
def _interpolate(values, validity, days, output_days, out):  # type: ignore[no-untyped-def]
    for pixel in prange(values.shape[2]):
        usable = np.flatnonzero(validity[:, pixel])
        for band in range(values.shape[1]):
            if usable.size:
                out[:, band, pixel] = np.interp(output_days, days[usable], values[usable, band, pixel])


def _eolearn_style(scene: MapScene, windows: list[Window], predict: Predict) -> list[np.ndarray]:
    found = []
    for window in windows:
        read = _read(scene, window)
        patch = read.values.astype(np.float64)
        out = np.zeros((len(read.output_dates), patch.shape[1], patch.shape[2]))
        first = read.dates[0]
        days, wanted = ((one - first).astype(np.float64) for one in (read.dates, read.output_dates))
        _interpolate(patch, read.validity, days, wanted, out)
        found.append(predict(_features(scene, out)))
    return found


def _otb(scene: MapScene, window: Window, forest: object, folder: Path) -> Contender | None:
    """`otbcli_ImageClassifier` on features that are ready: neither reads the series nor fills gaps."""
    if shutil.which("otbcli_ImageClassifier") is None:
        REMARKS.append("otbcli_ImageClassifier: not measured, for the Orfeo ToolBox is not installed")
        return None
    image, model = folder / "features.tif", folder / "forest.model"
    for command in _otb_commands(scene, window, image, model, folder):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            REMARKS.append(f"otbcli_ImageClassifier: not measured, {command[0]} failed: {done.stdout[-200:]}")
            return None
    command = ["otbcli_ImageClassifier", "-in", image, "-model", model, "-out", folder / "otb.tif", "uint8"]
    REMARKS.append("otbcli_ImageClassifier: on features that are ready on disk, a forest of 100 trees")
    run = lambda: subprocess.run(command, check=True, capture_output=True)  # noqa: E731
    return Contender("otb, features ready", run, window.height * window.width / 1e6)


def _otb_commands(scene: MapScene, window: Window, image: Path, model: Path, folder: Path) -> Iterator[list[str]]:
    features = _window_features(scene, window).T.reshape(-1, int(window.height), int(window.width))
    profile = {"driver": "GTiff", "dtype": "float32", "count": len(features), "interleave": "pixel", "tiled": True}
    with rasterio.open(image, "w", height=features.shape[1], width=features.shape[2], **profile) as target:
        target.write(features)
    rows = features.reshape(len(features), -1).T[::100]
    names = [f"f{number}" for number in range(rows.shape[1])]
    table = pd.DataFrame(rows, columns=names)
    table.insert(0, "code", np.random.default_rng(0).integers(1, 24, len(rows)).astype(np.int32))
    pyogrio.write_dataframe(table, folder / "samples.gpkg")
    yield [
        "otbcli_TrainVectorClassifier", "-io.vd", str(folder / "samples.gpkg"),
        "-io.out", str(model), "-cfield", "code",
        "-classifier", "rf", "-classifier.rf.nbtrees", "100", "-feat", *names,
    ]  # fmt: skip
