"""Regression trees as flat arrays, and which training rows their leaves hold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import LimitExceeded
from cup4soil.methods.forest_kernels import (
    BLOCK,
    LARGEST,
    LINK_BITS,
    MAX_FEATURES,
    MAX_TREE_NODES,
    ROW,
    STEP,
    ordered,
    walk,
)
from cup4soil.methods.stored import require, require_offsets, stored_array

# Keeps the random numbers that pick rows apart from all others drawn with the same seed.
_KEEPING = 0x6B657074

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trees:
    """The splits of all trees, one tree after the other, each from its root downwards.

    ``tree_start``: (trees + 1,), the first node of each tree; per node ``threshold``, ``feature`` and
    ``left``: a row goes to ``left`` (counted from the tree's root) where its feature is at most the
    threshold, else to the node after that. Leaves have feature and left -1 and threshold infinity; they
    are numbered in the order of the nodes.
    """

    tree_start: NDArray[np.int64]
    threshold: NDArray[np.float32]
    feature: NDArray[np.int32]
    left: NDArray[np.int32]

    @classmethod
    def of_sklearn(cls, trees: Iterable[Any]) -> Self:
        """From fitted ``sklearn.tree._tree.Tree`` objects.

        Raises:
            LimitExceeded: when a tree has more nodes than the compiled loops can address.
        """
        parts = [_flat(tree) for tree in trees]
        sizes = [feature.size for _, feature, _ in parts]
        if max(sizes) > MAX_TREE_NODES:
            raise LimitExceeded(f"a tree with {max(sizes)} nodes", f"raise min_leaf: at most {MAX_TREE_NODES}")
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return cls(np.cumsum([0, *sizes], dtype=np.int64), columns[0], columns[1], columns[2])

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], features: int) -> Self:
        """Read back what :meth:`to_arrays` gave, for rows of ``features`` columns.

        Raises:
            InvalidInput: when following the nodes could leave a tree, run in a circle or read past a row.
        """
        trees = cls(
            stored_array(arrays, "tree_start", np.int64),
            stored_array(arrays, "threshold", np.float32),
            stored_array(arrays, "feature", np.int32),
            stored_array(arrays, "left", np.int32),
        )
        trees._check(features)
        return trees

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name."""
        return {name: getattr(self, name) for name in ("tree_start", "threshold", "feature", "left")}

    @property
    def count(self) -> int:
        """Number of trees."""
        return self.tree_start.size - 1

    @cached_property
    def is_leaf(self) -> NDArray[np.bool_]:
        """Per node."""
        return self.feature < 0

    @cached_property
    def tree_of_leaf(self) -> NDArray[np.intp]:
        """Per leaf, the tree it is in."""
        return np.repeat(np.arange(self.count), np.diff(self.tree_leaf))

    @cached_property
    def leaf_of(self) -> NDArray[np.int32]:
        """Number of the leaf per node; of no meaning at other nodes."""
        return np.cumsum(self.is_leaf, dtype=np.int32) - np.int32(1)

    @cached_property
    def tree_leaf(self) -> NDArray[np.int64]:
        """(trees + 1,), the first leaf of each tree."""
        return np.append(0, np.cumsum(np.add.reduceat(self.is_leaf, self.tree_start[:-1], dtype=np.int64)))

    @cached_property
    def nodes(self) -> NDArray[np.uint64]:
        """As the compiled loops read them."""
        itself = np.arange(self.feature.size) - np.repeat(self.tree_start[:-1], np.diff(self.tree_start))
        left = np.where(self.is_leaf, itself, self.left).astype(np.uint32)
        link = left | (np.where(self.is_leaf, 0, self.feature).astype(np.uint32) << np.uint32(LINK_BITS))
        threshold = np.where(self.is_leaf, LARGEST, ordered(self.threshold))
        return (threshold.astype(np.uint64) << np.uint64(32)) | link

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.int32]:
        """Number of the leaf, (trees, m), that each row of finite ``features`` (m, f) reaches."""
        out = np.empty((self.count, features.shape[0]), np.int32)
        reached = np.empty((self.count, ROW), np.int32)
        for first in range(0, features.shape[0], BLOCK):
            rows = features[first : first + BLOCK]
            self.reach(rows, reached)
            out[:, first : first + BLOCK] = reached[:, : rows.shape[0]]
        return out

    def reach(self, features: NDArray[np.float32], leaves: NDArray[np.int32]) -> None:
        """As :meth:`apply` for up to BLOCK rows, into the first columns of ``leaves`` (trees, ROW)."""
        count = features.shape[0]
        codes = np.zeros((-(-count // STEP) * STEP, features.shape[1]), np.uint32)
        codes[:count] = ordered(features)
        walk(codes, count, self.nodes, self.tree_start, self.leaf_of, leaves)

    def _check(self, features: int) -> None:
        size = self.feature.size
        require(self.threshold.size == size and self.left.size == size, "node arrays differ in length")
        require_offsets(self.tree_start, size, "tree_start")
        sizes = np.diff(self.tree_start)
        require(sizes.max() <= MAX_TREE_NODES, "a tree has too many nodes")
        require(1 <= features <= MAX_FEATURES, f"{features} features")
        root = np.repeat(self.tree_start[:-1], sizes)
        inner = self.feature >= 0
        left = self.left[inner].astype(np.int64)
        require((self.feature >= -1).all() and (self.feature < features).all(), "a feature is out of range")
        require(np.isfinite(self.threshold[inner]).all(), "a threshold is not finite")
        require((self.left[~inner] == -1).all(), "a leaf has children")
        require((left > (np.arange(size) - root)[inner]).all(), "a child lies before its parent")
        require((left + 1 < np.repeat(sizes, sizes)[inner]).all(), "a child lies outside its tree")
        children = np.bincount(np.concatenate([left, left + 1]) + np.tile(root[inner], 2), minlength=size)
        children[self.tree_start[:-1]] += 1
        require((children == 1).all(), "a node has not exactly one parent")


@dataclass(frozen=True)
class Leaves:
    """The training rows in each leaf: ``row[start[i]:start[i + 1]]``, drawn ``count`` times by the bootstrap.

    ``kept``: per leaf the one row that speaks for it, or None where all do.
    """

    start: NDArray[np.int64]
    row: NDArray[np.int32]
    count: NDArray[np.int32]
    kept: NDArray[np.int32] | None = None

    @classmethod
    def of_bootstrap(cls, trees: Trees, features: NDArray[np.float32], samples: Iterable[NDArray[Any]]) -> Self:
        """From the rows that each tree drew (``samples``, with repetition)."""
        starts, rows, counts = [], [], []
        for reached, drawn in zip(trees.apply(features), samples, strict=True):
            times = np.bincount(drawn, minlength=features.shape[0])
            row = np.flatnonzero(times)
            row = row[np.argsort(reached[row], kind="stable")]
            starts.append(np.unique(reached[row], return_counts=True)[1])
            rows.append(row.astype(np.int32))
            counts.append(times[row].astype(np.int32))
        start = np.concatenate([[0], np.cumsum(np.concatenate(starts))])
        return cls(start.astype(np.int64), np.concatenate(rows), np.concatenate(counts))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], trees: Trees, rows: int, *, kept: bool) -> Self:
        """Read back what :meth:`to_arrays` gave, for ``trees`` grown on ``rows`` training rows.

        ``kept``: whether one row is to speak for each leaf.

        Raises:
            InvalidInput: when a leaf is empty, names a row that is not there, keeps one of another leaf, or
                a tree's draws do not add up.
        """
        leaves = cls(
            stored_array(arrays, "leaf_start", np.int64),
            stored_array(arrays, "leaf_row", np.int32),
            stored_array(arrays, "leaf_count", np.int32),
            stored_array(arrays, "leaf_kept", np.int32) if kept else None,
        )
        require(leaves.row.size == leaves.count.size, "leaf arrays differ in length")
        require(leaves.start.size == trees.is_leaf.sum() + 1, "leaf_start does not fit the trees")
        require_offsets(leaves.start, leaves.row.size, "leaf_start")
        require((leaves.row >= 0).all() and (leaves.row < rows).all(), "a training row is out of range")
        require((leaves.count >= 1).all() and (leaves.count <= rows).all(), "a bootstrap count is out of range")
        drawn = np.bincount(trees.tree_of_leaf, weights=leaves.sizes, minlength=trees.count)
        require((drawn == rows).all(), "a tree holds more or fewer draws than training rows")
        leaves._check_kept()
        return leaves

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name; ``kept`` only where it is known."""
        fields: dict[str, NDArray[Any]] = {"leaf_start": self.start, "leaf_row": self.row, "leaf_count": self.count}
        return fields if self.kept is None else {**fields, "leaf_kept": self.kept}

    def keeping_one(self, seed: int) -> Self:
        """With one row kept in each leaf, picked from its draws, each as likely as the other."""
        drawn = np.cumsum(self.count, dtype=np.int64)
        pick = drawn[self.start[1:] - 1] - self.sizes + np.random.default_rng([seed, _KEEPING]).integers(self.sizes)
        return replace(self, kept=self.row[np.searchsorted(drawn, pick, side="right")])

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Number of draws per leaf."""
        return np.add.reduceat(self.count, self.start[:-1], dtype=np.int64)

    @property
    def leaf_of_entry(self) -> NDArray[np.intp]:
        """The leaf of each element of ``row``."""
        return np.repeat(np.arange(self.start.size - 1), np.diff(self.start))

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Per leaf, the mean of the training ``values`` (n,) over its draws."""
        total: NDArray[np.float64] = np.add.reduceat(self.count * values[self.row], self.start[:-1])
        return total / self.sizes

    def in_bag(self, trees: Trees, rows: int) -> NDArray[np.bool_]:
        """(trees, rows): True where the tree was grown on the row."""
        drawn = np.zeros((trees.count, rows), np.bool_)
        drawn[trees.tree_of_leaf[self.leaf_of_entry], self.row] = True
        return drawn

    def _check_kept(self) -> None:
        if self.kept is None:
            return
        require(self.kept.size == self.start.size - 1, "leaf_kept does not fit the trees")
        is_kept = self.row == self.kept[self.leaf_of_entry]
        require(np.logical_or.reduceat(is_kept, self.start[:-1]).all(), "a row is kept that its leaf does not hold")


def _flat(tree: Any) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Threshold, feature and left child per node, renumbered level by level so that siblings are adjacent."""
    old_left, old_right = tree.children_left, tree.children_right
    levels = [np.zeros(1, np.intp)]
    while (parents := levels[-1][old_left[levels[-1]] >= 0]).size:
        levels.append(np.column_stack([old_left[parents], old_right[parents]]).ravel())
    order = np.concatenate(levels)
    number = np.empty(order.size, np.int32)
    number[order] = np.arange(order.size, dtype=np.int32)
    leaf = old_left[order] < 0
    left = np.where(leaf, np.int32(-1), number[old_left[order]])
    feature = np.where(leaf, -1, tree.feature[order]).astype(np.int32)
    threshold = np.where(leaf, np.float32(np.inf), _rounded_down(tree.threshold[order]))
    return threshold, feature, left


def _rounded_down(threshold: _Floats) -> NDArray[np.float32]:
    """The largest float32 not above: for any float32 x, x <= threshold holds for both or for none."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
