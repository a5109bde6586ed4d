"""WMTS: what may be asked and how, and what is refused. Clients of it are in tests/clients."""

import contextlib
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from lxml import etree

from processors.tile_matrices import WEB_MERCATOR
from stac_catalog.visibility import HIDDEN
from tests.processors.maps.conftest import COLLECTION
from tests.processors.maps.test_map_router import middle_tile, pixels


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
