"""The database file of the search index: its tables, its connections, and what to do when it is damaged."""

import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from cup4soil.errors import StoreError, writing
from stac_catalog.search_conditions import Value
from stac_catalog.search_deadline import Deadline
from stac_catalog.search_values import Kind

_VERSION: Final = 4
_BUSY_SECONDS: Final = 30.0
_CHECK_EVERY: Final = 20_000  # steps of SQLite's machine between two looks at the clock
_IDLE: Final = 8
_CACHE_KIB: Final = 32_768  # of pages, for each connection in use
_SCALARS: Final[tuple[Kind, ...]] = ("b", "n", "s")
_FIRST_FACT: Final = "SELECT value FROM facts WHERE name = ? AND kind = ? ORDER BY value LIMIT 1"
_NEXT_FACT: Final = "SELECT value FROM facts WHERE name = ? AND kind = ? AND value > ? ORDER BY value LIMIT 1"
_TABLES: Final = """
CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), signature TEXT NOT NULL, mark TEXT NOT NULL);
CREATE TABLE collections (id TEXT PRIMARY KEY, signature TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE items (
    n INTEGER PRIMARY KEY, collection TEXT NOT NULL, id TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL,
    west REAL NOT NULL, south REAL NOT NULL, east REAL NOT NULL, north REAL NOT NULL, signature TEXT NOT NULL,
    UNIQUE (collection, id)
);
CREATE INDEX items_by_id ON items (id);
CREATE INDEX items_by_start ON items (start);
CREATE TABLE documents (n INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE shapes (n INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE properties (n INTEGER PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE facts (
    name TEXT NOT NULL, kind TEXT NOT NULL, value NOT NULL, item INTEGER NOT NULL,
    PRIMARY KEY (name, kind, value, item)
) WITHOUT ROWID;
CREATE INDEX facts_of_item ON facts (item, name);
CREATE TABLE spreads (
    name TEXT NOT NULL, kind TEXT NOT NULL, collection TEXT NOT NULL, least NOT NULL, most NOT NULL,
    PRIMARY KEY (name, kind, collection)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE boxes USING rtree (id, west, east, south, north);
"""


class Connection:
    """A connection, which also is what :class:`stac_catalog.search_facts.Facts` learn from."""

    def __init__(self, path: Path) -> None:
        # Searches run in many threads, but one connection serves one at a time.
        self.db = sqlite3.connect(path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        # Whoever closes last must not remove a write-ahead log that belongs to a new file of the same name.
        self.db.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")

    def items(self, sql: str, parameters: Sequence[Value], most: int) -> list[int] | None:
        """See :class:`stac_catalog.search_facts.Known`."""
        rows = self.db.execute(f"{sql} LIMIT ?", (*parameters, most + 1)).fetchall()
        return None if len(rows) > most else [number for (number,) in rows]

    def collections(self, sql: str, parameters: Mapping[str, Value]) -> frozenset[str]:
        """See :class:`stac_catalog.search_facts.Known`."""
        return frozenset(name for (name,) in self.db.execute(sql, parameters))

    def values(self, name: str, most: int) -> list[tuple[Kind, Value]] | None:
        """See :class:`stac_catalog.search_facts.Known`."""
        if self.db.execute(_FIRST_FACT, (name, "j")).fetchone() is not None:
            return None
        found: list[tuple[Kind, Value]] = []
        for kind in _SCALARS:
            row = self.db.execute(_FIRST_FACT, (name, kind)).fetchone()
            while row is not None:
                found.append((kind, row[0]))
                if len(found) > most:
                    return None
                row = self.db.execute(_NEXT_FACT, (name, kind, row[0])).fetchone()
        return found

    @contextmanager
    def asking(self, deadline: Deadline) -> Iterator[sqlite3.Connection]:
        """Give the database for statements that see it in one state, until the deadline.

        Raises:
            LimitExceeded: when a statement takes longer.
        """
        self.db.set_progress_handler(lambda: deadline.passed, _CHECK_EVERY)
        try:
            self.db.execute("BEGIN")
            yield self.db
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            raise deadline.error from error
        finally:
            self.db.set_progress_handler(None, 0)
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")


class Database:
    """The file, whose content may at any time be made anew: nothing is in it that is not in the catalog."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[tuple[int, Connection]] = deque()

    def inode(self) -> int:
        """What tells the file from another of the same name; 0 when there is none."""
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return 0

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection to the file that is there now, for one thread at a time."""
        inode = self.inode()
        connection = self._idle_one(inode) or Connection(self._path)
        try:
            yield connection
        except BaseException:
            connection.db.close()
            raise
        if len(self._idle) < _IDLE:
            self._idle.append((inode, connection))
        else:
            connection.db.close()

    def prepare(self) -> None:
        """See that the file has the tables. One process at a time may call this.

        Raises:
            StoreError: when it cannot be written.
        """
        with writing(self._path), closing(self._made()) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                _reset(db)

    def reset(self) -> None:
        """Empty the file, whatever is in it. One process at a time may call this."""
        with writing(self._path), closing(self._made()) as db:
            _reset(db)

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.popleft()[1].db.close()

    def _made(self) -> sqlite3.Connection:
        try:
            self._path.touch()
            db = sqlite3.connect(self._path, _BUSY_SECONDS, isolation_level=None)
            db.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        except sqlite3.OperationalError as error:
            raise StoreError(f"cannot open the index {self._path}: {error}", "choose a file you may write") from error
        return db

    def _idle_one(self, inode: int) -> Connection | None:
        while self._idle:
            of_inode, connection = self._idle.pop()
            if of_inode == inode:
                return connection
            connection.db.close()
        return None


def _reset(db: sqlite3.Connection) -> None:
    """Make the tables in an empty database. Works on damaged files, and with others connected."""
    db.setconfig(sqlite3.SQLITE_DBCONFIG_RESET_DATABASE, True)
    db.execute("VACUUM")
    db.setconfig(sqlite3.SQLITE_DBCONFIG_RESET_DATABASE, False)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
