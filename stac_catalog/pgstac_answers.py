"""What a pgstac database answers, within one transaction."""

from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from typing import Any, Final

import psycopg

from stac_catalog.pgstac_aggregation import aggregation_ask
from stac_catalog.pgstac_properties import summaries
from stac_catalog.pgstac_sql import ITEMS, Documents, rendered, sort_terms
from stac_catalog.search_aggregation import Aggregated, Aggregation
from stac_catalog.search_backend import Page, PropertySummary
from stac_catalog.search_conditions import TRUE, Ask, Condition, all_of
from stac_catalog.search_deadline import Deadline
from stac_catalog.search_paging import Term, after, decode_token, order, page_of, walk, within_page
from stac_catalog.search_probes import ASKED_AT_ONCE, Probe
from stac_catalog.search_query import Query
from stac_catalog.search_sql_aggregation import aggregated
from stac_catalog.search_where import where

type _Name = tuple[str, str]  # of an item: its collection and its id
type _Row = tuple[Any, ...]

_TEXTS_AT_ONCE: Final = 100
_FEWEST: Final = 100  # candidates that probes are asked about at once
_AT_ONCE: Final = 4000
_NAMES: Final = "SELECT * FROM unnest(%s::text[], %s::text[])"
_PROPERTIES: Final = "(i.properties || jsonb_build_object('id', i.name, 'collection', i.of))::text"


class Answers:
    """Asks the database over ``connection``; what takes longer than ``seconds`` in all is given up.

    Raises, in every method:
        LimitExceeded: when it takes longer.
    """

    def __init__(self, connection: psycopg.Connection, seconds: float) -> None:
        self._db = connection
        self._deadline = Deadline(seconds)

    def page(self, query: Query, matched: Callable[[Callable[[], int]], int]) -> Page:
        """One page of the items that fit; ``matched`` remembers how many, or asks the function that it is given.

        Raises:
            InvalidInput: when the query's token is not one of this query.
        """
        rows = self._rows(query, sort_terms(query.sort), query.limit + 1)
        texts = within_page(self._texts([(row[0], row[1]) for row in rows[: query.limit]]))
        last = rows[len(texts) - 1][2:] if len(texts) < len(rows) else None
        return page_of(query, texts, last, lambda: matched(lambda: self.count(query)))

    def count(self, query: Query) -> int:
        """How many items fit."""
        condition = self._settled(query)
        ((count,),) = self._ask(f"SELECT count(*) FROM {ITEMS} WHERE {condition.sql}", condition.parameters)  # noqa: S608
        return int(count)

    def aggregated(self, query: Query, wanted: Sequence[Aggregation]) -> list[Aggregated]:
        """What is asked about the items that fit."""
        condition = self._settled(query)
        asked = ((each, aggregation_ask(condition, each)) for each in wanted)
        return [aggregated(self._ask(ask.sql, ask.parameters), each) for each, ask in asked]

    def properties(self, query: Query) -> dict[str, PropertySummary]:
        """The properties that the query's items can be selected by."""
        return summaries(self._ask, self._settled(query), values=not query.without)

    def names(self, collection: str) -> list[str]:
        """Ids of a collection's items in alphabetical order."""
        rows = self._ask(f"SELECT i.name FROM {ITEMS} WHERE i.of = %s ORDER BY i.id", [collection])  # noqa: S608
        return [name for (name,) in rows]

    def item(self, collection: str, name: str) -> str | None:
        """An item as JSON text, None where there is none."""
        return next(iter(self._texts([(collection, name)])), None)

    def collections(self, member: str) -> dict[str, str]:
        """``text`` or ``title`` of each collection, by id in alphabetical order."""
        sql = 'SELECT id, private->>%s FROM pgstac.collections ORDER BY id COLLATE "C"'
        return dict(self._ask(sql, [member]))

    def _rows(self, query: Query, terms: list[Term], most: int) -> list[_Row]:
        """Collection, id and sort key of the first items."""
        condition = where(query, Documents())
        start = None if query.token is None else decode_token(query.token, query, terms)
        found, _ = walk(
            lambda last, size: self._candidates(condition, terms, start if last is None else last[2:], size),
            lambda rows: self._exact(condition, rows) if condition.probes else rows,
            most,
            max(_FEWEST, most) if condition.probes else most,
        )
        return found

    def _candidates(self, condition: Condition, terms: list[Term], key: _Row | None, most: int) -> list[_Row]:
        """The first items after ``key`` that fit as far as SQL can tell."""
        parts = [condition] if key is None else [condition, after(terms, key)]
        asked = rendered(all_of(parts), lambda _: TRUE)
        columns = ", ".join(["i.of", "i.name", *(term.sql for term in terms)])
        sql = f"SELECT {columns} FROM {ITEMS} WHERE {asked.sql} ORDER BY {order(terms)} LIMIT %s"  # noqa: S608
        return self._ask(sql, [*asked.parameters, most])

    def _exact(self, condition: Condition, rows: list[_Row]) -> list[_Row]:
        """Those of some candidates that fit."""
        names = [(row[0], row[1]) for row in rows]
        accepted = {probe: self._accepted(probe, names) for probe in condition.probes}
        asked = rendered(condition, lambda probe: _among(accepted[probe]))
        sql = f"SELECT i.of, i.name FROM {ITEMS} WHERE (i.of, i.name) IN ({_NAMES}) AND {asked.sql}"  # noqa: S608
        fitting = set(self._ask(sql, [*_columns(names), *asked.parameters]))
        return [row for row in rows if (row[0], row[1]) in fitting]

    def _settled(self, query: Query) -> Ask:
        """The query's condition, for which the probes have been asked about all items that may fit."""
        condition = where(query, Documents())
        probes = condition.probes
        names: list[_Name] = []
        if probes:
            asked = rendered(condition, lambda _: TRUE)
            names = self._ask(f"SELECT i.of, i.name FROM {ITEMS} WHERE {asked.sql}", asked.parameters)  # noqa: S608
        accepted = {probe: self._accepted(probe, names) for probe in probes}
        return rendered(condition, lambda probe: _among(accepted[probe]))

    def _accepted(self, probe: Probe, names: list[_Name]) -> list[_Name]:
        """Those of some items that a probe accepts."""
        of = _PROPERTIES if probe.of == "properties" else "ST_AsBinary(i.geometry)"
        sql = f"SELECT i.of, i.name, {of} FROM {ITEMS} WHERE (i.of, i.name) IN ({_NAMES})"  # noqa: S608
        found: list[_Name] = []
        for some in batched(names, _AT_ONCE):
            rows = self._ask(sql, _columns(some))
            for asked in batched(rows, ASKED_AT_ONCE):
                self._deadline.check()
                truths = probe.accepts([value for _, _, value in asked])
                found += [(of, name) for (of, name, _), truth in zip(asked, truths, strict=True) if truth]
        return found

    def _texts(self, names: list[_Name]) -> Iterator[str]:
        """Items as JSON text, one after the other."""
        sql = f"SELECT i.of, i.name, i.private->>'text' FROM {ITEMS} WHERE (i.of, i.name) IN ({_NAMES})"  # noqa: S608
        for some in batched(names, _TEXTS_AT_ONCE):
            texts = {(of, name): str(text) for of, name, text in self._ask(sql, _columns(some))}
            yield from (texts[each] for each in some if each in texts)

    def _ask(self, sql: str, parameters: list[Any]) -> list[_Row]:
        self._deadline.check()
        return self._db.execute(sql.encode(), parameters).fetchall()


def _among(names: list[_Name]) -> Ask:
    return Ask(f"(i.of, i.name) IN ({_NAMES})", _columns(names))


def _columns(names: Sequence[_Name]) -> list[Any]:
    return [[of for of, _ in names], [name for _, name in names]]
