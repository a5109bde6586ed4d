"""The store: a folder with the static catalog, each item's files beside it."""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from cup4soil.errors import InvalidInput, NotFound, StoreError, reading_product, writing
from cup4soil.products import ProductRecord, read_record
from cup4soil.settings import Settings
from cup4soil.staging import sweep, unfinished
from stac_catalog.catalogs import Entry
from stac_catalog.files import locked, replace_all, sync_folders
from stac_catalog.filling import Crew, Done
from stac_catalog.index import Arrival, Index
from stac_catalog.item_folders import ItemFolders, Job, product_named
from stac_catalog.ledger import Ledger
from stac_catalog.search import INDEX_FILE, SearchIndex

CATALOG_FOLDER = "catalog"
_MARKER = "store.json"
_FORMAT = {"format": "cup4soil-store", "version": 1}
_LOCK = ".lock"
_AT_ONCE = 500  # products of a batch that are listed together
_LOG = logging.getLogger(__name__)


class Store:
    """Products with their metadata, found by collection and id.

    Several processes may use one store at once. An item's folder appears whole or not at all, and
    the index lists exactly the folders that are there; :meth:`open`, :meth:`register` and
    :meth:`rebuild` mend an index that a killed process left behind.
    """

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self._index = Index(root / CATALOG_FOLDER, settings)
        self._folders = ItemFolders(root, root / CATALOG_FOLDER, settings)
        self._search = SearchIndex(root / INDEX_FILE)
        self._processes = min(settings.workers, len(os.sched_getaffinity(0)))

    @classmethod
    def open(cls, root: Path, settings: Settings, *, create: bool = True) -> Self:
        """Open the store in ``root``; without one there it is made when ``create`` says so.

        Raises:
            NotFound: when there is no store and none is to be made.
            StoreError: when ``root`` is a file, holds something else, is not writable, or the store
                is of a later version or damaged.
        """
        root = root.absolute()
        with writing(root):
            _prepare(root, create=create)
            store = cls(root, settings)
            store._mend()
        return store

    @property
    def catalog_path(self) -> Path:
        """The root catalog's file, which any STAC client opens."""
        return self._index.path

    def find(self, collection: str, product_id: str) -> Path | None:
        """Folder of a registered item, None when there is none."""
        return self._index.item_folder(collection, product_id)

    def record(self, collection: str, product_id: str) -> ProductRecord:
        """The record of a registered item.

        Raises:
            NotFound: when there is none.
            DamagedProduct: when it cannot be read.
        """
        folder = self._folder_of(collection, product_id)
        with reading_product(f"{collection}/{product_id}"):
            return read_record(folder)

    @property
    def ledger(self) -> Ledger:
        """What has come, changed and gone, for those who follow."""
        return self._index.ledger

    def collections(self) -> list[str]:
        """Ids of the collections that have items, in alphabetical order."""
        return list(self.counts())

    def counts(self) -> dict[str, int]:
        """Number of items of each collection that has any, by id in alphabetical order."""
        return self._index.counts()

    def items(self, collection: str) -> list[str]:
        """Ids of a collection's items in alphabetical order; none for an unknown collection."""
        return self._index.items(collection)

    def copy_lists(self, folder: Path, mark: str) -> bool:
        """Copy the documents that list items into ``folder``, as they are together at one moment.

        False, and nothing is copied, when that is no more the state that has this mark in the ledger.

        Raises:
            StoreError: when they cannot be copied.
        """
        with writing(folder), locked(self.root / _LOCK):
            if self.ledger.mark() != mark:
                return False
            self._index.copy_lists(folder)
        return True

    def rebuild(self) -> None:
        """Write the index anew from the items, and remove what killed runs left behind.

        Raises:
            StoreError: when it cannot be written, or an item is damaged.
        """
        with writing(self.root), locked(self.root / _LOCK):
            self._index.rebuild()

    def register(self, record: ProductRecord, folder: Path) -> Path:
        """Take the product whose files lie in ``folder`` into the store; returns its folder there.

        A product that is there already is left as it is.

        Raises:
            NotFound: when a file of the record is missing.
            InvalidInput: when the record cannot be published.
            StoreError: when the store cannot be written; the product is not in it then.
        """
        if self.find(record.collection, record.id) is not None:
            self._mend()
            return self.root / CATALOG_FOLDER / record.collection / record.id
        with self.batch() as batch:
            return batch.register(record, folder)

    @contextmanager
    def batch(self) -> Iterator["Batch"]:
        """Register many products, which are listed together: at the end, and in between when they are many.

        Products are registered when the context is left, or :meth:`Batch.flush` was called; after an error those
        since the last flush are not.

        Raises:
            StoreError: when the store cannot be written.
        """
        with ExitStack() as stack:
            # Folders are begun one at a time: a sweep must not meet one that is not yet held.
            with writing(self.root), locked(self.root / _LOCK):
                sweep(self._index.folder)
                part = stack.enter_context(unfinished(self._index.folder))
            batch = Batch(self, self._folders, part)
            yield batch
            batch.flush()

    def register_all(self, products: Iterable[tuple[ProductRecord, Path]]) -> dict[tuple[str, str], InvalidInput]:
        """Register many products, each with the folder of its files, with all processors that the settings allow.

        The result is that of :meth:`register` for one after the other. Few of them are kept at a time. Returns those
        that cannot be published, by collection and id, with the reasons; the others are registered.

        Raises:
            StoreError: when the store cannot be written; products that were listed before are in it, the others not.
        """
        with self.batch() as batch, Crew(self._folders, self._processes - 1) as crew:
            return batch.register_all(products, crew)

    def replace(self, record: ProductRecord, folder: Path) -> Path:
        """Put a product in place of the one of its collection and id; returns its folder in the store.

        Readers see the one or the other. ``folder`` may be the present one: files that stay take no room twice.

        Raises:
            NotFound: when there is no such item, or a file of the record is missing.
            InvalidInput: when the record cannot be published.
            StoreError: when the store cannot be written; the item is as it was then.
        """
        target = self._folder_of(record.collection, record.id)
        with ExitStack() as stack:
            with writing(self.root), locked(self.root / _LOCK):
                sweep(self._index.folder)
                part = stack.enter_context(unfinished(self._index.folder)) / record.id
            self._folders.fill(Job(record, folder, part, {}))
            with writing(self.root):
                sync_folders([part])
            with writing(self.root), locked(self.root / _LOCK):
                self._index.replace(Arrival(record.collection, Entry.of(record), part))
        self._follow()
        return target

    def remove(self, collection: str, product_id: str) -> None:
        """Take a product out of the store.

        Raises:
            NotFound: when there is no such item.
            StoreError: when the store cannot be written.
        """
        self._folder_of(collection, product_id)
        with writing(self.root), locked(self.root / _LOCK):
            self._index.remove(collection, product_id)
        self._follow()

    def publish(self, arrivals: Sequence[Arrival]) -> None:
        """List items that were filled; those that another process brought meanwhile are left as they are."""
        with writing(self.root), locked(self.root / _LOCK):
            new = [each for each in arrivals if self.find(each.collection, each.entry.id) is None]
            if new:
                self._index.add(new)
            else:
                self._index.mend()
        self._follow()

    def _folder_of(self, collection: str, product_id: str) -> Path:
        folder = self.find(collection, product_id)
        if folder is None:
            raise NotFound(f"no item {collection}/{product_id} in the store", "see the catalog for what there is")
        return folder

    def _follow(self) -> None:
        """Let the search index, where a service has made one, take in what is new before anyone asks it."""
        if not (self.root / INDEX_FILE).is_file():
            return
        try:
            self._search.sync()
        except StoreError as error:
            # The product is in the store all the same; the index tries again when it is next asked.
            _LOG.warning("the search index does not follow: %s", error)
        finally:
            self._search.close()

    def _mend(self) -> None:
        """Mend the index; one that may not be written is read as it is, which lists only what is whole."""
        if self._index.is_true() or not _is_writable(self.root / CATALOG_FOLDER):
            return
        with writing(self.root), locked(self.root / _LOCK):
            self._index.mend()


class Batch:
    """Products on their way into a store; see :meth:`Store.batch`. Keeps few of them at a time."""

    def __init__(self, store: Store, folders: ItemFolders, part: Path) -> None:
        self._store = store
        self._folders = folders
        self._part = part
        self._arrivals: dict[tuple[str, str], Arrival] = {}

    def register(self, record: ProductRecord, folder: Path) -> Path:
        """As :meth:`Store.register`; after an error of one product others may follow."""
        if self._is_new(record):
            job = self._job(record, folder)
            self._folders.fill(job)
            self._arrive(job)
        return self._store.root / CATALOG_FOLDER / record.collection / record.id

    def register_all(
        self, products: Iterable[tuple[ProductRecord, Path]], crew: Crew
    ) -> dict[tuple[str, str], InvalidInput]:
        """As :meth:`Store.register_all`, with the folders filled by a crew."""
        refused: dict[tuple[str, str], InvalidInput] = {}
        under_way: set[str] = set()
        for record, folder in products:
            if not under_way.isdisjoint((record.id, *map(product_named, record.sources))):
                # What became of them decides what is said of this one.
                self._receive(crew.rest(), under_way, refused)
            if self._is_new(record):
                under_way.add(record.id)
                self._receive(crew.take(self._job(record, folder)), under_way, refused)
        self._receive(crew.rest(), under_way, refused)
        return refused

    def _receive(
        self,
        done: Iterable[Done],
        under_way: set[str],
        refused: dict[tuple[str, str], InvalidInput],
    ) -> None:
        for job, error in done:
            under_way.discard(job.record.id)
            if error is None:
                self._arrive(job)
            elif isinstance(error, InvalidInput):
                refused[job.record.collection, job.record.id] = error
            else:
                raise error

    def _is_new(self, record: ProductRecord) -> bool:
        key = (record.collection, record.id)
        return key not in self._arrivals and self._store.find(*key) is None

    def _job(self, record: ProductRecord, folder: Path) -> Job:
        others = {name: where for where, name in self._arrivals} if record.sources else {}
        return Job(record, folder, self._part / record.collection / record.id, others)

    def _arrive(self, job: Job) -> None:
        record = job.record
        self._arrivals[record.collection, record.id] = Arrival(record.collection, Entry.of(record), job.part)
        if len(self._arrivals) >= _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """List what was registered since the last time.

        Raises:
            StoreError: when the store cannot be written; these products are not in it then.
        """
        if not self._arrivals:
            return
        arrivals, self._arrivals = list(self._arrivals.values()), {}
        with writing(self._store.root):
            sync_folders([each.part for each in arrivals])
        self._store.publish(arrivals)


def _prepare(root: Path, *, create: bool) -> None:
    """See that there is a store in ``root`` that this version reads and, with ``create``, may write."""
    if root.exists() and not root.is_dir():
        raise StoreError(f"the store {root} is a file", "give a folder")
    if not (root / _MARKER).is_file():
        if not create:
            raise NotFound(f"no store in {root}", "give the folder of a store, or register a product to make one")
        _create(root)
    _check_marker(root / _MARKER)
    if not (root / CATALOG_FOLDER).is_dir():
        raise StoreError(f"the store {root} has lost its folder {CATALOG_FOLDER}", "restore it from a copy")
    if create and not _is_writable(root / CATALOG_FOLDER):
        raise StoreError(f"cannot write {root}: no permission to write", "choose a folder you may write to")


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _create(root: Path) -> None:
    """Make an empty store. Only a folder without visible content becomes one."""
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / _LOCK):
            if (root / _MARKER).is_file():
                return
            others = sorted(each.name for each in root.iterdir() if not each.name.startswith("."))
            if others and others != [CATALOG_FOLDER]:
                raise StoreError(
                    f"{root} is no store and holds other files, such as {others[0]}", "give an empty folder"
                )
            (root / CATALOG_FOLDER).mkdir(exist_ok=True)
            replace_all({root / _MARKER: (json.dumps(_FORMAT) + "\n").encode()})


def _check_marker(path: Path) -> None:
    try:
        marker = json.loads(path.read_bytes())
    except ValueError as error:
        raise StoreError(f"{path} is damaged", "restore the store from a copy") from error
    if marker != _FORMAT:
        raise StoreError(f"{path.parent} is no store that this version reads", f"one with {json.dumps(_FORMAT)} is")
