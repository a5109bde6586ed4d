"""The DataCite document of a product as XML of kernel 4, within the wrapper that harvesters of OAI-PMH know."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lxml import etree

from cup4soil.products import ProductRecord
from cup4soil.settings import Settings
from stac_catalog.datacite import datacite
from stac_catalog.places import Places

KERNEL: Final = "http://datacite.org/schema/kernel-4"
OAI_DATACITE: Final = "http://schema.datacite.org/oai/oai-1.1/"
OAI_DATACITE_SCHEMA: Final = "http://schema.datacite.org/oai/oai-1.1/oai.xsd"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_VERSION: Final = "4.5"
# A list of the JSON document: its element, that of an entry, the key of its text, and keys that become attributes.
_LISTS: Final[Mapping[str, tuple[str, str, str, tuple[str, ...]]]] = {
    "titles": ("titles", "title", "title", ()),
    "subjects": ("subjects", "subject", "subject", ("subjectScheme", "schemeURI", "valueURI")),
    "dates": ("dates", "date", "date", ("dateType", "dateInformation")),
    "alternateIdentifiers": (
        "alternateIdentifiers", "alternateIdentifier", "alternateIdentifier", ("alternateIdentifierType",),
    ),
    "relatedIdentifiers": (
        "relatedIdentifiers", "relatedIdentifier", "relatedIdentifier", ("relatedIdentifierType", "relationType"),
    ),
    "rightsList": (
        "rightsList", "rights", "rights", ("rightsURI", "rightsIdentifier", "rightsIdentifierScheme", "schemeURI"),
    ),
    "descriptions": ("descriptions", "description", "description", ("descriptionType",)),
}  # fmt: skip
_EDGES: Final = ("westBoundLongitude", "eastBoundLongitude", "southBoundLatitude", "northBoundLatitude")


def oai_datacite(record: ProductRecord, settings: Settings, places: Places) -> etree._Element:
    """The record for the format ``oai_datacite``.

    Raises:
        InvalidInput: when a text holds characters that XML cannot.
    """
    root = etree.Element(f"{{{OAI_DATACITE}}}oai_datacite", nsmap=_default(OAI_DATACITE))
    root.set(f"{{{_XSI}}}schemaLocation", f"{OAI_DATACITE} {OAI_DATACITE_SCHEMA}")
    etree.SubElement(root, f"{{{OAI_DATACITE}}}schemaVersion").text = _VERSION
    payload = etree.SubElement(root, f"{{{OAI_DATACITE}}}payload")
    payload.append(datacite_element(datacite(record, settings, places)))
    return root


def datacite_element(document: Mapping[str, Any]) -> etree._Element:
    """``resource`` of kernel 4 for a document of :func:`stac_catalog.datacite.datacite`.

    Without a DOI the identifier is the address of the product's page.
    """
    root = etree.Element(f"{{{KERNEL}}}resource", nsmap=_default(KERNEL))
    root.set(f"{{{_XSI}}}schemaLocation", f"{KERNEL} http://schema.datacite.org/meta/kernel-{_VERSION}/metadata.xsd")
    for part in _parts(document):
        root.append(part)
    return root


def _parts(document: Mapping[str, Any]) -> Iterator[etree._Element]:
    """The elements in the order of the schema's documentation."""
    kind, name = ("DOI", document["doi"]) if "doi" in document else ("URL", document["url"])
    yield _element("identifier", name, identifierType=kind)
    creators = _element("creators")
    for each in document["creators"]:
        creator = _element("creator")
        creator.append(_element("creatorName", each["name"], nameType=each["nameType"]))
        creators.append(creator)
    yield creators
    yield _list(document, "titles")
    yield _element("publisher", document["publisher"]["name"])
    yield _element("publicationYear", document["publicationYear"])
    types = document["types"]
    yield _element("resourceType", types["resourceType"], resourceTypeGeneral=types["resourceTypeGeneral"])
    for name in ("subjects", "dates"):
        yield _list(document, name)
    yield _element("language", document["language"])
    for name in ("alternateIdentifiers", "relatedIdentifiers"):
        yield _list(document, name)
    yield _plain("formats", "format", document.get("formats", ()))
    yield _element("version", document["version"])
    for name in ("rightsList", "descriptions"):
        yield _list(document, name)
    yield _places(document)


def _list(document: Mapping[str, Any], name: str) -> etree._Element:
    outer, inner, text, attributes = _LISTS[name]
    element = _element(outer)
    for entry in document.get(name, ()):
        # JSON writes Uri where XML writes URI.
        named = {key.replace("Uri", "URI"): value for key, value in entry.items()}
        part = _element(inner, named[text], **{key: named[key] for key in attributes if key in named})
        if "lang" in named:
            part.set(_LANGUAGE, named["lang"])
        element.append(part)
    return element


def _plain(outer: str, inner: str, values: Any) -> etree._Element:
    element = _element(outer)
    for value in values:
        element.append(_element(inner, value))
    return element


def _places(document: Mapping[str, Any]) -> etree._Element:
    element = _element("geoLocations")
    for each in document["geoLocations"]:
        location, box = _element("geoLocation"), _element("geoLocationBox")
        for edge in _EDGES:
            box.append(_element(edge, repr(float(each["geoLocationBox"][edge]))))
        location.append(box)
        element.append(location)
    return element


def _element(name: str, text: str | None = None, **attributes: str) -> etree._Element:
    element = etree.Element(f"{{{KERNEL}}}{name}", attributes)
    element.text = text
    return element


def _default(namespace: str) -> Any:
    """The default namespace goes by None, which the types of lxml do not know."""
    return {None: namespace, "xsi": _XSI}
