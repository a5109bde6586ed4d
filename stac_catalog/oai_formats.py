"""The forms in which OAI-PMH gives a record out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from cup4soil.licences import licence_url
from cup4soil.products import ProductRecord
from cup4soil.settings import Settings
from stac_catalog.datacite_xml import OAI_DATACITE, OAI_DATACITE_SCHEMA, oai_datacite
from stac_catalog.iso import iso_element
from stac_catalog.iso3 import NAMESPACES as ISO3
from stac_catalog.iso3 import SCHEMA as ISO3_SCHEMA
from stac_catalog.iso3 import iso3_element
from stac_catalog.lineage import abstract
from stac_catalog.places import Places

_OAI_DC: Final = "http://www.openarchives.org/OAI/2.0/oai_dc/"
_OAI_DC_SCHEMA: Final = "http://www.openarchives.org/OAI/2.0/oai_dc.xsd"
_DC: Final = "http://purl.org/dc/elements/1.1/"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
# What a record is, in the terms of the DCMI type vocabulary.
_TYPES: Final = {"model": "Software"}


@dataclass(frozen=True, slots=True)
class Format:
    """A metadata format: its schema, its namespace, and what writes a record in it."""

    schema: str
    namespace: str
    write: Callable[[ProductRecord, Settings, Places], etree._Element]


def dublin_core(record: ProductRecord, settings: Settings, places: Places) -> etree._Element:
    """The record as unqualified Dublin Core.

    Raises:
        InvalidInput: when a text holds characters that XML cannot.
    """
    root = etree.Element(f"{{{_OAI_DC}}}dc", nsmap={"oai_dc": _OAI_DC, "dc": _DC, "xsi": _XSI})
    root.set(f"{{{_XSI}}}schemaLocation", f"{_OAI_DC} {_OAI_DC_SCHEMA}")
    for name, value in _statements(record, settings, places):
        etree.SubElement(root, f"{{{_DC}}}{name}").text = value
    return root


def _statements(record: ProductRecord, settings: Settings, places: Places) -> Iterator[tuple[str, str]]:
    yield "title", record.title
    yield "creator", settings.organisation
    yield "publisher", settings.organisation
    for word in ("Soil", *record.keywords):
        yield "subject", word
    yield "description", abstract(record)
    for limit in record.limitations:
        yield "description", limit
    yield "date", f"{record.created:%Y-%m-%d}"
    yield "type", _TYPES.get(record.kind, "Dataset")
    for media_type in sorted({"image/tiff" for _ in record.layers} | {each.media_type for each in record.documents}):
        yield "format", media_type
    yield "identifier", places.page(record)
    yield "identifier", record.id
    yield "language", "en"
    for reference in record.algorithm.references:
        yield "relation", reference
    for source in record.sources:
        if source.role != "scene":
            yield "source", source.title or source.id
    yield "coverage", _box(record)
    start, end = record.period.start, record.period.end
    yield "coverage", f"start={start:%Y-%m-%d}; end={end:%Y-%m-%d}; scheme=W3C-DTF"
    yield "rights", record.licence
    url = licence_url(record.licence)
    if url is not None:
        yield "rights", url
    for credit in record.attribution:
        yield "rights", credit


def _box(record: ProductRecord) -> str:
    """The bounding box as DCMI writes it."""
    west, south, east, north = record.extent.bbox
    return f"northlimit={north:.5f}; eastlimit={east:.5f}; southlimit={south:.5f}; westlimit={west:.5f}; units=degrees"


FORMATS: Final[Mapping[str, Format]] = {
    "oai_dc": Format(_OAI_DC_SCHEMA, _OAI_DC, dublin_core),
    "iso19139": Format(
        "http://schemas.opengis.net/iso/19139/20070417/gmd/gmd.xsd",
        "http://www.isotc211.org/2005/gmd",
        iso_element,
    ),
    "iso19115-3": Format(ISO3_SCHEMA, ISO3["mdb"], iso3_element),
    "oai_datacite": Format(OAI_DATACITE_SCHEMA, OAI_DATACITE, oai_datacite),
}
