"""Agreement first, then timing by turns: A B C A B C …, so that a slow hour of the machine slows every contender alike.

Absolute times do not carry over to another machine or another hour; ratios within one run nearly do. What other
programs took of the processor meanwhile is measured too, where the system tells (`/proc/stat`, Linux).
"""

from __future__ import annotations

import mmap
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

STAT = Path("/proc/stat")
BUSY = 0.15
"""Cores in use by others from which a measurement is called busy."""
CORES = os.cpu_count() or 1
TOLERANCE = 1e-2
"""How far two results may be apart, in units of reflectance x 10000."""


@dataclass
class Contender:
    """One way to do the work."""

    name: str
    run: Callable[[], object]
    amount: float
    """How much work a run does, in the unit of its table; a contender on a subset states the subset's."""
    seconds: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    """Core-seconds that other programs took during each run."""

    @property
    def rate(self) -> float:
        """Amount a second, of the median run."""
        return self.amount / statistics.median(self.seconds)

    @property
    def best(self) -> float:
        """Amount a second, of the fastest run."""
        return self.amount / min(self.seconds)

    @property
    def disturbance(self) -> float:
        """Cores that other programs took meanwhile, on average."""
        return max(0.0, sum(self.others) / sum(self.seconds))


class Clock:
    """Time that passes, and processor time that others take meanwhile."""

    def __init__(self) -> None:
        self.start, self.all, self.own = time.perf_counter(), machine_seconds(), own_seconds()

    def stop(self) -> tuple[float, float]:
        """Seconds since the start, and core-seconds of other programs."""
        elapsed = time.perf_counter() - self.start
        return elapsed, (machine_seconds() - self.all) - (own_seconds() - self.own)


def machine_seconds() -> float:
    """Core-seconds that the whole machine has worked or was kept from working; 0 where the system does not tell."""
    if not STAT.exists():
        return 0.0
    user, nice, system, _idle, _wait, interrupts, soft, stolen = map(int, STAT.read_text().split(maxsplit=9)[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Core-seconds of this process and its children; 0 where those of the machine are not known."""
    if not STAT.exists():
        return 0.0
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def touch(memory_gb: float) -> None:
    """Have the machine's host give it so much memory, which a virtual one may get at half a gigabyte a second."""
    np.empty(int(memory_gb * 1e9), np.uint8)[:: mmap.PAGESIZE] = 1


def take_turns(contenders: Sequence[Contender], rounds: int, *, memory_gb: float = 0) -> None:
    """Run every contender once to warm up, then all of them by turns.

    Args:
        memory_gb: is touched before each turn.
    """
    for one in contenders:
        one.run()
    for _ in range(rounds):
        for one in contenders:
            touch(memory_gb)
            clock = Clock()
            one.run()
            elapsed, others = clock.stop()
            one.seconds.append(elapsed)
            one.others.append(others)


def agree(what: str, difference: float, allowed: float = TOLERANCE) -> None:
    """Say how far two results are apart; end the run where that is too far."""
    if not difference <= allowed:
        sys.exit(f"{what} differs by {difference:.3g}, allowed {allowed:g}: nothing is timed")
    print(f"  agrees: {what}, largest difference {difference:.2g} (allowed {allowed:g})")


def table(title: str, unit: str, contenders: Sequence[Contender], against: Sequence[str]) -> str:
    """Rates in `unit` a second, median and best, and their ratios to the contenders named: of medians (of bests).

    On a busy machine the ratio of bests is the nearer to that of a quiet one.

    Args:
        against: contenders that every rate is divided by, one column each.
    """
    named = {one.name: one for one in contenders}
    width = max(len(one.name) for one in contenders)
    head = f"{'':{width}}  {'median':>10}  {'best':>10}" + "".join(f"  {'/ ' + name:>17}" for name in against)
    lines = [f"{title} [{unit}/s; {len(contenders[0].seconds)} rounds]", head + "  others [cores]"]
    for one in contenders:
        ratios = "".join(f"  {ratio(one, named[name]):>17}" for name in against)
        note = f"{one.disturbance:.2f}{' busy' if one.disturbance > BUSY else ''}"
        lines.append(f"{one.name:{width}}  {one.rate:>10.4g}  {one.best:>10.4g}{ratios}  {note:>14}")
    return "\n".join(lines)


def ratio(one: Contender, other: Contender) -> str:
    return f"{one.rate / other.rate:.3g} ({one.best / other.best:.3g})"


@contextmanager
def watched() -> Iterator[list[float]]:
    """A list that receives, at the end, the cores that others took on average while the block ran."""
    result: list[float] = []
    clock = Clock()
    yield result
    elapsed, others = clock.stop()
    result.append(max(0.0, others / elapsed))
