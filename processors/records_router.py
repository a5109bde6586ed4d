"""Routes of OGC API Records over every product, to stand before the mounted pygeoapi."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from cup4soil.errors import NotFound
from cup4soil.settings import Settings
from processors.coverage_query import collect
from processors.pages import wants_page
from processors.records_documents import COLLECTION, GEOJSON, HTML, queryables, record, schema
from processors.records_page import records_page
from processors.records_query import RecordsQuery, check_format, parse_records
from processors.search_paging import page_at, place_of
from stac_catalog.search_backend import Page, SearchBackend
from stac_catalog.search_query import Query

_SCHEMA = "application/schema+json"
_DEFAULT_ROOT = "http://127.0.0.1:8000"


def records_router(backend: SearchBackend, settings: Settings, *, root: str | None = None) -> APIRouter:
    """Routes below ``/ogc/collections/products`` that search and give records of the products in ``backend``.

    ``root`` is the address of the service as clients see it, without a slash at the end. Errors are those of
    :mod:`cup4soil.errors`; the application says what statuses they have.
    """
    doors = _Doors(backend, settings, (root or _DEFAULT_ROOT).rstrip("/"))
    router = APIRouter(prefix=f"/ogc/collections/{COLLECTION}", tags=["records"])
    for path, endpoint, summary in (
        ("/items", doors.items, "Search records"),
        ("/items/{record_id}", doors.item, "A record"),
        ("/queryables", doors.queryables, "Parameters of the search"),
        ("/schema", doors.schema, "Schema of records"),
    ):
        router.add_api_route(path, endpoint, methods=["GET"], summary=summary)
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    return router


class _Doors:
    """The endpoints. They are no coroutines: the framework runs them in its threads."""

    def __init__(self, backend: SearchBackend, settings: Settings, root: str) -> None:
        self._backend = backend
        self._settings = settings
        self._root = root
        self._here = f"{root}/ogc/collections/{COLLECTION}"

    def items(self, request: Request) -> Response:
        asked = parse_records(request.query_params.multi_items())
        page = page_at(self._backend, asked.query, asked.offset)
        found = [record(text, self._settings, self._root) for text in page.items]
        if wants_page(request):
            return HTMLResponse(records_page(found, self._links(asked, page, "html"), page.matched))
        body: dict[str, Any] = {
            "type": "FeatureCollection",
            "features": found,
            "links": self._links(asked, page, "json"),
            "numberReturned": len(page.items),
            "timeStamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if page.matched is not None:
            body["numberMatched"] = page.matched
        return JSONResponse(body, media_type=GEOJSON)

    def item(self, record_id: str, request: Request) -> JSONResponse:
        check_format(collect(request.query_params.multi_items(), ("f",)).get("f"))
        found = self._backend.search(Query(ids=(record_id,), limit=1)).items
        if not found:
            raise NotFound(f"no record {record_id[:80]!r}", f"see {self._here}/items for what there is")
        return JSONResponse(record(found[0], self._settings, self._root), media_type=GEOJSON)

    def queryables(self, request: Request) -> JSONResponse:
        check_format(collect(request.query_params.multi_items(), ("f",)).get("f"))
        return JSONResponse(queryables(f"{self._here}/queryables"), media_type=_SCHEMA)

    def schema(self, request: Request) -> JSONResponse:
        check_format(collect(request.query_params.multi_items(), ("f",)).get("f"))
        return JSONResponse(schema(f"{self._here}/schema"), media_type=_SCHEMA)

    def _links(self, asked: RecordsQuery, page: Page, form: str) -> list[dict[str, str]]:
        """Links of a list in ``form``; those of a page lead on to pages."""
        given = {name: value for name, value in asked.given.items() if name != "f"}
        others = {"html": "json", "json": "html"}
        here, kept = place_of(asked.query, asked.offset), asked.given | ({"f": form} if form == "html" else {})
        links = [self._link("self", "These records", kept | here)]
        links.append(self._link("alternate", f"As {others[form].upper()}", given | here | {"f": others[form]}))
        if page.token is not None:
            links.append(self._link("next", "The next records", kept | {"token": page.token}))
        if asked.offset:
            before = max(0, asked.offset - asked.query.limit)
            links.append(self._link("prev", "The records before", kept | {"offset": str(before)}))
        collection = {"rel": "collection", "type": "application/json", "title": "All records", "href": self._here}
        return [*links, collection]

    def _link(self, rel: str, title: str, query: dict[str, str]) -> dict[str, str]:
        address = f"{self._here}/items" + (f"?{urlencode(query)}" if query else "")
        kind = HTML if query.get("f") == "html" else GEOJSON
        return {"rel": rel, "type": kind, "title": title, "href": address}
