"""Changes of the ledger, within one transaction."""

import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from stac_catalog.catalogs import Entry, Facts, Overview
from stac_catalog.pages import LENGTHS, MOST_ITEMS, WHOLE, child_length, is_smallest, spot_of

_LOG = logging.getLogger(__name__)
_PRESENT: Final = "CREATE TEMP TABLE present (id TEXT PRIMARY KEY, signature TEXT NOT NULL) WITHOUT ROWID"
_PART: Final = "collection = ? AND spot >= ? AND spot < ?"
_BEHIND: Final = "~"  # comes after every sign of a spot


class Entries:
    """The items that the ledger knows, by the number of their collection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def collections(self) -> dict[str, int]:
        """Number of each collection whose folder was seen, by its id; some have no items."""
        return dict(self._db.execute("SELECT id, n FROM collections ORDER BY id"))

    def collection(self, name: str) -> int:
        """Number of a collection, which is taken in where it is new."""
        self._db.execute("INSERT OR IGNORE INTO collections (id, title, folder) VALUES (?, '', '')", (name,))
        return int(self._db.execute("SELECT n FROM collections WHERE id = ?", (name,)).fetchone()[0])

    def titles(self) -> list[tuple[str, str]]:
        """Id and title of each collection that has items, by id in alphabetical order."""
        sql = "SELECT id, title FROM collections WHERE n IN (SELECT collection FROM kinds) ORDER BY id"
        return self._db.execute(sql).fetchall()

    def spot(self, collection: int, item: str) -> str | None:
        """Where an item stands, None where it is unknown."""
        row = self._db.execute("SELECT spot FROM items WHERE collection = ? AND id = ?", (collection, item)).fetchone()
        return None if row is None else str(row[0])

    def put(self, collection: int, entry: Entry, state: str) -> str:
        """Take in an item, or another state of it; returns where it stands."""
        self._db.execute("DELETE FROM items WHERE collection = ? AND id = ?", (collection, entry.id))
        where = "collection = (SELECT id FROM collections WHERE n = ?) AND id = ?"
        self._db.execute(f"DELETE FROM gone WHERE {where}", (collection, entry.id))  # noqa: S608
        spot = spot_of(entry.start, entry.id)
        place = (*entry.bbox, _time(entry.start), _time(entry.end))
        row = (collection, entry.id, spot, entry.title, *place, self._facts(entry.facts), state, *self._stamp())
        self._db.execute(f"INSERT INTO items VALUES (NULL{', ?' * len(row)})", row)  # noqa: S608
        return spot

    def forget_states(self) -> None:
        """Count every item and every collection as changed."""
        self._db.execute("UPDATE items SET signature = ''")
        self._db.execute("UPDATE collections SET folder = ''")

    def drop(self, collection: int, item: str) -> None:
        """Note that an item is gone, unless it was unknown."""
        if self.spot(collection, item) is None:
            return
        self._db.execute("DELETE FROM items WHERE collection = ? AND id = ?", (collection, item))
        sql = "INSERT OR REPLACE INTO gone SELECT id, ?, ?, ? FROM collections WHERE n = ?"
        self._db.execute(sql, (item, *self._stamp(), collection))

    def compare(self, collection: int, present: Iterable[tuple[str, str]]) -> tuple[Iterator[str], Iterator[str]]:
        """Hold the items that are ``present``, each with its state, against the ledger: those to put, those to drop.

        Only one comparison at a time; its iterators may be taken while items are put and dropped.
        """
        self._db.execute("DROP TABLE IF EXISTS temp.present")
        self._db.execute(_PRESENT)
        self._db.executemany("INSERT INTO present VALUES (?, ?)", present)
        for name, sql in (
            ("unlike", "SELECT id FROM present EXCEPT SELECT p.id FROM present p JOIN items i ON i.id = p.id "
             "WHERE i.collection = ? AND i.signature = p.signature"),
            ("missing", "SELECT id FROM items WHERE collection = ? AND id NOT IN (SELECT id FROM present)"),
        ):  # fmt: skip
            self._db.execute(f"DROP TABLE IF EXISTS temp.{name}")
            self._db.execute(f"CREATE TEMP TABLE {name} AS {sql}", (collection,))
        return self._names("unlike"), self._names("missing")

    def state_of(self, item: str) -> str:
        """State of an item in the comparison at hand."""
        return str(self._db.execute("SELECT signature FROM present WHERE id = ?", (item,)).fetchone()[0])

    def page_of(self, collection: int, spot: str) -> str:
        """Key of the page where an item at this spot belongs: of ever smaller parts the first that is not too large."""
        keys = [spot[:length] for length in LENGTHS]
        return next((key for key in keys if self._fits(collection, key)), keys[-1])

    def pages(self, collection: int, key: str = WHOLE) -> Iterator[str]:
        """Keys of the pages of a part of a collection, or of the whole; of a small one that is itself."""
        if self._fits(collection, key):
            yield key
            return
        sql = f"SELECT DISTINCT substr(spot, 1, ?) FROM items WHERE {_PART} ORDER BY 1"  # noqa: S608
        for (child,) in self._db.execute(sql, (child_length(key), *_part(collection, key))).fetchall():
            yield from self.pages(collection, child)

    def has_any(self, collection: int, key: str) -> bool:
        """Whether a part of a collection has items."""
        sql = f"SELECT EXISTS (SELECT 1 FROM items WHERE {_PART})"  # noqa: S608
        return bool(self._db.execute(sql, _part(collection, key)).fetchone()[0])

    def titles_of(self, collection: int, key: str) -> Iterator[tuple[str, str]]:
        """Id and title of the items of a page, by id in alphabetical order."""
        sql = f"SELECT id, title FROM items WHERE {_PART} ORDER BY id"  # noqa: S608
        return self._db.execute(sql, _part(collection, key))

    def overview(self, collection: int) -> Overview | None:
        """What is said of all items of a collection; None where it has none."""
        sql = "SELECT text, count FROM kinds JOIN facts ON n = facts WHERE collection = ? ORDER BY text"
        facts = tuple((_facts_of(text), count) for text, count in self._db.execute(sql, (collection,)))
        if not facts:
            return None
        west, south, east, north, start, end = self._extent(collection)
        times = datetime.fromisoformat(str(start)), datetime.fromisoformat(str(end))
        return Overview((float(west), float(south), float(east), float(north)), *times, facts)

    def documents(self, collection: int) -> dict[str, str]:
        """State of each document that lists items of a collection, by the key of its page."""
        return dict(self._db.execute("SELECT key, signature FROM documents WHERE collection = ?", (collection,)))

    def set_documents(self, collection: int, states: Mapping[str, str]) -> None:
        """Note the state of all documents of a collection, by the keys of their pages."""
        self._db.execute("DELETE FROM documents WHERE collection = ?", (collection,))
        rows = [(collection, key, state) for key, state in states.items()]
        self._db.executemany("INSERT INTO documents VALUES (?, ?, ?)", rows)

    def set_title(self, collection: int, title: str) -> None:
        """Note the title of a collection."""
        self._db.execute("UPDATE collections SET title = ? WHERE n = ?", (title, collection))

    def folder(self, collection: int) -> str:
        """State of a collection's folder when it was last seen whole."""
        return str(self._db.execute("SELECT folder FROM collections WHERE n = ?", (collection,)).fetchone()[0])

    def set_folder(self, collection: int, state: str) -> None:
        """Note the state of a collection's folder; without one the collection is forgotten."""
        if state:
            self._db.execute("UPDATE collections SET folder = ? WHERE n = ?", (state, collection))
        else:
            self._db.execute("DELETE FROM collections WHERE n = ?", (collection,))

    def root(self) -> str:
        """State of the root catalog's file."""
        return str(self._db.execute("SELECT root FROM state").fetchone()[0])

    def set_root(self, state: str) -> None:
        """Note the state of the root catalog's file."""
        self._db.execute("UPDATE state SET root = ?", (state,))

    def keep_in_doubt(self, collections: Iterable[int]) -> None:
        """Keep the changes so far, with these collections and the root in doubt until :meth:`keep_certain`."""
        self._db.executemany("UPDATE collections SET folder = '' WHERE n = ?", [(number,) for number in collections])
        self.set_root("")
        self._db.execute("COMMIT")

    def keep_certain(self, note: Callable[[], None]) -> None:
        """Let ``note`` tell the state that was reached. Where the disk is too full for that, the doubt remains."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            note()
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            _LOG.warning("the ledger is behind, which the next change or start mends: %s", error)

    def _extent(self, collection: int) -> tuple[float | str, ...]:
        known = 'SELECT west, south, east, north, start, "end" FROM collections WHERE n = ?'
        row: tuple[float | str, ...] = self._db.execute(known, (collection,)).fetchone()
        if row[0] is None:
            found = 'min(west), min(south), max(east), max(north), min(start), max("end")'
            row = self._db.execute(f"SELECT {found} FROM items WHERE collection = ?", (collection,)).fetchone()  # noqa: S608
            keep = 'UPDATE collections SET west = ?, south = ?, east = ?, north = ?, start = ?, "end" = ? WHERE n = ?'
            self._db.execute(keep, (*row, collection))
        return row

    def _facts(self, facts: Facts) -> int:
        text = facts.text
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._db.execute("INSERT OR IGNORE INTO facts (digest, text) VALUES (?, ?)", (digest, text))
        return int(self._db.execute("SELECT n FROM facts WHERE digest = ?", (digest,)).fetchone()[0])

    def _stamp(self) -> tuple[int, float]:
        number = self._db.execute("UPDATE state SET last = last + 1 RETURNING last").fetchone()[0]
        return int(number), time.time()

    def _fits(self, collection: int, key: str) -> bool:
        """Whether one document can list the items of a part."""
        if is_smallest(key):
            return True
        sql = f"SELECT count(*) FROM (SELECT 1 FROM items WHERE {_PART} LIMIT ?)"  # noqa: S608
        return int(self._db.execute(sql, (*_part(collection, key), MOST_ITEMS + 1)).fetchone()[0]) <= MOST_ITEMS

    def _names(self, table: str) -> Iterator[str]:
        return (str(name) for (name,) in self._db.execute(f"SELECT id FROM temp.{table} ORDER BY id"))  # noqa: S608


def _part(collection: int, key: str) -> tuple[int, str, str]:
    return collection, key, key + _BEHIND


def _time(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="microseconds")


@lru_cache(maxsize=64)
def _facts_of(text: str) -> Facts:
    return Facts.from_text(text)
