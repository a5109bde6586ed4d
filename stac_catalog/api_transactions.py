"""The transaction extension: items registered, changed and removed by those who may.

What may be changed, and why no more, is in ``docs/adr/0011-transactions-change-the-record.md``.
"""

import copy
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import attr
import jsonpatch
from fastapi import APIRouter, FastAPI
from stac_fastapi.api.models import CollectionUri, ItemUri
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions.transaction import TransactionConformanceClasses
from stac_fastapi.types.extension import ApiExtension
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cup4soil.errors import Conflict, InvalidInput, InvalidRaster, LimitExceeded
from cup4soil.products import ProductRecord
from cup4soil.rasters.writing import layer_statistics
from stac_catalog.agreement import disagreements, layout_problem
from stac_catalog.api_requests import MOST_BODY_BYTES, read_json, read_object
from stac_catalog.api_service import Service
from stac_catalog.deliveries import Deliveries
from stac_catalog.item_changes import completed, merge_patch
from stac_catalog.item_records import AssetFile, record_of
from stac_catalog.registrar import Registrar
from stac_catalog.search_documents import GEOJSON, tag_of
from stac_catalog.search_values import shown

type _Object = dict[str, Any]

_MOST_ITEMS: Final = 50
_MOST_STEPS: Final = 100
_JSON_PATCH: Final = "application/json-patch+json"
_ITEM_BODY: Final = {"schema": {"type": "object", "description": "STAC item, or what it is to have."}}
_STEPS_BODY: Final = {"schema": {"type": "array", "items": {"type": "object"}, "maxItems": _MOST_STEPS}}


@attr.s(auto_attribs=True, kw_only=True)
class Transactions(ApiExtension):
    """Routes that change the register. ``permit`` raises an error unless who asks may do so."""

    service: Service
    registrar: Registrar
    deliveries: Deliveries
    permit: Callable[[Request], None]
    conformance_classes: list[str] = attr.ib(factory=lambda: [TransactionConformanceClasses.ITEMS.value])
    router: APIRouter = attr.ib(factory=APIRouter)

    def register(self, app: FastAPI) -> None:
        """Add the routes; those of stac-fastapi take whole items only, and collections, which follow from items."""
        items = f"{app.state.router_prefix}/collections/{{collection_id}}/items"
        for method, path, endpoint, uri, types, status in (
            ("POST", items, self.create, CollectionUri, ("application/geo+json", "application/json"), 201),
            ("PUT", f"{items}/{{item_id}}", self.put, ItemUri, ("application/geo+json", "application/json"), 200),
            ("PATCH", f"{items}/{{item_id}}", self.patch, ItemUri, ("application/merge-patch+json", _JSON_PATCH), 200),
            ("DELETE", f"{items}/{{item_id}}", self.delete, ItemUri, (), 204),
        ):
            body = {
                "requestBody": {
                    "required": True,
                    "content": {each: _STEPS_BODY if each == _JSON_PATCH else _ITEM_BODY for each in types},
                }
            }
            self.router.add_api_route(
                path,
                create_async_endpoint(endpoint, uri),
                methods=[method],
                name=f"{method.capitalize()} item",
                status_code=status,
                response_class=Response,
                openapi_extra=body if types else None,
            )

    async def create(self, collection_id: str, **kwargs: Any) -> Response:
        """Register the item, or the items of a feature collection, all or none."""
        request: Request = kwargs["request"]
        self.permit(request)
        body = await read_object(request)
        several = body.get("type") == "FeatureCollection"
        items = body.get("features") if several else [body]
        if not isinstance(items, list) or not 0 < len(items) <= _MOST_ITEMS:
            raise LimitExceeded("features is no list of bearable length", f"send from 1 to {_MOST_ITEMS} items")
        texts = await run_in_threadpool(self._create, collection_id, items, request)
        if several:
            text = f'{{"type":"FeatureCollection","features":[{",".join(texts)}]}}'
            return self._answer(text, request, HTTPStatus.CREATED)
        here = self.service.addresses.here(request)
        headers = {"Location": f"{here}/{json.loads(texts[0])['id']}", "ETag": tag_of(texts[0])}
        return self._answer(texts[0], request, HTTPStatus.CREATED, headers)

    async def put(self, collection_id: str, item_id: str, **kwargs: Any) -> Response:
        """Change an item to one that is given whole."""
        request: Request = kwargs["request"]
        self.permit(request)
        given = await read_object(request)
        return await self._change(collection_id, item_id, request, lambda old: completed(old, given))

    async def patch(self, collection_id: str, item_id: str, **kwargs: Any) -> Response:
        """Change an item by a merge patch (RFC 7396) or, as a list of steps, a JSON patch (RFC 6902)."""
        request: Request = kwargs["request"]
        self.permit(request)
        patch = await read_json(request)
        is_list = isinstance(patch, list)
        stated = request.headers.get("content-type", "").split(";")[0].strip()
        if not (is_list or isinstance(patch, dict)) or (stated == _JSON_PATCH) > is_list:
            raise InvalidInput("the request is no patch", f"send an object, or for {_JSON_PATCH} a list of steps")
        edit = patched if is_list else merge_patch
        return await self._change(collection_id, item_id, request, lambda old: edit(old, patch))

    async def delete(self, collection_id: str, item_id: str, **kwargs: Any) -> Response:
        """Remove an item."""
        request: Request = kwargs["request"]
        self.permit(request)
        tags = request.headers.get("if-match")
        await run_in_threadpool(self.registrar.remove, collection_id, item_id, tags)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _change(self, collection: str, item: str, request: Request, edit: Callable[[_Object], Any]) -> Response:
        def read(text: str) -> tuple[_Object, Any]:
            old: _Object = json.loads(self.service.addresses.fill(text, request))
            return old, edit(old)

        tags = request.headers.get("if-match")
        text = await run_in_threadpool(self.registrar.change, collection, item, tags, read)
        return self._answer(text, request, HTTPStatus.OK, {"ETag": tag_of(text)})

    def _create(self, collection: str, items: list[Any], request: Request) -> list[str]:
        own = f"{self.service.addresses.files(request)}catalog/"
        read = [(item, *self._read(item, collection)) for item in items]
        self.deliveries.check([file for _, _, files in read for file in files])
        with ExitStack() as stack:
            products = []
            for item, record, files in read:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="cup4soil-")))
                self.deliveries.bring(files, own, folder)
                products.append((described(record, item, folder), folder))
            return self.registrar.add(products)

    def _read(self, item: Any, collection: str) -> tuple[ProductRecord, list[AssetFile]]:
        if not isinstance(item, dict):
            raise InvalidInput(f"the feature {shown(item)} is no item", "send STAC items")
        record, files = record_of(item, collection)
        self.registrar.check_new(record)
        return record, files

    def _answer(
        self, text: str, request: Request, status: HTTPStatus, headers: Mapping[str, str] | None = None
    ) -> Response:
        answer = self.service.answer(text, request, GEOJSON)
        answer.status_code = status
        answer.headers.update(headers or {})
        return answer


def patched(document: _Object, steps: list[Any]) -> Any:
    """A document after a JSON patch (RFC 6902).

    Raises:
        InvalidInput: when it is no patch, or does not fit.
        Conflict: when a test in it fails.
        LimitExceeded: when there are too many steps, or the document grows too large.
    """
    if len(steps) > _MOST_STEPS:
        raise LimitExceeded(f"the patch has {len(steps)} steps", f"send at most {_MOST_STEPS}")
    result: Any = copy.deepcopy(document)
    for step in steps:
        try:
            result = jsonpatch.JsonPatch([step]).apply(result)
        except jsonpatch.JsonPatchTestFailed as error:
            raise Conflict("a test of the patch fails", "get the item again") from error
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, ValueError) as error:
            raise InvalidInput(f"the patch has {shown(step)}, which cannot be done", "see RFC 6902") from error
        # Copies of copies double what there is with each step.
        if len(json.dumps(result)) > MOST_BODY_BYTES:
            raise LimitExceeded(f"the item gets larger than {MOST_BODY_BYTES} bytes", "change less")
    return result


def described(record: ProductRecord, item: Mapping[str, Any], folder: Path) -> ProductRecord:
    """The record with the statistics of its layers, whose files are held against the item.

    Raises:
        InvalidInput: when a file is not what the item says.
    """
    layers = []
    for layer in record.layers:
        try:
            path, asset = folder / layer.file, item["assets"][layer.name]
            differing = layout_problem(path) or next(disagreements(path, asset, item["properties"]), None)
            layers.append(layer.model_copy(update={"statistics": layer_statistics(path, layer)}))
        except InvalidRaster as error:
            raise InvalidInput(f"the asset {layer.name} cannot be read", "give a cloud-optimised GeoTIFF") from error
        if differing is not None:
            raise InvalidInput(f"the asset {layer.name} {differing}", "mend the item or the file")
    return record.model_copy(update={"layers": tuple(layers)})
