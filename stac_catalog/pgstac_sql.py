"""Queries on pgstac's items as SQL.

pgstac's own function ``search`` orders text by the database's collation, takes a string for what it looks like and
counts by estimates. These statements ask its tables for what every backend answers. What SQL cannot say is a probe, for
which :func:`rendered` writes what its caller knows of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import shapely
from shapely.geometry.base import BaseGeometry

from stac_catalog.search_conditions import (
    ALWAYS,
    COLUMNS,
    NEVER,
    Ask,
    Condition,
    Value,
    all_of,
    one_of,
)
from stac_catalog.search_conditions import rendered as as_asked
from stac_catalog.search_paging import Term
from stac_catalog.search_probes import Probe, relation_probe
from stac_catalog.search_query import SortField
from stac_catalog.search_time import TIMES
from stac_catalog.search_values import Box, Kind, Period, instant_text


def _microseconds(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint"


# Items with the columns that conditions name; ``of`` and ``name`` are what ``collection`` and ``id`` are, with indexes.
# Properties are taken out of the large ``content`` once for an item, not for each condition: hence OFFSET.
ITEMS: Final = f"""(
    SELECT collection AS of, id AS name, collection COLLATE "C" AS collection, id COLLATE "C" AS id,
        datetime AS since, end_datetime AS until,
        {_microseconds("datetime")} AS start, {_microseconds("end_datetime")} AS "end",
        geometry, content->'bbox' AS bbox, p.properties, private
    FROM pgstac.items CROSS JOIN LATERAL (SELECT content->'properties' AS properties OFFSET 0) AS p
) AS i"""  # noqa: S608
# Type in JSON of a kind of value, and what makes the value of it.
_TYPED: Final[dict[Kind, tuple[str, str]]] = {
    "n": ("number", "({})::numeric"),
    "b": ("boolean", "({})::boolean"),
    "s": ("string", """(({}) #>> '{{}}') COLLATE "C\""""),
    "t": ("string", _microseconds("(({}) #>> '{{}}')::timestamptz")),
}


class Documents:
    """The dialect of pgstac's items, whose properties are JSON."""

    def of_collections(self, names: tuple[str, ...], *, wanted: bool = True) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        return one_of("i.of", names, wanted=wanted)

    def named(self, ids: tuple[str, ...]) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        return one_of("i.name", ids)

    def meeting_period(self, period: Period) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        ends = [("i.since <= ?::timestamptz", period.end), ("i.until >= ?::timestamptz", period.start)]
        return all_of(Condition(sql, (instant_text(end),)) for sql, end in ends if end is not None)

    def meeting_box(self, box: Box) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        return self.meeting(box.shape)

    def meeting(self, geometry: BaseGeometry) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        return _meeting(geometry)

    def fact(self, name: str, kind: Kind, tail: str, parameters: tuple[Value, ...]) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        if name in COLUMNS:
            column, of_kind = COLUMNS[name]
            return Condition(f"{column} {tail}", parameters) if kind == of_kind else NEVER
        value = _typed(name, kind)
        return NEVER if value is None else Condition(f"({value.sql}) {tail}", (*value.parameters, *parameters))

    def like(self, name: str, pattern: str, *, wanted: bool) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        # A backslash at the end stands for itself.
        alone = (len(pattern) - len(pattern.rstrip("\\"))) % 2
        return self.fact(name, "s", "LIKE ?" if wanted else "NOT LIKE ?", (pattern + "\\" * alone,))

    def present(self, name: str, *, wanted: bool) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        if name in COLUMNS or name == "geometry":
            return ALWAYS if wanted else NEVER
        value = json_value(name)
        sql = f"coalesce(jsonb_typeof({value.sql}), 'null') {'<>' if wanted else '='} 'null'"
        return Condition(sql, value.parameters)

    def evaluated(self, probe: Probe) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        return Condition("probe(?)", (probe,))

    def by_value(self, name: str, holds: Callable[[Mapping[str, Any]], bool]) -> None:
        """See :class:`stac_catalog.search_conditions.Dialect`. Without an index of values it would be no quicker."""

    def relation(self, operator: str, geometry: BaseGeometry, *, swapped: bool, wanted: bool) -> Condition:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        if operator in ("s_intersects", "s_disjoint"):
            return _meeting(geometry, wanted=wanted == (operator == "s_intersects"))
        # PostGIS refuses collections of geometries in the others.
        exact = Condition("probe(?)", (relation_probe(operator, geometry, swapped=swapped, wanted=wanted),))
        return all_of([_near(geometry), exact]) if wanted else exact

    def period(self, name: str) -> tuple[Condition, Condition]:
        """See :class:`stac_catalog.search_conditions.Dialect`."""
        if name == "datetime":
            return Condition("i.start"), Condition('i."end"')
        value = _typed(name, "t") or Condition("NULL::bigint")
        return value, value


def sort_terms(sort: Sequence[SortField]) -> list[Term]:
    """What items are ordered by. Those that lack a property come last; ids make the order complete."""
    terms = []
    for field in sort:
        if field.name in COLUMNS:
            terms.append(Term(COLUMNS[field.name][0], field.descending))
        else:
            missing, *values = order_of_values(_literal_value(field.name))
            terms += [Term(missing), *(Term(value, field.descending) for value in values)]
    return [*terms, Term("i.collection"), Term("i.id")]


def order_of_values(value: str) -> list[str]:
    """What JSON values are ordered by: whether one is missing, then numbers with booleans before text."""
    kind = f"jsonb_typeof({value})"
    number = f"WHEN 'number' THEN ({value})::float8 WHEN 'boolean' THEN ({value})::boolean::int"
    return [
        f"(coalesce({kind}, 'null') NOT IN ('number', 'boolean', 'string'))::int",
        f"(coalesce({kind}, 'null') = 'string')::int",
        f"(CASE {kind} {number} ELSE 0 END)",
        f"""(CASE {kind} WHEN 'string' THEN {value} #>> '{{}}' ELSE '' END COLLATE "C")""",
    ]


def rendered(condition: Condition, said: Callable[[Probe], Ask]) -> Ask:
    """The condition for psycopg; for each probe stands what is ``said`` of it."""
    return as_asked(replace(condition, sql=condition.sql.replace("%", "%%")), said, mark="%s")


_GEOMETRY: Final = "ST_GeomFromWKB(decode(?, 'hex'), 4326)"


def _meeting(geometry: BaseGeometry, *, wanted: bool = True) -> Condition:
    """True for items whose geometry has a point in common with ``geometry``, or has none."""
    sql = f"ST_Intersects(i.geometry, {_GEOMETRY})"
    return Condition(sql if wanted else f"NOT {sql}", (shapely.to_wkb(geometry, hex=True),))


def _near(geometry: BaseGeometry) -> Condition:
    """True for items whose box touches that of ``geometry``."""
    return Condition(f"i.geometry && {_GEOMETRY}", (shapely.to_wkb(Box(*geometry.bounds).shape, hex=True),))


def _typed(name: str, kind: Kind) -> Condition | None:
    """The value of a property where it is of this kind, else NULL; None where no item can have one."""
    if kind not in _TYPED or (kind == "t" and name not in TIMES):
        return None
    value = json_value(name)
    of_type, typed = _TYPED[kind]
    sql = f"CASE WHEN jsonb_typeof({value.sql}) = '{of_type}' THEN {typed.format(value.sql)} END"
    return Condition(sql, (*value.parameters, *value.parameters))


def json_value(name: str) -> Condition:
    """A property, or with a dot in its name a member of one, as JSON."""
    paths = _paths(name)
    parts = ["".join(["i.properties", *("->?::text" for _ in path)]) for path in paths]
    return Condition(_first(parts), tuple(key for path in paths for key in path))


def _literal_value(name: str) -> str:
    """As :func:`json_value`, for a name that was checked to be a plain one."""
    quoted = [[f"->'{key}'" for key in path] for path in _paths(name)]
    return _first(["".join(["i.properties", *path]) for path in quoted])


def _first(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"


def _paths(name: str) -> list[tuple[str, ...]]:
    dots = [place for place, sign in enumerate(name) if sign == "."]
    return [(name,), *((name[:dot], name[dot + 1 :]) for dot in dots)]
