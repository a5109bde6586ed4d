"""Conditions in SQL on the items of a search backend, put together from parts.

How a database says the parts is its :class:`Dialect`. They are joined without NOT: what is neither true nor false
selects nothing, and a probe that accepts an item never makes another condition fail.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from shapely.geometry.base import BaseGeometry

from stac_catalog.search_probes import Probe
from stac_catalog.search_values import Box, Kind, Period

# What is no property but a column of the items. An item with a period counts by its beginning.
COLUMNS: Final[dict[str, tuple[str, Kind]]] = {
    "id": ("i.id", "s"),
    "collection": ("i.collection", "s"),
    "datetime": ("i.start", "t"),
}

type Value = str | int | float


class Ask(NamedTuple):
    """SQL as a database takes it, with its parameters."""

    sql: str
    parameters: list[Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL over ``items AS i`` with its parameters, each a ``?``; for a probe stands ``probe(?)``.

    It can be true in the collections ``within`` only, where they are known. ``listed`` says that it names its items, so
    that there is no quicker way to them. A condition that is true where all of several are has them as ``parts``.

    As no NOT stands before a probe, what is true when all probes refuse is true in any case; what is true only when
    they accept depends on them.
    """

    sql: str
    parameters: tuple[Value | Probe, ...] = ()
    within: frozenset[str] | None = None
    listed: bool = False
    parts: tuple["Condition", ...] = ()

    @property
    def probes(self) -> list[Probe]:
        """The probes that are part of it, each once."""
        return list(dict.fromkeys(value for value in self.parameters if isinstance(value, Probe)))


ALWAYS: Final = Condition("1 = 1")
NEVER: Final = Condition("1 = 0", within=frozenset())
TRUE: Final = Ask("TRUE", [])
FALSE: Final = Ask("FALSE", [])


class Dialect(Protocol):
    """How a database says what queries and their filters are made of."""

    def of_collections(self, names: tuple[str, ...], *, wanted: bool = True) -> Condition:
        """True for items of these collections, or of none of them."""
        ...

    def named(self, ids: tuple[str, ...]) -> Condition:
        """True for items with one of these ids."""
        ...

    def meeting_period(self, period: Period) -> Condition:
        """True for items whose period has a moment in common with this one."""
        ...

    def meeting_box(self, box: Box) -> Condition:
        """True for items whose geometry has a point in common with ``box``."""
        ...

    def meeting(self, geometry: BaseGeometry) -> Condition:
        """True for items whose geometry has a point in common with ``geometry``, which is prepared."""
        ...

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

    def by_value(self, name: str, holds: Callable[[Mapping[str, Any]], bool]) -> Condition | None:
        """True where ``holds`` is of a property alone, asked once for each value; None where that is not worth while.

        ``name`` has no dot.
        """
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
    """True where every part is; those that ask probes come last."""
    flat = [each for part in parts for each in part.parts or (part,) if each != ALWAYS]
    last = sorted(flat, key=lambda part: bool(part.probes))
    known = [part.within for part in last if part.within is not None]
    within = frozenset.intersection(*known) if known else None
    return _joined(last, " AND ", ALWAYS, within, listed=any(part.listed for part in last), parts_of_all=tuple(last))


def any_of(parts: Iterable[Condition]) -> Condition:
    """True where a part is."""
    choices = [part for part in parts if part != NEVER]
    if ALWAYS in choices:
        return ALWAYS
    known = [part.within for part in choices if part.within is not None]
    within = frozenset[str]().union(*known) if len(known) == len(choices) else None
    return _joined(choices, " OR ", NEVER, within, listed=all(part.listed for part in choices))


def one_of(column: str, values: Iterable[str], *, wanted: bool = True) -> Condition:
    """True where a column has one of the values, or none of them."""
    given = tuple(values)
    return Condition(f"{column} {'' if wanted else 'NOT '}IN ({', '.join('?' * len(given))})", given)


def rendered(condition: Condition, said: Callable[[Probe], Ask], *, mark: str = "?") -> Ask:
    """The condition for a database that has ``mark`` for a parameter; for each probe stands what is ``said`` of it."""
    first, *rest = condition.sql.split("?")
    pieces, parameters = [first], []
    for value, piece in zip(condition.parameters, rest, strict=True):
        if isinstance(value, Probe):
            about = said(value)
            pieces[-1] = pieces[-1].removesuffix("probe(")
            pieces += [about.sql, piece.removeprefix(")")]
            parameters += about.parameters
        else:
            pieces += [mark, piece]
            parameters.append(value)
    return Ask("".join(pieces), parameters)


def _joined(
    parts: list[Condition],
    word: str,
    empty: Condition,
    within: frozenset[str] | None,
    *,
    listed: bool,
    parts_of_all: tuple[Condition, ...] = (),
) -> Condition:
    if len(parts) < 2:
        return parts[0] if parts else empty
    parameters = tuple(value for part in parts for value in part.parameters)
    return Condition(f"({word.join(part.sql for part in parts)})", parameters, within, listed, parts_of_all)
