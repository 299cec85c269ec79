from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.figures.acquisitions import acquisitions_figure
from toolkit.figures.style import png


def dates(count=12, start="2018-01-01", **columns):
    days = pd.date_range(start, periods=count, freq="20D")
    table = {"date": days, "data_share": 1.0, "clear_share": np.linspace(0, 1, count), "used": True}
    return pd.DataFrame(table | columns)


@pytest.mark.parametrize("tiles", [1, 2, 9])
def test_any_number_of_tiles_fits(tiles, written):
    texts = written(acquisitions_figure({f"31TC{letter}": dates() for letter in "ABCDEFGHJ"[:tiles]}))
    assert sum("12 dates" in text for text in texts) == tiles
    assert "Dates of each tile, by the share that is clear" in texts


def test_several_years_with_the_period(written):
    figure = acquisitions_figure(
        {"31UFQ": dates(90)}, pd.Timestamp("2018-03-01").date(), pd.Timestamp("2019-01-01").date()
    )
    assert any("2019" in text for text in written(figure))
    assert len(figure.axes[0].lines) == 2


def test_marks_are_shaded_by_what_is_clear_of_the_whole_tile():
    table = dates(4, clear_share=[0, 0.5, 1, 1], data_share=[1, 1, 0.5, 1])
    marks = acquisitions_figure({"31TCJ": table}).axes[0].collections[0]
    whiteness = marks.get_facecolors()[:, 0]
    assert whiteness[1] == pytest.approx(whiteness[2])
    assert whiteness[0] > whiteness[1] > whiteness[3]


def test_empty_and_unused_dates_have_marks_of_their_own():
    table = dates(
        5, data_share=[1, 0, 1, 1, 0], clear_share=[1, np.nan, 1, 1, np.nan], used=[True, True, False, True, True]
    )
    seen, empty, unused = acquisitions_figure({"31TCJ": table}).axes[0].collections[:3]
    assert [len(one.get_offsets()) for one in (seen, empty, unused)] == [2, 2, 1]
    assert "4 dates" in acquisitions_figure({"31TCJ": table}).axes[0].get_yticklabels()[0].get_text()


def test_dates_that_were_not_looked_at_are_white():
    table = dates(3, data_share=np.nan, clear_share=np.nan)
    seen = acquisitions_figure({"31TCJ": table}).axes[0].collections[0]
    assert (seen.get_facecolors() == 1).all() and len(seen.get_offsets()) == 3


def test_no_tile_and_no_date_make_a_picture():
    assert png(acquisitions_figure({}))
    assert png(acquisitions_figure({"31TCJ": dates(0)}))
