"""How the columns of a sample are read as series."""

from __future__ import annotations

import numpy as np
import torch

from toolkit.learning.inputs import DAY, VALID, InputLayout

DATES = np.array(["2018-01-01", "2018-01-11", "2018-01-21"], dtype="datetime64[D]")
DAYS = ["20180101", "20180111", "20180121"]


def test_regular_rows_are_read_in_whatever_order_they_stand() -> None:
    names = [f"{band}_{day}" for day in DAYS for band in ("B3", "B8")] + [f"NDVI_{day}" for day in DAYS] + ["texture"]
    layout = InputLayout.of(names, DATES)
    assert not layout.raw and layout.width == 10
    assert layout.channels == ("B3", "B8", "NDVI") and layout.static == (9,)
    series = layout.series(torch.arange(20, dtype=torch.float32).reshape(2, 10))
    assert series.values[0].tolist() == [[0, 1, 6], [2, 3, 7], [4, 5, 8]]
    assert series.values[1, 2].tolist() == [14, 15, 18]
    assert series.days.tolist() == [[0, 10, 20]]
    assert series.valid.all() and series.valid.shape == (2, 3)
    assert series.static.tolist() == [[9], [19]]


def test_what_lacks_a_date_is_static() -> None:
    layout = InputLayout.of(["B8_20180101", "B3_20180101", "B8_20180111", "B8_20180121"], DATES)
    assert layout.channels == ("B8",) and layout.static == (1,)


def test_raw_rows_have_as_many_dates_as_they_take() -> None:
    layout = InputLayout.of(["texture", "B3_*", "B8_*", DAY, VALID], DATES)
    assert layout.raw and layout.width is None and layout.channels == ("B3", "B8")
    row = torch.tensor([[7.0, 1, 2, 33, 1, 5, 6, 48, 0]])
    series = layout.series(row)
    assert series.values.tolist() == [[[1, 2], [0, 0]]]
    assert series.days.tolist() == [[33, 48]] and series.valid.tolist() == [[True, False]]
    assert series.static.tolist() == [[7]]
