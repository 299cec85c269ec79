import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from toolkit.ground.errors import ParameterError, ProductError
from toolkit.ground.grid import (
    blocks,
    crop,
    describe,
    from_bounds,
    is_aligned,
    outline,
    project_bounds,
    resolution,
    tile_name,
    union,
)


def grid(left: float, top: float, height: int, width: int, pixel: float = 10) -> GeoBox:
    return GeoBox((height, width), Affine(pixel, 0, left, 0, -pixel, top), "EPSG:32631")


def test_tile_name_drops_the_leading_t() -> None:
    assert tile_name("T31TCJ") == tile_name("31TCJ") == "31TCJ"


@pytest.mark.parametrize("text", ["31TCI", "TCJ", "31tcj", "131TCJ", ""])
def test_tile_name_refuses(text: str) -> None:
    with pytest.raises(ParameterError, match="not a Sentinel-2 tile"):
        tile_name(text)


def test_blocks_cover_each_pixel_once() -> None:
    seen = np.zeros((70, 45), dtype=int)
    for block in blocks(seen.shape, 32):
        seen[block.slices] += 1
    assert (seen == 1).all()


def test_block_grid_lies_where_the_block_is() -> None:
    whole = grid(300000, 4900020, 70, 45)
    last = list(blocks(whole.shape, 32))[-1]
    assert (last.row, last.col, last.height, last.width) == (64, 32, 6, 13)
    assert last.of(whole).boundingbox.left == 300000 + 320
    assert last.of(whole).boundingbox.top == 4900020 - 640


def test_union_and_alignment() -> None:
    one, other = grid(0, 1000, 10, 10), grid(50, 1050, 20, 10)
    both = union([one, other])
    assert both.shape == (20, 15)
    assert tuple(both.boundingbox) == (0, 850, 150, 1050)
    assert is_aligned(grid(0, 1000, 5, 5, 20), one)
    assert is_aligned(grid(10, 1000, 5, 5, 20), one)
    assert not is_aligned(grid(5, 1000, 5, 5, 20), one)
    with pytest.raises(ProductError, match="not aligned"):
        union([one, grid(3, 1000, 10, 10)])


def test_crop_snaps_outwards() -> None:
    part = crop(grid(0, 100, 10, 10), (12, 31, 48, 69))
    assert part is not None
    assert tuple(part.boundingbox) == (10, 30, 50, 70)
    assert crop(grid(0, 100, 10, 10), (200, 0, 300, 50)) is None


def test_resolution_refuses_rotated_pixels() -> None:
    with pytest.raises(ProductError, match="north-up"):
        resolution(GeoBox((4, 4), Affine(10, 1, 0, 1, -10, 0), "EPSG:32631"))


def test_from_bounds_and_description() -> None:
    made = from_bounds((300000, 4899020, 301000, 4900020), 10, "EPSG:32631")
    assert describe(made) == "100 x 100 pixels of 10 m, EPSG:32631, upper left 300000, 4900020"


def test_outline_is_a_closed_ring_through_the_corners() -> None:
    ring = np.array(outline(grid(400000, 4900000, 300, 500), "EPSG:4326", steps=4).exterior.coords)
    assert ring.shape == (17, 2)
    x, y = Transformer.from_crs("EPSG:4326", 32631, always_xy=True).transform(ring[:, 0], ring[:, 1])
    corners = [(400000, 4900000), (405000, 4900000), (405000, 4897000), (400000, 4897000), (400000, 4900000)]
    np.testing.assert_allclose(np.stack([x, y], axis=1)[::4], corners, atol=1e-3)


def test_outline_in_its_own_system_is_the_box() -> None:
    tile = grid(400000, 4900000, 300, 500)
    assert outline(tile, tile.crs).equals(shapely.box(*tile.boundingbox.bbox))


def test_outline_in_the_next_zone_is_less_than_its_bounding_box() -> None:
    tile = grid(300000, 4900020, 10980, 10980)
    shape = outline(tile, "EPSG:32630")
    box = shapely.box(*project_bounds(tile.boundingbox, tile.crs, "EPSG:32630"))
    assert shape.is_valid
    assert shape.area < 0.9 * box.area
    to = Transformer.from_crs("EPSG:32631", "EPSG:32630", always_xy=True).transform
    rng = np.random.default_rng(0)
    x, y = rng.uniform(290000, 420000, 4000), rng.uniform(4780000, 4910000, 4000)
    inside = (x > 300000) & (x < 409800) & (y > 4790220) & (y < 4900020)
    assert np.array_equal(shapely.contains_xy(shape, *to(x, y)), inside)
    finer = outline(tile, "EPSG:32630", steps=2000)
    assert shape.hausdorff_distance(finer) < 0.01
