"""A place as a person writes it: coordinates in the usual forms."""

from __future__ import annotations

import re

from toolkit.ground.errors import ParameterError

_PART = re.compile(
    r"""\s*(?P<before>[NSEW])?\s*(?P<sign>[+-])?
    (?P<degrees>\d+(?:\.\d+)?)\s*[°d]?\s*
    (?:(?P<minutes>\d+(?:\.\d+)?)\s*['′m]\s*)?
    (?:(?P<seconds>\d+(?:\.\d+)?)\s*["″s]\s*)?
    (?(before)|(?P<after>[NSEW])?)\s*""",
    re.VERBOSE | re.IGNORECASE,
)

HOW = "write latitude and longitude, such as 43.6012, 1.4321 or 1.4321 E 43.6012 N"


def parse_place(text: str) -> tuple[float, float]:
    """Latitude and longitude, degrees.

    Understood are `43.6012, 1.4321` (latitude first), `43.6012 N 1.4321 E` in any order, and degrees, minutes and
    seconds: `43°36'4" N, 1°25'56" E`.

    Raises:
        ParameterError: the text is not a place on earth.
    """
    parts = _parts(text)
    if len(parts) != 2:
        raise ParameterError(f"{text!r} is not a place; {HOW}")
    (first, first_axis), (second, second_axis) = parts
    if first_axis == "longitude" or second_axis == "latitude":
        first, first_axis, second, second_axis = second, second_axis, first, first_axis
    if first_axis == "longitude" or second_axis == "latitude":
        raise ParameterError(f"{text!r} has two coordinates of one kind; {HOW}")
    if not (-90 <= first <= 90 and -180 <= second <= 180):
        raise ParameterError(f"{text!r}: latitude goes from -90 to 90, longitude from -180 to 180; {HOW}")
    return first, second


def place_words(latitude: float, longitude: float) -> str:
    """A place in words, to a tenth of a metre, so that they lead back to the same pixel: `1.432100 E 43.601200 N`."""
    east, north = "E" if longitude >= 0 else "W", "N" if latitude >= 0 else "S"
    return f"{abs(longitude):.6f} {east} {abs(latitude):.6f} {north}"


def _parts(text: str) -> list[tuple[float, str]]:
    """Value and axis (`latitude`, `longitude` or unknown) of each coordinate; none where something is left over."""
    pieces = re.split(r"[,;]", text) if re.search(r"[,;]", text) else [text]
    found, place = [], 0
    for piece in pieces:
        place = 0
        while place < len(piece.rstrip()):
            match = _PART.match(piece, place)
            if not match:
                return []
            found.append(_value(match))
            place = match.end()
    return found


def _value(match: re.Match[str]) -> tuple[float, str]:
    letter = (match["before"] or match["after"] or "").upper()
    size = sum(float(match[name] or 0) / over for name, over in (("degrees", 1), ("minutes", 60), ("seconds", 3600)))
    negative = (match["sign"] == "-") != (letter in ("S", "W"))
    axis = "latitude" if letter in ("N", "S") else "longitude" if letter else "unknown"
    return (-size if negative else size), axis
