"""From features to means and quantiles: the compiled loops run block by block, in threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.forest_kernels import BLOCK, ROW
from cup4soil.methods.forest_quantiles import means
from cup4soil.methods.forest_trees import Trees
from cup4soil.methods.forest_values import LeafValues

# Starting a thread for fewer rows does not pay.
_LEAST_PART = 64

type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prediction:
    """``mean``: (m,); ``quantiles``: (q, m), in the order asked for; NaN where a feature was missing."""

    mean: _Floats
    quantiles: _Floats


def predict(
    trees: Trees,
    columns: Sequence[LeafValues],
    features: NDArray[np.float32],
    quantiles: Sequence[float],
    threads: int,
) -> tuple[Prediction, ...]:
    """Mean and ``quantiles`` of each of ``columns`` at ``features`` (m, f); leaves are walked to once.

    Raises:
        InvalidInput: when a quantile is not between 0 and 1.
    """
    wanted = [values.wanted(quantiles) for values in columns]
    valid = np.isfinite(features).all(axis=1)
    x = features if valid.all() else features[valid]
    found = [Prediction(np.empty(len(x)), np.empty((len(quantiles), len(x)))) for _ in columns]

    def part(first: int, end: int) -> None:
        leaves = np.empty((trees.count, ROW), np.int32)
        for at in range(first, end, BLOCK):
            here = slice(at, min(at + BLOCK, end))
            trees.reach(x[here], leaves)
            for values, sought, out in zip(columns, wanted, found, strict=True):
                means(leaves, trees.tree_leaf, values.mean, out.mean[here])
                if sought.needed.size:
                    reached = values.values_at(sought.needed, leaves, trees.tree_leaf, here.stop - at)
                    out.quantiles[:, here] = sought.quantiles(reached)

    # Made before the threads ask for them at once.
    _ = trees.nodes, trees.leaf_of, trees.tree_leaf
    in_threads(part, _parts(len(x), threads), threads)
    return tuple(found) if valid.all() else tuple(_spread(each, valid) for each in found)


def in_threads(work: Callable[..., None], calls: Sequence[tuple[int, ...]], threads: int) -> None:
    """Run ``work`` once for each tuple of arguments; the first error, if any, is raised."""
    if threads == 1 or len(calls) == 1:
        for arguments in calls:
            work(*arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, *arguments) for arguments in calls]:
            done.result()


def _parts(rows: int, threads: int) -> list[tuple[int, ...]]:
    """Equal parts, as many as the threads can share, of up to four blocks each."""
    parts = threads * -(-rows // (4 * threads * BLOCK))
    step = max(_LEAST_PART, -(-rows // max(parts, 1)))
    return [(first, min(first + step, rows)) for first in range(0, rows, step)]


def _spread(found: Prediction, valid: NDArray[np.bool_]) -> Prediction:
    """With NaN where nothing could be predicted."""
    mean = np.full(valid.size, np.nan)
    quantiles = np.full((found.quantiles.shape[0], valid.size), np.nan)
    mean[valid], quantiles[:, valid] = found.mean, found.quantiles
    return Prediction(mean, quantiles)
