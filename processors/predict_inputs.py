"""The inputs of the process ``predict-soil-property``: described, checked, read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
from jsonschema.exceptions import best_match

from cup4soil.areas import parse_area
from cup4soil.depths import Depth
from cup4soil.errors import InvalidArea, InvalidInput, LimitExceeded
from cup4soil.soil_areas import AreaOfInterest
from processors.coverages import Interval
from processors.crs import CRS84, CRS84_URI, parse_reference
from processors.times import parse_interval

_GEOJSON = ["Polygon", "MultiPolygon", "Feature", "FeatureCollection"]
_NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
_CRS = {"type": "string", "maxLength": 200, "default": CRS84_URI}
INPUTS: dict[str, Any] = {
    "aoi": {
        "title": "Area of interest",
        "description": "GeoJSON Polygon, MultiPolygon, Feature or FeatureCollection. Cells whose centre lies in it"
        " are mapped. One of aoi and bbox is needed.",
        "schema": {
            "type": "object",
            "format": "geojson-geometry",
            "required": ["type"],
            "properties": {"type": {"type": "string", "enum": _GEOJSON}},
        },
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "bbox": {
        "title": "Bounding box",
        "description": "Lower and upper corner in the axis order of its CRS. Cells that it touches are mapped.",
        "schema": {
            "oneOf": [
                {
                    "type": "object",
                    "format": "ogc-bbox",
                    "required": ["bbox"],
                    "properties": {"bbox": _NUMBERS, "crs": _CRS},
                    "additionalProperties": False,
                },
                _NUMBERS,
            ]
        },
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "bbox-crs": {
        "title": "CRS of the bounding box",
        "description": "URI or code, where the bounding box does not carry it: by default longitude, latitude.",
        "schema": _CRS,
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "property": {
        "title": "Soil property",
        "description": "Code of a property that has a model, such as soc (soil organic carbon).",
        "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]*$", "maxLength": 40, "default": "soc"},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "depth": {
        "title": "Depth interval",
        "description": "Such as 0-20cm; may be left out where the property is mapped at one depth only.",
        "schema": {"type": "string", "maxLength": 40},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "period": {
        "title": "Period",
        "description": "Time of the covariates: a date, a year or from/to. The latest that meets it is taken.",
        "schema": {"type": "string", "maxLength": 80},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "statistics": {
        "title": "Statistics",
        "description": "Whether statistics of the area are computed.",
        "schema": {"type": "boolean", "default": True},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
}
_VALIDATOR = jsonschema.Draft202012Validator(
    {
        "type": "object",
        "properties": {name: described["schema"] for name, described in INPUTS.items()},
        "additionalProperties": False,
    }
)
_LONGEST_MESSAGE = 160


@dataclass(frozen=True, slots=True)
class PredictInputs:
    """What is to be predicted, where, and for when."""

    property_code: str
    depth: Depth | None
    area: AreaOfInterest
    period: Interval | None
    statistics: bool

    @classmethod
    def parse(cls, given: Mapping[str, Any], *, most_vertices: int) -> "PredictInputs":
        """Check and read the inputs of a request.

        Raises:
            InvalidInput: when one is missing, unknown or cannot be used.
            InvalidArea: when the area is none.
            LimitExceeded: when its outline has more than ``most_vertices`` vertices.
        """
        _check(given)
        return cls(
            given.get("property", "soc"),
            Depth.parse(given["depth"]) if "depth" in given else None,
            _area(given, most_vertices),
            parse_interval(given["period"], "period") if "period" in given else None,
            given.get("statistics", True),
        )


def _check(given: Mapping[str, Any]) -> None:
    error = best_match(_VALIDATOR.iter_errors(dict(given)))
    if error is None:
        return
    place = ".".join(str(part) for part in error.absolute_path)
    said = error.message if len(error.message) <= _LONGEST_MESSAGE else f"does not fit {error.validator}"
    raise InvalidInput(f"input {place}: {said}" if place else said, "see the description of the process")


def _area(given: Mapping[str, Any], most_vertices: int) -> AreaOfInterest:
    if ("aoi" in given) == ("bbox" in given):
        problem = "both aoi and bbox are given" if "aoi" in given else "neither aoi nor bbox is given"
        raise InvalidInput(problem, "give one of them")
    if "aoi" in given:
        if "bbox-crs" in given:
            raise InvalidInput("bbox-crs is given without bbox", "leave it out")
        return _polygon(given["aoi"], most_vertices)
    return _box(given["bbox"], given.get("bbox-crs"))


def _box(given: Any, crs: str | None) -> AreaOfInterest:
    if isinstance(given, Mapping):
        if crs is not None:
            raise InvalidInput("bbox-crs is given beside a bbox with a CRS of its own", "leave it out")
        crs, given = given.get("crs"), given["bbox"]
    reference = CRS84 if crs is None else parse_reference(crs, "bbox-crs")
    return AreaOfInterest.of_box(reference.box([_number(value) for value in given]), reference.crs)


def _polygon(document: Mapping[str, Any], most_vertices: int) -> AreaOfInterest:
    numbers = _count_numbers(document)
    if numbers > 2 * most_vertices:
        raise LimitExceeded(
            f"the outline of the area has more than the limit of {most_vertices} vertices", "simplify the area"
        )
    geometry, crs = parse_area({**document, "crs": _checked_crs(document["crs"])} if document.get("crs") else document)
    return AreaOfInterest.of_polygon(geometry, crs)


def _checked_crs(member: Any) -> dict[str, Any]:
    """The older crs member of GeoJSON with nothing in it but a code."""
    properties = member.get("properties") if isinstance(member, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    if not isinstance(name, str):
        raise InvalidArea("the area's crs member has no name", "leave it out for WGS 84, or name one such as EPSG:3035")
    reference = parse_reference(name, "the area's crs")
    return {"type": "name", "properties": {"name": f"EPSG:{reference.crs.epsg}"}}


def _count_numbers(value: Any) -> int:
    """How many numbers stand in a document, each of them one that a coordinate can be."""
    if isinstance(value, Mapping):
        parts = [part for name, part in value.items() if name not in ("properties", "crs")]
        return sum(_count_numbers(part) for part in parts)
    if isinstance(value, list):
        return sum(_count_numbers(part) for part in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        _number(value)
        return 1
    return 0


def _number(value: float) -> float:
    if not -1e9 <= value <= 1e9 or math.isnan(value):
        raise InvalidArea("a coordinate is not finite, or too large", "give coordinates of places on Earth")
    return float(value)
