"""Tests of items that SQL cannot do, asked in Python about many items at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import shapely
from shapely.geometry.base import BaseGeometry

_RELATIONS: Final[dict[str, Callable[[BaseGeometry, BaseGeometry], Any]]] = {
    "s_contains": shapely.contains,
    "s_crosses": shapely.crosses,
    "s_disjoint": shapely.disjoint,
    "s_equals": shapely.equals,
    "s_intersects": shapely.intersects,
    "s_overlaps": shapely.overlaps,
    "s_touches": shapely.touches,
    "s_within": shapely.within,
}

ASKED_AT_ONCE: Final = 200  # items, between two looks at the clock


@dataclass(frozen=True, slots=True)
class Probe:
    """A test of items' properties (JSON) or shapes (WKB), one truth for each; ``name`` tells it from others."""

    name: str
    accepts: Callable[[Sequence[Any]], Sequence[bool]] = field(compare=False)
    of: Literal["properties", "shape"] = "properties"


def relation_probe(operator: str, geometry: BaseGeometry, *, swapped: bool = False, wanted: bool = True) -> Probe:
    """Whether CQL2's spatial operator between an item's shape and ``geometry`` has the truth that is wanted.

    ``swapped`` asks for the relation of ``geometry`` to the shape.
    """
    relation = _RELATIONS[operator]
    shapely.prepare(geometry)

    def accepts(shapes: Sequence[bytes]) -> Sequence[bool]:
        items = shapely.from_wkb(list(shapes))
        truths = relation(geometry, items) if swapped else relation(items, geometry)
        return [bool(truth) == wanted for truth in truths.tolist()]

    return Probe(f"{operator} {swapped} {wanted} {geometry.wkb_hex}", accepts, "shape")


def property_probe(name: str, test: Callable[[str], bool]) -> Probe:
    """A test of the properties of one item after the other."""
    return Probe(name, lambda texts: [test(text) for text in texts])
