"""Tuning a forest by few trials.

Forests need little tuning (Probst, Wright & Boulesteix 2019, WIREs Data Min. Knowl. 9, e1301): how small leaves
may be and how many features a split tries matter most. Each of a handful of settings is grown with few trees
and judged by its out-of-bag error: no sample is predicted by a tree that saw it, and nothing is held out. Where
rows belong together (horizons of a profile) out of bag is not out of sight: give folds instead.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.forest import ForestParameters, QuantileForest

# (min_leaf, max_features)
TRIALS = ((5, 1 / 3), (2, 1 / 3), (10, 1 / 3), (5, 2 / 3), (2, 2 / 3), (10, 2 / 3))
TREES = 100
_LEAST_TREES = 50

type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """A setting and its ``error``: mean squared error on the scale modelled relative to the target's variance.

    Of several targets the mean.
    """

    min_leaf: int
    max_features: float
    error: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Tuning:
    """``parameters`` with the setting chosen, and all ``trials``."""

    parameters: ForestParameters
    trials: tuple[Trial, ...]


def tune(
    features: ArrayLike,
    target: ArrayLike,
    parameters: ForestParameters | None = None,
    folds: ArrayLike | None = None,
    *,
    trials: Sequence[tuple[int, float]] = TRIALS,
    trees: int = TREES,
    threads: int = 2,
) -> Tuning:
    """Choose leaf size and share of features for ``features`` (n, f) and ``target`` (n,) or (n, t).

    All else is taken from ``parameters``. The setting of the least error is chosen, of equals the first; the
    error is out of bag, or of the ``folds`` (n,) where given. Settings whose leaves are too large for the
    samples are left out. The trials take about ``trees`` / 500 of a forest's time each.

    Raises:
        InvalidInput: when shapes do not agree, or there are no trials, fewer than 50 trees or than two folds.
        InvalidSamples: when a value is not finite, a target does not vary, or the rows are too few.
    """
    base = parameters or ForestParameters()
    x, y = np.asarray(features, np.float32), np.asarray(target, np.float64)
    y = y[:, None] if y.ndim == 1 else y
    if x.ndim != 2 or y.ndim != 2 or x.shape[:1] != y.shape[:1]:
        raise InvalidInput(f"features {x.shape} and target {y.shape}", "give one of each per row")
    if trees < _LEAST_TREES:
        raise InvalidInput(f"trials of {trees} trees", f"give at least {_LEAST_TREES}: few leave rows without a vote")
    if not np.isfinite(x).all() or not np.isfinite(y).all():
        raise InvalidSamples("a feature or target is not finite", "leave such samples out")
    if not trials:
        raise InvalidInput("no settings to try", "give at least one")
    held = None if folds is None else _held(folds, y.shape[0])
    fitting = _fewest(y.shape[0], held)
    settings = [replace(base, trees=trees, min_leaf=leaf, max_features=share) for leaf, share in trials]
    settings = [each for each in settings if 2 * each.min_leaf <= fitting]
    if not settings or (y == y[0]).all(axis=0).any():
        raise InvalidSamples(f"{y.shape[0]} samples are too few or do not vary", "give more samples, that differ")
    errors = [_out_of_bag(x, y, each, threads) if held is None else _held_out(x, y, each, held, threads)
              for each in settings]  # fmt: skip
    best = int(np.argmin(errors))
    found = tuple(
        Trial(each.min_leaf, each.max_features, error, i == best)
        for i, (each, error) in enumerate(zip(settings, errors, strict=True))
    )
    chosen = settings[best]
    return Tuning(replace(base, min_leaf=chosen.min_leaf, max_features=chosen.max_features), found)


def _held(folds: ArrayLike, rows: int) -> list[NDArray[np.bool_]]:
    fold = np.asarray(folds)
    if fold.shape != (rows,) or np.unique(fold).size < 2:
        raise InvalidInput(f"folds of shape {fold.shape} for {rows} rows", "give one per row, and at least two")
    return [fold == number for number in np.unique(fold)]


def _fewest(rows: int, held: list[NDArray[np.bool_]] | None) -> int:
    return rows if held is None else rows - max(int(part.sum()) for part in held)


def _relative(error: _Floats, y: _Floats) -> float:
    return float(np.mean(np.mean(error**2, axis=0) / y.var(axis=0)))


def _out_of_bag(x: NDArray[np.float32], y: _Floats, parameters: ForestParameters, threads: int) -> float:
    from sklearn.ensemble import RandomForestRegressor

    grown = RandomForestRegressor(
        n_estimators=parameters.trees, min_samples_leaf=parameters.min_leaf,
        max_features=float(parameters.max_features), max_depth=parameters.max_depth, oob_score=True,
        random_state=parameters.seed, n_jobs=threads,
    )  # fmt: skip
    # As the forest itself is grown: several targets each relative to its spread, one as it is.
    target = y[:, 0] if y.shape[1] == 1 else y / y.std(axis=0)
    # scikit-learn's threads may leave the process without its warning filters; here they are put back.
    with warnings.catch_warnings():
        grown.fit(x, target)
    found = grown.oob_prediction_.reshape(y.shape) * (1.0 if y.shape[1] == 1 else y.std(axis=0))
    return _relative(found - y, y)


def _held_out(
    x: NDArray[np.float32], y: _Floats, parameters: ForestParameters, held: list[NDArray[np.bool_]], threads: int
) -> float:
    error = np.empty_like(y)
    for part in held:
        forest = QuantileForest.fit(x[~part], y[~part], None, parameters, threads=threads, measure_importance=False)
        found = forest.predict_modelled_all(x[part], (), threads=threads)
        error[part] = np.column_stack([each.mean for each in found]) - y[part]
    return _relative(error, y)
