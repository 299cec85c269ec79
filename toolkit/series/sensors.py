"""Further sensors beside the first: each a series of its own, on the same pixels.

    series:
      source: s2
      …
      sensors:
        - {name: landsat, source: l8, bands: [B4, B8, B11], step_days: 16}

What a sensor does not say is as in the series itself. Its images are brought onto the pixel grid of the first sensor,
as bands of 20 m are brought onto that of 10 m.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odc.geo.geobox import GeoBox

from toolkit.ground.errors import ParameterError, ProductError
from toolkit.ground.grid import crop, describe, is_aligned, resolution
from toolkit.ground.params import Params, build, param, plain
from toolkit.products.product import Product
from toolkit.series.methods import GapFilling
from toolkit.series.timeline import FIRST_DAY, LAST_DAY

if TYPE_CHECKING:
    from toolkit.series.timeseries import SeriesParams


class SensorParams(Params):
    """A further sensor: its images, and the features that are made of them."""

    name: str = param(
        ...,
        "Name, which comes before those of its features: `landsat/B4_20180111`.",
        pattern="^[A-Za-z][A-Za-z0-9]*$",
        form="letters and digits, a letter first",
    )
    source: str = param(..., "Source of its images in the data catalog.")
    bands: tuple[str, ...] | None = param(None, "Its bands. Empty: those of the series.", min_length=1)
    indices: tuple[str, ...] = param((), "Indices of its bands, as in features.indices.")
    select: tuple[str, ...] = param((), "Its features to keep, by patterns such as B8_*. Empty: all.")
    start: date | None = param(None, "First day of its regular grid. Empty: of the series.", ge=FIRST_DAY, le=LAST_DAY)
    end: date | None = param(None, "Last day of its regular grid. Empty: of the series.", ge=FIRST_DAY, le=LAST_DAY)
    step_days: int | None = param(
        None, "Step of its regular grid. Empty: that of the series.", unit="days", ge=1, le=366
    )
    gap_filling: GapFilling | None = param(None, "How its gaps are filled. Empty: as in the series.")

    @property
    def place(self) -> str:
        """Where its parameters stand, for messages."""
        return f"series.sensors, {self.name}"


OWN = ("bands", "start", "end", "step_days", "gap_filling")
"""Parameters of a series that a sensor may have of its own."""


def series_of(sensor: SensorParams, series: SeriesParams) -> SeriesParams:
    """The series of a sensor: its own parameters, and whatever else is as in the first sensor's.

    A sensor with a period of its own has no seasons; one with a step of its own has it in every season.

    Raises:
        ParameterError: such a series cannot be.
    """
    own: dict[str, Any] = {name: value for name in OWN if (value := plain(getattr(sensor, name))) is not None}
    seasons = series.seasons
    if sensor.start or sensor.end:
        seasons = ()
    elif sensor.step_days:
        seasons = tuple(one.model_copy(update={"step_days": None}) for one in seasons)
    content = {**plain(series), **own, "source": sensor.source, "seasons": plain(seasons), "sensors": ()}
    return build(type(series), content, sensor.place)


def check_sensors(series: SeriesParams) -> None:
    """Sensors have names of their own, and each makes a series.

    Raises:
        ValueError: with the sensor and the mend.
    """
    names = [one.name.lower() for one in series.sensors]
    twice = next((one.name for one in series.sensors if names.count(one.name.lower()) > 1), None)
    if twice:
        raise ValueError(f"series.sensors: two are called {twice}; give one of them another name")
    try:
        for one in series.sensors:
            series_of(one, series)
    except ParameterError as error:
        raise ValueError(str(error)) from None


def warp_line(grid: GeoBox, onto: GeoBox) -> str:
    """The command that brings a file onto pixels a whole number of times as large as those of a grid, edge on edge."""
    fine = resolution(onto)
    in_metres = grid.crs is not None and not grid.crs.geographic
    pixel = fine * max(1, round(resolution(grid) / fine)) if in_metres else fine
    box = onto.boundingbox
    columns, rows = (-(-(side - 0.001) // pixel) for side in (box.right - box.left, box.top - box.bottom))
    system = f"EPSG:{onto.crs.epsg}" if onto.crs is not None and onto.crs.epsg else f"'{onto.crs}'"
    bounds = (box.left, box.top - rows * pixel, box.left + columns * pixel, box.top)
    return (
        f"gdalwarp -t_srs {system} -te {' '.join(f'{value:.10g}' for value in bounds)} -tr {pixel:g} {pixel:g} "
        "-r bilinear IN OUT"
    )


def check_on_grid(
    products: Sequence[Product], bands: Sequence[str], grids: Mapping[Path, GeoBox], onto: GeoBox
) -> None:
    """Images of a further sensor can be brought onto the grid of the first, and one of them at least touches it.

    Args:
        grids: of each file.
        onto: the grid of the first sensor.

    Raises:
        ProductError: with the file and the mend.
    """
    paths = [one.bands[band].path for one in products for band in bands]
    for path in paths:
        if not is_aligned(grids[path], onto) or resolution(grids[path]) < resolution(onto) * 0.999:
            raise ProductError(
                f"{path} ({describe(grids[path])}) does not fit the pixels of the first sensor ({describe(onto)}): in "
                "the same coordinate system, pixels as large or a whole number of times as large are needed, edge on "
                f"edge; warp each image, as by\n    {warp_line(grids[path], onto)}\n(masks with -r near), or make the "
                "sensor of the finer pixels the first"
            )
    if not any(crop(onto, grids[path].boundingbox) for path in paths):
        raise ProductError(
            f"none of its {len(products)} images, such as {products[0].name}, covers any of {describe(onto)}, the "
            "pixels of the first sensor; name another source"
        )
