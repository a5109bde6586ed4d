"""CQL2 filters as conditions in SQL on a search backend.

The tree of AND, OR and NOT is written in SQL with every NOT moved to its leaves, so that a comparison with a
property that an item lacks, which is neither true nor false, never selects the item. How the leaves are said is
the backend's dialect; what SQL cannot say is asked of the package cql2, item by item.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import cql2
import shapely
from shapely.geometry.base import BaseGeometry

from cup4soil.errors import InvalidInput
from stac_catalog.search_conditions import ALWAYS, NEVER, Condition, Dialect, all_of, any_of
from stac_catalog.search_facts import Facts, Nothing
from stac_catalog.search_probes import property_probe
from stac_catalog.search_query import Filter
from stac_catalog.search_time import RELATIONS, as_time, comparison_with_time, is_time, temporal
from stac_catalog.search_values import Kind, check_geometry, parse_bbox, read_geometry, shown

MOST_CHARACTERS: Final = 10_000
_MOST_OPERATORS: Final = 500
_MOST_PARENTHESES: Final = 30
_MOST_DEPTH: Final = 60
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_OPERATOR = re.compile(r"[=<>+*/^%]|-(?=\s*[-(A-Za-z_])|\b(?:not|and|or|div|like|between|in|is)\b", re.IGNORECASE)

_OPPOSITE: Final = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRRORED: Final = {"=": "=", "<>": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
# What cql2 evaluates by itself, as part of a comparison or as a comparison.
_FUNCTIONS: Final = {"casei", "accenti", "+", "-", "*", "/", "^", "%", "div"}
_ARRAYS: Final = {"a_contains", "a_containedby", "a_overlaps", "a_equals"}
_SPATIAL: Final = {
    f"s_{name}" for name in ("contains", "crosses", "disjoint", "equals", "intersects", "overlaps", "touches", "within")
}


def parse_filter(value: object, language: str) -> Filter:
    """A filter in ``cql2-text`` or ``cql2-json`` (text or parsed), checked.

    Raises:
        InvalidInput: when it is no CQL2, uses what is not supported, or is too complicated.
    """
    tree = read_filter(value, language)
    check_filter(tree)
    return tree


def read_filter(value: object, language: str) -> Filter:
    """A filter as :func:`parse_filter` gives it, but for the check that all of it is supported.

    Raises:
        InvalidInput: when it is no CQL2, or is too long or too complicated to parse.
    """
    if language not in ("cql2-text", "cql2-json"):
        raise InvalidInput(f"filter-lang is {shown(language)}", "give cql2-text or cql2-json")
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput(f"filter has {len(text)} characters", f"give at most {MOST_CHARACTERS}")
    if language == "cql2-text":
        _check_complexity(text)
    try:
        tree: Filter = (cql2.parse_text if language == "cql2-text" else cql2.parse_json)(text).to_json()
    except (cql2.ParseError, RecursionError, UnicodeEncodeError) as error:
        raise InvalidInput(f"filter is no {language}: {shown(str(error))}", "see OGC 21-065r2") from error
    return tree


def check_filter(tree: Filter) -> None:
    """Refuse what no search can do.

    Raises:
        InvalidInput: when it uses what is not supported, or is too complicated.
    """
    condition_of(tree, Facts(Nothing()))


def condition_of(tree: Filter, dialect: Dialect) -> Condition:
    """The condition that a filter is, in this dialect.

    Raises:
        InvalidInput: when it uses what is not supported, or is too complicated.
    """
    return _Translation(dialect).node(tree, 0, wanted=True)


def _check_complexity(text: str) -> None:
    """Refuse what would exhaust the stack of the parser, which then ends the whole process."""
    bare = _QUOTED.sub("", text)
    depth = deepest = 0
    for sign in bare:
        depth += (sign == "(") - (sign == ")")
        deepest = max(deepest, depth)
    if deepest > _MOST_PARENTHESES or len(_OPERATOR.findall(bare)) > _MOST_OPERATORS:
        raise InvalidInput(
            "filter is too complicated", f"at most {_MOST_OPERATORS} operators, {_MOST_PARENTHESES} parentheses deep"
        )


class _Translation:
    """Writes a filter in a dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def node(self, node: object, depth: int, *, wanted: bool) -> Condition:
        """Condition for the node to be true, or to be false when that is what is ``wanted``."""
        if isinstance(node, bool):
            return ALWAYS if node == wanted else NEVER
        if not (isinstance(node, Mapping) and isinstance(node.get("op"), str) and isinstance(node.get("args"), list)):
            raise InvalidInput(f"filter has {shown(node)} for a condition", "give a comparison")
        if depth > _MOST_DEPTH:
            raise InvalidInput("filter is too complicated", f"nest at most {_MOST_DEPTH} conditions")
        operator, arguments = node["op"].lower(), node["args"]
        if operator == "not":
            return self.node(_only(operator, arguments, 1)[0], depth + 1, wanted=not wanted)
        if operator in ("and", "or") and arguments:
            parts = [self.node(each, depth + 1, wanted=wanted) for each in arguments]
            return (all_of if (operator == "and") == wanted else any_of)(parts)
        return self._leaf(operator, arguments, node, wanted=wanted)

    def _leaf(self, operator: str, arguments: list[Any], node: Mapping[str, Any], *, wanted: bool) -> Condition:
        if operator in _OPPOSITE:
            return self._comparison(operator, _only(operator, arguments, 2), node, wanted=wanted)
        if operator in _SPATIAL:
            return self._spatial(operator, _only(operator, arguments, 2), wanted=wanted)
        if operator in RELATIONS:
            return temporal(self._dialect, operator, arguments, wanted=wanted)
        match operator:
            case "isnull":
                return self._dialect.present(_name(_only(operator, arguments, 1)[0]), wanted=not wanted)
            case "between":
                return self._between(_only(operator, arguments, 3), node, wanted=wanted)
            case "in":
                return self._in(_only(operator, arguments, 2), node, wanted=wanted)
            case "like":
                return self._like(_only(operator, arguments, 2), node, wanted=wanted)
            case _ if operator in _ARRAYS:
                return self._evaluated(node, wanted=wanted)
        raise InvalidInput(f"filter uses {shown(operator)}, which is not supported", "see the conformance classes")

    def _comparison(self, operator: str, arguments: list[Any], node: Mapping[str, Any], *, wanted: bool) -> Condition:
        left, right = arguments
        if _is_property(right) and not _is_property(left):
            left, right, operator = right, left, _MIRRORED[operator]
        if not _is_property(left) or not _is_literal(right):
            return self._evaluated(node, wanted=wanted)
        return self._simple(_name(left), operator if wanted else _OPPOSITE[operator], right)

    def _simple(self, name: str, operator: str, value: Any) -> Condition:
        """Comparison of a property with a number, a string, a boolean or a time."""
        time = as_time(name, value)
        if time is not None:
            return comparison_with_time(self._dialect, name, operator, time)
        return self._dialect.fact(name, _kind(value), f"{operator} ?", (value,))

    def _between(self, arguments: list[Any], node: Mapping[str, Any], *, wanted: bool) -> Condition:
        subject, low, high = arguments
        if not (_is_property(subject) and _is_literal(low) and _is_literal(high)):
            return self._evaluated(node, wanted=wanted)
        name = _name(subject)
        if wanted:
            return all_of([self._simple(name, ">=", low), self._simple(name, "<=", high)])
        return any_of([self._simple(name, "<", low), self._simple(name, ">", high)])

    def _in(self, arguments: list[Any], node: Mapping[str, Any], *, wanted: bool) -> Condition:
        subject, values = arguments
        if not isinstance(values, list) or not values:
            raise InvalidInput(f"IN has {shown(values)}", "give a list of values")
        if not _is_property(subject) or not all(map(_is_literal, values)):
            return self._evaluated(node, wanted=wanted)
        name = _name(subject)
        if len(values) > _MOST_OPERATORS:
            raise InvalidInput(f"filter has a list of {len(values)} values", f"give at most {_MOST_OPERATORS}")
        if any(as_time(name, value) for value in values):
            parts = [self._simple(name, "=" if wanted else "<>", value) for value in values]
            return (any_of if wanted else all_of)(parts)
        by_kind: dict[Kind, list[Any]] = {}
        for value in values:
            by_kind.setdefault(_kind(value), []).append(value)
        if not wanted:
            kinds: tuple[Kind, ...] = ("n", "s", "b")
            by_kind = {kind: by_kind.get(kind, []) for kind in kinds}
        word = "IN" if wanted else "NOT IN"
        tails = {
            kind: f"{word} ({', '.join('?' * len(found))})" if found else "IS NOT NULL"
            for kind, found in by_kind.items()
        }
        return any_of(self._dialect.fact(name, kind, tails[kind], tuple(found)) for kind, found in by_kind.items())

    def _like(self, arguments: list[Any], node: Mapping[str, Any], *, wanted: bool) -> Condition:
        subject, pattern = arguments
        if not _is_property(subject) or not isinstance(pattern, str):
            return self._evaluated(node, wanted=wanted)
        return self._dialect.like(_name(subject), pattern, wanted=wanted)

    def _spatial(self, operator: str, arguments: list[Any], *, wanted: bool) -> Condition:
        swapped = not _is_property(arguments[0])
        subject, literal = reversed(arguments) if swapped else arguments
        if not _is_property(subject) or _name(subject) != "geometry":
            raise InvalidInput(f"{operator.upper()} has not the property geometry", "compare it with a geometry")
        geometry = _geometry(literal, operator.upper())
        return self._dialect.relation(operator, geometry, swapped=swapped, wanted=wanted)

    def _evaluated(self, node: Mapping[str, Any], *, wanted: bool) -> Condition:
        """A condition that cql2 evaluates for each item; where it cannot, a property is missing, and it is not met."""
        _check_expression(node, 0)
        expression = cql2.Expr(bare(node))

        def holds(properties: Mapping[str, Any]) -> bool:
            try:
                return bool(expression.matches(dict(properties))) == wanted
            except Exception:  # noqa: BLE001 - cql2 raises nothing more specific
                return False

        names = set(_names(node))
        if not names:
            return ALWAYS if holds({}) else NEVER
        if len(names) == 1 and "." not in (only := names.pop()):
            by_value = self._dialect.by_value(only, holds)
            if by_value is not None:
                return by_value
        name = f"{wanted} {expression.to_text()}"
        return self._dialect.evaluated(property_probe(name, lambda text: holds(json.loads(text))))


def _geometry(literal: object, name: str) -> BaseGeometry:
    if isinstance(literal, Mapping) and isinstance(literal.get("bbox"), list):
        union = shapely.union_all([box.shape for box in parse_bbox(literal["bbox"])])
        return check_geometry(union, name)
    return read_geometry(literal, name)


def _check_expression(node: object, depth: int) -> None:
    """Refuse what cql2 would not know how to evaluate."""
    if depth > _MOST_DEPTH:
        raise InvalidInput("filter is too complicated", f"nest at most {_MOST_DEPTH} expressions")
    if isinstance(node, Mapping) and "op" in node:
        operator = str(node["op"]).lower()
        known = _FUNCTIONS if depth else _ARRAYS | set(_OPPOSITE) | {"between", "in", "like"}
        if operator not in known or not isinstance(node.get("args"), list):
            raise InvalidInput(f"filter uses {shown(operator)}, which is not supported", "see the conformance classes")
        for each in node["args"]:
            _check_expression(each, depth + 1)
    elif isinstance(node, list):
        for each in node:
            _check_expression(each, depth + 1)
    elif not (_is_property(node) or _is_literal(node)):
        raise InvalidInput(f"filter has {shown(node)}", "give a property, a number, a string or a time")


def bare(node: Any) -> Any:
    """An expression with the names of properties as items have them."""
    if isinstance(node, Mapping):
        return {key: _name(node) if key == "property" else bare(value) for key, value in node.items()}
    return [bare(each) for each in node] if isinstance(node, list) else node


def _names(node: object) -> Iterator[str]:
    """The properties in an expression, with repetitions."""
    if _is_property(node):
        yield _name(node)
    parts = node.get("args") if isinstance(node, Mapping) else node
    for part in parts if isinstance(parts, list) else ():
        yield from _names(part)


def _only(operator: str, arguments: list[Any], number: int) -> list[Any]:
    if len(arguments) != number:
        raise InvalidInput(f"{operator.upper()} has {len(arguments)} arguments", f"give {number}")
    return arguments


def _is_property(value: object) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("property"), str)


def _is_literal(value: object) -> bool:
    return isinstance(value, str | int | float) or is_time(value)


def _name(value: object) -> str:
    if not isinstance(value, Mapping) or not isinstance(value.get("property"), str):
        raise InvalidInput(f"filter has {shown(value)} for a property", "name a property")
    name: str = value["property"]
    return name.removeprefix("properties.")


def _kind(value: object) -> Kind:
    if isinstance(value, bool):
        return "b"
    return "s" if isinstance(value, str) else "n"
