"""Change values in a YAML text that a person wrote: everything else stays as it was, to the byte.

A library that loads and writes a document anew keeps comments, but not indentation, aligned columns or a table in
braces over several lines. Here the document is only read, for the place of each value; what changes is cut out and
written anew in that place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from toolkit.ground.documents import constructed


@dataclass(frozen=True, order=True)
class _Edit:
    """Text that takes the place of `text[start:end]`. Of two at one place the deeper one comes first in the text."""

    start: int
    shallowness: int
    end: int = field(compare=False)
    new: str = field(compare=False)


def revise_yaml(text: str, changes: Mapping[str, Any]) -> str:
    """The text with other values; keys that it lacks are added to their section.

    Where values are shared (anchors, aliases) others may change too: read the result and compare.

    Args:
        text: a mapping.
        changes: dotted path -> value made of what YAML knows.

    Raises:
        yaml.YAMLError: the text is no mapping.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise yaml.YAMLError("a mapping is needed")
    edits: list[_Edit] = []
    absent: dict[int, tuple[yaml.Node, int, dict[str, Any]]] = {}
    for path, value in changes.items():
        keys = path.split(".")
        node, missing = _descend(root, keys)
        if missing:
            _put(absent.setdefault(id(node), (node, len(keys) - len(missing), {}))[2], missing, value)
        else:
            edits.append(_replacement(text, node, value))
    edits += [_insertion(text, node, depth, entries) for node, depth, entries in absent.values()]
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.new + text[edit.end :]
    return text


def _descend(node: yaml.Node, keys: Sequence[str]) -> tuple[yaml.Node, list[str]]:
    """The node at a path, or the deepest that there is with the keys that are missing below it."""
    for position, key in enumerate(keys):
        inside = node.value if isinstance(node, yaml.MappingNode) else []
        found = next((value for name, value in inside if name.value == key), None)
        if found is None:
            return node, list(keys[position:])
        node = found
    return node, []


def _put(entries: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        entries = entries.setdefault(key, {})
    entries[keys[-1]] = value


def _replacement(text: str, node: yaml.Node, value: Any) -> _Edit:
    start, end = node.start_mark.index, _end(text, node)
    kind = dict if isinstance(node, yaml.MappingNode) else list
    if value and isinstance(value, kind) and isinstance(node, yaml.CollectionNode) and not node.flow_style:
        return _Edit(start, 0, _line_end(text, end), _rows(text, node, value))
    new = _flow(value)
    return _Edit(start, 0, end, new if start < end else f" {new}")


def _rows(text: str, node: yaml.Node, value: Any) -> str:
    """A value over several lines: rows that are as before keep their text, with the comments beside and above it."""
    indent = " " * node.start_mark.column
    before = _rows_before(text, node)
    entries = value.items() if isinstance(value, dict) else ((None, one) for one in value)
    rows = [
        before.get((key, _flow(one)), indent + (f"- {_flow(one)}" if key is None else f"{_flow(key)}: {_flow(one)}"))
        for key, one in entries
    ]
    return _newline(text).join(rows).lstrip()


def _rows_before(text: str, node: yaml.Node) -> dict[tuple[Any, str], str]:
    """(key, value) -> the lines of a row of a value over several lines; key None in a sequence."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else [(None, one) for one in node.value]
    rows, start = {}, node.start_mark.index - node.start_mark.column
    for key, value in pairs:
        end = _line_end(text, _end(text, value))
        rows[None if key is None else constructed(key), _flow(constructed(value))] = text[start:end]
        start = end + len(_newline(text))
    return rows


def _insertion(text: str, node: yaml.Node, depth: int, entries: dict[str, Any]) -> _Edit:
    """New keys at the end of a section."""
    if not isinstance(node, yaml.MappingNode) or not node.value:
        return _replacement(text, node, entries)
    end = _end(text, node.value[-1][1])
    rows = [f"{_flow(key)}: {_flow(value)}" for key, value in entries.items()]
    if node.flow_style:
        return _Edit(end, -depth, end, "".join(f", {row}" for row in rows))
    end, before = _line_end(text, end), _newline(text) + " " * node.start_mark.column
    return _Edit(end, -depth, end, "".join(before + row for row in rows))


def _end(text: str, node: yaml.Node) -> int:
    """Where the text of a node ends; the parser counts what follows to a value over several lines."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    start, end = node.start_mark.index, node.end_mark.index
    return start + len(text[start:end].rstrip())


def _line_end(text: str, position: int) -> int:
    """The end of the line, its comment included."""
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return end - 1 if text[end - 1 : end] == "\r" else end


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _flow(value: Any) -> str:
    """A value on one line, such that it may stand within brackets."""
    listed = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=2**30)
    return listed.strip()[1:-1]
