"""OGC API Features, Part 1: Core (17-069r4), of sites and of records."""

import pytest
import shapely

from tests.conformance.asking import follow, link, links, problem
from tests.conformance.conftest import Service, every

PART = "ogcapi-features-1/1.0"
SITES = "/collections/validation-sites"
ITEMS = f"{SITES}/items"
BOTH = (SITES, "/collections/products")


def test_landing_page_and_definition(service: Service) -> None:
    """/conf/core/root-op /conf/core/root-success /conf/core/api-definition-op /conf/core/api-definition-success
    /conf/core/conformance-op /conf/core/conformance-success /conf/core/http"""
    page = service.json("/")
    for rel in ("service-desc", "conformance", "data"):
        follow(service.client, links(page, rel)[0])
    stated = service.client.get(link(page, "conformance")).json()["conformsTo"]
    assert f"http://www.opengis.net/spec/{PART}/conf/core" in stated


@pytest.mark.parametrize("base", BOTH)
def test_collections(service: Service, base: str) -> None:
    """/conf/core/fc-md-op /conf/core/fc-md-success /conf/core/fc-md-links /conf/core/fc-md-items
    /conf/core/fc-md-items-links /conf/core/fc-md-extent /conf/core/sfc-md-op /conf/core/sfc-md-success"""
    document = service.json(base)
    assert document["id"] in {each["id"] for each in service.json("/collections")["collections"]}
    assert any(each["type"] == "application/geo+json" for each in links(document, "items"))
    for each in links(document, "items"):
        follow(service.client, each)
    assert document["extent"]["spatial"]["bbox"]
    assert "http://www.opengis.net/def/crs/OGC/1.3/CRS84" in document["crs"]


@pytest.mark.parametrize("base", BOTH)
def test_features(service: Service, base: str) -> None:
    """/conf/core/fc-op /conf/core/fc-response /conf/core/fc-links /conf/core/fc-rel-type /conf/core/fc-timeStamp
    /conf/core/fc-numberMatched /conf/core/fc-numberReturned /conf/core/crs84"""
    page = service.json(f"{base}/items", params={"limit": "3"})
    assert page["type"] == "FeatureCollection"
    assert page["numberReturned"] == len(page["features"]) == 3
    assert page["numberMatched"] == len(every(service, f"{base}/items"))
    assert page.get("timeStamp", "Z").endswith("Z")
    for each in page["links"]:
        assert {"rel", "type"} <= each.keys()
        if each["href"].startswith(service.root):
            follow(service.client, each)
    for each in page["features"]:
        west, south, east, north = shapely.geometry.shape(each["geometry"]).bounds
        assert -180 <= west <= east <= 180
        assert -90 <= south <= north <= 90


@pytest.mark.parametrize("base", BOTH)
def test_limit(service: Service, base: str) -> None:
    """/conf/core/fc-limit-definition /conf/core/fc-limit-response: pages by the links of rel next hold each once."""
    seen, following = [], [{"href": f"{base}/items?limit=4"}]
    while following:
        page = service.client.get(following[0]["href"]).json()
        assert len(page["features"]) <= 4
        seen += [each["id"] for each in page["features"]]
        following = links(page, "next")
    assert len(seen) == len(set(seen)) == page["numberMatched"]
    problem(service.get(f"{base}/items", params={"limit": "0"}), 400, "limit")


@pytest.mark.parametrize("base", BOTH)
def test_bbox(service: Service, base: str) -> None:
    """/conf/core/fc-bbox-definition /conf/core/fc-bbox-response: the oracle intersects every geometry."""
    whole = every(service, f"{base}/items")
    for box in ((8, 47, 14, 52), (24, 65, 26, 66), (-180, -90, 180, 90)):
        shape = shapely.box(*box)
        expected = {each["id"] for each in whole if shape.intersects(shapely.geometry.shape(each["geometry"]))}
        assert {e["id"] for e in every(service, f"{base}/items", bbox=",".join(map(str, box)))} == expected
    problem(service.get(f"{base}/items", params={"bbox": "1,2"}), 400, "bbox")


@pytest.mark.parametrize("base", BOTH)
def test_time(service: Service, base: str) -> None:
    """/conf/core/fc-time-definition /conf/core/fc-time-response: what is at that time, and what has no time."""
    whole = len(every(service, f"{base}/items"))
    assert len(every(service, f"{base}/items", datetime="../2100-01-01")) == whole
    assert every(service, f"{base}/items", datetime="1950-01-01") == []
    problem(service.get(f"{base}/items", params={"datetime": "never"}), 400, "datetime")


@pytest.mark.parametrize("base", BOTH)
def test_parameters(service: Service, base: str) -> None:
    """/conf/core/query-param-unknown /conf/core/query-param-invalid"""
    problem(service.get(f"{base}/items", params={"nonsense": "1"}), 400, "nonsense")
    problem(service.get(f"{base}/items", params={"f": "nonsense"}), 400, "nonsense")


@pytest.mark.parametrize("base", BOTH)
def test_feature(service: Service, base: str) -> None:
    """/conf/core/f-op /conf/core/f-success /conf/core/f-links: alone as in the page."""
    first = service.json(f"{base}/items", params={"limit": "1"})["features"][0]
    answer = service.get(f"{base}/items/{first['id']}")
    assert answer.headers["content-type"] == "application/geo+json"
    document = answer.json()
    assert document["properties"] == first["properties"]
    assert service.client.get(link(document, "self")).json()["id"] == first["id"]
    assert links(document, "collection")
    problem(service.get(f"{base}/items/nothing"), 404)


@pytest.mark.parametrize("base", BOTH)
def test_geojson(service: Service, base: str) -> None:
    """/conf/geojson/definition /conf/geojson/content"""
    answer = service.get(f"{base}/items", headers={"Accept": "application/geo+json"})
    assert answer.headers["content-type"] == "application/geo+json"
    for each in answer.json()["features"]:
        assert each["type"] == "Feature"
        assert {"id", "geometry", "properties"} <= each.keys()


def test_html(service: Service) -> None:
    """/conf/html/definition /conf/html/content: of the collections, the features and one of them."""
    one = service.json(ITEMS, params={"limit": "1"})["features"][0]["id"]
    for path in ("/", "/conformance", "/collections", SITES, ITEMS, f"{ITEMS}/{one}"):
        answer = service.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html"), path
        assert "<html" in answer.text


def test_openapi(service: Service) -> None:
    """/conf/oas30/oas-definition-1 /conf/oas30/oas-definition-2 /conf/oas30/oas-impl /conf/oas30/completeness
    /conf/oas30/exceptions-codes /conf/oas30/security"""
    document = service.json("/openapi")
    paths = [path for path in document["paths"] if path.endswith("/items")]
    assert paths
    for path in paths:
        assert {"200", "400"} <= document["paths"][path]["get"]["responses"].keys()
