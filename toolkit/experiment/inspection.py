"""One pixel in full: read and classified by the same code as training and mapping, and compared with the maps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.errors import RasterioError
from rasterio.windows import Window

from toolkit.experiment.chosen_model import load_model
from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.pixel_report import Mapped, PixelReport, PixelSeries, Place, Truth
from toolkit.experiment.tiles import images_key, open_series, prepared_folder
from toolkit.features.block import inner
from toolkit.features.computing import compute_indices
from toolkit.features.reading import TileFeatures
from toolkit.features.stack import FeatureStack
from toolkit.ground.bands import NODATA, SENTINEL2
from toolkit.ground.errors import LandcoverError, ModelError, ParameterError, ProductError
from toolkit.ground.grid import Block
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.learning.ensemble import AnyModel
from toolkit.mapping.mosaic import distance_to_middle
from toolkit.products.handles import close_rasters
from toolkit.products.raster import grid_of
from toolkit.series.methods import methods_beside
from toolkit.series.timeseries import TileSeries

LANES = 4
"""Threads that read the dates of a pixel side by side. Each keeps its files open, so that only the first pixel of a
tile waits for them to be opened."""

DEGREES = "EPSG:4326"


class PixelReader:
    """Reads pixels of an experiment: `PixelReader(experiment).read(1.4321, 43.6012)`.

    The images of a tile are opened once and again when the experiment's series change; model, maps and ground truth
    are those of the run folder at each reading. Any thread may read; one at a time is served.

    Args:
        classes: whether map and model are asked too, for which every feature of the pixel is computed.
    """

    def __init__(self, experiment: Experiment, *, classes: bool = True) -> None:
        self.experiment, self.classes = experiment, classes
        self._lanes = [ThreadPoolExecutor(1, "landcover-pixels") for _ in range(LANES)]
        self._kept: dict[str, tuple[Any, Any]] = {}
        self._turn = threading.RLock()

    def warm(self, tiles: Sequence[str] | None = None) -> None:
        """Open the images of these tiles (default all) and whatever else the first reading would wait for.

        What cannot be opened is left for `read` to tell.
        """
        for tile in tiles or self.experiment.series.tiles:
            with self._turn:
                try:
                    visit = self._visit()
                    visit.report(visit.middle(tile))
                except LandcoverError:
                    continue

    def read(self, longitude: float, latitude: float, methods: Sequence[str] = ()) -> PixelReport:
        """All that is known of the pixel under a place, degrees.

        Where tiles overlap, the pixel is that of the tile which the mosaic shows there.

        Args:
            methods: names of further methods of gap-filling, to compare.

        Raises:
            ParameterError: the place is in none of the tiles.
            CatalogError, ProductError: there is neither an image nor a map of any tile.
        """
        with self._turn:
            visit = self._visit()
            return visit.report(visit.place(longitude, latitude), methods)

    def middle(self, tile: str) -> tuple[float, float]:
        """Longitude and latitude of the middle of a tile, to have a pixel to look at.

        Raises:
            CatalogError, ProductError: there is no image of it.
        """
        with self._turn:
            place = self._visit().middle(tile)
        return place.longitude, place.latitude

    def close(self) -> None:
        """End the threads, and with them close the images; nothing can be read after this."""
        for lane in self._lanes:
            lane.shutdown(wait=False)

    def _visit(self) -> _Visit:
        now = Experiment(self.experiment.params, self.experiment.path)  # others may change it while we read
        return _Visit(now, RunFolder(now.folder), self._keep, self._lanes, self.classes)

    def _keep(self, name: str, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` made last time under this name, if it was for the same key."""
        if name not in self._kept or self._kept[name][0] != key:
            self._kept[name] = (key, make())
        return self._kept[name][1]


@dataclass(frozen=True)
class _Visit:
    """One look at an experiment whose parameters do not change meanwhile."""

    experiment: Experiment
    folder: RunFolder
    keep: Callable[[str, Any, Callable[[], Any]], Any]
    lanes: Sequence[ThreadPoolExecutor]
    classes: bool

    def place(self, longitude: float, latitude: float) -> Place:
        """The pixel under a place, in the tile that the mosaic shows there."""
        grids = self._grids()
        found = [one for tile, grid in grids.items() if (one := _place_on(grid, tile, longitude, latitude))]
        if not found:
            raise ParameterError(
                f"longitude {longitude:.4f}, latitude {latitude:.4f} lies in none of the tiles {', '.join(grids)}; "
                "choose a place in one of them, or change series.tiles or series.area"
            )
        found.sort(key=lambda one: _to_middle(one, grids[one.tile]))
        seen = [one for one in found if self._value("classes", one)]
        chosen = (seen or found)[0]
        return replace(chosen, also_in=tuple(one.tile for one in found if one is not chosen))

    def middle(self, tile: str) -> Place:
        """The middle of the pixel in the middle of a tile: between two, each way there would find another one."""
        grid = self.series(tile).grid
        x, y = grid.affine * (grid.shape[1] // 2 + 0.5, grid.shape[0] // 2 + 0.5)
        longitude, latitude = _transformer(str(grid.crs), DEGREES).transform(x, y)
        return Place(longitude, latitude, tile, *_pixel_of(grid, x, y), x, y, str(grid.crs))

    def report(self, place: Place, methods: Sequence[str] = ()) -> PixelReport:
        """What is known of a pixel."""
        notes = [f"Also in {', '.join(place.also_in)}; the mosaic shows {place.tile} here."] if place.also_in else []
        if not self.classes:
            place = self._on_series(place)
            alone = self._series_of(place, methods)
            return PixelReport(place, self.experiment.nomenclature, None, None, alone, self._truth(place), tuple(notes))
        mapped = self._mapped(place)
        if mapped is None:
            notes.append("Not classified yet: `classify` makes the map.")
        pixel = probabilities = None
        try:
            place = self._on_series(place)
            pixel, features = self._pixel(place, methods)
            probabilities = None if features is None else self._probabilities(features)
        except LandcoverError as error:
            notes.append(f"{error}.")
        if mapped and mapped.code and probabilities and next(iter(probabilities)) != mapped.code:
            notes.append("The map was made by another model or from other images: `classify` makes it anew.")
        nomenclature = self.experiment.nomenclature
        return PixelReport(place, nomenclature, mapped, probabilities, pixel, self._truth(place), tuple(notes))

    def series(self, tile: str) -> TileSeries:
        """The series of a tile, opened once for the same parameters and catalog."""
        catalog = self.experiment.path.parent / self.experiment.params.catalog
        prepared = (self.experiment.prepare, _stamp(prepared_folder(self.experiment, tile) / "zarr.json"))
        key = (*images_key(self.experiment), self.experiment.series.resampling, _stamp(catalog), prepared)
        return self.keep(f"series {tile}", key, lambda: open_series(self.experiment, tiles=[tile])[0])

    def _grids(self) -> dict[str, GeoBox]:
        """The grid of each tile that has images or a map.

        Raises:
            CatalogError, ProductError: none has.
        """
        grids, problem = {}, None
        for tile in self.experiment.series.tiles:
            try:
                grids[tile] = self._grid(tile)
            except LandcoverError as error:
                problem = problem or error
        if problem and not grids:
            raise problem
        return grids

    def _grid(self, tile: str) -> GeoBox:
        """The grid of a tile's map, which is at hand sooner than that of its series, or else of its series."""
        path = self.folder.tile(tile) / "classes.tif"
        if path.exists():
            with suppress(ProductError):  # a damaged map still has its tile; whoever reads its value is told
                return self.keep(f"grid {tile}", _stamp(path), lambda: _grid_of_map(path))
        return self.series(tile).grid

    def _on_series(self, place: Place) -> Place:
        """The same place on the grid of the tile's series, which differs from the map's after a change of area."""
        grid = self.series(place.tile).grid
        found = _place_on(grid, place.tile, place.longitude, place.latitude)
        if found is None:
            raise ProductError(f"no images here: the map of {place.tile} was made with another series.area")
        return replace(found, also_in=place.also_in)

    def _series_of(self, place: Place, methods: Sequence[str]) -> PixelSeries:
        """The series of a pixel alone."""
        series = self.series(place.tile)
        values, validity = self._read(series, Block(place.row, place.col, 1, 1))
        return _pixel_series(series, self.experiment.stack, values, validity, methods)

    def _pixel(self, place: Place, methods: Sequence[str]) -> tuple[PixelSeries, np.ndarray | None]:
        """The series of a pixel, and its features (feature, 1); none where it has no class."""
        series, stack = self.series(place.tile), self.experiment.stack
        block = Block(place.row, place.col, 1, 1)
        values, validity = self._read(series, block.padded(stack.padding))
        beside = [self._read(one, block) for one in series.others]
        features, clear = TileFeatures(series, stack).of(block, values, validity, beside)
        around = stack.padding
        middle = _pixel_series(series, stack, inner(values, around), inner(validity, around), methods)
        return middle, features.reshape(len(features), 1) if clear.any() else None

    def _read(self, series: TileSeries, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """`series.read(block)`, every lane some of the dates."""
        if series.prepared is not None:  # its chunks hold all dates
            return series.read(block)
        count = len(series.acquisitions)
        parts = [replace(series, acquisitions=series.acquisitions[lane::LANES]) for lane in range(LANES)]
        waiting = [lane.submit(part.read, block) for lane, part in zip(self.lanes, parts, strict=True)]
        values = np.empty((count, len(series.bands), block.height, block.width), dtype=np.int16)
        validity = np.empty((count, block.height, block.width), dtype=bool)
        for lane, one in enumerate(waiting):
            values[lane::LANES], validity[lane::LANES] = one.result()
        return values, validity

    def _probabilities(self, features: np.ndarray) -> dict[int, float]:
        """Class code -> probability, the largest first.

        Raises:
            ModelError: there is no model, or none that fits these features.
        """
        path = (self.experiment.chosen_model or self.folder.model) / "model.json"
        if not path.exists():
            raise ModelError("No model yet: `train` makes it")
        model = self.keep("model", _stamp(path), self._load_model)
        stack = self.experiment.stack
        model.check_features(stack.names, definitions=stack.definitions)
        shares = model.predict_probabilities(features)[:, 0]
        order = np.argsort(-shares, kind="stable")
        return dict(zip(model.nomenclature.codes[order].tolist(), shares[order].tolist(), strict=True))

    def _load_model(self) -> AnyModel:
        return load_model(self.experiment)

    def _mapped(self, place: Place) -> Mapped | None:
        """The maps of the tile at a place, or the mosaic where only that is there."""
        code = self._value("classes", place)
        if code is not None:
            return Mapped(code, *(self._value(layer, place) for layer in ("confidence", "validity", "longest_gap")))
        mosaic = {layer: _value_at(self.folder.map(layer), place) for layer in ("classes", "confidence")}
        return None if mosaic["classes"] is None else Mapped(mosaic["classes"], mosaic["confidence"], None)

    def _value(self, layer: str, place: Place) -> int | None:
        return _value_at(self.folder.tile(place.tile) / f"{layer}.tif", place)

    def _truth(self, place: Place) -> Truth | None:
        """The polygon over a place; of several, the one that sampling gives the pixel to: test before train."""
        found = None
        split = [role for role in ("train", "test", "left_out") if self.folder.polygons(role).exists()]
        for kind in split or ["clean"]:
            path = self.folder.polygons(kind)
            if path.exists():
                polygons = self.keep(f"polygons {kind}", _stamp(path), partial(GroundTruth.read, path))
                found = _polygon_at(polygons, place, kind if split else None) or found
        return found


def _pixel_series(
    series: TileSeries, stack: FeatureStack, values: np.ndarray, validity: np.ndarray, methods: Sequence[str]
) -> PixelSeries:
    """Values (date, band, 1, 1) and validity (date, 1, 1) by name, before and after gap-filling."""
    measured = values.reshape(*values.shape[:2], 1).astype(np.float32)
    raw = np.concatenate([compute_indices(measured, series.bands, stack.indices)[:, :, 0], measured[:, :, 0].T])
    raw[raw == NODATA] = np.nan
    beside = methods_beside(stack.gap_filling)
    stacks = {
        name: replace(stack, gap_filling=beside[name], compatibility="none")
        for name in methods
        if name != stack.gap_filling.method
    }

    def fill(one: FeatureStack) -> dict[str, np.ndarray]:
        regular, _ = one.regular(values, validity, series.dates)
        return {name: line[:, 0, 0] for name, line in one.by_name(regular).items()}

    filled = fill(stack)
    return PixelSeries(
        bands=series.bands,
        dates=series.dates,
        values=values[:, :, 0, 0],
        validity=validity[:, 0, 0],
        measured=dict(zip(filled, raw, strict=True)),
        days=stack.days,
        filled=filled,
        method=stack.gap_filling.method,
        longest_gap=int(stack.longest_gap(validity, series.dates)[0, 0]),
        seasons=stack.seasons,
        measured_by=stack.measured or SENTINEL2,
        others={name: fill(one) for name, one in stacks.items()},
    )


def _polygon_at(ground_truth: GroundTruth, place: Place, role: str | None) -> Truth | None:
    frame = ground_truth.frame
    point = shapely.Point(*_project(place.longitude, place.latitude, frame.crs.to_wkt()))
    rows = frame.sindex.query(point, predicate="intersects")
    if not len(rows):
        return None
    last = int(rows.max())
    return Truth(int(ground_truth.codes[last]), role, int(ground_truth.ids[last]))


def _value_at(path: Path, place: Place) -> int | None:
    """The value of a map at a place; None where there is no map or it ends before."""
    if not path.exists():
        return None
    try:
        with rasterio.open(path) as dataset:  # not kept open: the next run puts another map in its place
            x, y = _project(place.longitude, place.latitude, dataset.crs.to_wkt())
            col, row = (int(np.floor(value)) for value in ~dataset.transform * (x, y))
            if not (0 <= row < dataset.height and 0 <= col < dataset.width):
                return None
            return int(dataset.read(1, window=Window(col, row, 1, 1))[0, 0])
    except RasterioError as error:
        raise ProductError(f"the map {path} cannot be read ({error}); make it again") from None


def _grid_of_map(path: Path) -> GeoBox:
    try:
        return grid_of(path)
    finally:
        close_rasters()


def _place_on(grid: GeoBox, tile: str, longitude: float, latitude: float) -> Place | None:
    """The pixel of a tile under a place; None where it lies outside."""
    x, y = _project(longitude, latitude, str(grid.crs))
    row, col = _pixel_of(grid, x, y)
    inside = 0 <= row < grid.shape[0] and 0 <= col < grid.shape[1]
    return Place(longitude, latitude, tile, row, col, x, y, str(grid.crs)) if inside else None


def _pixel_of(grid: GeoBox, x: float, y: float) -> tuple[int, int]:
    col, row = ~grid.affine * (x, y)
    return int(np.floor(row)), int(np.floor(col))


def _to_middle(place: Place, grid: GeoBox) -> np.float32:
    """By what the mosaic decides between tiles; in its precision, so that a tie is a tie."""
    x, y = grid.affine * (place.col + 0.5, place.row + 0.5)
    return np.float32(distance_to_middle(np.array(x), np.array(y), grid))


def _project(longitude: float, latitude: float, crs: str) -> tuple[float, float]:
    return _transformer(DEGREES, crs).transform(longitude, latitude)


@cache
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _stamp(path: Path) -> tuple[Path, int, int] | None:
    """By what a file is known to be the same as before."""
    if not path.exists():
        return None
    found = path.stat()
    return path, found.st_mtime_ns, found.st_size
