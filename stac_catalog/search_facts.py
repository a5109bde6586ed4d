"""What filters are made of in the embedded index: facts, an R-tree, and probes where SQL does not suffice."""

from collections.abc import Callable, Iterator
from typing import Final

from shapely.geometry.base import BaseGeometry

from stac_catalog.search_conditions import (
    ALWAYS,
    COLUMNS,
    NEVER,
    Condition,
    Value,
    all_of,
    any_of,
)
from stac_catalog.search_probes import Probe, relation_probe
from stac_catalog.search_values import Box, Kind

# Tails of conditions that few items may meet: then all that do are listed first.
_SELECTIVE: Final = ("=", "IN", "BETWEEN")


class Facts:
    """The dialect of the embedded index; ``few`` tells whether few facts meet a condition."""

    def __init__(self, few: Callable[[Condition], bool] = lambda _: True) -> None:
        self._few = few

    def fact(self, name: str, kind: Kind, tail: str, parameters: tuple[Value, ...]) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        if name in COLUMNS:
            column, of_kind = COLUMNS[name]
            return Condition(f"{column} {tail}", parameters) if kind == of_kind else NEVER
        met = Condition(f"name = ? AND kind = ? AND value {tail}", (name, kind, *parameters))
        if tail.startswith(_SELECTIVE) and self._few(met):
            return Condition(f"i.n IN (SELECT item FROM facts WHERE {met.sql})", met.parameters)  # noqa: S608
        # Of a condition that many items meet, only those are looked at that come before the page is full.
        return Condition(f"EXISTS (SELECT 1 FROM facts WHERE item = i.n AND {met.sql})", met.parameters)  # noqa: S608

    def like(self, name: str, pattern: str, *, wanted: bool) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        # GLOB, unlike SQLite's LIKE, heeds the case of letters, as CQL2 does.
        return self.fact(name, "s", "GLOB ?" if wanted else "NOT GLOB ?", ("".join(_glob(pattern)),))

    def present(self, name: str, *, wanted: bool) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        if name in COLUMNS or name == "geometry":
            return ALWAYS if wanted else NEVER
        return Condition(f"i.n {'' if wanted else 'NOT '}IN (SELECT item FROM facts WHERE name = ?)", (name,))  # noqa: S608

    def evaluated(self, probe: Probe) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        return Condition("probe(?, (SELECT properties FROM documents WHERE n = i.n))", (probe,))

    def relation(self, operator: str, geometry: BaseGeometry, *, swapped: bool, wanted: bool) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        exact = _on_shape(relation_probe(operator, geometry, swapped=swapped, wanted=wanted))
        # All but one of the relations, when true, have a point in common.
        touching = wanted != (operator == "s_disjoint")
        return all_of([_near(Box(*geometry.bounds)), exact]) if touching else exact

    def period(self, name: str) -> tuple[Condition, Condition]:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        if name == "datetime":
            return Condition("i.start"), Condition('i."end"')
        value = Condition("(SELECT value FROM facts WHERE item = i.n AND name = ? AND kind = 't')", (name,))
        return value, value


def touching(box: Box) -> Condition:
    """True for items whose geometry has a point in common with ``box``."""
    inside = Condition(
        "(i.west <= i.east AND i.west >= ? AND i.east <= ? AND i.south >= ? AND i.north <= ?)",
        (box.west, box.east, box.south, box.north),
    )
    # Most items lie inside or outside: the geometry is asked for the few on the edge.
    return all_of([_near(box), any_of([inside, _meeting(box.shape)])])


def meeting(geometry: BaseGeometry) -> Condition:
    """True for items whose geometry has a point in common with ``geometry``."""
    return all_of([_near(Box(*geometry.bounds)), _meeting(geometry)])


def _meeting(geometry: BaseGeometry) -> Condition:
    # Swapped, so that the geometry which is prepared comes first.
    return _on_shape(relation_probe("s_intersects", geometry, swapped=True))


def _near(box: Box) -> Condition:
    """True for items whose box touches ``box``: a look-up in the R-tree, which rounds outward."""
    where = "west <= ? AND east >= ? AND south <= ? AND north >= ?"
    values = (box.east, box.west, box.north, box.south)
    return Condition(f"i.n IN (SELECT id >> 1 FROM boxes WHERE {where})", values)  # noqa: S608


def _on_shape(probe: Probe) -> Condition:
    return Condition("probe(?, (SELECT shape FROM documents WHERE n = i.n))", (probe,))


def _glob(pattern: str) -> Iterator[str]:
    signs = iter(pattern)
    for sign in signs:
        if sign == "\\":
            sign = next(signs, "\\")
        elif sign in "%_":
            yield "*" if sign == "%" else "?"
            continue
        yield f"[{sign}]" if sign in "*?[" else sign
