"""Folds that test at the distances at which a map predicts: k-fold nearest neighbour distance matching.

Linnenbrink, Milà, Ludwig & Meyer (2024), Geosci. Model Dev. 17, 5897; reference: knndm of the R package CAST.
Three distributions of distances to the nearest training sample are compared: from the prediction points
(Gij), from each sample to the others (Gj), and from each sample to those of other folds (Gj*). Where samples
are clustered, random folds test much closer than the map predicts. The samples are then clustered (Ward), the
clusters merged into k folds, for some hundred numbers of clusters, and the folds are taken whose Gj* is
nearest to Gij in the sense of Wasserstein, the integral of the absolute difference of the two. Where samples
are not clustered (Kolmogorov-Smirnov, one-sided, p >= 0.05) random folds are right.

Beyond the paper: groups stay whole (one place each), random folds compete with the clustered ones in any
case, and above 4000 places Ward works on the centres of small cells of neighbours.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial import KDTree
from scipy.stats import ks_2samp, wasserstein_distance

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.folds import Folds, check_folds, group_codes, group_places, random_folds

CANDIDATES = 100
LARGEST_SHARE = 0.5
_SIGNIFICANCE = 0.05
_MOST_LEAVES = 4000
_NEIGHBOURS = 16

type _Floats = NDArray[np.float64]
type _Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class KnndmFolds:
    """``folds``: (n,), 0..k-1, and how well they match.

    ``method``: "random" where random folds were as near; ``clusters``: the number of clusters that were
    merged into the folds, 0 then. ``wasserstein`` and ``random_wasserstein``: distance between the
    distributions of prediction and test, for these folds and for random ones, in the unit of the
    coordinates. ``of_predictions``, ``of_samples``, ``of_folds``: the distances behind Gij, Gj and Gj*.
    """

    folds: Folds
    method: Literal["random", "clustered"]
    clusters: int
    wasserstein: float
    random_wasserstein: float
    of_predictions: _Floats = field(repr=False)
    of_samples: _Floats = field(repr=False)
    of_folds: _Floats = field(repr=False)


def knndm_folds(
    samples: ArrayLike, predictions: ArrayLike, groups: ArrayLike, k: int, seed: int, *, candidates: int = CANDIDATES
) -> KnndmFolds:
    """Folds for ``samples`` (n, 2) of which the map predicts at ``predictions`` (m, 2), in one projected CRS.

    ``groups``: (n,), rows that stay together. No fold holds more than half of the groups. Some thousand
    prediction points spread over the map are enough.

    Raises:
        InvalidInput: when shapes do not agree, or k or candidates are too few.
        InvalidSamples: when a coordinate is not finite, or there are fewer than k + 2 groups.
    """
    codes, at, targets = group_codes(groups), _points(samples, "samples"), _points(predictions, "predictions")
    check_folds(k)
    if candidates < 1:
        raise InvalidInput(f"{candidates} candidates", "give at least 1")
    if at.shape[0] != codes.size:
        raise InvalidInput(f"{at.shape[0]} samples in {codes.size} groups", "give one group per row")
    places = group_places(at[:, 0], at[:, 1], codes)
    if places.shape[0] < k + 2:
        raise InvalidSamples(
            f"{places.shape[0]} groups for {k} folds", f"give at least {k + 2}, or ask for fewer folds"
        )
    match = _Match(places, targets)
    dealt = random_folds(np.arange(places.shape[0]), k, seed)
    by_chance, best = match.wasserstein(dealt), (match.wasserstein(dealt), 0, dealt)
    if match.clustered:
        for clusters, folds in _clustered(places, k, candidates):
            if np.bincount(folds).max() <= LARGEST_SHARE * folds.size:
                best = min(best, (match.wasserstein(folds), clusters, folds), key=lambda found: found[0])
    w, clusters, folds = best
    return KnndmFolds(
        folds=folds[codes],
        method="clustered" if clusters else "random",
        clusters=clusters,
        wasserstein=w,
        random_wasserstein=by_chance,
        of_predictions=match.of_predictions,
        of_samples=match.of_samples,
        of_folds=match.between(folds),
    )


class _Match:
    """Distances of places and prediction points, and how far folds are from matching them."""

    def __init__(self, places: _Floats, targets: _Floats) -> None:
        self._places = places
        tree = KDTree(places)
        self.of_predictions: _Floats = np.sort(tree.query(targets)[0])
        near = min(_NEIGHBOURS + 1, places.shape[0])
        # Of places at one point any may come first, so that a row's own number is looked for among the neighbours.
        self._distance, self._neighbour = tree.query(places, k=near)
        others = np.where(self._neighbour == np.arange(places.shape[0])[:, None], np.inf, self._distance)
        self.of_samples: _Floats = others.min(axis=1)

    @property
    def clustered(self) -> bool:
        """Whether samples lie closer to each other than the prediction points to them."""
        test = ks_2samp(self.of_samples, self.of_predictions, alternative="greater", method="asymp")
        return bool(test.pvalue < _SIGNIFICANCE)

    def wasserstein(self, folds: Folds) -> float:
        return float(wasserstein_distance(self.between(folds), self.of_predictions))

    def between(self, folds: Folds) -> _Floats:
        """Distance of each place to the nearest of another fold, (places,)."""
        other = folds[self._neighbour] != folds[:, None]
        # Neighbours come by distance, so the first of another fold is the nearest.
        first = other.argmax(axis=1)
        found: _Floats = np.where(other.any(axis=1), self._distance[np.arange(folds.size), first], np.inf)
        for fold in np.unique(folds[np.isinf(found)]):
            open_rows = np.isinf(found) & (folds == fold)
            found[open_rows] = KDTree(self._places[folds != fold]).query(self._places[open_rows])[0]
        return found


def _clustered(places: _Floats, k: int, candidates: int) -> "list[tuple[int, Folds]]":
    """Folds of each number of clusters tried, with that number."""
    leaf_of = _cells(places, _MOST_LEAVES)
    sizes = np.bincount(leaf_of)
    centres = np.column_stack([np.bincount(leaf_of, weights=axis) / sizes for axis in places.T])
    # Few clusters are tried more densely, as CAST does.
    grid = np.exp(np.linspace(np.log(k), np.log(centres.shape[0] - 2), candidates))
    numbers = np.unique(np.rint(grid).astype(np.int64))
    merged = cut_tree(linkage(centres, method="ward"), n_clusters=numbers.tolist())
    along = _first_component(places)
    return [(int(number), _merged(column[leaf_of], along, k)) for number, column in zip(numbers, merged.T, strict=True)]


def _merged(cluster: _Ints, along: _Floats, k: int) -> Folds:
    """Clusters as k folds: large ones on their own, the rest dealt in turn in the order ``along`` their centres."""
    sizes = np.bincount(cluster)
    order = np.argsort(np.bincount(cluster, weights=along) / sizes, kind="stable")
    large = order[sizes[order] >= cluster.size / k]
    small = order[sizes[order] < cluster.size / k]
    fold_of = np.empty(sizes.size, np.int64)
    fold_of[large] = np.arange(large.size)
    if small.size:
        fold_of[small] = large.size + np.arange(small.size) % (k - large.size)
    return fold_of[cluster]


def _first_component(places: _Floats) -> _Floats:
    """Position of each place along the main axis of all, (places,)."""
    centred = places - places.mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    # Its sign is arbitrary, and would decide the order of the clusters.
    along: _Floats = centred @ (axis * np.sign(axis[np.argmax(np.abs(axis))]))
    return along


def _cells(places: _Floats, most: int) -> _Ints:
    """Number of each place's cell, of at most ``most``: halved at the median of the longer side until small."""
    size = -(-places.shape[0] // most)
    cell = np.empty(places.shape[0], np.int64)
    count, parts = 0, [np.arange(places.shape[0])]
    while parts:
        rows = parts.pop()
        if rows.size <= size:
            cell[rows] = count
            count += 1
            continue
        axis = int(np.argmax(np.ptp(places[rows], axis=0)))
        ordered = rows[np.argsort(places[rows, axis], kind="stable")]
        # A multiple of the size on the left keeps the number of cells as small as can be.
        half = size * max(1, rows.size // size // 2)
        parts += [ordered[half:], ordered[:half]]
    return cell


def _points(values: ArrayLike, name: str) -> _Floats:
    points = np.asarray(values, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not points.shape[0]:
        raise InvalidInput(f"{name} of shape {points.shape}", "give a row of x and y for each")
    if not np.isfinite(points).all():
        row = int(np.argmin(np.isfinite(points).all(axis=1)))
        raise InvalidSamples(f"row {row} of the {name} has the coordinates {points[row].tolist()}", "give finite ones")
    return points
