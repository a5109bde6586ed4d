"""What a pgstac database keeps of the catalog, written to its tables by pypgstac.

An item's columns and its content are pgstac's, for whatever program reads them; its text, as the API has it, stands
beside them in the column ``private`` together with the signature of the file it was read from.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import psycopg
from psycopg.types.json import Jsonb
from pypgstac.load import Loader, Methods

from cup4soil.errors import Cup4soilError, StoreError
from stac_catalog.pgstac_database import Given
from stac_catalog.search_documents import Document, compact
from stac_catalog.search_sync import Entry

_AT_ONCE: Final = 1000


class PgstacRows:
    """The tables as a :class:`stac_catalog.search_sync.Sink`, whose methods these are."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._db = connection

    def clear(self) -> None:
        """Drop everything."""
        for name in self.collections():
            self.remove_collection(name)

    def collections(self) -> dict[str, str]:
        """Signature of each collection."""
        return dict(self._db.execute("SELECT id, coalesce(private->>'signature', '') FROM pgstac.collections"))

    def items(self, collection: str) -> dict[str, str]:
        """Signature of each item of a collection."""
        sql = "SELECT id, coalesce(private->>'signature', '') FROM pgstac.items WHERE collection = %s"
        return dict(self._db.execute(sql, (collection,)))

    def put_collection(self, name: str, state: str, document: Document) -> None:
        """Take in a collection that is new or has changed; its items are left as they are."""
        private = {"signature": state, "title": str(document.get("title") or name), "text": compact(document)}
        self._db.execute(
            "INSERT INTO pgstac.collections (content, private) VALUES (%s, %s) "
            "ON CONFLICT (id) DO UPDATE SET content = excluded.content, private = excluded.private",
            (Jsonb(document), Jsonb(private)),
        )

    def put_items(self, entries: Iterable[Entry]) -> None:
        """Take in items of collections that are there; any of the same id have been removed before."""
        # Made anew each time: it remembers collections, which may have changed.
        loader = Loader(Given(connection=self._db))
        try:
            loader.load_items(_documents(entries), Methods.insert, chunksize=_AT_ONCE)
        except (psycopg.Error, Cup4soilError):
            raise
        except Exception as error:  # pypgstac raises nothing more specific
            raise StoreError(f"pgstac does not take an item: {error}", "see the catalog's items") from error

    def remove_items(self, collection: str, names: Collection[str]) -> None:
        """Drop those of these items that are there."""
        sql = "DELETE FROM pgstac.items WHERE collection = %s AND id = ANY(%s)"
        if names:
            self._db.execute(sql, (collection, [*names]))

    def remove_collection(self, name: str) -> None:
        """Drop a collection with its items."""
        self._db.execute("DELETE FROM pgstac.collections WHERE id = %s", (name,))


def _documents(entries: Iterable[Entry]) -> Iterator[Document]:
    for entry in entries:
        yield {**entry.document, "private": {"signature": entry.state, "text": compact(entry.document)}}
