"""Spectral indices of a gap-filled series.

Three are by iota2's definitions (Inglada et al. 2017, Remote Sensing 9(1), 95):

    NDVI       = 1000 (NIR - red) / (NIR + red)          0 where |NIR + red| < 1e-5
    NDWI       = 1000 (SWIR - NIR) / (SWIR + NIR)        the sign is opposite to Gao's (1996)
    brightness = sqrt(sum over all bands of band²)       in units of reflectance x 10000

NIR is B8, or B8A where a series has no B8; red is B4; SWIR is B11.

All others are formulas of reflectances from 0 to 1, as papers write them, and are stored x 1000: those of
`indices.csv`, and a person's own, `my_index = (B8 - B4) / (B8 + B4 + 0.5)`. Where a formula has no value it is 0.

Of another sensor a named index takes the bands that are like those of Sentinel-2 (`Index.on`); a formula of one's own
names that sensor's bands, in their own units: reflectance, linear power, decibels.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

from toolkit.features.formula import Formula, check_bands_of, parse_formula, pointed, with_bands
from toolkit.ground.bands import BAND_NAMES, REFLECTANCE, REFLECTANCE_SCALE, STAND_IN, Band, band_like
from toolkit.ground.errors import ParameterError, did_you_mean

INDEX_SCALE = 1000
"""What an index is multiplied by as a feature; only iota2's brightness is in another unit."""
ROLES = {"red": ("B4",), "nir": ("B8", "B8A"), "swir": ("B11",)}
NAME = re.compile(r"[A-Za-z]\w{0,31}")


@dataclass(frozen=True)
class Index:
    """A spectral index."""

    name: str
    """As the experiment names it."""
    label: str
    """How its features begin: `NDVI_20180101`."""
    written: str
    """Its formula."""
    meaning: str = ""
    source: str = ""
    scale: int = INDEX_SCALE
    """What it is multiplied by as a feature."""
    roles: tuple[str, ...] = ()
    """Roles of the two bands of a normalised difference by iota2's definition."""
    formula: Formula | None = None
    """None for iota2's indices."""

    def check(self, bands: Sequence[str]) -> None:
        """Refuse where its bands are absent.

        Raises:
            ParameterError: with the band it needs.
        """
        for role in self.roles:
            band_of(role, bands)
        for band in self.formula.bands if self.formula else ():
            if band not in bands:
                raise ParameterError(
                    f"features.indices: {self.name} needs {band}, which is not in series.bands = {', '.join(bands)}; "
                    "add the band, or take the index away"
                )

    def on(self, bands: Sequence[Band]) -> Index:
        """The same index of the bands of another sensor.

        Raises:
            ParameterError: it needs a band that none of these is or is like; or it is the brightness, and they are not
                reflectances.
        """
        formula = self.formula or (parse_formula(self.written) if self.roles else None)
        if formula is None:
            usual = (REFLECTANCE, REFLECTANCE_SCALE)
            strange = next((one for one in bands if (one.unit, one.per_unit) != usual), None)
            if strange is not None:
                raise ParameterError(
                    f"features.indices: {self.name} is of reflectances x {REFLECTANCE_SCALE}, and {strange.name} is "
                    f"{strange.unit} x {strange.per_unit:g}; take the index away"
                )
            return self
        taken = {name: self._taken(name, bands) for name in formula.bands}
        units = {name: (one.name, REFLECTANCE_SCALE / one.per_unit) for name, one in taken.items()}
        formula = with_bands(formula, units)
        return replace(self, written=formula.text, roles=(), formula=formula)

    def _taken(self, name: str, bands: Sequence[Band]) -> Band:
        """The band that is meant by a name in the formula."""
        if INDICES.get(self.name) is self:
            found, wanted = band_like(name, bands), " or ".join(filter(None, (name, STAND_IN.get(name))))
            if found is None:
                raise ParameterError(
                    f"features.indices: {self.name} needs a band that is like {wanted} of Sentinel-2, and none of "
                    f"series.bands = {', '.join(one.name for one in bands)} is; take the index away, add the band, or "
                    f"say which is, `like: {name}`, in the data catalog"
                )
            return found
        for one in bands:
            if one.name.lower() == name.lower():
                return one
        raise ParameterError(
            f"features.indices: {self.name} needs {name}, which is not in series.bands = "
            f"{', '.join(one.name for one in bands)}; add the band, or take the index away"
        )


def _published() -> Iterator[Index]:
    """iota2's indices, then those of the list that ships with the toolkit."""
    iota2 = "Inglada et al. 2017, doi:10.3390/rs9010095"
    yield Index(
        "ndvi", "NDVI", "(B8 - B4) / (B8 + B4)", "normalised difference vegetation index", iota2,
        roles=("nir", "red"),
    )  # fmt: skip
    yield Index(
        "ndwi", "NDWI", "(B11 - B8) / (B11 + B8)", "normalised difference water index by iota2's sign", iota2,
        roles=("swir", "nir"),
    )  # fmt: skip
    yield Index(
        "brightness", "Brightness", "root of the sum of squares of all bands", "norm of all bands", iota2,
        REFLECTANCE_SCALE,
    )  # fmt: skip
    text = (resources.files("toolkit.features") / "indices.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        formula = parse_formula(row["formula"])
        yield Index(row["name"], row["label"], row["formula"], row["meaning"], row["source"], formula=formula)


INDICES: dict[str, Index] = {one.name: one for one in _published()}
"""The indices that an experiment may name."""

_BY_LABEL = {one.label: one for one in INDICES.values()}


@lru_cache(maxsize=1000)
def index_of(text: str | Index) -> Index:
    """The index that an experiment names, or that it defines by `name = formula`; or one that was understood before.

    Raises:
        ParameterError: it is not known, or the formula is none; the message points at the character.
    """
    if isinstance(text, Index):
        return text
    name, is_formula, _ = text.partition("=")
    if not is_formula:
        key = text.strip().lower()
        if key not in INDICES:
            if not NAME.fullmatch(key):
                raise ParameterError(f"index {text!r}: a formula needs a name; write `mine = {text.strip()}`")
            raise ParameterError(f"index {text!r} is not known{did_you_mean(key, INDICES)}")
        return INDICES[key]
    place, name = len(name) - len(name.lstrip()), name.strip()
    if not NAME.fullmatch(name):
        problem = "a name is missing before the = sign" if not name else f"{name!r} is no name"
        raise pointed(text, place, f"{problem}; letters, digits and _ are allowed, at most 32")
    taken = {*INDICES, *(label.lower() for label in _BY_LABEL), *(band.lower() for band in BAND_NAMES)}
    if name.lower() in taken:
        raise pointed(text, place, f"{name!r} has a meaning already; choose another name")
    formula = parse_formula(text, text.index("=") + 1)
    return Index(name, name, formula.text, "your own", formula=formula)


def check_formula(text: str, bands: Sequence[str]) -> None:
    """Refuse an index of one's own that names what is no band of a source, or is called like one.

    Args:
        text: as an experiment names or defines it.
        bands: all bands of the source.

    Raises:
        ParameterError: the message points at the character.
    """
    name, is_formula, _ = text.partition("=")
    if not is_formula:
        return
    if name.strip().lower() in {band.lower() for band in bands}:
        place = len(name) - len(name.lstrip())
        raise pointed(text, place, f"{name.strip()!r} has a meaning already; choose another name")
    check_bands_of(text, bands, text.index("=") + 1)


def label_of(text: str | Index) -> str:
    """How the features of an index begin, by what an experiment calls it."""
    return index_of(text).label


def scale_of_label(label: str) -> int:
    """What the features of an index, or of a band, are multiplied by."""
    if label in BAND_NAMES:
        return REFLECTANCE_SCALE
    return _BY_LABEL[label].scale if label in _BY_LABEL else INDEX_SCALE


def check_indices(names: Sequence[str | Index], bands: Sequence[str]) -> None:
    """Refuse an index that is not known, or whose bands are absent.

    Raises:
        ParameterError: with the index and the bands it needs.
    """
    for name in names:
        index_of(name).check(bands)


def band_of(role: str, bands: Sequence[str]) -> int:
    """Position of the band that plays `role` ("red", "nir", "swir").

    Raises:
        ParameterError: none of the bands does.
    """
    for band in ROLES[role]:
        if band in bands:
            return list(bands).index(band)
    wanted = " or ".join(ROLES[role])
    raise ParameterError(
        f"features.indices need {wanted} ({role}), which is not in series.bands = {', '.join(bands)}; "
        "add the band, or take the index away"
    )
