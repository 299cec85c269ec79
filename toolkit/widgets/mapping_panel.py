"""`MappingPanel`: how an experiment's tiles are classified: what it will take, its run, and its blocks as they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as W

from toolkit.experiment.classifying import block_maps
from toolkit.experiment.config import Experiment
from toolkit.experiment.plan import Plan, plan
from toolkit.ground.locking import holder_of
from toolkit.ground.streaming import Progress
from toolkit.widgets.background import Background, Poller, Superseded, said_at_times
from toolkit.widgets.block_picture import BlockPicture, headline, tiles_now
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_parts import beside, forms_of
from toolkit.widgets.run_panel import RunPanel

SECTIONS = ("mapping", "prepare", "cluster", "postprocess", "vectorise")

LOOK_EVERY = 0.5
"""Seconds between two looks at the blocks while something is at work."""

ROW = 23
"""Pixels of a row of the plan, rounded up."""

AT_WORK = ("running", "stopping")

NO_MODEL = "There is no model yet: the time can be told once one is trained."
LOOKING = "Looking at the run folder"
BUSY = "Something is at work in the run folder; the plan is made anew when it has ended."


class MappingPanel(Panel):
    """Mapping, cluster and post-processing of an experiment: `MappingPanel(experiment)`.

    Beside the forms what `classify` will take, made anew in a thread when the experiment changes; then `run`, a
    `RunPanel`; and each tile's blocks. They are read from the files of the run folder, so that a panel made after the
    kernel was restarted shows what goes on, whoever began it.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problem, self.refused = ErrorBox(), ErrorBox()
        self.forms = forms_of(experiment, SECTIONS)
        self.table, self.progress = W.HTML(), W.HTML()
        self.progress.add_class("lc-line")
        self.time_button = W.Button(description="Tell the time", layout=W.Layout(width="auto"))
        self.time_button.tooltip = "Work on a few blocks, to tell how long it will take: some seconds"
        self.run, self.picture = RunPanel(experiment, verb="classify"), BlockPicture()
        self._wanted: object = None
        self._planned_for: Any = None
        self._seen: tuple[Any, tuple[str, ...]] = (None, ())
        """The run folder that was looked at, and the tiles that are up to date there."""
        self._rows = 0
        self._waits = False
        """Whether a plan is to be made once nothing is at work any more."""
        self._probed: tuple[Any, float | None] = (None, None)
        """What the time of a pixel was probed for, and that time."""
        self._planning = Background(self._plan, self._planned, self._failed)
        self._poller = Poller(self._look, self.problem.tell, seconds=LOOK_EVERY)
        above = W.HBox([self.time_button, self.progress])
        above.add_class("lc-above")
        right = [above, self.refused, self.table, self.run, self.picture]
        super().__init__(beside([*self.forms, self.problem], right))
        self.add_class("lc-panel").add_class("lc-mapping")
        guard = self.problem.guard
        self.time_button.on_click(guard(lambda _: self.tell_time()))
        self.run.stage_list.observe(guard(lambda _: self._poller.start(), clears=False), "state")
        unobserve = experiment.observe(guard(lambda _: self._follow()))
        self._end_with(unobserve, self._planning.close, self._poller.close, self._give_up)
        self._follow()

    def tell_time(self) -> None:
        """Probe how long it will take, in a thread; returns at once."""
        self.progress.value = "working on a few blocks"
        self._ask(timed=True)

    def refresh(self) -> None:
        """Look at the images and the run folder again; returns at once."""
        self.run.refresh()
        self._ask()
        self._poller.start()

    def settle(self, seconds: float = 60) -> bool:
        """Wait until plan, run and blocks are shown as they are; whether that came within `seconds`."""
        return all(one.settle(seconds) for one in (self.run, self._poller, self._planning, self._poller))

    def _follow(self) -> None:
        if (self.experiment.path, _decisive(self.experiment)) != self._planned_for:
            self._ask()
        self._poller.start()

    def _ask(self, *, timed: bool = False) -> None:
        self._wanted, self._planned_for = object(), (self.experiment.path, _decisive(self.experiment))
        self._planning.ask(Experiment(self.experiment.params, self.experiment.path), timed, self._wanted)

    def _give_up(self) -> None:
        """Go on with no plan."""
        self._wanted = None

    def _plan(self, experiment: Experiment, timed: bool, wanted: object) -> tuple[Plan | None, str]:
        """In a thread: the plan, and what is to be said of it.

        There is none while something is at work, which has the memory that would be counted.
        """
        if holder_of(experiment.folder) is not None:
            return None, BUSY
        what = _decisive(experiment)
        found = plan(experiment, time=timed, progress=self._progress(wanted))
        if timed:
            self._probed = what, found.seconds_a_pixel
        elif self._probed[0] == what:
            found = replace(found, seconds_a_pixel=self._probed[1])
        return found, NO_MODEL if timed and found.tiles and found.seconds is None else ""

    def _progress(self, wanted: object) -> Progress:
        def say(done: int, total: int) -> None:
            self.progress.value = f"looked at the images of {done} of {total} tiles"

        return said_at_times(say, lambda: self._wanted is wanted)

    def _planned(self, result: tuple[Plan | None, str]) -> None:
        found, self.progress.value = result
        self.refused.clear()
        if found is None:
            self._waits = True
        else:
            self._seen = self.experiment.folder, found.up_to_date
            self.table.value = plan_html(found)
            self._rows = max(self._rows, len(found.rows()))
            self.table.layout.min_height = f"{ROW * self._rows}px"  # what stands below does not move when less is said
            self.table.remove_class("lc-stale")
        self._poller.start()

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, Superseded):
            self.progress.value = ""
            self._seen = self.experiment.folder, self._up_to_date or ()
            self.table.add_class("lc-stale")
            self.refused.tell(error)
            self._poller.start()

    @property
    def _up_to_date(self) -> tuple[str, ...] | None:
        """The tiles that are up to date; None where it is not known yet."""
        folder, tiles = self._seen
        return tiles if folder == self.experiment.folder else None

    def _look(self) -> bool:
        """Show the blocks; whether there will be more to see. Called a few times a second while something works."""
        alive = self.run.job_state in AT_WORK or holder_of(self.experiment.folder) is not None
        maps, done = block_maps(self.experiment), self._up_to_date
        states = dict.fromkeys(done or (), "up to date") | _states(self.run.stage_list.state)
        tiles = tiles_now(self.experiment.series.tiles, maps, states, alive=alive)
        self.picture.show(tiles, LOOKING if done is None and not alive else headline(tiles, maps, alive=alive))
        self.time_button.disabled = alive
        if alive:
            self._waits = True
        elif self._waits:
            self._waits = False
            self._ask()
        return alive


def plan_html(found: Plan) -> str:
    """The plan as a table of few words."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in found.rows())
    return f"<table class='lc-plan'>{rows}</table>"


def _decisive(experiment: Experiment) -> dict[str, Any]:
    """The parameters on which the plan may depend."""
    return experiment.params.model_dump(exclude={"postprocess", "vectorise"})


def _states(shown: Mapping[str, Any]) -> dict[str, str]:
    """The state of each tile's stage, where the list of stages knows more than that it waits."""
    named = {str(one["name"]).partition(" ")[::2]: str(one["state"]) for one in shown.get("stages", ())}
    return {tile: state for (verb, tile), state in named.items() if verb == "classify" and state != "waiting"}
