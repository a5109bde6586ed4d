"""Conformal calibration of prediction intervals (CQR: Romano, Patterson & Candès 2019, NeurIPS 32).

A forest's 90 % interval need not hold 90 % of what the forest was not trained on. Held-out samples say by how
much it misses: a sample's score is E = max(lower - y, y - upper), negative inside. With n scores, the interval
widened on both sides by the ceil((n + 1) level)-th smallest of them holds a new observation with a probability
of at least ``level``, whatever the distribution, as long as the held-out samples and the new place are
exchangeable. Samples held out in random folds lie closer to the training data than most of a map does:
calibrate on spatial folds. An offset below 0 narrows intervals that were too wide.

``sides="each"`` gives each bound an offset of its own at (1 + level) / 2, where one side is worse than the other.
Strata (land use, say) with enough samples get offsets of their own (Mondrian: Vovk 2012, PMLR 25, 475).

Intervals that are too wide are narrowed by the forest itself where its quantiles at other levels are known: the
offset is then applied to its narrowest central interval that holds enough of the held-out samples. Intervals of rising
level are nested, so that this choice is conformal, too (Gupta, Kuchibhotla & Ramdas 2022, Pattern Recognit. 127,
108496). Such bounds stay where samples are, and they can be found where observations come in few values (texture
estimated in the field): there many samples lie on a bound, and any offset below 0 leaves all of these out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.stored import require, stored_array
from cup4soil.methods.validation import NOMINAL_LEVELS, central_intervals, interval_quantiles

LEVEL = 0.9
# The coverage that n scores bring about has a standard deviation of sqrt(level (1 - level) / n): 4 % for 50.
LEAST_PER_STRATUM = 50
_DIGITS = 9
_MEDIAN = 0.5
_SIDES: tuple["Sides", ...] = ("both", "each")

type Sides = Literal["both", "each"]
type _Floats = NDArray[np.float64]
type _Ints = NDArray[np.int64]


def least_samples(level: float = LEVEL, sides: Sides = "both") -> int:
    """Fewest scores that give a finite interval of ``level``: 9 for 90 %, 19 with an offset for each side.

    Raises:
        InvalidInput: when the level does not lie between 0 and 1, or sides are not "both" or "each".
    """
    share = _side_level(level, sides)
    return max(1, math.ceil(round(share / (1.0 - share), _DIGITS)))


def calibration_levels() -> tuple[float, ...]:
    """Levels of quantiles for :meth:`Calibration.fit_levels` and for curves: intervals of 0.5 to 0.99 by 0.01, too."""
    return interval_quantiles((*NOMINAL_LEVELS, *(round(0.5 + 0.01 * step, 2) for step in range(50))))


@dataclass(frozen=True)
class Calibration:
    """By how much to widen intervals of ``level``, in the unit of the property; below 0: to narrow them.

    ``lower`` and ``upper``: (1 + s,), offsets of the two bounds: the overall one, then one for each of
    ``strata`` (s,), ascending. ``counts``: (1 + s,), the samples behind each. ``pooled``: strata with too
    few samples; they take the overall offset, as strata do that were never seen. ``base``: level of the
    forest's central interval that the offsets apply to, None for ``level`` itself; see :attr:`quantiles`.
    """

    level: float
    sides: Sides
    lower: _Floats
    upper: _Floats
    counts: _Ints
    strata: _Ints
    pooled: _Ints
    base: float | None = None

    @property
    def quantiles(self) -> tuple[float, float, float]:
        """Levels of the forest's quantiles to give to :meth:`apply`: lower, median, upper."""
        base = self.level if self.base is None else self.base
        return round((1.0 - base) / 2.0, _DIGITS), _MEDIAN, round((1.0 + base) / 2.0, _DIGITS)

    @classmethod
    def fit(
        cls,
        observed: ArrayLike,
        lower: ArrayLike,
        upper: ArrayLike,
        level: float = LEVEL,
        strata: ArrayLike | None = None,
        *,
        least: int = LEAST_PER_STRATUM,
        sides: Sides = "both",
    ) -> Self:
        """From held-out ``observed`` (n,) and the interval predicted for each without it.

        Rows with a NaN are left out. ``strata``: (n,) whole numbers; those with fewer than ``least``
        samples, or too few for the level, are pooled.

        Raises:
            InvalidInput: when shapes differ, a value is infinite, a bound is crossed, or a parameter is none.
            InvalidSamples: when there are too few samples for the level.
        """
        scores = _scores(observed, lower, upper)
        codes = np.zeros(scores.shape[1], np.int64) if strata is None else _codes(strata, scores.shape[1:])
        known = ~np.isnan(scores).any(axis=0)
        scores, codes = scores[:, known], codes[known]
        enough = least_samples(level, sides)
        if scores.shape[1] < enough:
            raise InvalidSamples(
                f"{scores.shape[1]} held-out samples for an interval of {level:.4g}",
                f"give at least {enough}, or ask for a lower level",
            )
        if least < 1:
            raise InvalidInput(f"strata of at least {least} samples", "give 1 or more")
        found, sizes = np.unique(codes, return_counts=True)
        large = (sizes >= max(least, enough)) & (strata is not None)
        own, pooled = found[large], found[~large & (strata is not None)]
        parts = [scores, *(scores[:, codes == stratum] for stratum in own)]
        offsets = np.array([_offsets(part, level, sides) for part in parts])
        counts = np.array([part.shape[1] for part in parts], np.int64)
        return cls(float(level), sides, offsets[:, 0], offsets[:, 1], counts, own, pooled)

    @classmethod
    def fit_levels(
        cls,
        observed: ArrayLike,
        levels: Sequence[float],
        quantiles: ArrayLike,
        level: float = LEVEL,
        strata: ArrayLike | None = None,
        *,
        least: int = LEAST_PER_STRATUM,
        sides: Sides = "both",
    ) -> Self:
        """As :meth:`fit`, from held-out ``quantiles`` (q, n) at rising ``levels`` (q,).

        ``base`` is the narrowest central interval among the levels that holds enough samples, where that of
        ``level`` holds enough; else that one itself: :func:`calibration_levels` gives levels that are fine enough.

        Raises:
            InvalidInput: as :meth:`fit`, and when the levels do not bound an interval of ``level``.
            InvalidSamples: as :meth:`fit`.
        """
        y, table = np.asarray(observed, np.float64), _quantile_table(observed, levels, quantiles)
        pairs = _pairs(levels)
        if round(level, _DIGITS) not in pairs:
            raise InvalidInput(f"quantiles that bound no interval of {level:g}", "add those at its two ends")
        base = _base(y, {nominal: (table[a], table[b]) for nominal, (a, b) in pairs.items()}, round(level, _DIGITS))
        low, high = pairs[base]
        found = cls.fit(y, table[low], table[high], level, strata, least=least, sides=sides)
        return replace(found, base=base)

    def offset(self, strata: ArrayLike | None = None) -> tuple[_Floats, _Floats]:
        """Offsets of the lower and of the upper bound, in the shape of ``strata``; the overall ones without."""
        index = np.zeros((), np.int64) if strata is None else self._index(_codes(strata, np.shape(strata)))
        return self.lower[index], self.upper[index]

    def apply(
        self, lower: ArrayLike, median: ArrayLike, upper: ArrayLike, strata: ArrayLike | None = None
    ) -> tuple[_Floats, _Floats]:
        """Calibrated bounds in the shape of ``lower``, ``median`` and ``upper``; NaN stays NaN.

        Where narrowing would carry a bound across the median it stops there: that only leaves the
        interval wider than asked.

        Raises:
            InvalidInput: when shapes differ, or lower <= median <= upper does not hold.
        """
        low, middle, high = (np.asarray(bound, np.float64) for bound in (lower, median, upper))
        if not low.shape == middle.shape == high.shape:
            raise InvalidInput(f"bounds of shapes {low.shape}, {middle.shape} and {high.shape}", "give equal shapes")
        if ((low > middle) | (middle > high)).any():
            raise InvalidInput("a median outside its interval", "give lower <= median <= upper")
        down, up = self.offset(None if strata is None else _codes(strata, low.shape))
        return np.minimum(low - down, middle), np.maximum(high + up, middle)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything there is to keep, as plain arrays; :meth:`from_arrays` reads it back."""
        settings = np.array([self.level, _SIDES.index(self.sides), self.base or self.level], np.float64)
        names = ("lower", "upper", "counts", "strata", "pooled")
        return {"settings": settings, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read a calibration back, from a source that need not be trusted.

        Raises:
            InvalidInput: when an array is missing, of another type, or contradicts the others.
        """
        settings, lower, upper = (stored_array(arrays, name, np.float64) for name in ("settings", "lower", "upper"))
        counts, strata, pooled = (stored_array(arrays, name, np.int64) for name in ("counts", "strata", "pooled"))
        require(settings.size == 3 and 0 < settings[0] < 1 and settings[1] in (0, 1), "the calibration has no level")
        require(0 < settings[2] < 1, "the level of the interval it applies to")
        require(lower.size == upper.size == counts.size == strata.size + 1, "offsets do not fit the strata")
        require(np.isfinite(lower).all() and np.isfinite(upper).all(), "an offset is not finite")
        require((np.diff(strata) > 0).all() and not np.isin(pooled, strata).any(), "strata are not in order")
        level, sides = float(settings[0]), _SIDES[int(settings[1])]
        require((counts >= least_samples(level, sides)).all(), "too few samples for the level of the intervals")
        return cls(level, sides, lower, upper, counts, strata, pooled, float(settings[2]))

    def _index(self, codes: _Ints) -> NDArray[np.int64]:
        """Where the offsets of each stratum stand: 0 for those without their own."""
        place = np.searchsorted(self.strata, codes)
        padded = np.append(self.strata, -1)
        known = (place < self.strata.size) & (padded[place] == codes)
        return np.where(known, place + 1, 0)


def cross_calibrated(
    observed: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    folds: ArrayLike,
    level: float = LEVEL,
    strata: ArrayLike | None = None,
    *,
    median: ArrayLike | None = None,
    least: int = LEAST_PER_STRATUM,
    sides: Sides = "both",
) -> tuple[_Floats, _Floats]:
    """Bounds (n,) of held-out rows, each calibrated on the other ``folds`` (n,) only.

    This is what a validation may report: the offset a row gets has not seen its own fold. Arguments are
    those of :meth:`Calibration.fit`; ``median`` (n,) is where a narrowed bound stops, the middle of the
    interval without it. Rows without a bound stay NaN.

    Raises:
        InvalidInput: when shapes differ, there are fewer than two folds, or a bound is crossed.
        InvalidSamples: when too few samples are left without one of the folds.
    """
    y, low, high = (np.asarray(column, np.float64) for column in (observed, lower, upper))
    middle = (low + high) / 2.0 if median is None else np.asarray(median, np.float64)
    fold = np.asarray(folds)
    if y.ndim != 1 or not y.shape == low.shape == high.shape == middle.shape == fold.shape:
        raise InvalidInput(f"observed {y.shape}, bounds {low.shape} and folds {fold.shape}", "give one of each per row")
    codes = None if strata is None else _codes(strata, y.shape)
    numbers = np.unique(fold)
    if numbers.size < 2:
        raise InvalidInput(f"{numbers.size} folds", "give at least two")
    down, up = np.full(y.size, np.nan), np.full(y.size, np.nan)
    for number in numbers:
        held = fold == number
        rest = None if codes is None else codes[~held]
        calibration = Calibration.fit(y[~held], low[~held], high[~held], level, rest, least=least, sides=sides)
        own = None if codes is None else codes[held]
        down[held], up[held] = calibration.apply(low[held], middle[held], high[held], own)
    return down, up


def cross_calibrated_levels(
    observed: ArrayLike,
    levels: Sequence[float],
    quantiles: ArrayLike,
    folds: ArrayLike,
    level: float = LEVEL,
    strata: ArrayLike | None = None,
    *,
    least: int = LEAST_PER_STRATUM,
    sides: Sides = "both",
) -> tuple[_Floats, _Floats]:
    """As :func:`cross_calibrated`, by :meth:`Calibration.fit_levels` on the other folds: also where values tie.

    ``quantiles``: (q, n), held out, at rising ``levels`` (q,), the median among them.

    Raises:
        InvalidInput, InvalidSamples: as :meth:`Calibration.fit_levels`, or without a median or two folds.
    """
    y, table, fold = np.asarray(observed, np.float64), _quantile_table(observed, levels, quantiles), np.asarray(folds)
    place = {round(float(each), _DIGITS): i for i, each in enumerate(levels)}
    if fold.shape != y.shape or np.unique(fold).size < 2:
        raise InvalidInput(f"folds of shape {fold.shape} for {y.shape}", "give one per row, and at least two")
    if _MEDIAN not in place:
        raise InvalidInput(f"quantiles at {list(levels)}", "add the median")
    codes = None if strata is None else _codes(strata, y.shape)
    down, up = np.full(y.size, np.nan), np.full(y.size, np.nan)
    for number in np.unique(fold):
        held = fold == number
        rest, own = (None, None) if codes is None else (codes[~held], codes[held])
        found = Calibration.fit_levels(y[~held], levels, table[:, ~held], level, rest, least=least, sides=sides)
        low, middle, high = (table[place[each], held] for each in found.quantiles)
        down[held], up[held] = found.apply(low, middle, high, own)
    return down, up


def cross_calibrated_quantiles(
    observed: ArrayLike,
    levels: Sequence[float],
    quantiles: ArrayLike,
    folds: ArrayLike,
    strata: ArrayLike | None = None,
    *,
    least: int = LEAST_PER_STRATUM,
    sides: Sides = "both",
) -> tuple[tuple[float, ...], _Floats]:
    """Every central interval of held-out ``quantiles`` (q, n) calibrated at its own level, on the other folds.

    For a curve of coverage after calibration beside the one before. ``levels`` (q,) rise, with the median; those
    that bound no central interval, or one that the samples without the largest fold are too few for, are left
    out. Wider intervals are kept around narrower ones. Returns the levels left and their quantiles.

    Raises:
        InvalidInput, InvalidSamples: as :func:`cross_calibrated_levels`.
    """
    table, fold = _quantile_table(observed, levels, quantiles), np.asarray(folds)
    complete = ~np.isnan(table.sum(axis=0) + np.asarray(observed, np.float64))
    largest = np.unique(fold[complete], return_counts=True)[1].max(initial=0) if fold.shape == complete.shape else 0
    left = int(complete.sum() - largest)
    result = table.copy()
    kept = {place for place, each in enumerate(levels) if each == _MEDIAN}
    inner: tuple[_Floats, _Floats] | None = None
    for nominal, (low, high) in _pairs(levels).items():
        if least_samples(nominal, sides) > left:
            continue
        down, up = cross_calibrated_levels(
            observed, levels, table, fold, nominal, strata, least=least, sides=sides
        )  # fmt: skip
        if inner is not None:
            down, up = np.minimum(down, inner[0]), np.maximum(up, inner[1])
        inner = result[low], result[high] = down, up
        kept |= {low, high}
    places = sorted(kept)
    return tuple(float(levels[place]) for place in places), result[places]


def _quantile_table(observed: ArrayLike, levels: Sequence[float], quantiles: ArrayLike) -> _Floats:
    table = np.asarray(quantiles, np.float64)
    if np.ndim(observed) != 1 or table.shape != (len(levels), np.size(observed)):
        raise InvalidInput(f"quantiles of shape {table.shape} for {len(levels)} levels", "give one row per level")
    if any(not 0.0 < each < 1.0 for each in levels) or any(np.diff(levels) <= 0):
        raise InvalidInput(f"quantile levels {list(levels)}", "give ascending levels between 0 and 1")
    return table


def _pairs(levels: Sequence[float]) -> dict[float, tuple[int, int]]:
    """Places of the two bounds of each central interval, by its level, the narrowest first."""
    return {round(levels[high] - levels[low], _DIGITS): (low, high) for low, high in central_intervals(levels)}


def _base(y: _Floats, intervals: Mapping[float, tuple[_Floats, _Floats]], level: float) -> float:
    """Level of the interval to start from, at most ``level``, of ``intervals`` by level, the narrowest first."""
    known = ~np.isnan(sum(intervals[level], y))
    rank = _rank(int(known.sum()), level)
    holding = (
        nominal
        for nominal, (low, high) in intervals.items()
        if nominal < level and int(((low <= y) & (y <= high)).sum()) >= rank
    )
    return next(holding, level)


def _side_level(level: float, sides: Sides) -> float:
    if not 0.0 < level < 1.0:
        raise InvalidInput(f"an interval of level {level:g}", "give a share between 0 and 1, such as 0.9")
    if sides not in _SIDES:
        raise InvalidInput(f"offsets for {sides!r} sides", "give 'both' or 'each'")
    return level if sides == "both" else (1.0 + level) / 2.0


def _scores(observed: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> _Floats:
    """How far each row lies below its interval and above it, (2, n); negative inside."""
    y, low, high = (np.asarray(column, np.float64) for column in (observed, lower, upper))
    if y.ndim != 1 or not y.shape == low.shape == high.shape:
        raise InvalidInput(f"observed {y.shape}, lower {low.shape}, upper {high.shape}", "give one of each per row")
    if np.isinf(y).any() or np.isinf(low).any() or np.isinf(high).any():
        raise InvalidInput("an infinite observation or bound", "give finite numbers, or NaN")
    if (low > high).any():
        raise InvalidInput("an interval whose lower bound is above its upper bound", "give lower <= upper")
    # With a missing bound both sides are missing: max() of the two would forget one otherwise.
    missing = 0.0 * (y + low + high)
    return np.stack([low - y + missing, y - high + missing])


def _codes(strata: ArrayLike, shape: tuple[int, ...]) -> _Ints:
    codes = np.asarray(strata)
    if codes.dtype.kind not in "iu" or codes.shape != shape:
        raise InvalidInput(f"strata of type {codes.dtype} and shape {codes.shape}", f"give whole numbers of {shape}")
    return codes.astype(np.int64)


def _rank(n: int, share: float) -> int:
    """Which of n scores, counted from 1, is the offset."""
    # Rounded first, so that 0.9 * 10 counts as 9.
    return math.ceil(round((n + 1) * share, _DIGITS))


def _offsets(scores: _Floats, level: float, sides: Sides) -> tuple[float, float]:
    share = _side_level(level, sides)
    rank = _rank(scores.shape[1], share)
    if sides == "both":
        widest = float(np.partition(scores.max(axis=0), rank - 1)[rank - 1])
        return widest, widest
    low, high = (float(np.partition(side, rank - 1)[rank - 1]) for side in scores)
    return low, high
