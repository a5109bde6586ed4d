"""One reader of coverages for all doors: the provider plugin, the router, and whoever else asks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidInput, reading_product
from cup4soil.grids import Window, crs_code, crs_of
from cup4soil.rasters.coverage import Handles, Piece, read_stored
from processors.coverage_catalog import CoverageCatalog
from processors.coverage_grid import Limits, answer_grid
from processors.coverage_query import CoverageQuery
from processors.coverages import Coverage, Field, Item, Place, grid_bounds
from processors.crs import Reference, intersection, project_bounds, project_points, reference_of

_DECIMALS = 9
_COMMON_NODATA = -32768  # never a value in int16: see cup4soil.rasters.encoding


@dataclass(frozen=True, slots=True)
class Answer:
    """Stored integers of ``fields`` on ``grid``, shape (fields, rows, columns), with ``nodata`` where missing.

    ``reference`` is the system of ``grid`` with the order of axes that the client asked for.
    """

    coverage: Coverage
    fields: tuple[Field, ...]
    grid: GeoBox
    values: NDArray[np.integer]
    nodata: int
    items: tuple[Item, ...]
    reference: Reference


class CoverageReader:
    """Reads parts of the coverages of a store. Many threads may use one."""

    def __init__(self, catalog: CoverageCatalog, limits: Limits) -> None:
        self.catalog = catalog
        self.limits = limits
        self.handles = Handles()

    def read(self, collection: str, query: CoverageQuery, *, limit: int | None = None) -> Answer:
        """The answer to ``query``. Nothing is read from the rasters before the whole request is checked.

        Raises:
            NotFound: when there is no such collection.
            InvalidInput: when the query does not fit it.
            NoData: when it has nothing at the time or place asked for.
            LimitExceeded: when the answer would hold more than ``limit`` values, by default those of a GeoTIFF.
            StoreError: when a file of the store cannot be read.
        """
        coverage = self.catalog.coverage(collection, query.when)
        fields = asked_fields(coverage, query)
        grid = answer_grid(coverage, query, len(fields), limit or self.limits.values)
        return self._answer(coverage, fields, grid, query.crs)

    def read_series(self, collection: str, query: CoverageQuery, *, limit: int | None = None) -> tuple[Answer, ...]:
        """The answers of all periods that an interval of time meets, earliest first, all on one grid.

        Without an interval it is the one of the latest period. ``limit`` holds for all of them together. Raises
        as :meth:`read`.
        """
        if not query.several:
            return (self.read(collection, query, limit=limit),)
        coverages = self.catalog.series(collection, query.when)
        whole = together(coverages)
        fields = asked_fields(whole, query)
        grid = answer_grid(whole, query, len(fields) * len(coverages), limit or self.limits.values)
        return tuple(self._answer(coverage, fields, grid, query.crs) for coverage in coverages)

    def at(
        self, coverage: Coverage, fields: Sequence[Field], crs: CRS, xs: Sequence[float], ys: Sequence[float]
    ) -> NDArray[np.float64]:
        """Scaled values of the cells that hold points in ``crs``, shape (fields, points); NaN where there is none.

        Raises:
            StoreError: when a file of the store cannot be read.
        """
        values = np.full((len(fields), len(xs)), np.nan)
        places: dict[str, tuple[list[float], list[float]]] = {}
        for item in reversed(coverage.items):
            own = crs_of(item.grid)
            if crs_code(own) not in places:
                places[crs_code(own)] = (list(xs), list(ys)) if own == crs else project_points(xs, ys, crs, own)
            for point, (x, y) in enumerate(zip(*places[crs_code(own)], strict=True)):
                cell = _cell(item.grid, x, y)
                if cell is not None:
                    self._fill(values[:, point], item, fields, cell.of(item.grid))
        return values

    def _fill(self, values: NDArray[np.float64], item: Item, fields: Sequence[Field], cell: GeoBox) -> None:
        """Give those fields their value in one cell of an item that have none yet."""
        missing = [position for position in range(len(fields)) if np.isnan(values[position])]
        for positions in _by_file(item, [fields[position] for position in missing]):
            places = [item.places[fields[missing[position]].name] for position in positions]
            stored = self._stored(item, places, cell)[:, 0, 0]
            for position, place, number in zip(positions, places, stored.tolist(), strict=True):
                if number != place.field.nodata:
                    scaled = number * place.field.scale + place.field.offset
                    values[missing[position]] = round(scaled, _DECIMALS)

    def _answer(self, coverage: Coverage, fields: tuple[Field, ...], grid: GeoBox, crs: Reference | None) -> Answer:
        dtype, nodata = common_type(fields)
        values = np.full((len(fields), *grid.shape), nodata, dtype=dtype)
        items = _overlapping(coverage, grid)
        for position, item in enumerate(items):
            self._paint(values, item, fields, grid, blank=None if position else nodata)
        return Answer(coverage, fields, grid, values, nodata, items, crs or reference_of(crs_of(grid)))

    def _stored(self, item: Item, places: Sequence[Place], grid: GeoBox) -> NDArray[np.integer]:
        """Stored integers of ``places`` of one file on ``grid``."""
        with reading_product(item.name):
            return read_stored(self.handles, _piece(item, places), grid)

    def close(self) -> None:
        """Close the files that are kept open."""
        self.handles.close()

    def _paint(
        self, values: NDArray[np.integer], item: Item, fields: Sequence[Field], grid: GeoBox, *, blank: int | None
    ) -> None:
        """Lay the item's valid cells over ``values``, which hold nothing but ``blank`` unless that is None."""
        for positions in _by_file(item, fields):
            places = [item.places[fields[position].name] for position in positions]
            stored = self._stored(item, places, grid)
            for position, place, cells in zip(positions, places, stored, strict=True):
                if blank == place.field.nodata and _alike(place.field, fields[position]):
                    values[position] = cells
                    continue
                valid = cells != place.field.nodata
                np.copyto(values[position], _as(cells, place.field, fields[position], values.dtype), where=valid)


def together(coverages: Sequence[Coverage]) -> Coverage:
    """The coverages of several periods, earliest first, as one: the lattice and the fields of all of them."""
    if len(coverages) == 1:
        return coverages[0]
    items = tuple(item for coverage in coverages for item in coverage.items)
    return Coverage(coverages[-1].collection, coverages[-1].title, items)


def select_fields(coverage: Coverage, names: Sequence[str], parameter: str = "properties") -> tuple[Field, ...]:
    """The fields of these names or positions (counted from 1), all without any.

    Raises:
        InvalidInput: naming ``parameter``, when there is none of a name, or a name and its position are both given.
    """
    known = coverage.fields
    if not names:
        return tuple(known.values())
    ordered = list(known)
    chosen = []
    for name in names:
        numbered = (
            ordered[int(name) - 1] if name.isascii() and name.isdigit() and 1 <= int(name[:6]) <= len(ordered) else name
        )
        if numbered not in known:
            raise InvalidInput(
                f"{parameter} names {name[:80]!r}, which {coverage.collection} does not have",
                f"use {', '.join(ordered[:80])}, or their positions from 1",
            )
        chosen.append(known[numbered])
    if len({field.name for field in chosen}) < len(chosen):
        raise InvalidInput(f"{parameter} names a field twice", "name each once")
    return tuple(chosen)


def asked_fields(coverage: Coverage, query: CoverageQuery) -> tuple[Field, ...]:
    """The fields that a query names, or does not leave out.

    Raises:
        InvalidInput: when there is none of a name, or none is left.
    """
    if not query.excluded:
        return select_fields(coverage, query.properties)
    out = select_fields(coverage, query.excluded, "exclude-properties")
    kept = tuple(field for field in coverage.fields.values() if field not in out)
    if not kept:
        raise InvalidInput("exclude-properties leaves no field", "name fewer")
    return kept


def common_type(fields: Sequence[Field]) -> tuple[np.dtype[np.integer], int]:
    """Type and nodata that hold the integers of all ``fields``: their own where they agree."""
    kinds = {(field.dtype, field.nodata) for field in fields}
    if len(kinds) == 1:
        dtype, nodata = kinds.pop()
        return np.dtype(dtype), nodata
    return np.dtype("int16"), _COMMON_NODATA


def _as(cells: NDArray[np.integer], stored: Field, wanted: Field, dtype: np.dtype[np.integer]) -> NDArray[np.integer]:
    """``cells`` in the scale of ``wanted``: older items may have been stored in another."""
    if _alike(stored, wanted):
        return cells.astype(dtype, copy=False)
    values = cells.astype(np.float64) * stored.scale + stored.offset
    info = np.iinfo(dtype)
    scaled = np.rint((values - wanted.offset) / wanted.scale)
    return np.clip(scaled, info.min + 1 if info.min else 0, info.max).astype(dtype)


def _alike(stored: Field, wanted: Field) -> bool:
    return (stored.scale, stored.offset) == (wanted.scale, wanted.offset)


def _by_file(item: Item, fields: Sequence[Field]) -> list[list[int]]:
    """Positions of the fields that the item has, those of one file together."""
    files: dict[object, list[int]] = {}
    for position, field in enumerate(fields):
        place = item.places.get(field.name)
        if place is not None:
            files.setdefault(place.path, []).append(position)
    return list(files.values())


def _cell(grid: GeoBox, x: float, y: float) -> Window | None:
    """The cell of ``grid`` that holds a point, None outside; one on an edge is in the cell below or to the right."""
    if not (math.isfinite(x) and math.isfinite(y)):
        return None
    column, row = (math.floor(place) for place in ~grid.affine @ (x, y))
    rows, columns = grid.shape
    return Window(row, column, 1, 1) if 0 <= row < rows and 0 <= column < columns else None


def _piece(item: Item, places: Sequence[Place]) -> Piece:
    first = places[0]
    bands = tuple(place.band for place in places)
    return Piece(first.path, item.grid, bands, first.field.nodata, bool(first.field.categories))


def _overlapping(coverage: Coverage, grid: GeoBox) -> tuple[Item, ...]:
    """The items that lie under ``grid``, oldest first."""
    if len(coverage.items) == 1:
        return coverage.items
    found = []
    for item in coverage.items:
        bounds = project_bounds(grid_bounds(item.grid), crs_of(item.grid), crs_of(grid))
        if bounds is None or intersection(bounds, grid_bounds(grid)) is not None:
            found.append(item)
    return tuple(found)
