"""Derived values of a forest's training rows, with the error of the formula that derived them.

A row's derived value is a function of what was measured there together, so its distribution at a pixel, under
the forest's own weights, is joint and exact (:meth:`QuantileForest.with_reported`). Where the formula itself
errs by a known standard deviation, each row stands several times, with as many stratified normal deviates:
the distribution predicted then comes near the convolution of both.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from cup4soil.errors import InvalidInput
from cup4soil.methods.forest import QuantileForest

# With 8, bounds of the 90 % interval miss the exact ones by 1 to 2 % of its width (root mean square), with 1 by
# 3 to 7 %; the time to predict grows with the number.
DRAWS = 8
_LARGEST = 1000

type _Floats = NDArray[np.float64]


def deviates(rows: int, draws: int, seed: int) -> _Floats:
    """Standard normal deviates (rows, draws): the rows * draws of them are the midpoints of equal shares.

    Every row has one deviate of each of ``draws`` equal shares of the normal distribution, in random order, so
    that neither a row nor a column is off by chance.

    Raises:
        InvalidInput: when a number is not 1 or more, or there are more than 1000 draws.
    """
    if rows < 1 or not 1 <= draws <= _LARGEST:
        raise InvalidInput(f"{draws} deviates for {rows} rows", f"give 1 to {_LARGEST} for at least one row")
    random = np.random.default_rng(seed)
    within = np.column_stack([random.permutation(rows) for _ in range(draws)])
    shares = (np.arange(draws) + (within + 0.5) / rows) / draws
    return np.asarray(ndtri(random.permuted(shares, axis=1)))


def repeated(forest: QuantileForest, values: ArrayLike) -> QuantileForest:
    """``forest`` with every training row standing d times: it predicts the pooled ``values`` (n, d).

    Each of a row's values has a d-th of the row's weight. With values (n, d, k) it reports k columns.

    Raises:
        InvalidInput: when there is not one row of values per training row.
        InvalidSamples: when a value is not finite.
    """
    table = np.asarray(values, np.float64)
    rows = len(forest.target)
    if table.ndim not in (2, 3) or table.shape[0] != rows or not table.size:
        raise InvalidInput(f"values of shape {table.shape}", f"give one row for each of {rows} training rows")
    if table.shape[1] == 1:
        return forest.with_reported(table[:, 0])
    return _standing(forest, table.shape[1]).with_reported(table.reshape(rows * table.shape[1], -1))


def _standing(forest: QuantileForest, times: int) -> QuantileForest:
    """Row i becomes rows i * times to i * times + times - 1, in the same leaves and as often drawn."""
    leaves = forest.leaves
    copies = (leaves.row[:, None].astype(np.int64) * times + np.arange(times)).ravel().astype(np.int32)
    kept = leaves.kept
    if kept is not None:
        picked = np.random.default_rng([forest.parameters.seed, times]).integers(times, size=kept.size)
        kept = (kept.astype(np.int64) * times + picked).astype(np.int32)
    return replace(
        forest,
        leaves=replace(leaves, start=leaves.start * times, row=copies, count=np.repeat(leaves.count, times), kept=kept),
        target=np.repeat(forest.target, times, axis=0),
        reported=np.repeat(forest.reported, times, axis=0),
    )
