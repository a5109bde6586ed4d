"""What a store holds, read in one walk: for those who need the items of all collections at once."""

import os
from collections.abc import Iterator

from stac_catalog.store import Store


def listing(store: Store) -> dict[str, list[str]]:
    """Ids of the products of each collection that has any, both in alphabetical order."""
    found = {name: list(_items(store, name)) for name in sorted(_folders(str(store.catalog_path.parent)))}
    return {name: items for name, items in found.items() if items}


def items_of(store: Store, collection: str) -> list[str]:
    """Ids of the products of one collection; none where there is no such collection."""
    return list(_items(store, collection)) if collection in _folders(str(store.catalog_path.parent)) else []


def _items(store: Store, collection: str) -> Iterator[str]:
    names = _folders(str(store.catalog_path.parent / collection))
    return (name for name in sorted(names) if store.find(collection, name) is not None)


def _folders(path: str) -> set[str]:
    try:
        with os.scandir(path) as entries:
            return {entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")}
    except FileNotFoundError:
        return set()
