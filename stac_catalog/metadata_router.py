"""Metadata over HTTP: a page for each product, its metadata in every form, the catalog in DCAT, sitemap and robots."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from cup4soil.errors import Cup4soilError, InvalidInput, NotFound
from cup4soil.products import ProductRecord
from cup4soil.settings import Settings
from stac_catalog.api_addresses import Addresses
from stac_catalog.dcat import dataset_node, dcat_catalog
from stac_catalog.extensions import CUP4SOIL, extension_schemas
from stac_catalog.iso_service import Served, service_record
from stac_catalog.landing import landing_page
from stac_catalog.metadata import FORMS, Described, metadata, preferred_form
from stac_catalog.places import PRODUCTS, Places
from stac_catalog.rdf_xml import rdf_xml
from stac_catalog.search_backend import SearchBackend
from stac_catalog.search_values import shown
from stac_catalog.signposting import LINKSET_TYPE, Link, link_header, linkset_document, page_links
from stac_catalog.sitemap import PAGE, robots, sitemap, sitemap_index
from stac_catalog.store import Store
from stac_catalog.versions import find_versions
from stac_catalog.visibility import is_hidden, visible

SCHEMA_PATH: Final = "/schemas/cup4soil/v1.0.0/schema.json"
_DCAT_PAGE: Final = 100
_LOG = logging.getLogger(__name__)
_FRESH: Final = {"Cache-Control": "no-cache"}
_JSON_LD: Final = "application/ld+json"
_RDF_XML: Final = "application/rdf+xml"
_WORLD: Final = (-180.0, -90.0, 180.0, 90.0)

type _Page = Annotated[int, Query(ge=1, le=1_000_000, description="Which part of the catalog.")]
type _Kind = Annotated[
    str | None, Query(pattern="^(jsonld|rdf)$", description="jsonld for JSON-LD, rdf for RDF/XML; else as Accept says.")
]


def metadata_router(
    store: Store, settings: Settings, backend: SearchBackend, *, public_url: str = "", trust_forwarded: bool = False
) -> APIRouter:
    """Routes below ``/products``, ``/dcat``, ``/services`` and ``/schemas``, and ``/sitemap.xml`` and ``/robots.txt``.

    Addresses begin as those of the STAC API do, whose ``backend`` tells what is a version of what.
    """
    service = _Service(store, settings, backend, Addresses("", public_url, trust_forwarded=trust_forwarded))
    router = APIRouter(tags=["Metadata"])
    product = f"/{PRODUCTS}/{{collection}}/{{item}}"
    routes: dict[str, tuple[Callable[..., Response], str]] = {
        product: (service.page, "Page of a product"),
        f"{product}/linkset": (service.linkset, "Links of a product"),
        f"{product}/{{form}}": (service.form, f"Metadata of a product: {', '.join(FORMS)}"),
        "/dcat": (service.catalog, "The catalog in DCAT-AP: its collections"),
        "/dcat/{collection}": (service.collection, "A collection in DCAT-AP, in parts"),
        "/services/{name}": (service.service, "A service in ISO 19139: ogc, stac, oai"),
        "/sitemap.xml": (service.sitemaps, "Sitemaps"),
        "/sitemap/{collection}/{number}.xml": (service.sitemap, "Sitemap of a collection"),
        "/robots.txt": (service.robots, "What crawlers need not read"),
        SCHEMA_PATH: (service.schema, "JSON Schema of the STAC extension cup4soil"),
    }
    for path, (endpoint, summary) in routes.items():
        router.add_api_route(path, endpoint, methods=["GET"], summary=summary, response_class=Response)
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    return router


class _Service:
    """Answers of the routes."""

    def __init__(self, store: Store, settings: Settings, backend: SearchBackend, addresses: Addresses) -> None:
        self._store = store
        self._settings = settings
        self._backend = backend
        self._addresses = addresses

    def page(self, request: Request, collection: str, item: str) -> Response:
        """The page, or the form whose media type the header Accept prefers to HTML."""
        described = self._described(request, collection, item)
        form = preferred_form(request.headers.get("accept", ""))
        if form is not None:
            return self._written(form, described, {"Vary": "Accept"})
        links = self._links(described)
        header = link_header(links, f"{described.places.page(described.record)}/linkset")
        return HTMLResponse(landing_page(described), headers=_FRESH | {"Link": _ascii(header), "Vary": "Accept"})

    def linkset(self, request: Request, collection: str, item: str) -> Response:
        described = self._described(request, collection, item)
        document = linkset_document(described.places.page(described.record), self._links(described))
        return JSONResponse(document, headers=_FRESH, media_type=LINKSET_TYPE)

    def form(self, request: Request, collection: str, item: str, form: str) -> Response:
        return self._written(form, self._described(request, collection, item), {})

    def _written(self, form: str, described: Described, headers: dict[str, str]) -> Response:
        content = metadata(form, described)
        back = Link(described.places.page(described.record), "describes", "text/html")
        headers |= _FRESH | {"Link": _ascii(link_header([back]))}
        return Response(content, media_type=FORMS[form].media_type, headers=headers)

    def catalog(self, request: Request, f: _Kind = None) -> Response:
        places = self._places(request)
        parts = [f"{places.root}dcat/{name}" for name in self._backend.titles()]
        title = f"Soil products of {self._settings.organisation}"
        return _rdf(dcat_catalog(f"{places.root}dcat", title, self._settings, places, catalogs=parts), request, f)

    def collection(self, request: Request, collection: str, page: _Page = 1, f: _Kind = None) -> Response:
        places = self._places(request)
        names = self._names(collection)
        here = f"{places.root}dcat/{collection}?{'' if f is None else f'f={f}&'}page="
        chosen = names[(page - 1) * _DCAT_PAGE : page * _DCAT_PAGE]
        if not chosen:
            raise NotFound(f"the collection has no page {page}", "begin with page 1")
        records = self._sound(collection, chosen)
        document = dcat_catalog(
            f"{here}{page}",
            self._backend.titles().get(collection, collection),
            self._settings,
            places,
            datasets=[dataset_node(record, self._settings, places) for record in records],
            following=f"{here}{page + 1}" if len(names) > page * _DCAT_PAGE else None,
        )
        return _rdf(document, request, f)

    def service(self, request: Request, name: str) -> Response:
        try:
            content = service_record(name, self._served(), self._settings, self._places(request))
        except InvalidInput as error:
            raise NotFound(error.problem, error.hint) from error
        return Response(content, media_type="application/xml", headers=_FRESH)

    def sitemaps(self, request: Request) -> Response:
        root = self._places(request).root
        counts = self._counts()
        parts = [f"{root}sitemap/{name}/{n}.xml" for name, count in counts.items() for n in range(1, _pages(count) + 1)]
        return Response(sitemap_index(parts), media_type="application/xml", headers=_FRESH)

    def sitemap(self, request: Request, collection: str, number: int) -> Response:
        places = self._places(request)
        names = self._names(collection)
        if not 1 <= number <= _pages(len(names)):
            raise NotFound(f"there is no sitemap {number} of the collection", "see /sitemap.xml")
        folder = self._store.catalog_path.parent / collection
        chosen = names[(number - 1) * PAGE : number * PAGE]
        pages = ((places.page_of(collection, name), _changed(folder / name / f"{name}.json")) for name in chosen)
        return Response(sitemap(pages), media_type="application/xml", headers=_FRESH)

    def robots(self, request: Request) -> Response:
        return PlainTextResponse(robots(f"{self._places(request).root}sitemap.xml"), headers=_FRESH)

    def schema(self) -> Response:
        return JSONResponse(extension_schemas()[CUP4SOIL], media_type="application/schema+json")

    def _places(self, request: Request) -> Places:
        return Places(self._addresses.files(request))

    def _record(self, collection: str, item: str) -> ProductRecord:
        if is_hidden(collection) or self._store.find(collection, item) is None:
            raise NotFound(f"no product {shown(item)} in the collection {shown(collection)}", "see the catalog")
        return self._store.record(collection, item)

    def _sound(self, collection: str, names: Iterable[str]) -> Iterator[ProductRecord]:
        """The records of a list; one that is damaged or has just gone must not spoil the others."""
        for name in names:
            try:
                yield self._store.record(collection, name)
            except Cup4soilError as error:
                _LOG.error("%s/%s is left out of a list: %s", collection, name, error)

    def _described(self, request: Request, collection: str, item: str) -> Described:
        record = self._record(collection, item)
        return Described(record, self._settings, self._places(request), find_versions(self._backend, record))

    def _links(self, described: Described) -> list[Link]:
        forms = [(name, form.media_type.partition(";")[0]) for name, form in FORMS.items()]
        links = page_links(described.record, described.places, forms)
        found = described.versions
        relations = {
            "predecessor-version": found.predecessor,
            "successor-version": found.successor,
            "latest-version": found.latest,
        }
        collection = described.record.collection
        pages = {rel: described.places.page_of(collection, name) for rel, name in relations.items() if name is not None}
        return [*links, *(Link(address, rel, "text/html") for rel, address in pages.items())]

    def _counts(self) -> dict[str, int]:
        found = self._store.counts()
        return {name: found[name] for name in visible(found)}

    def _names(self, collection: str) -> list[str]:
        names = [] if is_hidden(collection) else self._store.items(collection)
        if not names:
            raise NotFound(f"no collection {shown(collection)}", "see the catalog for what there is")
        return names

    def _served(self) -> Served:
        documents = [json.loads(text) for text in self._backend.collections().values()]
        boxes = [box for each in documents for box in each["extent"]["spatial"]["bbox"]]
        return Served(
            products=[(name, item) for name in self._counts() for item in self._store.items(name)],
            bbox=_union(boxes) if boxes else _WORLD,
            licences=sorted({str(each["license"]) for each in documents}),
            changed=datetime.fromtimestamp(self._store.catalog_path.stat().st_mtime, UTC).date(),
        )


def _rdf(document: dict[str, Any], request: Request, kind: str | None) -> Response:
    """In the form that was named, else in the one that the header Accept prefers: links lead on to the same."""
    headers = _FRESH | ({"Vary": "Accept"} if kind is None else {})
    if kind == "rdf" or (kind is None and preferred_form(request.headers.get("accept", "")) == "dcat-xml"):
        return Response(rdf_xml(document), media_type=_RDF_XML, headers=headers)
    content = json.dumps(document, ensure_ascii=False, allow_nan=False)
    return Response(content, HTTPStatus.OK, headers, _JSON_LD)


def _union(boxes: list[list[float]]) -> tuple[float, float, float, float]:
    flat = [(*box[:2], *box[len(box) // 2 :][:2]) for box in boxes]
    west, south, east, north = zip(*flat, strict=True)
    return min(west), min(south), max(east), max(north)


def _pages(count: int) -> int:
    return -(-count // PAGE)


def _changed(path: Any) -> float | None:
    try:
        return float(path.stat().st_mtime)
    except OSError:
        return None


def _ascii(header: str) -> str:
    """As HTTP wants it; addresses are quoted already, so that nothing is lost but what nobody needs."""
    return header.encode("ascii", "ignore").decode()
