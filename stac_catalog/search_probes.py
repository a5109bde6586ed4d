"""Tests of one item that SQL cannot do, asked in Python."""

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Probe:
    """A test of an item's properties (JSON) or shape (WKB); ``name`` tells it from others."""

    name: str
    test: Callable[[bytes | str], bool]
    of: Literal["properties", "shape"] = "properties"


def relation_probe(operator: str, geometry: BaseGeometry, *, swapped: bool = False, wanted: bool = True) -> Probe:
    """Whether CQL2's spatial operator between an item's shape and ``geometry`` has the truth that is wanted.

    ``swapped`` asks for the relation of ``geometry`` to the shape.
    """
    relation = _RELATIONS[operator]
    shapely.prepare(geometry)

    def test(wkb: bytes | str) -> bool:
        shape = shapely.from_wkb(wkb)
        return bool(relation(geometry, shape) if swapped else relation(shape, geometry)) == wanted

    return Probe(f"{operator} {swapped} {wanted} {geometry.wkb_hex}", test, "shape")
