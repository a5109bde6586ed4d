"""The geometric median of a stack in memory against geomad's, with equal weights.

Usage: ``python benchmarks/geometric_median.py [DATES ...]``; prints cells per second, the ratio, and the largest
difference of the results in DN. Both run to a step of 0.01 DN on the same threads. The peer is ``geomad``
(Open Data Cube), which has to be installed beside. The median along time is printed against ``numpy.nanmedian``.
"""

import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

from cup4soil.methods.robust import geometric_median, median_along_time

ROWS, COLS, THREADS, TOLERANCE_DN = 64, 128, 2, 0.01


def stack(dates: int) -> np.ndarray:
    """One spectrum, darker and brighter by date, with noise; half of the observations missing in patches."""
    rng = np.random.default_rng(0)
    spectrum = rng.uniform(300, 3000, (1, 10, 1, 1))
    light = rng.uniform(0.5, 1.5, (dates, 1, ROWS, COLS))
    values = (spectrum * light + rng.normal(0, 100, (dates, 10, ROWS, COLS))).astype(np.float32)
    patches = rng.random((dates, 1, ROWS // 16, COLS // 16)) < 0.5
    values[np.broadcast_to(patches.repeat(16, 2).repeat(16, 3), values.shape)] = np.nan
    return values


def rate(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """The result, and cells per second in the best of three runs after one that compiles."""
    result = work()
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return result, ROWS * COLS / min(seconds)


def main(dates: list[int]) -> None:
    """Print two lines for each number of dates."""
    from geomad import nangeomedian_pcm

    for n in dates:
        values = stack(n)
        equal = np.ones((n, ROWS, COLS), dtype=np.float32)
        chosen = equal.astype(np.uint8)
        cube = np.ascontiguousarray(values.transpose(2, 3, 1, 0))
        ours, our_rate = rate(lambda v=values, w=equal: geometric_median(v, w, threads=THREADS, tolerance=TOLERANCE_DN))
        peer, peer_rate = rate(lambda c=cube: nangeomedian_pcm(c, num_threads=THREADS, eps=TOLERANCE_DN))
        difference = np.nanmax(np.abs(ours - peer.transpose(2, 0, 1)))
        print(
            f"{n} dates, geometric median: {our_rate:,.0f} cells/s on {THREADS} threads; geomad {peer_rate:,.0f};"
            f" {our_rate / peer_rate:.1f} times as fast; largest difference {difference:.2f} DN"
        )
        median, our_rate = rate(lambda v=values, c=chosen: median_along_time(v, c, threads=THREADS))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            started = time.perf_counter()
            right = np.nanmedian(values, axis=0)
            peer_rate = ROWS * COLS / (time.perf_counter() - started)
        difference = np.nanmax(np.abs(median - right))
        print(
            f"{n} dates, median: {our_rate:,.0f} cells/s; numpy {peer_rate:,.0f}; {our_rate / peer_rate:.1f} times as"
            f" fast; largest difference {difference:.4f} DN"
        )


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or [60, 240])
