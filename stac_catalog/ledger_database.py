"""The file of the ledger: its tables, its connections, and what its errors mean."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from cup4soil.errors import StoreError

_VERSION: Final = 1
_BUSY_SECONDS: Final = 30.0
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# The extent of a collection is NULL where items have gone: it is then found anew from those that are left.
_TABLES: Final = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, last INTEGER NOT NULL, root TEXT NOT NULL
);
CREATE TABLE collections (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, folder TEXT NOT NULL,
    west REAL, south REAL, east REAL, north REAL, start TEXT, "end" TEXT
);
CREATE TABLE documents (
    collection INTEGER NOT NULL, key TEXT NOT NULL, signature TEXT NOT NULL, PRIMARY KEY (collection, key)
) WITHOUT ROWID;
CREATE TABLE facts (n INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, text TEXT NOT NULL);
CREATE TABLE kinds (
    collection INTEGER NOT NULL, facts INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (collection, facts)
) WITHOUT ROWID;
CREATE TABLE items (
    n INTEGER PRIMARY KEY, collection INTEGER NOT NULL, id TEXT NOT NULL, spot TEXT NOT NULL, title TEXT NOT NULL,
    west REAL NOT NULL, south REAL NOT NULL, east REAL NOT NULL, north REAL NOT NULL,
    start TEXT NOT NULL, "end" TEXT NOT NULL, facts INTEGER NOT NULL, signature TEXT NOT NULL,
    change INTEGER NOT NULL, time REAL NOT NULL, UNIQUE (collection, id)
);
CREATE INDEX items_by_spot ON items (collection, spot);
CREATE INDEX items_by_change ON items (change);
CREATE TABLE gone (
    collection TEXT NOT NULL, id TEXT NOT NULL, change INTEGER NOT NULL, time REAL NOT NULL,
    PRIMARY KEY (collection, id)
) WITHOUT ROWID;
CREATE INDEX gone_by_change ON gone (change);
CREATE TRIGGER came AFTER INSERT ON items BEGIN
    INSERT INTO kinds VALUES (new.collection, new.facts, 1) ON CONFLICT DO UPDATE SET count = count + 1;
    UPDATE collections SET
        west = min(west, new.west), south = min(south, new.south), east = max(east, new.east),
        north = max(north, new.north), start = min(start, new.start), "end" = max("end", new."end")
    WHERE n = new.collection;
END;
CREATE TRIGGER went AFTER DELETE ON items BEGIN
    UPDATE kinds SET count = count - 1 WHERE collection = old.collection AND facts = old.facts;
    DELETE FROM kinds WHERE collection = old.collection AND facts = old.facts AND count = 0;
    UPDATE collections SET west = NULL, south = NULL, east = NULL, north = NULL, start = NULL, "end" = NULL
    WHERE n = old.collection;
END;
"""


@contextmanager
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the ledger that is there.

    Raises:
        sqlite3.Error: when there is none, or none of this version.
    """
    with closing(_connected(path)) as db:
        if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION or _schema(db) != _wanted():
            raise sqlite3.DatabaseError("it is of another version, or damaged")
        yield db


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for changes, which are kept when the context is left without an error. One process at a time.

    Raises:
        OSError: when the disk is full or may not be written.
        StoreError: when the ledger is damaged.
    """
    try:
        with connection(path) as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            # What was not kept is dropped with the connection.
            if db.in_transaction:
                db.execute("COMMIT")
    except sqlite3.Error as error:
        raise refusal(error, path) from error


def make_anew(path: Path) -> None:
    """Make an empty ledger in place of whatever is there. One process at a time.

    Raises:
        OSError: when it cannot be written.
    """
    for name in (path, *(path.with_name(f"{path.name}-{suffix}") for suffix in ("wal", "shm", "journal"))):
        name.unlink(missing_ok=True)
    path.touch()
    try:
        with closing(_connected(path)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            first = f"INSERT INTO state VALUES (1, '{uuid4().hex}', 0, '');"  # noqa: S608
            db.executescript(f"BEGIN IMMEDIATE; {_TABLES} {first} PRAGMA user_version = {_VERSION}; COMMIT;")
    except sqlite3.Error as error:
        raise refusal(error, path) from error


def _connected(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path))}?mode=rw"
    db = sqlite3.connect(address, _BUSY_SECONDS, isolation_level=None, uri=True)
    # A checkpoint at every close would wait for the disk at every registration.
    db.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
    # After a loss of power the last changes may be missing, which the files of the catalog tell.
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def refusal(error: sqlite3.Error, path: Path) -> Exception:
    """What an error of the database means to those who keep or ask the ledger."""
    code = int(getattr(error, "sqlite_errorcode", -1)) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return OSError(errno.EACCES, os.strerror(errno.EACCES))
    return StoreError(f"the ledger {path.name} cannot be used: {error}", "run cup4soil catalog build")


def is_sound(path: Path) -> bool:
    """True when the file is a ledger of this version without damage. Reads all of it."""
    try:
        with connection(path) as db:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.Error:
        return False


def _schema(db: sqlite3.Connection) -> set[tuple[str, str | None]]:
    return set(db.execute("SELECT name, sql FROM sqlite_master"))


@cache
def _wanted() -> set[tuple[str, str | None]]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(_TABLES)
        return _schema(db)
