"""What properties the items of a pgstac database have, and of what kinds their values are."""

from collections.abc import Callable
from typing import Any, Final

from stac_catalog.pgstac_sql import ITEMS
from stac_catalog.search_backend import SAMPLE_VALUES, PropertySummary
from stac_catalog.search_conditions import Ask
from stac_catalog.search_time import TIMES
from stac_catalog.search_values import Kind

_KINDS: Final[dict[str, Kind]] = {"number": "n", "string": "s", "boolean": "b", "object": "j", "array": "j"}

type _Asking = Callable[[str, list[Any]], list[tuple[Any, ...]]]


def summaries(ask: _Asking, condition: Ask, *, values: bool) -> dict[str, PropertySummary]:
    """The properties of the items that meet the condition; with ``values`` the few strings that one has are told."""
    rows = ask(
        f"""
        WITH own AS (
            SELECT p.key AS name, p.value FROM {ITEMS}, jsonb_each(i.properties) AS p WHERE {condition.sql}
        ), facts AS (
            SELECT name, value FROM own
            UNION ALL SELECT own.name || '.' || m.key, m.value FROM own, jsonb_each(own.value) AS m
            WHERE jsonb_typeof(own.value) = 'object'
        )
        SELECT name, jsonb_typeof(value), count(DISTINCT value) FROM facts GROUP BY 1, 2""",  # noqa: S608
        condition.parameters,
    )
    found: dict[str, dict[Kind, int]] = {}
    for name, of_type, distinct in rows:
        if of_type in _KINDS:
            found.setdefault(name, {})[_KINDS[of_type]] = distinct
            if of_type == "string" and name in TIMES:
                found[name]["t"] = distinct
    few = [name for name, kinds in found.items() if values and set(kinds) == {"s"} and kinds["s"] <= SAMPLE_VALUES]
    known = _values(ask, few)
    return {name: PropertySummary(frozenset(kinds), known.get(name)) for name, kinds in found.items()}


def _values(ask: _Asking, names: list[str]) -> dict[str, tuple[str, ...]]:
    """The strings of some properties in the whole store, where there are few."""
    rows = ask(
        f"""
        SELECT name, array_agg(value ORDER BY value COLLATE "C") FROM (
            SELECT DISTINCT n.name, i.properties #>> n.path AS value FROM {ITEMS},
            (SELECT name, ARRAY[name] AS path FROM unnest(%s::text[]) AS name
             UNION ALL SELECT name, string_to_array(name, '.') FROM unnest(%s::text[]) AS name) AS n
        ) AS found WHERE value IS NOT NULL GROUP BY name""",  # noqa: S608
        [names, names],
    )
    return {name: tuple(values) for name, values in rows if len(values) <= SAMPLE_VALUES + 1}
