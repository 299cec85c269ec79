"""How fast: gap-filling, features, training, mapping and sample extraction, each beside its bound and its peers.

Every section first checks that all contenders give the same result, then times them by turns. The rates of two runs
must not be compared, their ratios may (docs/performance.md).

    python benchmarks/speed.py          (or `make bench`; about three minutes on two cores)
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gap_filling import Scene, measure_features, measure_gap_filling
from interleaved import BUSY, CORES, watched
from learning import measure_training
from mapping import measure_extraction, measure_mapping, open_tile

from toolkit.demo import write_demo


def machine() -> str:
    """Processor, and versions of what is compared."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    found = {line.split(":")[0].strip(): line.split(":", 1)[1].strip() for line in lines if ":" in line}
    flags = set(found.get("flags", "").split())
    wanted = [one for one in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if one in flags]
    name = found.get("model name", platform.processor() or platform.machine())
    packages = ("numpy", "numba", "torch", "rasterio", "scikit-learn", "xarray")
    versions = [f"{one} {installed(one)}" for one in packages]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {name}, {CORES} cores, {' '.join(wanted) or 'features unknown'}\n"
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="gap-filling on 512 x 512 pixels instead of 256 x 256")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (default: 5)")
    parser.add_argument("--demo", type=Path, help="a demo that stands already (default: one is written and dropped)")
    options = parser.parse_args()
    print(machine() + "\n")
    with watched() as others, tempfile.TemporaryDirectory(prefix="landcover-bench-") as folder:
        scene = Scene.make(512 if options.full else 256)
        measure_gap_filling(scene, 2 * options.rounds - 1)
        measure_features(scene, 2 * options.rounds - 1)
        del scene
        measure_training(200_000, max(1, options.rounds - 2))
        demo = options.demo or write_demo(Path(folder) / "demo", size=300, dates=20)
        tile = open_tile(demo, Path(folder))
        measure_mapping(tile, options.rounds)
        measure_extraction(tile, options.rounds)
    print(f"\nOther programs took {others[0]:.2f} cores on average: {'BUSY' if others[0] > BUSY else 'quiet'} machine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
