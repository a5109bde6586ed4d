"""Artificial borders: whether a map steps where a tile or a field begins, and nothing in the soil does.

A map made in tiles, or from layers that come in tiles, may be offset from one to the next. Neighbouring cells
then differ more across the border than elsewhere. What counts as elsewhere is taken close by, so that a border
through hilly land is compared with hilly land.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from cup4soil.errors import InvalidInput

REACH = 10
_LEAST_PAIRS = 20

type _Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Step:
    """The step across borders.

    ``ratio``: mean absolute difference of neighbouring cells across the borders over that of neighbours near them; 1
    is no step, NaN where it cannot be told. ``offset``: the mean difference across the border that differs most from
    those beside it, in the unit of the map, with its sign left out. ``p``: share of other lines, the borders counted,
    whose ratio is at least as high; NaN where there are no lines to compare with. ``pairs``: neighbours across borders.
    """

    ratio: float
    offset: float
    p: float
    pairs: int


@dataclass
class StepProfile:
    """Sums of the differences between neighbouring rows, or columns, of a grid, filled block by block.

    ``lines``: number of rows or columns; line i lies between cells i and i + 1.
    """

    lines: int
    count: NDArray[np.int64] = field(init=False)
    absolute: NDArray[np.float64] = field(init=False)
    signed: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        size = max(0, self.lines - 1)
        self.count = np.zeros(size, np.int64)
        self.absolute, self.signed = np.zeros(size), np.zeros(size)

    def add(self, values: _Floats, first: int, axis: int) -> None:
        """Add a block (rows, columns) whose cell 0 along ``axis`` is cell ``first`` of the grid.

        Blocks must overlap by one cell along the axis, and not across it, for every pair to count once.
        """
        difference = np.diff(values.astype(np.float64), axis=axis)
        known = np.isfinite(difference)
        difference = np.where(known, difference, 0.0)
        place = slice(first, first + difference.shape[axis])
        self.count[place] += known.sum(axis=1 - axis)
        self.absolute[place] += np.abs(difference).sum(axis=1 - axis)
        self.signed[place] += difference.sum(axis=1 - axis)

    def at(self, borders: Sequence[int], *, reach: int = REACH) -> Step:
        """The step across the lines ``borders``; line i lies between cells i and i + 1.

        ``p`` compares with the same set of lines moved along the axis, by every distance that leaves the borders.

        Raises:
            InvalidInput: when a border lies outside, or the reach is not positive.
        """
        lines = np.unique(np.asarray(borders, dtype=np.int64))
        if reach < 1 or (lines.size and not (lines[0] >= 0 and lines[-1] < self.count.size)):
            raise InvalidInput(
                f"borders {lines.tolist()[:5]} of {self.count.size} lines, reach {reach}", "give lines of the grid"
            )
        contrast, offset = self._contrasts(lines, reach)
        pairs = int(self.count[lines].sum())
        ratio = _weighted(contrast[lines], self.count[lines])
        known = np.abs(offset[lines])
        largest = float(np.nanmax(known)) if np.isfinite(known).any() else math.nan
        return Step(ratio, largest, self._rank(ratio, contrast, lines), pairs)

    def _contrasts(self, borders: NDArray[np.int64], reach: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of each line its mean step over that of the lines within ``reach``, and its mean difference less theirs."""
        usable = np.ones(self.count.size, bool)
        usable[borders] = False
        count, absolute, signed = (
            _around(np.where(usable, sums, 0), reach) for sums in (self.count, self.absolute, self.signed)
        )
        enough = (self.count >= 1) & (count >= _LEAST_PAIRS)
        with np.errstate(divide="ignore", invalid="ignore"):
            beside = np.where(enough & (absolute > 0), absolute / count, np.nan)
            contrast = self.absolute / self.count / beside
            offset = np.where(enough, self.signed / self.count - signed / count, np.nan)
        return contrast, offset

    def _rank(self, ratio: float, contrast: NDArray[np.float64], borders: NDArray[np.int64]) -> float:
        if math.isnan(ratio):
            return math.nan
        taken = set(borders.tolist())
        others = []
        for step in range(1, self.count.size):
            moved = (borders + step) % self.count.size
            if taken.isdisjoint(moved.tolist()):
                others.append(_weighted(contrast[moved], self.count[moved]))
        known = np.array([other for other in others if math.isfinite(other)])
        if not known.size:
            return math.nan
        return float((1 + np.sum(known >= ratio)) / (1 + known.size))


@dataclass
class EdgeTally:
    """Steps across the edges of patches (fields, map units), filled block by block.

    Pairs of neighbours across an edge are compared with pairs inside patches that lie within ``reach`` cells of one.
    """

    reach: int = REACH
    _across: list[float] = field(default_factory=lambda: [0.0, 0.0], init=False)
    _beside: list[float] = field(default_factory=lambda: [0.0, 0.0], init=False)

    def add(self, values: _Floats, patches: NDArray[np.integer]) -> None:
        """Add a block (rows, columns) with the patch of each cell; a negative one is none.

        Raises:
            InvalidInput: when shapes differ.
        """
        if values.shape != patches.shape or values.ndim != 2:
            raise InvalidInput(f"values of shape {values.shape}, patches of {patches.shape}", "give one grid")
        if min(values.shape) < 2:
            return
        for turned, labels in ((values, patches), (values.T, patches.T)):
            self._add_rows(turned.astype(np.float64), labels)

    def _add_rows(self, values: NDArray[np.float64], patches: NDArray[np.integer]) -> None:
        step = np.abs(np.diff(values, axis=1))
        known = np.isfinite(step) & (patches[:, 1:] >= 0) & (patches[:, :-1] >= 0)
        across = patches[:, 1:] != patches[:, :-1]
        near = maximum_filter1d(across, 2 * self.reach + 1, axis=1, mode="constant")
        for sums, chosen in ((self._across, known & across), (self._beside, known & ~across & near)):
            sums[0] += float(step[chosen].sum())
            sums[1] += int(chosen.sum())

    @property
    def step(self) -> Step:
        """What was found; it has no ``p`` and no ``offset``, since soils do change where land use does."""
        (step, across), (other, beside) = self._across, self._beside
        told = across > 0 and beside >= _LEAST_PAIRS and other > 0
        ratio = (step / across) / (other / beside) if told else math.nan
        return Step(ratio, math.nan, math.nan, int(across))


def _around(values: NDArray[np.float64] | NDArray[np.int64], reach: int) -> NDArray[np.float64]:
    """Sum over the ``reach`` places on both sides of each, without its own; sums of zeros are exactly 0."""
    kernel = np.ones(2 * reach + 1)
    kernel[reach] = 0.0
    return np.asarray(np.convolve(values, kernel)[reach : reach + values.size], np.float64)


def _weighted(values: NDArray[np.float64], weights: NDArray[np.int64]) -> float:
    known = np.isfinite(values) & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else math.nan
