"""The pattern of a map against layers of relief and of classes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from cup4soil.errors import InvalidInput
from cup4soil.grids import crs_of
from cup4soil.methods.landscape import (
    SLOPE_POSITIONS,
    ClassMean,
    Explained,
    class_means,
    class_of,
    explained,
    quantile_edges,
    slope_positions,
)
from cup4soil.rasters.covariates import CovariateStack
from producers.map_walk import Walk, codes_of
from producers.samples import SampleTable

_SHIFTS = 99
_MOST_CLASSES = 60
_RANKED = 20_000
_DEGREES = ("deg", "degree", "degrees", "°")
# What a slope of 45 degrees is in units of rise over run.
_GRADIENTS = {"%": 100.0, "percent": 100.0, "m/m": 1.0}

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OwnSamples:
    """Samples to hold a map against: their table, x and y in the map's CRS, and the checksum of their file."""

    table: SampleTable
    places: tuple[_Floats, _Floats]
    checksum: str


@dataclass(frozen=True)
class Profile:
    """The map, and the samples where given, by the classes of one layer.

    ``kind``: "relief" for tenths of a continuous layer, "position" for places on the slope, "classes" for a raster of
    classes. ``names`` by the classes' codes; ``centres`` are the medians of tenths, empty for other kinds. ``unit`` of
    the layer, None where unknown. ``explained_of_samples`` is NaN without samples; ``spearman`` is the rank
    correlation of map and layer, NaN for classes.
    """

    layer: str
    kind: str
    unit: str | None
    names: Mapping[int, str]
    centres: tuple[float, ...]
    cells: tuple[ClassMean, ...]
    samples: tuple[ClassMean, ...]
    explained: Explained
    explained_of_samples: float
    spearman: float


def find_profiles(
    walk: Walk, relief: CovariateStack | None, classes: CovariateStack | None, own: OwnSamples | None, seed: int
) -> Iterator[Profile]:
    """A profile for each layer and, where there are a position index and a slope, one for places on the slope.

    Raises:
        InvalidInput: when a layer of classes has too many of them.
    """
    if relief is not None:
        yield from _relief(walk, relief, own, seed)
    if classes is not None:
        at = None if own is None else classes.at_points(*own.places, crs_of(walk.geobox))
        for index, name in enumerate(classes.names):
            codes = codes_of(walk.classes[index])
            names = {int(code): f"{code}" for code in np.unique(codes) if code >= 0}
            if len(names) > _MOST_CLASSES:
                raise InvalidInput(
                    f"{name} has {len(names)} classes", f"give a raster of at most {_MOST_CLASSES} classes"
                )
            yield _profile(
                walk, name, "classes", names, codes, None if at is None else codes_of(at[:, index]), own, seed
            )


def _relief(walk: Walk, stack: CovariateStack, own: OwnSamples | None, seed: int) -> Iterator[Profile]:
    at = None if own is None else stack.at_points(*own.places, crs_of(walk.geobox)).astype(np.float64)
    units = {each.name: each.unit for each in stack.signature}
    yield from _positions(walk, stack.names, units, at, own, seed)
    for index, name in enumerate(stack.names):
        layer = walk.relief[index].astype(np.float64)
        seen = layer[np.isfinite(walk.values)]
        if not np.isfinite(seen).any() or np.nanmin(seen) == np.nanmax(seen):
            continue
        edges = quantile_edges(seen)
        codes = class_of(layer, edges)
        profile = _profile(
            walk, name, "relief", {code: _tenth(code, edges) for code in range(edges.size + 1)}, codes,
            None if at is None else class_of(at[:, index], edges), own, seed,
        )  # fmt: skip
        centres = tuple(
            float(np.median(layer[(codes == each.code) & np.isfinite(walk.values)])) for each in profile.cells
        )
        yield replace(profile, centres=centres, unit=units.get(name), spearman=_ranked(walk.values, layer, seed))


def _positions(
    walk: Walk, names: tuple[str, ...], units: Mapping[str, str | None], at: _Floats | None, own: OwnSamples | None,
    seed: int,
) -> Iterator[Profile]:  # fmt: skip
    """Places on the slope by the first position index among the layers, and the slope."""
    index = next((i for i, name in enumerate(names) if "tpi" in name.lower()), None)
    slope = next((i for i, name in enumerate(names) if name.lower() in ("slope", "slp", "slope_deg")), None)
    if index is None or slope is None:
        return
    steep = _degrees(walk.relief[slope].astype(np.float64), units.get(names[slope]))
    position = walk.relief[index].astype(np.float64)
    codes = slope_positions(np.where(np.isfinite(walk.values), position, np.nan), steep)
    of_samples = None
    if at is not None:
        # Held against the spread of the map's cells, so that equal places have equal names.
        spread = np.concatenate([position[np.isfinite(walk.values)], at[:, index]])
        slopes = np.concatenate([steep[np.isfinite(walk.values)], _degrees(at[:, slope], units.get(names[slope]))])
        of_samples = slope_positions(spread, slopes)[-len(at) :]
    named = dict(enumerate(SLOPE_POSITIONS))
    title = f"place on the slope ({names[index]}, {names[slope]})"
    yield _profile(walk, title, "position", named, codes, of_samples, own, seed)


def _degrees(slope: _Floats, unit: str | None) -> _Floats:
    """Slope in degrees, which it is taken to be in where its unit is not stated."""
    if unit is None or unit in _DEGREES:
        return slope
    if unit == "rad":
        return np.degrees(slope)
    if unit not in _GRADIENTS:
        raise InvalidInput(f"a slope in {unit}", "give one in deg, rad, % or m/m")
    return np.degrees(np.arctan(slope / _GRADIENTS[unit]))


def _profile(
    walk: Walk, layer: str, kind: str, names: Mapping[int, str], codes: NDArray[np.int64],
    of_samples: NDArray[np.int64] | None, own: OwnSamples | None, seed: int,
) -> Profile:  # fmt: skip
    samples: tuple[ClassMean, ...] = ()
    share = math.nan
    if of_samples is not None and own is not None:
        samples = class_means(own.table.value, of_samples)
        share = explained(own.table.value, of_samples).share
    return Profile(
        layer=layer,
        kind=kind,
        unit=None,
        names=names,
        centres=(),
        cells=class_means(walk.values, codes),
        samples=samples,
        explained=explained(walk.values, codes, shifts=_SHIFTS, seed=seed),
        explained_of_samples=share,
        spearman=math.nan,
    )


def _ranked(values: _Floats, layer: _Floats, seed: int) -> float:
    known = np.flatnonzero(np.isfinite(values) & np.isfinite(layer))
    chosen = np.random.default_rng(seed).permutation(known)[:_RANKED]
    return (
        float(spearmanr(values.ravel()[chosen], layer.ravel()[chosen]).statistic) if _vary(values, chosen) else math.nan
    )


def _vary(values: _Floats, chosen: NDArray[np.intp]) -> bool:
    return chosen.size > 1 and bool(np.ptp(values.ravel()[chosen]) > 0)


def _tenth(code: int, edges: _Floats) -> str:
    low = f"{edges[code - 1]:.4g}" if code else ""
    high = f"{edges[code]:.4g}" if code < edges.size else ""
    return f"{low} to {high}" if low and high else f"below {high}" if high else f"from {low}"
