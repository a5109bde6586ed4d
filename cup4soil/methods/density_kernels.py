"""The search behind :mod:`cup4soil.methods.density`, compiled."""

from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

LEAF: Final = 32
BOX: Final = 8
_STEP: Final = 4
_DEPTH: Final = 64


@numba.njit(cache=True, nogil=True)
def search(
    queries: NDArray[np.float64],
    leaves: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    right: NDArray[np.int64],
    leaf_of: NDArray[np.int64],
    within: float,
    nearest: NDArray[np.float64],
    count: NDArray[np.int64],
) -> None:
    """Squared distance to the nearest point, and the number of points at a squared distance up to ``within``.

    ``queries``: (m, f). ``leaves``: (leaves, f, LEAF) points, infinite where a leaf has fewer. ``low``, ``high``:
    (nodes, up to BOX), the leading coordinates' bounds. A node's left child follows it, ``right`` is the other;
    ``leaf_of`` is below 0 where it has children. Neighbouring queries are alike in a map: the leaf slot that was
    nearest to the last one is tried first.
    """
    f = queries.shape[1]
    sums = np.empty(LEAF)
    stack, bounds = np.empty(_DEPTH, np.int64), np.empty(_DEPTH)
    at_leaf = at_slot = 0
    for row in range(queries.shape[0]):
        query = queries[row]
        best = 0.0
        for j in range(f):
            best += (leaves[at_leaf, j, at_slot] - query[j]) ** 2
        found = 0
        stack[0], bounds[0] = 0, 0.0
        top = 1
        while top > 0:
            top -= 1
            limit = max(best, within)
            if bounds[top] > limit:
                continue
            node = stack[top]
            while leaf_of[node] < 0:
                left, other = node + 1, right[node]
                to_left, to_other = _to_box(query, low, high, left), _to_box(query, low, high, other)
                if to_other < to_left:
                    left, other = other, left
                    to_left, to_other = to_other, to_left
                stack[top], bounds[top] = other, to_other
                top += 1
                node = left
                if to_left > limit:
                    node = np.int64(-1)
                    break
            if node < 0:
                continue
            leaf = leaf_of[node]
            if not _distances(leaves[leaf], query, limit, sums):
                continue
            for slot in range(LEAF):
                found += sums[slot] <= within
                if sums[slot] < best:
                    best = sums[slot]
                    at_leaf, at_slot = leaf, slot
        nearest[row], count[row] = best, found


@numba.njit(cache=True, nogil=True)
def _to_box(query, low, high, node):  # type: ignore[no-untyped-def]
    """Squared distance of a query to a node's bounds, at most that to any of its points."""
    total = 0.0
    for j in range(low.shape[1]):
        gap = max(low[node, j] - query[j], query[j] - high[node, j], 0.0)
        total += gap * gap
    return total


@numba.njit(cache=True, nogil=True)
def _distances(points, query, limit, sums):  # type: ignore[no-untyped-def]
    """Squared distances of a leaf's points; False, and no distances, where none is within ``limit``."""
    f = query.size
    sums[:] = 0.0
    for first in range(0, f, _STEP):
        for j in range(first, min(first + _STEP, f)):
            x = query[j]
            for slot in range(LEAF):
                gap = points[j, slot] - x
                sums[slot] += gap * gap
        near = 0
        for slot in range(LEAF):
            near += sums[slot] <= limit
        if near == 0:
            return False
    return True
