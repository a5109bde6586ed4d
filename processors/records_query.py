"""What a client asks of the records: the parameters of OGC API Records (20-004), read and checked."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cup4soil.errors import InvalidInput
from processors.coverage_query import collect, parse_interval
from stac_catalog.search_conditions import Condition, Probe, all_of, any_of, fact, on_properties
from stac_catalog.search_query import Query, parse_limit, parse_names
from stac_catalog.search_values import SECOND, Period, parse_bbox

PARAMETERS: Final = (
    "q", "bbox", "datetime", "type", "ids", "property", "depth", "limit", "offset", "token", "f",
)  # fmt: skip
TYPES: Final = ("dataset", "model")
MOST: Final = 500
DEFAULT: Final = 20
MOST_SKIPPED: Final = 10_000
_MODEL = "model"
_MOST_TERMS = 20
_SEARCHED = ("title", "description", "keywords", "cup4soil:property", "cup4soil:kind")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


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
    given = collect(pairs, PARAMETERS, lists=("ids", "type"))
    check_format(given.get("f"))
    offset = _offset(given.get("offset", "0"))
    if offset and "token" in given:
        raise InvalidInput("both offset and token are given", "follow the link of rel next as it is")
    query = Query(
        ids=parse_names(given["ids"], "ids") if "ids" in given else (),
        boxes=parse_bbox(given["bbox"]) if "bbox" in given else (),
        period=_period(given["datetime"]) if "datetime" in given else None,
        condition=_condition(given),
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
        raise InvalidInput(f"f is {name[:80]!r}", "records are given as json")


def _offset(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) > MOST_SKIPPED:
        raise InvalidInput(
            f"offset is {text[:80]!r}", f"give a whole number up to {MOST_SKIPPED}, or follow the links of rel next"
        )
    return int(text)


def _period(text: str) -> Period:
    interval = parse_interval(text, "datetime")
    ends = (
        None if end is None else round((end - _EPOCH).total_seconds() * SECOND)
        for end in (interval.start, interval.end)
    )
    return Period(*ends)


def _condition(given: dict[str, str]) -> Condition | None:
    parts = []
    if "q" in given:
        parts.append(_terms(given["q"]))
    if "type" in given:
        parts.append(any_of(_type(name.strip()) for name in given["type"].split(",")))
    parts += [fact(f"cup4soil:{name}", "s", "= ?", (given[name],)) for name in ("property", "depth") if name in given]
    return all_of(parts) if parts else None


def _type(name: str) -> Condition:
    if name not in TYPES:
        raise InvalidInput(f"type is {name[:80]!r}", f"use {' or '.join(TYPES)}")
    return fact("cup4soil:kind", "s", "= ?" if name == _MODEL else "<> ?", (_MODEL,))


def _terms(text: str) -> Condition:
    """True for records in which one of the terms stands: separated by commas, words of one term side by side."""
    terms = [" ".join(term.lower().split()) for term in text.split(",")]
    if not all(terms) or len(terms) > _MOST_TERMS:
        raise InvalidInput(f"q is {text[:80]!r}", f"give up to {_MOST_TERMS} terms separated by commas")
    pattern = re.compile("|".join(rf"\b{re.escape(term)}" for term in terms))

    def stands(properties: bytes | str) -> bool:
        found = json.loads(properties)
        texts = [found.get(name) or "" for name in _SEARCHED]
        words = [" ".join(each) if isinstance(each, list) else str(each) for each in texts]
        return pattern.search(" ".join(" ".join(words).lower().split())) is not None

    return on_properties(Probe(f"q {','.join(terms)}", stands))
