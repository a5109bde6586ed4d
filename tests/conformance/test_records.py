"""OGC API Records, Part 1: Core (20-004r1)."""

from datetime import datetime

import pytest
import shapely

from tests.conformance.asking import follow, link, links, problem
from tests.conformance.conftest import Service

PART = "ogcapi-records-1/1.0"
BASE = "/collections/products"
ITEMS = f"{BASE}/items"


@pytest.fixture(scope="module")
def records(service: Service) -> list[dict]:
    return service.json(ITEMS, params={"limit": "100"})["features"]


def ids(service: Service, **params: str) -> set[str]:
    return {each["id"] for each in service.json(ITEMS, params=params | {"limit": "100"})["features"]}


def test_mandatory_properties_of_a_record(records: list[dict]) -> None:
    """/conf/record-core/mandatory-properties-record: id, type, geometry, time, and what it is."""
    assert len(records) == 7
    for each in records:
        assert each["type"] == "Feature"
        assert each["id"]
        assert shapely.geometry.shape(each["geometry"]).is_valid
        assert {"type", "title"} <= each["properties"].keys()
        assert each["conformsTo"] == ["http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core"]


def test_times_of_a_record(records: list[dict]) -> None:
    """/conf/record-core/time-interval /conf/record-core/time-zone: an interval of UTC times."""
    for each in records:
        begin, end = each["time"]["interval"]
        assert begin.endswith("Z")
        assert end.endswith("Z")
        assert datetime.fromisoformat(begin) < datetime.fromisoformat(end)


def test_contact_and_licence_of_a_record(records: list[dict]) -> None:
    """/conf/record-core/contact /conf/record-core/record-license"""
    for each in records:
        contact = each["properties"]["contacts"][0]
        assert contact.get("name") or contact.get("organization")
        assert contact["roles"]
        assert each["properties"]["license"]
        assert links(each, "license")


def test_links_of_a_record(service: Service, records: list[dict]) -> None:
    """/conf/record-core/record-links /conf/record-core/default-mediatype: each leads to what it says."""
    for each in records:
        for found in each["links"]:
            assert {"href", "rel", "type"} <= found.keys()
            if found["href"].startswith(service.root):
                follow(service.client, found)
        own = service.client.get(link(each, "self"))
        assert own.headers["content-type"] == "application/geo+json"
        assert own.json() == each


def test_catalog(service: Service) -> None:
    """/conf/record-collection/mandatory-properties-collection /conf/record-collection/itemType
    /conf/record-collection/contact /conf/record-collection/license /conf/record-collection/default-mediatype"""
    document = service.json(BASE)
    assert document["id"] == "products"
    assert document["type"] == "Collection"
    assert document["itemType"] == "record"
    assert document["links"]
    assert document["extent"]["spatial"]["bbox"]


def test_links_of_the_catalog(service: Service) -> None:
    """/conf/record-collection/links /conf/record-collection/links-records
    /conf/record-collection/links-catalog-hierarchy"""
    document = service.json(BASE)
    for rel in ("self", "alternate", "items", "root", "ogc:queryables", "ogc:schema"):
        for each in links(document, rel):
            follow(service.client, each)
        assert links(document, rel), rel


def test_the_records_of_the_catalog(service: Service, records: list[dict]) -> None:
    """/conf/record-collection/records /conf/record-collection/records-array-name /conf/record-collection/links-record:
    every product of the store has one, which leads back to the catalog."""
    stored = {
        item for name in service.json_of("/stac/collections")["collections"] for item in _items(service, name["id"])
    }
    assert {each["id"] for each in records} == stored
    for each in records:
        assert link(each, "collection") == f"{service.root}/ogc{BASE}"


def _items(service: Service, collection: str) -> set[str]:
    return {each["id"] for each in service.json_of(f"/stac/collections/{collection}/items?limit=100")["features"]}


def test_bbox(service: Service, records: list[dict]) -> None:
    """/conf/record-core-query-parameters/query-param-bbox: the oracle intersects every geometry."""
    for box in ((24, 65, 26, 66), (9, 51, 14, 54), (0, 0, 1, 1)):
        shape = shapely.box(*box)
        expected = {each["id"] for each in records if shape.intersects(shapely.geometry.shape(each["geometry"]))}
        assert ids(service, bbox=",".join(map(str, box))) == expected
    problem(service.get(ITEMS, params={"bbox": "1,2,3"}), 400, "bbox")


@pytest.mark.parametrize(
    "text", ["2020-06-01", "2019-01-01/2020-12-31", "../2019-06-30", "2022-06-01T00:00:00Z/..", "1990"]
)
def test_datetime(service: Service, records: list[dict], text: str) -> None:
    """/conf/record-core-query-parameters/query-param-datetime: the oracle compares every interval."""
    low, high = {
        "2020-06-01": ("2020-06-01", "2020-06-02"), "2019-01-01/2020-12-31": ("2019-01-01", "2021-01-01"),
        "../2019-06-30": ("0000", "2019-07-01"), "2022-06-01T00:00:00Z/..": ("2022-06-01", "9999"),
        "1990": ("1990", "1991"),
    }[text]  # fmt: skip
    expected = {e["id"] for e in records if e["time"]["interval"][0] < high and e["time"]["interval"][1] >= low}
    assert ids(service, datetime=text) == expected


def test_limit(service: Service, records: list[dict]) -> None:
    """/conf/record-core-query-parameters/query-param-limit: pages hold every record once, in the same order."""
    seen, address = [], f"{ITEMS}?limit=4"
    for _ in range(3):
        page = service.client.get(address).json()
        assert page["numberReturned"] == len(page["features"]) <= 4
        assert page["numberMatched"] == len(records)
        seen += [each["id"] for each in page["features"]]
        following = links(page, "next")
        if not following:
            break
        address = following[0]["href"]
    assert seen == [each["id"] for each in records]
    for wrong in ("0", "-1", "many"):
        problem(service.get(ITEMS, params={"limit": wrong}), 400, "limit")


def test_words(service: Service) -> None:
    """/conf/record-core-query-parameters/query-param-q-definition
    /conf/record-core-query-parameters/query-param-q-response: any of the terms, whatever the case."""
    composites, models = ids(service, q="bare-soil composite"), ids(service, q="FOREST")
    assert len(composites) == 1
    assert len(models) == 1
    assert ids(service, q="bare-soil composite,forest") == composites | models
    assert ids(service, q="nonsense") == set()


def test_type(service: Service, records: list[dict]) -> None:
    """/conf/record-core-query-parameters/query-param-type-definition
    /conf/record-core-query-parameters/query-param-type-response"""
    for name in ("dataset", "model"):
        assert ids(service, type=name) == {each["id"] for each in records if each["properties"]["type"] == name}
    assert len(ids(service, type="dataset,model")) == len(records)
    problem(service.get(ITEMS, params={"type": "poem"}), 400, "poem")


def test_ids(service: Service, records: list[dict]) -> None:
    """/conf/record-core-query-parameters/query-param-ids-definition
    /conf/record-core-query-parameters/query-param-ids-response"""
    two = [records[0]["id"], records[3]["id"]]
    assert ids(service, ids=",".join(two)) == set(two)
    assert ids(service, ids="nothing") == set()


def test_external_ids(service: Service, records: list[dict]) -> None:
    """/conf/record-core-query-parameters/query-param-externalIds-definition
    /conf/record-core-query-parameters/query-param-externalIds-response: by value, or by scheme and value."""
    given = records[1]["properties"]["externalIds"][0]
    for text in (given["value"], f"{given['scheme']}:{given['value']}"):
        assert ids(service, externalIds=text) == {records[1]["id"]}
    assert ids(service, externalIds=given["value"], ids=records[2]["id"]) == set()
    assert ids(service, externalIds="doi:10.1000/1") == set()


def test_records_are_features(service: Service) -> None:
    """/conf/record-api/features-api /conf/record-api/records-op /conf/record-api/mandatory-params"""
    stated = service.json("/conformance")["conformsTo"]
    assert {f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{name}" for name in ("core", "geojson")} <= set(
        stated
    )
    names = {
        each["name"] for each in service.json("/openapi")["paths"][f"{ITEMS}"]["get"]["parameters"] if "name" in each
    }
    assert {"bbox", "datetime", "limit", "q", "type", "ids", "externalIds"} <= names


def test_catalog_by_its_address(service: Service) -> None:
    """/conf/record-api/catalog-response /conf/record-api/catalogs-response: alone and in the list of collections."""
    assert any(each["id"] == "products" for each in service.json("/collections")["collections"])
    assert service.json(BASE)["id"] == "products"


def test_record_by_its_address(service: Service, records: list[dict]) -> None:
    """/conf/record-api/record-op /conf/record-api/record-response"""
    assert service.json(f"{ITEMS}/{records[0]['id']}") == records[0]
    problem(service.get(f"{ITEMS}/nothing"), 404, "nothing")


def test_searchable_catalog(service: Service, records: list[dict]) -> None:
    """/conf/searchable-catalog/searchable-catalog /conf/searchable-catalog/mandatory-catalog-properties
    /conf/searchable-catalog/mandatory-record-properties: conditions are combined."""
    found = ids(service, property="soc", datetime="2022", bbox="24,65,26,66", type="dataset")
    expected = {
        each["id"] for each in records
        if each["properties"].get("property") == "soc" and each["time"]["interval"][1] >= "2022"
    }  # fmt: skip
    assert found == expected
    assert len(found) == 2


def test_json_of_a_catalog(service: Service) -> None:
    """/conf/json/catalog-response /conf/json/catalog-content"""
    answer = service.get(BASE, headers={"Accept": "application/json"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["itemType"] == "record"


def test_json_of_records(service: Service, records: list[dict]) -> None:
    """/conf/json/record-response /conf/json/record-content: GeoJSON."""
    for path in (ITEMS, f"{ITEMS}/{records[0]['id']}"):
        answer = service.get(path, headers={"Accept": "application/geo+json"})
        assert answer.headers["content-type"] == "application/geo+json"
        assert answer.json()["type"] in ("Feature", "FeatureCollection")
