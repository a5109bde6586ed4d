"""Pages of a search: the order of its items, and tokens that stand for a place in it."""

import base64
import binascii
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cup4soil.errors import InvalidInput
from stac_catalog.search_backend import PAGE_BYTES, Page
from stac_catalog.search_conditions import Condition, Value, all_of, any_of
from stac_catalog.search_query import Query, identity

type Key = tuple[Value, ...]

_MOST_TOKEN: Final = 4000
_MOST_COUNTS: Final = 256
_MOST_AT_ONCE: Final = 4000
_BAD_TOKEN: Final = ("token is not one of this search", "follow the link to the next page")


@dataclass(frozen=True, slots=True)
class Term:
    """An expression to sort by, never NULL."""

    sql: str
    descending: bool = False


class Counts:
    """How many items the latest queries found, for many threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._known: OrderedDict[tuple[str, str], int] = OrderedDict()

    def of(self, query: Query, state: str, count: Callable[[], int]) -> int:
        """What ``count`` finds, or found when it was asked the same in this state of the catalog."""
        key = (identity(query), state)
        known = self._known.get(key)
        if known is None:
            known = count()
            with self._mutex:
                self._known[key] = known
                while len(self._known) > _MOST_COUNTS:
                    self._known.popitem(last=False)
        return known


def walk[Row](
    batch: Callable[[Row | None, int], list[Row]], exact: Callable[[list[Row]], list[Row]], most: int, size: int
) -> tuple[list[Row], bool]:
    """At least ``most`` rows that are exact, or all there are, which the second value says.

    ``batch`` gives the next rows that may be exact: after a row, so many. The first batch has ``size`` rows.
    """
    found: list[Row] = []
    last: Row | None = None
    while True:
        rows = batch(last, size)
        found += exact(rows)
        if len(rows) < size:
            return found, True
        if len(found) >= most:
            return found, False
        last, size = rows[-1], max(size, min(2 * size, _MOST_AT_ONCE))


def is_counted(query: Query) -> bool:
    """False where a filter would have to be asked about every item."""
    return query.filter is None and not query.terms


def within_page(texts: Iterable[str]) -> tuple[str, ...]:
    """As many of the first texts as a page may hold; no more of them are read."""
    held: list[str] = []
    size = 0
    for text in texts:
        size += len(text)
        if held and size > PAGE_BYTES:
            break
        held.append(text)
    return tuple(held)


def page_of(query: Query, texts: tuple[str, ...], last: Key | None, matched: Callable[[], int]) -> Page:
    """The page of these items; ``last`` is the sort key of the last of them where others follow.

    ``matched`` counts the items of all pages.
    """
    if query.token is None and last is None:
        return Page(texts, None, len(texts))
    token = None if last is None else encode_token(query, last)
    return Page(texts, token, matched() if is_counted(query) else None)


def order(terms: Sequence[Term]) -> str:
    """What follows ORDER BY."""
    return ", ".join(f"{term.sql}{' DESC' if term.descending else ''}" for term in terms)


def after(terms: Sequence[Term], key: Key) -> Condition:
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


def encode_token(query: Query, key: Key) -> str:
    """Text that stands for the place after the item with this sort key."""
    text = json.dumps([identity(query), *key], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(token: str, query: Query, terms: Sequence[Term]) -> Key:
    """The sort key in a token, a value for each term.

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
    if len(key) != len(terms) or not all(map(_is_key_value, key)):
        raise InvalidInput(*_BAD_TOKEN)
    return key


def _is_key_value(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() or value.encode("utf-8", "replace").decode() == value
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return whole or isinstance(value, float)
