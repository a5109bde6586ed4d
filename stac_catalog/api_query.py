"""The query extension: comparisons by property, as the filter in CQL2 that says the same."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cup4soil.errors import InvalidInput
from stac_catalog.search_filter import MOST_CHARACTERS, parse_filter
from stac_catalog.search_query import Filter
from stac_catalog.search_values import shown

_MOST: Final = 100
_COMPARISONS: Final = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_PATTERNS: Final = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}
_NUMBER: Final = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?([eE][+-]?\d{1,2})?", re.ASCII)
_SPECIAL: Final = re.compile(r"[\\%_]")


def parse_query(value: object) -> Filter:
    """A filter from ``{"property": {"operator": value}}``, parsed or as text; all comparisons have to hold.

    Raises:
        InvalidInput: when it is no such object, uses an unknown operator, or is too complicated.
    """
    wanted = 'give an object such as {"gsd": {"lte": 20}}'
    if isinstance(value, str):
        try:
            value = json.loads(value) if len(value) <= MOST_CHARACTERS else None
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"query is {shown(value)}", wanted) from error
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
        raise InvalidInput(f"query is {shown(value)}", wanted)
    parts = [part for name, tests in value.items() for part in _comparisons(name, tests)]
    if not 0 < len(parts) <= _MOST:
        raise InvalidInput(f"query has {len(parts)} comparisons", f"give from 1 to {_MOST}")
    return parse_filter({"op": "and", "args": parts}, "cql2-json")


def _comparisons(name: str, tests: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for operator, value in tests.items():
        yield _comparison(operator, {"property": name}, value)


def _comparison(operator: str, subject: Mapping[str, str], value: Any) -> dict[str, Any]:
    if operator == "in":
        if not isinstance(value, list) or len(value) > _MOST or not all(map(_is_value, value)):
            raise InvalidInput(f"query has in {shown(value)}", f"give a list of at most {_MOST} values")
        return {"op": "in", "args": [subject, [*value, *_numbers(value)]]}
    if not _is_value(value):
        raise InvalidInput(f"query compares with {shown(value)}", "give text, a number or a boolean")
    if operator in _COMPARISONS:
        # Clients send numbers as text, too: whatever the property is, it is compared with its like.
        choices = [{"op": _COMPARISONS[operator], "args": [subject, each]} for each in (value, *_numbers([value]))]
        return {"op": "or", "args": choices} if len(choices) > 1 else choices[0]
    if operator not in _PATTERNS or not isinstance(value, str):
        known = ", ".join((*_COMPARISONS, *_PATTERNS, "in"))
        raise InvalidInput(f"query has {shown(operator)} {shown(value)}", f"use {known}, those of parts with text")
    escaped = _SPECIAL.sub(r"\\\g<0>", value)
    return {"op": "like", "args": [subject, _PATTERNS[operator].format(escaped)]}


def _numbers(values: Sequence[Any]) -> list[float]:
    """The numbers as which texts among the values read."""
    texts = [each for each in values if isinstance(each, str) and _NUMBER.fullmatch(each)]
    return [float(each) for each in texts]


def _is_value(value: object) -> bool:
    return isinstance(value, str | int | float)
