"""Compiled loops of the quantile forest.

Pixels are taken in blocks. A block visits one tree after the other, so that a tree's nodes stay in the
cache, and walks eight pixels in step, so that their memory accesses overlap. Then, pixel by pixel, the
weights of all observations in the reached leaves are summed in an array indexed by the rank of the
value; sums over bins of 64 ranks let the quantiles be found without reading all of it.

The loops hold no lock of the interpreter and share nothing: callers run them in threads of their own.
(numba's parallel loops are not used because their default thread pool ends the process when two
threads of a server call it at once.)

Every index is trusted here; :mod:`cup4soil.methods.forest_trees` checks them beforehand.
"""

import numba
import numpy as np
from numpy.typing import NDArray

# A node: where ``feature <= threshold`` go to ``left``, else to the node after it. ``link`` holds the
# feature in its upper 10 bits and ``left``, counted from the tree's root, in the lower 22. A leaf has
# the threshold infinity and itself as ``left``: a walker that has arrived stays.
NODE = np.dtype([("threshold", "<f4"), ("link", "<u4")])
LINK_BITS = 22
MAX_FEATURES = 1 << (32 - LINK_BITS)
MAX_TREE_NODES = 1 << LINK_BITS

# What one distinct value weighs in one leaf: ``level`` is its rank among the distinct training values.
ENTRY = np.dtype([("level", "<u4"), ("weight", "<i4")])

BLOCK = 2048
# Rows of the leaf table are a little longer: at a power of two, a pixel's column would fall on few cache lines.
ROW = BLOCK + 16
_STEP = 8
_LEFT = np.uint32(MAX_TREE_NODES - 1)
_SHIFT = np.uint32(LINK_BITS)
_BIN_SHIFT = np.uint32(6)
_BIN = 1 << 6


@numba.njit(cache=True, nogil=True)
def walk(
    features: NDArray[np.float32],
    nodes: NDArray[np.void],
    tree_start: NDArray[np.int64],
    leaf_of: NDArray[np.int32],
    leaves: NDArray[np.int32],
) -> None:
    """Fill ``leaves`` (trees, ROW) from the left with the leaves that up to BLOCK rows of ``features`` reach."""
    n, f = features.shape
    x = np.zeros(BLOCK * f, np.float32)
    x[: n * f] = features.ravel()
    at = np.empty(BLOCK, np.uint32)
    width = np.uint32(f)
    for t in range(tree_start.size - 1):
        root = tree_start[t]
        tree = nodes[root : tree_start[t + 1]]
        at[:] = np.uint32(0)
        for group in range(0, n, _STEP):
            moved = np.uint32(1)
            while moved != 0:
                moved = np.uint32(0)
                for i in range(_STEP):
                    pixel = group + i
                    here = at[pixel]
                    link = tree[here].link
                    right = np.uint32(x[np.uint32(pixel) * width + (link >> _SHIFT)] > tree[here].threshold)
                    there = (link & _LEFT) + right
                    moved |= there ^ here
                    at[pixel] = there
        for pixel in range(n):
            leaves[t, pixel] = leaf_of[root + at[pixel]]


@numba.njit(cache=True, nogil=True)
def means(leaves: NDArray[np.int32], leaf_mean: NDArray[np.float64], mean: NDArray[np.float64]) -> None:
    """Fill ``mean`` (n,) with the mean over the trees of ``leaf_mean`` at ``leaves`` (trees, n or more)."""
    mean[:] = 0.0
    for t in range(leaves.shape[0]):
        for pixel in range(mean.size):
            mean[pixel] += leaf_mean[leaves[t, pixel]]
    mean /= leaves.shape[0]


@numba.njit(cache=True, nogil=True)
def quantile_levels(
    leaves: NDArray[np.int32],
    entry_start: NDArray[np.int64],
    entries: NDArray[np.void],
    level_count: int,
    needed: NDArray[np.int64],
    levels: NDArray[np.int64],
) -> None:
    """Fill ``levels`` (n, k): the ranks at which the cumulative weight reaches each of ``needed`` (k,), ascending."""
    bins = (level_count >> 6) + 1
    weight = np.zeros(bins * _BIN, np.int32)
    bin_weight = np.zeros(bins, np.int32)
    trees = leaves.shape[0]
    begin = np.empty(trees, np.int64)
    end = np.empty(trees, np.int64)
    for pixel in range(levels.shape[0]):
        # Touch both ends of each leaf's entries before summing any: the waits for memory then overlap.
        touched = np.uint32(0)
        for t in range(trees):
            leaf = leaves[t, pixel]
            begin[t] = entry_start[leaf]
            end[t] = entry_start[leaf + 1]
            touched |= entries[begin[t]].level | entries[end[t] - 1].level
        _add(begin, end, entries, weight, bin_weight)
        _find(weight, bin_weight, needed, levels[pixel])
        # Reads ``touched`` so that the loop above is not dropped as useless; no level is that large.
        if touched == np.uint32(0xFFFFFFFF):
            levels[pixel, 0] = 0
        _clear(weight, bin_weight)


@numba.njit(cache=True, nogil=True)
def _add(begin, end, entries, weight, bin_weight):  # type: ignore[no-untyped-def]
    for t in range(begin.size):
        for e in range(begin[t], end[t]):
            entry = entries[np.uint64(e)]
            weight[entry.level] += entry.weight
            bin_weight[entry.level >> _BIN_SHIFT] += entry.weight


@numba.njit(cache=True, nogil=True)
def _find(weight, bin_weight, needed, levels):  # type: ignore[no-untyped-def]
    """First level at which the cumulative weight reaches each of ``needed``."""
    below = np.int64(0)
    at = np.uint64(0)
    for k in range(needed.size):
        while below + bin_weight[at] < needed[k]:
            below += bin_weight[at]
            at += np.uint64(1)
        total = below
        level = at << np.uint64(_BIN_SHIFT)
        while total + weight[level] < needed[k]:
            total += weight[level]
            level += np.uint64(1)
        levels[k] = level


@numba.njit(cache=True, nogil=True)
def _clear(weight, bin_weight):  # type: ignore[no-untyped-def]
    for b in range(bin_weight.size):
        if bin_weight[b] != 0:
            bin_weight[b] = 0
            weight[b * _BIN : (b + 1) * _BIN] = 0
