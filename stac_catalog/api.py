"""The STAC API: stac-fastapi's routes over a search backend. It only reads."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import attr
import pystac
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import EmptyRequest
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions.fields import FieldsExtension
from stac_fastapi.extensions.filter import FilterExtension
from stac_fastapi.extensions.filter.client import AsyncBaseFiltersClient
from stac_fastapi.extensions.pagination import TokenPaginationExtension
from stac_fastapi.extensions.sort import AsyncBaseSortablesClient, SortExtension
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.core import AsyncBaseCoreClient
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cup4soil import __version__
from cup4soil.errors import NotFound
from cup4soil.settings import Settings
from stac_catalog.api_addresses import Addresses
from stac_catalog.api_queryables import queryables, sortables
from stac_catalog.api_requests import (
    ITEMS_NAMES,
    SEARCH_BODY,
    SEARCH_NAMES,
    Asked,
    ItemsRequest,
    SearchRequest,
    asked_by_get,
    asked_by_post,
)
from stac_catalog.catalogs import CATALOG_ID
from stac_catalog.search_backend import Page, SearchBackend
from stac_catalog.search_documents import GEOJSON, JSON, QUERYABLES_REL, compact
from stac_catalog.search_values import shown

_OPENAPI: Final = "application/vnd.oai.openapi+json;version=3.1"
_SCHEMA: Final = "application/schema+json"
_SORTABLES_REL: Final = "http://www.opengis.net/def/rel/ogc/1.0/sortables"
_FILTER: Final = (
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "https://api.stacspec.org/v1.0.0-rc.2/item-search#filter",
    *(
        f"http://www.opengis.net/spec/cql2/1.0/conf/{name}"
        for name in (
            "cql2-text", "cql2-json", "basic-cql2", "advanced-comparison-operators", "basic-spatial-functions",
            "basic-spatial-functions-plus", "spatial-functions",
        )
    ),
)  # fmt: skip
_FIELDS: Final = (
    "https://api.stacspec.org/v1.0.0/item-search#fields",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#fields",
)
# Clients look for 1.0.0, where a field is written in the same way; sortables are of 1.1.0.
_SORT: Final = (
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#sort",
    "https://api.stacspec.org/v1.1.0/item-search#sort",
    "https://api.stacspec.org/v1.1.0/ogcapi-features#sort",
    "https://api.stacspec.org/v1.1.0/item-search#sortables",
    "https://api.stacspec.org/v1.1.0/ogcapi-features#sortables",
)


def add_stac_api(
    app: FastAPI,
    backend: SearchBackend,
    settings: Settings,
    *,
    prefix: str = "/stac",
    public_url: str = "",
    trust_forwarded: bool = False,
    most_items: int = 1000,
) -> None:
    """Add the STAC API of the store that ``backend`` searches below ``prefix``.

    Addresses in answers begin with ``public_url``; without one with what the request says, including headers
    ``X-Forwarded-Proto``, ``-Host`` and ``-Prefix`` where ``trust_forwarded`` says that a proxy sets them.
    The files of the store are expected at ``/catalog``, and at ``/demo`` where there is such a folder.
    A page has ``most_items`` at most.
    Handlers, middleware and state of ``app`` are left as they are.

    Raises:
        StoreError: when the catalog is damaged or the backend cannot be used.
    """
    backend.sync()
    service = _Service(backend, Addresses(prefix, public_url, trust_forwarded=trust_forwarded), most_items)
    app.include_router(_router(service, settings, prefix))


def _router(service: "_Service", settings: Settings, prefix: str) -> APIRouter:
    """The routes that stac-fastapi makes, taken from an application of their own: it would change the given one."""
    client = _Client(service=service, landing_page_id=CATALOG_ID)
    filtering = FilterExtension(client=_Queryables(service=service), conformance_classes=list(_FILTER))
    sorting = SortExtension(client=_Sortables(service=service), conformance_classes=list(_SORT))
    fields = FieldsExtension(conformance_classes=list(_FIELDS))
    core = APIRouter(prefix=prefix)
    StacApi(
        settings=ApiSettings(
            _env_file=None,
            stac_fastapi_title=f"Soil products of {settings.organisation}",
            stac_fastapi_description="Bare-soil composites and soil maps with their uncertainty.",
            stac_fastapi_landing_id=CATALOG_ID,
            stac_fastapi_version=__version__,
        ),
        client=client,
        extensions=[filtering, sorting, fields, TokenPaginationExtension()],
        app=FastAPI(openapi_url="/api"),
        router=core,
        middlewares=[],
        exceptions={},
        search_get_request_model=SearchRequest,
        # The body is read by asked_by_post, with its limit.
        search_post_request_model=EmptyRequest,  # type: ignore[arg-type]
        stac_version=pystac.get_stac_version(),
        items_get_request_model=ItemsRequest,
    )
    for route in core.routes:
        if isinstance(route, APIRoute) and route.path == f"{prefix}/search" and "POST" in (route.methods or ()):
            route.openapi_extra = {"requestBody": SEARCH_BODY}
    # Clients leave out the slash at the end; a redirect would not be made beside other routes for the root.
    core.add_api_route("", create_async_endpoint(client.landing_page, EmptyRequest), include_in_schema=False)
    router = APIRouter(tags=["STAC"])
    for each in (core, filtering.router, sorting.router):
        router.include_router(each)
    return router


class _Service:
    """What the clients of stac-fastapi share."""

    def __init__(self, backend: SearchBackend, addresses: Addresses, most_items: int) -> None:
        self.backend = backend
        self.addresses = addresses
        self.most_items = most_items

    async def quick[T](self, ask: Callable[[], T]) -> T:
        """Answer of a question by name; other requests wait for it only where it takes no time."""
        if not self.backend.instant:
            return await run_in_threadpool(ask)
        if not self.backend.is_current():
            await run_in_threadpool(self.backend.sync)
        return ask()


@attr.s(auto_attribs=True, kw_only=True)
class _Client(AsyncBaseCoreClient):
    """The core of the API. What is asked is read from the request: see :mod:`stac_catalog.api_requests`.

    The methods return responses, which stac-fastapi passes on as they are, though its types ask for documents.
    """

    service: _Service

    async def landing_page(self, **kwargs: Any) -> Any:
        request: Request = kwargs["request"]
        titles = await self.service.quick(self.service.backend.titles)
        here = self.service.addresses.api(request)
        links = [
            _link("self", here, JSON),
            _link("root", here, JSON),
            _link("data", f"{here}collections", JSON),
            _link("conformance", f"{here}conformance", JSON),
            _link("search", f"{here}search", GEOJSON, method="GET"),
            _link("search", f"{here}search", GEOJSON, method="POST"),
            _link(QUERYABLES_REL, f"{here}queryables", _SCHEMA),
            _link(_SORTABLES_REL, f"{here}sortables", _SCHEMA),
            *self._descriptions(request),
            *(_link("child", f"{here}collections/{quote(name)}", JSON, title=title) for name, title in titles.items()),
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

    def _descriptions(self, request: Request) -> list[dict[str, Any]]:
        """Links to the documents that the application has of itself."""
        base = self.service.addresses.files(request).rstrip("/")
        app: FastAPI = request.app
        links = [_link("service-desc", f"{base}{app.openapi_url}", _OPENAPI)] if app.openapi_url else []
        return links + ([_link("service-doc", f"{base}{app.docs_url}", "text/html")] if app.docs_url else [])

    async def all_collections(self, **kwargs: Any) -> Any:
        request: Request = kwargs["request"]
        texts = await self.service.quick(self.service.backend.collections)
        here = self.service.addresses.api(request)
        links = compact({"links": [_link("self", f"{here}collections", JSON), _link("root", here, JSON)]})
        text = f'{{"collections":[{",".join(texts.values())}],{links[1:]}'
        return Response(self.service.addresses.fill(text, request), media_type=JSON)

    async def get_collection(self, collection_id: str, **kwargs: Any) -> Any:
        text = await self.service.quick(lambda: self.service.backend.collection(collection_id))
        if text is None:
            raise _no_collection(collection_id)
        return Response(self.service.addresses.fill(text, kwargs["request"]), media_type=JSON)

    async def get_item(self, item_id: str, collection_id: str, **kwargs: Any) -> Any:
        text = await self.service.quick(lambda: self.service.backend.item(collection_id, item_id))
        if text is None:
            raise NotFound(f"no item {shown(item_id)} in the collection {shown(collection_id)}", "search for items")
        return Response(self.service.addresses.fill(text, kwargs["request"]), media_type=GEOJSON)

    async def item_collection(self, collection_id: str, *_: Any, **kwargs: Any) -> Any:
        request: Request = kwargs["request"]
        asked = asked_by_get(request, ITEMS_NAMES, self.service.most_items, collection_id)
        if await self.service.quick(lambda: self.service.backend.collection(collection_id)) is None:
            raise _no_collection(collection_id)
        here = self.service.addresses.api(request)
        parent = _link("collection", f"{here}collections/{quote(collection_id)}", JSON)
        return await self._found(request, asked, [parent])

    async def get_search(self, *_: Any, **kwargs: Any) -> Any:
        request: Request = kwargs["request"]
        return await self._found(request, asked_by_get(request, SEARCH_NAMES, self.service.most_items), [])

    async def post_search(self, *_: Any, **kwargs: Any) -> Any:
        request: Request = kwargs["request"]
        return await self._found(request, await asked_by_post(request, self.service.most_items), [])

    async def _found(self, request: Request, asked: Asked, links: list[dict[str, Any]]) -> Response:
        content = await run_in_threadpool(self._search, request, asked, links)
        return Response(content, media_type=GEOJSON)

    def _search(self, request: Request, asked: Asked, links: list[dict[str, Any]]) -> str:
        page = self.service.backend.search(asked.query)
        items: Sequence[str] = page.items
        if asked.fields is not None:
            items = [compact(asked.fields.of(json.loads(text))) for text in items]
        body = ",".join(self.service.addresses.fill(text, request) for text in items)
        links = [*_paging(self.service.addresses.here(request), request, asked, page), *links]
        links.append(_link("root", self.service.addresses.api(request), JSON))
        rest: dict[str, Any] = {"links": links, "numberReturned": len(items)}
        if page.matched is not None:
            rest["numberMatched"] = page.matched
        rest["timeStamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f'{{"type":"FeatureCollection","features":[{body}],{compact(rest)[1:]}'


@attr.s(auto_attribs=True, kw_only=True)
class _Queryables(AsyncBaseFiltersClient):
    """Documents of queryables."""

    service: _Service

    async def get_queryables(self, collection_id: str | None = None, **kwargs: Any) -> dict[str, Any]:
        address, title, properties = await _described(self.service, kwargs["request"], collection_id)
        return queryables(address, title, properties)


@attr.s(auto_attribs=True, kw_only=True)
class _Sortables(AsyncBaseSortablesClient):
    """Documents of sortables."""

    service: _Service

    async def get_sortables(self, request: Request | None = None, **kwargs: Any) -> dict[str, Any]:
        address, title, properties = await _described(self.service, request or kwargs["request"], None)
        return sortables(address, title, properties)

    async def get_collection_sortables(
        self, collection_id: str, request: Request | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        address, title, properties = await _described(self.service, request or kwargs["request"], collection_id)
        return sortables(address, title, properties)


async def _described(service: _Service, request: Request, collection: str | None) -> tuple[str, str, Any]:
    """Address of the request, title and properties of a collection or of all."""
    titles = await service.quick(service.backend.titles)
    if collection is not None and collection not in titles:
        raise _no_collection(collection)
    properties = await run_in_threadpool(service.backend.properties, collection)
    title = "all collections" if collection is None else titles[collection]
    return service.addresses.here(request), title, properties


def _no_collection(name: str) -> NotFound:
    return NotFound(f"no collection {shown(name)}", "see /collections for what there is")


def _paging(here: str, request: Request, asked: Asked, page: Page) -> list[dict[str, Any]]:
    """The links ``self`` and, unless the page is the last, ``next``."""
    values = dict(asked.values)
    if request.method == "POST":
        links = [_link("self", here, GEOJSON, method="POST", body=values)]
        following = {"method": "POST", "body": values | {"token": page.token}, "merge": False}
        return links if page.token is None else [*links, _link("next", here, GEOJSON, **following)]
    links = [_link("self", f"{here}?{urlencode(values)}" if values else here, GEOJSON)]
    if page.token is not None:
        links.append(_link("next", f"{here}?{urlencode(values | {'token': page.token})}", GEOJSON, method="GET"))
    return links


def _link(rel: str, href: str, media_type: str, **more: Any) -> dict[str, Any]:
    return {"rel": rel, "href": href, "type": media_type, **more}
