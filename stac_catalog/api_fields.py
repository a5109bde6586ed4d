"""The fields extension: which parts of an item or a collection an answer has."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cup4soil.errors import InvalidInput
from stac_catalog.search_values import shown

_MOST: Final = 100
_PATH = re.compile(r"[\w:-]+(?:\.[\w:-]+){0,4}")

type _Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """Of one kind of document: without ``least`` it is not valid STAC.

    Names that are none of the ``members`` are looked for in the member ``within``, where there is one.
    """

    least: tuple[_Path, ...]
    members: frozenset[str]
    within: str | None


# What an answer always has unless it is excluded.
_IDENTITY: Final[tuple[_Path, ...]] = (("id",), ("type",), ("stac_version",), ("collection",))
ITEM: Final = Shape(
    (
        ("id",), ("type",), ("stac_version",), ("collection",), ("geometry",), ("bbox",), ("links",), ("assets",),
        ("properties", "datetime"), ("properties", "start_datetime"), ("properties", "end_datetime"),
    ),
    frozenset({
        "id", "type", "stac_version", "stac_extensions", "collection", "geometry", "bbox", "links", "assets",
        "properties",
    }),
    "properties",
)  # fmt: skip
COLLECTION: Final = Shape(
    (("id",), ("type",), ("stac_version",), ("description",), ("license",), ("extent",), ("links",)),
    frozenset(),
    None,
)


@dataclass(frozen=True, slots=True)
class Fields:
    """Paths of what is there beside ``base`` (None: everything there is), and of what is left out.

    Of two that concern the same member the longer path counts, and of equal ones that which includes.
    """

    base: tuple[_Path, ...] | None
    include: tuple[_Path, ...]
    exclude: tuple[_Path, ...]

    def of(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The parts of a document that were asked for."""
        chosen: dict[str, Any] = dict(document) if self.base is None else {}
        for path in (*(self.base or ()), *self.include):
            _copy(document, chosen, path)
        for path in self.exclude:
            _drop(chosen, path)
        for path in self.include:
            if any(path[: len(other)] == other for other in self.exclude):
                _copy(document, chosen, path)
        return chosen


def parse_fields(value: object, shape: Shape) -> Fields:
    """Fields from ``name,-name`` or from an object with lists ``include`` and ``exclude``.

    As the extension has it since 1.0.0: what is included is all there is, beside what it is; where something is only
    excluded, all else is there; where neither is named, or ``include`` is there and empty, the least that is valid.

    Raises:
        InvalidInput: when it is neither, or names too many.
    """
    if isinstance(value, str):
        names = [name.strip() for name in value.split(",") if name.strip()]
        include: object = [name.removeprefix("+") for name in names if not name.startswith("-")]
        exclude: object = [name.removeprefix("-") for name in names if name.startswith("-")]
        emptied = not names
    elif isinstance(value, Mapping) and set(value) <= {"include", "exclude"}:
        include, exclude = value.get("include") or [], value.get("exclude") or []
        emptied = "include" in value or not exclude
    else:
        raise InvalidInput(f"fields is {shown(value)}", "give lists include and exclude")
    base = _IDENTITY if include else shape.least if emptied else None
    return Fields(base, _paths(include, shape), _paths(exclude, shape))


def _paths(names: object, shape: Shape) -> tuple[_Path, ...]:
    if not isinstance(names, Sequence) or isinstance(names, str) or len(names) > _MOST:
        raise InvalidInput(f"fields has {shown(names)}", f"give a list of at most {_MOST} names")
    return tuple(_path(name, shape) for name in names)


def _path(name: object, shape: Shape) -> _Path:
    if not isinstance(name, str) or not _PATH.fullmatch(name):
        raise InvalidInput(f"fields has {shown(name)}", "give names such as properties.title")
    first, *rest = name.split(".")
    return (first, *rest) if shape.within is None or first in shape.members else (shape.within, first, *rest)


def _copy(source: Any, target: dict[str, Any], path: _Path) -> None:
    """Take over what lies at ``path``; what is not there is left out."""
    first, *rest = path
    if not isinstance(source, Mapping) or first not in source:
        return
    if not rest:
        target[first] = dict(source[first]) if isinstance(source[first], Mapping) else source[first]
    elif isinstance(source[first], Mapping):
        _copy(source[first], target.setdefault(first, {}), tuple(rest))


def _drop(target: Any, path: _Path) -> None:
    first, *rest = path
    if not isinstance(target, dict) or first not in target:
        return
    if not rest:
        del target[first]
    elif isinstance(target[first], dict):
        target[first] = dict(target[first])
        _drop(target[first], tuple(rest))
