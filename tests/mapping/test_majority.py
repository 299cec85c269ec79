"""The majority filter: small arrays by hand, and the Orfeo ToolBox where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import write_tif
from toolkit.mapping.majority import disc, majority

OTB = "otbcli_ClassificationMapRegularization"


def scene(seed: int, shape: tuple[int, int] = (30, 41)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, shape).astype(np.uint8)


def test_a_lonely_pixel_yields_and_a_tie_keeps_its_own_class() -> None:
    lonely = np.full((5, 5), 3, dtype=np.uint8)
    lonely[2, 2] = 9
    assert (majority(lonely, 1) == 3).all()
    tie = np.array([[1, 2], [2, 1]], dtype=np.uint8)
    assert np.array_equal(majority(tie, 1), tie)
    assert (majority(tie, 1, undecided=99) == 99).all()


def test_what_has_no_class_takes_no_part_and_stays() -> None:
    classes = np.array([[0, 0, 0, 0], [0, 7, 2, 2], [0, 0, 0, 0]], dtype=np.uint8)
    wanted = np.array([[0, 0, 0, 0], [0, 7, 2, 2], [0, 0, 0, 0]], dtype=np.uint8)
    assert np.array_equal(majority(classes, 1), wanted), "of 7 and one 2 neither is more frequent"
    assert majority(classes, 2)[1, 1] == 2, "two pixels away there is another 2"


def test_neighbourhood_is_the_disc_of_the_orfeo_toolbox() -> None:
    assert disc(1).tolist() == [1, 1, 1]
    assert disc(2).tolist() == [1, 2, 2, 2, 1]
    assert disc(3).tolist() == [1, 2, 3, 3, 3, 2, 1]


@pytest.mark.parametrize("radius", [1, 2, 3, 5])
@pytest.mark.parametrize("undecided", [None, 99])
def test_same_as_the_orfeo_toolbox(tmp_path: Path, radius: int, undecided: int | None) -> None:
    if shutil.which(OTB) is None:
        pytest.skip(f"{OTB} is not installed (Debian: otb-bin)")
    classes = scene(radius)
    source = write_tif(tmp_path / "in.tif", classes, (300000, 4900020), 10)
    settings = {"ip.radius": radius, "ip.suvbool": str(undecided is not None).lower(), "ip.nodatalabel": 0}
    settings |= {"ip.undecidedlabel": undecided or 0}
    command = [OTB, "-io.in", source, "-io.out", tmp_path / "out.tif", "uint8"]
    command += [str(word) for name, value in settings.items() for word in (f"-{name}", value)]
    subprocess.run(command, check=True, capture_output=True)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert np.array_equal(majority(classes, radius, undecided=undecided), dataset.read(1))


def test_same_as_the_stored_result_of_the_orfeo_toolbox() -> None:
    """Version 8.1.1 of it, of this very array: radius 2, ties undecided (9)."""
    classes = np.array(
        [[1, 1, 2, 2, 0, 3], [1, 2, 2, 3, 3, 3], [4, 4, 2, 1, 3, 0], [4, 1, 1, 1, 3, 3], [4, 4, 0, 2, 2, 2]],
        dtype=np.uint8,
    )
    wanted = [[9, 2, 2, 9, 0, 3], [9, 1, 1, 3, 3, 3], [9, 1, 9, 2, 3, 0], [4, 9, 9, 9, 3, 3], [4, 4, 0, 9, 9, 9]]
    assert np.array_equal(majority(classes, 2, undecided=9), np.array(wanted, dtype=np.uint8))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 17),
    radius=st.integers(1, 4),
    undecided=st.sampled_from([None, 0, 99]),
)
def test_blocks_of_any_size_give_the_whole(seed: int, size: int, radius: int, undecided: int | None) -> None:
    classes = scene(seed)
    whole = majority(classes, radius, undecided=undecided)
    wide = np.pad(classes, radius)
    for row in range(0, classes.shape[0], size):
        for col in range(0, classes.shape[1], size):
            part = majority(
                wide[row : row + size + 2 * radius, col : col + size + 2 * radius], radius, undecided=undecided
            )
            inner = part[radius:-radius, radius:-radius]
            assert np.array_equal(inner, whole[row : row + size, col : col + size])
