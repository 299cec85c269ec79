import copy
import pickle

import numpy as np
import pytest

from toolkit.ground.errors import ParameterError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import build
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


@pytest.mark.parametrize("sampler", ["periodic", "random"])
def test_a_class_may_have_a_cap_of_its_own(sampler: str) -> None:
    codes = np.repeat(np.array([1, 5, 9], dtype=np.uint8), [1000, 400, 300])
    params = SamplingParams(sampler=sampler, max_per_class=100, class_caps={5: 7, 9: 250})
    drawn = draw(codes, params, seed=0)
    assert [int(drawn[codes == code].sum()) for code in (1, 5, 9)] == [100, 7, 250]


def test_cap_of_a_class_is_over_all_tiles_together() -> None:
    codes = {"31TCJ": np.full(300, 1, dtype=np.uint8), "31TDJ": np.repeat(np.array([1, 2], dtype=np.uint8), 100)}
    drawn = draw_over_tiles(codes, SamplingParams(max_per_class=60, class_caps={1: 40}), 0)
    assert {tile: int(one.sum()) for tile, one in drawn.items()} == {"31TCJ": 30, "31TDJ": 10 + 60}


@pytest.mark.parametrize(
    ("caps", "words"),
    [
        ({11: 0}, "class 11 cannot have 0 pixels.*drop_unknown"),
        ({11: -5}, "class 11 cannot have -5"),
        ({0: 5}, "0 is no class code; codes go from 1 to 255"),
        ({256: 5}, "256 is no class code"),
        ({11: 2.5}, "class_caps.11 = 2.5"),
        ({11: True}, "a number is needed, not yes or no"),
        ({"wheat": 5}, "class_caps.wheat"),
        ([11, 5], "dictionary"),
    ],
)
def test_caps_that_cannot_be_are_refused(caps: object, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        build(SamplingParams, {"class_caps": caps}, "here")


def test_cap_of_a_class_that_is_not_in_the_nomenclature_is_refused() -> None:
    oso = Nomenclature.load("oso_23")
    SamplingParams(class_caps={11: 5}).check_codes(oso)
    with pytest.raises(ParameterError, match=r"class 24 is not in nomenclature oso_23; its codes are 1, 2, .*23"):
        SamplingParams(class_caps={11: 5, 24: 5}).check_codes(oso)


def test_caps_are_frozen_like_every_parameter() -> None:
    params = SamplingParams(class_caps={12: 3, 11: 5})
    assert list(params.class_caps) == [11, 12]
    with pytest.raises(TypeError, match="frozen"):
        params.class_caps[11] = 6
    with pytest.raises(TypeError, match="frozen"):
        params.class_caps.update({11: 6})
    assert pickle.loads(pickle.dumps(params)) == params == copy.deepcopy(params)  # noqa: S301 - our own
    assert hash(params) == hash(SamplingParams(class_caps={11: 5, 12: 3}))
