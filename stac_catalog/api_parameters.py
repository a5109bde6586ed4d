"""Parameters of the STAC API as the OpenAPI document shows them; what clients send is read elsewhere.

Values arrive as text and are read by the same functions as those of a request's body, so that a bad one gets the same
answer on both ways (:mod:`stac_catalog.api_requests`); these classes only tell the document what is meant.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Final

import attr
from fastapi import Path
from fastapi import Query as Parameter
from pydantic import WithJsonSchema
from stac_fastapi.types.search import APIRequest

from stac_catalog.search_query import DEFAULT_LIMIT

CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"

_Bbox = Annotated[str | None, Parameter(description="west,south,east,north in degrees; or with heights, six numbers.")]
_Datetime = Annotated[str | None, Parameter(description="An instant, or start/end, of which one may be `..`.")]
_Limit = Annotated[
    Annotated[str, WithJsonSchema({"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT})] | None,
    Parameter(description="Items on a page."),
]
_CollectionLimit = Annotated[
    Annotated[str, WithJsonSchema({"type": "integer", "minimum": 1})] | None,
    Parameter(description="Collections on a page; all when not given."),
]
_Token = Annotated[str | None, Parameter(description="Leads to a further page; taken from the link `next`.")]
_Words = Annotated[
    str | None, Parameter(description="Terms separated by commas, one of which is to stand in the text.")
]
_Compare = Annotated[str | None, Parameter(description='Comparisons by property, such as `{"gsd": {"lte": 20}}`.')]
_Filter = Annotated[str | None, Parameter(alias="filter", description="CQL2.")]
_FilterLang = Annotated[
    Annotated[str, WithJsonSchema({"type": "string", "enum": ["cql2-text", "cql2-json"]})] | None,
    Parameter(alias="filter-lang", description="How the filter is written; `cql2-text` when not given."),
]
_FilterCrs = Annotated[str | None, Parameter(alias="filter-crs", description=f"Only {CRS84}.")]
_Sort = Annotated[str | None, Parameter(description="Properties, each with + or - before it.")]
_Fields = Annotated[str | None, Parameter(description="Fields to include, or with - before them to exclude.")]
_CollectionId = Annotated[str, Path(description="Id of the collection.")]


@attr.s(auto_attribs=True, kw_only=True)
class _Chosen(APIRequest):
    """What chooses items of one collection, or collections."""

    bbox: _Bbox = None
    datetime: _Datetime = None
    q: _Words = None
    query: _Compare = None
    filter_text: _Filter = None
    filter_lang: _FilterLang = None
    filter_crs: _FilterCrs = None


@attr.s(auto_attribs=True, kw_only=True)
class _Paged(_Chosen):
    token: _Token = None
    sortby: _Sort = None
    fields: _Fields = None


@attr.s(auto_attribs=True, kw_only=True)
class _Anywhere(_Chosen):
    """What chooses items of all collections."""

    collections: Annotated[str | None, Parameter(description="Ids of collections.")] = None
    ids: Annotated[str | None, Parameter(description="Ids of items.")] = None
    intersects: Annotated[str | None, Parameter(description="GeoJSON geometry; not together with bbox.")] = None


@attr.s(auto_attribs=True, kw_only=True)
class CollectionsRequest(_Paged):
    """Parameters of a search among the collections."""

    limit: _CollectionLimit = None


@attr.s(auto_attribs=True, kw_only=True)
class ItemsRequest(_Paged):
    """Parameters of a collection's items."""

    collection_id: _CollectionId
    limit: _Limit = None


@attr.s(auto_attribs=True, kw_only=True)
class SearchRequest(_Paged, _Anywhere):
    """Parameters of a search."""

    limit: _Limit = None


@attr.s(auto_attribs=True, kw_only=True)
class AggregateRequest(_Anywhere):
    """Parameters of an aggregation."""

    aggregations: Annotated[str | None, Parameter(description="Names of aggregations.")] = None
    datetime_frequency_interval: Annotated[
        Annotated[str, WithJsonSchema({"type": "string", "enum": ["year", "month", "day"]})] | None,
        Parameter(description="Interval of `datetime_frequency`; a readable one when not given."),
    ] = None
    grid_geohash_frequency_precision: Annotated[
        Annotated[str, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 6, "default": 2})] | None,
        Parameter(description="Characters of the geohashes of `grid_geohash_frequency`."),
    ] = None


@attr.s(auto_attribs=True, kw_only=True)
class AggregateItemsRequest(AggregateRequest):
    """Parameters of an aggregation of a collection's items."""

    collection_id: _CollectionId


_CHOSEN: Final = frozenset({"bbox", "datetime", "q", "query", "filter", "filter-lang", "filter-crs"})
_ANYWHERE: Final = _CHOSEN | {"collections", "ids", "intersects"}
COLLECTIONS_NAMES: Final = _CHOSEN | {"limit", "token", "sortby", "fields"}
ITEMS_NAMES: Final = COLLECTIONS_NAMES
SEARCH_NAMES: Final = _ANYWHERE | ITEMS_NAMES
AGGREGATE_NAMES: Final = _ANYWHERE | {
    "aggregations", "datetime_frequency_interval", "grid_geohash_frequency_precision",
}  # fmt: skip

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_MEMBERS: Final[dict[str, Any]] = {
    "collections": _TEXTS,
    "ids": _TEXTS,
    "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
    "intersects": {"type": "object", "description": "GeoJSON geometry; not together with bbox."},
    "datetime": _TEXT,
    "limit": {"type": "integer", "minimum": 1},
    "token": _TEXT,
    "q": _TEXTS,
    "query": {"type": "object", "additionalProperties": {"type": "object"}},
    "filter": {"description": "CQL2."},
    "filter-lang": {"type": "string", "enum": ["cql2-json", "cql2-text"], "default": "cql2-json"},
    "filter-crs": _TEXT,
    "sortby": {"type": "array", "items": {"type": "object"}},
    "fields": {"type": "object"},
    "aggregations": _TEXTS,
    "datetime_frequency_interval": {"type": "string", "enum": ["year", "month", "day"]},
    "grid_geohash_frequency_precision": {"type": "integer", "minimum": 1, "maximum": 6, "default": 2},
}


def body_of(names: Iterable[str]) -> dict[str, Any]:
    """A request's body with these members, for the OpenAPI document."""
    members = {name: _MEMBERS[name] for name in sorted(names)}
    schema = {"type": "object", "additionalProperties": False, "properties": members}
    return {"required": True, "content": {"application/json": {"schema": schema}}}
