"""Compiled loops of the composite: which observations count, and their moments; see :mod:`cup4soil.methods.composite`.

A row is worked on at a time, dates in the outer and columns in the inner loop, so that memory is read
in the order in which it lies; only the medians look along time, in small buffers.
"""

import numba
import numpy as np

# Bins of the histogram that finds a median: about as many as there are observations.
_BINS = 64


@numba.njit(cache=True, nogil=True, error_model="numpy")
def composite_rows(stack, threshold, limits, index_bands, first, last, flags, ever_bare, vpc, bsc, moments):  # type: ignore[no-untyped-def]
    """Composite the rows from ``first`` up to ``last``.

    ``stack`` (dates, bands, rows, columns) and ``threshold`` (rows, columns) are read; ``limits`` are k of the bare
    and of the valid observations and the least excess in DN; ``index_bands`` are the places of B02, B04, B08, B12.
    Written are
    ``flags`` (dates, rows, columns; 1 enters MREF, 2 enters SRC), ``ever_bare``, ``vpc``, ``bsc`` (rows, columns) and
    ``moments`` (MREF and SRC; mean and standard deviation; bands, rows, columns).
    """
    sigma_bare, sigma_valid, excess = limits
    dates, bands, _, cols = stack.shape
    # Double precision: whether an observation is an outlier must not hang on rounding.
    blue = np.empty((cols, dates))
    bare = np.empty((cols, dates))
    work = np.empty(dates)
    counts = np.empty(_BINS, np.int32)
    n_valid = np.empty(cols, np.int32)
    n_bare = np.empty(cols, np.int32)
    top_valid = np.empty(cols)
    top_bare = np.empty(cols)
    is_bare = np.empty((dates, cols), np.bool_)
    seen = np.empty(dates, np.bool_)
    sums = np.empty((6, cols))
    for row in range(first, last):
        _gather(stack, row, threshold[row], index_bands, blue, bare, n_valid, n_bare, is_bare, seen)
        for col in range(cols):
            top_valid[col] = _upper_limit(blue[col], n_valid[col], work, counts, sigma_valid, excess)
            top_bare[col] = _upper_limit(bare[col], n_bare[col], work, counts, sigma_bare, excess)
            vpc[row, col] = n_valid[col]
            ever_bare[row, col] = n_bare[col] > 0
        _flag(stack, row, index_bands[0], is_bare, top_valid, top_bare, flags, bsc[row])
        for band in range(bands):
            _moments(stack, flags, seen, band, row, sums, moments)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gather(stack, row, threshold, index_bands, blue, bare, n_valid, n_bare, is_bare, seen):  # type: ignore[no-untyped-def]
    """Collect B02 of the valid and of the bare observations of a row, column by column without gaps."""
    dates, _, _, cols = stack.shape
    b02, b04, b08, b12 = index_bands
    n_valid[:] = 0
    n_bare[:] = 0
    for t in range(dates):
        blues = stack[t, b02, row]
        reds = stack[t, b04, row]
        nirs = stack[t, b08, row]
        swirs = stack[t, b12, row]
        any_valid = False
        for col in range(cols):
            value = blues[col]
            found = False
            if not np.isnan(value):
                any_valid = True
                blue[col, n_valid[col]] = value
                n_valid[col] += 1
                red, nir, swir = np.float64(reds[col]), np.float64(nirs[col]), np.float64(swirs[col])
                if nir + red > 0.0 and nir + swir > 0.0:
                    index = (nir - red) / (nir + red) + (nir - swir) / (nir + swir)
                    if index <= threshold[col]:
                        found = True
                        bare[col, n_bare[col]] = value
                        n_bare[col] += 1
            is_bare[t, col] = found
        seen[t] = any_valid


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _flag(stack, row, b02, is_bare, top_valid, top_bare, flags, bsc):  # type: ignore[no-untyped-def]
    """Flag the observations of a row that are no outliers, and count the bare ones."""
    dates, _, _, cols = stack.shape
    bsc[:] = 0
    for t in range(dates):
        blues = stack[t, b02, row]
        flag = flags[t, row]
        for col in range(cols):
            kept = is_bare[t, col] and blues[col] <= top_bare[col]
            flag[col] = np.uint8(blues[col] <= top_valid[col]) + np.uint8(2) * np.uint8(kept)
            bsc[col] += np.int32(kept)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _moments(stack, flags, seen, band, row, sums, moments):  # type: ignore[no-untyped-def]
    """Mean and sample standard deviation of a band's row over the flagged dates."""
    dates, _, _, cols = stack.shape
    sums[:] = 0.0
    nv, sv, qv, nb, sb, qb = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    for t in range(dates):
        if not seen[t]:
            continue
        values = stack[t, band, row]
        flag = flags[t, row]
        for col in range(cols):
            raw = values[col]
            known = raw == raw
            value = np.float64(raw) if known else 0.0
            wv = np.float64(flag[col] & 1) if known else 0.0
            wb = np.float64(flag[col] >> 1) if known else 0.0
            nv[col] += wv
            nb[col] += wb
            sv[col] += wv * value
            sb[col] += wb * value
            square = value * value
            qv[col] += wv * square
            qb[col] += wb * square
    for col in range(cols):
        for kind in range(2):
            n, total, squares = sums[3 * kind, col], sums[3 * kind + 1, col], sums[3 * kind + 2, col]
            mean = total / n if n > 0 else np.nan
            variance = (squares - total * mean) / (n - 1.0) if n > 1 else np.nan
            moments[kind, 0, band, row, col] = mean
            moments[kind, 1, band, row, col] = np.sqrt(max(0.0, variance)) if n > 1 else np.nan


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _upper_limit(values, n, work, counts, sigma, excess):  # type: ignore[no-untyped-def]
    """Largest B02 among the first ``n`` of ``values`` that is kept: an outlier is above both limits."""
    if n == 0:
        return np.nan
    middle, highest = _median(values, n, work, counts)
    if highest <= middle + excess:
        return middle + excess
    for i in range(n):
        values[i] = abs(values[i] - middle)
    spread, _ = _median(values, n, work, counts)
    return max(middle + sigma * 1.4826 * spread, middle + excess)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _median(values, n, work, counts):  # type: ignore[no-untyped-def]
    """Median and largest of the first ``n`` values: by a histogram, then exactly within the one bin that holds it."""
    lowest = highest = values[0]
    for i in range(1, n):
        lowest = min(lowest, values[i])
        highest = max(highest, values[i])
    if lowest == highest:
        return lowest, highest
    scale = (_BINS - 1) / (highest - lowest)
    counts[:] = 0
    for i in range(n):
        counts[int((values[i] - lowest) * scale)] += 1
    k = n // 2
    below, bin_ = 0, 0
    while below + counts[bin_] <= k:
        below += counts[bin_]
        bin_ += 1
    found = 0
    before = lowest
    for i in range(n):
        place = int((values[i] - lowest) * scale)
        if place == bin_:
            work[found] = values[i]
            found += 1
        elif place < bin_:
            before = max(before, values[i])
    _sort(work, found)
    upper = work[k - below]
    if n % 2 == 1:
        return upper, highest
    lower = work[k - below - 1] if k > below else before
    return 0.5 * (lower + upper), highest


@numba.njit(cache=True, nogil=True)
def _sort(values, n):  # type: ignore[no-untyped-def]
    """Sort the first ``n`` values by insertion: a bin holds few."""
    for i in range(1, n):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
