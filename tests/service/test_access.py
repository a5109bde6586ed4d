"""Keys, people a proxy has identified, and collections that not everybody may see."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from cup4soil.errors import InvalidInput, NotFound, StoreError
from cup4soil.settings import Settings
from service.access import NOBODY, Identity
from service.access import client_of as client_name
from service.cli import run
from service.keys import KEYS_FILE, KeyRing
from service.settings import ServiceSettings
from stac_catalog.store import Store
from tests.catalog.products import composite, soil_map
from tests.service.asking import client_of

CLOSED = "bare-soil-composites"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("access")
    store = Store.open(folder / "store", Settings())
    for name, make in (("map", soil_map), ("composite", composite)):
        store.register(make(folder / name), folder / name)
    return folder / "store"


@pytest.fixture
def ring(root):
    yield KeyRing(root)
    (root / KEYS_FILE).unlink(missing_ok=True)


def bearer(text: str) -> dict:
    return {"Authorization": f"Bearer {text}"}


def doors(root: Path) -> list[str]:
    """Addresses at which the closed collection could show."""
    (item,) = Store.open(root, Settings()).items(CLOSED)
    return [
        f"/catalog/{CLOSED}/collection.json",
        f"/catalog/{CLOSED}/{item}/{item}.json",
        f"/catalog/{CLOSED}/{item}/SRC.tif",
        f"/catalog//{CLOSED}/{item}/SRC.tif",
        f"/catalog/./{CLOSED}/{item}/SRC.tif",
        f"/catalog/soc-0-20cm/../{CLOSED}/{item}/SRC.tif",
        f"/stac/collections/{CLOSED}",
        f"/stac/collections/{CLOSED}/items",
        f"/stac/collections/{CLOSED}/items/{item}",
        f"/stac/collections/{CLOSED}/queryables",
        f"/ogc/collections/{CLOSED}?f=json",
        f"/ogc/collections/{CLOSED}/schema?f=json",
        f"/ogc/collections/{CLOSED}/coverage?scale-factor=4",
        f"/ogc/collections/{CLOSED}/map?width=64",
        f"/products/{CLOSED}/{item}",
        f"/products/{CLOSED}/{item}/dcat",
        f"/dcat/{CLOSED}",
    ]


LISTS = ("/stac", "/stac/collections", "/stac/search?limit=100", "/ogc/collections?f=json", "/stac/queryables")
HARVESTED = (
    "/catalog/catalog.json",
    "/ogc/collections/products/items?f=json",
    "/dcat",
    "/sitemap.xml",
    "/oai?verb=ListSets",
    "/oai?verb=ListIdentifiers&metadataPrefix=oai_dc",
    "/tiles/wmts/1.0.0/WMTSCapabilities.xml",
)


def test_closed_collection_is_seen_at_no_door(root, ring):
    client = client_of(root, closed_collections=(CLOSED,))
    for door in doors(root):
        assert client.get(door).status_code == 404, door
    for page in (*LISTS, *HARVESTED):
        assert client.get(page).status_code == 200, page
        assert CLOSED not in client.get(page).text, page
        assert "SRC_B04" not in client.get(page).text, page
    assert client.get(f"/stac/search?collections={CLOSED}").json()["features"] == []
    found = client.post("/stac/search", json={"collections": [CLOSED, "soc-0-20cm"]}).json()["features"]
    assert {each["collection"] for each in found} <= {"soc-0-20cm"}


def test_holders_of_the_right_see_it(root, ring):
    client = client_of(root, closed_collections=(CLOSED,))
    for right in (f"read:{CLOSED}", "read:*"):
        _, text = ring.add("reader", [right])
        for door in doors(root)[:3] + doors(root)[6:]:
            assert client.get(door, headers=bearer(text)).status_code == 200, door
        assert CLOSED in client.get("/stac/collections", headers={"X-API-Key": text}).text
    _, other = ring.add("other", ["read:elsewhere", "write"])
    assert client.get(doors(root)[0], headers=bearer(other)).status_code == 404
    # Nothing of one request stays for the next.
    assert client.get(doors(root)[0]).status_code == 404
    assert CLOSED not in client.get("/ogc/collections?f=json").text


def test_nothing_is_closed_by_default(root):
    client = client_of(root)
    for page in (*LISTS[:-1], *HARVESTED):
        assert CLOSED in client.get(page).text, page
    for door in doors(root)[:3] + doors(root)[6:]:
        assert client.get(door).status_code == 200, door


def test_pages_of_a_search_do_not_pass_from_reader_to_others(root, ring):
    client = client_of(root, closed_collections=(CLOSED,))
    _, text = ring.add("reader", ["read:*"])
    page = client.get("/stac/search?limit=1", headers=bearer(text)).json()
    following = next(link["href"] for link in page["links"] if link["rel"] == "next")
    answer = client.get(following.replace("http://service", ""))
    assert answer.status_code == 400


@pytest.mark.parametrize("text", ["", "c4s_00000000_" + "A" * 43, "c4s_x", "x" * 10_000, "c4s_00000000_" + "é" * 43])
def test_a_key_that_is_not_good_is_refused(root, ring, text):
    answer = client_of(root).get("/stac", headers={"X-API-Key": text.encode()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_key_ends_when_it_is_removed_or_expires(root, ring):
    client = client_of(root)
    key, text = ring.add("program", ["write"])
    assert client.get("/stac", headers=bearer(text)).status_code == 200
    KeyRing(root).remove(key.id)
    assert client.get("/stac", headers=bearer(text)).status_code == 401
    _, brief = ring.add("brief", ["write"], datetime.now(UTC) + timedelta(milliseconds=300))
    assert ring.find(brief) is not None
    soon = datetime.now(UTC) + timedelta(seconds=1)
    while datetime.now(UTC) < soon:
        pass
    assert ring.find(brief) is None


def test_the_file_holds_no_key_and_is_the_owners_alone(root, ring):
    _, text = ring.add("program", ["write"])
    path = root / KEYS_FILE
    assert text.split("_", 2)[2] not in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert client_of(root).get(f"/catalog/../{KEYS_FILE}").status_code == 404


def test_a_damaged_file_lets_nobody_in(root, ring):
    _, text = ring.add("program", ["read:*"])
    (root / KEYS_FILE).write_text("{", encoding="utf-8")
    client = client_of(root, closed_collections=(CLOSED,))
    assert client.get(doors(root)[0], headers=bearer(text)).status_code == 503
    assert client.get("/stac").status_code == 200
    with pytest.raises(StoreError):
        KeyRing(root).add("other", ["write"])


def test_keys_made_at_once_are_all_kept(root, ring):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: KeyRing(root).add(f"key {i}", ["write"]), range(16)))
    assert {key.id for key in ring.all()} == {key.id for key, _ in made}
    assert all(ring.find(text) is not None for _, text in made)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(text=st.text())
def test_no_text_is_a_key_by_chance(ring, text):
    assert ring.find(text) is None


@pytest.mark.parametrize("right", ["", "admin", "read:", "read:../x", "read:A b", "WRITE"])
def test_unknown_rights_are_refused(ring, right):
    with pytest.raises(InvalidInput):
        ring.add("program", [right])


def test_identity_of_a_proxy_counts_only_where_it_is_trusted(root):
    headers = {"X-Auth-Request-User": "anna", "X-Auth-Request-Groups": "guests, staff"}
    rights = {"staff": (f"read:{CLOSED}",)}
    trusting = client_of(root, closed_collections=(CLOSED,), trust_identity=True, group_rights=rights)
    wary = client_of(root, closed_collections=(CLOSED,), group_rights=rights)
    assert trusting.get(doors(root)[0], headers=headers).status_code == 200
    assert trusting.get(doors(root)[0], headers=headers | {"X-Auth-Request-Groups": "guests"}).status_code == 404
    assert wary.get(doors(root)[0], headers=headers).status_code == 404


def test_execution_may_need_a_key(root, ring):
    client = client_of(root, execute_needs_key=True)
    path = "/ogc/processes/predict-soil-property/execution"
    assert client.post(path, json={"inputs": {}}).status_code == 401
    _, reader = ring.add("reader", ["read:*"])
    answer = client.post(path, json={"inputs": {}}, headers=bearer(reader))
    assert answer.status_code == 403
    assert "execute" in answer.json()["detail"]
    _, runner = ring.add("runner", ["execute"])
    assert client.post(path, json={"inputs": {}}, headers=bearer(runner)).status_code == 400


def test_products_are_changed_by_holders_of_the_right(root, ring):
    client = client_of(root, closed_collections=(CLOSED,))
    (item,) = Store.open(root, Settings()).items("soc-0-20cm")
    path = f"/stac/collections/soc-0-20cm/items/{item}"
    patch = {"properties": {"title": "Carbon"}}
    _, reader = ring.add("reader", ["read:*"])
    _, writer = ring.add("writer", ["write"])
    for method, body in (("PATCH", patch), ("PUT", patch), ("DELETE", None)):
        assert client.request(method, path, json=body).status_code == 401
        assert client.request(method, path, json=body, headers=bearer(reader)).status_code == 403
    assert client.post("/stac/collections/soc-0-20cm/items", json={}).status_code == 401
    answer = client.request("PATCH", path, json=patch, headers=bearer(writer))
    assert (answer.status_code, answer.json()["properties"]["title"]) == (200, "Carbon")
    assert client.get(f"/ogc/collections/products/items/{item}").json()["properties"]["title"] == "Carbon"
    # Who may write need not see what is closed.
    (closed,) = Store.open(root, Settings()).items(CLOSED)
    hidden = client.request("DELETE", f"/stac/collections/{CLOSED}/items/{closed}", headers=bearer(writer))
    assert hidden.status_code == 404
    stale = client.request("DELETE", path, headers=bearer(writer) | {"If-Match": '"other"'})
    assert stale.status_code == 412
    assert stale.headers["content-type"] == "application/problem+json"


def test_clients_are_told_apart_by_name_before_address():
    def request(name):
        state = {"identity": Identity(name) if name else NOBODY}
        return Request({"type": "http", "headers": [], "client": ("192.0.2.1", 1), "state": state})

    names = {client_name(request(each)) for each in (None, "anna", "bert")}
    assert len(names) == 3
    assert not any("anna" in each or "192" in each for each in names)


def test_command(root, ring, capsys):
    assert run(["keys", "add", "harvester", "--right", "write", "--store", str(root), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert ring.find(made["key"]) is not None
    assert run(["keys", "list", "--store", str(root)]) == 0
    listed = capsys.readouterr().out
    assert "harvester" in listed
    assert made["key"] not in listed
    assert run(["keys", "remove", made["id"], "--store", str(root)]) == 0
    assert ring.find(made["key"]) is None
    assert run(["keys", "remove", made["id"], "--store", str(root)]) == 1
    with pytest.raises(NotFound):
        ring.remove(made["id"])
    assert run(["keys", "add", "x", "--right", "fly", "--store", str(root)]) == 1
    assert run(["keys", "add", "x", "--right", "write", "--expires", "2020-01-01", "--store", str(root)]) == 1


class TestHeaders:
    """Headers for browsers, by settings."""

    def test_by_default_pages_are_framed_by_themselves_only(self, root):
        headers = client_of(root).get("/health/live").headers
        assert headers["content-security-policy"] == "frame-ancestors 'self'"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["x-content-type-options"] == "nosniff"
        assert "strict-transport-security" not in headers

    def test_others_may_be_let_in_and_https_kept(self, root):
        sources = ("'self'", "https://portal.example")
        headers = client_of(root, frame_ancestors=sources, hsts_seconds=3600).get("/health/live").headers
        assert headers["content-security-policy"] == "frame-ancestors 'self' https://portal.example"
        assert "x-frame-options" not in headers
        assert headers["strict-transport-security"] == "max-age=3600"

    @pytest.mark.parametrize("sources", [(), ("self",), ("*; script-src *",), ("https://a.example\r\nX: y",)])
    def test_what_is_no_source_is_refused(self, sources):
        with pytest.raises(ValueError, match="frame_ancestors"):
            ServiceSettings(frame_ancestors=sources)
