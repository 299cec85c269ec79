"""Dated rasters: images of any sensor, told by the names of their files.

    s1:
      data_type: RasterDataset
      uri: s1/{tile}
      driver:
        name: dated_rasters
        file: "s1?_{tile}_{band}_*_{date}t*.tif"
        bands: {VV: {file: vv}, VH: {file: vh}}
        unit: power
        nodata: 0
      metadata: {…}

A band has a file of its own (`{band}` stands in the pattern), or all are in one file, in the order in which they are
listed. What a value is: `value * scale + offset`, in a unit; it is held as int16 in steps of `step`, so that a
reflectance is x 10000 and a decibel x 100, and what does not fit is the largest or smallest number that does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator, model_validator

from toolkit.ground.bands import BAND_NAME, BAND_NAMES, REFLECTANCE, REFLECTANCE_SCALE, Band
from toolkit.ground.errors import ProductError, did_you_mean
from toolkit.ground.params import Params, param
from toolkit.products.masks import MaskFile
from toolkit.products.patterns import Named, NamePattern, check_pattern, tile_in
from toolkit.products.presets import PRESETS
from toolkit.products.product import BandFile, Product

STEPS = {REFLECTANCE: 1 / REFLECTANCE_SCALE, "power": 1e-4, "dB": 0.01, "K": 0.01}
"""The usual step of a unit: reflectance and linear power reach to 3.2767, decibels and kelvins to 327.67."""

MASK = "MASK"
RESERVED = ("day", "valid")
"""Names that columns of raw dates have."""

EXAMPLES = 5
"""Names of files that a message tells."""


class DatedBand(Params):
    """A band of dated rasters. What is not said of it is as of all bands."""

    file: str | None = param(None, "What stands for {band} in the name of its file. Empty: its name.", min_length=1)
    meaning: str = param("", "What it measures, in words.")
    like: str | None = param(
        None, "Band of Sentinel-2 that measures the same, such as B8: named indices and pictures take this one for it."
    )
    scale: float | None = param(None, "What a value is multiplied by. Empty: as of all bands.")
    offset: float | None = param(None, "What is added then. Empty: as of all bands.")
    unit: str | None = param(None, "Unit of what comes out. Empty: as of all bands.", min_length=1)
    step: float | None = param(None, "Step in which it is held. Empty: as of all bands.", gt=0)

    @field_validator("like")
    @classmethod
    def _of_sentinel2(cls, like: str | None) -> str | None:
        if like is not None and like not in BAND_NAMES:
            raise ValueError(f"no band of Sentinel-2{did_you_mean(like, BAND_NAMES)}")
        return like


class DatedMask(Params):
    """A file beside each image that says which of its pixels are not usable."""

    file: str = param(..., "Pattern of its name, as of the images; * and ? stand for what they stand for there.")
    bits: tuple[int, ...] = param((), "A pixel is not usable where one of these bits is set; 0 is the lowest.")
    values: tuple[int, ...] = param((), "Or where the value is one of these.")

    @model_validator(mode="after")
    def _says_what(self) -> DatedMask:
        _check_file(self.file, "driver.mask.file")
        if "{band}" in self.file:
            raise ValueError(
                f"driver.mask.file = {self.file!r}: a mask is of all bands; write its name without {{band}}"
            )
        if bool(self.bits) == bool(self.values):
            raise ValueError("driver.mask: either `bits` or `values` must say which pixels are not usable")
        if any(not 0 <= bit < 16 for bit in self.bits):
            raise ValueError(f"driver.mask.bits = {list(self.bits)}: bits from 0 to 15 are known")
        return self

    def of(self, path: Path) -> MaskFile:
        """The rule of a file."""
        return MaskFile(path, sum(1 << bit for bit in set(self.bits)), frozenset(self.values))


class DatedRasters(Params):
    """Images of any sensor, told by the names of their files."""

    name: Literal["dated_rasters"] = param(..., "Driver.")
    preset: str | None = param(None, f"What all else is, where it is not said: {', '.join(PRESETS)}.")
    file: str = param(
        ...,
        "Pattern of the names of its files, with {date}, and {tile} and {band} where they stand in it; * is any text. "
        "It may begin with folders; files lie at any depth below the `uri`.",
    )
    bands: dict[str, DatedBand] = param(
        ..., "Name of each band, and what is to be said of it; without {band} in `file`, in the order of the file.",
        min_length=1,
    )  # fmt: skip
    scale: float = param(1.0, "What a value is multiplied by.")
    offset: float = param(0.0, "What is added then.")
    nodata: float = param(..., "The value that means `not measured`; NaN always does.")
    unit: str = param(REFLECTANCE, f"Unit of what comes out: {', '.join(STEPS)}, or another.", min_length=1)
    step: float | None = param(
        None, "Step in which values are held: 32767 of it is the largest. Empty: that of the unit.", gt=0
    )
    mask: DatedMask | None = param(None, "Which pixels are not usable. Empty: all that have a value are.")
    platform: str = param("", "Name of the satellite, for tables.")

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, data: Any) -> Any:
        """What an entry does not say is the preset's; bands may be a list of names."""
        if not isinstance(data, Mapping):
            return data
        name = data.get("preset")
        if name is not None and name not in PRESETS:
            raise ValueError(f"driver.preset = {name!r} is not known{did_you_mean(str(name), PRESETS)}")
        preset = PRESETS[name] if name is not None else {}
        content, known = {**preset, **data}, preset.get("bands", {})
        bands = content.get("bands")
        if isinstance(bands, list | tuple):
            bands = {str(band): {} for band in bands}
        if isinstance(bands, Mapping):
            content["bands"] = {band: _over(known.get(band), said) for band, said in bands.items()}
        return content

    @model_validator(mode="after")
    def _goes_together(self) -> DatedRasters:
        _check_file(self.file, "driver.file")
        for name, band in self.bands.items():
            _check_name(name)
            if self._step(band) is None:
                unit = band.unit or self.unit
                raise ValueError(
                    f"driver: unit = {unit!r} has no usual step; give `step`, 1/32767 of the largest value or more"
                )
        if "{band}" in self.file:
            self._check_words()
        elif any(band.file for band in self.bands.values()):
            raise ValueError(
                f"driver.file = {self.file!r} has no {{band}}, so that all bands are in one file; write {{band}} in "
                "it, or take `file` from the bands"
            )
        return self

    def _check_words(self) -> None:
        words = [band.file or name for name, band in self.bands.items()]
        twice = next((word for word in words if words.count(word) > 1), None)
        if twice:
            raise ValueError(
                f"driver.bands: two bands have {twice!r} for {{band}} in the name of their files; each has its own"
            )

    def measured(self) -> tuple[Band, ...]:
        """What its bands are, in their order."""
        return tuple(
            Band(name, one.meaning, one.like or "", unit=one.unit or self.unit, per_unit=self._per_unit(one))
            for name, one in self.bands.items()
        )

    def find(self, root: Path, tile: str | None) -> list[Product]:
        """The images below `root`, in order of time: files that tell the same but for the band are one.

        Args:
            tile: whose images are wanted; where the pattern has no `{tile}`, all are taken for its own. None for all
                tiles': those of the pattern, or of folders called after one; other images are of no tile.

        Raises:
            ProductError: no file is called so, or two are the same band of an image.
        """
        pattern = NamePattern(self.file, tuple(band.file or name for name, band in self.bands.items()))
        files = list(_files_below(root))
        fitting = [(path, told) for path in files if (told := pattern.read(path.as_posix())) is not None]
        if not fitting:
            raise ProductError(self._none_found(root, files))
        images: dict[tuple[Any, ...], list[tuple[Path, Named]]] = {}
        for path, told in fitting:
            if of := told.tile or tile or tile_in(path.parts):
                images.setdefault((told.date, of, told.image, told.wild), []).append((root / path, told))
        masks = _Masks.among(files, root, tile, self.mask, pattern) if self.mask else None
        return [self._product(key, found, masks) for key, found in sorted(images.items(), key=lambda one: one[0])]

    def _product(self, key: tuple[Any, ...], found: list[tuple[Path, Named]], masks: _Masks | None) -> Product:
        date, tile, image, _ = key
        paths: dict[str, Path] = {}
        for path, told in found:
            if told.band in paths:
                raise ProductError(
                    f"{path} and {paths[told.band]} are the same by their names (band {told.band or 'all'} of {date}); "
                    "take one away, or mend the pattern `file` in the data catalog"
                )
            paths[told.band] = path
        alone = "{band}" in self.file
        bands = {
            name: self._band_file(one, paths[word if alone else ""], 1 if alone else number)
            for number, (name, one) in enumerate(self.bands.items(), start=1)
            if (word := one.file or name) in paths or not alone
        }
        mask = masks.of(found[0][1], tile) if masks else None
        return Product(
            name=image,
            tile=tile,
            acquired=date.astype("datetime64[s]"),
            platform=self.platform,
            bands=bands,
            masks={MASK: mask} if mask else {},
            cloud_mask=MASK if self.mask else "",
        )

    def _band_file(self, band: DatedBand, path: Path, number: int) -> BandFile:
        scale = self.scale if band.scale is None else band.scale
        offset = self.offset if band.offset is None else band.offset
        return BandFile(path, scale, offset, self.nodata, self._per_unit(band), number, any_number=True)

    def _step(self, band: DatedBand) -> float | None:
        """Of the most particular that says it; None where the unit has none."""
        if band.step or band.unit:
            return band.step or STEPS.get(band.unit or "")
        return self.step or STEPS.get(self.unit)

    def _per_unit(self, band: DatedBand) -> float:
        step = self._step(band)
        assert step is not None
        return float(f"{1 / step:.12g}")

    def _none_found(self, root: Path, files: list[Path]) -> str:
        if not files:
            return f"{root} holds no files; mend the `uri` of the source in the data catalog"
        there = [path.name for path in files[:EXAMPLES]]
        more = f" and {len(files) - EXAMPLES:,} more" if len(files) > EXAMPLES else ""
        words = f" with {' or '.join(band.file or name for name, band in self.bands.items())} for {{band}}"
        return (
            f"no file below {root} is called {self.file!r}{words if '{band}' in self.file else ''}; there are "
            f"{', '.join(there)}{more}; mend the pattern `file` in the data catalog"
        )


class _Masks:
    """The masks that were found, by what their names say."""

    def __init__(self, rule: DatedMask, by_wild: bool) -> None:
        self._rule, self._by_wild = rule, by_wild
        self._paths: dict[tuple[Any, ...], Path] = {}

    @classmethod
    def among(cls, files: list[Path], root: Path, tile: str | None, rule: DatedMask, images: NamePattern) -> _Masks:
        """Those among files; `tile` as in `find`.

        Raises:
            ProductError: two are of the same image.
        """
        pattern = NamePattern(rule.file)
        found = cls(rule, pattern.wild == images.wild)
        for path in files:
            told = pattern.read(path.as_posix())
            if told is None:
                continue
            key = found._key(told, told.tile or tile or tile_in(path.parts))
            if key in found._paths:
                raise ProductError(
                    f"{root / path} and {found._paths[key]} are masks of one image by their names; write the pattern "
                    f"`mask.file` = {rule.file!r} in the data catalog with the same * as `file` = {images.text!r}"
                )
            found._paths[key] = root / path
        return found

    def of(self, image: Named, tile: str) -> MaskFile | None:
        """That of an image; None where none was delivered."""
        path = self._paths.get(self._key(image, tile)) or self._paths.get(self._key(image, ""))
        return self._rule.of(path) if path else None

    def _key(self, told: Named, tile: str) -> tuple[Any, ...]:
        return told.date, tile, told.wild if self._by_wild else ()


def _files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder, relative to it, in order of their names."""
    for folder, below, names in os.walk(root, followlinks=True):
        below.sort()
        for name in sorted(names):
            yield (Path(folder) / name).relative_to(root)


def _check_file(pattern: str, place: str) -> None:
    try:
        check_pattern(pattern)
    except ValueError as error:
        raise ValueError(f"{place} = {error}") from None


def _check_name(name: str) -> None:
    if not re.fullmatch(BAND_NAME, name) or name in RESERVED:
        raise ValueError(
            f"driver.bands: {name!r} is no name of a band; letters, digits and _ are allowed, a letter first, at most"
            " 32" + (f", and {' and '.join(RESERVED)} have a meaning" if name in RESERVED else "")
        )


def _over(known: Any, said: Any) -> Any:
    """What a preset knows of a band, and over it what is said of it."""
    if known is None or not (said is None or isinstance(said, Mapping)):
        return {} if said is None else said
    return {**known, **(said or {})}
