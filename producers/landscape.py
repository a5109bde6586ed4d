"""Evaluating a soil map: its pattern against the land, its borders, and its values against own samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidInput, NoData, NotFound
from cup4soil.grids import crs_code, crs_of, parse_crs
from cup4soil.products import Layer, ProductRecord, file_checksum, read_record
from cup4soil.progress import Progress
from cup4soil.properties import property_codes, soil_property
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.rasters.reading import read_at_points
from cup4soil.settings import Settings
from producers.coordinates import metric_coordinates
from producers.landscape_request import EvaluateRequest, OwnPoints
from producers.map_borders import Border, find_borders
from producers.map_patterns import OwnSamples, Profile, find_profiles
from producers.map_validation import MapValidation, validate_map
from producers.map_walk import Walk
from producers.plots_space import Semivariances
from producers.report_diagnostics import semivariances
from producers.samples import SampleTable, read_samples

_VARIOGRAM_CELLS = 1500

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """What was found in a map of ``cells`` cells; ``lattice``: spacing of those compared, in the unit of the CRS."""

    record: ProductRecord
    layer: Layer
    cells: int
    lattice: float
    profiles: tuple[Profile, ...]
    borders: tuple[Border, ...]
    variograms: Mapping[str, Semivariances]
    validation: MapValidation | None
    notes: tuple[str, ...] = ()


def evaluate_map(request: EvaluateRequest, settings: Settings, progress: Progress) -> Evaluation:
    """Hold the map in a folder against relief, classes and samples, as far as they are given.

    Raises:
        NotFound: when the map, a raster or the samples do not exist.
        InvalidInput: when the product is no soil map, or a raster of classes holds measurements.
        InvalidSamples: when fewer than 10 samples lie on the map.
        NoData: when the map holds no value.
    """
    return evaluate_record(read_record(request.map), request, settings, progress)


def evaluate_record(
    record: ProductRecord, request: EvaluateRequest, settings: Settings, progress: Progress
) -> Evaluation:
    """As :func:`evaluate_map`, of a map whose record does not lie in its folder yet."""
    layer = _mean_of(record, request.map)
    relief, classes = _stacks(request)
    table = None if request.points is None else _samples(request.points, record)
    walk = Walk.over(request.map / layer.file, relief, classes, settings, progress)
    if not walk.cells:
        raise NoData(f"the map {record.id} holds no value", "evaluate a map with values")
    own = None
    if table is not None and request.points is not None:
        own = OwnSamples(table, _in_crs(table, request.points, walk.geobox), file_checksum(request.points.file))
    with progress.step("Comparing patterns", 1) as advance:
        evaluation = Evaluation(
            record=record,
            layer=layer,
            cells=walk.cells,
            lattice=walk.spacing,
            profiles=tuple(find_profiles(walk, relief, classes, own, request.seed)),
            borders=tuple(find_borders(walk, request.tile_m)),
            variograms=_variograms(walk, own, request),
            validation=None
            if own is None
            else validate_map(request.map, record, own.table, own.places, own.checksum, request.seed),
            notes=() if relief is None else relief.suggestions(),
        )
        advance()
    return evaluation


def _mean_of(record: ProductRecord, folder: Path) -> Layer:
    if record.kind != "soil-map":
        raise InvalidInput(f"{record.id} is a product of kind {record.kind}", "give the folder of a soil map")
    layer = record.layer("mean")
    if not (folder / layer.file).is_file():
        raise NotFound(f"{folder} has lost its layer mean", "give the folder of a whole map")
    return layer


def _stacks(request: EvaluateRequest) -> tuple[CovariateStack | None, CovariateStack | None]:
    relief = CovariateStack.open(request.relief) if request.relief else None
    if not request.classes:
        return relief, None
    names = CovariateStack.open(request.classes).names
    return relief, CovariateStack.open(request.classes, names)


def _samples(points: OwnPoints, record: ProductRecord) -> SampleTable:
    if record.property_code not in property_codes():
        raise InvalidInput(f"{record.id} is a map of no property of the vocabulary", "evaluate it without samples")
    return read_samples(points.file, points.spec(soil_property(str(record.property_code))))[0]


def _in_crs(table: SampleTable, points: OwnPoints, geobox: GeoBox) -> tuple[_Floats, _Floats]:
    """Where the samples lie, in the CRS of the map."""
    own = crs_code(parse_crs(points.crs))
    x, y = pyproj.Transformer.from_crs(own, crs_code(crs_of(geobox)), always_xy=True).transform(table.x, table.y)
    return np.asarray(x, np.float64), np.asarray(y, np.float64)


def _variograms(walk: Walk, own: OwnSamples | None, request: EvaluateRequest) -> dict[str, Semivariances]:
    """Semivariances of the map at cells drawn at random and, where there are samples, of both at their places."""
    rows, cols = np.nonzero(np.isfinite(walk.values))
    drawn = np.random.default_rng(request.seed).permutation(rows.size)[:_VARIOGRAM_CELLS]
    x, y = walk.centres(rows[drawn], cols[drawn])
    crs = crs_of(walk.geobox)
    found = {"map": semivariances(*metric_coordinates(x, y, crs), walk.values[rows[drawn], cols[drawn]])}
    if own is not None:
        at = metric_coordinates(*own.places, crs)
        mapped = read_at_points(request.map / walk.file.name, *own.places)[0].astype(np.float64)
        known = np.isfinite(mapped)
        found["map, at the samples"] = semivariances(at[0][known], at[1][known], mapped[known])
        found["samples"] = semivariances(at[0][known], at[1][known], own.table.value[known])
    return {name: each for name, each in found.items() if each is not None}
