"""What an operator sees: health, figures, logs."""

import json
import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from cup4soil.errors import InvalidInput
from cup4soil.settings import Settings
from processors.jobs.queue import Queue
from service import health, logs
from service.logs import JsonLines, Lines, request_id
from service.settings import ServiceSettings
from stac_catalog.store import Store
from tests import postgis
from tests.catalog.products import soil_map
from tests.service.asking import Client, client_of


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("operation")
    record = soil_map(folder / "map")
    Store.open(folder / "store", Settings()).register(record, folder / "map")
    return folder / "store"


def figures(client: Client) -> dict:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_alive_and_ready_differ(root, monkeypatch):
    client = client_of(root)
    assert client.get("/health/ready").json()["status"] == "ok"
    monkeypatch.setattr(type(Store.open(root, Settings())), "catalog_path", property(lambda self: self.root / "gone"))
    assert client.get("/health/live").status_code == 200
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["store"] == "cannot be used"
    assert str(root) not in answer.text


def test_service_starts_and_says_so_while_the_search_database_is_away(root):
    client = client_of(root, search_database="postgresql://reader:hush@127.0.0.1:1/search")
    assert client.get("/health/live").status_code == 200
    ready = client.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"]["search"] == "cannot be used"
    answer = client.get("/stac/search")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hush" not in ready.text + answer.text
    assert client.get("/catalog/catalog.json").status_code == 200


@pytest.mark.parametrize("address", ["mysql://a/b", "nonsense", ""])
def test_only_postgres_searches(root, address):
    with pytest.raises(InvalidInput, match="CUP4SOIL_SEARCH_DATABASE is not PostgreSQL's"):
        client_of(root, search_database=address)


def test_search_database_serves_the_whole_api(root):
    with postgis.new_database() as address:
        embedded, client = client_of(root), client_of(root, search_database=address)
        for path in (
            "/stac", "/stac/collections", "/stac/search?limit=1", "/stac/collections/soc-0-20cm/items",
            "/stac/queryables", "/stac/aggregate?aggregations=total_count", "/ogc/collections/products/items?f=json",
            "/health/ready",
        ):  # fmt: skip
            mine, theirs = client.get(path), embedded.get(path)
            assert mine.status_code == theirs.status_code == 200, path
            assert _timeless(mine.json()) == _timeless(theirs.json()), path
        for index in client.app.state.indexes:
            index.close()


def _timeless(document):
    return {name: value for name, value in document.items() if name != "timeStamp"}


def test_jobs_that_nobody_takes_are_told(root, monkeypatch):
    client = client_of(root)
    queue = Queue(root, ServiceSettings())
    job = queue.submit("predict-soil-property", {"inputs": {}})
    try:
        assert client.get("/health").json()["status"] == "ok"
        monkeypatch.setattr(health, "_STALLED_S", -1.0)
        told = client.get("/health/ready")
        assert told.status_code == 200
        assert told.json() == {
            "status": "degraded",
            "checks": {"store": "ok", "search": "ok", "queue": "jobs wait and no worker takes them", "disk": "ok"},
        }
    finally:
        queue.dismiss(job.id)


def test_little_room_is_told(root):
    client = client_of(root, least_free_mib=10**9)
    assert client.get("/health/ready").json()["checks"]["disk"] == "less than 1000000000 MiB are free"


def test_requests_are_counted_by_route_and_not_by_address(root):
    client = client_of(root)
    key = ("cup4soil_http_requests_total", ("method", "GET"), ("route", "/stac/collections/{collection_id}"))
    before = figures(client).get((*key, ("status", "404")), 0)
    for name in ("nowhere-1", "nowhere-2"):
        assert client.get(f"/stac/collections/{name}").status_code == 404
    after = figures(client)
    assert after[(*key, ("status", "404"))] == before + 2
    assert not any("nowhere" in str(each) for each in after)
    assert after[("cup4soil_jobs", ("status", "accepted"))] == 0
    assert any(name == "cup4soil_products" and value == 1 for (name, *_), value in after.items())


def test_endless_addresses_make_no_endless_figures(root):
    client = client_of(root)
    client.get("/first")
    count = len(figures(client))
    for i in range(20):
        client.get(f"/made-up-{i}/x")
        client.request(f"VERB{i}", "/")
    # The unknown methods share one row of each figure.
    assert len(figures(client)) <= count + 40


@pytest.mark.parametrize(
    ("address", "headers"), [("203.0.113.7", {}), ("127.0.0.1", {"X-Forwarded-For": "203.0.113.7"})]
)
def test_figures_are_not_for_everybody(root, address, headers):
    assert client_of(root, address).get("/metrics", headers=headers).status_code == 404


def test_networks_of_the_figures_are_a_setting(root):
    assert client_of(root, "10.1.2.3", metrics_networks=("10.0.0.0/8",)).get("/metrics").status_code == 200
    with pytest.raises(ValueError, match="nonsense"):
        ServiceSettings(metrics_networks=("nonsense",))


def test_every_answer_carries_the_id_of_its_request_and_the_log_names_it(root, caplog):
    client = client_of(root)
    with caplog.at_level(logging.INFO, "cup4soil.access"):
        given_id = client.get("/stac", headers={"X-Request-ID": "from-proxy.1"}).headers["x-request-id"]
        own = client.get("/nowhere", headers={"X-Request-ID": "two words or <more>"}).headers["x-request-id"]
    assert given_id == "from-proxy.1"
    assert len(own) == 32
    first, second = (record for record in caplog.records if record.name == "cup4soil.access")
    assert (first.method, first.path, first.status) == ("GET", "/stac", 200)
    assert first.duration_ms > 0
    assert first.bytes > 100
    assert second.status == 404
    assert "127.0.0.1" not in json.dumps(second.__dict__, default=str)


@given(st.text())
def test_a_request_cannot_write_into_the_log(text):
    assert set(request_id(text)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@given(st.text(), st.text(max_size=5))
def test_one_line_for_an_event_whatever_it_says(message, job):
    record = logging.LogRecord("a", logging.INFO, "", 0, "%s", (message,), None)
    record.job = job
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == message
    assert json.loads(line)["job"] == job
    record.job = None
    assert len(Lines().format(record).split("\n")) == 1


def test_logs_of_a_request_that_fails_name_it(root, monkeypatch):
    stream = subprocess.run(
        [sys.executable, "-c", _FAILING, str(root)], capture_output=True, text=True, timeout=120, check=True
    ).stderr
    lines = [json.loads(line) for line in stream.splitlines() if line.startswith("{")]
    failed = next(line for line in lines if line["level"] == "error")
    assert failed["request"] == "r-1"
    assert "RuntimeError: planned" in failed["exception"]
    access = next(line for line in lines if line["logger"] == "cup4soil.access")
    assert (access["request"], access["status"]) == ("r-1", 500)


_FAILING = """
import sys
import anyio
import httpx
from pathlib import Path
from service import logs
from service.app import create_app
from service.settings import ServiceSettings
settings = ServiceSettings(log_format="json")
logs.configure(settings)
app = create_app(Path(sys.argv[1]), settings)
@app.get("/broken")
def broken():
    raise RuntimeError("planned")
app.router.routes.insert(0, app.router.routes.pop())
async def ask():
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.get("/broken", headers={"X-Request-ID": "r-1"})
answer = anyio.run(ask)
assert answer.status_code == 500 and answer.headers["x-request-id"] == "r-1"
"""


def test_configure_leaves_one_handler():
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.configure(ServiceSettings(log_level="warning"))
        logs.configure(ServiceSettings(log_level="warning"))
        assert len(logging.getLogger().handlers) == 1
        assert logging.getLogger().level == logging.WARNING
    finally:
        logging.getLogger().handlers[:], logging.getLogger().level = before
