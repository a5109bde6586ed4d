"""OGC API Records over the products of a store, read by clients that others wrote."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.records_query import PARAMETERS
from stac_catalog.visibility import HIDDEN
from tests.processors.coverages.conftest import COLLECTION, World

_PRODUCTS = "/collections/products"


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server}/ogc", timeout=30) as client:
        yield client


def _found(client: httpx.Client, **query: str) -> dict[str, Any]:
    answer = client.get(f"{_PRODUCTS}/items", params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_every_product_has_a_record(world: World, client: httpx.Client, server: str) -> None:
    found = _found(client)
    assert {each["id"] for each in found["features"]} == set(world.store.items(COLLECTION))
    assert (found["numberMatched"], found["numberReturned"]) == (3, 3)
    one = found["features"][0]
    assert one["properties"]["type"] == "dataset"
    assert one["properties"]["title"] == "Soil organic carbon"
    assert one["properties"]["license"] == "CC-BY-SA-4.0"
    assert any("organicCarbonContent" in c["id"] for t in one["properties"]["themes"] for c in t["concepts"])
    assert len(one["time"]["interval"]) == 2
    links = {link["rel"]: link["href"] for link in one["links"]}
    assert links["alternate"] == f"{server}/stac/collections/{COLLECTION}/items/{one['id']}"
    assert links["describedby"] == f"{server}/catalog/{COLLECTION}/{one['id']}/metadata.xml"
    assert httpx.get(links["self"]).json() == one
    assert httpx.get(links["http://www.opengis.net/def/rel/ogc/1.0/coverage"]).status_code == 200


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"q": "organic carbon"}, 3),
        ({"q": "nothing,CARBON"}, 3),
        ({"q": "carbon organic"}, 0),
        ({"q": "rganic"}, 0),
        ({"datetime": "2022"}, 2),
        ({"datetime": "../2021-05"}, 1),
        ({"bbox": "24,65,26,67"}, 3),
        ({"bbox": "0,0,1,1"}, 0),
        ({"type": "dataset"}, 3),
        ({"type": "model"}, 0),
        ({"type": "model,dataset", "property": "soc"}, 3),
        ({"property": "clay"}, 0),
        ({"depth": "0-20cm"}, 3),
        ({"ids": "nothing"}, 0),
    ],
)
def test_searches(client: httpx.Client, query: dict[str, str], count: int) -> None:
    assert len(_found(client, **query)["features"]) == count


def test_pages_hold_each_record_once(world: World, client: httpx.Client) -> None:
    seen: list[str] = []
    address = f"{_PRODUCTS}/items?limit=1&q=carbon"
    for _ in range(4):
        page = client.get(address).json()
        seen += [each["id"] for each in page["features"]]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not following:
            break
        (address,) = following
    assert sorted(seen) == sorted(world.store.items(COLLECTION))
    for offset, name in enumerate(seen):
        page = _found(client, limit="1", offset=str(offset), q="carbon")
        assert [each["id"] for each in page["features"]] == [name]
    last = _found(client, limit="1", offset="2")
    assert [link["rel"] for link in last["links"]] == ["self", "alternate", "prev", "collection"]
    assert _found(client, offset="9")["features"] == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"limit": "0"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "99999999"}, "offset"),
        ({"bbox": "1,2,3"}, "bbox"),
        ({"datetime": "never"}, "datetime"),
        ({"type": "song"}, "dataset or model"),
        ({"q": ","}, "q is"),
        ({"token": "x"}, "token"),
        ({"token": "x", "offset": "1"}, "token"),
        ({"speed": "fast"}, "speed"),
        ({"f": "xml"}, "json"),
    ],
)
def test_refusals_say_what_was_wrong(client: httpx.Client, query: dict[str, str], said: str) -> None:
    answer = client.get(f"{_PRODUCTS}/items", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert said in answer.json()["detail"]


def test_an_unknown_record_is_not_found(client: httpx.Client) -> None:
    for name in ("nothing", "%2e%2e", "a' OR 1=1"):
        assert client.get(f"{_PRODUCTS}/items/{name}").status_code == 404


def test_the_collection_is_listed_and_its_links_lead_somewhere(client: httpx.Client, server: str) -> None:
    listed = {each["id"]: each for each in client.get("/collections?f=json").json()["collections"]}
    alone = client.get(f"{_PRODUCTS}?f=json").json()
    assert listed["products"] == alone
    assert alone["itemType"] == "record"
    west, south, east, north = alone["extent"]["spatial"]["bbox"][0]
    assert 24 < west < east < 26
    assert 65 < south < north < 66
    for link in alone["links"]:
        assert client.get(link["href"]).status_code == 200, link
    assert client.get(f"{_PRODUCTS}?f=html").headers["content-type"].startswith("text/html")
    assert client.get("/collections?f=html").status_code == 200
    assert client.get(f"{_PRODUCTS}?f=jsonld").status_code == 200
    assert set(client.get(f"{_PRODUCTS}/queryables").json()["properties"]) >= {"type", "property"}
    for name in ("queryables", "schema"):
        assert client.get(f"{_PRODUCTS}/{name}").headers["content-type"] == "application/schema+json"
    assert f"{server}/ogc/collections/products" == client.get(f"{_PRODUCTS}/items").json()["links"][-1]["href"]


def test_hidden_collections_have_no_records(world: World) -> None:
    from starlette.testclient import TestClient

    from tests.processors.coverages import worlds

    client = TestClient(worlds.application(world.store, root="http://testserver"))
    token = HIDDEN.set(frozenset({COLLECTION}))
    try:
        assert client.get("/ogc/collections/products/items").json()["features"] == []
        name = world.store.items(COLLECTION)[0]
        assert client.get(f"/ogc/collections/products/items/{name}").status_code == 404
        collections = client.get("/ogc/collections?f=json").json()["collections"]
        assert [each["id"] for each in collections] == ["products"]
        assert collections[0]["extent"]["spatial"]["bbox"] == [[-180.0, -90.0, 180.0, 90.0]]
        assert client.get(f"/ogc/collections/{COLLECTION}/position?coords=POINT(25 65.7)").status_code == 404
    finally:
        HIDDEN.reset(token)


_TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["1", "-1", "0", "2022/..", "24,65,26,67", "dataset", "json", "soc", "1e9", "(", "\\", "%"]),
)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(PARAMETERS), _TEXT), min_size=1, max_size=4))
def test_nonsense_is_never_the_servers_fault(client: httpx.Client, pairs: list[tuple[str, str]]) -> None:
    answer = client.get(f"{_PRODUCTS}/items?{urlencode(pairs, errors='replace')}")
    assert answer.status_code in (200, 400), (pairs, answer.text)
