"""Bringing the search index up to the state of the static catalog, which is the truth."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import shapely

from cup4soil.errors import InvalidInput, StoreError
from stac_catalog.catalogs import CATALOG_FILE, COLLECTION_FILE
from stac_catalog.search_documents import collection_document, compact, item_document
from stac_catalog.search_time import TIMES
from stac_catalog.search_values import Kind, parse_instant

_HINT: Final = "run cup4soil catalog build"
_DEPTH: Final = 2  # of the objects among the properties whose members are facts of their own

type _Fact = tuple[str, Kind, str | int | float]


def signature(path: Path) -> str:
    """What changes when the file is replaced by another; empty when there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    return f"{stat.st_ino}-{stat.st_mtime_ns}-{stat.st_size}"


class Synchronisation:
    """One run, within one transaction, while nobody writes to the catalog."""

    def __init__(self, db: sqlite3.Connection, catalog: Path, folders: Collection[str]) -> None:
        self._db = db
        self._catalog = catalog
        self._folders = folders

    def run(self, *, everything: bool) -> None:
        """Take in what has come or changed, drop what has gone. With ``everything`` nothing is taken as unchanged.

        Raises:
            StoreError: when a file of the catalog is damaged.
        """
        if everything:
            for table in ("collections", "items", "documents", "facts", "boxes"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608
        known = dict(self._db.execute("SELECT id, signature FROM collections"))
        present = _targets(_read(self._catalog / CATALOG_FILE), "child")
        for name in known.keys() - set(present):
            self._remove(name, self._known_items(name).keys())
            self._db.execute("DELETE FROM collections WHERE id = ?", (name,))
        for name in present:
            state = signature(self._catalog / name / COLLECTION_FILE)
            if known.get(name) != state:
                self._collection(name, state)

    def _collection(self, name: str, state: str) -> None:
        document = _read(self._catalog / name / COLLECTION_FILE)
        known = self._known_items(name)
        present = {item: signature(self._path(name, item)) for item in _targets(document, "item")}
        changed = [item for item, state in present.items() if known.get(item) != state]
        self._remove(name, [item for item in known if item not in present or item in changed])
        for item in changed:
            self._add(name, item, present[item])
        text = compact(collection_document(document, self._folders))
        row = (name, state, str(document.get("title") or name), text)
        self._db.execute("INSERT OR REPLACE INTO collections VALUES (?, ?, ?, ?)", row)

    def _add(self, collection: str, name: str, state: str) -> None:
        path = self._path(collection, name)
        item = _read(path)
        try:
            number = self._insert(item, collection, name, state)
            self._db.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?, ?, ?)", _rows(item, number))
        except (LookupError, TypeError, ValueError, AttributeError, InvalidInput) as error:
            raise StoreError(f"{path} is damaged: {error}", _HINT) from error

    def _insert(self, item: Mapping[str, Any], collection: str, name: str, state: str) -> int:
        properties = item["properties"]
        instant = properties.get("datetime")
        start = parse_instant(properties.get("start_datetime") or instant)
        end = parse_instant(properties.get("end_datetime") or instant)
        half = len(item["bbox"]) // 2
        (west, south), (east, north) = item["bbox"][:2], item["bbox"][half : half + 2]
        row = (collection, name, start, end, west, south, east, north, state)
        number = self._db.execute(f"INSERT INTO items VALUES (NULL{', ?' * 9})", row).lastrowid  # noqa: S608
        if number is None:
            raise StoreError("the index gave an item no number", _HINT)
        spans = [(west, east)] if west <= east else [(west, 180), (-180, east)]
        for side, (left, right) in enumerate(spans):
            self._db.execute("INSERT INTO boxes VALUES (?, ?, ?, ?, ?)", (2 * number + side, left, right, south, north))
        shape = shapely.from_geojson(json.dumps(item["geometry"]))
        text = compact(item_document(item, self._folders))
        flat = {**properties, "id": name, "collection": collection}
        self._db.execute("INSERT INTO documents VALUES (?, ?, ?, ?)", (number, shape.wkb, compact(flat), text))
        return number

    def _remove(self, collection: str, names: Collection[str]) -> None:
        for name in names:
            where = (collection, name)
            (number,) = self._db.execute("SELECT n FROM items WHERE collection = ? AND id = ?", where).fetchone()
            self._db.execute("DELETE FROM items WHERE n = ?", (number,))
            self._db.execute("DELETE FROM documents WHERE n = ?", (number,))
            self._db.execute("DELETE FROM facts WHERE item = ?", (number,))
            self._db.execute("DELETE FROM boxes WHERE id IN (?, ?)", (2 * number, 2 * number + 1))

    def _known_items(self, collection: str) -> dict[str, str]:
        return dict(self._db.execute("SELECT id, signature FROM items WHERE collection = ?", (collection,)))

    def _path(self, collection: str, item: str) -> Path:
        return self._catalog / collection / item / f"{item}.json"


def facts(properties: Mapping[str, Any], prefix: str = "", depth: int = _DEPTH) -> Iterator[_Fact]:
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
                yield from facts(value, f"{name}.", depth - 1)


def _rows(item: Mapping[str, Any], number: int) -> Iterator[tuple[str, Kind, str | int | float, int]]:
    return ((*fact, number) for fact in facts(item["properties"]))


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
