"""Bringing a search backend up to the state of the static catalog, which is the truth."""

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import shapely
from shapely.errors import ShapelyError

from cup4soil.errors import Cup4soilError
from stac_catalog.catalogs import CATALOG_FILE, COLLECTION_FILE
from stac_catalog.files import locked, signature
from stac_catalog.ledger import Change, Ledger
from stac_catalog.listing import listed_collections, listed_items, read_document
from stac_catalog.search_documents import Document, collection_document, item_document
from stac_catalog.search_time import TIMES
from stac_catalog.search_values import Kind, parse_instant

_CATALOG: Final = "catalog"
_LOCK: Final = ".lock"
_INCOMPLETE: Final = "incomplete"
_LOG: Final = logging.getLogger(__name__)

type Fact = tuple[str, Kind, str | int | float]


@dataclass(frozen=True, slots=True)
class Entry:
    """An item as a backend takes it in: ``document`` as the API has it, times in microseconds since 1970, shape in WKB.

    ``state`` is the signature of its file, ``facts`` what it may be selected by. Of a box across the antimeridian
    west is greater than east.
    """

    collection: str
    id: str
    state: str
    document: Document
    start: int
    end: int
    box: tuple[float, float, float, float]
    shape: bytes
    facts: frozenset[Fact]


class Sink(Protocol):
    """Where a backend keeps what it repeats, within one transaction."""

    def clear(self) -> None:
        """Drop everything."""
        ...

    def collections(self) -> dict[str, str]:
        """Signature of each collection."""
        ...

    def items(self, collection: str) -> dict[str, str]:
        """Signature of each item of a collection."""
        ...

    def put_collection(self, name: str, state: str, document: Document) -> None:
        """Take in a collection that is new or has changed; its items are left as they are."""
        ...

    def put_items(self, entries: Iterable[Entry]) -> None:
        """Take in items of collections that are there; any of the same id have been removed before."""
        ...

    def remove_items(self, collection: str, names: Collection[str]) -> None:
        """Drop those of these items that are there."""
        ...

    def remove_collection(self, name: str) -> None:
        """Drop a collection with its items."""
        ...


class Known(NamedTuple):
    """What a backend repeats: the catalog in this state, at this mark of the store's ledger."""

    state: str
    mark: str


class Watched:
    """The catalog of the store in ``root``, as a backend watches it, with the ``folders`` beside it that are served."""

    def __init__(self, root: Path, folders: tuple[str, ...]) -> None:
        self.root = root
        self.folder = root / _CATALOG
        self._file = self.folder / CATALOG_FILE
        self._folders = {name: root / name for name in folders}

    def state(self) -> str:
        """What changes with the catalog, and with the folders that are there. Takes microseconds."""
        return f"{signature(self._file)}|{','.join(self._served())}"

    def unchanging(self) -> AbstractContextManager[None]:
        """Keeps the catalog as it is, waiting for who changes it."""
        return locked(self.root / _LOCK)

    def follow(self, sink: Sink, known: Known | None) -> Known:
        """Bring the sink, which repeats what is ``known`` (None when it is empty), up to the present.

        Within :meth:`unchanging`.

        Raises:
            StoreError: when a file of the catalog is damaged.
        """
        ledger = Ledger(self.root)
        now = Known(self.state(), ledger.mark())
        folders = self._served()
        other_folders = known is None or known.state.partition("|")[2] != ",".join(folders)
        # The ledger says what has changed; without it every item is looked at.
        changes = ledger.changes(known.mark) if known is not None and known.mark else None
        Synchronisation(sink, self.folder, folders).run(everything=other_folders, changes=changes)
        return now

    def _served(self) -> list[str]:
        return [name for name, folder in self._folders.items() if folder.is_dir()]


class Synchronisation:
    """One run, within one transaction of the sink, while nobody writes to the catalog."""

    def __init__(self, sink: Sink, catalog: Path, folders: Collection[str]) -> None:
        self._sink = sink
        self._catalog = catalog
        self._folders = folders

    def run(self, *, everything: bool, changes: Iterable[Change] | None = None) -> None:
        """Take in what has come or changed, drop what has gone. With ``everything`` nothing is taken as unchanged.

        ``changes`` are all that befell items since the sink was last in step; without them every item is looked at.

        An item whose document is damaged is left out, and tried again when the catalog changes.

        Raises:
            StoreError: when a collection or a list of items is damaged.
        """
        if everything:
            self._sink.clear()
        changed = None if everything or changes is None else _by_collection(changes)
        known = self._sink.collections()
        present = listed_collections(self._catalog)
        for name in known.keys() - set(present):
            self._sink.remove_collection(name)
        for name in present:
            state = signature(self._catalog / name / COLLECTION_FILE)
            if known.get(name) != state:
                document = read_document(self._catalog / name / COLLECTION_FILE)
                about = collection_document(document, self._folders)
                self._sink.put_collection(name, state, about)
                # Of a collection that lacks an item every one is looked at, until it is found well.
                told = None if changed is None or known.get(name) == _INCOMPLETE else changed[name]
                if not self._items(name, told):
                    self._sink.put_collection(name, _INCOMPLETE, about)

    def _items(self, collection: str, changed: Mapping[str, bool] | None) -> bool:
        """Follow the items of a collection: those that ``changed`` (true where one is gone), or all.

        False when one had to be left out, because its document is damaged.
        """
        if changed is not None:
            states = {item: signature(self._path(collection, item)) for item, gone in changed.items() if not gone}
            self._sink.remove_items(collection, changed.keys())
        else:
            known = self._sink.items(collection)
            present = {
                item: signature(self._path(collection, item)) for item in listed_items(self._catalog, collection)
            }
            states = {item: state for item, state in present.items() if known.get(item) != state}
            self._sink.remove_items(collection, [item for item in known if item not in present or item in states])
        damaged: list[str] = []
        self._sink.put_items(self._entries(collection, states, damaged))
        return not damaged

    def _entries(self, collection: str, states: Mapping[str, str], damaged: list[str]) -> Iterator[Entry]:
        """The items that can be read; the names of the others are added to ``damaged``."""
        for name, state in states.items():
            path = self._path(collection, name)
            try:
                entry = _entry(collection, name, state, read_document(path), self._folders)
            except (LookupError, TypeError, ValueError, AttributeError, Cup4soilError, ShapelyError) as error:
                _LOG.error("%s is left out of searches, as it is damaged: %s", path, error)
                damaged.append(name)
            else:
                yield entry

    def _path(self, collection: str, item: str) -> Path:
        return self._catalog / collection / item / f"{item}.json"


def _by_collection(changes: Iterable[Change]) -> defaultdict[str, dict[str, bool]]:
    """Of each collection the items that changed, and whether they are gone."""
    found: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    for change in changes:
        found[change.collection][change.id] = change.deleted
    return found


def _entry(collection: str, name: str, state: str, item: Mapping[str, Any], folders: Collection[str]) -> Entry:
    properties = item["properties"]
    instant = properties.get("datetime")
    half = len(item["bbox"]) // 2
    (west, south), (east, north) = item["bbox"][:2], item["bbox"][half : half + 2]
    return Entry(
        collection=collection,
        id=name,
        state=state,
        document=item_document(item, folders),
        start=parse_instant(properties.get("start_datetime") or instant),
        end=parse_instant(properties.get("end_datetime") or instant),
        box=(west, south, east, north),
        shape=shapely.from_geojson(json.dumps(item["geometry"])).wkb,
        facts=frozenset(facts_of(properties)),
    )


def facts_of(properties: Mapping[str, Any]) -> Iterator[Fact]:
    """What items may be selected by: name, kind and value of each property that is not null.

    Of lists, and of objects in objects, only their presence is known.
    """
    for name, value in _with_members(properties).items():
        if isinstance(value, bool | int | float):
            yield name, "b" if isinstance(value, bool) else "n", value
        elif isinstance(value, str):
            yield name, "s", value
            if name in TIMES:
                yield name, "t", parse_instant(value)
        elif value is not None:
            yield name, "j", ""


def _with_members(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties and, named with a dot between, the members of those that are objects."""
    values = dict(properties)
    for name in sorted((name for name, value in properties.items() if isinstance(value, Mapping)), key=len):
        for member, value in properties[name].items():
            values.setdefault(f"{name}.{member}", value)
    return values
