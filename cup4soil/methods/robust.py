"""Median and geometric median along time: arrays in, arrays out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.robust_kernels import geometric_median_rows, median_rows

# Rows of one piece of work: small, because cells under clouds take less time and threads should end together.
_ROWS = 8


def median_along_time(
    stack: NDArray[np.float32], chosen: NDArray[np.uint8] | NDArray[np.bool_], *, threads: int = 1
) -> NDArray[np.float32]:
    """Median of the chosen observations of each band and cell.

    Of an even number of values it is the mean of the middle two.

    Args:
        stack: (dates, bands, rows, columns), NaN where missing. A value that is missing in one band is left out there.
        chosen: (dates, rows, columns), not 0 where the observation enters.
        threads: how many share the rows; the result does not depend on it.

    Returns:
        (bands, rows, columns), NaN where no value is left.

    Raises:
        ValueError: when the shapes do not fit each other.
    """
    dates, bands, rows, cols = _fitting(stack, chosen)
    out = np.full((bands, rows, cols), np.nan, dtype=np.float32)
    picked = np.ascontiguousarray(chosen).view(np.uint8) if chosen.dtype == np.bool_ else chosen
    if dates and cols:
        _over_rows(lambda first, last: median_rows(stack, picked, first, last, out), rows, threads)
    return out


def geometric_median(
    stack: NDArray[np.float32],
    weights: NDArray[np.float32],
    *,
    threads: int = 1,
    tolerance: float = 0.01,
    max_iterations: int = 1000,
) -> NDArray[np.float32]:
    """Weighted geometric median of each cell's spectra: the point of least weighted sum of distances to them.

    Weiszfeld's iteration from the weighted mean, as amended by Vardi and Zhang (2000, PNAS 97, 1423) where it meets
    an observation. When it comes to rest, the nearest observation is asked whether it is the median itself, and is
    returned as it is if so. Where the median is no single point (observations on a line), one of them is returned.

    Args:
        stack: (dates, bands, rows, columns), NaN where missing; an observation without one band is left out whole.
        weights: (dates, rows, columns), finite; 0, negative or NaN leaves the observation out.
        threads: how many share the rows; the result does not depend on it.
        tolerance: the iteration ends when a step is shorter, in the stack's unit; the default suits DN.
        max_iterations: bound of the number of steps; a cell that did not come to rest keeps its last point.

    Returns:
        (bands, rows, columns), NaN where no observation is left.

    Raises:
        ValueError: when the shapes do not fit each other, or tolerance or max_iterations is not positive.
    """
    _, bands, rows, cols = _fitting(stack, weights)
    if not tolerance > 0 or max_iterations < 1:
        raise ValueError(f"tolerance {tolerance} and max_iterations {max_iterations} must be positive")
    out = np.full((bands, rows, cols), np.nan, dtype=np.float32)

    def work(first: int, last: int) -> None:
        geometric_median_rows(stack, weights, tolerance, max_iterations, first, last, out)

    _over_rows(work, rows, threads)
    return out


def _fitting(stack: NDArray[np.float32], per_date: NDArray[np.generic]) -> tuple[int, int, int, int]:
    """Shape of the stack, when ``per_date`` has a value for each of its observations."""
    dates, bands, rows, cols = stack.shape
    if per_date.shape != (dates, rows, cols):
        raise ValueError(f"stack {stack.shape} and {per_date.shape} do not fit each other")
    return dates, bands, rows, cols


def _over_rows(work: Callable[[int, int], None], rows: int, threads: int) -> None:
    """Call ``work`` on runs of rows, ``threads`` at once."""
    edges = [*range(0, rows, _ROWS), rows]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, first, last) for first, last in pairwise(edges)]:
            done.result()
