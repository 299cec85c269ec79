"""Processes that a launcher started together: who works, and who takes part."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch.distributed as dist

from toolkit.ground.errors import ParameterError, SampleError
from toolkit.learning.launched import Launch, share, sharing
from toolkit.learning.processes import together

ENVIRONMENT = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture
def launches() -> tuple[Launch, Launch]:
    """The first of two processes and the other one, which share a store."""
    both, store = (Launch(0, 2), Launch(1, 2)), dist.HashStore()
    for one in both:
        one.store = store
    return both


def test_what_the_environment_says() -> None:
    launch = Launch.of(ENVIRONMENT | {"LOCAL_WORLD_SIZE": "2"})
    assert launch is not None and (launch.rank, launch.count) == (1, 2)
    assert Launch.of(ENVIRONMENT) is not None  # a launcher that does not say how many are here
    assert Launch.of({}) is None
    assert Launch.of({"RANK": "0", "WORLD_SIZE": "2"}) is None  # nobody to meet
    assert Launch.of(ENVIRONMENT | {"RANK": "0", "WORLD_SIZE": "1"}) is None


def test_processes_of_several_machines_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"4 processes were launched, 2 of them on this machine.*--nnodes 1"):
        Launch.of(ENVIRONMENT | {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"})


def test_the_first_works_and_the_other_takes_part_until_it_is_dismissed(launches: tuple[Launch, Launch]) -> None:
    first, other = launches
    seen: list[tuple[Path, int]] = []

    def work() -> int:
        assert sharing() is first
        for name in ("one", "two"):
            first.training(Path(name))
        return 7

    assert share(work, first) == 7
    assert sharing() is None
    other.follow(lambda folder, rank, _: seen.append((folder, rank)))
    assert seen == [(Path("one"), 1), (Path("two"), 1)]


def test_work_that_fails_dismisses_the_others_too(launches: tuple[Launch, Launch]) -> None:
    first, other = launches
    with pytest.raises(ParameterError):
        share(lambda: (_ for _ in ()).throw(ParameterError("no")), first)
    other.follow(lambda *_: pytest.fail("there is nothing to train"))


def test_a_training_that_the_first_left_is_forgiven(launches: tuple[Launch, Launch]) -> None:
    first, other = launches
    training = first.training(Path("one"))
    with pytest.raises(ParameterError), training.told():
        raise ParameterError("the train loss is not a number")
    first.training(None)

    def take_part(folder: Path, rank: int, meeting: dist.Store) -> None:
        raise RuntimeError("connection closed by peer")

    other.follow(take_part)


def test_an_exchange_that_fails_for_another_reason_ends_the_process(launches: tuple[Launch, Launch]) -> None:
    first, other = launches
    first.training(Path("one"))

    def take_part(folder: Path, rank: int, meeting: dist.Store) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        other.follow(take_part)


def test_the_first_tells_what_another_one_met(launches: tuple[Launch, Launch]) -> None:
    first, other = launches
    training = first.training(Path("one"))
    first.training(None)

    def take_part(folder: Path, rank: int, meeting: dist.Store) -> None:
        raise SampleError("feature B2 of sample 7 is not a number")

    other.follow(take_part)
    with pytest.raises(ParameterError, match="process 2 of the 2 of the training: feature B2 of sample 7"):  # noqa: SIM117
        with training.told():
            raise RuntimeError("connection closed by peer")


def test_another_number_of_processes_is_refused(launches: tuple[Launch, Launch]) -> None:
    class Asked:
        class params:
            processes = 3

        def write(self, folder: Path, start: None) -> None:
            pass

    def work() -> int:
        with together(Asked(), None):  # type: ignore[arg-type]
            pytest.fail("must be refused")
        return 0

    with pytest.raises(ParameterError, match=r"learning\.processes = 3, but 2 were launched together"):
        share(work, launches[0])
