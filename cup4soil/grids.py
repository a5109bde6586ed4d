"""Grids: north-up, square cells, aligned to the origin of their CRS.

``GeoBox`` of odc-geo is the vocabulary; shapes are (rows, columns). The European grid is
EPSG:3035 in tiles of 200 km, named like SoilSuite by their lower-left corner in units of
100 km: ``0028-0048`` starts at easting 2 800 000, northing 4 800 000.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import shapely
from affine import Affine
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from cup4soil.errors import InvalidInput, LimitExceeded

EUROPEAN_CRS = CRS("EPSG:3035")
TILE_SIZE_M = 200_000
_TILE_UNIT_M = 100_000
_TILE_NAME = re.compile(r"(\d{4})-(\d{4})")


@dataclass(frozen=True, slots=True)
class Bounds:
    """A box in some CRS's own axis order x, y; left < right and bottom < top."""

    left: float
    bottom: float
    right: float
    top: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in self.astuple()):
            raise InvalidInput(
                f"bounding box {self.astuple()} is not finite", "give four numbers: west south east north"
            )
        if not (self.left < self.right and self.bottom < self.top):
            raise InvalidInput(
                f"bounding box {' '.join(f'{v:g}' for v in self.astuple())} has swapped or equal corners",
                "give west south east north with west < east and south < north",
            )

    def astuple(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top)."""
        return (self.left, self.bottom, self.right, self.top)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of cells: rows [row, row + height), columns [col, col + width)."""

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"window of {self.height} x {self.width} cells is empty")

    @property
    def name(self) -> str:
        """Place and size, as a name for a file."""
        return f"{self.row}-{self.col}-{self.height}x{self.width}"

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing an array of shape (rows, columns)."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def of(self, geobox: GeoBox) -> GeoBox:
        """The part of ``geobox`` under this window."""
        rows, cols = self.slices
        return geobox[rows, cols]


def parse_crs(text: str) -> CRS:
    """The CRS named by ``text``, such as ``EPSG:3035``.

    Raises:
        InvalidInput: when it is none.
    """
    try:
        return CRS(text)
    except CRSError as error:
        raise InvalidInput(f"{text!r} is no coordinate reference system", "give one such as EPSG:3035") from error


def parse_metric_crs(text: str) -> CRS:
    """As :func:`parse_crs`, for a CRS whose coordinates are metres.

    Raises:
        InvalidInput: when it counts in degrees, feet or another unit.
    """
    crs = parse_crs(text)
    units = {axis.unit_name for axis in crs.proj.axis_info}
    if units != {"metre"}:
        raise InvalidInput(
            f"{text} counts in {' and '.join(sorted(units))}", "give a projected CRS in metres, such as EPSG:3035"
        )
    return crs


def crs_code(crs: CRS) -> str:
    """``EPSG:n`` where the CRS has a code, else its WKT."""
    return f"EPSG:{crs.epsg}" if crs.epsg is not None else str(crs)


def crs_of(geobox: GeoBox) -> CRS:
    """CRS of a grid that must have one."""
    crs = geobox.crs
    if crs is None:
        raise ValueError("this grid needs a CRS")
    return crs


def aligned_geobox(bounds: Bounds, crs: CRS, resolution_m: float, *, max_cells: int | None = None) -> GeoBox:
    """The smallest grid that covers ``bounds`` with edges on multiples of ``resolution_m``.

    An edge within a millionth of a cell of a multiple counts as on it.

    Raises:
        InvalidInput: when the resolution is not positive.
        LimitExceeded: when the grid has more than ``max_cells`` cells.
    """
    if not resolution_m > 0:
        raise InvalidInput(f"resolution {resolution_m:g} is not positive", "give metres, such as 20")
    slack = 1e-6
    left = math.floor(bounds.left / resolution_m + slack)
    right = max(left + 1, math.ceil(bounds.right / resolution_m - slack))
    bottom = math.floor(bounds.bottom / resolution_m + slack)
    top = max(bottom + 1, math.ceil(bounds.top / resolution_m - slack))
    height, width = top - bottom, right - left
    if max_cells is not None and height * width > max_cells:
        raise LimitExceeded(
            f"a grid of {height} x {width} cells is larger than the limit of {max_cells}",
            "choose a smaller area or a coarser resolution, or raise CUP4SOIL_MAX_CELLS",
        )
    transform = Affine(resolution_m, 0.0, left * resolution_m, 0.0, -resolution_m, top * resolution_m)
    return GeoBox((height, width), transform, crs)


def european_tile(name: str, resolution_m: float = 20.0) -> GeoBox:
    """Grid of one 200 km tile, such as ``0028-0048``.

    Raises:
        InvalidInput: when the name is none, or not on the lattice of 200 km tiles.
    """
    match = _TILE_NAME.fullmatch(name)
    if match is None or int(match[1]) % 2 or int(match[2]) % 2:
        raise InvalidInput(
            f"{name!r} is no tile of the European grid", "give easting-northing in 100 km, such as 0028-0048"
        )
    left, bottom = int(match[1]) * _TILE_UNIT_M, int(match[2]) * _TILE_UNIT_M
    return aligned_geobox(Bounds(left, bottom, left + TILE_SIZE_M, bottom + TILE_SIZE_M), EUROPEAN_CRS, resolution_m)


def european_tile_name(easting_m: float, northing_m: float) -> str:
    """Name of the 200 km tile that holds a point of EPSG:3035."""
    corner = [math.floor(v / TILE_SIZE_M) * (TILE_SIZE_M // _TILE_UNIT_M) for v in (easting_m, northing_m)]
    return f"{corner[0]:04d}-{corner[1]:04d}"


def european_tiles(area: BaseGeometry) -> tuple[str, ...]:
    """Sorted names of the 200 km tiles that an area in EPSG:3035 shares more than a border with."""
    left, bottom, right, top = area.bounds
    found = []
    for column in range(math.floor(left / TILE_SIZE_M), math.ceil(right / TILE_SIZE_M)):
        for row in range(math.floor(bottom / TILE_SIZE_M), math.ceil(top / TILE_SIZE_M)):
            x, y = column * TILE_SIZE_M, row * TILE_SIZE_M
            if shapely.intersection(area, shapely.box(x, y, x + TILE_SIZE_M, y + TILE_SIZE_M)).area > 0:
                found.append(european_tile_name(x, y))
    return tuple(sorted(found))


def cell_offset(own: GeoBox, target: GeoBox, *, tolerance: float = 1e-3) -> tuple[int, int] | None:
    """(row, column) in ``own`` of the first cell of ``target``, None when they are not one lattice.

    Rows and columns may lie outside ``own``. One lattice: equal CRS, north-up cells of equal size, and corners
    that coincide within ``tolerance`` of a cell at both ends.
    """
    a, b = own.affine, target.affine
    if own.crs != target.crs or a.b or a.d or b.b or b.d or a.e >= 0 or b.e >= 0:
        return None
    offsets = []
    for size, start, other_size, other_start, cells in (
        (a.e, a.f, b.e, b.f, target.shape[0]),
        (a.a, a.c, b.a, b.c, target.shape[1]),
    ):
        first = (other_start - start) / size
        last = (other_start + cells * other_size - start) / size
        nearest = round(first)
        if max(abs(first - nearest), abs(last - nearest - cells)) > tolerance:
            return None
        offsets.append(nearest)
    return offsets[0], offsets[1]


def blocks(shape: tuple[int, int], size: int, first: tuple[int, int] = (0, 0)) -> Iterator[Window]:
    """Cut a grid of ``shape`` (rows, columns) into windows of at most ``size`` x ``size``, row by row.

    ``first`` is the place of the grid's first cell on a larger lattice whose multiples of ``size`` the cuts follow,
    so that windows are whole tiles of a file.
    """
    heights, widths = (list(pairwise(_cuts(n, size, start))) for n, start in zip(shape, first, strict=True))
    for top, bottom in heights:
        for left, right in widths:
            yield Window(top, left, bottom - top, right - left)


def _cuts(cells: int, size: int, first: int) -> list[int]:
    return [0, *range(size - first % size, cells, size), cells]
