"""A command that a launcher such as `torchrun` runs in several processes, for their trainings to be shared."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.learning.launched import Launch, share, sharing


def obey_once(command: Callable[[], int]) -> int:
    """Obey a command in the first of the processes launched together, while the others take part in its trainings.

    Returns:
        The command's exit status; 0 in the others.

    Raises:
        ParameterError: the processes are on several machines.
    """
    launch = Launch.of()
    return share(command, launch) if launch else command()


def processes_launched() -> int | None:
    """How many processes share the trainings of this one; None where it was launched alone."""
    launch = sharing()
    return launch.count if launch else None
