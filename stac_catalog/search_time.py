"""Times in CQL2 filters: comparisons with instants and dates, and relations of periods."""

from collections.abc import Mapping
from typing import Any, Final

from cup4soil.errors import InvalidInput
from stac_catalog.search_conditions import Condition, Dialect
from stac_catalog.search_values import SECOND, parse_instant, shown

TIMES: Final = frozenset({"datetime", "start_datetime", "end_datetime", "created", "updated", "published", "expires"})
_DAY: Final = 86_400 * SECOND
FAR: Final = 2**62

# Of the first period (a, b) to the second (c, d); both ends are part of a period.
_RELATIONS: Final = {
    "t_after": "{a} > {d}",
    "t_before": "{b} < {c}",
    "t_contains": "{a} < {c} AND {b} > {d}",
    "t_disjoint": "({b} < {c} OR {a} > {d})",
    "t_during": "{a} > {c} AND {b} < {d}",
    "t_equals": "{a} = {c} AND {b} = {d}",
    "t_intersects": "{a} <= {d} AND {b} >= {c}",
}
RELATIONS: Final = frozenset(_RELATIONS)

type _Side = tuple[Condition, Condition]


def is_time(value: object) -> bool:
    """True for a TIMESTAMP or a DATE."""
    return isinstance(value, Mapping) and ("timestamp" in value or "date" in value)


def comparison_with_time(dialect: Dialect, name: str, operator: str, value: Mapping[str, Any]) -> Condition:
    """The comparison of a property with a TIMESTAMP, or with a DATE, which is the whole of that day in UTC."""
    first, last = _span(value)
    if operator in ("=", "<>"):
        return dialect.fact(name, "t", f"{'' if operator == '=' else 'NOT '}BETWEEN ? AND ?", (first, last))
    return dialect.fact(name, "t", f"{operator} ?", (last if operator in (">", "<=") else first,))


def as_time(name: str, value: object) -> Mapping[str, Any] | None:
    """A TIMESTAMP or DATE, or a string that reads as one where the property ``name`` is a time; else None."""
    if isinstance(value, Mapping):
        return value if is_time(value) else None
    if name not in TIMES or not isinstance(value, str):
        return None
    try:
        parse_instant(value)
    except InvalidInput:
        return None
    return {"timestamp": value}


def temporal(dialect: Dialect, operator: str, arguments: list[Any], *, wanted: bool) -> Condition:
    """A temporal relation such as ``T_INTERSECTS``. The property ``datetime`` stands for the item's whole period.

    Raises:
        InvalidInput: when an argument is no time, date, interval or property.
    """
    if len(arguments) != 2:
        raise InvalidInput(f"{operator.upper()} has {len(arguments)} arguments", "give two")
    (a, b), (c, d) = (_side(dialect, each) for each in arguments)
    sql = _RELATIONS[operator].format(a=a.sql, b=b.sql, c=c.sql, d=d.sql)
    # The order in which the relation's pattern names its ends is the order of the parameters.
    ends = {"{a}": a, "{b}": b, "{c}": c, "{d}": d}
    pattern = _RELATIONS[operator]
    order = sorted(ends, key=pattern.find)
    parameters = tuple(value for end in order if end in pattern for value in ends[end].parameters)
    return Condition(f"({sql})" if wanted else f"(NOT ({sql}))", parameters)


def _side(dialect: Dialect, value: object) -> _Side:
    if isinstance(value, Mapping) and "property" in value:
        return dialect.period(str(value["property"]).removeprefix("properties."))
    if isinstance(value, Mapping) and "interval" in value:
        ends = value["interval"]
        if not isinstance(ends, list) or len(ends) != 2:
            raise InvalidInput(f"the interval {shown(ends)} has not two ends", "give INTERVAL(start, end)")
        return _end(dialect, ends[0], 0), _end(dialect, ends[1], 1)
    first, last = _span(value)
    return Condition("?", (first,)), Condition("?", (last,))


def _end(dialect: Dialect, value: object, side: int) -> Condition:
    if value == "..":
        return Condition("?", (FAR if side else -FAR,))
    if isinstance(value, str):
        value = {"timestamp" if "t" in value.lower() else "date": value}
    return _side(dialect, value)[side]


def _span(value: object) -> tuple[int, int]:
    """First and last microsecond of a TIMESTAMP or a DATE."""
    if isinstance(value, Mapping) and isinstance(value.get("timestamp"), str):
        instant = parse_instant(value["timestamp"])
        return instant, instant
    if isinstance(value, Mapping) and isinstance(value.get("date"), str):
        first = parse_instant(f"{value['date']}T00:00:00Z")
        return first, first + _DAY - 1
    raise InvalidInput(f"{shown(value)} is no time", "give TIMESTAMP('...'), DATE('...') or INTERVAL('...', '...')")
