"""Multi-resolution valley bottom and ridge top flatness, after Gallant and Dowling (2003).

Gallant, J. C. and Dowling, T. I. (2003): A multiresolution index of valley bottom flatness for mapping depositional
areas. Water Resources Research 39, 1347. https://doi.org/10.1029/2002WR001426

A cell is valley bottom at a scale where it is flat and low within its surroundings. Each coarser scale asks for half
the slope in cells three times as wide; the index counts the scales: below 0.5 no valley bottom, 1 a small steep one,
each further step a broader and flatter one. What is as in the paper: thresholds, exponents, percentile in a disc of 3
(finest) or 6 cells, flatness of the finer scales carried on, weights of the steps. What is not: the first threshold
follows from the cell size (16 % at 25 m, halved for each factor of 3), the smoothing before cells are widened is a
Gaussian of 11 x 11 cells with a standard deviation of 3, and missing cells are left out of every mean.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cup4soil.methods.flow_kernels import share_lower
from cup4soil.methods.terrain import slope_percent

type Array = NDArray[np.float32]

_WIDER = 3
_FIRST_SLOPE_PERCENT, _AT_CELL_M = 16.0, 25.0
_LEAST_CELLS = 13
MAX_SCALES = 8


def flatness_of_valleys_and_ridges(elevation: Array, cell_m: float) -> tuple[Array, Array]:
    """MRVBF and MRRTF of ``elevation`` (m), (rows, columns); both are numbers from 0, NaN where elevation is.

    As many scales as the model is wide enough for, 8 at most.
    """
    scales = scales_of((elevation.shape[0], elevation.shape[1]))
    first = _FIRST_SLOPE_PERCENT * 2 ** (-math.log(cell_m / _AT_CELL_M, _WIDER))
    shape = (elevation.shape[0], elevation.shape[1])
    # Slopes are those of valleys and ridges alike; ridges are what is high where valleys are low.
    valley = ridge = np.zeros(shape, dtype=np.float32)
    together: Array | None = None
    height, cell, widening = elevation.astype(np.float32), cell_m, 1
    for scale in range(1, scales + 1):
        if scale > 2:
            height, cell, widening = _coarser(height), cell * _WIDER, widening * _WIDER
        flat = _decline(slope_percent(height, cell), first / 2 ** (scale - 1), 4)
        flat = _finer(flat, widening, shape)
        together = flat if together is None else together * flat
        lower = _finer(share_lower(height, 3 if scale == 1 else 6), widening, shape)
        valley = _step(valley, together * _decline(lower, 0.4, 3), scale)
        ridge = _step(ridge, together * _decline(1 - lower, 0.4, 3), scale)
    missing = np.isnan(elevation)
    return np.where(missing, np.float32(np.nan), valley), np.where(missing, np.float32(np.nan), ridge)


def scales_of(shape: tuple[int, int]) -> int:
    """How many scales an elevation model of this shape is wide enough for: a disc of 6 cells has to fit."""
    scales, edge = 2, min(shape) // _WIDER
    while edge >= _LEAST_CELLS and scales < MAX_SCALES:
        scales, edge = scales + 1, edge // _WIDER
    return scales


def _decline(x: Array, half: float, power: float) -> Array:
    """1 for small ``x``, 1/2 at ``half``, 0 for large ones (equation 1)."""
    return np.asarray(1 / (1 + (x / np.float32(half)) ** np.float32(power)), dtype=np.float32)


def _step(index: Array, flat_and_low: Array, scale: int) -> Array:
    """The index with one more scale (equations 8 to 11)."""
    found = 1 - _decline(flat_and_low, 0.3, 4)
    if scale == 1:
        return found
    power = math.log((scale - 0.5) / 0.1) / math.log(1.5)
    weight = 1 - _decline(found, 0.4, power)
    return np.asarray(weight * (scale - 1 + found) + (1 - weight) * index, dtype=np.float32)


def _coarser(height: Array) -> Array:
    """Smoothed, then the mean of 3 x 3 cells; of cells that are missing nothing is taken."""
    known = np.isfinite(height)
    blurred = [
        ndimage.gaussian_filter(each.astype(np.float64), 3, truncate=5 / 3, mode="constant")
        for each in (np.where(known, height, 0.0), known)
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        smooth = np.where(known, blurred[0] / blurred[1], 0.0)
    total, count = (_blocks(each) for each in (smooth, known.astype(np.float64)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count > 0, total / count, np.nan).astype(np.float32)


def _blocks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, cols = (-(-n // _WIDER) * _WIDER for n in values.shape)
    padded = np.pad(values, ((0, rows - values.shape[0]), (0, cols - values.shape[1])))
    return np.asarray(padded.reshape(rows // _WIDER, _WIDER, cols // _WIDER, _WIDER).sum(axis=(1, 3)), dtype=np.float64)


def _finer(values: Array, widening: int, shape: tuple[int, int]) -> Array:
    """Bilinear on the finest cells, from what is known of the coarse ones."""
    if widening == 1:
        return np.nan_to_num(values)
    known = np.isfinite(values)
    rows, cols = ((np.arange(n, dtype=np.float64) + 0.5) / widening - 0.5 for n in shape)
    total, weight = (_interpolated(each.astype(np.float32), rows, cols) for each in (np.where(known, values, 0), known))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight > 0, total / weight, np.float32(0))


def _interpolated(values: Array, rows: NDArray[np.float64], cols: NDArray[np.float64]) -> Array:
    """Values at fractional rows and columns, one axis after the other; the outermost ones hold beyond the centres."""
    for axis, places in enumerate((rows, cols)):
        last = values.shape[axis] - 1
        at = np.clip(places, 0, last)
        low = np.minimum(at.astype(np.int64), max(0, last - 1))
        share = (at - low).astype(np.float32)
        share = share[:, np.newaxis] if axis == 0 else share[np.newaxis, :]
        near, far = values.take(low, axis), values.take(np.minimum(low + 1, last), axis)
        values = near * (1 - share) + far * share
    return values
