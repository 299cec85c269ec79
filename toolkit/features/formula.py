"""Formulas of spectral indices, as text: `(B8 - B4) / (B8 + B4 + 0.5)`.

They know bands, numbers, `+ - * / **`, parentheses, and the functions below; nothing of a formula is run as Python.
Which bands there are is the source's to say (`check_bands_of`). A formula becomes steps that take their values from a
stack, and in `programs` a program of `series.arithmetic`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from toolkit.ground.bands import BAND_NAMES
from toolkit.ground.errors import ParameterError, did_you_mean
from toolkit.series.arithmetic import Code

LONGEST = 500
"""Characters of a formula."""
DEEPEST = 30
"""Parentheses and signs one in another, and values that wait for others."""


FUNCTIONS = {
    "sqrt": (Code.SQRT, 1),
    "abs": (Code.ABS, 1),
    "exp": (Code.EXP, 1),
    "log": (Code.LOG, 1),
    "min": (Code.MIN, 2),
    "max": (Code.MAX, 2),
}
"""Name of each function to its code and number of values; `log` is the natural logarithm."""

SUMS = {"+": Code.ADD, "-": Code.SUBTRACT}
PRODUCTS = {"*": Code.MULTIPLY, "/": Code.DIVIDE}
TWO = frozenset({*SUMS.values(), *PRODUCTS.values(), Code.POWER, Code.MIN, Code.MAX})
"""Codes that take two values."""

TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z]\w*)|(?P<sign>\*\*|[-+*/(),]))"
)
BAND = re.compile(r"(?<![\w.])[A-Za-z]\w*+(?!\s*\()")
"""A name that is no function's."""


@dataclass(frozen=True)
class Step:
    """One instruction: a code, and the band or the number of the first two."""

    code: Code
    band: str = ""
    number: float = 0.0


@dataclass(frozen=True)
class Formula:
    """A formula that was understood."""

    text: str
    steps: tuple[Step, ...] = field(repr=False)

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that it needs: those of Sentinel-2 in their order, then others as they come."""
        used = dict.fromkeys(step.band for step in self.steps if step.code is Code.BAND)
        known = [band for band in BAND_NAMES if band in used]
        return (*known, *(band for band in used if band not in known))

    @property
    def depth(self) -> int:
        """Values that stand on the stack at most."""
        height = most = 0
        for step in self.steps:
            height += 1 if step.code in (Code.BAND, Code.NUMBER) else -1 if step.code in TWO else 0
            most = max(most, height)
        return most


def parse_formula(text: str, start: int = 0) -> Formula:
    """Understand a formula.

    Args:
        text: the formula, or a line that holds it from `start` to its end.

    Raises:
        ParameterError: it is none; the message says why and points at the character.
    """
    if len(text) > LONGEST:
        raise ParameterError(f"a formula has at most {LONGEST} characters, this one {len(text)}")
    reader = _Reader(text, start)
    reader.expression(0)
    if reader.kind != "end":
        raise reader.refusal(f"{reader.token!r} is not expected here; an operator such as + is missing")
    formula = Formula(text[start:].strip(), tuple(reader.steps))
    if not formula.bands:
        raise reader.refusal("a formula needs at least one band, such as B8", start)
    if formula.depth > DEEPEST:
        raise reader.refusal(f"more than {DEEPEST} values wait for others; write it with fewer parentheses", start)
    return formula


def check_bands_of(text: str, bands: Collection[str], start: int = 0) -> None:
    """Refuse a formula that names what is no band.

    Args:
        text, start: as of `parse_formula`, which understood it.
        bands: what may be named; capitals make no difference.

    Raises:
        ParameterError: the message points at the first.
    """
    known = {band.lower() for band in bands}
    for match in BAND.finditer(text, start):
        if match[0].lower() not in known:
            raise pointed(text, match.start(), f"{match[0]!r} is not a band{did_you_mean(match[0], bands)}")


def with_bands(formula: Formula, bands: Mapping[str, tuple[str, float]]) -> Formula:
    """A formula of other bands.

    Args:
        bands: name of each band of the formula -> the band to take, and what its reflectance from 0 to 1 would have to
            be multiplied by to be in its unit.
    """

    def taken(step: Step) -> list[Step]:
        if step.code is not Code.BAND:
            return [step]
        name, factor = bands[step.band]
        unit = [] if factor == 1 else [Step(Code.NUMBER, number=factor), Step(Code.MULTIPLY)]
        return [Step(Code.BAND, band=name), *unit]

    names = {band.lower(): name for band, (name, _) in bands.items()}
    text = BAND.sub(lambda match: names[match[0].lower()], formula.text)
    return Formula(text, tuple(new for step in formula.steps for new in taken(step)))


def pointed(text: str, position: int, problem: str) -> ParameterError:
    """An error that shows a line, and under it the character that it is about."""
    return ParameterError(f"at character {position + 1}, {problem}\n    {text}\n    {' ' * position}^")


class _Reader:
    """Reads a formula from left to right, one token ahead, and writes the program."""

    def __init__(self, text: str, start: int) -> None:
        self.text, self.steps = text, list[Step]()
        self.kind, self.token, self.place, self._next = "", "", start, start
        self.advance()

    def advance(self) -> None:
        """Go to the next token."""
        rest = len(self.text) - len(self.text[self._next :].lstrip())
        if rest == len(self.text):
            self.kind, self.token, self.place = "end", "", len(self.text.rstrip())
            return
        match = TOKEN.match(self.text, self._next)
        if match is None:
            raise pointed(
                self.text, rest, f"{self.text[rest]!r} has no meaning in a formula{_instead(self.text[rest])}"
            )
        assert match.lastgroup is not None
        self.kind, self.token = match.lastgroup, match[match.lastgroup]
        self.place, self._next = match.start(match.lastgroup), match.end()

    def refusal(self, problem: str, position: int | None = None) -> ParameterError:
        """An error at the present token."""
        return pointed(self.text, self.place if position is None else position, problem)

    def expression(self, depth: int) -> None:
        """Products joined by + and -."""
        self._joined(SUMS, self._product, depth)

    def _product(self, depth: int) -> None:
        """Signed values joined by * and /."""
        self._joined(PRODUCTS, self._signed, depth)

    def _joined(self, codes, part, depth: int) -> None:  # type: ignore[no-untyped-def]
        part(depth)
        while self.kind == "sign" and self.token in codes:
            code = codes[self.token]
            self.advance()
            part(depth)
            self.steps.append(Step(code))

    def _signed(self, depth: int) -> None:
        if self.kind == "sign" and self.token in SUMS:
            negative = self.token == "-"
            self.advance()
            self._signed(self._deeper(depth))
            if negative:
                self.steps.append(Step(Code.NEGATE))
            return
        self._power(depth)

    def _power(self, depth: int) -> None:
        """A value, and what it is raised to; `-B4 ** 2` is `-(B4 ** 2)`, and `B4 ** 2 ** 3` is `B4 ** (2 ** 3)`."""
        self._value(depth)
        if (self.kind, self.token) != ("sign", "**"):
            return
        self.advance()
        begun = len(self.steps)
        self._signed(self._deeper(depth))
        short = {2.0: Code.SQUARE, 0.5: Code.SQRT}
        exponent = self.steps[begun:]
        if len(exponent) == 1 and exponent[0].code is Code.NUMBER and exponent[0].number in short:
            self.steps[begun:] = [Step(short[exponent[0].number])]
        else:
            self.steps.append(Step(Code.POWER))

    def _value(self, depth: int) -> None:
        kind, token, place = self.kind, self.token, self.place
        if kind == "end":
            raise self.refusal("the formula ends too early; a band or a number is missing")
        if kind == "sign" and token != "(":
            raise self.refusal(f"a band or a number is missing before {token!r}")
        self.advance()
        if kind == "number":
            self.steps.append(Step(Code.NUMBER, number=float(token)))
        elif kind == "sign":
            self.expression(self._deeper(depth))
            self._close(place)
        elif (self.kind, self.token) == ("sign", "("):
            self._call(token, place, depth)
        elif token in FUNCTIONS:
            raise self.refusal(f"{token!r} is not a band; its values stand in parentheses after it", place)
        else:
            self.steps.append(Step(Code.BAND, band=token.upper() if token.upper() in BAND_NAMES else token))

    def _call(self, name: str, place: int, depth: int) -> None:
        if name not in FUNCTIONS:
            raise self.refusal(f"{name!r} is not a function{did_you_mean(name, FUNCTIONS)}", place)
        code, wanted = FUNCTIONS[name]
        opened, given = self.place, 0
        while given == 0 or (self.kind, self.token) == ("sign", ","):
            self.advance()
            self.expression(self._deeper(depth))
            given += 1
        self._close(opened)
        if given != wanted:
            raise self.refusal(f"{name} takes {wanted} value{'s' * (wanted > 1)}, not {given}", place)
        self.steps.append(Step(code))

    def _close(self, opened: int) -> None:
        if (self.kind, self.token) != ("sign", ")"):
            if self.kind == "end":
                raise self.refusal("this parenthesis is never closed", opened)
            raise self.refusal(f"{self.token!r} is not expected here; an operator such as + is missing")
        self.advance()

    def _deeper(self, depth: int) -> int:
        if depth >= DEEPEST:
            raise self.refusal(f"the formula is nested more than {DEEPEST} deep")
        return depth + 1


def _instead(sign: str) -> str:
    return {"^": "; write ** for a power", "=": "; one = stands between the name and the formula"}.get(sign, "")
