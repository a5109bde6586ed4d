"""Routes of map tiles: OGC API Tiles below ``/ogc``, and XYZ below ``/tiles`` for whoever takes only that."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from processors.coverage_query import collect
from processors.coverages import Coverage
from processors.crs import CRS84, project_bounds
from processors.map_answers import answer
from processors.map_links import RELATION, link
from processors.map_maker import MapMaker, Sheet
from processors.map_pictures import PNG, WEBP, blank
from processors.map_query import FORMATS, parse_look, whole
from processors.map_router import PLACES, add_get
from processors.map_styles import Style, style_of
from processors.negotiation import only_json
from processors.tile_matrices import SETS, WEB_MERCATOR, limits_of, set_document, set_of, tile_grid

_TILE = "/map/tiles/{tile_matrix_set}/{tile_matrix}/{tile_row}/{tile_col}"
_SUFFIXES = {"png": PNG, "webp": WEBP}


def add_tiles(router: APIRouter, maker: MapMaker, ogc: str) -> None:
    """Add the routes of OGC API Tiles to ``router``; ``ogc`` is the address of the API as clients see it."""
    doors = _Doors(maker, ogc)
    add_get(router, "/tileMatrixSets", doors.sets, "Tile matrix sets")
    add_get(router, "/tileMatrixSets/{tile_matrix_set}", doors.set, "A tile matrix set")
    for place in PLACES:
        add_get(router, f"{place}/map/tiles", doors.tilesets, "Tilesets of a coverage")
        add_get(router, f"{place}/map/tiles/{{tile_matrix_set}}", doors.tileset, "A tileset of a coverage")
        add_get(router, f"{place}{_TILE}", doors.tile, "A tile of a map")


def add_xyz(router: APIRouter, maker: MapMaker) -> None:
    """Add the routes of tiles by zoom, column and row of WebMercatorQuad."""

    def xyz(collection: str, z: str, x: str, y: str, request: Request) -> Response:
        look, _ = parse_look(request.query_params.multi_items(), None, more=("style",))
        kind = _SUFFIXES[request.url.path.rpartition(".")[2]]
        grid = tile_grid(WEB_MERCATOR, z, whole(y, "y"), whole(x, "x"))
        return transparent_tile(request, maker, maker.prepare(collection, look, grid), kind)

    for suffix in _SUFFIXES:
        add_get(router, f"/{{collection}}/{{z}}/{{x}}/{{y}}.{suffix}", xyz, "A tile by zoom, column and row")


def transparent_tile(request: Request, maker: MapMaker, sheet: Sheet, kind: str) -> Response:
    """A tile for clients that want a picture even where there is nothing."""
    rows, cols = sheet.grid.shape
    return answer(
        request,
        sheet,
        kind,
        lambda: maker.draw(sheet, kind),
        lambda: Response(blank(rows, cols, kind), media_type=kind),
    )


class _Doors:
    """The endpoints. They are no coroutines: the framework runs them in its threads."""

    def __init__(self, maker: MapMaker, ogc: str) -> None:
        self._maker = maker
        self._ogc = ogc

    def tile(
        self, collection: str, tile_matrix_set: str, tile_matrix: str, tile_row: str, tile_col: str, request: Request
    ) -> Response:
        look, given = parse_look(request.query_params.multi_items(), request.path_params.get("style"))
        kind = FORMATS.choose(given.get("f"), request.headers.get("accept"))
        grid = tile_grid(tile_matrix_set, tile_matrix, whole(tile_row, "tileRow"), whole(tile_col, "tileCol"))
        sheet = self._maker.prepare(collection, look, grid)
        return answer(request, sheet, kind, lambda: self._maker.draw(sheet, kind), lambda: Response(status_code=204))

    def sets(self, request: Request) -> JSONResponse:
        _check_format(request)
        listed = [
            {"id": name, "title": each.title, "uri": str(each.uri), "crs": _crs(name), "links": [self._set_link(name)]}
            for name, each in SETS.items()
        ]
        return JSONResponse({"tileMatrixSets": listed})

    def set(self, tile_matrix_set: str, request: Request) -> JSONResponse:
        _check_format(request)
        return JSONResponse(set_document(tile_matrix_set))

    def tilesets(self, collection: str, request: Request) -> JSONResponse:
        coverage, style = self._described(collection, request)
        base = self._base(collection, request)
        listed = [
            {
                **_summary(name, coverage, style),
                "links": [_tileset_link(f"{base}/{name}", request), self._set_link(name)],
            }
            for name in SETS
        ]
        own = link("self", "application/json", "This document", base + _kept(request))
        return JSONResponse({"tilesets": listed, "links": [own]})

    def tileset(self, collection: str, tile_matrix_set: str, request: Request) -> JSONResponse:
        set_of(tile_matrix_set)
        coverage, style = self._described(collection, request)
        base = f"{self._base(collection, request)}/{tile_matrix_set}"
        tiles = [
            link(
                "item",
                kind,
                f"Tiles as {kind}",
                f"{base}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}{_kept(request, f=suffix)}",
            )
            | {"templated": True}
            for suffix, kind in _SUFFIXES.items()
        ]
        limits = [
            {
                "tileMatrix": each.matrix,
                "minTileRow": each.first_row,
                "maxTileRow": each.last_row,
                "minTileCol": each.first_col,
                "maxTileCol": each.last_col,
            }
            for each in limits_of(tile_matrix_set, coverage)
        ]
        document = _summary(tile_matrix_set, coverage, style) | {
            "boundingBox": _box(coverage),
            "tileMatrixSetLimits": limits,
            "links": [_tileset_link(base, request), self._set_link(tile_matrix_set), *tiles],
        }
        return JSONResponse(document)

    def _described(self, collection: str, request: Request) -> tuple[Coverage, Style]:
        look, given = parse_look(request.query_params.multi_items(), request.path_params.get("style"))
        only_json(given.get("f"), request.headers.get("accept"))
        coverage = self._maker.catalog.coverage(collection, look.when)
        return coverage, style_of(coverage, look.style)

    def _base(self, collection: str, request: Request) -> str:
        style = request.path_params.get("style")
        styled = "" if style is None else f"/styles/{style}"
        return f"{self._ogc}/collections/{collection}{styled}/map/tiles"

    def _set_link(self, name: str) -> dict[str, str]:
        title = str(SETS[name].title)
        return link(f"{RELATION}tiling-scheme", "application/json", title, f"{self._ogc}/tileMatrixSets/{name}")


def _check_format(request: Request) -> None:
    given = collect(request.query_params.multi_items(), ("f",))
    only_json(given.get("f"), request.headers.get("accept"))


def _crs(name: str) -> str:
    return str(set_document(name)["crs"])


def _summary(name: str, coverage: Coverage, style: Style) -> dict[str, Any]:
    return {
        "title": f"{coverage.title}: {style.title}",
        "dataType": "map",
        "crs": _crs(name),
        "tileMatrixSetId": name,
        "tileMatrixSetURI": str(SETS[name].uri),
        "style": {"id": style.id, "title": style.title},
    }


def _tileset_link(address: str, request: Request) -> dict[str, str]:
    return link("self", "application/json", "The tileset", address + _kept(request))


def _kept(request: Request, **more: str) -> str:
    """What a client has chosen goes on into the links."""
    pairs = [pair for pair in request.query_params.multi_items() if pair[0] != "f"]
    text = urlencode([*pairs, *more.items()])
    return f"?{text}" if text else ""


def _box(coverage: Coverage) -> dict[str, Any]:
    bounds = project_bounds(coverage.bounds, coverage.crs, CRS84.crs)
    if bounds is None:
        return {}
    left, bottom, right, top = bounds.astuple()
    return {"lowerLeft": [left, bottom], "upperRight": [right, top], "crs": CRS84.uri, "orderedAxes": ["Lon", "Lat"]}
