"""Ground truth: polygons of known land cover, read from any vector file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
from pyproj import CRS

from toolkit.ground.errors import GroundTruthError, RunFolderError, did_you_mean
from toolkit.ground.grid import crs_name
from toolkit.ground.params import Params, param
from toolkit.ground.writing import aside
from toolkit.ground_truth.vector_files import read_vector

NO_CLASS = int(np.iinfo(np.int64).min)
"""Code of a polygon whose class field is empty: none that a person would write, as 0 might be."""

OWN_FIELDS = ("polygon", "code", "geometry")
"""Columns that every ground truth has, in this order before the further fields of the input."""

UNWRITTEN = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError)
"""What pyogrio says where a file cannot be written, at whatever point the disk became full."""

FIXED_DATE = "2000-01-01T00:00:00.000Z"
"""Date stamped into GeoPackages, so that the same polygons make the same bytes."""


class GroundTruthParams(Params):
    """Where the ground truth comes from and what is kept of it."""

    source: str = param(
        "",
        "Vector file of polygons: a name of the data catalog, or a path. Empty: none; `mapping.model` classifies then.",
    )
    layer: str | None = param(None, "Layer to read, where the file holds more than one.")
    class_field: str = param("code", "Field that holds the class code, a whole number.", min_length=1)
    nomenclature: str = param("oso_23", "Classes of the map: a shipped nomenclature or a CSV file.", min_length=1)
    drop_unknown: bool = param(
        False, "Remove polygons of classes that are not in the nomenclature, instead of refusing them."
    )
    min_area_m2: float = param(0.0, "Polygons smaller than this are removed; 0 keeps all.", unit="m²", ge=0)


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Polygons of known land cover.

    As read, geometries are those of the file; after `clean_polygons` each is a valid two-dimensional Polygon.
    """

    frame: gpd.GeoDataFrame
    """Columns `polygon` (int64, unique: the row in the input file), `code` (int64), `geometry`, then further fields."""
    name: str = "ground truth"
    """Name of the file, for messages."""

    def __post_init__(self) -> None:
        absent = [field for field in OWN_FIELDS if field not in self.frame.columns]
        if absent:
            raise GroundTruthError(f"{self.name} has no column {absent[0]}; make it with GroundTruth.read")
        if self.frame["polygon"].duplicated().any():
            twice = self.frame["polygon"][self.frame["polygon"].duplicated()].iloc[0]
            raise GroundTruthError(f"{self.name}: polygon {twice} stands twice; number the polygons anew")

    @classmethod
    def read(cls, path: str | Path, class_field: str = "code", *, layer: str | None = None) -> GroundTruth:
        """Read a vector file. The field `polygon` numbers the polygons where there is one, else the row does.

        Raises:
            GroundTruthError: the file is absent or unreadable, has no CRS or no class field, or classes are not
                whole numbers.
        """
        path = Path(path)
        frame = read_vector(path, layer)
        return cls(number(frame, class_field, path.name), path.name)

    def save(self, path: str | Path) -> None:
        """Write a GeoPackage, whole or not at all; the same polygons give the same bytes.

        Raises:
            RunFolderError: the file cannot be written.
        """
        path = Path(path)
        before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": FIXED_DATE})
        try:
            with aside(path) as part:
                self.frame.to_file(part, layer=path.stem, driver="GPKG", index=False)
        except UNWRITTEN as error:
            reason = "the disk is full, or its folder is closed to you"
            raise RunFolderError(f"{path} cannot be written: {reason}") from error
        finally:
            pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def crs(self) -> CRS:
        return self.frame.crs

    @property
    def ids(self) -> np.ndarray:
        """Number of each polygon, int64."""
        return self.frame["polygon"].to_numpy(np.int64)

    @property
    def codes(self) -> np.ndarray:
        """Class code of each polygon, int64."""
        return self.frame["code"].to_numpy(np.int64)

    @cached_property
    def counts(self) -> dict[int, int]:
        """Number of polygons of each class code, in the order of the codes."""
        codes, counts = np.unique(self.codes, return_counts=True)
        return dict(zip(codes.tolist(), counts.tolist(), strict=True))

    def where(self, chosen: np.ndarray) -> GroundTruth:
        """The polygons where `chosen` (bool of shape (polygon,)) is true."""
        return GroundTruth(self.frame[np.asarray(chosen, bool)].reset_index(drop=True), self.name)

    def __repr__(self) -> str:
        return f"GroundTruth({self.name}: {len(self):,} polygons of {len(self.counts)} classes, {crs_name(self.crs)})"

    def _repr_html_(self) -> str:
        names = {NO_CLASS: "empty"}
        rows = "".join(
            f"<tr><td>{names.get(code, code)}</td><td>{count:,}</td></tr>" for code, count in self.counts.items()
        )
        return f"<p>{escape(repr(self))}</p><table><tr><th>code</th><th>polygons</th></tr>{rows}</table>"


def number(frame: gpd.GeoDataFrame, class_field: str, name: str) -> gpd.GeoDataFrame:
    """The frame with columns `polygon` and `code` before the further fields, of which the class field is left out.

    Raises:
        GroundTruthError: there is no such field, or it does not hold whole numbers.
    """
    fields = [field for field in frame.columns if field != frame.geometry.name]
    if class_field not in fields:
        hint = did_you_mean(class_field, map(str, fields))
        raise GroundTruthError(f"{name} has no field {class_field!r}; correct ground_truth.class_field{hint}")
    codes = class_codes(frame[class_field], f"field {class_field} of {name}")
    numbered = _is_numbering(frame["polygon"]) if "polygon" in fields and class_field != "polygon" else False
    ids = frame["polygon"].to_numpy(np.int64) if numbered else np.arange(len(frame))
    further = [field for field in fields if field != class_field and not (numbered and field == "polygon")]
    columns = {"polygon": ids, "code": codes, "geometry": frame.geometry.array}
    names = free_names(further, taken=(*columns, "fid"))
    columns |= {names[field]: frame[field].array for field in further}
    return gpd.GeoDataFrame(columns, geometry="geometry", crs=frame.crs)


def class_codes(values: pd.Series, place: str) -> np.ndarray:
    """Class codes as int64 from whole numbers, from floats without a fraction or from text of digits.

    An empty value becomes `NO_CLASS`.

    Raises:
        GroundTruthError: a value is no whole number; the message names the first one.
    """
    positions, distinct = pd.factorize(values.astype(object), use_na_sentinel=True)
    codes = np.full(len(distinct) + 1, NO_CLASS, dtype=np.int64)
    for position, value in enumerate(distinct):
        if isinstance(value, str) and not value.strip():
            continue
        code = _whole(value)
        if code is None:
            raise GroundTruthError(
                f"{place} is {str(value)!r} in row {int(np.argmax(positions == position))}: a class code is a whole "
                "number; name a field of codes in ground_truth.class_field, or add one to the file"
            )
        codes[position] = code
    return codes[positions]


def free_names(fields: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """A name for each field that differs from those taken and from each other's, even without regard to case.

    GeoPackage takes `Code` and `code` for one column; such a field becomes `Code_input`.
    """
    used = {name.lower() for name in taken}
    names: dict[str, str] = {}
    for field in map(str, fields):
        free, turn = field, 1
        while free.lower() in used:
            free, turn = f"{field}_input" if turn == 1 else f"{field}_input{turn}", turn + 1
        used.add(free.lower())
        names[field] = free
    return names


def _whole(value: object) -> int | None:
    """The value as a whole number of at most 64 bits, or None where it is not one."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, str):
        number = int(value) if re.fullmatch(r"\s*[+-]?[0-9]+\s*", value) else None
    elif isinstance(value, float | np.floating):
        number = int(value) if float(value).is_integer() else None
    else:
        number = int(value) if isinstance(value, int | np.integer) else None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _is_numbering(values: pd.Series) -> bool:
    return bool(pd.api.types.is_integer_dtype(values) and values.is_unique and values.notna().all())
