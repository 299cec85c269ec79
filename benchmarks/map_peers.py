"""How maps are usually made: windows by rasterio, a DataLoader over windows, a chain of eo-learn, the Orfeo ToolBox.

The loops over windows are written again, as documentation and users write them; eo-learn and the Orfeo ToolBox are
themselves, where they are installed (`make bench-env`, `apt install otb-bin`). Files are opened anew for each window,
and 20 m bands are brought to 10 m by GDAL within the window, as such loops do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import rasterio
import torch
from gap_filling import Scene, by_gather
from interleaved import CORES, Contender
from map_scene import TEN_METRES, MapScene
from rasterio.enums import Resampling
from rasterio.windows import Window

try:
    from sklearn.ensemble import RandomForestClassifier
except ImportError:
    RandomForestClassifier = None

Predict = Callable[[np.ndarray], np.ndarray]

ROOT = Path(__file__).parents[1]
PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
SIDE = 512
NETWORK, FOREST, EOLEARN = "rasterio + network", "rasterio + forest", "eo-learn"
OTB = "otbcli_ImageClassifier"
LOADER = f"DataLoader({CORES})"
REMARKS = [
    f"{NETWORK} / {FOREST}: re-creation of the sequential loop over windows; NumPy gather fills the gaps",
    f"{LOADER}: re-creation of torchgeo's pattern, a Dataset of windows whose workers read and fill the gaps",
]


def contenders(scene: MapScene, folder: Path, windows: int, until: ExitStack) -> list[Contender]:
    """The peers on so many windows of the scene; the DataLoader has as many for each worker.

    Args:
        until: ends the processes that wait for their turns.
    """
    chosen = _windows(scene, windows)
    amount = _mpx(chosen)
    many = _windows(scene, windows * CORES)
    network = _network(scene)
    found = [
        Contender(NETWORK, lambda: _sequential(scene, chosen, network), amount),
        Contender(LOADER, lambda: _by_loader(scene, many, network), _mpx(many)),
    ]
    if RandomForestClassifier is not None:
        forest = _forest(scene, chosen[0])
        found.append(Contender(FOREST, lambda: _sequential(scene, chosen, forest.predict), amount))
    more = (_eolearn(scene, chosen[0], folder, until), _otb(scene, chosen[0], folder))
    return found + [one for one in more if one is not None]


def usual_classes(scene: MapScene) -> tuple[Window, np.ndarray]:
    """A window, and its class codes as the sequential loop gives them (y, x)."""
    (window,) = _windows(scene, 1)
    (classes,) = _sequential(scene, [window], _network(scene))
    return window, classes.reshape(int(window.height), int(window.width))


def _mpx(windows: list[Window]) -> float:
    return sum(one.height * one.width for one in windows) / 1e6


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


def _eolearn(scene: MapScene, window: Window, folder: Path, until: ExitStack) -> Contender | None:
    """eo-learn's own tasks, in a process of its own environment that waits for its turn."""
    if not PEER_PYTHON.exists():
        REMARKS.append(f"{EOLEARN}: not measured; `make bench-env` installs it")
        return None
    file = folder / "scene.json"
    file.write_text(json.dumps(_for_eolearn(scene, window)))
    script = str(ROOT / "benchmarks" / "peer_eolearn_map.py")
    process = subprocess.Popen(
        [str(PEER_PYTHON), script, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    until.callback(process.communicate)  # closes its input, which ends it

    def turn() -> None:
        print("go", file=process.stdin, flush=True)
        answer = json.loads(process.stdout.readline() or '{"error": "its process ended"}')
        if "error" in answer:
            raise RuntimeError(f"eo-learn: {answer['error']}")

    REMARKS.append(f"{EOLEARN}: its own tasks on one window, on all cores, a forest; counts among the others itself")
    return Contender(EOLEARN, turn, _mpx([window]))


def _for_eolearn(scene: MapScene, window: Window) -> dict[str, object]:
    series, bands = scene.series, scene.stack.bands
    dates = [
        {
            "day": str(day),
            "bands": [(str(file.path), round(file.scale)) for _, file in one.bands],
            "masks": [str(file.path) for _, file in one.masks],
        }
        for day, one in zip(series.dates, series.acquisitions, strict=True)
    ]
    return {
        "dates": dates, "output_days": [str(day) for day in scene.stack.days],
        "places": [bands.index(band) for band in ("B4", "B8", "B11")],
        "window": [int(window.row_off), int(window.col_off), int(window.height)],
    }  # fmt: skip


def _otb(scene: MapScene, window: Window, folder: Path) -> Contender | None:
    """`otbcli_ImageClassifier` on features that are ready: neither reads the series nor fills gaps."""
    if shutil.which(OTB) is None:
        REMARKS.append(f"{OTB}: not measured, for the Orfeo ToolBox is not installed")
        return None
    image, model = folder / "features.tif", folder / "forest.model"
    for command in _otb_commands(scene, window, image, model, folder):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            REMARKS.append(f"{OTB}: not measured, {command[0]} failed: {done.stdout[-200:]}")
            return None
    command = [OTB, "-in", image, "-model", model, "-out", folder / "otb.tif", "uint8"]
    threads = os.environ | {"OMP_NUM_THREADS": str(CORES), "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(CORES)}
    REMARKS.append(f"{OTB}: itself, on all cores, on features that are ready on disk; neither reads nor fills gaps")
    run = lambda: subprocess.run(command, check=True, capture_output=True, env=threads)  # noqa: E731
    return Contender(OTB, run, _mpx([window]))


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
        "-classifier", "rf", "-classifier.rf.nbtrees", "100", "-classifier.rf.max", "25", "-feat", *names,
    ]  # fmt: skip
