"""Folds for cross-validation: random ones, spatial blocks and whole regions.

All rows of one group (the layers of a profile, the samples of one site) lie in one fold. Groups or
blocks are dealt out from the largest to the smallest, each to the fold with the fewest rows so far;
``seed`` decides among equals. Same input and seed give the same folds.
:mod:`cup4soil.methods.knndm` makes folds that match the distances at which a map predicts.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from cup4soil.errors import InvalidInput, InvalidSamples

BLOCKS_PER_FOLD = 5
_SHRINK = 0.8

type Folds = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SpatialFolds:
    """``folds``: (n,), 0..k-1; ``block_size``: side of the square blocks, in the unit of the coordinates.

    ``blocks``: (n,), number of each row's block: what to resample whole when figures get their interval.
    """

    folds: Folds
    block_size: float
    blocks: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RegionFolds:
    """``folds``: (n,), 0..k-1; ``members``: the regions held out together, for each fold."""

    folds: Folds
    members: tuple[tuple[str, ...], ...]


def random_folds(groups: ArrayLike, k: int, seed: int) -> Folds:
    """Fold 0..k-1 of each row, whole groups dealt out at random. ``groups``: (n,), of any sortable type.

    Raises:
        InvalidInput: when k is below 2 or ``groups`` is not one-dimensional.
        InvalidSamples: when there are fewer groups than folds.
    """
    codes = group_codes(groups)
    check_folds(k)
    found = int(codes.max(initial=-1)) + 1
    if found < k:
        raise InvalidSamples(f"{found} groups for {k} folds", f"give at least {k} groups or ask for fewer folds")
    return _dealt(codes, k, seed)[codes]


def spatial_folds(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike, k: int, seed: int, *, block_size: float | None = None
) -> SpatialFolds:
    """Fold of each row by square blocks of space, aligned to the smallest x and y of the groups.

    ``x``, ``y``: (n,) in one projected CRS. A group lies in the block of its mean position. Without
    ``block_size`` blocks shrink from the larger side of the extent, by a fifth each time and rounded to
    two digits, until at least 5 k of them are occupied; they never get smaller than the median distance
    between nearest neighbours, below which neighbours would be split by chance.

    Raises:
        InvalidInput: when shapes do not agree, k is below 2 or the block size is not positive.
        InvalidSamples: when a coordinate is not finite or fewer blocks than folds are occupied.
    """
    codes = group_codes(groups)
    check_folds(k)
    places = group_places(np.asarray(x, np.float64), np.asarray(y, np.float64), codes)
    size = _block_size(places, BLOCKS_PER_FOLD * k) if block_size is None else float(block_size)
    if not (math.isfinite(size) and size > 0.0):
        raise InvalidInput(f"block size {size:g}", "give a length above 0 in the unit of the coordinates")
    blocks = _blocks(places, size)
    found = int(blocks.max()) + 1
    if found < k:
        raise InvalidSamples(
            f"the samples lie in {found} blocks of {size:g} for {k} folds", "ask for fewer folds, or set smaller blocks"
        )
    rows = blocks[codes].astype(np.int64)
    return SpatialFolds(_dealt(rows, k, seed)[rows], size, rows)


def region_folds(regions: ArrayLike, groups: ArrayLike, k: int | None = None, seed: int = 0) -> RegionFolds:
    """Hold out whole ``regions`` (n,), of any sortable type: each on its own, or dealt into ``k`` folds.

    This tells how a model does where it has no samples at all. A group that lies in several regions counts
    to the one of most of its rows (the first in order among equals).

    Raises:
        InvalidInput: when shapes do not agree or k is below 2.
        InvalidSamples: when there are fewer regions than folds, or fewer than two.
    """
    codes, labels = group_codes(groups), np.asarray(regions)
    if labels.shape != codes.shape:
        raise InvalidInput(f"{labels.shape} regions for groups of shape {codes.shape}", "give one region per row")
    names, region = np.unique(labels, return_inverse=True)
    rows = np.zeros((int(codes.max(initial=-1)) + 1, names.size), np.int64)
    np.add.at(rows, (codes, region), 1)
    # Numbered anew: a region may have lost its only rows to that of the rest of their group.
    kept, of_row = np.unique(rows.argmax(axis=1)[codes], return_inverse=True) if codes.size else (region, region)
    wanted = max(kept.size, 2) if k is None else k
    check_folds(wanted)
    if kept.size < wanted:
        raise InvalidSamples(f"{kept.size} regions for {wanted} folds", "ask for fewer folds, or give more regions")
    fold_of = np.arange(wanted) if k is None else _dealt(of_row, k, seed)
    members = tuple(tuple(str(name) for name in names[kept[fold_of == fold]]) for fold in range(wanted))
    return RegionFolds(fold_of[of_row], members)


def group_codes(groups: ArrayLike) -> NDArray[np.intp]:
    """Number of each row's group, 0 for the first in order.

    Raises:
        InvalidInput: when ``groups`` is not one-dimensional.
    """
    labels = np.asarray(groups)
    if labels.ndim != 1:
        raise InvalidInput(f"groups of shape {labels.shape}", "give one group per row")
    codes: NDArray[np.intp] = np.unique(labels, return_inverse=True)[1]
    return codes


def check_folds(k: int) -> None:
    """Refuse fewer than two folds.

    Raises:
        InvalidInput: when ``k`` is below 2.
    """
    if k < 2:
        raise InvalidInput(f"{k} folds", "give at least 2")


def _dealt(codes: NDArray[np.intp], k: int, seed: int) -> Folds:
    """Fold of each code, so that the folds hold about the same number of rows."""
    sizes = np.bincount(codes)
    shuffled = np.random.default_rng(seed).permutation(sizes.size)
    fold_of = np.empty(sizes.size, dtype=np.int64)
    filled = np.zeros(k, dtype=np.int64)
    for code in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        smallest = int(np.argmin(filled))
        fold_of[code] = smallest
        filled[smallest] += sizes[code]
    return fold_of


def group_places(x: NDArray[np.float64], y: NDArray[np.float64], codes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean position of each group: (groups, 2).

    Raises:
        InvalidInput: when shapes do not agree.
        InvalidSamples: when a coordinate is not finite or there are no rows.
    """
    if x.shape != codes.shape or y.shape != codes.shape:
        raise InvalidInput(f"x {x.shape}, y {y.shape} and groups {codes.shape}", "give one of each per row")
    for row in np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))[:1]:
        raise InvalidSamples(f"row {row} has the coordinates {x[row]:g}, {y[row]:g}", "give finite ones")
    if not codes.size:
        raise InvalidSamples("no samples to put into blocks", "give at least one per fold")
    rows = np.bincount(codes)
    return np.column_stack([np.bincount(codes, weights=axis) / rows for axis in (x, y)])


def _block_size(places: NDArray[np.float64], wanted: int) -> float:
    distinct = np.unique(places, axis=0)
    extent = float(np.ptp(distinct, axis=0).max())
    if extent == 0.0:
        raise InvalidSamples("all samples lie at one place", "give samples with their own coordinates")
    nearest = float(np.median(KDTree(distinct).query(distinct, k=2)[0][:, 1]))
    size = _two_digits(extent)
    while _occupied(distinct, size) < wanted and _two_digits(size * _SHRINK) >= nearest:
        size = _two_digits(size * _SHRINK)
    return size


def _two_digits(length: float) -> float:
    return float(f"{length:.1e}")


def _occupied(places: NDArray[np.float64], size: float) -> int:
    return int(_blocks(places, size).max()) + 1


def _blocks(places: NDArray[np.float64], size: float) -> NDArray[np.intp]:
    """Number of each place's block, counted over the occupied blocks only."""
    cells = np.floor((places - places.min(axis=0)) / size)
    numbers: NDArray[np.intp] = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
    return numbers
