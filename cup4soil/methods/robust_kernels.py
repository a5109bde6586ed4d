"""Compiled loops of the statistics along time that outliers cannot carry away; see :mod:`cup4soil.methods.robust`."""

import numba
import numpy as np

# Columns sorted side by side: as many as let some hundred dates stay in the first cache.
_LANES = 32
# How often the search may be set off again from an observation beside which it came to rest.
_RESTARTS = 3
# ... and what counts as beside, in tolerances.
_NEAR = 100.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def median_rows(stack, chosen, first, last, out):  # type: ignore[no-untyped-def]
    """Fill the rows from ``first`` up to ``last`` of ``out`` (bands, rows, columns) with medians over ``chosen`` dates.

    The dates are put in order by a network of comparisons, the same for all columns, so that the compiler compares
    many columns at once; what is missing goes to the end as infinity. Dates that no column chose are left out.
    """
    dates, bands, _, cols = stack.shape
    values = np.empty((dates, _LANES), np.float32)
    counts = np.empty(_LANES, np.int32)
    used = np.empty(dates, np.int64)
    for row in range(first, last):
        for left in range(0, cols, _LANES):
            width = min(_LANES, cols - left)
            n = 0
            for t in range(dates):
                if chosen[t, row, left : left + width].any():
                    used[n] = t
                    n += 1
            for band in range(bands):
                counts[:] = 0
                for k in range(n):
                    _gather(
                        stack[used[k], band, row, left : left + width],
                        chosen[used[k], row, left : left + width],
                        values[k],
                        counts,
                    )
                _sort_lanes(values, n)
                for lane in range(width):
                    out[band, row, left + lane] = _middle(values, lane, counts[lane])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gather(series, picked, values, counts):  # type: ignore[no-untyped-def]
    """Copy one date's chosen values, infinity elsewhere, and count them."""
    for lane in range(series.size):
        value = series[lane]
        present = (picked[lane] != 0) & (value == value)
        values[lane] = value if present else np.float32(np.inf)
        counts[lane] += np.int32(present)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _middle(values, lane, count):  # type: ignore[no-untyped-def]
    """Median of the first ``count`` sorted values of a lane, NaN where there are none."""
    if count == 0:
        return np.nan
    return 0.5 * (np.float64(values[(count - 1) // 2, lane]) + np.float64(values[count // 2, lane]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sort_lanes(values, n):  # type: ignore[no-untyped-def]
    """Sort the first ``n`` rows of each column by Batcher's merge exchange (Knuth 1998, vol. 3, 5.2.2, algorithm M)."""
    top = 1
    while top < n:
        top *= 2
    p = top // 2
    while p > 0:
        q, r, d = top // 2, 0, p
        while True:
            for i in range(n - d):
                if i & p == r:
                    for lane in range(_LANES):
                        a, b = values[i, lane], values[i + d, lane]
                        swap = b < a
                        values[i, lane] = b if swap else a
                        values[i + d, lane] = a if swap else b
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2


@numba.njit(cache=True, nogil=True, error_model="numpy")
def geometric_median_rows(stack, weights, tolerance, max_iterations, first, last, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (bands, rows, columns) for the rows ``first`` to ``last``."""
    dates, bands, _, cols = stack.shape
    series = np.empty((cols, bands, dates))
    masses = np.empty((cols, dates))
    counts = np.empty(cols, np.int64)
    place = np.empty(cols, np.int64)
    mean, y, pull = np.empty(bands), np.empty(bands), np.empty(bands)
    squares, factors = np.empty(dates), np.empty(dates)
    for row in range(first, last):
        _collect(stack, weights, row, series, masses, counts, place)
        for col in range(cols):
            n = counts[col]
            if n == 0:
                out[:, row, col] = np.nan
                continue
            _centre(series[col], masses[col], n, mean)
            _minimise(series[col], masses[col], n, tolerance, max_iterations, y, pull, squares, factors)
            for band in range(bands):
                out[band, row, col] = mean[band] + y[band]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _collect(stack, weights, row, series, masses, counts, place):  # type: ignore[no-untyped-def]
    """Observations of a row with a weight and all bands, column by column without gaps."""
    dates, bands, _, cols = stack.shape
    counts[:] = 0
    for t in range(dates):
        mass = weights[t, row]
        for col in range(cols):
            place[col] = counts[col] if mass[col] > 0 else -1
        for band in range(bands):
            values = stack[t, band, row]
            for col in range(cols):
                if values[col] != values[col]:
                    place[col] = -1
        for band in range(bands):
            values = stack[t, band, row]
            for col in range(cols):
                if place[col] >= 0:
                    series[col, band, place[col]] = values[col]
        for col in range(cols):
            if place[col] >= 0:
                masses[col, place[col]] = mass[col]
                counts[col] += 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _centre(points, mass, n, mean):  # type: ignore[no-untyped-def]
    """Subtract the weighted mean from the points, and scale the weights to a sum of one."""
    total = 0.0
    for i in range(n):
        total += mass[i]
    for i in range(n):
        mass[i] /= total
    for band in range(mean.size):
        values = points[band]
        total = 0.0
        for i in range(n):
            total += mass[i] * values[i]
        mean[band] = total
        for i in range(n):
            values[i] -= total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _minimise(points, mass, n, tolerance, max_iterations, y, pull, squares, factors):  # type: ignore[no-untyped-def]
    """Move ``y`` (bands,) from the mean, which is zero, to the geometric median of the first ``n`` points."""
    bands = y.size
    y[:] = 0.0
    restarts = 0
    for _ in range(max_iterations):
        inverse, here = _pull(points, mass, n, y, pull, squares, factors)
        force = np.sqrt((pull * pull).sum())
        if force <= here:
            return
        # Vardi and Zhang: the observations at ``y`` hold it back with all their mass.
        share = (1.0 - here / force) / inverse
        for band in range(bands):
            y[band] += share * pull[band]
        if share * force >= tolerance:
            continue
        # Weiszfeld's steps become short beside an observation, whether it is the median or not: ask it.
        nearest = _smallest(squares, n)
        moved = 0.0
        for band in range(bands):
            moved += (points[band, nearest] - y[band]) ** 2
        if restarts == _RESTARTS or moved > (_NEAR * tolerance) ** 2:
            return
        restarts += 1
        for band in range(bands):
            y[band] = points[band, nearest]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _smallest(values, n):  # type: ignore[no-untyped-def]
    """Place of the smallest of the first ``n`` values."""
    best = 0
    for i in range(1, n):
        if values[i] < values[best]:
            best = i
    return best


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _pull(points, mass, n, y, pull, squares, factors):  # type: ignore[no-untyped-def]
    """Fill ``pull`` with the sum of mass times unit vector from ``y`` to each observation that is elsewhere.

    Returned are the sum of mass over distance of those, and the mass of the observations at ``y``.
    """
    bands = y.size
    for i in range(n):
        squares[i] = 0.0
    for band in range(bands):
        values = points[band]
        at = y[band]
        for i in range(n):
            difference = values[i] - at
            squares[i] += difference * difference
    inverse, here = 0.0, 0.0
    for i in range(n):
        apart = squares[i] > 0.0
        factor = mass[i] / np.sqrt(squares[i])
        factor = factor if apart else 0.0
        factors[i] = factor
        inverse += factor
        here += 0.0 if apart else mass[i]
    for band in range(bands):
        values = points[band]
        at = y[band]
        total = 0.0
        for i in range(n):
            total += factors[i] * (values[i] - at)
        pull[band] = total
    return inverse, here
