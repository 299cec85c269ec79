"""Seasons follow the double logistic curve and the classes' calendars."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.demo.kinds import CODES, KINDS
from toolkit.demo.phenology import Climate, double_logistic, draw_growth, logistic
from toolkit.demo.spectra import ENDMEMBERS, MATERIALS, endmember, random_mixtures, shares


def one(value: float) -> np.ndarray:
    return np.array([value])


def growth_of(code: int, delay: float = 0.0):
    kind = next(kind for kind in KINDS if kind.code == code)
    climate = Climate(one(delay), one(1.0), one(0.5))
    return draw_growth(np.random.default_rng(0), [kind], climate, np.zeros(1), spread=0.0)


def test_double_logistic_is_half_way_up_and_down_at_the_inflexion_points() -> None:
    curve = [double_logistic(day, one(100.0), one(250.0), one(8.0), one(8.0))[0] for day in (100, 175, 250, 0, 365)]
    assert curve == pytest.approx([0.5, 1.0, 0.5, 0.0, 0.0], abs=1e-3)


def test_double_logistic_never_falls_below_its_foot() -> None:
    assert double_logistic(120, one(130.0), one(110.0), one(3.0), one(3.0))[0] == 0


def test_logistic_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        assert logistic(np.array([-1e6, 1e6]), 0.5).tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("code", "green_day", "bare_day"),
    [(6, 110, 200), (5, 60, 200), (10, 220, 110), (9, 190, 110), (8, 225, 130), (16, 200, 20), (15, 210, 20)],
)
def test_classes_are_green_in_their_season(code: int, green_day: int, bare_day: int) -> None:
    growth = growth_of(code)
    assert growth.ndvi(green_day)[0] > growth.ndvi(bare_day)[0] + 0.2


def test_a_later_climate_shifts_the_whole_season() -> None:
    assert growth_of(10, delay=12).rise[0, 0] == pytest.approx(growth_of(10).rise[0, 0] + 12)


def test_conifers_stay_green_and_water_is_never_green() -> None:
    days = range(0, 365, 15)
    assert min(growth_of(17).cover(day)[0] for day in days) > 0.5
    assert max(growth_of(23).cover(day)[0] for day in days) == 0


def test_rapeseed_blooms_in_april_and_straw_follows_the_harvest() -> None:
    assert growth_of(5).flowering(104)[0] > 0.9
    assert growth_of(6).flowering(104)[0] == 0
    assert growth_of(6).dead_cover(190)[0] > growth_of(6).dead_cover(100)[0] + 0.2


def test_the_demo_has_the_twenty_classes_of_the_study_area() -> None:
    assert set(range(1, 24)) - {11, 21, 22} == set(CODES)


def test_every_material_of_a_kind_is_an_endmember() -> None:
    for kind in KINDS:
        assert set(kind.green) <= set(MATERIALS)
        assert set(kind.ground) - {"soil"} <= set(MATERIALS)


def test_endmembers_are_reflectances_and_canopies_have_a_red_edge() -> None:
    assert ENDMEMBERS.shape == (len(MATERIALS), 10)
    assert ENDMEMBERS.min() > 0 and ENDMEMBERS.max() < 1
    for name in ("cereal", "maize", "legume", "grass", "broad_leaf", "needle_leaf"):
        red, infrared = endmember(name)[[2, 6]]
        assert (infrared - red) / (infrared + red) > 0.75


def test_random_mixtures_keep_their_mean_and_sum_to_one() -> None:
    mean = shares({"asphalt": 3, "concrete": 1})
    drawn = random_mixtures(np.random.default_rng(0), np.tile(mean, (4000, 1)), 20)
    assert drawn.sum(axis=1) == pytest.approx(np.ones(4000), abs=1e-5)
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=0.01)
