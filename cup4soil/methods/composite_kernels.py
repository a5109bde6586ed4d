"""Compiled loops of the composite: which observations count, and their moments; see :mod:`cup4soil.methods.composite`.

All go along rows, which is how memory lies, so that the processor handles many cells with one instruction. Medians are
found by bisection on the order-preserving integer form of the numbers: a step counts, for ``_LANES`` cells at once, how
many are at most the middle. Sums take four dates at a time, so that they are loaded and stored only once for them.
"""

import numba
import numpy as np

_LANES = 256
# Dates that are added at once; the loop is written out for them.
_DATES = 4
_MISSING = np.iinfo(np.int32).max
VALID, BARE = 1, 2


@numba.njit(cache=True, nogil=True, error_model="numpy")
def select_rows(kept, bare, dates, months, limits, first, last, tops, counts, monthly):  # type: ignore[no-untyped-def]
    """Find which observations of the rows from ``first`` up to ``last`` enter the means.

    Read are ``kept`` (all dates, bands, rows, columns; float32) whose first band is B02, NaN where invalid, ``bare``
    (all dates, rows, columns; 1 where the bare-soil test holds), ``dates`` (places of the period's dates along the
    first axis), ``months`` (calendar month of each of ``dates``, 0 to 11) and ``limits`` (k of the valid and of the
    bare observations, least excess in DN).
    Written are ``tops`` (valid, bare; rows, columns; float32: largest B02 that is kept, NaN without any observation),
    ``counts`` (valid, bare before outliers, valid kept, bare kept; rows, columns) and ``monthly`` (valid, bare kept;
    12; rows, columns).
    """
    total, cols = dates.size, kept.shape[3]
    values = np.empty((total, _LANES), np.float32)
    keys = np.empty((total, _LANES), np.int32)
    flags = np.empty((total, _LANES), np.uint8)
    places = np.empty(total, np.int64)
    for row in range(first, last):
        for tile in range((cols + _LANES - 1) // _LANES):
            col = tile * _LANES
            width = min(_LANES, cols - col)
            n = _gather(kept, bare, dates, row, col, width, values, flags, places)
            for kind in range(2):
                found = counts[kind, row, col : col + width]
                _upper_limits(values, flags, n, width, kind, limits, keys, found, tops[kind, row, col : col + width])
            _count(values, flags, n, places, months, row, col, width, tops, counts, monthly)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gather(kept, bare, dates, row, col, width, values, flags, places):  # type: ignore[no-untyped-def]
    """Collect the dates on which the tile has a valid observation; cells beyond ``width`` are invalid."""
    n = 0
    for i in range(dates.size):
        blue = kept[dates[i], 0, row]
        is_bare = bare[dates[i], row]
        chosen, flag = values[n], flags[n]
        for lane in range(width):
            chosen[lane] = blue[col + lane]
        for lane in range(width):
            valid = np.uint8(chosen[lane] == chosen[lane])
            flag[lane] = valid + np.uint8(BARE) * (is_bare[col + lane] & valid)
        flag[width:] = 0
        chosen[width:] = 0.0
        if flag.any():
            places[n] = i
            n += 1
    return n


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _upper_limits(values, flags, n, width, kind, limits, keys, found, tops):  # type: ignore[no-untyped-def]
    """Largest B02 that is kept, per cell: an outlier is above median + k * s and above median + the least excess."""
    sigma, excess = limits[kind], limits[2]
    wanted = np.uint8(VALID if kind == 0 else BARE)
    number = np.zeros(_LANES, np.int32)
    middle = np.empty(_LANES)
    spread = np.zeros(_LANES)
    highest = np.empty(_LANES)
    bits = values.view(np.int32)
    for i in range(n):
        for lane in range(_LANES):
            raw = bits[i, lane]
            chosen = (flags[i, lane] & wanted) != 0
            # Negative numbers sort the other way round as integers.
            keys[i, lane] = (raw ^ ((raw >> 31) & np.int32(0x7FFFFFFF))) if chosen else np.int32(_MISSING)
            number[lane] += np.int32(chosen)
    _medians(keys, n, number, middle, highest)
    far = False
    for lane in range(width):
        found[lane] = number[lane]
        far |= highest[lane] > middle[lane] + excess
    if far:
        distances = keys.view(np.float32)
        for i in range(n):
            for lane in range(_LANES):
                # Not negative, so that the bits are the key.
                distances[i, lane] = abs(np.float64(values[i, lane]) - middle[lane])
                if (flags[i, lane] & wanted) == 0:
                    keys[i, lane] = np.int32(_MISSING)
        _medians(keys, n, number, spread, highest)
    for lane in range(width):
        top = max(middle[lane] + sigma * 1.4826 * spread[lane], middle[lane] + excess)
        tops[lane] = _not_above(top) if number[lane] > 0 else np.float32(np.nan)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _medians(keys, n, number, medians, highest):  # type: ignore[no-untyped-def]
    """Median and largest of the first ``n`` keys of every lane, as numbers; lanes of ``number`` 0 give NaN."""
    low = np.full(_LANES, _MISSING, np.int32)
    high = np.full(_LANES, -_MISSING, np.int32)
    middle = np.empty(_LANES, np.int32)
    rank = np.empty(_LANES, np.int32)
    count = np.empty(_LANES, np.int32)
    for i in range(n):
        for lane in range(_LANES):
            key = keys[i, lane]
            low[lane] = min(low[lane], key)
            high[lane] = max(high[lane], key if key != _MISSING else np.int32(-_MISSING))
    _numbers(high, number, highest)
    for lane in range(_LANES):
        rank[lane] = number[lane] // 2 + 1
        if number[lane] == 0:
            low[lane] = high[lane] = 0
    while _halve(keys, n, rank, low, high, middle, count):
        pass
    _below(keys, n, high, count, middle)
    lower = np.empty(_LANES)
    _numbers(high, number, medians)
    _numbers(middle, number, lower)
    for lane in range(_LANES):
        # Of an even number the median lies between the two in the middle, which may be equal.
        if number[lane] % 2 == 0 and count[lane] == rank[lane] - 1:
            medians[lane] = 0.5 * (lower[lane] + medians[lane])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _halve(keys, n, rank, low, high, middle, count):  # type: ignore[no-untyped-def]
    """Halve, in every lane, the range in which the key of this rank lies; False when all are found."""
    for lane in range(_LANES):
        # The mean of two integers without overflow.
        middle[lane] = (low[lane] & high[lane]) + ((low[lane] ^ high[lane]) >> 1)
        count[lane] = 0
    for i in range(n):
        for lane in range(_LANES):
            count[lane] += np.int32(keys[i, lane] <= middle[lane])
    unknown = 0
    for lane in range(_LANES):
        enough = count[lane] >= rank[lane]
        searching = low[lane] < high[lane]
        if searching and enough:
            high[lane] = middle[lane]
        elif searching:
            low[lane] = middle[lane] + np.int32(1)
        if low[lane] < high[lane]:
            unknown += 1
    return unknown > 0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _below(keys, n, bound, count, largest):  # type: ignore[no-untyped-def]
    """How many keys of each lane lie below ``bound``, and the largest of them."""
    count[:] = 0
    largest[:] = -_MISSING
    for i in range(n):
        for lane in range(_LANES):
            below = keys[i, lane] < bound[lane]
            count[lane] += np.int32(below)
            largest[lane] = max(largest[lane], keys[i, lane] if below else np.int32(-_MISSING))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _count(values, flags, n, places, months, row, col, width, tops, counts, monthly):  # type: ignore[no-untyped-def]
    """Count what is kept, over the period and by month."""
    for kind in range(2, 4):
        counts[kind, row, col : col + width] = 0
    for month in range(12):
        for lane in range(width):
            monthly[0, month, row, col + lane] = 0
            monthly[1, month, row, col + lane] = 0
    top_valid, top_bare = tops[0, row], tops[1, row]
    kept_valid, kept_bare = counts[2, row], counts[3, row]
    for i in range(n):
        seen = monthly[0, months[places[i]], row]
        bare = monthly[1, months[places[i]], row]
        for lane in range(width):
            at = col + lane
            flag = flags[i, lane]
            value = values[i, lane]
            is_kept = np.int32((flag & np.uint8(BARE)) != 0) & np.int32(value <= top_bare[at])
            kept_valid[at] += np.int32(value <= top_valid[at])
            kept_bare[at] += is_kept
            seen[at] += np.int16(flag & np.uint8(VALID))
            bare[at] += np.int16(is_kept)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_moments(values, band, kept, bare, dates, used, tops, first, last, sums):  # type: ignore[no-untyped-def]
    """Add dates of a band to the running sums of the rows from ``first`` up to ``last``.

    ``values`` (dates read, bands, rows, columns) holds the band in its place ``band``; ``dates`` says for each date
    read where it stands in ``kept`` and ``bare``; ``used`` are the places among the dates read that belong to the
    period; ``tops`` is what :func:`select_rows` found. ``sums`` are the sum and the sum of squares of the kept valid,
    then of the kept bare observations, and their numbers: (4, rows, columns) float64 and (2, rows, columns) int32.
    """
    totals, numbers = sums
    cols = values.shape[3]
    flags = np.zeros((_DATES, cols), np.uint8)
    for row in range(first, last):
        for start in range(0, used.size, _DATES):
            seen = np.uint8(0)
            for i in range(_DATES):
                flags[i] = 0
                if start + i < used.size:
                    date = dates[used[start + i]]
                    seen |= _flag(kept[date, 0, row], bare[date, row], tops[0, row], tops[1, row], flags[i])
            last_used = used.size - 1
            a = values[used[start], band, row]
            b = values[used[min(start + 1, last_used)], band, row]
            c = values[used[min(start + 2, last_used)], band, row]
            d = values[used[min(start + 3, last_used)], band, row]
            for kind in range(2):
                bit = np.uint8(VALID if kind == 0 else BARE)
                if seen & bit:
                    _add(a, b, c, d, flags, bit, numbers[kind, row], totals[2 * kind, row], totals[2 * kind + 1, row])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _flag(blue, is_bare, top_valid, top_bare, flags):  # type: ignore[no-untyped-def]
    """Flag the observations of a row that enter the means; returns all flags that occur."""
    for col in range(blue.size):
        value = blue[col]
        kept = np.uint8(value <= top_valid[col])
        flags[col] = kept + np.uint8(BARE) * (np.uint8(value <= top_bare[col]) & is_bare[col])
    seen = np.uint8(0)
    for col in range(flags.size):
        seen |= flags[col]
    return seen


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add(a, b, c, d, flags, bit, number, total, squares):  # type: ignore[no-untyped-def]
    """Add four dates of a row where they are flagged and known."""
    for col in range(a.size):
        p, q, r, s = a[col], b[col], c[col], d[col]
        has_p = (p == p) & ((flags[0, col] & bit) != 0)
        has_q = (q == q) & ((flags[1, col] & bit) != 0)
        has_r = (r == r) & ((flags[2, col] & bit) != 0)
        has_s = (s == s) & ((flags[3, col] & bit) != 0)
        u = np.float64(p) if has_p else 0.0
        v = np.float64(q) if has_q else 0.0
        w = np.float64(r) if has_r else 0.0
        x = np.float64(s) if has_s else 0.0
        # One after the other: the sums are the same bits, however the dates are grouped.
        total[col] = (((total[col] + u) + v) + w) + x
        squares[col] = (((squares[col] + u * u) + v * v) + w * w) + x * x
        number[col] += np.int32(has_p) + np.int32(has_q) + np.int32(has_r) + np.int32(has_s)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def flag_bare(blue, bare, top, chosen):  # type: ignore[no-untyped-def]
    """Mark with 1 in ``chosen`` (dates, rows, columns) the bare observations whose B02 is at most ``top``."""
    for date in range(blue.shape[0]):
        for row in range(blue.shape[1]):
            for col in range(blue.shape[2]):
                chosen[date, row, col] = np.uint8(blue[date, row, col] <= top[row, col]) & bare[date, row, col]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def widen(index, blue, low, high):  # type: ignore[no-untyped-def]
    """Take the index of a date into its minimum and maximum (rows, columns) where B02 is valid."""
    rows, cols = low.shape
    for row in range(rows):
        for col in range(cols):
            value = index[row, col]
            if value == value and blue[row, col] == blue[row, col]:
                low[row, col] = value if not low[row, col] <= value else low[row, col]
                high[row, col] = value if not high[row, col] >= value else high[row, col]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def finish_moments(sums, kind, mean, deviation):  # type: ignore[no-untyped-def]
    """Mean and sample standard deviation (rows, columns) from the sums of ``kind`` (0 valid, 1 bare)."""
    totals, numbers = sums
    rows, cols = mean.shape
    for row in range(rows):
        for col in range(cols):
            n = np.float64(numbers[kind, row, col])
            total, squares = totals[2 * kind, row, col], totals[2 * kind + 1, row, col]
            centre = total / n if n > 0 else np.nan
            variance = (squares - total * centre) / (n - 1.0) if n > 1 else np.nan
            mean[row, col] = centre
            deviation[row, col] = np.sqrt(max(0.0, variance)) if n > 1 else np.nan


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _numbers(keys, number, numbers):  # type: ignore[no-untyped-def]
    """The numbers behind keys, NaN in lanes of ``number`` 0."""
    bits = np.empty(_LANES, np.int32)
    for lane in range(_LANES):
        bits[lane] = keys[lane] ^ ((keys[lane] >> 31) & np.int32(0x7FFFFFFF))
    values = bits.view(np.float32)
    for lane in range(_LANES):
        numbers[lane] = values[lane] if number[lane] > 0 else np.nan


@numba.njit(cache=True, nogil=True, inline="always")
def _not_above(limit):  # type: ignore[no-untyped-def]
    """The largest float32 that is at most ``limit``: comparing with it is comparing with ``limit``."""
    near = np.float32(limit)
    if np.float64(near) <= limit:
        return near
    return np.nextafter(near, np.float32(-np.inf))
