"""The OpenAPI document against the server: requests made from it never end in an error of the server."""

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from processors.edr_query import PARAMETERS
from tests.processors.coverages.conftest import COLLECTION

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

_EXAMPLES = 15
_NEW = tuple(f"/collections/{{collectionId}}/{kind}" for kind in PARAMETERS) + tuple(
    f"/collections/products{tail}" for tail in ("/items", "/items/{recordId}", "/queryables", "/schema")
)


@pytest.fixture(scope="module")
def document(server: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server}/ogc/openapi?f=json").json()
    return found


def test_the_document_lists_what_there_is(document: dict[str, Any]) -> None:
    assert set(_NEW) <= set(document["paths"])
    position = document["paths"]["/collections/{collectionId}/position"]["get"]
    assert [p["name"] for p in position["parameters"] if p.get("required")] == ["coords"]


@pytest.mark.parametrize("path", _NEW)
def test_no_request_ends_in_an_error_of_the_server(document: dict[str, Any], server: str, path: str) -> None:
    operation = schemathesis.openapi.from_dict(document)[path]["GET"]

    @settings(max_examples=_EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        if "collectionId" in (case.path_parameters or {}):
            case.path_parameters["collectionId"] = COLLECTION
        answer = case.call(base_url=f"{server}/ogc")
        assert answer.status_code in (200, 400, 404, 413), (answer.request.url, answer.text)
        documented = document["paths"][path]["get"]["responses"]
        assert str(answer.status_code) in documented

    ask()
