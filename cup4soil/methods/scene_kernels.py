"""Compiled loops over one scene: cloud borders, reflectance at 20 m, warping; each cell is touched once."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, error_model="numpy")
def mark_invalid(classes, invalid_class, grown_class, reach, invalid):  # type: ignore[no-untyped-def]
    """Mark the cells of an invalid class, and all within ``reach`` cells of a grown one in either direction.

    ``classes`` (rows + 2 reach, columns + 2 reach; uint8) reaches beyond ``invalid`` (rows, columns) on every side;
    ``invalid_class`` and ``grown_class`` are tables over the 256 codes. A square is two strips: counts of grown cells
    run along rows, then down columns, so that the work does not grow with ``reach``.
    """
    rows, cols = invalid.shape
    near = np.empty((classes.shape[0], cols), np.uint8)
    for row in range(classes.shape[0]):
        line = classes[row]
        count = 0
        for col in range(2 * reach):
            count += grown_class[line[col]]
        for col in range(cols):
            count += grown_class[line[col + 2 * reach]]
            near[row, col] = count > 0
            count -= grown_class[line[col]]
    counts = np.zeros(cols, np.int32)
    for row in range(2 * reach):
        for col in range(cols):
            counts[col] += near[row, col]
    for row in range(rows):
        own = classes[row + reach]
        for col in range(cols):
            counts[col] += near[row + 2 * reach, col]
            invalid[row, col] = (counts[col] > 0) | invalid_class[own[col + reach]]
            counts[col] -= near[row, col]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def to_reflectance(stored, nodata, gain, offset, out):  # type: ignore[no-untyped-def]
    """DN of a band whose cells are those of ``out`` (rows, columns; float32), NaN where it is nodata."""
    rows, cols = out.shape
    for row in range(rows):
        values, line = stored[row], out[row]
        for col in range(cols):
            value = values[col]
            line[col] = np.float32(value) * gain + offset if value != nodata else np.float32(np.nan)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def average_to_reflectance(stored, factor, nodata, gain, offset, out):  # type: ignore[no-untyped-def]
    """DN as the unrounded mean of the ``factor`` x ``factor`` finer cells that are not nodata, NaN without any."""
    rows, cols = out.shape
    total = np.empty(cols, np.float32)
    count = np.empty(cols, np.float32)
    for row in range(rows):
        total[:] = 0
        count[:] = 0
        for part in range(factor):
            values = stored[row * factor + part]
            for col in range(cols):
                for step in range(factor):
                    value = values[col * factor + step]
                    known = (value != nodata) & (value == value)
                    total[col] += np.float32(value) if known else np.float32(0)
                    count[col] += np.float32(known)
        line = out[row]
        for col in range(cols):
            line[col] = total[col] / count[col] * gain + offset if count[col] > 0 else np.float32(np.nan)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def halve_to_reflectance(stored, nodata, gain, offset, out):  # type: ignore[no-untyped-def]
    """As :func:`average_to_reflectance` with a factor of 2, for whole numbers below 2**22: nine of ten cells read."""
    for row in range(out.shape[0]):
        upper, lower, line = stored[2 * row], stored[2 * row + 1], out[row]
        for col in range(out.shape[1]):
            a, b = np.int32(upper[2 * col]), np.int32(upper[2 * col + 1])
            c, d = np.int32(lower[2 * col]), np.int32(lower[2 * col + 1])
            has_a, has_b = np.int32(a != nodata), np.int32(b != nodata)
            has_c, has_d = np.int32(c != nodata), np.int32(d != nodata)
            count = has_a + has_b + has_c + has_d
            total = np.float32(a * has_a + b * has_b + c * has_c + d * has_d)
            # None of four divides by zero: that is NaN, as it should be.
            line[col] = total / np.float32(count) * gain + offset


@numba.njit(cache=True, nogil=True, error_model="numpy")
def warp_bilinear(values, rows, cols, out):  # type: ignore[no-untyped-def]
    """Values at fractional cells (``rows``, ``cols``: centres are whole numbers) of ``values``; float32.

    The mean of the four cells around, weighted bilinearly over those that are known. It is known where the nearest
    cell is, so that no surface grows beyond its cells.
    """
    height, width = values.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            r, c = rows[i, j], cols[i, j]
            r0, c0 = int(np.floor(r)), int(np.floor(c))
            near_r, near_c = int(np.floor(r + 0.5)), int(np.floor(c + 0.5))
            out[i, j] = np.nan
            if not (0 <= near_r < height and 0 <= near_c < width):
                continue
            if np.isnan(values[near_r, near_c]):
                continue
            total, weights = 0.0, 0.0
            for dr in range(2):
                for dc in range(2):
                    rr, cc = r0 + dr, c0 + dc
                    if 0 <= rr < height and 0 <= cc < width:
                        value = values[rr, cc]
                        if not np.isnan(value):
                            weight = (1.0 - abs(r - rr)) * (1.0 - abs(c - cc))
                            total += weight * value
                            weights += weight
            out[i, j] = total / weights
