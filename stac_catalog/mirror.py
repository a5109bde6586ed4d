"""Mirrors: copies of the static catalog on any web server or in a bucket, brought up to date by what has changed.

Items are written first, their description after their files, then the documents that list them, the root last, and only
then is removed what is listed no more: a reader never sees a link to what is not there yet. What killed a run left is
found by the next one, which writes only what is missing.
"""

import hashlib
import json
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import batched
from pathlib import Path, PurePosixPath
from typing import Any, Final

from cup4soil.errors import StoreError
from cup4soil.progress import Progress, Silent
from stac_catalog.catalogs import CATALOG_FILE, COLLECTION_FILE
from stac_catalog.destinations import Destination
from stac_catalog.geoparquet import write_geoparquet
from stac_catalog.ledger import Change
from stac_catalog.mirror_documents import TABLE_FILE, Form
from stac_catalog.mirror_state import STATE_FILE, State
from stac_catalog.store import Store

_THREADS: Final = 8
_WAITING: Final = 256
_HINT: Final = "run cup4soil catalog build"


@dataclass(slots=True)
class Report:
    """What a run did, or would have done: numbers of items and documents, files, and bytes of items' files."""

    items_written: int = 0
    items_unchanged: int = 0
    items_removed: int = 0
    files_written: int = 0
    bytes_written: int = 0
    documents_written: int = 0
    files_removed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **numbers: int) -> None:
        """Count something; several threads may."""
        with self._lock:
            for name, number in numbers.items():
                setattr(self, name, getattr(self, name) + number)

    def figures(self) -> dict[str, int]:
        """The numbers by their names."""
        return {name: getattr(self, name) for name in self.__slots__ if not name.startswith("_")}


class Mirror:
    """One run: brings the mirror at a destination up to the state of a store. With ``dry`` nothing is written."""

    def __init__(
        self, store: Store, destination: Destination, form: Form, *, dry: bool = False, progress: Progress | None = None
    ) -> None:
        self._store = store
        self._catalog = store.catalog_path.parent
        self._destination = destination
        self._form = form
        self._dry = dry
        self._progress = progress or Silent()
        self._report = Report()
        self._touched: set[str] = set()
        self._gone: set[tuple[str, str]] = set()

    def run(self) -> Report:
        """Write what has changed.

        Raises:
            InvalidInput: when the destination holds something else.
            StoreError: when the destination cannot be written or the store is damaged. What was written stays, and the
                next run goes on from there.
        """
        options = json.loads(json.dumps(asdict(self._form)))
        found = State.read(self._destination)
        known = found.mark != "" and found.options == options and self._store.ledger.changes(found.mark) is not None
        before = found if known else State("", options)
        if not known and not self._dry:
            # Whoever finds the state of a run that was broken off must not take it for that of what is there.
            before.write(self._destination)
        with tempfile.TemporaryDirectory() as folder:
            mark = self._items(before.mark, Path(folder), compare=found.exists)
            documents = self._lists(Path(folder), before)
        self._remove(found.documents.keys() - documents.keys(), everywhere=found.exists and not known)
        if not self._dry:
            self._destination.settle()
            State(mark, options, documents).write(self._destination)
        return self._report

    def _items(self, mark: str, lists: Path, *, compare: bool) -> str:
        """Write items until the lists are of their state; returns its mark. Changes may come while they are written."""
        while True:
            now = self._store.ledger.mark()
            changes = self._store.ledger.changes(mark)
            if not now or changes is None:
                raise StoreError("the catalog was changed by other means than the store", _HINT)
            total = sum(1 for _ in self._store.ledger.changes(mark) or ())
            with (
                self._progress.step("Items", total) as advance,
                ThreadPoolExecutor(_THREADS, thread_name_prefix="mirror") as pool,
            ):
                for some in batched(self._wanted(changes), _WAITING):
                    for _ in pool.map(partial(self._change, compare=compare), some):
                        advance()
            if self._store.copy_lists(lists, now):
                return now
            mark, compare = now, True

    def _wanted(self, changes: Iterable[Change]) -> Iterator[Change]:
        for change in changes:
            if change.collection not in self._form.without:
                self._touched.add(change.collection)
                yield change

    def _change(self, change: Change, *, compare: bool) -> None:
        """Write an item, or note that it is gone. One that is replaced while it is read is read again."""
        key = (change.collection, change.id)
        for last in (False, False, True):
            folder = self._store.find(*key)
            if folder is None:
                self._gone.add(key)
                return
            self._gone.discard(key)
            try:
                self._item(folder, f"{change.collection}/{change.id}", compare=compare)
            except FileNotFoundError as error:
                if last:
                    raise StoreError(f"{change.collection}/{change.id} lacks a file: {error}", _HINT) from error
            else:
                return

    def _item(self, folder: Path, path: str, *, compare: bool) -> None:
        """Write an item: the files that differ, then its description, then what it has no more is removed."""
        name = f"{path}/{folder.name}.json"
        original = (folder / f"{folder.name}.json").read_bytes()
        wanted = self._form.item(original, name)
        present = self._destination.read(name) if compare else None
        if present == wanted:
            self._report.add(items_unchanged=1)
            return
        item, old = json.loads(original), _checksums(present)
        files = {
            each.relative_to(folder).as_posix(): each
            for each in _files(folder)
            if each.name != PurePosixPath(name).name
        }
        kept = {file: source for file, source in files.items() if self._form.kept(item, file)}
        sums = _checksums(original)
        for file, source in kept.items():
            if file not in sums or old.get(file) != sums[file]:
                self._upload(f"{path}/{file}", source)
        if not self._dry:
            self._destination.write(name, wanted)
            if present is not None:
                expected = {name, *(f"{path}/{file}" for file in kept)}
                self._drop(each for each in self._destination.paths(path) if each not in expected)
        self._report.add(items_written=1, files_written=1)

    def _upload(self, path: str, source: Path) -> None:
        if not self._dry:
            self._destination.upload(path, source)
        self._report.add(files_written=1, bytes_written=source.stat().st_size)

    def _lists(self, folder: Path, before: State) -> dict[str, str]:
        """Write the documents that changed, those that others lead to first; returns the checksum of each."""
        paths = sorted((each.relative_to(folder).as_posix() for each in folder.rglob("*.json")), key=_rank)
        sums = {path: _sum(self._document(folder, path)) for path in paths if self._is_wanted(path)}
        changed = {path for path in sums if before.documents.get(path) != sums[path]}
        if changed and not self._dry:
            # Should this run be broken off, the next one must not think that it knows what these are.
            known = {path: value for path, value in before.documents.items() if path not in changed}
            State(before.mark, before.options, known).write(self._destination)
        for path in sums:
            if path.endswith(f"/{COLLECTION_FILE}"):
                self._table(folder, path.split("/")[0])
            if path in changed and not self._dry:
                self._destination.write(path, self._document(folder, path))
        self._report.add(documents_written=len(changed))
        return sums

    def _document(self, folder: Path, path: str) -> bytes:
        content = (folder / path).read_bytes()
        whole = path.endswith(f"/{COLLECTION_FILE}")
        return self._form.collection(content, path) if whole else self._form.item(content, path)

    def _is_wanted(self, path: str) -> bool:
        return path.split("/")[0] not in self._form.without

    def _table(self, lists: Path, collection: str) -> None:
        """Write a collection's items as stac-geoparquet, where any of them has changed."""
        if not self._form.tables or collection not in self._touched or self._dry:
            return
        with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
            base = "./" if self._form.base_url is None else f"{self._form.base_url.rstrip('/')}/{collection}/"
            write_geoparquet(self._catalog, [collection], Path(file.name), base=base, within=collection, lists=lists)
            self._destination.upload(f"{collection}/{TABLE_FILE}", Path(file.name))

    def _remove(self, obsolete: Iterable[str], *, everywhere: bool) -> None:
        """Remove what the lists do not lead to any more; in a mirror of unknown state everything is looked at."""
        self._drop(obsolete)
        self._report.add(items_removed=len(self._gone))
        if everywhere:
            self._drop(each for each in self._destination.paths() if not self._belongs(each))
            return
        for collection, item in sorted(self._gone):
            self._drop(self._destination.paths(f"{collection}/{item}"))
        for collection in sorted(self._touched - set(self._store.collections())):
            self._drop([f"{collection}/{TABLE_FILE}"])

    def _belongs(self, path: str) -> bool:
        collection, _, rest = path.partition("/")
        if not rest:
            return path in (CATALOG_FILE, STATE_FILE)
        if collection in self._form.without:
            return False
        item, _, file = rest.partition("/")
        if file:
            return self._store.find(collection, item) is not None
        return (self._catalog / collection / item).is_file() or (item == TABLE_FILE and self._form.tables)

    def _drop(self, paths: Iterable[str]) -> None:
        def counted() -> Iterator[str]:
            for path in paths:
                self._report.add(files_removed=1)
                yield path

        if self._dry:
            for _ in counted():
                pass
        else:
            self._destination.remove(counted())


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))


def _checksums(item: bytes | None) -> dict[str, Any]:
    """Checksum of each file that an item states, by its name in the item's folder."""
    if item is None:
        return {}
    assets = json.loads(item)["assets"].values()
    return {PurePosixPath(asset["href"]).as_posix(): asset.get("file:checksum") for asset in assets}


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _rank(path: str) -> tuple[int, str]:
    """Pages before collections, the root last."""
    if path == CATALOG_FILE:
        return 2, path
    return (1 if path.endswith(f"/{COLLECTION_FILE}") else 0), path
