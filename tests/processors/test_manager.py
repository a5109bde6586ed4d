"""Processes and jobs over HTTP: a real server, a real worker, OWSLib and httpx; and plain pygeoapi."""

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from owslib.ogcapi.processes import Processes

from cup4soil.errors import NoData
from processors.jobs.failures import Failure
from processors.jobs.queue import Queue
from processors.jobs.settings import JobSettings
from tests.processors.job_server import serving
from tests.processors.predict_world import PredictWorld, make_predict_world, polygon

ID = "predict-soil-property"
TRIANGLE = polygon((500, 100), (1100, 100), (1100, 900))
ASYNC = {"Prefer": "respond-async"}
CONFORMANCE = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> PredictWorld:
    return make_predict_world(tmp_path_factory.mktemp("predict"))


@pytest.fixture(scope="module")
def service(world: PredictWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "height.tif").write_text("damaged")
    damaged = {"CUP4SOIL_COVARIATES": str(folder)}
    with serving(world.store, folder, "tests.processors.job_server:create_app", "/ogc", damaged) as url:
        yield url


@pytest.fixture(scope="module")
def plain(world: PredictWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """pygeoapi alone, as ``pygeoapi serve`` runs it."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "height.tif").write_text("damaged")
    damaged = {"CUP4SOIL_COVARIATES": str(folder)}
    with serving(world.store, folder, "pygeoapi.starlette_app:APP", "", damaged) as url:
        yield url


@contextmanager
def working(world: PredictWorld) -> Iterator[subprocess.Popen[bytes]]:
    settings = JobSettings(job_lease_seconds=2).model_dump_json()
    command = [sys.executable, "-m", "tests.processors.worker_process", str(world.store), settings]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def execute(service: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"{service}/processes/{ID}/execution", json=body, headers=headers, timeout=60)


def finished(job: str, seconds: float = 60.0) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while (status := httpx.get(job).json())["status"] in ("accepted", "running"):
        assert time.monotonic() < end, status
        time.sleep(0.1)
    return status


def bands(content: bytes) -> dict[str, np.ndarray]:
    with rasterio.MemoryFile(content) as memory, memory.open() as dataset:
        return dict(zip(dataset.descriptions, dataset.read(), strict=True))


# One prediction, at once and as a job


def test_at_once_and_as_a_job_the_pixels_are_the_same(world: PredictWorld, service: str) -> None:
    at_once = execute(service, {"inputs": {"aoi": TRIANGLE}})
    assert at_once.status_code == 200
    accepted = execute(service, {"inputs": {"aoi": TRIANGLE}}, Prefer="respond-async, wait=1")
    assert accepted.status_code == 201
    assert accepted.headers["preference-applied"] == "respond-async"
    job = accepted.headers["location"]
    assert httpx.get(f"{job}/results").status_code == 404
    with working(world):
        status = finished(job)
    assert (status["status"], status["progress"], status["processID"]) == ("successful", 100, ID)
    document = httpx.get(f"{job}/results?f=json").json()
    assert set(document) == {"map", "preview", "statistics", "provenance"}
    first, second = (httpx.get(each["map"]["href"]) for each in (at_once.json(), document))
    assert first.headers["content-type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    for name, values in bands(first.content).items():
        np.testing.assert_array_equal(values, bands(second.content)[name], err_msg=name)
    for name in ("statistics", "provenance"):
        assert at_once.json()[name] == document[name]
    assert httpx.get(document["preview"]["href"]).content.startswith(b"\x89PNG")


def test_a_job_outlives_kills_of_server_and_worker(
    world: PredictWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = world.copy(tmp_path / "store")
    app = "tests.processors.job_server:create_app"
    with serving(copy.store, tmp_path, app, "/ogc", {}) as url:
        job = execute(url, {"inputs": {"aoi": TRIANGLE}}, **ASYNC).headers["location"]
        with working(copy) as worker:
            while httpx.get(job).json()["status"] == "accepted":
                time.sleep(0.05)
            os.kill(worker.pid, signal.SIGKILL)
    with serving(copy.store, tmp_path, app, "/ogc", {}) as again, working(copy):
        status = finished(f"{again}/jobs/{job.rpartition('/')[2]}")
    assert status["status"] == "successful"


def test_a_result_is_read_in_parts(service: str) -> None:
    address = execute(service, {"inputs": {"aoi": TRIANGLE}}).json()["map"]["href"]
    part = httpx.get(address, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content[:2]) == (206, b"II")
    assert httpx.head(address).status_code == 200
    with rasterio.open(f"/vsicurl/{address}") as dataset:
        assert dataset.descriptions[0] == "mean"


# The forms an answer may have


def test_a_single_output_comes_as_it_is(service: str) -> None:
    answer = execute(service, {"inputs": {"aoi": TRIANGLE}, "outputs": {"map": {}}})
    assert answer.headers["content-type"].startswith("image/tiff")
    assert next(iter(bands(answer.content))) == "mean"
    assert 'rel="monitor"' in answer.headers["link"]
    answer = execute(service, {"inputs": {"aoi": TRIANGLE}, "outputs": {"statistics": {}}, "response": "raw"})
    assert answer.json()["unit"] == "g/kg"


def test_a_document_may_hold_a_single_output_too(service: str) -> None:
    body = {"inputs": {"aoi": TRIANGLE}, "outputs": {"preview": {}}, "response": "document"}
    assert set(execute(service, body).json()) == {"preview"}


def test_a_value_in_a_document_is_in_base64(service: str) -> None:
    outputs = {"map": {"transmissionMode": "value", "format": {"mediaType": "image/tiff"}}, "statistics": None}
    document = execute(service, {"inputs": {"aoi": TRIANGLE}, "outputs": outputs}).json()
    assert document["map"]["encoding"] == "base64"
    assert "mean" in bands(base64.b64decode(document["map"]["value"]))


def test_several_raw_outputs_come_in_parts(service: str) -> None:
    answer = execute(service, {"inputs": {"aoi": TRIANGLE}, "response": "raw"})
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + answer.content).get_payload()
    assert isinstance(parts, list)
    found = {str(part["Content-ID"]): part.get_content_type() for part in parts}  # type: ignore[union-attr,index]
    assert found == {
        "<map>": "image/tiff", "<preview>": "image/png", "<statistics>": "application/json",
        "<provenance>": "application/json",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"outputs": {"gold": {}}}, "unknown output 'gold'; there are map, preview"),
        ({"outputs": {"map": {"transmissionMode": "carrier pigeon"}}}, "does not come in the transmissionMode"),
        ({"outputs": {"map": {"format": {"mediaType": "image/jpeg"}}}}, "output map does not come in the format"),
        ({"outputs": ["map"]}, "outputs is no JSON object"),
        ({"response": "fax"}, "response is neither document nor raw"),
        ({"subscriber": {"successUri": "http://169.254.169.254/"}}, "callbacks (subscriber) are not offered"),
        ({"mode": "async"}, "unknown member 'mode'"),
        ({"inputs": []}, "inputs is no JSON object"),
    ],
)  # fmt: skip
def test_a_request_of_the_wrong_form_is_told_what_is_wrong(service: str, body: dict[str, Any], said: str) -> None:
    answer = execute(service, {"inputs": {"aoi": TRIANGLE}} | body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


# Jobs


def test_a_job_that_waits_is_dismissed(service: str) -> None:
    job = execute(service, {"inputs": {"aoi": TRIANGLE}}, **ASYNC).headers["location"]
    answer = httpx.delete(job)
    assert (answer.status_code, answer.json()["status"]) == (200, "dismissed")
    assert httpx.get(job).json()["status"] == "dismissed"
    assert httpx.get(f"{job}/results").status_code == 410


def test_dismissing_a_finished_job_removes_its_results(service: str) -> None:
    answer = execute(service, {"inputs": {"aoi": TRIANGLE}})
    job = answer.headers["link"].split(">")[0][1:]
    address = answer.json()["map"]["href"]
    assert httpx.delete(job).status_code == 200
    assert httpx.get(address).status_code == 404
    assert httpx.get(f"{job}/results").status_code == 410


def test_the_list_of_jobs_comes_in_pages_newest_first(service: str) -> None:
    for _ in range(3):
        execute(service, {"inputs": {"aoi": TRIANGLE}})
    page = httpx.get(f"{service}/jobs?limit=2").json()
    created = [job["created"] for job in page["jobs"]]
    assert created == sorted(created, reverse=True)
    assert len(created) == 2
    (next_,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
    following = httpx.get(next_).json()["jobs"]
    assert following[0]["created"] < created[-1]
    assert {job["status"] for job in httpx.get(f"{service}/jobs?status=successful").json()["jobs"]} == {"successful"}
    filters = f"processID={ID},other&status=successful,failed&datetime=2020-01-01/..&minDuration=0&type=process&limit=1"
    found = httpx.get(f"{service}/jobs?{filters}").json()
    following = next(link["href"] for link in found["links"] if link["rel"] == "next")
    assert "minDuration=0" in following
    assert httpx.get(following).json()["jobs"][0]["jobID"] != found["jobs"][0]["jobID"]
    assert httpx.get(f"{service}/jobs?datetime=../2020-01-01").json()["numberMatched"] == 0
    assert httpx.get(f"{service}/jobs?processID=other").json()["jobs"] == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=x",
        "offset=-1",
        "limit=1e3",
        "status=gone",
        "limit=٣",
        "type=coverage",
        "datetime=yesterday",
        "minDuration=-1",
        "maxDuration=x",
        "processID=",
        "status=running,gone",
    ],
)
def test_a_list_that_cannot_be_is_refused(service: str, query: str) -> None:
    assert httpx.get(f"{service}/jobs?{query}").status_code == 400


@pytest.mark.parametrize("id_", ["x", "11111111-1111-4111-8111-111111111111", "%2e%2e%2f%2e%2e", "..%5c", "%00", "%ff"])
def test_an_id_that_names_no_job_is_not_found(service: str, id_: str) -> None:
    root = service.removesuffix("/ogc")
    answers = [
        httpx.get(f"{service}/jobs/{id_}"),
        httpx.get(f"{service}/jobs/{id_}/results"),
        httpx.delete(f"{service}/jobs/{id_}"),
        httpx.get(f"{root}/results/{id_}/map.tif"),
        httpx.get(f"{root}/results/11111111-1111-4111-8111-111111111111/{id_}"),
    ]
    assert {answer.status_code for answer in answers} <= {404, 405}


def test_a_failed_job_says_why(world: PredictWorld, service: str) -> None:
    job = execute(service, {"inputs": {"aoi": TRIANGLE}}, **ASYNC).headers["location"]
    queue = Queue(world.store, JobSettings())
    failure = Failure.of(NoData("no cell of the area has all covariates", "choose another area"))
    while (claim := queue.claim()) is not None:
        queue.fail(claim, failure)
    status = finished(job)
    assert status["status"] == "failed"
    assert status["message"].startswith("no cell of the area has all covariates")
    assert [link["rel"] for link in status["links"]][-1].endswith("exceptions")
    results = httpx.get(f"{job}/results")
    assert (results.status_code, results.json()["detail"]) == (404, status["message"])


# Clients


def test_owslib_finds_describes_and_executes(service: str) -> None:
    client = Processes(service + "/")
    assert [each["id"] for each in client.processes()] == [ID]
    described = client.process(ID)
    assert set(described["jobControlOptions"]) == {"sync-execute", "async-execute", "dismiss"}
    assert described["inputs"]["property"]["schema"]["default"] == "soc"
    assert set(described["outputs"]) == {"map", "preview", "statistics", "provenance"}
    document = client.execute(ID, {"aoi": TRIANGLE})
    assert document["statistics"]["unit"] == "g/kg"
    accepted = client.execute(ID, {"aoi": TRIANGLE}, async_=True)
    assert accepted["status"] == "accepted"
    assert httpx.delete(client.response_headers["Location"]).json()["jobID"] == accepted["jobID"]


def test_conformance_names_what_is_there(service: str) -> None:
    named = httpx.get(f"{service}/conformance?f=json").json()["conformsTo"]
    assert {CONFORMANCE + "dismiss", CONFORMANCE + "core"} <= set(named)
    assert CONFORMANCE + "callback" not in named


def test_browsers_get_pages_and_programs_json(service: str) -> None:
    job = execute(service, {"inputs": {"aoi": TRIANGLE}}).headers["link"].split(">")[0][1:]
    page = httpx.get(job, headers={"Accept": "text/html,application/xhtml+xml"})
    assert page.headers["content-type"].startswith("text/html")
    for accept in ("*/*", "application/json", "text/html, application/json"):
        assert httpx.get(job, headers={"Accept": accept}).json()["type"] == "process"
    assert httpx.get(f"{job}?f=json", headers={"Accept": "text/html"}).json()["status"] == "successful"


# Plain pygeoapi


def test_plain_pygeoapi_executes_at_once_and_by_the_queue(world: PredictWorld, plain: str) -> None:
    document = execute(plain, {"inputs": {"aoi": TRIANGLE}, "response": "document"}).json()
    assert "mean" in bands(base64.b64decode(document["map"]["value"]))
    raw = execute(plain, {"inputs": {"aoi": TRIANGLE}, "outputs": {"map": {}}})
    assert raw.headers["content-type"].startswith("image/tiff")
    assert "mean" in bands(raw.content)
    accepted = execute(plain, {"inputs": {"aoi": TRIANGLE}}, **ASYNC)
    assert accepted.status_code == 201
    job = accepted.headers["location"]
    assert httpx.get(f"{job}?f=json").json()["status"] == "accepted"
    assert httpx.get(f"{job}/results?f=json").status_code == 404
    Queue(world.store, JobSettings()).dismiss(job.rpartition("/")[2])
    assert len(httpx.get(f"{plain}/jobs?f=json&limit=2").json()["jobs"]) == 2


def test_plain_pygeoapi_refuses_in_our_words(plain: str) -> None:
    answer = execute(plain, {"inputs": {"aoi": TRIANGLE, "colour": 1}})
    assert answer.status_code == 400
    assert answer.json()["description"].startswith("unknown input 'colour'")
    assert execute(plain, {"inputs": {"aoi": TRIANGLE, "period": "1999"}}).status_code == 404
    assert httpx.get(f"{plain}/jobs/x?f=json").status_code == 404


@pytest.mark.parametrize("door", ["service", "plain"])
def test_nothing_is_told_of_a_fault_in_the_servers_files(door: str, request: pytest.FixtureRequest) -> None:
    box = {"bbox": [500_200, 5_799_000, 500_800, 5_799_700], "crs": "EPSG:32633"}
    answer = execute(request.getfixturevalue(door), {"inputs": {"bbox": box, "property": "nitrogen"}})
    assert answer.status_code == 503
    assert "height" not in answer.text
    assert "/" not in (answer.json().get("detail") or answer.json()["description"])
