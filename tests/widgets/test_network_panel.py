"""The panel shows layers, parameters, samples and time beside the form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from toolkit import clean, sample
from toolkit.experiment.config import Experiment
from toolkit.experiment.sampling_preview import preview_samples
from toolkit.learning import cost
from toolkit.learning.cost import Cost, Shape
from toolkit.learning.parameters import LearningParams
from toolkit.widgets import NetworkPanel
from toolkit.widgets import network_panel as module
from toolkit.widgets.network_facts import Known, duration, facts_html, layers_html


@pytest.fixture(autouse=True)
def short_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PROBE_SECONDS", 0.02)


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    experiment = Experiment.load(tiny_demo)
    experiment.set({"series.tiles": ["31TDK"]})
    return experiment


@pytest.fixture
def panel(experiment: Experiment) -> Iterator[NetworkPanel]:
    panel = NetworkPanel(experiment)
    assert panel.settle()
    yield panel
    panel.close()


def test_layers_parameters_samples_and_time(panel: NetworkPanel, experiment: Experiment) -> None:
    assert "Layers: 481 to 240 to 69 to 69 to 23" in panel.layers.value
    assert "138,749" in panel.facts.value
    pixels = preview_samples(experiment)["pixels"].sum()
    valid = round(0.2 * pixels)
    assert f"{pixels:,}" in panel.facts.value
    assert f"as sampling would draw them now: about {pixels - valid:,} train, {valid:,} valid" in panel.facts.value
    assert f"{-(-(pixels - valid) // 256)} an epoch" in panel.facts.value
    assert "by a short trial on cpu" in panel.facts.value and "3 epochs" in panel.facts.value
    assert "…" not in panel.facts.value
    assert panel.problem.value == panel.unread.value == ""


def test_widths_and_nomenclature_move_the_layers(panel: NetworkPanel, experiment: Experiment) -> None:
    experiment.set({"learning.network.hidden": (50, 20), "features.indices": ()})
    assert panel.settle()
    assert "Layers: 370 to 50 to 20 to 23" in panel.layers.value
    assert f"{371 * 50 + 51 * 20 + 21 * 23:,}" in panel.facts.value


def test_epochs_are_not_tried_anew(
    panel: NetworkPanel, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "network_cost", lambda *_: pytest.fail("tried anew"))
    monkeypatch.setattr(panel, "_count", lambda *_: pytest.fail("counted anew"))
    experiment.set({"learning.epochs": 40, "learning.learning_rate": 0.1, "mapping.memory_gb": 2.0})
    assert panel.settle()
    assert "40 epochs" in panel.facts.value and panel.unread.value == ""


def test_another_batch_or_optimizer_is_tried(
    panel: NetworkPanel, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def priced(params: LearningParams, *_: int) -> Cost:
        asked.append((params.batch_size, params.optimizer))
        return Cost(Shape(1, (1, 1)), 100.0, "cpu")

    monkeypatch.setattr(module, "network_cost", priced)
    for changes in ({"learning.batch_size": 64}, {"learning.optimizer": "sgd"}):
        experiment.set(changes)
        assert panel.settle()
    assert asked == [(64, "adam"), (64, "sgd")]
    assert "about 2 min" in panel.facts.value and "about 5 min" in panel.facts.value


def test_extracted_samples_count_when_they_are_up_to_date(panel: NetworkPanel, experiment: Experiment) -> None:
    clean(experiment)
    pixels = sample(experiment)["pixels"].sum()
    panel.refresh()
    assert panel.settle()
    assert f"{pixels:,}" in panel.facts.value and "extracted: about" in panel.facts.value
    experiment.set({"split.train_ratio": 0.5})
    assert panel.settle()
    assert "as sampling would draw them now" in panel.facts.value


def test_no_ground_truth_still_shows_the_network(panel: NetworkPanel, experiment: Experiment) -> None:
    experiment.set({"ground_truth.source": "absent.gpkg"})
    assert panel.settle()
    assert "absent.gpkg" in panel.unread.value
    assert "138,749" in panel.facts.value and "…" in panel.facts.value
    experiment.set({"ground_truth.source": "demo_polygons"})
    assert panel.settle()
    assert panel.unread.value == "" and "…" not in panel.facts.value


def test_a_device_that_is_not_there_is_told(panel: NetworkPanel, experiment: Experiment) -> None:
    absent = "mps" if torch.cuda.is_available() else "cuda"
    experiment.set({"learning.device": absent})
    assert panel.settle()
    assert "is not present on this machine" in panel.unread.value


def test_fields_change_the_experiment(panel: NetworkPanel, experiment: Experiment) -> None:
    (form,) = panel.forms
    assert {"learning.optimizer", "learning.network.hidden", "learning.select_by"} <= set(form.fields)
    form.fields["learning.optimizer"].input.value = "adamw"
    assert experiment.learning.optimizer == "adamw" and panel.settle()


def test_a_closed_panel_does_not_follow(experiment: Experiment) -> None:
    panel = NetworkPanel(experiment)
    assert panel.settle()
    panel.close()
    before = panel.facts.value
    experiment.set({"learning.epochs": 99})
    assert panel.settle() and panel.facts.value == before and not experiment._observers


def test_refresh_while_samples_are_counted_counts_again(
    panel: NetworkPanel, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    def count(one: Experiment) -> tuple[int, bool]:
        counts.append(len(counts))
        if len(counts) == 1:
            panel.refresh()  # a job ends just now
        return 1000 * len(counts), True

    monkeypatch.setattr(panel, "_count", count)
    panel.refresh()
    assert panel.settle()
    assert len(counts) == 2 and "2,000" in panel.facts.value


def test_always_the_same_lines() -> None:
    shape, learning = Shape(100, (10, 5, 2)), LearningParams()
    cases = [
        Known(shape),
        Known(shape, 0),
        Known(shape, 5000, True),
        Known(shape, 5000, True, Cost(shape, 1.234, "cuda")),
        Known(shape, 5000, True, Cost(shape, None, "cpu")),
    ]
    assert {facts_html(one, learning).count("<tr>") for one in cases} == {5}
    assert "not tried: too large" in facts_html(cases[-1], learning)
    assert layers_html(Shape(1, (7, 2))).count("lc-layer'") == 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0123, "about 0.012 s"),
        (3.14, "about 3.1 s"),
        (42.4, "about 42 s"),
        (600, "about 10 min"),
        (9000, "about 2.5 h"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
