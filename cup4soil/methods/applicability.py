"""Area of applicability (Meyer & Pebesma 2021, Methods Ecol. Evol. 12, 1620; reference: R package CAST).

A model is held to apply where the features resemble those it was trained on. Features are standardised by
the mean and standard deviation of the training data and multiplied by their importance. The dissimilarity
index (DI) of a pixel is its distance to the nearest training point divided by the mean distance between
training points; the training points' own index, each against the points of *other* folds, says how large it
may be. The paper takes the largest that is no outlier of a box plot, which is one of the training indices;
CAST since 0.9 takes min(max, Q75 + 1.5 IQR), quartiles interpolated linearly, and so do we: it lies
a little above. The local point density (LPD; Schumacher et al. 2025, Geosci. Model Dev. 18, 10185, and CAST)
is the number of training points whose distance counts as inside: 0 outside, and inside it tells one
lonely sample from many. CAST gives all levels of a class the class's importance; here each level is a
feature with an importance of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.density import PointIndex
from cup4soil.methods.stored import require, stored_array

_ROWS = 1024

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Applicability:
    """What the index is measured against.

    ``centre``, ``spread``, ``weights``: (f,); a feature of weight 0 is not used. ``points``: (n, used),
    the training data standardised and weighted. ``mean_distance``: between pairs of distinct points of
    the table. ``training_di``: (n,). ``threshold``: largest index that counts as inside.
    """

    centre: _Floats
    spread: _Floats
    weights: _Floats
    points: _Floats
    mean_distance: float
    training_di: _Floats
    threshold: float

    @classmethod
    def fit(cls, features: ArrayLike, weights: ArrayLike, folds: ArrayLike) -> Self:
        """From the training ``features`` (n, f), taken as float32 as the forest does, and their ``folds`` (n,).

        ``weights`` (f,) are importances: those below 0 count as 0, and where none is above 0 all features
        weigh the same. Features that do not vary are dropped, whatever their weight.

        Raises:
            InvalidInput: when shapes do not agree, a weight is not finite or there are fewer than two folds.
            InvalidSamples: when a feature is not finite, or all rows are the same.
        """
        x, fold = _rows(features), np.asarray(folds)
        if fold.shape != x.shape[:1]:
            raise InvalidInput(f"{fold.shape} folds for {x.shape[0]} rows", "give one per row")
        if np.unique(fold).size < 2:
            raise InvalidInput("fewer than two folds", "give at least two")
        if not np.isfinite(x).all():
            row = int(np.argmin(np.isfinite(x).all(axis=1)))
            raise InvalidSamples(f"sample {row} has a feature that is not finite", "leave such samples out")
        used = _weights(weights, np.ptp(x, axis=0) > 0.0)
        centre, spread = x.mean(axis=0), x.std(axis=0, ddof=1)
        points = _scaled(x, centre, spread, used)
        mean_distance = _mean_distance(points)
        training = _nearest_in_other_folds(points, fold) / mean_distance
        return cls(centre, spread, used, points, mean_distance, training, _threshold(training))

    def dissimilarity(self, features: ArrayLike, *, threads: int = 2) -> NDArray[np.float32]:
        """Dissimilarity index of each row of ``features`` (m, f): 0 at a training point.

        NaN for rows with any feature that is not finite as float32.

        Raises:
            InvalidInput: when there are not f columns.
        """
        return self._measure(features, -1.0, threads)[0]

    def dissimilarity_and_density(
        self, features: ArrayLike, *, threads: int = 2
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Dissimilarity index and local point density of each row of ``features`` (m, f), in one search.

        The density is 0 exactly where the index is not :meth:`inside`; -1 where the index is NaN. Rows in
        the order of a map are faster than scattered ones.

        Raises:
            InvalidInput: when there are not f columns.
        """
        return self._measure(features, self.threshold * self.mean_distance, threads)

    def inside(self, dissimilarity: ArrayLike) -> NDArray[np.bool_]:
        """True where the index is at most the threshold; False where it is NaN."""
        # As float32 on both sides, so that an index equal to the threshold stays inside.
        return np.asarray(dissimilarity, np.float32) <= np.float32(self.threshold)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything there is to keep; :meth:`from_arrays` reads it back."""
        names = ("centre", "spread", "weights", "points", "training_di")
        return {**{name: getattr(self, name) for name in names}, "mean_distance": np.array([self.mean_distance])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read back what :meth:`to_arrays` gave.

        Raises:
            InvalidInput: when an array is missing, of another type, or contradicts the others.
        """
        names = ("centre", "spread", "weights", "training_di", "mean_distance")
        columns = {name: stored_array(arrays, name, np.float64) for name in names}
        points = stored_array(arrays, "points", np.float64, 2)
        for name, column in {**columns, "points": points}.items():
            require(np.isfinite(column).all(), f"{name} is not finite")
        centre, spread, weights, training, mean = columns.values()
        require(centre.size == spread.size == weights.size, "centre, spread and weights differ in length")
        require((weights >= 0).all() and (spread[weights > 0] > 0).all(), "a weight or spread is out of range")
        used = int(np.count_nonzero(weights))
        require(used and points.shape == (training.size, used) and training.size, "points do not fit the weights")
        require(mean.size == 1 and mean[0] > 0 and (training >= 0).all(), "a distance is out of range")
        return cls(centre, spread, weights, points, float(mean[0]), training, _threshold(training))

    def _measure(
        self, features: ArrayLike, radius: float, threads: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        x = _rows(features)
        if x.shape[1] != self.weights.size:
            raise InvalidInput(f"features of shape {x.shape}", f"give rows of {self.weights.size} columns")
        if threads < 1:
            raise InvalidInput(f"{threads} threads", "give at least 1")
        valid = np.isfinite(x).all(axis=1)
        scaled = _scaled(x if valid.all() else x[valid], self.centre, self.spread, self.weights)
        distance, count = self._points.measure(scaled, radius, threads=threads)
        index, density = np.full(x.shape[0], np.nan, np.float32), np.full(x.shape[0], -1, np.int32)
        index[valid] = distance / self.mean_distance
        # What rounding lets in or keeps out at the threshold itself is decided once, by the index.
        inside = self.inside(index[valid])
        density[valid] = np.where(inside, np.maximum(count, 1), 0)
        return index, density

    @cached_property
    def _points(self) -> PointIndex:
        return PointIndex.of(self.points)


def _rows(features: ArrayLike) -> _Floats:
    with np.errstate(over="ignore"):
        x = np.asarray(features, np.float32).astype(np.float64)
    if x.ndim != 2:
        raise InvalidInput(f"features of shape {x.shape}", "give a row per point and a column per feature")
    return x


def _weights(weights: ArrayLike, varies: NDArray[np.bool_]) -> _Floats:
    given = np.asarray(weights, np.float64)
    if given.shape != varies.shape or not np.isfinite(given).all():
        raise InvalidInput(f"weights {given.tolist()} for {varies.size} features", "give a finite number for each")
    if not varies.any():
        raise InvalidSamples("all samples have the same features", "give samples that differ")
    used = np.where(varies, np.maximum(given, 0.0), 0.0)
    return used if used.any() else varies.astype(np.float64)


def _scaled(x: _Floats, centre: _Floats, spread: _Floats, weights: _Floats) -> _Floats:
    used = weights > 0
    scaled: _Floats = (x[:, used] - centre[used]) / spread[used] * weights[used]
    return scaled


def _mean_distance(points: _Floats) -> float:
    """Mean over all pairs of two rows, in blocks of rows against themselves and the rows after them."""
    n: int = points.shape[0]
    total = 0.0
    for first in range(0, n, _ROWS):
        block, after = points[first : first + _ROWS], points[first + _ROWS :]
        total += float(cdist(block, block).sum()) / 2.0
        if after.size:
            total += sum(float(cdist(block, part).sum()) for part in np.array_split(after, -(-len(after) // _ROWS)))
    return 2.0 * total / (n * (n - 1))


def _nearest_in_other_folds(points: _Floats, folds: NDArray[Any]) -> _Floats:
    distance = np.empty(points.shape[0])
    for fold in np.unique(folds):
        held = folds == fold
        distance[held] = PointIndex.of(points[~held]).measure(points[held], -1.0)[0]
    return distance


def _threshold(training_di: _Floats) -> float:
    lower, upper = np.quantile(training_di, (0.25, 0.75))
    return float(min(training_di.max(), upper + 1.5 * (upper - lower)))
