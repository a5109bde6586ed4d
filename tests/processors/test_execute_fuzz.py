"""Whatever is sent to the routes of processes, the answer is never a fault of the server."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.jobs.settings import JobSettings
from processors.predict_inputs import INPUTS
from processors.process_router import process_router
from service import problems
from stac_catalog.store import Store
from tests.processors.predict_world import BOTTOM, LEFT, make_predict_world

PATH = "/ogc/processes/predict-soil-property/execution"
JSON = {"Content-Type": "application/json"}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
texts = st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)
numbers = st.floats(-200, 200) | st.sampled_from([LEFT, LEFT + 900, BOTTOM, BOTTOM + 900, 10, 52, 1e300, -0.0])
rings = st.lists(st.lists(numbers, min_size=1, max_size=3) | scalars, max_size=6)
geometries = st.fixed_dictionaries(
    {"type": st.sampled_from(["Polygon", "MultiPolygon", "Feature", "FeatureCollection", "Point"])},
    optional={
        "coordinates": st.lists(rings, max_size=2) | values,
        "geometry": values,
        "features": values,
        "crs": values | st.just({"properties": {"name": "EPSG:3035"}}),
    },
)
boxes = st.lists(numbers, min_size=3, max_size=5)
inputs = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(INPUTS, values),
        "aoi": geometries | values,
        "bbox": boxes | st.fixed_dictionaries({"bbox": boxes}, optional={"crs": st.sampled_from(["EPSG:3035", "x"])}),
        "bbox-crs": st.sampled_from(["EPSG:3035", "EPSG:4326", "EPSG:9999", "OGC:CRS84", ""]),
        "property": st.sampled_from(["soc", "nitrogen", "clay", ""]) | values,
    },
)
bodies = values | st.fixed_dictionaries({"inputs": inputs}, optional={"outputs": values, "response": values})


class Client:
    """Sends requests to an application in this process; what it raises is a 500."""

    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def request(self, method: str, address: str, **given: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://service") as client:
                return await client.request(method, address, **given)

        return asyncio.run(send())

    def post(self, address: str, **given: Any) -> httpx.Response:
        return self.request("POST", address, **given)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    store = make_predict_world(tmp_path_factory.mktemp("predict")).store
    limits = JobSettings(threads=1, sync_cells=5000, job_cells=10_000, jobs_waiting=3, execute_kib=64)
    app = FastAPI()
    problems.install(app)
    app.include_router(process_router(Store.open(store, limits), limits))
    return Client(app)


def check(answer: Any) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Traceback" not in answer.text


@given(bodies, st.sampled_from(["", "respond-async", "wait=1"]))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_is_a_fault(client: Client, body: Any, prefer: str) -> None:
    check(client.post(PATH, content=json.dumps(body), headers=JSON | {"Prefer": prefer}))


@given(st.binary(max_size=60))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_are_a_fault(client: Client, body: bytes) -> None:
    answer = client.post(PATH, content=body, headers=JSON)
    check(answer)
    assert answer.status_code == 400


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(["GET", "DELETE", "POST", "HEAD"]))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_or_query_is_a_fault(client: Client, name: str, value: str, method: str) -> None:
    first, second = quote(name, safe="/."), quote(value, safe="/.")
    for path in (f"/ogc/jobs/{first}", f"/ogc/jobs/{first}/results", f"/results/{first}/{second}"):
        assert client.request(method, path).status_code < 500
    assert client.request(method, f"/ogc/processes/{first}/execution").status_code < 500
    assert client.request("GET", "/ogc/jobs", params={"limit": value, "status": name}).status_code < 500


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"inputs": {"aoi": ' + b'{"a":' * 9_000 + b"1" + b"}" * 9_000 + b"}}",
        b'{"inputs": {"bbox": [1, 2, 3, ' + b"9" * 5_000 + b"]}}",
        b'{"inputs": {"bbox": [NaN, 0, 1, 1]}}',
        b'{"inputs": {"bbox": [Infinity, 0, 1, 1]}}',
        b'{"inputs": {"property": "\\ud800"}}',
        b'{"inputs": {"\\ud800": 1}}',
        b'{"inputs": {"aoi": {"type": "Feature", "properties": ' + b"[" * 900 + b"]" * 900 + b"}}}",
        b'\xff\xfe{"inputs": {}}',
    ],
)
def test_bodies_made_to_exhaust_are_refused(client: Client, body: bytes) -> None:
    answer = client.post(PATH, content=body, headers=JSON)
    check(answer)
    assert answer.status_code == 400


def test_a_body_larger_than_the_limit_is_not_read_to_its_end(client: Client) -> None:
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1000:
            sent += 1
            yield b" " * 16 * 1024

    answer = client.post(PATH, content=pieces(), headers=JSON)
    assert sent < 10
    check(answer)
    assert answer.status_code == 413


def test_too_many_jobs_are_refused_with_a_reason(client: Client) -> None:
    box = {"bbox": [BOTTOM + 200, LEFT + 700, BOTTOM + 400, LEFT + 900], "crs": "EPSG:3035"}
    answers = [client.post(PATH, json={"inputs": {"bbox": box}}, headers={"Prefer": "respond-async"}) for _ in range(4)]
    check(answers[-1])
    assert "jobs are waiting or running, the limit is 3" in answers[-1].json()["detail"]
