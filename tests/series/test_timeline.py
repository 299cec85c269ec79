from datetime import date

import numpy as np
import pytest

from toolkit.ground.errors import ParameterError
from toolkit.series.timeline import in_years_of_365_days, longest_without, regular_dates


def test_published_grid_has_37_dates() -> None:
    dates = regular_dates(date(2018, 1, 1), date(2018, 12, 27), 10)
    assert len(dates) == 37
    assert (str(dates[0]), str(dates[1]), str(dates[-1])) == ("2018-01-01", "2018-01-11", "2018-12-27")


def test_end_counts_only_if_hit() -> None:
    assert str(regular_dates(date(2018, 1, 1), date(2018, 1, 30), 10)[-1]) == "2018-01-21"
    assert len(regular_dates(date(2020, 2, 28), date(2020, 3, 1), 1)) == 3
    assert regular_dates(date(2018, 1, 1), date(2018, 1, 1), 10).dtype == np.dtype("datetime64[D]")


def test_end_before_start_is_refused() -> None:
    with pytest.raises(ParameterError, match="before"):
        regular_dates(date(2018, 2, 1), date(2018, 1, 1), 10)


def test_year_of_365_days_has_no_day_366() -> None:
    given = np.array(["2019-12-31", "2020-01-01", "2020-02-29", "2020-12-31", "2021-01-01"], dtype="datetime64[D]")
    found = in_years_of_365_days(given, np.datetime64("2019-06-01"))
    assert (found - found[0]).astype(int).tolist() == [0, 1, 60, 366, 366]


def test_the_longest_time_without_an_image() -> None:
    period = (date(2018, 1, 1), date(2018, 12, 31), 10)
    days = np.array(["2017-12-20", "2018-03-01", "2018-03-05", "2018-12-01", "2019-01-04"], dtype="datetime64[s]")
    assert longest_without(days, period) == (date(2018, 3, 5), date(2018, 12, 1))
    assert longest_without(days[:1], period) == (date(2018, 1, 1), date(2018, 12, 31))
    assert longest_without(days[:0], (date(2018, 1, 1), date(2018, 1, 1), 10)) == (date(2018, 1, 1), date(2018, 1, 1))
