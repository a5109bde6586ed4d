"""A product record as an ISO 19115 record in ISO 19139 XML.

Follows the practice of SoilGrids' records and of INSPIRE's technical guidance on metadata (version
2.0), so that soil harvesters read it; valid against the schemas of 2007-04-17, entry gmx/gmx.xsd.
"""

import math
from collections.abc import Iterator
from datetime import date

from cup4soil.errors import InvalidInput
from cup4soil.grids import parse_crs
from cup4soil.products import NO_SKILL, Extent, ProductRecord
from cup4soil.properties import SoilProperty, property_codes, soil_property
from cup4soil.settings import Settings
from stac_catalog.assets import metres_per_cell
from stac_catalog.iso_contents import contents
from stac_catalog.iso_elements import (
    NAMESPACES,
    Element,
    Node,
    anchor,
    boolean,
    code,
    common,
    date_of,
    day,
    document,
    element,
    identifier,
    integer,
    language,
    node,
    number,
    period,
    text,
)
from stac_catalog.iso_parts import (
    constraint,
    data_format,
    keyword_group,
    licence_constraints,
    online,
    responsible,
    soil_theme,
)
from stac_catalog.iso_quality import data_quality
from stac_catalog.lineage import abstract, simulation_notice
from stac_catalog.places import Places

# What the record is about, in the terms of MD_ScopeCode.
_SCOPES = {
    "composite": "dataset",
    "index": "dataset",
    "thresholds": "dataset",
    "terrain": "dataset",
    "soil-map": "dataset",
    "samples": "dataset",
    "model": "model",
}
_SCHEMA = f"{NAMESPACES['gmx']} http://schemas.opengis.net/iso/19139/20070417/gmx/gmx.xsd"
# With the day or year since which they are public: of the regulation that brought the code list (EU 1253/2013), of the
# paper on the ontology (Palma et al. 2024, arXiv:2403.16778), of the first edition of the thesaurus.
_VOCABULARIES: dict[str, tuple[str, date | int]] = {
    "http://inspire.ec.europa.eu/codelist/SoilDerivedObjectParameterNameValue": (
        "INSPIRE soil parameter names",
        date(2013, 10, 21),
    ),
    "http://w3id.org/glosis/model/codelists": ("GloSIS physico-chemical property codes", 2024),
    "http://aims.fao.org/aos/agrovoc": ("AGROVOC", 1982),
}


def iso_record(record: ProductRecord, settings: Settings, places: Places | None = None) -> bytes:
    """The metadata record of a product as an XML file; see :func:`iso_element`."""
    return document(iso_element(record, settings, places))


def iso_element(record: ProductRecord, settings: Settings, places: Places | None = None) -> Element:
    """The metadata record of a product; files are named relative to it where no ``places`` tell where they are.

    Raises:
        InvalidInput: when a text holds characters that XML cannot.
    """
    try:
        return element(_metadata(record, settings, places))
    except ValueError as error:
        raise InvalidInput(f"metadata of {record.id}: {error}", "use texts without control characters") from error


def _metadata(record: ProductRecord, settings: Settings, places: Places | None) -> Node:
    scope = _SCOPES[record.kind]
    return node(
        "gmd:MD_Metadata",
        text("gmd:fileIdentifier", record.id),
        language("gmd:language"),
        code("gmd:characterSet", "MD_CharacterSetCode", "utf8"),
        text("gmd:parentIdentifier", record.collection),
        code("gmd:hierarchyLevel", "MD_ScopeCode", scope),
        None if scope == "dataset" else text("gmd:hierarchyLevelName", scope),
        responsible("gmd:contact", settings, "pointOfContact"),
        day("gmd:dateStamp", record.created),
        text("gmd:metadataStandardName", "ISO 19115:2003/19139"),
        text("gmd:metadataStandardVersion", "1.0"),
        _grid(record),
        _reference_system(record),
        _identification(record, settings),
        *contents(record),
        _distribution(record, places),
        data_quality(record, scope),
        attributes={"xsi:schemaLocation": _SCHEMA},
    )


def _grid(record: ProductRecord) -> Node | None:
    shape, cell = record.extent.shape, _cell(record.extent)
    if shape is None:
        return None
    axes = [
        node(
            "gmd:axisDimensionProperties",
            node(
                "gmd:MD_Dimension",
                code("gmd:dimensionName", "MD_DimensionNameTypeCode", name),
                integer("gmd:dimensionSize", size),
                None if cell is None else node("gmd:resolution", cell),
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


def _cell(extent: Extent) -> Node | None:
    """Edge of a cell in metres, or in degrees where the CRS is geographic; None where neither is known."""
    metres = metres_per_cell(extent)
    if metres is not None:
        return node("gco:Measure", number(metres), attributes={"uom": "m"})
    if extent.crs is None or extent.resolution_m is None:
        return None
    crs = parse_crs(extent.crs)
    if not crs.geographic:
        return None
    degrees = extent.resolution_m * math.degrees(crs.proj.axis_info[0].unit_conversion_factor)
    return node("gco:Angle", number(round(degrees, 12)), attributes={"uom": "deg"})


def _reference_system(record: ProductRecord) -> Node | None:
    crs = record.extent.crs
    return None if crs is None else _crs(crs)


@common
def _crs(crs: str) -> Node:
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
        identifier(record.id),
    )
    identification = node(
        "gmd:MD_DataIdentification",
        node("gmd:citation", citation),
        text("gmd:abstract", abstract(record)),
        *(text("gmd:credit", credit) for credit in record.attribution),
        code("gmd:status", "MD_ProgressCode", "completed"),
        responsible("gmd:pointOfContact", settings, "pointOfContact"),
        *_keywords(record),
        *_constraints(record),
        _representation(record),
        _resolution(record),
        language("gmd:language"),
        code("gmd:characterSet", "MD_CharacterSetCode", "utf8"),
        _topic(),
        _extent(record),
    )
    return node("gmd:identificationInfo", identification)


@common
def _topic() -> Node:
    return node("gmd:topicCategory", node("gmd:MD_TopicCategoryCode", "geoscientificInformation"))


def _representation(record: ProductRecord) -> Node | None:
    """Kind of spatial data; a model is none."""
    if record.kind == "model":
        return None
    kind = "textTable" if record.extent.shape is None else "grid"
    return code("gmd:spatialRepresentationType", "MD_SpatialRepresentationTypeCode", kind)


def _keywords(record: ProductRecord) -> Iterator[Node]:
    yield soil_theme()
    known = _property(record)
    if known is not None:
        yield from (_concept(known.code, prefix) for prefix in _VOCABULARIES if _terms(known, prefix))
    free = [*record.keywords, *(["simulated"] if record.simulated else [])]
    free += [NO_SKILL] if record.verdict == "no-skill" else []
    if free:
        yield keyword_group([text("gmd:keyword", word) for word in free], None, None)


@common
def _concept(property_code: str, prefix: str) -> Node:
    """A soil property as a vocabulary names it."""
    known, (vocabulary, published) = soil_property(property_code), _VOCABULARIES[prefix]
    words = [anchor("gmd:keyword", term, known.title) for term in _terms(known, prefix)]
    return keyword_group(words, anchor("gmd:title", prefix, vocabulary), published)


def _terms(known: SoilProperty, prefix: str) -> list[str]:
    return [term for term in known.terms if term.startswith(prefix)]


def _property(record: ProductRecord) -> SoilProperty | None:
    return soil_property(record.property_code) if record.property_code in property_codes() else None


def _constraints(record: ProductRecord) -> Iterator[Node]:
    limits = [*record.limitations, *([simulation_notice(record)] if record.simulated else [])]
    if limits:
        yield constraint("gmd:MD_Constraints", *(text("gmd:useLimitation", limit) for limit in limits))
    yield from licence_constraints(record.licence)


def _resolution(record: ProductRecord) -> Node | None:
    metres = metres_per_cell(record.extent)
    if metres is None:
        return None
    distance = node("gco:Distance", number(metres), attributes={"uom": "m"})
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


def _distribution(record: ProductRecord, places: Places | None) -> Node:
    folder = "./" if places is None else places.folder(record)
    # Reports beside the layers are no form in which the data come.
    formats = ["Cloud Optimized GeoTIFF"] if record.layers else [each.media_type for each in record.documents]
    links = [online(f"{folder}{layer.file}", layer.title, "download") for layer in record.layers]
    for each in record.documents:
        function = "information" if "metadata" in each.roles else "download"
        links.append(online(f"{folder}{each.file}", each.title, function))
    links.append(online(f"{folder}{record.id}.json", "STAC item", "information"))
    if places is not None:
        links.append(online(places.coverage(record), "OGC API Coverages", "download"))
    options = node("gmd:MD_DigitalTransferOptions", *(node("gmd:onLine", each) for each in links))
    distribution = node(
        "gmd:MD_Distribution",
        *(data_format(name) for name in dict.fromkeys(formats)),
        node("gmd:transferOptions", options),
    )
    return node("gmd:distributionInfo", distribution)
