"""The features of the regular grid in torch, beside the network: what `toolkit.series.fused` does on the processor.

Gap-filling by neighbours (linear, nearest, previous), the program of the indices, standardisation and layout, by
tensor operations only, so that a GPU is given raw images and gives back classes. Where the kernel walks over the
dates, this looks the last and the next usable date of every pixel up once (a cumulative maximum and minimum), and
gathers. The values are the kernel's within rounding.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch

from toolkit.features.reading import TileFeatures
from toolkit.features.regular import RegularFeatures
from toolkit.features.stack import FeatureStack
from toolkit.ground.bands import REFLECTANCE_SCALE
from toolkit.ground.errors import ParameterError
from toolkit.ground.grid import Block
from toolkit.learning.devices import free_on
from toolkit.series.arithmetic import DIFFERENCE_LEAST, DIFFERENCE_SCALE, SMALLEST, Code, Program
from toolkit.series.matrix import PLAIN, MatrixForm
from toolkit.series.methods import WAYS
from toolkit.series.team import Team

LOG = logging.getLogger(__name__)

PIXELS, FEWEST = 65536, 1024
"""Pixels at once at most, beyond which a GPU is not faster; and at least."""
FREE_SHARE = 0.5
"""Share of the free memory of a device that pixels are given: other workers begin at the same time."""

FEATURE_COPIES = 3
"""How often features are on a device at the peak: as computed, standardised, and in their place."""

Free = Callable[[torch.device], int | None]
"""Free bytes of a device, None where nobody tells."""


class DeviceStrips:
    """How many pixels a device is given at once: as its free memory allows, and half as many where that was too much.

    Shared by the workers of a process; in another it begins anew.

    Args:
        free: is asked before each part of a block.
        say: is told in words when there will be fewer.
    """

    def __init__(self, free: Free = free_on, say: Callable[[str], None] | None = None) -> None:
        self._free, self._say = free, say
        self._most, self._lock = 1 << 62, threading.Lock()

    def pixels(self, device: torch.device, each: int) -> int:
        """Pixels at once, where each takes so many bytes."""
        free, most = self._free(device), min(PIXELS, self._most)
        return most if free is None else min(most, max(FEWEST, int(FREE_SHARE * free) // each))

    def halve(self, failed: int, error: BaseException) -> bool:
        """Give fewer than the number that failed; whether that is the mend, and possible.

        Several workers may fail at once; the number is then halved once.
        """
        if not isinstance(error, torch.OutOfMemoryError):
            return False
        with self._lock:
            if self._most < failed:
                return True
            if failed <= FEWEST:
                return False
            self._most = max(FEWEST, failed // 2)
            words = str(error).splitlines()[0]
            text = (
                f"the GPU's memory did not suffice for {failed:,} pixels ({words}): {self._most:,} at once from now on"
            )
        LOG.warning(text)
        if self._say:
            self._say(text)
        return True

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]


def bytes_on_device(stack: FeatureStack, dates: int) -> int:
    """Memory that a pixel takes on a device at the peak, its images, its filled series and its features together."""
    bands, days, results = len(stack.on_grid.bands), len(stack.on_grid.days), stack.on_grid.program.results
    images = dates * (2 * bands + 1)
    neighbours = 8 * (4 * dates + 6 * days)
    filled = 4 * days * (bands + results + 4)
    return images + neighbours + filled + FEATURE_COPIES * 4 * days * (bands + results)


def goes_beside(stack: FeatureStack) -> bool:
    """Whether all features of a stack can be computed on a device: bands and indices of one sensor, by neighbours."""
    return stack.on_grid.at_once and not (stack.raw or stack.external or stack.others)


def strips_on_device(
    tile: TileFeatures, block: Block, team: Team, form: MatrixForm, device: torch.device, pixels: int = PIXELS
) -> Iterator[tuple[slice, torch.Tensor, np.ndarray, np.ndarray, np.ndarray]]:
    """As `TileFeatures.strips_for_map` gives them, with the features on a device, computed there from the images.

    Args:
        team: reads the files.
        pixels: at once, about; a row of the block at least.

    Raises:
        ProductError: a file cannot be read.
    """
    stack, rows = tile.stack, max(1, pixels // block.width)
    for strip in chain.from_iterable(tile.series.strips(block, team, rows)):
        values, validity = strip.load(team.buffer)
        images = torch.from_numpy(values.reshape(*values.shape[:2], -1)).to(device)
        usable = torch.from_numpy(validity.reshape(len(validity), -1)).to(device)
        features, clear = features_on_device(stack.on_grid, images, usable, tile.series.dates, form, stack.kept)
        counts = clear.cpu().numpy().astype(np.uint16).reshape(-1, block.width)
        yield strip.rows, features, counts, counts > 0, validity


@torch.inference_mode()
def features_on_device(
    regular: RegularFeatures,
    values: torch.Tensor,
    validity: torch.Tensor,
    dates: np.ndarray,
    form: MatrixForm = PLAIN,
    kept: np.ndarray | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the regular features of pixels, on the device where they are.

    Args:
        values: (date, band, pixel) int16, reflectance x 10000.
        validity: (date, pixel) bool.
        dates: (date,) ascending datetime64[D].
        form: standardised or not; bfloat16 gives a tensor of that type.
        kept: positions of the features that are wanted, ascending; None for all.

    Returns:
        features: (feature, pixel) float32 or bfloat16, as `FeatureStack.compute` gives them.
        clear: (pixel,) int32, number of usable dates; 0 too where no day of the grid is left by `max_gap_days`.

    Raises:
        ParameterError: the gap-filling is not by neighbours, or is to be as iota2's, to the bit.
    """
    if not regular.at_once:
        method = f"{regular.gap_filling.method}{' as iota2' if regular.as_iota2 else ''}"
        raise ParameterError(
            f"series.gap_filling = {method} is computed on the processor only; choose "
            f"{', '.join(WAYS)}, without features.compatibility, to compute on a device"
        )
    count = len(regular) if kept is None else len(kept)
    dtype = torch.bfloat16 if form.bfloat16 else torch.float32
    out = torch.empty((count, values.shape[2]), dtype=dtype, device=values.device)
    clear = torch.empty(values.shape[2], dtype=torch.int32, device=values.device)
    for start in range(0, values.shape[2], PIXELS):
        part = slice(start, start + PIXELS)
        features, clear[part] = _compute(regular, values[..., part], validity[:, part], dates, kept)
        if not form.plain:
            mean, inverse = (torch.from_numpy(one).to(values.device)[:, None] for one in form.scaling(count))
            features = (features - mean) * inverse
        out[:, part] = features
    return out, clear


def _compute(
    regular: RegularFeatures, values: torch.Tensor, validity: torch.Tensor, dates: np.ndarray, kept: np.ndarray | None
) -> tuple[torch.Tensor, torch.Tensor]:
    filled, clear = _fill(regular, values, validity.bool(), dates)
    registers = dict(enumerate(filled.unbind(1)))  # each (output date, pixel)
    run_program(regular.program, registers)
    bands, results = len(regular.bands), regular.program.results
    indices = [registers[bands + i].masked_fill(clear == 0, 0) for i in range(results)]
    features = torch.cat([filled.flatten(0, 1), *indices])
    return (features if kept is None else features[torch.from_numpy(kept).to(features.device)]), clear


def _fill(
    regular: RegularFeatures, values: torch.Tensor, validity: torch.Tensor, dates: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """Filled (output date, band, pixel) float32, and clear dates (pixel,)."""
    device, count, pixels = values.device, len(dates), values.shape[2]
    outputs, origin = regular.days, regular.days[0]
    if count == 0:
        shape = (len(outputs), values.shape[1], pixels)
        return torch.zeros(shape, device=device), torch.zeros(pixels, dtype=torch.int32, device=device)
    days, grid = (
        torch.from_numpy((one.astype("datetime64[D]") - origin).astype(np.int32)).to(device) for one in (dates, outputs)
    )
    seen = torch.searchsorted(days, grid, right=True)
    before, after = _neighbours(validity, seen)
    has_before, has_after = before >= 0, after < count
    first = torch.where(has_before, before, after).clamp(max=count - 1)
    second = torch.where(has_after, after, before).clamp(min=0)
    today = grid[:, None]
    length = (days[second] - days[first]).clamp(min=1).float()
    share = torch.where(has_before & has_after, (today - days[first]).float() / length, 0.0)
    threshold = WAYS[regular.gap_filling.method]
    if threshold is not None:
        share = (share > float(threshold)).float()
    clear, alive = validity.sum(0, dtype=torch.int32), has_before | has_after
    longest = regular.gap_filling.max_gap_days
    if longest is not None:
        since = torch.where(has_before, days[first], grid[0])
        until = torch.where(has_after, days[second], grid[-1])
        alive &= (has_before & (days[first] == today)) | (until - since <= longest)
        clear = torch.where(alive.any(0), clear, 0)
    filled = torch.empty((len(outputs), values.shape[1], pixels), device=device)
    for band, target in zip(values.unbind(1), filled.unbind(1), strict=True):
        low, high = band.gather(0, first).float(), band.gather(0, second).float()
        target.copy_(torch.where(alive, low + share * (high - low), 0.0))
    return filled, clear


def _neighbours(validity: torch.Tensor, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Position of the last usable date before each output date, -1 for none, and of the next one, `count` for none.

    Args:
        validity: (date, pixel) bool.
        seen: (output date,) int64, how many dates are on or before it.
    """
    count = len(validity)
    place = torch.arange(count, device=validity.device)[:, None]
    last = torch.where(validity, place, -1).cummax(0).values
    following = torch.where(validity, place, count).flip(0).cummin(0).values.flip(0)
    edge = torch.ones((1, validity.shape[1]), dtype=torch.int64, device=validity.device)
    return torch.cat([-edge, last])[seen], torch.cat([following, count * edge])[seen]


def run_program(program: Program, registers: dict[int, torch.Tensor]) -> None:
    """Run a program on registers: at first the bands, at the end the results too; each any shape, float32."""
    for target, plus, minus in program.differences.tolist():
        total = registers[plus] + registers[minus]
        fine = total.abs() >= float(DIFFERENCE_LEAST)
        quotient = float(DIFFERENCE_SCALE) * (registers[plus] - registers[minus]) / torch.where(fine, total, 1.0)
        registers[target] = torch.where(fine, quotient, 0.0)
    if program.norm is not None:
        squares = sum(registers[band] * registers[band] for band in range(program.bands))
        registers[program.norm] = torch.as_tensor(squares).sqrt()
    if program.steps is None:
        return
    some = registers[0]
    for (code, target, first, second), number in zip(program.steps.tolist(), program.numbers.tolist(), strict=True):
        if code == Code.NUMBER:
            registers[target] = torch.full_like(some, number)
        elif code == Code.RESULT:
            value = registers[first] * number
            registers[target] = torch.where(value.isfinite(), value, 0.0)
        else:
            registers[target] = STEPS[Code(code)](registers[first], registers.get(second, some))


def _divide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a / torch.where(b.abs() >= float(SMALLEST), b, torch.nan)


STEPS: dict[Code, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    Code.BAND: lambda a, _: a / REFLECTANCE_SCALE,
    Code.ADD: torch.add,
    Code.SUBTRACT: torch.sub,
    Code.MULTIPLY: torch.mul,
    Code.DIVIDE: _divide,
    Code.POWER: torch.pow,
    Code.SQUARE: lambda a, _: a * a,
    Code.NEGATE: lambda a, _: -a,
    Code.SQRT: lambda a, _: a.sqrt(),
    Code.ABS: lambda a, _: a.abs(),
    Code.EXP: lambda a, _: a.exp(),
    Code.LOG: lambda a, _: torch.where(a > 0, a, torch.nan).log(),
    Code.MIN: torch.minimum,
    Code.MAX: torch.maximum,
}
"""What each step does with its two values."""
