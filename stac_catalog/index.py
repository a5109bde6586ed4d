"""The index of a store: ``catalog.json``, each ``collection.json`` and its pages, made from the folders of whole items.

What an item adds is written by help of the ledger, without a look at the other items. While folders are moved, the
ledger has their collections in doubt: where a process was killed at it, the next one compares them with the disk.
"""

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cup4soil.errors import NotFound, StoreError, writing
from cup4soil.products import RECORD_FILE, read_record
from cup4soil.settings import Settings
from cup4soil.staging import sweep
from stac_catalog.catalogs import (
    CATALOG_FILE,
    COLLECTION_FILE,
    Entry,
    catalog_dict,
    collection_dict,
    item_link,
    page_dict,
)
from stac_catalog.files import (
    discard,
    move_on,
    prepared,
    remove_leftovers,
    signature,
    swap,
    sync_folder,
)
from stac_catalog.index_plan import Plan, members_of, plan_of
from stac_catalog.ledger import Ledger
from stac_catalog.ledger_database import connection, is_sound, make_anew, transaction
from stac_catalog.ledger_entries import Entries
from stac_catalog.listing import is_name, listed_collections, listed_items
from stac_catalog.pages import WHOLE, is_page_file, page_file
from stac_catalog.stac import json_bytes

_LOG = logging.getLogger(__name__)
type Touched = dict[str, set[str]]  # of each collection the spots at which items came or went


@dataclass(frozen=True, slots=True)
class Arrival:
    """An item that is whole in the folder ``part``, on the file system of the catalog, and is to be listed."""

    collection: str
    entry: Entry
    part: Path


class Index:
    """Keeps the index true to the items on the disk. Its writing methods want the store's lock held."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.ledger = Ledger(folder.parent)
        self._settings = settings

    @property
    def path(self) -> Path:
        """The root catalog's file."""
        return self.folder / CATALOG_FILE

    def item_folder(self, collection: str, item: str) -> Path | None:
        """Folder of a whole item, None where there is none of this name."""
        if not (is_name(collection) and is_name(item)):
            return None
        folder = self.folder / collection / item
        whole = (folder / RECORD_FILE).is_file() and (folder / f"{item}.json").is_file()
        return folder if whole else None

    def items(self, collection: str) -> list[str]:
        """Ids of the listed items of a collection, in alphabetical order; none of an unknown one."""
        found = self.ledger.items(collection)
        if found is not None:
            return list(found)
        return sorted(listed_items(self.folder, collection)) if collection in listed_collections(self.folder) else []

    def counts(self) -> dict[str, int]:
        """Number of listed items of each collection that has any, by id in alphabetical order."""
        found = self.ledger.counts()
        if found is not None:
            return found
        counts = {name: sum(1 for _ in listed_items(self.folder, name)) for name in listed_collections(self.folder)}
        return {name: count for name, count in sorted(counts.items()) if count}

    def is_true(self) -> bool:
        """True when nothing but the store has changed the catalog, and no change was broken off."""
        try:
            with connection(self.ledger.path) as db:
                entries = Entries(db)
                root = entries.root()
                return root != "" and root == signature(self.path) and not any(self._doubtful(entries))
        except sqlite3.Error:
            return False

    def mend(self) -> None:
        """Make the index true where it is not, with a look at the items of those collections that are in doubt.

        An item whose record is damaged is not listed, and named in the log.

        Raises:
            StoreError: when the index cannot be written; nothing is changed then.
        """
        if not self.is_true():
            self._mend()

    def rebuild(self) -> None:
        """Write the whole index anew and remove what killed runs left behind.

        Raises:
            StoreError: as :meth:`mend`, and when an item's record is damaged.
        """
        self._mend(everything=True)

    def _mend(self, *, everything: bool = False) -> None:
        with writing(self.folder):
            remove_leftovers(self.folder)
            sweep(self.folder)
            if not is_sound(self.ledger.path):
                make_anew(self.ledger.path)
            with transaction(self.ledger.path) as db:
                entries = Entries(db)
                if everything:
                    entries.forget_states()
                self._write(entries, self._compare(entries, strict=everything))

    def add(self, arrivals: Sequence[Arrival]) -> None:
        """Take in items, none of which is there yet, and list them. Either all are taken in or none.

        Raises:
            StoreError: when they cannot be written.
        """
        with self._changing() as entries, _folders_for(self.folder, {each.collection for each in arrivals}):
            touched = self._put(entries, arrivals)
            self._write(entries, touched, before=partial(_move_all, arrivals, self.folder))

    def replace(self, arrival: Arrival) -> None:
        """Put an item in place of the one of its name. What was there is in ``arrival.part`` thereafter, or gone.

        Raises:
            NotFound: when there is none.
            StoreError: when it cannot be written.
        """
        target = self._present(arrival.collection, arrival.entry.id)
        with self._changing() as entries:
            old = entries.spot(entries.collection(arrival.collection), arrival.entry.id)
            touched = self._put(entries, [arrival])
            touched[arrival.collection] |= {old} if old else set()
            self._write(entries, touched, before=partial(_swap, arrival.part, target))

    def remove(self, collection: str, item: str) -> None:
        """Take an item off the lists, then remove its folder.

        Raises:
            NotFound: when there is none.
            StoreError: when the lists cannot be written.
        """
        target = self._present(collection, item)
        with self._changing() as entries:
            number = entries.collection(collection)
            spot = entries.spot(number, item)
            entries.drop(number, item)
            self._write(entries, {collection: {spot} if spot else set()}, after=partial(discard, target))

    def copy_lists(self, folder: Path) -> None:
        """Copy the documents that list items, whose form is that of the catalog, into ``folder``."""
        with connection(self.ledger.path) as db:
            entries = Entries(db)
            paths = [
                self._document(name, key)
                for name, number in entries.collections().items()
                for key in entries.documents(number)
            ]
        for path in (self.path, *paths):
            target = folder / path.relative_to(self.folder)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)

    def _present(self, collection: str, item: str) -> Path:
        folder = self.item_folder(collection, item)
        if folder is None:
            raise NotFound(f"no item {collection}/{item} in {self.folder.parent}", "see the catalog for what there is")
        return folder

    @contextmanager
    def _changing(self) -> Iterator[Entries]:
        self.mend()
        with writing(self.folder), transaction(self.ledger.path) as db:
            yield Entries(db)

    def _put(self, entries: Entries, arrivals: Sequence[Arrival]) -> Touched:
        touched: Touched = {}
        for each in arrivals:
            state = signature(each.part / f"{each.entry.id}.json")
            spot = entries.put(entries.collection(each.collection), each.entry, state)
            touched.setdefault(each.collection, set()).add(spot)
        return touched

    def _compare(self, entries: Entries, *, strict: bool) -> Touched:
        """Take in what the disk has of the collections in doubt; each counts as touched as a whole."""
        doubtful = list(self._doubtful(entries))
        for name in doubtful:
            folder, number = self.folder / name, entries.collection(name)
            if folder.is_dir():
                sweep(folder)
                remove_leftovers(folder)
            put, drop = entries.compare(number, self._states(folder))
            for item in put:
                try:
                    entry = Entry.of(read_record(folder / item))
                    entries.put(number, replace(entry, id=item), entries.state_of(item))
                except StoreError as error:
                    if strict:
                        raise
                    _LOG.warning("not listed: %s", error)
                    entries.drop(number, item)
            for item in drop:
                entries.drop(number, item)
        return {name: {WHOLE} for name in doubtful}

    def _doubtful(self, entries: Entries) -> Iterator[str]:
        """Collections that a broken change left in doubt, or whose files are not as the ledger remembers them."""
        known = entries.collections()
        for name in sorted({*known, *_folders(self.folder)}):
            if name not in known or self._differs(entries, name, known[name]):
                yield name

    def _differs(self, entries: Entries, name: str, number: int) -> bool:
        states = entries.documents(number).items()
        seen = entries.folder(number)
        if not seen or seen != _folder_state(self.folder / name):
            return True
        return any(signature(self._document(name, key)) != state for key, state in states)

    def _states(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Name and state of the whole items in a collection's folder."""
        for item in _folders(folder):
            state = signature(folder / item / f"{item}.json")
            if state and (folder / item / RECORD_FILE).is_file():
                yield item, state

    def _write(
        self,
        entries: Entries,
        touched: Mapping[str, set[str]],
        *,
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Write the documents that list what was touched; ``before`` they are seen and ``after``, folders are moved.

        They are all written beside their places first: a full disk is met while nothing has changed yet. Those of the
        root and of collections tell by their time that there was a change, even where their content is the same.
        """
        plans = [plan_of(entries, name, spots) for name, spots in touched.items()]
        with prepared(self._documents(entries, plans)) as commit:
            watched = [self.path, *(self._document(plan.collection, WHOLE) for plan in plans)]
            seen = {path: signature(path) for path in watched}
            entries.keep_in_doubt(plan.number for plan in plans)
            before()
            commit()
            for path in (self._document(plan.collection, key) for plan in plans for key in plan.obsolete):
                path.unlink(missing_ok=True)
            after()
        for plan in plans:
            for stray in self._strays(plan):
                stray.unlink()
            _drop_empty(self.folder / plan.collection)
        for path, state in seen.items():
            if state and signature(path) == state:
                move_on(path)
        entries.keep_certain(lambda: self._note(entries, plans))

    def _documents(self, entries: Entries, plans: Iterable[Plan]) -> Iterator[tuple[Path, bytes]]:
        """The documents that are to be written, those that others lead to first."""
        for plan in plans:
            for key in plan.write:
                members = (item_link(*each) for each in entries.titles_of(plan.number, key))
                yield from self._changed(plan.collection, key, page_dict(plan.collection, key, members))
            overview = entries.overview(plan.number)
            if overview is not None:
                document = collection_dict(plan.collection, overview, members_of(entries, plan), self._settings)
                entries.set_title(plan.number, document["title"])
                yield from self._changed(plan.collection, WHOLE, document)
        content = json_bytes(catalog_dict(entries.titles(), self._settings))
        if content != _content(self.path):
            yield self.path, content

    def _changed(self, collection: str, key: str, document: dict[str, Any]) -> Iterator[tuple[Path, bytes]]:
        path, content = self._document(collection, key), json_bytes(document)
        if content != _content(path):
            yield path, content

    def _note(self, entries: Entries, plans: Iterable[Plan]) -> None:
        """Remember the state of the files that were changed."""
        for plan in plans:
            states = {key: signature(self._document(plan.collection, key)) for key in plan.documents}
            entries.set_documents(plan.number, states)
            entries.set_folder(plan.number, _folder_state(self.folder / plan.collection))
        entries.set_root(signature(self.path))

    def _strays(self, plan: Plan) -> list[Path]:
        """Documents of a collection that was looked through and that no longer list anything."""
        if not plan.complete:
            return []
        kept = {self._document(plan.collection, key) for key in plan.documents}
        found = (self.folder / plan.collection).glob("*.json")
        return [path for path in found if _is_document(path.name) and path not in kept]

    def _document(self, collection: str, key: str) -> Path:
        return self.folder / collection / (COLLECTION_FILE if key == WHOLE else page_file(key))


@contextmanager
def _folders_for(catalog: Path, collections: Iterable[str]) -> Iterator[None]:
    """See that the folders of these collections exist; after an error those that are empty are removed again."""
    folders = [catalog / name for name in collections]
    try:
        for folder in folders:
            folder.mkdir(exist_ok=True)
        yield
    except BaseException:
        for folder in folders:
            _drop_empty(folder)
        raise


def _drop_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _move_all(arrivals: Sequence[Arrival], catalog: Path) -> None:
    """Move items to their places; when one cannot be, none is."""
    moved: list[tuple[Path, Path]] = []
    try:
        for each in arrivals:
            target = catalog / each.collection / each.entry.id
            each.part.rename(target)
            moved.append((each.part, target))
        for folder in {target.parent for _, target in moved}:
            sync_folder(folder)
    except OSError:
        for part, target in moved:
            target.rename(part)
        raise


def _swap(part: Path, target: Path) -> None:
    swap(part, target)
    sync_folder(target.parent)


def _folders(path: Path) -> Iterator[str]:
    """Names of the folders in ``path`` that may be those of collections or items; none where it is no folder."""
    try:
        with os.scandir(path) as entries:
            yield from (entry.name for entry in entries if is_name(entry.name) and entry.is_dir())
    except FileNotFoundError:
        return


def _folder_state(path: Path) -> str:
    """What changes when something comes into a folder or leaves it; empty when there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    return f"{stat.st_ino}-{stat.st_mtime_ns}"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _is_document(name: str) -> bool:
    return name == COLLECTION_FILE or is_page_file(name)
