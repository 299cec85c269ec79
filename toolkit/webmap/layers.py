"""What lies on a web map: which files, and how their values become colours. Plain values, in JSON and out again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from toolkit.ground.errors import ProductError

State = tuple[int, int, int]
"""Of a file: time of change in nanoseconds, inode, size."""

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""


@dataclass(frozen=True)
class Indexed:
    """Every value its own colour, as in a class map."""

    colours: Mapping[int, tuple[int, int, int, int]] = field(hash=False)
    """Value, 0 to 255, to red, green, blue and alpha, each 0 to 255; values that are not there are transparent."""

    def __post_init__(self) -> None:
        colours = {int(value): tuple(map(int, rgba)) for value, rgba in self.colours.items()}
        if not all(0 <= value <= 255 and len(rgba) == 4 and _are_bytes(rgba) for value, rgba in colours.items()):
            raise ValueError(f"colours go from a value of 0 to 255 to four numbers of 0 to 255, not {self.colours!r}")
        if sum(rgba[3] > 0 for rgba in colours.values()) > 255:
            raise ValueError("at most 255 values can have a colour")
        object.__setattr__(self, "colours", colours)


@dataclass(frozen=True)
class Ramp:
    """Colours that run evenly from a low value to a high one; values beyond have the colour of the end."""

    low: float
    high: float
    colours: tuple[Colour, ...]
    """Two or more."""

    def __post_init__(self) -> None:
        colours = tuple(tuple(map(int, rgb)) for rgb in self.colours)
        if len(colours) < 2 or not all(len(rgb) == 3 and _are_bytes(rgb) for rgb in colours):
            raise ValueError(f"a ramp needs two colours or more of three numbers of 0 to 255, not {self.colours!r}")
        _check_order(self.low, self.high)
        object.__setattr__(self, "colours", colours)


@dataclass(frozen=True)
class Composite:
    """Three files as red, green and blue, each dark at its low value and bright at its high one."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def __post_init__(self) -> None:
        if len(self.low) != 3 or len(self.high) != 3:
            raise ValueError(f"a composite has three low and three high values, not {self.low!r} and {self.high!r}")
        for low, high in zip(self.low, self.high, strict=True):
            _check_order(low, high)
        object.__setattr__(self, "low", tuple(map(float, self.low)))
        object.__setattr__(self, "high", tuple(map(float, self.high)))


Style = Indexed | Ramp | Composite
_STYLES: dict[str, type[Indexed] | type[Ramp] | type[Composite]] = {
    "indexed": Indexed,
    "ramp": Ramp,
    "composite": Composite,
}


@dataclass(frozen=True)
class RasterLayer:
    """Band 1 of one file, or of three for a `Composite`, in colours."""

    files: tuple[Path, ...]
    """Made absolute: the Jupyter server runs in another folder than the kernel."""
    style: Style
    nodata: float | None = None
    """The value that is transparent; None for what the file declares."""
    averaged: bool = False
    """Whether several pixels that fall on one of the picture's are averaged; classes never are."""

    def __post_init__(self) -> None:
        files = tuple(Path(file).absolute() for file in self.files)
        wanted = 3 if isinstance(self.style, Composite) else 1
        if len(files) != wanted:
            raise ValueError(f"a layer in this style has {wanted} file(s), not {len(files)}")
        if self.averaged and isinstance(self.style, Indexed):
            raise ValueError("classes cannot be averaged")
        object.__setattr__(self, "files", files)

    @cached_property
    def _json(self) -> str:
        kind = next(name for name, style in _STYLES.items() if isinstance(self.style, style))
        content = {
            "files": [str(file) for file in self.files],
            "style": {"kind": kind, **asdict(self.style)},
            "nodata": self.nodata,
            "averaged": self.averaged,
        }
        return json.dumps(content)

    def to_json(self) -> str:
        """The layer as a line of JSON."""
        return self._json

    @classmethod
    def from_json(cls, text: str) -> RasterLayer:
        """The layer that `to_json` wrote.

        Raises:
            ValueError: it is not such a line.
        """
        try:
            return _from_content(json.loads(text))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a layer: {error!r}") from None


def fingerprint(layers: Iterable[RasterLayer]) -> str:
    """Changes when a file of the layers, or a style, does.

    Raises:
        ProductError: a file is absent.
    """
    text = "".join(f"{layer.to_json()}{[state_of(file) for file in layer.files]}" for layer in layers)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def state_of(path: Path) -> State:
    """What tells one content of a file from another.

    Raises:
        ProductError: the file is absent, or no file.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise ProductError(f"{path} cannot be read ({error.strerror}); make it again, or take its layer away") from None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _from_content(content: Mapping[str, Any]) -> RasterLayer:
    files, nodata, averaged = content["files"], content["nodata"], content["averaged"]
    if not (isinstance(files, list) and all(isinstance(file, str) and Path(file).is_absolute() for file in files)):
        raise ValueError(f"not a list of absolute paths: {files!r}")
    if not (nodata is None or _is_number(nodata)) or not isinstance(averaged, bool) or len(content) != 4:
        raise ValueError("not a layer")
    return RasterLayer(tuple(map(Path, files)), _style(dict(content["style"])), nodata, averaged)


def _style(content: dict[str, Any]) -> Style:
    return _STYLES[content.pop("kind")](**content)


def _check_order(low: float, high: float) -> None:
    if not (_is_number(low) and _is_number(high) and math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"low must not be above high, and both must be numbers: {low!r}, {high!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_bytes(values: tuple[int, ...]) -> bool:
    return all(0 <= value <= 255 for value in values)
