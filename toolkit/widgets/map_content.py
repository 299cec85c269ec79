"""What the run folder and the catalog hold that a map can show: class maps, confidence, validity, images of a date."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from odc.geo.geobox import GeoBox

from toolkit.experiment.folder import RunFolder
from toolkit.figures.maps import read_classes
from toolkit.ground.bands import STAND_IN, Band
from toolkit.ground.errors import LandcoverError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.mapping.layers import LAYERS
from toolkit.products.handles import close_rasters
from toolkit.products.product import BandFile, Product
from toolkit.products.raster import grid_of
from toolkit.webmap.layers import Composite, Indexed, Ramp, RasterLayer
from toolkit.widgets.leaflet import ROLE_OUTLINES, polygon_shapes, tile_shapes

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

CLASSES, CONFIDENCE, VALIDITY, LONGEST_GAP = "Classification", "Confidence", "Validity", "Longest gap"
MARGIN, ENTROPY = "Margin", "Entropy"
POSTPROCESSED = "Post-processed"

CLASS_MAPS = (CLASSES, POSTPROCESSED)
"""Layers in the colours of the nomenclature."""

MEASURES = {
    CONFIDENCE: "confidence",
    MARGIN: "margin",
    ENTROPY: "entropy",
    VALIDITY: "validity",
    LONGEST_GAP: "longest_gap",
}
"""Layers in the colours of a ramp, and the layer of the map that each shows."""

LONG_GAP = 120
"""Days of the longest gap that is drawn brightest."""

TILES = "Tiles"

VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Steps of a ramp that people with any colour vision read in order (van der Walt and Smith 2015)."""

IMAGES = {
    "True colour": (("B4", "B3", "B2"), (0.0, 0.0, 0.0), (0.22, 0.22, 0.22)),
    "False colour": (("B8", "B4", "B3"), (0.0, 0.0, 0.0), (0.5, 0.25, 0.25)),
}
"""Composites: bands for red, green and blue, as Sentinel-2 calls them, and the reflectances drawn darkest and
brightest, alike on all dates."""

ENDS = {"reflectance": (0.0, 0.4), "power": (0.0, 0.3), "dB": (-22.0, 0.0), "K": (270.0, 320.0)}
"""Darkest and brightest by the unit, for sensors without these bands."""

CROSS, WEAKER = ("VH", "HV"), {"power": (0.0, 0.08), "dB": (-28.0, -8.0)}
"""Names of cross-polarised bands, and their ends."""

MOST_PIXELS = 4_000_000
"""Pixels read of a map to measure the area of its classes; of a larger map every n-th."""

Rasters = tuple[RasterLayer, ...]


@dataclass(frozen=True)
class Picture:
    """What is drawn red, green and blue of an image."""

    bands: tuple[tuple[str, ...], ...]
    """Of each the bands that may be; the first that a product has."""
    low: tuple[float, ...]
    """Values drawn darkest."""
    high: tuple[float, ...]


@dataclass(frozen=True)
class ClassArea:
    """How much of a map a class has."""

    code: int
    hectares: float
    share: float
    """Of the area that has a class, 0 to 1."""


@dataclass(frozen=True)
class Content:
    """What a map shows at first, and what is not there yet."""

    grids: Mapping[str, GeoBox]
    """The pixel grid of each tile."""
    rasters: Mapping[str, Rasters]
    shapes: Mapping[str, list[dict[str, Any]]]
    """Polygons and footprints by the name of their layer, the uppermost first."""
    missing: Sequence[str]
    """In words, HTML."""

    @classmethod
    def of(cls, experiment: Experiment, only: frozenset[int] = frozenset()) -> Content:
        """Look at the run folder; it takes its time where there are many polygons.

        Args:
            only: as for `result_layers`.
        """
        grids = tile_grids(experiment)
        shapes = _polygon_layers(experiment) | ({TILES: tile_shapes(grids)} if grids else {})
        return cls(grids, result_layers(experiment, only), shapes, missing_words(experiment, grids))


def result_layers(experiment: Experiment, only: frozenset[int] = frozenset()) -> dict[str, Rasters]:
    """The maps that are there, by name; each of one file, the mosaic, or of one file a tile.

    Args:
        only: codes of the classes that are drawn; empty for all.
    """
    folder = RunFolder(experiment.folder)
    dates = max(1, len(experiment.stack.days))
    postprocessed = [folder.postprocessed] if folder.postprocessed.exists() else []
    brightest = {VALIDITY: dates, LONGEST_GAP: LONG_GAP}
    found = {
        POSTPROCESSED: [class_layer(path, experiment.nomenclature, only) for path in postprocessed],
        CLASSES: [class_layer(path, experiment.nomenclature, only) for path in map_files(experiment, folder)],
    }
    for name, layer in MEASURES.items():
        ramp = Ramp(0, brightest.get(name, 100), VIRIDIS)
        found[name] = [
            RasterLayer((path,), ramp, LAYERS[layer].nodata, True) for path in map_files(experiment, folder, layer)
        ]
    return {name: tuple(layers) for name, layers in found.items() if layers}


def words_of(name: str) -> str:
    """What a value of a layer means; empty of those that are no measure."""
    return LAYERS[MEASURES[name]].words if name in MEASURES else ""


def class_layer(path: Path, nomenclature: Nomenclature, only: frozenset[int] = frozenset()) -> RasterLayer:
    """A class map in the colours of the nomenclature; a code that is not in it is grey."""
    colours = dict.fromkeys(range(1, 256), (128, 128, 128, 255)) | nomenclature.colour_table()
    shown = {code: colour for code, colour in colours.items() if code and (not only or code in only)}
    return RasterLayer((path,), Indexed(shown), 0, False)


def picture_kinds(bands: Sequence[Band]) -> dict[str, Picture]:
    """The pictures that can be made of a source's bands, by what a person calls them: the `IMAGES`, or else one of its
    own first bands; none where their unit is not known.
    """
    found = {}
    for kind, (names, low, high) in IMAGES.items():
        choices = tuple(_like(name, bands) for name in names)
        if all(choices):
            found[kind] = Picture(choices, low, high)
    known = [one for one in bands if one.unit in ENDS]
    if found or not known:
        return found
    drawn = [*known, *known, *known][:3]
    ends = [(WEAKER if one.name.upper() in CROSS else ENDS).get(one.unit, ENDS[one.unit]) for one in drawn]
    low, high = zip(*ends, strict=True)
    return {", ".join(one.name for one in drawn): Picture(tuple((one.name,) for one in drawn), low, high)}


def _like(name: str, bands: Sequence[Band]) -> tuple[str, ...]:
    """The bands that measure what one of Sentinel-2 does, then those that do in its stead."""
    return tuple(one.name for like in (name, STAND_IN.get(name)) for one in bands if like and one.like == like)


def image_layers(products: Iterable[Product], picture: Picture | None) -> Rasters:
    """Images as a picture; a product without the bands gives none, nor does one whose bands share a file."""
    found = []
    for product in products if picture else ():
        assert picture is not None
        bands = [next((product.bands[one] for one in names if one in product.bands), None) for names in picture.bands]
        drawn = [band for band in bands if band is not None and band.number == 1]
        if len(drawn) == len(bands):
            found.append(_composite(drawn, picture.low, picture.high))
    return tuple(found)


def offer(choice: Any, kinds: Collection[str]) -> None:
    """Offer these kinds of pictures in a dropdown; the one that is chosen stays where it is among them."""
    if list(choice.options) != list(kinds):
        chosen = choice.value
        choice.options = list(kinds)
        if chosen in kinds:
            choice.value = chosen


def products_by_date(experiment: Experiment) -> dict[str, list[Product]]:
    """The products of the experiment's tiles by day, ISO format, in order: those of the period and its margin.

    Looks at folders, opens no image.

    Raises:
        CatalogError: the catalog or the source is absent.
    """
    found: dict[str, list[Product]] = {}
    for tile in experiment.series.tiles:
        products = experiment.data.products(experiment.series.source, tile)
        serves = experiment.series.serve(np.array([one.date for one in products], dtype="datetime64[D]"))
        for product, inside in zip(products, serves, strict=True):
            if inside:
                found.setdefault(str(product.date), []).append(product)
    return dict(sorted(found.items()))


def map_files(experiment: Experiment, folder: RunFolder, layer: str = "classes") -> list[Path]:
    """The file of the mosaic, or where there is none those of the tiles that are classified."""
    return [folder.map(layer)] if folder.map(layer).exists() else _of_tiles(experiment, folder, layer)


def other_runs(experiment: Experiment) -> dict[str, Path]:
    """Class maps of other experiments beside this one, by name."""
    own = experiment.folder
    found = {path.parents[1].name: path for path in sorted(own.parent.glob("*/mapping/classes.tif"))}
    return {name: path for name, path in found.items() if name != own.name}


def tile_grids(experiment: Experiment) -> dict[str, GeoBox]:
    """The pixel grid of each tile, from its map or else from its first image; tiles without either are left out."""
    folder, grids = RunFolder(experiment.folder), {}
    for tile in experiment.series.tiles:
        path = folder.tile(tile) / "classes.tif"
        try:
            grids[tile] = grid_of(path if path.exists() else _first_image(experiment, tile))
        except LandcoverError:
            continue
        finally:
            close_rasters()
    return grids


def class_areas(paths: Iterable[Path]) -> list[ClassArea]:
    """The area of each class in these maps together, in the order of the codes; large maps are thinned."""
    hectares = np.zeros(256)
    for path in paths:
        classes = read_classes(path, MOST_PIXELS)
        counts = np.bincount(classes.values.ravel(), minlength=256)
        hectares += counts * classes.pixel * abs(classes.affine.e / classes.affine.a) * classes.pixel / 10_000
    hectares[0] = 0
    total = max(hectares.sum(), 1e-12)
    return [
        ClassArea(code, float(hectares[code]), float(hectares[code] / total))
        for code in np.flatnonzero(hectares).tolist()
    ]


def missing_words(experiment: Experiment, grids: Mapping[str, GeoBox]) -> list[str]:
    """What is not there yet, and the verb that makes it; HTML."""
    folder, tiles = RunFolder(experiment.folder), experiment.series.tiles
    unmapped = [tile for tile in tiles if not (folder.tile(tile) / "classes.tif").exists()]
    unseen = [tile for tile in tiles if tile not in grids]
    told = []
    if not map_files(experiment, folder):
        told.append("No classification yet: <code>classify</code> makes it.")
    elif not folder.map().exists():
        told.append("The tiles lie one over another: <code>mosaic</code> joins them.")
        told += [f"Not classified yet: {', '.join(unmapped)}."] if unmapped else []
    if unseen:
        told.append(f"No image found of {', '.join(unseen)}.")
    if not folder.polygons("train").exists():
        told.append("No polygons yet: <code>clean</code> and <code>sample</code> make them.")
    return told


def _polygon_layers(experiment: Experiment) -> dict[str, list[dict[str, Any]]]:
    """The polygons of each role that are there, by the name of their layer."""
    folder, names = RunFolder(experiment.folder), experiment.nomenclature
    return {
        name: polygon_shapes(GroundTruth.read(folder.polygons(role)), names, style)
        for role, (name, style) in ROLE_OUTLINES.items()
        if folder.polygons(role).exists()
    }


def _of_tiles(experiment: Experiment, folder: RunFolder, layer: str) -> list[Path]:
    paths = [folder.tile(tile) / f"{layer}.tif" for tile in experiment.series.tiles]
    return [path for path in paths if path.exists()]


def _composite(bands: list[BandFile], low: tuple[float, ...], high: tuple[float, ...]) -> RasterLayer:
    """Three bands with the stretch in the units of their files."""
    darkest, brightest = (
        tuple((value - band.offset) / band.scale for value, band in zip(values, bands, strict=True))
        for values in (low, high)
    )
    return RasterLayer(tuple(band.path for band in bands), Composite(darkest, brightest), bands[0].nodata, True)  # type: ignore[arg-type]


def _first_image(experiment: Experiment, tile: str) -> Path:
    products = experiment.data.products(experiment.series.source, tile)
    files = [band.path for product in products for band in product.bands.values()]
    return files[0] if files else Path(tile)
