"""Collection search: which collections fit a place, a time, words or a filter."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import attr
import shapely
from stac_fastapi.extensions.collection_search.client import AsyncBaseCollectionSearchClient
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cup4soil.errors import InvalidInput
from stac_catalog.api_parameters import COLLECTIONS_NAMES
from stac_catalog.api_requests import Asked, Reading, asked_by_get, asked_by_post
from stac_catalog.api_service import Service, link
from stac_catalog.search_documents import JSON, QUERYABLES_REL, SCHEMA, SORTABLES_REL, compact
from stac_catalog.search_query import Query, SortField
from stac_catalog.search_text import standing
from stac_catalog.search_truth import fits
from stac_catalog.search_values import Box, Period, parse_bbox, parse_instant, shown

_MOST_DIGITS: Final = 7

type _Object = dict[str, Any]


@attr.s(auto_attribs=True, kw_only=True)
class CollectionSearch(AsyncBaseCollectionSearchClient):
    """Searches among the collections, by GET and by POST."""

    service: Service

    def reading(self, language: str) -> Reading:
        """How requests are read: a page has all collections unless a limit is given."""
        most = self.service.most_items
        return Reading(COLLECTIONS_NAMES, most, language, default_limit=most, of_items=False)

    async def get(self, request: Request) -> Response:
        """What GET /collections answers."""
        return await self._answer(request, asked_by_get(request, self.reading("cql2-text")))

    async def post_all_collections(self, *_: Any, **kwargs: Any) -> Any:
        """What POST /collections answers."""
        request: Request = kwargs["request"]
        return await self._answer(request, await asked_by_post(request, self.reading("cql2-json")))

    async def _answer(self, request: Request, asked: Asked) -> Response:
        texts = await self.service.quick(self.service.backend.collections)
        page = await run_in_threadpool(found, texts, asked)
        here = self.service.addresses.api(request)
        links = self.service.paging(request, asked.values, page.token, JSON)
        links += [
            link("root", here, JSON),
            link(QUERYABLES_REL, f"{here}collections-queryables", SCHEMA),
            link(SORTABLES_REL, f"{here}collections-sortables", SCHEMA),
        ]
        rest = {"links": links, "numberMatched": page.matched, "numberReturned": len(page.texts)}
        return self.service.answer(f'{{"collections":[{",".join(page.texts)}],{compact(rest)[1:]}', request)


@dataclass(frozen=True, slots=True)
class Found:
    """One page of collections, as JSON text."""

    texts: Sequence[str]
    token: str | None
    matched: int


def found(texts: Mapping[str, str], asked: Asked) -> Found:
    """The collections that fit, by id unless another order is asked for.

    Raises:
        InvalidInput: when the token is none.
    """
    query = asked.query
    first = _first(query.token)
    chosen = list(texts.values())
    if query.boxes or query.period or query.filter is not None or query.terms or query.sort:
        documents = [json.loads(text) for text in chosen]
        ordered = _ordered([each for each in documents if _fits(each, query)], query.sort)
        chosen = [compact(each) for each in ordered]
    page = chosen[first : first + query.limit]
    if asked.fields is not None:
        page = [compact(asked.fields.of(json.loads(text))) for text in page]
    end = first + query.limit
    return Found(page, str(end) if end < len(chosen) else None, len(chosen))


def members(collection: Mapping[str, Any]) -> _Object:
    """What a filter may speak of: descriptive members, time and place, and summaries, which are lists."""
    named = ("id", "title", "description", "license", "keywords")
    summaries = {name: each for name, each in collection.get("summaries", {}).items() if isinstance(each, list)}
    start, end = collection["extent"]["temporal"]["interval"][0]
    boxes = list(_boxes(collection))
    shape = shapely.union_all([box.shape for box in boxes])
    flat = {
        **summaries,
        **{name: collection.get(name) for name in named},
        "datetime": start,
        "end_datetime": end,
        "geometry": json.loads(shapely.to_geojson(shape)),
    }
    return {name: value for name, value in flat.items() if value is not None}


def _fits(collection: Mapping[str, Any], query: Query) -> bool:
    if query.boxes and not any(_touch(one, other) for one in query.boxes for other in _boxes(collection)):
        return False
    if query.period is not None and not _meets(collection, query.period):
        return False
    flat = members(collection) if query.terms or query.filter is not None else {}
    if query.terms and not standing(query.terms)(flat):
        return False
    return query.filter is None or fits(query.filter, flat)


def _boxes(collection: Mapping[str, Any]) -> Iterator[Box]:
    """Of several boxes the first holds all others (STAC 1.1)."""
    boxes = collection["extent"]["spatial"]["bbox"]
    for box in boxes[1:] or boxes:
        yield from parse_bbox(box)


def _touch(one: Box, other: Box) -> bool:
    across = one.west <= other.east and other.west <= one.east
    return across and one.south <= other.north and other.south <= one.north


def _meets(collection: Mapping[str, Any], period: Period) -> bool:
    for interval in collection["extent"]["temporal"]["interval"]:
        start, end = (None if each is None else parse_instant(each) for each in interval)
        begins = start is None or period.end is None or start <= period.end
        if begins and (end is None or period.start is None or end >= period.start):
            return True
    return False


def _ordered(collections: list[_Object], sort: Sequence[SortField]) -> list[_Object]:
    """Those that lack what they are sorted by come last."""
    for field in reversed(sort):
        keyed = [(_key(each, field.name), each) for each in collections]
        present = [(key, each) for key, each in keyed if key is not None]
        present.sort(key=lambda pair: pair[0], reverse=field.descending)
        collections = [each for _, each in present] + [each for key, each in keyed if key is None]
    return collections


def _key(collection: Mapping[str, Any], name: str) -> str | None:
    value = members(collection).get(name)
    return value if isinstance(value, str) else None


def _first(token: str | None) -> int:
    if token is None:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) <= _MOST_DIGITS):
        raise InvalidInput(f"token is {shown(token)}", "follow the link to the next page")
    return int(token)
