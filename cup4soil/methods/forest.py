"""Quantile regression forest (Meinshausen 2006, JMLR 7, 983).

Trees are grown by scikit-learn on the scale modelled (the logarithm of carbon, say). Each leaf keeps all
its training rows. A pixel's prediction is a weighted distribution of training values: a row weighs, on
the mean over the trees, its share of the draws in the leaf that the pixel reaches. Because the rows are
known, mean and quantiles are taken on the scale reported, and no bias of back-transforming arises.

The quantile at tau is the smallest training value whose cumulative weight reaches tau, without
interpolation. Cumulative weights are kept as integers and are exact to trees / 2**32 (1.2e-7 for 500
trees); one that comes within twice that of tau counts as reaching it, so that ties do not hang on rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.forest_kernels import BLOCK, MAX_FEATURES, predict
from cup4soil.methods.forest_trees import LeafValues, Leaves, Trees
from cup4soil.methods.stored import HINT, require, stored_array

QUANTILES = (0.05, 0.5, 0.95)
_MAX_TREES = 10_000
_LEAST_PERMUTED = 2000
_OOB_ROWS = 8192

type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ForestParameters:
    """How a forest is grown.

    ``max_features`` is the share of features tried at a split (at least one feature); ``min_leaf`` the
    least number of draws in a leaf; ``max_depth`` None for no limit.
    """

    trees: int = 500
    min_leaf: int = 5
    max_features: float = 1 / 3
    max_depth: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _demand(1 <= self.trees <= _MAX_TREES, f"{self.trees} trees", f"give 1 to {_MAX_TREES}")
        _demand(self.min_leaf >= 1, f"min_leaf {self.min_leaf}", "give at least 1")
        _demand(0 < self.max_features <= 1, f"max_features {self.max_features:g}", "give a share above 0, at most 1")
        deep_enough = self.max_depth is None or self.max_depth >= 1
        _demand(deep_enough, f"max_depth {self.max_depth}", "give 1 or more, or none")
        _demand(0 <= self.seed < 2**32, f"seed {self.seed}", "give 0 to 4294967295")


@dataclass(frozen=True, slots=True)
class Prediction:
    """``mean``: (m,); ``quantiles``: (q, m), in the order asked for; NaN where a feature was missing."""

    mean: _Floats
    quantiles: _Floats


@dataclass(frozen=True)
class QuantileForest:
    """A fitted forest.

    ``target`` and ``reported``: (n,), the training values on the scale modelled and on the one reported.
    ``importance``: (f,), by permutation: the increase of the out-of-bag mean squared error on the scale
    modelled when a feature's values are shuffled (Breiman 2001, Machine Learning 45, 5; all trees use one
    shuffle, repeated until 2000 rows were shuffled); at or below 0 for useless features, NaN when it was
    not measured.
    """

    parameters: ForestParameters
    trees: Trees
    leaves: Leaves
    target: _Floats
    reported: _Floats
    importance: _Floats

    @classmethod
    def fit(
        cls,
        features: ArrayLike,
        target: ArrayLike,
        reported: ArrayLike | None = None,
        parameters: ForestParameters | None = None,
        *,
        threads: int = 2,
        measure_importance: bool = True,
    ) -> Self:
        """Grow a forest on ``features`` (n, f), used as float32, and ``target`` (n,), the scale modelled.

        ``reported``: the same observations on the scale to report, ``target`` itself when None. The
        result does not depend on ``threads``.

        Raises:
            InvalidInput: when shapes do not agree or there are more than 1024 features.
            InvalidSamples: when a value is not finite, all targets are one value, or the rows are too few.
        """
        parameters = parameters or ForestParameters()
        _demand(threads >= 1, f"{threads} threads", "give at least 1")
        x, y, shown = _training(features, target, target if reported is None else reported)
        if y.size < 2 * parameters.min_leaf:
            least = 2 * parameters.min_leaf
            raise InvalidSamples(f"{y.size} samples for leaves of {parameters.min_leaf}", f"give at least {least}")
        # Only growing needs scikit-learn: predicting starts seconds sooner without it.
        from sklearn.ensemble import RandomForestRegressor

        grown = RandomForestRegressor(
            n_estimators=parameters.trees,
            min_samples_leaf=parameters.min_leaf,
            # As a float: sklearn reads the integer 1 as one feature, not as all.
            max_features=float(parameters.max_features),
            max_depth=parameters.max_depth,
            random_state=parameters.seed,
            n_jobs=threads,
        ).fit(x, y)
        trees = Trees.of_sklearn(tree.tree_ for tree in grown.estimators_)
        leaves = Leaves.of_bootstrap(trees, x, grown.estimators_samples_)
        forest = cls(parameters, trees, leaves, y, shown, np.full(x.shape[1], np.nan))
        if measure_importance:
            forest.importance[:] = forest._importance(x, threads)
        return forest

    def predict(self, features: ArrayLike, quantiles: Sequence[float] = QUANTILES, *, threads: int = 2) -> Prediction:
        """Mean and quantiles of each row of ``features`` (m, f) on the scale reported.

        Rows with a feature that is not finite as float32 give NaN. Neither ``threads`` nor the rows
        around it change the result of a row.

        Raises:
            InvalidInput: when there are not f columns, or a quantile is not between 0 and 1.
        """
        return self._predict(self._on_reported, features, quantiles, threads)

    def predict_modelled(
        self, features: ArrayLike, quantiles: Sequence[float] = QUANTILES, *, threads: int = 2
    ) -> Prediction:
        """As :meth:`predict`, on the scale modelled."""
        return self._predict(self._on_target, features, quantiles, threads)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything there is to keep, as plain arrays; :meth:`from_arrays` reads it back."""
        p = self.parameters
        settings = np.array([p.trees, p.min_leaf, p.max_features, p.max_depth or 0, p.seed], np.float64)
        values = {"target": self.target, "reported": self.reported, "importance": self.importance}
        return {"parameters": settings, **self.trees.to_arrays(), **self.leaves.to_arrays(), **values}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read a forest back, from a source that need not be trusted.

        Raises:
            InvalidInput: when an array is missing, of another type, or contradicts the others.
        """
        parameters = _read_parameters(stored_array(arrays, "parameters", np.float64))
        target, reported = (stored_array(arrays, name, np.float64) for name in ("target", "reported"))
        importance = stored_array(arrays, "importance", np.float64)
        require(target.size == reported.size >= 1, "target and reported differ in length")
        require(np.isfinite(target).all() and np.isfinite(reported).all(), "a training value is not finite")
        require(not np.isinf(importance).any(), "an importance is infinite")
        trees = Trees.from_arrays(arrays, importance.size)
        require(trees.count == parameters.trees, "the number of trees is not that of the parameters")
        return cls(parameters, trees, Leaves.from_arrays(arrays, trees, target.size), target, reported, importance)

    @cached_property
    def _on_reported(self) -> LeafValues:
        return LeafValues.of(self.leaves, self.reported, self.trees.count)

    @cached_property
    def _on_target(self) -> LeafValues:
        return LeafValues.of(self.leaves, self.target, self.trees.count)

    def _predict(self, values: LeafValues, features: ArrayLike, quantiles: Sequence[float], threads: int) -> Prediction:
        _demand(threads >= 1, f"{threads} threads", "give at least 1")
        x = self._columns(features)
        taus, place = _taus(quantiles)
        needed = np.maximum(np.floor(taus * self.trees.count * values.unit).astype(np.int64) - self.trees.count, 1)
        valid = np.isfinite(x).all(axis=1)
        mean = np.full(x.shape[0], np.nan)
        found = np.full((taus.size, x.shape[0]), np.nan)
        mean[valid], levels = self._run(values, x if valid.all() else x[valid], needed, threads)
        found[:, valid] = values.distinct[levels.T]
        return Prediction(mean, found[place])

    def _run(
        self, values: LeafValues, x: NDArray[np.float32], needed: NDArray[np.int64], threads: int
    ) -> tuple[_Floats, NDArray[np.int64]]:
        rows = x.shape[0]
        mean, levels = np.empty(rows), np.empty((rows, needed.size), np.int64)

        def part(first: int, end: int) -> None:
            predict(
                x[first:end], self.trees.nodes, self.trees.tree_start, self.trees.leaf_of, values.mean,
                values.start, values.entries, values.distinct.size, needed, mean[first:end], levels[first:end],
            )  # fmt: skip

        step = max(BLOCK, -(-rows // (4 * threads * BLOCK)) * BLOCK)
        _in_threads(part, [(first, min(first + step, rows)) for first in range(0, rows, step)], threads)
        return mean, levels

    def _columns(self, features: ArrayLike) -> NDArray[np.float32]:
        x = _float32(features)
        width = self.importance.size
        _demand(x.ndim == 2 and x.shape[1] == width, f"features of shape {x.shape}", f"give rows of {width} columns")
        return x

    def _oob(self, x: NDArray[np.float32], in_bag: NDArray[np.bool_]) -> _Floats:
        out = np.empty(x.shape[0])
        for first in range(0, out.size, _OOB_ROWS):
            rows = slice(first, first + _OOB_ROWS)
            unseen = ~in_bag[:, rows]
            total = np.where(unseen, self._on_target.mean[self.trees.apply(x[rows])], 0.0).sum(axis=0)
            votes = unseen.sum(axis=0)
            out[rows] = np.divide(total, votes, out=np.full(votes.size, np.nan), where=votes > 0)
        return out

    def _importance(self, x: NDArray[np.float32], threads: int) -> _Floats:
        in_bag = self.leaves.in_bag(self.trees, x.shape[0])
        whole = self._squared_error(x, in_bag)
        repeats = -(-_LEAST_PERMUTED // x.shape[0])
        increase = np.empty(x.shape[1])

        def measure(feature: int) -> None:
            random = np.random.default_rng([self.parameters.seed, feature])
            shuffled = x.copy()
            errors = np.empty(repeats)
            for repeat in range(repeats):
                shuffled[:, feature] = random.permutation(x[:, feature])
                errors[repeat] = self._squared_error(shuffled, in_bag)
            increase[feature] = errors.mean() - whole

        _in_threads(measure, [(feature,) for feature in range(x.shape[1])], threads)
        return increase

    def _squared_error(self, x: NDArray[np.float32], in_bag: NDArray[np.bool_]) -> float:
        error = self._oob(x, in_bag) - self.target
        known = np.isfinite(error)
        return float(np.mean(error[known] ** 2)) if known.any() else 0.0


def _demand(condition: bool, problem: str, hint: str) -> None:
    if not condition:
        raise InvalidInput(problem, hint)


def _in_threads(work: Callable[..., None], calls: Sequence[tuple[int, ...]], threads: int) -> None:
    """Run ``work`` once for each tuple of arguments; the first error, if any, is raised."""
    if threads == 1 or len(calls) == 1:
        for arguments in calls:
            work(*arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, *arguments) for arguments in calls]:
            done.result()


def _float32(features: ArrayLike) -> NDArray[np.float32]:
    # A float64 beyond the range of float32 becomes infinite, and is then treated as missing.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(features, dtype=np.float32)


def _training(
    features: ArrayLike, target: ArrayLike, reported: ArrayLike
) -> tuple[NDArray[np.float32], _Floats, _Floats]:
    x = _float32(features)
    y, shown = (np.array(values, dtype=np.float64) for values in (target, reported))
    wide_enough = x.ndim == 2 and 1 <= x.shape[1] <= MAX_FEATURES
    _demand(wide_enough, f"features of shape {x.shape}", f"give rows of 1 to {MAX_FEATURES} columns")
    shapes = f"features {x.shape}, target {y.shape}, reported {shown.shape}"
    _demand(y.shape == shown.shape == x.shape[:1], shapes, "give one value of each per row")
    for name, finite in (("feature", np.isfinite(x).all(axis=1)), ("target", np.isfinite(y) & np.isfinite(shown))):
        if not finite.all():
            row = int(np.argmin(finite))
            raise InvalidSamples(f"sample {row} has a {name} that is not finite", "leave such samples out")
    if y.size and (y == y[0]).all():
        raise InvalidSamples(f"all {y.size} samples have the value {y[0]:g}", "give samples that differ")
    return x, y, shown


def _taus(quantiles: Sequence[float]) -> tuple[_Floats, NDArray[np.intp]]:
    """The distinct quantiles in ascending order, and where each one asked for stands among them."""
    asked = np.asarray(quantiles, np.float64).reshape(-1)
    _demand(bool(((asked > 0) & (asked < 1)).all()), f"quantiles {list(quantiles)}", "give shares between 0 and 1")
    taus, place = np.unique(asked, return_inverse=True)
    return taus, place


def _read_parameters(stored: _Floats) -> ForestParameters:
    require(stored.size == 5 and np.isfinite(stored).all(), "parameters are not five numbers")
    trees, min_leaf, share, depth, seed = stored.tolist()
    try:
        return ForestParameters(int(trees), int(min_leaf), share, int(depth) or None, int(seed))
    except InvalidInput as error:
        raise InvalidInput(f"the stored model is inconsistent: {error.problem}", HINT) from error
