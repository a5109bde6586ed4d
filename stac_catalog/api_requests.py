"""What clients send to the STAC API, as a query on the search index."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import attr
from fastapi import Path
from fastapi import Query as Parameter
from pydantic import WithJsonSchema
from stac_fastapi.types.search import APIRequest
from starlette.requests import Request

from cup4soil.errors import InvalidInput, LimitExceeded
from stac_catalog.api_fields import Fields, parse_fields
from stac_catalog.search_filter import parse_filter
from stac_catalog.search_query import (
    DEFAULT_LIMIT,
    Query,
    parse_geometry,
    parse_limit,
    parse_names,
    parse_period,
    parse_sort,
)
from stac_catalog.search_values import parse_bbox, shown

MOST_BODY_BYTES: Final = 1_000_000
_CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"

# Values arrive as text and are read by the same functions as those of a request's body, so that a bad one gets
# the same answer on both ways; these only tell the OpenAPI document what is meant.
_Text = Annotated[str | None, Parameter()]
_Bbox = Annotated[str | None, Parameter(description="west,south,east,north in degrees; or with heights, six numbers.")]
_Datetime = Annotated[str | None, Parameter(description="An instant, or start/end, of which one may be `..`.")]
_Limit = Annotated[
    Annotated[str, WithJsonSchema({"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT})] | None,
    Parameter(description="Items on a page."),
]
_Token = Annotated[str | None, Parameter(description="Leads to a further page; taken from the link `next`.")]
_Filter = Annotated[str | None, Parameter(alias="filter", description="CQL2.")]
_FilterLang = Annotated[
    Annotated[str, WithJsonSchema({"type": "string", "enum": ["cql2-text", "cql2-json"]})] | None,
    Parameter(alias="filter-lang", description="How the filter is written; `cql2-text` when not given."),
]
_FilterCrs = Annotated[str | None, Parameter(alias="filter-crs", description=f"Only {_CRS84}.")]
_Sort = Annotated[str | None, Parameter(description="Properties, each with + or - before it.")]
_Fields = Annotated[str | None, Parameter(description="Fields to include, or with - before them to exclude.")]


@attr.s(auto_attribs=True, kw_only=True)
class ItemsRequest(APIRequest):
    """Parameters of a collection's items, for the OpenAPI document: see :func:`asked_by_get`."""

    collection_id: Annotated[str, Path(description="Id of the collection.")]
    bbox: _Bbox = None
    datetime: _Datetime = None
    limit: _Limit = None
    token: _Token = None
    filter_text: _Filter = None
    filter_lang: _FilterLang = None
    filter_crs: _FilterCrs = None
    sortby: _Sort = None
    fields: _Fields = None


@attr.s(auto_attribs=True, kw_only=True)
class SearchRequest(APIRequest):
    """Parameters of a search, for the OpenAPI document: see :func:`asked_by_get`."""

    collections: Annotated[str | None, Parameter(description="Ids of collections.")] = None
    ids: Annotated[str | None, Parameter(description="Ids of items.")] = None
    bbox: _Bbox = None
    intersects: Annotated[str | None, Parameter(description="GeoJSON geometry; not together with bbox.")] = None
    datetime: _Datetime = None
    limit: _Limit = None
    token: _Token = None
    filter_text: _Filter = None
    filter_lang: _FilterLang = None
    filter_crs: _FilterCrs = None
    sortby: _Sort = None
    fields: _Fields = None


ITEMS_NAMES: Final = frozenset(
    {"bbox", "datetime", "limit", "token", "filter", "filter-lang", "filter-crs", "sortby", "fields"}
)
SEARCH_NAMES: Final = ITEMS_NAMES | {"collections", "ids", "intersects"}

# The body of a search by POST, for the OpenAPI document.
SEARCH_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "collections": {"type": "array", "items": {"type": "string"}},
                    "ids": {"type": "array", "items": {"type": "string"}},
                    "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
                    "intersects": {"type": "object", "description": "GeoJSON geometry; not together with bbox."},
                    "datetime": {"type": "string"},
                    "limit": {"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT},
                    "token": {"type": "string"},
                    "filter": {"description": "CQL2."},
                    "filter-lang": {"type": "string", "enum": ["cql2-json", "cql2-text"], "default": "cql2-json"},
                    "filter-crs": {"type": "string"},
                    "sortby": {"type": "array", "items": {"type": "object"}},
                    "fields": {"type": "object"},
                },
            }
        }
    },
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, which parts of the items are wanted, and the values from which it was read."""

    query: Query
    fields: Fields | None
    values: Mapping[str, Any]


def asked_by_get(request: Request, names: frozenset[str], most: int, collection: str | None = None) -> Asked:
    """What the parameters of an address ask for, of one collection or of all.

    Raises:
        InvalidInput: for a parameter that is not one of ``names``, comes twice or has a bad value.
    """
    given = request.query_params.multi_items()
    values = dict(given)
    if len(values) < len(given):
        raise InvalidInput("a parameter is given twice", "give each once")
    return _asked(values, names, most, "cql2-text", collection)


async def asked_by_post(request: Request, most: int) -> Asked:
    """What the body of a request asks for.

    Raises:
        InvalidInput: as :func:`asked_by_get`, or when the body is no JSON object.
        LimitExceeded: when it is too large.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BODY_BYTES:
            raise LimitExceeded(f"the request is larger than {MOST_BODY_BYTES} bytes", "send less")
    try:
        values = json.loads(body)
        # A lone surrogate is JSON but no text.
        json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidInput("the request is no JSON", "send a JSON object in UTF-8") from error
    if not isinstance(values, dict):
        raise InvalidInput("the request is no JSON object", "send a JSON object")
    return _asked(values, SEARCH_NAMES, most, "cql2-json", None)


_READERS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "collections": ("collections", lambda value: parse_names(value, "collections")),
    "ids": ("ids", lambda value: parse_names(value, "ids")),
    "bbox": ("boxes", parse_bbox),
    "intersects": ("intersects", parse_geometry),
    "datetime": ("period", parse_period),
    "sortby": ("sort", parse_sort),
    "token": ("token", lambda value: _text(value, "token")),
}


def _asked(values: Mapping[str, Any], names: frozenset[str], most: int, language: str, collection: str | None) -> Asked:
    if unknown := sorted(set(values) - names):
        raise InvalidInput(f"{shown(unknown[0])} is no parameter", f"known are {', '.join(sorted(names))}")
    # In a body, null is as good as absent.
    given = {name: value for name, value in values.items() if value is not None}
    if "bbox" in given and "intersects" in given:
        raise InvalidInput("bbox and intersects are both given", "give one of them")
    read = {field: reader(given[name]) for name, (field, reader) in _READERS.items() if name in given}
    if "limit" in given:
        read["limit"] = parse_limit(given["limit"], most)
    if "filter" in given:
        read["filter"] = parse_filter(given["filter"], _language(given, language))
    if collection is not None:
        read["collections"] = (collection,)
    if given.get("filter-crs", _CRS84) != _CRS84:
        raise InvalidInput(f"filter-crs is {shown(given['filter-crs'])}", f"give {_CRS84}")
    fields = parse_fields(given["fields"]) if "fields" in given else None
    return Asked(Query(**read), fields, given)


def _language(given: Mapping[str, Any], default: str) -> str:
    """The filter's language; an object is JSON, for text the request's way decides."""
    stated = given.get("filter-lang")
    if stated is not None:
        return _text(stated, "filter-lang")
    return default if isinstance(given["filter"], str) else "cql2-json"


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{name} is {shown(value)}", "give text")
    return value
