"""Routes of OGC API Records over every product, to stand before the mounted pygeoapi."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from cup4soil.errors import NotFound
from cup4soil.settings import Settings
from processors.coverage_query import collect
from processors.records_documents import COLLECTION, GEOJSON, queryables, record, schema
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

    def items(self, request: Request) -> JSONResponse:
        asked = parse_records(request.query_params.multi_items())
        page = page_at(self._backend, asked.query, asked.offset)
        body: dict[str, Any] = {
            "type": "FeatureCollection",
            "features": [record(text, self._settings, self._root) for text in page.items],
            "links": self._links(asked, page),
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

    def _links(self, asked: RecordsQuery, page: Page) -> list[dict[str, str]]:
        links = [self._link("self", "These records", asked.given | place_of(asked.query, asked.offset))]
        if page.token is not None:
            links.append(self._link("next", "The next records", asked.given | {"token": page.token}))
        if asked.offset:
            before = max(0, asked.offset - asked.query.limit)
            links.append(self._link("prev", "The records before", asked.given | {"offset": str(before)}))
        collection = {"rel": "collection", "type": "application/json", "title": "All records", "href": self._here}
        return [*links, collection]

    def _link(self, rel: str, title: str, query: dict[str, str]) -> dict[str, str]:
        address = f"{self._here}/items" + (f"?{urlencode(query)}" if query else "")
        return {"rel": rel, "type": GEOJSON, "title": title, "href": address}
