"""The parts of the OpenAPI document about EDR and Records."""

from typing import Final

from processors.coverage_formats import COVERAGE_JSON
from processors.edr_formats import CSV, GEOJSON
from processors.edr_query import PARAMETERS as EDR_PARAMETERS
from processors.edr_query import WITHIN_UNITS
from processors.openapi_parts import HTML, Json, errors, query
from processors.records_documents import COLLECTION as RECORDS
from processors.records_query import DEFAULT, MOST, TYPES
from processors.records_query import PARAMETERS as RECORDS_PARAMETERS
from processors.search_paging import MOST_SKIPPED

TAGS: Final = ("edr", "records", "maps", "features")
_TEXT: Final[Json] = {"type": "string"}
_BOX: Final[Json] = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
_LIST: Final[Json] = {"type": "array", "items": _TEXT}
_OBJECT: Final[Json] = {"schema": {"type": "object"}}
_EDR: Final[dict[str, tuple[str, Json]]] = {
    "coords": ("Well-known text, coordinates in the axis order of crs: POINT(14.5 52.4).", _TEXT),
    "bbox": ("Lower and upper corner, in the axis order of crs.", _BOX),
    "within": ("Radius of the circle.", {"type": "number", "minimum": 0}),
    "within-units": ("Unit of the radius.", {"type": "string", "enum": list(WITHIN_UNITS)}),
    "parameter-name": ("Fields by name; all without it.", _LIST),
    "datetime": ("Instant: the latest period that meets it; interval: a series of all that do.", _TEXT),
    "crs": ("CRS of the coordinates and of the answer; without it CRS84, and grids as they are stored.", _TEXT),
    "f": ("Format of the answer.", {"type": "string", "enum": ["CoverageJSON", "GeoJSON", "CSV"]}),
}
_NEEDED: Final = ("coords", "within", "within-units")
_RECORDS: Final[dict[str, tuple[str, Json]]] = {
    "q": ("Terms separated by commas, one of which stands in title, description or keywords.", _TEXT),
    "bbox": ("West, south, east, north in degrees.", _BOX),
    "datetime": ("Instant or interval that the product's period meets.", _TEXT),
    "type": ("Kinds of resource.", {"type": "array", "items": {"type": "string", "enum": list(TYPES)}}),
    "ids": ("Ids of records.", _LIST),
    "externalIds": ("Ids that producers gave the products, with or without their scheme.", _LIST),
    "property": ("Code of the soil property, such as soc.", _TEXT),
    "depth": ("Depth interval, such as 0-20cm.", _TEXT),
    "limit": ("Most records in one answer.", {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT}),
    "offset": ("Records to skip.", {"type": "integer", "minimum": 0, "maximum": MOST_SKIPPED}),
    "token": ("From the link of rel next.", _TEXT),
    "f": ("Format of the answer.", {"type": "string", "enum": ["json"]}),
}


def data_paths() -> Json:
    """The paths of EDR and Records; parameters and responses of :mod:`processors.openapi` are referred to."""
    return {f"/collections/{{collectionId}}/{kind}": {"get": _edr(kind)} for kind in EDR_PARAMETERS} | _records()


def _edr(kind: str) -> Json:
    known = {"$ref": "#/components/parameters/collectionId"}
    needed = (*_NEEDED, "bbox")
    content = {COVERAGE_JSON: _OBJECT, GEOJSON: _OBJECT, CSV: {"schema": _TEXT}}
    return {
        "operationId": f"edr-{kind}",
        "summary": f"Values by {kind}, with where they can be relied on",
        "tags": [TAGS[0]],
        "parameters": [known, *(_query(name, *_EDR[name], needed=name in needed) for name in EDR_PARAMETERS[kind])],
        "responses": {
            "200": {"description": "The values.", "content": content},
            **errors("400", "401", "404", "413", "503"),
        },
    }


def _records() -> Json:
    base = f"/collections/{RECORDS}"
    record = {"name": "recordId", "in": "path", "required": True, "schema": _TEXT}
    form = _query("f", *_RECORDS["f"])
    geojson, schema = {GEOJSON: _OBJECT}, {"application/schema+json": _OBJECT}
    lists = _RECORDS | {"f": ("Format of the list.", {"type": "string", "enum": ["json", "html"]})}
    search = [_query(name, *lists[name]) for name in RECORDS_PARAMETERS]
    return {
        f"{base}/items": {
            "get": _get("records", "Search the records of all products", search, geojson | {HTML: {"schema": _TEXT}})
        },
        f"{base}/items/{{recordId}}": {"get": _get("record", "A record", [record, form], geojson)},
        f"{base}/queryables": {"get": _get("recordQueryables", "Parameters of the search", [form], schema)},
        f"{base}/schema": {"get": _get("recordSchema", "Schema of records", [form], schema)},
    }


def _get(operation: str, summary: str, parameters: list[Json], content: Json) -> Json:
    return {
        "operationId": operation,
        "summary": summary,
        "tags": [TAGS[1]],
        "parameters": parameters,
        "responses": {
            "200": {"description": f"{summary}.", "content": content},
            **errors("400", "401", "404", "413", "503"),
        },
    }


def _query(name: str, text: str, schema: Json, *, needed: bool = False) -> Json:
    return query(name, text, schema) | ({"required": True} if needed else {})
