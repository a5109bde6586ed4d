"""Items and collections of the static catalog in the form in which the STAC API answers them.

Addresses begin with a mark in place of the service's address, which only a request tells: see :func:`filled`.
"""

import hashlib
import json
import posixpath
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from stac_catalog.catalogs import CATALOG_FILE, COLLECTION_FILE

type Document = dict[str, Any]

API_MARK: Final = "cup4soil-api:/"
FILES_MARK: Final = "cup4soil-files:/"
QUERYABLES_REL: Final = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
SORTABLES_REL: Final = "http://www.opengis.net/def/rel/ogc/1.0/sortables"
JSON: Final = "application/json"
GEOJSON: Final = "application/geo+json"
SCHEMA: Final = "application/schema+json"
_CATALOG = "catalog"
# Links that depend on where a document is read; the API writes its own.
_STRUCTURAL = {"root", "parent", "collection", "self", "item", "items", "child", "canonical"}


def filled(text: str, api: str, files: str) -> str:
    """A stored document with the addresses of the API and of the store's files, both ending in ``/``."""
    return text.replace(API_MARK, _escaped(api)).replace(FILES_MARK, _escaped(files))


def item_document(item: Mapping[str, Any], folders: Collection[str]) -> Document:
    """An item of the catalog as the API has it.

    Files of the store are reachable in the catalog and in ``folders`` beside it; what lies elsewhere
    has no address, and a link or an asset that leads there is left out.
    """
    collection, name = str(item["collection"]), str(item["id"])
    base = f"{_CATALOG}/{collection}/{name}"
    here = f"{API_MARK}collections/{quote(collection)}"
    links = [
        _link("self", f"{here}/items/{quote(name)}", GEOJSON),
        _link("root", API_MARK, JSON),
        _link("parent", here, JSON),
        _link("collection", here, JSON),
        _link("canonical", f"{FILES_MARK}{quote(f'{base}/{name}.json')}", GEOJSON),
        *_others(item, base, folders),
    ]
    return {**item, "links": links, "assets": _assets(item, base, folders)}


def collection_document(collection: Mapping[str, Any], folders: Collection[str]) -> Document:
    """A collection of the catalog as the API has it; see :func:`item_document`."""
    name = str(collection["id"])
    base = f"{_CATALOG}/{name}"
    here = f"{API_MARK}collections/{quote(name)}"
    links = [
        _link("self", here, JSON),
        _link("root", API_MARK, JSON, title="All collections"),
        _link("parent", API_MARK, JSON, title="All collections"),
        _link("items", f"{here}/items", GEOJSON, title="Items of the collection"),
        _link(QUERYABLES_REL, f"{here}/queryables", SCHEMA, title="What items can be selected by"),
        _link(SORTABLES_REL, f"{here}/sortables", SCHEMA, title="What items can be sorted by"),
        _link("aggregations", f"{here}/aggregations", JSON, title="Which aggregations there are"),
        _link("aggregate", f"{here}/aggregate", JSON, title="Aggregations", method="GET"),
        _link("aggregate", f"{here}/aggregate", JSON, title="Aggregations", method="POST"),
        _link("canonical", f"{FILES_MARK}{quote(f'{base}/{COLLECTION_FILE}')}", JSON, title="In the static catalog"),
        *_others(collection, base, folders),
    ]
    return {**collection, "links": links}


def tag_of(text: str) -> str:
    """The entity tag of a stored document, which changes whenever the document does."""
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def compact(document: Mapping[str, Any]) -> str:
    """JSON without superfluous space."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _others(document: Mapping[str, Any], base: str, folders: Collection[str]) -> Iterator[Document]:
    for link in document.get("links", ()):
        address = None if link["rel"] in _STRUCTURAL else _address(str(link["href"]), base, folders)
        if address is not None:
            yield {**link, "href": address}


def _assets(item: Mapping[str, Any], base: str, folders: Collection[str]) -> Document:
    found = {key: (asset, _address(str(asset["href"]), base, folders)) for key, asset in item["assets"].items()}
    return {key: {**asset, "href": address} for key, (asset, address) in found.items() if address is not None}


def _address(href: str, base: str, folders: Collection[str]) -> str | None:
    """Where a document in the folder ``base`` of the store leads; None for what has no address."""
    scheme = urlsplit(href).scheme if ":" in href else ""
    if scheme or href.startswith("/"):
        return href if scheme in ("http", "https") else None
    path = posixpath.normpath(f"{base}/{href}")
    first, *rest = path.split("/")
    if first == _CATALOG:
        return _in_api(rest) or f"{FILES_MARK}{quote(path)}"
    return f"{FILES_MARK}{quote(path)}" if first in folders and rest else None


def _in_api(parts: list[str]) -> str | None:
    """Address of a STAC document of the catalog, given by its path there; None for another file."""
    match parts:
        case [file] if file == CATALOG_FILE:
            return API_MARK
        case [collection, file] if file == COLLECTION_FILE:
            return f"{API_MARK}collections/{quote(collection)}"
        case [collection, item, file] if file == f"{item}.json":
            return f"{API_MARK}collections/{quote(collection)}/items/{quote(item)}"
    return None


def _link(rel: str, href: str, media_type: str, **more: str) -> Document:
    return {"rel": rel, "href": href, "type": media_type, **more}


def _escaped(text: str) -> str:
    """As it stands within a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
