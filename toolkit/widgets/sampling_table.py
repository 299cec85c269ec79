"""The table of classes of a sampling: polygons by role, and pixels available and drawn, as bars."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from toolkit.experiment.sampling_preview import ROLES

ROLE_COLOURS = {"train": "#0072b2", "test": "#e69f00", "left_out": "#cc79a7"}
"""Colours of Okabe and Ito, which people with any colour vision tell apart."""

ROLE_WORDS = {"train": "train", "test": "test", "left_out": "left out"}


OUTLINES = {"train": "solid", "test": "dashed", "left_out": "dotted"}
"""How the polygons of each role are outlined on the map, where their colour is that of their class."""


def outlines_html(roles: list[str]) -> str:
    """What the outlines on the map mean."""
    parts = "".join(
        f"<i style='border-top-style:{OUTLINES[role]}'></i>{OUTLINES[role]}: {ROLE_WORDS[role]}" for role in roles
    )
    return f"<span class='lc-quiet lc-outlines'>Outlines{parts}</span>"


def roles_of(table: pd.DataFrame) -> list[str]:
    """The roles that polygons have; those left out only where there are any."""
    return [role for role in ROLES if role != "left_out" or table["left_out"].any()]


def classes_html(table: pd.DataFrame, colours: Mapping[int, str] | None = None) -> str:
    """One row a class, and their sum.

    Args:
        table: as `Preview.table`.
        colours: code -> `#rrggbb` of its class, shown before its name; None where the map is not in these colours.
    """
    roles = roles_of(table)
    most = {
        "polygons": max(int(table[list(ROLES)].sum(axis=1).max()), 1),
        "pixels": max(int(table["available"].max()), 1),
    }
    tiles = list(table.columns[table.columns.get_loc("pixels") + 1 :])
    rows = "".join(_row(row, roles, tiles, most, _swatch(row, colours)) for row in table.to_dict("records"))
    head = (
        f"<th>Class</th><th colspan='2'>Polygons {_key(roles)}</th><th colspan='2'>Pixels drawn of those available</th>"
    )
    return f"<table class='lc-classes'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>{_foot(table, roles)}</table>"


def _row(row: dict[str, Any], roles: list[str], tiles: list[str], most: dict[str, int], swatch: str) -> str:
    counts = {role: int(row[role]) for role in roles}
    by_tile = " · ".join(f"{tile} {row[tile]:,}" for tile in tiles)
    state = "" if row["train"] else " class='lc-none'"
    return (
        f"<tr{state}><td>{swatch}{escape(row['label'])} <span class='lc-quiet'>{row['code']}</span></td>"
        f"<td class='lc-number'>{_counts(counts)}</td><td class='lc-bars'>{_stack(counts, most['polygons'])}</td>"
        f"<td class='lc-number' title='{escape(by_tile)}'>{_share(row)}</td>"
        f"<td class='lc-bars' title='{escape(by_tile)}'>{_drawn(row, most['pixels'])}</td></tr>"
    )


def _swatch(row: dict[str, Any], colours: Mapping[int, str] | None) -> str:
    return f"<i class='lc-colour' style='background:{colours[row['code']]}'></i>" if colours else ""


def _counts(counts: dict[str, int]) -> str:
    if not any(counts.values()):
        return "none"
    return " / ".join(f"{count:,}" for count in counts.values())


def _stack(counts: dict[str, int], most: int) -> str:
    parts = "".join(
        f"<i style='width:{100 * count / most:.2f}%;background:{ROLE_COLOURS[role]}'></i>"
        for role, count in counts.items()
        if count
    )
    return f"<div>{parts}</div>"


def _share(row: dict[str, Any]) -> str:
    if not row["available"]:
        return "none"
    return f"{row['pixels']:,} <span class='lc-quiet'>of {row['available']:,}</span>"


def _drawn(row: dict[str, Any], most: int) -> str:
    """The pixels that are available, those drawn before them, and a line at the cap."""
    if not row["available"]:
        return "<div></div>"
    cap = f"<u style='left:{100 * row['cap'] / most:.2f}%'></u>" if row["cap"] <= most else ""
    return (
        f"<div><b style='width:{100 * row['available'] / most:.2f}%'></b>"
        f"<s style='width:{100 * row['pixels'] / most:.2f}%'></s>{cap}</div>"
    )


def _key(roles: list[str]) -> str:
    words = " / ".join(f"<i style='background:{ROLE_COLOURS[role]}'></i>{ROLE_WORDS[role]}" for role in roles)
    return f"<span class='lc-roles'>{words}</span>"


def _foot(table: pd.DataFrame, roles: list[str]) -> str:
    counts = {role: int(table[role].sum()) for role in roles}
    classes = int((table["pixels"] > 0).sum())
    return (
        f"<tfoot><tr><td>{classes} class{'es' * (classes != 1)} to learn</td>"
        f"<td class='lc-number'>{_counts(counts)}</td><td></td>"
        f"<td class='lc-number'>{int(table['pixels'].sum()):,} "
        f"<span class='lc-quiet'>of {int(table['available'].sum()):,}</span></td><td></td></tr></tfoot>"
    )
