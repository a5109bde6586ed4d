"""Aggregations of the search index as SQL."""

import calendar
import time
from collections.abc import Callable
from typing import Final

from stac_catalog.search_aggregation import (
    MOST_BUCKETS,
    Aggregated,
    Aggregation,
    Bucket,
    Interval,
    columns_and_rows,
    geohash,
)
from stac_catalog.search_conditions import COLUMNS, Ask
from stac_catalog.search_values import SECOND

type Rows = list[tuple[str | int | float, ...]]

_FORMATS: Final[dict[Interval, str]] = {"year": "%Y-01-01", "month": "%Y-%m-01", "day": "%Y-%m-%d"}
# Middle of an item's box, from 0 at 180 degrees west to 360; boxes across the antimeridian have west > east.
_MIDDLE: Final = (
    "((i.west + i.east) / 2 + CASE WHEN i.west <= i.east THEN 180 WHEN i.west + i.east < 0 THEN 360 ELSE 0 END)"
)


def aggregation_statement(condition: Ask, wanted: Aggregation) -> Ask:
    """The statement for one aggregation of the items that fit, whose rows :func:`aggregated` reads."""
    of = f"FROM items AS i WHERE {condition.sql}"
    match wanted.of:
        case "count":
            return Ask(f"SELECT count(*) {of}", condition.parameters)
        case "first":
            return Ask(f"SELECT min(i.start) {of}", condition.parameters)
        case "last":
            return Ask(f'SELECT max(i."end") {of}', condition.parameters)
        case "terms":
            return _terms(wanted.field, condition)
        case "periods":
            day = f"strftime('{_FORMATS[wanted.interval]}', i.start / {SECOND}, 'unixepoch')"
            return Ask(f"SELECT {day}, count(*) {of} GROUP BY 1 ORDER BY 1 LIMIT {MOST_BUCKETS}", condition.parameters)
        case "cells":
            columns, rows = columns_and_rows(wanted.precision)
            column = f"min(CAST({_MIDDLE} / 360 * {columns} AS INTEGER), {columns - 1})"
            row = f"min(CAST(((i.south + i.north) / 2 + 90) / 180 * {rows} AS INTEGER), {rows - 1})"
            return Ask(f"SELECT {column}, {row}, count(*) {of} GROUP BY 1, 2", condition.parameters)


def aggregated(rows: Rows, wanted: Aggregation) -> Aggregated:
    """What was asked, from the rows of the statement."""
    return _READERS[wanted.of](rows, wanted)


def _terms(field: str, condition: Ask) -> Ask:
    tail = f"WHERE {condition.sql} GROUP BY 1, 2 ORDER BY 3 DESC, 1 LIMIT {MOST_BUCKETS}"
    if field in COLUMNS:
        column, kind = COLUMNS[field]
        return Ask(f"SELECT {column}, '{kind}', count(*) FROM items AS i {tail}", condition.parameters)  # noqa: S608
    joined = "JOIN facts AS f ON f.item = i.n AND f.name = ? AND f.kind IN ('n', 's', 'b')"
    sql = f"SELECT f.value, f.kind, count(*) FROM items AS i {joined} {tail}"  # noqa: S608
    return Ask(sql, [field, *condition.parameters])


def _one(rows: Rows, _: Aggregation) -> Aggregated:
    value = rows[0][0]
    return None if value is None else int(value)


def _valued(rows: Rows, _: Aggregation) -> Aggregated:
    return tuple((bool(value) if kind == "b" else value, int(count)) for value, kind, count in rows)


def _timed(rows: Rows, _: Aggregation) -> Aggregated:
    return tuple((calendar.timegm(time.strptime(str(day), "%Y-%m-%d")) * SECOND, int(count)) for day, count in rows)


def _placed(rows: Rows, wanted: Aggregation) -> Aggregated:
    found: list[Bucket] = [(geohash(int(x), int(y), wanted.precision), int(count)) for x, y, count in rows]
    return tuple(sorted(found)[:MOST_BUCKETS])


_READERS: Final[dict[str, Callable[[Rows, Aggregation], Aggregated]]] = {
    "count": _one,
    "first": _one,
    "last": _one,
    "terms": _valued,
    "periods": _timed,
    "cells": _placed,
}
