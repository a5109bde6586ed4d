"""How good predictions and their intervals are, and cross-validation to find out.

Rows where a value is missing (NaN) are left out of a figure, and its ``n`` counts those used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.forest import ForestParameters, Prediction, QuantileForest

INTERVAL_LEVEL = 0.9
NOMINAL_LEVELS = (*(round(0.05 * step, 2) for step in range(1, 20)), 0.99)
_DIGITS = 9

# Parameters for the rows that are True: a tuning that sees those only.
type Choice = Callable[[NDArray[np.bool_]], ForestParameters]
type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of one validation; y observed, p predicted, all in the unit of y except the shares.

    ``n``: rows used. ``rmse``: root mean squared error. ``me``: mean error, mean(p - y). ``mec``: model
    efficiency, 1 - SS_res / SS_tot (Nash & Sutcliffe 1970, J. Hydrol. 10, 282); NaN where all
    observations are equal. ``ccc``: concordance (Lin 1989, Biometrics 45, 255) with moments over n; NaN
    where both sides are the same constant. ``picp90``: share of observations inside the 90 % interval,
    bounds included. ``mean_width``: mean of upper - lower. ``interval_score``: mean of the width plus
    2 / 0.1 times the distance by which an observation lies outside (Gneiting & Raftery 2007, JASA 102, 359).
    """

    n: int
    rmse: float
    me: float
    mec: float
    ccc: float
    picp90: float
    mean_width: float
    interval_score: float


@dataclass(frozen=True, slots=True)
class CoverageCurve:
    """How often intervals and quantiles hold what they promise.

    ``nominal`` and ``picp``: levels of the central intervals, ascending, and the share of observations
    inside, bounds included. ``quantile_levels`` and ``quantile_coverage``: the levels of the quantiles and
    the share of observations at or below them, which shows a bias to one side that intervals hide.
    ``n``: rows used.
    """

    n: int
    nominal: tuple[float, ...]
    picp: tuple[float, ...]
    quantile_levels: tuple[float, ...]
    quantile_coverage: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Out-of-fold predictions in the order of the rows, on the scale modelled and on the one reported.

    ``folds``: (n,); ``levels``: the quantiles' levels. ``modelled_all``: one for each target,
    ``reported_all``: one for each reported column; ``modelled`` and ``reported`` are the first of them.
    ``parameters``: those each fold's forest was grown with, in the order of the folds' numbers.
    """

    folds: NDArray[np.int64]
    levels: tuple[float, ...]
    modelled_all: tuple[Prediction, ...]
    reported_all: tuple[Prediction, ...]
    parameters: tuple[ForestParameters, ...]

    @property
    def modelled(self) -> Prediction:
        """Prediction of the first target."""
        return self.modelled_all[0]

    @property
    def reported(self) -> Prediction:
        """Prediction of the first reported column."""
        return self.reported_all[0]


def scores(observed: ArrayLike, mean: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> Scores:
    """Score predictions (n,) with their 90 % interval from ``lower`` to ``upper`` against ``observed`` (n,).

    Raises:
        InvalidInput: when shapes differ, a value is infinite, a bound is crossed, or no row is complete.
    """
    y, p, low, high = _complete(observed, mean, lower, upper)
    if (low > high).any():
        raise InvalidInput("an interval whose lower bound is above its upper bound", "give lower <= upper")
    outside = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    error = p - y
    return Scores(
        n=y.size,
        rmse=float(np.sqrt(np.mean(error**2))),
        me=float(error.mean()),
        mec=_efficiency(y, error),
        ccc=_concordance(y, p),
        picp90=float(np.mean(outside == 0.0)),
        mean_width=float(np.mean(high - low)),
        interval_score=float(np.mean(high - low + 2.0 / (1.0 - INTERVAL_LEVEL) * outside)),
    )


def interval_quantiles(nominal: Sequence[float] = NOMINAL_LEVELS) -> tuple[float, ...]:
    """Levels of the quantiles that bound central intervals of the ``nominal`` levels, with the median."""
    bounds = {round((1 + sign * level) / 2, _DIGITS) for level in nominal for sign in (-1, 1)}
    return tuple(sorted(bounds | {0.5}))


def central_intervals(levels: Sequence[float]) -> list[tuple[int, int]]:
    """Places of the two ``levels`` that bound each central interval among them, the narrowest interval first."""
    rounded = [round(float(level), _DIGITS) for level in levels]
    upper_of = {round(1.0 - level, _DIGITS): place for place, level in enumerate(rounded) if level > 0.5}
    return [(i, upper_of[rounded[i]]) for i in reversed(range(len(rounded))) if rounded[i] in upper_of]


def coverage_curve(observed: ArrayLike, quantile_levels: Sequence[float], quantiles: ArrayLike) -> CoverageCurve:
    """Coverage of every central interval that ``quantiles`` (q, n) at ``quantile_levels`` (q,) bound.

    :func:`interval_quantiles` gives the levels for intervals of 0.05 to 0.99.

    Raises:
        InvalidInput: when shapes do not agree, levels do not rise strictly between 0 and 1, no two of them
            bound a central interval, a value is infinite, or no row is complete.
    """
    levels = [round(float(level), _DIGITS) for level in quantile_levels]
    table = np.asarray(quantiles, np.float64)
    if table.ndim != 2 or table.shape[0] != len(levels):
        raise InvalidInput(f"quantiles of shape {table.shape} for {len(levels)} levels", "give one row per level")
    if any(not 0.0 < level < 1.0 for level in levels) or any(np.diff(levels) <= 0):
        raise InvalidInput(f"quantile levels {levels}", "give ascending levels between 0 and 1")
    y, *rows = _complete(observed, *table)
    pairs = central_intervals(levels)
    if not pairs:
        raise InvalidInput(f"no two of the quantile levels {levels} bound a central interval", "add such as 0.05, 0.95")
    share = [float(np.mean(y <= row)) for row in rows]
    picp = [float(np.mean((rows[low] <= y) & (y <= rows[high]))) for low, high in pairs]
    nominal = [round(levels[high] - levels[low], _DIGITS) for low, high in pairs]
    return CoverageCurve(y.size, tuple(nominal), tuple(picp), tuple(levels), tuple(share))


def cross_validate(
    features: ArrayLike,
    target: ArrayLike,
    reported: ArrayLike | None,
    folds: ArrayLike,
    parameters: ForestParameters | Choice,
    levels: Sequence[float],
    *,
    threads: int = 2,
    on_fold: Callable[[], None] | None = None,
) -> CrossValidation:
    """Predict each fold of ``folds`` (n,) by a forest grown on the others; ``on_fold`` follows each.

    ``target`` (n,) or (n, t) and ``reported`` (n,) or (n, r) are those of :meth:`QuantileForest.fit`;
    ``levels`` are the quantiles wanted. ``parameters`` may be a function: it gets the rows (n,) that a fold's
    forest may see and chooses from them, so that tuning stays out of what is tested. Folds
    run one after the other, each on all ``threads``.

    Raises:
        InvalidInput: when shapes do not agree or there are fewer than two folds.
        InvalidSamples: when no forest can be grown without one of the folds.
    """
    x, y = np.asarray(features), np.asarray(target, np.float64)
    shown = None if reported is None else np.asarray(reported, np.float64)
    fold = np.asarray(folds, np.int64)
    shapes = [np.shape(y), np.shape(y if shown is None else shown)]
    if x.ndim != 2 or fold.shape != x.shape[:1] or any(len(s) not in (1, 2) or s[:1] != fold.shape for s in shapes):
        given = f"features {x.shape}, target {shapes[0]}, reported {shapes[1]}, folds {fold.shape}"
        raise InvalidInput(given, "give one value of each per row")
    numbers = np.unique(fold)
    if numbers.size < 2:
        raise InvalidInput(f"{numbers.size} folds", "give at least two")
    modelled, outputs = (tuple(_empty(len(levels), s[0]) for _ in range(s[1] if s[1:] else 1)) for s in shapes)
    grown: list[ForestParameters] = []
    for number in numbers.tolist():
        held = fold == number
        chosen = parameters if isinstance(parameters, ForestParameters) else parameters(~held)
        grown.append(chosen)
        forest = _grown_without(number, held, x, y, shown, chosen, threads)
        _place(modelled, held, forest.predict_modelled_all(x[held], levels, threads=threads))
        if shown is not None:
            _place(outputs, held, forest.predict_all(x[held], levels, threads=threads))
        if on_fold is not None:
            on_fold()
    return CrossValidation(
        fold,
        tuple(float(level) for level in levels),
        modelled,
        modelled if shown is None else outputs,
        tuple(grown),
    )


def _grown_without(
    number: int,
    held: NDArray[np.bool_],
    x: NDArray[np.floating],
    y: _Floats,
    shown: _Floats | None,
    parameters: ForestParameters,
    threads: int,
) -> QuantileForest:
    rest = ~held
    given = None if shown is None else shown[rest]
    try:
        return QuantileForest.fit(x[rest], y[rest], given, parameters, threads=threads, measure_importance=False)
    except InvalidSamples as error:
        raise InvalidSamples(f"no forest can be grown without fold {number}: {error.problem}", error.hint) from error


def _empty(levels: int, rows: int) -> Prediction:
    return Prediction(np.full(rows, np.nan), np.full((levels, rows), np.nan))


def _place(whole: Sequence[Prediction], rows: NDArray[np.bool_], parts: Sequence[Prediction]) -> None:
    for all_rows, part in zip(whole, parts, strict=True):
        all_rows.mean[rows] = part.mean
        all_rows.quantiles[:, rows] = part.quantiles


def _complete(*columns: ArrayLike) -> list[_Floats]:
    """The columns without the rows where any of them is NaN."""
    arrays = [np.asarray(column, np.float64) for column in columns]
    if any(array.ndim != 1 or array.shape != arrays[0].shape for array in arrays):
        raise InvalidInput(f"columns of shapes {[array.shape for array in arrays]}", "give columns of equal length")
    table = np.stack(arrays)
    if np.isinf(table).any():
        raise InvalidInput("an infinite value among observations and predictions", "give finite numbers, or NaN")
    kept = table[:, ~np.isnan(table).any(axis=0)]
    if not kept.shape[1]:
        raise InvalidInput(f"none of {table.shape[1]} rows has all values", "give at least one complete row")
    return list(kept)


def _efficiency(y: _Floats, error: _Floats) -> float:
    if (y == y[0]).all():
        return float("nan")
    return float(1.0 - np.sum(error**2) / np.sum((y - y.mean()) ** 2))


def _concordance(y: _Floats, p: _Floats) -> float:
    spread = y.var() + p.var() + (y.mean() - p.mean()) ** 2
    if spread == 0.0:
        return float("nan")
    return float(2.0 * np.mean((y - y.mean()) * (p - p.mean())) / spread)
