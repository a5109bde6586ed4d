"""One reader of coverages for all doors: the provider plugin, the router, and whoever else asks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidInput
from cup4soil.grids import crs_of
from cup4soil.rasters.coverage import Handles, Piece, read_stored
from processors.coverage_catalog import CoverageCatalog
from processors.coverage_grid import Limits, answer_grid
from processors.coverage_query import CoverageQuery
from processors.coverages import Coverage, Field, Item, Place, grid_bounds
from processors.crs import intersection, project_bounds

_COMMON_NODATA = -32768  # never a value in int16: see cup4soil.rasters.encoding


@dataclass(frozen=True, slots=True)
class Answer:
    """Stored integers of ``fields`` on ``grid``, shape (fields, rows, columns), with ``nodata`` where missing."""

    coverage: Coverage
    fields: tuple[Field, ...]
    grid: GeoBox
    values: NDArray[np.integer]
    nodata: int
    items: tuple[Item, ...]


class CoverageReader:
    """Reads parts of the coverages of a store. Many threads may use one."""

    def __init__(self, catalog: CoverageCatalog, limits: Limits) -> None:
        self.catalog = catalog
        self.limits = limits
        self._handles = Handles()

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
        fields = select_fields(coverage, query.properties)
        grid = answer_grid(coverage, query, len(fields), limit or self.limits.values)
        dtype, nodata = common_type(fields)
        values = np.full((len(fields), *grid.shape), nodata, dtype=dtype)
        items = _overlapping(coverage, grid)
        for item in items:
            self._paint(values, item, fields, grid)
        return Answer(coverage, fields, grid, values, nodata, items)

    def close(self) -> None:
        """Close the files that are kept open."""
        self._handles.close()

    def _paint(self, values: NDArray[np.integer], item: Item, fields: Sequence[Field], grid: GeoBox) -> None:
        """Lay the item's valid cells over ``values``."""
        for positions in _by_file(item, fields):
            places = [item.places[fields[position].name] for position in positions]
            stored = read_stored(self._handles, _piece(item, places), grid)
            for position, place, cells in zip(positions, places, stored, strict=True):
                valid = cells != place.field.nodata
                np.copyto(values[position], _as(cells, place.field, fields[position], values.dtype), where=valid)


def select_fields(coverage: Coverage, names: Sequence[str]) -> tuple[Field, ...]:
    """The fields of these names or positions (counted from 1), all without any.

    Raises:
        InvalidInput: when there is none of a name, or a name and its position are both given.
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
                f"properties names {name[:80]!r}, which {coverage.collection} does not have",
                f"use {', '.join(ordered[:80])}, or their positions from 1",
            )
        chosen.append(known[numbered])
    if len({field.name for field in chosen}) < len(chosen):
        raise InvalidInput("properties names a field twice", "name each once")
    return tuple(chosen)


def common_type(fields: Sequence[Field]) -> tuple[np.dtype[np.integer], int]:
    """Type and nodata that hold the integers of all ``fields``: their own where they agree."""
    kinds = {(field.dtype, field.nodata) for field in fields}
    if len(kinds) == 1:
        dtype, nodata = kinds.pop()
        return np.dtype(dtype), nodata
    return np.dtype("int16"), _COMMON_NODATA


def _as(cells: NDArray[np.integer], stored: Field, wanted: Field, dtype: np.dtype[np.integer]) -> NDArray[np.integer]:
    """``cells`` in the scale of ``wanted``: older items may have been stored in another."""
    if (stored.scale, stored.offset) == (wanted.scale, wanted.offset):
        return cells.astype(dtype, copy=False)
    values = cells.astype(np.float64) * stored.scale + stored.offset
    info = np.iinfo(dtype)
    scaled = np.rint((values - wanted.offset) / wanted.scale)
    return np.clip(scaled, info.min + 1 if info.min else 0, info.max).astype(dtype)


def _by_file(item: Item, fields: Sequence[Field]) -> list[list[int]]:
    """Positions of the fields that the item has, those of one file together."""
    files: dict[object, list[int]] = {}
    for position, field in enumerate(fields):
        place = item.places.get(field.name)
        if place is not None:
            files.setdefault(place.path, []).append(position)
    return list(files.values())


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
