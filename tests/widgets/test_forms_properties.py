"""Whatever an experiment is: YAML, form, command line and cell mean the same, and all views of it agree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from toolkit.cli import _changes, _parser
from toolkit.experiment.config import Experiment, ExperimentParams
from toolkit.features.indices import INDICES
from toolkit.features.parameters import ExternalParams
from toolkit.ground.bands import BAND_NAMES
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import build, keep_what_fits, leaves, plain
from toolkit.learning.parameters import LearningParams
from toolkit.mapping.reclassify import RuleParams
from toolkit.series.seasons import SeasonParams
from toolkit.series.sensors import SensorParams
from toolkit.series.timeseries import SeriesParams
from toolkit.series.whittaker import WhittakerParams
from toolkit.widgets.drafts import drafts_of
from toolkit.widgets.forms import Form, form
from toolkit.widgets.inputs import unwrap

START = ExperimentParams(
    name="trial",
    series={"source": "s2", "tiles": ["31TCJ", "31TCK"], "start": "2018-01-01", "end": "2018-12-27"},
    ground_truth={"source": "polygons"},
)
TILES = ("31TCJ", "31TCK", "31TDJ", "30TYP")
FIELDS = dict(leaves(ExperimentParams))

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12)
EXTERNAL = st.builds(
    ExternalParams,
    name=st.just("mine"),
    file=st.just("mine.py"),
    params=st.dictionaries(st.sampled_from(["radius", "band"]), st.integers(1, 9) | st.sampled_from(["B4", "B8"])),
)

CODES = st.integers(1, 255)
CHANGE = st.dictionaries(CODES, CODES, min_size=1, max_size=3)
RULES = st.builds(RuleParams, change=CHANGE) | st.builds(
    RuleParams, change=CHANGE, where=st.just("slope"), above=st.none() | st.just(30.5), outside=st.booleans()
)
SENSORS = st.builds(
    SensorParams,
    name=st.sampled_from(["landsat", "radar", "s2b"]),
    source=st.just("other"),
    bands=st.none() | st.just(("B8", "B4")),
    indices=st.just(()) | st.just(("ndvi",)),
    step_days=st.none() | st.integers(1, 366),
    gap_filling=st.none() | st.just(WhittakerParams(max_gap_days=9)),
)

SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,12}", fullmatch=True),
    "series.tiles": st.lists(st.sampled_from(TILES), min_size=1, unique=True).map(tuple),
    "series.bands": st.lists(st.sampled_from(BAND_NAMES), min_size=1, unique=True).map(tuple),
    "series.area": st.none() | st.just((1.25, 43.5, 1.5, 43.75)) | st.just((-179.0, -80.0, 1e-07, 0.1)),
    "series.seasons": st.lists(st.none() | st.integers(1, 366), max_size=3),  # steps; their days follow from the period
    "series.sensors": st.lists(SENSORS, max_size=2, unique_by=lambda one: one.name).map(tuple),
    "series.gap_filling.window": st.integers(3, 182).map(lambda half: 2 * half + 1),
    "learning.network.heads": st.sampled_from([1, 2, 4]),
    "learning.network.width": st.integers(1, 10_000).map(lambda quarter: 4 * quarter),
    "learning.network.params": st.dictionaries(st.sampled_from(["width", "mode"]), st.integers(1, 9) | st.just("max")),
    "features.indices": st.lists(st.sampled_from(sorted(INDICES)), unique=True).map(tuple),
    "features.external": st.lists(EXTERNAL, max_size=2).map(tuple),
    "features.select": st.lists(st.sampled_from(["B8_*", "ndvi_2018*", "B[24]_*"]), unique=True).map(tuple),
    "split.leave_out_tile": st.none() | st.sampled_from(TILES),
    "tuning.space": st.dictionaries(
        st.sampled_from(["learning.epochs", "learning.batch_size"]),
        st.just((1, 5)) | st.just((0.5, 7)) | st.just({"choices": (20, 40)}) | st.just(((64, 32), None)),
    ),
    "cluster.walltime": st.just("08:00:00") | st.just("120:30:00"),
    "cluster.prologue": st.lists(st.sampled_from(["module load conda", "conda activate oso"]), max_size=2).map(tuple),
    "mapping.ensemble": st.lists(st.sampled_from(["seed 1/model", "../other/model"]), unique=True).map(tuple),
    "mapping.crs": st.none() | st.sampled_from(["EPSG:2154", "EPSG:32631"]),
    "postprocess.smoothing.window": st.just(0) | st.integers(1, 25).map(lambda half: 2 * half + 1),
    "postprocess.smoothing.smoothness_of": st.dictionaries(CODES, st.integers(1, 1000), max_size=3),
    "postprocess.rules": st.lists(RULES, max_size=2).map(tuple),
    "postprocess.sieve.absorbed_by": st.dictionaries(CODES, st.lists(CODES, max_size=3).map(tuple), max_size=3),
    "sampling.class_caps": st.dictionaries(st.integers(1, 255), st.integers(1, 10**9), max_size=5),
}
"""Parameters with a rule of their own, beside type and bounds."""


def values_of(path: str) -> st.SearchStrategy[Any]:
    """Values that a parameter accepts, from its declared type and bounds."""
    if path in SPECIAL:
        return SPECIAL[path]
    field = FIELDS[path]
    kind, optional = unwrap(field.annotation)
    found = _of_kind(
        kind, {name: getattr(mark, name) for mark in field.metadata for name in BOUNDS if hasattr(mark, name)}
    )
    return st.none() | found if optional else found


BOUNDS = ("ge", "gt", "le", "lt")


def _of_kind(kind: Any, bounds: dict[str, Any]) -> st.SearchStrategy[Any]:
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is int:
        return st.integers(low if low is not None else -(10**6), high if high is not None else 10**9)
    if kind is float:
        open_low, open_high = "gt" in bounds, "lt" in bounds
        low, high = low if low is not None else -1e12, high if high is not None else 1e12
        return st.floats(low, high, exclude_min=open_low, exclude_max=open_high, allow_subnormal=False)
    if get_origin(kind) is tuple:
        return st.lists(st.integers(1, 4096), min_size=1, max_size=4).map(tuple)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        str: WORDS.filter(lambda text: text.lower() != "none"),
        Path: WORDS.map(Path),
        date: st.dates(low or date.min, high or date.max),
    }
    return simple[kind]


@st.composite
def seasons(draw: st.DrawFn, start: date, end: date, steps: list[int | None]) -> tuple[SeasonParams, ...]:
    """A season for each step, where the period has room for them."""
    length, count = (end - start).days, 2 * len(steps)
    if length < count:
        return ()
    days = sorted(draw(st.lists(st.integers(0, length), min_size=count, max_size=count, unique=True)))
    ends = [start + timedelta(day) for day in days]
    return tuple(
        SeasonParams(start=first, end=last, step_days=step)
        for first, last, step in zip(ends[::2], ends[1::2], steps, strict=True)
    )


@st.composite
def targets(draw: st.DrawFn) -> ExperimentParams:
    """A valid experiment, every parameter of which may differ from the default."""
    values = {path: draw(values_of(path)) for path in FIELDS}
    values["series.start"], values["series.end"] = sorted((values["series.start"], values["series.end"]))
    values["series.seasons"] = draw(seasons(values["series.start"], values["series.end"], values["series.seasons"]))
    if values["split.leave_out_tile"] not in values["series.tiles"]:
        values["split.leave_out_tile"] = draw(st.none() | st.sampled_from(values["series.tiles"]))
    if values["learning.schedule.kind"] == "one_cycle":
        values["learning.schedule.warmup_epochs"] = 0
    if values["features.representation"] == "raw" or values["series.sensors"]:
        values["features.compatibility"] = "none"
    content: dict[str, Any] = {}
    for path, value in values.items():
        *parents, leaf = path.split(".")
        node = content
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    keep_what_fits(content["series"]["gap_filling"], SeriesParams.model_fields["gap_filling"])
    for section in ("network", "interpolator"):
        keep_what_fits(content["learning"][section], LearningParams.model_fields[section])
    return build(ExperimentParams, content, "drawn")


def at(params: ExperimentParams, path: str) -> Any:
    value: Any = params
    for part in filter(None, path.split(".")):
        value = getattr(value, part)
    return value


def paths_of(params: ExperimentParams) -> list[str]:
    """The parameters that an experiment has; others belong to models of a section that were not chosen."""
    return [path for path in FIELDS if hasattr(at(params, path.rpartition(".")[0]), path.rpartition(".")[2])]


@cache
def desk() -> tuple[Experiment, Form]:
    """An experiment with a form of all of it, made once for all examples."""
    experiment = Experiment(START)
    return experiment, form(experiment)


@settings(max_examples=12, deadline=None)
@given(target=targets())
def test_the_form_makes_any_experiment_field_by_field(target: ExperimentParams) -> None:
    experiment, edited = desk()
    experiment.replace(START)
    for path in paths_of(target):
        row = edited.fields[path]
        row.input.value = row._input.show(at(target, path))
    assert experiment.params == target
    assert not any(row.refusal for row in edited.fields.values())


@settings(max_examples=30, deadline=None)
@given(target=targets())
def test_yaml_written_and_read_is_the_same_experiment(target: ExperimentParams) -> None:
    assert build(ExperimentParams, yaml.safe_load(Experiment(target).to_yaml()), "yaml") == target


def option_of(path: str, value: Any) -> str:
    """A parameter as it is written on the command line."""
    value = plain(value)
    if value is None:
        text = "none"
    elif path == "tuning.space" or (isinstance(value, list) and any(isinstance(one, dict) for one in value)):
        text = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()
    elif isinstance(value, list):
        text = ",".join(_written(one) for one in value)
    elif isinstance(value, dict):
        text = ",".join(f"{key}={one}" for key, one in value.items())
    else:
        text = str(value)
    return f"--{path}={text}"


def _written(one: Any) -> str:
    flow = {"default_flow_style": True, "sort_keys": False, "width": 10_000}
    return yaml.safe_dump(one, **flow).strip() if isinstance(one, dict) else str(one)


@cache
def parser(verb: str) -> Any:
    return _parser(verb)[0]


@settings(max_examples=30, deadline=None)
@given(target=targets())
def test_the_command_s_options_make_the_same_experiment(target: ExperimentParams) -> None:
    experiment = Experiment(START)
    changes: dict[str, Any] = {}
    alone = {"tune": "tuning.", "vectorise": "vectorise."}  # sections that have no say in a run
    for verb in ("run", *alone):
        others = tuple(section for one, section in alone.items() if one != verb)
        mine = alone.get(verb, "")
        paths = [path for path in paths_of(target) if path.startswith(mine) and not path.startswith(others)]
        options = [option_of(path, at(target, path)) for path in paths]
        changes |= _changes(parser(verb).parse_args([verb, "experiment.yml", *options]))
    experiment.set(changes)
    assert experiment.params == target


@settings(max_examples=30, deadline=None)
@given(target=targets())
def test_the_python_cell_makes_the_same_experiment(target: ExperimentParams) -> None:
    experiment = Experiment(START)
    experiment.replace(target)
    names: dict[str, Any] = {}
    exec(experiment.to_python(), names)
    assert names["experiment"].params == target


FILE = """\
name: trial      # a name
series: {source: s2, tiles: [31TCJ, 31TCK],   # two tiles
         start: 2018-01-01, end: 2018-12-27}
ground_truth:
    source: polygons
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("files") / "experiment.yml"


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=targets())
def test_a_person_s_file_becomes_the_experiment_and_keeps_its_comments(target: ExperimentParams, file: Path) -> None:
    file.write_text(FILE, encoding="utf-8")
    experiment = Experiment.load(file)
    experiment.replace(target)
    experiment.save()
    assert Experiment.load(file).params == target
    assert "# a name\n" in file.read_text(encoding="utf-8")


class TwoForms(RuleBasedStateMachine):
    """Two forms of everything and one of a section, in any sequence of edits, undos, saves and loads."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "experiment.yml").write_text(FILE)
        self.experiment = Experiment.load(self.folder / "experiment.yml")
        self.forms = [form(self.experiment), form(self.experiment), form(self.experiment, "series")]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of each form; those of a section change with its model."""
        return [one.fields for one in self.forms]

    @rule(data=st.data(), path=st.sampled_from(sorted(FIELDS)), which=st.integers(0, 1))
    def edit_in_a_form(self, data: st.DataObject, path: str, which: int) -> None:
        if (row := self.rows[which].get(path)) is not None:
            row.input.value = row._input.show(data.draw(values_of(path)))

    @rule(path=st.sampled_from(["learning.epochs", "seed"]), which=st.integers(0, 1))
    def type_what_cannot_be(self, path: str, which: int) -> None:
        self.rows[which][path].input.value = -7
        assert self.rows[which][path].refusal

    @rule(path=st.sampled_from(sorted(FIELDS)), which=st.integers(0, 1))
    def reset(self, path: str, which: int) -> None:
        row = self.rows[which].get(path)
        if row is not None and row.reset.layout.visibility == "visible":
            row.reset.click()

    @rule(data=st.data(), path=st.sampled_from(sorted(FIELDS)))
    def set_in_a_cell(self, data: st.DataObject, path: str) -> None:
        value = data.draw(values_of(path))
        with suppress(ParameterError):
            self.experiment.set({path: value})

    @rule()
    def undo(self) -> None:
        self.experiment.undo()

    @rule()
    def redo(self) -> None:
        self.experiment.redo()

    @rule()
    def save(self) -> None:
        self.experiment.save()
        assert self.experiment.is_saved and Experiment.load(self.experiment.path).params == self.experiment.params

    @precondition(lambda self: not self.experiment.is_saved)
    @rule()
    def reload(self) -> None:
        self.experiment.reload()
        assert self.experiment.is_saved
        assert not any(row.refusal for rows in self.rows for row in rows.values())

    @invariant()
    def the_experiment_is_valid(self) -> None:
        assert build(ExperimentParams, plain(self.experiment.params), "now") == self.experiment.params

    @invariant()
    def every_view_shows_it(self) -> None:
        waiting = drafts_of(self.experiment).values
        for one, rows in zip(self.forms, self.rows, strict=True):
            assert one.problem.value == ""
            for path, row in rows.items():
                if path in waiting:
                    assert "waits for another value" in row.refusal
                    assert row.input.value == row._input.show(waiting[path])
                assert row.is_waiting == (path in waiting)
                if not row.refusal:
                    assert row.input.value == row._input.show(self.experiment.get(path))

    def teardown(self) -> None:
        for one in self.forms:
            one.close()
        shutil.rmtree(self.folder)


TestTwoForms = TwoForms.TestCase
TestTwoForms.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
