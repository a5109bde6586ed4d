"""Conditions in SQL on the items of the search index, put together from parts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from stac_catalog.search_values import Box, Kind

# What is no fact but a column of the items. An item with a period counts by its beginning.
COLUMNS: Final[dict[str, tuple[str, Kind]]] = {
    "id": ("i.id", "s"),
    "collection": ("i.collection", "s"),
    "datetime": ("i.start", "t"),
}
# Tails of conditions that few items meet, as a rule: all that do are listed first.
_SELECTIVE: Final = ("=", "IN", "BETWEEN")


@dataclass(frozen=True, slots=True)
class Probe:
    """A test of one item that SQL cannot do; ``name`` tells it from others."""

    name: str
    test: Callable[[bytes | str], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL over ``items AS i`` with its parameters, in which a probe stands for its number."""

    sql: str
    parameters: tuple[str | int | float | Probe, ...] = ()


ALWAYS: Final = Condition("1")
NEVER: Final = Condition("0")


def all_of(parts: Iterable[Condition]) -> Condition:
    """True where every part is."""
    return _joined(list(parts), " AND ", ALWAYS)


def any_of(parts: Iterable[Condition]) -> Condition:
    """True where a part is."""
    return _joined(list(parts), " OR ", NEVER)


def fact(name: str, kind: Kind, tail: str, parameters: tuple[str | int | float, ...]) -> Condition:
    """True for items whose property ``name`` is of this kind and fits ``tail``, such as ``> ?``."""
    if name in COLUMNS:
        column, of_kind = COLUMNS[name]
        return Condition(f"{column} {tail}", parameters) if kind == of_kind else NEVER
    where = f"name = ? AND kind = ? AND value {tail}"
    values = (name, kind, *parameters)
    if tail.startswith(_SELECTIVE):
        return Condition(f"i.n IN (SELECT item FROM facts WHERE {where})", values)  # noqa: S608
    # Of a condition that many items meet, only those are looked at that come before the page is full.
    return Condition(f"EXISTS (SELECT 1 FROM facts WHERE item = i.n AND {where})", values)  # noqa: S608


def present(name: str, *, wanted: bool) -> Condition:
    """True for items that have the property ``name``, or for those that lack it."""
    if name in COLUMNS or name == "geometry":
        return ALWAYS if wanted else NEVER
    return Condition(f"i.n {'' if wanted else 'NOT '}IN (SELECT item FROM facts WHERE name = ?)", (name,))  # noqa: S608


def on_shape(probe: Probe) -> Condition:
    """True where the probe accepts an item's geometry (WKB)."""
    return Condition("probe(?, (SELECT shape FROM documents WHERE n = i.n))", (probe,))


def on_properties(probe: Probe) -> Condition:
    """True where the probe accepts an item's properties (JSON)."""
    return Condition("probe(?, (SELECT properties FROM documents WHERE n = i.n))", (probe,))


def near(box: Box) -> Condition:
    """True for items whose box touches ``box``: a look-up in the R-tree, which rounds outward."""
    where = "west <= ? AND east >= ? AND south <= ? AND north >= ?"
    values = (box.east, box.west, box.north, box.south)
    return Condition(f"i.n IN (SELECT id >> 1 FROM boxes WHERE {where})", values)  # noqa: S608


def touching(box: Box) -> Condition:
    """True for items whose geometry has a point in common with ``box``."""
    inside = Condition(
        "(i.west <= i.east AND i.west >= ? AND i.east <= ? AND i.south >= ? AND i.north <= ?)",
        (box.west, box.east, box.south, box.north),
    )
    # Most items lie inside or outside: the geometry is asked for the few on the edge.
    return all_of([near(box), any_of([inside, meeting(box.shape)])])


def meeting(geometry: BaseGeometry) -> Condition:
    """True for items whose geometry has a point in common with ``geometry``."""
    shapely.prepare(geometry)
    return relation("intersects", lambda shape: bool(shapely.intersects(geometry, shape)), geometry)


def relation(name: str, test: Callable[[BaseGeometry], bool], geometry: BaseGeometry) -> Condition:
    """True for items whose geometry passes ``test``, a relation to ``geometry``."""
    return on_shape(Probe(f"{name} {geometry.wkb_hex}", lambda wkb: test(shapely.from_wkb(wkb))))


def _joined(parts: list[Condition], word: str, empty: Condition) -> Condition:
    if len(parts) < 2:
        return parts[0] if parts else empty
    parameters = tuple(value for part in parts for value in part.parameters)
    return Condition(f"({word.join(part.sql for part in parts)})", parameters)
