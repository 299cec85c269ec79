"""Smooth random fields: the stuff of clouds, hills, soils and the texture of fields.

A field is white noise filtered in the frequency domain. The Fourier transform makes it periodic, so it may be
shifted by rolling it.
"""

from __future__ import annotations

import numpy as np


def gaussian_field(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Noise smoothed by a Gaussian of `scale` pixels, float32 of this shape, mean 0 and standard deviation 1."""
    return _filtered(rng, shape, np.exp(-2 * (np.pi * scale * _frequency(shape)) ** 2))


def fractal_field(rng: np.random.Generator, shape: tuple[int, int], largest: float, slope: float = 1.6) -> np.ndarray:
    """Noise whose amplitude falls as frequency to the power `slope`, float32, mean 0 and standard deviation 1.

    Clouds and terrain have such spectra (Lovejoy 1982, Science 216: area and perimeter of clouds).

    Args:
        largest: size in pixels of the largest forms; the spectrum is flat beyond.
    """
    return _filtered(rng, shape, np.maximum(_frequency(shape), 1 / largest) ** -slope)


def blur(field: np.ndarray, scale: float) -> np.ndarray:
    """A field (y, x) smoothed by a Gaussian of `scale` pixels, float32; its edges are taken as periodic."""
    gain = np.exp(-2 * (np.pi * scale * _frequency(field.shape)) ** 2)  # type: ignore[arg-type]
    return np.fft.irfft2(np.fft.rfft2(field) * gain, s=field.shape).astype(np.float32)


def smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high`, a smooth cubic between, float32."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _frequency(shape: tuple[int, int]) -> np.ndarray:
    """Cycles a pixel of each coefficient of `rfft2`."""
    return np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])


def _filtered(rng: np.random.Generator, shape: tuple[int, int], gain: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft2(rng.standard_normal(shape, dtype=np.float32)) * gain
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=shape)
    return (field / max(float(field.std()), 1e-12)).astype(np.float32)
