"""One OpenAPI document of everything that the service answers, whole in itself."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from fastapi import FastAPI

from service.problems import MEDIA_TYPE
from stac_catalog.metadata import FORMS

type Json = dict[str, Any]

_OGC: Final = "/ogc"
_PICTURES: Final = ("image/png", "image/webp")
_XML: Final = ("application/xml", "text/xml")
_RDF: Final = ("application/ld+json", "text/turtle", "application/rdf+xml")
_METADATA: Final = tuple(dict.fromkeys(form.media_type.partition(";")[0] for form in FORMS.values()))
# What routes answer with that do not say it themselves, by the beginning of their address.
_CONTENT: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("/.well-known/api-catalog", ("application/linkset+json",)),
    ("/metrics", ("text/plain",)),
    ("/tiles/wmts", (*_PICTURES, *_XML)),
    ("/tiles", _PICTURES),
    ("/oai", _XML),
    ("/products/{collection}/{item}/linkset", ("application/linkset+json",)),
    ("/products", ("text/html", *_METADATA)),
    ("/dcat", _RDF),
    ("/services", _XML),
    ("/sitemap", _XML),
    ("/robots.txt", ("text/plain",)),
    ("/results", ("image/tiff", "image/png", "application/json", "application/geo+json", "application/octet-stream")),
    ("/schemas", ("application/schema+json", "application/json")),
    ("/stac", ("application/json", "application/geo+json", "application/schema+json")),
)
_PROBLEM: Final[Json] = {
    "description": "What was wrong, and what would be right.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/problem"}}, "text/html": {"schema": {}}},
}
_REFUSED: Final = ("400", "401", "403", "404", "405", "413", "503")


def describe_whole(app: FastAPI, ogc: Mapping[str, Any]) -> None:
    """Let ``/openapi.json`` of ``app`` describe the OGC APIs as their own document ``ogc`` does, and all the rest."""
    plain = app.openapi

    def whole() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = combined(plain(), ogc)
        return app.openapi_schema

    app.openapi = whole  # type: ignore[method-assign]


def combined(application: Mapping[str, Any], ogc: Mapping[str, Any]) -> Json:
    """The document of an application (OpenAPI 3.1) with the paths of the OGC APIs from their document (3.0)."""
    document = deepcopy(dict(application))
    own = {path: item for path, item in document["paths"].items() if not path.startswith(f"{_OGC}/")}
    for path, item in own.items():
        for operation in item.values():
            _complete(path, operation)
    document["paths"] = own | {f"{_OGC}{path}": item for path, item in deepcopy(dict(ogc["paths"])).items()}
    components = document.setdefault("components", {})
    for kind, named in ogc["components"].items():
        components[kind] = components.get(kind, {}) | dict(named)
    components["schemas"].pop("HTTPValidationError", None)
    components["schemas"].pop("ValidationError", None)
    info = {name: value for name, value in ogc["info"].items() if name in ("description", "license", "contact")}
    document["info"] |= info
    document["tags"] = list(ogc["tags"])
    return document


def _complete(path: str, operation: Json) -> None:
    """Answers as they are: refusals are problem details, and contents have the types that the route gives."""
    responses = operation["responses"]
    responses.pop("422", None)
    kinds = next((kinds for start, kinds in _CONTENT if path.startswith(start)), ())
    for status, answer in responses.items():
        if status.startswith("2") and kinds and not _stated(path, answer):
            answer["content"] = {kind: {"schema": {}} for kind in kinds}
    if path.startswith("/health/ready"):
        responses["503"] = {"description": "Not ready.", "content": {"application/json": {"schema": {}}}}
    for status in _REFUSED:
        responses.setdefault(status, _PROBLEM)


def _stated(path: str, answer: Mapping[str, Any]) -> bool:
    """Whether the route itself says what it answers with; results of jobs are files of many kinds."""
    return bool(answer.get("content")) and not path.startswith("/results")
