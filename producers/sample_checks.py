"""Checks of a table of soil samples, row by row and against each other.

Every check names the rows it excludes with a reason. A row is excluded once, for the first reason found.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyproj
from numpy.typing import NDArray
from odc.geo import CRS

from cup4soil.depths import MAX_DEPTH_CM
from cup4soil.grids import crs_code
from cup4soil.methods.profiles import overlapping
from cup4soil.products import Frozen
from cup4soil.properties import SoilProperty
from producers.coordinates import metres_per_unit
from producers.sample_spec import TargetSpec

REASONS: Mapping[str, str] = {
    "empty": "The row is blank.",
    "ragged": "The row has not one cell for each column.",
    "missing-id": "The row names no profile.",
    "not-a-number": "A cell that should hold a number holds something else.",
    "below-detection": "The target value is below what the laboratory could detect.",
    "missing-target": "The target value is missing.",
    "missing-coordinates": "A coordinate is missing.",
    "missing-depth": "A depth is missing.",
    "missing-feature": "A value that serves as covariate is missing.",
    "coordinates-outside": "The coordinates cannot be in the stated CRS.",
    "negative-depth": "A depth is above the surface.",
    "inverted-depth": "The lower depth is above the upper one.",
    "zero-thickness": "The upper and the lower depth are equal.",
    "depth-too-large": f"A depth is below {MAX_DEPTH_CM:g} cm.",
    "out-of-range": "The value is outside what the property can take in the stated unit.",
    "texture-sum": "Sand, silt and clay do not sum to 100 %.",
    "moved-profile": "One profile has several locations; which one is right is not known.",
    "duplicate": "The row repeats another one.",
    "conflict": "One profile has several values at one depth; which one is right is not known.",
    "overlap": "Two horizons of one profile overlap; which one is right is not known.",
    "partial-coverage": "The horizons cover too little of the depth interval.",
    "no-covariates": "A covariate is missing at the location.",
}

# Where the median of a whole column lies in ordinary soils, in the conventional unit: only for a warning. The upper
# ends of carbon and nitrogen are those of a survey of organic topsoils, well below ten times a mineral soil's median.
_ORDINARY_MEDIANS: Mapping[str, tuple[float, float]] = {
    "soc": (2.0, 100.0),
    "nitrogen": (0.15, 8.0),
    "phh2o": (3.0, 10.0),
    "phcacl2": (3.0, 10.0),
    "clay": (1.5, 85.0),
    "silt": (1.5, 90.0),
    "sand": (1.5, 98.0),
    "bdod": (0.15, 2.2),
    "cec": (1.0, 100.0),
    "som": (3.4, 170.0),
    "ec": (0.02, 6.0),
}
_SAME_PLACE_M = 1.0
_SAME_PLACE_DEGREES = 1e-5
# Samples just outside the area of use of a CRS (the next UTM zone, say) are common and harmless.
_DOMAIN_MARGIN_DEGREES = 6.0


class Exclusion(Frozen):
    """A row that is not used. ``row`` counts as a spreadsheet does, the header being row 1."""

    row: int
    code: str
    message: str


@dataclass
class Draft:
    """Rows under examination; ``depths`` of shape (n, 2) in cm or None, ``values`` (n, t) in the units stated.

    ``halved`` counts the values put at half the limit of detection.
    """

    rows: NDArray[np.int64]
    ids: Sequence[str]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    depths: NDArray[np.float64] | None
    values: NDArray[np.float64]
    features: NDArray[np.float64]
    exclusions: list[Exclusion] = field(default_factory=list)
    halved: int = 0

    def __post_init__(self) -> None:
        self.kept = np.ones(self.rows.size, dtype=bool)

    def exclude(self, index: int, code: str, message: str) -> None:
        """Exclude a row unless it is already."""
        if code not in REASONS:
            raise ValueError(f"unknown reason {code}")
        if self.kept[index]:
            self.kept[index] = False
            self.exclusions.append(Exclusion(row=int(self.rows[index]), code=code, message=message))

    def indices(self) -> list[int]:
        """Rows not excluded so far."""
        return [int(i) for i in np.flatnonzero(self.kept)]

    def row_list(self, indices: Iterable[int]) -> str:
        """``rows 3, 7 and 9`` for a message."""
        rows = sorted(int(self.rows[i]) for i in indices)
        return f"row {rows[0]}" if len(rows) == 1 else f"rows {', '.join(map(str, rows[:-1]))} and {rows[-1]}"


def check_depths(draft: Draft) -> None:
    """Horizons must have 0 <= upper < lower <= 1000 cm."""
    if draft.depths is None:
        return
    for i in draft.indices():
        upper, lower = draft.depths[i]
        said = f"horizon {upper:g}-{lower:g} cm"
        if min(upper, lower) < 0:
            draft.exclude(i, "negative-depth", f"{said} begins above the surface")
        elif upper == lower:
            draft.exclude(i, "zero-thickness", f"{said} has no thickness")
        elif upper > lower:
            draft.exclude(i, "inverted-depth", f"{said} is upside down")
        elif lower > MAX_DEPTH_CM:
            draft.exclude(i, "depth-too-large", f"{said} is deeper than {MAX_DEPTH_CM:g} cm; depths are in cm")


def check_range(draft: Draft, targets: Sequence[TargetSpec]) -> None:
    """Values must be possible for each property in the stated unit; names the unit in which they would be."""
    for target, values in zip(targets, draft.values.T, strict=True):
        prop, unit = target.property, target.unit
        possible = prop.in_range(prop.to_unit(values, unit))
        low, high = prop.valid_range
        for i in draft.indices():
            if not possible[i]:
                fitting = _fitting_units(prop, float(values[i]))
                hint = f"; it would be possible in {' or '.join(fitting)}" if fitting else ""
                said = f"{target.column} of {values[i]:g} {unit} is outside {low:g} to {high:g} {prop.unit}"
                draft.exclude(i, "out-of-range", f"{said}{hint}")


def _fitting_units(prop: SoilProperty, value: float) -> list[str]:
    low, high = prop.valid_range
    return [unit for unit, factor in prop.conversions.items() if low < value * factor <= high]


def unit_warning(values: NDArray[np.float64], prop: SoilProperty, unit: str) -> str | None:
    """A warning when the values, of which none may have been excluded yet, look as if they were in another unit."""
    values = values[np.isfinite(values)]
    return _median_warning(values, prop, unit) or _range_warning(values, prop, unit)


def _range_warning(values: NDArray[np.float64], prop: SoilProperty, unit: str) -> str | None:
    """When values are impossible in ``unit`` and most of them possible in one other unit. A single one is a slip."""
    outside = values[~prop.in_range(prop.to_unit(values, unit))]
    fitting = Counter(name for value in outside for name in _fitting_units(prop, float(value)))
    most = max(fitting.values(), default=0)
    if outside.size < 2 or 2 * most <= outside.size:
        return None
    units = " or ".join(name for name, count in fitting.items() if count == most)
    return (
        f"{outside.size} of {values.size} values are impossible for {prop.title.lower()} in {unit}, and would be"
        f" possible in {units}: if all are in another unit, the others are wrong too. Check the unit."
    )


def _median_warning(values: NDArray[np.float64], prop: SoilProperty, unit: str) -> str | None:
    """When the median of all values is extraordinary in ``unit`` and ordinary in another."""
    ordinary = _ORDINARY_MEDIANS.get(prop.code)
    if ordinary is None or values.size == 0:
        return None
    median = float(np.median(values))
    stated = float(prop.to_unit(np.array([median]), unit)[0])
    if ordinary[0] <= stated <= ordinary[1]:
        return None
    others = [name for name, factor in prop.conversions.items() if ordinary[0] <= median * factor <= ordinary[1]]
    if not others:
        return None
    return (
        f"The median of {median:g} {unit} is unusual for {prop.title.lower()}: the values look as if they were in "
        f"{' or '.join(others)}. Check the unit."
    )


def check_texture(draft: Draft, fractions: NDArray[np.float64], tolerance: float) -> int:
    """Sand, silt and clay, (n, 3) in %, must sum to 100 within ``tolerance``; returns how many rows lack a fraction."""
    sums = fractions.sum(axis=1)
    unchecked = 0
    for i in draft.indices():
        if math.isnan(sums[i]):
            unchecked += 1
        elif abs(sums[i] - 100.0) > tolerance:
            draft.exclude(i, "texture-sum", f"sand, silt and clay sum to {sums[i]:.4g} %, not 100 within {tolerance:g}")
    return unchecked


def check_coordinates(draft: Draft, crs: CRS) -> None:
    """Coordinates must lie in or near the area of use of their CRS."""
    outside = _outside(draft.x, draft.y, crs)
    swapped = outside & ~_outside(draft.y, draft.x, crs)
    degrees = (np.abs(draft.x) <= 180) & (np.abs(draft.y) <= 90) & (not crs.geographic)
    code = crs_code(crs)
    for i in draft.indices():
        said = f"x {draft.x[i]:.10g}, y {draft.y[i]:.10g}"
        if degrees[i]:
            draft.exclude(i, "coordinates-outside", f"{said} look like degrees, but {code} is not in degrees")
        elif outside[i]:
            hint = "; x and y may be swapped" if swapped[i] else ""
            draft.exclude(i, "coordinates-outside", f"{said} lie outside the area of {code}{hint}")


def _outside(x: NDArray[np.float64], y: NDArray[np.float64], crs: CRS) -> NDArray[np.bool_]:
    if crs.geographic:
        lon, lat = x, y
    else:
        lon, lat = pyproj.Transformer.from_crs(crs_code(crs), "EPSG:4326", always_xy=True).transform(x, y)
    possible = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90) & (np.abs(lon) <= 180)
    area = crs.proj.area_of_use
    if area is None:
        return ~possible
    margin = _DOMAIN_MARGIN_DEGREES
    east = area.east if area.east >= area.west else area.east + 360
    turned = np.where(lon < area.west - margin, lon + 360, lon)
    near = (turned >= area.west - margin) & (turned <= east + margin)
    near &= (lat >= area.south - margin) & (lat <= area.north + margin)
    return np.asarray(~(possible & near), dtype=np.bool_)


def check_locations(draft: Draft, crs: CRS) -> None:
    """One profile must lie at one place, within 1 m; when it does not, all its rows are excluded."""
    to_metres = 1.0 if crs.geographic else metres_per_unit(crs)
    tolerance = _SAME_PLACE_DEGREES if crs.geographic else _SAME_PLACE_M
    for name, members in _groups(draft, lambda i: draft.ids[i]).items():
        spread = to_metres * max(float(np.ptp(draft.x[members])), float(np.ptp(draft.y[members])))
        if spread > tolerance:
            apart = f"{spread:.3g} {'degrees' if crs.geographic else 'm'} apart"
            for i in members:
                draft.exclude(i, "moved-profile", f"profile {name} has locations {apart} in {draft.row_list(members)}")


def check_repetition(draft: Draft, named: bool) -> int:
    """Exclude repeated rows, and values that contradict each other at one depth of one profile.

    Without profile names (``named`` False), differing values at one place are kept: they may be replicates.
    With them the name alone tells what belongs together, as coordinates of one profile may differ by a little.
    Returns how many rows are such replicates.
    """
    replicates = 0
    for members in _groups(draft, lambda i: (*_identity(draft, i, named), *_depth(draft, i))).values():
        distinct: dict[tuple[float, ...], int] = {}
        for i in members:
            first = distinct.setdefault((*draft.values[i], *draft.features[i]), i)
            if first != i:
                draft.exclude(i, "duplicate", f"repeats row {draft.rows[first]}")
        if len(distinct) < 2:
            continue
        if not named:
            replicates += len(distinct)
            continue
        for i in distinct.values():
            rows = draft.row_list(distinct.values())
            draft.exclude(i, "conflict", f"profile {draft.ids[i]} has several values at one depth in {rows}")
    return replicates


def check_overlaps(draft: Draft) -> None:
    """Horizons of one profile must not overlap; both of a pair are excluded."""
    if draft.depths is None:
        return
    kept = draft.indices()
    names = [draft.ids[i] for i in kept]
    for first, second in overlapping(names, draft.depths[kept, 0], draft.depths[kept, 1]):
        a, b = kept[first], kept[second]
        for i, other in ((a, b), (b, a)):
            mine, theirs = (f"{draft.depths[k, 0]:g}-{draft.depths[k, 1]:g} cm" for k in (i, other))
            draft.exclude(
                i, "overlap", f"horizon {mine} of profile {draft.ids[i]} overlaps {theirs} in row {draft.rows[other]}"
            )


def counted(exclusions: Iterable[Exclusion]) -> dict[str, int]:
    """How many rows are excluded for each reason, in the order of :data:`REASONS`."""
    counts = Counter(each.code for each in exclusions)
    return {code: counts[code] for code in REASONS if counts[code]}


def _identity(draft: Draft, index: int, named: bool) -> tuple[str | float, ...]:
    return (draft.ids[index],) if named else (float(draft.x[index]), float(draft.y[index]))


def _depth(draft: Draft, index: int) -> tuple[float, ...]:
    return () if draft.depths is None else (float(draft.depths[index, 0]), float(draft.depths[index, 1]))


def _groups[K](draft: Draft, key: Callable[[int], K]) -> dict[K, list[int]]:
    groups: dict[K, list[int]] = defaultdict(list)
    for i in draft.indices():
        groups[key(i)].append(i)
    return {name: members for name, members in groups.items() if len(members) > 1}
