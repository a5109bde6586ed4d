"""Calibration of intervals from held-out quantiles: narrower ones by the forest's own levels, wider ones by an offset.

Both make one family of nested intervals, on which conformal calibration is valid as it is for offsets alone (nested
conformal prediction: Gupta, Kuchibhotla & Ramdas 2022, Pattern Recognition 127, 108496). Where the forest's interval is
too wide, its quantiles of less extreme levels are taken, which stay where samples are; an offset would carry them to
where there are none. It could not narrow at all where many samples have the very value of a bound, as field estimates
in classes do: any offset below 0 would leave all of these out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.conformal import Calibration, least_samples

NOMINAL = 0.9
_DIGITS = 9

type _Floats = NDArray[np.float64]
type _Strata = NDArray[np.int64] | None


@dataclass(frozen=True)
class HeldOutQuantiles:
    """What n samples were observed to be, and the quantiles (q, n) at rising ``levels`` (q,) held out for them.

    Both on the scale of calibration. ``folds`` and ``strata``: (n,).
    """

    observed: _Floats
    levels: Sequence[float]
    quantiles: _Floats
    folds: NDArray[np.int64]
    strata: _Strata

    def take(self, rows: NDArray[np.bool_]) -> "HeldOutQuantiles":
        """Some of the samples."""
        strata = None if self.strata is None else self.strata[rows]
        return HeldOutQuantiles(self.observed[rows], self.levels, self.quantiles[:, rows], self.folds[rows], strata)

    def at(self, level: float) -> _Floats:
        """The quantiles (n,) of a level."""
        found: _Floats = self.quantiles[[round(each, _DIGITS) for each in self.levels].index(round(level, _DIGITS))]
        return found


def fit_level(held: HeldOutQuantiles, nominal: float = NOMINAL) -> float:
    """The largest lower level whose central interval still holds what an interval of level ``nominal`` has to.

    Never below (1 - nominal) / 2: what the forest's own interval lacks is for an offset to give.
    """
    own = round((1.0 - nominal) / 2.0, _DIGITS)
    needed = math.ceil(round((held.observed.size + 1) * nominal, _DIGITS))
    known = {round(level, _DIGITS) for level in held.levels}
    best = own
    for level in sorted(each for each in known if own < each < 0.5 and round(1.0 - each, _DIGITS) in known):
        inside = (held.at(level) <= held.observed) & (held.observed <= held.at(1.0 - level))
        if int(inside.sum()) < needed:
            break
        best = level
    return best


def fit_calibration(held: HeldOutQuantiles, nominal: float = NOMINAL) -> tuple[float, Calibration]:
    """The level of the forest's quantiles to start from, and what is left to widen or narrow.

    Raises:
        InvalidSamples: when there are too few samples for the level.
    """
    level = fit_level(held, nominal)
    calibration = Calibration.fit(held.observed, held.at(level), held.at(1.0 - level), nominal, held.strata)
    return level, calibration


def cross_calibrated_interval(held: HeldOutQuantiles, nominal: float = NOMINAL) -> tuple[_Floats, _Floats]:
    """Bounds (n,) of each sample's interval, level and offset found on the other folds only.

    Raises:
        InvalidSamples: when too few samples are left without one of the folds.
    """
    lower, upper = np.empty(held.observed.size), np.empty(held.observed.size)
    for number in np.unique(held.folds):
        out = held.folds == number
        level, calibration = fit_calibration(held.take(~out), nominal)
        own = held.take(out)
        lower[out], upper[out] = calibration.apply(own.at(level), own.at(0.5), own.at(1.0 - level), own.strata)
    return lower, upper


def cross_calibrated_curve(held: HeldOutQuantiles, nominals: Sequence[float]) -> tuple[tuple[float, ...], _Floats]:
    """Levels, rising, and the bounds (q, n) of the intervals of ``nominals`` calibrated on the other folds.

    Intervals that the samples without the largest fold are too few for are left out; the median stays.
    """
    left = held.observed.size - int(np.unique(held.folds, return_counts=True)[1].max())
    bounds: dict[float, _Floats] = {0.5: held.at(0.5)}
    for nominal in nominals:
        if least_samples(nominal) <= left:
            ends = cross_calibrated_interval(held, nominal)
            for sign, values in zip((-1, 1), ends, strict=True):
                bounds[round((1 + sign * nominal) / 2, _DIGITS)] = values
    levels = tuple(sorted(bounds))
    return levels, np.stack([bounds[level] for level in levels])
