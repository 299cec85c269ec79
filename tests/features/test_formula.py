"""Formulas: understood as written, computed as an obvious implementation does, refused at the character."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.conftest import ArraySeries
from toolkit.features.computing import compute_indices
from toolkit.features.formula import DEEPEST, LONGEST, check_bands_of, parse_formula
from toolkit.features.indices import INDICES, check_formula, index_of, label_of, scale_of_label
from toolkit.features.stack import FeatureParams, FeatureStack
from toolkit.ground.bands import BAND_NAMES
from toolkit.ground.errors import ParameterError
from toolkit.series.arithmetic import RUN

Reflectances = Mapping[str, np.ndarray]
Tree = tuple[str, Callable[[Reflectances], np.ndarray]]

PIXEL = dict(zip(BAND_NAMES, (0.05, 0.07, 0.06, 0.12, 0.25, 0.30, 0.32, 0.34, 0.18, 0.10), strict=True))


def value(text: str, pixel: Mapping[str, float] = PIXEL) -> float:
    """A formula of one pixel."""
    series = np.array([pixel[band] * 10000 for band in BAND_NAMES], dtype=np.float32)[None, :, None]
    return float(compute_indices(series, BAND_NAMES, [f"it = {text}"])[0, 0, 0]) / 1000


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("B8 - B4 - B2", 0.32 - 0.06 - 0.05),
        ("B8 / B4 / B2", 0.32 / 0.06 / 0.05),
        ("B8 + B4 * B2", 0.32 + 0.06 * 0.05),
        ("(B8 + B4) * B2", (0.32 + 0.06) * 0.05),
        ("-B8 ** 2", -(0.32**2)),
        ("B8 ** -1", 1 / 0.32),
        ("2 ** 3 ** 2 * B8", 512 * 0.32),
        ("B8 ** 0.5 + B4 ** 1.5", 0.32**0.5 + 0.06**1.5),
        ("- - B8 + +B4", 0.38),
        ("1e-1 * B8 + .5 + 2.", 0.1 * 0.32 + 2.5),
        ("min(B8, B4) + max(B2, B3 + 1)", 0.06 + 1.07),
        ("sqrt(B8) - abs(B4 - B8) + exp(B2) * log(B3)", 0.32**0.5 - 0.26 + np.exp(0.05) * np.log(0.07)),
        ("  b8a*B12  ", 0.34 * 0.10),
    ],
)
def test_operators_have_the_usual_order(text: str, wanted: float) -> None:
    assert value(text) == pytest.approx(wanted, rel=1e-5)


def band(name: str) -> Tree:
    return name, lambda pixel: pixel[name]


def number(one: float) -> Tree:
    return str(one), lambda pixel: np.full_like(pixel["B4"], one)


def joined(sign: str, left: Tree, right: Tree) -> Tree:
    work = {"+": np.add, "-": np.subtract, "*": np.multiply}[sign]
    return f"({left[0]} {sign} {right[0]})", lambda pixel: work(left[1](pixel), right[1](pixel))


def called(name: str, *parts: Tree) -> Tree:
    work = {"abs": np.abs, "min": np.minimum, "max": np.maximum, "-": np.negative}[name]
    text = f"{name}({', '.join(part[0] for part in parts)})"
    return text, lambda pixel: work(*(part[1](pixel) for part in parts))


LEAVES = st.sampled_from(["B2", "B4", "B8A"]).map(band) | st.sampled_from([0.5, 2.0, 1.25]).map(number)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(joined, st.sampled_from("+-*"), inner, inner)
        | st.builds(called, st.sampled_from(["min", "max"]), inner, inner)
        | st.builds(called, st.sampled_from(["abs", "-"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(tree=TREES, seed=st.integers(0, 9))
def test_any_formula_is_what_numpy_says(tree: Tree, seed: int) -> None:
    text, work = f"B4 + {tree[0]}", lambda pixel: pixel["B4"] + tree[1](pixel)
    bands = ("B8A", "B4", "B2")
    series = np.random.default_rng(seed).integers(1, 9000, (2, 3, RUN + 37)).astype(np.float32)
    (out,) = compute_indices(series, bands, [f"it = {text}"])
    pixel = {name: series[:, b].astype(np.float64) / 10000 for b, name in enumerate(bands)}
    wanted = 1000 * work(pixel)
    assert np.allclose(out, wanted, rtol=1e-4, atol=1e-2 * max(1, np.abs(wanted).max() / 1000))


@pytest.mark.parametrize(
    "text", ["B8 / (B4 - B4)", "sqrt(B4 - B8)", "log(B4 - B4)", "1 / log(B4 - B4)", "(B4 - B8) ** 0.3",
             "exp(B8 * 1000)", "min(B8, B4 / (B2 - B2))", "max(B4 / (B2 - B2), B8)", "1 / (B8 / (B4 - B4))"],
)  # fmt: skip
def test_a_formula_without_a_value_is_0(text: str) -> None:
    assert value(text) == 0


@pytest.mark.parametrize(
    ("text", "character", "problem"),
    [
        ("(B8 - B4", 1, "never closed"),
        ("B8 - B4)", 8, "')' is not expected"),
        ("B8 B4", 4, "'B4' is not expected here; an operator"),
        ("(B8 B4)", 5, "'B4' is not expected here; an operator"),
        ("B8 +", 5, "ends too early"),
        ("", 1, "ends too early"),
        ("B8 + * B4", 6, "missing before '*'"),
        ("()", 2, "missing before ')'"),
        ("B8 ^ 2", 4, "write ** for a power"),
        ("B8.real", 3, "'.' has no meaning"),
        ("__import__('os')", 1, "'_' has no meaning"),
        ("B8[0]", 3, "'[' has no meaning"),
        ("sqr(B8)", 1, "'sqr' is not a function; did you mean 'sqrt'?"),
        ("1 + min(B8)", 5, "min takes 2 values, not 1"),
        ("sqrt(B8, B4)", 1, "sqrt takes 1 value, not 2"),
        ("sqrt", 1, "'sqrt' is not a band"),
        ("1 + 2", 1, "needs at least one band"),
        ("1.2.3 * B8", 4, "'.3' is not expected"),
        ("é * B8", 1, "'é' has no meaning"),
    ],
)
def test_what_is_wrong_is_pointed_at(text: str, character: int, problem: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_formula(text)
    said, line, mark = str(caught.value).split("\n")
    assert problem in said and said.startswith(f"at character {character},")
    assert line[4:] == text
    assert mark[4:] == " " * (character - 1) + "^"


def test_length_and_depth_have_an_end() -> None:
    with pytest.raises(ParameterError, match=f"at most {LONGEST}"):
        parse_formula("B8 + " * LONGEST + "B4")
    for text in ("(" * 200 + "B8" + ")" * 200, "-" * 300 + "B8", "B8 ** " * 60 + "2", "abs(" * 60 + "B8" + ")" * 60):
        with pytest.raises(ParameterError, match=f"more than {DEEPEST} deep"):
            parse_formula(text)
    assert value("+".join(["B8"] * 100)) == pytest.approx(32, rel=1e-5)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from("B48A()+-*/, .es1") | st.characters(), max_size=25))
def test_any_text_is_understood_or_refused_in_words(text: str) -> None:
    try:
        formula = parse_formula(text)
        check_bands_of(text, BAND_NAMES)
    except ParameterError as error:
        assert "at character" in str(error)
    else:
        assert np.isfinite(value(text)) and formula.bands


OBVIOUS: dict[str, Callable[..., float]] = {
    "evi": lambda B2, B4, B8, **_: 2.5 * (B8 - B4) / (B8 + 6 * B4 - 7.5 * B2 + 1),
    "evi2": lambda B4, B8, **_: 2.5 * (B8 - B4) / (B8 + 2.4 * B4 + 1),
    "savi": lambda B4, B8, **_: (1 + 0.5) * (B8 - B4) / (B8 + B4 + 0.5),
    "osavi": lambda B4, B8, **_: (B8 - B4) / (B8 + B4 + 0.16),
    "msavi": lambda B4, B8, **_: (2 * B8 + 1 - ((2 * B8 + 1) ** 2 - 8 * (B8 - B4)) ** 0.5) / 2,
    "gndvi": lambda B3, B8, **_: (B8 - B3) / (B8 + B3),
    "nirv": lambda B4, B8, **_: (B8 - B4) / (B8 + B4) * B8,
    "ndre": lambda B5, B8, **_: (B8 - B5) / (B8 + B5),
    "cire": lambda B5, B7, **_: B7 / B5 - 1,
    "cig": lambda B3, B7, **_: B7 / B3 - 1,
    "ireci": lambda B4, B5, B6, B7, **_: (B7 - B4) / (B5 / B6),
    "mcari": lambda B3, B4, B5, **_: ((B5 - B4) - 0.2 * (B5 - B3)) * (B5 / B4),
    "psri": lambda B2, B4, B6, **_: (B4 - B2) / B6,
    "ndyi": lambda B2, B3, **_: (B3 - B2) / (B3 + B2),
    "ndmi": lambda B8, B11, **_: (B8 - B11) / (B8 + B11),
    "ndwi_mcfeeters": lambda B3, B8, **_: (B3 - B8) / (B3 + B8),
    "mndwi": lambda B3, B11, **_: (B3 - B11) / (B3 + B11),
    "awei": lambda B3, B8, B11, B12, **_: 4 * (B3 - B11) - 0.25 * B8 - 2.75 * B12,
    "ndsi": lambda B3, B11, **_: (B3 - B11) / (B3 + B11),
    "nbr": lambda B8, B12, **_: (B8 - B12) / (B8 + B12),
    "nbr2": lambda B11, B12, **_: (B11 - B12) / (B11 + B12),
    "ndbi": lambda B8, B11, **_: (B11 - B8) / (B11 + B8),
    "bsi": lambda B2, B4, B8, B11, **_: (B11 + B4 - B8 - B2) / (B11 + B4 + B8 + B2),
}
CAP = {
    "tcb": (0.2043, 0.4158, 0.5524, 0.5741, 0.3124, 0.2303),
    "tcg": (-0.1603, -0.2819, -0.4934, 0.7940, -0.0002, -0.1446),
    "tcw": (0.0315, 0.2021, 0.3102, 0.1594, -0.6806, -0.6109),
}


def test_shipped_indices_are_those_of_the_papers() -> None:
    assert set(INDICES) == {"ndvi", "ndwi", "brightness", *OBVIOUS, *CAP}
    series = np.array([PIXEL[one] * 10000 for one in BAND_NAMES], dtype=np.float32)[None, :, None]
    for name, formula in OBVIOUS.items():
        (found,) = compute_indices(series, BAND_NAMES, [name]).ravel()
        assert found == pytest.approx(1000 * formula(**PIXEL), rel=1e-4), name
    for name, weights in CAP.items():
        (found,) = compute_indices(series, BAND_NAMES, [name]).ravel()
        bands = ("B2", "B3", "B4", "B8", "B11", "B12")
        assert found == pytest.approx(1000 * sum(w * PIXEL[b] for w, b in zip(weights, bands, strict=True)), rel=1e-4)
    for one in INDICES.values():
        assert one.meaning and one.source and one.label.isalnum() and one.name.isidentifier()


def test_tasselled_cap_turns_without_stretching() -> None:
    cap = np.array(list(CAP.values()))
    assert np.allclose(cap @ cap.T, np.eye(3), atol=1e-3)


def test_a_formula_of_ndvi_is_ndvi() -> None:
    series = np.random.default_rng(0).integers(1, 9000, (3, 10, 500)).astype(np.float32)
    published, own = compute_indices(series, BAND_NAMES, ["ndvi", "mine = (B8 - B4) / (B8 + B4)"])
    assert np.allclose(published, own, atol=1e-3)


def test_a_pixel_has_the_same_value_wherever_it_stands() -> None:
    """Mapping computes blocks, sampling single pixels."""
    series = np.random.default_rng(0).integers(1, 9000, (1, 10, 3 * RUN + 5)).astype(np.float32)
    names = ["msavi", "evi", "p = B8 ** 1.3 + log(B4) * exp(B2)"]
    whole = compute_indices(series, BAND_NAMES, names)
    chosen = np.array([0, 5, RUN - 1, RUN, 2 * RUN + 3, 3 * RUN + 4])
    assert np.array_equal(compute_indices(series[:, :, chosen].copy(), BAND_NAMES, names), whole[:, :, chosen])


def test_date_without_data_has_no_index() -> None:
    series = np.full((2, 10, 1), 1000, dtype=np.float32)
    series[0, 3] = -10000
    found = compute_indices(series, BAND_NAMES, ["savi"])[0, :, 0]
    assert found[0] == -10000 and found[1] > -10000


@pytest.mark.parametrize(
    ("text", "bands", "message"),
    [
        ("mine = (B8 - B44)", BAND_NAMES, r"at character 14, 'B44' is not a band; did you mean 'B4'.*\n    mine = "),
        ("mine = (B8 - B44)", BAND_NAMES, r"\(B8 - B44\)\n {17}\^"),
        ("it = 1e2 * sqrt(VV) + max(VH, 2)", ["VH"], "at character 17, 'VV' is not a band; known: VH"),
        ("vh = VV", ["VH", "VV"], "'vh' has a meaning already"),
    ],
)
def test_what_is_no_band_of_the_source_is_pointed_at(text: str, bands: Sequence[str], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        check_formula(text, bands)


def test_a_formula_of_the_bands_of_the_source_is_let_through() -> None:
    for text in ("it = 4e0 * vh / (VV + VH)", "it = min(VV, VH)", "ndvi"):
        check_formula(text, ["VH", "VV"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ndvi = B8", "'ndvi' has a meaning already"),
        ("b8 = B4", "'b8' has a meaning already"),
        ("CIRE = B8", "'CIRE' has a meaning already"),
        ("= B8", "a name is missing"),
        ("my index = B8", "'my index' is no name"),
        ("mine = B8 = B4", "one = stands between"),
        ("B8 - B4", "a formula needs a name; write `mine = B8 - B4`"),
        ("evii", "did you mean 'evi"),
    ],
)
def test_an_index_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        index_of(text)
    with pytest.raises(ValueError, match=message):
        FeatureParams(indices=("ndvi", text))


def test_an_index_of_one_s_own_has_its_name() -> None:
    features = FeatureParams(indices=("NDVI", "my_index = B8 / B4"))
    assert features.indices == ("ndvi", "my_index = B8 / B4")
    assert (label_of(features.indices[1]), scale_of_label("my_index")) == ("my_index", 1000)
    stack = FeatureStack(("B4", "B8"), ("2018-01-01", "2018-01-11"), features.indices)
    assert stack.names[-2:] == ("my_index_20180101", "my_index_20180111")
    with pytest.raises(ValueError, match="'mine' stands twice"):
        FeatureParams(indices=("mine = B8", "mine = B4"))


def test_band_of_a_formula_that_is_absent_is_said() -> None:
    with pytest.raises(ParameterError, match=r"mine needs B5, which is not in series\.bands = B4, B8; add the band"):
        compute_indices(np.zeros((1, 2, 1), np.float32), ("B4", "B8"), ["mine = B8 - B5"])


def test_a_pixel_that_was_never_seen_is_0_by_any_formula(scene: ArraySeries) -> None:
    features, clear = scene.of(indices=("ndvi", "mine = B8 + 1")).read(scene.whole)
    assert (clear == 0).any() and not features[:, clear == 0].any()
    assert (features[-1][clear > 0] > 1000).all()
