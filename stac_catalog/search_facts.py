"""What filters are made of in the embedded index: facts, an R-tree, and probes where SQL does not suffice."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from shapely.geometry.base import BaseGeometry

from stac_catalog.search_conditions import (
    ALWAYS,
    COLUMNS,
    NEVER,
    Ask,
    Condition,
    Value,
    all_of,
    any_of,
    one_of,
)
from stac_catalog.search_probes import Probe, relation_probe
from stac_catalog.search_values import Box, Kind, Period

# What a fact's value is compared by, where the table of facts is in its order; and which collections may have such
# values, by the least and the most of those that they have.
_SPREADS: Final = {
    "=": "least <= :high AND most >= :low",
    "IN": "least <= :high AND most >= :low",
    "BETWEEN": "least <= :high AND most >= :low",
    "<": "least < :high",
    "<=": "least <= :high",
    ">": "most > :low",
    ">=": "most >= :low",
}
# Of items that are listed one by one: others are soon come by when one looks at every item.
_MOST_EQUAL: Final = 2000
_MOST_IN_RANGE: Final = 500
_MOST_NEAR: Final = 2000
_MOST_VALUES: Final = 50  # of a property, for which a function is asked about every one
_OVERLAPS: Final = "west <= ? AND east >= ? AND south <= ? AND north >= ?"


class Known(Protocol):
    """What can be learnt of the index before a search."""

    def items(self, sql: str, parameters: Sequence[Value], most: int) -> list[int] | None:
        """Numbers of the items that a statement selects; None where they are more than ``most``, or unknown."""
        ...

    def collections(self, sql: str, parameters: Mapping[str, Value]) -> frozenset[str] | None:
        """The collections that a statement selects; None where they are unknown."""
        ...

    def values(self, name: str, most: int) -> list[tuple[Kind, Value]] | None:
        """The values of a property; None where they are more than ``most``, not all known, or all unknown."""
        ...


class Nothing:
    """No index to learn from: for filters that are only checked."""

    def items(self, sql: str, parameters: Sequence[Value], most: int) -> None:
        """See :class:`Known`."""

    def collections(self, sql: str, parameters: Mapping[str, Value]) -> None:
        """See :class:`Known`."""

    def values(self, name: str, most: int) -> None:
        """See :class:`Known`."""


class Facts:
    """The dialect of the embedded index."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def of_collections(self, names: tuple[str, ...], *, wanted: bool = True) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        # Those that are wanted are said at the end, with what else is known of collections.
        return replace(ALWAYS, within=frozenset(names)) if wanted else one_of("i.collection", names, wanted=False)

    def named(self, ids: tuple[str, ...]) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        return replace(one_of("i.id", ids), listed=True)

    def meeting_period(self, period: Period) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        ends = [("i.start <= ?", period.end), ('i."end" >= ?', period.start)]
        return all_of(Condition(sql, (end,)) for sql, end in ends if end is not None)

    def meeting_box(self, box: Box) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        inside = Condition(
            "(i.west <= i.east AND i.west >= ? AND i.east <= ? AND i.south >= ? AND i.north <= ?)",
            (box.west, box.east, box.south, box.north),
        )
        # Most items lie inside or outside: the geometry is asked for the few on the edge.
        return all_of([self._near(box), any_of([inside, self._meeting(box.shape)])])

    def meeting(self, geometry: BaseGeometry) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        return all_of([self._near(Box(*geometry.bounds)), self._meeting(geometry)])

    def fact(self, name: str, kind: Kind, tail: str, parameters: tuple[Value, ...]) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        if name in COLUMNS:
            column, of_kind = COLUMNS[name]
            return Condition(f"{column} {tail}", parameters) if kind == of_kind else NEVER
        within = self._collections(name, kind, tail, parameters)
        if within is not None and not within:
            return NEVER
        met, values = f"name = ? AND kind = ? AND value {tail}", (name, kind, *parameters)
        comparison = _comparison(tail)
        if comparison in _SPREADS:
            most = _MOST_EQUAL if comparison in ("=", "IN") else _MOST_IN_RANGE
            items = self._known.items(f"SELECT item FROM facts WHERE {met}", values, most)  # noqa: S608
            if items is not None:
                return _among(items, within)
        # Of what many items meet, only those are looked at that come before the page is full.
        return Condition(f"EXISTS (SELECT 1 FROM facts WHERE item = i.n AND {met})", values, within)  # noqa: S608

    def like(self, name: str, pattern: str, *, wanted: bool) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        # GLOB, unlike SQLite's LIKE, heeds the case of letters, as CQL2 does.
        return self.fact(name, "s", "GLOB ?" if wanted else "NOT GLOB ?", ("".join(_glob(pattern)),))

    def present(self, name: str, *, wanted: bool) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        if name in COLUMNS or name == "geometry":
            return ALWAYS if wanted else NEVER
        sql = "EXISTS (SELECT 1 FROM facts WHERE item = i.n AND name = ?)"
        return Condition(sql if wanted else f"NOT {sql}", (name,))

    def evaluated(self, probe: Probe) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        return Condition("probe(?)", (probe,))

    def by_value(self, name: str, holds: Callable[[Mapping[str, Any]], bool]) -> Condition | None:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        values = None if name in COLUMNS else self._known.values(name, _MOST_VALUES)
        if values is None:
            return None
        met: dict[Kind, list[Value]] = {}
        for kind, value in values:
            if holds({name: bool(value) if kind == "b" else value}):
                met.setdefault(kind, []).append(value)
        parts = (
            self.fact(name, kind, f"IN ({', '.join('?' * len(found))})", tuple(found)) for kind, found in met.items()
        )
        return any_of(parts)

    def relation(self, operator: str, geometry: BaseGeometry, *, swapped: bool, wanted: bool) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        exact = self.evaluated(relation_probe(operator, geometry, swapped=swapped, wanted=wanted))
        # All but one of the relations, when true, have a point in common.
        touching = wanted != (operator == "s_disjoint")
        return all_of([self._near(Box(*geometry.bounds)), exact]) if touching else exact

    def period(self, name: str) -> tuple[Condition, Condition]:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        if name == "datetime":
            return Condition("i.start"), Condition('i."end"')
        value = Condition("(SELECT value FROM facts WHERE item = i.n AND name = ? AND kind = 't')", (name,))
        return value, value

    def _meeting(self, geometry: BaseGeometry) -> Condition:
        # Swapped, so that the geometry which is prepared comes first.
        return self.evaluated(relation_probe("s_intersects", geometry, swapped=True))

    def _near(self, box: Box) -> Condition:
        """True for items whose box touches ``box``: by the R-tree, which rounds outward, where that finds few."""
        found = self._known.items(
            f"SELECT id >> 1 FROM boxes WHERE {_OVERLAPS}",  # noqa: S608
            (box.east, box.west, box.north, box.south),
            _MOST_NEAR,
        )
        if found is not None:
            return _among(found)
        return Condition(
            "(((i.west <= ? AND i.east >= ?) OR (i.west > i.east AND (i.west <= ? OR i.east >= ?)))"
            " AND i.south <= ? AND i.north >= ?)",
            (box.east, box.west, box.east, box.west, box.north, box.south),
        )

    def _collections(self, name: str, kind: Kind, tail: str, parameters: tuple[Value, ...]) -> frozenset[str] | None:
        """The collections in which there may be such a fact."""
        spread = _SPREADS.get(_comparison(tail), "TRUE")
        sql = f"SELECT collection FROM spreads WHERE name = :name AND kind = :kind AND {spread}"  # noqa: S608
        # They are all numbers or all text.
        ends = {"low": min(parameters), "high": max(parameters)} if parameters else {}
        return self._known.collections(sql, {"name": name, "kind": kind, **ends})


def among(items: Sequence[int]) -> Ask:
    """What is true of the items with these numbers."""
    return Ask("i.n IN (SELECT value FROM json_each(?))", [json.dumps(list(items))])


def _among(items: list[int], within: frozenset[str] | None = None) -> Condition:
    if not items:
        return NEVER
    sql, parameters = among(items)
    return Condition(sql, tuple(parameters), within, listed=True)


def _comparison(tail: str) -> str:
    return tail.partition(" ")[0]


def _glob(pattern: str) -> Iterator[str]:
    signs = iter(pattern)
    for sign in signs:
        if sign == "\\":
            sign = next(signs, "\\")
        elif sign in "%_":
            yield "*" if sign == "%" else "?"
            continue
        yield f"[{sign}]" if sign in "*?[" else sign
