"""Values become a picture in a layer's colours: paletted where there is one band, red, green and blue where three."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from toolkit.webmap.layers import Composite, Indexed, Ramp, Style

CLEAR = (0, 0, 0, 0)
SHADES = 255
"""Colours of a ramp; entry 0 of a palette is transparent."""


TINY = 1e-30
"""Stands for a span of 0."""


def painted(style: Style, values: Sequence[np.ndarray], visible: np.ndarray) -> Image.Image:
    """A picture, paletted for one band, with or without transparency for three.

    Args:
        values: one array (y, x), or three for a `Composite`.
        visible: where they count, bool (y, x); elsewhere the picture is transparent.
    """
    if isinstance(style, Indexed):
        return _indexed(style, values[0], visible)
    if isinstance(style, Ramp):
        return _ramp(style, values[0], visible)
    return _composite(style, values, visible)


def _indexed(style: Indexed, values: np.ndarray, visible: np.ndarray) -> Image.Image:
    known = [value for value, rgba in sorted(style.colours.items()) if rgba[3]]
    entries = np.zeros(256, np.uint8)
    entries[known] = np.arange(1, len(known) + 1)
    inside = visible & (values >= 0) & (values <= 255)
    picture = np.where(inside, entries[np.where(inside, values, 0).astype(np.uint8)], 0)
    return _paletted(picture, [CLEAR, *(style.colours[value] for value in known)])


def _ramp(style: Ramp, values: np.ndarray, visible: np.ndarray) -> Image.Image:
    shades = np.rint(_stretched(values, style.low, style.high) * (SHADES - 1)).astype(np.uint8) + 1
    places = np.linspace(0, 1, len(style.colours))
    channels = [
        np.interp(np.linspace(0, 1, SHADES), places, channel).round() for channel in zip(*style.colours, strict=True)
    ]
    colours = [(int(red), int(green), int(blue), 255) for red, green, blue in zip(*channels, strict=True)]
    return _paletted(np.where(visible, shades, 0).astype(np.uint8), [CLEAR, *colours])


def _composite(style: Composite, values: Sequence[np.ndarray], visible: np.ndarray) -> Image.Image:
    bands = [
        np.rint(_stretched(band, low, high) * 255).astype(np.uint8)
        for band, low, high in zip(values, style.low, style.high, strict=True)
    ]
    if visible.all():  # a third faster
        return Image.fromarray(np.dstack(bands), "RGB")
    return Image.fromarray(np.dstack([*bands, visible.astype(np.uint8) * 255]), "RGBA")


def _stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 at `low` or below, 1 at `high` or above, float32; where both are one value, 0 up to it and 1 beyond."""
    span = max(high - low, TINY)
    return np.clip((np.nan_to_num(values.astype(np.float32)) - low) / span, 0, 1)


def _paletted(entries: np.ndarray, colours: Sequence[tuple[int, int, int, int]]) -> Image.Image:
    picture = Image.fromarray(entries, "P")
    picture.putpalette([value for colour in colours for value in colour[:3]])
    picture.info["transparency"] = bytes(colour[3] for colour in colours)
    return picture


def as_png(pictures: Sequence[Image.Image]) -> bytes | None:
    """Pictures of one size as a PNG, the last on top; None where there are none."""
    if not pictures:
        return None
    whole = pictures[0]
    for above in pictures[1:]:
        whole = Image.alpha_composite(whole.convert("RGBA"), above.convert("RGBA"))
    content = io.BytesIO()
    whole.save(content, "PNG", compress_level=1)
    return content.getvalue()
