"""The composite of a block in memory against a geometric median of the same stack.

Usage: ``python benchmarks/composite_kernel.py [DATES ...]``; prints cells per second and the ratio. The peer is
``geomad`` (Open Data Cube), which has to be installed beside; without it only our own figures are printed.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from cup4soil.methods.composite import composite_block

# Lines as wide as a block of the engine, and enough of them for calls to cost nothing.
ROWS, COLS, THREADS = 256, 512, 2


def stack(dates: int) -> np.ndarray:
    """Random series with half of the observations missing, in patches as clouds leave them."""
    rng = np.random.default_rng(0)
    values = rng.uniform(100, 3000, (dates, 10, ROWS, COLS)).astype(np.float32)
    patches = rng.random((dates, 1, ROWS // 16, COLS // 16)) < 0.5
    values[np.broadcast_to(patches.repeat(16, 2).repeat(16, 3), values.shape)] = np.nan
    return values


def rate(work: Callable[[], object]) -> float:
    """Cells per second, the better of two runs after one that compiles."""
    work()
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return ROWS * COLS / min(seconds)


def main(dates: list[int]) -> None:
    """Print a line for each number of dates."""
    try:
        from geomad import nangeomedian_pcm as peer
    except ImportError:
        peer = None
    for n in dates:
        values, months = stack(n), np.arange(n) % 12 + 1
        threshold = np.zeros((ROWS, COLS))
        ours = rate(lambda v=values, m=months, t=threshold: composite_block(v, m, t, threads=THREADS))
        line = f"{n} dates: {ours:,.0f} cells/s on {THREADS} threads"
        if peer is not None:
            cube = np.ascontiguousarray(values.transpose(2, 3, 1, 0))
            theirs = rate(lambda c=cube: peer(c, num_threads=THREADS, eps=1.0, maxiters=1000))
            line += f"; geometric median {theirs:,.0f} cells/s, {ours / theirs:.1f} times slower"
        print(line)


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or [30, 60, 120, 240])
