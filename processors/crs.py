"""References to coordinate systems as the OGC APIs write them, and boxes between systems."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyproj
from odc.geo.crs import CRS
from pyproj.exceptions import CRSError, ProjError

from cup4soil.errors import InvalidInput
from cup4soil.grids import Bounds, crs_code

CRS84_URI = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG_URI = "http://www.opengis.net/def/crs/EPSG/0/"
# Only codes are understood: a definition in full, as PROJ reads it, could name files.
_EPSG = re.compile(
    r"(?:https?://www\.opengis\.net/def/crs/EPSG/[0-9.]{1,9}/|urn:ogc:def:crs:EPSG:[0-9.]{0,9}:|EPSG:)(\d{4,6})", re.I
)
_CRS84 = re.compile(
    r"(?:https?://www\.opengis\.net/def/crs/OGC/(?:1\.3|0)/CRS84|urn:ogc:def:crs:OGC:(?:1\.3)?:CRS84|(?:OGC:)?CRS84)",
    re.I,
)
_DENSIFY = 21


@dataclass(frozen=True, slots=True)
class Reference:
    """A system with the order of its coordinates. ``y_first`` is true where latitude or northing comes first.

    ``area`` is where it is meant to be used (west, south, east, north in degrees; west may be past east).
    """

    crs: CRS
    uri: str
    y_first: bool
    area: tuple[float, float, float, float] = (-180.0, -90.0, 180.0, 90.0)

    def made_for(self, place: Bounds) -> bool:
        """True when a box in longitude and latitude touches the area of use."""
        west, south, east, north = self.area
        spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
        across = any(low <= place.right and place.left <= high for low, high in spans)
        return across and south <= place.top and place.bottom <= north

    def box(self, values: Sequence[float]) -> Bounds:
        """The box of four numbers in this system's axis order: lower corner, upper corner.

        Raises:
            InvalidInput: when its corners are swapped or not finite.
        """
        first, second, third, fourth = values
        return Bounds(second, first, fourth, third) if self.y_first else Bounds(first, second, third, fourth)

    def numbers(self, bounds: Bounds) -> tuple[float, float, float, float]:
        """The inverse of :meth:`box`."""
        left, bottom, right, top = bounds.astuple()
        return (bottom, left, top, right) if self.y_first else (left, bottom, right, top)


CRS84 = Reference(CRS("EPSG:4326"), CRS84_URI, y_first=False)


def parse_reference(text: str, parameter: str) -> Reference:
    """The system that a URI, a CURIE in brackets, a URN or ``EPSG:n`` names.

    Raises:
        InvalidInput: naming ``parameter``, when it is none, or neither geographic nor projected.
    """
    name = text.strip()
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    if _CRS84.fullmatch(name):
        return CRS84
    match = _EPSG.fullmatch(name)
    if match is None:
        raise InvalidInput(
            f"{parameter} is {text[:80]!r}", f"give a code such as EPSG:3035, {_EPSG_URI}3035 or {CRS84_URI}"
        )
    return _epsg(int(match[1]), parameter)


def reference_of(crs: CRS) -> Reference:
    """How the system of a grid is referred to; one without a code is named by its WKT, x before y."""
    return _epsg(crs.epsg, "crs") if crs.epsg is not None else Reference(crs, str(crs), y_first=False)


@lru_cache(maxsize=256)
def _epsg(code: int, parameter: str) -> Reference:
    try:
        system = pyproj.CRS.from_epsg(code)
    except CRSError as error:
        raise InvalidInput(
            f"{parameter} names EPSG:{code}, which is not known", "give one such as EPSG:3035"
        ) from error
    plane = (system.is_geographic or system.is_projected) and len(system.axis_info) == 2
    if not plane or system.is_bound:
        raise InvalidInput(
            f"{parameter} names EPSG:{code}, {system.name!r}, which is no system of two horizontal axes",
            "give one such as EPSG:3035",
        )
    area = system.area_of_use
    bounds = area.bounds if area is not None else (-180.0, -90.0, 180.0, 90.0)
    y_first = system.axis_info[0].direction in ("north", "south")
    return Reference(CRS(f"EPSG:{code}"), f"{_EPSG_URI}{code}", y_first, bounds)


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def project_bounds(bounds: Bounds, source: CRS, target: CRS) -> Bounds | None:
    """The box in ``target`` that holds all of ``bounds``, edges densified; None where there is none."""
    if source == target:
        return bounds
    try:
        box = _transformer(crs_code(source), crs_code(target)).transform_bounds(*bounds.astuple(), densify_pts=_DENSIFY)
    except ProjError:
        return None
    left, bottom, right, top = box
    usable = all(map(math.isfinite, box)) and left < right and bottom < top
    return Bounds(left, bottom, right, top) if usable else None


def project_points(
    xs: Sequence[float], ys: Sequence[float], source: CRS, target: CRS
) -> tuple[list[float], list[float]]:
    """Points in ``target``; infinite where they do not exist there."""
    x, y = _transformer(crs_code(source), crs_code(target)).transform(list(xs), list(ys))
    return list(x), list(y)


def intersection(first: Bounds, second: Bounds) -> Bounds | None:
    """What two boxes share; None when that has no area."""
    left, bottom = max(first.left, second.left), max(first.bottom, second.bottom)
    right, top = min(first.right, second.right), min(first.top, second.top)
    return Bounds(left, bottom, right, top) if left < right and bottom < top else None
