"""Answers to EDR queries: points with everything known of them, and grids cut to an area, over one or more periods."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil.errors import InvalidArea, LimitExceeded, NoData
from cup4soil.grids import Bounds
from processors.coverage_query import CoverageQuery
from processors.coverage_reader import Answer, CoverageReader, select_fields, together
from processors.coverages import Coverage, Field, Item
from processors.crs import CRS84, Reference, project_bounds, project_points, reference_of
from processors.edr_query import EdrQuery
from processors.edr_statement import TOLD, is_told

_SEGMENTS = 50
# Cells: what cuts off less of a corner may be passed over.
_STRIDE = 0.1


@dataclass(frozen=True, slots=True)
class PointsAnswer:
    """Values at points whose coordinates ``xs``, ``ys`` are in ``reference``.

    ``values`` has shape (periods, fields, points), scaled, NaN where there is none; ``coverages`` are the periods,
    earliest first. ``told`` are the values of the fields that say how sure and where it holds, by name, each of
    shape (periods, points); empty where the collection has none.
    """

    coverages: tuple[Coverage, ...]
    fields: tuple[Field, ...]
    reference: Reference
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    values: NDArray[np.float64]
    told: dict[str, NDArray[np.float64]]

    @property
    def items(self) -> tuple[Item, ...]:
        """All items that were looked at."""
        return tuple(item for coverage in self.coverages for item in coverage.items)


def read_points(reader: CoverageReader, collection: str, query: EdrQuery, most_cells: int) -> PointsAnswer:
    """The values at the points of a position query, for which at most ``most_cells`` cells are read.

    Raises:
        NotFound: when there is no such collection.
        InvalidInput: when it has no field of a name.
        NoData: when it has nothing at that time, or no point lies within it.
        LimitExceeded: when too many cells would have to be read.
    """
    coverages = _periods(reader, collection, query)
    whole = together(coverages)
    fields = select_fields(whole, query.names, "parameter-name")
    told = [whole.fields[name] for name in TOLD if name in whole.fields] if is_told(whole) else []
    every = tuple({field.name: field for field in [*fields, *told]}.values())
    xs, ys = query.points
    _check_points(whole, query.reference, xs, ys, len(every) * len(coverages), most_cells)
    values = np.stack([reader.at(coverage, every, query.reference.crs, xs, ys) for coverage in coverages])
    place = {field.name: position for position, field in enumerate(every)}
    return PointsAnswer(
        coverages=coverages,
        fields=fields,
        reference=query.reference,
        xs=tuple(xs),
        ys=tuple(ys),
        values=values[:, : len(fields)],
        told={field.name: values[:, place[field.name]] for field in told},
    )


def read_area(reader: CoverageReader, collection: str, query: EdrQuery) -> tuple[Answer, ...]:
    """Every period's cells whose centres lie within the query's geometry, earliest period first.

    Where no centre does, they are the cells that its edge runs through. Cells are the stored ones, or in ``query.crs``.

    Raises:
        NotFound, InvalidInput, NoData, LimitExceeded: as :meth:`CoverageReader.read_series`.
    """
    coverages = _periods(reader, collection, query)
    native = reference_of(together(coverages).crs)
    shape = _projected(query.geometry, query.reference, native)
    asked = CoverageQuery(
        bbox=Bounds(*shape.bounds),
        bbox_crs=native,
        when=query.when,
        properties=query.names,
        crs=query.crs,
        several=query.several,
    )
    answers = reader.read_series(collection, asked, limit=reader.limits.json_values)
    grid = answers[0].grid
    inside = _cells_within(_projected(query.geometry, query.reference, answers[0].reference), grid)
    for answer in answers:
        answer.values[:, ~inside] = answer.nodata
    return answers


def read_cube(reader: CoverageReader, collection: str, query: EdrQuery) -> tuple[Answer, ...]:
    """Every period's cells that a box touches, earliest period first. Raises as :func:`read_area`."""
    asked = CoverageQuery(
        bbox=Bounds(*query.geometry.bounds),
        bbox_crs=query.reference,
        when=query.when,
        properties=query.names,
        crs=query.crs,
        several=query.several,
    )
    return reader.read_series(collection, asked, limit=reader.limits.json_values)


def points_of(answers: Sequence[Answer]) -> PointsAnswer:
    """The cells of a grid that have a value, as points at their centres."""
    first = answers[0]
    valid = np.any([(answer.values != answer.nodata).any(axis=0) for answer in answers], axis=0)
    rows, columns = np.nonzero(valid)
    affine = first.grid.affine
    values = np.stack([_scaled(answer, valid) for answer in answers])
    return PointsAnswer(
        coverages=tuple(answer.coverage for answer in answers),
        fields=first.fields,
        reference=first.reference,
        xs=tuple((affine.c + (columns + 0.5) * affine.a).tolist()),
        ys=tuple((affine.f + (rows + 0.5) * affine.e).tolist()),
        values=values,
        told={},
    )


def in_crs84(answer: PointsAnswer) -> PointsAnswer:
    """The same with longitudes and latitudes, as GeoJSON wants them."""
    if answer.reference == CRS84:
        return answer
    xs, ys = project_points(answer.xs, answer.ys, answer.reference.crs, CRS84.crs)
    return replace(answer, reference=CRS84, xs=tuple(round(x, 9) for x in xs), ys=tuple(round(y, 9) for y in ys))


def _periods(reader: CoverageReader, collection: str, query: EdrQuery) -> tuple[Coverage, ...]:
    if query.several:
        return reader.catalog.series(collection, query.when)
    return (reader.catalog.coverage(collection, query.when),)


def _check_points(
    coverage: Coverage, reference: Reference, xs: Sequence[float], ys: Sequence[float], each: int, most: int
) -> None:
    if len(xs) * each > most:
        raise LimitExceeded(
            f"{len(xs)} points are {len(xs) * each} values, more than the limit of {most}",
            "ask for fewer points, periods or parameters",
        )
    own_xs, own_ys = project_points(xs, ys, reference.crs, coverage.crs)
    bounds = coverage.bounds
    places = zip(own_xs, own_ys, strict=True)
    if not any(bounds.left <= x < bounds.right and bounds.bottom < y <= bounds.top for x, y in places):
        own = project_bounds(bounds, coverage.crs, CRS84.crs)
        covers = "" if own is None else "it covers " + ",".join(f"{v:.4f}" for v in own.astuple()) + " (CRS84)"
        order = "; coordinates stand in the order of the axes of crs" if reference.y_first else ""
        raise NoData(f"no point lies within {coverage.collection}", covers + order)


def _projected(geometry: BaseGeometry, source: Reference, target: Reference) -> BaseGeometry:
    """A geometry, x before y, in another system; long edges follow the curves that they become there."""
    if source.crs == target.crs:
        return geometry
    left, bottom, right, top = geometry.bounds
    dense = shapely.segmentize(geometry, max(right - left, top - bottom) / _SEGMENTS)
    xy = shapely.get_coordinates(dense)
    xs, ys = project_points(xy[:, 0].tolist(), xy[:, 1].tolist(), source.crs, target.crs)
    moved = np.column_stack([xs, ys])
    if not np.isfinite(moved).all():
        raise InvalidArea("the area leaves the system of the collection", "give a smaller one")
    projected = shapely.make_valid(shapely.set_coordinates(dense, moved))
    if projected.area == 0:
        raise InvalidArea("the area is empty", "give a polygon with an area")
    return projected


def _cells_within(shape: BaseGeometry, grid: GeoBox) -> NDArray[np.bool_]:
    """True for cells whose centres lie in ``shape``; where none does, for those that its edge runs through."""
    rows, columns = grid.shape
    xs = grid.affine.c + (np.arange(columns) + 0.5) * grid.affine.a
    ys = grid.affine.f + (np.arange(rows) + 0.5) * grid.affine.e
    shapely.prepare(shape)
    inside: NDArray[np.bool_] = shapely.contains_xy(shape, *np.meshgrid(xs, ys))
    if inside.any():
        return inside
    # So small or narrow a shape has few cells: they are found by walking along its edge.
    edge = shapely.get_coordinates(shapely.segmentize(shape.boundary, abs(grid.affine.a) * _STRIDE))
    x, y = ~grid.affine @ (edge[:, 0], edge[:, 1])
    row, column = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    within = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    inside[row[within], column[within]] = True
    return inside


def _scaled(answer: Answer, cells: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scaled values of the chosen cells, shape (fields, cells), NaN where there is none."""
    stored = answer.values[:, cells]
    scale = np.array([[field.scale] for field in answer.fields])
    offset = np.array([[field.offset] for field in answer.fields])
    values: NDArray[np.float64] = np.round(stored * scale + offset, 9)
    values[stored == answer.nodata] = np.nan
    return values
