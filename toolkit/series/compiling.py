"""Compile without collecting garbage: numba makes a million small objects for a kernel, and nearly all of them stay.

The collector would look through all that a process holds, torch and the rest, again and again, for a fifth of the time
of compilation, which the first person to call a kernel waits for.
"""

from __future__ import annotations

import gc

from numba.core import event


class Uncollected(event.Listener):
    """Puts the collector to rest while numba compiles, which it does in one thread at a time, one in another."""

    def __init__(self) -> None:
        self.depth, self.collected = 0, False

    def on_start(self, event: event.Event) -> None:
        if self.depth == 0:
            self.collected = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: event.Event) -> None:
        self.depth -= 1
        if self.depth == 0 and self.collected:
            gc.enable()


event.register("numba:compile", Uncollected())
