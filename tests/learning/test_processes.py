"""Several processes that train one network together."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from toolkit.ground.errors import ParameterError
from toolkit.learning import processes, started
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.callbacks import Callback, TrainingRun
from toolkit.learning.losses import LossParams
from toolkit.learning.processes import Gang
from toolkit.learning.result import TrainingResult
from toolkit.learning.updates import UpdateParams
from toolkit.samples.stored import StoredFeatures, StoredPart

Train = Callable[..., TrainingResult]
COLUMNS = ("train_loss", "valid_loss", "oa", "kappa", "f_score")


def test_shares_are_all_rows_once() -> None:
    rows = torch.arange(23)
    for count in (2, 3, 40):
        shares = [Gang(rank, count, torch.device("cpu")).share(rows) for rank in range(count)]
        assert torch.cat(shares).tolist() == rows.tolist()
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_two_processes_train_as_one(train: Train) -> None:
    options: dict[str, Any] = {
        "epochs": 4,
        "weighted_classes": True,
        "loss": LossParams(label_smoothing=0.1),
        "updates": UpdateParams(micro_batch=20, clip_gradient=1.0, average=0.9),
    }
    alone, both = train("alone", **options), train("both", processes=2, **options)
    for one, other in zip(alone.history, both.history, strict=True):
        assert [other[name] for name in COLUMNS] == pytest.approx([one[name] for name in COLUMNS], rel=1e-4)
    assert both.calibration is not None and alone.calibration is not None
    assert both.calibration.temperature == pytest.approx(alone.calibration.temperature, rel=1e-3)


def test_from_disk_stopped_and_gone_on_too(train: Train, samples: TrainingSamples, tmp_path: Path) -> None:
    class Stop(Callback):
        def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
            if (len(run.history) + 1, batch) == (2, 3):
                run.stop()

    np.save(tmp_path / "features.npy", samples.features)
    part = StoredPart(tmp_path / "features.npy", np.arange(len(samples)))
    on_disk = TrainingSamples(StoredFeatures([part], 20), samples.codes, samples.polygons)
    options: dict[str, Any] = {"epochs": 3, "samples": on_disk, "memory_gb": 1e-6}
    alone = train("alone", **options)
    stopped = train("both", processes=2, callbacks=[Stop()], **options)
    assert stopped.stopped and len(stopped.history) == 1
    both = train("both", processes=2, **options)
    for one, other in zip(alone.history, both.history, strict=True):
        assert [other[name] for name in COLUMNS] == pytest.approx([one[name] for name in COLUMNS], rel=1e-4)


def test_one_that_dies_ends_all_with_a_word(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[subprocess.Popen[bytes]] = []
    begin = started.start

    def watched(folder: Path, rank: int) -> subprocess.Popen[bytes]:
        children.append(begin(folder, rank))
        return children[-1]

    class Kill(Callback):
        def on_epoch_end(self, run: TrainingRun, row: dict[str, Any]) -> None:
            os.kill(children[0].pid, signal.SIGKILL)

    monkeypatch.setattr(started, "start", watched)
    with pytest.raises(ParameterError, match=r"process 2 of the 2 of the training ended by signal 9.*train again"):
        train("both", processes=2, callbacks=[Kill()])
    assert children[0].poll() is not None
    assert not torch.distributed.is_initialized()


def test_one_that_does_not_start_is_told(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.Crew, "write", lambda *_: None)  # without its plan it cannot begin
    with pytest.raises(ParameterError, match=r"process 2 of the 2 of the training ended with status 1 \(.*plan\.json"):
        train("both", processes=2)
