"""Rendered images: ranges, masks and their bits, clouds, swaths, and the seed."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from toolkit.demo import Scene, make_scene
from toolkit.demo.clouds import make_sky, sun_at
from toolkit.demo.fields import blur, fractal_field, gaussian_field, smoothstep
from toolkit.demo.passes import OWN_ORBIT, Acquisition, Overpass
from toolkit.demo.scene import Image
from toolkit.ground.bands import BAND_NAMES, BANDS, NODATA


def overpass(cloudiness: float, *, day: str = "2018-07-10", snow: float = 0.0, haze: float = 0.0) -> Overpass:
    time = np.datetime64(f"{day}T10:58:00", "ms")
    return Overpass(900, "A", 51, time, cloudiness, haze, 0.3, snow)


def image(scene: Scene, weather: Overpass, tile: str = "31TCJ", half: str = "whole") -> Image:
    return scene.render(Acquisition(tile, weather, "C", "2-2", weather.time, half))


def test_all_bands_and_masks_have_their_size_and_type(scene: Scene) -> None:
    rendered = scene.render(scene.products["31TDK"][0])
    assert tuple(sorted(rendered.bands)) == tuple(sorted(BAND_NAMES))
    for name, values in rendered.bands.items():
        side = 60 if BANDS[name].resolution == 10 else 30
        assert values.shape == (side, side) and values.dtype == np.int16
    assert set(rendered.masks) == {f"{mask}_{group}" for mask in ("CLM", "SAT", "EDG", "MG2") for group in ("R1", "R2")}
    for name, mask in rendered.masks.items():
        assert mask.shape == ((60, 60) if name.endswith("R1") else (30, 30)) and mask.dtype == np.uint8


def test_a_clear_day_has_no_cloud_in_the_mask_and_plausible_reflectances(scene: Scene) -> None:
    rendered = image(scene, overpass(0.0))
    assert not rendered.masks["CLM_R1"].any() and rendered.cloud_percent == 0
    assert min(values.min() for values in rendered.bands.values()) > -200
    assert max(values.max() for values in rendered.bands.values()) < 7000


def test_an_overcast_day_is_masked_and_bright(scene: Scene) -> None:
    rendered = image(scene, overpass(1.0))
    assert (rendered.masks["CLM_R2"] & 0b11 == 0b11).all() and rendered.cloud_percent == 100
    assert np.median(rendered.bands["B2"]) > 5000


def test_clouds_may_be_brighter_than_10000() -> None:
    scene = make_scene(seed=3, size=100, dates=2)
    brightest = max(
        image(scene, Overpass(number, "A", 51, overpass(0).time, 0.9, 0, 0, 0)).bands["B8"].max() for number in range(4)
    )
    assert brightest > 10_000


def test_bit_0_of_clm_is_clouds_or_shadows(scene: Scene) -> None:
    for one in scene.acquisitions:
        clm = scene.render(one).masks["CLM_R2"]
        either = (clm & (1 << 1 | 1 << 5)) > 0
        assert np.array_equal(clm & 1 > 0, either)


def test_20_m_masks_are_the_10_m_masks(scene: Scene) -> None:
    rendered = image(scene, overpass(0.4))
    for mask in ("CLM", "EDG", "MG2"):
        assert np.array_equal(rendered.masks[f"{mask}_R1"], rendered.masks[f"{mask}_R2"].repeat(2, 0).repeat(2, 1))


def test_a_date_of_the_neighbouring_orbit_is_partly_outside_the_swath(scene: Scene) -> None:
    one = next(one for one in scene.products["31TDJ"] if one.overpass.orbit != OWN_ORBIT["31TDJ"])
    rendered = scene.render(one)
    edge = rendered.masks["EDG_R1"] == 1
    assert 0 < edge.mean() < 1
    for name, values in rendered.bands.items():
        outside = edge if values.shape == edge.shape else edge[::2, ::2]
        assert (values[outside] == NODATA).all() and (values[~outside] > NODATA).all(), name
    assert not rendered.masks["CLM_R1"][edge].any()


def test_halves_of_a_cut_tile_complete_one_another(scene: Scene) -> None:
    north, south = (image(scene, overpass(0.0), half=half).masks["EDG_R1"] == 0 for half in ("north", "south"))
    assert (north ^ south).all() and north[0].all() and south[-1].all()


def test_neighbouring_tiles_see_the_same_clouds_and_nearly_the_same_ground(scene: Scene) -> None:
    weather = overpass(0.3)
    reach = 2 * scene.layout.reach
    west, east = image(scene, weather, "31TCJ"), image(scene, Overpass(900, "A", 8, *_rest(weather)), "31TDJ")
    shared_west, shared_east = west.masks["CLM_R1"][:, -reach:], east.masks["CLM_R1"][:, :reach]
    assert np.array_equal(shared_west, shared_east)
    clear = shared_west == 0
    a, b = west.bands["B8"][:, -reach:][clear], east.bands["B8"][:, :reach][clear]
    assert np.corrcoef(a, b)[0, 1] > 0.98


def _rest(weather: Overpass) -> tuple[np.datetime64, float, float, float, float]:
    return weather.time, weather.cloudiness, weather.haze, weather.moisture, weather.snow


def test_snow_is_in_mg2_and_not_in_clm(scene: Scene) -> None:
    rendered = image(scene, overpass(0.0, day="2018-02-27", snow=0.7))
    snow = rendered.masks["MG2_R2"] & 4 > 0
    assert snow.any() and not rendered.masks["CLM_R2"].any()
    assert np.median(rendered.bands["B2"][snow.repeat(2, 0).repeat(2, 1)]) > 2500


def test_haze_below_the_mask_brightens_the_blue(scene: Scene) -> None:
    clear, hazy = image(scene, overpass(0.0)), image(scene, overpass(0.0, haze=0.15))
    assert not hazy.masks["CLM_R1"].any()
    assert hazy.bands["B2"].mean() > clear.bands["B2"].mean() + 100


def test_coarse_bands_average_the_ground_of_four_fine_pixels(scene: Scene) -> None:
    """B8 at 10 m and B8A at 20 m look at nearly the same wavelength."""
    rendered = image(scene, overpass(0.0))
    fine = rendered.bands["B8"].reshape(30, 2, 30, 2).mean(axis=(1, 3))
    assert np.corrcoef(fine.ravel(), rendered.bands["B8A"].ravel())[0, 1] > 0.97


def test_water_is_dark_and_summer_wood_is_green(scene: Scene) -> None:
    rendered = image(scene, overpass(0.0))
    row, col = (start - 4 for start in scene.layout.window("31TCJ"))
    codes = scene.class_map[row : row + 60, col : col + 60]
    pure = scene.land.share[0, 4:-4, 4:-4][row : row + 60, col : col + 60] == 1
    red, infrared = rendered.bands["B4"].astype(float), rendered.bands["B8"].astype(float)
    ndvi = (infrared - red) / (infrared + red)
    assert np.median(ndvi[pure & (codes == 16)]) > 0.7
    assert np.median(infrared[pure & (codes == 23)]) < 1000


def test_shadows_fall_to_the_north() -> None:
    sky = make_sky(np.random.default_rng(5), overpass(0.25), (120, 120))
    best = max(range(-50, 51), key=lambda shift: _agreement(sky.cloud, sky.shadow, shift))
    assert best < 0


def _agreement(cloud: np.ndarray, shadow: np.ndarray, shift: int) -> float:
    moved = np.roll(cloud, shift, axis=0)[50:-50]
    return float(max(np.sum(np.roll(moved, away, axis=1) * shadow[50:-50]) for away in range(-20, 21)))


def test_the_sun_stands_high_in_june_and_low_in_december() -> None:
    june, december = sun_at(171), sun_at(355)
    assert np.degrees(june.zenith) == pytest.approx(24, abs=4)
    assert np.degrees(december.zenith) == pytest.approx(69, abs=3)
    assert np.pi / 2 < june.azimuth < december.azimuth < np.pi


def test_the_mask_misses_some_cloud_and_takes_some_clear_ground(scene: Scene) -> None:
    missed = taken = 0
    for one in scene.acquisitions:
        sky = scene.sky(one.overpass)
        missed += int(((sky.cloud > 0.1) & ~sky.found_cloud).sum())
        taken += int(((sky.cloud == 0) & sky.found_cloud).sum())
    assert missed > 0 and taken > missed


def test_the_same_seed_gives_the_same_image_and_another_seed_another() -> None:
    one, same, other = (make_scene(seed, 60, 3) for seed in (3, 3, 4))
    images = [scene.render(scene.products["31TCK"][1]) for scene in (one, same, other)]
    assert all(np.array_equal(images[0].bands[band], images[1].bands[band]) for band in BAND_NAMES)
    assert not np.array_equal(images[0].bands["B8"], images[2].bands["B8"])
    assert not np.array_equal(one.class_map, other.class_map)


def test_a_scene_tells_what_it_is(scene: Scene) -> None:
    assert repr(scene).startswith("Scene(seed 3: 4 tiles of 60 x 60 pixels, ")
    assert f"{len(scene.acquisitions)} products" in repr(scene)
    assert scene.dates("31TCJ").dtype == np.dtype("datetime64[D]")


def test_an_odd_or_tiny_size_is_refused() -> None:
    for size in (61, 20):
        with pytest.raises(ValidationError):
            make_scene(0, size)


def test_fields_have_unit_spread_and_their_scale() -> None:
    rng = np.random.default_rng(0)
    smooth, fractal = gaussian_field(rng, (128, 128), 6), fractal_field(rng, (128, 128), 40)
    for field in (smooth, fractal):
        assert field.std() == pytest.approx(1, abs=1e-3) and field.mean() == pytest.approx(0, abs=1e-3)
    assert np.corrcoef(smooth[:, 1:].ravel(), smooth[:, :-1].ravel())[0, 1] > 0.97
    assert blur(fractal, 3).std() < fractal.std()
    assert smoothstep(np.array([-1.0, 0.5, 2.0]), 0, 1).tolist() == [0, 0.5, 1]
