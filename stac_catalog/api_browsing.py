"""Browsing: every item can be reached from the landing page by links ``child`` and ``item``, and /children.

A small collection links to its items. A large one links to parts: catalogs with those items whose ids have a CRC-32
that begins with the same hexadecimal digits, so that no item changes its part when others come or go.
"""

import json
import re
import zlib
from collections.abc import Iterator
from typing import Annotated, Any, Final
from urllib.parse import quote

import attr
import pystac
from fastapi import APIRouter, FastAPI, Path
from stac_fastapi.api.models import CollectionUri, EmptyRequest
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.types.extension import ApiExtension
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cup4soil.errors import NotFound
from stac_catalog.api_service import Service, link
from stac_catalog.search_backend import SearchBackend
from stac_catalog.search_documents import API_MARK, GEOJSON, JSON, compact
from stac_catalog.search_query import Query
from stac_catalog.search_values import shown

CONFORMANCE: Final = (
    "https://api.stacspec.org/v1.0.0-rc.2/children",
    "https://api.stacspec.org/v1.0.0-rc.3/browseable",
)
_MOST_DIRECT: Final = 100
_LARGEST_PART: Final = 500
_DIGITS: Final = "0123456789abcdef"
_PART: Final = re.compile(rf"[{_DIGITS}]{{1,4}}")


def browsable(backend: SearchBackend, name: str, text: str) -> str:
    """A collection's document with links to its items or to their parts."""
    document = json.loads(text)
    here = f"{API_MARK}collections/{quote(name)}"
    count = backend.search(Query(collections=(name,), limit=1)).matched or 0
    if count <= _MOST_DIRECT:
        document["links"] += _item_links(here, backend.names(name))
    else:
        document["links"] += [
            link("child", f"{here}/parts/{part}", JSON, title=f"Part {part}") for part in _parts(count)
        ]
    return compact(document)


def _item_links(here: str, names: list[str]) -> Iterator[dict[str, Any]]:
    return (link("item", f"{here}/items/{quote(name)}", GEOJSON, title=name) for name in names)


def _parts(count: int) -> list[str]:
    """Names of the parts of a collection with so many items: small enough, some perhaps without any."""
    parts = [""]
    while count > len(parts) * _LARGEST_PART or parts == [""]:
        parts = [f"{part}{digit}" for part in parts for digit in _DIGITS]
    return parts


def _part_of(name: str) -> str:
    return f"{zlib.crc32(name.encode()):08x}"


@attr.s(auto_attribs=True, kw_only=True)
class PartUri(CollectionUri):
    """Where a part of a collection is."""

    part: Annotated[str, Path(description="First hexadecimal digits of the CRC-32 of the items' ids.")]


@attr.s(auto_attribs=True, kw_only=True)
class BrowsingExtension(ApiExtension):
    """The extensions children and browseable."""

    service: Service
    conformance_classes: list[str] = attr.ib(default=list(CONFORMANCE))
    router: APIRouter = attr.ib(factory=APIRouter)

    def register(self, app: FastAPI) -> None:
        """Add the routes to an application whose prefix stac-fastapi has noted."""
        prefix = app.state.router_prefix
        for path, endpoint, model, name in (
            ("/children", self.children, EmptyRequest, "Children"),
            ("/collections/{collection_id}/parts/{part}", self.part, PartUri, "Part of a collection"),
        ):
            self.router.add_api_route(
                f"{prefix}{path}",
                create_async_endpoint(endpoint, model),
                methods=["GET"],
                name=name,
                response_class=Response,
            )

    async def children(self, **kwargs: Any) -> Response:
        """All collections, each as where it is by itself."""
        request: Request = kwargs["request"]
        texts = await run_in_threadpool(self._children)
        here = self.service.addresses.api(request)
        links = compact({"links": [link("self", f"{here}children", JSON), link("root", here, JSON)]})
        return self.service.answer(f'{{"children":[{",".join(texts)}],{links[1:]}', request)

    def _children(self) -> list[str]:
        backend = self.service.backend
        return [browsable(backend, name, text) for name, text in backend.collections().items()]

    async def part(self, collection_id: str, part: str, **kwargs: Any) -> Response:
        """One part of a collection's items as a catalog."""
        await self.service.known(collection_id)
        if not _PART.fullmatch(part):
            raise NotFound(f"no part {shown(part)}", "follow the links of the collection")
        names = await run_in_threadpool(self.service.backend.names, collection_id)
        chosen = [name for name in names if _part_of(name).startswith(part)]
        return self.service.answer(compact(_catalog(collection_id, part, chosen)), kwargs["request"])


def _catalog(collection: str, part: str, names: list[str]) -> dict[str, Any]:
    parent = f"{API_MARK}collections/{quote(collection)}"
    return {
        "type": "Catalog",
        "stac_version": pystac.get_stac_version(),
        "id": f"{collection}-{part}",
        "title": f"{collection}, part {part}",
        "description": f"{len(names)} of the items of {collection}.",
        "links": [
            link("self", f"{parent}/parts/{part}", JSON),
            link("root", API_MARK, JSON, title="All collections"),
            link("parent", parent, JSON, title=collection),
            *_item_links(parent, names),
        ],
    }
