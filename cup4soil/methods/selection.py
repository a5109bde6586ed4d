"""Choosing covariates: of those that say the same one is kept, and useless ones are eliminated.

Both steps name what was dropped and why. Elimination uses the target: figures validated on the same folds
afterwards are a little too good, the more so the fewer the samples; an honest figure repeats the choice
within each training part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.forest import ForestParameters, QuantileForest

LIMIT = 0.85
_SHARE = 0.2

type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A covariate left out, and why, in words for a report."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """A set of covariates tried: its cross-validated ``error``, with its standard error over the folds.

    The error is the mean squared error on the scale modelled relative to the target's variance, 1 - MEC; of
    several targets their mean.
    """

    covariates: tuple[str, ...]
    error: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Selection:
    """``kept`` in the order given; ``dropped`` in the order dropped; ``steps`` of an elimination."""

    kept: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    steps: tuple[Step, ...] = ()


def decorrelate(features: ArrayLike, names: Sequence[str], limit: float = LIMIT) -> Selection:
    """Drop covariates until no two of ``features`` (n, f) have a Pearson correlation beyond ``limit``.

    Of the most correlated pair the one goes that is on the mean more correlated with all that are left (of
    equals, the later), until none is beyond the limit. Constant covariates go first. Give continuous
    covariates only: the levels of a class exclude each other by nature.

    Raises:
        InvalidInput: when shapes do not agree or the limit does not lie between 0 and 1.
        InvalidSamples: when a value is not finite.
    """
    x = _table(features, names)
    if not 0.0 < limit < 1.0:
        raise InvalidInput(f"a limit of {limit:g} for correlations", "give a share between 0 and 1, such as 0.85")
    constant = np.ptp(x, axis=0) == 0.0 if len(x) else np.ones(x.shape[1], np.bool_)
    dropped = [Dropped(names[i], "it has one value in all samples") for i in np.flatnonzero(constant).tolist()]
    left: list[int] = np.flatnonzero(~constant).tolist()
    # Through correlations of constant columns, which are none, NaN would spread.
    table = np.zeros((x.shape[1], x.shape[1]))
    if left:
        table[np.ix_(left, left)] = np.abs(np.corrcoef(x[:, left], rowvar=False))
    np.fill_diagonal(table, 0.0)
    while len(left) > 1:
        part = table[np.ix_(left, left)]
        first, second = sorted(int(place) for place in np.unravel_index(int(part.argmax()), part.shape))
        if part[first, second] <= limit:
            break
        mean = part.sum(axis=0)
        goes, stays = (first, second) if mean[first] > mean[second] else (second, first)
        reason = f"it correlates with {names[left[stays]]} (|r| = {part[goes, stays]:.2f}, limit {limit:g})"
        dropped.append(Dropped(names[left[goes]], reason))
        del left[goes]
    return Selection(tuple(names[i] for i in left), tuple(dropped))


def eliminate(
    features: ArrayLike,
    target: ArrayLike,
    folds: ArrayLike,
    names: Sequence[str],
    parameters: ForestParameters | None = None,
    *,
    threads: int = 2,
    on_step: Callable[[int], None] | None = None,
) -> Selection:
    """Recursive elimination (Guyon et al. 2002, Machine Learning 46, 389) within ``folds`` (n,).

    ``features``: (n, f); ``names``: (f,), the covariate of each column: columns of one name, the levels of
    a class, stay or go together. ``target``: (n,) or (n, t), the scale modelled. In each step every fold is
    predicted by a forest grown on the others; the fifth of the covariates (at least one) of the least
    permutation importance, out of bag and averaged over those forests, goes. Kept is the smallest set whose
    error is within one standard error of the best (Breiman et al. 1984). ``on_step`` is told how many
    covariates are left to try.

    Raises:
        InvalidInput: when shapes do not agree or there are fewer than two folds.
        InvalidSamples: when a value is not finite, or no forest can be grown.
    """
    x, fold = _table(features, names), np.asarray(folds)
    y = np.asarray(target, np.float64)
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or not y.shape[:1] == fold.shape == x.shape[:1]:
        raise InvalidInput(f"features {x.shape}, target {y.shape}, folds {fold.shape}", "give one of each per row")
    if np.unique(fold).size < 2:
        raise InvalidInput(f"{np.unique(fold).size} folds", "give at least two")
    parameters = parameters or ForestParameters(trees=100)
    left = list(dict.fromkeys(names))
    steps: list[Step] = []
    gone: list[Dropped] = []
    while True:
        columns = [i for i, name in enumerate(names) if name in left]
        errors, importance = _tried(x[:, columns], y, fold, parameters, threads)
        steps.append(Step(tuple(left), float(errors.mean()), float(errors.std(ddof=1) / np.sqrt(errors.size))))
        if len(left) == 1:
            break
        of = {name: sum(importance[j] for j, i in enumerate(columns) if names[i] == name) for name in left}
        least = sorted(left, key=lambda name: (of[name], -left.index(name)))[: max(1, int(_SHARE * len(left)))]
        gone += [Dropped(name, f"among the least important of {len(left)} covariates") for name in least]
        left = [name for name in left if name not in least]
        if on_step is not None:
            on_step(len(left))
    best = min(steps, key=lambda step: step.error)
    enough = [step for step in steps if step.error <= best.error + best.standard_error]
    kept = min(enough, key=lambda step: len(step.covariates)).covariates
    return Selection(kept, tuple(each for each in gone if each.name not in kept), tuple(steps))


def _tried(
    x: _Floats, y: _Floats, folds: NDArray[np.generic], parameters: ForestParameters, threads: int
) -> tuple[_Floats, _Floats]:
    """Relative squared error of each fold, and importance averaged over the forests grown without each."""
    errors, importances = [], []
    variance = y.var(axis=0)
    for number in np.unique(folds):
        held = folds == number
        forest = QuantileForest.fit(x[~held], y[~held], None, parameters, threads=threads)
        predicted = np.column_stack([each.mean for each in forest.predict_modelled_all(x[held], (), threads=threads)])
        errors.append(float(np.mean((predicted - y[held]) ** 2 / variance)))
        importances.append(forest.importance)
    return np.array(errors), np.mean(importances, axis=0)


def _table(features: ArrayLike, names: Sequence[str]) -> _Floats:
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or x.shape[1] != len(names) or not names:
        raise InvalidInput(f"features of shape {x.shape} for {len(names)} names", "give a name for each column")
    if not np.isfinite(x).all():
        row = int(np.argmin(np.isfinite(x).all(axis=1)))
        raise InvalidSamples(f"sample {row} has a feature that is not finite", "leave such samples out")
    return x
