"""How much memory a piece of work takes beyond what was there before; Linux tells."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path

STATUS, REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def extra_memory(run: Callable[[], object]) -> float | None:
    """Bytes by which the resident memory rises at its peak while `run` works; None where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    run()
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed, and kept for the next, is not resident then
        REFS.write_text("5")  # the peak starts anew from what is resident now
    except (OSError, AttributeError):
        return None
    before = _resident("VmRSS")
    kept = run()  # what it gives back counts too
    peak = _resident("VmHWM")
    del kept
    return max(0.0, peak - before)


def _resident(name: str) -> float:
    line = next(one for one in STATUS.read_text().splitlines() if one.startswith(f"{name}:"))
    return 1024.0 * float(line.split()[1])
