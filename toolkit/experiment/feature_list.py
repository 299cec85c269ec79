"""What features there are, in words: indices, functions with their parameters, and those of an experiment."""

from __future__ import annotations

from itertools import groupby

from pydantic.fields import FieldInfo

from toolkit.experiment.config import Experiment
from toolkit.features.external import ExternalFunction
from toolkit.features.indices import INDICES
from toolkit.features.loading import SHIPPED, shipped_function
from toolkit.features.stack import FeatureStack
from toolkit.ground.params import bounds_of, default_of, kind_of
from toolkit.ground.raw_rows import EACH_DATE


def feature_list(experiment: Experiment | None = None) -> str:
    """Indices and functions that ship; of an experiment its own functions and its features too.

    Raises:
        LandcoverError: the experiment's features cannot be what it says.
    """
    stack = experiment.stack if experiment else None
    functions = {name: shipped_function(name) for name in SHIPPED}
    functions |= {f"{one}": one.function for one in (stack.external if stack else ()) if one.source}
    parts = ["Indices, for features.indices", *(f"  {one.name:<15} {one.written}" for one in INDICES.values())]
    parts += ["", "Functions, for features.external"]
    parts += [line for name, function in functions.items() for line in _described(name, function)]
    return "\n".join([*parts, *(_counted(stack) if stack else ())])


def _described(name: str, function: ExternalFunction) -> list[str]:
    lines = [f"  {name:<15} {function.meaning}", f"  {'':<15} gives {', '.join(function.outputs)}"]
    return lines + [f"  {'':<15} {described(key, field)}" for key, field in function.params.model_fields.items()]


def described(name: str, field: FieldInfo) -> str:
    """A parameter in a line: what it does, and which values it takes."""
    default = f"default {default_of(field)}" if default_of(field) else "required"
    facts = [kind_of(field.annotation), bounds_of(field), default]
    return " ".join(filter(None, [f"{name}:", field.description, f"({', '.join(filter(None, facts))})"]))


def feature_counts(stack: FeatureStack) -> dict[str, int]:
    """How many features there are of each band, index and output: those of one series of dates count together.

    Raises:
        LandcoverError: as `FeatureStack.names`.
    """

    def series(name: str) -> str:
        head, _, day = name.rpartition("_")
        return head if day.isdigit() and len(day) == 8 else name

    counts: dict[str, int] = {}
    for head, names in groupby(stack.names, series):
        counts[head] = counts.get(head, 0) + len(list(names))
    return counts


def _counted(stack: FeatureStack) -> list[str]:
    """The features of an experiment, those of one series of dates in one line."""
    if stack.raw:
        return ["", *_raw(stack)]
    return ["", f"Features of the experiment: {len(stack)}", *_lines(stack)]


def _lines(stack: FeatureStack) -> list[str]:
    counts = feature_counts(stack).items()
    return [f"  {head:<15} {f'on {count} dates' if count > 1 else ''}".rstrip() for head, count in counts]


def _raw(stack: FeatureStack) -> list[str]:
    """The features of raw dates: those of no date, then what each date has."""
    each = [name.removesuffix(EACH_DATE) for name in stack.names if name.endswith(EACH_DATE)]
    static = [name for name in stack.alone.names if not name.endswith(EACH_DATE)]
    beside = [line for sensor, one in stack.others for line in ("", f"Sensor {sensor}: {len(one)}", *_lines(one))]
    return [
        *([f"Features of no date: {len(static)}", *(f"  {name}" for name in static)] if static else []),
        f"Features of each date as it was acquired: {len(each)}",
        f"  {', '.join(each[:-2])}: 0 where it is not clear",
        f"  day: days since {stack.dates[0][:4]}-01-01",
        "  valid: 1 where it is clear, else 0",
        *beside,
    ]
