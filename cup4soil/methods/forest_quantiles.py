"""Compiled loops of the quantile forest: from the leaves reached to means and quantiles.

Quantiles are found by counting, without sorting: a pixel's entries are copied into one run, their weights
are summed in bins of ranks, and only the bins that hold a quantile are then resolved into single ranks.
Both tables are small enough to stay in the fastest cache.

Every index is trusted here, as in :mod:`cup4soil.methods.forest_kernels`.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.forest_kernels import WORTH_READING

# An entry is a word: what one distinct value weighs in one leaf in the upper 32 bits, its rank among the
# distinct training values in the lower. COPIED entries are copied at once, of which a leaf's are the first.
COPIED = 8
_HALF = np.uint64(32)
_LEVEL = np.uint64(2**32 - 1)
_ONE = np.uint64(1)
_VALUES_IN_LINE = 8


@numba.njit(cache=True, nogil=True)
def means(
    leaves: NDArray[np.int32], tree_leaf: NDArray[np.int64], leaf_mean: NDArray[np.float64], mean: NDArray[np.float64]
) -> float:
    """Fill ``mean`` (n,) with the mean over the trees of ``leaf_mean`` at ``leaves`` (trees, n or more).

    ``tree_leaf``: (trees + 1,), the first leaf of each tree. What is returned has no meaning.
    """
    mean[:] = 0.0
    read = 0.0
    for t in range(leaves.shape[0]):
        if mean.size >= WORTH_READING:
            for leaf in range(tree_leaf[t], tree_leaf[t + 1], _VALUES_IN_LINE):
                read += leaf_mean[leaf]
        for pixel in range(mean.size):
            mean[pixel] += leaf_mean[np.uint32(leaves[t, pixel])]
    mean /= leaves.shape[0]
    return read


@numba.njit(cache=True, nogil=True)
def quantile_levels(
    leaves: NDArray[np.int32],
    entry_start: NDArray[np.uint32],
    entries: NDArray[np.uint64],
    most: int,
    level_count: int,
    needed: NDArray[np.int64],
    levels: NDArray[np.int64],
) -> int:
    """Fill ``levels`` (n, k): the ranks at which the cumulative weight reaches each of ``needed`` (k,), ascending.

    ``entry_start``: (leaves + 1,); COPIED spare entries follow the last one. ``most``: the largest number
    of entries of one pixel. What is returned has no meaning.
    """
    tables = _tables(level_count, needed.size)
    run = np.empty(most + COPIED, np.uint64)
    read = np.uint64(0)
    for pixel in range(levels.shape[0]):
        read |= _touch(leaves, pixel, entry_start, entries)
        count = _copy(leaves, pixel, entry_start, entries, run)
        _resolve(run, count, tables, needed, levels, pixel)
    return int(read)


@numba.njit(cache=True, nogil=True)
def kept_levels(
    leaves: NDArray[np.int32],
    tree_leaf: NDArray[np.int64],
    leaf_level: NDArray[np.uint32],
    level_count: int,
    needed: NDArray[np.int64],
    levels: NDArray[np.int64],
) -> int:
    """As :func:`quantile_levels` where each leaf has one value, of rank ``leaf_level``, of weight 1."""
    tables = _tables(level_count, needed.size)
    kept = np.empty(leaves.shape, np.uint32)
    run = np.empty(leaves.shape[0], np.uint64)
    read = _look_up(leaves, levels.shape[0], tree_leaf, leaf_level, kept)
    for pixel in range(levels.shape[0]):
        for t in range(run.size):
            run[t] = (_ONE << _HALF) | np.uint64(kept[t, pixel])
        _resolve(run, run.size, tables, needed, levels, pixel)
    return int(read)


@numba.njit(cache=True, nogil=True)
def _look_up(leaves, count, tree_leaf, leaf_level, kept):  # type: ignore[no-untyped-def]
    """``leaf_level`` at ``leaves``, tree by tree, whose levels are read ahead as its nodes are."""
    read = np.uint32(0)
    for t in range(leaves.shape[0]):
        if count >= WORTH_READING:
            for leaf in range(tree_leaf[t], tree_leaf[t + 1], 2 * _VALUES_IN_LINE):
                read |= leaf_level[leaf]
        for pixel in range(count):
            kept[t, pixel] = leaf_level[np.uint32(leaves[t, pixel])]
    return read


@numba.njit(cache=True, nogil=True)
def _tables(level_count, wanted):  # type: ignore[no-untyped-def]
    """Bits of a rank within its bin; sums of the bins; the slot of each, if open; and by slot, from 1: sums of
    its ranks one slot after the other, its bin, and what lies below it.
    """  # fmt: skip
    shift = 0
    # About as many bins as ranks in each.
    while (1 << (2 * shift)) < level_count:
        shift += 1
    bins = np.zeros((level_count >> shift) + 1, np.int32)
    slots = wanted + 1
    ranks = np.zeros(slots << shift, np.int32)
    return (
        np.uint64(shift),
        bins,
        np.zeros(bins.size, np.uint32),
        ranks,
        np.zeros(slots, np.int64),
        np.zeros(slots, np.int64),
    )


@numba.njit(cache=True, nogil=True)
def _resolve(run, count, tables, needed, levels, pixel):  # type: ignore[no-untyped-def]
    """Levels of a pixel from its ``count`` entries in ``run``; leaves the tables as empty as they were."""
    shift, bins, slot, ranks, bin_of, below = tables
    for e in range(count):
        entry = run[np.uint64(e)]
        bins[(entry & _LEVEL) >> shift] += np.int32(entry >> _HALF)
    used = _open_bins(bins, needed, slot, bin_of, below)
    _sum_ranks(run, count, shift, slot, ranks)
    _find(ranks, shift, used, bin_of, below, needed, levels, pixel)
    bins[:] = 0
    for place in range(1, used + 1):
        slot[bin_of[place]] = 0


@numba.njit(cache=True, nogil=True)
def _touch(leaves, pixel, entry_start, entries):  # type: ignore[no-untyped-def]
    """Read each leaf's first and last entry before any is used: the waits for memory then overlap."""
    read = np.uint64(0)
    for t in range(leaves.shape[0]):
        leaf = np.uint64(leaves[t, pixel])
        read |= entries[entry_start[leaf]] | entries[entry_start[leaf + _ONE]]
    return read


@numba.njit(cache=True, nogil=True)
def _copy(leaves, pixel, entry_start, entries, run):  # type: ignore[no-untyped-def]
    """Entries of all leaves of a pixel, one after the other; always COPIED at once, as most leaves have no more."""
    at = np.uint64(0)
    for t in range(leaves.shape[0]):
        leaf = np.uint64(leaves[t, pixel])
        first = np.uint64(entry_start[leaf])
        size = np.uint64(entry_start[leaf + _ONE]) - first
        e0 = entries[first]
        e1 = entries[first + np.uint64(1)]
        e2 = entries[first + np.uint64(2)]
        e3 = entries[first + np.uint64(3)]
        e4 = entries[first + np.uint64(4)]
        e5 = entries[first + np.uint64(5)]
        e6 = entries[first + np.uint64(6)]
        e7 = entries[first + np.uint64(7)]
        run[at] = e0
        run[at + np.uint64(1)] = e1
        run[at + np.uint64(2)] = e2
        run[at + np.uint64(3)] = e3
        run[at + np.uint64(4)] = e4
        run[at + np.uint64(5)] = e5
        run[at + np.uint64(6)] = e6
        run[at + np.uint64(7)] = e7
        for e in range(COPIED, np.int64(size)):
            run[at + np.uint64(e)] = entries[first + np.uint64(e)]
        at += size
    return np.int64(at)


@numba.njit(cache=True, nogil=True)
def _open_bins(bins, needed, slot, bin_of, below):  # type: ignore[no-untyped-def]
    """Give each bin that holds one of ``needed`` a slot from 1; what lies ``below`` it, by slot."""
    at, total, used = np.uint64(0), np.int64(0), 0
    for k in range(needed.size):
        while total + bins[at] < needed[k]:
            total += bins[at]
            at += _ONE
        if slot[at] == 0:
            used += 1
            slot[at], bin_of[used], below[used] = used, at, total
    return used


@numba.njit(cache=True, nogil=True)
def _sum_ranks(run, count, shift, slot, ranks):  # type: ignore[no-untyped-def]
    """Sum weights by rank in the open bins; those of all others fall into slot 0, which costs less than asking."""
    within = (_ONE << shift) - _ONE
    for e in range(count):
        entry = run[np.uint64(e)]
        level = entry & _LEVEL
        ranks[(np.uint64(slot[level >> shift]) << shift) | (level & within)] += np.int32(entry >> _HALF)


@numba.njit(cache=True, nogil=True)
def _find(ranks, shift, used, bin_of, below, needed, levels, pixel):  # type: ignore[no-untyped-def]
    """Ranks wanted, from the sums of the open bins, which it clears."""
    place, last, total, rank = _ONE, np.uint64(used), below[1], np.uint64(0)
    for k in range(needed.size):
        while place < last and below[place + _ONE] < needed[k]:
            place += _ONE
            total, rank = below[place], np.uint64(0)
        first = place << shift
        while total + ranks[first | rank] < needed[k]:
            total += ranks[first | rank]
            rank += _ONE
        levels[pixel, k] = (bin_of[place] << np.int64(shift)) + np.int64(rank)
    for at in range((used + 1) << np.int64(shift)):
        ranks[np.uint64(at)] = 0
