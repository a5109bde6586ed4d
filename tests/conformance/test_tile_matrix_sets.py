"""Two Dimensional Tile Matrix Set and Tile Set Metadata 2.0 (17-083r4)."""

import json

import morecantile
import pyproj
import pytest
from morecantile.models import TileMatrixSet

from tests.conformance.asking import link, problem
from tests.conformance.conftest import Service

PART = "tms/2.0"
NAMES = ("WebMercatorQuad", "EuropeanETRS89_LAEAQuad")
TILESET = "/collections/soc-0-20cm/map/tiles"


@pytest.fixture(params=NAMES)
def document(request: pytest.FixtureRequest, service: Service) -> dict:
    return service.json(f"/tileMatrixSets/{request.param}")


def test_the_list_leads_to_each_set(service: Service) -> None:
    """/conf/tilematrixset/model: the landing page leads to the list, the list to the sets; others are not there."""
    listed = service.client.get(link(service.json("/"), "ogc:tiling-schemes")).json()["tileMatrixSets"]
    assert [each["id"] for each in listed] == list(NAMES)
    for each in listed:
        found = service.client.get(each["links"][0]["href"]).json()
        assert (found["id"], found["crs"]) == (each["id"], each["crs"])
    problem(service.get("/tileMatrixSets/WorldCRS84Quad"), 404, NAMES[0])
    problem(service.get("/TileMatrixSets"), 404)


def test_set(document: dict) -> None:
    """/conf/tilematrixset/model: matrices from coarse to fine, each four times the last, scales as the standard has."""
    crs = pyproj.CRS.from_user_input(document["crs"])
    assert crs.to_epsg() == {"WebMercatorQuad": 3857, "EuropeanETRS89_LAEAQuad": 3035}[document["id"]]
    matrices = document["tileMatrices"]
    for number, each in enumerate(matrices):
        assert each["id"] == str(number)
        assert each["cellSize"] == pytest.approx(float(matrices[0]["cellSize"]) / 2**number)
        # The size of a pixel by which scales are reckoned is 0.28 mm.
        assert each["scaleDenominator"] == pytest.approx(each["cellSize"] / 0.00028)
        assert (each["tileWidth"], each["tileHeight"]) == (256, 256)
        assert each["matrixWidth"] == matrices[0]["matrixWidth"] * 2**number
        assert each["matrixHeight"] == matrices[0]["matrixHeight"] * 2**number


def test_json_of_a_set(document: dict, service: Service) -> None:
    """/conf/json-tilematrixset/model /conf/json-tilematrixset/schema /conf/json-tilematrixset/ietf
    /conf/json-tilematrixset/media-type: read back by an independent model, equal to the registry's set."""
    read = TileMatrixSet.model_validate_json(json.dumps(document))
    registered = morecantile.tms.get(document["id"])
    assert read.tileMatrices == registered.tileMatrices
    assert str(registered.uri) == document["uri"]
    answer = service.get(f"/tileMatrixSets/{document['id']}", headers={"Accept": "application/json"})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", NAMES)
def test_tileset_metadata(service: Service, name: str) -> None:
    """/conf/tilesetmetadata/model /conf/tilesetmetadata/identifier /conf/json-tilesetmetadata/model
    /conf/json-tilesetmetadata/schema /conf/json-tilesetmetadata/ietf /conf/json-tilesetmetadata/media-type"""
    answer = service.get(f"{TILESET}/{name}")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    scheme = service.client.get(link(document, "ogc:tiling-scheme")).json()
    assert document["tileMatrixSetURI"] == scheme["uri"]
    assert document["crs"] == scheme["crs"]
    assert document["dataType"] in ("map", "vector", "coverage")
    box = document["boundingBox"]
    assert box["crs"].endswith("CRS84")
    (west, south), (east, north) = box["lowerLeft"], box["upperRight"]
    stated = service.json("/collections/soc-0-20cm")["extent"]["spatial"]["bbox"][0]
    # The box of the mosaic is a little larger than that of its tiles, which lie askew.
    assert [west, south, east, north] == pytest.approx(stated, abs=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_limits(service: Service, name: str) -> None:
    """/conf/tilematrixsetlimits/model /conf/json-tilematrixsetlimits/model /conf/json-tilematrixsetlimits/schema
    /conf/json-tilematrixsetlimits/ietf: the tiles that the coverage's box touches; the oracle projects its outline."""
    scheme = service.json(f"/tileMatrixSets/{name}")
    levels = {each["id"]: each for each in scheme["tileMatrices"]}
    rows, cols = service.world.grid.shape
    edge = [(c, r) for c in range(0, cols + 1, 50) for r in (0, rows)]
    edge += [(c, r) for c in (0, cols) for r in range(0, rows + 1, 50)]
    points = [service.world.grid.affine @ each for each in edge]
    x, y = pyproj.Transformer.from_crs(3035, scheme["crs"], always_xy=True).transform(*zip(*points, strict=True))
    y_first = pyproj.CRS.from_user_input(scheme["crs"]).axis_info[0].direction == "north"
    found = service.json(f"{TILESET}/{name}")["tileMatrixSetLimits"]
    assert [each["tileMatrix"] for each in found] == [str(number) for number in range(len(found))]
    for each in found:
        level = levels[each["tileMatrix"]]
        first, second = level["pointOfOrigin"]
        left, top = (second, first) if y_first else (first, second)
        size = level["cellSize"] * 256
        assert each["minTileCol"] <= int((min(x) - left) // size)
        assert each["maxTileCol"] >= int((max(x) - left) // size) - 1
        assert each["minTileCol"] >= int((min(x) - left) // size) - 1
        assert each["minTileRow"] in range(int((top - max(y)) // size) - 1, int((top - max(y)) // size) + 1)
        assert each["maxTileRow"] in range(int((top - min(y)) // size) - 1, int((top - min(y)) // size) + 2)
