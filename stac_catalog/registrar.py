"""Changes of a store's register that clients ask for: one at a time, whole or not at all.

The product's record is what is changed; the item, the ISO record and every other form are made from it anew.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cup4soil.errors import ChangedMeanwhile, Conflict, NotFound, writing
from cup4soil.products import ProductRecord
from stac_catalog.files import locked
from stac_catalog.item_changes import changed_record
from stac_catalog.lineage import is_remote
from stac_catalog.search_backend import SearchBackend
from stac_catalog.search_documents import API_MARK, tag_of
from stac_catalog.search_query import Query
from stac_catalog.search_values import shown
from stac_catalog.store import Store
from stac_catalog.visibility import HIDDEN

type Document = Mapping[str, Any]

_LOCK: Final = ".changes.lock"
_PAGE: Final = 1000
_MIXED: Final = (
    "the collection has products of another kind, property or depth",
    "register the product in a collection of its own",
)


class Registrar:
    """Changes the products of ``store``; ``backend`` is what clients see of them."""

    def __init__(self, store: Store, backend: SearchBackend) -> None:
        self._store = store
        self._backend = backend

    def add(self, products: Sequence[tuple[ProductRecord, Path]]) -> list[str]:
        """Register products whose files lie in these folders, all or none; returns their items.

        Raises:
            Conflict: when there is one of that collection and id, or the collection has products of another kind.
            InvalidInput: when a record cannot be published.
        """
        records = [record for record, _ in products]
        if len({(each.collection, each.id) for each in records}) < len(records):
            raise Conflict("an item is sent twice", "give each an id of its own")
        if len(set(map(_sort_of, records))) > 1:
            raise Conflict(*_MIXED)
        with self._alone():
            for record in records:
                self.check_new(record)
            with self._store.batch() as batch:
                for record, folder in products:
                    batch.register(record, folder)
            return [self._item(record.collection, record.id) for record, _ in products]

    def check_new(self, record: ProductRecord) -> None:
        """See that a product may be added.

        Raises:
            Conflict: as :meth:`add`.
        """
        if self._store.find(record.collection, record.id) is not None:
            raise Conflict(f"{record.collection} has an item {record.id}", "change it by PATCH, or give another id")
        for name in self._store.items(record.collection)[:1]:
            if _sort_of(self._store.record(record.collection, name)) != _sort_of(record):
                raise Conflict(*_MIXED)

    def change(
        self, collection: str, name: str, tags: str | None, read: Callable[[str], tuple[Document, Document]]
    ) -> str:
        """Change an item; returns it as the backend has it thereafter.

        ``tags`` is the header If-Match. ``read`` is given the item and tells what a client saw and what it wants.

        Raises:
            NotFound: when there is no such item.
            ChangedMeanwhile: when it has another tag.
            InvalidInput: as :func:`stac_catalog.item_changes.changed_record`.
        """
        with self._alone():
            old, new = read(self._matching(collection, name, tags))
            folder = self._folder(collection, name)
            record = _located(self._store.record(collection, name), folder)
            changed = changed_record(record, old, new)
            if changed != record:
                self._store.replace(changed, folder)
            return self._item(collection, name)

    def remove(self, collection: str, name: str, tags: str | None) -> None:
        """Take an item out of the register; harvesters are told so.

        Raises:
            NotFound: when there is no such item.
            ChangedMeanwhile: when it has another tag.
            Conflict: when another product was made from it.
        """
        with self._alone():
            self._matching(collection, name, tags)
            heir = next(self._heirs(collection, name), None)
            if heir is not None:
                raise Conflict(f"{heir} was made from {collection}/{name}", "remove what was made from it first")
            self._store.remove(collection, name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other change between what a client's tag is compared with and what is written."""
        with writing(self._store.root), locked(self._store.root / _LOCK):
            yield

    def _item(self, collection: str, name: str) -> str:
        text = self._backend.item(collection, name)
        if text is None:
            raise NotFound(f"no item {shown(name)} in the collection {shown(collection)}", "search for items")
        return text

    def _matching(self, collection: str, name: str, tags: str | None) -> str:
        text = self._item(collection, name)
        given = [each.strip() for each in (tags or "*").split(",")]
        if "*" not in given and tag_of(text) not in given:
            raise ChangedMeanwhile(f"the item {shown(name)} is not the one in If-Match", "get it again, then change it")
        return text

    def _folder(self, collection: str, name: str) -> Path:
        folder = self._store.find(collection, name)
        if folder is None:
            raise NotFound(f"no item {shown(name)} in the collection {shown(collection)}", "search for items")
        return folder

    def _heirs(self, collection: str, name: str) -> Iterator[str]:
        """Products that name an item as their origin, of all collections."""
        address = f'"{API_MARK}collections/{quote(collection)}/items/{quote(name)}"'
        shown_all = HIDDEN.set(frozenset())
        try:
            for text in self._all():
                if address in text:
                    item = json.loads(text)
                    if any(f'"{each["href"]}"' == address for each in item["links"] if each["rel"] == "derived_from"):
                        yield f"{item['collection']}/{item['id']}"
        finally:
            HIDDEN.reset(shown_all)

    def _all(self) -> Iterator[str]:
        token: str | None = None
        while True:
            page = self._backend.search(Query(limit=_PAGE, token=token))
            yield from page.items
            token = page.token
            if token is None:
                return


def _sort_of(record: ProductRecord) -> tuple[str | None, ...]:
    return record.kind, record.property_code, record.depth


def _located(record: ProductRecord, folder: Path) -> ProductRecord:
    """The record with whole paths in place of those relative to its folder, as a product's maker has them."""
    sources = tuple(
        source
        if source.href is None or is_remote(source.href)
        else source.model_copy(update={"href": str((folder / source.href).resolve())})
        for source in record.sources
    )
    return record.model_copy(update={"sources": sources})
