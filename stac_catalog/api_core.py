"""The core of the STAC API: landing page, collections, items, search."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import attr
from fastapi import FastAPI
from stac_fastapi.types.core import AsyncBaseCoreClient
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cup4soil.errors import NotFound
from stac_catalog.api_aggregations import aggregation_links
from stac_catalog.api_browsing import browsable
from stac_catalog.api_collections import CollectionSearch
from stac_catalog.api_parameters import ITEMS_NAMES, SEARCH_NAMES
from stac_catalog.api_requests import Asked, Reading, asked_by_get, asked_by_post
from stac_catalog.api_service import Service, link, no_collection
from stac_catalog.search_documents import GEOJSON, JSON, QUERYABLES_REL, SCHEMA, SORTABLES_REL, compact, tag_of
from stac_catalog.search_values import shown

OPENAPI: Final = "application/vnd.oai.openapi+json;version=3.1"


@attr.s(auto_attribs=True, kw_only=True)
class CoreClient(AsyncBaseCoreClient):
    """The core of the API. What is asked is read from the request: see :mod:`stac_catalog.api_requests`.

    The methods return responses, which stac-fastapi passes on as they are, though its types ask for documents.
    """

    service: Service
    searching: CollectionSearch

    async def landing_page(self, **kwargs: Any) -> Any:
        """What the API is, where its parts are, and which collections there are."""
        request: Request = kwargs["request"]
        titles = await self.service.quick(self.service.backend.titles)
        here = self.service.addresses.api(request)
        links = [
            link("self", here, JSON),
            link("root", here, JSON, title=self.title),
            link("data", f"{here}collections", JSON, title="Collections"),
            link("children", f"{here}children", JSON, title="Collections with their items"),
            link("conformance", f"{here}conformance", JSON, title="What the API conforms to"),
            link("search", f"{here}search", GEOJSON, title="Search by GET", method="GET"),
            link("search", f"{here}search", GEOJSON, title="Search by POST", method="POST"),
            link(QUERYABLES_REL, f"{here}queryables", SCHEMA, title="What items can be selected by"),
            link(SORTABLES_REL, f"{here}sortables", SCHEMA, title="What items can be sorted by"),
            *aggregation_links(here.rstrip("/")),
            link("service-desc", f"{here}api", OPENAPI, title="How the service is asked"),
            *self._pages(request),
            *(link("child", f"{here}collections/{quote(name)}", JSON, title=title) for name, title in titles.items()),
        ]
        page = {
            "type": "Catalog",
            "id": self.landing_page_id,
            "stac_version": self.stac_version,
            "title": self.title,
            "description": self.description,
            "conformsTo": self.conformance_classes(),
            "links": links,
        }
        return Response(compact(page), media_type=JSON)

    def _pages(self, request: Request) -> list[dict[str, Any]]:
        """Link to the page in which the application describes itself, where there is one."""
        app: FastAPI = request.app
        base = self.service.addresses.files(request).rstrip("/")
        title = "How the service is asked, as a page"
        return [link("service-doc", f"{base}{app.docs_url}", "text/html", title=title)] if app.docs_url else []

    async def all_collections(self, **kwargs: Any) -> Any:
        """The collections that fit; all of them unless something is asked."""
        return await self.searching.get(kwargs["request"])

    async def get_collection(self, collection_id: str, **kwargs: Any) -> Any:
        """A collection, with links to its items."""
        backend = self.service.backend
        text = await self.service.quick(lambda: backend.collection(collection_id))
        if text is None:
            raise no_collection(collection_id)
        whole = await run_in_threadpool(browsable, backend, collection_id, text)
        return self.service.answer(whole, kwargs["request"])

    async def get_item(self, item_id: str, collection_id: str, **kwargs: Any) -> Any:
        """An item."""
        text = await self.service.quick(lambda: self.service.backend.item(collection_id, item_id))
        if text is None:
            raise NotFound(f"no item {shown(item_id)} in the collection {shown(collection_id)}", "search for items")
        answer = self.service.answer(text, kwargs["request"], GEOJSON)
        answer.headers["ETag"] = tag_of(text)
        return answer

    async def item_collection(self, collection_id: str, *_: Any, **kwargs: Any) -> Any:
        """Items of a collection, page by page."""
        request: Request = kwargs["request"]
        asked = asked_by_get(request, self._reading(ITEMS_NAMES, "cql2-text", collection_id))
        await self.service.known(collection_id)
        here = self.service.addresses.api(request)
        parent = link("collection", f"{here}collections/{quote(collection_id)}", JSON)
        return await self._found(request, asked, [parent])

    async def get_search(self, *_: Any, **kwargs: Any) -> Any:
        """Items of all collections that fit the parameters."""
        request: Request = kwargs["request"]
        return await self._found(request, asked_by_get(request, self._reading(SEARCH_NAMES, "cql2-text")), [])

    async def post_search(self, *_: Any, **kwargs: Any) -> Any:
        """Items of all collections that fit the body."""
        request: Request = kwargs["request"]
        return await self._found(request, await asked_by_post(request, self._reading(SEARCH_NAMES, "cql2-json")), [])

    def _reading(self, names: frozenset[str], language: str, collection: str | None = None) -> Reading:
        return Reading(names, self.service.most_items, language, collection)

    async def _found(self, request: Request, asked: Asked, links: list[dict[str, Any]]) -> Response:
        content = await self.service.searched(lambda: self._search(request, asked, links))
        return Response(content, media_type=GEOJSON)

    def _search(self, request: Request, asked: Asked, links: list[dict[str, Any]]) -> str:
        page = self.service.backend.search(asked.query)
        items: Sequence[str] = page.items
        if asked.fields is not None:
            items = [compact(asked.fields.of(json.loads(text))) for text in items]
        body = ",".join(self.service.addresses.fill(text, request) for text in items)
        links = [*self.service.paging(request, asked.values, page.token, GEOJSON), *links]
        links.append(link("root", self.service.addresses.api(request), JSON))
        rest: dict[str, Any] = {"links": links, "numberReturned": len(items)}
        if page.matched is not None:
            rest["numberMatched"] = page.matched
        rest["timeStamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f'{{"type":"FeatureCollection","features":[{body}],{compact(rest)[1:]}'
