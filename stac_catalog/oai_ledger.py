"""When each record of a store came, changed or went: for incremental harvesting, which no file of the catalog serves.

The ledger is a SQLite file in the store. It follows the catalog before it answers, as the search index does, but it
cannot be made anew: what it alone knows is which products there have been. Keep it in copies of the store.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from cup4soil.errors import StoreError, writing
from stac_catalog.catalogs import COLLECTION_FILE
from stac_catalog.files import locked, signature
from stac_catalog.ledger import Change
from stac_catalog.store import Store
from stac_catalog.visibility import HIDDEN

LEDGER_FILE: Final = "oai.sqlite"
_LOCK: Final = ".oai.lock"
_VERSION: Final = 1
_BUSY_SECONDS: Final = 30.0
_TABLES: Final = """
CREATE TABLE records (
    n INTEGER PRIMARY KEY, collection TEXT NOT NULL, id TEXT NOT NULL, stamp INTEGER NOT NULL,
    deleted INTEGER NOT NULL, signature TEXT NOT NULL, UNIQUE (collection, id)
);
CREATE INDEX records_by_stamp ON records (stamp, n);
CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), signature TEXT NOT NULL);
"""
# Up to which mark of the store's own ledger this one has followed; ledgers of older versions have no such table.
_FOLLOWED: Final = "CREATE TABLE IF NOT EXISTS followed (one INTEGER PRIMARY KEY CHECK (one = 1), mark TEXT NOT NULL)"
_PUT: Final = """
INSERT INTO records (collection, id, stamp, deleted, signature) VALUES (:collection, :id, :stamp, 0, :state)
ON CONFLICT DO UPDATE SET stamp = excluded.stamp, deleted = 0, signature = excluded.signature
WHERE deleted OR signature <> excluded.signature
"""
_DROP: Final = (
    "UPDATE records SET stamp = :stamp, deleted = 1 WHERE collection = :collection AND id = :id AND NOT deleted"
)
_FIELDS: Final = "n, collection, id, stamp, deleted"

type _Key = tuple[str, str]  # collection and id


@dataclass(frozen=True, slots=True)
class Header:
    """One record: ``stamp`` is when it last came, changed or went, in seconds since 1970 (UTC)."""

    number: int
    collection: str
    id: str
    stamp: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records: stamps from ``since`` to ``until``, both included, and one collection or all."""

    since: int | None = None
    until: int | None = None
    collection: str | None = None


class Ledger:
    """The ledger of a store. May be used by several threads and processes at once; ``clock`` tells the time."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._path = store.root / LEDGER_FILE
        self._clock = clock
        self._mutex = threading.Lock()
        self._seen: str | None = None

    def page(self, selection: Selection, after: tuple[int, int] | None, limit: int) -> list[Header]:
        """Up to ``limit`` records in the order of (stamp, number), beginning behind ``after``."""
        where, values = _where(selection)
        if after is not None:
            where.append("(stamp, n) > (?, ?)")
            values += after
        sql = f"SELECT {_FIELDS} FROM records{_clause(where)} ORDER BY stamp, n LIMIT ?"  # noqa: S608
        return [_header(row) for row in self._ask(sql, [*values, limit])]

    def count(self, selection: Selection) -> int:
        """How many records there are."""
        where, values = _where(selection)
        return int(self._ask(f"SELECT count(*) FROM records{_clause(where)}", values)[0][0])  # noqa: S608

    def find(self, collection: str, name: str) -> Header | None:
        """One record, None where there is and was none."""
        where, values = _where(Selection(collection=collection))
        sql = f"SELECT {_FIELDS} FROM records{_clause([*where, 'id = ?'])}"  # noqa: S608
        rows = self._ask(sql, [*values, name])
        return _header(rows[0]) if rows else None

    def collections(self) -> list[str]:
        """Collections that have or had records, in alphabetical order."""
        where, values = _where(Selection())
        rows = self._ask(f"SELECT DISTINCT collection FROM records{_clause(where)} ORDER BY 1", values)  # noqa: S608
        return [str(name) for (name,) in rows]

    def earliest(self) -> int:
        """A time before which nothing came, changed or went."""
        (stamp,) = self._ask("SELECT min(stamp) FROM records", [])[0]
        return int(self._clock()) if stamp is None else int(stamp)

    def _ask(self, sql: str, values: Sequence[str | int]) -> list[tuple[int | str, ...]]:
        with self._reading():
            self._follow()
            with closing(self._connect()) as db:
                return db.execute(sql, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"the ledger {self._path.name} cannot be used: {error}",
                "restore it from a copy, or remove it: harvesters then take all records anew and miss deletions",
            ) from error

    def _follow(self) -> None:
        """Bring the ledger in step with the catalog, unless it was so a moment ago."""
        if self._path.is_file() and self._seen == self._state():
            return
        root = self._store.root
        with self._mutex, writing(root), locked(root / _LOCK), closing(self._connect()) as db:
            _prepare(db)
            state = self._state()
            row = db.execute("SELECT signature FROM state").fetchone()
            if row is None or row[0] != state:
                db.execute("BEGIN IMMEDIATE")
                self._take_in(db)
                db.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (state,))
                db.execute("COMMIT")
            self._seen = state

    def _take_in(self, db: sqlite3.Connection) -> None:
        # Stamps never go back, whatever the clock does: harvesters would miss what came in between.
        (last,) = db.execute("SELECT max(stamp) FROM records").fetchone()
        now = max(int(self._clock()), last or 0)
        changes = self._changes(db)
        for key, state in self._compared(db) if changes is None else changes:
            db.execute(_PUT if state else _DROP, {"collection": key[0], "id": key[1], "stamp": now, "state": state})
        db.execute("INSERT OR REPLACE INTO followed VALUES (1, ?)", (self._store.ledger.mark(),))

    def _changes(self, db: sqlite3.Connection) -> Iterator[tuple[_Key, str]] | None:
        """Records that came or changed, with their state, and those that went, without; None where it is not told."""
        row = db.execute("SELECT mark FROM followed").fetchone()
        changes = self._store.ledger.changes(row[0]) if row and row[0] else None
        if changes is None:
            return None
        return (((each.collection, each.id), "" if each.deleted else self._state_of(each)) for each in changes)

    def _compared(self, db: sqlite3.Connection) -> Iterator[tuple[_Key, str]]:
        """As :meth:`_changes`, by a look at every record."""
        rows = db.execute("SELECT collection, id, signature FROM records WHERE NOT deleted")
        known = {(collection, name): state for collection, name, state in rows}
        for collection in self._store.collections():
            for name in self._store.items(collection):
                state = self._signature(collection, name)
                if known.pop((collection, name), None) != state:
                    yield (collection, name), state
        yield from ((key, "") for key in known)

    def _state_of(self, change: Change) -> str:
        return self._signature(change.collection, change.id)

    def _signature(self, collection: str, name: str) -> str:
        return signature(self._store.catalog_path.parent / collection / name / f"{name}.json")

    def _state(self) -> str:
        """What changes whenever a product comes, changes or goes: the files that list them."""
        path = self._store.catalog_path
        lists = sorted(path.parent.glob(f"*/{COLLECTION_FILE}"))
        return "|".join(signature(each) for each in (path, *lists))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, _BUSY_SECONDS, isolation_level=None)


def _prepare(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"it is of version {version}, not {_VERSION}")
    db.execute(_FOLLOWED)


def _where(selection: Selection) -> tuple[list[str], list[str | int]]:
    """Conditions and their values; closed collections are left out."""
    hidden = sorted(HIDDEN.get())
    where: list[str] = [f"collection NOT IN ({', '.join('?' * len(hidden))})"] if hidden else []
    values: list[str | int] = [*hidden]
    for condition, value in (
        ("stamp >= ?", selection.since),
        ("stamp <= ?", selection.until),
        ("collection = ?", selection.collection),
    ):
        if value is not None:
            where.append(condition)
            values.append(value)
    return where, values


def _clause(where: list[str]) -> str:
    return f" WHERE {' AND '.join(where)}" if where else ""


def _header(row: tuple[int | str, ...]) -> Header:
    number, collection, name, stamp, deleted = row
    return Header(int(number), str(collection), str(name), int(stamp), bool(deleted))
