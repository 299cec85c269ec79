"""A map by eo-learn's own tasks, as a process that waits for its turn; runs in `.venv-bench` (see `map_peers.py`).

The chain is what eo-learn's documentation builds: an EOPatch of a window, bands and masks read by a task of one's own
(its importers take one file of many bands, not products), `LinearInterpolationTask` onto the regular dates,
`NormalizedDifferenceIndexTask`, a forest of scikit-learn. Each line read on the standard input makes the map once; the
answer is a line of JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from eolearn.core import EOPatch, EOTask, EOWorkflow, FeatureType, linearly_connect_tasks
from eolearn.features import NormalizedDifferenceIndexTask
from eolearn.features.extra.interpolation import LinearInterpolationTask
from rasterio.enums import Resampling
from rasterio.windows import Window
from sklearn.ensemble import RandomForestClassifier

BANDS, VALID = (FeatureType.DATA, "BANDS"), (FeatureType.MASK, "VALID")
NDVI, NDWI, CLASSES = (FeatureType.DATA, "NDVI"), (FeatureType.DATA, "NDWI"), (FeatureType.MASK_TIMELESS, "CLASSES")


class ReadTask(EOTask):
    """Bands (20 m by bilinear interpolation) and masks of all dates of a window."""

    def __init__(self, scene: dict[str, Any]) -> None:
        self.dates, (self.row, self.col, self.side) = scene["dates"], scene["window"]

    def execute(self) -> EOPatch:
        patch = EOPatch(bbox=None, timestamps=[datetime.fromisoformat(one["day"]) for one in self.dates])
        bands = [[self._band(*band) for band in one["bands"]] for one in self.dates]
        patch[BANDS] = np.moveaxis(np.array(bands, np.float32), 1, -1)
        masks = [np.all([self._band(path, 1) == 0 for path in one["masks"]], axis=0) for one in self.dates]
        patch[VALID] = np.array(masks)[..., None]
        return patch

    def _band(self, path: str, step: int) -> np.ndarray:
        window = Window(self.col / step, self.row / step, self.side / step, self.side / step)
        way = Resampling.nearest if step == 1 else Resampling.bilinear
        with rasterio.open(path) as raster:
            return raster.read(1, window=window, out_shape=(self.side, self.side), resampling=way)


class PredictTask(EOTask):
    """Classes of each pixel by a forest, fitted to random classes: what it says is of no worth, what it costs is."""

    def __init__(self) -> None:
        self.forest: RandomForestClassifier | None = None

    def execute(self, patch: EOPatch) -> EOPatch:
        features = self._features(patch)
        if self.forest is None:
            rows = features[:: max(1, len(features) // 3000)]
            codes = np.random.default_rng(0).integers(1, 24, len(rows))
            self.forest = RandomForestClassifier(100, max_depth=25, n_jobs=-1, random_state=0).fit(rows, codes)
        side = patch[BANDS].shape[1]
        patch[CLASSES] = self.forest.predict(features).astype(np.uint8).reshape(side, side, 1)
        return patch

    def _features(self, patch: EOPatch) -> np.ndarray:
        bands = patch[BANDS]
        norm = np.sqrt((bands**2).sum(axis=-1, keepdims=True))
        stack = np.concatenate([bands, patch[NDVI], patch[NDWI], norm], axis=-1)
        return np.nan_to_num(np.moveaxis(stack, 0, 2).reshape(stack.shape[1] * stack.shape[2], -1))


def workflow(scene: dict[str, Any]) -> EOWorkflow:
    red, nir, swir = scene["places"]
    return EOWorkflow(
        linearly_connect_tasks(
            ReadTask(scene),
            LinearInterpolationTask(BANDS, mask_feature=VALID, resample_range=scene["output_days"], parallel=True),
            NormalizedDifferenceIndexTask(BANDS, NDVI, [nir, red]),
            NormalizedDifferenceIndexTask(BANDS, NDWI, [swir, nir]),
            PredictTask(),
        )
    )


def main() -> None:
    warnings.simplefilter("ignore")
    chain = workflow(json.loads(Path(sys.argv[1]).read_text()))
    for _ in sys.stdin:
        results = chain.execute()
        if results.workflow_failed():
            print(json.dumps({"error": str(results.error_node_uid)}), flush=True)
            return
        print(json.dumps({}), flush=True)


if __name__ == "__main__":
    main()
