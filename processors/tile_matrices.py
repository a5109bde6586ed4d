"""Tile matrix sets of the OGC registry, the grids of their tiles, and how far a coverage reaches in them."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import morecantile
from affine import Affine
from morecantile.models import TileMatrix, TileMatrixSet
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from cup4soil.errors import NotFound
from cup4soil.grids import Bounds
from processors.coverages import Coverage
from processors.crs import intersection, project_bounds

WEB_MERCATOR: Final = "WebMercatorQuad"
EUROPEAN: Final = "EuropeanETRS89_LAEAQuad"
SETS: Final[dict[str, TileMatrixSet]] = {name: morecantile.tms.get(name) for name in (WEB_MERCATOR, EUROPEAN)}
_CODES = {WEB_MERCATOR: "EPSG:3857", EUROPEAN: "EPSG:3035"}
# Beyond cells of this many pixels tiles show nothing new; they are made, but not announced.
_PIXELS_PER_CELL = 4


@dataclass(frozen=True, slots=True)
class MatrixLimits:
    """The tiles of a matrix that a coverage touches, both ends included."""

    matrix: str
    first_row: int
    last_row: int
    first_col: int
    last_col: int


def set_of(name: str) -> TileMatrixSet:
    """The set of this id.

    Raises:
        NotFound: when there is none.
    """
    if name not in SETS:
        raise NotFound(f"there is no tile matrix set {name[:80]!r}", f"use {' or '.join(SETS)}")
    return SETS[name]


def code_of(name: str) -> str:
    """CRS of a set, as ``EPSG:n``."""
    return _CODES[name]


@lru_cache(maxsize=4096)
def tile_grid(name: str, matrix: str, row: int, col: int) -> GeoBox:
    """The grid of a tile's pixels.

    Raises:
        NotFound: when there is no such set, matrix or tile.
    """
    levels = {each.id: each for each in set_of(name).tileMatrices}
    if matrix not in levels:
        raise NotFound(f"{name} has no tile matrix {matrix[:80]!r}", f"use 0 to {len(levels) - 1}")
    level = levels[matrix]
    if row >= level.matrixHeight or col >= level.matrixWidth:
        raise NotFound(
            f"matrix {matrix} of {name} has no tile in row {row} and column {col}",
            f"it has {level.matrixHeight} rows and {level.matrixWidth} columns",
        )
    left, top = origin(name, level)
    size = float(level.cellSize)
    corner = Affine(size, 0, left + col * level.tileWidth * size, 0, -size, top - row * level.tileHeight * size)
    return GeoBox((level.tileHeight, level.tileWidth), corner, code_of(name))


def origin(name: str, level: TileMatrix) -> tuple[float, float]:
    """x and y of the upper left corner of a matrix, whatever the order of the set's axes."""
    first, second = (float(value) for value in level.pointOfOrigin)
    return (
        (second, first) if (SETS[name].orderedAxes or ["X"])[0].upper() in ("Y", "N", "NORTHING") else (first, second)
    )


def limits_of(name: str, coverage: Coverage) -> list[MatrixLimits]:
    """The tiles that a coverage touches, down to the matrix whose pixels are a quarter of its cells; none outside."""
    bounds = coverage_bounds(name, coverage)
    found: list[MatrixLimits] = []
    if bounds is None:
        return found
    cell = (bounds.right - bounds.left) / coverage.grid.shape[1]
    for level in SETS[name].tileMatrices:
        found.append(_touched(name, level, bounds))
        if float(level.cellSize) * _PIXELS_PER_CELL <= cell:
            break
    return found


def coverage_bounds(name: str, coverage: Coverage) -> Bounds | None:
    """The coverage's box in the set's CRS, cut at the set's edges; None outside."""
    bounds = project_bounds(coverage.bounds, coverage.crs, CRS(code_of(name)))
    level = SETS[name].tileMatrices[0]
    left, top = origin(name, level)
    width, height = (
        count * size * float(level.cellSize)
        for count, size in ((level.matrixWidth, level.tileWidth), (level.matrixHeight, level.tileHeight))
    )
    return None if bounds is None else intersection(bounds, Bounds(left, top - height, left + width, top))


def set_document(name: str) -> dict[str, Any]:
    """A set as JSON, as TMS 2.0 (17-083r4) has it.

    Raises:
        NotFound: when there is none.
    """
    document: dict[str, Any] = set_of(name).model_dump(mode="json", exclude_none=True)
    return document


def _touched(name: str, level: TileMatrix, bounds: Bounds) -> MatrixLimits:
    left, top = origin(name, level)
    width, height = level.tileWidth * float(level.cellSize), level.tileHeight * float(level.cellSize)

    def span(low: float, high: float, count: int) -> tuple[int, int]:
        first = min(max(0, math.floor(low)), count - 1)
        return first, max(first, min(count - 1, math.ceil(high) - 1))

    rows = span((top - bounds.top) / height, (top - bounds.bottom) / height, level.matrixHeight)
    cols = span((bounds.left - left) / width, (bounds.right - left) / width, level.matrixWidth)
    return MatrixLimits(level.id, *rows, *cols)
