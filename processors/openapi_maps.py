"""The parts of the OpenAPI document about maps and tiles."""

from typing import Final

from processors.map_pictures import PNG, WEBP
from processors.map_query import LONGEST_SIDE
from processors.openapi_parts import JSON, Json, errors, form, query, ref
from processors.tile_matrices import SETS

_TEXT: Final[Json] = {"type": "string"}
_BOX: Final[Json] = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
_SIDE: Final[Json] = {"type": "integer", "minimum": 1, "maximum": LONGEST_SIDE}
_INDEX: Final[Json] = {"type": "integer", "minimum": 0}
_LOOKS: Final[dict[str, tuple[str, Json]]] = {
    "properties": ("The layer to draw, by name; not beside a style.", _TEXT),
    "datetime": ("Instant or interval; the latest period that meets it.", _TEXT),
    "range": ("Values at the ends of the colours, low:high.", _TEXT),
}
_MAP: Final[dict[str, tuple[str, Json]]] = {
    "bbox": ("Lower and upper corner, in the axis order of bbox-crs.", _BOX),
    "bbox-crs": ("CRS of bbox; CRS84 without it.", _TEXT),
    "crs": ("CRS of the map; that of the coverage without it.", _TEXT),
    "width": ("Width in pixels.", _SIDE),
    "height": ("Height in pixels.", _SIDE),
    "transparent": ("Whether there is no background.", {"type": "boolean"}),
    "bgcolor": ("Colour of the background, as 0xRRGGBB.", _TEXT),
}
_PICTURES: Final[Json] = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (PNG, WEBP)}
_DOCUMENT: Final[Json] = {JSON: {"schema": {"type": "object"}}}
_SET: Final[Json] = {
    "name": "tileMatrixSetId", "in": "path", "required": True, "schema": {"type": "string", "enum": list(SETS)},
}  # fmt: skip
_STYLE: Final[Json] = {"name": "styleId", "in": "path", "required": True, "schema": _TEXT}
_TILE: Final = tuple(
    {"name": name, "in": "path", "required": True, "schema": schema}
    for name, schema in (("tileMatrix", _TEXT), ("tileRow", _INDEX), ("tileCol", _INDEX))
)


def map_paths() -> Json:
    """The paths; parameters and responses of :mod:`processors.openapi` are referred to."""
    collection = ref("parameters", "collectionId")
    plain, styled = "/collections/{collectionId}", "/collections/{collectionId}/styles/{styleId}"
    styles = _get(
        "styles", "Styles of the maps of a coverage", [collection, _looks("datetime"), form("json")], _DOCUMENT
    )
    sets = _get("tileMatrixSets", "Tile matrix sets", [form("json")], _DOCUMENT)
    one = _get("tileMatrixSet", "A tile matrix set", [_SET, form("json")], _DOCUMENT)
    return {
        **_place(plain, "", [collection]),
        **_place(styled, "styled-", [collection, _STYLE]),
        f"{plain}/styles": {"get": styles},
        "/tileMatrixSets": {"get": sets},
        "/tileMatrixSets/{tileMatrixSetId}": {"get": one},
    }


def _place(base: str, prefix: str, place: list[Json]) -> Json:
    """Map, legend and tiles of a coverage in its first style, or in one that the path names."""
    looks = [_looks(name) for name in _LOOKS if not (prefix and name == "properties")]
    pictures, tile = form("png", "webp"), [*place, _SET, *_TILE, *looks]
    drawn = [query(name, *about) for name, about in _MAP.items()]
    operations = {
        "map": _get(f"{prefix}map", "Map of a coverage", [*place, *drawn, *looks, pictures], _PICTURES),
        "legend": _get(
            f"{prefix}legend",
            "Legend of a map",
            [*place, *looks, form("png", "json")],
            {PNG: _PICTURES[PNG], **_DOCUMENT},
        ),
        "map/tiles": _get(f"{prefix}tilesets", "Tilesets of a coverage", [*place, *looks, form("json")], _DOCUMENT),
        "map/tiles/{tileMatrixSetId}": _get(
            f"{prefix}tileset", "A tileset of a coverage", [*place, _SET, *looks, form("json")], _DOCUMENT
        ),
        "map/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}": _get(
            f"{prefix}tile", "A tile of a map", [*tile, pictures], _PICTURES, empty=True
        ),
    }
    return {f"{base}/{path}": {"get": operation} for path, operation in operations.items()}


def _looks(name: str) -> Json:
    return query(name, *_LOOKS[name])


def _get(operation: str, summary: str, parameters: list[Json], content: Json, *, empty: bool = False) -> Json:
    nothing: Json = {"204": {"description": "There is nothing in this tile."}} if empty else {}
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["maps"],
        "parameters": parameters,
        "responses": {
            "200": {"description": f"{summary}.", "content": content},
            **nothing,
            **errors("400", "401", "404", "413", "503"),
        },
    }
