"""A query on the search index as SQL, page by page."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Final

from cup4soil.errors import InvalidInput
from stac_catalog.search_conditions import (
    COLUMNS,
    Condition,
    Probe,
    all_of,
    any_of,
    meeting,
    near,
    on_properties,
    touching,
)
from stac_catalog.search_filter import condition_of
from stac_catalog.search_query import Query, SortField, identity
from stac_catalog.search_text import standing
from stac_catalog.search_values import Box

type Value = str | int | float
type Key = tuple[Value, ...]

_MOST_TOKEN: Final = 4000
_BAD_TOKEN: Final = ("token is not one of this search", "follow the link to the next page")


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, its parameters, and the probes to which they refer by number."""

    sql: str
    parameters: tuple[Value, ...]
    probes: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class _Term:
    """An expression to sort by, never NULL."""

    sql: str
    descending: bool = False


def page_statement(query: Query) -> Statement:
    """Selects ``n`` and the sort key of the query's items: one more than the page has, to tell if there is a next.

    Raises:
        InvalidInput: when the token is not one of this query.
    """
    terms = _terms(query.sort)
    conditions = [where(query)]
    if query.token is not None:
        conditions.append(_after(terms, decode_token(query.token, query)))
    condition = all_of(each for each in conditions if each.sql != "1")
    columns = ", ".join(["i.n", *(term.sql for term in terms)])
    order = ", ".join(f"{term.sql}{' DESC' if term.descending else ''}" for term in terms)
    joins = " ".join(f"LEFT JOIN facts AS {alias} ON {on}" for alias, on in _joins(query.sort))
    sql = f"SELECT {columns} FROM items AS i {joins} WHERE {condition.sql} ORDER BY {order} LIMIT ?"  # noqa: S608
    names = tuple(field.name for field in query.sort if field.name not in COLUMNS)
    return statement(sql, (*names, *condition.parameters, query.limit + 1))


def count_statement(query: Query) -> Statement:
    """Counts the query's items over all pages."""
    condition = where(query)
    return statement(f"SELECT count(*) FROM items AS i WHERE {condition.sql}", condition.parameters)  # noqa: S608


def where(query: Query) -> Condition:
    """What the query's items have in common."""
    parts = []
    if query.collections:
        parts.append(_one_of("i.collection", query.collections))
    if query.without:
        parts.append(Condition(f"i.collection NOT IN ({', '.join('?' * len(query.without))})", query.without))
    if query.ids:
        parts.append(_one_of("i.id", query.ids))
    if query.period is not None:
        start, end = query.period
        if end is not None:
            parts.append(Condition("i.start <= ?", (end,)))
        if start is not None:
            parts.append(Condition('i."end" >= ?', (start,)))
    if query.boxes:
        parts.append(any_of(touching(box) for box in query.boxes))
    if query.intersects is not None:
        west, south, east, north = query.intersects.bounds
        parts += [near(Box(west, south, east, north)), meeting(query.intersects)]
    if query.filter is not None:
        parts.append(condition_of(query.filter))
    if query.terms:
        stands = standing(query.terms)
        parts.append(on_properties(Probe(f"q {','.join(query.terms)}", lambda text: stands(json.loads(text)))))
    return all_of(parts)


def encode_token(query: Query, key: Key) -> str:
    """Text that stands for the place after the item with this sort key."""
    text = json.dumps([identity(query), *key], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(token: str, query: Query) -> Key:
    """The sort key in a token.

    Raises:
        InvalidInput: when it was not made by :func:`encode_token` for this query.
    """
    try:
        if len(token) > _MOST_TOKEN:
            raise InvalidInput(*_BAD_TOKEN)
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        values = json.loads(base64.b64decode(padded, b"-_", validate=True).decode())
    except (ValueError, RecursionError, binascii.Error) as error:
        raise InvalidInput(*_BAD_TOKEN) from error
    if not isinstance(values, list) or not values or values[0] != identity(query):
        raise InvalidInput(*_BAD_TOKEN)
    key = tuple(values[1:])
    if len(key) != len(_terms(query.sort)) or not all(map(_is_key_value, key)):
        raise InvalidInput(*_BAD_TOKEN)
    return key


def _is_key_value(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() or value.encode("utf-8", "replace").decode() == value
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return whole or isinstance(value, float)


def _terms(sort: tuple[SortField, ...]) -> list[_Term]:
    """What items are ordered by. Those that lack a property come last; ids make the order complete."""
    terms = []
    for number, field in enumerate(sort):
        if field.name in COLUMNS:
            terms.append(_Term(COLUMNS[field.name][0], field.descending))
        else:
            terms += [_Term(f"(s{number}.value IS NULL)"), _Term(f"coalesce(s{number}.value, 0)", field.descending)]
    return [*terms, _Term("i.collection"), _Term("i.id")]


def _joins(sort: tuple[SortField, ...]) -> list[tuple[str, str]]:
    return [
        (f"s{number}", f"s{number}.item = i.n AND s{number}.name = ? AND s{number}.kind IN ('n', 's', 'b')")
        for number, field in enumerate(sort)
        if field.name not in COLUMNS
    ]


def _after(terms: list[_Term], key: Key) -> Condition:
    """True for items that come after the one with this sort key."""
    if not any(term.descending for term in terms):
        columns = ", ".join(term.sql for term in terms)
        return Condition(f"({columns}) > ({', '.join('?' * len(key))})", key)
    choices = []
    for last, term in enumerate(terms):
        equal = [Condition(f"{before.sql} = ?", (value,)) for before, value in zip(terms[:last], key, strict=False)]
        further = Condition(f"{term.sql} {'<' if term.descending else '>'} ?", (key[last],))
        choices.append(all_of([*equal, further]))
    return any_of(choices)


def _one_of(column: str, values: tuple[str, ...]) -> Condition:
    return Condition(f"{column} IN ({', '.join('?' * len(values))})", values)


def statement(sql: str, parameters: tuple[Value | Probe, ...]) -> Statement:
    """The statement with every probe taken out of the parameters, for which its number stands."""
    probes: list[Probe] = []
    values: list[Value] = []
    for parameter in parameters:
        if isinstance(parameter, Probe):
            values.append(len(probes))
            probes.append(parameter)
        else:
            values.append(parameter)
    return Statement(sql, tuple(values), tuple(probes))
