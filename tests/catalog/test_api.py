"""The STAC API on a real server, asked by real clients, and by those who send nonsense."""

import json
import random
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pystac
import pystac_client
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.staticfiles import StaticFiles

from cup4soil.errors import ChangedMeanwhile, Conflict, Cup4soilError, LimitExceeded, NotFound
from cup4soil.settings import Settings
from stac_catalog.api import add_stac_api
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.store import Store
from stac_catalog.validation import schema_errors
from tests.catalog import catalogs
from tests.catalog.conftest import Filled, Made
from tests.catalog.servers import serving

ITEMS = catalogs.items()


def application(store: Store, **options: Any) -> FastAPI:
    """The API with the store's files; errors of the domain answered, all others left to be seen as 500."""
    app = FastAPI()
    add_stac_api(app, SearchIndex(store.root / INDEX_FILE), Settings(organisation="Soil Survey"), **options)
    app.mount("/catalog", StaticFiles(directory=store.root / "catalog"))

    @app.exception_handler(Cup4soilError)
    async def domain(request: Request, error: Cup4soilError) -> JSONResponse:
        kinds = {NotFound: 404, LimitExceeded: 413, Conflict: 409, ChangedMeanwhile: 412}
        return JSONResponse({"detail": str(error)}, kinds.get(type(error), 400))

    return app


@pytest.fixture(scope="module")
def served(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store with a product of each kind, served."""
    root = tmp_path_factory.mktemp("served") / "store"
    shutil.copytree(filled.store.root, root)
    with serving(application(Store.open(root, Settings()))) as address:
        yield address


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service with many items without files."""
    root = tmp_path_factory.mktemp("many")
    catalogs.write(root, ITEMS)
    app = application(Store(root, Settings()), most_items=50)
    with serving(app) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def found(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["features"]]


class TestDocuments:
    def test_every_link_works_and_every_document_is_valid(self, served: str) -> None:
        """A walk over all that the landing page leads to, within the service."""
        seen: dict[str, str] = {}
        todo = [f"{served}/stac/"]
        with httpx.Client(timeout=30) as client:
            while todo:
                href = todo.pop()
                answer = client.get(href)
                assert answer.status_code == 200, f"{href} {answer.text}"
                seen[href] = answer.headers["content-type"].split(";")[0]
                assert client.head(href).status_code == 200, href
                if "json" not in seen[href] or "/catalog/" in href:
                    continue
                document = answer.json()
                if document.get("type") in ("Feature", "Collection", "Catalog"):
                    assert list(schema_errors(document)) == [], href
                parts = [document, *document.get("features", ()), *document.get("collections", ())]
                links = [link for part in parts for link in part.get("links", ())]
                for link in links:
                    assert urlsplit(link["href"]).scheme in ("http", "https"), link
                hrefs = [link["href"] for link in links if link.get("method") != "POST"]
                hrefs += [a["href"] for part in parts for a in part.get("assets", {}).values()]
                todo += [each for each in set(hrefs) if each.startswith(served) and each not in {*seen, *todo}]
        assert len([href for href in seen if "/items/" in href]) == 4
        assert len([href for href in seen if href.endswith(".tif")]) == 8
        kinds = {"application/json", "application/geo+json", "application/schema+json"}
        assert kinds <= set(seen.values())

    def test_landing_page_has_what_the_standard_asks(self, served: str) -> None:
        page = httpx.get(f"{served}/stac").json()
        rels = {link["rel"] for link in page["links"]}
        assert {"self", "root", "data", "conformance", "search", "service-desc", "child"} <= rels
        assert page["conformsTo"] == httpx.get(f"{served}/stac/conformance").json()["conformsTo"]
        for name in ("core", "collections", "ogcapi-features", "item-search"):
            assert f"https://api.stacspec.org/v1.0.0/{name}" in page["conformsTo"]
        for name in (
            "item-search#fields",
            "item-search#sort",
            "item-search#filter",
            "conf/basic-cql2",
            "cql2-text",
            "cql2-json",
        ):
            assert any(each.endswith(name) for each in page["conformsTo"]), name
        assert not any("transaction" in each for each in page["conformsTo"])
        assert page["title"] == "Soil products of Soil Survey"

    def test_application_is_left_as_it_is(self, filled: Filled, tmp_path: Path) -> None:
        shutil.copytree(filled.store.root, tmp_path / "s")
        app = FastAPI()
        before = dict(app.exception_handlers), list(app.user_middleware), dict(vars(app.state))
        backend = SearchIndex(tmp_path / "s" / INDEX_FILE)
        add_stac_api(app, backend, Settings())
        backend.close()
        assert (dict(app.exception_handlers), list(app.user_middleware), dict(vars(app.state))) == before
        paths = app.openapi()["paths"]
        assert {path for path in paths if not path.startswith("/stac/")} == set()
        assert {method for methods in paths.values() for method in methods} == {"get", "post"}
        assert "requestBody" in paths["/stac/search"]["post"]

    def test_nothing_can_be_written(self, served: str) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for path in ("/stac/search", "/stac/collections/models", "/stac/collections/models/items"):
                if (method, path) != ("POST", "/stac/search"):
                    assert httpx.request(method, f"{served}{path}", json={}).status_code == 405

    def test_queryables_name_what_items_have(self, many: httpx.Client) -> None:
        properties = many.get("/stac/queryables").json()["properties"]
        assert properties["score"] == {"type": "number"}
        assert properties["simulated"] == {"type": "boolean"}
        assert properties["title"] == {"type": "string", "enum": ["Alpha", "Gamma % ray", "beta", "delta_*"]}
        assert properties["created"]["format"] == "date-time"
        assert {"id", "collection", "geometry", "cup4soil:algorithm.name"} <= set(properties)
        assert many.get("/stac/collections/c0/queryables").json()["title"] == "Queryables of Collection c0"
        sortable = many.get("/stac/collections/c0/sortables").json()["properties"]
        assert "keywords" not in sortable
        assert "score" in sortable
        for path in ("queryables", "sortables", "items", ""):
            assert many.get(f"/stac/collections/none/{path}".rstrip("/")).status_code == 404

    def test_links_that_lead_nowhere_are_left_out(self, many: httpx.Client) -> None:
        item = many.get("/stac/search?limit=1").json()["features"][0]
        hrefs = [link["href"] for link in item["links"]]
        assert not any("secret" in href or "passwd" in href or "demo" in href for href in hrefs)
        assert list(item["assets"]) == ["mean"]
        assert item["assets"]["mean"]["href"] == f"{many.base_url}/catalog/{item['collection']}/{item['id']}/mean.tif"

    @pytest.mark.parametrize(
        ("options", "headers", "expected"),
        [
            ({}, {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}, "http://127.0.0.1"),
            ({"public_url": "https://soil.example/eu/"}, {}, "https://soil.example/eu/"),
            (
                {"trust_forwarded": True},
                {"x-forwarded-host": "soil.example", "x-forwarded-proto": "https", "x-forwarded-prefix": "/eu"},
                "https://soil.example/eu/",
            ),
            ({"trust_forwarded": True}, {"x-forwarded-host": 'a"b<c', "x-forwarded-proto": "gopher"},
            "http://127.0.0.1"),
        ],
    )  # fmt: skip
    def test_addresses_behind_a_proxy(
        self, tmp_path: Path, options: Any, headers: dict[str, str], expected: str
    ) -> None:
        catalogs.write(tmp_path, ITEMS[:2])
        with serving(application(Store(tmp_path, Settings()), **options), proxy_headers=False) as address:
            answer = httpx.get(f"{address}/stac/search?limit=1", headers=headers).json()
        item = answer["features"][0]
        links = [link["href"] for link in (*answer["links"], *item["links"]) if link["rel"] != "license"]
        assert all(href.startswith(expected) for href in [*links, item["assets"]["mean"]["href"]])
        assert any(href.split("?")[0].endswith("/stac/search") for href in links)

    def test_addresses_below_a_root_path(self, tmp_path: Path) -> None:
        catalogs.write(tmp_path, ITEMS[:2])
        with serving(application(Store(tmp_path, Settings())), root_path="/soil") as address:
            answer = httpx.get(f"{address}/stac/search?limit=1").json()
        assert {link["href"].split("?")[0] for link in answer["links"]} == {
            f"{address}/soil/stac/search", f"{address}/soil/stac/",
        }  # fmt: skip

    def test_host_with_quotes_does_not_break_the_answer(self, many: httpx.Client) -> None:
        answer = many.get("/stac/search?limit=1", headers={"host": 'a"b\\c'})
        assert answer.status_code in (200, 400)
        answer.json()


class TestSearch:
    def test_pages_by_get_and_post(self, many: httpx.Client) -> None:
        ways: list[list[str]] = []
        for begin in (many.get("/stac/search?limit=7"), many.post("/stac/search", json={"limit": 7})):
            seen, answer = found(begin), begin
            assert answer.json()["numberMatched"] == len(ITEMS)
            while following := [link for link in answer.json()["links"] if link["rel"] == "next"]:
                link = following[0]
                answer = many.request(link["method"], link["href"], json=link.get("body"))
                seen += found(answer)
            ways.append(seen)
        assert ways[0] == ways[1]
        assert sorted(ways[0]) == sorted(item["id"] for item in ITEMS)

    def test_same_question_by_get_and_post(self, many: httpx.Client) -> None:
        triangle = {"type": "Polygon", "coordinates": [[[-100, -60], [100, -60], [0, 80], [-100, -60]]]}
        filter_text = "score > 0 AND title LIKE '%a'"
        got = many.get(
            "/stac/search",
            params={
                "intersects": json.dumps(triangle), "datetime": "2016-01-01T00:00:00Z/..", "collections": "c0,c1",
                "filter": filter_text, "sortby": "-score,+title", "limit": 50,
                "fields": "id,-links,properties,geometry,-properties",
            },
        )  # fmt: skip
        posted = many.post(
            "/stac/search",
            json={
                "intersects": triangle, "datetime": "2016-01-01T00:00:00Z/..", "collections": ["c0", "c1"],
                "filter": filter_text, "filter-lang": "cql2-text", "limit": 50, "ids": None,
                "sortby": [{"field": "properties.score", "direction": "desc"}, {"field": "title"}],
                "fields": {"include": ["geometry", "properties"], "exclude": ["links", "properties"]},
            },
        )  # fmt: skip
        assert len(found(got)) > 1
        assert got.json()["features"] == posted.json()["features"]
        first = got.json()["features"][0]
        assert set(first) == {"id", "type", "stac_version", "collection", "geometry", "properties"}
        assert "title" in first["properties"]  # included and excluded: of equal paths the one that includes counts

    def test_items_of_a_collection(self, many: httpx.Client) -> None:
        all_of = found(many.get("/stac/collections/c1/items?limit=50"))
        assert all_of == sorted(item["id"] for item in ITEMS if item["collection"] == "c1")
        scored = found(many.get("/stac/collections/c1/items", params={"limit": 50, "filter": "score >= 0"}))
        assert set(scored) < set(all_of)

    def test_page_is_no_larger_than_the_most(self, many: httpx.Client) -> None:
        assert len(found(many.get("/stac/search?limit=10000"))) == 50
        assert len(found(many.get("/stac/search"))) == 10

    def test_fields_left_out(self, many: httpx.Client) -> None:
        def item(fields: Any) -> dict[str, Any]:
            by_get = isinstance(fields, str)
            answer = (
                many.get("/stac/search", params={"limit": 1, "fields": fields})
                if by_get
                else many.post("/stac/search", json={"limit": 1, "fields": fields})
            )
            found: dict[str, Any] = answer.json()["features"][0]
            return found

        whole = many.get("/stac/search?limit=1").json()["features"][0]
        assert set(item("properties,-properties.title,-geometry")) == {
            "id", "type", "stac_version", "collection", "properties",
        }  # fmt: skip
        assert set(item("properties,-properties.title")["properties"]) == set(whole["properties"]) - {"title"}
        assert item("-properties,+properties.title")["properties"] == {"title": whole["properties"]["title"]}
        assert item("-geometry") == {name: each for name, each in whole.items() if name != "geometry"}
        assert item({"exclude": ["geometry"]}) == item("-geometry")
        assert "created" not in item({"exclude": ["geometry"], "include": []})["properties"]
        assert item({}) == item({"include": None, "exclude": None}) == item("")
        least = item("")
        assert "created" not in least["properties"]
        assert {"id", "type", "geometry", "bbox", "links", "assets"} <= set(least)

    def test_product_registered_meanwhile_is_found(self, made: dict[str, Made], tmp_path: Path) -> None:
        store = Store.open(tmp_path / "s", Settings())
        store.register(made["samples"].record, made["samples"].folder)
        with serving(application(store)) as one, serving(application(store)) as other:
            assert len(found(httpx.get(f"{one}/stac/search"))) == len(found(httpx.get(f"{other}/stac/search"))) == 1
            Store.open(tmp_path / "s", Settings()).register(made["model"].record, made["model"].folder)
            for address in (one, other):
                assert len(found(httpx.get(f"{address}/stac/search"))) == 2
                children = httpx.get(f"{address}/stac").json()["links"]
                assert [link["title"] for link in children if link["rel"] == "child"] == [
                    "Models of soil properties", "Soil samples",
                ]  # fmt: skip

    def test_empty_store(self, tmp_path: Path) -> None:
        with serving(application(Store.open(tmp_path, Settings()))) as address:
            assert httpx.get(f"{address}/stac/collections").json()["collections"] == []
            assert found(httpx.get(f"{address}/stac/search?bbox=-180,-90,180,90")) == []
            assert httpx.get(f"{address}/stac/queryables").status_code == 200


class TestRefused:
    @pytest.mark.parametrize(
        "query",
        [
            "bbox=1,2,3", "bbox=1,2,3,4&intersects=x", "intersects=x", "datetime=../..", "datetime=yesterday",
            "limit=0",
            "limit=x", "limit=", "sortby=", "sortby=a;b", "token=x", "filter=score", "filter=((",
            "filter=a=1&filter-lang=cql",
            "filter=a=1&filter-crs=EPSG:3035", "fields=a b", "query=x",
            "q=", "q=a,,b", "f=json", "limit=1&limit=2", "ids=" + "a," * 1001,
            "f=html",
            "filter=" + "(" * 4000, "bbox=%00", "datetime=%F0%9F%98%80",
        ],
    )  # fmt: skip
    def test_bad_parameters(self, many: httpx.Client, query: str) -> None:
        for path in ("/stac/search", "/stac/collections/c0/items"):
            answer = many.get(f"{path}?{query}")
            assert answer.status_code == 400, query
            assert "; " in answer.json()["detail"]

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"[]", b"3", b"null", b"[" * 100_000, b'{"limit": 1e3}', b'{"bbox": "x"}', b'{"ids": [1]}',
            b"\xff",
            b'{"ids": ["\\ud800"]}', b'{"filter": "a = 1"}', b'{"filter": {"op": "="}}', b'{"query": {}}',
            b'{"query": {"a": 1}}', b'{"query": {"a": {"like": "x"}}}', b'{"query": {"a": {"in": 1}}}',
            b'{"query": {"a": {"eq": []}}}', b'{"q": 3}',
            b'{"query": {"a": {"contains": 3}}}', b'{"query": []}',

            b'{"fields": []}',
            b'{"sortby": {}}', b'{"collections": {"a": 1}}', b'{"token": 3}', b'{"datetime": 3}',
            b'{"filter-lang": 3, "filter": 1}',
            b'{"intersects": {"type": "Point", "coordinates": [1e400, 0]}}', b'{"limit": true}',
            b'{"bbox": [NaN, 0, 1, 1]}',
        ],
    )  # fmt: skip
    def test_bad_bodies(self, many: httpx.Client, body: bytes) -> None:
        answer = many.post("/stac/search", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400, answer.text

    def test_large_body(self, many: httpx.Client) -> None:
        assert many.post("/stac/search", content=b" " * 1_000_001).status_code == 413

    @pytest.mark.parametrize(
        "name", ["%2e%2e%2fsecret", "a%00b", "%F0%9F%98%80", "a" * 3000, "'", '"; DROP TABLE items']
    )
    def test_no_such_names(self, many: httpx.Client, name: str) -> None:
        for path in (f"/stac/collections/{name}/items/x", f"/stac/collections/c0/items/{name}"):
            assert many.get(path).status_code == 404

    def test_nonsense_never_gives_a_server_error(self, many: httpx.Client) -> None:
        """Parameters and bodies put together at random from pieces that mean something."""
        rng = random.Random(0)
        pieces = [
            "1", "-180", "90", "nan", "1e999", "..", "/", ",", "2020-01-01T00:00:00Z", "T", "Z", "score", "geometry",
            "'", '"',
            "(", ")", " AND ", " OR ", " NOT ", "=", "<>", " LIKE ", "%", "_", "\\", " BETWEEN ", " IN ", " IS NULL",
            "POINT",
            "POLYGON((0 0, 1 0, 1 1, 0 0))", "S_INTERSECTS", "T_DURING", "INTERVAL", "TIMESTAMP", "DATE", "CASEI",
            "{", "}", "[",
            "]", ":", '"type":"Point"', '"coordinates":', '{"op":"=","args":[{"property":"score"},1]}', "-", "+", "*",
            "^",
            "id", "collection", "datetime", "true", "null", "\x00", "\u0660", "\U0001f600", "\ufffd", "properties.",
            "0" * 400,
        ]  # fmt: skip
        names = ["bbox", "intersects", "datetime", "limit", "token", "filter", "filter-lang", "sortby", "fields", "ids",
                 "collections", "filter-crs"]  # fmt: skip
        counts: dict[int, int] = {}
        for _ in range(500):
            chosen = rng.sample(names, rng.randint(1, 3))
            values = {name: "".join(rng.choices(pieces, k=rng.randint(0, 8))) for name in chosen}
            query = "&".join(f"{name}={quote(value)}" for name, value in values.items())
            answer = many.get(f"/stac/search?{query}")
            assert answer.status_code in (200, 400), f"{query} {answer.text}"
            answer.json()
            counts[answer.status_code] = counts.get(answer.status_code, 0) + 1
        assert min(counts.values()) > 5

    @settings(max_examples=150)
    @given(
        st.dictionaries(
            st.sampled_from(["bbox", "intersects", "datetime", "limit", "token", "filter", "filter-lang", "sortby",
            "fields",
                             "ids", "collections"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=9)
                | st.sampled_from(["score", "id", "Point", "cql2-text", "asc", "=", "and", "s_intersects", "casei"]),
                lambda part: st.lists(part, max_size=5)
                | st.dictionaries(st.sampled_from(["op", "args", "property", "type", "coordinates", "field",
                "direction",
                                                   "include", "exclude", "timestamp", "interval", "bbox"]), part,
                                                   max_size=3),
                max_leaves=12,
            ),
            max_size=3,
        )
    )  # fmt: skip
    def test_any_json_never_gives_a_server_error(self, many: httpx.Client, body: Any) -> None:
        answer = many.post("/stac/search", content=json.dumps(body).encode())
        assert answer.status_code in (200, 400), f"{body} {answer.text}"

    @settings(max_examples=150)
    @given(st.data())
    def test_any_filter_of_known_parts_never_gives_a_server_error(
        self, many: httpx.Client, data: st.DataObject
    ) -> None:
        values = st.sampled_from(
            [1, -2.5, "x", True, {"property": "score"}, {"property": "geometry"}, {"property": "datetime"},
            {"date": "2020-01-01"},
             {"timestamp": "2020-01-01T00:00:00Z"}, {"interval": ["..", "2020-01-01T00:00:00Z"]}, ["x", 1], [],
             {"type": "Point", "coordinates": [1, 2]}, {"type": "LineString", "coordinates": [[1, 2], [3, 4]]},
             {"bbox": [170, 0, -170, 5]}, {"op": "casei", "args": [{"property": "title"}]}, {"op": "+", "args": [1, 2]},
             {"op": "/", "args": [{"property": "score"}, 0]}, {"property": "keywords"}, {"property": ""}]
        )  # fmt: skip
        operators = st.sampled_from(
            ["=", "<>", "<", ">", "<=", ">=", "like", "between", "in", "isNull", "s_intersects", "s_within",
            "s_disjoint",
             "t_intersects", "t_during", "t_equals", "a_contains", "a_overlaps", "a_equals", "casei", "+", "foo"]
        )  # fmt: skip
        leaf = st.fixed_dictionaries({"op": operators, "args": st.lists(values, max_size=3)})
        trees = st.recursive(
            leaf,
            lambda part: st.fixed_dictionaries({"op": st.sampled_from(["and", "or"]), "args": st.lists(part,
            min_size=1, max_size=3)})
            | st.fixed_dictionaries({"op": st.just("not"), "args": st.lists(part, min_size=1, max_size=1)}),
            max_leaves=5,
        )  # fmt: skip
        tree = data.draw(trees)
        answer = many.post("/stac/search", json={"filter": tree})
        assert answer.status_code in (200, 400), f"{tree} {answer.text}"


class TestClients:
    @pytest.fixture
    def client(self, served: str) -> pystac_client.Client:
        return pystac_client.Client.open(f"{served}/stac")

    def test_pystac_client_walks_and_searches(self, client: pystac_client.Client, made: dict[str, Made]) -> None:
        assert {collection.id for collection in client.get_collections()} == {
            "bare-soil-composites", "models", "samples", "soc-0-20cm",
        }  # fmt: skip
        assert {item.id for item in client.get_items(recursive=True)} == {each.record.id for each in made.values()}
        search = client.search(collections=["soc-0-20cm"], datetime="2020", bbox=[-180, -90, 180, 90])
        assert [item.id for item in search.items()] == [made["soil-map"].record.id]
        assert search.matched() == 1
        filtered = client.search(filter="\"cup4soil:kind\" = 'model'", filter_lang="cql2-text", method="GET")
        assert [item.id for item in filtered.items()] == [made["model"].record.id]
        tree = {"op": "=", "args": [{"property": "cup4soil:kind"}, "composite"]}
        assert [item.id for item in client.search(filter=tree).items()] == [made["composite"].record.id]
        ordered = client.search(sortby="-id", fields=["id"], limit=1)
        assert [item["id"] for item in ordered.items_as_dicts()] == sorted(
            (m.record.id for m in made.values()), reverse=True
        )
        assert "cup4soil:kind" in client.get_collection("models").get_queryables()["properties"]

    def test_lineage_can_be_followed(self, client: pystac_client.Client, made: dict[str, Made]) -> None:
        item = next(client.search(ids=[made["soil-map"].record.id]).items())
        origins = [link for link in item.links if link.rel == "derived_from"]
        model = pystac.Item.from_file(next(link.href for link in origins if "models" in link.href))
        assert model.id == made["model"].record.id
