"""From indices to a program of arithmetic: which registers, which steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from toolkit.features.formula import TWO, Formula
from toolkit.features.indices import Index, band_of, check_indices, index_of
from toolkit.series.arithmetic import Code, Program


def program_of(names: Sequence[str | Index], bands: Sequence[str]) -> Program:
    """The program of these indices, in their order.

    Args:
        names: indices, as an experiment names or defines them.
        bands: name of each band.

    Raises:
        ParameterError: an index is not known, or its bands are not there.
    """
    check_indices(names, bands)
    indices, first = [index_of(name) for name in names], len(bands)
    differences, norm, writer = [], None, _Writer(bands, first + len(indices))
    for place, index in enumerate(indices, start=first):
        if index.formula:
            writer.write(index.formula, place, index.scale)
        elif index.roles:
            differences.append((place, *(band_of(role, bands) for role in index.roles)))
        else:
            norm = place
    return Program(
        len(bands),
        len(indices),
        np.array(differences, np.int64).reshape(-1, 3),
        norm,
        np.array(writer.steps, np.int64) if writer.steps else None,
        np.array(writer.numbers, np.float32),
        writer.registers,
    )


@dataclass
class _Writer:
    """Writes formulas as steps. The target of a step is never one of its values: such loops are quicker."""

    bands: Sequence[str]
    registers: int
    """So many are spoken for."""
    steps: list[tuple[int, int, int, int]] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    """Register of the reflectance from 0 to 1 of each band that a formula used."""
    free: list[int] = field(default_factory=list)

    def write(self, formula: Formula, place: int, scale: float) -> None:
        """Steps that leave the formula's value, times `scale`, in the register `place`."""
        stack: list[int] = []
        for step in formula.steps:
            if step.code is Code.BAND:
                stack.append(self._band(step.band))
            elif step.code is Code.NUMBER:
                stack.append(self._take())
                self._add(Code.NUMBER, stack[-1], number=step.number)
            else:
                second = stack.pop() if step.code in TWO else 0
                first, target = stack.pop(), self._take()
                self._add(step.code, target, first, second)
                self._give_back(first, *([second] if step.code in TWO else []))
                stack.append(target)
        self._add(Code.RESULT, place, stack[0], number=scale)
        self._give_back(stack[0])

    def _band(self, band: str) -> int:
        if band not in self.kept:
            self.kept[band] = self._new()
            self._add(Code.BAND, self.kept[band], list(self.bands).index(band))
        return self.kept[band]

    def _add(self, code: Code, target: int, first: int = 0, second: int = 0, number: float = 0.0) -> None:
        self.steps.append((code, target, first, second))
        self.numbers.append(number)

    def _take(self) -> int:
        return self.free.pop() if self.free else self._new()

    def _new(self) -> int:
        self.registers += 1
        return self.registers - 1

    def _give_back(self, *registers: int) -> None:
        self.free += [one for one in set(registers) if one not in self.kept.values()]
