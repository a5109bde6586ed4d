"""Routes of OGC API Features over validation sites and sample locations, to stand before the mounted pygeoapi."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from cup4soil.errors import InvalidInput, NotFound
from processors.coverage_query import collect
from processors.crs import Reference
from processors.feature_documents import CSV, GEOJSON, HTML, as_csv, features, link
from processors.feature_page import feature_page, features_page
from processors.feature_query import FeatureQuery, known_crs, parse_features
from processors.feature_schemas import PROPERTIES, queryables, schema, sortables
from processors.negotiation import Formats
from processors.search_paging import page_at, place_of
from stac_catalog.search_backend import Page
from stac_catalog.search_query import Query
from stac_catalog.sites import SiteIndex

_SCHEMA = "application/schema+json"
_DEFAULT_ROOT = "http://127.0.0.1:8000"
FORMATS = Formats(
    names={"json": GEOJSON, "geojson": GEOJSON, GEOJSON: GEOJSON, "html": HTML, HTML: HTML, "csv": CSV, CSV: CSV},
    accepted={GEOJSON: GEOJSON, "application/json": GEOJSON, HTML: HTML, CSV: CSV},
    wildcards={"*/*": GEOJSON, "application/*": GEOJSON, "text/*": HTML},
    default=GEOJSON,
    said="json, html or csv",
)
_F = {GEOJSON: "json", HTML: "html", CSV: "csv"}
_DESCRIPTIONS = {"queryables": queryables, "schema": schema, "sortables": sortables}


def feature_router(index: SiteIndex, most: int, *, root: str | None = None) -> APIRouter:
    """Routes below ``/ogc/collections/validation-sites`` and ``.../samples``; ``most`` features are given on a page.

    ``root`` is the address of the service as clients see it, without a slash at the end. Errors are those of
    :mod:`cup4soil.errors`; the application says what statuses they have.
    """
    router = APIRouter(prefix="/ogc/collections", tags=["features"])
    for collection in PROPERTIES:
        doors = _Doors(index, collection, most, (root or _DEFAULT_ROOT).rstrip("/"))
        for path, endpoint, summary in (
            ("items", doors.items, "Search features"),
            ("items/{feature_id}", doors.item, "A feature"),
            ("queryables", doors.described, "Properties that filters may name"),
            ("schema", doors.described, "Schema of the features"),
            ("sortables", doors.described, "Properties to sort by"),
        ):
            route = f"/{collection}/{path}"
            router.add_api_route(route, endpoint, methods=["GET"], response_class=Response, summary=summary)
            router.add_api_route(route, endpoint, methods=["HEAD"], include_in_schema=False)
    return router


class _Doors:
    """The endpoints. They are no coroutines: the framework runs them in its threads."""

    def __init__(self, index: SiteIndex, collection: str, most: int, root: str) -> None:
        self._index = index
        self._collection = collection
        self._most = most
        self._here = f"{root}/ogc/collections/{collection}"

    def items(self, request: Request) -> Response:
        self._check_there()
        asked = parse_features(self._collection, request.query_params.multi_items(), self._most)
        kind = FORMATS.choose(asked.format, request.headers.get("accept"))
        page = page_at(self._index, asked.query, asked.offset)
        found = features(self._collection, page, asked)
        names = asked.names or tuple(PROPERTIES[self._collection])
        links = self._links(asked, page, kind)
        if kind == CSV:
            headers = _headers(asked.crs) | {"Link": ", ".join(_as_header(each) for each in links)}
            return Response(as_csv(found, names, asked.crs), media_type=CSV, headers=headers)
        if kind == HTML:
            body = features_page(self._collection, found, names, links, page.matched)
            return HTMLResponse(body, headers=_headers(asked.crs))
        return JSONResponse(_collected(found, page, links), media_type=GEOJSON, headers=_headers(asked.crs))

    def item(self, feature_id: str, request: Request) -> Response:
        self._check_there()
        given = collect(request.query_params.multi_items(), ("crs", "f"))
        kind = FORMATS.choose(given.get("f"), request.headers.get("accept"))
        if kind == CSV:
            raise InvalidInput("a single feature is not given as CSV", "use json or html")
        asked = FeatureQuery(
            Query(collections=(self._collection,), ids=(feature_id,), limit=1),
            0,
            known_crs(given, "crs"),
            None,
            None,
            {},
        )
        found = features(self._collection, self._index.search(asked.query), asked)
        if not found:
            raise NotFound(f"no feature {feature_id[:80]!r}", f"see {self._here}/items for what there is")
        links = self._item_links(feature_id, given, kind)
        if kind == HTML:
            return HTMLResponse(feature_page(self._collection, found[0], links), headers=_headers(asked.crs))
        return JSONResponse(found[0] | {"links": links}, media_type=GEOJSON, headers=_headers(asked.crs))

    def described(self, request: Request) -> JSONResponse:
        """Queryables, schema or sortables, by the address."""
        self._check_there()
        given = collect(request.query_params.multi_items(), ("f",)).get("f", "json")
        if given.lower() != "json":
            raise InvalidInput(f"f is {given[:80]!r}", "it is given as json")
        name = request.url.path.rstrip("/").rpartition("/")[2]
        return JSONResponse(_DESCRIPTIONS[name](self._collection, f"{self._here}/{name}"), media_type=_SCHEMA)

    def _check_there(self) -> None:
        if self._index.extent(self._collection) is None:
            raise NotFound(f"no collection {self._collection!r}", "the store has no open validation sites")

    def _links(self, asked: FeatureQuery, page: Page, kind: str) -> list[dict[str, str]]:
        given = {name: value for name, value in asked.given.items() if name != "f"}
        place, chosen = place_of(asked.query, asked.offset), {"f": _F[kind]}
        links = [link("self", kind, "This document", self._items(given | place | chosen))]
        for other in _F:
            if other != kind:
                address = self._items(given | place | {"f": _F[other]})
                links.append(link("alternate", other, f"This document as {_F[other]}", address))
        if page.token is not None:
            links.append(link("next", kind, "The next features", self._items(given | {"token": page.token} | chosen)))
        if asked.offset:
            before = str(max(0, asked.offset - asked.query.limit))
            links.append(link("prev", kind, "The features before", self._items(given | {"offset": before} | chosen)))
        return [*links, link("collection", "application/json", "The collection", self._here)]

    def _item_links(self, name: str, given: dict[str, str], kind: str) -> list[dict[str, str]]:
        address = f"{self._here}/items/{quote(name)}"
        kept = {"crs": given["crs"]} if "crs" in given else {}
        forms = [link("self" if each == kind else "alternate", each, f"This feature as {_F[each]}",
                      f"{address}?{urlencode(kept | {'f': _F[each]})}") for each in (GEOJSON, HTML)]  # fmt: skip
        return [*forms, link("collection", "application/json", "The collection", self._here)]

    def _items(self, query: dict[str, str]) -> str:
        return f"{self._here}/items?{urlencode(query)}"


def _collected(found: list[dict[str, Any]], page: Page, links: list[dict[str, str]]) -> dict[str, Any]:
    matched = {} if page.matched is None else {"numberMatched": page.matched}
    return {
        "type": "FeatureCollection",
        "features": found,
        "links": links,
        "timeStamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "numberReturned": len(found),
        **matched,
    }


def _headers(crs: Reference) -> dict[str, str]:
    return {"Content-Crs": f"<{crs.uri}>", "Vary": "Accept"}


def _as_header(each: dict[str, str]) -> str:
    return f'<{each["href"]}>; rel="{each["rel"]}"; type="{each["type"]}"'
