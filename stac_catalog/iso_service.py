"""The services of a store as ISO 19119 records in ISO 19139 XML, coupled to the records of the products.

Follows INSPIRE's technical guidance on metadata (version 2.0), chapter 4; valid against the schemas of 2006-05-04,
which are the newest with ``srv``. There is no GML in it, in which those of 2007 differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from cup4soil.errors import InvalidInput
from cup4soil.settings import Settings
from stac_catalog.assets import METADATA_FILE
from stac_catalog.iso_elements import (
    NAMESPACES,
    Node,
    anchor,
    code,
    code_value,
    date_of,
    day,
    document,
    element,
    identifier,
    language,
    node,
    text,
)
from stac_catalog.iso_parts import constraint, keyword_group, licence_constraints, online, responsible, soil_theme
from stac_catalog.iso_quality import conformance
from stac_catalog.places import Places

_CATEGORIES: Final = "http://inspire.ec.europa.eu/metadata-codelist/SpatialDataServiceCategory"
# The categories stand in part D of Regulation 1205/2008.
_CATEGORIES_PUBLISHED: Final = date(2008, 12, 3)
_SCHEMA: Final = f"{NAMESPACES['srv']} http://schemas.opengis.net/iso/19139/20060504/srv/srv.xsd"


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """A service: INSPIRE's type and category, its operation and which of :class:`Places` tells its address."""

    title: str
    abstract: str
    type: str
    category: str
    operation: str
    place: str


SERVICES: Final[dict[str, ServiceKind]] = {
    "ogc": ServiceKind(
        "OGC APIs of soil products",
        "Coverages of bare-soil composites and soil maps with their uncertainty, by area, time and property, and "
        "processes that predict soil properties.",
        "download",
        "infoCoverageAccessService",
        "GetCoverage",
        "ogc",
    ),
    "stac": ServiceKind(
        "STAC API of soil products",
        "Search for bare-soil composites, soil maps, models and samples by area, time and property.",
        "discovery",
        "infoCatalogueService",
        "Search",
        "api",
    ),
    "oai": ServiceKind(
        "OAI-PMH of soil products",
        "Metadata records of all products for harvesters, in Dublin Core, ISO 19139, ISO 19115-3 and DataCite.",
        "discovery",
        "infoCatalogueService",
        "ListRecords",
        "oai",
    ),
}


@dataclass(frozen=True, slots=True)
class Served:
    """What a service is about: ids (collection, item) of products, their box (west, south, east, north) and licences.

    ``changed`` is the day of the last change.
    """

    products: Sequence[tuple[str, str]]
    bbox: tuple[float, float, float, float]
    licences: Sequence[str]
    changed: date


def service_record(name: str, served: Served, settings: Settings, places: Places) -> bytes:
    """The record of the service ``name`` of :data:`SERVICES` as an XML file.

    Raises:
        InvalidInput: when there is no such service, or a text holds characters that XML cannot.
    """
    kind = SERVICES.get(name)
    if kind is None:
        raise InvalidInput(f"there is no service {name!r}", f"use one of {', '.join(SERVICES)}")
    try:
        root = element(_metadata(name, kind, served, settings, places))
    except ValueError as error:
        raise InvalidInput(f"metadata of {name}: {error}", "use texts without control characters") from error
    return document(root)


def _metadata(name: str, kind: ServiceKind, served: Served, settings: Settings, places: Places) -> Node:
    address = str(getattr(places, kind.place))
    options = node("gmd:MD_DigitalTransferOptions", node("gmd:onLine", online(address, kind.title, "information")))
    scope = node(
        "gmd:DQ_Scope",
        node("gmd:level", code_value("MD_ScopeCode", "service")),
        node("gmd:levelDescription", node("gmd:MD_ScopeDescription", text("gmd:other", "service"))),
    )
    return node(
        "gmd:MD_Metadata",
        text("gmd:fileIdentifier", f"service-{name}"),
        language("gmd:language"),
        code("gmd:characterSet", "MD_CharacterSetCode", "utf8"),
        code("gmd:hierarchyLevel", "MD_ScopeCode", "service"),
        text("gmd:hierarchyLevelName", "service"),
        responsible("gmd:contact", settings, "pointOfContact"),
        day("gmd:dateStamp", served.changed),
        text("gmd:metadataStandardName", "ISO 19119/19139"),
        text("gmd:metadataStandardVersion", "1.0"),
        node("gmd:identificationInfo", _identification(name, kind, served, settings, places)),
        node("gmd:distributionInfo", node("gmd:MD_Distribution", node("gmd:transferOptions", options))),
        node("gmd:dataQualityInfo", node("gmd:DQ_DataQuality", node("gmd:scope", scope), conformance())),
        attributes={"xsi:schemaLocation": _SCHEMA},
    )


def _identification(name: str, kind: ServiceKind, served: Served, settings: Settings, places: Places) -> Node:
    citation = node(
        "gmd:CI_Citation",
        text("gmd:title", f"{kind.title}, {settings.organisation}"),
        date_of("revision", served.changed),
        identifier(f"service-{name}"),
    )
    category = anchor("gmd:keyword", f"{_CATEGORIES}/{kind.category}", kind.category)
    categories = anchor("gmd:title", _CATEGORIES, "Classification of spatial data services")
    return node(
        "srv:SV_ServiceIdentification",
        node("gmd:citation", citation),
        text("gmd:abstract", kind.abstract),
        responsible("gmd:pointOfContact", settings, "pointOfContact"),
        keyword_group([category], categories, _CATEGORIES_PUBLISHED),
        soil_theme(),
        *_constraints(served),
        node("srv:serviceType", node("gco:LocalName", kind.type)),
        node("srv:extent", node("gmd:EX_Extent", node("gmd:geographicElement", _box(served)))),
        node("srv:couplingType", _coupling()),
        node("srv:containsOperations", _operation(kind, places)),
        *(_operates_on(collection, item, places) for collection, item in served.products),
    )


def _constraints(served: Served) -> list[Node]:
    """Limits of the one licence of all products; where they differ, each product's record states its own."""
    if len(set(served.licences)) == 1:
        return list(licence_constraints(served.licences[0]))
    return [constraint("gmd:MD_Constraints", text("gmd:useLimitation", "Each product states its licence."))]


def _coupling() -> Node:
    values = {"codeList": "http://www.isotc211.org/2005/iso19119/resources/Codelist/gmxCodelists.xml#SV_CouplingType"}
    return node("srv:SV_CouplingType", "tight", attributes=values | {"codeListValue": "tight"})


def _operation(kind: ServiceKind, places: Places) -> Node:
    values = {"codeList": "http://www.isotc211.org/2005/iso19119/resources/Codelist/gmxCodelists.xml#DCPList"}
    address = str(getattr(places, kind.place))
    return node(
        "srv:SV_OperationMetadata",
        text("srv:operationName", kind.operation),
        node("srv:DCP", node("srv:DCPList", "WebServices", attributes=values | {"codeListValue": "WebServices"})),
        node("srv:connectPoint", online(address, kind.title, "information")),
    )


def _operates_on(collection: str, item: str, places: Places) -> Node:
    href = f"{places.root}catalog/{collection}/{item}/{METADATA_FILE}"
    return node("srv:operatesOn", attributes={"xlink:href": href, "uuidref": item})


def _box(served: Served) -> Node:
    west, south, east, north = served.bbox
    edges = {"westBoundLongitude": west, "eastBoundLongitude": east}
    edges |= {"southBoundLatitude": south, "northBoundLatitude": north}
    numbers = (node(f"gmd:{name}", node("gco:Decimal", f"{value:.7f}")) for name, value in edges.items())
    return node("gmd:EX_GeographicBoundingBox", *numbers)
