"""The space of a tuning: which parameters of the learning are tried, and with what values.

    learning.learning_rate: [1.0e-5, 1.0e-2]            two numbers are the ends of a range
    learning.batch_size: [256, 1024, 4096]              anything else is a list of choices
    learning.network.batch_norm: [false, true]
    learning.epochs: {choices: [20, 40]}                two numbers that are choices all the same

A range is logarithmic where the parameter is declared so, and of whole numbers where the parameter is one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import create_model
from pydantic.fields import FieldInfo

from toolkit.ground.errors import ParameterError, did_you_mean
from toolkit.ground.params import Params, build, kind_of, leaves, models_of, plain
from toolkit.learning.parameters import LearningParams

SECTION, NETWORK = "learning", "learning.network.name"

Setting = dict[str, Any]
"""Dotted path -> value of the parameters that are tuned, as one trial has them."""

_UNTRIED = "decides what the trials are compared by; every trial must have the same"
_NO_MATTER = "changes the time of a training, not what it learns"
_SEARCH = "is a search of its own"
NOT_TUNED = {
    "learning.valid_ratio": _UNTRIED,
    "learning.valid_by": _UNTRIED,
    "learning.select_by": _UNTRIED,
    "learning.calibrate": _NO_MATTER,
    "learning.memory_gb": _NO_MATTER,
    "learning.probe_threads": _NO_MATTER,
    "learning.processes": _NO_MATTER,
    "learning.threads": _NO_MATTER,
    "learning.tries.batch_sizes": _SEARCH,
    "learning.tries.learning_rates": _SEARCH,
    "learning.tries.seeds": _SEARCH,
    "learning.device": _NO_MATTER,
    "learning.tensorboard": _NO_MATTER,
}
"""Parameters of the learning that no tuning tries, and why."""


@dataclass(frozen=True)
class Axis:
    """One parameter that is tuned."""

    path: str
    choices: tuple[Any, ...] = ()
    """The values to choose from; none for a range."""
    low: float = 0.0
    high: float = 0.0
    """The ends of a range, both included."""
    log: bool = False
    whole: bool = False
    networks: tuple[str, ...] = ()
    """The networks that have this parameter; none for what every one has."""

    @property
    def name(self) -> str:
        """The path without its section, short enough for a figure: `network.dropout`."""
        return self.path.removeprefix(f"{SECTION}.")

    @property
    def words(self) -> str:
        """Its values, for a person."""
        if self.choices:
            return ", ".join(map(word, self.choices))
        return f"{word(self.low)} to {word(self.high)}{', logarithmic' if self.log else ''}"

    def height(self, value: Any) -> float | None:
        """Where a value lies on the axis of a figure, 0 to 1; None where a trial has it not (NaN)."""
        if self.choices:
            labels = [word(one) for one in self.choices]
            return labels.index(word(value)) / (len(labels) - 1) if word(value) in labels else None
        if value is None or math.isnan(value):
            return None
        low, high, at = (math.log(one) if self.log else float(one) for one in (self.low, self.high, value))
        return (at - low) / (high - low)

    def ticks(self) -> dict[float, str]:
        """Height -> what is written there: each choice, or the ends of a range and something between."""
        if self.choices:
            return {place / (len(self.choices) - 1): word(one) for place, one in enumerate(self.choices)}
        between = [(self.low + self.high) / 2]
        if self.log:
            between = [
                10.0**power for power in range(math.ceil(math.log10(self.low)), math.ceil(math.log10(self.high)))
            ]
        heights = {self.height(one) or 0.0: word(one) for one in between}
        inner = {height: text for height, text in heights.items() if 0.1 < height < 0.9}
        return {0.0: word(self.low), 1.0: word(self.high), **inner}


@dataclass(frozen=True)
class Space:
    """What a tuning tries: its axes, the choice of the network first."""

    axes: tuple[Axis, ...]

    def __iter__(self) -> Iterator[Axis]:
        return iter(self.axes)

    def draw(self, suggest: Callable[[Axis], Any]) -> Setting:
        """One setting; where networks are chosen from, with the parameters that the chosen one has."""
        setting: Setting = {}
        for axis in self.axes:
            if not axis.networks or setting.get(NETWORK, axis.networks[0]) in axis.networks:
                setting[axis.path] = suggest(axis)
        return setting


def parse_space(values: Mapping[str, Any], learning: LearningParams) -> Space:
    """The space that these words mean: path -> two ends of a range, a list of choices, or `{choices: [...]}`.

    Args:
        learning: the parameters that are not tuned stay as here.

    Raises:
        ParameterError: a path that is no parameter or cannot be tuned, or a value that the parameter does not take.
    """
    if not values:
        raise ParameterError(
            "tuning.space is empty: name the parameters to tune and their values, such as "
            "{learning.learning_rate: [1.0e-5, 1.0e-2]}"
        )
    known = tunable(learning, any_network=NETWORK in values)
    axes = [_parse(path, words, known, learning) for path, words in values.items()]
    chosen = next((axis.choices for axis in axes if axis.path == NETWORK), ())
    for axis in axes:
        if chosen and axis.networks and not set(axis.networks) & set(chosen):
            raise ParameterError(
                f"tuning.space: {axis.path} is a parameter of {' and '.join(axis.networks)}, none of which is among "
                f"the networks to choose from ({', '.join(chosen)}); leave it out, or add the network"
            )
    return Space(tuple(sorted(axes, key=lambda axis: axis.path != NETWORK)))


def tunable(learning: LearningParams, *, any_network: bool = False) -> dict[str, FieldInfo]:
    """Path and declaration of every parameter that can be tuned.

    Args:
        any_network: those of all networks, not only of the one chosen now.
    """
    known = {path: field for path, field in leaves(LearningParams, SECTION) if path not in NOT_TUNED}
    kinds = {path for path, field in known.items() if kind_of(field.annotation) in ("TEXT", "TABLE", "VALUES")}
    others = {path for path in known if not _is_of(learning, path)}
    foreign = {path for path in others if not (any_network and path.startswith(f"{SECTION}.network."))}
    return {path: field for path, field in known.items() if path not in kinds | foreign}


def _is_of(learning: LearningParams, path: str) -> bool:
    """Whether these parameters have this one; else it is of another network or interpolator."""
    *sections, name = path.split(".")[1:]
    section: Any = learning
    for one in sections:
        section = getattr(section, one)
    return name in type(section).model_fields


def apply_setting(learning: LearningParams, setting: Mapping[str, Any]) -> LearningParams:
    """The parameters with this setting; where the network is part of it, that begins from its own defaults.

    Raises:
        ParameterError: the values cannot be together.
    """
    content = learning.model_dump()
    if NETWORK in setting:
        content["network"] = {}
    for path, value in setting.items():
        _, *sections, name = path.split(".")
        node = content
        for section in sections:
            node = node[section]
        node[name] = value
    return build(LearningParams, content, "tuning")


def label_of(value: Any) -> str:
    """A choice as a text that tells it from any other."""
    return json.dumps(plain(value))


def word(value: Any) -> str:
    """A value as a person reads it: `0.00132`, `64 64`, `yes`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return " ".join(map(word, value)) if isinstance(value, list | tuple) else str(value)


def _parse(path: str, words: Any, known: Mapping[str, FieldInfo], learning: LearningParams) -> Axis:
    if path not in known:
        raise ParameterError(f"tuning.space: {path} {_why_not(path, known, learning)}")
    field, networks = known[path], _networks_with(path)
    listed = words["choices"] if isinstance(words, Mapping) and set(words) == {"choices"} else words
    if not isinstance(listed, list | tuple) or len(listed) < 2:
        raise ParameterError(
            f"tuning.space: {path} = {words!r}: give a list of two values at least, or the two ends of a range"
        )
    kind = kind_of(field.annotation)
    values = _values(path, field, listed)
    if listed is words and kind in ("N", "X") and len(values) == 2 and None not in values:
        return _range(path, values, kind == "N", _is_log(field), networks)
    if len({label_of(one) for one in values}) < len(values):
        raise ParameterError(f"tuning.space: {path} = {list(listed)!r}: a value stands twice; name each once")
    return Axis(path, choices=values, networks=networks)


def _range(path: str, ends: Sequence[float], whole: bool, log: bool, networks: tuple[str, ...]) -> Axis:
    low, high = ends
    if low >= high:
        raise ParameterError(
            f"tuning.space: {path} = [{low:g}, {high:g}]: a range goes from a smaller value to a larger"
        )
    if log and low <= 0:
        raise ParameterError(
            f"tuning.space: {path} = [{low:g}, {high:g}]: its range is logarithmic, and must begin above 0"
        )
    return Axis(path, low=low, high=high, log=log, whole=whole, networks=networks)


def _values(path: str, field: FieldInfo, listed: Sequence[Any]) -> tuple[Any, ...]:
    """Values as the parameter takes them.

    Raises:
        ParameterError: it does not take one.
    """
    kind: Any = field.annotation
    model = create_model("Tuned", __base__=Params, value=(kind, field))
    try:
        return tuple(dict(build(model, {"value": one}, ""))["value"] for one in listed)
    except ParameterError as error:
        words = str(error).removeprefix(": ").removeprefix("value")
        raise ParameterError(
            f"tuning.space: {path}{words if words.startswith((' =', '.')) else f': {words}'}"
        ) from None


def _is_log(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("log"))


def _networks_with(path: str) -> tuple[str, ...]:
    """The networks that have a parameter, where not every one has it."""
    section, _, name = path.rpartition(".")
    models = models_of(LearningParams.model_fields["network"].annotation)
    owners = [model for model in models if name in model.model_fields]
    if section != f"{SECTION}.network" or len(owners) == len(models):
        return ()
    return tuple(str(model.model_fields["name"].default) for model in owners)


def _why_not(path: str, known: Mapping[str, FieldInfo], learning: LearningParams) -> str:
    if path in NOT_TUNED:
        return f"cannot be tuned: it {NOT_TUNED[path]}"
    every = dict(leaves(LearningParams, SECTION))
    if path in every and (networks := _networks_with(path)):
        return (
            f"is a parameter of {' and '.join(networks)}, and learning.network is {learning.network.name}; leave it "
            f"out, set the network, or choose among networks by {NETWORK}"
        )
    if path in every:
        return "cannot be tuned: it takes any text, not one of some values"
    if path.partition(".")[0] != SECTION:
        return f"cannot be tuned: only parameters of {SECTION} can be, for all others need new samples for every trial"
    inner = [one for one in known if one.startswith(f"{path}.")]
    if inner:
        return f"is a section; tune a parameter of it, such as {inner[0]}"
    return f"is not a parameter{did_you_mean(path, known)}"
