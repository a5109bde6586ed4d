"""Thresholds of the bare-soil index found from the data (HISET), and the smooth surface through them.

Heiden et al. 2022, Remote Sensing 14, 4526. Two land-cover classes differ in the temporal extremes of the index;
the threshold is where their distributions separate best. Distributions are kept as histograms that can be added
up, so that a region of any size is read block by block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import NoData

BIN_WIDTH = 0.0075
INDEX_RANGE = (-2.0, 2.0)
POOR_SCORE = 0.25
LEAST_CELLS = 100
# A region's weight reaches half of its full value with this many cells in the smaller class.
HALF_WEIGHT_CELLS = 1000
# Centres nearer than this are one place; a width of nearly nothing would leave no weight anywhere else.
_LEAST_WIDTH_M = 1.0

# WorldCover codes of the classes that are compared.
FOREST, GRASSLAND, CROPLAND, BUILT_UP = 10, 30, 40, 50
CLASS_NAMES: Mapping[int, str] = {FOREST: "forest", GRASSLAND: "grassland", CROPLAND: "cropland", BUILT_UP: "built-up"}

type Extreme = Literal["minimum", "maximum"]

# Whole millionths: stored integers, float32 and float64 of one index fall into one bin, also on its edge.
_STEPS = 1_000_000
_BIN_STEPS = round(BIN_WIDTH * _STEPS)
_FIRST = round(INDEX_RANGE[0] * _STEPS)
_EDGES = np.arange(_FIRST, round(INDEX_RANGE[1] * _STEPS) + 1, _BIN_STEPS)


class IndexHistogram:
    """Counts of index values between the edges -2, -1.9925, ... of HISET; histograms add up with ``+``.

    Bin i holds the values above edge i - 1 and up to edge i; the first and the last are open, so that an index
    outside -2..2, which negative reflectance can give, counts at the end. Values are taken to the sixth decimal.
    """

    def __init__(self, counts: NDArray[np.int64] | None = None) -> None:
        self.counts = np.zeros(_EDGES.size + 1, dtype=np.int64) if counts is None else counts

    @staticmethod
    def edges() -> NDArray[np.float64]:
        """The edges, ascending."""
        values: NDArray[np.float64] = _EDGES / _STEPS
        return values

    @property
    def cells(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def add(self, values: NDArray[np.floating]) -> None:
        """Count ``values``, any shape; NaN is left out."""
        known = values[np.isfinite(values)]
        bounded = np.clip(known, INDEX_RANGE[0] - 1, INDEX_RANGE[1] + 1)
        steps = np.rint(bounded.astype(np.float64) * _STEPS).astype(np.int64)
        bins = np.clip(-((_FIRST - steps) // _BIN_STEPS), 0, _EDGES.size)
        self.counts += np.bincount(bins, minlength=self.counts.size)

    def below(self) -> NDArray[np.int64]:
        """How many values are at most each edge."""
        return np.cumsum(self.counts[:-1])

    def __add__(self, other: "IndexHistogram") -> "IndexHistogram":
        return IndexHistogram(self.counts + other.counts)


@dataclass(frozen=True, slots=True)
class Separation:
    """A threshold and how well it separates. ``score``: 0 perfect, 0.5 useless.

    ``ordered`` is False where the class that should be low has not more of its cells below the threshold than the
    other: such a threshold means nothing, however good its score.
    """

    threshold: float
    score: float
    low_cells: int
    high_cells: int
    ordered: bool


def hiset(low: IndexHistogram, high: IndexHistogram) -> Separation:
    """The index value that separates two distributions best.

    For every edge t, with the shares F1(t) and F2(t) of the classes' cells at most t, the score is
    S(t) = max(min(F1, F2), min(1 - F1, 1 - F2)); the threshold is the t of the least score, of several equal ones the
    middle (of two middle ones the lower). Scores are compared as whole numbers, so that ties are ties.

    Args:
        low: the extreme over the class that should be low (cropland; built-up).
        high: the same over the other one (grassland or forest; cropland).

    Raises:
        NoData: when a class has no cells.
    """
    n_low, n_high = low.cells, high.cells
    if not n_low or not n_high:
        raise NoData(f"the classes have {n_low} and {n_high} cells", "a threshold needs both")
    # F1 = a / (n1 n2) and F2 = b / (n1 n2), as Python's integers, which have no largest.
    a, b, whole = low.below().astype(object) * n_high, high.below().astype(object) * n_low, n_low * n_high
    score = np.maximum(np.minimum(a, b), whole - np.maximum(a, b))
    best = np.flatnonzero(score == score.min())
    chosen = best[(best.size - 1) // 2]
    return Separation(
        threshold=float(IndexHistogram.edges()[chosen]),
        score=float(score[chosen] / whole),
        low_cells=n_low,
        high_cells=n_high,
        ordered=bool(a[chosen] > b[chosen]),
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """What one region says of one threshold; ``value`` and ``score`` are None where nothing could be computed.

    ``low`` and ``high`` name the classes compared; ``reason`` says why the value is not used, "" where it is.
    """

    low: str
    high: str
    low_cells: int
    high_cells: int
    value: float | None = None
    score: float | None = None
    reason: str = ""

    @property
    def used(self) -> bool:
        """True when the surface goes by this value."""
        return self.value is not None and not self.reason

    @property
    def weight(self) -> float:
        """Weight of the value in the surface, see :func:`smooth_surface`; 0 where it is not used."""
        if self.score is None or not self.used:
            return 0.0
        cells = min(self.low_cells, self.high_cells)
        return (1 - 2 * self.score) * cells / (cells + HALF_WEIGHT_CELLS)


@dataclass
class RegionHistograms:
    """Histograms of one region: the minimum by class for T_MIN, the maximum by class for T_MAX."""

    minimum: dict[int, IndexHistogram] = field(
        default_factory=lambda: {code: IndexHistogram() for code in (CROPLAND, GRASSLAND, FOREST)}
    )
    maximum: dict[int, IndexHistogram] = field(
        default_factory=lambda: {code: IndexHistogram() for code in (BUILT_UP, CROPLAND)}
    )

    def add(
        self, minimum: NDArray[np.floating], maximum: NDArray[np.floating], land_cover: NDArray[np.floating]
    ) -> None:
        """Count cells: temporal extremes of the index and WorldCover codes, of one shape, NaN where unknown."""
        for histograms, values in ((self.minimum, minimum), (self.maximum, maximum)):
            for code, histogram in histograms.items():
                histogram.add(values[land_cover == code])

    def t_min(self) -> Finding:
        """Below it a surface is bare at some time: the minimum over cropland against grassland.

        Where grassland has fewer than ``LEAST_CELLS`` cells, forest stands in for it.
        """
        enough = self.minimum[GRASSLAND].cells >= LEAST_CELLS
        other = GRASSLAND if enough or self.minimum[FOREST].cells < LEAST_CELLS else FOREST
        return _finding(self.minimum, CROPLAND, other)

    def t_max(self) -> Finding:
        """Below it a surface is bare at all times: the maximum over built-up against cropland."""
        return _finding(self.maximum, BUILT_UP, CROPLAND)


def _finding(histograms: Mapping[int, IndexHistogram], low: int, high: int) -> Finding:
    names, cells = (CLASS_NAMES[low], CLASS_NAMES[high]), (histograms[low].cells, histograms[high].cells)
    few = [f"{n} cells of {name}" for name, n in zip(names, cells, strict=True) if n < LEAST_CELLS]
    if few:
        return Finding(*names, *cells, reason=f"only {' and '.join(few)}, {LEAST_CELLS} are needed")
    found = hiset(histograms[low], histograms[high])
    reason = ""
    if not found.ordered:
        reason = f"the index of {names[0]} is not lower than that of {names[1]}: is the legend right?"
    elif found.score > POOR_SCORE:
        reason = f"poor separation: score {found.score:.3f} is above {POOR_SCORE:g}"
    return Finding(*names, *cells, found.threshold, found.score, reason)


def smooth_surface(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    centres: Sequence[tuple[float, float]],
    values: Sequence[float],
    weights: Sequence[float],
) -> NDArray[np.float64]:
    """A smooth surface through the regions' values: their weighted mean, near regions before far ones.

    T(p) = sum_i w_i k_i(p) v_i / sum_i w_i k_i(p) with k_i(p) = (1 + |p - c_i|^2 / h^2)^-2 and h half the median
    distance of a region's centre to the nearest other one, at least 1 m. Every k_i is positive everywhere, so the
    surface has no gap, is smooth to any order, and as a mean with positive weights never leaves the range of the
    values. On a regular lattice of regions a region's own share at its centre is about four fifths; far from all of
    them the surface goes towards the weighted mean of all, not on along a trend.

    The weight of a region, w = (1 - 2 S) n / (n + 1000), is Youden's index of its threshold (both classes have at
    most the share S on the wrong side) times the precision of a value whose error has two parts, one of sampling
    that falls with the cells n of the smaller class, and one of the region that does not: past some thousand cells,
    more of them say little.

    Args:
        x, y: coordinates of the grid's columns and rows.
        centres: (x, y) of the regions, in the same metric CRS.
        values: one for each region.
        weights: positive, one for each region.

    Returns:
        float64, (rows, columns).

    Raises:
        ValueError: when there is no region, their numbers differ, or a weight is not positive.
    """
    if not len(centres) == len(values) == len(weights) or not values or not min(weights) > 0:
        raise ValueError(f"{len(centres)} centres, {len(values)} values and {len(weights)} positive weights wanted")
    scale = max(kernel_width(centres), _LEAST_WIDTH_M)
    total, share = np.zeros((2, y.size, x.size))
    for (cx, cy), value, weight in zip(centres, values, weights, strict=True):
        squared = ((x[np.newaxis] - cx) / scale) ** 2 + ((y[:, np.newaxis] - cy) / scale) ** 2
        near = weight / (1 + squared) ** 2
        total += near * value
        share += near
    # Rounding alone could pass the range by a last digit.
    return np.clip(total / share, min(values), max(values))


def kernel_width(centres: Sequence[tuple[float, float]]) -> float:
    """h of :func:`smooth_surface`; 0 where all centres are one point, and the width decides nothing."""
    points = np.unique(np.asarray(centres, dtype=np.float64), axis=0)
    if len(points) < 2:
        return 0.0
    nearest = []
    for index, point in enumerate(points):
        distances = np.hypot(*(points - point).T)
        distances[index] = np.inf
        nearest.append(distances.min())
    return float(np.median(nearest)) / 2
