"""What a cleaning did, step by step: a value that is shown, kept as JSON and read again."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal

Effect = Literal["removed", "changed"]

NUMBERS = re.compile(r"\[\n([-\d,\s]*)\n\s*\]")
"""A list of whole numbers as `json.dumps` writes it with an indent; no JSON string holds a line break."""


@dataclass(frozen=True)
class CleaningStep:
    """One step: which polygons it removed or changed."""

    name: str
    meaning: str
    effect: Effect
    ids: tuple[int, ...]
    """Numbers of the polygons (column `polygon`), as they were when the step began; none where it took every one."""
    every: int = 0
    """How many polygons there were, where the step took every one."""

    @property
    def count(self) -> int:
        return self.every or len(self.ids)

    def to_dict(self) -> dict[str, Any]:
        """The step for JSON: `ids` is `"all"` where it took every polygon."""
        ids = "all" if self.every else list(self.ids)
        return {"name": self.name, "meaning": self.meaning, "effect": self.effect, "ids": ids, "count": self.count}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> CleaningStep:
        """The step that `to_dict` described."""
        told = content["name"], content["meaning"], content["effect"]
        return cls(*told, (), content["count"]) if content["ids"] == "all" else cls(*told, tuple(content["ids"]))


@dataclass(frozen=True)
class CleaningReport:
    """What a cleaning did, step by step."""

    source: str
    """Name of the file."""
    before: int
    """Features in the file."""
    after: int
    """Polygons kept."""
    crs: str
    """CRS of the polygons kept."""
    steps: tuple[CleaningStep, ...]
    classes: dict[int, int]
    """Polygons kept of each class code."""
    tiles: dict[str, int]
    """Polygons kept of each tile."""

    def step(self, name: str) -> CleaningStep:
        """The step of this name."""
        return next(step for step in self.steps if step.name == name)

    @property
    def headline(self) -> str:
        """The cleaning in one line."""
        return f"{self.source}: {self.before:,} features, {self.after:,} polygons kept"

    def to_json(self) -> str:
        """The report as JSON text, the numbers of a step's polygons on one line."""
        content = {**asdict(self), "steps": [step.to_dict() for step in self.steps]}
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        return NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)

    @classmethod
    def from_json(cls, text: str) -> CleaningReport:
        """The report that `to_json` wrote."""
        content: dict[str, Any] = json.loads(text)
        steps = [CleaningStep.from_dict(step) for step in content["steps"]]
        classes = {int(code): count for code, count in content["classes"].items()}
        return cls(**{**content, "steps": tuple(steps), "classes": classes})

    def __repr__(self) -> str:
        told = [f"  {step.name}: {step.count:,} {step.effect} ({step.meaning})" for step in self.steps if step.count]
        return "\n".join(
            [f"CleaningReport({self.source}: {self.before:,} features, {self.after:,} polygons kept)", *told]
        )

    def _repr_html_(self) -> str:
        cells = "<tr><td style='text-align:left'>{}</td><td>{}</td><td>{:,}</td></tr>"
        rows = "".join(cells.format(escape(step.meaning), step.effect, step.count) for step in self.steps)
        head = "<tr><th>what</th><th>effect</th><th>polygons</th></tr>"
        return f"<table><caption>{escape(self.headline)}</caption>{head}{rows}</table>"
