"""Search among the items of a store: the embedded backend.

The index is a SQLite file that repeats what the static catalog says. The catalog is the truth: whenever it has
changed, by whichever process, the index follows before it answers, and an index that is lost or damaged is made anew.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cup4soil.errors import StoreError, writing
from stac_catalog.search_aggregation import Aggregated, Aggregation
from stac_catalog.search_answers import Answers
from stac_catalog.search_backend import SAMPLE_VALUES, Page, PropertySummary
from stac_catalog.search_database import Connection, Database
from stac_catalog.search_paging import Counts
from stac_catalog.search_query import Query, allowed
from stac_catalog.search_rows import Rows
from stac_catalog.search_sync import Known, Watched
from stac_catalog.search_values import Kind
from stac_catalog.visibility import HIDDEN, is_hidden, visible

INDEX_FILE: Final = "index.sqlite"
_TITLES = "SELECT id, title FROM collections ORDER BY id"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SearchIndex:
    """The index in the file ``path`` of the store whose folder it lies in.

    It is a :class:`stac_catalog.search_backend.SearchBackend`, whose contract its methods have.
    ``folders`` beside the catalog are served too: links into them are kept where they exist. May be used
    by several threads and processes at once. A search that takes longer than ``seconds`` is given up.
    """

    instant = True

    def __init__(self, path: Path, *, folders: tuple[str, ...] = ("demo",), seconds: float = 10.0) -> None:
        self._watched = Watched(path.parent, folders)
        self._seconds = seconds
        self._database = Database(path)
        self._mutex = threading.Lock()
        self._seen: tuple[str, int] | None = None
        self._counts = Counts()

    def is_current(self) -> bool:
        """True when the index was in step with the catalog a moment ago. Takes microseconds."""
        return self._seen == (self._watched.state(), self._database.inode())

    def sync(self) -> None:
        """Bring the index in step with the catalog.

        Raises:
            StoreError: when the catalog is damaged or the index cannot be written.
        """
        if self.is_current():
            return
        with self._mutex, writing(self._watched.root), self._watched.unchanging():
            if self.is_current():
                return
            try:
                self._database.prepare()
                self._sync()
            except sqlite3.DatabaseError as error:
                if not _damaged(error):
                    raise _refusal(error) from error
                self._database.reset()
                self._sync()

    def search(self, query: Query) -> Page:
        """One page of the items that fit.

        Raises:
            InvalidInput: when the query's token is not one of this query.
            LimitExceeded: when it takes too long.
            StoreError: as :meth:`sync`.
        """
        asked = allowed(query)
        return self._searched(lambda answers: answers.page(asked, self._matched(asked)))

    def aggregate(self, query: Query, wanted: Sequence[Aggregation]) -> list[Aggregated]:
        """What is asked about the items that fit, on whatever page.

        Raises:
            LimitExceeded: when it takes too long.
            StoreError: as :meth:`sync`.
        """
        asked = allowed(query)
        return self._searched(lambda answers: answers.aggregated(asked, wanted))

    def names(self, collection: str) -> list[str]:
        """Ids of a collection's items in alphabetical order. Raises as :meth:`sync`."""
        if is_hidden(collection):
            return []
        sql = "SELECT id FROM items WHERE collection = ? ORDER BY id"
        rows = self._answered(lambda connection: connection.db.execute(sql, (collection,)).fetchall())
        return [name for (name,) in rows]

    def item(self, collection: str, name: str) -> str | None:
        """An item as JSON text, None where there is none. Raises as :meth:`sync`."""
        if is_hidden(collection):
            return None
        sql = "SELECT text FROM documents WHERE n = (SELECT n FROM items WHERE collection = ? AND id = ?)"
        return self._answered(lambda connection: _first(connection, sql, collection, name))

    def collection(self, name: str) -> str | None:
        """A collection as JSON text, None where there is none. Raises as :meth:`sync`."""
        if is_hidden(name):
            return None
        sql = "SELECT text FROM collections WHERE id = ?"
        return self._answered(lambda connection: _first(connection, sql, name))

    def collections(self) -> dict[str, str]:
        """Each collection as JSON text, by id in alphabetical order. Raises as :meth:`sync`."""
        sql = "SELECT id, text FROM collections ORDER BY id"
        return _visible(self._answered(lambda connection: dict(connection.db.execute(sql))))

    def titles(self) -> dict[str, str]:
        """Title of each collection, by id in alphabetical order. Raises as :meth:`sync`."""
        return _visible(self._answered(lambda connection: dict(connection.db.execute(_TITLES))))

    def properties(self, collection: str | None = None) -> dict[str, PropertySummary]:
        """The properties that items of a collection, or of all, can be selected by. Raises as :meth:`sync`."""
        if collection is not None and is_hidden(collection):
            return {}
        return self._answered(lambda connection: _properties(connection.db, collection))

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        self._database.close()

    def _searched[T](self, ask: Callable[[Answers], T]) -> T:
        return self._answered(lambda connection: ask(Answers(connection, self._seconds)))

    def _answered[T](self, ask: Callable[[Connection], T]) -> T:
        """What ``ask`` finds in an index that is in step; one that proves damaged is made anew."""
        for last in (False, True):
            self.sync()
            try:
                with self._database.connection() as connection:
                    return ask(connection)
            except sqlite3.DatabaseError as error:
                if last or not _damaged(error):
                    raise _refusal(error) from error
                self._make_anew()
        raise AssertionError  # the second round returns or raises

    def _make_anew(self) -> None:
        with self._mutex, writing(self._watched.root), self._watched.unchanging():
            self._seen = None
            self._database.close()
            self._database.reset()

    def _sync(self) -> None:
        """Within the store's lock, which keeps the catalog as it is."""
        state = self._watched.state()
        with self._database.connection() as connection:
            db = connection.db
            row = db.execute("SELECT signature, mark FROM state").fetchone()
            if row is None or row[0] != state:
                db.execute("BEGIN IMMEDIATE")
                now = self._take_in(db, None if row is None else Known(*row))
                db.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?)", now)
                db.execute("COMMIT")
                if row is None:
                    # The log of the first time is as large as the index.
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._seen = (state, self._database.inode())

    def _take_in(self, db: sqlite3.Connection, known: Known | None) -> Known:
        """What is new in the catalog since what is ``known``, within a transaction; what is known then."""
        return self._watched.follow(Rows(db), known)

    def _matched(self, query: Query) -> Callable[[Callable[[], int]], int]:
        # Read before the search: what it counts is never older than the state under which it is remembered.
        state = self._seen[0] if self._seen else ""
        return lambda count: self._counts.of(query, state, count)


def _visible(texts: dict[str, str]) -> dict[str, str]:
    return {name: texts[name] for name in visible(texts)}


def _properties(db: sqlite3.Connection, collection: str | None) -> dict[str, PropertySummary]:
    hidden = tuple(sorted(HIDDEN.get()))
    names = hidden if collection is None else (collection,)
    within = f"{'NOT ' if collection is None else ''}IN ({', '.join('?' * len(names))})"
    of_collection = f"WHERE item IN (SELECT n FROM items WHERE collection {within})" if names else ""  # noqa: S608
    sql = f"SELECT name, kind, count(DISTINCT value) FROM facts {of_collection} GROUP BY name, kind"  # noqa: S608
    kinds: dict[str, dict[Kind, int]] = {}
    for name, kind, distinct in db.execute(sql, names):
        kinds.setdefault(name, {})[kind] = distinct
    return {
        name: PropertySummary(frozenset(found), None if hidden else _values(db, name, found))
        for name, found in kinds.items()
    }


def _values(db: sqlite3.Connection, name: str, kinds: dict[Kind, int]) -> tuple[str, ...] | None:
    """The strings of a property of the whole store, where it has nothing else and few of them."""
    if set(kinds) != {"s"} or kinds["s"] > SAMPLE_VALUES:
        return None
    sql = "SELECT DISTINCT value FROM facts WHERE name = ? AND kind = 's' ORDER BY value LIMIT ?"
    return tuple(value for (value,) in db.execute(sql, (name, SAMPLE_VALUES + 1)))


def _first(connection: Connection, sql: str, *parameters: str) -> str | None:
    row = connection.db.execute(sql, parameters).fetchone()
    return None if row is None else str(row[0])


def _damaged(error: sqlite3.DatabaseError) -> bool:
    """True when the file is no sound database, or has not the tables it should have."""
    code = int(getattr(error, "sqlite_errorcode", -1)) & 0xFF
    return code in _DAMAGED or str(error).startswith("no such")


def _refusal(error: sqlite3.DatabaseError) -> StoreError:
    return StoreError(f"the search index cannot be used: {error}", "see that the disk is not full and may be written")
