"""Routes of OGC API Maps below ``/ogc``: maps, styles and legends of every coverage."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from affine import Affine
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidInput
from cup4soil.grids import Bounds, crs_of
from processors.coverage_formats import span
from processors.coverages import Coverage, grid_bounds
from processors.crs import Reference, project_bounds, reference_of
from processors.map_answers import answer
from processors.map_legends import legend_document, legend_picture
from processors.map_links import RELATION, link
from processors.map_maker import MapMaker
from processors.map_pictures import PNG, blank, encode, on_background
from processors.map_query import FORMATS, LONGEST_SIDE, MapQuery, parse_look, parse_map
from processors.map_styles import Style, styles_of
from processors.negotiation import Formats, only_json

_DEFAULT_SIDE = 1024
_LEGENDS = Formats(
    names={"png": PNG, PNG: PNG, "json": "application/json", "application/json": "application/json"},
    accepted={PNG: PNG, "application/json": "application/json"},
    wildcards={"*/*": PNG, "image/*": PNG, "application/*": "application/json", "text/html": PNG},
    default=PNG,
    said="png or json",
)
PLACES = ("/collections/{collection}", "/collections/{collection}/styles/{style}")


def add_maps(router: APIRouter, maker: MapMaker, ogc: str) -> None:
    """Add the routes to ``router``; ``ogc`` is the address of the API as clients see it."""
    doors = _Doors(maker, ogc)
    for place in PLACES:
        add_get(router, f"{place}/map", doors.map, "Map of a coverage")
        add_get(router, f"{place}/legend", doors.legend, "Legend of a map")
    add_get(router, "/collections/{collection}/styles", doors.styles, "Styles of the maps of a coverage")


def add_get(router: APIRouter, path: str, endpoint: Callable[..., Response], summary: str) -> None:
    """A route that also answers HEAD."""
    router.add_api_route(path, endpoint, methods=["GET"], response_class=Response, summary=summary)
    router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)


class _Doors:
    """The endpoints. They are no coroutines: the framework runs them in its threads."""

    def __init__(self, maker: MapMaker, ogc: str) -> None:
        self._maker = maker
        self._ogc = ogc

    def map(self, collection: str, request: Request) -> Response:
        query = parse_map(request.query_params.multi_items(), request.path_params.get("style"))
        kind = FORMATS.choose(query.format, request.headers.get("accept"))
        coverage = self._maker.catalog.coverage(collection, query.look.when)
        grid = map_grid(coverage, query)
        sheet = self._maker.prepare(collection, query.look, grid)
        rows, cols = grid.shape
        colour = query.background
        return answer(
            request,
            sheet,
            kind,
            lambda: self._maker.draw(sheet, kind, colour),
            lambda: Response(_nothing(rows, cols, kind, colour), media_type=kind),
            _headers(coverage, grid, query.crs or reference_of(crs_of(grid))),
            variant="" if colour is None else bytes(colour).hex(),
        )

    def legend(self, collection: str, request: Request) -> Response:
        look, given = parse_look(request.query_params.multi_items(), request.path_params.get("style"))
        kind = _LEGENDS.choose(given.get("f"), request.headers.get("accept"))
        _, style, ends = self._maker.styled(collection, look)
        if kind == PNG:
            return Response(legend_picture(style, ends), media_type=PNG, headers={"Vary": "Accept"})
        return JSONResponse(legend_document(collection, style, ends), headers={"Vary": "Accept"})

    def styles(self, collection: str, request: Request) -> JSONResponse:
        look, given = parse_look(request.query_params.multi_items(), None)
        only_json(given.get("f"), request.headers.get("accept"))
        if look.style is not None or look.ends is not None:
            raise InvalidInput("a list of styles is of all layers", "give datetime and f=json only")
        styles = styles_of(self._maker.catalog.coverage(collection, look.when))
        base = f"{self._ogc}/collections/{collection}/styles"
        listed = [
            {"id": style.id, "title": style.title, "links": list(_links(f"{base}/{style.id}", style))}
            for style in styles.values()
        ]
        own = link("self", "application/json", "This document", base)
        return JSONResponse({"default": next(iter(styles)), "styles": listed, "links": [own]})


def map_grid(coverage: Coverage, query: MapQuery) -> GeoBox:
    """The grid of a map: the box asked for, or the whole coverage, in the CRS asked for, or the coverage's own.

    A side that is not given follows from the other and the shape of the box.

    Raises:
        InvalidInput: when the CRS cannot hold the box, or the box is too long for a picture.
    """
    output = query.crs or reference_of(coverage.crs)
    wanted, source = (coverage.bounds, coverage.crs) if query.bbox is None else (query.bbox, query.bbox_crs.crs)
    bounds = project_bounds(wanted, source, output.crs)
    if bounds is None:
        raise InvalidInput(f"crs {output.uri} does not hold the area asked for", "choose another, or a smaller bbox")
    cols, rows = _sides(bounds, query)
    step = Affine.scale((bounds.right - bounds.left) / cols, -(bounds.top - bounds.bottom) / rows)
    return GeoBox((rows, cols), Affine.translation(bounds.left, bounds.top) @ step, output.crs)


def _sides(bounds: Bounds, query: MapQuery) -> tuple[int, int]:
    shape = (bounds.right - bounds.left) / (bounds.top - bounds.bottom)
    width, height = query.width, query.height
    if width is None and height is None:
        width, height = (_DEFAULT_SIDE, None) if shape >= 1 else (None, _DEFAULT_SIDE)
    cols = width if width is not None else max(1, round((height or 1) * shape))
    rows = height if height is not None else max(1, round(cols / shape))
    if max(cols, rows) > LONGEST_SIDE:
        raise InvalidInput(f"a box of this shape would be a picture of {cols} x {rows} pixels", "give width and height")
    return cols, rows


def _nothing(rows: int, cols: int, kind: str, colour: tuple[int, int, int] | None) -> bytes:
    if colour is None:
        return blank(rows, cols, kind)
    return encode(on_background(np.zeros((rows, cols, 4), dtype=np.uint8), colour), kind)


def _headers(coverage: Coverage, grid: GeoBox, reference: Reference) -> dict[str, str]:
    crs = {"Content-Crs": f"<{reference.uri}>"} if reference.uri.startswith("http") else {}
    box = ",".join(f"{number:.12g}" for number in reference.numbers(grid_bounds(grid)))
    return crs | {"Content-Bbox": box, "Content-Datetime": span(coverage.period)}


def _links(base: str, style: Style) -> Iterator[dict[str, Any]]:
    yield link(f"{RELATION}map", PNG, f"Map: {style.title}", f"{base}/map")
    yield link(f"{RELATION}tilesets-map", "application/json", f"Tiles: {style.title}", f"{base}/map/tiles")
    yield link("legend", PNG, f"Legend: {style.title}", f"{base}/legend?f=png")
    yield link("legend", "application/json", f"Legend: {style.title}", f"{base}/legend?f=json")
