"""pygeoapi's configuration from a store: its collections appear and vanish with the store's, without a restart."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cup4soil.licences import licence_url
from cup4soil.settings import Settings
from processors.coverage_catalog import Collection, CoverageCatalog
from processors.coverage_formats import GEOTIFF
from processors.crs import CRS84_URI
from processors.edr_description import edr_links, edr_members
from processors.extents import extent_of
from processors.feature_documents import collection_document
from processors.feature_schemas import PROPERTIES
from processors.map_links import map_links
from processors.records_documents import catalogue
from stac_catalog.catalogs import CATALOG_ID
from stac_catalog.sites import SiteIndex
from stac_catalog.visibility import is_hidden, visible

TEMPLATES = Path(__file__).with_name("templates")
PROVIDER = "processors.provider.CoverageProvider"
PROCESSES = {
    "predict-soil-property": {
        "type": "process",
        "processor": {"name": "processors.predict.PredictSoilPropertyProcessor"},
    }
}
MANAGER = "processors.jobs.manager.QueueManager"
_RELATION = "http://www.opengis.net/def/rel/ogc/1.0/"
# Items of the latest period that a collection links to one by one.
_LINKED_ITEMS = 10


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where clients find things: ``ogc`` the API itself, ``root`` the service around it, None without one."""

    ogc: str
    root: str | None = None


class StoreResources(Mapping[str, dict[str, Any]]):
    """The ``resources`` of pygeoapi's configuration, live: ``fixed`` ones, the coverages of a store and its features.

    pygeoapi reads them at every request. Each reading looks at the state of the store's index; collections
    are described anew only when that has changed.
    """

    def __init__(
        self,
        catalog: CoverageCatalog,
        addresses: Addresses,
        fixed: Mapping[str, dict[str, Any]],
        sites: SiteIndex | None = None,
    ) -> None:
        self._catalog = catalog
        self._addresses = addresses
        self._fixed = dict(fixed)
        self._sites = sites
        self._described: tuple[Mapping[str, Collection] | None, dict[str, dict[str, Any]]] = (None, {})

    def __getitem__(self, key: str) -> dict[str, Any]:
        if is_hidden(key):
            raise KeyError(key)
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        # A copy: the store may change while pygeoapi walks over its collections.
        return iter(tuple(visible(self._all())))

    def __len__(self) -> int:
        return len(visible(self._all()))

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, dict[str, Any]]:
        """pygeoapi copies its configuration for its templates: they get what there is now."""
        return {key: dict(self[key]) for key in self}

    def members(self, key: str) -> dict[str, Any]:
        """What the description of a collection has beside pygeoapi's own; ``links`` are more. No raster is opened.

        Raises:
            NotFound: when there is no such coverage.
        """
        if self._addresses.root is None or key in self._fixed:
            return {}
        collection = self._catalog.collections()[key]
        address = f"{self._addresses.ogc}/collections/{key}"
        links = edr_links(collection, self._catalog, address) + map_links(address)
        described = {"extent": extent_of(collection, self._catalog), "links": links}
        return edr_members(collection, self._catalog, address) | described

    def document(self, key: str) -> dict[str, Any] | None:
        """The whole description of a collection that is no coverage; None for pygeoapi to make one."""
        found: dict[str, Any] | None = self[key].get("document")
        return None if found is None else {"extent": self._extent()} | found | {"links": list(found["links"])}

    def _extent(self) -> dict[str, Any]:
        """Place and time of all coverages that may be seen; the globe and open ends without any."""
        collections = self._catalog.collections()
        extents = [collections[name].document["extent"] for name in visible(collections)]
        boxes = [extent["spatial"]["bbox"][0] for extent in extents] or [[-180.0, -90.0, 180.0, 90.0]]
        times = [extent["temporal"]["interval"][0] for extent in extents]
        wests, souths, easts, norths = zip(*boxes, strict=True)
        ends = [end for _, end in times]
        interval = [min((begin for begin, _ in times if begin), default=None), max(filter(None, ends), default=None)]
        box = [min(wests), min(souths), max(easts), max(norths)]
        return {"spatial": {"bbox": [box], "crs": CRS84_URI}, "temporal": {"interval": [interval]}}

    def _all(self) -> dict[str, dict[str, Any]]:
        return self._current() | self._features()

    def _features(self) -> dict[str, dict[str, Any]]:
        """The collections of features that have any."""
        if self._sites is None:
            return {}
        extents = {name: self._sites.extent(name) for name in PROPERTIES}
        documents = (
            collection_document(name, extent, self._addresses.ogc)
            for name, extent in extents.items()
            if extent is not None
        )
        return {document["id"]: _documented(document) for document in documents}

    def _current(self) -> dict[str, dict[str, Any]]:
        collections = self._catalog.collections()
        seen, described = self._described
        if seen is not collections:
            described = {name: self._describe(each) for name, each in collections.items()} | self._fixed
            self._described = (collections, described)
        return described

    def _describe(self, collection: Collection) -> dict[str, Any]:
        return collection_resource(collection, self._catalog, self._addresses)


def records_resource(addresses: Addresses) -> dict[str, Any]:
    """The collection of records for pygeoapi's lists; our own router answers below it."""
    return _documented(catalogue(addresses.ogc))


def _documented(document: dict[str, Any]) -> dict[str, Any]:
    """A collection that is described by a whole document."""
    about = {name: document[name] for name in ("title", "description", "keywords", "links")}
    extents = {"spatial": {"bbox": [-180.0, -90.0, 180.0, 90.0], "crs": CRS84_URI}}
    return {"type": "collection", **about, "extents": extents, "providers": [], "document": document}


def configuration(
    settings: Settings, store: Path, addresses: Addresses, resources: Mapping[str, Any], *, manager: str = MANAGER
) -> dict[str, Any]:
    """A whole configuration of pygeoapi for a store, as ``pygeoapi-config.yml`` is for the plain server."""
    organisation = settings.organisation
    return {
        # pygeoapi 0.24 looks here, and not below server.templates, for its pages on tile matrix sets.
        "path": str(TEMPLATES),
        "server": {
            "bind": {"host": "127.0.0.1", "port": 5000},
            "url": addresses.ogc,
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "gzip": False,
            "languages": ["en-GB"],
            "cors": False,
            "pretty_print": False,
            "admin": False,
            "limits": {"default_items": 20, "max_items": 1000, "on_exceed": "throttle"},
            "map": {"url": "", "attribution": ""},
            "templates": {"path": str(TEMPLATES), "static": str(TEMPLATES / "static")},
            "manager": {"name": manager, "connection": str(store), "output_dir": str(store)},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": f"Soil products of {organisation}",
                "description": "Bare-soil composites and soil maps with their uncertainty, and predictions on request.",
                "keywords": ["soil", "bare soil", "digital soil mapping", "uncertainty", "Sentinel-2"],
                "keywords_type": "theme",
                "terms_of_service": "See the licence of each collection.",
                "url": settings.contact_url or addresses.ogc,
            },
            "license": {"name": settings.data_policy, "url": licence_url(settings.data_policy) or addresses.ogc},
            "provider": {"name": organisation, "url": settings.contact_url or addresses.ogc},
            "contact": {
                "name": organisation,
                "email": settings.contact_email,
                "url": settings.contact_url or addresses.ogc,
            },
        },
        "resources": resources,
    }


def collection_resource(collection: Collection, catalog: CoverageCatalog, addresses: Addresses) -> dict[str, Any]:
    """A collection of the store as pygeoapi describes it. No raster is opened."""
    document = collection.document
    begin, end = document["extent"]["temporal"]["interval"][0]
    return {
        "type": "collection",
        "title": collection.title,
        "description": f"{document['description']} Fields: {_fields(document)}.",
        "keywords": list(document.get("keywords", [])),
        "links": list(_links(collection, addresses)),
        "extents": {
            "spatial": {"bbox": document["extent"]["spatial"]["bbox"][0], "crs": CRS84_URI},
            "temporal": {"begin": _time(begin), "end": _time(end)},
        },
        "providers": [
            {
                "type": "coverage",
                "name": PROVIDER,
                "data": str(catalog.store.root),
                "collection": collection.id,
                "format": {"name": "GTiff", "mimetype": GEOTIFF},
            }
        ],
    }


def _fields(document: Mapping[str, Any]) -> str:
    bands = [band for asset in document["item_assets"].values() for band in asset.get("bands", ())]
    return ", ".join(band["name"] if band["unit"] == "1" else f"{band['name']} ({band['unit']})" for band in bands)


def _links(collection: Collection, addresses: Addresses) -> Iterator[dict[str, str]]:
    coverage = f"{addresses.ogc}/collections/{collection.id}/coverage"
    licence = str(collection.document.get("license", ""))
    url = licence_url(licence)
    if url is not None:
        yield _link("license", "text/html", f"Licence: {licence}", url)
    if addresses.root is None:
        return
    # The plain pygeoapi has no such routes.
    yield _link(f"{_RELATION}coverage-domainset", "application/json", "Domain of the coverage", f"{coverage}/domainset")
    yield _link(f"{_RELATION}coverage-rangetype", "application/json", "Fields of the coverage", f"{coverage}/rangetype")
    stac = f"{addresses.root}/stac/collections/{collection.id}"
    yield _link("describedby", "application/json", "The collection in STAC", stac)
    mirror = f"{addresses.root}/catalog/{collection.id}"
    yield _link("alternate", "application/json", f"Static STAC collection of {CATALOG_ID}", f"{mirror}/collection.json")
    for item in collection.item_ids[-_LINKED_ITEMS:]:
        yield _link("about", "text/html", f"Page of {item}", f"{addresses.root}/products/{collection.id}/{item}")
        yield _link("item", "application/geo+json", f"STAC item {item}", f"{stac}/items/{item}")
        yield _link(
            "describedby", "application/xml", f"Metadata record (ISO 19139) of {item}", f"{mirror}/{item}/metadata.xml"
        )


def _link(rel: str, media_type: str, title: str, href: str) -> dict[str, str]:
    return {"rel": rel, "type": media_type, "title": title, "href": href}


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
