"""What `sample` would draw, before anything is extracted.

The polygons, the split, the pixels inside and the draw are those of `sample`, by the same functions. Only extraction
knows the clear dates of a pixel: those with fewer than `sampling.min_clear_dates` are counted here, and dropped then.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox

from toolkit.experiment.config import Experiment
from toolkit.experiment.drawing import cleaned_polygons, locate_over_tiles, pixels_of, train_first
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import Manifest, fingerprint_files
from toolkit.experiment.stages import clean_step, ground_truth_file, nomenclature_files
from toolkit.experiment.steps import standing
from toolkit.experiment.tiles import images_key, open_series
from toolkit.ground.grid import resolution
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.ground_truth.splits import assign_roles
from toolkit.ground_truth.vector_files import parts_of
from toolkit.samples.sampling import draw_over_tiles
from toolkit.series.timeseries import TileSeries

T = TypeVar("T")

_SHARED: weakref.WeakKeyDictionary[Experiment, SamplingPreview] = weakref.WeakKeyDictionary()

ROLES = ("train", "test", "left_out")


@dataclass(frozen=True)
class Preview:
    """What would be drawn."""

    polygons: GroundTruth
    """The cleaned polygons, with their `role`."""
    nomenclature: Nomenclature
    grids: Mapping[str, GeoBox]
    """The pixel grid of each tile."""
    table: pd.DataFrame
    """One row a class of the nomenclature: `code`, `label`, polygons by role (`train`, `test`, `left_out`), `available`
    (pixels of the train polygons), `cap`, `pixels` (those that would be drawn), and the latter by tile."""


def preview_samples(experiment: Experiment) -> pd.DataFrame:
    """How many polygons and pixels of each class `sample` would take; nothing is written.

    Returns:
        See `Preview.table`. Pixels with too few clear dates are among them: only extraction knows those.

    Raises:
        GroundTruthError, ProductError, CatalogError, ParameterError: as `clean` and `sample` do.
    """
    return SamplingPreview(experiment).look().table


def shared_preview(experiment: Experiment) -> SamplingPreview:
    """The preview of an experiment that all who look at it share, as long as the experiment lives."""
    if experiment not in _SHARED:
        _SHARED[experiment] = SamplingPreview(weakref.proxy(experiment))
    return _SHARED[experiment]


class SamplingPreview:
    """What `sample` would draw, again and again: what a change of parameters does not touch is not computed anew.

    Another ground truth is noticed; images that change meanwhile are not: make another preview. Any thread may look.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self._lock = threading.Lock()
        self._located: _Kept[Located] = _Kept()
        self._split: _Kept[tuple[GroundTruth, dict[str, np.ndarray]]] = _Kept()

    def look(self) -> Preview:
        """What would be drawn with the experiment's parameters as they are now.

        Raises:
            GroundTruthError, ProductError, CatalogError, ParameterError: as `clean` and `sample` do.
        """
        with self._lock:
            return self._look(Experiment(self.experiment.params, self.experiment.path))  # a copy that does not change

    def _look(self, now: Experiment) -> Preview:
        now.sampling.check_codes(now.nomenclature)
        place = _place(now)
        located = self._located.get(place, lambda: Located.of(now))

        def split() -> tuple[GroundTruth, dict[str, np.ndarray]]:
            polygons = assign_roles(located.polygons, now.split, now.seed)
            return polygons, located.candidates(polygons)

        polygons, candidates = self._split.get((place, now.split, now.seed), split)
        drawn = draw_over_tiles(candidates, now.sampling, now.seed)
        chosen = {tile: codes[drawn[tile]] for tile, codes in candidates.items()}
        grids = {one.tile: one.grid for one in located.series}
        return Preview(polygons, now.nomenclature, grids, _table(now, polygons, candidates, chosen))


@dataclass(frozen=True)
class Located:
    """The pixels inside the polygons, whatever the roles of these."""

    polygons: GroundTruth
    series: Sequence[TileSeries]
    certain: Mapping[str, np.ndarray]
    """Tile -> number of the pixels that only one polygon covers, of each polygon, int64 (polygon,)."""
    contested: Mapping[str, np.ndarray]
    """Tile -> the pixels that several polygons cover, as positions in the flat grid, int64 (pixel,)."""
    contenders: np.ndarray
    """Whether each polygon covers such a pixel, or lies beside one, bool (polygon,)."""

    @classmethod
    def of(cls, experiment: Experiment) -> Located:
        """Find the pixels, of the polygons in the run folder if these are up to date, else of those cleaned anew."""
        series = open_series(experiment)
        polygons = _clean(experiment, series)
        first = locate_over_tiles(polygons, series)
        last = locate_over_tiles(_reversed(polygons), series)
        certain, contested = {}, {}
        contenders = np.zeros(len(polygons), dtype=bool)
        for one in series:
            # Where the first and the last polygon over a pixel are the same, there is one only.
            places, owners = _by_place(first[one.tile], one)
            alone = owners == _by_place(last[one.tile], one)[1]
            number = pd.Index(polygons.ids).get_indexer(owners[alone])
            certain[one.tile] = np.bincount(number, minlength=len(polygons))
            contested[one.tile] = places[~alone]
            contenders |= _beside(polygons, one, places[~alone])
        return cls(polygons, series, certain, contested, contenders)

    def candidates(self, polygons: GroundTruth) -> dict[str, np.ndarray]:
        """Class code of each pixel that may be drawn, by tile.

        Args:
            polygons: the same as here, with their `role`.
        """
        trains = (polygons.frame["role"] == "train").to_numpy()
        codes = polygons.codes.astype(np.uint8)
        found = {tile: np.repeat(codes[trains], counts[trains]) for tile, counts in self.certain.items()}
        if not self.contenders.any():
            return found
        train = polygons.where(trains & self.contenders)
        located = pixels_of(train, locate_over_tiles(train_first(polygons.where(self.contenders)), self.series))
        for one in self.series:
            pixels = located[one.tile]
            won = np.isin(_flat(pixels, one), self.contested[one.tile])
            found[one.tile] = np.concatenate([found[one.tile], pixels["code"][won]])
        return found


class _Kept(Generic[T]):
    """The last result of something slow, and what it was made from."""

    def __init__(self) -> None:
        self._key: Any = None
        self._value: T | None = None

    def get(self, key: Any, make: Callable[[], T]) -> T:
        if self._value is None or key != self._key:
            self._value, self._key = make(), key
        return self._value


def _place(experiment: Experiment) -> tuple[Any, ...]:
    """All that the pixels of the polygons depend on."""
    files = [*parts_of(ground_truth_file(experiment)), *nomenclature_files(experiment)]
    fingerprint = fingerprint_files(files, experiment.path.parent)
    return *images_key(experiment), experiment.folder, experiment.ground_truth, fingerprint


def _clean(experiment: Experiment, series: Sequence[TileSeries]) -> GroundTruth:
    folder = RunFolder(experiment.folder)
    state, _ = standing(experiment, clean_step(experiment), Manifest(folder.manifest).records())
    if state == "up to date":
        return GroundTruth.read(folder.polygons("clean"))
    return cleaned_polygons(experiment, series)[0]


def _reversed(polygons: GroundTruth) -> GroundTruth:
    return GroundTruth(polygons.frame.iloc[::-1].reset_index(drop=True), polygons.name)


def _flat(pixels: np.ndarray, series: TileSeries) -> np.ndarray:
    return pixels["row"].astype(np.int64) * series.grid.shape[1] + pixels["col"]


def _by_place(pixels: np.ndarray, series: TileSeries) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the pixels in the flat grid, ascending, and the polygon of each."""
    places = _flat(pixels, series)
    order = np.argsort(places)
    return places[order], pixels["polygon"][order]


def _beside(polygons: GroundTruth, series: TileSeries, places: np.ndarray) -> np.ndarray:
    """Whether each polygon lies within a pixel of these pixels' centres, bool (polygon,)."""
    near = np.zeros(len(polygons), dtype=bool)
    if len(places):
        row, col = np.divmod(places, series.grid.shape[1])
        points = shapely.points(*(series.grid.affine * (col + 0.5, row + 0.5)))
        shapes = polygons.frame.geometry.to_crs(str(series.grid.crs)).to_numpy()
        near[shapely.STRtree(shapes).query(points, "dwithin", resolution(series.grid))[1]] = True
    return near


def _table(
    experiment: Experiment,
    polygons: GroundTruth,
    candidates: Mapping[str, np.ndarray],
    chosen: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    classes = experiment.nomenclature.classes
    codes, frame = [one.code for one in classes], polygons.frame

    def count(values: Any) -> np.ndarray:
        return np.bincount(values, minlength=256)[codes]

    available, drawn = ({tile: count(one) for tile, one in each.items()} for each in (candidates, chosen))
    columns: dict[str, Any] = {"code": codes, "label": [one.label for one in classes]}
    columns |= {role: count(frame["code"][frame["role"] == role]) for role in ROLES}
    columns["available"] = sum(available.values())
    columns["cap"] = [experiment.sampling.cap(code) for code in codes]
    columns["pixels"] = sum(drawn.values())
    return pd.DataFrame(columns | drawn)
