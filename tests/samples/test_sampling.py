import numpy as np
import pytest

from toolkit.samples.sampling import SamplingParams, draw, draw_over_tiles, periodic


@pytest.mark.parametrize(
    ("count", "wanted", "positions"),
    [
        (18, 10, [1, 2, 4, 6, 8, 10, 11, 13, 15, 17]),
        (20, 10, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]),
        (5, 5, [1, 2, 3, 4, 5]),
        (5, 0, []),
        (0, 0, []),
    ],
)
def test_periodic_rule_of_the_orfeo_toolbox(count: int, wanted: int, positions: list[int]) -> None:
    assert (np.flatnonzero(periodic(count, wanted)) + 1).tolist() == positions


def test_periodic_gives_exactly_what_is_wanted_of_millions() -> None:
    assert periodic(3_000_001, 100_000).sum() == 100_000
    assert periodic(100_001, 100_000).sum() == 100_000


@pytest.mark.parametrize("sampler", ["periodic", "random"])
def test_cap_holds_for_each_class(sampler: str) -> None:
    codes = np.repeat(np.array([1, 5, 9], dtype=np.uint8), [1000, 40, 300])
    drawn = draw(codes, SamplingParams(sampler=sampler, max_per_class=100), seed=0)
    assert [int(drawn[codes == code].sum()) for code in (1, 5, 9)] == [100, 40, 100]


def test_random_draw_is_seeded_and_classes_do_not_disturb_each_other() -> None:
    params = SamplingParams(sampler="random", max_per_class=10)
    codes = np.repeat(np.array([1, 2], dtype=np.uint8), 100)
    assert np.array_equal(draw(codes, params, 3), draw(codes, params, 3))
    assert not np.array_equal(draw(codes, params, 3), draw(codes, params, 4))
    assert np.array_equal(draw(codes, params, 3)[:100], draw(codes[:100], params, 3))


def test_cap_is_over_all_tiles_together() -> None:
    codes = {"31TCJ": np.full(300, 1, dtype=np.uint8), "31TDJ": np.full(100, 1, dtype=np.uint8)}
    drawn = draw_over_tiles(codes, SamplingParams(max_per_class=40), 0)
    assert {tile: int(one.sum()) for tile, one in drawn.items()} == {"31TCJ": 30, "31TDJ": 10}
    assert draw_over_tiles({}, SamplingParams(), 0) == {}
