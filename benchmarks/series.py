"""Gap-filling and features beside their bound and their peers, in one table: `make bench-series`.

Ours and the peers work on the same simulated block: 70 dates, 10 bands, 40 % cloudy, onto 37 days. All that should
agree is checked before anything is timed; then all take turns. eo-learn needs an older NumPy than ours: it lives in an
environment of its own (`make bench-env`) and works as a process that waits while others have their turn.

    python benchmarks/series.py                 # 256 x 256 pixels; --full: 512 x 512, and blocks up to 2048 x 2048
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from first_call import measure_first_call
from gap_filling import Scene, Threads, by_interp, by_xarray, calculations, copies, ours, xarray
from interleaved import Contender, agree, table, take_turns, watched
from memory import extra_memory
from speed import machine

from toolkit.features.regular import RegularFeatures
from toolkit.ground.bands import BAND_NAMES
from toolkit.series.composites import CompositeParams
from toolkit.series.matrix import MatrixForm, from_bfloat16
from toolkit.series.methods import AkimaParams, GapParams, LinearParams, NearestParams, PreviousParams, fill_series
from toolkit.series.savitzky_golay import SavitzkyGolayParams
from toolkit.series.whittaker import WhittakerParams

ROOT = Path(__file__).parents[1]
PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
SMALL = 128
"""Pixels a side of the block that slow ways are given."""

METHODS: dict[str, GapParams] = {
    "linear": LinearParams(),
    "linear, max_gap_days": LinearParams(max_gap_days=60),
    "nearest": NearestParams(),
    "previous": PreviousParams(),
    "akima": AkimaParams(),
    "whittaker": WhittakerParams(),
    "savitzky_golay": SavitzkyGolayParams(),
    **{f"composite, {one}": CompositeParams(statistic=one) for one in ("mean", "median", "medoid", "max_ndvi")},
}


class Fused:
    """All 481 features of a scene in one pass, into memory that is there."""

    def __init__(self, scene: Scene, form: MatrixForm) -> None:
        names = ("ndvi", "ndwi", "brightness")
        self.scene, self.form = scene, form
        self.features = RegularFeatures(tuple(BAND_NAMES), scene.output_dates, names, LinearParams())
        self.out = np.zeros((len(self.features), scene.validity.shape[1]), form.dtype)

    def run(self) -> np.ndarray:
        self.features.write(self.scene.values, self.scene.validity, self.scene.dates, self.form, self.out)
        return self.out


class Peer:
    """A process of another environment that fills the scene each time it is told to."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        np.savez(
            folder / "scene.npz",
            values=scene.values,
            validity=scene.validity,
            dates=scene.dates,
            output_dates=scene.output_dates,
        )
        self.folder = folder
        command = [str(PEER_PYTHON), str(ROOT / "benchmarks" / "peer_eolearn.py"), str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = json.loads(self._answer())

    def run(self, way: str) -> dict[str, float]:
        assert self.process.stdin is not None
        print(way, file=self.process.stdin, flush=True)
        return json.loads(self._answer())

    def result(self) -> np.ndarray:
        """(output date, band, pixel) of the last run, NaN where it has no value."""
        self.run("save")
        return np.load(self.folder / "filled.npy")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def fused_of(scene: Scene, threads: Threads) -> dict[str, list[Fused]]:
    """The one pass in both number formats, checked; on one thread and, in blocks, on two."""
    plain = Fused(scene, MatrixForm()).run()
    mean, std = plain.mean(axis=1, dtype=np.float64), plain.std(axis=1, dtype=np.float64)
    bits = MatrixForm(mean, std, bfloat16=True)
    agree("features with gap-filling", np.abs(plain[:370] - ours(scene).reshape(370, -1)).max(), 0)
    red, nir = (ours(scene)[:, BAND_NAMES.index(band)] for band in ("B4", "B8"))
    wanted = 1000 * (nir - red) / np.where(nir + red == 0, 1, nir + red)
    agree("NDVI with its formula", np.abs(plain[370:407] - wanted).max())
    standardised = MatrixForm(mean, std).of(plain)
    error = np.abs(from_bfloat16(Fused(scene, bits).run()) - standardised) / np.maximum(np.abs(standardised), 1e-3)
    agree("bfloat16 with float32, relative", error.max(), 0.004)
    forms = {"float32": MatrixForm(), "bfloat16": bits}
    return {name: [Fused(one, form) for one in (scene, *threads.blocks)] for name, form in forms.items()}


def measure_peers(scene: Scene, rounds: int, folder: Path) -> None:
    """Our kernel on one and two threads against a memory copy and the peers."""
    out, threads = scene.empty(), Threads(scene)
    few, small = scene.cut(0, 2048), scene.cut(0, SMALL**2)
    truth = by_interp(few)
    agree("ours with numpy.interp in float64", np.abs(ours(few) - truth).max())
    threads.fill()
    agree("two threads with one", np.abs(np.concatenate(threads.outs, axis=2) - ours(scene)).max(), 0)
    amount, peer = scene.validity.shape[1] / 1e6, None
    contenders = [
        *calculations(threads, amount),
        *copies(scene, out, threads, amount),
        Contender("ours, 1 thread", lambda: ours(scene, out), amount),
        Contender("ours, 2 threads", threads.fill, amount),
    ]
    fused = fused_of(scene, threads)
    for name, (whole, *blocks) in fused.items():
        contenders += [
            Contender(f"fused {name}, 1 thread", whole.run, amount),
            Contender(f"fused {name}, 2 threads", lambda parts=blocks: threads.both(Fused.run, parts), amount),
        ]
    contenders += [
        Contender("numpy.interp by pixel*", lambda: by_interp(few), 2048 / 1e6),
    ]
    if xarray:
        fewer = scene.cut(0, 1024)
        agree("xarray with numpy.interp, ends aside", _apart(by_xarray(fewer), truth[..., :1024]))
        contenders.append(Contender("xarray*", lambda: by_xarray(fewer), 1024 / 1e6))
    if PEER_PYTHON.exists():
        peer = Peer(small, folder)
        peer.run("parallel")
        agree("eo-learn with ours, ends aside", _apart(peer.result(), ours(small)))
        contenders += [
            Contender("eo-learn parallel*", lambda: peer.run("parallel"), SMALL**2 / 1e6),
            Contender("eo-learn single*", lambda: peer.run("single"), SMALL**2 / 1e6),
        ]
    else:
        print("  eo-learn is absent: `make bench-env` installs it")
    take_turns(contenders, rounds)
    pixels = scene.validity.shape[1]
    title = f"1. 70 dates x 10 bands x {pixels:,} pixels int16 -> 37 days float32, and 481 features"
    against = ["copy, 1 thread", "copy, 2 threads", "ours, 1 thread", *(["eo-learn parallel*"] if peer else [])]
    print(table(title, "Mpx", contenders, against))
    print("fused: gap-filling, NDVI, NDWI, brightness and layout, 481 features; bfloat16 standardised")
    print(f"2 threads / 1, medians (bests): {_gains(contenders)}")
    print("copy: as many bytes read and written as input and output have.  *: on 2048, 1024 (xarray) or 16,384 pixels")
    _tell_memory(scene, out, fused, few, peer)
    threads.pool.shutdown()
    if peer:
        peer.close()


def _gains(contenders: Sequence[Contender]) -> str:
    """What a second thread brings each of those that ran on one and on two."""
    by_name = {one.name: one for one in contenders}
    pairs = {
        name.removesuffix(", 2 threads"): (one, by_name[name.replace("2 threads", "1 thread")])
        for name, one in by_name.items()
        if name.endswith("2 threads")
    }
    return "; ".join(
        f"{name} {two.rate / one.rate:.2f} ({two.best / one.best:.2f})" for name, (two, one) in pairs.items()
    )


def _tell_memory(scene: Scene, out: np.ndarray, fused: dict[str, list[Fused]], few: Scene, peer: Peer | None) -> None:
    """Memory beyond input and output."""
    used = extra_memory(lambda: ours(scene, out))
    if used is None:
        print("extra memory: this system does not tell")
        return
    counts = 2 * scene.validity.shape[1]
    said = [f"ours {(used - counts) / 1e6:.2f} MB a thread, whatever the block"]
    for name, (whole, *_) in fused.items():
        said.append(f"fused {name} {((extra_memory(whole.run) or 0) - counts) / 1e6:.2f} MB")
    print(
        f"extra memory beyond input and results ({counts / 1e6:.2f} MB are counts of clear dates): {'; '.join(said)}",
        end="",
    )
    if xarray:
        print(f"; xarray {extra_memory(lambda: by_xarray(few)) / 2048 / 1e3:.1f} kB a pixel", end="")
    if peer:
        print(f"; eo-learn {peer.run('memory')['bytes'] / SMALL**2 / 1e3:.1f} kB a pixel", end="")
    print()


def _apart(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference where there is a value; a peer that has none in most places does not agree."""
    inside = np.isfinite(found)
    return float(np.abs(found - wanted)[inside].max()) if inside.mean() > 0.8 else np.inf


def measure_blocks(sizes: Sequence[int], rounds: int) -> None:
    """The same memory as blocks of several sizes: what a pixel costs should not depend on it."""
    scene = Scene.make(64)
    rng, pixels, bands = np.random.default_rng(0), max(sizes) ** 2, 2
    values = rng.integers(0, 10_000, 70 * bands * pixels, dtype=np.int16)
    validity = rng.random(70 * pixels, dtype=np.float32) > 0.4
    out = np.zeros(37 * bands * pixels, dtype=np.float32)

    def by_blocks(size: int) -> Callable[[], None]:
        count = pixels // size**2
        parts = [
            array.reshape(count, *shape, size**2)
            for array, shape in ((values, (70, bands)), (validity, (70,)), (out, (37, bands)))
        ]

        def run() -> None:
            for value, valid, target in zip(*parts, strict=True):
                ours(Scene(value, valid, scene.dates, scene.output_dates), target)

        return run

    contenders = [Contender(f"{size} x {size}", by_blocks(size), pixels / 1e6) for size in sizes]
    take_turns(contenders, rounds)
    print(
        "\n"
        + table(
            "2. Blocks of one stretch of memory, 2 bands, 1 thread", "Mpx", contenders, [f"{sizes[-1]} x {sizes[-1]}"]
        )
    )


def measure_methods(scene: Scene, rounds: int) -> None:
    """Every method on one thread."""
    out, amount = scene.empty(), scene.validity.shape[1] / 1e6

    def fill(params: GapParams) -> Callable[[], object]:
        given = (scene.values, scene.validity, scene.dates, scene.output_dates, out)
        return lambda: fill_series(params, BAND_NAMES, *given)

    contenders = [Contender(name, fill(params), amount) for name, params in METHODS.items()]
    take_turns(contenders, rounds)
    print("\n" + table(f"3. Methods, {scene.validity.shape[1]:,} pixels, 1 thread", "Mpx", contenders, ["linear"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="512 x 512 pixels, blocks up to 2048 x 2048 (4 GB)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (default: 5)")
    options = parser.parse_args()
    print(machine() + "\n")
    with watched() as others, tempfile.TemporaryDirectory(prefix="landcover-bench-") as folder:
        scene = Scene.make(512 if options.full else 256)
        measure_peers(scene, options.rounds, Path(folder))
        measure_blocks((128, 256, 512, 1024, 2048) if options.full else (128, 256, 512), options.rounds)
        measure_methods(scene.cut(0, SMALL**2), options.rounds)
        measure_first_call()
    print(f"\nOther programs took {others[0]:.2f} cores on average")


if __name__ == "__main__":
    main()
