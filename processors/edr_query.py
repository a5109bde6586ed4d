"""What a client asks of OGC API EDR 1.1: position, area, cube and radius, read and checked."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyproj
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry

from cup4soil.errors import InvalidArea, InvalidInput, LimitExceeded
from processors.coverage_query import collect, names_in, parse_box
from processors.coverages import Interval
from processors.crs import CRS84, Reference, parse_reference, project_points
from processors.times import parse_interval

_COMMON: Final = ("parameter-name", "datetime", "crs", "f")
# Parameters by kind of query.
PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "position": ("coords", *_COMMON),
    "radius": ("coords", "within", "within-units", *_COMMON),
    "area": ("coords", *_COMMON),
    "cube": ("bbox", *_COMMON),
}
WITHIN_UNITS: Final = {"m": 1.0, "km": 1000.0}
# OWSLib 0.36 writes the name so.
_ALIASES = {"parameter_names": "parameter-name"}
_LONGEST = 100_000
_CIRCLE = 72
# Letters, digits and what numbers and lists are written with: nothing else belongs in well-known text.
_WKT = re.compile(r"\s*([A-Za-z]+)\s*\([-+0-9.eE,()\s]*\)\s*")
_KINDS = {"position": ("Point", "MultiPoint"), "radius": ("Point",), "area": ("Polygon", "MultiPolygon")}
_EXAMPLES = {
    "position": "POINT(14.5 52.4) or MULTIPOINT((14.5 52.4),(14.6 52.4))",
    "radius": "POINT(14.5 52.4)",
    "area": "POLYGON((14.4 52.3,14.5 52.3,14.5 52.4,14.4 52.3))",
}
_WGS84 = pyproj.Geod(ellps="WGS84")


@dataclass(frozen=True)
class EdrLimits:
    """Most points of a position, vertices of a geometry and metres of a radius; most cells read for the points of one
    answer, each of which takes some 0.2 ms.
    """

    points: int = 500
    vertices: int = 5000
    radius_m: float = 1_000_000.0
    cells: int = 20_000


@dataclass(frozen=True, slots=True)
class EdrQuery:
    """A checked request: a geometry whose coordinates are x before y in ``reference``.

    ``crs`` is the system that was asked for, None where none was; ``several`` is true for an interval of time.
    """

    geometry: BaseGeometry
    reference: Reference
    crs: Reference | None
    names: tuple[str, ...]
    when: Interval | None
    several: bool
    format: str | None

    @property
    def points(self) -> tuple[list[float], list[float]]:
        """x and y of the points of a position."""
        xy = shapely.get_coordinates(self.geometry)
        return xy[:, 0].tolist(), xy[:, 1].tolist()


def parse_edr(kind: str, pairs: Iterable[tuple[str, str]], limits: EdrLimits | None = None) -> EdrQuery:
    """Read the parameters of a query of this ``kind``, given as names and values in the order they came.

    Raises:
        InvalidInput: naming the parameter, when one is unknown, missing, repeated or malformed.
        InvalidArea: when a polygon is none.
        LimitExceeded: when there are too many points, vertices or metres.
    """
    given = collect(pairs, PARAMETERS[kind], lists=("parameter-name",), aliases=_ALIASES, longest=_LONGEST)
    limits = limits or EdrLimits()
    crs = parse_reference(given["crs"], "crs") if "crs" in given else None
    reference = crs or CRS84
    return EdrQuery(
        geometry=_box(given, reference) if kind == "cube" else _geometry(kind, given, reference, limits),
        reference=CRS84 if kind == "radius" else reference,
        crs=crs,
        names=names_in(given["parameter-name"], "parameter-name") if "parameter-name" in given else (),
        when=parse_interval(given["datetime"], "datetime") if "datetime" in given else None,
        several="/" in given.get("datetime", ""),
        format=given.get("f"),
    )


def _box(given: dict[str, str], reference: Reference) -> BaseGeometry:
    if "bbox" not in given:
        raise InvalidInput("bbox is missing", "give the lower and the upper corner: bbox=14.4,52.3,14.5,52.4")
    if given["bbox"].count(",") == 5:
        raise InvalidInput("bbox has six numbers", "give four: these collections have no vertical axis")
    return shapely.box(*parse_box(given["bbox"], reference).astuple())


def _geometry(kind: str, given: dict[str, str], reference: Reference, limits: EdrLimits) -> BaseGeometry:
    if "coords" not in given:
        raise InvalidInput("coords is missing", f"give {_EXAMPLES[kind]}")
    geometry = _shape(kind, given["coords"], limits.vertices)
    if reference.y_first:
        geometry = shapely.transform(geometry, lambda xy: xy[:, ::-1])
    if kind == "position" and shapely.get_num_geometries(geometry) > limits.points:
        raise LimitExceeded(
            f"coords has {shapely.get_num_geometries(geometry)} points", f"give at most {limits.points} at once"
        )
    if kind == "area" and not shapely.is_valid(geometry):
        raise InvalidArea(f"coords is no valid polygon: {shapely.is_valid_reason(geometry)[:80]}", "mend its rings")
    return _circle(geometry, given, reference, limits.radius_m) if kind == "radius" else geometry


def _shape(kind: str, text: str, most: int) -> BaseGeometry:
    """A geometry from well-known text, its coordinates in the order given.

    Raises:
        InvalidInput: when it is none of the kinds that the query takes.
        LimitExceeded: when it has too many vertices.
    """
    refusal = InvalidInput(f"coords is {text[:80]!r}", f"give well-known text such as {_EXAMPLES[kind]}")
    if not _WKT.fullmatch(text):
        raise refusal
    try:
        geometry: Any = shapely.from_wkt(text)
    except ShapelyError as error:
        raise refusal from error
    if geometry is None or geometry.geom_type not in _KINDS[kind] or geometry.is_empty or geometry.has_z:
        raise refusal
    xy = shapely.get_coordinates(geometry)
    if len(xy) > most:
        raise LimitExceeded(f"coords has {len(xy)} vertices", f"give at most {most}")
    if (
        not np.isfinite(xy).all()
        or np.abs(xy).max() > 1e9
        or any(part.is_empty for part in shapely.get_parts(geometry))
    ):
        raise refusal
    return geometry


def _circle(point: BaseGeometry, given: dict[str, str], reference: Reference, most_m: float) -> Polygon:
    """The circle around a point as a polygon in CRS84."""
    radius_m = _radius(given, most_m)
    xy = shapely.get_coordinates(point)
    (lon,), (lat,) = project_points(xy[:, 0].tolist(), xy[:, 1].tolist(), reference.crs, CRS84.crs)
    if not (math.isfinite(lon) and abs(lon) <= 180 and abs(lat) <= 90):
        raise InvalidInput(f"coords is {given['coords'][:80]!r}, which is not on the globe", "see to the order of axes")
    azimuths = np.linspace(0, 360, _CIRCLE, endpoint=False)
    lons, lats, _ = _WGS84.fwd(np.full(_CIRCLE, lon), np.full(_CIRCLE, lat), azimuths, np.full(_CIRCLE, radius_m))
    circle = Polygon(np.column_stack([lons, lats]))
    if not circle.is_valid or not circle.contains(Point(lon, lat)):
        raise InvalidArea("the circle holds a pole or the antimeridian", "ask for the two sides one by one")
    return circle


def _radius(given: dict[str, str], most_m: float) -> float:
    if "within" not in given or "within-units" not in given:
        raise InvalidInput("within or within-units is missing", "give within=5&within-units=km")
    factor = WITHIN_UNITS.get(given["within-units"])
    if factor is None:
        raise InvalidInput(f"within-units is {given['within-units'][:80]!r}", f"use {' or '.join(WITHIN_UNITS)}")
    try:
        radius_m = float(given["within"]) * factor
    except ValueError:
        radius_m = math.nan
    if not radius_m > 0:
        raise InvalidInput(f"within is {given['within'][:80]!r}", "give a number above 0")
    if radius_m > most_m:
        raise LimitExceeded(f"within is {radius_m / 1000:g} km", f"give at most {most_m / 1000:g} km")
    return radius_m
