"""How long a form keeps the kernel: made, opened, edited. A callback may take 50 ms (docs/architecture.md).

Time of this thread on the processor, so that what else the machine does is not counted; without a browser.

    python benchmarks/forms.py
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from toolkit.experiment.config import SECTIONS, Experiment
from toolkit.widgets import ExperimentBar, form

TEXT = """\
# An experiment as a person writes it.
name: bench
series: {source: s2, tiles: [31TCJ, 31TCK], start: 2018-01-01, end: 2018-12-27}
ground_truth: {source: polygons.gpkg}
"""
ROUNDS = 15


def measure(name: str, run: Callable[[], object]) -> None:
    """The median and the worst of some rounds, after one that is not counted."""
    run()
    taken = []
    for _ in range(ROUNDS):
        gc.collect()  # of the forms before
        start = time.thread_time()
        run()
        taken.append(1e3 * (time.thread_time() - start))
    print(f"{name:<44}{statistics.median(taken):8.1f}{max(taken):8.1f}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "experiment.yml"
        path.write_text(TEXT)
        print(f"{'milliseconds':<44}{'median':>8}{'worst':>8}")
        for section in SECTIONS:
            measure(f"form of {section}", lambda section=section: form(Experiment.load(path), section))  # type: ignore[misc]
        measure("form of everything, sections folded", lambda: form(Experiment.load(path)))
        measure("the bar", lambda: ExperimentBar(Experiment.load(path)))
        experiment, number = Experiment.load(path), count(1)
        forms = [form(experiment) for _ in range(4)]
        rows = [one.fields for one in forms]
        epochs = rows[0]["learning.epochs"].input

        def edit() -> None:
            epochs.value = next(number)

        measure("one edit, seen by 4 forms of everything", edit)
        measure("undo and redo", lambda: (experiment.undo(), experiment.redo()))
        measure("save, comments kept", experiment.save)


if __name__ == "__main__":
    main()
