"""What the documents of a static catalog list, read without opening a store."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from cup4soil.errors import StoreError
from stac_catalog.catalogs import CATALOG_FILE, COLLECTION_FILE
from stac_catalog.pages import is_page_file

_LONGEST_NAME: Final = 250  # of 255 that file systems take, room for a suffix
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_HINT: Final = "run cup4soil catalog build"


def is_name(name: str) -> bool:
    """True for what may be the id, and the folder, of a collection or an item."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None and not name.endswith(".json")


def listed_collections(catalog: Path) -> list[str]:
    """Ids of the collections that the catalog in the folder ``catalog`` lists, in its order.

    Raises:
        StoreError: when its file is missing or damaged.
    """
    return _folders(read_document(catalog / CATALOG_FILE), "child")


def listed_items(catalog: Path, collection: str) -> Iterator[str]:
    """Ids of the items that a collection lists, in its document or in pages beside it. One page is held at a time.

    Raises:
        StoreError: when one of these files is missing or damaged.
    """
    document = read_document(catalog / collection / COLLECTION_FILE)
    yield from _folders(document, "item")
    for page in listed_pages(document):
        yield from _folders(read_document(catalog / collection / page), "item")


def listed_pages(collection: Mapping[str, Any]) -> list[str]:
    """Names of the files of the pages to which a collection's document leads; none where it lists its items itself."""
    names = (PurePosixPath(href).name for href in _targets(collection, "child"))
    return [name for name in names if is_page_file(name)]


def read_document(path: Path) -> dict[str, Any]:
    """A document of the catalog.

    Raises:
        StoreError: when it is missing or no JSON object.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}", _HINT) from error
    if not isinstance(document, dict):
        raise StoreError(f"{path} is no STAC document", _HINT)
    return document


def _folders(document: Mapping[str, Any], rel: str) -> list[str]:
    """Names of the folders to which links of this relation lead."""
    return [PurePosixPath(href).parent.name for href in _targets(document, rel)]


def _targets(document: Mapping[str, Any], rel: str) -> list[str]:
    try:
        return [str(link["href"]) for link in document["links"] if link["rel"] == rel]
    except (LookupError, TypeError) as error:
        raise StoreError(f"the catalog's {document.get('id')} is damaged: {error}", _HINT) from error
