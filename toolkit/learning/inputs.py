"""What a network is given: how the columns of a sample are read as series in time.

A sample is one row of features whose names tell what they are. There are two representations:

- *regular*: `B8_20180111` is channel B8 on a date of the regular grid, known to all; the columns stand in any order.
- *raw*: `B8_*` is channel B8 on each date as it was acquired. Every date has the same columns, one after the other,
  the last two of them `day_*` (days since the first of January of the first year) and `valid_*` (1 or 0). A row has as
  many dates as it takes: those of a tile, padded by dates that are not valid (`ground/raw_rows.py`).

What else a sample has, such as `texture`, is *static*: the first columns of a raw row, any of a regular one.

Features of a further sensor are called after it, `landsat/B4_20180109`, and stand on days of their own: `sensors` gives
a layout for each. To whom does not ask for it they are static features of the first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from toolkit.ground.errors import ParameterError
from toolkit.ground.raw_rows import DAY, EACH_DATE, VALID, RawRow
from toolkit.ground.sensor_names import sensor_of

__all__ = ["DAY", "EACH_DATE", "VALID", "InputLayout", "SensorInputs", "Series"]

DAY_IN_NAME = re.compile(r"_(\d{4})(\d{2})(\d{2})$")


class Series(NamedTuple):
    """Samples as a temporal network sees them."""

    values: torch.Tensor
    """(sample, date, channel), standardised."""
    days: torch.Tensor
    """(sample, date), or (1, date) for all: days since the first of January of the first year, float32."""
    valid: torch.Tensor
    """(sample, date) bool: whether there is a value. All are on the regular grid; `values` are 0 where not."""
    static: torch.Tensor
    """(sample, feature) of what has no date; perhaps of no feature at all."""


@dataclass(frozen=True)
class InputLayout:
    """The columns of a sample."""

    names: tuple[str, ...]
    """Of each feature, in order; of a raw row what is static, then what each date has."""
    dates: tuple[str, ...] = ()
    """Days of the regular grid, ISO format; none of a raw row."""
    period: tuple[str, str] | None = None
    """First and last day of the regular grid, ISO format, of a raw row too; None of features of no date."""

    @classmethod
    def of(cls, names: Sequence[str], dates: np.ndarray) -> InputLayout:
        """The layout that these names tell of.

        Args:
            dates: of the regular grid, datetime64[D]; raw rows have others, of the same period.
        """
        raw = any(name.endswith(EACH_DATE) for name in names)
        days = tuple(np.datetime_as_string(dates.astype("datetime64[D]")).tolist())
        return cls(tuple(names), () if raw else days, (days[0], days[-1]) if days else None)

    @classmethod
    def unnamed(cls, count: int) -> InputLayout:
        """So many features of no date."""
        return cls(tuple(f"feature {number}" for number in range(1, count + 1)))

    @property
    def raw(self) -> bool:
        """Whether dates are as they were acquired."""
        return VALID in self.names

    @property
    def row(self) -> RawRow | None:
        """How raw rows are laid out; None of regular ones."""
        return RawRow.of(self.names)

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """What there is on every date, such as `B8` and `NDVI`, in the order of their first columns."""
        if self.raw:
            return tuple(name.removesuffix(EACH_DATE) for name in self.names if name.endswith(EACH_DATE))[:-2]
        return tuple(self._regular)

    @cached_property
    def static(self) -> tuple[int, ...]:
        """Columns of what has no date, or not every date."""
        if self.raw:
            return tuple(i for i, name in enumerate(self.names) if not name.endswith(EACH_DATE))
        dated = {column for columns in self._regular.values() for column in columns}
        return tuple(column for column in range(len(self.names)) if column not in dated)

    @cached_property
    def sensors(self) -> dict[str, SensorInputs]:
        """What each sensor gives, by its name; that of the first is empty, and it comes first."""
        columns: dict[str, list[int]] = {"": []}
        for column, name in enumerate(self.names):
            columns.setdefault(sensor_of(name)[0], []).append(column)
        names = {sensor: [sensor_of(self.names[one])[1] for one in found] for sensor, found in columns.items()}
        found = {"": SensorInputs(InputLayout(tuple(names.pop("")), self.dates, self.period), tuple(columns[""]), self)}
        for sensor, own in names.items():
            dates = np.array(sorted({"-".join(day.groups()) for day in map(DAY_IN_NAME.search, own) if day}), "M8[D]")
            found[sensor] = SensorInputs(InputLayout.of(own, dates), tuple(columns[sensor]), self)
        return found

    @property
    def width(self) -> int | None:
        """How many columns a row has; None where that depends on the number of its dates."""
        return None if self.raw else len(self.names)

    def series(self, features: torch.Tensor) -> Series:
        """Rows of features (sample, feature) as series.

        Raises:
            ParameterError: nothing in them has every date.
        """
        return self._raw_series(features) if self.raw else self._regular_series(features)

    def check_series(self, network: str) -> None:
        """Refuse features without a single channel that has every date.

        Raises:
            ParameterError: with the mend.
        """
        if not self.channels:
            raise ParameterError(
                f"network {network} reads series, and no band or index is there on every date; widen "
                "features.select, or set learning.network.name: mlp"
            )

    def _raw_series(self, features: torch.Tensor) -> Series:
        static, per_date = len(self.static), len(self.channels) + 2
        dated = features[:, static:].unflatten(1, (-1, per_date))
        values, days, valid = dated[:, :, :-2], dated[:, :, -2], dated[:, :, -1] > 0.5
        return Series(values * valid.unsqueeze(2), days, valid, features[:, :static])

    def _regular_series(self, features: torch.Tensor) -> Series:
        columns, days = self._columns.to(features.device), self._days.to(features.device)
        values = features.index_select(1, columns).unflatten(1, (len(self.dates), len(self.channels)))
        valid = torch.ones((1, 1), dtype=torch.bool, device=features.device).expand(values.shape[:2])
        return Series(values, days, valid, features[:, list(self.static)])

    @cached_property
    def _regular(self) -> dict[str, list[int]]:
        """Channel -> its column on every date."""
        place = {name: column for column, name in enumerate(self.names)}
        days = [day.replace("-", "") for day in self.dates]
        first = f"_{days[0]}" if days else EACH_DATE
        found = {}
        for name in self.names:
            channel = name.removesuffix(first)
            if sensor_of(name)[0]:
                continue
            wanted = [f"{channel}_{day}" for day in days]
            if name != channel and all(one in place for one in wanted):
                found[channel] = [place[one] for one in wanted]
        return found

    @cached_property
    def _columns(self) -> torch.Tensor:
        """Columns in the order (date, channel)."""
        return torch.tensor(list(self._regular.values()), dtype=torch.int64).T.reshape(-1)

    @cached_property
    def _days(self) -> torch.Tensor:
        days = np.array(self.dates, dtype="datetime64[D]")
        start = days[:1].astype("datetime64[Y]").astype("datetime64[D]")
        return torch.from_numpy((days - start).astype(np.float32))[None]


@dataclass(frozen=True, eq=False)
class SensorInputs:
    """One sensor among the columns of a sample."""

    inputs: InputLayout
    """Its columns as if there were no other, called without its name."""
    columns: tuple[int, ...]
    """Their places among the names of all."""
    whole: InputLayout

    def of(self, features: torch.Tensor) -> torch.Tensor:
        """Its columns of rows (sample, feature); where dates are raw, of as many as the rows have."""
        if len(self.whole.sensors) == 1:
            return features
        if not self.inputs.raw:
            return features[:, self._columns.to(features.device)]
        static = self._columns[: len(self.inputs.static)].to(features.device)
        return torch.cat([features[:, static], features[:, len(self.whole.static) :]], 1)

    @cached_property
    def _columns(self) -> torch.Tensor:
        return torch.tensor(self.columns, dtype=torch.int64)
