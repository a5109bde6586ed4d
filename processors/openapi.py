"""The OpenAPI document of the OGC APIs: whole in itself, and true whatever the store holds at the moment.

pygeoapi's own generator names each collection and refers to schemas on the web; here collections and
processes are path parameters.
"""

from collections.abc import Mapping
from typing import Any

from cup4soil import __version__
from processors.coverage_formats import COVERAGE_JSON, GEOTIFF
from processors.coverage_netcdf import NETCDF
from processors.coverage_picture import PNG
from processors.openapi_data import TAGS, data_paths
from processors.openapi_features import feature_paths
from processors.openapi_maps import map_paths
from processors.openapi_parts import HTML, JSON, Json, errors, form, query, ref
from processors.openapi_processes import process_paths, process_schemas
from processors.processes import process_ids

_BOX: Json = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
_TEXT: Json = {"type": "string"}
OPENAPI = "application/vnd.oai.openapi+json"
SCHEMA = "application/schema+json"


def openapi_document(config: Mapping[str, Any], *, plain: bool = False) -> Json:
    """The document of a service configured with ``config`` (server address, title, licence, contact).

    ``plain`` leaves out what only our own routers answer, for pygeoapi's own server.
    """
    paths = _common_paths() | _coverage_paths() | process_paths()
    if not plain:
        paths |= data_paths() | map_paths() | feature_paths()
    metadata = config["metadata"]
    identification, licence, contact = metadata["identification"], metadata["license"], metadata["contact"]
    return {
        "openapi": "3.0.3",
        "info": {
            "title": identification["title"],
            "description": identification["description"],
            "version": __version__,
            "license": {"name": licence["name"], "url": licence["url"]},
            "contact": {name: contact[name] for name in ("name", "email", "url") if contact.get(name)},
        },
        "servers": [{"url": config["server"]["url"]}],
        "tags": [{"name": name} for name in ("server", "coverages", *(() if plain else TAGS), "processes", "jobs")],
        "paths": paths,
        "components": {
            "parameters": _parameters(),
            "responses": _responses(plain=plain),
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _common_paths() -> Json:
    pages = {
        "/": ("landingPage", "Landing page"),
        "/openapi": ("openapi", "This document"),
        "/conformance": ("conformance", "Conformance classes"),
        "/collections": ("collections", "Collections"),
    }
    found = {path: {"get": _page(id_, text, "server")} for path, (id_, text) in pages.items()}
    found["/openapi"]["get"]["responses"]["200"]["content"][OPENAPI] = {"schema": {"type": "object"}}
    return found


def _coverage_paths() -> Json:
    collection = ref("parameters", "collectionId")
    coverage = [
        collection,
        *(ref("parameters", name) for name in _parameters() if name in _COVERAGE_PARAMETERS),
        form("GTiff", "COG", "NetCDF", "PNG", "json", "html"),
    ]
    binary = {"type": "string", "format": "binary"}
    content: Json = {
        HTML: {"schema": _TEXT},
        "image/tiff": {"schema": binary},
        GEOTIFF: {"schema": binary},
        NETCDF: {"schema": binary},
        PNG: {"schema": binary},
        COVERAGE_JSON: {"schema": {"type": "object"}},
    }
    fields = _page("schema", "Fields of a collection", "coverages", collection)
    paths: Json = {
        "/collections/{collectionId}": {"get": _page("collection", "A collection", "coverages", collection)},
        "/collections/{collectionId}/schema": {"get": fields},
        "/collections/{collectionId}/coverage": {
            "get": {
                "operationId": "collection.getCoverage",
                "summary": "A coverage or a part of it",
                "tags": ["coverages"],
                "parameters": coverage,
                "responses": {
                    "200": {"description": "The values.", "content": content},
                    **errors("400", "401", "404", "413", "503"),
                },
            }
        },
    }
    for name, text in (("domainset", "Domain"), ("rangetype", "Fields"), ("schema", "Fields as JSON schema")):
        about = _page(f"coverage-{name}", f"{text} of a coverage", "coverages", collection, formats=("json",))
        about["parameters"].append(ref("parameters", "datetime"))
        paths[f"/collections/{{collectionId}}/coverage/{name}"] = {"get": about}
    for about in (fields, paths["/collections/{collectionId}/coverage/schema"]["get"]):
        about["responses"]["200"]["content"][SCHEMA] = {"schema": {"type": "object"}}
    return paths


def _page(
    operation: str, summary: str, tag: str, *parameters: Json, formats: tuple[str, ...] = ("json", "html")
) -> Json:
    content: Json = {JSON: {"schema": {"type": "object"}}} | ({HTML: {"schema": _TEXT}} if "html" in formats else {})
    found = {"description": f"{summary}.", "content": content}
    return {
        "operationId": operation,
        "summary": summary,
        "tags": [tag],
        "parameters": [*parameters, *([form(*formats)] if formats else [])],
        "responses": {"200": found, **errors("400", "401", "404", "503", page=HTML in content)},
    }


_COVERAGE_PARAMETERS: dict[str, tuple[str, Json]] = {
    "bbox": ("Lower and upper corner, in the axis order of bbox-crs.", _BOX),
    "bbox-crs": ("CRS of bbox; CRS84 (longitude, latitude) by default.", _TEXT),
    "subset": ('Ranges of axes: E(low:high),N(low:high), Lat(..),Lon(..), time("from":"to").', _TEXT),
    "subset-crs": ("CRS of subset; CRS84 for Lat and Lon, else that of the collection.", _TEXT),
    "datetime": (
        "Instant or interval; NetCDF and CoverageJSON hold all periods of an interval, others the latest.",
        _TEXT,
    ),
    "properties": ("Fields by name or position.", {"type": "array", "items": _TEXT}),
    "exclude-properties": ("Fields to leave out; with no value all are given.", {"type": "array", "items": _TEXT}),
    "scale-factor": ("2 halves the number of cells along each axis.", {"type": "number", "minimum": 0.001}),
    "scale-axes": ("Factors by axis: E(2),N(2).", _TEXT),
    "scale-size": ("Cells by axis: E(256),N(256).", _TEXT),
    "resolution": ("Distance of cells by axis, in units of crs: E(40),N(40); no value is the native one.", _TEXT),
    "width": ("Cells from left to right.", {"type": "integer", "minimum": 1}),
    "height": ("Cells from top to bottom.", {"type": "integer", "minimum": 1}),
    "crs": ("CRS of the answer; that of the collection by default.", _TEXT),
}


def _parameters() -> Json:
    found = {name: query(name, text, schema) for name, (text, schema) in _COVERAGE_PARAMETERS.items()}
    names = {"collectionId": _TEXT, "processId": _TEXT | {"enum": list(process_ids())}, "jobId": _TEXT}
    for name, schema in names.items():
        found[name] = {"name": name, "in": "path", "required": True, "schema": schema}
    found["prefer"] = {
        "name": "Prefer",
        "in": "header",
        "description": "respond-async makes a job of the execution (RFC 7240).",
        "schema": _TEXT,
    }
    return found


def _responses(*, plain: bool) -> Json:
    content: Json = {"application/problem+json": {"schema": ref("schemas", "problem")}}
    told = "What was wrong, and what would be right."
    page = content | {HTML: {"schema": _TEXT}}
    return {
        # The service around our own routers has a page of every refusal.
        "problem": {"description": told, "content": content if plain else page},
        "problemPage": {"description": told, "content": page},
    }


def _schemas() -> Json:
    return {
        "problem": {
            "type": "object",
            "properties": {"title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
        },
        **process_schemas(),
    }
