"""Routes of OGC API Coverages, to stand before the mounted pygeoapi: the draft's parameters in full."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from cup4soil.errors import InvalidInput
from cup4soil.settings import Settings
from processors.coverage_catalog import CoverageCatalog
from processors.coverage_formats import (
    COG,
    COVERAGE_JSON,
    GEOTIFF,
    coverage_json,
    domain_set,
    geotiff,
    range_type,
    schema_document,
)
from processors.coverage_grid import Limits
from processors.coverage_netcdf import NETCDF, netcdf
from processors.coverage_page import coverage_page
from processors.coverage_picture import PNG, Pictures, legend_link
from processors.coverage_query import CoverageQuery, parse_query
from processors.coverage_reader import Answer, CoverageReader, common_type
from processors.coverage_settings import limits_of
from processors.coverages import Coverage, grid_bounds
from processors.crs import reference_of
from processors.jobs.prefer import preferences
from processors.negotiation import Formats, only_json
from stac_catalog.store import Store

_FORMATS = Formats(
    names={
        "gtiff": GEOTIFF,
        "geotiff": GEOTIFF,
        "tiff": GEOTIFF,
        "image/tiff": GEOTIFF,
        "cog": COG,
        "json": COVERAGE_JSON,
        "coveragejson": COVERAGE_JSON,
        "covjson": COVERAGE_JSON,
        "png": PNG,
        PNG: PNG,
        "netcdf": NETCDF,
        "nc": NETCDF,
        "html": "text/html",
    },
    accepted={
        "image/tiff": GEOTIFF,
        COG: COG,
        "image/geotiff": GEOTIFF,
        "application/x-geotiff": GEOTIFF,
        "application/prs.coverage+json": COVERAGE_JSON,
        "application/vnd.cov+json": COVERAGE_JSON,
        "application/json": COVERAGE_JSON,
        PNG: PNG,
        NETCDF: NETCDF,
        "application/netcdf": NETCDF,
        "text/html": "text/html",
    },
    wildcards={"*/*": GEOTIFF, "image/*": GEOTIFF, "application/*": COVERAGE_JSON},
    default=GEOTIFF,
    said="GTiff, COG, NetCDF, PNG, json or html",
)
# An answer at the limit takes some 150 MB while it is made: no more than these are made at once.
_AT_ONCE = 8
_TAIL = "/collections/{collection}/coverage"


def coverage_router(store: Store, settings: Settings, limits: Limits | None = None) -> APIRouter:
    """Routes of the coverages of ``store``, below ``/ogc`` like pygeoapi's own.

    Errors are those of :mod:`cup4soil.errors`; the application says what statuses they have.
    """
    reader = CoverageReader(CoverageCatalog(store), limits or limits_of(settings))
    router = APIRouter(prefix="/ogc", tags=["coverages"])
    doors = _Doors(reader, settings.organisation)
    router.add_api_route(_TAIL, doors.coverage, methods=["GET"], response_class=Response, summary="Get a coverage")
    router.add_api_route(_TAIL, doors.coverage, methods=["HEAD"], include_in_schema=False)
    router.add_api_route(f"{_TAIL}/domainset", doors.domain_set, summary="Domain of a coverage")
    router.add_api_route(f"{_TAIL}/rangetype", doors.range_type, summary="Fields of a coverage")
    router.add_api_route(f"{_TAIL}/schema", doors.schema, summary="Fields of a coverage as JSON schema")
    return router


class _Doors:
    """The endpoints. Those that are no coroutines run in the framework's threads."""

    def __init__(self, reader: CoverageReader, institution: str) -> None:
        self._reader = reader
        self._institution = institution
        self._pictures = Pictures(reader)
        # Threads of their own: those who wait for a large answer hold up no other.
        self._turns = CapacityLimiter(_AT_ONCE)

    async def coverage(self, collection: str, request: Request) -> Response:
        query = replace(parse_query(request.query_params.multi_items()), strict=_is_strict(request))
        kind = _FORMATS.choose(query.format, request.headers.get("accept"))
        return await to_thread.run_sync(partial(self._made, collection, query, kind), limiter=self._turns)

    def _made(self, collection: str, query: CoverageQuery, kind: str) -> Response:
        if kind == "text/html":
            return HTMLResponse(coverage_page(self._reader.catalog, collection, query.when), headers={"Vary": "Accept"})
        if kind == PNG:
            answer, picture, style = self._pictures.draw(collection, query)
            headers = _headers((answer,), kind, query) | {"Link": legend_link(style)}
            return Response(picture, media_type=PNG, headers=headers)
        answers = self._read(collection, query, kind)
        body = encode(answers, kind, self._institution)
        return Response(body, media_type=kind, headers=_headers(answers, kind, query))

    def domain_set(self, collection: str, request: Request) -> JSONResponse:
        coverage = self._described(collection, request)
        return JSONResponse(domain_set(coverage.grid, reference_of(coverage.crs)))

    def range_type(self, collection: str, request: Request) -> JSONResponse:
        fields = tuple(self._described(collection, request).fields.values())
        return JSONResponse(range_type(fields, common_type(fields)[0]))

    def schema(self, collection: str, request: Request) -> JSONResponse:
        coverage = self._described(collection, request)
        return JSONResponse(schema_document(coverage), media_type="application/schema+json")

    def _read(self, collection: str, query: CoverageQuery, kind: str) -> tuple[Answer, ...]:
        """Every period asked for where the format has an axis of time, else the latest."""
        if kind == COVERAGE_JSON:
            return self._reader.read_series(collection, query, limit=self._reader.limits.json_values)
        if kind == NETCDF:
            return self._reader.read_series(collection, query)
        return (self._reader.read(collection, query),)

    def _described(self, collection: str, request: Request) -> Coverage:
        query = parse_query(request.query_params.multi_items())
        if query != CoverageQuery(when=query.when, format=query.format, several=query.several):
            raise InvalidInput("a description of a coverage takes no subset", "give datetime and f only")
        only_json(query.format, request.headers.get("accept"))
        return self._reader.catalog.coverage(collection, query.when)


def encode(answers: Sequence[Answer], kind: str, institution: str) -> bytes:
    """The body of the answers of all periods, earliest first, in a media type of this module."""
    if kind == COVERAGE_JSON:
        return coverage_json(answers)
    if kind == NETCDF:
        return netcdf(answers, institution)
    return geotiff(answers[-1], cloud_optimised=kind == COG)


def _is_strict(request: Request) -> bool:
    """True when the client rather has no answer than one that is not as it prefers (RFC 7240)."""
    preferred = preferences(request.headers.getlist("prefer"))
    if preferred.get("handling") != "strict":
        return False
    unknown = sorted(preferred.keys() - {"handling"})
    if unknown:
        raise InvalidInput(f"the preference {unknown[0][:80]!r} cannot be met", "leave it out, or handling=strict")
    return True


def _headers(answers: Sequence[Answer], kind: str, query: CoverageQuery) -> dict[str, str]:
    answer = answers[-1]
    reference = answer.reference
    start, end = answers[0].coverage.period.start, max(each.coverage.period.end for each in answers)
    suffix = {COVERAGE_JSON: "covjson", NETCDF: "nc", PNG: "png"}.get(kind, "tif")
    # A system without a code is named in the file alone: its definition has line breaks.
    crs = {"Content-Crs": f"<{reference.uri}>"} if reference.uri.startswith("http") else {}
    applied = {"Preference-Applied": "handling=strict"} if query.strict else {}
    return (
        crs
        | applied
        | {
            "Content-Bbox": ",".join(f"{number:.12g}" for number in reference.numbers(grid_bounds(answer.grid))),
            "Content-Datetime": f"{start.isoformat()}/{end.isoformat()}",
            "Content-Disposition": f'attachment; filename="{answer.coverage.collection}.{suffix}"',
            "Vary": "Accept, Prefer",
        }
    )
