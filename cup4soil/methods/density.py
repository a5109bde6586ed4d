"""Nearest training point and local point density of pixels in the space of the features.

A k-d tree with leaves of 32 points, whose distances are computed side by side and given up as soon as all are
too large. It is exact: nearest distances and counts are those of all pairs.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.density_kernels import BOX, LEAF, search

_ROWS = 4096

type _Floats = NDArray[np.float64]
type _Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PointIndex:
    """Points (n, f), ordered for the search; see :func:`cup4soil.methods.density_kernels.search`."""

    axes: _Ints
    leaves: _Floats
    low: _Floats
    high: _Floats
    right: _Ints
    leaf_of: _Ints

    @classmethod
    def of(cls, points: _Floats) -> Self:
        """Index of ``points`` (n, f), n and f at least 1, all finite."""
        # The widest axes first: they tell points apart soonest.
        axes = np.argsort(-points.var(axis=0), kind="stable")
        ordered = np.ascontiguousarray(points[:, axes])
        leaves: list[_Floats] = []
        low: list[_Floats] = []
        high: list[_Floats] = []
        right: list[int] = []
        leaf_of: list[int] = []
        pending: list[tuple[_Ints, int]] = [(np.arange(points.shape[0]), -1)]
        while pending:
            rows, parent = pending.pop()
            if parent >= 0:
                right[parent] = len(right)
            part = ordered[rows]
            low.append(part[:, :BOX].min(axis=0))
            high.append(part[:, :BOX].max(axis=0))
            right.append(-1)
            leaf_of.append(-1 if rows.size > LEAF else len(leaves))
            if rows.size <= LEAF:
                leaves.append(_leaf(part))
                continue
            axis = int(np.argmax(np.ptp(part, axis=0)))
            halves = rows[np.argsort(part[:, axis], kind="stable")]
            # Whole leaves on the left: only the last of all is not full.
            middle = LEAF * max(1, rows.size // LEAF // 2)
            pending += [(halves[middle:], len(right) - 1), (halves[:middle], -1)]
        return cls(
            axes.astype(np.int64), np.stack(leaves), np.stack(low), np.stack(high), np.array(right), np.array(leaf_of)
        )

    def measure(self, queries: _Floats, radius: float, *, threads: int = 1) -> tuple[_Floats, _Ints]:
        """Distance of each of ``queries`` (m, f) to the nearest point, and how many lie within ``radius``.

        A point at ``radius`` exactly counts; a radius below 0 counts none. Neither ``threads`` nor the order
        of the queries changes a result, only the speed: neighbours should follow each other.
        """
        ordered = np.ascontiguousarray(queries[:, self.axes])
        nearest, count = np.empty(ordered.shape[0]), np.empty(ordered.shape[0], np.int64)
        within = radius * radius if radius >= 0.0 else -1.0

        def part(rows: slice) -> None:
            search(
                ordered[rows], self.leaves, self.low, self.high, self.right, self.leaf_of, within,
                nearest[rows], count[rows],
            )  # fmt: skip

        parts = [slice(first, first + _ROWS) for first in range(0, ordered.shape[0], _ROWS)]
        if threads == 1 or len(parts) == 1:
            for rows in parts:
                part(rows)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(part, parts))
        return np.sqrt(nearest), count


def _leaf(points: _Floats) -> _Floats:
    """Points (p, f) as a leaf (f, LEAF), infinitely far where there is none."""
    leaf = np.full((points.shape[1], LEAF), np.inf)
    leaf[:, : points.shape[0]] = points.T
    return leaf
