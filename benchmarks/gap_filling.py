"""Gap-filling and features: our kernel beside a memory copy and other ways, the feature stack beside the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from interleaved import Contender, agree, table, take_turns
from numba import njit

from toolkit.features.stack import FeatureStack
from toolkit.ground.bands import BAND_NAMES
from toolkit.series.gapfill import fill_gaps
from toolkit.series.timeline import regular_dates

try:
    import xarray
except ImportError:
    xarray = None  # type: ignore[assignment]


BLOCKS = 8
"""That two threads share."""


@dataclass
class Scene:
    """A simulated series: 70 dates, 10 bands, 40 % cloudy."""

    values: np.ndarray
    """(date, band, pixel) int16."""
    validity: np.ndarray
    """(date, pixel) bool."""
    dates: np.ndarray
    output_dates: np.ndarray

    @classmethod
    def make(cls, size: int, seed: int = 0) -> Scene:
        rng = np.random.default_rng(seed)
        values = rng.integers(0, 10_000, (70, 10, size * size), dtype=np.int16)
        sky = rng.random((70, size // 8, size // 8)) > 0.4
        validity = sky.repeat(8, axis=1).repeat(8, axis=2).reshape(70, -1)
        validity[:, :100] = False  # never seen
        year = np.arange(np.datetime64("2018-01-01"), np.datetime64("2019-01-01"))
        days = np.sort(rng.choice(year, 70, replace=False))
        return cls(values, validity, days, regular_dates(year[0].item(), np.datetime64("2018-12-27").item(), 10))

    def cut(self, start: int, stop: int) -> Scene:
        values, validity = (np.ascontiguousarray(one[..., start:stop]) for one in (self.values, self.validity))
        return Scene(values, validity, self.dates, self.output_dates)

    def empty(self) -> np.ndarray:
        """Memory for the result, touched."""
        return np.zeros((len(self.output_dates), *self.values.shape[1:]), dtype=np.float32)

    def days(self) -> tuple[np.ndarray, np.ndarray]:
        """Acquisition and output days as float32."""
        return tuple((one - self.dates[0]).astype(np.float32) for one in (self.dates, self.output_dates))


def ours(scene: Scene, out: np.ndarray | None = None) -> np.ndarray:
    return fill_gaps(scene.values, scene.validity, scene.dates, scene.output_dates, out)


def by_gather(scene: Scene, out: np.ndarray, chunk: int = 8192) -> np.ndarray:
    """Vectorised NumPy: positions of the last and next usable date by `maximum.accumulate`, then a gather."""
    days, output_days = scene.days()
    seen = np.searchsorted(days, output_days, side="right")
    count, pixels = scene.validity.shape
    for start in range(0, pixels, chunk):
        part = slice(start, min(start + chunk, pixels))
        valid, values = scene.validity[:, part], scene.values[:, :, part]
        rows = np.arange(count)[:, None]
        edge = np.ones((1, valid.shape[1]), dtype=int)
        before = np.concatenate([-edge, np.maximum.accumulate(np.where(valid, rows, -1))])[seen]
        after = np.minimum.accumulate(np.where(valid, rows, count)[::-1])[::-1]
        after = np.concatenate([after, count * edge])[seen]
        first = np.where(before < 0, np.minimum(after, count - 1), before)
        second = np.where(after == count, first, after)
        gap = np.maximum(days[second] - days[first], np.float32(1e-3))
        weight = np.clip((output_days[:, None] - days[first]) / gap, 0, 1)[:, None]
        low = np.take_along_axis(values, first[:, None], axis=0).astype(np.float32)
        high = np.take_along_axis(values, second[:, None], axis=0)
        out[:, :, part] = (low + weight * (high - low)) * valid.any(axis=0)
    return out


def by_interp(scene: Scene) -> np.ndarray:
    """`numpy.interp`, pixel by pixel and band by band."""
    days, output_days = scene.days()
    out = scene.empty()
    for pixel in np.flatnonzero(scene.validity.any(axis=0)):
        valid = scene.validity[:, pixel]
        for band in range(out.shape[1]):
            out[:, band, pixel] = np.interp(output_days, days[valid], scene.values[valid, band, pixel])
    return out


def by_xarray(scene: Scene) -> np.ndarray:
    """xarray: interpolate the missing, then onto the output dates; NaN before the first and after the last."""
    days, output_days = scene.days()
    values = np.where(scene.validity[:, None], scene.values, np.float32(np.nan))
    array = xarray.DataArray(values, dims=("time", "band", "pixel"), coords={"time": days})
    return array.interpolate_na("time").interp(time=output_days).to_numpy()


class Threads:
    """The scene in blocks, which two threads take one after the other; each block has memory of its own."""

    def __init__(self, scene: Scene) -> None:
        edges = np.linspace(0, scene.validity.shape[1], BLOCKS + 1).astype(int)
        self.blocks = [scene.cut(start, stop) for start, stop in pairwise(edges)]
        self.outs = [block.empty() for block in self.blocks]
        self.pool = ThreadPoolExecutor(2)

    def both(self, work: Callable[..., object], *arguments: Iterable[object]) -> None:
        list(self.pool.map(work, *arguments))

    def fill(self) -> None:
        self.both(ours, self.blocks, self.outs)


def measure_gap_filling(scene: Scene, rounds: int) -> None:
    """Our kernel on one and two threads against a memory copy and three other ways."""
    out, threads = scene.empty(), Threads(scene)
    few = scene.cut(0, 2048)
    truth = by_interp(few)
    agree("ours with numpy.interp", np.abs(ours(few) - truth).max())
    agree("NumPy gather with numpy.interp", np.abs(by_gather(few, few.empty()) - truth).max())
    threads.fill()
    agree("two threads with one", np.abs(np.concatenate(threads.outs, axis=2) - ours(scene)).max(), 0)
    pixels = scene.validity.shape[1]
    amount = pixels / 1e6
    contenders = [
        *copies(scene, out, threads, amount),
        Contender("ours, 1 thread", lambda: ours(scene, out), amount),
        Contender("ours, 2 threads", threads.fill, amount),
        Contender("NumPy gather", lambda: by_gather(scene, out), amount),
        Contender("numpy.interp by pixel*", lambda: by_interp(few), 2048 / 1e6),
    ]
    if xarray:
        fewer = scene.cut(0, 1024)
        found = by_xarray(fewer)
        inside = np.isfinite(found)
        agree("xarray with numpy.interp, ends aside", np.abs(found - truth[..., :1024])[inside].max())
        contenders.append(Contender("xarray*", lambda: by_xarray(fewer), 1024 / 1e6))
    take_turns(contenders, rounds)
    threads.pool.shutdown()
    title = f"1. Gap-filling, 70 dates x 10 bands x {pixels:,} pixels int16 -> 37 dates float32"
    print(table(title, "Mpx", contenders, ["copy, 1 thread", "copy, 2 threads", "NumPy gather"]))
    print("copy: as many bytes read and written as input and output have.  *: on 2048 or 1024 pixels")


def copies(scene: Scene, out: np.ndarray, threads: Threads, amount: float) -> list[Contender]:
    """The bound: memory copies that read and write as many bytes as the gap-filling does."""
    source = np.ones((scene.values.nbytes + scene.validity.nbytes + out.nbytes) // 2, dtype=np.uint8)
    target = np.zeros_like(source)
    blocks = np.array_split(target, BLOCKS), np.array_split(source, BLOCKS)
    return [
        Contender("copy, 1 thread", lambda: np.copyto(target, source), amount),
        Contender("copy, 2 threads", lambda: threads.both(np.copyto, *blocks), amount),
    ]


@njit(nogil=True)
def arithmetic(count: int) -> float:
    """Work in registers alone: what a second thread of this machine is worth where memory is in nobody's way."""
    value = 0.5
    for _ in range(count):
        value = value * 0.999999 + 1e-6
    return value


def calculations(threads: Threads, amount: float, count: int = 80_000_000) -> list[Contender]:
    """Arithmetic alone, on one thread and on two."""
    arithmetic(1)
    return [
        Contender("arithmetic alone, 1 thread", lambda: arithmetic(count), amount),
        Contender("arithmetic alone, 2 threads", lambda: threads.both(arithmetic, [count // BLOCKS] * BLOCKS), amount),
    ]


def measure_features(scene: Scene, rounds: int) -> None:
    """The whole feature stack against its gap-filling."""
    out = scene.empty()
    stack = FeatureStack(BAND_NAMES, tuple(str(day) for day in scene.output_dates), ("ndvi", "ndwi", "brightness"))
    features, _ = stack.compute(scene.values, scene.validity, scene.dates)
    agree("features with gap-filling", np.abs(features[: 37 * 10] - ours(scene, out).reshape(370, -1)).max(), 0)
    red, nir = (out[:, BAND_NAMES.index(band)] for band in ("B4", "B8"))
    total = np.where(nir + red == 0, 1, nir + red)
    agree("NDVI with its formula", np.abs(features[370:407] - 1000 * (nir - red) / total).max())
    amount = features.shape[1] / 1e6
    contenders = [
        Contender("gap-filling", lambda: ours(scene, out), amount),
        Contender("gap-filling*", lambda: ours(scene), amount),
        Contender("FeatureStack*", lambda: stack.compute(scene.values, scene.validity, scene.dates), amount),
    ]
    take_turns(contenders, rounds)
    print()
    print(table("2. Features, 481 a pixel, 1 thread", "Mpx", contenders, ["gap-filling", "gap-filling*"]))
    print("*: into fresh memory, whose pages the system hands out one by one")
