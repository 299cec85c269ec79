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
from toolkit.mapping.fusion import combine_beliefs, fuse_maps, masses_of, mean_probability, vote
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
    assert not (tmp_path / "out").exists()
