"""The parts of the OpenAPI document about features."""

from typing import Final

from processors.feature_documents import CSV, GEOJSON
from processors.feature_query import CRS, DEFAULT
from processors.feature_query import PARAMETERS as FEATURE_PARAMETERS
from processors.feature_schemas import PROPERTIES, searched
from processors.openapi_parts import HTML, Json, errors, form, query
from processors.search_paging import MOST_SKIPPED

_TEXT: Final[Json] = {"type": "string"}
_BOX: Final[Json] = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}
_CRS: Final[Json] = {"type": "string", "format": "uri", "enum": [each.uri for each in CRS]}
_PARAMETERS: Final[dict[str, tuple[str, Json]]] = {
    "bbox": ("Lower and upper corner, in the axis order of bbox-crs.", _BOX),
    "bbox-crs": ("CRS of bbox; CRS84 without it.", _CRS),
    "datetime": ("Instant or interval that the period of sampling meets.", _TEXT),
    "limit": ("Most features in one answer; an operator may give fewer.",
              {"type": "integer", "minimum": 1, "maximum": 1000, "default": DEFAULT}),
    "offset": ("Features to skip.", {"type": "integer", "minimum": 0, "maximum": MOST_SKIPPED, "default": 0}),
    "token": ("From the link of rel next.", _TEXT),
    "crs": ("CRS of the answer; CRS84 without it.", _CRS),
    "filter": ("Condition in CQL2 on the queryables.", _TEXT),
    "filter-lang": ("Language of filter.", {"type": "string", "enum": ["cql2-text", "cql2-json"]}),
    "filter-crs": ("CRS of the geometries in filter; CRS84 without it.", _CRS),
    "sortby": ("Properties to sort by, as +name or -name.", {"type": "array", "items": _TEXT}),
    "properties": ("Properties of the answer; what they cannot go without comes along.",
                   {"type": "array", "items": _TEXT}),
}  # fmt: skip
_KIND: Final[Json] = {"schema": {"type": "object"}}


def feature_paths() -> Json:
    """The paths of the collections of features; responses of :mod:`processors.openapi` are referred to."""
    return {path: {"get": about} for collection in PROPERTIES for path, about in _paths(collection)}


def _paths(collection: str) -> list[tuple[str, Json]]:
    base = f"/collections/{collection}"
    search = [query(name, *_PARAMETERS[name]) for name in FEATURE_PARAMETERS if name != "f"]
    search += [query(name, str(about["title"]), _bare(about)) for name, about in searched(collection).items()]
    one: Json = {"name": "featureId", "in": "path", "required": True, "schema": _TEXT}
    pages: Json = {GEOJSON: _KIND, HTML: {"schema": _TEXT}}
    csv: Json = {CSV: {"schema": _TEXT}}
    described = [
        (f"{base}/{name}", _get(f"{collection}-{name}", f"{title} of {collection}", [form("json")],
                                {"application/schema+json": _KIND}))
        for name, title in (("queryables", "Queryables"), ("schema", "Schema"), ("sortables", "Sortables"))
    ]  # fmt: skip
    return [
        (f"{base}/items", _get(f"{collection}-items", f"Search {collection}",
                               [*search, form("json", "html", "csv")], pages | csv)),
        (f"{base}/items/{{featureId}}", _get(f"{collection}-item", f"One of {collection}",
                                             [one, query("crs", *_PARAMETERS["crs"]), form("json", "html")], pages)),
        *described,
    ]  # fmt: skip


def _bare(about: Json) -> Json:
    return {name: about[name] for name in ("type", "format") if name in about}


def _get(operation: str, summary: str, parameters: list[Json], content: Json) -> Json:
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["features"],
        "parameters": parameters,
        "responses": {
            "200": {"description": f"{summary}.", "content": content},
            **errors("400", "401", "404", "413", "503"),
        },
    }
