"""OGC API Processes, Part 1: Core (18-062r2, version 1.0). A test's docstring begins with its abstract tests."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import httpx
import jsonschema
import pytest
from pygeoapi.openapi import validate_openapi_document

from cup4soil.errors import NoData
from processors.jobs.failures import Failure
from processors.jobs.queue import Queue
from processors.jobs.settings import JobSettings
from tests.conformance import process_schemas as schemas
from tests.conformance.process_schemas import fits
from tests.conformance.process_service import (
    AOI,
    ASYNC,
    EXCEPTIONS,
    ID,
    RELATION,
    SPEC,
    Peer,
    ProcessService,
    content_of,
    links_of,
    parts_of,
    peer,
)
from tests.processors.predict_world import BOTTOM, LEFT, make_predict_world
from tests.service.asking import client_of

PART = "ogcapi-processes-1/1.0"
JSON = "application/json"
OUTPUTS = {"map": "image/tiff", "preview": "image/png", "statistics": JSON, "provenance": JSON}
PAGES = ("/", "/conformance", "/processes", f"/processes/{ID}", "/jobs")
LARGE = {"bbox": {"bbox": [BOTTOM, LEFT, BOTTOM + 1200, LEFT + 1200], "crs": "EPSG:3035"}}
NO_JOB = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(scope="module")
def other() -> Iterator[Peer]:
    with peer() as found:
        found.documents["/area.json"] = json.dumps(AOI).encode()
        yield found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, other: Peer) -> ProcessService:
    settings = {
        "input_hosts": (other.url,), "sync_cells": 2000, "jobs_per_client": 100, "job_lease_seconds": 3600,
        "threads": 1,
    }  # fmt: skip
    store = make_predict_world(tmp_path_factory.mktemp("processes")).store
    return ProcessService(client_of(store, **settings), store, JobSettings(**settings))


@pytest.fixture(scope="module")
def described(here: ProcessService) -> dict[str, Any]:
    return here.json(f"/processes/{ID}")


@pytest.fixture(scope="module")
def openapi(here: ProcessService) -> dict[str, Any]:
    return here.json("/openapi?f=json")


@pytest.fixture(scope="module")
def jobs(here: ProcessService) -> dict[str, str]:
    """Addresses of jobs in every state."""
    found = {"successful": here.done()}
    found |= {status: here.accepted() for status in ("running", "failed", "dismissed", "accepted")}
    queue = Queue(here.store, here.settings)
    claims = [queue.claim(), queue.claim()]
    assert all(claims)
    failure = Failure.of(NoData("no cell of the area has all covariates", "choose another area"))
    queue.fail(claims[1], failure)
    assert here.client.request("DELETE", found["dismissed"]).status_code == 200
    return found


def id_of(address: str) -> str:
    return address.rpartition("/")[2]


def parameter(openapi: dict[str, Any], path: str, name: str) -> dict[str, Any]:
    given = [resolved(openapi, each) for each in openapi["paths"][path]["get"]["parameters"]]
    (found,) = [each for each in given if each["name"] == name]
    assert found["in"] == "query"
    assert not found.get("required")
    return found


def resolved(openapi: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    for name in each.get("$ref", "#").split("/")[1:]:
        openapi = openapi[name]
    return openapi if "$ref" in each else each


def exception(answer: httpx.Response, status: int, kind: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    fits(answer.json(), schemas.EXCEPTION)
    if kind is not None:
        assert answer.json()["type"] == f"{EXCEPTIONS}/{kind}"
    return answer.json()


# Landing page, definition, conformance


def test_core_landingpage_op(here: ProcessService) -> None:
    """/conf/core/landingpage-op"""
    assert here.get("/").status_code == 200


def test_core_landingpage_success(here: ProcessService) -> None:
    """/conf/core/landingpage-success"""
    document = here.json("/")
    fits(document, schemas.LANDING)
    rels = {link["rel"] for link in document["links"]}
    assert {"service-desc", f"{RELATION}/processes"} <= rels
    assert rels & {"conformance", f"{RELATION}/conformance"}


def test_core_api_definition_op(here: ProcessService) -> None:
    """/conf/core/api-definition-op"""
    for link in here.json("/")["links"]:
        if link["rel"] in ("service-desc", "service-doc"):
            path = "/" + link["href"].partition("/ogc/")[2]
            assert here.get(path, headers={"Accept": link["type"]}).status_code == 200


def test_core_api_definition_success(openapi: dict[str, Any]) -> None:
    """/conf/core/api-definition-success"""
    assert openapi["openapi"].startswith("3.0.")
    assert {"/processes", "/processes/{processId}", "/processes/{processId}/execution"} <= set(openapi["paths"])


def test_core_conformance_op(here: ProcessService) -> None:
    """/conf/core/conformance-op"""
    assert here.get("/conformance").status_code == 200


def test_core_conformance_success(here: ProcessService) -> None:
    """/conf/core/conformance-success: what is there is stated; callbacks go nowhere unless a setting says so."""
    document = here.json("/conformance")
    fits(document, schemas.CONFORMANCE)
    stated = {uri.removeprefix(f"{SPEC}/conf/") for uri in document["conformsTo"] if uri.startswith(SPEC)}
    assert stated == {"core", "ogc-process-description", "json", "html", "oas30", "job-list", "dismiss"}


def test_core_http(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/core/http: methods that are not offered are refused, statuses are those of HTTP."""
    assert here.client.request("DELETE", f"/ogc/processes/{ID}").status_code == 405
    assert here.client.request("PUT", jobs["accepted"]).status_code == 405
    assert here.get("/nothing").status_code == 404


# Process list and description


def test_core_process_list(here: ProcessService) -> None:
    """/conf/core/process-list"""
    assert here.get("/processes").status_code == 200


def test_core_pl_limit_definition(openapi: dict[str, Any]) -> None:
    """/conf/core/pl-limit-definition"""
    limit = parameter(openapi, "/processes", "limit")
    assert limit["schema"]["type"] == "integer"
    assert limit["schema"]["minimum"] >= 1
    assert limit["schema"]["default"] <= limit["schema"]["maximum"]


def test_core_process_list_success(here: ProcessService) -> None:
    """/conf/core/process-list-success"""
    document = here.json("/processes")
    fits(document, schemas.PROCESS_LIST)
    assert [each["id"] for each in document["processes"]] == [ID]


def test_core_pl_links(here: ProcessService) -> None:
    """/conf/core/pl-links: itself and its other forms; each summary leads to its description."""
    document = here.json("/processes")
    links = {(link["rel"], link["type"]) for link in document["links"]}
    assert {("self", "application/json"), ("alternate", "text/html")} <= links
    (summary,) = document["processes"]
    assert any(link["href"].endswith(f"/processes/{ID}?f=json") for link in summary["links"])


def test_core_pl_limit_response(here: ProcessService) -> None:
    """/conf/core/pl-limit-response"""
    assert len(here.json("/processes?limit=1")["processes"]) == 1
    for text in ("0", "-1", "many"):
        exception(here.get(f"/processes?limit={text}&f=json"), 400)


def test_core_process(here: ProcessService) -> None:
    """/conf/core/process"""
    for summary in here.json("/processes")["processes"]:
        assert here.json(f"/processes/{summary['id']}")["id"] == summary["id"]


def test_core_process_success(described: dict[str, Any]) -> None:
    """/conf/core/process-success"""
    fits(described, schemas.PROCESS)


def test_core_process_exception_no_such_process(here: ProcessService) -> None:
    """/conf/core/process-exception-no-such-process"""
    exception(here.get("/processes/nothing?f=json"), 404, "no-such-process")
    answer = here.client.post("/ogc/processes/nothing/execution", json={"inputs": {}})
    exception(answer, 404, "no-such-process")


# Execution


def test_core_job_creation_op(here: ProcessService) -> None:
    """/conf/core/job-creation-op /conf/core/job-creation-success"""
    assert here.execute().status_code == 200


def test_core_job_creation_default_execution_mode(here: ProcessService, described: dict[str, Any]) -> None:
    """/conf/core/job-creation-default-execution-mode: without a preference at once, as both modes are offered."""
    assert {"sync-execute", "async-execute"} <= set(described["jobControlOptions"])
    assert here.execute().status_code == 200
    # What is too large for that is refused, and told how to ask.
    refused = exception(here.execute({"inputs": LARGE}), 413)
    assert "Prefer: respond-async" in refused["detail"]


@pytest.mark.parametrize(
    ("prefer", "status"),
    [
        ("respond-async", 201),
        ("wait=1, respond-async", 201),
        ('other="a, b"; c="d,e", Respond-Async', 201),
        ("respond-sync", 200),
        ("wait=60", 200),
        ('other="respond-async"', 200),
    ],
)
def test_core_job_creation_auto_execution_mode(here: ProcessService, prefer: str, status: int) -> None:
    """/conf/core/job-creation-auto-execution-mode: by the header Prefer, as RFC 7240 has it."""
    answer = here.execute(Prefer=prefer)
    assert answer.status_code == status
    assert answer.headers.get("preference-applied") == ("respond-async" if status == 201 else None)
    if status == 201:
        here.client.request("DELETE", answer.headers["location"])


def test_core_job_creation_request(here: ProcessService) -> None:
    """/conf/core/job-creation-request: the body is a JSON object of the members that there are."""
    address = f"/ogc/processes/{ID}/execution"
    for content in (b"", b"{", b"[]", b'{"inputs": []}', b'{"inputs": {}, "mode": "async"}', b'{"inputs": {"a": NaN}}'):
        exception(here.client.post(address, content=content, headers={"Content-Type": "application/json"}), 400)


def test_core_job_creation_inputs(here: ProcessService) -> None:
    """/conf/core/job-creation-inputs: by name; a name that is not described is refused."""
    assert "colour" in exception(here.execute({"inputs": {"aoi": AOI, "colour": 1}}), 400)["detail"]


def test_core_job_creation_input_inline(here: ProcessService) -> None:
    """/conf/core/job-creation-input-inline"""
    answer = here.execute({"inputs": {"aoi": AOI, "property": "soc", "statistics": False}})
    assert "statistics" not in answer.json()


def test_core_job_creation_input_ref(here: ProcessService, other: Peer) -> None:
    """/conf/core/job-creation-input-ref: from hosts that the operator allows, and never from others."""
    link = {"href": f"{other.url}/area.json", "type": "application/geo+json"}
    answer = here.execute({"inputs": {"aoi": link}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["statistics"] == here.execute().json()["statistics"]
    other.documents |= {"/text": b"no JSON", "/large": b" " * 3_000_000, "/deep": b"[" * 5000 + b"]" * 5000}
    for path, status, said in (
        ("/text", 400, "no JSON"),
        ("/large", 413, "limit of 2097152 bytes"),
        ("/deep", 400, ""),
        ("/missing", 400, "cannot be fetched"),
        ("/moved", 400, "cannot be fetched"),
    ):
        refused = exception(here.execute({"inputs": {"aoi": {"href": other.url + path}}}), status)
        assert said in refused["detail"]
        assert "aoi" in refused["detail"] or path == "/deep"
    for href in ("http://127.0.0.1:1/area.json", "file:///etc/passwd", other.url.replace("http", "ftp"), 5, None):
        refused = exception(here.execute({"inputs": {"aoi": {"href": href}}}), 400)
        assert "not at a host" in refused["detail"]


def test_core_job_creation_input_array(here: ProcessService, described: dict[str, Any]) -> None:
    """/conf/core/job-creation-input-array: no input takes several values, and none is taken for one."""
    assert {each["maxOccurs"] for each in described["inputs"].values()} == {1}
    exception(here.execute({"inputs": {"aoi": AOI, "property": ["soc"]}}), 400)


def test_core_job_creation_input_inline_object(here: ProcessService) -> None:
    """/conf/core/job-creation-input-inline-object: as it is, or as a qualified value."""
    wrapped = {"value": AOI, "mediaType": "application/geo+json"}
    plain, qualified = (here.execute({"inputs": {"aoi": each}}).json()["statistics"] for each in (AOI, wrapped))
    assert plain == qualified


def test_core_job_creation_input_inline_mixed(here: ProcessService, described: dict[str, Any]) -> None:
    """/conf/core/job-creation-input-inline-mixed: each of the alternatives of a schema."""
    assert len(described["inputs"]["bbox"]["schema"]["oneOf"]) == 2
    corners = [BOTTOM + 100, LEFT + 600, BOTTOM + 400, LEFT + 900]
    ways = ({"bbox": {"bbox": corners, "crs": "EPSG:3035"}}, {"bbox": corners, "bbox-crs": "EPSG:3035"})
    first, second = (here.execute({"inputs": way}).json()["statistics"] for way in ways)
    assert first == second


def test_core_job_creation_input_inline_binary(here: ProcessService, described: dict[str, Any]) -> None:
    """/conf/core/job-creation-input-inline-binary: no input is binary, and what is encoded so is not taken for one."""
    assert "contentEncoding" not in json.dumps(described["inputs"])
    exception(here.execute({"inputs": {"aoi": {"value": "e30=", "encoding": "base64"}}}), 400)


def test_core_job_creation_input_inline_bbox(here: ProcessService) -> None:
    """/conf/core/job-creation-input-inline-bbox: in its CRS and axis order; CRS84 without one."""
    projected = {
        "bbox": [BOTTOM + 100, LEFT + 600, BOTTOM + 400, LEFT + 900],
        "crs": "http://www.opengis.net/def/crs/EPSG/0/3035",
    }
    assert here.execute({"inputs": {"bbox": projected}}).status_code == 200
    refused = exception(here.execute({"inputs": {"bbox": {"bbox": [14.0, 52.0, 14.1]}}}), 400)
    assert "bbox" in refused["detail"]


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({"property": 5}, "property"),
        ({"property": "SOC!"}, "property"),
        ({"statistics": "yes"}, "statistics"),
        ({"depth": ["0-20cm"]}, "depth"),
        ({"aoi": {"type": "Point", "coordinates": [1, 2]}}, "aoi"),
        ({"aoi": "POLYGON EMPTY"}, "aoi"),
        ({"period": 2020}, "period"),
    ],
)
def test_core_job_creation_input_validation(here: ProcessService, inputs: dict[str, Any], named: str) -> None:
    """/conf/core/job-creation-input-validation: a violation is named before anything runs, in both modes."""
    for headers in ({}, ASYNC):
        assert f"input {named}" in exception(here.execute({"inputs": {"aoi": AOI} | inputs}, **headers), 400)["detail"]


def test_core_job_creation_default_outputs(here: ProcessService) -> None:
    """/conf/core/job-creation-default-outputs: without a choice all"""
    for body in ({}, {"outputs": {}}, {"response": "document"}):
        assert set(here.execute({"inputs": {"aoi": AOI}} | body).json()) == set(OUTPUTS)


def both(here: ProcessService, **body: Any) -> Iterator[httpx.Response]:
    """The answer at once, that of its job read again, and that of a job that was asked for."""
    answer = here.execute({"inputs": {"aoi": AOI}} | body)
    yield answer
    (monitor,) = links_of(answer, "monitor").values()
    yield here.get(f"{monitor}/results")
    yield here.get(f"{here.done(**body)}/results")


def as_raw(here: ProcessService, wanted: dict[str, str]) -> Iterator[httpx.Response]:
    outputs = {name: {"transmissionMode": mode} for name, mode in wanted.items()}
    return both(here, outputs=outputs, response="raw")


def test_core_sync_raw_value_one(here: ProcessService) -> None:
    """/conf/core/job-creation-sync-raw-value-one /conf/core/job-results-async-raw-value-one"""
    for name, kind in OUTPUTS.items():
        answer = here.execute(
            {"inputs": {"aoi": AOI}, "outputs": {name: {"transmissionMode": "value"}}, "response": "raw"}
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
    for answer in as_raw(here, {"map": "value"}):
        assert (answer.status_code, answer.content[:2]) == (200, b"II")
        assert answer.headers["content-type"].startswith("image/tiff")


def test_core_sync_raw_value_multi(here: ProcessService) -> None:
    """/conf/core/job-creation-sync-raw-value-multi /conf/core/job-results-async-raw-value-multi"""
    for answer in as_raw(here, {"preview": "value", "statistics": "value"}):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("multipart/related")
        parts = parts_of(answer)
        assert {name: part.get_content_type() for name, part in parts.items()} == {
            name: OUTPUTS[name] for name in ("preview", "statistics")
        }
        assert content_of(parts["preview"]).startswith(b"\x89PNG")
        assert json.loads(content_of(parts["statistics"]))["unit"] == "g/kg"


@pytest.mark.parametrize("names", [("map",), ("map", "statistics")])
def test_core_sync_raw_ref(here: ProcessService, names: tuple[str, ...]) -> None:
    """/conf/core/job-creation-sync-raw-ref /conf/core/job-results-async-raw-ref: nothing but where each output is."""
    for answer in as_raw(here, dict.fromkeys(names, "reference")):
        assert (answer.status_code, answer.content) == (204, b"")
        links = links_of(answer, "item")
        assert set(links) == set(names)
        for name, address in links.items():
            output = here.get(address)
            assert output.status_code == 200
            assert output.headers["content-type"].startswith(OUTPUTS[name])


def test_core_sync_raw_mixed_multi(here: ProcessService) -> None:
    """/conf/core/job-creation-sync-raw-mixed-multi /conf/core/job-results-async-raw-mixed-multi"""
    for answer in as_raw(here, {"map": "reference", "statistics": "value"}):
        assert answer.headers["content-type"].startswith("multipart/related")
        parts = parts_of(answer)
        assert json.loads(content_of(parts["statistics"]))["unit"] == "g/kg"
        assert "Content-Location" not in parts["statistics"]
        assert content_of(parts["map"]) == b""
        assert here.get(str(parts["map"]["Content-Location"])).content[:2] == b"II"


@pytest.mark.parametrize("mode", ["value", "reference", None])
def test_core_sync_document(here: ProcessService, mode: str | None) -> None:
    """/conf/core/job-creation-sync-document /conf/core/job-results-async-document"""
    wanted = {} if mode is None else {"transmissionMode": mode}
    for answer in both(here, outputs={"map": wanted, "statistics": wanted}, response="document"):
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        document = answer.json()
        assert set(document) == {"map", "statistics"}
        assert set(document["map"]) == ({"value", "encoding", "mediaType"} if mode == "value" else {"href", "type"})
        statistics = document["statistics"]
        found = here.get(statistics["href"]).json() if mode == "reference" else statistics
        assert found["unit"] == "g/kg"


def test_core_job_creation_success_async(here: ProcessService) -> None:
    """/conf/core/job-creation-success-async /conf/core/process-execute-success-async"""
    answer = here.execute(**ASYNC)
    assert answer.status_code == 201
    fits(answer.json(), schemas.STATUS)
    assert here.json(answer.headers["location"])["jobID"] == answer.json()["jobID"]
    here.client.request("DELETE", answer.headers["location"])


# Jobs


def test_core_job_op(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/core/job-op"""
    for address in jobs.values():
        assert here.get(address).status_code == 200


def test_core_job_success(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/core/job-success: in every state"""
    for status, address in jobs.items():
        document = here.json(address)
        fits(document, schemas.STATUS)
        assert (document["status"], document["processID"]) == (status, ID)
        assert ("finished" in document) == (status in ("successful", "failed", "dismissed"))


def test_core_job_exception_no_such_job(here: ProcessService) -> None:
    """/conf/core/job-exception-no-such-job"""
    for id_ in ("nothing", NO_JOB):
        exception(here.get(f"/jobs/{id_}"), 404, "no-such-job")


def test_core_job_results(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/core/job-results /conf/core/job-results-success"""
    answer = here.get(f"{jobs['successful']}/results")
    assert set(answer.json()) == set(OUTPUTS)
    # They say how long they are there (RFC 8594).
    assert "GMT" in answer.headers["sunset"]


def test_core_job_results_success_sync(here: ProcessService) -> None:
    """/conf/core/job-results-success-sync: the job of an answer at once is told, and keeps its results."""
    answer = here.execute()
    (monitor,) = links_of(answer, "monitor").values()
    assert here.json(monitor)["status"] == "successful"
    assert here.json(f"{monitor}/results") == answer.json()


def test_core_job_results_exception_no_such_job(here: ProcessService) -> None:
    """/conf/core/job-results-exception-no-such-job"""
    exception(here.get(f"/jobs/{NO_JOB}/results"), 404, "no-such-job")


def test_core_job_results_exception_results_not_ready(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/core/job-results-exception-results-not-ready"""
    for status in ("accepted", "running"):
        exception(here.get(f"{jobs[status]}/results"), 404, "result-not-ready")


def test_core_job_results_failed(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/core/job-results-failed: the reason, with its status"""
    refused = exception(here.get(f"{jobs['failed']}/results"), 404)
    assert refused["detail"].startswith("no cell of the area")


# Process description


def test_description_json_encoding(described: dict[str, Any]) -> None:
    """/conf/ogc-process-description/json-encoding"""
    fits(described, schemas.PROCESS)


def test_description_inputs_def(described: dict[str, Any]) -> None:
    """/conf/ogc-process-description/inputs-def"""
    assert set(described["inputs"]) == {"aoi", "bbox", "bbox-crs", "property", "depth", "period", "statistics"}


def test_description_input_def(described: dict[str, Any]) -> None:
    """/conf/ogc-process-description/input-def: each has a schema that is one"""
    for each in described["inputs"].values():
        fits(each, schemas.INPUT)
        jsonschema.Draft202012Validator.check_schema(each["schema"])


def test_description_input_mixed_type(described: dict[str, Any]) -> None:
    """/conf/ogc-process-description/input-mixed-type: alternatives are told by oneOf"""
    assert all(
        "oneOf" in each["schema"] or isinstance(each["schema"]["type"], str) for each in described["inputs"].values()
    )


def test_description_outputs_def(described: dict[str, Any]) -> None:
    """/conf/ogc-process-description/outputs-def"""
    assert set(described["outputs"]) == set(OUTPUTS)


def test_description_output_def(described: dict[str, Any]) -> None:
    """/conf/ogc-process-description/output-def"""
    for name, each in described["outputs"].items():
        fits(each, schemas.OUTPUT)
        jsonschema.Draft202012Validator.check_schema(each["schema"])
        assert each["schema"]["contentMediaType"].startswith(OUTPUTS[name])


def test_description_output_mixed_type(here: ProcessService, described: dict[str, Any]) -> None:
    """/conf/ogc-process-description/output-mixed-type: no output has alternatives, and no other form is promised."""
    assert "oneOf" not in json.dumps(described["outputs"])
    exception(here.execute({"inputs": {"aoi": AOI}, "outputs": {"map": {"format": {"mediaType": "image/jpeg"}}}}), 400)


# JSON and HTML


def test_json_definition(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/json/definition"""
    for path in (*PAGES, jobs["successful"], f"{jobs['successful']}/results"):
        answer = here.get(path, headers={"Accept": "application/json"})
        assert answer.headers["content-type"].partition(";")[0] == "application/json", path
        answer.json()


class Page(HTMLParser):
    """The text of a page, its links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.links, self.loaded = "", set[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a":
            self.links.add(given.get("href") or "")
        elif tag in ("script", "link", "img"):
            self.loaded.add(given.get("src") or given.get("href") or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(here: ProcessService, path: str) -> Page:
    answer = here.get(path, headers={"Accept": "text/html,application/xhtml+xml"})
    assert answer.status_code == 200, answer.text[:300]
    assert answer.headers["content-type"].startswith("text/html"), path
    assert answer.text.lstrip().lower().startswith("<!doctype html>")
    return Page(answer.text)


def test_html_definition(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/html/definition: a page for each, by Accept or f, which loads nothing from elsewhere."""
    for path in (*PAGES, *jobs.values(), f"{jobs['successful']}/results"):
        page = page_of(here, path)
        assert all(each.startswith(("http://service/", "http://127.0.0.1:8000/")) for each in page.loaded), page.loaded
        asked = here.get(path, params={"f": "html"}, headers={"Accept": "application/json"})
        assert asked.headers["content-type"].startswith("text/html")


def test_html_content(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/html/content: what the JSON says stands in the page, and its links can be followed."""
    for address in jobs.values():
        document, page = here.json(address), page_of(here, address)
        assert all(str(value) in page.text for name, value in document.items() if name != "links")
        followed = {each.removesuffix("?f=html") for each in page.links}
        assert {link["href"].removesuffix("?f=html") for link in document["links"]} <= followed
    listed, page = here.json("/jobs?limit=3"), page_of(here, "/jobs?limit=3")
    assert all(job["jobID"] in page.text and job["status"] in page.text for job in listed["jobs"])
    assert any("f=html" in each and "offset=3" in each for each in page.links)
    results, page = here.json(f"{jobs['successful']}/results"), page_of(here, f"{jobs['successful']}/results")
    assert results["map"]["href"] in page.links
    assert results["statistics"]["notes"][0] in page.text
    described, page = here.json(f"/processes/{ID}"), page_of(here, f"/processes/{ID}")
    assert all(each["title"] in page.text for each in described["inputs"].values())


# OpenAPI


def test_oas30_definition(here: ProcessService, openapi: dict[str, Any]) -> None:
    """/conf/oas30/oas-definition-1 /conf/oas30/oas-definition-2: there as JSON and as a page, and valid."""
    assert validate_openapi_document(openapi)
    for rel in ("service-desc", "service-doc"):
        assert any(link["rel"] == rel for link in here.json("/")["links"])


def test_oas30_impl(here: ProcessService, openapi: dict[str, Any], jobs: dict[str, str]) -> None:
    """/conf/oas30/oas-impl: each path that it describes of processes is there, with the media types described."""
    known = {"{processId}": ID, "{jobId}": id_of(jobs["successful"])}
    for path, operations in openapi["paths"].items():
        if "get" in operations and path.startswith(("/processes", "/jobs")):
            for name, value in known.items():
                path = path.replace(name, value)
            content = operations["get"]["responses"]["200"]["content"]
            for kind in ("application/json", "text/html"):
                answer = here.get(path, headers={"Accept": kind})
                assert answer.status_code == 200
                assert answer.headers["content-type"].partition(";")[0] in content


def test_oas30_completeness(here: ProcessService, openapi: dict[str, Any], jobs: dict[str, str]) -> None:
    """/conf/oas30/completeness /conf/oas30/exceptions-codes: every status that is met is described."""
    execution = f"/processes/{ID}/execution"
    met = {
        ("post", "/processes/{processId}/execution"): [
            here.client.post(f"/ogc{execution}", json=body, headers=headers).status_code
            for body, headers in (
                ({"inputs": {"aoi": AOI}}, {}),
                ({"inputs": {"aoi": AOI}}, ASYNC),
                ({"inputs": {"aoi": AOI}, "outputs": {"map": {"transmissionMode": "reference"}}}, {}),
                ({}, {}),
                ({"inputs": {"aoi": AOI, "period": "1999"}}, {}),
                ({"inputs": LARGE}, {}),
            )
        ],
        ("get", "/processes"): [here.get(path).status_code for path in ("/processes", "/processes?limit=0")],
        ("get", "/processes/{processId}"): [here.get(f"/processes/{name}").status_code for name in (ID, "x")],
        ("get", "/jobs"): [here.get(path).status_code for path in ("/jobs", "/jobs?limit=0")],
        ("get", "/jobs/{jobId}"): [here.get(f"/jobs/{id_}").status_code for id_ in (id_of(jobs["failed"]), NO_JOB)],
        ("delete", "/jobs/{jobId}"): [here.client.request("DELETE", f"/ogc/jobs/{NO_JOB}").status_code],
        ("get", "/jobs/{jobId}/results"): [here.get(f"{each}/results").status_code for each in jobs.values()],
    }
    for (method, path), statuses in met.items():
        stated = set(openapi["paths"][path][method]["responses"])
        assert {str(status) for status in statuses} <= stated, (path, statuses)
    assert set(met["post", "/processes/{processId}/execution"]) == {200, 201, 204, 400, 404, 413}


def test_oas30_security(openapi: dict[str, Any]) -> None:
    """/conf/oas30/security: the key that an operator may want for executions"""
    (name,) = openapi["components"]["securitySchemes"]
    assert openapi["components"]["securitySchemes"][name]["scheme"] == "bearer"
    assert {name: []} in openapi["paths"]["/processes/{processId}/execution"]["post"]["security"]


# List of jobs


def listed(here: ProcessService, query: str = "") -> list[dict[str, Any]]:
    document = here.json(f"/jobs?limit=1000{query}")
    fits(document, schemas.JOB_LIST)
    assert document["numberMatched"] == len(document["jobs"])
    return document["jobs"]


def test_job_list_op(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/job-list/job-list-op /conf/job-list/job-list-success"""
    assert {id_of(address) for address in jobs.values()} <= {job["jobID"] for job in listed(here)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("type", "array"), ("processID", "array"), ("status", "array"), ("datetime", "string"),
     ("minDuration", "integer"), ("maxDuration", "integer"), ("limit", "integer")],
)  # fmt: skip
def test_job_list_definitions(openapi: dict[str, Any], name: str, kind: str) -> None:
    """/conf/job-list/type-definition /conf/job-list/processID-definition /conf/job-list/status-definition
    /conf/job-list/datetime-definition /conf/job-list/duration-definition /conf/job-list/limit-definition
    """
    found = parameter(openapi, "/jobs", name)
    assert found["schema"]["type"] == kind
    if kind == "array":
        assert found["schema"]["items"]["type"] == "string"
        assert (found["style"], found["explode"]) == ("form", False)
    if name == "limit":
        assert {"minimum", "maximum", "default"} <= set(found["schema"])


def test_job_list_type_response(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/job-list/type-response"""
    assert {job["type"] for job in listed(here, "&type=process")} == {"process"}
    exception(here.get("/jobs?type=collection"), 400)


def test_job_list_processid_mandatory(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/job-list/processID-mandatory"""
    assert {job["processID"] for job in listed(here)} == {ID}


def test_job_list_processid_response(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/job-list/processID-response"""
    assert len(listed(here, f"&processID={ID},other")) == len(listed(here)) >= 5
    assert listed(here, "&processID=other") == []


@pytest.mark.parametrize("wanted", ["accepted", "running", "successful", "failed", "dismissed", "failed,running"])
def test_job_list_status_response(here: ProcessService, jobs: dict[str, str], wanted: str) -> None:
    """/conf/job-list/status-response"""
    assert {job["status"] for job in listed(here, f"&status={wanted}")} == set(wanted.split(","))


def test_job_list_datetime_response(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/job-list/datetime-response: by when they were created, both ends included"""
    everything = listed(here)
    times = sorted(job["created"] for job in everything)
    middle = times[len(times) // 2]
    for query, wanted in (
        (f"{middle}/..", [each for each in times if each >= middle]),
        (f"../{middle}", [each for each in times if each <= middle]),
        (middle, [middle]),
        (f"{times[0]}/{times[-1]}", times),
        ("2000-01-01/2000-12-31", []),
    ):
        assert sorted(job["created"] for job in listed(here, f"&datetime={query}")) == wanted


def duration(job: dict[str, Any]) -> float:
    begin, end = (datetime.fromisoformat(job[name]) for name in ("started", "finished"))
    return (end - begin).total_seconds()


def test_job_list_duration_response(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/job-list/duration-response: finished jobs by what they took, running ones up to now, others not at all"""
    begun = [job for job in listed(here) if "started" in job]
    assert {job["jobID"] for job in listed(here, "&minDuration=0")} == {job["jobID"] for job in begun}
    assert "accepted" not in {job["status"] for job in listed(here, "&minDuration=0")}
    time.sleep(1.1)
    running = id_of(jobs["running"])
    assert running in {job["jobID"] for job in listed(here, "&minDuration=1")}
    ended = [job for job in begun if "finished" in job]
    short = {job["jobID"] for job in ended if duration(job) <= 1}
    found = {job["jobID"] for job in listed(here, "&maxDuration=1")}
    assert short <= found
    assert running not in found
    assert all(duration(job) >= 1 for job in listed(here, "&minDuration=1&maxDuration=3600") if "finished" in job)


def test_job_list_limit_response(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/job-list/limit-response"""
    assert [len(here.json(f"/jobs?limit={limit}")["jobs"]) for limit in (1, 3)] == [1, 3]
    assert len(here.json("/jobs?limit=999999")["jobs"]) <= 1000
    exception(here.get("/jobs?limit=0"), 400)


def test_job_list_links(here: ProcessService, jobs: dict[str, str]) -> None:
    """/conf/job-list/links: to itself, to its other form, and through all pages."""
    document = here.json("/jobs?limit=2&status=successful,failed,dismissed")
    rels = {link["rel"]: link for link in document["links"]}
    assert rels["alternate"]["type"] == "text/html"
    seen = [job["jobID"] for job in document["jobs"]]
    assert [job["jobID"] for job in here.json(rels["self"]["href"])["jobs"]] == seen
    while "next" in rels:
        following = here.json(rels["next"]["href"])
        rels = {link["rel"]: link for link in following["links"]}
        seen += [job["jobID"] for job in following["jobs"]]
    assert len(seen) == len(set(seen)) == document["numberMatched"]
    assert "prev" in rels


# Dismissing


def test_dismiss_job_dismiss_op(here: ProcessService, described: dict[str, Any]) -> None:
    """/conf/dismiss/job-dismiss-op"""
    assert "dismiss" in described["jobControlOptions"]
    assert here.client.request("DELETE", here.accepted()).status_code == 200
    exception(here.client.request("DELETE", f"/ogc/jobs/{NO_JOB}"), 404, "no-such-job")


def test_dismiss_job_dismiss_success(here: ProcessService) -> None:
    """/conf/dismiss/job-dismiss-success: waiting or finished, and twice as well; results are gone for good"""
    for address in (here.accepted(), here.done()):
        for _ in range(2):
            answer = here.client.request("DELETE", address)
            fits(answer.json(), schemas.STATUS)
            assert answer.json()["status"] == here.json(address)["status"] == "dismissed"
        exception(here.get(f"{address}/results"), 410)
