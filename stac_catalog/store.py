"""The store: a folder with the static catalog, each item's files beside it."""

import json
import logging
import math
import os
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Self

from cup4soil.errors import Cup4soilError, InvalidInput, NotFound, StoreError, writing
from cup4soil.products import RECORD_FILE, ProductRecord, Source, read_record
from cup4soil.settings import Settings
from cup4soil.staging import staged
from stac_catalog.assets import METADATA_FILE, THUMBNAIL_FILE
from stac_catalog.files import copy_synced, discard, locked, replace_all, sync_file, write_synced
from stac_catalog.index import Index
from stac_catalog.iso import iso_record
from stac_catalog.lineage import LINEAGE_FILE, is_remote, lineage_document, local_path, published
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.stac import item_json, product_item
from stac_catalog.thumbnail import thumbnail

CATALOG_FOLDER = "catalog"
_MARKER = "store.json"
_FORMAT = {"format": "cup4soil-store", "version": 1}
_LOCK = ".lock"
_LOG = logging.getLogger(__name__)
_OWN_KEYS = {"metadata", "thumbnail"}


class Store:
    """Products with their metadata, found by collection and id.

    Several processes may use one store at once. An item's folder appears whole or not at all, and
    the index lists exactly the folders that are there; :meth:`open`, :meth:`register` and
    :meth:`rebuild` mend an index that a killed process left behind.
    """

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self._settings = settings
        self._index = Index(root / CATALOG_FOLDER, settings)
        self._search = SearchIndex(root / INDEX_FILE)

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
        """
        folder = self.find(collection, product_id)
        if folder is None:
            raise NotFound(f"no item {collection}/{product_id} in {self.root}", "see the catalog for what there is")
        return read_record(folder)

    def collections(self) -> list[str]:
        """Ids of the collections that have items, in alphabetical order."""
        return list(self._index.on_disk())

    def items(self, collection: str) -> list[str]:
        """Ids of a collection's items in alphabetical order; none for an unknown collection."""
        return self._index.on_disk().get(collection, [])

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
        target = self.root / CATALOG_FOLDER / record.collection / record.id
        new = self.find(record.collection, record.id) is None
        if new:
            _check_record(record)
            _check_files(record, folder)
            self._add(record, folder, target)
        self._list(target, drop=new)
        self._follow()
        return target

    def _add(self, record: ProductRecord, folder: Path, target: Path) -> None:
        try:
            with ExitStack() as stack:
                # Folders are begun one at a time: a sweep must not meet one that is not yet held.
                with writing(self.root), locked(self.root / _LOCK):
                    part = stack.enter_context(staged(target))
                self._fill(record, folder, part)
        except Cup4soilError:
            # Another process may have been quicker with the same product.
            if self.find(record.collection, record.id) is None:
                _drop_empty(target.parent)
                raise

    def _fill(self, record: ProductRecord, folder: Path, part: Path) -> None:
        """Write everything of an item into ``part``, which will become its folder."""
        for name in record.files:
            copy_synced(folder / name, part / name)
        shown = self._published(record)
        sync_file(shown.write(part))
        if not _has_lineage(record):
            write_synced(part / LINEAGE_FILE, lineage_document(record))
        picture = thumbnail(record, folder)
        if picture is not None:
            write_synced(part / THUMBNAIL_FILE, picture)
        write_synced(part / METADATA_FILE, iso_record(shown, self._settings))
        item = product_item(shown, part, self._settings, lambda source: source.href)
        write_synced(part / f"{record.id}.json", item_json(item))

    def _list(self, target: Path, *, drop: bool) -> None:
        """Make the index true; a new item that cannot be listed is dropped again."""
        with writing(self.root), locked(self.root / _LOCK):
            if self._index.is_true():
                return
            try:
                self._index.update()
            except StoreError:
                if drop and target.name not in (self._index.listed() or {}).get(target.parent.name, []):
                    discard(target)
                    _drop_empty(target.parent)
                raise

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
        if not self._index.is_true():
            self.rebuild()

    def _published(self, record: ProductRecord) -> ProductRecord:
        """The record with addresses anyone may see: of the web, or relative within the store."""
        sources = tuple(published(source, self._href(source)) for source in record.sources)
        return record.model_copy(update={"sources": sources})

    def _href(self, source: Source) -> str | None:
        if source.href is not None and is_remote(source.href):
            return source.href
        return self._own_product(source) or (self._own_file(source.href) if source.href else None)

    def _own_file(self, href: str) -> str | None:
        """Address of a file inside the store, relative to any item's folder; None for one outside."""
        path = local_path(href).absolute().resolve()
        if not path.is_relative_to(self.root.resolve()) or not path.is_file():
            return None
        item = self._index.folder.resolve() / "collection" / "item"
        return PurePosixPath(path.relative_to(item, walk_up=True)).as_posix()

    def _own_product(self, source: Source) -> str | None:
        """Address of the item of the store that the source is; None when it is none."""
        if source.role not in ("model", "samples", "composite", "covariate", "index", "threshold"):
            return None
        name = PurePosixPath(source.id).name
        found = (each for each in self._index.folder.iterdir() if each.is_dir() and self.find(each.name, name))
        return next((f"../../{each.name}/{name}/{name}.json" for each in sorted(found)), None)


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
    if create and not os.access(root / CATALOG_FOLDER, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise StoreError(f"cannot write {root}: no permission to write", "choose a folder you may write to")


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


def _check_record(record: ProductRecord) -> None:
    """Refuse a record whose names collide or whose figures cannot be written."""
    keys = [layer.name for layer in record.layers] + [document.name for document in record.documents]
    if taken := _OWN_KEYS & set(keys):
        raise InvalidInput(f"product {record.id} uses the name {taken.pop()!r}", "the register uses it: choose another")
    for values in (keys, record.files):
        if len(set(values)) < len(values):
            raise InvalidInput(f"product {record.id} names a layer or a file twice", "give each its own name")
    for measure in record.quality:
        if not math.isfinite(measure.value):
            raise InvalidInput(f"measure {measure.name!r} of {record.id} is {measure.value}", "leave it out")


def _check_files(record: ProductRecord, folder: Path) -> None:
    """Refuse a record whose files are missing, lie elsewhere, or take a name of the register's own."""
    reserved = {RECORD_FILE, METADATA_FILE, THUMBNAIL_FILE, f"{record.id}.json"}
    for name in map(PurePosixPath, record.files):
        if name.is_absolute() or ".." in name.parts or str(name) in reserved or name.name.startswith("."):
            raise InvalidInput(
                f"product {record.id} has a file {str(name)!r}", "name files within the product's folder"
            )
        if not (folder / name).is_file():
            raise NotFound(
                f"product {record.id} has no file {name} in {folder}", "give the folder that holds its files"
            )


def _has_lineage(record: ProductRecord) -> bool:
    return LINEAGE_FILE in record.files or any(document.name == "lineage" for document in record.documents)


def _drop_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
