"""The whole chain on real images: forest or not, in north-east France (docs/real_images.md).

187 Theia products of tile 31UFQ, 80 x 80 pixels, six bands, and a reference raster of forest (BD Forêt). The raster
is turned into polygons cut by blocks of 16 pixels; each block belongs to one of five folds, so that train and test
are apart in space. `cross_validate` leaves out one fold after the other; then one map is made, beside the reference.

    python benchmarks/real_images.py          (or `make real`)
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import yaml
from rasterio.features import shapes
from shapely.geometry import shape

from toolkit import Experiment, cross_validate, run
from toolkit.experiment.printing import Printer
from toolkit.figures.maps import map_beside_truth
from toolkit.figures.style import png
from toolkit.ground.errors import LandcoverError
from toolkit.ground.nomenclature import Nomenclature

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LANDCOVER_REAL_DATA", ROOT.parent / "shared" / "data")) / "theia_maja_T31UFQ_fordead"
REFERENCE = "Rasters/ZoneTest/BDForet_ZoneTest.tif"
BLOCK, FOLDS = 16, 5

EXPERIMENT = {
    "name": "forest",
    "series": {
        "source": "s2_31ufq",
        "tiles": ["31UFQ"],
        "start": "2018-01-01",
        "end": "2018-12-27",
        "bands": ["B2", "B3", "B4", "B8A", "B11", "B12"],
    },
    "ground_truth": {"source": "reference.gpkg", "class_field": "code", "nomenclature": "forest.csv"},
    # Nearly all polygons train: the left-out folds are the test, and one polygon a class is the same-area one.
    "split": {"train_ratio": 0.98},
    "learning": {
        # The published widths; batch normalisation since so few parcels differ so much from one another.
        "network": {"name": "mlp", "hidden": [240, 69, 69], "batch_norm": True},
        "epochs": 20,
        # The valid samples lie beside the train samples and their F-score is soon perfect; the loss still tells.
        "select_by": "loss",
        "batch_size": 128,
        "learning_rate": 1e-3,
        # 46 polygons are too few to set some apart: the valid set is of samples, and the left-out folds are the test.
        "valid_by": "sample",
    },
}


def prepare(folder: Path, seed: int) -> Path:
    """Write polygons, nomenclature, catalog and experiment into `folder`; returns the experiment file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "forest.csv").write_text("code,label,colour\n1,Other,#e8d9a0\n2,Forest,#1b7837\n", encoding="utf-8")
    if not (folder / "reference.gpkg").exists():
        reference_polygons(DATA / REFERENCE, seed=0).to_file(folder / "reference.gpkg")
    catalog = {
        "meta": {"version": 1, "name": "real images", "root": str(DATA)},
        "s2_31ufq": {
            "data_type": "RasterDataset",
            "uri": "SENTINEL",
            "driver": {"name": "theia"},
            "metadata": {"license": "Etalab-2.0", "reference": "https://gitlab.com/jbferet/fordead_package"},
        },
    }
    (folder / "data_catalog.yml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    path = folder / "experiment.yml"
    path.write_text(yaml.safe_dump({**EXPERIMENT, "name": f"forest_seed_{seed}", "seed": seed}), encoding="utf-8")
    return path


def reference_polygons(path: Path, seed: int) -> gpd.GeoDataFrame:
    """Polygons of the reference raster, cut by blocks of 16 pixels; each block belongs to one of five folds."""
    with rasterio.open(path) as raster:
        forest, transform, crs = raster.read(1), raster.transform, raster.crs
    rows, cols = np.indices(forest.shape) // BLOCK
    block = rows * (forest.shape[1] // BLOCK) + cols
    fold = np.random.default_rng(seed).permutation(np.arange(block.max() + 1) % FOLDS)
    records = []
    for one in range(block.max() + 1):
        for outline, value in shapes(forest, mask=block == one, transform=transform, connectivity=4):
            records.append({"geometry": shape(outline), "code": int(value) + 1, "fold": f"fold {fold[one] + 1}"})
    return gpd.GeoDataFrame(records, crs=crs)


def main() -> int:
    """Cross-validate and map; prints the metrics, leaves the map beside the reference as a picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "real_images", help="where results go")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds to run (default: 1)")
    parser.add_argument("--fresh", action="store_true", help="delete earlier results first")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"The real images are not at {DATA}. Set LANDCOVER_REAL_DATA to the folder that holds {DATA.name}.")
        return 1
    if options.fresh:
        shutil.rmtree(options.folder, ignore_errors=True)
    try:
        for seed in range(options.seeds):
            experiment = Experiment.load(prepare(options.folder, seed))
            result = cross_validate(experiment, by="fold", observer=Printer())
            print(f"\n{result!r}")
            pooled = result.metrics["pooled_left_out"]
            print(f"seed {seed}, pooled over the left-out folds: ", end="")
            print(f"OA {pooled['oa']:.3f}  Kappa {pooled['kappa']:.3f}  F-score {pooled['f_score']:.3f}\n")
        assessment = run(experiment, observer=Printer())
    except LandcoverError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    picture = options.folder / "map_beside_reference.png"
    classes = experiment.folder / "mapping" / "classes.tif"
    truth = gpd.read_file(options.folder / "reference.gpkg")
    nomenclature = Nomenclature.load(options.folder / "forest.csv")
    picture.write_bytes(png(map_beside_truth(classes, truth, nomenclature)))
    print(f"\nMap against its own test polygons: {assessment!r}\nMap beside the reference: {picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
