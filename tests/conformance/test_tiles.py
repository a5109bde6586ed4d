"""OGC API Tiles, Part 1: Core (20-057)."""

import io

import numpy as np
import pyproj
import pytest
from PIL import Image

from tests.conformance.asking import follow, link, links, problem
from tests.conformance.conftest import Service

PART = "ogcapi-tiles-1/1.0"
NAME = "soc-0-20cm"
TILES = f"/collections/{NAME}/map/tiles"
SETS = ("WebMercatorQuad", "EuropeanETRS89_LAEAQuad")


def limits(service: Service, name: str) -> dict[str, dict]:
    return {each["tileMatrix"]: each for each in service.json(f"{TILES}/{name}")["tileMatrixSetLimits"]}


def bounds(service: Service, name: str, matrix: str, row: int, col: int) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a tile, from the set's own document."""
    document = service.json(f"/tileMatrixSets/{name}")
    level = {each["id"]: each for each in document["tileMatrices"]}[matrix]
    first, second = level["pointOfOrigin"]
    y_first = pyproj.CRS.from_user_input(document["crs"]).axis_info[0].direction == "north"
    x, y = (second, first) if y_first else (first, second)
    width, height = level["cellSize"] * level["tileWidth"], level["cellSize"] * level["tileHeight"]
    return x + col * width, y - (row + 1) * height, x + (col + 1) * width, y - row * height


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("matrix", ["8", "11", "12"])
def test_a_tile_shows_what_lies_under_it(service: Service, name: str, matrix: str) -> None:
    """/conf/core/tc-op /conf/core/tc-success /conf/core/tc-tilematrix-definition /conf/core/tc-tilerow-definition
    /conf/core/tc-tilecol-definition: the oracle projects each pixel's centre."""
    within = limits(service, name)[matrix]
    row, col = (within["minTileRow"] + within["maxTileRow"]) // 2, (within["minTileCol"] + within["maxTileCol"]) // 2
    answer = service.get(f"{TILES}/{name}/{matrix}/{row}/{col}", params={"f": "png"})
    assert answer.status_code == 200
    found = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(float)
    assert found.shape == (256, 256, 4)
    left, _, right, top = bounds(service, name, matrix, row, col)
    pixel = (right - left) / 256
    x, y = np.meshgrid(left + (np.arange(256) + 0.5) * pixel, top - (np.arange(256) + 0.5) * pixel)
    crs = service.json(f"/tileMatrixSets/{name}")["crs"]
    e, n = pyproj.Transformer.from_crs(crs, 3035, always_xy=True).transform(x, y)
    own_col, own_row = (np.floor(each).astype(int) for each in ~service.world.grid.affine @ (e, n))
    rows, cols = service.world.grid.shape
    inside = (own_row >= 0) & (own_row < rows) & (own_col >= 0) & (own_col < cols)
    values = np.full((256, 256), -32768)
    values[inside] = service.world.mosaic[own_row[inside], own_col[inside]]
    differ = (values != -32768) != (found[..., 3] > 0)
    assert differ.mean() < 0.02, "edges of coarser cells may lie a pixel off"
    both = (values != -32768) & (found[..., 3] > 0)
    if matrix != "8":
        assert np.corrcoef(found[both][:, :3] @ (0.299, 0.587, 0.114), values[both])[0, 1] > 0.9


def test_tiles_that_are_not_there(service: Service) -> None:
    """/conf/core/tc-error: 404 beyond the matrix, 400 for what is no number, 204 where there is nothing to show."""
    within = limits(service, SETS[0])["12"]
    for tail in (f"12/{within['minTileRow']}/99999", "99/0/0", "12/99999/0"):
        problem(service.get(f"{TILES}/{SETS[0]}/{tail}"), 404)
    problem(service.get(f"{TILES}/Nothing/0/0/0"), 404, SETS[0])
    problem(service.get(f"{TILES}/{SETS[0]}/12/one/0"), 400, "tileRow")
    empty = service.get(f"{TILES}/{SETS[0]}/12/0/0")
    assert (empty.status_code, empty.content) == (204, b"")


def test_conformance_is_declared(service: Service) -> None:
    """/conf/core/conformance-success"""
    assert f"http://www.opengis.net/spec/{PART}/conf/core" in service.json("/conformance")["conformsTo"]


@pytest.mark.parametrize("name", SETS)
def test_tileset(service: Service, name: str) -> None:
    """/conf/tileset/tileset-description: kind of data, CRS, set, limits and templates of its tiles."""
    document = service.json(f"{TILES}/{name}")
    assert document["dataType"] == "map"
    assert document["tileMatrixSetId"] == name
    scheme = service.client.get(link(document, "ogc:tiling-scheme")).json()
    assert scheme["crs"] == document["crs"]
    assert service.client.get(link(document, "self")).json() == document
    for each in links(document, "item"):
        assert each["templated"] is True
        within = document["tileMatrixSetLimits"][-1]
        address = each["href"].format(
            tileMatrix=within["tileMatrix"], tileRow=within["minTileRow"], tileCol=within["minTileCol"]
        )
        answer = service.client.get(address)
        assert answer.status_code in (200, 204)
        assert answer.status_code == 204 or answer.headers["content-type"] == each["type"]


@pytest.mark.parametrize("name", SETS)
def test_limits(service: Service, name: str) -> None:
    """/conf/tileset/tileset-description: beyond the limits there is nothing, within them there is something."""
    within = limits(service, name)["11"]
    rows = range(within["minTileRow"] - 1, within["maxTileRow"] + 2)
    cols = range(within["minTileCol"] - 1, within["maxTileCol"] + 2)
    shown = {
        (row, col) for row in rows for col in cols
        if service.get(f"{TILES}/{name}/11/{row}/{col}").status_code == 200
    }  # fmt: skip
    assert shown
    assert {row for row, _ in shown} <= set(rows[1:-1])
    assert {col for _, col in shown} <= set(cols[1:-1])


def test_list_of_tilesets(service: Service) -> None:
    """/conf/tilesets-list/tileset-links: each entry leads to its tileset, and tells what it is."""
    document = service.json(TILES)
    assert {each["tileMatrixSetId"] for each in document["tilesets"]} == set(SETS)
    for each in document["tilesets"]:
        assert {"dataType", "crs", "links", "title"} <= each.keys()
        full = service.client.get(link(each, "self")).json()
        assert full["tileMatrixSetId"] == each["tileMatrixSetId"]


def test_tilesets_of_a_collection(service: Service) -> None:
    """/conf/geodata-tilesets/desc-links /conf/geodata-tilesets/operation: of every coverage."""
    for name in (NAME, "bare-soil-composites"):
        for each in links(service.json(f"/collections/{name}"), "ogc:tilesets-map"):
            assert follow(service.client, each).json()["tilesets"]


def test_png(service: Service) -> None:
    """/conf/png/content: by negotiation and by f."""
    within = limits(service, SETS[0])["12"]
    row, col = (within["minTileRow"] + within["maxTileRow"]) // 2, (within["minTileCol"] + within["maxTileCol"]) // 2
    address = f"{TILES}/{SETS[0]}/12/{row}/{col}"
    for params, headers in (({"f": "png"}, {}), ({}, {"Accept": "image/png"}), ({}, {})):
        answer = service.get(address, params=params, headers=headers)
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).format == "PNG"
    problem(service.get(address, headers={"Accept": "image/jpeg"}), 406)
