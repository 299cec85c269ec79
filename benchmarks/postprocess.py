"""Post-processing and polygons of a class map beside the usual tools, by turns.

majority   ours, OTB's ClassificationMapRegularization (file to file, if installed), scipy's generic_filter (a part)
sieve      ours, GDAL's (by its own rule: the largest neighbour)
smoothing  ours, the formula with sorted windows in NumPy (a part)
polygons   ours from file to file, GDAL's polygons from an array to GeoPackage

python benchmarks/postprocess.py          (about five minutes on two cores)
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from interleaved import Contender, agree, table, take_turns
from numpy.lib.stride_tricks import sliding_window_view
from odc.geo.geobox import GeoBox
from rasterio.features import shapes
from rasterio.features import sieve as gdal_sieve
from rasterio.transform import from_origin
from scipy import ndimage

from toolkit.ground.nomenclature import Nomenclature
from toolkit.mapping.majority import majority
from toolkit.mapping.rasters import map_writer
from toolkit.mapping.sieve import sieve
from toolkit.mapping.smoothing import smooth
from toolkit.mapping.vectorise import MapFiles, VectorParams, vectorise_map

OTB = "otbcli_ClassificationMapRegularization"
NAMES = Nomenclature.load("oso_23")
CODES = NAMES.codes
UNIT = 10


@dataclass
class Scene:
    """A map of fields with noise, as a classifier of pixels leaves it."""

    classes: np.ndarray
    probabilities: np.ndarray
    path: Path
    confidence: Path
    folder: Path

    @property
    def megapixels(self) -> float:
        return self.classes.size / 1e6


def make_scene(folder: Path, size: int) -> Scene:
    """Rounded patches of 23 classes, every tenth pixel another class; probabilities on a quarter of a side."""
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.random((size, size), dtype=np.float32), 20)
    ranks = np.digitize(field, np.quantile(field[::7, ::7], np.arange(1, 23) / 23))
    classes = CODES[ranks * 7 % 23]
    noisy = rng.random(classes.shape) < 0.1
    classes[noisy] = rng.choice(CODES, int(noisy.sum()))
    part = size // 4
    shares = rng.dirichlet(np.full(23, 0.3), (part, part))
    np.put_along_axis(shares, NAMES.index(classes[:part, :part])[..., None], 1, axis=-1)
    probabilities = np.round(100 * shares / shares.sum(axis=-1, keepdims=True)).astype(np.uint8)
    paths = {layer: folder / f"{layer}.tif" for layer in ("classes", "confidence")}
    grid = GeoBox((size, size), from_origin(300000, 4900020, 10, 10), "EPSG:32631")
    for path, values in zip(paths.values(), (classes, np.full_like(classes, 80)), strict=True):
        with map_writer(path, grid, "uint8", nodata=0) as target:
            target.write(values, 1)
    return Scene(classes, np.moveaxis(probabilities, -1, 0).copy(), paths["classes"], paths["confidence"], folder)


def by_otb(scene: Scene, radius: int) -> np.ndarray:
    out = scene.folder / "otb.tif"
    command = [OTB, "-io.in", str(scene.path), "-io.out", str(out), "uint8", "-ip.radius", str(radius)]
    subprocess.run(command, check=True, capture_output=True)
    with rasterio.open(out) as source:
        return source.read(1)


def by_scipy(classes: np.ndarray, radius: int) -> np.ndarray:
    def most(values: np.ndarray) -> int:
        counts = np.bincount(values.astype(np.int64), minlength=256)
        own = int(values[values.size // 2])
        return own if counts[own] == counts.max() or (counts == counts.max()).sum() > 1 else int(counts.argmax())

    return ndimage.generic_filter(classes, most, 2 * radius + 1, mode="nearest")


def by_sorting(probabilities: np.ndarray, window: int, smoothness: float = 20.0) -> np.ndarray:
    """The inner pixels by the formula of the paper, half of the window counting."""
    share = np.clip(probabilities.astype(np.float64), 0.5, 99.5) / 100
    logits = np.log(share / (1 - share))
    best, found = np.float64(-np.inf), 0
    radius = window // 2
    for index, layer in enumerate(logits):
        view = sliding_window_view(layer, (window, window)).reshape(-1, window * window)
        kept = -np.sort(-view, axis=1)[:, : -(-window * window // 2)]
        mean, spread = kept.mean(axis=1), kept.var(axis=1, ddof=1)
        own = layer[radius:-radius, radius:-radius].ravel()
        value = (spread * own + smoothness * mean) / (spread + smoothness)
        found = np.where(value > best, index, found)
        best = np.maximum(best, value)
    return CODES[found].reshape(layer.shape[0] - 2 * radius, -1)


def by_gdal_polygons(scene: Scene) -> gpd.GeoDataFrame:
    with rasterio.open(scene.path) as source:
        found = list(shapes(source.read(1), connectivity=4, transform=source.transform))
    geometry = [shapely.geometry.shape(one) for one, _ in found]
    frame = gpd.GeoDataFrame({"code": [code for _, code in found]}, geometry=geometry, crs="EPSG:32631")
    frame.to_file(scene.folder / "gdal.gpkg")
    return frame


def bench_majority(scene: Scene, rounds: int, radius: int) -> None:
    part = scene.classes[:200, :200]
    small = by_scipy(part, radius) if radius == 1 else None
    contenders = [Contender("ours, one core", lambda: majority(scene.classes, radius), scene.megapixels)]
    if shutil.which(OTB):
        agree(f"majority, radius {radius}, with OTB", _share(majority(scene.classes, radius), by_otb(scene, radius)), 0)
        contenders.append(Contender("OTB, all cores, files", lambda: by_otb(scene, radius), scene.megapixels))
    if small is not None:
        agree("majority with scipy, inside", _share(majority(part, 1)[1:-1, 1:-1], small[1:-1, 1:-1]), 0)
    contenders.append(Contender("scipy generic_filter", lambda: by_scipy(part, radius), part.size / 1e6))
    take_turns(contenders, rounds)
    print(table(f"Majority, radius {radius}", "Mpx", contenders, [one.name for one in contenders[1:]]))


def bench_sieve(scene: Scene, rounds: int) -> None:
    ours, theirs = sieve(scene.classes, UNIT), gdal_sieve(scene.classes, UNIT)
    print(f"  sieve of {UNIT} pixels: another class than GDAL's rule gives in {_share(ours, theirs):.2%} of the pixels")
    contenders = [
        Contender("ours, one core", lambda: sieve(scene.classes, UNIT), scene.megapixels),
        Contender("GDAL", lambda: gdal_sieve(scene.classes, UNIT), scene.megapixels),
    ]
    take_turns(contenders, rounds)
    print(table(f"Sieve of {UNIT} pixels", "Mpx", contenders, ["GDAL"]))


def bench_smoothing(scene: Scene, rounds: int, window: int = 9) -> None:
    radius = window // 2
    part = scene.probabilities[:, :100, :100]
    found = smooth(part, CODES, window=window)[radius:-radius, radius:-radius]
    agree("smoothing with the sorted windows, share of pixels", _share(found, by_sorting(part, window)), 0.002)
    contenders = [
        Contender("ours, one core", lambda: smooth(scene.probabilities, CODES, window=window), scene.megapixels / 16),
        Contender("NumPy, sorted windows", lambda: by_sorting(part, window), part[0].size / 1e6),
    ]
    take_turns(contenders, rounds)
    print(table(f"Smoothing of 23 classes over {window} x {window}", "Mpx", contenders, ["NumPy, sorted windows"]))


def bench_polygons(scene: Scene, rounds: int) -> None:
    files, path = MapFiles(scene.path, scene.confidence), scene.folder / "ours.gpkg"

    def ours(outline: str) -> int:
        return vectorise_map(files, path, NAMES, VectorParams(outline=outline))

    agree("number of polygons", abs(ours("pixels") - len(by_gdal_polygons(scene))), 0)
    contenders = [
        Contender("ours, smooth", lambda: ours("smooth"), scene.megapixels),
        Contender("ours, pixels", lambda: ours("pixels"), scene.megapixels),
        Contender("GDAL, geopandas", lambda: by_gdal_polygons(scene), scene.megapixels),
    ]
    take_turns(contenders, rounds)
    print(table(f"Polygons ({ours('pixels'):,})", "Mpx", contenders, ["GDAL, geopandas"]))


def _share(one: np.ndarray, other: np.ndarray) -> float:
    return float((one != other).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048, help="pixels a side")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scene = make_scene(Path(folder), options.size)
        for radius in (1, 5):
            bench_majority(scene, options.rounds, radius)
        bench_sieve(scene, options.rounds)
        bench_smoothing(scene, options.rounds)
        with rasterio.open(scene.path, "r+") as target:  # polygons of a map as it is published
            target.write(sieve(majority(scene.classes, 1), UNIT), 1)
        bench_polygons(scene, options.rounds)


if __name__ == "__main__":
    main()
