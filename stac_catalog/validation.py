"""Checking a catalog on the disk: schemas, links, files, metadata records and overviews, without the network."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pystac
from jsonschema import Draft7Validator
from lxml import etree
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable

from cup4soil.errors import Cup4soilError, NotFound
from cup4soil.products import COG_MEDIA_TYPE
from stac_catalog.agreement import disagreements, layout_problem
from stac_catalog.assets import FileFacts
from stac_catalog.catalogs import CATALOG_FILE
from stac_catalog.extensions import extension_schemas

# Where the schemas of ISO 19139 lie within an unpacked pycsw 2.6.
_ISO_ENTRY = "pycsw/plugins/profiles/apiso/schemas/ogc/iso/19139/20070417/gmx/gmx.xsd"
_ISO_ROLE = "iso-19139"
_CORE = {"Feature": "item", "Collection": "collection", "Catalog": "catalog"}
_TRAVERSED = ("child", "item")

type Document = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong with which file, named relative to the catalog's folder."""

    path: str
    message: str

    def __str__(self) -> str:
        """One line for a report."""
        return f"{self.path}: {self.message}"


def validate_catalog(root: Path, iso_schemas: Path | None = None) -> list[Problem]:
    """Everything that is wrong with the catalog in the folder ``root``; an empty list when it is sound.

    Metadata records are held against the schemas of ISO 19139 where ``iso_schemas`` is the folder of
    an unpacked pycsw; without it they only have to be well-formed. Nothing is fetched from the web:
    links to it are not followed, and a schema that is not at hand is a problem.

    Raises:
        NotFound: when there is no catalog in ``root``, or no schema in ``iso_schemas``.
    """
    if not (root / CATALOG_FILE).is_file():
        raise NotFound(f"no catalog in {root}", f"give a folder that holds {CATALOG_FILE}")
    check = _Check(root.resolve(), None if iso_schemas is None else load_iso_schema(iso_schemas))
    return sorted(set(check.run()))


def load_iso_schema(folder: Path) -> etree.XMLSchema:
    """The schema of ISO 19139 from the folder of an unpacked pycsw.

    Raises:
        NotFound: when it is not there.
    """
    path = folder / _ISO_ENTRY
    if not path.is_file():
        raise NotFound(f"no schema {path}", "give the folder into which pycsw 2.6.2 was unpacked")
    return etree.XMLSchema(etree.parse(path, etree.XMLParser(no_network=True)))


def schema_errors(document: Document) -> Iterator[str]:
    """What the schemas of STAC and of the declared extensions find in an item, collection or catalog."""
    kind = _CORE.get(str(document.get("type")))
    if kind is None:
        yield f"type {document.get('type')!r} is no STAC document"
        return
    core = f"https://schemas.stacspec.org/v{document.get('stac_version')}/{kind}-spec/json-schema/{kind}.json"
    for uri in (core, *document.get("stac_extensions", ())):
        if uri not in _schemas():
            yield f"schema {uri} is not at hand"
            continue
        try:
            for error in Draft7Validator(_schemas()[uri], registry=_registry()).iter_errors(document):
                yield f"{uri}: {error.json_path}: {error.message[:300]}"
        except Unresolvable as error:
            yield f"{uri}: schema {error.ref} is not at hand"


@cache
def _schemas() -> dict[str, Document]:
    return get_local_schema_cache() | extension_schemas()


@cache
def _registry() -> Registry[Document]:
    resources = [(uri, Resource.from_contents(schema)) for uri, schema in _schemas().items()]
    return Registry(retrieve=_refuse).with_resources(resources)  # type: ignore[call-arg]


def _refuse(uri: str) -> Resource[Document]:
    raise NoSuchResource(uri)


class _Check:
    """One run over a catalog."""

    def __init__(self, root: Path, iso_schema: etree.XMLSchema | None) -> None:
        self._root = root
        self._iso_schema = iso_schema
        self._seen: set[str] = set()  # text, for there may be very many

    def run(self) -> Iterator[Problem]:
        yield from self._document(self._root / CATALOG_FILE)
        yield from self._unlisted()

    def _document(self, path: Path) -> Iterator[Problem]:
        """Problems of a document and of all that it leads to."""
        if str(path) in self._seen:
            return
        self._seen.add(str(path))
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            yield self._problem(path, f"cannot be read as JSON: {error}")
            return
        if not isinstance(document, dict):
            yield self._problem(path, "is no STAC document")
            return
        for message in schema_errors(document):
            yield self._problem(path, message)
        yield from self._pystac(path, document)
        yield from self._links(path, document)
        properties = document.get("properties")
        for key, asset in document.get("assets", {}).items():
            yield from self._asset(path, key, asset, properties if isinstance(properties, dict) else {})

    def _links(self, path: Path, document: Document) -> Iterator[Problem]:
        for link in document.get("links", ()):
            rel, href = link.get("rel"), str(link.get("href"))
            target = self._local(path, href)
            if target is None:
                if rel in _TRAVERSED:
                    yield self._problem(path, f"link {rel} leads out of the catalog: {href}")
            elif not target.is_file():
                yield self._problem(path, f"link {rel} leads to no file: {href}")
            elif rel in _TRAVERSED:
                yield from self._document(target)

    def _asset(self, path: Path, key: str, asset: Document, properties: Document) -> Iterator[Problem]:
        target = self._local(path, str(asset.get("href")))
        if target is None or not target.is_file():
            yield self._problem(path, f"asset {key} has no file: {asset.get('href')}")
            return
        facts = FileFacts.of(target)
        if facts.size != asset.get("file:size"):
            yield self._problem(path, f"asset {key} has {facts.size} bytes, not {asset.get('file:size')}")
        elif facts.checksum != asset.get("file:checksum"):
            yield self._problem(path, f"asset {key} differs from its checksum")
        elif asset.get("type") == COG_MEDIA_TYPE:
            yield from self._raster(target)
            yield from self._agreement(path, key, target, asset, properties)
        elif _ISO_ROLE in asset.get("roles", ()):
            yield from self._iso(target)

    def _raster(self, path: Path) -> Iterator[Problem]:
        try:
            problem = layout_problem(path)
        except Cup4soilError as error:
            problem = str(error)
        if problem is not None:
            yield self._problem(path, problem)

    def _agreement(
        self, path: Path, key: str, target: Path, asset: Document, properties: Document
    ) -> Iterator[Problem]:
        """Problems of the item at ``path`` where it states of a raster what is not in the file."""
        try:
            for message in disagreements(target, asset, properties):
                yield self._problem(path, f"asset {key} {message}")
        except Cup4soilError as error:
            yield self._problem(target, str(error))

    def _iso(self, path: Path) -> Iterator[Problem]:
        try:
            tree = etree.parse(path, etree.XMLParser(no_network=True, resolve_entities=False))
        except etree.XMLSyntaxError as error:
            yield self._problem(path, f"is no XML: {error}")
            return
        try:
            if self._iso_schema is not None:
                self._iso_schema.assertValid(tree)
        except etree.DocumentInvalid as error:
            yield self._problem(path, f"is no valid ISO 19139: {str(error)[:400]}")

    def _unlisted(self) -> Iterator[Problem]:
        """Items that lie in the folder although no link leads to them."""
        for folder in self._root.glob("*/*"):
            item = folder / f"{folder.name}.json"
            hidden = folder.name.startswith(".") or folder.parent.name.startswith(".")
            if folder.is_dir() and not hidden and str(item) not in self._seen:
                yield self._problem(folder, "is not listed in its collection; rebuild the catalog")

    def _pystac(self, path: Path, document: Document) -> Iterator[Problem]:
        """Whether a client can read a document and finds back from it to the root."""
        try:
            read = pystac.read_dict(document, href=str(path))
            root = read.get_root_link()
            if root is None or root.get_absolute_href() != str(self._root / CATALOG_FILE):
                yield self._problem(path, f"{read.id} does not find back to the root")
        except (pystac.STACError, pystac.STACTypeError, ValueError, LookupError, TypeError, AttributeError) as error:
            yield self._problem(path, f"pystac cannot walk the catalog: {error}")

    def _local(self, path: Path, href: str) -> Path | None:
        """The file that a relative href names, None when it is absolute or leads out of the catalog."""
        if urlsplit(href).scheme or href.startswith("/"):
            return None
        target = (path.parent / href).resolve()
        return target if target.is_relative_to(self._root) else None

    def _problem(self, path: Path, message: str) -> Problem:
        return Problem(path.relative_to(self._root).as_posix(), " ".join(message.split()))
