"""Whether a map's pattern follows the land: relief, parent material and land use, and no artificial borders.

Accuracy figures say how far a map is from samples, not whether it looks like a landscape. Three checks do:
the mean by class (the catena, a soil map's units), how much of the map's variance the classes explain, and
whether the map steps where nothing but a tile or a field begins. All take arrays; missing is NaN, or a
negative class.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput

SLOPE_POSITIONS = ("valley", "lower slope", "flat", "middle slope", "upper slope", "ridge")
_FLAT_DEGREES = 5.0
_LEAST_SHIFT = 0.1

type _Floats = NDArray[np.floating]
type _Ints = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class ClassMean:
    """Count, mean and standard deviation (n - 1) of the values of one class; NaN where there are too few."""

    code: int
    n: int
    mean: float
    sd: float

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, for values that are independent, as samples may be and cells are not."""
        return self.sd / float(np.sqrt(self.n)) if self.n else float("nan")


@dataclass(frozen=True, slots=True)
class Explained:
    """Share of the variance that lies between classes (eta squared), and what classes of that shape explain by chance.

    ``chance`` is the mean share under ``shifts`` shifts of the classes against the values, ``p`` the share of
    shifts, the unshifted one counted, that explain at least as much. Both are NaN without shifts.
    """

    share: float
    chance: float
    p: float
    shifts: int


def slope_positions(tpi: _Floats, slope: _Floats) -> NDArray[np.int64]:
    """Position of each cell on the slope: 0 valley to 5 ridge, see :data:`SLOPE_POSITIONS`; -1 where missing.

    By the topographic position index in units of its standard deviation: to -1 valley, to -0.5 lower slope, to 0.5 flat
    or, above 5 degrees, middle slope, to 1 upper slope, above ridge (Weiss, A. 2001: Topographic position and
    landforms analysis, ESRI User Conference, San Diego). ``tpi`` in any unit, ``slope`` in degrees, of one shape.
    """
    if tpi.shape != slope.shape:
        raise InvalidInput(f"tpi of shape {tpi.shape}, slope of {slope.shape}", "give layers of one grid")
    known = np.isfinite(tpi) & np.isfinite(slope)
    spread = float(np.std(tpi[known])) if known.any() else 0.0
    scaled = np.where(known, tpi, 0.0) / spread if spread > 0 else np.zeros(tpi.shape)
    found = np.select([scaled <= -1.0, scaled <= -0.5, scaled <= 0.5, scaled <= 1.0], [0, 1, 2, 4], 5)
    steep = (found == 2) & (np.where(known, slope, 0.0) > _FLAT_DEGREES)
    return np.where(known, np.where(steep, 3, found), -1).astype(np.int64)


def quantile_edges(values: _Floats, classes: int = 10) -> NDArray[np.float64]:
    """Inner edges of ``classes`` classes of about equally many values, ascending and distinct."""
    known = values[np.isfinite(values)]
    if classes < 2 or not known.size:
        raise InvalidInput(f"{classes} classes of {known.size} values", "give at least two classes and one value")
    # Edges that are values leave no class empty.
    inner = np.quantile(known, np.arange(1, classes) / classes, method="higher")
    return np.unique(inner[inner > known.min()])


def class_of(values: _Floats, edges: _Floats) -> NDArray[np.int64]:
    """Class of each value between the inner ``edges``, an edge to the class above it; -1 where missing."""
    return np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), -1)


def class_means(values: _Floats, classes: _Ints) -> tuple[ClassMean, ...]:
    """Mean and spread by class in the order of the codes; missing values and negative classes are left out.

    Raises:
        InvalidInput: when shapes differ.
    """
    y, codes, names = _coded(values, classes)
    counts = np.bincount(codes, minlength=names.size)
    means = np.bincount(codes, weights=y, minlength=names.size) / counts
    squares = np.bincount(codes, weights=(y - means[codes]) ** 2, minlength=names.size)
    spread = np.sqrt(np.divide(squares, counts - 1, out=np.full(names.size, np.nan), where=counts > 1))
    return tuple(
        ClassMean(int(name), int(n), float(mean), float(sd))
        for name, n, mean, sd in zip(names, counts, means, spread, strict=True)
    )


def explained(values: _Floats, classes: _Ints, *, shifts: int = 0, seed: int = 0) -> Explained:
    """How much of the variance of ``values`` lies between ``classes``: 1 - SS_within / SS_total.

    Neighbouring cells are alike, and so are classes made of patches: some share is explained by chance. With
    ``shifts`` and arrays of two dimensions, the classes are moved over the values as on a torus by random steps
    of at least a tenth of the extent, which keeps both patterns and breaks what joins them (Harms et al. 2001,
    Journal of Ecology 89, 947). NaN where all values are equal or none is left.

    Raises:
        InvalidInput: when shapes differ, or shifts are asked of what is no grid.
    """
    share = _share_between(values, classes)
    if not shifts:
        return Explained(share, float("nan"), float("nan"), 0)
    if values.ndim != 2:
        raise InvalidInput(f"shifts of an array of {values.ndim} dimensions", "give a grid of rows and columns")
    random = np.random.default_rng(seed)
    drawn = np.array([_share_between(values, moved) for moved in _shifted(classes, shifts, random)])
    known = drawn[np.isfinite(drawn)]
    if not known.size or np.isnan(share):
        return Explained(share, float("nan"), float("nan"), shifts)
    # Equal to rounding is as much.
    at_least = int(np.sum(known >= share - 1e-12))
    return Explained(share, float(known.mean()), (1 + at_least) / (1 + known.size), shifts)


def _shifted(classes: _Ints, shifts: int, random: np.random.Generator) -> Iterator[_Ints]:
    rows, cols = classes.shape
    for _ in range(shifts):
        steps = [
            int(random.integers(_least(size), size - _least(size) + 1)) if size > 1 else 0 for size in (rows, cols)
        ]
        yield np.roll(classes, steps, axis=(0, 1))


def _least(size: int) -> int:
    return min(size // 2, max(1, int(_LEAST_SHIFT * size)))


def _share_between(values: _Floats, classes: _Ints) -> float:
    y, codes, names = _coded(values, classes)
    if not y.size or np.ptp(y) == 0:
        return float("nan")
    # From a value near all others, sums of squares keep their digits.
    centred = y - y.mean()
    counts = np.bincount(codes, minlength=names.size)
    sums = np.bincount(codes, weights=centred, minlength=names.size)
    return float(np.sum(sums**2 / counts) / np.sum(centred**2))


def _coded(values: _Floats, classes: _Ints) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.int64]]:
    """Known values, the position of their class, and the codes of the classes that occur."""
    if values.shape != classes.shape:
        raise InvalidInput(f"values of shape {values.shape}, classes of {classes.shape}", "give one class per value")
    known = np.isfinite(values) & (classes >= 0)
    names, codes = np.unique(classes[known].astype(np.int64), return_inverse=True)
    return values[known].astype(np.float64), codes, names
