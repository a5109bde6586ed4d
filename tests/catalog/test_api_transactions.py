"""Changes through the STAC API: what may be changed is so in every form, all else is refused and changes nothing."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pystac
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from starlette.staticfiles import StaticFiles

from cup4soil.errors import InvalidInput
from cup4soil.settings import Settings
from stac_catalog.api import Writing
from stac_catalog.item_changes import differing, merge_patch
from stac_catalog.oai_ledger import Ledger
from stac_catalog.store import Store
from stac_catalog.validation import schema_errors, validate_catalog
from tests.catalog.conftest import Filled, Made, tree
from tests.catalog.servers import serving
from tests.catalog.test_api import application, found

MAP = "soc-0-20cm"


def permit(request: Request) -> None:
    if request.headers.get("x-api-key") != "good":
        raise InvalidInput("no key", "send one")


def writable(store: Store, **options: Any) -> FastAPI:
    return application(store, writing=Writing(store, permit, **options))


class Served:
    """A store of its own, and a client that may write to it."""

    def __init__(self, store: Store, client: httpx.Client, made: dict[str, Made]) -> None:
        self.store = store
        self.client = client
        self.made = made

    def path(self, kind: str) -> str:
        record = self.made[kind].record
        return f"/stac/collections/{record.collection}/items/{record.id}"

    def item(self, kind: str) -> dict[str, Any]:
        answer = self.client.get(self.path(kind))
        assert answer.status_code == 200, answer.text
        item: dict[str, Any] = answer.json()
        return item

    def catalog(self) -> dict[str, bytes]:
        return tree(self.store.catalog_path.parent)


@contextmanager
def _served(filled: Filled, root: Path) -> Iterator[Served]:
    shutil.copytree(filled.store.root, root)
    store = Store.open(root, Settings(organisation="Soil Survey"))
    key = {"x-api-key": "good"}
    with serving(writable(store)) as address, httpx.Client(base_url=address, timeout=60, headers=key) as client:
        yield Served(store, client, filled.products)


@pytest.fixture
def served(filled: Filled, tmp_path: Path) -> Iterator[Served]:
    with _served(filled, tmp_path / "store") as made:
        yield made


@pytest.fixture(scope="module")
def unchanged(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """For requests that change nothing."""
    with _served(filled, tmp_path_factory.mktemp("unchanged") / "store") as made:
        yield made


class TestChange:
    def test_words_are_changed_in_every_form(self, served: Served) -> None:
        before = served.item("soil-map")
        changes = {
            "title": "Carbon of the soil", "keywords": ["soil", "carbon"], "license": "CC-BY-NC-SA-4.0",
            "description": "What there is.", "attribution": "LimeSoDa BB.250; Somebody",
            "cup4soil:limitations": ["Not for single fields."],
        }  # fmt: skip
        patch = {"properties": changes, "assets": {"mean": {"title": "Mean", "description": "The mean."}}}
        answer = served.client.patch(served.path("soil-map"), json=patch)
        # Samples under CC-BY-SA-4.0 ask for that licence.
        assert answer.status_code == 400
        assert "CC-BY-SA-4.0" in answer.json()["detail"]
        del changes["license"]
        answer = served.client.patch(served.path("soil-map"), json=patch)
        assert answer.status_code == 200, answer.text
        item = served.item("soil-map")
        assert item == answer.json()
        # What has to be said before every description of such a product is there without being given.
        notice = "Made from simulated input: the product does not describe a real place."
        assert item["properties"]["description"] == f"{notice} What there is."
        for name in ("title", "keywords", "attribution", "cup4soil:limitations"):
            assert item["properties"][name] == changes[name]
        assert item["assets"]["mean"]["title"] == "Mean"
        assert item["assets"]["mean"]["file:checksum"] == before["assets"]["mean"]["file:checksum"]
        record = served.store.record(MAP, item["id"])
        assert (record.title, record.abstract) == ("Carbon of the soil", "What there is.")
        folder = served.store.find(MAP, item["id"])
        assert folder is not None
        assert json.loads((folder / f"{item['id']}.json").read_bytes())["properties"]["title"] == "Carbon of the soil"
        assert "Carbon of the soil" in str(etree.tostring(etree.parse(folder / "metadata.xml"), encoding="unicode"))
        assert found(served.client.get("/stac/search?q=carbon%20of%20the")) == [item["id"]]
        assert validate_catalog(served.store.catalog_path.parent) == []
        collection = served.client.get(f"/stac/collections/{MAP}").json()
        assert set(collection["keywords"]) == {"soil", "carbon"}

    @pytest.mark.parametrize(
        "patch",
        [
            {"geometry": {"type": "Point", "coordinates": [1, 2]}}, {"id": "other"}, {"collection": "models"},
            {"bbox": [0, 0, 1, 1]}, {"properties": {"gsd": 10}}, {"properties": {"datetime": "2020-01-01T00:00:00Z"}},
            {"properties": {"cup4soil:quality": []}}, {"properties": {"cup4soil:quality": None}},
            {"properties": {"cup4soil:simulated": False}}, {"properties": {"foo": "bar"}}, {"links": []},
            {"properties": {"title": None}}, {"properties": {"title": ""}}, {"properties": {"title": 3}},
            {"properties": {"keywords": "soil"}}, {"properties": {"keywords": [1]}}, {"properties": None},
            {"properties": {"license": "CC0-1.0"}}, {"properties": {"description": " "}},
            {"properties": {"processing:lineage": "x"}}, {"assets": {"mean": None}}, {"assets": None},
            {"assets": {"mean": {"href": "https://evil.example/x.tif"}}}, {"assets": {"thumbnail": {"title": "x"}}},
            {"assets": {"new": {"href": "https://evil.example/x.tif"}}}, {"assets": {"aoa": {"roles": ["x"]}}},
            {"type": "Collection"}, {"stac_version": "1.0.0"}, 3, "x", None,
            [{"op": "replace", "path": "/properties/gsd", "value": 3}], [{"op": "remove", "path": "/nowhere"}],
            [{"op": "dance"}], [3], [{"op": "remove", "path": ""}], [{"op": "add", "path": "", "value": 3}],
        ],
    )  # fmt: skip
    def test_what_follows_from_the_making_is_refused(self, unchanged: Served, patch: Any) -> None:
        before = unchanged.catalog()
        answer = unchanged.client.patch(unchanged.path("soil-map"), json=patch)
        assert answer.status_code == 400, answer.text
        assert "; " in answer.json()["detail"]
        assert unchanged.catalog() == before

    def test_limitations_and_credits_are_not_lost(self, served: Served) -> None:
        limits = "cup4soil:limitations"
        assert served.client.patch(served.path("model"), json={"properties": {limits: ["One."]}}).status_code == 200
        refused = served.client.patch(served.path("model"), json={"properties": {limits: ["Another."]}})
        assert refused.status_code == 400
        assert "One." in refused.json()["detail"]
        assert served.client.patch(served.path("model"), json={"properties": {limits: None}}).status_code == 400
        added = served.client.patch(served.path("model"), json={"properties": {limits: ["One.", "Another."]}})
        assert added.json()["properties"][limits] == ["One.", "Another."]

    def test_json_patch(self, served: Served) -> None:
        steps: list[Any] = [
            {"op": "test", "path": "/properties/title", "value": served.item("soil-map")["properties"]["title"]},
            {"op": "replace", "path": "/properties/title", "value": "A map"},
            {"op": "add", "path": "/properties/keywords/0", "value": "first"},
        ]
        kind = {"content-type": "application/json-patch+json"}
        answer = served.client.patch(served.path("soil-map"), content=json.dumps(steps), headers=kind)
        assert answer.status_code == 200, answer.text
        assert answer.json()["properties"]["title"] == "A map"
        assert answer.json()["properties"]["keywords"][0] == "first"
        # The title is another now.
        failed = served.client.patch(served.path("soil-map"), content=json.dumps(steps), headers=kind)
        assert failed.status_code == 409
        assert served.client.patch(served.path("soil-map"), content="{}", headers=kind).status_code == 400
        double = [{"op": "copy", "from": "", "path": f"/properties/x{n}"} for n in range(40)]
        assert served.client.patch(served.path("soil-map"), json=double).status_code == 413
        assert served.client.patch(served.path("soil-map"), json=[steps[0]] * 101).status_code == 413

    def test_item_is_put_as_it_was_read(self, served: Served) -> None:
        before, catalog = served.client.get(served.path("composite")), served.catalog()
        answer = served.client.put(served.path("composite"), json=before.json())
        assert (answer.status_code, answer.headers["etag"]) == (200, before.headers["etag"])
        read = pystac.Item.from_dict(before.json())
        answer = served.client.put(served.path("composite"), json=read.to_dict(transform_hrefs=False))
        assert (answer.status_code, answer.headers["etag"]) == (200, before.headers["etag"]), answer.text
        assert served.catalog() == catalog
        read.properties["title"] = "Bare soil"
        del read.properties["keywords"]
        answer = served.client.put(served.path("composite"), json=read.to_dict(transform_hrefs=False))
        assert answer.status_code == 200, answer.text
        assert answer.json()["properties"]["title"] == "Bare soil"
        assert "keywords" not in answer.json()["properties"]
        # Least that can be put: what the register derives is left out.
        answer = served.client.put(served.path("composite"), json={"properties": {"title": "T", "license": "CC-BY-4.0",
                                                                                  "description": "D"}})  # fmt: skip
        assert answer.status_code in (200, 400), answer.text
        links = [*before.json()["links"], {"rel": "related", "href": "https://evil.example"}]
        assert served.client.put(served.path("composite"), json=before.json() | {"links": links}).status_code == 400
        assert served.client.put(served.path("composite"), json={"properties": {}}).status_code == 400

    def test_origins_stay_when_words_change(self, served: Served) -> None:
        before = {each["href"] for each in served.item("composite")["links"] if each["rel"] == "derived_from"}
        sources = [each.identity() for each in served.store.record(*_key(served, "composite")).sources]
        assert served.client.patch(served.path("composite"), json={"properties": {"title": "T"}}).status_code == 200
        after = {each["href"] for each in served.item("composite")["links"] if each["rel"] == "derived_from"}
        assert before == after != set()
        assert sources == [each.identity() for each in served.store.record(*_key(served, "composite")).sources]

    def test_stale_tags_are_refused(self, served: Served) -> None:
        first = served.client.get(served.path("model")).headers["etag"]
        patch = {"properties": {"title": "Changed"}}
        changed = served.client.patch(served.path("model"), json=patch, headers={"if-match": first})
        assert changed.status_code == 200
        assert changed.headers["etag"] != first
        assert changed.headers["etag"] == served.client.get(served.path("model")).headers["etag"]
        for method, body in (("PATCH", patch), ("PUT", served.item("model")), ("DELETE", None)):
            answer = served.client.request(method, served.path("model"), json=body, headers={"if-match": first})
            assert answer.status_code == 412, method
        tags = f'"x", {changed.headers["etag"]}'
        assert served.client.patch(served.path("model"), json=patch, headers={"if-match": tags}).status_code == 200

    def test_of_many_at_once_none_is_lost(self, served: Served) -> None:
        def add(word: str) -> int:
            for attempt in range(50):
                seen = served.client.get(served.path("samples"))
                words = [*seen.json()["properties"].get("keywords", []), word]
                answer = served.client.patch(
                    served.path("samples"),
                    json={"properties": {"keywords": words}},
                    headers={"if-match": seen.headers["etag"]},
                )
                if answer.status_code == 200:
                    return attempt
                assert answer.status_code == 412, answer.text
            raise AssertionError("never")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, "abcdefgh"))
        assert sorted(each for each in served.item("samples")["properties"]["keywords"] if len(each) == 1) == [
            *"abcdefgh"
        ]

    def test_unknown_items(self, unchanged: Served) -> None:
        for path in (f"/stac/collections/{MAP}/items/none", "/stac/collections/none/items/x"):
            for method in ("PUT", "PATCH", "DELETE"):
                assert unchanged.client.request(method, path, json={}).status_code == 404

    def test_nothing_is_changed_without_permission(self, unchanged: Served) -> None:
        served = unchanged
        before = served.catalog()
        items = f"/stac/collections/{MAP}/items"
        for method, path in (
            ("POST", items),
            *((each, served.path("soil-map")) for each in ("PUT", "PATCH", "DELETE")),
        ):
            answer = served.client.request(method, path, json={}, headers={"x-api-key": "bad"})
            assert (answer.status_code, answer.json()["detail"]) == (400, "no key; send one")
        assert served.catalog() == before


def _key(served: Served, kind: str) -> tuple[str, str]:
    record = served.made[kind].record
    return record.collection, record.id


class TestRemove:
    def test_what_others_were_made_from_stays_until_they_are_gone(self, served: Served) -> None:
        ledger = Ledger(served.store)
        assert ledger.count(_everything()) == 4
        for kind in ("samples", "model", "composite"):
            answer = served.client.delete(served.path(kind))
            assert answer.status_code == 409, kind
            assert "made from" in answer.json()["detail"]
        for kind in ("soil-map", "model", "samples", "composite"):
            answer = served.client.delete(served.path(kind))
            assert (answer.status_code, answer.content) == (204, b"")
            assert served.client.get(served.path(kind)).status_code == 404
            header = ledger.find(*_key(served, kind))
            assert header is not None
            assert header.deleted
        assert served.client.get("/stac/collections").json()["collections"] == []
        assert ledger.count(_everything()) == 4
        assert validate_catalog(served.store.catalog_path.parent) == []


def _everything() -> Any:
    from stac_catalog.oai_ledger import Selection

    return Selection()


class Delivered:
    """Two services: products are registered in ``other`` from where they are served."""

    def __init__(self, here: httpx.Client, there: httpx.Client, store: Store) -> None:
        self.here = here
        self.there = there
        self.store = store

    def post(self, item: Any, collection: str | None = None) -> httpx.Response:
        name = collection or item.get("collection", MAP)
        return self.there.post(f"/stac/collections/{name}/items", json=item)

    def item(self, made: Made) -> dict[str, Any]:
        item: dict[str, Any] = self.here.get(
            f"/stac/collections/{made.record.collection}/items/{made.record.id}"
        ).json()
        return item


@contextmanager
def _delivered(filled: Filled, root: Path) -> Iterator[Delivered]:
    shutil.copytree(filled.store.root, root / "here")
    here, there = Store.open(root / "here", Settings()), Store.open(root / "there", Settings())
    with (
        serving(application(here)) as source,
        serving(writable(there, asset_hosts=(source,), asset_mib=8)) as target,
        httpx.Client(base_url=source, timeout=60) as reader,
        httpx.Client(base_url=target, timeout=60, headers={"x-api-key": "good"}) as writer,
    ):
        yield Delivered(reader, writer, there)


@pytest.fixture
def delivered(filled: Filled, tmp_path: Path) -> Iterator[Delivered]:
    with _delivered(filled, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def undelivered(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivered]:
    """For requests that register nothing."""
    with _delivered(filled, tmp_path_factory.mktemp("undelivered")) as made:
        yield made


class TestRegister:
    def test_products_of_another_service(self, delivered: Delivered, made: dict[str, Made]) -> None:
        for kind in ("samples", "model", "composite", "soil-map"):
            item = delivered.item(made[kind])
            if kind == "samples":
                item["links"].append(_origin("https://archive.example/BB.250.csv", "samples"))
            answer = delivered.post(item)
            assert answer.status_code == 201, answer.text
            assert httpx.get(answer.headers["location"]).json() == answer.json()
            assert list(schema_errors(answer.json())) == []
            same = {name for name in item["properties"] if not name.startswith("processing:")} - {
                "providers", "attribution",
            }  # fmt: skip
            assert {name: answer.json()["properties"][name] for name in same} == {
                name: item["properties"][name] for name in same
            }
            assert answer.json()["geometry"] == item["geometry"]
            for key, asset in item["assets"].items():
                if key not in ("metadata", "lineage", "thumbnail"):
                    assert {**answer.json()["assets"][key], "href": ""} == {**asset, "href": ""}
                    content = httpx.get(answer.json()["assets"][key]["href"]).content
                    assert hashlib.sha256(content).hexdigest() == asset["file:checksum"][4:]
            assert delivered.post(item).status_code == 409
        assert validate_catalog(delivered.store.catalog_path.parent) == []
        here, there = (
            {each["href"] for each in item["links"] if each["rel"] == "derived_from"}
            for item in (delivered.item(made["soil-map"]), answer.json())
        )
        assert here == there != set()

    def test_files_of_the_store_itself_need_no_host(self, served: Served) -> None:
        item = served.item("soil-map") | {"id": "another"}
        answer = served.client.post(f"/stac/collections/{MAP}/items", json=item)
        assert answer.status_code == 201, answer.text
        assert served.store.find(MAP, "another") is not None
        item["id"], item["assets"]["mean"]["href"] = "third", f"{served.client.base_url}/catalog/../store.json"
        assert served.client.post(f"/stac/collections/{MAP}/items", json=item).status_code == 400

    def test_of_several_all_or_none(self, delivered: Delivered, made: dict[str, Made]) -> None:
        item = delivered.item(made["soil-map"])
        items = [item | {"id": f"map-{number}"} for number in range(3)]
        broken = [*items[:2], items[2] | {"bbox": [0, 0, 1, 1]}]
        assert delivered.post({"type": "FeatureCollection", "features": broken}, MAP).status_code == 400
        assert delivered.store.items(MAP) == []
        answer = delivered.post({"type": "FeatureCollection", "features": items}, MAP)
        assert answer.status_code == 201, answer.text
        assert "location" not in answer.headers
        assert [each["id"] for each in answer.json()["features"]] == delivered.store.items(MAP)
        clay = item | {"id": "c", "properties": item["properties"] | {"cup4soil:property": "clay"}}
        for pair in ([item | {"id": "x"}] * 2, [clay, item | {"id": "d"}]):
            twice = {"type": "FeatureCollection", "features": [each | {"collection": "new"} for each in pair]}
            assert delivered.post(twice, "new").status_code == 409
        assert delivered.store.items("new") == []
        for features in ([], [item] * 51, 3, [3]):
            assert delivered.post({"type": "FeatureCollection", "features": features}, MAP).status_code in (400, 413)
        other = item | {"id": "x", "properties": item["properties"] | {"cup4soil:property": "clay"}}
        assert delivered.post(other).status_code == 409

    @pytest.mark.parametrize(
        ("path", "value", "says"),
        [
            ("properties.license", None, "license"), ("properties.license", "mine", "license"),
            ("properties.cup4soil:kind", None, "kind"), ("properties.cup4soil:kind", "cheese", "kind"),
            ("properties.cup4soil:algorithm", None, "algorithm"), ("properties.title", None, "title"),
            ("properties.cup4soil:simulated", None, "simulated"), ("properties.foo", "bar", "foo"),
            ("properties.start_datetime", None, ""), ("properties.start_datetime", "2030-01-01T00:00:00Z", "period"),
            ("links", [], "derived_from"), ("geometry", None, ""), ("bbox", [0, 0, 1, 1], "bbox"),
            ("geometry", {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}, "geometry"),
            ("id", "../x", "id"), ("id", None, ""), ("collection", "models", "collection"),
            ("assets.mean.href", "https://elsewhere.example/mean.tif", "host"),
            ("assets.mean.href", "file:///etc/passwd", "host"), ("assets.mean.href", "./mean.tif", "host"),
            ("assets.mean.file:checksum", "1220" + "0" * 64, "file:checksum"),
            ("assets.mean.file:size", 7, "file:size"),
            ("assets.mean.file:size", 9_000_000, "MiB"), ("assets.mean.file:checksum", None, "file:checksum"),
            ("assets.mean.bands", [], ""), ("assets.mean.type", "image/png", "image/png"),
            ("properties.proj:shape", [41, 40], "shape"), ("properties.proj:code", "EPSG:32633", "CRS"),
            ("stac_version", "0.9.0", "valid"), ("type", "Collection", "item"), ("assets", None, ""),
        ],
    )  # fmt: skip
    def test_what_is_missing_or_wrong_is_named(
        self, undelivered: Delivered, made: dict[str, Made], path: str, value: Any, says: str
    ) -> None:
        delivered = undelivered
        item = delivered.item(made["soil-map"])
        *parents, last = path.split(".")
        place = item
        for name in parents:
            place = place[name]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
        answer = delivered.post(item, MAP)
        assert answer.status_code in (400, 413), answer.text
        assert says in answer.json()["detail"]
        assert "; " in answer.json()["detail"]
        assert delivered.store.counts() == {}
        assert [each.name for each in delivered.store.catalog_path.parent.iterdir() if each.is_dir()] == []

    def test_file_that_is_no_raster_or_vanishes(self, filled: Filled, made: dict[str, Made], tmp_path: Path) -> None:
        (tmp_path / "files").mkdir()
        text = b"no raster"
        (tmp_path / "files" / "mean.tif").write_bytes(text)
        store = Store.open(tmp_path / "there", Settings())
        item = json.loads((filled.catalog / MAP / made["soil-map"].record.id / f"{made['soil-map'].record.id}.json")
                          .read_bytes())  # fmt: skip
        files = FastAPI()
        files.mount("/", StaticFiles(directory=tmp_path / "files"))
        with serving(files) as source, serving(writable(store, asset_hosts=(source,))) as target:
            item["links"] = [_origin("https://archive.example/m.json", "model")]
            item["assets"] = {"mean": item["assets"]["mean"] | {
                "href": f"{source}/mean.tif", "file:size": len(text),
                "file:checksum": f"1220{hashlib.sha256(text).hexdigest()}"}}  # fmt: skip
            key = {"x-api-key": "good"}
            answer = httpx.post(f"{target}/stac/collections/{MAP}/items", json=item, headers=key, timeout=60)
            assert (answer.status_code, "cannot be read" in answer.text) == (400, True), answer.text
            item["assets"]["mean"]["href"] = f"{source}/gone.tif"
            answer = httpx.post(f"{target}/stac/collections/{MAP}/items", json=item, headers=key, timeout=60)
            assert (answer.status_code, "cannot be fetched" in answer.text) == (400, True), answer.text
        assert store.counts() == {}


def _origin(href: str, role: str) -> dict[str, str]:
    return {"rel": "derived_from", "href": href, "cup4soil:role": role}


documents = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=3),
    lambda part: st.dictionaries(st.sampled_from("abc"), part, max_size=3) | st.lists(part, max_size=2),
    max_leaves=8,
)


class TestPatches:
    @given(documents, documents)
    def test_no_difference_is_only_found_between_equals(self, one: Any, other: Any) -> None:
        assert list(differing(one, one)) == []
        same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
        assert (list(differing(one, other)) == []) == same

    def test_examples_of_rfc_7396(self) -> None:
        for target, patch, result in (
            ({"a": "b"}, {"a": "c"}, {"a": "c"}), ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
            ({"a": "b"}, {"a": None}, {}), ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
            ({"a": ["b"]}, {"a": "c"}, {"a": "c"}), ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
            ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
            ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}), (["a", "b"], ["c", "d"], ["c", "d"]),
            ({"a": "b"}, ["c"], ["c"]), ({"a": "foo"}, None, None), ({"a": "foo"}, "bar", "bar"),
            ({"e": None}, {"a": 1}, {"e": None, "a": 1}), ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
            ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ):  # fmt: skip
            assert merge_patch(target, patch) == result
