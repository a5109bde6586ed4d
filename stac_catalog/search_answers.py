"""What the embedded index answers."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import batched
from typing import Any, Final

from stac_catalog.search_aggregation import Aggregated, Aggregation
from stac_catalog.search_backend import Page
from stac_catalog.search_conditions import FALSE, TRUE, Ask, Condition, rendered
from stac_catalog.search_database import Connection
from stac_catalog.search_deadline import Deadline
from stac_catalog.search_facts import Facts, among
from stac_catalog.search_paging import Key, decode_token, is_counted, page_of, walk, within_page
from stac_catalog.search_probes import ASKED_AT_ONCE, Probe
from stac_catalog.search_query import Query
from stac_catalog.search_sql import candidates, narrowed, sort_terms
from stac_catalog.search_sql_aggregation import aggregated, aggregation_statement
from stac_catalog.search_where import where

type _Row = tuple[Any, ...]  # number, whether it fits for sure, sort key

_FEWEST: Final = 64  # candidates that probes are asked about at once
_WHOLE: Final = 2000  # where all that fit are counted: then the page needs no other look at them
_TABLES: Final = {"shape": "shapes", "properties": "properties"}


class Answers:
    """Asks the index over ``connection``; what takes longer than ``seconds`` in all is given up.

    Raises, in every method:
        LimitExceeded: when it takes longer.
    """

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection = connection
        self._deadline = Deadline(seconds)

    def page(self, query: Query, matched: Callable[[Callable[[], int]], int]) -> Page:
        """One page of the items that fit; ``matched`` remembers how many, or asks the function that it is given.

        Raises:
            InvalidInput: when the query's token is not one of this query.
        """
        start = None if query.token is None else decode_token(query.token, query, sort_terms(query.sort))
        with self._asking(query) as (db, condition):
            rows, whole = walk(
                _batches(db, condition, query, start),
                lambda rows: self._exact(db, condition, rows),
                query.limit + 1,
                _first_batch(condition, query),
            )
            texts = within_page(_texts(db, [row[0] for row in rows[: query.limit]]))
        known = whole and query.token is None
        last = rows[len(texts) - 1][2:] if len(texts) < len(rows) else None
        return page_of(query, texts, last, lambda: matched(lambda: len(rows) if known else self.count(query)))

    def count(self, query: Query) -> int:
        """How many items fit."""
        with self._asking(query) as (db, condition):
            settled = self._settled(db, condition)
            sql = f"SELECT count(*) FROM items AS i WHERE {settled.sql}"  # noqa: S608
            return int(db.execute(sql, settled.parameters).fetchone()[0])

    def aggregated(self, query: Query, wanted: Sequence[Aggregation]) -> list[Aggregated]:
        """What is asked about the items that fit."""
        with self._asking(query) as (db, condition):
            settled = self._settled(db, condition)
            asked = ((each, aggregation_statement(settled, each)) for each in wanted)
            return [aggregated(_rows(db, ask), each) for each, ask in asked]

    @contextmanager
    def _asking(self, query: Query) -> Iterator[tuple[sqlite3.Connection, Condition]]:
        """The database in one state, and what the query's items have in common there."""
        with self._connection.asking(self._deadline) as db:
            yield db, narrowed(where(query, Facts(self._connection)), query.sort, self._connection)

    def _exact(self, db: sqlite3.Connection, condition: Condition, rows: list[_Row]) -> list[_Row]:
        """Those of some candidates that fit."""
        probes = condition.probes
        unsure = [row[0] for row in rows if not row[1]]
        if not unsure:
            return rows
        accepted = {probe: self._accepted(db, probe, unsure) for probe in probes}
        if len(probes) == 1:
            # A candidate that is not sure is one for which the probe decides: see Condition.
            fitting = set(accepted[probes[0]])
        else:
            asked = rendered(condition, lambda probe: among(accepted[probe]))
            among_these = among(unsure)
            sql = f"SELECT i.n FROM items AS i WHERE {among_these.sql} AND {asked.sql}"  # noqa: S608
            fitting = {number for (number,) in db.execute(sql, [*among_these.parameters, *asked.parameters])}
        return [row for row in rows if row[1] or row[0] in fitting]

    def _settled(self, db: sqlite3.Connection, condition: Condition) -> Ask:
        """The condition, for which the probes have been asked about all items for which they decide."""
        probes = condition.probes
        if not probes:
            return rendered(condition, lambda _: TRUE)
        may, sure = rendered(condition, lambda _: TRUE), rendered(condition, lambda _: FALSE)
        sql = f"SELECT i.n FROM items AS i WHERE {may.sql} AND ({sure.sql}) IS NOT TRUE"  # noqa: S608
        unsure = [number for (number,) in db.execute(sql, [*may.parameters, *sure.parameters])]
        accepted = {probe: self._accepted(db, probe, unsure) for probe in probes}
        return rendered(condition, lambda probe: among(accepted[probe]))

    def _accepted(self, db: sqlite3.Connection, probe: Probe, items: list[int]) -> list[int]:
        """Those of some items that a probe accepts."""
        table = _TABLES[probe.of]
        found: list[int] = []
        for some in batched(items, ASKED_AT_ONCE):
            self._deadline.check()
            these = among(some)
            sql = f"SELECT i.n, i.value FROM {table} AS i WHERE {these.sql}"  # noqa: S608
            rows = db.execute(sql, these.parameters).fetchall()
            truths = probe.accepts([value for _, value in rows])
            found += [number for (number, _), truth in zip(rows, truths, strict=True) if truth]
        return found


def _first_batch(condition: Condition, query: Query) -> int:
    if not condition.probes:
        return query.limit + 1
    # Of a search by place all that fit are counted: where they are few, no other statement is needed.
    return max(query.limit + 1, _WHOLE if is_counted(query) and query.token is None else _FEWEST)


def _batches(
    db: sqlite3.Connection, condition: Condition, query: Query, start: Key | None
) -> Callable[[_Row | None, int], list[_Row]]:
    """The next candidates after one. Where the first do not suffice, one statement gives all others, ordered once."""
    rest: sqlite3.Cursor | None = None

    def batch(last: _Row | None, size: int) -> list[_Row]:
        nonlocal rest
        if last is None:
            return _rows(db, candidates(condition, query.sort, start, size))
        if rest is None:
            rest = db.execute(*candidates(condition, query.sort, last[2:], -1))
        return rest.fetchmany(size)

    return batch


def _rows(db: sqlite3.Connection, asked: Ask) -> list[_Row]:
    return db.execute(*asked).fetchall()


def _texts(db: sqlite3.Connection, numbers: list[int]) -> Iterator[str]:
    """Items as JSON text, one after the other."""
    for number in numbers:
        yield db.execute("SELECT text FROM documents WHERE n = ?", (number,)).fetchone()[0]
