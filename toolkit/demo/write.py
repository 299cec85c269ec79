"""Writes the demo to disk: Theia or Sen2Cor products, ground truth, the complete truth, a catalog and an experiment."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

import pyogrio
from pyogrio.errors import DataSourceError
from rasterio.errors import RasterioError

from toolkit.demo.passes import Acquisition
from toolkit.demo.polygons import make_polygons
from toolkit.demo.radar import write_radar
from toolkit.demo.scene import DemoParams, Scene, make_scene
from toolkit.demo.sen2cor import write_safe
from toolkit.demo.theia import write_product, write_raster
from toolkit.demo.tiles import EPSG, TILES
from toolkit.ground.errors import ParameterError, RunFolderError, did_you_mean
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import build
from toolkit.ground.streaming import Progress, no_progress
from toolkit.ground.writing import NO_SPACE

VERSION = 2
"""Raised when the same parameters give other files than before."""
STAMP = "demo.json"
Format = Literal["theia", "sen2cor"]
"""Whose products are written; the folder that holds them, and the catalog's driver, have that name."""
FORMATS: tuple[Format, ...] = get_args(Format)
OWN = (*FORMATS, "ground_truth.gpkg", "truth.tif", "data_catalog.yml", "experiment.yml", STAMP)
"""What a demo is made of; anything else in its folder is the user's."""
OF_RADAR = ("s1", "experiment_s1.yml")
"""What comes with radar images."""
SIDE_FILES = ("", ".aux.xml", ".ovr", "-wal", "-shm", "-journal")
"""Endings of what GDAL and SQLite lay beside a file of the demo; they go with it."""

log = logging.getLogger(__name__)


def write_demo(
    folder: Path,
    seed: int = 0,
    size: int = 300,
    dates: int = 38,
    *,
    format: Format = "theia",
    radar: bool = False,
    progress: Progress = no_progress,
    workers: int | None = None,
) -> Path:
    """Write a demo: `theia/<tile>/<product>/`, `ground_truth.gpkg`, `truth.tif`, `data_catalog.yml`, `experiment.yml`.

    The folder appears whole or not at all. If it already holds this demo, nothing is written; if it holds a demo
    made with other parameters or by another version, that one is replaced; runs and all else that the user laid
    into the folder stay.

    Args:
        folder: where the demo will stand; its parent is made if need be.
        seed: see `DemoParams`.
        size: see `DemoParams`.
        dates: see `DemoParams`.
        format: whose products: `"theia"`, GeoTIFFs; `"sen2cor"`, ESA's SAFE folders of JPEG 2000, in `sen2cor/`.
        radar: whether images as of Sentinel-1 are written too, `s1/<tile>/`, and `experiment_s1.yml` that uses both.
        progress: called with (products written, products in all).
        workers: threads; default one a core.

    Returns:
        The folder.

    Raises:
        ParameterError: a value out of bounds.
        RunFolderError: the folder holds something else than a demo, or cannot be written.
    """
    params = build(DemoParams, {"seed": seed, "size": size, "dates": dates}, "demo")
    if format not in FORMATS:
        raise ParameterError(f"demo: format = {format!r} is not known{did_you_mean(format, FORMATS)}")
    # Demos of before there was a choice are of Theia, without radar.
    chosen = ({"format": format} if format != "theia" else {}) | ({"radar": True} if radar else {})
    stamp = {"what": "landcover demo", "version": VERSION, **params.model_dump(), **chosen}
    target = Path(folder).resolve()
    if _stands(target, stamp):
        log.info("demo %s is up to date", folder)
        return folder
    try:
        with _aside(target) as part:
            _write(part, make_scene(seed, size, dates), stamp, format, progress, workers)
    except (OSError, RasterioError, DataSourceError) as error:
        raise RunFolderError(f"demo {folder} cannot be written: {_reason(error)}") from error
    return folder


def _stands(folder: Path, stamp: dict[str, Any]) -> bool:
    """True where this demo is there already.

    Raises:
        RunFolderError: something stands there that is not a demo.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("what") != stamp["what"]:
        raise RunFolderError(f"{folder} holds something else than a demo; name another folder, or empty this one")
    return found == stamp


def _write(
    folder: Path, scene: Scene, stamp: dict[str, Any], format: Format, progress: Progress, workers: int | None
) -> None:
    _write_products(folder, scene, format, progress, workers or os.cpu_count() or 1)
    if stamp.get("radar"):
        write_radar(folder / "s1", scene)
    with _fixed_clock():
        # a layer of any geometry: else every polygon would be written as a multipolygon of one
        make_polygons(scene).to_file(
            folder / "ground_truth.gpkg", layer="ground_truth", geometry_type="Unknown", promote_to_multi=False
        )
    colours = Nomenclature.load("oso_23").colour_table()
    write_raster(folder / "truth.tif", scene.class_map, scene.layout.union, colours)
    radar, values = stamp.get("radar"), {"tiles": ", ".join(TILES), "seed": stamp["seed"]}
    catalog = CATALOG.replace("FORMAT", format) + (RADAR_SOURCE if radar else "")
    (folder / "data_catalog.yml").write_text(catalog, encoding="utf-8")
    (folder / "experiment.yml").write_text(EXPERIMENT.format(**values), encoding="utf-8")
    if radar:
        (folder / "experiment_s1.yml").write_text(RADAR_EXPERIMENT.format(**values), encoding="utf-8")
    (folder / STAMP).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")


def _write_products(folder: Path, scene: Scene, format: Format, progress: Progress, workers: int) -> None:
    """Render and write every product, pass by pass: images of one pass share its sky."""
    total, done = len(scene.acquisitions), 0
    passes = [list(group) for _, group in groupby(scene.acquisitions, key=lambda one: one.overpass.number)]
    write = write_product if format == "theia" else write_safe
    progress(done, total)

    def work(group: list[Acquisition]) -> int:
        sky = scene.sky(group[0].overpass)
        for one in group:
            write(folder / format / one.tile, one, scene.render(one, sky), scene.layout.tile(one.tile))
        return len(group)

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, group) for group in passes]
        try:
            for future in futures:
                done += future.result()
                progress(done, total)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def _fixed_clock() -> Iterator[None]:
    """GDAL writes the hour into a GeoPackage; a fixed one makes the same demo the same bytes."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2019-02-01T00:00:00.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` that takes its place when the block ends well, and is deleted when it does not."""
    _sweep(folder)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = part.with_suffix(".old")
    part.mkdir(parents=True)
    try:
        yield part
        if folder.exists():
            folder.replace(old)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if old.exists():
            _retire(old, folder)


def _retire(old: Path, folder: Path) -> None:
    """Delete the demo that stood before, and move into the new one what is the user's.

    Where there is no new one, the old one takes its place again. A file of the user's whose name the new folder
    holds too stays in the old one.
    """
    if not folder.exists():
        old.replace(folder)
        return
    for entry in old.iterdir():
        if entry.name in {name + end for name in (*OWN, *OF_RADAR) for end in SIDE_FILES}:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        elif not (folder / entry.name).exists():
            entry.replace(folder / entry.name)
    if any(old.iterdir()):
        log.warning("%s keeps what could not be moved into %s", old, folder)
    else:
        old.rmdir()


def _sweep(folder: Path) -> None:
    """Clear up what killed runs left beside `folder` more than an hour ago."""
    for left in sorted(folder.parent.glob(f".{folder.name}.*.*")):
        if time.time() - left.stat().st_mtime > 3600:
            if left.suffix == ".part":
                shutil.rmtree(left, ignore_errors=True)
            elif left.suffix == ".old":
                _retire(left, folder)


def _reason(error: Exception) -> str:
    if (isinstance(error, OSError) and error.errno in NO_SPACE) or "No space left" in str(error):
        return "the disk is full; free about 200 MB, or name a folder on another disk"
    return f"{error}; name a folder that you may write to"


CATALOG = f"""\
# Where the data of the demo lie. All of them are simulated: see docs/demo.md.
meta:
  version: 1
  name: landcover demo
  root: .

s2_demo:
  data_type: RasterDataset
  uri: FORMAT/{{tile}}
  driver: {{name: FORMAT}}
  metadata:
    category: Sentinel-2 L2A (simulated)
    license: CC0-1.0
    reference: simulated by toolkit.demo, see docs/demo.md
    crs: {EPSG}

demo_polygons:
  data_type: GeoDataFrame
  uri: ground_truth.gpkg
  driver: {{name: pyogrio}}
  metadata:
    category: ground truth (simulated)
    license: CC0-1.0
    reference: simulated by toolkit.demo, see docs/demo.md
    crs: 2154
"""

EXPERIMENT = """\
# The demo from images to map: `landcover run experiment.yml`.
name: demo
catalog: data_catalog.yml
seed: {seed}
series: {{source: s2_demo, tiles: [{tiles}], start: 2018-01-01, end: 2018-12-27, step_days: 10}}
features: {{indices: [ndvi, ndwi, brightness]}}
ground_truth: {{source: demo_polygons, class_field: code, nomenclature: oso_23}}
split: {{train_ratio: 0.75}}
sampling: {{sampler: periodic, max_per_class: 3000}}
learning: {{network: {{name: mlp}}, epochs: 15, batch_size: 512, learning_rate: 1.0e-3, select_by: f_score}}
"""

RADAR_SOURCE = f"""
s1_demo:
  data_type: RasterDataset
  uri: s1/{{tile}}
  driver: {{name: dated_rasters, preset: sentinel1_power}}
  metadata:
    category: Sentinel-1 backscatter, linear power (simulated)
    license: CC0-1.0
    reference: simulated by toolkit.demo, see docs/demo.md
    crs: {EPSG}
"""

RADAR_EXPERIMENT = """\
# The demo by Sentinel-2 and Sentinel-1 together: `landcover run experiment_s1.yml`.
name: demo_s1
catalog: data_catalog.yml
seed: {seed}
series:
  source: s2_demo
  tiles: [{tiles}]
  start: 2018-01-01
  end: 2018-12-27
  step_days: 10
  sensors:
    # Twelve days from pass to pass. The logarithm is what networks take best: 10 log(x) / log(10) are decibels.
    - name: s1
      source: s1_demo
      bands: [VV, VH]
      indices: ["VVdB = 4.343 * log(VV)", "VHdB = 4.343 * log(VH)", "RVI = 4 * VH / (VV + VH)"]
      step_days: 12
features: {{indices: [ndvi, ndwi, brightness]}}
ground_truth: {{source: demo_polygons, class_field: code, nomenclature: oso_23}}
split: {{train_ratio: 0.75}}
sampling: {{sampler: periodic, max_per_class: 3000}}
learning: {{network: {{name: ltae}}, epochs: 15, batch_size: 512, learning_rate: 1.0e-3, select_by: f_score}}
"""
