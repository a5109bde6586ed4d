"""Areas of interest: reading, checking and projecting polygons and boxes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from odc.geo.crs import CRS
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity

from cup4soil.errors import InvalidArea, NotFound
from cup4soil.grids import Bounds, crs_code, parse_crs

WGS84 = CRS("EPSG:4326")
MAX_AREA_BYTES = 20_000_000
_DENSIFY_STEPS = 21


def read_area(path: Path) -> tuple[BaseGeometry, CRS]:
    """Read a GeoJSON file: its polygons as one geometry, and their CRS.

    Coordinates are WGS 84 longitude, latitude (RFC 7946) unless the file carries the older ``crs`` member.

    Raises:
        NotFound: when there is no such file.
        InvalidArea: when it holds no usable polygon.
    """
    if not path.is_file():
        raise NotFound(f"no area file {path}", "give a GeoJSON file with a polygon")
    if path.stat().st_size > MAX_AREA_BYTES:
        raise InvalidArea(f"{path} is larger than {MAX_AREA_BYTES} bytes", "simplify the area")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise InvalidArea(f"{path} is no GeoJSON: {error}", "give a GeoJSON file with a polygon") from error
    return parse_area(document, name=str(path))


def parse_area(document: object, *, name: str = "the area") -> tuple[BaseGeometry, CRS]:
    """As :func:`read_area`, from a parsed document."""
    if not isinstance(document, Mapping):
        raise InvalidArea(f"{name} is no GeoJSON object", "give a Polygon, MultiPolygon, Feature or FeatureCollection")
    crs = _document_crs(document)
    polygons = [part for geometry in _geometries(document, name) for part in _polygons(geometry, name)]
    for polygon in polygons:
        _check_polygon(polygon, crs, name)
    area = shapely.union_all(polygons)
    if area.is_empty or area.area <= 0:
        raise InvalidArea(f"{name} has no extent", "give a polygon with an area")
    return area, crs


def box_area(bounds: Bounds, crs: CRS = WGS84) -> BaseGeometry:
    """The polygon of a box, checked as any other area."""
    polygon = box(*bounds.astuple())
    _check_polygon(polygon, crs, "the bounding box")
    return polygon


def project(geometry: BaseGeometry, source: CRS, target: CRS) -> BaseGeometry:
    """``geometry`` in another CRS, its edges densified first so that their curvature is kept.

    Raises:
        InvalidArea: when a part of it does not exist in the target CRS.
    """
    if source == target:
        return geometry
    left, bottom, right, top = geometry.bounds
    longest = max(right - left, top - bottom) / _DENSIFY_STEPS
    dense = shapely.segmentize(geometry, longest) if longest > 0 else geometry
    transformer = pyproj.Transformer.from_crs(crs_code(source), crs_code(target), always_xy=True)
    projected = shapely.transform(dense, lambda xy: _transform(transformer, xy))
    if not all(map(_finite, projected.bounds)):
        raise InvalidArea(f"the area lies outside the domain of {crs_code(target)}", "choose another CRS or area")
    return projected


def bounds_of(geometry: BaseGeometry) -> Bounds:
    """Bounding box of a geometry with an extent."""
    return Bounds(*geometry.bounds)


def footprint(bounds: Bounds, crs: CRS) -> dict[str, Any]:
    """GeoJSON polygon in WGS 84 of a box in ``crs``, its edges densified, to 7 decimals (1 cm)."""
    polygon = shapely.set_precision(project(box(*bounds.astuple()), crs, WGS84), 1e-7)
    geometry: dict[str, Any] = json.loads(json.dumps(mapping(shapely.orient_polygons(shapely.normalize(polygon)))))
    return geometry


def _transform(transformer: pyproj.Transformer, xy: Any) -> Any:
    x, y = transformer.transform(xy[:, 0], xy[:, 1])
    return np.column_stack([x, y])


def _finite(value: float) -> bool:
    return abs(value) < float("inf")


def _document_crs(document: Mapping[str, Any]) -> CRS:
    member = document.get("crs")
    if member is None:
        return WGS84
    properties = member.get("properties") if isinstance(member, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    if not isinstance(name, str):
        raise InvalidArea("the area's crs member has no name", "leave it out for WGS 84, or name one such as EPSG:3035")
    return WGS84 if name.endswith("CRS84") else parse_crs(name)


def _geometries(document: Mapping[str, Any], name: str) -> list[BaseGeometry]:
    kind = document.get("type")
    if kind == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list):
            raise InvalidArea(f"{name} is a FeatureCollection without features", "give at least one polygon")
        parts = [feature.get("geometry") for feature in features if isinstance(feature, Mapping)]
    elif kind == "Feature":
        parts = [document.get("geometry")]
    else:
        parts = [document]
    if not parts:
        raise InvalidArea(f"{name} holds no feature", "give at least one polygon")
    if any(part is None for part in parts):
        raise InvalidArea(f"{name} holds a feature without geometry", "give a Polygon or MultiPolygon for each")
    try:
        return [shape(part) for part in parts]
    except (shapely.errors.ShapelyError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidArea(
            f"{name} holds a geometry that cannot be read: {error}", "give a Polygon or MultiPolygon"
        ) from error


def _polygons(geometry: BaseGeometry, name: str) -> list[Polygon]:
    if isinstance(geometry, Polygon):
        return [geometry]
    if isinstance(geometry, MultiPolygon):
        return list(geometry.geoms)
    raise InvalidArea(f"{name} holds a {geometry.geom_type}", "give a Polygon or MultiPolygon")


def _check_polygon(polygon: Polygon, crs: CRS, name: str) -> None:
    if polygon.is_empty:
        raise InvalidArea(f"{name} is empty", "give a polygon with an area")
    if not polygon.is_valid:
        raise InvalidArea(f"{name} is no valid polygon: {explain_validity(polygon)}", "mend its outline")
    if not crs.geographic:
        return
    left, bottom, right, top = polygon.bounds
    if left < -180 or right > 180 or bottom < -90 or top > 90:
        raise InvalidArea(
            f"{name} reaches outside longitude -180..180, latitude -90..90",
            "give longitude before latitude, and cut an area at the antimeridian into two polygons",
        )
    if right - left > 180:
        raise InvalidArea(
            f"{name} spans {right - left:.0f} degrees of longitude", "cut an area at the antimeridian into two polygons"
        )
