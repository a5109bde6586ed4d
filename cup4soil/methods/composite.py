"""The bare-soil composite of a block: statistics along time, arrays in, arrays out.

Operational SCMaP rules (DLR, openEO process ``scmap_composite``, 2026). An observation is valid where
B02 is there, and bare where, besides, the index is at most the threshold. Residual cloud and haze are
bright in B02: a date is dropped where B02 > median + k * s and B02 > median + 80 DN with
s = 1.4826 * median|B02 - median|, k = 3 among the bare and k = 4 among the valid observations.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.bare_soil import BANDS

BUILT_UP, WATER = 50, 80
OTHER_LAND_COVER = (0, 50, 70, 80, 90, 95)
MASK_CATEGORIES = {
    0: "not observed, or no threshold",
    1: "bare soil at some time",
    2: "permanently vegetated",
    3: "other surface by land cover",
    4: "bare once or twice, too rarely for a composite",
}
_KEPT_VALID, _KEPT_BARE = 1, 2


@dataclass(frozen=True, slots=True)
class CompositeRules:
    """Parameters of the outlier rule and the least number of bare observations."""

    sigma_bare: float = 3.0
    sigma_valid: float = 4.0
    least_excess_dn: float = 80.0
    least_bare_count: int = 3


@dataclass(frozen=True, slots=True)
class CompositeBlock:
    """Products of one block. Reflectance in DN (x 10 000), float32, NaN where there is none.

    ``src``, ``src_std``, ``src_ci95``, ``mref``, ``mref_std``: (10, rows, columns);
    ``bsc`` and ``vpc`` counts, ``bsf`` = bsc / vpc: (rows, columns); ``bsf_monthly``: (12, rows, columns);
    ``mask``: codes of ``MASK_CATEGORIES``.
    """

    src: NDArray[np.float32]
    src_std: NDArray[np.float32]
    src_ci95: NDArray[np.float32]
    mref: NDArray[np.float32]
    mref_std: NDArray[np.float32]
    bsf: NDArray[np.float32]
    bsc: NDArray[np.int32]
    vpc: NDArray[np.int32]
    bsf_monthly: NDArray[np.float32]
    mask: NDArray[np.uint8]


def composite_block(
    stack: NDArray[np.float32],
    months: NDArray[np.integer],
    threshold: NDArray[np.floating],
    land_cover: NDArray[np.floating] | None = None,
    rules: CompositeRules | None = None,
) -> CompositeBlock:
    """Composite a block.

    Args:
        stack: reflectance in DN, (dates, 10 bands in the order of ``BANDS``, rows, columns), NaN where invalid.
        months: calendar month of each date, 1 to 12.
        threshold: largest index that counts as bare, (rows, columns), NaN where unknown.
        land_cover: WorldCover codes, (rows, columns), NaN where unknown; None when there is no land cover.
        rules: the parameters, by default the operational ones.

    Raises:
        ValueError: when the shapes do not fit each other.
    """
    rules = rules or CompositeRules()
    dates, bands, rows, cols = stack.shape
    if bands != len(BANDS) or months.shape != (dates,) or threshold.shape != (rows, cols):
        raise ValueError(f"stack {stack.shape}, months {months.shape} and threshold {threshold.shape} do not fit")
    flags = np.zeros((dates, rows, cols), dtype=np.uint8)
    ever_bare = np.zeros((rows, cols), dtype=np.bool_)
    _select(
        stack,
        threshold.astype(np.float64),
        rules.sigma_bare,
        rules.sigma_valid,
        rules.least_excess_dn,
        BANDS.index("B02"),
        BANDS.index("B04"),
        BANDS.index("B08"),
        BANDS.index("B12"),
        flags,
        ever_bare,
    )
    present = ~np.isnan(stack[:, 0])
    vpc = present.sum(axis=0, dtype=np.int32)
    bare = (flags & _KEPT_BARE) > 0
    bsc = bare.sum(axis=0, dtype=np.int32)
    src, src_std = _moments(stack, flags, _KEPT_BARE)
    mref, mref_std = _moments(stack, flags, _KEPT_VALID)
    hidden = bsc < rules.least_bare_count
    if land_cover is not None:
        hidden |= np.isin(land_cover, (BUILT_UP, WATER))
    src[:, hidden] = src_std[:, hidden] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        ci95 = (1.96 * src_std / np.sqrt(bsc)).astype(np.float32)
        bsf = np.where(vpc > 0, bsc / vpc, np.nan).astype(np.float32)
    mask = _mask(bsc, vpc, ever_bare, np.isnan(threshold), land_cover, rules.least_bare_count)
    return CompositeBlock(src, src_std, ci95, mref, mref_std, bsf, bsc, vpc, _monthly(bare, present, months), mask)


def _monthly(bare: NDArray[np.bool_], present: NDArray[np.bool_], months: NDArray[np.integer]) -> NDArray[np.float32]:
    """Bare share of the valid observations in each calendar month, NaN in a month without any."""
    shares = np.full((12, *bare.shape[1:]), np.nan, dtype=np.float32)
    for month in range(1, 13):
        dates = months == month
        valid = present[dates].sum(axis=0)
        np.divide(bare[dates].sum(axis=0), valid, out=shares[month - 1], where=valid > 0, casting="same_kind")
    return shares


def _mask(
    bsc: NDArray[np.int32],
    vpc: NDArray[np.int32],
    ever_bare: NDArray[np.bool_],
    unknown: NDArray[np.bool_],
    land_cover: NDArray[np.floating] | None,
    least_bare_count: int,
) -> NDArray[np.uint8]:
    """Codes of ``MASK_CATEGORIES``; land cover stands above what was observed."""
    mask = np.where(ever_bare, 4, 2).astype(np.uint8)
    mask[bsc >= least_bare_count] = 1
    mask[(vpc == 0) | unknown] = 0
    if land_cover is not None:
        mask[np.isin(land_cover, OTHER_LAND_COVER)] = 3
    return mask


@numba.njit(cache=True, nogil=True)
def _select(stack, threshold, sigma_bare, sigma_valid, excess, b02, b04, b08, b12, flags, ever_bare):  # type: ignore[no-untyped-def]
    """Set the flags of the observations that enter MREF and SRC."""
    dates, _, rows, cols = stack.shape
    blue = np.empty(dates)
    bare = np.empty(dates)
    work = np.empty(dates)
    is_bare = np.empty(dates, np.bool_)
    for row in range(rows):
        for col in range(cols):
            limit = threshold[row, col]
            n_valid = n_bare = 0
            for t in range(dates):
                is_bare[t] = False
                value = stack[t, b02, row, col]
                if np.isnan(value):
                    continue
                blue[n_valid] = value
                n_valid += 1
                red = np.float64(stack[t, b04, row, col])
                nir = np.float64(stack[t, b08, row, col])
                swir = np.float64(stack[t, b12, row, col])
                if nir + red > 0.0 and nir + swir > 0.0:
                    index = (nir - red) / (nir + red) + (nir - swir) / (nir + swir)
                    if index <= limit:
                        is_bare[t] = True
                        bare[n_bare] = value
                        n_bare += 1
            if n_valid == 0:
                continue
            ever_bare[row, col] = n_bare > 0
            top_valid = _upper_limit(blue, n_valid, work, sigma_valid, excess)
            top_bare = _upper_limit(bare, n_bare, work, sigma_bare, excess) if n_bare > 0 else 0.0
            for t in range(dates):
                value = stack[t, b02, row, col]
                if np.isnan(value):
                    continue
                if value <= top_valid:
                    flags[t, row, col] = _KEPT_VALID
                if is_bare[t] and value <= top_bare:
                    flags[t, row, col] |= _KEPT_BARE


@numba.njit(cache=True, nogil=True)
def _upper_limit(values, n, work, sigma, excess):  # type: ignore[no-untyped-def]
    """Largest B02 among the first ``n`` of ``values`` that is kept: an outlier is above both limits."""
    work[:n] = values[:n]
    middle = _median(work, n)
    for i in range(n):
        work[i] = abs(values[i] - middle)
    spread = 1.4826 * _median(work, n)
    return max(middle + sigma * spread, middle + excess)


@numba.njit(cache=True, nogil=True)
def _median(values, n):  # type: ignore[no-untyped-def]
    """Median of the first ``n`` values, which are reordered (quickselect)."""
    k = n // 2
    low, high = 0, n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    upper = values[k]
    if n % 2 == 1:
        return upper
    lower = values[0]
    for i in range(1, k):
        lower = max(lower, values[i])
    return 0.5 * (lower + upper)


@numba.njit(cache=True, nogil=True)
def _accumulate(stack, flags, flag, mean, std):  # type: ignore[no-untyped-def]
    """Mean and sample standard deviation of each band over the flagged dates, row by row."""
    dates, bands, rows, cols = stack.shape
    count = np.empty(cols, np.int32)
    total = np.empty(cols)
    squares = np.empty(cols)
    for band in range(bands):
        for row in range(rows):
            count[:] = 0
            total[:] = 0.0
            squares[:] = 0.0
            for t in range(dates):
                for col in range(cols):
                    value = np.float64(stack[t, band, row, col])
                    if flags[t, row, col] & flag and not np.isnan(value):
                        count[col] += 1
                        total[col] += value
                        squares[col] += value * value
            for col in range(cols):
                n = count[col]
                if n > 0:
                    mean[band, row, col] = total[col] / n
                if n > 1:
                    variance = (squares[col] - total[col] * total[col] / n) / (n - 1)
                    std[band, row, col] = np.sqrt(max(0.0, variance))


def _moments(
    stack: NDArray[np.float32], flags: NDArray[np.uint8], flag: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    shape = stack.shape[1:]
    mean = np.full(shape, np.nan, dtype=np.float32)
    std = np.full(shape, np.nan, dtype=np.float32)
    _accumulate(stack, flags, flag, mean, std)
    return mean, std
