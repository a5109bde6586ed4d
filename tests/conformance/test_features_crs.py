"""OGC API Features, Part 2: Coordinate Reference Systems by Reference (18-058r1)."""

import pyproj
import pytest

from tests.conformance.asking import problem
from tests.conformance.conftest import Service, every

PART = "ogcapi-features-2/1.0"
SITES = "/collections/validation-sites"
ITEMS = f"{SITES}/items"


def test_systems_of_a_collection(service: Service) -> None:
    """/conf/crs/crs-uri /conf/crs/fc-md-crs-list /conf/crs/fc-md-storageCrs /conf/crs/fc-md-storageCrs-valid-value
    /conf/crs/fc-md-crs-list-global"""
    document = service.json(SITES)
    assert document["storageCrs"] in document["crs"]
    for uri in document["crs"]:
        assert pyproj.CRS.from_user_input(uri).name


def test_crs(service: Service) -> None:
    """/conf/crs/fc-crs-definition /conf/crs/fc-crs-valid-value /conf/crs/fc-crs-default-value /conf/crs/fc-crs-action
    /conf/crs/ogc-crs-header /conf/crs/ogc-crs-header-value /conf/crs/geojson: in the order of the axes of the CRS."""
    plain = {each["id"]: each["geometry"]["coordinates"] for each in every(service, ITEMS)}
    for uri in service.json(SITES)["crs"]:
        answer = service.get(ITEMS, params={"crs": uri, "limit": "100"})
        assert answer.headers["content-crs"] == f"<{uri}>"
        target = pyproj.CRS.from_user_input(uri)
        transform = pyproj.Transformer.from_crs("OGC:CRS84", target).transform
        for each in answer.json()["features"]:
            expected = transform(*plain[each["id"]])
            assert each["geometry"]["coordinates"] == pytest.approx(expected, abs=0.01 if target.is_projected else 1e-6)
    assert service.get(ITEMS).headers["content-crs"].endswith("CRS84>")
    problem(service.get(ITEMS, params={"crs": "http://www.opengis.net/def/crs/EPSG/0/32632"}), 400, "crs")


def test_crs_of_a_box(service: Service) -> None:
    """/conf/crs/fc-bbox-crs-definition /conf/crs/fc-bbox-crs-valid-value /conf/crs/fc-bbox-crs-valid-defaultValue
    /conf/crs/fc-bbox-crs-action"""
    plain = {each["id"] for each in every(service, ITEMS, bbox="8,47,14,52")}
    turned = every(service, ITEMS, bbox="47,8,52,14", **{"bbox-crs": "http://www.opengis.net/def/crs/EPSG/0/4326"})
    assert {each["id"] for each in turned} == plain
    assert plain
    problem(service.get(ITEMS, params={"bbox": "1,2,3,4", "bbox-crs": "moon"}), 400, "bbox-crs")
