"""How the blocks of a run stand, as a picture: done, running, failed, waiting. Made from the ledger alone.

    BlockMap.read(Path("runs/oso/mapping/31TCJ/.blocks"))

Any process that sees the folder may look at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Literal

from toolkit.ground.grid import Block
from toolkit.ground.ledger import Record, planned, records

Standing = Literal["done", "running", "failed", "waiting"]

COLOURS: Mapping[Standing, str] = {
    "done": "color-mix(in srgb, var(--jp-brand-color1, #1976d2) 40%, var(--jp-layout-color1, #fff))",
    "running": "var(--jp-brand-color1, #1976d2)",
    "failed": "var(--jp-error-color1, #d32f2f)",
    "waiting": "var(--jp-layout-color2, #eeeeee)",
}
"""The accent for what runs, pale for what is done."""
PICTURE = 220
"""Pixels of the longer side of a picture."""
PAUSE = 5.0
"""Seconds without any block at work: the run was stopped, and this is no part of its rate."""


@dataclass(frozen=True)
class BlockMap:
    """The blocks of one run."""

    name: str
    blocks: tuple[Block, ...]
    records: Mapping[Block, Record]
    """Of those that were begun."""

    @classmethod
    def read(cls, folder: Path, name: str = "") -> BlockMap:
        """From the ledger of a folder of blocks; there are no blocks where there is no ledger."""
        found = records(folder)
        return cls(name, tuple(planned(folder) or found), found)

    def standing(self, block: Block) -> Standing:
        """How a block stands."""
        return self.records[block].state if block in self.records else "waiting"

    @property
    def counts(self) -> dict[Standing, int]:
        """How many blocks stand so."""
        found = Counter(self.standing(block) for block in self.blocks)
        return {state: found[state] for state in COLOURS}

    @property
    def workers(self) -> int:
        """How many processes have done blocks."""
        return len({one.where for one in self.records.values() if one.where})

    @property
    def seconds_a_block(self) -> float | None:
        """What a block took a worker, on average; None where none is done."""
        taken = [one.seconds for one in self.records.values() if one.state == "done"]
        return sum(taken) / len(taken) if taken else None

    @property
    def blocks_a_second(self) -> float | None:
        """At which blocks came since the run was begun, or gone on with, last; None where none is done."""
        return _rate(self.records.values())

    @property
    def seconds_left(self) -> float | None:
        """About, at that rate; None where that is not known."""
        rate = self.blocks_a_second
        return None if rate is None else (len(self.blocks) - self.counts["done"]) / rate

    @property
    def errors(self) -> list[str]:
        """What is wrong with blocks that failed, each thing once."""
        return list(dict.fromkeys(one.error for one in self.records.values() if one.state == "failed"))

    def __repr__(self) -> str:
        counts = self.counts
        parts = [f"{counts['done']} of {len(self.blocks)} blocks done"]
        parts += [f"{counts[state]} {state}" for state in ("running", "failed") if counts[state]]
        if self.seconds_a_block is not None:
            parts.append(f"{self.seconds_a_block:.1f} s a block")
        return f"BlockMap({f'{self.name}: ' if self.name else ''}{', '.join(parts)})"

    def _repr_html_(self) -> str:
        words = repr(self).removeprefix("BlockMap(").removesuffix(")")
        errors = "".join(f"<p role='alert' style='margin:2px 0'>{escape(error)}</p>" for error in self.errors[:3])
        return (
            f"<figure style='display:inline-block;margin:4px 12px 4px 0;font-size:12px'>{self._svg(words)}"
            f"<figcaption>{escape(words)}</figcaption>{errors}</figure>"
        )

    def _svg(self, words: str) -> str:
        height = max((one.row + one.height for one in self.blocks), default=1)
        width = max((one.col + one.width for one in self.blocks), default=1)
        scale = PICTURE / max(height, width)
        squares = "".join(self._square(block) for block in self.blocks)
        return (
            f"<svg role='img' aria-label='{escape(words, quote=True)}' width='{width * scale:.0f}' "
            f"height='{height * scale:.0f}' viewBox='0 0 {width} {height}' preserveAspectRatio='none'>{squares}</svg>"
        )

    def _square(self, block: Block) -> str:
        state, gap = self.standing(block), min(block.height, block.width) / 12
        record = self.records.get(block)
        more = f", {record.seconds:.1f} s, {record.where}" if record and record.state == "done" else ""
        error = f", {record.error}" if record and record.error else ""
        title = escape(f"rows {block.row}, columns {block.col}: {state}{more}{error}")
        return (
            f"<rect x='{block.col}' y='{block.row}' width='{block.width - gap:g}' height='{block.height - gap:g}' "
            f"fill='{COLOURS[state]}'><title>{title}</title></rect>"
        )


@dataclass(frozen=True)
class BlockMaps:
    """The blocks of several runs, such as the tiles of an experiment."""

    maps: tuple[BlockMap, ...]

    @classmethod
    def read(cls, folders: Iterable[tuple[str, Path]]) -> BlockMaps:
        """From the ledgers of folders of blocks, by name; those without a ledger are left out."""
        found = (BlockMap.read(folder, name) for name, folder in folders)
        return cls(tuple(one for one in found if one.blocks))

    @property
    def blocks_a_second(self) -> float | None:
        """At which blocks of all of them come; None where none is done."""
        return _rate(record for one in self.maps for record in one.records.values())

    def __repr__(self) -> str:
        return f"BlockMaps({', '.join(map(repr, self.maps)) or 'nothing is at work'})"

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self.maps) or "<p>No tile is being classified.</p>"


def _rate(records: Iterable[Record]) -> float | None:
    """Blocks a second, from the records of the last stretch of time in which some block was always at work."""
    done = sorted(_span(one) for one in records if one.state == "done")
    if not done:
        return None
    (end, begin), count = done[-1], 0
    for ended, begun in reversed(done):
        if begin - ended > PAUSE:
            break
        begin, count = min(begin, begun), count + 1
    return count / max(end - begin, 1e-3)


def _span(record: Record) -> tuple[float, float]:
    """When a block was done, and when it was begun."""
    ended = datetime.fromisoformat(record.time).timestamp()
    return ended, ended - record.seconds
