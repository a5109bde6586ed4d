"""Extensions of the STAC API: query, free text, collection search, aggregation, children and browsing."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pystac
import pystac_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from cup4soil.settings import Settings
from stac_catalog.store import Store
from stac_catalog.validation import schema_errors
from tests.catalog import catalogs
from tests.catalog.catalogs import Item
from tests.catalog.conftest import Filled, Made
from tests.catalog.servers import serving
from tests.catalog.test_api import application, found

ITEMS = catalogs.items()


@pytest.fixture(scope="module")
def served(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A store with a product of each kind."""
    root = tmp_path_factory.mktemp("extensions") / "store"
    shutil.copytree(filled.store.root, root)
    with serving(application(Store.open(root, Settings()))) as address, httpx.Client(base_url=address) as client:
        client.timeout = httpx.Timeout(30)
        yield client


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Many items without files."""
    root = tmp_path_factory.mktemp("many-extensions")
    catalogs.write(root, ITEMS)
    app = application(Store(root, Settings()), most_items=100)
    with serving(app) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


TESTS: list[tuple[str, Any, Callable[[Item], bool]]] = [
    ("score", {"eq": 1}, lambda p: p.get("score") == 1),
    ("score", {"neq": 1}, lambda p: p.get("score", 1) != 1),
    ("score", {"gt": -3, "lte": 2.5}, lambda p: "score" in p and -3 < p["score"] <= 2.5),
    ("properties.score", {"gte": 2.5}, lambda p: p.get("score", 0) >= 2.5),
    ("score", {"lt": 0}, lambda p: p.get("score", 0) < 0),
    ("score", {"in": [0, 10]}, lambda p: p.get("score") in (0, 10)),
    ("title", {"startsWith": "Gamma %"}, lambda p: p["title"].startswith("Gamma %")),
    ("title", {"endsWith": "_*"}, lambda p: p["title"].endswith("_*")),
    ("title", {"contains": "a_"}, lambda p: "a_" in p["title"]),
    ("simulated", {"eq": True}, lambda p: p["simulated"]),
    ("created", {"gte": "2026-01-20T00:00:00Z"}, lambda p: p["created"] >= "2026-01-20"),
    ("cup4soil:algorithm.name", {"eq": "forest"}, lambda p: p["cup4soil:algorithm"]["name"] == "forest"),
    ("nothing", {"neq": 1}, lambda p: False),
    ("score", {"gte": "1", "neq": "10"}, lambda p: p.get("score", 0) >= 1 and p["score"] != 10),
    ("score", {"in": ["0", "2.5"]}, lambda p: p.get("score") in (0, 2.5)),
]  # fmt: skip


class TestQuery:
    @pytest.mark.parametrize(("name", "tests", "expected"), TESTS, ids=[f"{n} {t}" for n, t, _ in TESTS])
    def test_against_brute_force(self, many: httpx.Client, name: str, tests: Any, expected: Any) -> None:
        query = {name: tests}
        wanted = {item["id"] for item in ITEMS if expected(item["properties"])}
        assert set(found(many.get("/stac/search", params={"query": json.dumps(query), "limit": 100}))) == wanted
        assert set(found(many.post("/stac/search", json={"query": query, "limit": 100}))) == wanted
        parts = [
            found(many.get(f"/stac/collections/{c}/items", params={"query": json.dumps(query), "limit": 100}))
            for c in ("c0", "c1", "c2")
        ]
        assert {each for part in parts for each in part} == wanted

    @settings(max_examples=20)
    @given(st.lists(st.sampled_from(TESTS), min_size=1, max_size=3, unique_by=lambda test: test[0]))
    def test_all_have_to_hold_and_the_filter_too(self, many: httpx.Client, chosen: list[Any]) -> None:
        query = {name: tests for name, tests, _ in chosen}
        body = {"query": query, "filter": "simulated = FALSE", "filter-lang": "cql2-text", "limit": 100}
        wanted = {
            item["id"]
            for item in ITEMS
            if not item["properties"]["simulated"] and all(test(item["properties"]) for *_, test in chosen)
        }
        assert set(found(many.post("/stac/search", json=body))) == wanted

    def test_pystac_client_asks(self, many: httpx.Client) -> None:
        client = pystac_client.Client.open(f"{many.base_url}/stac")
        names = {item.id for item in client.search(query=["score>=1", "score<10"]).items()}
        assert names == {item["id"] for item in ITEMS if 1 <= item["properties"].get("score", 0) < 10}

    def test_free_text(self, many: httpx.Client) -> None:
        wanted = {item["id"] for item in ITEMS if {"clay", "map"} & set(item["properties"]["keywords"])}
        assert set(found(many.get("/stac/search?q=clay,map&limit=100"))) == wanted
        assert set(found(many.post("/stac/search", json={"q": ["clay", "map"], "limit": 100}))) == wanted


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["numberReturned"] == len(document["collections"])
    return [each["id"] for each in document["collections"]]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, list[Item]]]:
    """Collections here and there, now and then."""
    root = tmp_path_factory.mktemp("places")
    items = [item | {"collection": f"c{number:02d}"} for number, item in enumerate(ITEMS[:25])]
    catalogs.write(root, items)
    collections = []
    for number, item in enumerate(items):
        path = root / "catalog" / item["collection"] / "collection.json"
        document = json.loads(path.read_text())
        west, south, east, north = item["bbox"]
        start = item["properties"].get("start_datetime") or item["properties"]["datetime"]
        document |= {
            "title": item["properties"]["title"], "license": ["CC-BY-4.0", "CC0-1.0", "other"][number % 3],
            "keywords": item["properties"]["keywords"],
            "summaries": {"cup4soil:property": ["soc", "clay"][: number % 3]},
            "extent": {
                "spatial": {"bbox": [[min(west, east), south, max(west, east), north], item["bbox"]]},
                "temporal": {"interval": [[start, f"{int(start[:4]) + 1}{start[4:]}" if number % 5 else None]]},
            },
        }  # fmt: skip
        path.write_text(json.dumps(document))
        collections.append(document)
    app = application(Store(root, Settings()), most_items=50)
    with serving(app) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client, collections


class TestCollectionSearch:
    @settings(max_examples=40)
    @given(
        st.none() | st.tuples(*(st.floats(-180, 180), st.floats(-90, 90)) * 2),
        st.none() | st.tuples(st.integers(2010, 2030), st.integers(2010, 2030)).map(sorted),
        st.none() | st.sampled_from(["clay", "soil,Alph", "gamma %", "zzz"]),
    )
    def test_against_brute_force(self, places: Any, corners: Any, span: Any, words: str | None) -> None:
        client, collections = places
        parameters: dict[str, Any] = {}
        if corners is not None:
            west, south, east, north = corners[0], min(corners[1::2]), corners[2], max(corners[1::2])
            parameters["bbox"] = f"{west},{south},{east},{north}"
        if span is not None:
            parameters["datetime"] = f"{span[0]}-06-01T00:00:00Z/{span[1]}-07-01T00:00:00Z"
        if words is not None:
            parameters["q"] = words

        def pieces(bounds: Any) -> Any:
            west, south, east, north = bounds
            halves = [(west, east)] if west <= east else [(west, 180), (-180, east)]
            return [box(left, south, right, north) for left, right in halves]

        def fits(each: Item) -> bool:
            start, end = each["extent"]["temporal"]["interval"][0]
            in_time = span is None or (
                start <= f"{span[1]}-07-01T00:00:00Z" and (end is None or end >= f"{span[0]}-06-01T00:00:00Z")
            )
            own = pieces(each["extent"]["spatial"]["bbox"][1])
            in_space = corners is None or any(a.intersects(b) for a in own for b in pieces((west, south, east, north)))
            lists = [*each["keywords"], *each["summaries"]["cup4soil:property"]]
            text = f"{each['title']} {each['description']} {' '.join(lists)}".lower()
            # None of the terms of this test stands within a word.
            return in_time and in_space and (words is None or any(term.lower() in text for term in words.split(",")))

        expected = [each["id"] for each in collections if fits(each)]
        answer = client.get("/stac/collections", params=parameters)
        assert ids(answer) == expected
        assert answer.json()["numberMatched"] == len(expected)

    @pytest.mark.parametrize(
        ("text", "test"),
        [
            ("title = 'Alpha'", lambda c: c["title"] == "Alpha"),
            ("license IN ('CC0-1.0', 'other') AND NOT title = 'Alpha'",
             lambda c: c["license"] != "CC-BY-4.0" and c["title"] != "Alpha"),
            ("A_CONTAINS(\"cup4soil:property\", ('clay'))", lambda c: "clay" in c["summaries"]["cup4soil:property"]),
            ("nothing = 1 OR title LIKE 'b%'", lambda c: c["title"].startswith("b")),
            ("NOT nothing = 1", lambda c: False),
            ("nothing IS NULL", lambda c: True),
            ("datetime >= TIMESTAMP('2019-01-01T00:00:00Z')",
             lambda c: c["extent"]["temporal"]["interval"][0][0] >= "2019"),
            ("S_INTERSECTS(geometry, BBOX(-60, -60, 60, 60))",
             lambda c: c["extent"]["spatial"]["bbox"][1][0] <= c["extent"]["spatial"]["bbox"][1][2]
             and box(*c["extent"]["spatial"]["bbox"][1]).intersects(box(-60, -60, 60, 60))),
        ],
    )  # fmt: skip
    def test_filter(self, places: Any, text: str, test: Callable[[Item], bool]) -> None:
        client, collections = places
        expected = [each["id"] for each in collections if test(each)]
        assert ids(client.get("/stac/collections", params={"filter": text})) == expected
        assert ids(client.post("/stac/collections", json={"filter": text, "filter-lang": "cql2-text"})) == expected

    def test_order_pages_and_fields(self, places: Any) -> None:
        client, collections = places
        ordered = sorted(collections, key=lambda each: (each["title"], each["license"]))
        asked = {"sortby": "title,+license", "limit": 4, "fields": "title,-description"}
        answer = client.get("/stac/collections", params=asked)
        names, pages = ids(answer), 1
        assert set(answer.json()["collections"][0]) == {"id", "type", "stac_version", "title"}
        while following := [each for each in answer.json()["links"] if each["rel"] == "next"]:
            answer = client.get(following[0]["href"])
            names, pages = names + ids(answer), pages + 1
        assert names == [each["id"] for each in ordered]
        assert pages == 7
        body = {"query": {"title": {"eq": "Alpha"}}, "sortby": [{"field": "id", "direction": "desc"}]}
        alphas = [each["id"] for each in collections if each["title"] == "Alpha"]
        assert ids(client.post("/stac/collections", json=body)) == alphas[::-1]

    def test_pystac_client_searches(self, places: Any) -> None:
        client, collections = places
        opened = pystac_client.Client.open(f"{client.base_url}/stac")
        assert [each.id for each in opened.get_collections()] == [each["id"] for each in collections]
        search = opened.collection_search(q="clay", limit=2, max_collections=None)
        expected = [each["id"] for each in collections if "clay" in json.dumps([each["keywords"], each["summaries"]])]
        assert [each.id for each in search.collections()] == expected
        assert search.matched() == len(expected)
        search = opened.collection_search(filter="license = 'CC0-1.0'", filter_lang="cql2-text", datetime="2015/2018")
        assert {each.id for each in search.collections()} < {c["id"] for c in collections if c["license"] == "CC0-1.0"}

    @pytest.mark.parametrize(
        "query", ["bbox=1", "limit=0", "token=x", "token=-1", "token=" + "9" * 20, "q=,", "filter=(", "ids=a",
                  "collections=a", "sortby=", "fields=a b", "datetime=x", "intersects=x"],
    )  # fmt: skip
    def test_refused(self, many: httpx.Client, query: str) -> None:
        answer = many.get(f"/stac/collections?{query}")
        assert answer.status_code == 400, answer.text
        assert "; " in answer.json()["detail"]

    def test_documents_of_what_can_be_asked(self, many: httpx.Client) -> None:
        links = {each["rel"]: each["href"] for each in many.get("/stac/collections").json()["links"]}
        queryable = many.get(next(href for rel, href in links.items() if rel.endswith("queryables"))).json()
        assert {"id", "title", "keywords", "geometry"} <= set(queryable["properties"])
        sortable = many.get(next(href for rel, href in links.items() if rel.endswith("sortables"))).json()
        assert "keywords" not in sortable["properties"]
        for name in sortable["properties"]:
            assert len(ids(many.get("/stac/collections", params={"sortby": f"-{name}"}))) == 3


def aggregated(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == "AggregationCollection"
    return {each["name"]: each for each in answer.json()["aggregations"]}


class TestAggregation:
    def test_figures(self, many: httpx.Client) -> None:
        names = "total_count,datetime_min,datetime_max,collection_frequency,datetime_frequency,grid_geohash_frequency"
        found = aggregated(many.get("/stac/aggregate", params={"aggregations": names, "query": '{"score": {"gt": 0}}'}))
        items = [item for item in ITEMS if item["properties"].get("score", 0) > 0]
        assert list(found) == names.split(",")
        assert found["total_count"]["value"] == len(items)
        begins = [item["properties"].get("start_datetime") or item["properties"]["datetime"] for item in items]
        assert found["datetime_min"]["value"] == min(begins)
        assert found["datetime_max"]["value"] >= max(begins)
        by_name = {each["key"]: each["frequency"] for each in found["collection_frequency"]["buckets"]}
        assert by_name == Counter(item["collection"] for item in items)
        years = {each["key"][:4]: each["frequency"] for each in found["datetime_frequency"]["buckets"]}
        assert years == Counter(begin[:4] for begin in begins)
        assert sum(each["frequency"] for each in found["grid_geohash_frequency"]["buckets"]) == len(items)
        assert all(each["overflow"] == 0 for each in found.values() if "buckets" in each)

    def test_ways_of_asking(self, many: httpx.Client) -> None:
        wanted = {"aggregations": ["total_count"], "bbox": [-90, -45, 90, 45], "q": ["clay"]}
        parameters = {"aggregations": "total_count", "bbox": "-90,-45,90,45", "q": "clay"}
        whole = aggregated(many.post("/stac/aggregate", json=wanted))
        assert whole == aggregated(many.get("/stac/aggregate", params=parameters))
        parts = [
            aggregated(many.get(f"/stac/collections/{name}/aggregate", params=parameters))["total_count"]["value"]
            for name in ("c0", "c1", "c2")
        ]
        assert sum(parts) == whole["total_count"]["value"]
        assert parts[0] == aggregated(many.post("/stac/collections/c0/aggregate", json=wanted))["total_count"]["value"]
        assert aggregated(many.get("/stac/aggregate")) == {}

    def test_intervals_and_precision(self, many: httpx.Client) -> None:
        for interval, length in (("year", 4), ("month", 7), ("day", 10)):
            asked = {"aggregations": "datetime_frequency", "datetime_frequency_interval": interval}
            buckets = aggregated(many.get("/stac/aggregate", params=asked))["datetime_frequency"]["buckets"]
            begins = [i["properties"].get("start_datetime") or i["properties"]["datetime"] for i in ITEMS]
            assert {each["key"][:length]: each["frequency"] for each in buckets} == Counter(b[:length] for b in begins)
        for precision in (1, 6):
            asked = {"aggregations": "grid_geohash_frequency", "grid_geohash_frequency_precision": str(precision)}
            buckets = aggregated(many.get("/stac/aggregate", params=asked))["grid_geohash_frequency"]["buckets"]
            assert {len(each["key"]) for each in buckets} == {precision}

    def test_properties_of_soil_products(self, served: httpx.Client, made: dict[str, Made]) -> None:
        available = aggregated(served.get("/stac/aggregations"))
        assert {"kind_frequency", "property_frequency", "depth_frequency", "license_frequency"} <= set(available)
        found = aggregated(served.get("/stac/aggregate", params={"aggregations": ",".join(available)}))
        assert {name: each["data_type"] for name, each in found.items()} == {
            name: each["data_type"] for name, each in available.items()
        }
        kinds = {each["key"]: each["frequency"] for each in found["kind_frequency"]["buckets"]}
        assert kinds == Counter(each.record.kind for each in made.values())
        # Models and samples have no depth.
        depths = found["depth_frequency"]
        assert sum(each["frequency"] for each in depths["buckets"]) + depths["overflow"] == len(made)
        assert {each["key"] for each in found["simulated_frequency"]["buckets"]} <= {"true", "false"}

    def test_each_collection_offers_what_its_items_have(self, served: httpx.Client) -> None:
        links = [each for each in served.get("/stac/collections/models").json()["links"] if "aggreg" in each["rel"]]
        assert {(each["rel"], each.get("method")) for each in links} == {
            ("aggregate", "GET"), ("aggregate", "POST"), ("aggregations", None),
        }  # fmt: skip
        assert "gsd_frequency" not in aggregated(served.get("/stac/collections/models/aggregations"))
        refused = served.get("/stac/collections/models/aggregate?aggregations=gsd_frequency")
        assert refused.status_code == 400
        assert "gsd_frequency" in refused.json()["detail"]

    @pytest.mark.parametrize(
        "query", ["aggregations=none", "aggregations=total_count&limit=3", "aggregations=total_count&bbox=1",
                  "aggregations=datetime_frequency&datetime_frequency_interval=century",
                  "aggregations=grid_geohash_frequency&grid_geohash_frequency_precision=7",
                  "aggregations=grid_geohash_frequency&grid_geohash_frequency_precision=0"],
    )  # fmt: skip
    def test_refused(self, many: httpx.Client, query: str) -> None:
        assert many.get(f"/stac/aggregate?{query}").status_code == 400
        assert many.get(f"/stac/collections/none/aggregate?{query}").status_code in (400, 404)
        assert many.post("/stac/aggregate", content=b"{").status_code == 400


class TestBrowsing:
    def test_children_are_the_collections_themselves(self, served: httpx.Client) -> None:
        page = served.get("/stac").json()
        children = served.get("/stac/children").json()
        for each in children["children"]:
            assert list(schema_errors(each)) == []
        linked = [served.get(each["href"]).json() for each in page["links"] if each["rel"] == "child"]
        assert children["children"] == linked
        assert {each["rel"] for each in children["links"]} == {"self", "root"}

    def test_pystac_reaches_every_item_of_small_collections(self, many: httpx.Client) -> None:
        catalog = pystac.Catalog.from_file(f"{many.base_url}/stac")
        assert sorted(item.id for item in catalog.get_items(recursive=True)) == sorted(item["id"] for item in ITEMS)

    def test_large_collections_are_browsed_in_parts(self, tmp_path: Path) -> None:
        items = [item | {"collection": "c0"} for item in catalogs.items(130)]
        catalogs.write(tmp_path, items)
        with serving(application(Store(tmp_path, Settings()))) as address, httpx.Client(timeout=30) as client:
            collection = client.get(f"{address}/stac/collections/c0").json()
            assert list(schema_errors(collection)) == []
            assert not any(each["rel"] == "item" for each in collection["links"])
            parts = [client.get(each["href"]).json() for each in collection["links"] if each["rel"] == "child"]
            assert client.get(f"{address}/stac/collections/c0/parts/x").status_code == 404
            assert client.get(f"{address}/stac/collections/none/parts/a").status_code == 404
        linked = []
        for part in parts:
            assert list(schema_errors(part)) == []
            linked += [urlsplit(each["href"]).path.split("/")[-1] for each in part["links"] if each["rel"] == "item"]
        assert sorted(linked) == sorted(item["id"] for item in items)
        assert len(parts) == 16


def test_head_is_answered_wherever_get_is(many: httpx.Client) -> None:
    for path in ("", "/", "/conformance", "/collections", "/collections/c0", "/collections/c0/items", "/search",
                 f"/collections/{ITEMS[0]['collection']}/items/{ITEMS[0]['id']}", "/queryables", "/children",
                 "/collections/c0/queryables", "/aggregations", "/aggregate"):  # fmt: skip
        got, head = many.get(f"/stac{path}"), many.head(f"/stac{path}")
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-type"] == got.headers["content-type"]
