"""`torchrun` runs the command line: one experiment, one result, whoever started the processes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import toolkit
from toolkit import Experiment, tune
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.launching import obey_once, processes_launched
from toolkit.experiment.provenance import Manifest


def torchrun(*arguments: str) -> str:
    """What `landcover` prints, launched twice over."""
    paths = [str(Path(toolkit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "toolkit.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


def test_alone_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert obey_once(lambda: 5) == 5
    assert processes_launched() is None


def test_two_processes_of_torchrun_train_as_two_of_our_own(sampled_demo: Path) -> None:
    """A tuning, so that the processes meet for several trainings, one of which cannot be trained to its end."""
    content = yaml.safe_load(sampled_demo.read_text())
    network = {"name": "mlp", "hidden": [16], "dropout": 0.2}
    content["learning"] |= {"network": network, "epochs": 2, "optimizer": "sgd", "select_by": "loss", "threads": 1}
    space = {"learning.learning_rate": {"choices": [1e30, 1e-2]}}
    content["tuning"] = {"space": space, "trials": 2, "folds": 1, "sampler": "random"}
    sampled_demo.write_text(yaml.safe_dump(content))
    printed = torchrun("tune", str(sampled_demo))
    assert printed.count("TuningResult(1 refused, 1 complete") == 1, printed
    experiment = Experiment.load(sampled_demo)
    folder = RunFolder(experiment.folder)
    ours = folder.tuning.rename(folder.root / "launched")
    assert Manifest(folder.manifest).records()["tune"].params["learning.processes"] == 2
    experiment.set({"learning.processes": 2})
    tune(experiment)
    assert _trials(ours) == _trials(folder.tuning)


def _trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]
