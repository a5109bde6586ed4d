"""The aggregation extension: figures about the items that a search would find."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

import attr
from fastapi import FastAPI
from stac_fastapi.api.models import CollectionUri, EmptyRequest
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions.aggregation import AggregationExtension
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cup4soil.errors import InvalidInput
from stac_catalog.api_parameters import AGGREGATE_NAMES, AggregateItemsRequest, AggregateRequest, body_of
from stac_catalog.api_requests import Asked, Reading, asked_by_get, asked_by_post
from stac_catalog.api_service import Service, link
from stac_catalog.search_aggregation import MOST_PRECISION, Aggregated, Aggregation, Bucket, Interval
from stac_catalog.search_backend import SearchBackend
from stac_catalog.search_documents import JSON, compact
from stac_catalog.search_query import Query, parse_names
from stac_catalog.search_values import SECOND, shown

CONFORMANCE: Final = tuple(f"https://api.stacspec.org/v0.3.0/aggregation{part}" for part in ("", "#query", "#filter"))
_DAY: Final = 86_400 * SECOND
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COUNT: Final = Aggregation("count")
# Aggregations by the property whose values they count.
_TERMS: Final = {
    "kind_frequency": "cup4soil:kind",
    "property_frequency": "cup4soil:property",
    "depth_frequency": "cup4soil:depth",
    "verdict_frequency": "cup4soil:verdict",
    "simulated_frequency": "cup4soil:simulated",
    "license_frequency": "license",
    "version_frequency": "version",
    "gsd_frequency": "gsd",
}
_ALWAYS: Final = {
    "total_count": "integer",
    "datetime_min": "datetime",
    "datetime_max": "datetime",
    "datetime_frequency": "datetime",
    "collection_frequency": "string",
    "grid_geohash_frequency": "string",
}


@attr.s(auto_attribs=True, kw_only=True)
class Aggregations(AggregationExtension):
    """Which aggregations there are, and what they come to, for all items and for those of one collection."""

    service: Service
    conformance_classes: list[str] = attr.ib(default=list(CONFORMANCE))

    def register(self, app: FastAPI) -> None:
        """Add the routes; those of stac-fastapi have no parameter for the collection."""
        prefix = app.state.router_prefix
        body = {"requestBody": body_of(AGGREGATE_NAMES)}
        for path, uri, asked in (
            ("", EmptyRequest, AggregateRequest),
            ("/collections/{collection_id}", CollectionUri, AggregateItemsRequest),
        ):
            for name, method, endpoint, model, extra in (
                ("aggregations", "GET", self.available, uri, None),
                ("aggregate", "GET", self.by_get, asked, None),
                ("aggregate", "POST", self.by_post, uri, body),
            ):
                self.router.add_api_route(
                    f"{prefix}{path}/{name}",
                    create_async_endpoint(endpoint, model),
                    methods=[method],
                    name=name.capitalize(),
                    response_class=Response,
                    openapi_extra=extra,
                )

    async def available(self, collection_id: str | None = None, **kwargs: Any) -> Response:
        """Names and types of the aggregations that items can be asked for."""
        types = await self._types(collection_id)
        return self._answer(kwargs["request"], [{"name": name, "data_type": each} for name, each in types.items()])

    async def by_get(self, collection_id: str | None = None, **kwargs: Any) -> Response:
        """Aggregations of what the parameters choose."""
        request: Request = kwargs["request"]
        return await self._aggregate(request, asked_by_get(request, self._reading("cql2-text", collection_id)))

    async def by_post(self, collection_id: str | None = None, **kwargs: Any) -> Response:
        """Aggregations of what the body chooses."""
        request: Request = kwargs["request"]
        return await self._aggregate(request, await asked_by_post(request, self._reading("cql2-json", collection_id)))

    def _reading(self, language: str, collection: str | None) -> Reading:
        return Reading(AGGREGATE_NAMES, self.service.most_items, language, collection)

    async def _types(self, collection: str | None) -> dict[str, str]:
        if collection is not None:
            await self.service.known(collection)
        properties = await run_in_threadpool(self.service.backend.properties, collection)
        numeric = {"n": "numeric", "b": "boolean"}
        terms = {
            name: next((numeric[kind] for kind in properties[field].kinds if kind in numeric), "string")
            for name, field in _TERMS.items()
            if field in properties
        }
        return _ALWAYS | terms

    async def _aggregate(self, request: Request, asked: Asked) -> Response:
        types = await self._types(request.path_params.get("collection_id"))
        names = parse_names(asked.values.get("aggregations", ()), "aggregations")
        if unknown := [name for name in names if name not in types]:
            raise InvalidInput(f"there is no aggregation {shown(unknown[0])}", f"use some of {', '.join(types)}")
        documents = await run_in_threadpool(self._documents, asked, names, types)
        return self._answer(request, documents)

    def _documents(self, asked: Asked, names: Sequence[str], types: Mapping[str, str]) -> list[dict[str, Any]]:
        backend = self.service.backend
        wanted = [self._wanted(name, asked) for name in names]
        count, *results = backend.aggregate(asked.query, [_COUNT, *wanted])
        return [
            {"name": name, "data_type": types[name], **_described(each, result, count)}
            for name, each, result in zip(names, wanted, results, strict=True)
        ]

    def _wanted(self, name: str, asked: Asked) -> Aggregation:
        match name:
            case "total_count":
                return _COUNT
            case "datetime_min" | "datetime_max":
                return Aggregation("first" if name == "datetime_min" else "last")
            case "datetime_frequency":
                return Aggregation("periods", interval=self._interval(asked))
            case "collection_frequency":
                return Aggregation("terms", "collection")
            case "grid_geohash_frequency":
                return Aggregation("cells", precision=_precision(asked.values))
        return Aggregation("terms", _TERMS[name])

    def _interval(self, asked: Asked) -> Interval:
        """The interval that was asked for, else one that gives a readable number of buckets."""
        given = asked.values.get("datetime_frequency_interval")
        known: tuple[Interval, ...] = get_args(Interval.__value__)
        if given is not None and given not in known:
            raise InvalidInput(f"datetime_frequency_interval is {shown(given)}", f"use {', '.join(known)}")
        return given or _readable(self.service.backend, asked.query)

    def _answer(self, request: Request, documents: list[dict[str, Any]]) -> Response:
        links = [
            link("self", str(self.service.addresses.here(request)), JSON),
            link("root", self.service.addresses.api(request), JSON),
        ]
        document = {"type": "AggregationCollection", "aggregations": documents, "links": links}
        return Response(compact(document), media_type=JSON)


def aggregation_links(base: str) -> list[dict[str, Any]]:
    """Links to the aggregations of the landing page or the collection at ``base``, without a slash at the end."""
    return [
        link("aggregate", f"{base}/aggregate", JSON, title="Aggregations", method="GET"),
        link("aggregate", f"{base}/aggregate", JSON, title="Aggregations", method="POST"),
        link("aggregations", f"{base}/aggregations", JSON, title="Which aggregations there are"),
    ]


def _precision(values: Mapping[str, Any]) -> int:
    name = "grid_geohash_frequency_precision"
    given = values.get(name, 2)
    if str(given) not in map(str, range(1, MOST_PRECISION + 1)) or isinstance(given, bool | float):
        raise InvalidInput(f"{name} is {shown(given)}", f"give a whole number from 1 to {MOST_PRECISION}")
    return int(given)


def _readable(backend: SearchBackend, query: Query) -> Interval:
    """The shortest interval with which there are not too many buckets for a reader."""
    first, last = backend.aggregate(query, [Aggregation("first"), Aggregation("last")])
    span = last - first if isinstance(first, int) and isinstance(last, int) else 0
    return "day" if span <= 92 * _DAY else "month" if span <= 3660 * _DAY else "year"


def _described(wanted: Aggregation, result: Aggregated, count: Aggregated) -> dict[str, Any]:
    """The result as the extension has it: one value, or buckets and how many items are in none of them."""
    if not isinstance(result, tuple):
        of_time = wanted.of in ("first", "last") and result is not None
        return {"value": _instant(result) if of_time else result}
    rest = count - sum(number for _, number in result) if isinstance(count, int) else 0
    return {"buckets": [_bucket(each, wanted) for each in result], "overflow": rest}


def _bucket(bucket: Bucket, wanted: Aggregation) -> dict[str, Any]:
    value, number = bucket
    if wanted.of == "periods":
        return {"key": _instant(value), "data_type": "datetime", "frequency": number}
    if isinstance(value, str):
        return {"key": value, "data_type": "string", "frequency": number}
    data_type = "boolean" if isinstance(value, bool) else "numeric"
    return {"key": json.dumps(value), "data_type": data_type, "frequency": number}


def _instant(microseconds: Any) -> str:
    return f"{_EPOCH + timedelta(microseconds=microseconds):%Y-%m-%dT%H:%M:%SZ}"
