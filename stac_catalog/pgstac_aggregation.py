"""Aggregations of pgstac's items as SQL, whose rows :func:`stac_catalog.search_sql_aggregation.aggregated` reads."""

from typing import Final

from stac_catalog.pgstac_sql import ITEMS, json_value, order_of_values, rendered
from stac_catalog.search_aggregation import MOST_BUCKETS, Aggregation, columns_and_rows
from stac_catalog.search_conditions import COLUMNS, TRUE, Ask

_WEST, _SOUTH = "(i.bbox->>0)::float8", "(i.bbox->>1)::float8"
# Of a box with heights the third and fourth of four, else the fourth and fifth of six.
_EAST = "(i.bbox->>(jsonb_array_length(i.bbox) / 2))::float8"
_NORTH = "(i.bbox->>(jsonb_array_length(i.bbox) / 2 + 1))::float8"
# Middle of an item's box, from 0 at 180 degrees west to 360; boxes across the antimeridian have west > east.
_MIDDLE: Final = (
    f"(({_WEST} + {_EAST}) / 2 + CASE WHEN {_WEST} <= {_EAST} THEN 180 WHEN {_WEST} + {_EAST} < 0 THEN 360 ELSE 0 END)"
)


def aggregation_ask(condition: Ask, wanted: Aggregation) -> Ask:
    """The statement for one aggregation of the items that meet the condition."""
    of = f"FROM {ITEMS} WHERE {condition.sql}"
    match wanted.of:
        case "count":
            sql = f"SELECT count(*) {of}"
        case "first":
            sql = f"SELECT min(i.start) {of}"
        case "last":
            sql = f'SELECT max(i."end") {of}'
        case "terms":
            return _terms(wanted.field, condition)
        case "periods":
            day = f"to_char(date_trunc('{wanted.interval}', i.since AT TIME ZONE 'UTC'), 'YYYY-MM-DD')"
            sql = f"SELECT {day}, count(*) {of} GROUP BY 1 ORDER BY 1 LIMIT {MOST_BUCKETS}"
        case "cells":
            columns, rows = columns_and_rows(wanted.precision)
            column = f"least(floor({_MIDDLE} / 360 * {columns}), {columns - 1})"
            row = f"least(floor((({_SOUTH} + {_NORTH}) / 2 + 90) / 180 * {rows}), {rows - 1})"
            sql = f"SELECT {column}, {row}, count(*) {of} GROUP BY 1, 2"
    return Ask(sql, condition.parameters)


def _terms(field: str, condition: Ask) -> Ask:
    if field in COLUMNS:
        column, kind = COLUMNS[field]
        of = f"FROM {ITEMS} WHERE {condition.sql} GROUP BY 1"
        sql = f"SELECT {column}, '{kind}', count(*) {of} ORDER BY 3 DESC, 1 LIMIT {MOST_BUCKETS}"
        return Ask(sql, condition.parameters)
    value = rendered(json_value(field), lambda _: TRUE)
    _, *order = order_of_values("v.value")
    sql = f"""
        SELECT v.value, CASE jsonb_typeof(v.value) WHEN 'boolean' THEN 'b' ELSE 'n' END, v.items FROM (
            SELECT {value.sql} AS value, count(*) AS items FROM {ITEMS} WHERE {condition.sql} GROUP BY 1
        ) AS v WHERE jsonb_typeof(v.value) IN ('number', 'string', 'boolean')
        ORDER BY v.items DESC, {", ".join(order)} LIMIT {MOST_BUCKETS}"""  # noqa: S608
    return Ask(sql, [*value.parameters, *condition.parameters])
