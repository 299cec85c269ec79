"""Every method of gap-filling once more: slow, obvious, float64, one pixel and one band at a time."""

from __future__ import annotations

import numpy as np


def usable(dates: np.ndarray, values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Usable days, each once, and the mean of the values on it."""
    days = np.unique(dates[valid])
    return days.astype(float), np.array([values[valid & (dates == day)].astype(float).mean() for day in days])


def linear(dates: np.ndarray, values: np.ndarray, valid: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Straight from the definition; of two dates of a day the later counts from that day on."""
    if not valid.any():
        return np.zeros(len(outputs))
    x, y = dates[valid].astype(float), values[valid].astype(float)
    result = []
    for day in outputs:
        before, after = np.flatnonzero(x <= day), np.flatnonzero(x > day)
        if len(before) and len(after):
            i, k = before[-1], after[0]
            result.append(y[i] + (y[k] - y[i]) * (day - x[i]) / (x[k] - x[i]))
        else:
            result.append(y[before[-1]] if len(before) else y[after[0]])
    return np.array(result)


def nearest(dates: np.ndarray, values: np.ndarray, valid: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    x, y = dates[valid], values[valid].astype(float)
    result = []
    for day in outputs if len(x) else ():
        before, after = np.flatnonzero(x <= day), np.flatnonzero(x > day)
        if not len(after) or (len(before) and day - x[before[-1]] <= x[after[0]] - day):
            result.append(y[before[-1]])
        else:
            result.append(y[after[0]])
    return np.array(result) if len(x) else np.zeros(len(outputs))


def previous(dates: np.ndarray, values: np.ndarray, valid: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    x, y = dates[valid], values[valid].astype(float)
    return np.array([(y[x <= day][-1] if (x <= day).any() else y[0]) if len(x) else 0.0 for day in outputs])


def akima(dates: np.ndarray, values: np.ndarray, valid: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Akima 1970, equations 1 to 9, as written there."""
    x, y = usable(dates, values, valid)
    if len(x) < 3:
        return np.interp(outputs, x, y) if len(x) else np.zeros(len(outputs))
    m = list(np.diff(y) / np.diff(x))
    m = [3 * m[0] - 2 * m[1], 2 * m[0] - m[1], *m, 2 * m[-1] - m[-2], 3 * m[-1] - 2 * m[-2]]
    slope = []
    for i in range(len(x)):
        m1, m2, m3, m4 = m[i : i + 4]
        w2, w3 = abs(m4 - m3), abs(m2 - m1)
        slope.append((m2 + m3) / 2 if w2 + w3 == 0 else (w2 * m2 + w3 * m3) / (w2 + w3))
    result = []
    for day in np.clip(outputs, x[0], x[-1]):
        i = min(int(np.searchsorted(x, day, side="right")) - 1, len(x) - 2)
        h, u = x[i + 1] - x[i], day - x[i]
        p2 = (3 * (y[i + 1] - y[i]) / h - 2 * slope[i] - slope[i + 1]) / h
        p3 = (slope[i] + slope[i + 1] - 2 * (y[i + 1] - y[i]) / h) / h**2
        result.append(y[i] + slope[i] * u + p2 * u**2 + p3 * u**3)
    return np.array(result)


def whittaker(
    dates: np.ndarray, values: np.ndarray, valid: np.ndarray, outputs: np.ndarray, smoothing: float
) -> np.ndarray:
    """Eilers 2003: the whole system, one unknown for each day, solved densely."""
    if not valid.any():
        return np.zeros(len(outputs))
    x, y = dates[valid], values[valid].astype(float)
    days = np.arange(x.min(), x.max() + 1)
    weights, sums = np.zeros(len(days)), np.zeros(len(days))
    np.add.at(weights, x - days[0], 1)
    np.add.at(sums, x - days[0], y)
    if len(days) > 2 and len(np.unique(x)) > 1:
        bends = np.diff(np.eye(len(days)), 2, axis=0)
        smooth = np.linalg.solve(np.diag(weights) + smoothing * bends.T @ bends, sums)
    else:
        smooth = sums / np.maximum(weights, 1)
    return np.interp(outputs, days, smooth)


def savitzky_golay(
    dates: np.ndarray, values: np.ndarray, valid: np.ndarray, outputs: np.ndarray, window: int, order: int
) -> np.ndarray:
    """A polynomial fitted around each output date, on the linearly filled grid."""
    step, half = (int(outputs[1] - outputs[0]) if len(outputs) > 1 else 1), window // 2
    place = np.arange(-half, half + 1)
    fitted = [np.polyfit(place, linear(dates, values, valid, day + step * place), order)[-1] for day in outputs]
    return np.array(fitted)


def periods(dates: np.ndarray, valid: np.ndarray, outputs: np.ndarray) -> list[np.ndarray]:
    """Positions of the usable dates of each period."""
    ends = [*outputs[1:], 2 * outputs[-1] - outputs[-2] if len(outputs) > 1 else np.inf]
    return [np.flatnonzero(valid & (dates >= a) & (dates < b)) for a, b in zip(outputs, ends, strict=True)]


def bridged(composites: list[float | None], outputs: np.ndarray) -> np.ndarray:
    """Composites of the periods, None where there is none; those are filled linearly."""
    found = [i for i, value in enumerate(composites) if value is not None]
    if not found:
        return np.zeros(len(outputs))
    return np.interp(outputs, outputs[found], [composites[i] for i in found])


def gap_at(dates: np.ndarray, valid: np.ndarray, day: int, first: int, last: int) -> int:
    """Days between the usable dates around a day; an end of the period stands in where there is none."""
    x = dates[valid]
    if day in x:
        return 0
    before, after = x[x <= day], x[x > day]
    return int((after[0] if len(after) else last) - (before[-1] if len(before) else first))
