"""OGC API Common, Part 2: Geospatial data (20-024)."""

import pytest

from tests.conformance.asking import follow, link
from tests.conformance.conftest import Service

PART = "ogcapi-common-2/1.0"
COLLECTIONS = ("bare-soil-composites", "soc-0-20cm", "products")


def test_list(service: Service) -> None:
    """/conf/collections/collections-list-op /conf/collections/collections-list-success"""
    document = service.client.get(link(service.json("/"), "data")).json()
    assert {each["id"] for each in document["collections"]} >= set(COLLECTIONS)


def test_links_of_the_list(service: Service) -> None:
    """/conf/collections/collections-list-links: to itself and to the page for people."""
    document = service.json("/collections")
    assert service.client.get(link(document, "self")).json() == document
    page = link(document, "alternate", "text/html")
    assert service.client.get(page).headers["content-type"].startswith("text/html")


def test_the_list_has_every_collection_as_it_describes_itself(service: Service) -> None:
    """/conf/collections/collections-list-collections /conf/collections/collection-definition"""
    for each in service.json("/collections")["collections"]:
        own = service.json(f"/collections/{each['id']}")
        assert own["id"] == each["id"]
        assert {name: own[name] for name in ("title", "extent")} == {name: each[name] for name in ("title", "extent")}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_description(service: Service, name: str) -> None:
    """/conf/collections/description-op /conf/collections/description-success"""
    document = service.json(f"/collections/{name}")
    assert document["id"] == name
    assert document["title"]
    assert document["description"]
    assert document["links"]


@pytest.mark.parametrize("name", COLLECTIONS)
def test_every_link_of_a_description_leads_where_it_says(service: Service, name: str) -> None:
    """/conf/collections/description-links: those within the service; other sites are not asked."""
    for each in service.json(f"/collections/{name}")["links"]:
        assert each["href"].startswith("http")
        if each["href"].startswith(service.root):
            follow(service.client, each)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_extent(service: Service, name: str) -> None:
    """/conf/collections/description-extent /conf/collections/description-extent-multi: in CRS84 and in UTC."""
    extent = service.json(f"/collections/{name}")["extent"]
    assert extent["spatial"]["crs"] == "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
    for west, south, east, north in extent["spatial"]["bbox"]:
        assert -180 <= west < east <= 180
        assert -90 <= south < north <= 90
    for begin, end in extent["temporal"]["interval"]:
        assert begin < end
        assert begin.endswith("Z")
        assert end.endswith("Z")


def test_the_extent_holds_every_product(service: Service) -> None:
    """/conf/collections/description-extent: the first box and interval are of all items."""
    extent = service.json("/collections/soc-0-20cm")["extent"]
    (west, south, east, north), (begin, end) = extent["spatial"]["bbox"][0], extent["temporal"]["interval"][0]
    items = service.client.get(f"{service.root}/stac/collections/soc-0-20cm/items").json()["features"]
    assert len(items) == 3
    for item in items:
        left, bottom, right, top = item["bbox"]
        assert west <= left < right <= east
        assert south <= bottom < top <= north
        assert begin[:19] <= item["properties"]["start_datetime"][:19] <= item["properties"]["end_datetime"][:19]
        assert item["properties"]["end_datetime"][:19] <= end[:19]
