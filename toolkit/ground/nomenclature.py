"""Nomenclature: class code, label and colour, and the contiguous index a network needs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np

from toolkit.ground.errors import ParameterError, did_you_mean

SHIPPED = "nomenclatures"


@dataclass(frozen=True)
class LandCoverClass:
    """One class of a nomenclature."""

    code: int
    """Value in the map: 1 to 255, for 0 means "no data"."""
    label: str
    colour: str
    """`#rrggbb`."""


@dataclass(frozen=True)
class Nomenclature:
    """The classes of a map, in the order of their codes."""

    name: str
    classes: tuple[LandCoverClass, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.classes, key=lambda one: one.code))
        object.__setattr__(self, "classes", ordered)
        codes = [one.code for one in ordered]
        if len(set(codes)) != len(codes):
            double = sorted({code for code in codes if codes.count(code) > 1})
            raise ParameterError(f"nomenclature {self.name}: code {double[0]} stands twice; keep one of the lines")
        if not codes or codes[0] < 1 or codes[-1] > 255:
            raise ParameterError(f"nomenclature {self.name}: codes go from 1 to 255 (0 is 'no data'), not {codes}")

    @classmethod
    def load(cls, name_or_path: str | Path) -> Nomenclature:
        """A shipped nomenclature by its name (`oso_23`), or a CSV file with `code,label,colour`.

        Raises:
            ParameterError: no such name or file, a file that is not UTF-8, or a line that is not
                `code,label,#rrggbb`.
        """
        path = Path(name_or_path)
        if path.suffix == ".csv":
            if not path.is_file():
                raise ParameterError(f"nomenclature file {path} does not exist; write it, or use the shipped oso_23")
            return cls(path.stem, tuple(_read(_text(path), str(path))))
        if str(name_or_path) not in shipped_names():
            hint = did_you_mean(str(name_or_path), shipped_names())
            raise ParameterError(f"nomenclature {name_or_path} is neither shipped nor a .csv file{hint}")
        text = (resources.files("toolkit.ground") / SHIPPED / f"{name_or_path}.csv").read_text(encoding="utf-8")
        return cls(str(name_or_path), tuple(_read(text, str(name_or_path))))

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, code: object) -> bool:
        return code in self.by_code

    @cached_property
    def by_code(self) -> dict[int, LandCoverClass]:
        return {one.code: one for one in self.classes}

    @cached_property
    def codes(self) -> np.ndarray:
        """Class codes by index, uint8 of shape (class,)."""
        return np.array([one.code for one in self.classes], dtype=np.uint8)

    def label(self, code: int) -> str:
        """Label of a code; the code itself where it is not in the nomenclature."""
        return self.by_code[code].label if code in self.by_code else str(code)

    def colour(self, code: int) -> str:
        """Colour of a code, `#rrggbb`; grey where it is not in the nomenclature."""
        return self.by_code[code].colour if code in self.by_code else "#808080"

    def index(self, codes: Iterable[int] | np.ndarray) -> np.ndarray:
        """Contiguous index (0 to n-1) of each code, int64; -1 where the code is unknown."""
        table = np.full(256, -1, dtype=np.int64)
        table[self.codes] = np.arange(len(self))
        return table[np.asarray(codes, dtype=np.int64)]

    def colour_table(self) -> dict[int, tuple[int, int, int, int]]:
        """GDAL colour table: code -> (red, green, blue, alpha); 0 is transparent."""
        table = {one.code: (*bytes.fromhex(one.colour[1:]), 255) for one in self.classes}
        return {0: (0, 0, 0, 0), **table}  # type: ignore[dict-item]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><span style='display:inline-block;width:1.2em;height:1em;background:{escape(one.colour)};"
            f"border:1px solid #8884'></span></td><td style='text-align:right'>{one.code}</td>"
            f"<td style='text-align:left'>{escape(one.label)}</td></tr>"
            for one in self.classes
        )
        return f"<table><caption>{escape(self.name)}</caption>{rows}</table>"


def shipped_names() -> list[str]:
    """The nomenclatures that come with the toolkit, sorted."""
    folder = resources.files("toolkit.ground") / SHIPPED
    return sorted(entry.name.removesuffix(".csv") for entry in folder.iterdir() if entry.name.endswith(".csv"))


def _text(path: Path) -> str:
    """The text of a file in UTF-8, with or without the mark that spreadsheets set before it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError(
            f"nomenclature file {path} is not UTF-8 text ({error.reason} at byte {error.start}); "
            "save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
        ) from None


def _read(text: str, place: str) -> list[LandCoverClass]:
    reader = csv.DictReader(text.splitlines())
    header = reader.fieldnames or []
    if not {"code", "label", "colour"} <= set(header):
        raise ParameterError(f"{place}, line 1: the header must be `code,label,colour`, not `{','.join(header)[:80]}`")
    classes = []
    for number, row in enumerate(reader, start=2):
        try:
            code, label, colour = int(row["code"]), row["label"].strip(), row["colour"].strip().lower()
            if not re.fullmatch("#[0-9a-f]{6}", colour):
                raise ValueError(colour)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ParameterError(
                f"{place}, line {number}: expected `code,label,colour` such as `17,Coniferous forest,#003200`"
            ) from None
        classes.append(LandCoverClass(code, label, colour))
    return classes
