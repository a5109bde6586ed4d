"""What the embedded index keeps of the catalog, written to its tables."""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import batched
from typing import Any, Final

from stac_catalog.search_documents import Document, compact
from stac_catalog.search_sync import Entry
from stac_catalog.search_values import Kind

_AT_ONCE: Final = 2000
_TABLES: Final = ("collections", "items", "documents", "shapes", "properties", "facts", "spreads", "boxes")
_OF_ITEM: Final = ("items", "documents", "shapes", "properties")

# Spreads are not narrowed when items go: then a few items more are looked at than need be.
_WIDEN: Final = """
INSERT INTO spreads VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET least = min(least, excluded.least), most = max(most, excluded.most)
"""


class Rows:
    """The tables as a :class:`stac_catalog.search_sync.Sink`, whose methods these are."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._last = int(db.execute("SELECT coalesce(max(n), 0) FROM items").fetchone()[0])

    def clear(self) -> None:
        """Drop everything."""
        for table in _TABLES:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608

    def collections(self) -> dict[str, str]:
        """Signature of each collection."""
        return dict(self._db.execute("SELECT id, signature FROM collections"))

    def items(self, collection: str) -> dict[str, str]:
        """Signature of each item of a collection."""
        return dict(self._db.execute("SELECT id, signature FROM items WHERE collection = ?", (collection,)))

    def put_collection(self, name: str, state: str, document: Document) -> None:
        """Take in a collection that is new or has changed; its items are left as they are."""
        row = (name, state, str(document.get("title") or name), compact(document))
        self._db.execute("INSERT OR REPLACE INTO collections VALUES (?, ?, ?, ?)", row)

    def put_items(self, entries: Iterable[Entry]) -> None:
        """Take in items of collections that are there; any of the same id have been removed before."""
        for some in batched(entries, _AT_ONCE):
            self._put([(self._last + place, entry) for place, entry in enumerate(some, 1)])
            self._last += len(some)

    def _put(self, entries: list[tuple[int, Entry]]) -> None:
        items = ((n, e.collection, e.id, e.start, e.end, *e.box, e.state) for n, e in entries)
        self._db.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", items)
        boxes = (row for n, e in entries for row in _boxes(n, e))
        self._db.executemany("INSERT INTO boxes VALUES (?, ?, ?, ?, ?)", boxes)
        self._db.executemany("INSERT INTO documents VALUES (?, ?)", ((n, compact(e.document)) for n, e in entries))
        self._db.executemany("INSERT INTO shapes VALUES (?, ?)", ((n, e.shape) for n, e in entries))
        self._db.executemany("INSERT INTO properties VALUES (?, ?)", ((n, compact(_flat(e))) for n, e in entries))
        # In the order of the table, so that neighbours are written together.
        rows = sorted(((*fact, n) for n, e in entries for fact in e.facts), key=_place)
        self._db.executemany("INSERT INTO facts VALUES (?, ?, ?, ?)", rows)
        self._db.executemany(_WIDEN, _spreads(entry for _, entry in entries))

    def remove_items(self, collection: str, names: Collection[str]) -> None:
        """Drop those of these items that are there."""
        for name in names:
            where = (collection, name)
            row = self._db.execute("SELECT n FROM items WHERE collection = ? AND id = ?", where).fetchone()
            if row is None:
                continue
            (number,) = row
            for table in _OF_ITEM:
                self._db.execute(f"DELETE FROM {table} WHERE n = ?", (number,))  # noqa: S608
            self._db.execute("DELETE FROM facts WHERE item = ?", (number,))
            self._db.execute("DELETE FROM boxes WHERE id IN (?, ?)", (2 * number, 2 * number + 1))

    def remove_collection(self, name: str) -> None:
        """Drop a collection with its items."""
        self.remove_items(name, self.items(name).keys())
        self._db.execute("DELETE FROM collections WHERE id = ?", (name,))
        self._db.execute("DELETE FROM spreads WHERE collection = ?", (name,))


def _flat(entry: Entry) -> dict[str, Any]:
    """The properties as filters that cql2 evaluates see them."""
    return {**entry.document["properties"], "id": entry.id, "collection": entry.collection}


def _boxes(number: int, entry: Entry) -> Iterator[tuple[int, float, float, float, float]]:
    """Rows of the R-tree: two for a box across the antimeridian."""
    west, south, east, north = entry.box
    spans = [(west, east)] if west <= east else [(west, 180), (-180, east)]
    return ((2 * number + side, left, right, south, north) for side, (left, right) in enumerate(spans))


def _spreads(entries: Iterable[Entry]) -> Iterator[tuple[str, Kind, str, str | int | float, str | int | float]]:
    """Of each property of a kind in each collection the least and the most of its values."""
    found: defaultdict[tuple[str, Kind, str], set[str | int | float]] = defaultdict(set)
    for entry in entries:
        for name, kind, value in entry.facts:
            found[name, kind, entry.collection].add(value)
    return ((*key, min(values), max(values)) for key, values in found.items())


def _place(row: tuple[str, Kind, str | int | float, int]) -> tuple[str, Kind, bool, str | int | float]:
    """Order of SQLite: numbers before text."""
    name, kind, value, _ = row
    return name, kind, isinstance(value, str), value
