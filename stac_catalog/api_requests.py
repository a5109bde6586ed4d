"""What clients send to the STAC API, as a query on the search backend."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from cup4soil.errors import InvalidInput, LimitExceeded
from stac_catalog.api_fields import COLLECTION, ITEM, Fields, parse_fields
from stac_catalog.api_parameters import CRS84
from stac_catalog.api_query import parse_query
from stac_catalog.search_filter import parse_filter
from stac_catalog.search_query import (
    DEFAULT_LIMIT,
    Filter,
    Query,
    parse_geometry,
    parse_limit,
    parse_names,
    parse_period,
    parse_sort,
)
from stac_catalog.search_text import parse_terms
from stac_catalog.search_values import parse_bbox, shown

MOST_BODY_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """How a request is read.

    ``names`` are the parameters it may have; a page has ``most`` at most, and ``default_limit`` when it asks for no
    number; a filter that is text is in ``language``; ``collection`` is that of the address; ``of_items`` tells whether
    items or collections are asked for.
    """

    names: frozenset[str]
    most: int
    language: str
    collection: str | None = None
    default_limit: int = DEFAULT_LIMIT
    of_items: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, which parts of the items are wanted, and the values from which it was read."""

    query: Query
    fields: Fields | None
    values: Mapping[str, Any]


def asked_by_get(request: Request, reading: Reading) -> Asked:
    """What the parameters of an address ask for.

    Raises:
        InvalidInput: for a parameter that is unknown, comes twice or has a bad value.
    """
    given = request.query_params.multi_items()
    values = dict(given)
    if len(values) < len(given):
        raise InvalidInput("a parameter is given twice", "give each once")
    return _asked(values, reading)


async def asked_by_post(request: Request, reading: Reading) -> Asked:
    """What the body of a request asks for.

    Raises:
        InvalidInput: as :func:`asked_by_get`, or when the body is no JSON object.
        LimitExceeded: when it is too large.
    """
    values = await read_object(request)
    if isinstance(values.get("bbox"), str):
        raise InvalidInput(f"bbox is {shown(values['bbox'])}", "give a list of numbers")
    return _asked(values, reading)


async def read_object(request: Request, most_bytes: int = MOST_BODY_BYTES) -> dict[str, Any]:
    """The JSON object that a request's body is.

    Raises:
        InvalidInput: when it is none.
        LimitExceeded: when it is too large.
    """
    values = await read_json(request, most_bytes)
    if not isinstance(values, dict):
        raise InvalidInput("the request is no JSON object", "send a JSON object")
    return values


async def read_json(request: Request, most_bytes: int = MOST_BODY_BYTES) -> Any:
    """The JSON that a request's body is. Raises as :func:`read_object`."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most_bytes:
            raise LimitExceeded(f"the request is larger than {most_bytes} bytes", "send less")
    try:
        values = json.loads(body)
        # A lone surrogate is JSON but no text.
        json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidInput("the request is no JSON", "send a JSON object in UTF-8") from error
    return values


_READERS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "collections": ("collections", lambda value: parse_names(value, "collections")),
    "ids": ("ids", lambda value: parse_names(value, "ids")),
    "bbox": ("boxes", parse_bbox),
    "intersects": ("intersects", parse_geometry),
    "datetime": ("period", parse_period),
    "sortby": ("sort", parse_sort),
    "q": ("terms", parse_terms),
    "token": ("token", lambda value: _text(value, "token")),
}


def _asked(values: Mapping[str, Any], reading: Reading) -> Asked:
    if unknown := sorted(set(values) - reading.names):
        raise InvalidInput(f"{shown(unknown[0])} is no parameter", f"known are {', '.join(sorted(reading.names))}")
    # In a body, null is as good as absent, but for fields, whose members may be null.
    given = {name: value for name, value in values.items() if value is not None or name == "fields"}
    if "bbox" in given and "intersects" in given:
        raise InvalidInput("bbox and intersects are both given", "give one of them")
    read = {field: reader(given[name]) for name, (field, reader) in _READERS.items() if name in given}
    read["limit"] = parse_limit(given["limit"], reading.most) if "limit" in given else reading.default_limit
    read["filter"] = _filter(given, reading.language)
    if reading.collection is not None:
        read["collections"] = (reading.collection,)
    if given.get("filter-crs", CRS84) != CRS84:
        raise InvalidInput(f"filter-crs is {shown(given['filter-crs'])}", f"give {CRS84}")
    fields = parse_fields(given["fields"], ITEM if reading.of_items else COLLECTION) if "fields" in given else None
    return Asked(Query(**read), fields, given)


def _filter(given: Mapping[str, Any], language: str) -> Filter | None:
    """What filter and query ask together."""
    parts = []
    if "filter" in given:
        parts.append(parse_filter(given["filter"], _language(given, language)))
    if "query" in given:
        parts.append(parse_query(given["query"]))
    return {"op": "and", "args": parts} if len(parts) > 1 else next(iter(parts), None)


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
