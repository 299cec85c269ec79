"""The files of blocks: what is to be done, what came of it, and the arrays of all blocks in their order."""

from __future__ import annotations

import io
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.ground.grid import Block
from toolkit.ground.ledger import Record, checksum_of, place_of_work, records
from toolkit.ground.writing import aside

LOG = logging.getLogger(__name__)

Arrays = Mapping[str, np.ndarray]
Work = Callable[[Block], Arrays]
Progress = Callable[[int, int], None]
"""Called with (done, total)."""


def no_progress(done: int, total: int) -> None:
    """A progress callback that says nothing."""


@dataclass(frozen=True)
class StreamJob:
    """A function to be run over blocks, and where their arrays go."""

    work: Work
    """Takes a block, gives named arrays; picklable where other processes do it."""
    blocks: Sequence[Block]
    folder: Path
    """Holds the ledger and the blocks' files until the caller discards them; every worker sees it."""
    key: str
    """Fingerprint of everything the arrays depend on; files made with another key are thrown away."""
    progress: Progress = no_progress
    name: str = ""
    """Whose blocks these are, such as a tile's."""


@dataclass(frozen=True)
class Receipt:
    """What a worker says of a block that it has written."""

    block: Block
    bytes: int
    checksum: str
    seconds: float
    where: str


class BlockResults:
    """The arrays of each block, on disk, in the order of the blocks.

    A file that is damaged by the time it is read is made again, from the same work and so with the same bytes.
    """

    def __init__(self, job: StreamJob) -> None:
        self._job, self.folder, self.blocks = job, job.folder, job.blocks

    def __iter__(self) -> Iterator[tuple[Block, dict[str, np.ndarray]]]:
        noted = records(self.folder)
        for block in self.blocks:
            data = intact(self.folder, noted.get(block))
            if data is None:
                LOG.warning("%s is damaged and is made again", file_of(self.folder, block))
                work_and_write(self._job.work, block, self.folder)
                data = file_of(self.folder, block).read_bytes()
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                yield block, dict(arrays)

    def discard(self) -> None:
        """Delete the files, once the result they were for is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def work_and_write(work: Work, block: Block, folder: Path) -> Receipt:
    """Do a block: its file is there, whole, when this returns."""
    begun = time.perf_counter()
    buffer = io.BytesIO()
    np.savez(buffer, **work(block))  # type: ignore[arg-type]
    data = buffer.getbuffer()
    with aside(file_of(folder, block)) as part:
        part.write_bytes(data)
    return Receipt(block, len(data), checksum_of(data), time.perf_counter() - begun, place_of_work())


def file_of(folder: Path, block: Block) -> Path:
    """The file of a block's arrays."""
    return folder / f"{block.row:06d}_{block.col:06d}_{block.height}_{block.width}.npz"


def intact(folder: Path, record: Record | None) -> bytes | None:
    """The bytes of a block's file; None where it is not done, not there, or not what its record says."""
    if record is None or record.state != "done":
        return None
    try:
        data = file_of(folder, record.block).read_bytes()
    except FileNotFoundError:
        return None
    return data if checksum_of(data) == record.checksum else None
