"""What a store has to offer as coverages, read anew whenever the store's index has changed."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from cup4soil.errors import DamagedProduct, InvalidInput, NotFound, StoreError, reading_product
from cup4soil.settings import Settings
from processors.coverages import Coverage, Interval, Item, choose, choose_all, periods
from stac_catalog.listing import listed_items
from stac_catalog.recovery import present_record
from stac_catalog.store import Store
from stac_catalog.visibility import is_hidden, visible

COLLECTION_FILE = "collection.json"
type Signature = tuple[int, int, int]


@dataclass(frozen=True)
class Collection:
    """A collection with rasters: its STAC document and the ids of its items."""

    id: str
    document: Mapping[str, Any]
    item_ids: tuple[str, ...]
    signature: Signature
    coverages: dict[tuple[str, ...], Coverage] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Title for people."""
        return str(self.document.get("title") or self.id)


class CoverageCatalog:
    """The coverages of a store. Many threads may use one; nothing is read before it is asked for.

    The index of the store is replaced whole at every registration: one look at the file's state tells
    whether anything is new, in every process that serves the store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._signature: Signature | None = None
        self._collections: dict[str, Collection] = {}
        self._items: dict[tuple[str, str], Item | None] = {}

    def collections(self) -> Mapping[str, Collection]:
        """The collections with rasters by id, in alphabetical order.

        Raises:
            StoreError: when the store's index cannot be read.
        """
        signature = _signature(self.store.catalog_path)
        if signature != self._signature:
            with self._lock:
                if signature != self._signature:
                    self._collections = self._read()
                    self._signature = signature
        return self._collections

    def coverage(self, collection_id: str, when: Interval | None = None) -> Coverage:
        """The items of the latest period of a collection that meets ``when``, as one mosaic.

        Raises:
            NotFound: when there is no such collection.
            NoData: when it has nothing at that time.
        """
        collection = self._collection(collection_id)
        return self._mosaic(collection, choose(self._rasters(collection), when, collection_id))

    def series(self, collection_id: str, when: Interval | None = None) -> tuple[Coverage, ...]:
        """The periods of a collection that meet ``when``, earliest first, each as :meth:`coverage` gives it.

        Raises:
            NotFound: when there is no such collection.
            NoData: when it has nothing at that time.
        """
        collection = self._collection(collection_id)
        groups = choose_all(self._rasters(collection), when, collection_id)
        return tuple(self._mosaic(collection, items) for items in groups)

    def _mosaic(self, collection: Collection, items: tuple[Item, ...]) -> Coverage:
        key = tuple(item.id for item in items)
        if key not in collection.coverages:
            collection.coverages[key] = Coverage(collection.id, collection.title, items)
        return collection.coverages[key]

    def periods(self, collection_id: str) -> list[list[Item]]:
        """The items of a collection in groups of one period, latest first.

        Raises:
            NotFound: when there is no such collection.
        """
        return periods(self._rasters(self._collection(collection_id)))

    def _collection(self, collection_id: str) -> Collection:
        known = self.collections()
        if collection_id not in known or is_hidden(collection_id):
            names = visible(known)
            raise NotFound(
                f"no coverage {collection_id[:80]!r}",
                f"use one of {', '.join(names)}" if names else "the store has none",
            )
        return known[collection_id]

    def _rasters(self, collection: Collection) -> list[Item]:
        found = (self._item(collection.id, item_id) for item_id in collection.item_ids)
        return [item for item in found if item is not None]

    def _item(self, collection_id: str, item_id: str) -> Item | None:
        """An item never changes once it is there: its record is read once in a process."""
        key = (collection_id, item_id)
        if key not in self._items:
            name = f"{collection_id}/{item_id}"
            folder = self.store.catalog_path.parent / collection_id / item_id
            try:
                with reading_product(name):
                    self._items[key] = Item.of(present_record(folder), folder)
            except NotFound as error:
                raise DamagedProduct(name, "its record is missing", "restore the store from a copy") from error
        return self._items[key]

    def _read(self) -> dict[str, Collection]:
        names = self._children()
        found = {name: self._read_collection(name) for name in sorted(names)}
        kept = {name: each for name, each in found.items() if each is not None}
        listed = {(name, item) for name, each in kept.items() for item in each.item_ids}
        self._items = {key: item for key, item in self._items.items() if key in listed}
        return kept

    def _children(self) -> list[str]:
        document = _document(self.store.catalog_path)
        return [Path(link["href"]).parent.name for link in document["links"] if link["rel"] == "child"]

    def _read_collection(self, name: str) -> Collection | None:
        path = self.store.catalog_path.parent / name / COLLECTION_FILE
        signature = _signature(path)
        known = self._collections.get(name)
        if known is not None and known.signature == signature:
            return known
        document = _document(path)
        if not any("bands" in asset for asset in document.get("item_assets", {}).values()):
            return None
        items = tuple(listed_items(self.store.catalog_path.parent, name))
        return Collection(name, document, items, signature)


@lru_cache(maxsize=8)
def catalog_of(root: Path) -> CoverageCatalog:
    """The coverages of the store in ``root``, for plugins that are made anew for each request.

    Raises:
        NotFound: when there is no store.
    """
    return CoverageCatalog(Store.open(root, Settings(), create=False))


def store_of_environment() -> Path:
    """The store that ``CUP4SOIL_STORE`` names.

    Raises:
        InvalidInput: when it is not set.
    """
    root = Settings().store
    if root is None:
        raise InvalidInput("no store was named", "set CUP4SOIL_STORE to the folder of a store")
    return root


def _signature(path: Path) -> Signature:
    try:
        facts = path.stat()
    except OSError as error:
        raise StoreError(f"{path.name} of the store is missing", "run cup4soil catalog build") from error
    return (facts.st_ino, facts.st_mtime_ns, facts.st_size)


def _document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path.name} of the store cannot be read", "run cup4soil catalog build") from error
    return document
