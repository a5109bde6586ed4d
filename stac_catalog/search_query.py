"""What is asked of the search index, and reading it from text that clients send."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from shapely.geometry.base import BaseGeometry

from cup4soil.errors import InvalidInput
from stac_catalog.search_values import Box, Period, parse_instant, read_geometry, shown
from stac_catalog.visibility import HIDDEN

DEFAULT_LIMIT: Final = 10
MOST_VALUES: Final = 1000
MOST_SORT_FIELDS: Final = 5

_FIELD = re.compile(r"[A-Za-z_][\w:.-]{0,99}")
_OPEN = ("", "..")

# A checked filter as CQL2 JSON (OGC 21-065r2).
type Filter = Mapping[str, Any] | bool


class SortField(NamedTuple):
    """A property to sort by."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """What an item has to be like; an empty field asks nothing.

    ``boxes`` has two boxes when one across the antimeridian was given. Not both ``boxes`` and ``intersects``.
    Items of the collections ``without`` are not found. One of the ``terms`` stands in what an item says of itself
    (:mod:`stac_catalog.search_text`).
    """

    collections: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    intersects: BaseGeometry | None = None
    period: Period | None = None
    filter: Filter | None = None
    terms: tuple[str, ...] = ()
    sort: tuple[SortField, ...] = ()
    limit: int = DEFAULT_LIMIT
    token: str | None = None


def allowed(query: Query) -> Query:
    """The query without the collections that the present request may not see."""
    hidden = tuple(sorted(HIDDEN.get()))
    return replace(query, without=hidden) if hidden else query


def identity(query: Query) -> str:
    """What tells a query from others, whichever page is asked for."""
    shape = None if query.intersects is None else query.intersects.wkb_hex
    asked = [query.collections, query.without, query.ids, query.boxes, shape, query.period]
    text = json.dumps([*asked, query.filter, query.terms, query.sort])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def parse_names(value: object, name: str) -> tuple[str, ...]:
    """Ids from a list of text, or from text with commas.

    Raises:
        InvalidInput: when it is something else, or too many.
    """
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, Sequence) or not all(isinstance(each, str) for each in values):
        raise InvalidInput(f"{name} is {shown(value)}", "give a list of ids")
    if len(values) > MOST_VALUES:
        raise InvalidInput(f"{name} has {len(values)} values", f"give at most {MOST_VALUES}")
    return tuple(dict.fromkeys(values))


def parse_geometry(value: object) -> BaseGeometry:
    """A geometry from GeoJSON, as text or parsed.

    Raises:
        InvalidInput: when it is none, crosses itself, leaves the globe or has too many vertices.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"intersects is {shown(value)}", "give a GeoJSON geometry") from error
    return read_geometry(value, "intersects")


def parse_period(value: object) -> Period:
    """A period from an instant or ``start/end``, where one end may be open (``..`` or empty).

    Raises:
        InvalidInput: when it is none.
    """
    parts = value.split("/") if isinstance(value, str) else []
    if len(parts) == 1 and parts[0] not in _OPEN:
        instant = parse_instant(parts[0])
        return Period(instant, instant)
    if len(parts) != 2 or all(part in _OPEN for part in parts):
        raise InvalidInput(f"datetime is {shown(value)}", "give an instant or start/end, one of which may be ..")
    start, end = (None if part in _OPEN else parse_instant(part) for part in parts)
    if start is not None and end is not None and start > end:
        raise InvalidInput(f"datetime is {shown(value)}", "the start is not after the end")
    return Period(start, end)


def parse_sort(value: object) -> tuple[SortField, ...]:
    """Fields from ``+name,-name`` or from a list of objects with ``field`` and ``direction``.

    Raises:
        InvalidInput: when it is neither, or too many.
    """
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, Sequence) or not entries or len(entries) > MOST_SORT_FIELDS:
        raise InvalidInput(f"sortby is {shown(value)}", f"give one to {MOST_SORT_FIELDS} fields")
    fields = [_sort_field(entry) for entry in entries]
    if len({field.name for field in fields}) < len(fields):
        raise InvalidInput(f"sortby is {shown(value)}", "name each field once")
    return tuple(fields)


def parse_limit(value: object, most: int) -> int:
    """Number of items on a page; one above ``most`` means ``most``, as OGC API Features has it.

    Raises:
        InvalidInput: when it is no whole number above zero.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII):
        value, whole = int(value), True
    if not whole or not isinstance(value, int) or value < 1:
        raise InvalidInput(f"limit is {shown(value)}", f"give a whole number from 1 to {most}")
    return min(value, most)


def _sort_field(entry: object) -> SortField:
    if isinstance(entry, str):
        name, descending = entry.strip().removeprefix("+"), entry.strip().startswith("-")
        name = name.removeprefix("-") if descending else name
    elif isinstance(entry, Mapping):
        name, descending = _sort_object(entry)
    else:
        raise InvalidInput(f"sortby has {shown(entry)}", "give +name or -name")
    name = name.removeprefix("properties.")
    if not _FIELD.fullmatch(name):
        raise InvalidInput(f"sortby has the field {shown(name)}", "give the name of a property, id or collection")
    return SortField(name, descending)


def _sort_object(entry: Mapping[str, Any]) -> tuple[str, bool]:
    name, direction = entry.get("field"), entry.get("direction", "asc")
    if not isinstance(name, str) or direction not in ("asc", "desc"):
        raise InvalidInput(f"sortby has {shown(dict(entry))}", "give field and direction, asc or desc")
    return name, direction == "desc"
