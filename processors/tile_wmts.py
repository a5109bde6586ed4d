"""WMTS 1.0.0 below ``/tiles/wmts`` for old clients: RESTful and by key and value."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import Response

from cup4soil.errors import InvalidInput, NoData
from processors.map_maker import Look, MapMaker
from processors.map_query import whole
from processors.map_router import add_get
from processors.tile_matrices import tile_grid
from processors.tile_router import transparent_tile
from processors.tile_wmts_document import SUFFIXES, capabilities, exception_report
from stac_catalog.visibility import visible

_TILE = "/wmts/1.0.0/{layer}/{style}/{tile_matrix_set}/{tile_matrix}/{tile_row}/{tile_col}"
_XML = "application/xml"
_VERSION = "1.0.0"
_NEEDED = ("layer", "style", "format", "tilematrixset", "tilematrix", "tilerow", "tilecol")
_LONGEST = 4000


class Refused(InvalidInput):
    """A request by key and value that is answered with an exception report; ``code`` and ``locator`` go into it."""

    def __init__(self, code: str, locator: str, problem: str, hint: str) -> None:
        super().__init__(problem, hint)
        self.code = code
        self.locator = locator


def add_wmts(router: APIRouter, maker: MapMaker, root: str) -> None:
    """Add the routes to ``router``, below ``/tiles``; ``root`` is the service's address as clients see it."""
    doors = _Doors(maker, root)
    add_get(router, "/wmts", doors.keys_and_values, "WMTS by key and value")
    add_get(router, "/wmts/1.0.0/WMTSCapabilities.xml", doors.capabilities, "WMTS capabilities")
    for suffix in SUFFIXES.values():
        add_get(router, f"{_TILE}.{suffix}", doors.tile, "A WMTS tile")


class _Doors:
    """The endpoints. They are no coroutines: the framework runs them in its threads."""

    def __init__(self, maker: MapMaker, root: str) -> None:
        self._maker = maker
        self._root = root

    def capabilities(self) -> Response:
        catalog = self._maker.catalog
        names = [name for name in visible(catalog.collections()) if catalog.periods(name)]
        body = capabilities((catalog.coverage(name) for name in names), self._root)
        # Who may see which collections decides what stands in it.
        return Response(body, media_type=_XML, headers={"Cache-Control": "private, max-age=60"})

    def tile(
        self,
        layer: str,
        style: str,
        tile_matrix_set: str,
        tile_matrix: str,
        tile_row: str,
        tile_col: str,
        request: Request,
    ) -> Response:
        kinds = {suffix: kind for kind, suffix in SUFFIXES.items()}
        kind = kinds[request.url.path.rpartition(".")[2]]
        grid = tile_grid(tile_matrix_set, tile_matrix, whole(tile_row, "TileRow"), whole(tile_col, "TileCol"))
        return transparent_tile(request, self._maker, self._maker.prepare(layer, Look(style), grid), kind)

    def keys_and_values(self, request: Request) -> Response:
        try:
            return self._asked(_collected(request), request)
        except Refused as error:
            return _report(error, error.code, error.locator)
        except (InvalidInput, NoData) as error:
            return _report(error, "InvalidParameterValue")

    def _asked(self, given: Mapping[str, str], request: Request) -> Response:
        if given.get("service", "WMTS").upper() != "WMTS":
            raise Refused("InvalidParameterValue", "service", f"service is {given['service'][:80]!r}", "use WMTS")
        wanted = given.get("request", "GetCapabilities")
        if wanted.lower() == "getcapabilities":
            versions = given.get("acceptversions", _VERSION).split(",")
            if _VERSION not in (each.strip() for each in versions):
                raise Refused("VersionNegotiationFailed", "acceptversions", "no such version", f"use {_VERSION}")
            return self.capabilities()
        if wanted.lower() != "gettile":
            problem = f"request is {wanted[:80]!r}"
            raise Refused("OperationNotSupported", "request", problem, "use GetCapabilities or GetTile")
        return self._tile_of(given, request)

    def _tile_of(self, given: Mapping[str, str], request: Request) -> Response:
        for name in _NEEDED:
            # The default style may be asked for by an empty value.
            if name not in given or (not given[name] and name != "style"):
                raise Refused("MissingParameterValue", name, f"{name} is missing", f"give {', '.join(_NEEDED)}")
        if given["format"] not in SUFFIXES:
            problem = f"format is {given['format'][:80]!r}"
            raise Refused("InvalidParameterValue", "format", problem, f"use {' or '.join(SUFFIXES)}")
        row, col = whole(given["tilerow"], "tilerow"), whole(given["tilecol"], "tilecol")
        grid = tile_grid(given["tilematrixset"], given["tilematrix"], row, col)
        sheet = self._maker.prepare(given["layer"], Look(given["style"] or None), grid)
        return transparent_tile(request, self._maker, sheet, given["format"])


def _collected(request: Request) -> dict[str, str]:
    """Parameters by name in small letters. Those that WMTS does not know are left alone, as the standard has it."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        key = name.lower()
        if key in given:
            raise Refused("InvalidParameterValue", key[:80], f"{name[:80]!r} is given twice", "give it once")
        if len(value) > _LONGEST:
            raise Refused("InvalidParameterValue", key[:80], f"{name[:80]!r} is too long", "give less")
        given[key] = value
    return given


def _report(error: InvalidInput | NoData, code: str, locator: str | None = None) -> Response:
    return Response(exception_report(code, str(error), locator), status_code=400, media_type=_XML)
