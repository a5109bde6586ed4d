"""Routes of OGC API EDR 1.1, to stand before the mounted pygeoapi."""

from collections.abc import Callable
from threading import BoundedSemaphore

from fastapi import APIRouter, Request
from fastapi.responses import Response

from cup4soil.settings import Settings
from processors.coverage_catalog import CoverageCatalog
from processors.coverage_formats import COVERAGE_JSON
from processors.coverage_grid import Limits
from processors.coverage_reader import CoverageReader
from processors.coverage_settings import limits_of
from processors.crs import CRS84, Reference
from processors.edr_formats import CSV, FORMATS, GEOJSON, grid_body, points_body
from processors.edr_query import PARAMETERS, EdrLimits, EdrQuery, parse_edr
from processors.edr_reader import read_area, read_cube, read_points
from processors.edr_settings import edr_limits_of
from stac_catalog.store import Store

_SUFFIXES = {COVERAGE_JSON: "covjson", GEOJSON: "geojson", CSV: "csv"}
# An answer at the limit takes some 200 MB while it is written.
_AT_ONCE = 4


def edr_router(store: Store, settings: Settings, limits: Limits | None = None) -> APIRouter:
    """Routes ``/ogc/collections/{collection}/position`` (area, cube, radius) of the coverages of ``store``.

    Errors are those of :mod:`cup4soil.errors`; the application says what statuses they have.
    """
    own = edr_limits_of(settings)
    reader = CoverageReader(CoverageCatalog(store), limits or limits_of(settings))
    router = APIRouter(prefix="/ogc", tags=["edr"])
    turns = BoundedSemaphore(_AT_ONCE)
    for kind in PARAMETERS:
        endpoint = _endpoint(reader, kind, turns, own)
        path = f"/collections/{{collection}}/{kind}"
        router.add_api_route(path, endpoint, methods=["GET"], response_class=Response, summary=f"Values by {kind}")
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    return router


def _endpoint(
    reader: CoverageReader, kind: str, turns: BoundedSemaphore, limits: EdrLimits
) -> Callable[[str, Request], Response]:
    def answer(collection: str, request: Request) -> Response:
        query = parse_edr(kind, request.query_params.multi_items(), limits)
        media_type = FORMATS.choose(query.format, request.headers.get("accept"))
        with turns:
            body, reference = _body(reader, kind, collection, query, media_type, limits)
        shown = CRS84 if media_type == GEOJSON else reference
        crs = {"Content-Crs": f"<{shown.uri}>"} if shown.uri.startswith("http") else {}
        name = f"{collection}-{kind}.{_SUFFIXES[media_type]}"
        headers = crs | {"Content-Disposition": f'inline; filename="{name}"', "Vary": "Accept"}
        return Response(body, media_type=media_type, headers=headers)

    return answer


def _body(
    reader: CoverageReader, kind: str, collection: str, query: EdrQuery, media_type: str, limits: EdrLimits
) -> tuple[bytes, Reference]:
    if kind == "position":
        return points_body(read_points(reader, collection, query, limits.cells), media_type), query.reference
    answers = (read_cube if kind == "cube" else read_area)(reader, collection, query)
    return grid_body(answers, media_type), answers[0].reference
