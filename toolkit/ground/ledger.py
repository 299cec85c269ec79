"""The ledger of a run over blocks: one file, to which a line is added whenever a block begins, is done, or fails.

It stands beside the blocks' files and says of each what it should be: its length and its checksum. Lines are only ever
added, each in one write, so that a process may be killed at any moment: a last line that is cut short is no record,
and the block it was about is done again. Nothing waits for the disk: where the power fails, a file that did not reach
it does not have its checksum, and is done again too.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from toolkit.ground.grid import Block
from toolkit.ground.writing import explained

LEDGER = "ledger.jsonl"
FORMAT = 1

BlockState = Literal["running", "done", "failed"]


def checksum_of(data: bytes | memoryview) -> str:
    """BLAKE2b of 16 bytes, hexadecimal: a gigabyte a second, and no two blocks in a country share one by chance."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def place_of_work() -> str:
    """This process, as a record names it: `host:process`."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True)
class Record:
    """What became of a block, last time."""

    block: Block
    state: BlockState
    seconds: float = 0.0
    """How long it took, where it is done."""
    bytes: int = 0
    """Length of its file."""
    checksum: str = ""
    where: str = ""
    """Process that worked on it, `host:process`; empty where that is not known."""
    error: str = ""
    time: str = ""
    """When the line was written, ISO 8601."""

    def line(self) -> str:
        """The record as a line of the ledger, stamped with the present time; empty fields are left out."""
        fields = {"state": self.state, "seconds": round(self.seconds, 3), "bytes": self.bytes}
        words = {"checksum": self.checksum, "where": self.where, "error": self.error}
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        kept = {name: value for name, value in {**fields, **words}.items() if value}
        return json.dumps({"time": now, "block": _numbers(self.block), **kept}, ensure_ascii=False)


class Ledger:
    """The ledger in a folder of blocks, open for adding; one process writes it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self._file: BinaryIO | None = None

    @classmethod
    def begin(cls, folder: Path, key: str, blocks: Sequence[Block] = ()) -> Ledger:
        """A new ledger for blocks of this key; `blocks` are all that there are, for whoever follows the run.

        Raises:
            RunFolderError: the disk is full, or the folder cannot be written.
        """
        ledger = cls(folder)
        ledger._append(json.dumps({"format": FORMAT, "key": key, "blocks": [_numbers(one) for one in blocks]}))
        return ledger

    def add(self, record: Record) -> None:
        """Add a record.

        Raises:
            RunFolderError: the disk is full, or the folder cannot be written.
        """
        self._append(record.line())

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, line: str) -> None:
        with explained(self.path):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                whole = _ends_with_a_line(self.path)
                self._file = self.path.open("ab", buffering=0)
                if not whole:  # what was cut short stays a line of its own, and no record
                    self._file.write(b"\n")
            data = line.encode() + b"\n"
            try:
                if self._file.write(data) != len(data):  # a disk that has room for half a line
                    raise OSError(errno.ENOSPC, "No space left on device")
            except OSError:
                self.close()
                raise


def key_of(folder: Path) -> str | None:
    """The key that the blocks of a folder were made with; None where there is no ledger, or none of this format."""
    first = next(_lines(folder / LEDGER), {})
    return str(first["key"]) if first.get("format") == FORMAT and "key" in first else None


def records(folder: Path) -> dict[Block, Record]:
    """The last record of each block, in the order in which they began; empty where there is no ledger."""
    found: dict[Block, Record] = {}
    for line in _lines(folder / LEDGER):
        record = _record_of(line)
        if record is not None:
            found[record.block] = record
    return found


def planned(folder: Path) -> list[Block]:
    """All blocks of a run, begun or not, in their order; empty where there is no ledger."""
    first = next(_lines(folder / LEDGER), {})
    try:
        return [Block(*map(int, one)) for one in first.get("blocks", [])]
    except (TypeError, ValueError):
        return []


def _numbers(block: Block) -> list[int]:
    return [block.row, block.col, block.height, block.width]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """What stands in each whole line; damaged ones are left out."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                content = json.loads(line) if line.endswith(b"\n") else None
            except (ValueError, RecursionError):
                continue
            if isinstance(content, dict):
                yield content


def _record_of(line: dict[str, Any]) -> Record | None:
    try:
        row, col, height, width = map(int, line["block"])
        record = Record(**{**line, "block": Block(row, col, height, width)})
    except (TypeError, ValueError, LookupError):
        return None
    return record if record.state in get_args(BlockState) else None


def _ends_with_a_line(path: Path) -> bool:
    """Whether nothing is there, or what is there ends with a whole line."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            return size == 0 or (file.seek(size - 1), file.read(1))[1] == b"\n"
    except FileNotFoundError:
        return True
