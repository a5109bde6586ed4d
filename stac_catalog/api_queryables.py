"""Queryables and sortables: JSON schemas of the properties that items and collections can be selected and sorted by."""

from collections.abc import Mapping
from typing import Any, Final

import attr
from fastapi import APIRouter, FastAPI
from stac_fastapi.api.models import EmptyRequest, JSONSchemaResponse
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions.filter.client import AsyncBaseFiltersClient
from stac_fastapi.extensions.sort import AsyncBaseSortablesClient
from stac_fastapi.types.extension import ApiExtension
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from stac_catalog.api_service import Service, no_collection
from stac_catalog.search_backend import PropertySummary
from stac_catalog.search_values import Kind

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_JSON_TYPES: Final[dict[Kind, str]] = {"n": "number", "s": "string", "b": "boolean"}
_OWN: Final[dict[str, dict[str, Any]]] = {
    "id": {"title": "Id", "type": "string"},
    "collection": {"title": "Collection", "type": "string"},
    "datetime": {
        "title": "Time of the item, or the beginning of its period; in temporal functions the whole period",
        "type": "string",
        "format": "date-time",
    },
}
_TITLE: Final = {"title": "Title", "type": "string"}
_LICENSE: Final = {"title": "Licence (SPDX)", "type": "string"}
_OF_COLLECTIONS: Final[dict[str, dict[str, Any]]] = {
    "id": {"title": "Id", "type": "string"},
    "title": _TITLE,
    "description": {"title": "Description", "type": "string"},
    "license": _LICENSE,
    "keywords": {"title": "Keywords", "type": "array", "items": {"type": "string"}},
    "datetime": {"title": "Beginning of the items' times", "type": "string", "format": "date-time"},
    "end_datetime": {"title": "End of the items' times", "type": "string", "format": "date-time"},
}
# The format of OGC API Features, Part 5. A reference to GeoJSON's own schema would have clients fetch it, and STAC
# Browser offers no filter at all where it cannot.
_GEOMETRY: Final = {"title": "Geometry", "format": "geometry-any"}


def queryables(address: str, title: str, properties: Mapping[str, PropertySummary]) -> dict[str, Any]:
    """The document of queryables at ``address``. Other properties may be named: no item has them."""
    found = {name: _described(summary) for name, summary in properties.items()}
    return _document(address, f"Queryables of {title}", _OWN | {"geometry": _GEOMETRY} | found)


def sortables(address: str, title: str, properties: Mapping[str, PropertySummary]) -> dict[str, Any]:
    """The document of sortables at ``address``."""
    found = {name: _described(each) for name, each in properties.items() if each.kinds & set(_JSON_TYPES)}
    return _document(address, f"Sortables of {title}", _OWN | found)


def _document(address: str, title: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "$schema": _DIALECT,
        "$id": address,
        "type": "object",
        "title": title,
        "properties": dict(properties),
        "additionalProperties": True,
    }


def _described(summary: PropertySummary) -> dict[str, Any]:
    if "t" in summary.kinds:
        return {"type": "string", "format": "date-time"}
    if summary.values:
        return {"type": "string", "enum": list(summary.values)}
    types = sorted(_JSON_TYPES[kind] for kind in summary.kinds if kind in _JSON_TYPES)
    if not types or "j" in summary.kinds:
        return {}
    return {"type": types[0] if len(types) == 1 else types}


@attr.s(auto_attribs=True, kw_only=True)
class Queryables(AsyncBaseFiltersClient):
    """Documents of queryables."""

    service: Service

    async def get_queryables(self, collection_id: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Of a collection, or of all."""
        address, title, properties = await _asked_about(self.service, kwargs["request"], collection_id)
        return queryables(address, title, properties)


@attr.s(auto_attribs=True, kw_only=True)
class CollectionQueryables(ApiExtension):
    """The document of what collections can be selected by; their summaries may be named, too, which are lists."""

    service: Service
    router: APIRouter = attr.ib(factory=APIRouter)

    def register(self, app: FastAPI) -> None:
        """Add the route."""
        self.router.add_api_route(
            f"{app.state.router_prefix}/collections-queryables",
            create_async_endpoint(self.get, EmptyRequest),
            methods=["GET"],
            name="Collections Queryables",
            response_class=JSONSchemaResponse,
        )

    async def get(self, **kwargs: Any) -> dict[str, Any]:
        """Of the collections themselves."""
        address = self.service.addresses.here(kwargs["request"])
        return _document(address, "Queryables of the collections", _OF_COLLECTIONS | {"geometry": _GEOMETRY})


@attr.s(auto_attribs=True, kw_only=True)
class Sortables(AsyncBaseSortablesClient):
    """Documents of sortables."""

    service: Service

    async def get_collections_sortables(self, request: Request | None = None, **kwargs: Any) -> dict[str, Any]:
        """Of the collections themselves."""
        address = self.service.addresses.here(request or kwargs["request"])
        properties = {name: each for name, each in _OF_COLLECTIONS.items() if each["type"] == "string"}
        return _document(address, "Sortables of the collections", properties)

    async def get_sortables(self, request: Request | None = None, **kwargs: Any) -> dict[str, Any]:
        """Of the items of all collections."""
        address, title, properties = await _asked_about(self.service, request or kwargs["request"], None)
        return sortables(address, title, properties)

    async def get_collection_sortables(
        self, collection_id: str, request: Request | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Of the items of one collection."""
        address, title, properties = await _asked_about(self.service, request or kwargs["request"], collection_id)
        return sortables(address, title, properties)


async def _asked_about(service: Service, request: Request, collection: str | None) -> tuple[str, str, Any]:
    """Address of the request, title and properties of a collection or of all."""
    titles = await service.quick(service.backend.titles)
    if collection is not None and collection not in titles:
        raise no_collection(collection)
    properties = await run_in_threadpool(service.backend.properties, collection)
    title = "all collections" if collection is None else titles[collection]
    return service.addresses.here(request), title, properties
