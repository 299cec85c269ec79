"""What runs in a job: `python -m toolkit.experiment.job_process RUN_FOLDER LOCK`, started by `Job.start`.

A watcher looks for the file `stop` and sees that it is obeyed: first it asks, then it interrupts, at last it ends the
process. A killed verb leaves nothing half written, so even that loses no more than the work since the last block or
epoch.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import toolkit
from toolkit.experiment.job_files import JobFiles, JobOrder
from toolkit.ground.errors import LandcoverError
from toolkit.ground.locking import FolderLock

if TYPE_CHECKING:
    from toolkit.experiment.events import Event, State

LOG = logging.getLogger(__name__)
LOG.setLevel(logging.INFO)

LOOK_EVERY, INTERRUPT_AFTER, END_AFTER = 0.05, 0.7, 3.7
"""Seconds: between two looks for `stop`; from then to each interruption; and to the end of the process."""

STOPPED_STATUS = 130
LOG_FORMAT, LOG_TIME = "%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"


def main(arguments: list[str]) -> None:
    """Do the job ordered in a run folder, in this process."""
    files = JobFiles(Path(arguments[0]))
    folder, descriptor = files.run_folder, arguments[1:]
    lock = FolderLock.inherit(folder, int(descriptor[0])) if descriptor else FolderLock.take(folder)
    order = JobOrder.read(files)
    assert order is not None
    order = order.begun_by(os.getpid())
    order.write(files)
    lock.say(order.holder)
    watcher = Watcher(files.stop, interrupt=_interrupt, give_up=lambda: _end_at_once(order, files))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it otherwise
    signal.signal(signal.SIGTERM, lambda *_: files.stop.touch())
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT, datefmt=LOG_TIME, stream=sys.stderr)
    logging.getLogger("toolkit").setLevel(logging.INFO)
    with lock:
        do_job(order, files, watcher)


def run_in_thread(order: JobOrder, files: JobFiles, lock: FolderLock) -> None:
    """Do a job in a thread of this process; it is stopped where it asks, and not otherwise."""

    def work() -> None:
        handler, logger = _thread_log(files.log), logging.getLogger("toolkit")
        logger.addHandler(handler)
        try:
            with lock:
                do_job(order, files, Watcher(files.stop))
        finally:
            logger.removeHandler(handler)
            handler.close()

    threading.Thread(target=work, name=f"landcover-job-{order.verb}", daemon=True).start()


def do_job(order: JobOrder, files: JobFiles, watcher: Watcher) -> None:
    """Run the verb, and write down how it ended."""
    watcher.start()
    state, message = _outcome(order, watcher)
    watcher.end()
    LOG.info("job %s %s%s", order.verb, state, f": {message}" if message else "")
    order.note(files, state, message)


def _outcome(order: JobOrder, watcher: Watcher) -> tuple[State, str]:
    """How the job ended, with the message of its error."""
    try:
        _run_verbs(order, watcher)
    except BaseException as error:
        if watcher.asked.is_set() or isinstance(error, KeyboardInterrupt):
            return "stopped", ""
        return "failed", _words_of(error)
    return "done", ""


def _words_of(error: BaseException) -> str:
    """An error as a person should read it; the traceback of what is not their mistake goes to the log."""
    if isinstance(error, LandcoverError):
        return str(error)
    LOG.error("the job failed", exc_info=error)
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{place}; mend the file or folder, then start again"
    return f"Defect of the toolkit: {type(error).__name__}: {error}; the log has more"


def _run_verbs(order: JobOrder, watcher: Watcher) -> None:
    """The verb, or those of the chain, until a stop is asked for."""
    from toolkit.experiment.steps import StopRequest
    from toolkit.experiment.verbs import CHAIN

    experiment, log_lines = order.experiment_then(), _LogLines()

    def observer(event: Event) -> None:
        log_lines(event)
        if watcher.asked.is_set() and event.state not in ("stopped", "failed"):
            raise StopRequest

    for name in CHAIN if order.verb == "run" else [order.verb]:
        more = {"stop": watcher.asked} if name in ("train", "tune") else {}
        verb: Callable[..., object] = CHAIN.get(name) or getattr(toolkit, name)
        verb(experiment, observer=observer, **order.arguments, **more)
        if watcher.asked.is_set():
            raise StopRequest


class Watcher:
    """Looks for the file that asks to stop, in a thread of its own.

    Args:
        interrupt: breaks into the work where it does not stop by itself.
        give_up: ends the process where that does not help either.
    """

    def __init__(
        self, stop: Path, interrupt: Callable[[], None] | None = None, give_up: Callable[[], None] | None = None
    ) -> None:
        self._stop, self._interrupt, self._give_up = stop, interrupt, give_up
        self.asked = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="landcover-stop", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def end(self) -> None:
        """Look no more; nothing is interrupted after this."""
        self._over.set()
        with suppress(KeyboardInterrupt):  # sent just before
            self._thread.join()

    def _watch(self) -> None:
        while self._stop.parent.is_dir() and not self._stop.exists():  # who takes the folder away wants no more of it
            if self._over.wait(LOOK_EVERY):
                return
        self.asked.set()
        begun = time.monotonic()
        while self._interrupt and self._give_up and not self._over.wait(INTERRUPT_AFTER):
            if time.monotonic() - begun > END_AFTER:
                self._give_up()
            self._interrupt()


class _LogLines:
    """Writes events to the log: each change of state, and now and then what a step does."""

    EVERY = 2.0

    def __init__(self) -> None:
        self._said, self._at = ("", ""), 0.0

    def __call__(self, event: Event) -> None:
        now, saying = time.monotonic(), (event.step, event.message)
        if event.state == "running" and (saying == self._said or (event.total and now - self._at < self.EVERY)):
            return
        self._said, self._at = saying, now
        seconds = f"{event.seconds:.1f} s  " if event.seconds else ""
        LOG.info("%-16s %-11s %s%s", event.step, event.state, seconds, event.message)


def _interrupt() -> None:
    """KeyboardInterrupt in the main thread, even where that waits for something."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


def _end_at_once(order: JobOrder, files: JobFiles) -> None:
    order.note(files, "stopped")
    os._exit(STOPPED_STATUS)


def _thread_log(path: Path) -> logging.Handler:
    """A handler that writes what this thread says."""
    handler, own = logging.FileHandler(path, encoding="utf-8"), threading.get_ident()
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter(LOG_FORMAT, LOG_TIME))
    handler.addFilter(lambda record: record.thread == own)
    return handler


if __name__ == "__main__":
    main(sys.argv[1:])
