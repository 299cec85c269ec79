"""The folds of the real sets, and what is never asked of a fold that is tested; on made-up samples and on real ones."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
BANDS = 3
DAYS = np.arange("2020-01-01", "2020-04-01", 15, dtype="datetime64[D]")


@pytest.fixture
def accuracy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("real_accuracy")


@pytest.fixture
def sets(accuracy: ModuleType) -> ModuleType:
    return importlib.import_module("real_sets")


@pytest.fixture
def tables(accuracy: ModuleType) -> ModuleType:
    return importlib.import_module("real_table")


@pytest.fixture
def made_up(sets: ModuleType):  # type: ignore[no-untyped-def]
    """Two classes of 12 polygons with 5 samples each, in 3 folds; the classes differ in every band."""
    rng = np.random.default_rng(0)
    polygons = np.repeat(np.arange(24), 5)
    codes = (polygons % 2 + 1).astype(np.uint8)
    names = tuple(f"B{band}_{str(day).replace('-', '')}" for day in DAYS for band in range(BANDS))
    features = (rng.normal(size=(len(codes), len(names))) + 2 * codes[:, None]).astype(np.float32)
    folds = polygons // 2 % 3
    return sets.RealSet("made up", sets.Table(features, names, DAYS), codes, polygons, folds)


@pytest.fixture
def short(accuracy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one small network, trained for a moment."""
    network = {"name": "mlp", "hidden": [8]}
    tries = [accuracy.Try({"network": network, "learning_rate": rate}, (40, 40)) for rate in (1e-6, 1e-2)]
    monkeypatch.setattr(accuracy, "ENTRIES", {"mlp": accuracy.Entry(tries, bags=2)})


def test_what_is_tested_has_no_say(accuracy, made_up, short) -> None:  # type: ignore[no-untyped-def]
    """Other labels and values in the tested fold change neither the choice nor the networks."""
    entry, tested = accuracy.ENTRIES["mlp"], made_up.folds == 1
    codes, score = accuracy.classify_fold(made_up, entry, 1, seed=5)
    assert np.mean(codes == made_up.codes[tested]) > 0.9
    swapped = made_up.codes.copy()
    swapped[tested] = 3 - swapped[tested]
    again, same = accuracy.classify_fold(replace(made_up, codes=swapped), entry, 1, seed=5)
    np.testing.assert_array_equal(again, codes)
    assert same == score
    features = made_up.regular.features.copy()
    features[tested] = 1e6
    moved = replace(made_up, regular=replace(made_up.regular, features=features))
    assert accuracy.classify_fold(moved, entry, 1, seed=5)[1] == score


def test_the_better_setting_on_valid_polygons_is_taken(accuracy, made_up, short) -> None:  # type: ignore[no-untyped-def]
    entry, rows = accuracy.ENTRIES["mlp"], np.flatnonzero(made_up.folds != 1)
    own = accuracy.derived_seed(7, 1) % 2**32
    slow, quick = (accuracy.score_of(made_up, made_up.regular, one, rows, own) for one in entry.tries)
    assert quick > slow
    codes, score = accuracy.classify_fold(made_up, entry, 1, 7)
    assert score == quick
    assert np.mean(codes == made_up.codes[made_up.folds == 1]) > 0.9


def test_settings_are_chosen_on_polygons_held_out(accuracy, made_up, short, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Each polygon but those of the tested fold is held out once, from networks that never saw any of it."""
    learnt = []
    original = accuracy.learn
    monkeypatch.setattr(accuracy, "learn", lambda *given: learnt.append(given[3]) or original(*given))
    rows = np.flatnonzero(made_up.folds != 2)
    accuracy.score_of(made_up, made_up.regular, accuracy.ENTRIES["mlp"].tries[1], rows, 3)
    held = [np.setdiff1d(rows, one) for one in learnt]
    assert len(held) == accuracy.HELD
    np.testing.assert_array_equal(np.sort(np.concatenate(held)), rows)
    for one, other in zip(learnt, held, strict=True):
        assert set(one) <= set(rows)
        assert not set(made_up.polygons[one]) & set(made_up.polygons[other])


@pytest.mark.parametrize("samples", [120, 212, 411, 5120, 100_000])
def test_updates_do_not_depend_on_the_number_of_samples(accuracy: ModuleType, samples: int) -> None:
    pace = accuracy.pace(samples, 600)
    updates = pace["epochs"] * samples * 0.9 / pace["batch_size"]
    assert 16 <= pace["batch_size"] <= 64
    assert updates == pytest.approx(600, rel=0.1) or pace["epochs"] == 1
    assert accuracy.pace(samples, 0) == {}


def test_an_outcome_is_kept_until_its_recipe_changes(accuracy, made_up, short, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    first = accuracy.outcome(made_up, "mlp", 0, tmp_path)
    assert "seed 0" in capsys.readouterr().out
    again = accuracy.outcome(made_up, "mlp", 0, tmp_path)
    assert not capsys.readouterr().out
    np.testing.assert_array_equal(again.predicted, first.predicted)
    np.testing.assert_array_equal(again.scores, first.scores)
    accuracy.outcome(replace(made_up, folds=(made_up.folds + 1) % 3), "mlp", 0, tmp_path)
    assert "seed 0" in capsys.readouterr().out


def test_the_best_network_is_that_of_the_valid_polygons(tables: ModuleType) -> None:
    """Right where its valid score is best, fold by fold; never because it is right."""
    truth, folds = np.array([1, 1, 2, 2]), np.array([0, 0, 1, 1])
    right, wrong = np.array([1, 1, 2, 2]), np.array([2, 2, 1, 1])
    one = tables.Outcome("set", "one", 0, truth, folds, right, np.array([0.9, 0.1]))
    other = tables.Outcome("set", "other", 0, truth, folds, wrong, np.array([0.5, 0.6]))
    trees = tables.Outcome("set", "random_forest", 0, truth, folds, right, np.array([1.0, 1.0]))
    best = tables.best_on_valid([one, other, trees])
    assert best.predicted.tolist() == [1, 1, 1, 1]
    assert best.scores.tolist() == [0.9, 0.6]


def test_the_best_three_vote_and_the_best_of_them_decides_where_all_differ(tables: ModuleType) -> None:
    truth, folds = np.array([1, 1, 1]), np.zeros(3, np.int64)
    ranked = [("d", 0.1, [3, 3, 3]), ("b", 0.7, [1, 2, 2]), ("a", 0.9, [2, 1, 1]), ("c", 0.5, [1, 2, 3])]
    outcomes = [
        tables.Outcome("set", name, 0, truth, folds, np.array(codes), np.array([score]))
        for name, score, codes in ranked
    ]
    best = tables.best_on_valid(outcomes, 3)
    assert best.network == tables.VOTE
    assert best.predicted.tolist() == [1, 2, 1]


def test_the_table_marks_what_is_above_the_floor(tables: ModuleType) -> None:
    truth, folds = np.array([1, 1, 2, 2]), np.array([0, 0, 1, 1])
    none, some = np.full(2, np.nan), np.array([0.5, 0.5])
    floor = tables.Outcome("set", tables.FOREST, 0, truth, folds, np.array([1, 2, 2, 2]), none)
    better = tables.Outcome("set", "mlp", 0, truth, folds, truth, some)
    worse = tables.Outcome("set", "gru", 0, truth, folds, np.array([2, 2, 2, 2]), some)
    lines = tables.table_of([floor, better, worse]).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == [tables.FOREST, "mlp", "gru", tables.CHOSEN]
    assert "0.750 ± 0.000" in lines[2] and "**" not in lines[2]
    assert "**1.000 ± 0.000**" in lines[3]
    assert "**" not in lines[4]
    overview = tables.overview_of([floor, better, worse]).splitlines()
    assert overview[2] == f"| {tables.FOREST} | .750 / .733 |"
    assert overview[3] == "| mlp | **1.000 / 1.000** |"


def test_what_has_not_run_with_all_seeds_is_not_in_the_table(tables: ModuleType) -> None:
    truth, folds, some = np.array([1, 1, 2, 2]), np.array([0, 0, 1, 1]), np.array([0.5, 0.5])
    runs = [(tables.FOREST, 0), (tables.FOREST, 1), ("mlp", 0), ("mlp", 1), ("gru", 1)]
    table = tables.table_of([tables.Outcome("set", name, seed, truth, folds, truth, some) for name, seed in runs])
    assert "mlp" in table
    assert "gru" not in table


def test_no_polygon_is_in_two_folds(sets: ModuleType, real_data: Path) -> None:
    for seed in (0, 1):
        for one in sets.real_sets(real_data, seed):
            owners = {(polygon, fold) for polygon, fold in zip(one.polygons.tolist(), one.folds.tolist(), strict=True)}
            assert len(owners) == len(np.unique(one.polygons)), one.name
            assert len(np.unique(one.folds)) > 1
            for table in filter(None, (one.regular, one.raw, one.few)):
                assert len(table.features) == len(one.codes)
                assert np.isfinite(table.features).all()
