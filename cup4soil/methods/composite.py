"""The bare-soil composite of a block: statistics along time, arrays in, arrays out.

Operational SCMaP rules (DLR, openEO process ``scmap_composite``, 2026). An observation is valid where
B02 is there, and bare where, besides, the index is at most the threshold. Residual cloud and haze are
bright in B02: a date is dropped where B02 > median + k * s and B02 > median + 80 DN with
s = 1.4826 * median|B02 - median|, k = 3 among the bare and k = 4 among the valid observations.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.bare_soil import BANDS
from cup4soil.methods.composite_kernels import composite_rows

BUILT_UP, WATER = 50, 80
OTHER_LAND_COVER = (0, 50, 70, 80, 90, 95)
MASK_CATEGORIES = {
    0: "not observed, or no threshold",
    1: "bare soil at some time",
    2: "permanently vegetated",
    3: "other surface by land cover",
    4: "bare once or twice, too rarely for a composite",
}
_KEPT_BARE = 2
_INDEX_BANDS = tuple(BANDS.index(band) for band in ("B02", "B04", "B08", "B12"))


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
    *,
    threads: int = 1,
) -> CompositeBlock:
    """Composite a block.

    Args:
        stack: reflectance in DN, (dates, 10 bands in the order of ``BANDS``, rows, columns), NaN where invalid.
        months: calendar month of each date, 1 to 12.
        threshold: largest index that counts as bare, (rows, columns), NaN where unknown.
        land_cover: WorldCover codes, (rows, columns), NaN where unknown; None when there is no land cover.
        rules: the parameters, by default the operational ones.
        threads: how many share the work; the result does not depend on it.

    Raises:
        ValueError: when the shapes do not fit each other.
    """
    rules = rules or CompositeRules()
    dates, bands, rows, cols = stack.shape
    if bands != len(BANDS) or months.shape != (dates,) or threshold.shape != (rows, cols):
        raise ValueError(f"stack {stack.shape}, months {months.shape} and threshold {threshold.shape} do not fit")
    flags = np.empty((dates, rows, cols), dtype=np.uint8)
    ever_bare = np.empty((rows, cols), dtype=np.bool_)
    vpc, bsc = np.empty((2, rows, cols), dtype=np.int32)
    moments = np.empty((2, 2, bands, rows, cols), dtype=np.float32)
    limits = (rules.sigma_bare, rules.sigma_valid, rules.least_excess_dn)
    surface = np.ascontiguousarray(threshold, dtype=np.float64)

    def work(first: int, last: int) -> None:
        composite_rows(stack, surface, limits, _INDEX_BANDS, first, last, flags, ever_bare, vpc, bsc, moments)

    _in_threads(work, rows, threads)
    (mref, mref_std), (src, src_std) = moments
    bare = (flags & _KEPT_BARE) > 0
    hidden = bsc < rules.least_bare_count
    if land_cover is not None:
        hidden |= np.isin(land_cover, (BUILT_UP, WATER))
    src[:, hidden] = src_std[:, hidden] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        ci95 = (1.96 * src_std / np.sqrt(bsc)).astype(np.float32)
        bsf = np.where(vpc > 0, bsc / vpc, np.nan).astype(np.float32)
    monthly = _monthly(bare, ~np.isnan(stack[:, _INDEX_BANDS[0]]), months)
    mask = _mask(bsc, vpc, ever_bare, np.isnan(threshold), land_cover, rules.least_bare_count)
    return CompositeBlock(src, src_std, ci95, mref, mref_std, bsf, bsc, vpc, monthly, mask)


def _in_threads(work: Callable[[int, int], None], rows: int, threads: int) -> None:
    """Call ``work`` on ``threads`` runs of rows at once."""
    edges = np.linspace(0, rows, min(threads, rows) + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, int(a), int(b)) for a, b in pairwise(edges)]:
            done.result()


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
