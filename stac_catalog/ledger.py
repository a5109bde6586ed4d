"""The ledger of a store: which items the catalog lists, and in which order they came, changed and went.

It is a SQLite file that repeats what the catalog says, so that one item more costs no walk over all others. The catalog
is the truth: a ledger that is missing, damaged or behind is mended or made anew when the store is next opened. Only
:mod:`stac_catalog.index` writes it.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stac_catalog.catalogs import CATALOG_FILE
from stac_catalog.files import signature
from stac_catalog.ledger_database import connection, refusal

LEDGER_FILE: Final = ".ledger.sqlite"
_CATALOG: Final = "catalog"
_AT_ONCE: Final = 1000
_COUNTS: Final = "SELECT id, sum(count) FROM collections JOIN kinds ON n = collection GROUP BY n ORDER BY id"
_ITEMS: Final = """
SELECT id FROM items WHERE collection = (SELECT n FROM collections WHERE id = :collection) AND id > :after
ORDER BY id LIMIT :limit
"""
_CHANGES: Final = """
SELECT change, collection, id, deleted, time FROM (
    SELECT items.change, collections.id AS collection, items.id AS id, 0 AS deleted, items.time
    FROM items JOIN collections ON collections.n = items.collection WHERE items.change > :after
    UNION ALL SELECT change, collection, id, 1, time FROM gone WHERE change > :after
) WHERE (SELECT epoch FROM state) = :epoch ORDER BY change LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Change:
    """The last thing that befell an item: it came or was replaced, or it was ``deleted``; ``time`` is in seconds since
    1970 (UTC). Numbers grow, with gaps.
    """

    number: int
    collection: str
    id: str
    deleted: bool
    time: float


class Ledger:
    """The ledger of the store in ``root``, for those who read it. Several threads and processes may."""

    def __init__(self, root: Path) -> None:
        self.path = root / LEDGER_FILE
        self._catalog_file = root / _CATALOG / CATALOG_FILE

    def mark(self) -> str:
        """What tells the present state from later ones; empty where the ledger cannot tell.

        It cannot when there is none, or the catalog was changed by other means than the store.
        """
        row = self._ask(lambda db: db.execute("SELECT epoch, last FROM state").fetchone())
        return ":".join(map(str, row or ()))

    def changes(self, since: str = "") -> Iterator[Change] | None:
        """Changes since a mark, in the order of their numbers, of each item only the last.

        None where this ledger cannot tell, for it has not given this mark: then everything has to be looked through.
        Without a mark they are those that lead to the present state.
        """
        epoch, _, number = since.partition(":")
        now, _, _ = self.mark().partition(":")
        if not now or (since and epoch != now):
            return None
        return self._changes(now, int(number or 0))

    def items(self, collection: str) -> Iterator[str] | None:
        """Ids of a collection's items in alphabetical order; None where the ledger cannot tell."""
        return self._items(collection) if self.mark() else None

    def counts(self) -> dict[str, int] | None:
        """Number of items of each collection that has any, by id in alphabetical order; None as :meth:`items`."""
        return self._ask(lambda db: {str(name): int(count) for name, count in db.execute(_COUNTS)})

    def _changes(self, epoch: str, after: int) -> Iterator[Change]:
        # A page at a time: a reader that takes its time must not keep the file's log from being folded in.
        while True:
            rows = self._page(_CHANGES, {"epoch": epoch, "after": after, "limit": _AT_ONCE})
            yield from (Change(number, where, name, bool(deleted), time) for number, where, name, deleted, time in rows)
            if len(rows) < _AT_ONCE:
                return
            after = rows[-1][0]

    def _items(self, collection: str) -> Iterator[str]:
        last = ""
        while True:
            rows = self._page(_ITEMS, {"collection": collection, "after": last, "limit": _AT_ONCE})
            yield from (name for (name,) in rows)
            if len(rows) < _AT_ONCE:
                return
            last = rows[-1][0]

    def _page(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        """Rows of a page. A store that changes meanwhile does no harm: what was read is true of it before or after."""
        try:
            with connection(self.path) as db:
                return db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise refusal(error, self.path) from error

    def _ask[T](self, question: Callable[[sqlite3.Connection], T]) -> T | None:
        """What a sound ledger answers that is in step with the catalog's root, else None."""
        try:
            with connection(self.path) as db:
                (root,) = db.execute("SELECT root FROM state").fetchone()
                return question(db) if root and root == signature(self._catalog_file) else None
        except sqlite3.Error:
            return None
