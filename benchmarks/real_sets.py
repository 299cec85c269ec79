"""Real samples with folds that are apart in space, as one kind of value: for `real_accuracy.py`.

Every set has the irregular dates of its samples (`raw`) where it was delivered so, and the same on a regular grid
(`regular`), gap-filled by the toolkit. The folds are by polygon, block or patch, so that no field tests itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from rasterio.features import shapes

from toolkit.ground.grid import Block
from toolkit.ground.raw_rows import DAY, VALID
from toolkit.learning.batches import TrainingSamples
from toolkit.products.theia import find_theia
from toolkit.series.gapfill import fill_gaps
from toolkit.series.timeline import regular_dates
from toolkit.series.timeseries import SeriesParams, TileSeries

NOT_CLEAR = (0, 1, 3, 8, 9, 10, 11)
"""Values of Sen2Cor's scene classification that are not clear ground: no data, defects, shadow, clouds, snow."""


@dataclass(frozen=True)
class Table:
    """Samples as a network is given them."""

    features: np.ndarray
    """(sample, feature) float32."""
    names: tuple[str, ...]
    dates: np.ndarray


@dataclass(frozen=True)
class RealSet:
    """Labelled samples, and the folds that test them."""

    name: str
    regular: Table
    codes: np.ndarray
    """(sample,) uint8, from 1."""
    polygons: np.ndarray
    """(sample,) what a sample belongs to as a whole: a field, or a block."""
    folds: np.ndarray
    """(sample,) int: tested together."""
    raw: Table | None = None
    few: Table | None = None
    """The regular dates thinned out, where there are more than any network needs; a forest gets all."""

    def samples(self, table: Table, rows: np.ndarray) -> TrainingSamples:
        """Some samples to learn from."""
        return TrainingSamples(np.ascontiguousarray(table.features[rows]), self.codes[rows], self.polygons[rows])


def real_sets(data: Path, seed: int) -> Iterator[RealSet]:
    """Every set, with the folds of this seed."""
    yield forest(data / "theia_maja_T31UFQ_fordead", seed)
    patches = data / "wc_patches_s2l2a"
    yield crops_of_patches(patches, seed)
    yield left_out_patches(patches)
    yield corsica(data / "wc_fra_lpis_points", seed)
    yield toulouse(data / "tempcnn_formosat2_toulouse", seed)


def forest(folder: Path, seed: int, block: int = 16, folds: int = 5) -> RealSet:
    """Forest or not, every pixel of 80 x 80, the year 2018; folds of blocks of 16 x 16 pixels."""
    params = SeriesParams(
        source="s2",
        tiles=("31UFQ",),
        start=date(2018, 1, 1),
        end=date(2018, 12, 27),
        bands=("B2", "B3", "B4", "B8A", "B11", "B12"),
    )
    series = TileSeries.open("31UFQ", find_theia(folder / "SENTINEL"), params)
    height, width = series.grid.shape
    values, validity = series.read(Block(0, 0, height, width))
    with rasterio.open(folder / "Rasters/ZoneTest/BDForet_ZoneTest.tif") as raster:
        codes = (raster.read(1).ravel() + 1).astype(np.uint8)
    rows, cols = np.indices((height, width)) // block
    blocks = (rows * (width // block) + cols).ravel()
    values, validity = values.reshape(*values.shape[:2], -1), validity.reshape(len(validity), -1)
    days = regular_dates(params.start, params.end, 10)
    filled = fill_gaps(values, validity, series.dates, days)
    bands = params.bands
    return RealSet(
        "forest, 31UFQ",
        _regular(filled, bands, days),
        codes,
        blocks.astype(np.int64),
        _shared_out(blocks, folds, seed),
        _raw(values, validity, series.dates, bands),
    )


def crops_of_patches(folder: Path, seed: int, folds: int = 3) -> RealSet:
    """Crops of two Belgian patches, pooled; folds of whole fields, those of a class spread over all folds."""
    first, second = patch(folder / "00002806639B424A", 0), patch(folder / "000028085BF08E7E", 1)
    both = _join(first, second)
    fields = pd.DataFrame({"code": both.codes, "field": both.polygons}).groupby("code")["field"].nunique()
    kept = np.isin(both.codes, fields.index[fields >= folds])
    return _where(both, kept, "crops, 2 Belgian patches", _folds_by_class(both, kept, folds, seed))


def left_out_patches(folder: Path) -> RealSet:
    """The classes of both patches; each patch is tested by a network that learnt from the other."""
    first, second = patch(folder / "00002806639B424A", 0), patch(folder / "000028085BF08E7E", 1)
    both = _join(first, second)
    kept = np.isin(both.codes, np.intersect1d(first.codes, second.codes))
    return _where(both, kept, "crops, a patch left out", both.folds[kept])


CROPS = {1110: 1, 1200: 2, 1910: 3, 2130: 4, 5100: 5, 7900: 6, 9120: 7}


def patch(folder: Path, number: int) -> RealSet:
    """A patch of 64 x 64 pixels with its crops; dates are told as days of the season of 2018."""
    (labels,), (images,) = folder.glob("OUTPUT*.nc"), folder.glob("S2_L2A_20m*.nc")
    crops = _layer(labels, "CT")[0]
    bands = ("B05", "B06", "B07", "B8A", "B11", "B12")
    values = np.stack([_layer(images, band) for band in bands], axis=1)
    clear = ~np.isin(_layer(images, "SCL"), NOT_CLEAR) & (values > 0).all(axis=1)
    days = _times(images) - np.timedelta64(365 * number, "D")
    fine = [np.repeat(np.repeat(one, 2, axis=-2), 2, axis=-1) for one in (values, clear)]
    fields = np.zeros(crops.shape, dtype=np.int64)
    for count, (outline, _) in enumerate(shapes(crops.astype(np.int32), connectivity=4), start=1):
        burnt = rasterio.features.rasterize([outline], out_shape=crops.shape)
        fields[burnt == 1] = count + 100_000 * number
    known = np.isin(crops, list(CROPS))
    codes = np.array([CROPS[one] for one in crops[known]], dtype=np.uint8)
    reflectances, validity = fine[0][:, :, known].astype(np.int16), fine[1][:, known]
    grid = regular_dates(date(2017, 9, 1), date(2018, 11, 20), 10)
    names = ("B5", "B6", "B7", "B8A", "B11", "B12")
    return RealSet(
        folder.name,
        _regular(fill_gaps(reflectances, validity, days, grid), names, grid),
        codes,
        fields[known],
        np.full(len(codes), number),
        _raw(reflectances, validity, days, names),
    )


def corsica(folder: Path, seed: int, folds: int = 5) -> RealSet:
    """Crops of 500 Corsican parcels by the month; folds of blocks of 0.05 degrees."""
    table = pd.read_parquet(folder / "2022_FRA_LPIS_POLY_110_month.geoparquet")
    table = table.sort_values(["sample_id", "timestamp"])
    columns = [column for column in table.columns if column.startswith("S2-")]
    bands = tuple(column.replace("S2-L2A-B0", "B").replace("S2-L2A-B", "B") for column in columns)
    months = np.sort(table["timestamp"].unique()).astype("datetime64[D]")
    values = table[columns].to_numpy().reshape(-1, len(months), len(columns)).transpose(1, 2, 0)
    validity = (values != 65535).all(axis=1)
    values = np.minimum(values, 32767).astype(np.int16)
    first = table.groupby("sample_id", sort=True).first()
    blocks = np.unique((first[["lon", "lat"]] // 0.05).to_numpy(), axis=0, return_inverse=True)[1]
    counts = first["ewoc_code"].value_counts()
    kept = first["ewoc_code"].isin(counts.index[counts >= 12]).to_numpy()
    codes = np.unique(first["ewoc_code"][kept], return_inverse=True)[1].astype(np.uint8) + 1
    filled = fill_gaps(values, validity, months, months)[:, :, kept]
    return RealSet(
        "crops, 500 parcels of Corsica",
        _regular(filled, bands, months, nir="B8"),
        codes,
        blocks[kept].astype(np.int64),
        _shared_out(blocks[kept], folds, seed),
        _raw(values[:, :, kept], validity[:, kept], months, bands),
    )


def toulouse(folder: Path, seed: int, folds: int = 5) -> RealSet:
    """13 classes near Toulouse, 149 dates of Formosat-2 as delivered (interpolated already); folds by polygon."""
    rows = pd.read_csv(folder / "train_dataset.csv", header=None).to_numpy()
    values = rows[:, 2:].astype(np.float32).reshape(len(rows), -1, 3).transpose(1, 2, 0)
    days = np.datetime64("2006-02-01", "D") + 2 * np.arange(len(values))
    polygons, codes = rows[:, 1].astype(np.int64), rows[:, 0].astype(np.uint8) + 1
    table = _regular(values, ("NIR", "R", "G"), days, red="R", nir="NIR")
    shares = RealSet("", table, codes, polygons, np.zeros(len(codes), dtype=int))
    dealt = _folds_by_class(shares, codes > 0, folds, seed)
    return RealSet("13 classes, Formosat-2", table, codes, polygons, dealt, few=_every(table, 4))


def _regular(filled: np.ndarray, bands: tuple[str, ...], days: np.ndarray, red: str = "B4", nir: str = "B8A") -> Table:
    """(date, band, sample) as rows: all bands of each date, then NDVI where there are its bands, and brightness."""
    named = dict(zip(bands, filled.transpose(1, 0, 2), strict=True))
    extra = {"BRIGHTNESS": np.sqrt((filled.astype(np.float64) ** 2).sum(axis=1))}
    if red in named:
        total = named[nir] + named[red]
        extra["NDVI"] = 1000 * np.divide(named[nir] - named[red], total, out=np.zeros_like(total), where=total != 0)
    channels = {**named, **extra}
    stamps = [str(day).replace("-", "") for day in days]
    names = tuple(f"{channel}_{stamp}" for stamp in stamps for channel in channels)
    rows = np.stack(list(channels.values()), axis=1).reshape(len(names), -1)
    return Table(np.ascontiguousarray(rows.T, dtype=np.float32), names, days)


def _every(table: Table, step: int) -> Table:
    """Every so many dates of a regular table."""
    dates = len(table.dates)
    kept = np.arange(len(table.names)).reshape(dates, -1)[::step].ravel()
    names = tuple(table.names[column] for column in kept)
    return Table(np.ascontiguousarray(table.features[:, kept]), names, table.dates[::step])


def _raw(values: np.ndarray, validity: np.ndarray, dates: np.ndarray, bands: tuple[str, ...]) -> Table:
    """(date, band, sample) as raw rows: every date with its bands, its day and whether it is valid."""
    start = dates.max().astype("datetime64[Y]").astype("datetime64[D]")
    days = np.broadcast_to((dates - start).astype(np.float32)[:, None, None], (len(dates), 1, values.shape[2]))
    seen = np.where(validity[:, None], values, 0).astype(np.float32)
    rows = np.concatenate([seen, days, validity[:, None].astype(np.float32)], axis=1)
    names = (*(f"{band}_*" for band in bands), DAY, VALID)
    return Table(np.ascontiguousarray(rows.reshape(-1, values.shape[2]).T), names, np.sort(dates)[[0, -1]])


def _layer(path: Path, name: str) -> np.ndarray:
    with rasterio.open(f"netcdf:{path}:{name}") as source:
        return source.read()


def _times(path: Path) -> np.ndarray:
    """Days of a stack of images."""
    with rasterio.open(f"netcdf:{path}:SCL") as source:
        tags = source.tags()
    since = np.datetime64(tags["timestamp#units"].removeprefix("seconds since ").replace(" ", "T"), "s")
    seconds = [int(float(one)) for one in tags["NETCDF_DIM_timestamp_VALUES"].strip("{}").split(",")]
    return (since + np.array(seconds, dtype="timedelta64[s]")).astype("datetime64[D]")


def _join(first: RealSet, second: RealSet) -> RealSet:
    """Two patches as one set; the shorter raw rows are padded by dates that are not valid."""
    assert first.raw and second.raw
    widest = max(first.raw.features.shape[1], second.raw.features.shape[1])
    raw = [np.pad(one.raw.features, ((0, 0), (0, widest - one.raw.features.shape[1]))) for one in (first, second)]  # type: ignore[union-attr]
    return RealSet(
        "",
        Table(np.concatenate([first.regular.features, second.regular.features]), *_kept(first.regular)),
        np.concatenate([first.codes, second.codes]),
        np.concatenate([first.polygons, second.polygons]),
        np.concatenate([first.folds, second.folds]),
        Table(np.concatenate(raw), *_kept(first.raw)),
    )


def _kept(table: Table) -> tuple[tuple[str, ...], np.ndarray]:
    return table.names, table.dates


def _where(whole: RealSet, kept: np.ndarray, name: str, folds: np.ndarray) -> RealSet:
    """Some samples of a set, with folds of theirs."""
    raw = None if whole.raw is None else Table(whole.raw.features[kept], *_kept(whole.raw))
    regular = Table(whole.regular.features[kept], *_kept(whole.regular))
    return RealSet(name, regular, whole.codes[kept], whole.polygons[kept], folds, raw)


def _shared_out(groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold for each sample, the same for a whole group."""
    known, place = np.unique(groups, return_inverse=True)
    return np.random.default_rng(seed).permutation(np.arange(len(known)) % folds)[place]


def _folds_by_class(whole: RealSet, kept: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold for each kept sample: whole polygons, those of each class spread over all folds."""
    rng, result = np.random.default_rng(seed), np.zeros(len(whole.codes), dtype=int)
    for code in np.unique(whole.codes):
        polygons = rng.permutation(np.unique(whole.polygons[whole.codes == code]))
        for place, polygon in enumerate(polygons):
            result[(whole.polygons == polygon) & (whole.codes == code)] = place % folds
    return result[kept]
