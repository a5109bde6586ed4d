"""Where a soil map is wanted, and the part of a grid under it."""

import math
from dataclasses import dataclass
from typing import Self

from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from cup4soil.areas import box_area, project
from cup4soil.errors import InvalidArea
from cup4soil.grids import Bounds, crs_code, crs_of


@dataclass(frozen=True, slots=True)
class AreaOfInterest:
    """Where to map. Of a polygon the cells whose centre lies in it, of a box all cells that it touches."""

    geometry: BaseGeometry
    crs: CRS
    masks: bool

    @classmethod
    def of_box(cls, bounds: Bounds, crs: CRS) -> Self:
        """All cells that a box touches."""
        return cls(box_area(bounds, crs), crs, masks=False)

    @classmethod
    def of_polygon(cls, geometry: BaseGeometry, crs: CRS) -> Self:
        """The cells whose centre lies in a polygon or several."""
        return cls(geometry, crs, masks=True)

    def on(self, geobox: GeoBox) -> "Crop":
        """The part of a grid under this area.

        Raises:
            InvalidArea: when it lies outside, or where the grid's CRS does not reach.
        """
        geometry = project(self.geometry, self.crs, crs_of(geobox))
        cropped = _cropped(geobox, geometry)
        return Crop(cropped, geometry if self.masks else None, _uncovered_percent(geometry, geobox))


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a grid: ``mask`` (in its CRS) where cells outside are not mapped, and what of the area lies off it."""

    geobox: GeoBox
    mask: BaseGeometry | None = None
    uncovered_percent: float = 0.0

    @property
    def cells(self) -> int:
        """Cells of the grid, masked ones included."""
        return int(self.geobox.shape[0] * self.geobox.shape[1])


def _cropped(geobox: GeoBox, area: BaseGeometry) -> GeoBox:
    """The cells of ``geobox`` that the bounds of ``area`` touch."""
    left, bottom, right, top = area.bounds
    own, slack = geobox.affine, 1e-6
    rows = _clipped((top - own.f) / own.e + slack, (bottom - own.f) / own.e - slack, geobox.shape[0])
    cols = _clipped((left - own.c) / own.a + slack, (right - own.c) / own.a - slack, geobox.shape[1])
    if rows[0] >= rows[1] or cols[0] >= cols[1]:
        extent = ", ".join(f"{value:.6g}" for value in geobox.boundingbox.bbox)
        raise InvalidArea(
            "the area lies outside the covariates",
            f"they cover {extent} (left, bottom, right, top) in {crs_code(crs_of(geobox))}",
        )
    return geobox[rows[0] : rows[1], cols[0] : cols[1]]


def _clipped(first: float, last: float, size: int) -> tuple[int, int]:
    return max(0, math.floor(first)), min(size, math.ceil(last))


def _uncovered_percent(asked: BaseGeometry, geobox: GeoBox) -> float:
    covered = float(asked.intersection(box(*geobox.boundingbox.bbox)).area)
    share = 100.0 * (1.0 - covered / float(asked.area))
    # Less than this is rounding of the projected edges.
    return share if share > 1e-6 else 0.0
