"""Which products are versions of one another: made by one method for the same place, time and property."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pystac

from cup4soil.products import ProductRecord
from stac_catalog.search_backend import SearchBackend
from stac_catalog.search_query import Query
from stac_catalog.search_values import Box, Period, parse_instant

_DIGITS: Final = 6  # of degrees, about a decimetre
_LIMIT: Final = 1000
_RELATIONS: Final = ("predecessor-version", "successor-version", "latest-version")


@dataclass(frozen=True, slots=True)
class Versions:
    """Ids of the versions before and after a product, and of the newest; None where it has none of the kind."""

    predecessor: str | None = None
    successor: str | None = None
    latest: str | None = None


ALONE: Final = Versions()


def versions(record: ProductRecord, items: Iterable[Mapping[str, Any]]) -> Versions:
    """Versions of a product among STAC ``items``, which may be others and itself; by time of making, then by id."""
    key = _key_of_record(record)
    same = {_order(item) for item in items if item["id"] != record.id and _key_of_item(item) == key}
    own = (f"{record.created:%Y-%m-%dT%H:%M:%SZ}", record.id)
    before, after = [each for each in same if each < own], [each for each in same if each > own]
    return Versions(
        max(before)[1] if before else None,
        min(after)[1] if after else None,
        max(after)[1] if after else None,
    )


def find_versions(backend: SearchBackend, record: ProductRecord) -> Versions:
    """As :func:`versions`, among the products of the record's collection in a search backend.

    Raises:
        StoreError: when the backend cannot be used.
        LimitExceeded: when the search takes too long.
    """
    return versions(record, _candidates(backend, record))


def version_links(found: Versions) -> list[pystac.Link]:
    """Links of the version extension, relative to an item in the static catalog."""
    targets = (found.predecessor, found.successor, found.latest)
    return [
        pystac.Link(relation, f"../{target}/{target}.json", pystac.MediaType.GEOJSON)
        for relation, target in zip(_RELATIONS, targets, strict=True)
        if target is not None
    ]


def _candidates(backend: SearchBackend, record: ProductRecord) -> Iterator[Mapping[str, Any]]:
    west, south, east, north = record.extent.bbox
    boxes = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    period = Period(parse_instant(record.period.start.isoformat()), parse_instant(record.period.end.isoformat()))
    token = None
    while True:
        query = Query(
            collections=(record.collection,),
            boxes=tuple(Box(left, south, right, north) for left, right in boxes),
            period=period,
            limit=_LIMIT,
            token=token,
        )
        page = backend.search(query)
        yield from map(json.loads, page.items)
        token = page.token
        if token is None:
            return


def _order(item: Mapping[str, Any]) -> tuple[str, str]:
    return str(item["properties"].get("created", "")), str(item["id"])


def _key_of_record(record: ProductRecord) -> tuple[object, ...]:
    return (
        record.collection,
        record.kind,
        record.property_code,
        record.depth,
        record.algorithm.name,
        tuple(round(each, _DIGITS) for each in record.extent.bbox),
        f"{record.period.start:%Y-%m-%dT%H:%M:%SZ}",
        f"{record.period.end:%Y-%m-%dT%H:%M:%SZ}",
        None if record.extent.shape is None else tuple(record.extent.shape),
    )


def _key_of_item(item: Mapping[str, Any]) -> tuple[object, ...]:
    properties = item["properties"]
    shape = properties.get("proj:shape")
    return (
        item.get("collection"),
        properties.get("cup4soil:kind"),
        properties.get("cup4soil:property"),
        properties.get("cup4soil:depth"),
        (properties.get("cup4soil:algorithm") or {}).get("name"),
        tuple(round(float(each), _DIGITS) for each in item.get("bbox", ())),
        properties.get("start_datetime"),
        properties.get("end_datetime"),
        None if shape is None else tuple(shape),
    )
