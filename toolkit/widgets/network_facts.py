"""What a network and its training are, in a picture and a few lines."""

from __future__ import annotations

import math
from dataclasses import dataclass

from toolkit.learning.cost import Cost, Shape
from toolkit.learning.parameters import LearningParams

UNKNOWN = "…"
"""Stands where something is not known yet, so that nothing moves when it is."""


@dataclass(frozen=True)
class Known:
    """What is known so far of a training; None where it is not known yet."""

    shape: Shape
    samples: int | None = None
    """Pixels to learn from and to watch by."""
    extracted: bool = False
    """Whether they are extracted; else they are those that `sample` would draw."""
    cost: Cost | None = None

    def parts(self, valid_ratio: float) -> tuple[int, int]:
        """About how many samples train, and how many watch."""
        valid = round(valid_ratio * (self.samples or 0))
        return (self.samples or 0) - valid, valid


def layers_html(shape: Shape) -> str:
    """The width of each layer as a number and a box, from the features to the classes."""
    most = max(shape.widths)
    names = ["features", *[""] * (len(shape.widths) - 2), "classes"]
    boxes = (
        f"<div class='lc-layer'><i style='height:{max(4, round(72 * math.sqrt(width / most)))}px'></i>"
        f"<b>{width:,}</b><span class='lc-quiet'>{name}</span></div>"
        for width, name in zip(shape.widths, names, strict=True)
    )
    words = " to ".join(map(str, shape.widths))
    return f"<div class='lc-layers' role='img' aria-label='Layers: {words}'>{'<u>→</u>'.join(boxes)}</div>"


def facts_html(known: Known, learning: LearningParams) -> str:
    """Parameters, samples and time, always the same lines."""
    samples, updates = _samples(known, learning)
    seconds = known.cost.seconds_an_epoch if known.cost else None
    untried = "not tried: too large" if known.shape.parameters else "none: trees grow once"
    one = UNKNOWN if known.cost is None else untried if seconds is None else duration(seconds)
    every = UNKNOWN if seconds is None else duration(seconds * learning.epochs)
    device = f"by a short trial on {known.cost.device}" if known.cost else ""
    rows = [
        ("Parameters", f"{known.shape.parameters:,}", "weights that are learnt"),
        ("Samples", *samples),
        ("Updates", *updates),
        ("An epoch", one, device),
        (f"{learning.epochs:,} epochs", every, "if nothing else runs"),
    ]
    lines = "".join(
        f"<tr><th>{name}</th><td>{value}</td><td class='lc-quiet'>{words}</td></tr>" for name, value, words in rows
    )
    return f"<table class='lc-facts'>{lines}</table>"


def _samples(known: Known, learning: LearningParams) -> tuple[tuple[str, str], tuple[str, str]]:
    """Samples and updates of an epoch, each as a value and words about it."""
    if known.samples is None:
        return (UNKNOWN, ""), (UNKNOWN, "")
    train, valid = known.parts(learning.valid_ratio)
    source = "extracted" if known.extracted else "as sampling would draw them now"
    updates = -(-train // learning.batch_size)
    return (
        (f"{known.samples:,}", f"{source}: about {train:,} train, {valid:,} valid"),
        (f"{updates:,} an epoch", f"of {min(learning.batch_size, train):,} samples"),
    )


def duration(seconds: float) -> str:
    """A time in words: `about 0.12 s`, `about 3 min`, `about 2.1 h`."""
    if seconds < 10:
        return f"about {seconds:.2g} s"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
