"""OGC API Features over validation sites: against brute force, and read by clients that others wrote."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from owslib.ogcapi.features import Features

from cup4soil.settings import Settings
from processors.feature_query import CRS
from stac_catalog.sites import SAMPLES, SITES, SITES_INDEX_FILE, SiteIndex
from stac_catalog.store import Store
from stac_catalog.visibility import HIDDEN
from tests.processors import site_products

COUNT = 250
_EPSG = "http://www.opengis.net/def/crs/EPSG/0/"


@dataclass(frozen=True)
class World:
    store: Store
    sites: dict[str, dict[str, Any]]
    root: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = tmp_path_factory.mktemp("sites")
    store = Store.open(base / "store", Settings())
    first = site_products.scattered(COUNT)
    # Another model of the same samples, and one without times.
    second = site_products.scattered(COUNT, model="model-b")[:20]
    undated = [site_products.site("u", 30, 60, model="model-c", start_datetime=None, end_datetime=None, sample=None)]
    for name, features in (("a", first), ("b", second), ("c", undated)):
        site_products.register(store, base / name, features)
    sites = {each["id"]: each for each in [*first, *second, *undated]}
    with site_products.serving(store) as root:
        yield World(store, sites, root)


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{world.root}/ogc/collections", timeout=60) as client:
        yield client


def found(client: httpx.Client, collection: str = SITES, **query: Any) -> list[dict[str, Any]]:
    """All features of all pages."""
    address, features = f"{collection}/items", []
    parameters: dict[str, Any] | None = {"limit": 60} | query
    while True:
        answer = client.get(address, params=parameters)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["numberReturned"] == len(page["features"])
        features += page["features"]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not following:
            return features
        address, parameters = following[0], None


def names(features: list[dict[str, Any]]) -> set[str]:
    ids = [each["id"] for each in features]
    assert len(set(ids)) == len(ids)
    return set(ids)


def those(world: World, test: Callable[[dict[str, Any], float, float], bool]) -> set[str]:
    """Ids of the sites whose properties and place pass."""
    return {name for name, each in world.sites.items() if test(each["properties"], *each["geometry"]["coordinates"])}


def test_pages_hold_every_site_once_as_it_was_registered(world: World, client: httpx.Client) -> None:
    features = found(client)
    assert {each["id"]: each for each in features} == world.sites
    assert client.get(f"{SITES}/items").json()["numberMatched"] == len(world.sites)


def test_a_feature_alone_is_that_of_the_page(world: World, client: httpx.Client) -> None:
    (name, one) = next(iter(world.sites.items()))
    answer = client.get(f"{SITES}/items/{name}").json()
    links = {link["rel"]: link["href"] for link in answer.pop("links")}
    assert answer == one
    assert client.get(links["self"]).json()["id"] == name
    assert client.get(f"{SITES}/items/nothing").status_code == 404
    assert client.get(f"{SITES}/items/{name}", params={"f": "csv"}).status_code == 400


def test_an_observation_of_several_models_is_one_sample(world: World, client: httpx.Client) -> None:
    samples = found(client, SAMPLES)
    assert len(samples) == COUNT + 1
    assert all("predicted" not in each["properties"] and "model" not in each["properties"] for each in samples)
    # They are under their own licence, not under that of the product made of them.
    assert {each["properties"]["licence"] for each in samples} == {"CC-BY-4.0"}
    places = {(tuple(each["geometry"]["coordinates"]), each["properties"]["observed"]) for each in samples}
    expected = {(tuple(s["geometry"]["coordinates"]), s["properties"]["observed"]) for s in world.sites.values()}
    assert places == expected


@given(west=st.floats(-1, 25), south=st.floats(40, 60), wide=st.floats(0, 12), high=st.floats(0, 8))
@settings(max_examples=15, deadline=None)
def test_boxes_against_brute_force(
    world: World, client: httpx.Client, west: float, south: float, wide: float, high: float
) -> None:
    east, north = west + wide, south + high
    inside = those(world, lambda _, lon, lat: west <= lon <= east and south <= lat <= north)
    assert names(found(client, bbox=f"{west!r},{south!r},{east!r},{north!r}")) == inside


@given(left=st.floats(3.9e6, 4.8e6), bottom=st.floats(2.4e6, 3.4e6), size=st.floats(5e4, 7e5))
@settings(max_examples=10, deadline=None)
def test_boxes_in_a_projected_system(
    world: World, client: httpx.Client, left: float, bottom: float, size: float
) -> None:
    transform = pyproj.Transformer.from_crs("OGC:CRS84", "EPSG:3035", always_xy=True).transform

    def inside(_: Any, lon: float, lat: float, *, margin: float) -> bool:
        x, y = transform(lon, lat)
        return left - margin <= x <= left + size + margin and bottom - margin <= y <= bottom + size + margin

    # EPSG:3035 is northing before easting.
    box = f"{bottom!r},{left!r},{bottom + size!r},{left + size!r}"
    ids = names(found(client, bbox=box, **{"bbox-crs": f"{_EPSG}3035"}))
    assert those(world, lambda *site: inside(*site, margin=-1)) <= ids <= those(world, lambda *s: inside(*s, margin=1))


@pytest.mark.parametrize("reference", CRS, ids=lambda each: each.uri.rsplit("/", 1)[-1])
def test_answers_in_every_system_offered(world: World, client: httpx.Client, reference: Any) -> None:
    answer = client.get(f"{SITES}/items", params={"crs": reference.uri, "limit": 50})
    assert answer.headers["content-crs"] == f"<{reference.uri}>"
    # pyproj keeps to the order of the system's own axes, as the standard demands.
    target = pyproj.CRS.from_user_input(reference.uri)
    transform = pyproj.Transformer.from_crs("OGC:CRS84", target).transform
    for each in answer.json()["features"]:
        expected = transform(*world.sites[each["id"]]["geometry"]["coordinates"])
        assert each["geometry"]["coordinates"] == pytest.approx(expected, abs=0.006 if target.is_projected else 1e-7)


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ({"inside_aoa": "false"}, lambda p: not p["inside_aoa"]),
        ({"fold": "3"}, lambda p: p["fold"] == 3),
        ({"model": "model-b"}, lambda p: p["model"] == "model-b"),
        ({"model": "model-b", "fold": "1"}, lambda p: p["model"] == "model-b" and p["fold"] == 1),
        ({"filter": "observed > 50 AND inside_aoa = true"}, lambda p: p["observed"] > 50 and p["inside_aoa"]),
        ({"filter": "observed BETWEEN 10 AND 20", "fold": "2"}, lambda p: 10 <= p["observed"] <= 20 and p["fold"] == 2),
        ({"filter": "sample IS NULL"}, lambda p: p["sample"] is None),
        ({"filter": "model LIKE '%-b' OR fold IN (0, 4)"}, lambda p: p["model"] == "model-b" or p["fold"] in (0, 4)),
        ({"filter": json.dumps({"op": "<", "args": [{"property": "observed"}, 5]}), "filter-lang": "cql2-json"},
         lambda p: p["observed"] < 5),
        ({"datetime": "2018-05-01"}, lambda p: True),
        ({"datetime": "2019-01-01/.."}, lambda p: p["start_datetime"] is None),
    ],
)  # fmt: skip
def test_filters_against_brute_force(
    world: World, client: httpx.Client, query: dict[str, str], test: Callable[[dict[str, Any]], bool]
) -> None:
    assert names(found(client, **query)) == those(world, lambda properties, *_: test(properties))


def test_geometries_of_filters_in_another_system(world: World, client: httpx.Client) -> None:
    plain = names(found(client, filter="S_INTERSECTS(geometry, POLYGON((8 47,14 47,14 52,8 52,8 47)))"))
    assert plain == those(world, lambda _, lon, lat: 8 <= lon <= 14 and 47 <= lat <= 52)
    turned = "S_INTERSECTS(geometry, POLYGON((47 8,47 14,52 14,52 8,47 8)))"
    assert names(found(client, filter=turned, **{"filter-crs": f"{_EPSG}4326"})) == plain
    assert client.get(f"{SITES}/items", params={"filter": turned, "filter-crs": f"{_EPSG}32632"}).status_code == 400


def test_sorting(world: World, client: httpx.Client) -> None:
    values = [each["properties"]["observed"] for each in found(client, sortby="-observed")]
    assert values == sorted(values, reverse=True)
    assert len(values) == len(world.sites)


def test_a_value_never_goes_without_its_unit_and_a_prediction_without_its_interval(client: httpx.Client) -> None:
    (observed,) = client.get(f"{SITES}/items", params={"properties": "observed", "limit": 1}).json()["features"]
    assert set(observed["properties"]) == {"observed", "property", "unit", "depth", "licence"}
    (predicted,) = client.get(f"{SITES}/items", params={"properties": "predicted", "limit": 1}).json()["features"]
    assert {"q05", "q95", "inside_aoa", "model", "unit", "licence"} < set(predicted["properties"])


def test_csv_has_the_same_values(world: World, client: httpx.Client) -> None:
    answer = client.get(f"{SITES}/items", params={"f": "csv", "limit": 100, "crs": f"{_EPSG}4326"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 100
    for row in rows:
        one = world.sites[row["id"]]
        assert (float(row["x"]), float(row["y"])) == tuple(one["geometry"]["coordinates"])
        assert float(row["observed"]) == one["properties"]["observed"]
    assert 'rel="next"' in answer.headers["link"]


def test_features_conform_to_the_schema(world: World, client: httpx.Client) -> None:
    for collection in (SITES, SAMPLES):
        schema = client.get(f"{collection}/schema").json()
        own = {name: each for name, each in schema["properties"].items() if name not in ("id", "geometry")}
        nullable = {name: each | {"type": [each["type"], "null"]} for name, each in own.items()}
        check = jsonschema.Draft202012Validator({"properties": nullable, "additionalProperties": False})
        for each in found(client, collection):
            check.validate(each["properties"])
        queryables = client.get(f"{collection}/queryables").json()
        assert set(queryables["properties"]) <= set(schema["properties"])
        assert queryables["additionalProperties"] is False
        assert client.get(f"{collection}/sortables").json()["properties"].keys() < schema["properties"].keys()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"limit": "0"}, "limit"),
        ({"bbox": "1,2,3"}, "bbox"),
        ({"bbox": "1,2,3,4", "bbox-crs": "EPSG:32632"}, "bbox-crs"),
        ({"bbox-crs": "EPSG:3035"}, "without bbox"),
        ({"crs": "EPSG:31467"}, "crs"),
        ({"datetime": "never"}, "datetime"),
        ({"filter": "observed >"}, "filter"),
        ({"filter": "price > 1"}, "price"),
        ({"filter": "a_contains(fold, price)"}, "price"),
        ({"filter": "observed > 1", "filter-lang": "sql"}, "filter-lang"),
        ({"filter-lang": "cql2-text"}, "without filter"),
        ({"filter": '{"op":"s_intersects","args":[{"property":"geometry"},{"type":"Point","coordinates":{}}]}',
          "filter-lang": "cql2-json", "filter-crs": "EPSG:3035"}, "filter"),
        ({"sortby": "price"}, "price"),
        ({"properties": "price"}, "price"),
        ({"inside_aoa": "yes"}, "inside_aoa"),
        ({"fold": "many"}, "fold"),
        ({"fold": "nan"}, "fold"),
        ({"price": "1"}, "price"),
        ({"f": "xml"}, "f is"),
        ({"offset": "1", "token": "x"}, "token"),
        ({"token": "x"}, "token"),
    ],
)  # fmt: skip
def test_refusals_say_what_was_wrong(client: httpx.Client, query: dict[str, str], said: str) -> None:
    answer = client.get(f"{SITES}/items", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert said in answer.json()["detail"]


def test_the_collection_is_described(world: World, client: httpx.Client) -> None:
    listed = {each["id"]: each for each in httpx.get(f"{world.root}/ogc/collections?f=json").json()["collections"]}
    assert {SITES, SAMPLES} <= set(listed)
    one = client.get(SITES, params={"f": "json"}).json()
    assert one["itemType"] == "feature"
    assert one["storageCrs"] in one["crs"]
    west, south, east, north = one["extent"]["spatial"]["bbox"][0]
    assert all(west <= s["geometry"]["coordinates"][0] <= east for s in world.sites.values())
    assert all(south <= s["geometry"]["coordinates"][1] <= north for s in world.sites.values())
    for link in one["links"]:
        answer = httpx.get(link["href"])
        assert answer.status_code == 200, link
        assert answer.headers["content-type"].split(";")[0] == link["type"], link


def test_closed_collections_are_not_there(world: World) -> None:
    index = SiteIndex(world.store.root / SITES_INDEX_FILE)
    assert index.extent(SITES) is not None
    token = HIDDEN.set(frozenset({SITES}))
    try:
        # Samples are known through their sites.
        assert index.extent(SITES) is None
        assert index.extent(SAMPLES) is None
    finally:
        HIDDEN.reset(token)
    index.close()


def test_a_damaged_file_spoils_no_other_and_what_goes_takes_nothing_along(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", Settings())
    index = SiteIndex(store.root / SITES_INDEX_FILE)
    assert index.extent(SITES) is None
    site_products.register(store, tmp_path / "a", site_products.scattered(5))
    other = site_products.register(store, tmp_path / "b", site_products.scattered(5, model="model-b"))
    broken = [site_products.site("1", 10, 50, model="model-d"), {"type": "Feature", "id": "x", "geometry": None}]
    site_products.register(store, tmp_path / "d", broken)
    counts = {name: extent.count for name in (SITES, SAMPLES) if (extent := index.extent(name))}
    assert counts == {SITES: 10, SAMPLES: 5}
    folder = store.find(SITES, other.id)
    assert folder is not None
    folder.rename(tmp_path / "gone")
    store.rebuild()
    counts = {name: extent.count for name in (SITES, SAMPLES) if (extent := index.extent(name))}
    assert counts == {SITES: 5, SAMPLES: 5}
    index.close()


# Clients


def test_owslib(world: World) -> None:
    api = Features(f"{world.root}/ogc")
    assert {SITES, SAMPLES} <= set(api.feature_collections())
    page = api.collection_items(SITES, limit=7, bbox=[8, 47, 14, 52], sortby="-observed")
    assert page["numberReturned"] == 7
    assert api.collection_items(SITES, filter="fold = 2", limit=3)["features"][0]["properties"]["fold"] == 2
    assert "observed" in api.collection_queryables(SITES)["properties"]
    (name,) = [each["id"] for each in page["features"][:1]]
    assert api.collection_item(SITES, name)["id"] == name


_GDAL = """
import json, pyogrio, sys
read = lambda **more: pyogrio.raw.read(f"OAPIF:{sys.argv[1]}/ogc", layer="validation-sites", **more)
meta, _, _, fields = read()
observed = fields[list(meta["fields"]).index("observed")]
print(json.dumps([sorted(observed.tolist()), len(read(bbox=(8, 47, 14, 52))[2])]))
"""


def test_gdal(world: World) -> None:
    # In a process of its own: GDAL would keep this one, and with it the server, waiting.
    asked = subprocess.run([sys.executable, "-c", _GDAL, world.root], check=True, capture_output=True, timeout=120)
    observed, inside = json.loads(asked.stdout)
    assert observed == sorted(each["properties"]["observed"] for each in world.sites.values())
    assert inside == len(those(world, lambda _, lon, lat: 8 <= lon <= 14 and 47 <= lat <= 52))
