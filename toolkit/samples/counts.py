"""How many polygons and pixels were drawn of each class, in all and by tile."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.samples.store import SampleStore


def count_samples(
    store: SampleStore, train: GroundTruth, nomenclature: Nomenclature, min_clear_dates: int
) -> pd.DataFrame:
    """One row a class of the nomenclature: code, label, polygons, pixels, then pixels in each tile.

    Pixels with fewer than `min_clear_dates` clear dates are not counted, for they are not used.
    """
    by_tile = {
        tile: np.bincount(store.pixels(tile)["code"][store.clear(tile) >= min_clear_dates], minlength=256)
        for tile in store.tiles
    }
    polygons = train.frame["code"].value_counts()
    rows = [
        {
            "code": one.code,
            "label": one.label,
            "polygons": int(polygons.get(one.code, 0)),
            "pixels": int(sum(counts[one.code] for counts in by_tile.values())),
            **{tile: int(counts[one.code]) for tile, counts in by_tile.items()},
        }
        for one in nomenclature.classes
    ]
    return pd.DataFrame(rows)
