"""The index of a store: ``catalog.json`` and each ``collection.json``, made from the folders of whole items."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from cup4soil.errors import writing
from cup4soil.products import RECORD_FILE, read_record
from cup4soil.settings import Settings
from cup4soil.staging import sweep
from stac_catalog.catalogs import CATALOG_FILE, COLLECTION_FILE, Entry, catalog_dict, collection_dict
from stac_catalog.files import remove_leftovers, replace_all
from stac_catalog.stac import json_bytes

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Index:
    """Keeps the index true to the items on the disk. Its writing methods want the store's lock held."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self._settings = settings
        # An item never changes once it is there: its entry is read once in a process.
        self._entries: dict[tuple[str, str], Entry] = {}

    @property
    def path(self) -> Path:
        """The root catalog's file."""
        return self.folder / CATALOG_FILE

    def item_folder(self, collection: str, item: str) -> Path | None:
        """Folder of a whole item, None where there is none of this name."""
        if not (_NAME.fullmatch(collection) and _NAME.fullmatch(item)):
            return None
        folder = self.folder / collection / item
        whole = (folder / RECORD_FILE).is_file() and (folder / f"{item}.json").is_file()
        return folder if whole else None

    def on_disk(self) -> dict[str, list[str]]:
        """Ids of the whole items of each collection that has any, in alphabetical order."""
        found = {folder.name: self._items(folder) for folder in sorted(self.folder.iterdir()) if folder.is_dir()}
        return {collection: items for collection, items in found.items() if items}

    def listed(self) -> dict[str, list[str]] | None:
        """As :meth:`on_disk`, by what the index says; None when a file of it is missing or damaged."""
        try:
            children = _targets(self.path, "child")
            return {name: [*_targets(self.folder / name / COLLECTION_FILE, "item")] for name in children}
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def is_true(self) -> bool:
        """True when the index lists exactly the whole items."""
        return self.listed() == self.on_disk() and not self._orphans()

    def update(self) -> None:
        """Make the index true, writing only the collections that changed.

        Raises:
            StoreError: when it cannot be written, or an item's record is damaged; nothing is changed then.
        """
        listed = self.listed() or {}
        present = self.on_disk()
        self._write(present, [name for name, items in present.items() if listed.get(name) != items])

    def rebuild(self) -> None:
        """Write the whole index anew and remove what killed runs left behind.

        Raises:
            StoreError: as :meth:`update`.
        """
        self._entries.clear()
        with writing(self.folder):
            remove_leftovers(self.folder)
            for folder in (each for each in self.folder.iterdir() if each.is_dir()):
                sweep(folder)
                remove_leftovers(folder)
        present = self.on_disk()
        self._write(present, list(present))

    def _write(self, present: Mapping[str, list[str]], changed: list[str]) -> None:
        texts = {self.folder / name / COLLECTION_FILE: self._collection(name, present[name]) for name in changed}
        titles = {name: _title(texts, self.folder / name / COLLECTION_FILE) for name in present}
        texts[self.path] = json_bytes(catalog_dict(titles.items(), self._settings))
        with writing(self.folder):
            replace_all(texts)
            for orphan in self._orphans():
                orphan.unlink()

    def _collection(self, name: str, items: list[str]) -> bytes:
        return json_bytes(collection_dict(name, [self._entry(name, item) for item in items], self._settings))

    def _entry(self, collection: str, item: str) -> Entry:
        key = (collection, item)
        if key not in self._entries:
            self._entries[key] = Entry.of(read_record(self.folder / collection / item))
        return self._entries[key]

    def _items(self, folder: Path) -> list[str]:
        return sorted(item.name for item in folder.iterdir() if self.item_folder(folder.name, item.name))

    def _orphans(self) -> list[Path]:
        """Files of collections that have lost all their items."""
        return [path for path in self.folder.glob(f"*/{COLLECTION_FILE}") if not self._items(path.parent)]


def _targets(path: Path, rel: str) -> list[str]:
    """Names of the folders that a catalog's links of this relation lead to."""
    links = json.loads(path.read_bytes())["links"]
    return [Path(link["href"]).parent.name for link in links if link["rel"] == rel]


def _title(texts: Mapping[Path, bytes], path: Path) -> str:
    title: str = json.loads(texts[path] if path in texts else path.read_bytes())["title"]
    return title
