"""A product record as an ISO 19115 record in ISO 19139 XML.

Follows the practice of SoilGrids' records and of INSPIRE's technical guidance on metadata (version
2.0), so that soil harvesters read it; valid against the schemas of 2007-04-17, entry gmx/gmx.xsd.
"""

import re
from collections.abc import Iterator
from datetime import date

from lxml import etree

from cup4soil.errors import InvalidInput
from cup4soil.grids import parse_crs
from cup4soil.licences import licence_url
from cup4soil.products import Band, Layer, ProductRecord
from cup4soil.properties import SoilProperty, property_codes, soil_property
from cup4soil.settings import Settings
from stac_catalog.iso_elements import (
    NAMESPACES,
    Node,
    absent,
    anchor,
    boolean,
    code,
    date_of,
    day,
    identifier,
    integer,
    language,
    node,
    number,
    period,
    real,
    text,
    unit,
)
from stac_catalog.iso_quality import data_quality
from stac_catalog.lineage import simulation_notice

# What the record is about, in the terms of MD_ScopeCode.
_SCOPES = {"composite": "dataset", "soil-map": "dataset", "samples": "dataset", "model": "model"}
_SCHEMA = f"{NAMESPACES['gmx']} http://schemas.opengis.net/iso/19139/20070417/gmx/gmx.xsd"
_NO_ACCESS_LIMITS = "http://inspire.ec.europa.eu/metadata-codelist/LimitationsOnPublicAccess/noLimitations"
_GEMET = ("GEMET - INSPIRE themes, version 1.0", "http://www.eionet.europa.eu/gemet/inspire_themes", date(2008, 6, 1))
_SOIL_THEME = "http://inspire.ec.europa.eu/theme/so"
_VOCABULARIES = {
    "http://inspire.ec.europa.eu/codelist/SoilDerivedObjectParameterNameValue": "INSPIRE soil parameter names",
    "http://w3id.org/glosis/model/codelists": "GloSIS physico-chemical property codes",
    "http://aims.fao.org/aos/agrovoc": "AGROVOC",
}


def iso_record(record: ProductRecord, settings: Settings) -> bytes:
    """The metadata record of a product as an XML file; files are named relative to it.

    Raises:
        InvalidInput: when a text holds characters that XML cannot.
    """
    try:
        root = _metadata(record, settings)
    except ValueError as error:
        raise InvalidInput(f"metadata of {record.id}: {error}", "use texts without control characters") from error
    document: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return document


def _metadata(record: ProductRecord, settings: Settings) -> Node:
    scope = _SCOPES[record.kind]
    return node(
        "gmd:MD_Metadata",
        text("gmd:fileIdentifier", record.id),
        language("gmd:language"),
        code("gmd:characterSet", "MD_CharacterSetCode", "utf8"),
        text("gmd:parentIdentifier", record.collection),
        code("gmd:hierarchyLevel", "MD_ScopeCode", scope),
        None if scope == "dataset" else text("gmd:hierarchyLevelName", scope),
        _responsible("gmd:contact", settings, "pointOfContact"),
        day("gmd:dateStamp", record.created),
        text("gmd:metadataStandardName", "ISO 19115:2003/19139"),
        text("gmd:metadataStandardVersion", "1.0"),
        _grid(record),
        _reference_system(record),
        _identification(record, settings),
        *_contents(record),
        _distribution(record),
        data_quality(record, scope),
        attributes={"xsi:schemaLocation": _SCHEMA},
    )


def _responsible(tag: str, settings: Settings, role: str) -> Node:
    email = settings.contact_email
    address = node(
        "gmd:CI_Address",
        text("gmd:electronicMailAddress", email) if email else absent("gmd:electronicMailAddress", "missing"),
    )
    online = _online(settings.contact_url, settings.organisation, "information") if settings.contact_url else None
    contact = node(
        "gmd:CI_Contact",
        node("gmd:address", address),
        node("gmd:onlineResource", online) if online is not None else None,
    )
    party = node(
        "gmd:CI_ResponsibleParty",
        text("gmd:organisationName", settings.organisation),
        node("gmd:contactInfo", contact),
        code("gmd:role", "CI_RoleCode", role),
    )
    return node(tag, party)


def _grid(record: ProductRecord) -> Node | None:
    shape, resolution = record.extent.shape, record.extent.resolution_m
    if shape is None or resolution is None:
        return None
    axes = [
        node(
            "gmd:axisDimensionProperties",
            node(
                "gmd:MD_Dimension",
                code("gmd:dimensionName", "MD_DimensionNameTypeCode", name),
                integer("gmd:dimensionSize", size),
                node("gmd:resolution", node("gco:Measure", number(resolution), attributes={"uom": _uom(record)})),
            ),
        )
        for name, size in zip(("row", "column"), shape, strict=True)
    ]
    grid = node(
        "gmd:MD_GridSpatialRepresentation",
        integer("gmd:numberOfDimensions", len(axes)),
        *axes,
        code("gmd:cellGeometry", "MD_CellGeometryCode", "area"),
        boolean("gmd:transformationParameterAvailability", True),
    )
    return node("gmd:spatialRepresentationInfo", grid)


def _uom(record: ProductRecord) -> str:
    return "deg" if record.extent.crs is not None and parse_crs(record.extent.crs).geographic else "m"


def _reference_system(record: ProductRecord) -> Node | None:
    crs = record.extent.crs
    if crs is None:
        return None
    coded = crs.startswith("EPSG:")
    address = f"http://www.opengis.net/def/crs/EPSG/0/{crs.removeprefix('EPSG:')}"
    name = anchor("gmd:code", address, crs) if coded else text("gmd:code", crs)
    identifier_ = node("gmd:referenceSystemIdentifier", node("gmd:RS_Identifier", name))
    return node("gmd:referenceSystemInfo", node("gmd:MD_ReferenceSystem", identifier_))


def _identification(record: ProductRecord, settings: Settings) -> Node:
    citation = node(
        "gmd:CI_Citation",
        text("gmd:title", record.title),
        date_of("creation", record.created),
        text("gmd:edition", record.algorithm.version),
        identifier(record.id),
    )
    representation = "textTable" if record.extent.shape is None else "grid"
    identification = node(
        "gmd:MD_DataIdentification",
        node("gmd:citation", citation),
        text("gmd:abstract", " ".join(part for part in (simulation_notice(record), record.abstract) if part)),
        *(text("gmd:credit", credit) for credit in record.attribution),
        code("gmd:status", "MD_ProgressCode", "completed"),
        _responsible("gmd:pointOfContact", settings, "pointOfContact"),
        *_keywords(record),
        *_constraints(record),
        code("gmd:spatialRepresentationType", "MD_SpatialRepresentationTypeCode", representation),
        _resolution(record),
        language("gmd:language"),
        code("gmd:characterSet", "MD_CharacterSetCode", "utf8"),
        node("gmd:topicCategory", node("gmd:MD_TopicCategoryCode", "geoscientificInformation")),
        _extent(record),
    )
    return node("gmd:identificationInfo", identification)


def _keywords(record: ProductRecord) -> Iterator[Node]:
    title, address, published = _GEMET
    yield _keyword_group([anchor("gmd:keyword", _SOIL_THEME, "Soil")], anchor("gmd:title", address, title), published)
    known = _property(record)
    for prefix, vocabulary in _VOCABULARIES.items():
        terms = [term for term in known.terms if term.startswith(prefix)] if known else []
        if known and terms:
            words = [anchor("gmd:keyword", term, known.title) for term in terms]
            yield _keyword_group(words, anchor("gmd:title", prefix, vocabulary), None)
    free = [*record.keywords, *(["simulated"] if record.simulated else [])]
    if free:
        yield _keyword_group([text("gmd:keyword", word) for word in free], None, None)


def _keyword_group(words: list[Node], thesaurus: Node | None, published: date | None) -> Node:
    name = None
    if thesaurus is not None:
        name = node("gmd:thesaurusName", node("gmd:CI_Citation", thesaurus, date_of("publication", published)))
    keywords = node("gmd:MD_Keywords", *words, code("gmd:type", "MD_KeywordTypeCode", "theme"), name)
    return node("gmd:descriptiveKeywords", keywords)


def _property(record: ProductRecord) -> SoilProperty | None:
    return soil_property(record.property_code) if record.property_code in property_codes() else None


def _constraints(record: ProductRecord) -> Iterator[Node]:
    limits = [*record.limitations, *([simulation_notice(record)] if record.simulated else [])]
    if limits:
        yield _constraint("gmd:MD_Constraints", *(text("gmd:useLimitation", limit) for limit in limits))
    yield _constraint(
        "gmd:MD_LegalConstraints",
        code("gmd:accessConstraints", "MD_RestrictionCode", "otherRestrictions"),
        anchor("gmd:otherConstraints", _NO_ACCESS_LIMITS, "no limitations to public access"),
    )
    url = licence_url(record.licence)
    licence = (
        text("gmd:otherConstraints", record.licence)
        if url is None
        else anchor("gmd:otherConstraints", url, record.licence)
    )
    yield _constraint(
        "gmd:MD_LegalConstraints",
        code("gmd:useConstraints", "MD_RestrictionCode", "license"),
        code("gmd:useConstraints", "MD_RestrictionCode", "otherRestrictions"),
        licence,
    )


def _constraint(tag: str, *content: Node) -> Node:
    return node("gmd:resourceConstraints", node(tag, *content))


def _resolution(record: ProductRecord) -> Node | None:
    resolution = record.extent.resolution_m
    if resolution is None:
        return None
    distance = node("gco:Distance", number(resolution), attributes={"uom": _uom(record)})
    return node("gmd:spatialResolution", node("gmd:MD_Resolution", node("gmd:distance", distance)))


def _extent(record: ProductRecord) -> Node:
    west, south, east, north = record.extent.bbox
    edges = (("west", west), ("east", east), ("south", south), ("north", north))
    names = {"west": "westBoundLongitude", "east": "eastBoundLongitude", "south": "southBoundLatitude"}
    bounds = [
        node(f"gmd:{names.get(edge, 'northBoundLatitude')}", node("gco:Decimal", f"{value:.7f}"))
        for edge, value in edges
    ]
    box = node("gmd:geographicElement", node("gmd:EX_GeographicBoundingBox", *bounds))
    times = node("gmd:EX_TemporalExtent", period("gmd:extent", record.period.start, record.period.end, key="period"))
    return node("gmd:extent", node("gmd:EX_Extent", box, node("gmd:temporalElement", times)))


def _contents(record: ProductRecord) -> Iterator[Node]:
    for layer in record.layers:
        kind = "thematicClassification" if layer.categories is not None else "physicalMeasurement"
        dimensions = [_dimension(band, layer) for band in layer.bands]
        description = node(
            "gmd:MD_CoverageDescription",
            node("gmd:attributeDescription", node("gco:RecordType", f"{layer.name}: {layer.description}")),
            code("gmd:contentType", "MD_CoverageContentTypeCode", kind),
            *(node("gmd:dimension", dimension) for dimension in dimensions),
        )
        yield node("gmd:contentInfo", description)


def _dimension(band: Band, layer: Layer) -> Node:
    name = node(
        "gco:MemberName",
        node("gco:aName", node("gco:CharacterString", band.name)),
        node("gco:attributeType", node("gco:TypeName", node("gco:aName", node("gco:CharacterString", layer.dtype)))),
    )
    described = band.description or layer.title
    value = f"{described} [{band.unit}], value = stored * {layer.scale:g} + {layer.offset:g}, missing = {layer.nodata}"
    common = (node("gmd:sequenceIdentifier", name), text("gmd:descriptor", value))
    if band.center_wavelength_um is None:
        return node("gmd:MD_RangeDimension", *common)
    # The unit of a band in ISO 19115 is that of its wavelength.
    key = "wavelength-" + re.sub(r"[^0-9A-Za-z_.-]", "_", f"{layer.name}-{band.name}")
    return node(
        "gmd:MD_Band",
        *common,
        unit("gmd:units", "um", key),
        real("gmd:peakResponse", band.center_wavelength_um),
        real("gmd:scaleFactor", layer.scale),
        real("gmd:offset", layer.offset),
    )


def _distribution(record: ProductRecord) -> Node:
    formats = ["Cloud Optimized GeoTIFF"] * bool(record.layers) + [each.media_type for each in record.documents]
    online = [_online(f"./{layer.file}", layer.title, "download") for layer in record.layers]
    online += [_online(f"./{document.file}", document.title, "information") for document in record.documents]
    online.append(_online(f"./{record.id}.json", "STAC item", "information"))
    options = node("gmd:MD_DigitalTransferOptions", *(node("gmd:onLine", each) for each in online))
    distribution = node(
        "gmd:MD_Distribution",
        *(_format(name) for name in dict.fromkeys(formats)),
        node("gmd:transferOptions", options),
    )
    return node("gmd:distributionInfo", distribution)


def _format(name: str) -> Node:
    return node(
        "gmd:distributionFormat",
        node("gmd:MD_Format", text("gmd:name", name), absent("gmd:version", "inapplicable")),
    )


def _online(address: str, name: str, function: str) -> Node:
    return node(
        "gmd:CI_OnlineResource",
        node("gmd:linkage", node("gmd:URL", address)),
        text("gmd:protocol", "WWW:LINK-1.0-http--link"),
        text("gmd:name", name),
        code("gmd:function", "CI_OnLineFunctionCode", function),
    )
