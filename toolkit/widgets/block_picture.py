"""`BlockPicture`: the tiles of an experiment while they are classified, a square for each block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import anywidget
import traitlets

from toolkit.ground.block_map import COLOURS, BlockMap, BlockMaps, Standing
from toolkit.ground.grid import Block
from toolkit.widgets.network_facts import duration

HERE = resources.files("toolkit.widgets")

MOST_TILES = 24
"""Tiles that are drawn at most; those at work come first."""

WHOLE = (Block(0, 0, 1, 1),)
"""The one square of a tile that has no blocks, or none yet."""

STANDINGS: Mapping[str, Standing] = {"done": "done", "up to date": "done", "failed": "failed"}
"""How a tile without blocks stands, by the state of its stage; it waits in any other."""

FILLS = "".join(f".lc-blocks .lc-{name} {{ fill: {one}; background: {one}; }}\n" for name, one in COLOURS.items())


@dataclass(frozen=True)
class TileNow:
    """A tile at one moment."""

    name: str
    blocks: tuple[Block, ...]
    standings: tuple[Standing, ...]
    """Of each block."""
    words: str
    error: str = ""
    """What is wrong with its blocks that failed."""
    is_begun: bool = False
    """Whether there are blocks of it."""


def tiles_now(names: Sequence[str], maps: BlockMaps, states: Mapping[str, str], *, alive: bool) -> list[TileNow]:
    """Each tile as it stands.

    Args:
        maps: the blocks of those at work.
        states: of the stage of each tile, where it is known.
        alive: whether anything is at work; if not, a block that is told to be running was left by what was ended.
    """
    begun = {one.name: one for one in maps.maps}
    return [_begun(begun[name], alive) if name in begun else _whole(name, states.get(name, "")) for name in names]


def headline(tiles: Sequence[TileNow], maps: BlockMaps, *, alive: bool) -> str:
    """How far all of it is, in a line; with the rate of blocks and the time left while it is at work."""
    begun = [one for one in tiles if one.is_begun]
    whole = sum(one.standings == ("done",) and not one.is_begun for one in tiles)
    parts = [f"{whole:,} of {len(tiles):,} tiles classified"]
    if begun:
        done, known = sum(one.standings.count("done") for one in begun), sum(len(one.blocks) for one in begun)
        parts.append(f"{done:,} of {known:,} blocks of {', '.join(one.name for one in begun)}")
        rate = maps.blocks_a_second
        if alive and rate:
            waiting = len(tiles) - whole - len(begun)  # each with as many blocks as those begun, about
            left = known - done + waiting * known / len(begun)
            parts.append(f"{rate:.2g} blocks a second, {duration(left / rate)} left")
    return "; ".join(parts)


class BlockPicture(anywidget.AnyWidget):
    """A square for each block of a tile: done, running, failed or waiting. Changed in place, so that nothing moves."""

    _esm = (HERE / "block_picture.js").read_text(encoding="utf-8")
    _css = (HERE / "block_picture.css").read_text(encoding="utf-8") + FILLS

    tiles = traitlets.List().tag(sync=True)
    """A dict a tile: name, and blocks: row, column, height and width of each. Sent when other tiles are at work."""
    state = traitlets.Dict().tag(sync=True)
    """headline, more (what is not drawn), and tiles: a dict each with standings (a word a block), words and error."""

    def show(self, tiles: Sequence[TileNow], headline: str) -> None:
        """Show tiles as they stand; a message is sent where something changed, and none otherwise."""
        drawn = sorted(tiles, key=lambda one: not one.is_begun)[:MOST_TILES] if len(tiles) > MOST_TILES else tiles
        more = f"and {len(tiles) - len(drawn):,} more tiles" if len(drawn) < len(tiles) else ""
        with self.hold_sync():
            self.tiles = [{"name": one.name, "blocks": [_numbers(block) for block in one.blocks]} for one in drawn]
            shown = [{"standings": list(one.standings), "words": one.words, "error": one.error} for one in drawn]
            self.state = {"headline": headline, "more": more, "tiles": shown}


def _begun(found: BlockMap, alive: bool) -> TileNow:
    standings = tuple(_standing(found.standing(block), alive) for block in found.blocks)
    failed = standings.count("failed")
    words = f"{standings.count('done'):,} of {len(standings):,}" + (f", {failed:,} failed" if failed else "")
    return TileNow(found.name, found.blocks, standings, words, "\n".join(found.errors[:3]), is_begun=True)


def _standing(standing: Standing, alive: bool) -> Standing:
    return "waiting" if standing == "running" and not alive else standing


def _whole(name: str, state: str) -> TileNow:
    words = {"up to date": "done", "running": "begins"}.get(state, state)
    return TileNow(name, WHOLE, (STANDINGS.get(state, "waiting"),), words)


def _numbers(block: Block) -> list[int]:
    return [block.row, block.col, block.height, block.width]
