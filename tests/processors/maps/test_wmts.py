"""WMTS as its clients read it: OWSLib and GDAL."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import rasterio
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lxml import etree
from numpy.typing import NDArray
from owslib.wmts import WebMapTileService
from PIL import Image

from processors.maps import map_router
from processors.tile_matrices import EUROPEAN, WEB_MERCATOR
from service.problems import install
from stac_catalog.visibility import HIDDEN
from tests.processors.maps.conftest import COLLECTION, LEFT, TOP, MapWorld
from tests.processors.maps.test_map_router import middle_tile, pixels


@pytest.fixture(scope="module")
def address(map_world: MapWorld) -> Iterator[str]:
    """A running server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = FastAPI()
    install(app)
    app.include_router(map_router(map_world.store, root=f"http://127.0.0.1:{port}"))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def opened(content: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGBA"))


@pytest.mark.parametrize("name", [WEB_MERCATOR, EUROPEAN])
def test_owslib_reads_tiles(address: str, client: TestClient, name: str) -> None:
    service = WebMapTileService(f"{address}/tiles/wmts")
    layer = service[COLLECTION]
    assert [style for style, each in layer.styles.items() if each["isDefault"]] == ["mean"]
    assert set(layer.formats) == {"image/png", "image/webp"}
    assert service.tilematrixsets[name].crs.endswith({WEB_MERCATOR: "3857", EUROPEAN: "3035"}[name])
    z, row, col = middle_tile(name, 9)
    asked = {
        "layer": COLLECTION,
        "style": "mean",
        "tilematrixset": name,
        "tilematrix": str(z),
        "row": row,
        "column": col,
    }
    found = opened(service.gettile(format="image/png", **asked).read())
    ours = pixels(client.get(f"/ogc/collections/{COLLECTION}/map/tiles/{name}/{z}/{row}/{col}"))
    assert found[..., 3].any()
    assert (found == ours).all()
    limits = layer.tilematrixsetlinks[name].tilematrixlimits[str(z)]
    assert limits.mintilerow <= row <= limits.maxtilerow
    assert limits.mintilecol <= col <= limits.maxtilecol


@pytest.mark.skipif(shutil.which("gdal_translate") is None, reason="needs gdal_translate with the WMTS driver")
@pytest.mark.parametrize("name", [WEB_MERCATOR, EUROPEAN])
def test_gdal_reads_a_map(address: str, map_world: MapWorld, tmp_path: Path, name: str) -> None:
    """GDAL places the tiles where the cells are: gaps of the map are its gaps."""
    source = f"WMTS:{address}/tiles/wmts/1.0.0/WMTSCapabilities.xml,layer={COLLECTION},tilematrixset={name},style=mean"
    target = tmp_path / "read.tif"
    corners = [str(each) for each in (LEFT, TOP, LEFT + 22_000, TOP - 16_000)]
    srs = ["-projwin_srs", "EPSG:3035"] if name == WEB_MERCATOR else []
    command = ["gdal_translate", "-q", "-outsize", "220", "160", "-projwin", *corners, *srs, source, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    with rasterio.open(target) as dataset:
        shown = dataset.read(4) > 0
        assert dataset.crs.to_epsg() == {WEB_MERCATOR: 3857, EUROPEAN: 3035}[name]
    if name == EUROPEAN:
        gaps = map_world.mosaic[2::5, 2::5] != -32768
        assert (shown == gaps).mean() > 0.97
    assert 0.3 < shown.mean() < 0.95


def test_keys_in_any_case_and_default_style(client: TestClient) -> None:
    z, row, col = middle_tile(WEB_MERCATOR, 12)
    keys = {"SERVICE": "WMTS", "Request": "GetTile", "LAYER": COLLECTION, "STYLE": "", "FORMAT": "image/png"}
    keys |= {"TileMatrixSet": WEB_MERCATOR, "TILEMATRIX": str(z), "TileRow": str(row), "TILECOL": str(col), "x": "1"}
    first = client.get(f"/tiles/wmts?{urlencode(keys)}")
    rest = client.get(f"/tiles/wmts/1.0.0/{COLLECTION}/default/{WEB_MERCATOR}/{z}/{row}/{col}.png")
    assert pixels(first)[..., 3].any()
    assert first.content == rest.content
    for name in ("LAYER", "FORMAT", "TileMatrixSet", "TILEMATRIX", "TileRow", "TILECOL"):
        short = {key: value for key, value in keys.items() if key != name}
        assert refused(client, short) == ("MissingParameterValue", name.lower())


def refused(client: TestClient, keys: dict[str, Any]) -> tuple[str, str | None]:
    answer = client.get(f"/tiles/wmts?{urlencode(keys)}")
    assert answer.status_code == 400
    report = etree.fromstring(answer.content)
    (exception,) = report.iter("{http://www.opengis.net/ows/1.1}Exception")
    assert len(etree.tostring(exception, method="text")) > 10
    return str(exception.attrib["exceptionCode"]), exception.get("locator")


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"service": "WMS"}, "InvalidParameterValue"),
        ({"request": "GetFeatureInfo"}, "OperationNotSupported"),
        ({"request": "GetCapabilities", "acceptversions": "2.0.0"}, "VersionNegotiationFailed"),
        ({"layer": "none"}, "InvalidParameterValue"),
        ({"layer": "../../etc\x00\x01"}, "InvalidParameterValue"),
        ({"style": "none"}, "InvalidParameterValue"),
        ({"format": "image/gif"}, "InvalidParameterValue"),
        ({"tilematrix": "99"}, "InvalidParameterValue"),
        ({"tilerow": "-1"}, "InvalidParameterValue"),
        ({"tilecol": "99999"}, "InvalidParameterValue"),
    ],
)
def test_refusals(client: TestClient, keys: dict[str, str], code: str) -> None:
    whole = {"service": "WMTS", "request": "GetTile", "layer": COLLECTION, "style": "mean", "format": "image/png"}
    whole |= {"tilematrixset": WEB_MERCATOR, "tilematrix": "3", "tilerow": "1", "tilecol": "1"}
    assert refused(client, whole | keys)[0] == code


def test_capabilities_hide_closed_collections(client: TestClient) -> None:
    assert COLLECTION in client.get("/tiles/wmts").text
    with contextlib.ExitStack() as stack:
        stack.callback(HIDDEN.reset, HIDDEN.set(frozenset({COLLECTION})))
        assert COLLECTION not in client.get("/tiles/wmts").text
        path = f"/tiles/wmts/1.0.0/{COLLECTION}/mean/{WEB_MERCATOR}/0/0/0.png"
        assert client.get(path).status_code == 404
