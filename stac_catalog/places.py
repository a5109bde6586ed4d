"""Where a product and what describes it is found, for metadata that leave the store."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from cup4soil.products import ProductRecord
from stac_catalog.assets import METADATA_FILE, THUMBNAIL_FILE
from stac_catalog.catalogs import CATALOG_FILE

PRODUCTS: Final = "products"
SCHEMAS: Final = "schemas"


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute addresses at the service whose own is ``root``, ending in ``/``."""

    root: str

    def page(self, record: ProductRecord) -> str:
        """The product's landing page, where a DOI would lead."""
        return self.page_of(record.collection, record.id)

    def page_of(self, collection: str, item: str) -> str:
        """The landing page of the product with this id."""
        return f"{self.root}{PRODUCTS}/{quote(collection)}/{quote(item)}"

    def form(self, record: ProductRecord, form: str) -> str:
        """The product's metadata in one of the forms of :mod:`stac_catalog.metadata`."""
        return f"{self.page(record)}/{form}"

    def file(self, record: ProductRecord, name: str) -> str:
        """A file of the product, named relative to its folder."""
        return f"{self.folder(record)}{quote(name)}"

    def folder(self, record: ProductRecord) -> str:
        """The product's folder in the static catalog, ending in ``/``."""
        return f"{self.root}catalog/{quote(record.collection)}/{quote(record.id)}/"

    def stac(self, record: ProductRecord) -> str:
        """The product's STAC item in the static catalog."""
        return self.file(record, f"{record.id}.json")

    def iso(self, record: ProductRecord) -> str:
        """The product's ISO 19139 record in the static catalog."""
        return self.file(record, METADATA_FILE)

    def thumbnail(self, record: ProductRecord) -> str:
        """The product's preview, which not every product has."""
        return self.file(record, THUMBNAIL_FILE)

    def coverage(self, record: ProductRecord) -> str:
        """The coverage of the product's collection at the OGC APIs."""
        return f"{self.ogc}collections/{quote(record.collection)}/coverage"

    @property
    def catalog(self) -> str:
        """The root of the static catalog."""
        return f"{self.root}catalog/{CATALOG_FILE}"

    @property
    def api(self) -> str:
        """The STAC API."""
        return f"{self.root}stac"

    @property
    def ogc(self) -> str:
        """The OGC APIs."""
        return f"{self.root}ogc/"

    @property
    def oai(self) -> str:
        """The OAI-PMH endpoint."""
        return f"{self.root}oai"
