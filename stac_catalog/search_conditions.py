"""Conditions in SQL on the items of a search backend, put together from parts.

How a database says the parts is its :class:`Dialect`. They are joined without NOT: what is neither true nor false
selects nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from shapely.geometry.base import BaseGeometry

from stac_catalog.search_probes import Probe
from stac_catalog.search_values import Kind

# What is no property but a column of the items. An item with a period counts by its beginning.
COLUMNS: Final[dict[str, tuple[str, Kind]]] = {
    "id": ("i.id", "s"),
    "collection": ("i.collection", "s"),
    "datetime": ("i.start", "t"),
}

type Value = str | int | float


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL over ``items AS i`` with its parameters, each a ``?``, in which a probe stands for its number."""

    sql: str
    parameters: tuple[Value | Probe, ...] = ()


ALWAYS: Final = Condition("1 = 1")
NEVER: Final = Condition("1 = 0")


class Dialect(Protocol):
    """How a database says what filters are made of."""

    def fact(self, name: str, kind: Kind, tail: str, parameters: tuple[Value, ...]) -> Condition:
        """True for items whose property ``name`` is of this kind and fits ``tail``, such as ``> ?``."""
        ...

    def like(self, name: str, pattern: str, *, wanted: bool) -> Condition:
        """True for items whose property is a string that fits the pattern of CQL2's LIKE, or does not."""
        ...

    def present(self, name: str, *, wanted: bool) -> Condition:
        """True for items that have the property ``name``, or for those that lack it."""
        ...

    def evaluated(self, probe: Probe) -> Condition:
        """True where the probe accepts an item's properties (JSON)."""
        ...

    def relation(self, operator: str, geometry: BaseGeometry, *, swapped: bool, wanted: bool) -> Condition:
        """True where CQL2's spatial operator between an item's geometry and this one, or the other way round
        (``swapped``), has the truth that is wanted.
        """
        ...

    def period(self, name: str) -> tuple[Condition, Condition]:
        """First and last microsecond of what the property ``name`` says, of ``datetime`` the item's whole period."""
        ...


def all_of(parts: Iterable[Condition]) -> Condition:
    """True where every part is; those that ask Python are asked last."""
    asked_last = sorted(parts, key=lambda part: any(isinstance(value, Probe) for value in part.parameters))
    return _joined(asked_last, " AND ", ALWAYS)


def any_of(parts: Iterable[Condition]) -> Condition:
    """True where a part is."""
    return _joined(list(parts), " OR ", NEVER)


def one_of(column: str, values: tuple[str, ...], *, wanted: bool = True) -> Condition:
    """True where a column has one of the values, or none of them."""
    return Condition(f"{column} {'' if wanted else 'NOT '}IN ({', '.join('?' * len(values))})", values)


def _joined(parts: list[Condition], word: str, empty: Condition) -> Condition:
    if len(parts) < 2:
        return parts[0] if parts else empty
    parameters = tuple(value for part in parts for value in part.parameters)
    return Condition(f"({word.join(part.sql for part in parts)})", parameters)
