"""Spatially correlated random fields."""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

type Field = NDArray[np.float32]

_MARGIN = 1.25


def random_field(rng: np.random.Generator, size: int, range_cells: float, smoothness: float = 1.0) -> Field:
    """A Gaussian field of shape (size, size) with mean 0 and standard deviation 1 over its cells.

    Its spectral density is that of the Matern family (Stein 1999), (1/range^2 + k^2)^-(smoothness + 1), with the
    wave number k in radians per cell; ``range_cells`` is limited to a quarter of the field. Made by filtering white
    noise on a larger torus, so that opposite edges are not alike.
    """
    width = scipy.fft.next_fast_len(int(size * _MARGIN) + 8, real=True)
    white = rng.standard_normal((width, width), dtype=np.float32)
    length = min(range_cells, size / 4.0)
    rows = (2.0 * np.pi * scipy.fft.fftfreq(width))[:, None]
    cols = (2.0 * np.pi * scipy.fft.rfftfreq(width))[None, :]
    amplitude = (length**-2.0 + rows**2 + cols**2) ** (-0.5 * (smoothness + 1.0))
    spectrum = scipy.fft.rfft2(white) * amplitude.astype(np.float32)
    field = scipy.fft.irfft2(spectrum, s=(width, width))[:size, :size]
    return standardised(np.asarray(field, dtype=np.float32))


def standardised(field: Field) -> Field:
    """``field`` shifted and scaled to mean 0 and standard deviation 1."""
    scaled = (field - field.mean(dtype=np.float64)) / field.std(dtype=np.float64)
    return np.asarray(scaled, dtype=np.float32)


def mixture(*parts: tuple[float, Field]) -> Field:
    """The weighted sum of fields, standardised."""
    total = np.zeros_like(parts[0][1])
    for weight, field in parts:
        total += np.float32(weight) * field
    return standardised(total)


def upper_share(field: Field, share: float, among: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """True in the cells whose values are among the highest ``share`` (0 ... 1) of the cells ``among``."""
    values = field if among is None else field[among]
    chosen = field > np.quantile(values, 1.0 - share)
    return chosen if among is None else chosen & among
