"""What the metadata file of a product says, in XML, and numbers from it."""

from __future__ import annotations

import logging
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from toolkit.ground.errors import ProductError

log = logging.getLogger(__name__)


def read_xml(path: Path) -> ElementTree.Element | None:
    """The root of an XML file; None where it is cut short or otherwise not well-formed, which is logged."""
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the latter two for unknown encodings
        _say_damaged(path, str(error))
        return None


@lru_cache(maxsize=1000)
def _say_damaged(path: Path, why: str) -> None:
    """Once for each file, which is looked at more than once in a run."""
    log.warning("%s is not well-formed (%s): the format's usual values are taken", path, why)


def given(found: Mapping[str, str | None]) -> dict[str, str]:
    """What was found and is not blank, without the blanks around it."""
    return {name: text.strip() for name, text in found.items() if text and text.strip()}


def number_of(
    properties: Mapping[str, str], name: str, usual: float, metadata: Path | None, *, positive: bool = False
) -> float:
    """A number that the metadata give, or the format's usual one where they do not.

    Raises:
        ProductError: what they give is no number, or not above zero though it must be.
    """
    try:
        value = float(properties.get(name, usual))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (positive and value <= 0):
        raise ProductError(
            f"{metadata}: {name} is {properties[name]!r}, not a {'positive ' if positive else ''}number; "
            f"correct it (usual: {usual:g}) or fetch the product again"
        )
    return value
