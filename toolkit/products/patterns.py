"""Names of files as a person writes them, `S1*_{tile}_{band}_*_{date}T*.tif`, and what a name says that fits.

    {tile}   31TCJ                         {date}   20180111 or 2018-01-11
    {band}   one of the words for bands    *  ?     any text, any one character, without /

A pattern is for the end of a path: a name alone, or folders and a name. A `*` is as short as it can be. Nothing of a
pattern is a regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from toolkit.ground.errors import did_you_mean

PLACEHOLDERS = ("tile", "date", "band")
MOST_WILD = 10
"""`*` and `?` of a pattern at most: each more takes longer to find that a name does not fit."""

SIGNS = ("/", "_", "-", ".")
"""What stands between the words of a name."""

PART = re.compile(r"\{([^{}]*)\}|([*?])|([^{}*?]+)|([{}])")
TILE_NAME = r"\d{2}[A-Z]{3}"
DAY = r"(?<!\d)(?:19|20)\d{2}(?:(?:0[1-9]|1[0-2])\d{2}|-(?:0[1-9]|1[0-2])-\d{2})"


@dataclass(frozen=True)
class Named:
    """What the name of a file says."""

    tile: str
    """Empty where the pattern has none."""
    date: np.datetime64
    """datetime64[D]."""
    band: str
    """The word that stands for it; empty where the pattern has none."""
    wild: tuple[str, ...]
    """What stands in the place of each `*` and `?`."""
    image: str
    """The part of the path that fits, without band and ending: the same for all bands of an image."""


@dataclass(frozen=True)
class NamePattern:
    """A pattern that was understood.

    Args:
        bands: words that may stand for `{band}`.

    Raises:
        ValueError: the text is no pattern, in words.
    """

    text: str
    bands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_pattern(self.text)

    @property
    def wild(self) -> int:
        """How many `*` and `?` it has."""
        return self.text.count("*") + self.text.count("?")

    def read(self, path: str) -> Named | None:
        """What a path says, with `/` between its parts; None where it does not fit.

        The same placeholder has the same meaning everywhere, else the path does not fit. So it does where there is no
        such day.
        """
        match = self._compiled.search(path)
        if match is None:
            return None
        told: dict[str, str] = {}
        for name, text in match.groupdict().items():
            kind, plain = name.rstrip("0123456789"), text.replace("-", "") if name.startswith("date") else text
            if told.setdefault(kind, plain) != plain:
                return None
        day = _day(told["date"])
        if day is None:
            return None
        named = set(match.re.groupindex.values())
        wild = tuple(match[place] for place in range(1, match.re.groups + 1) if place not in named)
        return Named(told.get("tile", ""), day, told.get("band", ""), wild, self._image(match))

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        words = "|".join(re.escape(one) for one in sorted(self.bands, key=len, reverse=True))
        kinds = {"tile": TILE_NAME, "date": DAY, "band": words or r"(?!)"}
        found = []
        for place, (name, wild, literal, _) in enumerate(PART.findall(self.text)):
            if name:
                found.append(f"(?P<{name}{place}>{kinds[name]})")
            else:
                found.append({"*": "([^/]*?)", "?": "([^/])"}[wild] if wild else re.escape(literal))
        return re.compile(rf"(?:^|/){''.join(found)}\Z")

    def _image(self, match: re.Match[str]) -> str:
        """The path that fits, with nothing where the band stands, and one of the signs around it."""
        text, start = match[0], match.start()
        if "." in text.rpartition("/")[2]:
            text = text.rpartition(".")[0]
        bands = [match.span(name) for name in match.groupdict() if name.startswith("band")]
        for first, last in sorted(bands, reverse=True):
            before, after = text[: first - start], text[last - start :]
            text = before + (after[1:] if before[-1:] in SIGNS and after[:1] in SIGNS else after)
        return text.strip("".join(SIGNS)) or match[0]


def check_pattern(text: str) -> None:
    """Refuse what is no pattern of names.

    Raises:
        ValueError: with what is wrong, and the mend.
    """
    if not text.strip() or text != text.strip():
        raise ValueError(f"{text!r}: a pattern such as '*_{{date}}_{{band}}.tif' is needed, without blanks around it")
    for name, _, _, brace in PART.findall(text):
        if brace or (not name and "{}" in text):
            raise ValueError(f"{text!r}: a placeholder is written {{tile}}, {{date}} or {{band}}, with both braces")
        if name and name not in PLACEHOLDERS:
            raise ValueError(f"{text!r}: {{{name}}} is no placeholder{did_you_mean(name, PLACEHOLDERS)}")
    if "{date}" not in text:
        raise ValueError(f"{text!r}: {{date}} is missing, the day of the image: 20180111 or 2018-01-11")
    if "\\" in text:
        raise ValueError(f"{text!r}: write / between folders, and not \\")
    if text.startswith("/") or {"", ".", ".."} & set(text.split("/")):
        raise ValueError(
            f"{text!r}: begin with the name of a folder or file below the `uri`, such as '*/*_{{date}}.tif'"
        )
    if "**" in text:
        raise ValueError(f"{text!r}: one * stands for any text; files lie at any depth below the `uri` as it is")
    if text.count("*") + text.count("?") > MOST_WILD:
        raise ValueError(f"{text!r}: at most {MOST_WILD} times * or ? is allowed; one * stands for any text")


def tile_in(folders: Collection[str]) -> str:
    """The tile that one of these folders is called after, `31TCJ` or `T31TCJ`; empty where there is none."""
    found = (re.fullmatch(f"T?({TILE_NAME})", one) for one in folders)
    return next((match[1] for match in found if match), "")


def _day(text: str) -> np.datetime64 | None:
    try:
        return np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:]}", "D")
    except ValueError:
        return None
