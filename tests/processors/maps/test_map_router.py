"""Maps and tiles over HTTP: the abstract tests of the classes stated, and what is refused."""

from io import BytesIO
from typing import Any

import morecantile
import numpy as np
import pyproj
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from processors.map_colours import lookup
from processors.map_pictures import scaled_to_steps
from processors.tile_matrices import EUROPEAN, WEB_MERCATOR, set_document
from stac_catalog.visibility import HIDDEN
from tests.processors.maps.conftest import COLLECTION, LEFT, ROOT, TOP, MapWorld

BASE = f"/ogc/collections/{COLLECTION}"
MIDDLE = (LEFT + 11_000, TOP - 8_000)


def pixels(response: Any) -> NDArray[np.uint8]:
    assert response.status_code == 200, response.text
    with Image.open(BytesIO(response.content)) as image:
        return np.asarray(image.convert("RGBA"))


def problem(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


def middle_tile(name: str, zoom: int) -> tuple[int, int, int]:
    """Matrix, row and column of the tile over the middle, by morecantile."""
    matrix_set = morecantile.tms.get(name)
    lon, lat = pyproj.Transformer.from_crs(3035, 4326, always_xy=True).transform(*MIDDLE)
    tile = matrix_set.tile(lon, lat, zoom)
    return tile.z, tile.y, tile.x


def tile_path(name: str, zoom: int) -> str:
    return f"{BASE}/map/tiles/{name}/" + "/".join(map(str, middle_tile(name, zoom)))


@pytest.mark.parametrize("name", [WEB_MERCATOR, EUROPEAN])
def test_tile_shows_the_cells_under_it(client: TestClient, map_world: MapWorld, name: str) -> None:
    """Every pixel's colour is that of the cell which morecantile and pyproj find under its centre."""
    zoom = {WEB_MERCATOR: 13, EUROPEAN: 10}[name]
    picture = pixels(client.get(tile_path(name, zoom)))
    z, row, col = middle_tile(name, zoom)
    matrix_set = morecantile.tms.get(name)
    left, _bottom, right, top = matrix_set.xy_bounds(morecantile.Tile(col, row, z))
    size = (right - left) / 256
    x, y = np.meshgrid(left + (np.arange(256) + 0.5) * size, top - (np.arange(256) + 0.5) * size)
    epsg = matrix_set.crs.to_epsg()
    east, north = pyproj.Transformer.from_crs(epsg, 3035, always_xy=True).transform(x, y)
    across, down = (east - LEFT) / 20, (TOP - north) / 20
    clear = (np.abs(across - np.rint(across)) > 0.12) & (np.abs(down - np.rint(down)) > 0.12)
    stored = map_world.mosaic[down.astype(int), across.astype(int)]
    ends = client.get(f"{BASE}/legend", params={"f": "json"}).json()["range"]
    values = (stored.astype(np.float32) * np.float32(0.1)).astype(np.float32)
    wanted = lookup("value")[scaled_to_steps(values, (ends[0], ends[1]))]
    valid = clear & (stored != -32768)
    assert valid.mean() > 0.2
    # Half a step of colour may be rounded either way.
    assert (np.abs(picture[valid][:, :3].astype(int) - wanted[valid]) <= 2).all()
    assert (picture[clear & (stored == -32768)][:, 3] == 0).all()


def test_tile_by_format_style_and_time(client: TestClient) -> None:
    path = tile_path(WEB_MERCATOR, 12)
    plain = pixels(client.get(path))
    assert (pixels(client.get(path, params={"f": "webp"}))[plain[..., 3] > 0] == plain[plain[..., 3] > 0]).all()
    assert client.get(path, headers={"Accept": "image/webp"}).headers["content-type"] == "image/webp"
    styled = client.get(path.replace("/map/", "/styles/q95/map/"))
    assert (pixels(styled) == pixels(client.get(path, params={"properties": "q95"}))).all()
    assert (pixels(styled) != plain).any()
    assert (pixels(client.get(path, params={"datetime": "2020"})) != plain).any()
    assert (pixels(client.get(path, params={"range": "0,100"})) != plain).any()
    assert (pixels(client.get(path.replace("/map/", "/styles/mean-veiled/map/"))) != plain).any()


def test_empty_and_missing_tiles(client: TestClient) -> None:
    assert client.get(f"{BASE}/map/tiles/{WEB_MERCATOR}/8/0/0").status_code == 204
    assert client.get(f"{BASE}/map/tiles/{EUROPEAN}/0/0/0").status_code == 200
    empty = client.get(f"/tiles/{COLLECTION}/8/0/0.png")
    assert (pixels(empty)[..., 3] == 0).all()
    assert len(empty.content) < 1000
    assert "2 rows" in problem(client.get(f"{BASE}/map/tiles/{WEB_MERCATOR}/1/2/0"), 404)
    problem(client.get(f"{BASE}/map/tiles/{WEB_MERCATOR}/99/0/0"), 404)
    problem(client.get(f"{BASE}/map/tiles/Nowhere/0/0/0"), 404)
    problem(client.get(f"{BASE}/map/tiles/{WEB_MERCATOR}/1/-1/0"), 400)
    problem(client.get(f"{BASE}/map/tiles/{WEB_MERCATOR}/1/{10**30}/0"), 400)
    problem(client.get("/ogc/collections/none/map/tiles/WebMercatorQuad/0/0/0"), 404)


def test_xyz_is_the_same_tile(client: TestClient) -> None:
    z, row, col = middle_tile(WEB_MERCATOR, 12)
    first = client.get(f"/tiles/{COLLECTION}/{z}/{col}/{row}.png")
    assert first.content == client.get(tile_path(WEB_MERCATOR, 12)).content
    webp = client.get(f"/tiles/{COLLECTION}/{z}/{col}/{row}.webp?style=q95-veiled")
    assert webp.headers["content-type"] == "image/webp"
    problem(client.get(f"/tiles/{COLLECTION}/{z}/{col}/{row}.gif"), 404)
    problem(client.get(f"/tiles/{COLLECTION}/{z}/{col}/{row}.png?style=none"), 404)
    problem(client.get(f"/tiles/{COLLECTION}/{z}/{col}/a.png"), 400)
    assert "url" in problem(client.get(f"/tiles/{COLLECTION}/{z}/{col}/{row}.png?url=http://x"), 400)


def test_validators(client: TestClient) -> None:
    path = tile_path(WEB_MERCATOR, 12)
    first = client.get(path)
    assert first.headers["cache-control"].startswith("public, max-age=")
    again = client.get(path, headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    others = ({"f": "webp"}, {"range": "0,1"}, {"properties": "q95"}, {"datetime": "2020"})
    tags = {client.get(path, params=each).headers["etag"] for each in others}
    assert len(tags) == 4
    assert first.headers["etag"] not in tags
    assert client.get(path, headers={"Authorization": "Bearer x"}).headers["cache-control"].startswith("private")
    head = client.head(path)
    assert head.status_code == 200
    assert head.content == b""


def test_tilesets(client: TestClient) -> None:
    listed = client.get(f"{BASE}/map/tiles").json()["tilesets"]
    assert [each["tileMatrixSetId"] for each in listed] == [WEB_MERCATOR, EUROPEAN]
    for each in listed:
        assert each["dataType"] == "map"
        (self_link,) = (found["href"] for found in each["links"] if found["rel"] == "self")
        tileset = client.get(self_link).json()
        assert tileset["tileMatrixSetURI"] == each["tileMatrixSetURI"]
        assert tileset["crs"] == each["crs"]
        scheme = next(found["href"] for found in tileset["links"] if found["rel"].endswith("tiling-scheme"))
        assert client.get(scheme).json() == set_document(each["tileMatrixSetId"])
        assert limits_hold(client, tileset)


def limits_hold(client: TestClient, tileset: dict[str, Any]) -> bool:
    """The tiles at the corners of the limits are there; one further there is nothing."""
    template = next(found["href"] for found in tileset["links"] if found["rel"] == "item")
    for each in tileset["tileMatrixSetLimits"][-4::3]:
        for row, col in ((each["minTileRow"] - 1, each["minTileCol"]), (each["maxTileRow"], each["maxTileCol"] + 1)):
            address = template.replace("{tileMatrix}", each["tileMatrix"])
            answer = client.get(address.replace("{tileRow}", str(row)).replace("{tileCol}", str(col)))
            if answer.status_code != 204:
                return False
    deepest = tileset["tileMatrixSetLimits"][-1]
    return int(deepest["maxTileRow"]) > int(deepest["minTileRow"])


def test_choices_go_on_into_links(client: TestClient) -> None:
    document = client.get(f"{BASE}/styles/q95/map/tiles/{EUROPEAN}?datetime=2020").json()
    item = next(each for each in document["links"] if each["rel"] == "item")
    assert item["templated"]
    assert item["href"].startswith(f"{ROOT}{BASE}/styles/q95/map/tiles/{EUROPEAN}/")
    assert item["href"].endswith("?datetime=2020&f=png")


def test_map_of_a_box(client: TestClient) -> None:
    to_degrees = pyproj.Transformer.from_crs(3035, 4326, always_xy=True)
    box = to_degrees.transform_bounds(MIDDLE[0], MIDDLE[1], MIDDLE[0] + 2000, MIDDLE[1] + 2000)
    native = f"{MIDDLE[1]},{MIDDLE[0]},{MIDDLE[1] + 2000},{MIDDLE[0] + 2000}"
    answer = client.get(f"{BASE}/map", params={"bbox": native, "bbox-crs": "EPSG:3035", "width": 100})
    assert pixels(answer).shape == (100, 100, 4)
    assert answer.headers["content-bbox"] == native
    assert answer.headers["content-crs"].endswith("3035>")
    lonlat = {"bbox": ",".join(map(str, box)), "crs": "EPSG:4326", "width": "60", "height": "50"}
    answer = client.get(f"{BASE}/map", params=lonlat)
    assert pixels(answer).shape == (50, 60, 4)
    assert answer.headers["content-crs"].endswith("4326>")


def test_whole_map_and_background(client: TestClient) -> None:
    whole = pixels(client.get(f"{BASE}/map"))
    assert whole.shape == (745, 1024, 4) or max(whole.shape) == 1024
    gaps = whole[..., 3] == 0
    assert 0.05 < gaps.mean() < 0.6
    white = pixels(client.get(f"{BASE}/map", params={"transparent": "false"}))
    assert (white[gaps] == 255).all()
    assert (white[~gaps] == whole[~gaps]).all()
    red = pixels(client.get(f"{BASE}/map", params={"bgcolor": "0xFF0000"}))
    assert (red[gaps] == (255, 0, 0, 255)).all()
    far = pixels(client.get(f"{BASE}/map", params={"bbox": "0,0,1,1", "width": 50, "bgcolor": "Red"}))
    assert (far == (255, 0, 0, 255)).all()


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("bbox=1,2,3", 400, "bbox"),
        ("bbox=9,9,1,1", 400, "bbox"),
        ("bbox-crs=EPSG:3035", 400, "bbox-crs"),
        ("crs=EPSG:1", 400, "crs"),
        ("width=0", 400, "width"),
        ("width=1.5", 400, "width"),
        ("width=99999", 413, "width"),
        ("width=1000&height=1000", 413, "pixels"),
        ("height=90000000000", 400, "height"),
        ("bbox=4800000,5000000,4820000,5000000.01&bbox-crs=EPSG:3035&width=99", 400, "shape"),
        ("transparent=maybe", 400, "transparent"),
        ("bgcolor=file:///x", 400, "bgcolor"),
        ("properties=mean,q95", 400, "properties"),
        ("properties=none", 404, "none"),
        ("range=5,1", 400, "range"),
        ("range=0:*", 400, "range"),
        ("properties=aoa&range=0,1", 400, "range"),
        ("datetime=yesterday", 400, "datetime"),
        ("datetime=1999", 404, "periods"),
        ("f=gif", 400, "png"),
        ("url=http://example.org", 400, "url"),
        ("width=10&width=20", 400, "twice"),
    ],
)
def test_refusals(client: TestClient, query: str, status: int, word: str) -> None:
    assert word in problem(client.get(f"{BASE}/map?{query}"), status)


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:3035", "EPSG:4326", "EPSG:2154", "EPSG:32736", "EPSG:3031"])
@pytest.mark.parametrize("box", ["-180,-90,180,90", "179,-1,180,0", "20,60,20.0000001,60.0000001", "0,89.9,180,90"])
def test_boxes_at_the_edge_of_a_system_are_no_fault(client: TestClient, crs: str, box: str) -> None:
    assert client.get(f"{BASE}/map", params={"bbox": box, "crs": crs, "width": 40, "height": 40}).status_code in (
        200,
        400,
    )


def test_styles_and_legends(client: TestClient) -> None:
    document = client.get(f"{BASE}/styles").json()
    assert document["default"] == "mean"
    for style in document["styles"]:
        for found in style["links"]:
            assert client.get(found["href"]).status_code == 200, found
    assert client.get(f"{BASE}/legend", headers={"Accept": "application/json"}).json()["unit"] == "g/kg"
    assert pixels(client.get(f"{BASE}/legend")).shape[1] == 320
    problem(client.get(f"{BASE}/styles/none/legend"), 404)
    problem(client.get(f"{BASE}/legend?f=xml"), 400)
    problem(client.get(f"{BASE}/styles?properties=mean"), 400)


def test_tile_matrix_sets(client: TestClient) -> None:
    listed = client.get("/ogc/tileMatrixSets").json()["tileMatrixSets"]
    for each in listed:
        document = client.get(each["links"][0]["href"]).json()
        assert document["id"] == each["id"]
        assert document["uri"] == each["uri"]
        assert morecantile.TileMatrixSet.model_validate(document).id == each["id"]
    problem(client.get("/ogc/tileMatrixSets/None"), 404)
    problem(client.get("/ogc/tileMatrixSets?f=xml"), 400)


@pytest.mark.parametrize("path", ["map", "legend", "styles", "map/tiles", "map/tiles/WebMercatorQuad/0/0/0"])
def test_closed_collections_are_not_there(client: TestClient, path: str) -> None:
    token = HIDDEN.set(frozenset({COLLECTION}))
    try:
        assert "no coverage" in problem(client.get(f"{BASE}/{path}"), 404)
    finally:
        HIDDEN.reset(token)
