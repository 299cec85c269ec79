"""Fusion of maps against slow, obvious ways of the same rules."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import ParameterError
from toolkit.ground.grid import from_bounds
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.mapping.fusion import (
    combine_as_otb,
    combine_beliefs,
    fuse_maps,
    masses_of,
    mean_probability,
    vote,
    vote_as_otb,
)
from toolkit.mapping.rasters import map_writer

NAMES = Nomenclature("three", tuple(LandCoverClass(code, f"class {code}", "#112233") for code in (1, 3, 7)))
CLASSES = arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 1, 3, 7]))
PERCENT = arrays(np.uint8, (4, 6), elements=st.integers(0, 100))


@given(CLASSES, PERCENT)
def test_vote(classes: np.ndarray, confidence: np.ndarray) -> None:
    found, share = vote(classes, confidence)
    for pixel in range(classes.shape[1]):
        given = [
            (int(code), int(sure)) for code, sure in zip(classes[:, pixel], confidence[:, pixel], strict=True) if code
        ]
        if not given:
            assert found[pixel] == share[pixel] == 0
            continue
        votes = Counter(code for code, _ in given)
        sure = {code: sum(one for other, one in given if other == code) for code in votes}
        assert found[pixel] == min(votes, key=lambda code: (-votes[code], -sure[code], code))
        assert share[pixel] == np.rint(100 * votes[int(found[pixel])] / len(given))


def dempster(words: list[tuple[int, float]]) -> dict[frozenset[int], float]:
    """Dempster's rule over sets, one word after the other."""
    everything = frozenset({1, 3, 7})
    mass = {everything: 1.0}
    for code, weight in words:
        told = {frozenset({code}): weight, everything: 1 - weight}
        combined: dict[frozenset[int], float] = defaultdict(float)
        for (one, much), (other, more) in product(mass.items(), told.items()):
            combined[one & other] += much * more
        conflict = combined.pop(frozenset(), 0.0)
        mass = {which: much / (1 - conflict) for which, much in combined.items()}
    return mass


@given(CLASSES, arrays(np.float64, (4, 3), elements=st.floats(0, 0.99)))
def test_beliefs(classes: np.ndarray, weights: np.ndarray) -> None:
    masses = np.zeros((4, 256))
    masses[:, [1, 3, 7]] = weights
    found, belief = combine_beliefs(classes, masses)
    for pixel in range(classes.shape[1]):
        words = [(int(code), float(masses[which, code])) for which, code in enumerate(classes[:, pixel]) if code]
        mass = dempster(words)
        alone = {code: mass.get(frozenset({code}), 0.0) for code in (1, 3, 7)}
        if max(alone.values()) < 1e-9:
            continue
        assert alone[int(found[pixel])] == pytest.approx(max(alone.values()), abs=1e-9)
        assert belief[pixel] == pytest.approx(100 * max(alone.values()), abs=0.51)


def test_a_map_that_nobody_believes_has_no_say() -> None:
    masses = np.zeros((2, 256))
    masses[0, 3] = 0.4
    found, belief = combine_beliefs(np.array([[3, 0], [7, 7]], dtype=np.uint8), masses)
    assert found.tolist() == [3, 0] and belief.tolist() == [40, 0]


def test_beliefs_as_otb_by_hand() -> None:
    """Three maps of two classes: 1 is given with masses 0.8 and 0.4, 3 with 0.6 or 0.7.

    Pixel 0: 0.8 x 0.4 x (1 - 0.6) = 0.128 for class 1, 0.2 x 0.6 x 0.6 = 0.072 for 3, 0.2 x 0.6 x 0.4 = 0.048 for any:
    class 1 with 0.128 / 0.248 = 52 %. Pixel 1, without the first map: 0.4 x 0.4 = 0.16 for 1, 0.6 x 0.6 = 0.36 for 3
    and 0.6 x 0.4 = 0.24 for any: class 3 with 47 %. Pixel 2: all say 3, and agreeing makes it 0.7 x 0.5 x 0.6 = 0.21
    against 0.3 x 0.5 x 0.4 = 0.06, 78 %, where Dempster's rule has 0.94.
    """
    masses = np.zeros((3, 256))
    masses[:, 1], masses[:, 3] = (0.8, 0.4, 0.5), (0.7, 0.5, 0.6)
    classes = np.array([[1, 0, 3], [1, 1, 3], [3, 3, 3]], dtype=np.uint8)
    found, belief = combine_as_otb(classes, masses)
    assert found.tolist() == [1, 3, 3] and belief.tolist() == [52, 47, 78]
    assert combine_beliefs(classes, masses)[1][2] == 94


def test_two_doubtful_maps_that_agree_are_less_believed_as_otb() -> None:
    masses = np.full((3, 256), 0.45)
    masses[2] = 0.5
    classes = np.array([[1], [1], [3]], dtype=np.uint8)
    assert combine_beliefs(classes, masses)[0] == 1 and combine_as_otb(classes, masses)[0] == 3


def test_what_otb_leaves_undecided_has_no_class() -> None:
    masses = np.full((2, 256), 0.6)
    masses[:, 7] = 0
    classes = np.array([[1, 1, 7, 7, 0, 7], [3, 1, 7, 1, 0, 0]], dtype=np.uint8)
    found, belief = combine_as_otb(classes, masses)
    assert found.tolist() == [0, 1, 0, 1, 0, 0] and belief.tolist() == [0, 69, 0, 60, 0, 0]
    sure = combine_as_otb(np.array([[1, 1], [3, 1]], dtype=np.uint8), np.ones((2, 256)))
    assert sure[0].tolist() == [0, 1] and sure[1].tolist() == [0, 100], "two that are sure contradict each other"


@given(CLASSES, arrays(np.float64, (4, 3), elements=st.floats(0.01, 0.99)))
def test_beliefs_as_otb(classes: np.ndarray, weights: np.ndarray) -> None:
    masses = np.zeros((4, 256))
    masses[:, [1, 3, 7]] = weights
    found, belief = combine_as_otb(classes, masses)
    for pixel in range(classes.shape[1]):
        words = [(int(code), float(masses[which, code])) for which, code in enumerate(classes[:, pixel]) if code]
        of = {code: np.prod([m if one == code else 1 - m for one, m in words]) for code, _ in words}
        ranked = sorted(of.values(), reverse=True)
        if not ranked or (len(ranked) > 1 and np.isclose(ranked[0], ranked[1], rtol=1e-9, atol=0)):
            continue
        total = sum(ranked) + np.prod([1 - m for _, m in words])
        assert of[int(found[pixel])] == ranked[0]
        assert belief[pixel] == pytest.approx(100 * ranked[0] / total, abs=0.51)


def test_vote_as_otb() -> None:
    classes = np.array([[1, 1, 0, 0, 0], [1, 3, 0, 7, 0], [3, 7, 7, 7, 0]], dtype=np.uint8)
    found, share = vote_as_otb(classes)
    assert found.tolist() == [1, 0, 0, 7, 0] and share.tolist() == [67, 0, 0, 67, 0]


def test_mean_probability() -> None:
    given = np.array([[[60, 0, 0], [40, 0, 100], [0, 0, 0]], [[10, 0, 0], [20, 0, 0], [70, 0, 0]]], dtype=np.uint8)
    found, mean = mean_probability(given, NAMES.codes)
    assert found.tolist() == [1, 0, 3] and mean.tolist() == [35, 0, 100]


def test_masses_are_those_of_the_matrix() -> None:
    matrix = ConfusionMatrix(np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]]), (1, 3, 7))
    assert masses_of(matrix, "recall")[[1, 3, 7]].tolist() == [0.8, 0.9, 0.0]
    assert masses_of(matrix, "precision")[1] == 8 / 9
    assert masses_of(matrix, "oa")[7] == matrix.oa
    assert masses_of(matrix, "kappa")[3] == matrix.kappa


def write_member(folder: Path, classes: np.ndarray, left: float = 600_000) -> Path:
    grid = from_bounds((left, 0, left + 10 * classes.shape[1], 10 * classes.shape[0]), 10, "EPSG:32631")
    for layer, values in (("classes", classes), ("confidence", np.where(classes > 0, 80, 0))):
        with map_writer(folder / f"{layer}.tif", grid, "uint8", nodata=0) as target:
            target.write(values.astype(np.uint8), 1)
    return folder


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.mapping.fusion.BLOCK", 8)
    rng = np.random.default_rng(0)
    maps = rng.choice(np.array([0, 1, 3, 7], dtype=np.uint8), (3, 20, 30))
    members = [write_member(tmp_path / str(number), one) for number, one in enumerate(maps)]
    steps: list[tuple[int, int]] = []
    paths = fuse_maps(members, tmp_path / "fused", NAMES, progress=lambda *now: steps.append(now))
    with rasterio.open(paths["classes"]) as source:
        assert np.array_equal(source.read(1), vote(maps, np.where(maps > 0, 80, 0).astype(np.uint8))[0])
        assert source.colormap(1)[3] == (0x11, 0x22, 0x33, 255)
    assert steps[-1] == (12, 12)
    assert sorted(path.name for path in (tmp_path / "fused").iterdir()) == [
        "classes.tif",
        "classes.tif.aux.xml",
        "confidence.tif",
    ]


def test_refusals(tmp_path: Path) -> None:
    one = write_member(tmp_path / "a", np.ones((4, 4)))
    other = write_member(tmp_path / "b", np.ones((4, 4)), left=700_000)
    with pytest.raises(ParameterError, match="two maps at least"):
        fuse_maps([one], tmp_path / "out", NAMES)
    with pytest.raises(ParameterError, match="another grid"):
        fuse_maps([one, other], tmp_path / "out", NAMES)
    with pytest.raises(ParameterError, match="2 maps, 0 matrices"):
        fuse_maps([one, one], tmp_path / "out", NAMES, method="dempster_shafer")
    with pytest.raises(ParameterError, match="no fusion by mean_probability"):
        fuse_maps([one, one], tmp_path / "out", NAMES, method="mean_probability", compatibility="otb")
    assert not (tmp_path / "out").exists()
