"""Products and the catalog in DCAT-AP 3.0, as JSON-LD whose context is in the document.

Source: SEMIC, DCAT-AP 3.0.0 (2024); W3C, Data Catalog Vocabulary version 3 and Data Quality Vocabulary.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from cup4soil.licences import licence_url
from cup4soil.products import ProductRecord
from cup4soil.properties import property_codes, soil_property
from cup4soil.settings import Settings
from stac_catalog.assets import metres_per_cell
from stac_catalog.lineage import abstract, is_remote, statement
from stac_catalog.places import Places
from stac_catalog.versions import ALONE, Versions

type Node = dict[str, Any]

CONTEXT: Final = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "dqv": "http://www.w3.org/ns/dqv#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "geo": "http://www.opengis.net/ont/geosparql#",
    "hydra": "http://www.w3.org/ns/hydra/core#",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_EU: Final = "http://publications.europa.eu/resource/authority"
_THEMES: Final = f"{_EU}/data-theme"
_SOIL: Final = "http://inspire.ec.europa.eu/theme/so"
_DATASET: Final = "#dataset"  # tells the data set from the page about it
_MEDIA_TYPES: Final = "https://www.iana.org/assignments/media-types/"
_FILE_TYPES: Final = {
    "image/tiff": "TIFF",
    "image/png": "PNG",
    "application/json": "JSON",
    "application/geo+json": "GEOJSON",
    "application/xml": "XML",
    "text/html": "HTML",
    "text/csv": "CSV",
}


def dcat(record: ProductRecord, settings: Settings, places: Places, versions: Versions = ALONE) -> Node:
    """A product as ``dcat:Dataset`` with a distribution for each file."""
    return {"@context": CONTEXT, **dataset_node(record, settings, places, versions)}


def dcat_catalog(
    address: str,
    title: str,
    settings: Settings,
    places: Places,
    *,
    datasets: Iterable[Node] = (),
    catalogs: Iterable[str] = (),
    following: str | None = None,
) -> Node:
    """A ``dcat:Catalog`` at ``address`` with its data sets, or with the addresses of catalogs it is made of.

    Where it comes in parts, ``following`` is the address of the next, in the terms of Hydra.
    """
    document: Node = {
        "@context": CONTEXT,
        "@id": address.partition("?")[0],
        "@type": "dcat:Catalog",
        "dct:title": _text(title),
        "dct:description": _text("Bare-soil composites, soil maps with their uncertainty, models and soil samples."),
        "dct:publisher": _agent(settings),
        "dct:language": _ref(f"{_EU}/language/ENG"),
        "foaf:homepage": {"@id": places.root, "@type": "foaf:Document"},
        "dcat:themeTaxonomy": {"@id": _THEMES, "@type": "skos:ConceptScheme", "dct:title": _text("Data theme")},
        "dcat:dataset": list(datasets),
        "dcat:catalog": [_ref(each) for each in catalogs],
        "dcat:service": [_service(places, settings)],
    }
    if following is not None:
        document["hydra:view"] = {
            "@id": address,
            "@type": "hydra:PartialCollectionView",
            "hydra:next": _ref(following),
        }
    return {name: value for name, value in document.items() if value != []}


def dataset_node(record: ProductRecord, settings: Settings, places: Places, versions: Versions = ALONE) -> Node:
    """As :func:`dcat`, without a context of its own."""
    page = places.page(record)
    node: Node = {
        "@id": f"{page}{_DATASET}",
        "@type": "dcat:Dataset",
        "dct:title": _text(record.title),
        "dct:description": _text(abstract(record)),
        "dct:identifier": page,
        "dct:publisher": _agent(settings),
        "dct:creator": _agent(settings),
        "dcat:contactPoint": _contact(settings),
        "dcat:theme": list(_themes(record)),
        "dcat:keyword": [_text(word) for word in ("soil", *record.keywords)],
        "dct:issued": _typed(f"{record.created:%Y-%m-%d}", "date"),
        "dct:modified": _typed(f"{record.created:%Y-%m-%d}", "date"),
        "dct:language": _ref(f"{_EU}/language/ENG"),
        "dct:spatial": _location(record),
        "dct:temporal": _period(record),
        "dct:provenance": {"@type": "dct:ProvenanceStatement", "rdfs:label": _text(statement(record))},
        "dcat:version": record.algorithm.version,
        "dcat:landingPage": {"@id": page, "@type": "foaf:Document"},
        "dcat:spatialResolutionInMeters": _resolution(record),
        "dct:conformsTo": _crs(record),
        "dct:accessRights": _access(record),
        "dct:source": [_ref(source.href) for source in record.sources if source.href and is_remote(source.href)],
        "dqv:hasQualityMeasurement": list(_figures(record)),
        "rdfs:comment": [_text(limit) for limit in record.limitations],
        "dcat:distribution": list(_distributions(record, settings, places)),
    }
    for relation, other in (("dcat:previousVersion", versions.predecessor), ("dct:isReplacedBy", versions.latest)):
        if other is not None:
            node[relation] = _ref(places.page_of(record.collection, other) + _DATASET)
    return {name: value for name, value in node.items() if value not in (None, [])}


def _text(value: str) -> Node:
    return {"@value": value, "@language": "en"}


def _typed(value: str, kind: str) -> Node:
    return {"@value": value, "@type": f"xsd:{kind}"}


def _ref(address: str) -> Node:
    return {"@id": address}


def _agent(settings: Settings) -> Node:
    agent: Node = {"@type": "foaf:Organization", "foaf:name": settings.organisation}
    return ({"@id": settings.contact_url} if settings.contact_url else {}) | agent


def _contact(settings: Settings) -> Node | None:
    if not settings.contact_email and not settings.contact_url:
        return None
    contact: Node = {"@type": "vcard:Organization", "vcard:fn": settings.organisation}
    if settings.contact_email:
        contact["vcard:hasEmail"] = _ref(f"mailto:{settings.contact_email}")
    if settings.contact_url:
        contact["vcard:hasURL"] = _ref(settings.contact_url)
    return contact


def _themes(record: ProductRecord) -> Iterator[Node]:
    yield {"@id": f"{_THEMES}/ENVI", "@type": "skos:Concept", "skos:prefLabel": _text("Environment")}
    yield {"@id": _SOIL, "@type": "skos:Concept", "skos:prefLabel": _text("Soil")}
    if record.property_code in property_codes():
        known = soil_property(record.property_code)
        for term in known.terms:
            yield {"@id": term, "@type": "skos:Concept", "skos:prefLabel": _text(known.title)}


def _location(record: ProductRecord) -> Node:
    west, south, east, north = record.extent.bbox
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    text = f"POLYGON(({', '.join(f'{x:.7f} {y:.7f}' for x, y in ring)}))"
    return {"@type": "dct:Location", "dcat:bbox": {"@value": text, "@type": "geo:wktLiteral"}}


def _period(record: ProductRecord) -> Node:
    return {
        "@type": "dct:PeriodOfTime",
        "dcat:startDate": _typed(f"{record.period.start:%Y-%m-%dT%H:%M:%SZ}", "dateTime"),
        "dcat:endDate": _typed(f"{record.period.end:%Y-%m-%dT%H:%M:%SZ}", "dateTime"),
    }


def _resolution(record: ProductRecord) -> Node | None:
    metres = metres_per_cell(record.extent)
    return None if metres is None else _typed(f"{metres:.6f}", "decimal")


def _crs(record: ProductRecord) -> Node | None:
    crs = record.extent.crs
    if crs is None or not crs.startswith("EPSG:"):
        return None
    address = f"http://www.opengis.net/def/crs/EPSG/0/{crs.removeprefix('EPSG:')}"
    return {"@id": address, "@type": "dct:Standard", "dct:title": crs}


def _access(record: ProductRecord) -> Node | None:
    """Public where the licence is; of any other licence the record does not know."""
    if licence_url(record.licence) is None:
        return None
    return {"@id": f"{_EU}/access-right/PUBLIC", "@type": "dct:RightsStatement"}


def _figures(record: ProductRecord) -> Iterator[Node]:
    for measure in record.quality:
        yield {
            "@type": "dqv:QualityMeasurement",
            "dqv:isMeasurementOf": {
                "@type": "dqv:Metric",
                "skos:prefLabel": _text(measure.name),
                "skos:definition": _text(f"{measure.description} Measured on: {measure.support}. Unit: {measure.unit}"),
            },
            "dqv:value": _typed(repr(float(measure.value)), "double"),
        }


def _distributions(record: ProductRecord, settings: Settings, places: Places) -> Iterator[Node]:
    files = [(each.file, each.title, "image/tiff") for each in record.layers]
    files += [(each.file, each.title, each.media_type.partition(";")[0]) for each in record.documents]
    for number, (file, title, media_type) in enumerate(files, 1):
        node: Node = {
            "@id": f"{places.page(record)}#file-{number}",
            "@type": "dcat:Distribution",
            "dct:title": _text(title),
            "dcat:accessURL": _ref(places.page(record)),
            "dcat:downloadURL": _ref(places.file(record, file)),
            "dcat:mediaType": {"@id": f"{_MEDIA_TYPES}{media_type}", "@type": "dct:MediaType"},
            "dct:license": _licence(record),
            "dcatap:availability": {"@id": f"{_EU}/planned-availability/STABLE", "@type": "skos:Concept"},
        }
        if media_type in _FILE_TYPES:
            node["dct:format"] = {
                "@id": f"{_EU}/file-type/{_FILE_TYPES[media_type]}",
                "@type": "dct:MediaTypeOrExtent",
            }
        if record.layers:
            node["dcat:accessService"] = _service(places, settings)
        yield node


def _licence(record: ProductRecord) -> Node:
    url = licence_url(record.licence)
    named: Node = {"@type": "dct:LicenseDocument", "dct:title": record.licence}
    return named if url is None else {"@id": url} | named


def _service(places: Places, settings: Settings) -> Node:
    return {
        "@id": places.ogc,
        "@type": "dcat:DataService",
        "dct:title": _text(f"OGC APIs of {settings.organisation}"),
        "dcat:endpointURL": _ref(places.ogc),
        "dcat:endpointDescription": _ref(f"{places.ogc}openapi"),
    }
