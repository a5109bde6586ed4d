"""OGC API Maps, Part 1: Core (20-058)."""

import io

import numpy as np
import pyproj
import pytest
from PIL import Image

from tests.conformance.asking import follow, link, links, problem
from tests.conformance.conftest import Service

PART = "ogcapi-maps-1/1.0"
NAME = "soc-0-20cm"
MAP = f"/collections/{NAME}/map"
LAEA = "http://www.opengis.net/def/crs/EPSG/0/3035"


def picture(service: Service, path: str = MAP, **params: str) -> np.ndarray:
    """RGBA, shape (rows, columns, 4)."""
    answer = service.get(path, params=params)
    assert answer.status_code == 200, answer.text[:300]
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def test_map(service: Service) -> None:
    """/conf/core/map-op: in the native CRS, with the box that it shows in the order of its axes."""
    answer = service.get(MAP, headers={"Accept": "image/png,image/jpeg"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-crs"] == f"<{LAEA}>"
    rows, cols = service.world.grid.shape
    left, top = 5_000_000, 4_800_000
    box = [float(each) for each in answer.headers["content-bbox"].split(",")]
    assert box == [top - 20 * rows, left, top, left + 20 * cols]


def test_what_a_map_shows(service: Service) -> None:
    """/conf/core/map-response: one pixel for each cell, transparent where there is none, higher values brighter."""
    rows, cols = service.world.grid.shape
    found = picture(service, width=str(cols), height=str(rows))
    assert found.shape == (rows, cols, 4)
    mosaic = service.world.mosaic
    np.testing.assert_array_equal(found[..., 3] == 0, mosaic == -32768)
    valid = mosaic != -32768
    grey = found[..., :3].astype(float) @ (0.299, 0.587, 0.114)
    assert np.corrcoef(grey[valid], mosaic[valid])[0, 1] > 0.9


def test_conformance_is_declared(service: Service) -> None:
    """/conf/core/conformance-success"""
    assert f"http://www.opengis.net/spec/{PART}/conf/core" in service.json("/conformance")["conformsTo"]


def test_links_to_tiles(service: Service) -> None:
    """/conf/tilesets/desc-links: of the collection and of each style."""
    document = service.json(f"/collections/{NAME}")
    styles = service.client.get(link(document, "ogc:styles")).json()["styles"]
    for each in (document, *styles):
        tilesets = service.client.get(link(each, "ogc:tilesets-map")).json()["tilesets"]
        assert {tileset["tileMatrixSetId"] for tileset in tilesets} == {"WebMercatorQuad", "EuropeanETRS89_LAEAQuad"}


def test_background(service: Service) -> None:
    """/conf/background/transparent-definition /conf/background/bgcolor-definition /conf/background/map-success"""
    clear = picture(service, width="100")
    empty = clear[..., 3] == 0
    assert empty.any()
    for params, colour in (
        ({"transparent": "false"}, (255, 255, 255)),
        ({"bgcolor": "0x3366CC"}, (0x33, 0x66, 0xCC)),
        ({"bgcolor": "red"}, (255, 0, 0)),
        ({"bgcolor": "red", "transparent": "false"}, (255, 0, 0)),
    ):
        found = picture(service, width="100", **params)
        assert (found[..., 3] == 255).all()
        assert (found[empty][:, :3] == colour).all()
        np.testing.assert_array_equal(found[~empty], clear[~empty])
    for params in ({"transparent": "true"}, {"bgcolor": "red", "transparent": "true"}):
        np.testing.assert_array_equal(picture(service, width="100", **params)[..., 3], clear[..., 3])
    for params in ({"transparent": "maybe"}, {"bgcolor": "greenish"}):
        problem(service.get(MAP, params=params), 400, next(iter(params)))


@pytest.mark.parametrize(
    "params", [{"datetime": "2020-06-01"}, {"subset": 'time("2020-06-01")'}, {"datetime": "../2020"}]
)
def test_time(service: Service, params: dict[str, str]) -> None:
    """/conf/datetime/datetime-definition /conf/datetime/datetime-response /conf/datetime/subset-definition
    /conf/datetime/axis /conf/datetime/subset-response /conf/datetime/map-success"""
    answer = service.get(MAP, params=params | {"width": "600", "height": "700"})
    assert answer.headers["content-datetime"].startswith("2020-01-03")
    found = np.asarray(Image.open(io.BytesIO(answer.content)))
    np.testing.assert_array_equal(found[..., 3] == 0, service.world.older == -32768)
    latest = service.get(MAP, params={"width": "600", "height": "700"})
    assert latest.headers["content-datetime"].startswith("2022")
    assert latest.content != answer.content


def test_times_that_are_wrong(service: Service) -> None:
    """/conf/datetime/datetime-response /conf/datetime/subset-response"""
    problem(service.get(MAP, params={"datetime": "1999"}), 404, "periods")
    problem(service.get(MAP, params={"datetime": "never"}), 400, "datetime")
    problem(service.get(MAP, params={"datetime": "2020", "subset": "time(2020)"}), 400, "datetime")
    problem(service.get(MAP, params={"subset": "E(1:2)"}), 400, "subset")


@pytest.mark.parametrize("crs", ["[OGC:CRS84]", "[EPSG:4326]", "[EPSG:3857]", LAEA])
def test_crs(service: Service, crs: str) -> None:
    """/conf/crs/crs-definition /conf/crs/map-success: pixels lie where the headers say; the oracle asks pyproj."""
    params = {"crs": crs, "bbox": "24.9,65.52,24.98,65.55", "width": "80", "height": "60"}
    answer = service.get(MAP, params=params)
    assert answer.status_code == 200
    reference = pyproj.CRS.from_user_input(answer.headers["content-crs"].strip("<>"))
    assert reference == pyproj.CRS.from_user_input({"[OGC:CRS84]": "OGC:CRS84"}.get(crs, crs.strip("[]")))
    first, second, third, fourth = (float(each) for each in answer.headers["content-bbox"].split(","))
    y_first = reference.axis_info[0].direction == "north"
    left, bottom, right, top = (second, first, fourth, third) if y_first else (first, second, third, fourth)
    found = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(int)
    x = left + (np.arange(80) + 0.5) * (right - left) / 80
    y = top - (np.arange(60) + 0.5) * (top - bottom) / 60
    e, n = pyproj.Transformer.from_crs(reference, 3035, always_xy=True).transform(*np.meshgrid(x, y))
    col, row = (np.floor(each).astype(int) for each in ~service.world.grid.affine @ (e, n))
    values = service.world.mosaic[row, col]
    valid = (values != -32768) & (found[..., 3] == 255)
    assert valid.mean() > 0.9
    # Equal values have equal colours: of each value the colours differ by what one class of overview may.
    grey = found[..., :3] @ (0.299, 0.587, 0.114)
    assert np.corrcoef(grey[valid], values[valid])[0, 1] > 0.9


def test_crs_that_is_wrong(service: Service) -> None:
    """/conf/crs/crs-definition"""
    problem(service.get(MAP, params={"crs": "moon"}), 400, "crs")


def test_collection_has_a_map(service: Service) -> None:
    """/conf/collection-map/map-operation /conf/collection-map/desc-links /conf/collection-map/desc-crs"""
    for name in (NAME, "bare-soil-composites"):
        document = service.json(f"/collections/{name}")
        follow(service.client, links(document, "ogc:map")[0])
        for crs in document["crs"]:
            assert service.get(f"/collections/{name}/map", params={"crs": crs, "width": "50"}).status_code == 200


def test_styled_maps(service: Service) -> None:
    """/conf/styled-map/map-operation /conf/styled-map/desc-links: each style of the list has its map and legend."""
    document = service.client.get(link(service.json(f"/collections/{NAME}"), "ogc:styles")).json()
    assert document["default"] in {each["id"] for each in document["styles"]}
    shown = {}
    for each in document["styles"]:
        shown[each["id"]] = picture(service, link(each, "ogc:map"), width="60").tobytes()
        for found in links(each, "legend"):
            follow(service.client, found)
    assert shown["mean"] != shown["aoa"] != shown["mean-veiled"]
    assert shown[document["default"]] == picture(service, width="60").tobytes()


def test_png(service: Service) -> None:
    """/conf/png/content: by negotiation and by f."""
    for params, headers in (({"f": "png"}, {}), ({}, {"Accept": "image/png"}), ({}, {"Accept": "*/*"})):
        answer = service.get(MAP, params=params | {"width": "50"}, headers=headers)
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).format == "PNG"
