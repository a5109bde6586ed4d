"""Documents of the catalog as a mirror has them: with links that lead somewhere from there."""

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from cup4soil.products import RECORD_FILE
from stac_catalog.destinations import PARQUET
from stac_catalog.stac import json_bytes

TABLE_FILE: Final = "items.parquet"
# What a mirror of metadata alone has of an item: files of these roles.
_METADATA_ROLES: Final = {"metadata", "thumbnail", "overview"}

type Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """What a mirror is to be like.

    With ``base_url``, the address at which it will be seen, its links are absolute. With ``files_url``, the address of
    the folder of another copy, it has no files but metadata and pictures, and its items lead to that copy. Collections
    of ``without`` are left out. With ``tables`` each collection has its items as stac-geoparquet, too.
    """

    base_url: str | None = None
    files_url: str | None = None
    without: tuple[str, ...] = ()
    tables: bool = False

    def item(self, content: bytes, path: str) -> bytes:
        """An item or a page, whose path in the catalog is ``path``, as it stands in the mirror."""
        return self._written(json.loads(content), content, path)

    def collection(self, content: bytes, path: str) -> bytes:
        """As :meth:`item`, of a collection."""
        document = json.loads(content)
        table = {"assets": document.get("assets", {}) | {"items": _TABLE}} if self.tables else {}
        return self._written(document | table, content, path)

    def kept(self, item: Mapping[str, Any], name: str) -> bool:
        """Whether the mirror has this file of an item, named relative to its folder."""
        if self.files_url is None or name == RECORD_FILE:
            return True
        assets = (asset for asset in item["assets"].values() if posixpath.normpath(str(asset["href"])) == name)
        return any(_METADATA_ROLES & set(asset.get("roles", ())) for asset in assets)

    def _written(self, document: Document, content: bytes, path: str) -> bytes:
        changed = dict(document)
        changed["links"] = [*self._self(document, path), *self._links(document, path)]
        if "assets" in document:
            changed["assets"] = {key: self._asset(asset, path) for key, asset in document["assets"].items()}
        return content if changed == json.loads(content) else json_bytes(changed)

    def _self(self, document: Document, path: str) -> Iterator[Document]:
        if self.base_url is not None:
            kind = "application/geo+json" if document.get("type") == "Feature" else "application/json"
            yield {"rel": "self", "href": _address(self.base_url, path), "type": kind}

    def _links(self, document: Document, path: str) -> Iterator[Document]:
        for link in document["links"]:
            target = _target(str(link["href"]), path)
            if target is None:
                yield link
            elif self._is_there(target):
                yield link | {"href": str(link["href"]) if self.base_url is None else _address(self.base_url, target)}

    def _asset(self, asset: Document, path: str) -> Document:
        target = _target(str(asset["href"]), path)
        if target is None:
            return asset
        if self.files_url is not None and not _METADATA_ROLES & set(asset.get("roles", ())):
            return asset | {"href": _address(self.files_url, target)}
        return asset if self.base_url is None else asset | {"href": _address(self.base_url, target)}

    def _is_there(self, target: str) -> bool:
        first, *rest = target.split("/")
        return first != ".." and not (rest and first in self.without)


_TABLE: Final = {
    "href": f"./{TABLE_FILE}",
    "type": PARQUET,
    "title": "Items as stac-geoparquet",
    "roles": ["collection-mirror"],
}


def resolved(item: Mapping[str, Any], path: str, base: str, within: str = "") -> Document:
    """An item with every address that is relative to ``path`` in the catalog made one of ``base``, which is the
    address of the folder ``within`` of the catalog.
    """

    def moved(part: Mapping[str, Any]) -> Document:
        target = _target(str(part["href"]), path)
        if target is None:
            return dict(part)
        relative = posixpath.relpath(target, within or ".")
        return {**part, "href": f"{base}{quote(relative)}"}

    links = [moved(link) for link in item["links"]]
    return {**item, "links": links, "assets": {key: moved(asset) for key, asset in item["assets"].items()}}


def _target(href: str, path: str) -> str | None:
    """The path in the catalog to which a document at ``path`` leads; None for an absolute address."""
    if urlsplit(href).scheme:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), href))


def _address(base: str, path: str) -> str:
    return f"{base.rstrip('/')}/{quote(path)}"
