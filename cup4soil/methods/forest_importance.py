"""Importance of features by permutation (Breiman 2001, Machine Learning 45, 5)."""

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.forest_trees import Leaves, Trees
from cup4soil.methods.forest_walk import in_threads

_LEAST_PERMUTED = 2000
_OOB_ROWS = 8192

type _Floats = NDArray[np.float64]


def importance(
    trees: Trees, leaves: Leaves, features: NDArray[np.float32], targets: _Floats, seed: int, threads: int
) -> _Floats:
    """(f,): how much the out-of-bag mean squared error grows when a feature's values are shuffled.

    ``features`` (n, f) and ``targets`` (n, t) are those of training. All trees use one shuffle, repeated
    until 2000 rows were shuffled. With several targets it is the mean of their errors' growth, each
    relative to the target's variance.
    """
    in_bag = leaves.in_bag(trees, features.shape[0])
    variance = np.ones(1) if targets.shape[1] == 1 else targets.var(axis=0)
    means = [leaves.means(target) for target in targets.T]

    def error(x: NDArray[np.float32]) -> float:
        return float(np.mean(_squared_errors(trees, means, in_bag, x, targets) / variance))

    whole = error(features)
    repeats = -(-_LEAST_PERMUTED // features.shape[0])
    increase = np.empty(features.shape[1])

    def measure(feature: int) -> None:
        random = np.random.default_rng([seed, feature])
        shuffled = features.copy()
        errors = np.empty(repeats)
        for repeat in range(repeats):
            shuffled[:, feature] = random.permutation(features[:, feature])
            errors[repeat] = error(shuffled)
        increase[feature] = errors.mean() - whole

    in_threads(measure, [(feature,) for feature in range(features.shape[1])], threads)
    return increase


def out_of_bag(trees: Trees, means: list[_Floats], in_bag: NDArray[np.bool_], features: NDArray[np.float32]) -> _Floats:
    """(n, t): mean over the trees that did not draw the row; NaN where all did."""
    out = np.full((features.shape[0], len(means)), np.nan)
    for first in range(0, out.shape[0], _OOB_ROWS):
        rows = slice(first, first + _OOB_ROWS)
        unseen = ~in_bag[:, rows]
        reached = trees.apply(features[rows])
        votes = unseen.sum(axis=0)
        for k, mean in enumerate(means):
            total = np.where(unseen, mean[reached], 0.0).sum(axis=0)
            np.divide(total, votes, out=out[rows, k], where=votes > 0)
    return out


def _squared_errors(
    trees: Trees, means: list[_Floats], in_bag: NDArray[np.bool_], features: NDArray[np.float32], targets: _Floats
) -> _Floats:
    """(t,): mean over the rows that some tree did not draw; 0 where there is none."""
    error = out_of_bag(trees, means, in_bag, features) - targets
    known = np.isfinite(error).all(axis=1)
    return np.mean(error[known] ** 2, axis=0) if known.any() else np.zeros(targets.shape[1])
