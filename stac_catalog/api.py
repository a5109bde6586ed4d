"""The STAC API: stac-fastapi's routes over a search backend; with :class:`Writing`, products can be changed."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import pystac
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import EmptyRequest
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions.collection_search import CollectionSearchPostExtension
from stac_fastapi.extensions.fields import FieldsExtension
from stac_fastapi.extensions.filter import FilterExtension
from stac_fastapi.extensions.free_text import FreeTextExtension
from stac_fastapi.extensions.pagination import TokenPaginationExtension
from stac_fastapi.extensions.query import QueryExtension
from stac_fastapi.extensions.sort import SortExtension
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.extension import ApiExtension
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cup4soil import __version__
from cup4soil.settings import Settings
from stac_catalog import api_conformance as conformance
from stac_catalog.api_addresses import Addresses
from stac_catalog.api_aggregations import Aggregations
from stac_catalog.api_browsing import BrowsingExtension
from stac_catalog.api_collections import CollectionSearch
from stac_catalog.api_core import OPENAPI, CoreClient
from stac_catalog.api_parameters import (
    COLLECTIONS_NAMES,
    SEARCH_NAMES,
    CollectionsRequest,
    ItemsRequest,
    SearchRequest,
    body_of,
)
from stac_catalog.api_queryables import CollectionQueryables, Queryables, Sortables
from stac_catalog.api_service import Service
from stac_catalog.api_transactions import Transactions
from stac_catalog.catalogs import CATALOG_ID
from stac_catalog.deliveries import Deliveries
from stac_catalog.registrar import Registrar
from stac_catalog.search_backend import SearchBackend, Unreachable
from stac_catalog.search_documents import compact
from stac_catalog.store import Store

_BODIES: Final = {"/search": SEARCH_NAMES, "/collections": COLLECTIONS_NAMES}

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Writing:
    """How the products of ``store`` can be changed.

    ``permit`` raises an error unless who sends a request may do so. Files of new products come from ``asset_hosts``
    (``host`` or ``host:port`` by https, or ``http://host:port``), for one request at most ``asset_mib``.
    """

    store: Store
    permit: Callable[[Request], None]
    asset_hosts: Sequence[str] = ()
    asset_mib: int = 1024

    def extension(self, service: Service) -> Transactions:
        """The extension of the API that does it."""
        return Transactions(
            service=service,
            registrar=Registrar(self.store, service.backend),
            deliveries=Deliveries(self.store, self.asset_hosts, self.asset_mib),
            permit=self.permit,
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
    writing: Writing | None = None,
) -> None:
    """Add the STAC API of the store that ``backend`` searches below ``prefix``.

    Addresses in answers begin with ``public_url``; without one with what the request says, including headers
    ``X-Forwarded-Proto``, ``-Host`` and ``-Prefix`` where ``trust_forwarded`` says that a proxy sets them.
    The files of the store are expected at ``/catalog``, and at ``/demo`` where there is such a folder.
    A page has ``most_items`` at most. Without ``writing`` nothing can be changed.
    Handlers, middleware and state of ``app`` are left as they are.

    Raises:
        StoreError: when the catalog is damaged or the backend cannot be used; not when its server is away for a while.
    """
    try:
        backend.sync()
    except Unreachable as error:
        _LOG.warning("searches are answered with 503 until it is back: %s", error)
    service = Service(backend, Addresses(prefix, public_url, trust_forwarded=trust_forwarded), most_items)
    transactions = [] if writing is None else [writing.extension(service)]
    app.include_router(_router(service, settings, prefix, transactions))


def _router(service: Service, settings: Settings, prefix: str, others: Sequence[ApiExtension]) -> APIRouter:
    """The routes that stac-fastapi makes, taken from an application of their own: it would change the given one."""
    core = APIRouter(prefix=prefix)
    about = ApiSettings(
        _env_file=None,
        stac_fastapi_title=f"Soil products of {settings.organisation}",
        stac_fastapi_description="Bare-soil composites and soil maps with their uncertainty.",
        stac_fastapi_landing_id=CATALOG_ID,
        stac_fastapi_version=__version__,
    )
    searching = CollectionSearch(service=service)
    client = CoreClient(service=service, searching=searching, landing_page_id=CATALOG_ID)
    extensions = [*_extensions(service, searching, about), *others]
    StacApi(
        settings=about,
        client=client,
        extensions=extensions,
        app=FastAPI(openapi_url="/api"),
        router=core,
        middlewares=[],
        exceptions={},
        collections_get_request_model=CollectionsRequest,
        items_get_request_model=ItemsRequest,
        search_get_request_model=SearchRequest,
        # Bodies are read by asked_by_post, with their limit.
        search_post_request_model=EmptyRequest,  # type: ignore[arg-type]
        stac_version=pystac.get_stac_version(),
    )
    router = APIRouter(tags=["STAC"])
    # Clients leave out the slash at the end; a redirect would not be made beside other routes for the root.
    landing_page = create_async_endpoint(client.landing_page, EmptyRequest)
    router.add_api_route(prefix, landing_page, methods=["GET", "HEAD"], include_in_schema=False)
    router.add_api_route(f"{prefix}/api", _description, methods=["GET", "HEAD"], include_in_schema=False)
    for each in (core, *(extension.router for extension in extensions if hasattr(extension, "router"))):
        for route in each.routes:
            _take(router, route, prefix)
    return router


async def _description(request: Request) -> Response:
    """The OpenAPI document of the whole application, under the media type that OGC gives it."""
    app: FastAPI = request.app
    return Response(compact(app.openapi()), media_type=OPENAPI)


def _take(router: APIRouter, route: BaseRoute, prefix: str) -> None:
    """Add a route that stac-fastapi has made, with its body in the OpenAPI document, and one for HEAD beside GET."""
    if not isinstance(route, APIRoute) or route.methods is None:
        raise TypeError(f"stac-fastapi has made the route {route}, of which nothing is known here")
    extra = route.openapi_extra
    if "POST" in route.methods and route.path.removeprefix(prefix) in _BODIES:
        extra = {"requestBody": body_of(_BODIES[route.path.removeprefix(prefix)])}
    router.add_api_route(
        route.path,
        route.endpoint,
        methods=list(route.methods),
        name=route.name,
        status_code=route.status_code,
        response_class=route.response_class,
        responses=route.responses,
        openapi_extra=extra,
    )
    if "GET" in route.methods:
        router.add_api_route(
            route.path, route.endpoint, methods=["HEAD"], response_class=route.response_class, include_in_schema=False
        )


def _extensions(service: Service, searching: CollectionSearch, about: ApiSettings) -> list[ApiExtension]:
    return [
        FilterExtension(client=Queryables(service=service), conformance_classes=list(conformance.FILTER)),
        SortExtension(client=Sortables(service=service), conformance_classes=list(conformance.SORT)),
        FieldsExtension(conformance_classes=list(conformance.FIELDS)),
        QueryExtension(conformance_classes=list(conformance.QUERY)),
        FreeTextExtension(conformance_classes=list(conformance.FREE_TEXT)),
        TokenPaginationExtension(),
        CollectionSearchPostExtension(
            client=searching,
            settings=about,
            GET=CollectionsRequest,
            POST=EmptyRequest,  # type: ignore[arg-type]
            conformance_classes=list(conformance.COLLECTION_SEARCH),
        ),
        CollectionQueryables(service=service),
        Aggregations(service=service),
        BrowsingExtension(service=service),
    ]
