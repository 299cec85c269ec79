"""The further sensors of a series as an input: a card for each, its parameters below one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets as W
from pydantic.fields import FieldInfo

from toolkit.ground.params import plain
from toolkit.series.sensors import SensorParams
from toolkit.widgets.picking import PickTags, PickText, Suggestion
from toolkit.widgets.rows_input import Row, RowsInput

FIELDS = SensorParams.model_fields
NAMES = list(FIELDS)
SOURCE, BANDS = NAMES.index("source"), NAMES.index("bands")
TAGS = ("bands", "indices", "select")
"""Parameters that are tags."""


class SensorCards(RowsInput):
    """A card for each sensor; one without a name or a source waits, and is not in `value`.

    Args:
        makers: name of each parameter that is no text with suggestions -> makes its widget.
    """

    def __init__(self, makers: Mapping[str, Any], **options: Any) -> None:
        self._sources: Sequence[Suggestion] = ()
        own = {"source": PickText, **dict.fromkeys(TAGS, PickTags)}
        columns = {name: partial(_explained, own.get(name) or makers[name], info) for name, info in FIELDS.items()}
        super().__init__(columns, ["name", "source"], **options)
        self.add.description = "Add a sensor"
        self.add_class("lc-cards")

    def suggest(self, sources: Sequence[Suggestion]) -> None:
        """Offer these sources; the meaning of each lists its bands, which are offered once it is chosen."""
        self._sources = sources
        for row in self._rows:
            self._offer(row)

    def _make(self, values: Row | None) -> list[Any]:
        row = super()._make(values)
        row[SOURCE].observe(lambda _: self._offer(row), "value")
        self._offer(row)
        return row

    def _offer(self, row: Sequence[Any]) -> None:
        row[SOURCE].suggest(self._sources)
        bands = next((one.meaning for one in self._sources if one.value == row[SOURCE].value), "")
        row[BANDS].suggest([Suggestion(one) for one in bands.split(", ") if one])

    def _box(self, place: int, row: Sequence[Any]) -> Any:
        lines = []
        for name, part in zip(NAMES, row, strict=True):
            said = name.replace("_", " ")
            needed = " *" if FIELDS[name].is_required() else ""
            lines.append(W.HBox([W.HTML(f"<span class='lc-quiet'>{said}{needed}</span>"), part]))
        remove = W.Button(
            description="Remove", icon="times", tooltip="Remove this sensor", layout=W.Layout(width="auto")
        )
        remove.on_click(lambda _: self.remove(place))
        card = W.VBox([*lines, remove])
        card.add_class("lc-card")
        return card

    def _lay_out(self, rows: Sequence[Row | None]) -> None:
        super()._lay_out(rows)
        self._head.layout.display = "none"  # each card names its parameters


def shown(values: Sequence[Any], show: Mapping[str, Any]) -> tuple[Row, ...]:
    """Sensors as the cards hold them.

    Args:
        show: name of each parameter -> from its value to its widget's.
    """
    sections = [{**dict.fromkeys(NAMES), **plain(one)} for one in values]
    return tuple(
        tuple(list(one[name] or ()) if name in TAGS else show[name](one[name]) for name in NAMES) for one in sections
    )


def read(rows: Sequence[Row], reads: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """What the cards hold as parameters; what is not set is left out.

    Raises:
        ValueError: a text makes no value, in words.
    """
    return tuple(
        {
            name: list(held) if name in TAGS else reads[name](held)
            for name, held in zip(NAMES, row, strict=True)
            if held not in (None, "", [], ())
        }
        for row in rows
    )


def _explained(make: Any, info: FieldInfo) -> Any:
    made = make()
    if isinstance(made, PickText | PickTags):
        made.explain(info.description or "")
    else:
        made.tooltip = info.description or ""
    return made
