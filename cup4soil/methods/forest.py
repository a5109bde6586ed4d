"""Quantile regression forest (Meinshausen 2006, JMLR 7, 983), of one or several targets.

Trees are grown by scikit-learn on the scale modelled (the logarithm of carbon, say). Each leaf keeps all
its training rows. A pixel's prediction is a weighted distribution of training rows: a row weighs, on
the mean over the trees, its share of the draws in the leaf that the pixel reaches. Because the rows are
known, mean and quantiles are taken on the scale reported, and no bias of back-transforming arises; and
whatever is computed from several values of a row (a texture, a stock) keeps their joint distribution.

Two forms (:attr:`ForestParameters.form`):

- "all": the quantile at tau is the smallest training value whose cumulative weight reaches tau, without
  interpolation. Cumulative weights are kept as integers and are exact to trees / 2**32 (1.2e-7 for 500
  trees); one that comes within twice that of tau counts as reaching it, so that ties do not hang on rounding.
- "one": each leaf keeps one row at random, and quantiles are those of the trees' kept values (type 7 of
  Hyndman & Fan 1996), as in R's ranger and SoilGrids. Here the row is one of the leaf's draws; ranger
  picks among all training rows that reach the leaf. The mean is over all rows in both forms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.forest_importance import importance
from cup4soil.methods.forest_kernels import MAX_FEATURES
from cup4soil.methods.forest_trees import Leaves, Trees
from cup4soil.methods.forest_values import LeafValues
from cup4soil.methods.forest_walk import Prediction, predict
from cup4soil.methods.stored import HINT, require, stored_array

__all__ = ["QUANTILES", "ForestParameters", "Prediction", "QuantileForest"]

QUANTILES = (0.05, 0.5, 0.95)
_MAX_TREES = 10_000
_FORMS: tuple[Literal["all", "one"], ...] = ("all", "one")

type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ForestParameters:
    """How a forest is grown.

    ``max_features`` is the share of features tried at a split (at least one feature); ``min_leaf`` the
    least number of draws in a leaf (3 is near the node size of 5 below which ranger splits no more);
    ``max_depth`` None for no limit; ``form`` says which rows of a leaf
    make its quantiles: all of them, or one picked at random.
    """

    trees: int = 500
    min_leaf: int = 3
    max_features: float = 1 / 3
    max_depth: int | None = None
    seed: int = 0
    form: Literal["all", "one"] = "all"

    def __post_init__(self) -> None:
        _demand(1 <= self.trees <= _MAX_TREES, f"{self.trees} trees", f"give 1 to {_MAX_TREES}")
        _demand(self.min_leaf >= 1, f"min_leaf {self.min_leaf}", "give at least 1")
        _demand(0 < self.max_features <= 1, f"max_features {self.max_features:g}", "give a share above 0, at most 1")
        deep_enough = self.max_depth is None or self.max_depth >= 1
        _demand(deep_enough, f"max_depth {self.max_depth}", "give 1 or more, or none")
        _demand(0 <= self.seed < 2**32, f"seed {self.seed}", "give 0 to 4294967295")
        _demand(self.form in _FORMS, f"form {self.form!r}", "give 'all' or 'one'")


@dataclass(frozen=True)
class QuantileForest:
    """A fitted forest of n training rows and f features.

    ``target``: (n, t), the training values on the scale modelled; ``reported``: (n, r), what is predicted
    of each row. ``importance``: (f,), by permutation: the growth of the out-of-bag mean squared error on
    the scale modelled when a feature's values are shuffled, with several targets the mean of the errors'
    growth relative to the targets' variance; at or below 0 for useless features, NaN when not measured.
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
        """Grow a forest on ``features`` (n, f), used as float32, and ``target`` (n,) or (n, t), the scale modelled.

        Several targets are grown jointly: a split lowers the sum of their variances, each relative to
        the target's own variance over all rows. ``reported``: (n,) or (n, r), what is to be predicted of
        the same rows, ``target`` itself when None. The result does not depend on ``threads``.

        Raises:
            InvalidInput: when shapes do not agree or there are more than 1024 features.
            InvalidSamples: when a value is not finite, all values of a target are one, or the rows are too few.
        """
        parameters = parameters or ForestParameters()
        _demand(threads >= 1, f"{threads} threads", "give at least 1")
        x, y, shown = _training(features, target, reported)
        if len(y) < 2 * parameters.min_leaf:
            least = 2 * parameters.min_leaf
            raise InvalidSamples(f"{len(y)} samples for leaves of {parameters.min_leaf}", f"give at least {least}")
        trees, leaves = _grown(x, y, parameters, threads)
        measured = importance(trees, leaves, x, y, parameters.seed, threads) if measure_importance else None
        return cls(parameters, trees, leaves, y, shown, np.full(x.shape[1], np.nan) if measured is None else measured)

    @property
    def outputs(self) -> int:
        """Number of reported columns."""
        return int(self.reported.shape[1])

    def with_reported(self, values: ArrayLike) -> Self:
        """The same forest reporting ``values``, (n,) or (n, k), of its training rows.

        Their distribution at a pixel is exact and joint: the rows weigh what they weighed before.

        Raises:
            InvalidInput: when there is not one row of values per training row.
            InvalidSamples: when a value is not finite.
        """
        shown = _table(values)
        fits = shown.ndim == 2 and shown.shape[0] == len(self.target) and shown.shape[1] >= 1
        _demand(fits, f"values of shape {shown.shape}", f"give one row for each of {len(self.target)} training rows")
        _demand_finite("value", np.isfinite(shown).all(axis=1))
        return replace(self, reported=shown)

    def predict(self, features: ArrayLike, quantiles: Sequence[float] = QUANTILES, *, threads: int = 2) -> Prediction:
        """Mean and quantiles of the first reported column at each row of ``features`` (m, f).

        Rows with a feature that is not finite as float32 give NaN. Neither ``threads`` nor the rows
        around it change the result of a row.

        Raises:
            InvalidInput: when there are not f columns, or a quantile is not between 0 and 1.
        """
        return self._predict(self._on_reported[:1], features, quantiles, threads)[0]

    def predict_all(
        self, features: ArrayLike, quantiles: Sequence[float] = QUANTILES, *, threads: int = 2
    ) -> tuple[Prediction, ...]:
        """As :meth:`predict`, of every reported column; the leaves of a row are looked up once."""
        return self._predict(self._on_reported, features, quantiles, threads)

    def predict_modelled(
        self, features: ArrayLike, quantiles: Sequence[float] = QUANTILES, *, threads: int = 2
    ) -> Prediction:
        """As :meth:`predict`, of the first target, on the scale modelled."""
        return self._predict(self._on_target[:1], features, quantiles, threads)[0]

    def predict_modelled_all(
        self, features: ArrayLike, quantiles: Sequence[float] = QUANTILES, *, threads: int = 2
    ) -> tuple[Prediction, ...]:
        """As :meth:`predict_all`, of the targets, on the scale modelled."""
        return self._predict(self._on_target, features, quantiles, threads)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything there is to keep, as plain arrays; :meth:`from_arrays` reads it back."""
        values = {"target": self.target, "reported": self.reported, "importance": self.importance}
        settings = _settings(self.parameters)
        return {"parameters": settings, **self.trees.to_arrays(), **self.leaves.to_arrays(), **values}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read a forest back, from a source that need not be trusted.

        Raises:
            InvalidInput: when an array is missing, of another type, or contradicts the others.
        """
        parameters = _read_parameters(stored_array(arrays, "parameters", np.float64))
        target, reported = (stored_array(arrays, name, np.float64, 2) for name in ("target", "reported"))
        measured = stored_array(arrays, "importance", np.float64)
        require(len(target) == len(reported) >= 1, "target and reported differ in length")
        require(target.shape[1] >= 1 and reported.shape[1] >= 1, "target or reported has no column")
        require(np.isfinite(target).all() and np.isfinite(reported).all(), "a training value is not finite")
        require(not np.isinf(measured).any(), "an importance is infinite")
        trees = Trees.from_arrays(arrays, measured.size)
        require(trees.count == parameters.trees, "the number of trees is not that of the parameters")
        leaves = Leaves.from_arrays(arrays, trees, len(target), kept=parameters.form == "one")
        return cls(parameters, trees, leaves, target, reported, measured)

    @cached_property
    def _on_reported(self) -> tuple[LeafValues, ...]:
        return self._values(self.reported)

    @cached_property
    def _on_target(self) -> tuple[LeafValues, ...]:
        return self._on_reported if self.target is self.reported else self._values(self.target)

    def _values(self, table: _Floats) -> tuple[LeafValues, ...]:
        return tuple(LeafValues.of(self.leaves, column, self.trees) for column in table.T)

    def _predict(
        self, columns: tuple[LeafValues, ...], features: ArrayLike, quantiles: Sequence[float], threads: int
    ) -> tuple[Prediction, ...]:
        _demand(threads >= 1, f"{threads} threads", "give at least 1")
        x = _float32(features)
        width = self.importance.size
        _demand(x.ndim == 2 and x.shape[1] == width, f"features of shape {x.shape}", f"give rows of {width} columns")
        return predict(self.trees, columns, x, quantiles, threads)


def _grown(x: NDArray[np.float32], y: _Floats, parameters: ForestParameters, threads: int) -> tuple[Trees, Leaves]:
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
    ).fit(x, y[:, 0] if y.shape[1] == 1 else y / y.std(axis=0))
    trees = Trees.of_sklearn(tree.tree_ for tree in grown.estimators_)
    leaves = Leaves.of_bootstrap(trees, x, grown.estimators_samples_)
    return trees, leaves.keeping_one(parameters.seed) if parameters.form == "one" else leaves


def _demand(condition: bool, problem: str, hint: str) -> None:
    if not condition:
        raise InvalidInput(problem, hint)


def _demand_finite(name: str, finite: NDArray[np.bool_]) -> None:
    if not finite.all():
        row = int(np.argmin(finite))
        raise InvalidSamples(f"sample {row} has a {name} that is not finite", "leave such samples out")


def _float32(features: ArrayLike) -> NDArray[np.float32]:
    # A float64 beyond the range of float32 becomes infinite, and is then treated as missing.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(features, dtype=np.float32)


def _demand_varying(y: _Floats) -> None:
    for column in y.T:
        if (column == column[0]).all():
            raise InvalidSamples(f"all {column.size} samples have the value {column[0]:g}", "give samples that differ")
    with np.errstate(over="ignore"):
        spread = y.std(axis=0)
    if not ((spread > 0) & np.isfinite(spread)).all():
        raise InvalidSamples("the variance of a target is beyond double precision", "give it in another unit")


def _table(values: ArrayLike) -> _Floats:
    """A column for each output."""
    table = np.array(values, dtype=np.float64)
    return table[:, None] if table.ndim == 1 else table


def _training(
    features: ArrayLike, target: ArrayLike, reported: ArrayLike | None
) -> tuple[NDArray[np.float32], _Floats, _Floats]:
    x = _float32(features)
    y = _table(target)
    shown = y if reported is None else _table(reported)
    wide_enough = x.ndim == 2 and 1 <= x.shape[1] <= MAX_FEATURES
    _demand(wide_enough, f"features of shape {x.shape}", f"give rows of 1 to {MAX_FEATURES} columns")
    for name, table in (("target", y), ("reported", shown)):
        fits = table.ndim == 2 and table.shape[0] == x.shape[0] and table.shape[1] >= 1
        _demand(fits, f"features of shape {x.shape}, {name} {table.shape}", "give one value of each per row")
    _demand_finite("feature", np.isfinite(x).all(axis=1))
    _demand_finite("target", np.isfinite(y).all(axis=1) & np.isfinite(shown).all(axis=1))
    if len(y):
        _demand_varying(y)
    return x, y, shown


def _settings(p: ForestParameters) -> _Floats:
    stored = [p.trees, p.min_leaf, p.max_features, p.max_depth or 0, p.seed, _FORMS.index(p.form)]
    return np.array(stored, np.float64)


def _read_parameters(stored: _Floats) -> ForestParameters:
    require(stored.size == 6 and np.isfinite(stored).all(), "parameters are not six numbers")
    trees, min_leaf, share, depth, seed, form = stored.tolist()
    require(form in range(len(_FORMS)), f"form {form:g}")
    try:
        return ForestParameters(int(trees), int(min_leaf), share, int(depth) or None, int(seed), _FORMS[int(form)])
    except InvalidInput as error:
        raise InvalidInput(f"the stored model is inconsistent: {error.problem}", HINT) from error
