"""What a client asks of the records: the parameters of OGC API Records (20-004), read and checked."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from cup4soil.errors import InvalidInput
from processors.coverage_query import collect
from processors.search_paging import parse_offset, parse_period
from stac_catalog.search_query import Filter, Query, parse_limit, parse_names
from stac_catalog.search_text import parse_terms
from stac_catalog.search_values import parse_bbox

PARAMETERS: Final = (
    "q", "bbox", "datetime", "type", "ids", "externalIds", "property", "depth", "limit", "offset", "token", "f",
)  # fmt: skip
TYPES: Final = ("dataset", "model")
MOST: Final = 500
DEFAULT: Final = 20
# Of the ids that producers give products.
SCHEME: Final = "cup4soil"
_MODEL = "model"


@dataclass(frozen=True, slots=True)
class RecordsQuery:
    """A checked request. ``given`` are its parameters but those of paging, to be repeated in links."""

    query: Query
    offset: int
    given: dict[str, str]


def parse_records(pairs: Iterable[tuple[str, str]]) -> RecordsQuery:
    """Read the parameters of a search among the records, given as names and values in the order they came.

    Raises:
        InvalidInput: naming the parameter, when one is unknown, repeated or malformed.
    """
    given = collect(pairs, PARAMETERS, lists=("ids", "externalIds", "type"))
    if given.get("f") != "html":
        check_format(given.get("f"))
    offset = parse_offset(given)
    query = Query(
        ids=_ids(given),
        boxes=parse_bbox(given["bbox"]) if "bbox" in given else (),
        period=parse_period(given["datetime"]) if "datetime" in given else None,
        filter=_filter(given),
        terms=parse_terms(given["q"]) if "q" in given else (),
        limit=parse_limit(given.get("limit", str(DEFAULT)), MOST),
        token=given.get("token"),
    )
    return RecordsQuery(query, offset, {k: v for k, v in given.items() if k not in ("offset", "token")})


def check_format(name: str | None) -> None:
    """Refuse formats that records are not given in.

    Raises:
        InvalidInput: naming those that they are.
    """
    if name is not None and name.lower() not in ("json", "geojson"):
        raise InvalidInput(f"f is {name[:80]!r}", "records are given as json, a list of them also as html")


def _ids(given: dict[str, str]) -> tuple[str, ...]:
    """Records by id, or by the ids that their producers gave them, which are the same, with or without the scheme."""
    ids = parse_names(given["ids"], "ids") if "ids" in given else ()
    if "externalIds" not in given:
        return ids
    named = parse_names(given["externalIds"], "externalIds")
    external = tuple(name.removeprefix(f"{SCHEME}:") for name in named)
    if not ids:
        return external
    # None is asked for by a name that no product has.
    return tuple(name for name in ids if name in external) or (f"{SCHEME}:",)


def _filter(given: dict[str, str]) -> Filter | None:
    parts = [_comparison("=", name, given[name]) for name in ("property", "depth") if name in given]
    if "type" in given:
        parts.append({"op": "or", "args": [_type(name.strip()) for name in given["type"].split(",")]})
    return {"op": "and", "args": parts} if parts else None


def _type(name: str) -> dict[str, Any]:
    if name not in TYPES:
        raise InvalidInput(f"type is {name[:80]!r}", f"use {' or '.join(TYPES)}")
    return _comparison("=" if name == _MODEL else "<>", "kind", _MODEL)


def _comparison(operator: str, name: str, value: str) -> dict[str, Any]:
    """In CQL2 JSON, of a property of the extension cup4soil."""
    return {"op": operator, "args": [{"property": f"cup4soil:{name}"}, value]}
