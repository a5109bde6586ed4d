"""Compiled loops of the composite: which observations count, and their moments; see :mod:`cup4soil.methods.composite`.

All go along rows, which is how memory lies, so that the processor handles many cells with one instruction. Medians are
found by bisection on the order-preserving integer form of the numbers: a step counts, for ``_LANES`` cells at once, how
many are at most the middle, and draws the ends in to numbers that are there. Sums take four dates at a time, so that
they are loaded and stored only once for them.
"""

import numba
import numpy as np

_LANES = 256
# Dates that are added, or counted, at once; the loops are written out for them.
_DATES = 4
_MISSING = np.iinfo(np.int32).max
VALID, BARE = 1, 2


@numba.njit(cache=True, nogil=True, error_model="numpy")
def select_rows(kept, bare, dates, months, limits, slots, first, last, found):  # type: ignore[no-untyped-def]
    """Find which observations of the rows from ``first`` up to ``last`` enter the means.

    Read are ``kept`` (all dates, bands, rows, columns; float32) whose first band is B02, NaN where invalid, ``bare``
    (all dates, rows, columns; 1 where the bare-soil test holds), ``dates`` (places of the period's dates along the
    first axis), ``months`` (calendar month of each of ``dates``, 0 to 11), ``limits`` (k of the valid and of the
    bare observations, least excess in DN) and ``slots`` (where each of ``dates`` stands in ``chosen``).
    ``found`` takes ``tops`` (valid, bare; rows, columns; float32: largest B02 that is kept, NaN without any
    observation), ``counts`` (valid, bare before outliers, valid kept, bare kept; rows, columns), ``monthly`` (valid,
    bare kept; 12; rows, columns) and ``chosen`` (slots, rows, columns; uint8): VALID and BARE of what is kept; it may
    be ``bare``, of which nothing is read again.
    """
    tops, counts, _, chosen = found
    total, cols = dates.size, kept.shape[3]
    values = np.empty((total, _LANES), np.float32)
    # Whole fours of dates; those beyond are missing.
    keys = np.empty((-(-total // _DATES) * _DATES, _LANES), np.int32)
    flags = np.empty((total, _LANES), np.uint8)
    places = np.empty(total, np.int64)
    for row in range(first, last):
        for tile in range((cols + _LANES - 1) // _LANES):
            col = tile * _LANES
            width = min(_LANES, cols - col)
            n = _gather(kept, bare, dates, row, col, width, values, flags, places, slots, chosen)
            for kind in range(2):
                number = counts[kind, row, col : col + width]
                _upper_limits(values, flags, n, width, kind, limits, keys, number, tops[kind, row, col : col + width])
            _count(values, flags, n, places, months, row, col, width, slots, found)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gather(kept, bare, dates, row, col, width, values, flags, places, slots, chosen):  # type: ignore[no-untyped-def]
    """Collect the dates on which the tile has a valid observation; cells beyond ``width`` are invalid."""
    n = 0
    for i in range(dates.size):
        blue = kept[dates[i], 0, row, col : col + width]
        is_bare = bare[dates[i], row, col : col + width]
        seen, flag = values[n], flags[n]
        for lane in range(width):
            seen[lane] = blue[lane]
        some = np.uint8(0)
        for lane in range(width):
            valid = np.uint8(seen[lane] == seen[lane])
            flag[lane] = valid + np.uint8(BARE) * (is_bare[lane] & valid)
            some |= valid
        flag[width:] = 0
        seen[width:] = 0.0
        if some:
            places[n] = i
            n += 1
        else:
            chosen[slots[i], row, col : col + width] = 0
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
    whole = -(-n // _DATES) * _DATES
    keys[n:whole] = _MISSING
    _medians(keys, whole, number, middle, highest)
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
        _medians(keys, whole, number, spread, highest)
    for lane in range(width):
        top = max(middle[lane] + sigma * 1.4826 * spread[lane], middle[lane] + excess)
        tops[lane] = _not_above(top) if number[lane] > 0 else np.float32(np.nan)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _medians(keys, n, number, medians, highest):  # type: ignore[no-untyped-def]
    """Median and largest of the first ``n`` keys of every lane, as numbers; lanes of ``number`` 0 give NaN."""
    low = np.full(_LANES, _MISSING, np.int32)
    high = np.full(_LANES, -_MISSING, np.int32)
    middle = np.empty(_LANES, np.int32)
    below = np.empty(_LANES, np.int32)
    above = np.empty(_LANES, np.int32)
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
    while _halve(keys, n, rank, low, high, middle, below, above, count):
        pass
    _below(keys, n, high, count, below)
    lower = np.empty(_LANES)
    _numbers(high, number, medians)
    _numbers(below, number, lower)
    for lane in range(_LANES):
        # Of an even number the median lies between the two in the middle, which may be equal.
        if number[lane] % 2 == 0 and count[lane] == rank[lane] - 1:
            medians[lane] = 0.5 * (lower[lane] + medians[lane])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _halve(keys, n, rank, low, high, middle, below, above, count):  # type: ignore[no-untyped-def]
    """Halve, in every lane, the range in which the key of this rank lies; False when all are found.

    The new end is the largest key up to the middle, or the least beyond: the range never ends between keys.
    """
    least, most = np.int32(-_MISSING), np.int32(_MISSING)
    for lane in range(_LANES):
        # The mean of two integers without overflow.
        middle[lane] = (low[lane] & high[lane]) + ((low[lane] ^ high[lane]) >> 1)
        count[lane] = 0
        below[lane] = -_MISSING
        above[lane] = _MISSING
    for i in range(0, n, _DATES):
        a, b, c, d = keys[i], keys[i + 1], keys[i + 2], keys[i + 3]
        for lane in range(_LANES):
            p, q, r, s = a[lane], b[lane], c[lane], d[lane]
            m = middle[lane]
            has_p, has_q, has_r, has_s = p <= m, q <= m, r <= m, s <= m
            count[lane] += np.int32(has_p) + np.int32(has_q) + np.int32(has_r) + np.int32(has_s)
            under = max(
                max(p if has_p else least, q if has_q else least), max(r if has_r else least, s if has_s else least)
            )
            over = min(min(most if has_p else p, most if has_q else q), min(most if has_r else r, most if has_s else s))
            below[lane] = max(below[lane], under)
            above[lane] = min(above[lane], over)
    unknown = np.int32(0)
    for lane in range(_LANES):
        searching = low[lane] < high[lane]
        enough = count[lane] >= rank[lane]
        high[lane] = below[lane] if searching & enough else high[lane]
        low[lane] = above[lane] if searching & (not enough) else low[lane]
        unknown += np.int32(low[lane] < high[lane])
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
def _count(values, flags, n, places, months, row, col, width, slots, found):  # type: ignore[no-untyped-def]
    """Flag what is kept, and count it over the period and by month."""
    tops, counts, monthly, chosen = found
    cells = slice(col, col + width)
    monthly[:, :, row, cells] = 0
    counts[2:, row, cells] = 0
    top_valid, top_bare = tops[0, row, cells], tops[1, row, cells]
    kept_valid, kept_bare = counts[2, row, cells], counts[3, row, cells]
    for i in range(n):
        marks = chosen[slots[places[i]], row, cells]
        _mark(values[i], flags[i], top_valid, top_bare, marks)
        # Short loops over few arrays: the compiler gives up those over many.
        seen, bare = monthly[0, months[places[i]], row, cells], monthly[1, months[places[i]], row, cells]
        flag = flags[i]
        for lane in range(width):
            seen[lane] += np.int16(flag[lane] & np.uint8(VALID))
            bare[lane] += np.int16(marks[lane] >> 1)
        for lane in range(width):
            kept_valid[lane] += np.int32(marks[lane] & np.uint8(VALID))
    for month in range(12):
        bare = monthly[1, month, row, cells]
        for lane in range(width):
            kept_bare[lane] += bare[lane]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _mark(values, flags, top_valid, top_bare, marks):  # type: ignore[no-untyped-def]
    """Flag what is kept of a date; nothing is at most a limit that is not a number, nor the other way round."""
    for lane in range(marks.size):
        value = values[lane]
        is_valid = np.uint8(value <= top_valid[lane])
        is_bare = (flags[lane] >> 1) & np.uint8(value <= top_bare[lane])
        marks[lane] = is_valid + np.uint8(BARE) * is_bare


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_moments(values, band, chosen, places, used, first, last, sums):  # type: ignore[no-untyped-def]
    """Add dates of a band to the running sums of the rows from ``first`` up to ``last``.

    ``values`` (dates read, bands, rows, columns) holds the band in its place ``band``; ``used`` are the places among
    the dates read that belong to the period, ``places`` theirs in ``chosen``, which :func:`select_rows` found. ``sums``
    are the sum and the sum of squares of the kept valid, then of the kept bare observations, and their numbers:
    (4, rows, columns) float64 and (2, rows, columns) int32.
    """
    totals, numbers = sums
    none = np.zeros(values.shape[3], np.uint8)
    end = used.size - 1
    for row in range(first, last):
        for i in range(0, used.size, _DATES):
            # Of the last four some may be missing: another stands for them, in which nothing is flagged.
            second, third, fourth = min(i + 1, end), min(i + 2, end), min(i + 3, end)
            f = chosen[places[i], row]
            g = chosen[places[second], row] if i + 1 <= end else none
            h = chosen[places[third], row] if i + 2 <= end else none
            k = chosen[places[fourth], row] if i + 3 <= end else none
            seen = np.uint8(0)
            for col in range(f.size):
                seen |= f[col] | g[col] | h[col] | k[col]
            a, b = values[used[i], band, row], values[used[second], band, row]
            c, d = values[used[third], band, row], values[used[fourth], band, row]
            for kind in range(2):
                bit = np.uint8(VALID if kind == 0 else BARE)
                if seen & bit:
                    total, squares = totals[2 * kind, row], totals[2 * kind + 1, row]
                    _add(a, b, c, d, f, g, h, k, bit, numbers[kind, row], total, squares)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add(a, b, c, d, f, g, h, k, bit, number, total, squares):  # type: ignore[no-untyped-def]
    """Add four dates of a row where they are flagged and known."""
    for col in range(a.size):
        p, q, r, s = a[col], b[col], c[col], d[col]
        has_p = (p == p) & ((f[col] & bit) != 0)
        has_q = (q == q) & ((g[col] & bit) != 0)
        has_r = (r == r) & ((h[col] & bit) != 0)
        has_s = (s == s) & ((k[col] & bit) != 0)
        u = np.float64(p) if has_p else 0.0
        v = np.float64(q) if has_q else 0.0
        w = np.float64(r) if has_r else 0.0
        x = np.float64(s) if has_s else 0.0
        # One after the other: the sums are the same bits, however the dates are grouped.
        total[col] = (((total[col] + u) + v) + w) + x
        squares[col] = (((squares[col] + u * u) + v * v) + w * w) + x * x
        number[col] += np.int32(has_p) + np.int32(has_q) + np.int32(has_r) + np.int32(has_s)


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
def finish_src(src, deviation, half_width, number, hidden, factor, first, last):  # type: ignore[no-untyped-def]
    """Hide cells of the rows from ``first`` up to ``last``, and find the half-widths of the intervals of the others.

    ``src``, ``deviation`` and ``half_width`` = deviation * factor / sqrt(number) are (bands, rows, columns), ``number``
    and ``hidden`` (rows, columns).
    """
    cols = number.shape[1]
    share = np.empty(cols, np.float32)
    for row in range(first, last):
        for col in range(cols):
            share[col] = factor / np.sqrt(np.float64(number[row, col]))
        for band in range(src.shape[0]):
            for col in range(cols):
                spread = np.float32(np.nan) if hidden[row, col] else deviation[band, row, col]
                src[band, row, col] = np.float32(np.nan) if hidden[row, col] else src[band, row, col]
                deviation[band, row, col] = spread
                half_width[band, row, col] = spread * share[col]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def store_rows(values, scale, shown, nodata, first, last, out):  # type: ignore[no-untyped-def]
    """Numbers times ``scale`` (float32), rounded half to even, as int16 in the rows from ``first`` up to ``last``.

    ``values`` and ``out`` are (bands, rows, columns), ``shown`` (rows, columns) is not 0 where there is a value; what
    is not a number is ``nodata``, too. No value is stored as -32768, nor as a negative nodata or below.
    """
    low, high = np.float32(nodata + 1 if nodata < 0 else -32767), np.float32(32767)
    for band in range(values.shape[0]):
        for row in range(first, last):
            line, flags, stored = values[band, row], shown[row], out[band, row]
            for col in range(line.size):
                number = np.float32(line[col]) * scale
                known = (number == number) & (flags[col] != 0)
                nearest = np.rint(number if known else np.float32(0))
                inside = np.int16(np.int32(min(max(nearest, low), high)))
                stored[col] = inside if known else np.int16(nodata)


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
