"""The OpenAPI document of the whole service: valid, whole in itself, of every route; and true, as requests show."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate

from service.app import create_app
from service.settings import ServiceSettings
from tests.service import whole_service

openapi_fuzz = pytest.importorskip("benchmarks.openapi_fuzz", reason="schemathesis is not installed")

_EXAMPLES = 2


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_service.fill(tmp_path_factory.mktemp("openapi"))


@pytest.fixture(scope="module")
def app(root: Path) -> FastAPI:
    return create_app(root, ServiceSettings())


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    with whole_service.serving(root) as address:
        yield address


def _shape(path: str) -> str:
    """An address whatever its parameters are called."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_the_documents_are_valid_and_whole_in_themselves(app: FastAPI) -> None:
    document = app.openapi()
    validate(document)
    references = set(_references(document))
    assert references
    assert all(each.startswith("#/") for each in references)
    names = [each["operationId"] for item in document["paths"].values() for each in item.values()]
    assert len(set(names)) == len(names)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (node[name] for name in ("$ref",) if isinstance(node.get(name), str))
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _references(each)


def test_every_route_is_described(app: FastAPI) -> None:
    described = {_shape(path) for path in app.openapi()["paths"]}
    # What the framework itself would say of the routes.
    routes = {_shape(path) for path in FastAPI.openapi(app_without_document(app))["paths"]}
    assert routes <= described
    kept = {_shape("/ogc" + path) for path in ("/", "/openapi", "/conformance", "/collections", "/processes")}
    assert kept <= described
    for start in ("/stac", "/oai", "/dcat", "/products", "/tiles", "/health", "/results", "/metrics"):
        assert any(path.startswith(start) for path in described), start


def app_without_document(app: FastAPI) -> FastAPI:
    """The same routes, described anew."""
    app.openapi()
    bare = FastAPI(title=app.title, version=app.version)
    bare.router = app.router
    return bare


def test_refusals_are_described_as_problem_details(app: FastAPI) -> None:
    document = app.openapi()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert "422" not in operation["responses"], (method, path)
            refusals = [each for status, each in operation["responses"].items() if status in ("400", "404")]
            assert refusals, (method, path)
            for each in refusals:
                named = document["components"]["responses"][each["$ref"].rsplit("/", 1)[1]] if "$ref" in each else each
                assert next(iter(named["content"])) == "application/problem+json"


def test_requests_made_from_the_document_are_answered_as_it_says(address: str) -> None:
    outcome = openapi_fuzz.fuzz(address, _EXAMPLES)
    assert outcome.broken == {}
    assert not [status for status in outcome.statuses if status >= 500]
    # They were not all refused.
    assert outcome.statuses[200] > outcome.statuses.total() / 10
