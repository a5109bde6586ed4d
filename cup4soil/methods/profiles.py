"""From soil horizons to one value for a depth interval.

By default the value of an interval is the thickness-weighted mean of the layers that overlap it. It has nothing to
tune and cannot leave the range of the measured values. For a concentration (g/kg, %) it keeps the mass of
what was measured only where the layers have the same bulk density and share of fine earth; where a light
topsoil lies on a dense subsoil it gives the topsoil more weight than its mass has.

The equal-area quadratic spline (:mod:`cup4soil.methods.spline`) draws a smooth curve through the same means: better
where a thick horizon is cut and the property changes gradually with depth, as carbon does. But it needs a smoothing
parameter, overshoots where horizons differ sharply (below zero for organic carbon under a peaty topsoil, where it is
cut at the limits of the property), and has nothing to add for a profile of one layer, as topsoil surveys have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.spline import SMOOTHING, EqualAreaSpline

OVERLAP_TOLERANCE_CM = 0.01
_ROUNDING = 1e-9

type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Harmonised:
    """Profiles on one depth interval, in the order in which their ids first appear.

    ``values``: (m, k), in the unit of the input; ``coverage``: (m,), share of the interval's thickness
    that the profile's layers cover, 0..1; ``rejected``: the same share for each profile left out; ``cut``: the
    profiles of which the spline left the limits.
    """

    ids: tuple[str, ...]
    values: _Floats
    coverage: _Floats
    rejected: Mapping[str, float]
    cut: tuple[str, ...] = ()


def harmonise(
    ids: Sequence[str],
    upper_cm: ArrayLike,
    lower_cm: ArrayLike,
    values: ArrayLike,
    depth: Depth,
    *,
    minimum_coverage: float = 0.5,
    method: Literal["weighted", "spline"] = "weighted",
    smoothing: float = SMOOTHING,
    limits: ArrayLike | None = None,
) -> Harmonised:
    """The mean of each profile over ``depth``: of its layers weighted by the thickness inside it, or of its spline.

    One row per layer: ``ids``, ``upper_cm`` and ``lower_cm`` (n,), ``values`` (n, k). A layer with a
    missing value (NaN) in any column counts as not there, so that all k values of a profile (the
    fractions of a texture, say) stand on the same layers. Where layers cover only part of the interval,
    their mean stands for the whole; profiles covered by less than ``minimum_coverage`` are rejected.

    The spline makes use of the layers outside the interval too, and fills gaps between layers; its means are cut at
    ``limits``, (k, 2), the lowest and highest value possible. ``smoothing`` is its parameter, in the unit of depth.

    Raises:
        InvalidInput: when shapes do not agree, ``minimum_coverage`` is not in (0, 1] or ``smoothing`` is negative.
        InvalidSamples: when a depth is missing, negative or inverted, a value is infinite, or layers
            of one profile overlap by more than 0.01 cm.
    """
    upper, lower, table = _checked(ids, upper_cm, lower_cm, values)
    if not 0.0 < minimum_coverage <= 1.0:
        raise InvalidInput(f"minimum coverage {minimum_coverage:g}", "give a share above 0 and at most 1")
    names, codes = _profiles(ids)
    inside = np.minimum(lower, depth.lower_cm) - np.maximum(upper, depth.upper_cm)
    thickness = np.where(np.isnan(table).any(axis=1), 0.0, np.maximum(inside, 0.0))
    covered = np.bincount(codes, weights=thickness, minlength=len(names))
    coverage = np.minimum(covered / depth.thickness_cm, 1.0)
    kept = coverage >= minimum_coverage - _ROUNDING
    if method == "spline":
        means = _spline_means(upper, lower, table, codes, kept, depth, smoothing)
    else:
        means = _weighted_means(table, thickness, codes, covered)
    means, outside = _within(means, limits)
    cut = tuple(names[i] for i in np.flatnonzero(kept & outside))
    rejected = {names[i]: float(coverage[i]) for i in np.flatnonzero(~kept)}
    accepted = tuple(names[i] for i in np.flatnonzero(kept))
    return Harmonised(accepted, means[kept], coverage[kept], MappingProxyType(rejected), cut)


def overlapping(ids: Sequence[str], upper_cm: ArrayLike, lower_cm: ArrayLike) -> list[tuple[int, int]]:
    """Pairs of row indices of one profile whose layers overlap by more than 0.01 cm.

    Each layer that reaches up into another is named once, after the layer above it that reaches deepest.
    Rows with a missing depth are passed over.

    Raises:
        InvalidInput: when the lengths do not agree.
    """
    upper, lower = np.asarray(upper_cm, np.float64), np.asarray(lower_cm, np.float64)
    _check_lengths(ids, upper, lower)
    codes = _profiles(ids)[1]
    order = np.lexsort((lower, upper, codes))
    pairs: list[tuple[int, int]] = []
    deepest = -1
    for row in (int(i) for i in order if not np.isnan(upper[i] + lower[i])):
        if deepest >= 0 and codes[row] != codes[deepest]:
            deepest = -1
        if deepest >= 0 and min(lower[deepest], lower[row]) - upper[row] > OVERLAP_TOLERANCE_CM:
            pairs.append((deepest, row))
        if deepest < 0 or lower[row] > lower[deepest]:
            deepest = row
    return pairs


def _profiles(ids: Sequence[str]) -> tuple[list[str], NDArray[np.intp]]:
    """Distinct ids in order of appearance, and for each row the position of its id among them."""
    position: dict[str, int] = {}
    codes = np.array([position.setdefault(name, len(position)) for name in ids], dtype=np.intp)
    return list(position), codes


def _weighted_means(table: _Floats, thickness: _Floats, codes: NDArray[np.intp], covered: _Floats) -> _Floats:
    """Per profile (rows) and column; NaN where nothing of the interval is covered."""
    known = np.where(thickness[:, None] > 0.0, table, 0.0)
    sums = [np.bincount(codes, weights=thickness * column, minlength=covered.size) for column in known.T]
    total = np.column_stack(sums) if sums else np.empty((covered.size, 0))
    mean: _Floats = total / np.where(covered > 0.0, covered, np.nan)[:, None]
    return mean


def _spline_means(
    upper: _Floats,
    lower: _Floats,
    table: _Floats,
    codes: NDArray[np.intp],
    kept: NDArray[np.bool_],
    depth: Depth,
    smoothing: float,
) -> _Floats:
    """Per profile (rows) and column; NaN for profiles that are not kept."""
    means = np.full((kept.size, table.shape[1]), np.nan)
    known = np.flatnonzero(~np.isnan(table).any(axis=1))
    order = known[np.lexsort((upper[known], codes[known]))]
    starts = np.searchsorted(codes[order], np.arange(kept.size + 1))
    for profile in np.flatnonzero(kept):
        rows = order[starts[profile] : starts[profile + 1]]
        spline = EqualAreaSpline.fit(upper[rows], lower[rows], table[rows], smoothing)
        means[profile] = spline.mean(depth.upper_cm, depth.lower_cm)
    return means


def _within(means: _Floats, limits: ArrayLike | None) -> tuple[_Floats, NDArray[np.bool_]]:
    """The means cut at the limits, and which profiles were outside them by more than rounding."""
    if limits is None:
        return means, np.zeros(len(means), dtype=bool)
    bounds = np.asarray(limits, np.float64)
    if bounds.shape != (means.shape[1], 2):
        raise InvalidInput(f"limits of shape {bounds.shape} for {means.shape[1]} columns", "give two per column")
    inside = np.clip(means, bounds[:, 0], bounds[:, 1])
    return inside, np.asarray((np.abs(means - inside) > _ROUNDING).any(axis=1), dtype=np.bool_)


def _check_lengths(ids: Sequence[str], upper: _Floats, lower: _Floats) -> None:
    if upper.shape != (len(ids),) or lower.shape != (len(ids),):
        problem = f"{len(ids)} profile ids, upper depths {upper.shape}, lower depths {lower.shape}"
        raise InvalidInput(problem, "give one of each per layer")


def _checked(
    ids: Sequence[str], upper_cm: ArrayLike, lower_cm: ArrayLike, values: ArrayLike
) -> tuple[_Floats, _Floats, _Floats]:
    upper, lower = np.asarray(upper_cm, np.float64), np.asarray(lower_cm, np.float64)
    table = np.asarray(values, np.float64)
    _check_lengths(ids, upper, lower)
    if table.ndim != 2 or table.shape[0] != len(ids):
        problem = f"values of shape {table.shape} for {len(ids)} layers"
        raise InvalidInput(problem, "give one row per layer, one column per value")
    for row in np.flatnonzero(~((upper >= 0.0) & (lower > upper) & np.isfinite(lower)))[:1]:
        problem = f"layer {row} of profile {ids[row]!r} reaches from {upper[row]:g} to {lower[row]:g} cm"
        raise InvalidSamples(problem, "give 0 <= upper < lower")
    for row in np.flatnonzero(np.isinf(table).any(axis=1))[:1]:
        raise InvalidSamples(f"layer {row} of profile {ids[row]!r} has an infinite value", "give finite numbers")
    pairs = overlapping(ids, upper, lower)
    if pairs:
        above, below = pairs[0]
        raise InvalidSamples(
            f"layers {above} and {below} of profile {ids[below]!r} overlap: {upper[above]:g}-{lower[above]:g}"
            f" and {upper[below]:g}-{lower[below]:g} cm ({len(pairs)} such pairs in all)",
            "give layers that do not overlap",
        )
    return upper, lower, table
