"""Bringing a search backend up to the state of the static catalog, which is the truth."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import shapely

from cup4soil.errors import InvalidInput, StoreError
from stac_catalog.catalogs import CATALOG_FILE, COLLECTION_FILE
from stac_catalog.files import signature
from stac_catalog.listing import listed_items
from stac_catalog.search_documents import Document, collection_document, item_document
from stac_catalog.search_time import TIMES
from stac_catalog.search_values import Kind, parse_instant

_HINT: Final = "run cup4soil catalog build"
_DEPTH: Final = 2  # of the objects among the properties whose members are facts of their own

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


class Synchronisation:
    """One run, within one transaction of the sink, while nobody writes to the catalog."""

    def __init__(self, sink: Sink, catalog: Path, folders: Collection[str]) -> None:
        self._sink = sink
        self._catalog = catalog
        self._folders = folders

    def run(self, *, everything: bool) -> None:
        """Take in what has come or changed, drop what has gone. With ``everything`` nothing is taken as unchanged.

        Raises:
            StoreError: when a file of the catalog is damaged.
        """
        if everything:
            self._sink.clear()
        known = self._sink.collections()
        present = _targets(_read(self._catalog / CATALOG_FILE), "child")
        for name in known.keys() - set(present):
            self._sink.remove_collection(name)
        for name in present:
            state = signature(self._catalog / name / COLLECTION_FILE)
            if known.get(name) != state:
                self._collection(name, state)

    def _collection(self, name: str, state: str) -> None:
        document = _read(self._catalog / name / COLLECTION_FILE)
        self._sink.put_collection(name, state, collection_document(document, self._folders))
        known = self._sink.items(name)
        present = {item: signature(self._path(name, item)) for item in listed_items(self._catalog, name)}
        changed = {item: state for item, state in present.items() if known.get(item) != state}
        self._sink.remove_items(name, [item for item in known if item not in present or item in changed])
        self._sink.put_items(self._entries(name, changed))

    def _entries(self, collection: str, states: Mapping[str, str]) -> Iterator[Entry]:
        for name, state in states.items():
            path = self._path(collection, name)
            item = _read(path)
            try:
                yield _entry(collection, name, state, item, self._folders)
            except (LookupError, TypeError, ValueError, AttributeError, InvalidInput) as error:
                raise StoreError(f"{path} is damaged: {error}", _HINT) from error

    def _path(self, collection: str, item: str) -> Path:
        return self._catalog / collection / item / f"{item}.json"


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


def facts_of(properties: Mapping[str, Any], prefix: str = "", depth: int = _DEPTH) -> Iterator[Fact]:
    """What items may be selected by: name, kind and value of each property that is not null.

    Members of objects are named with a dot between; of lists and deep objects only their presence is known.
    """
    for key, value in properties.items():
        name = f"{prefix}{key}"
        if isinstance(value, bool | int | float):
            yield name, "b" if isinstance(value, bool) else "n", value
        elif isinstance(value, str):
            yield name, "s", value
            if name in TIMES:
                yield name, "t", parse_instant(value)
        elif value is not None:
            yield name, "j", ""
            if isinstance(value, Mapping) and depth > 1:
                yield from facts_of(value, f"{name}.", depth - 1)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}", _HINT) from error
    if not isinstance(document, dict):
        raise StoreError(f"{path} is no STAC document", _HINT)
    return document


def _targets(document: Mapping[str, Any], rel: str) -> list[str]:
    """Names of the folders to which a catalog's links of this relation lead."""
    try:
        return [Path(link["href"]).parent.name for link in document["links"] if link["rel"] == rel]
    except (LookupError, TypeError) as error:
        raise StoreError(f"the catalog's {document.get('id')} is damaged: {error}", _HINT) from error
