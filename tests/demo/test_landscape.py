"""The landscape: classes everywhere, parcels across tile borders, mixed pixels."""

from __future__ import annotations

import numpy as np
import shapely

from toolkit.demo import Scene
from toolkit.demo.kinds import CODES
from toolkit.demo.landscape import tile_of
from toolkit.demo.parcels import cut_parcels
from toolkit.demo.tiles import TILES


def test_cut_parcels_cover_the_outline_without_overlap() -> None:
    outline = shapely.box(0, 0, 1000, 800)
    parcels = cut_parcels(np.random.default_rng(1), outline, lambda x, y: 10_000)
    assert 40 < len(parcels) < 160
    assert np.isclose(sum(parcel.area for parcel in parcels), outline.area)
    assert shapely.union_all(parcels).area > 0.9999 * outline.area


def test_wanted_area_is_obeyed_by_place() -> None:
    parcels = cut_parcels(
        np.random.default_rng(1), shapely.box(0, 0, 2000, 1000), lambda x, y: 4000 if x < 1000 else 40_000
    )
    west = [parcel.area for parcel in parcels if parcel.centroid.x < 900]
    east = [parcel.area for parcel in parcels if parcel.centroid.x > 1100]
    assert np.median(east) > 4 * np.median(west)


def test_every_class_is_in_at_least_three_tiles(scene: Scene) -> None:
    tiles = tile_of(scene.land.centres)
    for code in CODES:
        holders = {tile for tile in TILES if ((tiles == tile) & (scene.land.codes == code)).any()}
        assert len(holders) >= 3, f"class {code} is in {holders} only"


def test_shares_of_a_pixel_sum_to_one_and_come_in_order(scene: Scene) -> None:
    share = scene.land.share
    assert np.allclose(share.sum(axis=0), 1)
    assert (share[0] >= share[1]).all() and (share[1] >= share[2]).all()


def test_some_pixels_are_mixed_and_most_are_not(scene: Scene) -> None:
    mixed = (scene.land.share[0] < 0.95).mean()
    assert 0.1 < mixed < 0.7


def test_maps_cover_the_union_of_the_tiles(scene: Scene) -> None:
    assert scene.class_map.shape == scene.parcel_map.shape == scene.layout.union.shape
    assert set(np.unique(scene.class_map)) <= set(CODES)
    assert len(np.unique(scene.class_map)) >= 16


def test_a_parcel_crosses_the_border_of_the_tiles(scene: Scene) -> None:
    middle = scene.parcel_map.shape[1] // 2
    assert set(scene.parcel_map[:, middle - 1]) & set(scene.parcel_map[:, middle])


def test_class_map_is_the_class_and_not_the_parcel_that_covers_most(scene: Scene) -> None:
    land = scene.land
    codes = land.codes[land.index]
    for code in (6, 13, 2):
        share = (land.share * (codes == code)).sum(axis=0)
        assert (land.class_map[share > 0.5] == code).all()
