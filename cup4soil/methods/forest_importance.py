"""Importance of features by permutation (Breiman 2001, Machine Learning 45, 5).

A tree's answer for a row can only change where the feature shuffled was asked on the row's way: only those
ways are walked again, from the first node that asks for it, and only in trees that did not draw the row.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.forest_kernels import LINK_BITS, MAX_TREE_NODES, next_node, ordered
from cup4soil.methods.forest_trees import Leaves, Trees
from cup4soil.methods.forest_walk import in_threads

_LEAST_PERMUTED = 2000
# Numbers that a thread holds at once, in each of a few arrays: 2 MB.
_HELD = 2**18
_LEFT = np.uint32(MAX_TREE_NODES - 1)
_SHIFT = np.uint32(LINK_BITS)

type _Floats = NDArray[np.float64]
type _Codes = NDArray[np.uint32]


def importance(
    trees: Trees, leaves: Leaves, features: NDArray[np.float32], targets: _Floats, seed: int, threads: int
) -> _Floats:
    """(f,): how much the out-of-bag mean squared error grows when a feature's values are shuffled.

    ``features`` (n, f) and ``targets`` (n, t) are those of training. All trees use one shuffle, repeated
    until 2000 rows were shuffled. With several targets it is the mean of their errors' growth, each
    relative to the target's variance. The result does not depend on ``threads``.
    """
    rows, width = features.shape
    variance = np.ones(1) if targets.shape[1] == 1 else targets.var(axis=0)
    codes, forest = ordered(features), OutOfBag(trees, leaves, targets)
    randoms = [np.random.default_rng([seed, feature]) for feature in range(width)]
    repeats = -(-_LEAST_PERMUTED // rows)
    growth = np.zeros(width)
    for _ in range(repeats):
        shuffled = np.column_stack(
            [random.permutation(column) for random, column in zip(randoms, codes.T, strict=True)]
        )
        whole, without = forest.errors(codes, shuffled, threads)
        growth += np.mean((without - whole) / variance, axis=1)
    growth /= repeats
    return growth


class OutOfBag:
    """What the trees that did not draw a training row say of it."""

    def __init__(self, trees: Trees, leaves: Leaves, targets: _Floats) -> None:
        self._trees = trees
        self._targets = targets
        self._in_bag = leaves.in_bag(trees, len(targets))
        self._means = np.column_stack([leaves.means(target) for target in targets.T])

    def predictions(self, codes: _Codes, shuffled: _Codes, first: int = 0, end: int | None = None) -> _Floats:
        """(1 + f, rows, t), for the rows from ``first`` to ``end``: first of ``codes`` (n, f), then with one feature
        after the other taken from ``shuffled`` (n, f). NaN where every tree drew the row.
        """  # fmt: skip
        part = slice(first, end)
        found = np.zeros((1 + codes.shape[1], len(codes[part]), self._targets.shape[1]))
        votes = np.zeros(found.shape[1])
        trees = self._trees
        _sum(
            codes[part], shuffled[part], self._in_bag[:, part], trees.nodes, trees.tree_start, trees.leaf_of,
            self._means, found, votes,
        )  # fmt: skip
        found[1:] += found[0]
        votes[votes == 0] = np.nan
        found /= votes[:, None]
        return found

    def errors(self, codes: _Codes, shuffled: _Codes, threads: int) -> tuple[_Floats, _Floats]:
        """Mean squared errors, (t,) and (f, t), over the rows that some tree did not draw; 0 where there is none."""
        rows, width = codes.shape
        step = max(64, _HELD // ((1 + width) * self._targets.shape[1]))
        starts = range(0, rows, step)
        sums = np.zeros((len(starts), 1 + width, self._targets.shape[1]))
        known = np.zeros(len(starts))

        def part(number: int) -> None:
            first = starts[number]
            end = min(first + step, rows)
            error = self.predictions(codes, shuffled, first, end) - self._targets[first:end]
            seen = np.isfinite(error[0]).all(axis=1)
            sums[number] = (error[:, seen] ** 2).sum(axis=1)
            known[number] = seen.sum()

        _ = self._trees.nodes, self._trees.leaf_of
        in_threads(part, [(number,) for number in range(len(starts))], threads)
        error = sums.sum(axis=0) / max(known.sum(), 1)
        return error[0], error[1:]


@numba.njit(cache=True, nogil=True)
def _sum(codes, shuffled, in_bag, nodes, tree_start, leaf_of, leaf_mean, total, votes):  # type: ignore[no-untyped-def]
    """Sums over the trees: in ``total[0]`` of their answers, in ``total[1 + feature]`` of what shuffling changes."""
    rows, width = codes.shape
    walks = 0
    seen = np.zeros(width, np.int64)
    asked = np.empty(width, np.uint32)
    where = np.empty(width, np.uint32)
    for t in range(tree_start.size - 1):
        tree = nodes[tree_start[t] : tree_start[t + 1]]
        leaf = leaf_of[tree_start[t] : tree_start[t + 1]]
        for row in range(rows):
            if in_bag[t, row]:
                continue
            walks += 1
            votes[row] += 1
            here, count = _recorded(tree, codes[row], walks, seen, asked, where)
            total[0, row] += leaf_mean[leaf[here]]
            for k in range(count):
                there = _walk_with(tree, codes[row], asked[k], shuffled[row, asked[k]], where[k])
                if there != here:
                    total[1 + asked[k], row] += leaf_mean[leaf[there]] - leaf_mean[leaf[here]]


@numba.njit(cache=True, nogil=True)
def _recorded(tree, x, walk, seen, asked, where):  # type: ignore[no-untyped-def]
    """The leaf's node that ``x`` reaches, and how many features were ``asked``, each first at the node ``where``."""
    here, count = np.uint32(0), 0
    while True:
        link = np.uint32(tree[here])
        if (link & _LEFT) == here:
            return here, count
        feature = link >> _SHIFT
        if seen[feature] != walk:
            seen[feature], asked[count], where[count] = walk, feature, here
            count += 1
        here = next_node(tree, x, np.uint32(0), here)


@numba.njit(cache=True, nogil=True)
def _walk_with(tree, x, feature, value, here):  # type: ignore[no-untyped-def]
    """The leaf's node reached from ``here`` where ``feature`` has another value."""
    while True:
        node = tree[here]
        link = np.uint32(node)
        left = link & _LEFT
        if left == here:
            return here
        asked = link >> _SHIFT
        code = value if asked == feature else x[asked]
        here = left + np.uint32(np.uint32(node >> np.uint64(32)) < code)
