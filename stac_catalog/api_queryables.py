"""Queryables and sortables: JSON schemas of the properties that items can be selected and sorted by."""

from collections.abc import Mapping
from typing import Any, Final

from stac_catalog.search_backend import PropertySummary
from stac_catalog.search_values import Kind

_SCHEMA: Final = "https://json-schema.org/draft/2020-12/schema"
_JSON_TYPES: Final[dict[Kind, str]] = {"n": "number", "s": "string", "b": "boolean"}
_OWN: Final[dict[str, dict[str, Any]]] = {
    "id": {"title": "Id", "type": "string"},
    "collection": {"title": "Collection", "type": "string"},
    "datetime": {
        "title": "Time of the item, or the beginning of its period; in temporal functions the whole period",
        "type": "string",
        "format": "date-time",
    },
}
_GEOMETRY: Final = {"title": "Geometry", "$ref": "https://geojson.org/schema/Geometry.json"}


def queryables(address: str, title: str, properties: Mapping[str, PropertySummary]) -> dict[str, Any]:
    """The document of queryables at ``address``. Other properties may be named: no item has them."""
    found = {name: _described(summary) for name, summary in properties.items()}
    return _document(address, f"Queryables of {title}", _OWN | {"geometry": _GEOMETRY} | found)


def sortables(address: str, title: str, properties: Mapping[str, PropertySummary]) -> dict[str, Any]:
    """The document of sortables at ``address``."""
    found = {name: _described(each) for name, each in properties.items() if each.kinds & set(_JSON_TYPES)}
    return _document(address, f"Sortables of {title}", _OWN | found)


def _document(address: str, title: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "$schema": _SCHEMA,
        "$id": address,
        "type": "object",
        "title": title,
        "properties": dict(properties),
        "additionalProperties": True,
    }


def _described(summary: PropertySummary) -> dict[str, Any]:
    if "t" in summary.kinds:
        return {"type": "string", "format": "date-time"}
    if summary.values:
        return {"type": "string", "enum": list(summary.values)}
    types = sorted(_JSON_TYPES[kind] for kind in summary.kinds if kind in _JSON_TYPES)
    if not types or "j" in summary.kinds:
        return {}
    return {"type": types[0] if len(types) == 1 else types}
