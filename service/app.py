"""The one ASGI app: page, static catalog, STAC API, coverages, processes and their results."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, RedirectResponse
from prometheus_client.multiprocess import mark_process_dead
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

from cup4soil import __version__
from cup4soil.errors import NotFound
from cup4soil.rasters.handles import keep_decoded
from processors.coverage_router import coverage_router
from processors.edr_router import edr_router
from processors.feature_router import feature_router
from processors.maps import map_router
from processors.process_router import process_router
from processors.pygeoapi_app import mount_pygeoapi
from processors.records_router import records_router
from processors.resources import TEMPLATES
from service import logs, problems
from service.access import WRITE, Access, client_of, demand
from service.descriptions import Signposts, descriptions_router
from service.files import CatalogFiles, PublicFiles
from service.health import health_router
from service.keys import KeyRing
from service.memory import few_heaps
from service.metrics import metrics_router
from service.middleware import BodyLimit, HeadLikeGet, SafeHeaders, WithSlash
from service.observing import Observed
from service.openapi import describe_whole
from service.running import MULTIPROCESS
from service.search import search_backend
from service.settings import ServiceSettings
from stac_catalog.api import Writing, add_stac_api
from stac_catalog.metadata_router import metadata_router
from stac_catalog.oai import oai_router
from stac_catalog.sites import SITES_INDEX_FILE, SiteIndex
from stac_catalog.store import Store

_LOG = logging.getLogger(__name__)
_IMMUTABLE = (".tif", ".png", ".npz")
_PAGE = "viewer/dist"
_EXPOSED = (
    "Accept-Ranges",
    "Content-Bbox",
    "Content-Crs",
    "Content-Datetime",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Link",
    "Location",
    "Preference-Applied",
    "X-Request-ID",
)


def create_app(root: Path, settings: ServiceSettings) -> FastAPI:
    """The service on the store at ``root``.

    Raises:
        NotFound: when there is no store, or the page's bundle is missing.
    """
    store = Store.open(root, settings, create=False)
    keep_decoded(settings.raster_cache_mib * 2**20)
    app = FastAPI(title="CUP4SOIL", version=__version__, openapi_url=None, lifespan=_lifespan)
    problems.install(app)
    app.add_middleware(Signposts)
    app.add_middleware(HeadLikeGet, router=app.router)
    app.add_middleware(Access, keys=KeyRing(store.root), settings=settings)
    app.add_middleware(BodyLimit, most_bytes=settings.request_kib * 1024)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=["*"],
        expose_headers=list(_EXPOSED),
    )
    app.add_middleware(SafeHeaders, frame_ancestors=settings.frame_ancestors, hsts_seconds=settings.hsts_seconds)
    # Added last, it stands outermost: what the others refuse is counted and logged, too.
    app.add_middleware(Observed)
    app.include_router(metrics_router(store, settings))
    backend = search_backend(store.root, settings)
    app.include_router(health_router(store, backend, settings))
    add_stac_api(
        app,
        backend,
        settings,
        public_url=settings.public_url or "",
        trust_forwarded=settings.trust_proxy,
        most_items=settings.search_items,
        writing=Writing(store, lambda request: demand(request, WRITE), settings.asset_hosts, settings.asset_mib),
    )
    app.include_router(process_router(store, settings, client_of))
    app.include_router(coverage_router(store, settings))
    app.include_router(edr_router(store, settings))
    app.include_router(records_router(backend, settings, root=settings.public_url or settings.local_url))
    app.include_router(map_router(store, root=settings.public_url or settings.local_url, limits=settings.map_limits))
    public = settings.public_url or ""
    app.include_router(descriptions_router(public_url=public, trust_forwarded=settings.trust_proxy))
    app.include_router(oai_router(store, settings, public_url=public, trust_forwarded=settings.trust_proxy))
    app.include_router(
        metadata_router(store, settings, backend, public_url=public, trust_forwarded=settings.trust_proxy)
    )
    sites = SiteIndex(store.root / SITES_INDEX_FILE, seconds=settings.search_seconds)
    app.include_router(feature_router(sites, settings.features_items, root=settings.public_url or settings.local_url))
    ogc = mount_pygeoapi(
        app,
        store,
        settings,
        root=settings.public_url or settings.local_url,
        sites=sites,
        callbacks=bool(settings.callback_hosts),
    )
    describe_whole(app, ogc.api_.openapi)
    _mount_files(app, store)
    app.state.indexes = (backend, sites)
    return app


def from_environment() -> FastAPI:
    """The service on the store that ``CUP4SOIL_STORE`` names; what each process of a server calls."""
    few_heaps()
    settings = ServiceSettings()
    if settings.store is None:
        raise NotFound("no store is named", "set CUP4SOIL_STORE")
    logs.configure(settings)
    return create_app(settings.store, settings)


def _mount_files(app: FastAPI, store: Store) -> None:
    """The catalog, the demo's archive where there is one, and the page, which takes what is left."""
    page = Path(str(files("service"))) / _PAGE
    if not (page / "index.html").is_file():
        raise NotFound(f"the page's bundle {page} is missing", "install the whole package")

    # Browsers ask for it beside documents that name no icon, such as JSON.
    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> FileResponse:
        return FileResponse(TEMPLATES / "static" / "icon.svg")

    # Relative, so that they lead right behind a proxy with a path of its own, too.
    @app.get("/catalog", include_in_schema=False)
    def catalog() -> RedirectResponse:
        return RedirectResponse("catalog/catalog.json")

    @app.get("/catalog/", include_in_schema=False)
    def catalog_folder() -> RedirectResponse:
        return RedirectResponse("catalog.json")

    app.router.routes.append(Route("/ogc", WithSlash(app.router), include_in_schema=False))
    app.mount("/catalog", CatalogFiles(store.catalog_path.parent, immutable=_IMMUTABLE), name="catalog")
    demo = store.root / "demo"
    if demo.is_dir():
        app.mount("/demo", PublicFiles(demo, immutable=_IMMUTABLE), name="demo")
    # Compressed, unlike rasters, which are read by byte range.
    app.mount("/", GZipMiddleware(PublicFiles(page, html=True)), name="page")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    _LOG.info("CUP4SOIL %s is ready", app.version)
    yield
    for index in app.state.indexes:
        index.close()
    if MULTIPROCESS in os.environ:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
