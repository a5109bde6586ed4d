"""What the leaves of a forest say on one scale, as the compiled loops read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput, LimitExceeded
from cup4soil.methods.forest_quantiles import COPIED, kept_levels, quantile_levels
from cup4soil.methods.forest_trees import Leaves, Trees

# Weights of one pixel sum to at most this, the largest 32-bit integer.
_FULL_WEIGHT = 2**31 - 1
_ENTRIES_AT_ONCE = 2**20
_MOST_ENTRIES = 2**32 - 2 * COPIED

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Wanted:
    """Which cumulative weights to look for, and how quantiles come from the values found there.

    ``needed``: (k,), ascending; ``low``, ``high``, ``share``: (q,), a quantile lies ``share`` of the way
    from the value at ``needed[low]`` to that at ``needed[high]``.
    """

    needed: NDArray[np.int64]
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: _Floats

    @classmethod
    def weights(cls, needed: NDArray[np.int64]) -> Self:
        """Of (q,) cumulative weights, without interpolation."""
        sought, place = np.unique(needed, return_inverse=True)
        return cls(sought, place, place, np.zeros(needed.size))

    @classmethod
    def type_7(cls, taus: _Floats, count: int) -> Self:
        """Of ``count`` values of weight 1: Hyndman & Fan's type 7 (1996, The American Statistician 50, 361)."""
        at = (count - 1) * taus
        below = np.floor(at).astype(np.int64)
        ranks = np.concatenate([below + 1, np.minimum(below + 2, count)])
        sought, place = np.unique(ranks, return_inverse=True)
        return cls(sought, place[: taus.size], place[taus.size :], at - below)

    def quantiles(self, values: _Floats) -> _Floats:
        """(q, m) from the ``values`` (m, k) found."""
        low, high, share = values[:, self.low].T, values[:, self.high].T, self.share[:, None]
        step = high - low
        # From the nearer end, as numpy.quantile does: the same bits.
        return np.where(share >= 0.5, high - step * (1 - share), low + step * share)


@dataclass(frozen=True)
class LeafValues:
    """Values of the training rows on one scale, as the compiled loops read them.

    ``distinct``: the values in ascending order; ``entries``: per leaf (from ``start``) the rank of each
    of its values and its weight; the weights of a leaf sum to ``unit``; ``most``: the largest number of
    entries that a pixel can reach; ``mean``: per leaf, over its draws. Where one row is kept per leaf,
    it weighs 1, ``entries`` are the ranks alone, and ``start`` is empty.

    Other weights are integers, cut out of the leaf's cumulative share of ``unit``: the cumulative weight
    of a leaf is exact to half a unit at every value, that of a pixel to 0.5 / ``unit`` of the whole, and
    no order of summing changes it.
    """

    distinct: _Floats
    start: NDArray[np.uint32]
    entries: NDArray[Any]
    most: int
    mean: _Floats
    unit: int
    trees: int

    @classmethod
    def of(cls, leaves: Leaves, values: _Floats, trees: Trees) -> Self:
        """For the training ``values`` (n,) of a forest.

        Raises:
            LimitExceeded: when the leaves hold more entries than can be addressed.
        """
        mean = leaves.means(values)
        distinct, rank = np.unique(values, return_inverse=True)
        if leaves.kept is not None:
            levels = rank[leaves.kept].astype(np.uint32)
            return cls(distinct, np.empty(0, np.uint32), levels, trees.count, mean, 1, trees.count)
        unit = _FULL_WEIGHT // trees.count
        start, entries = _weighted(leaves, rank, unit)
        most = int(np.maximum.reduceat(np.diff(start), trees.tree_leaf[:-1]).sum())
        return cls(distinct, start, entries, most, mean, unit, trees.count)

    def wanted(self, quantiles: Sequence[float]) -> Wanted:
        """Where to look for ``quantiles``.

        Raises:
            InvalidInput: when one of them is not between 0 and 1.
        """
        taus = np.asarray(quantiles, np.float64).reshape(-1)
        if not ((taus > 0) & (taus < 1)).all():
            raise InvalidInput(f"quantiles {list(quantiles)}", "give shares between 0 and 1")
        if self.unit == 1:
            return Wanted.type_7(taus, self.trees)
        needed = np.floor(taus * self.trees * self.unit).astype(np.int64) - self.trees
        return Wanted.weights(np.maximum(needed, 1))

    def values_at(
        self, needed: NDArray[np.int64], leaves: NDArray[np.int32], tree_leaf: NDArray[np.int64], pixels: int
    ) -> _Floats:
        """(pixels, k): values at which the weight in each column of ``leaves`` reaches each of ``needed`` (k,)."""
        levels = np.empty((pixels, needed.size), np.int64)
        if self.start.size == 0:
            kept_levels(leaves, tree_leaf, self.entries, self.distinct.size, needed, levels)
        else:
            quantile_levels(leaves, self.start, self.entries, self.most, self.distinct.size, needed, levels)
        return self.distinct[levels]


def _words(level: NDArray[np.intp], weight: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Entries as :mod:`cup4soil.methods.forest_quantiles` reads them: weight and rank in a word."""
    return (weight.astype(np.uint64) << np.uint64(32)) | level.astype(np.uint64)


def _with_spare(entries: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    size = sum(each.size for each in entries)
    if size > _MOST_ENTRIES:
        raise LimitExceeded(f"{size} values in the leaves", "take fewer trees or samples, or the form 'one'")
    return np.concatenate([*entries, np.zeros(COPIED, np.uint64)])


def _weighted(leaves: Leaves, rank: NDArray[np.intp], unit: int) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """Start of each leaf's entries, and the entries; some leaves at a time, which bounds the memory needed."""
    bounds = np.searchsorted(leaves.start, np.arange(0, leaves.row.size, _ENTRIES_AT_ONCE))
    bounds = np.append(np.unique(bounds), leaves.start.size - 1)
    parts = [_weighted_part(leaves, rank, unit, first, end) for first, end in pairwise(bounds.tolist()) if end > first]
    sizes, entries = zip(*parts, strict=True)
    start = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    return start.astype(np.uint32), _with_spare(list(entries))


def _weighted_part(
    leaves: Leaves, rank: NDArray[np.intp], unit: int, first: int, end: int
) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Number of entries of each leaf from ``first`` to ``end``, and the entries: one for each distinct value."""
    held = slice(leaves.start[first], leaves.start[end])
    leaf = np.repeat(np.arange(end - first), np.diff(leaves.start[first : end + 1]))
    level = rank[leaves.row[held]]
    order = np.lexsort((level, leaf))
    leaf, level, count = leaf[order], level[order], leaves.count[held][order].astype(np.int64)
    sizes = leaves.sizes[first:end]
    size = sizes[leaf]
    reached = np.cumsum(count) - (np.cumsum(sizes) - sizes)[leaf]
    share = (2 * unit * reached + size) // (2 * size)
    last = np.append((np.diff(leaf) != 0) | (np.diff(level) != 0), True)
    leaf, level, share = leaf[last], level[last], share[last]
    begins = np.append(True, np.diff(leaf) != 0)
    weight = share - np.where(begins, 0, np.roll(share, 1))
    return np.bincount(leaf), _words(level, weight)
