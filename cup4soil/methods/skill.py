"""Whether a map has skill: the model efficiency with its uncertainty, and a verdict.

A model efficiency near 0 means that the mean of the samples predicts as well as the map. With few samples
an efficiency above 0 may be chance, which resampling them shows: whole groups (profiles, spatial blocks)
are drawn with replacement (Efron & Tibshirani 1993, chapters 8 and 13), and a map whose interval
reaches below 0.05 is published only as one without skill.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput, InvalidSamples

LEAST_EFFICIENCY = 0.05
DRAWS = 2000
_LEVEL = 0.9
_CHUNK = 4_000_000
_ROUNDING = 1e-12

type Verdict = Literal["skill", "no-skill"]
type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """``low`` to ``high``."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Skill:
    """Model efficiency ``mec`` of n rows in a number of ``groups``, its 90 % ``interval`` and the verdict."""

    n: int
    groups: int
    mec: float
    interval: Interval
    verdict: Verdict


def bootstrap_mec(
    observed: ArrayLike, predicted: ArrayLike, groups: ArrayLike | None = None, seed: int = 0, draws: int = DRAWS
) -> Interval:
    """90 % percentile interval of the model efficiency, ``groups`` (n,) resampled whole, rows without.

    Rows with a NaN are left out. A draw whose observations are all equal has no efficiency and is left out.

    Raises:
        InvalidInput: when shapes differ, a value is infinite, or draws are fewer than 100.
        InvalidSamples: when fewer than two groups are left, or all observations are equal.
    """
    return assess(observed, predicted, groups, seed, draws).interval


def verdict(interval: Interval, least: float = LEAST_EFFICIENCY) -> Verdict:
    """Say "no-skill" where the lower end of the ``interval`` of the efficiency lies below ``least``."""
    return "skill" if interval.low >= least else "no-skill"


def assess(
    observed: ArrayLike,
    predicted: ArrayLike,
    groups: ArrayLike | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    least: float = LEAST_EFFICIENCY,
) -> Skill:
    """Efficiency, interval and verdict in one; arguments and errors as for :func:`bootstrap_mec`."""
    if draws < 100:
        raise InvalidInput(f"{draws} draws", "give at least 100")
    sums = _group_sums(observed, predicted, groups)
    whole = float(_efficiency(sums.sum(axis=1, keepdims=True))[0])
    if np.isnan(whole):
        raise InvalidSamples("all observations have one value", "give samples that differ")
    drawn = np.concatenate([_efficiency(sums @ counts) for counts in _draws(sums.shape[1], seed, draws)])
    low, high = np.nanquantile(drawn, [(1.0 - _LEVEL) / 2.0, (1.0 + _LEVEL) / 2.0])
    interval = Interval(float(low), float(high))
    return Skill(int(sums[0].sum()), sums.shape[1], whole, interval, verdict(interval, least))


def _group_sums(observed: ArrayLike, predicted: ArrayLike, groups: ArrayLike | None) -> _Floats:
    """Rows, sum of y, of y squared and of squared errors of each group: (4, groups); y less its overall mean."""
    y, p = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    labels = np.arange(y.size) if groups is None else np.asarray(groups)
    if y.ndim != 1 or not y.shape == p.shape == labels.shape:
        raise InvalidInput(
            f"observed {y.shape}, predicted {p.shape}, groups {labels.shape}", "give one of each per row"
        )
    if np.isinf(y).any() or np.isinf(p).any():
        raise InvalidInput("an infinite value among observations and predictions", "give finite numbers, or NaN")
    known = ~np.isnan(y + p)
    y, p = y[known], p[known]
    codes = np.unique(labels[known], return_inverse=True)[1]
    if np.unique(codes).size < 2:
        raise InvalidSamples(f"{y.size} complete rows in fewer than two groups", "give samples of at least two groups")
    # Centred, so that the sum of squares keeps its digits; from the first value, so that equal ones give exactly 0.
    centred = y - y[0]
    centred -= centred.mean()
    columns = (np.ones_like(y), centred, centred**2, (p - y) ** 2)
    return np.stack([np.bincount(codes, weights=column) for column in columns])


def _draws(groups: int, seed: int, draws: int) -> Iterator[_Floats]:
    """How often each group is drawn, (groups, some draws) at a time."""
    random = np.random.default_rng(seed)
    step = max(1, _CHUNK // groups)
    for first in range(0, draws, step):
        some = min(step, draws - first)
        yield random.multinomial(groups, np.full(groups, 1.0 / groups), size=some).T.astype(np.float64)


def _efficiency(sums: _Floats) -> _Floats:
    """1 - SS_res / SS_tot of columns of sums (4, draws); NaN where the observations do not vary."""
    n, total, squares, residual = sums
    spread = squares - total**2 / n
    spread = np.where(spread > _ROUNDING * squares, spread, np.nan)
    efficiency: _Floats = 1.0 - residual / spread
    return efficiency
