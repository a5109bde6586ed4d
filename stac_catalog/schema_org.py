"""A product record as a schema.org Dataset, which search engines read from web pages."""

from collections.abc import Iterator
from typing import Any, Final

from cup4soil.licences import licence_url
from cup4soil.products import COG_MEDIA_TYPE, ProductRecord
from cup4soil.properties import property_codes, soil_property
from cup4soil.settings import Settings
from stac_catalog.citation import citation_text
from stac_catalog.lineage import abstract, is_remote, statement
from stac_catalog.places import Places
from stac_catalog.stac import publications
from stac_catalog.versions import ALONE, Versions

_CATALOG: Final = "DataCatalog"
_MOST_TEXT: Final = 5000  # characters of a description that search engines take


def schema_org(record: ProductRecord, settings: Settings, places: Places, versions: Versions = ALONE) -> dict[str, Any]:
    """The JSON-LD document to embed in a page, in the terms that Google's guide to datasets asks for."""
    page = places.page(record)
    document: dict[str, Any] = {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "@id": page,
        "url": page,
        "identifier": record.id,
        "name": record.title,
        "description": f"{abstract(record)} {statement(record)}"[:_MOST_TEXT],
        "keywords": ["soil", *record.keywords],
        "creator": _organisation(settings),
        "publisher": _organisation(settings),
        "dateCreated": f"{record.created:%Y-%m-%d}",
        "datePublished": f"{record.created:%Y-%m-%d}",
        "version": record.algorithm.version,
        "license": licence_url(record.licence) or record.licence,
        "isAccessibleForFree": licence_url(record.licence) is not None,
        "inLanguage": "en",
        "creditText": "; ".join(record.attribution) or None,
        "citation": citation_text(record, settings, places),
        "temporalCoverage": f"{record.period.start:%Y-%m-%d}/{record.period.end:%Y-%m-%d}",
        "spatialCoverage": {"@type": "Place", "geo": {"@type": "GeoShape", "box": _box(record)}},
        "variableMeasured": list(_variables(record)),
        "measurementTechnique": record.algorithm.title,
        "distribution": list(_distributions(record, places)),
        "includedInDataCatalog": {"@type": _CATALOG, "@id": places.catalog, "name": _catalog_name(settings)},
        "isBasedOn": list(_origins(record)),
        "isReplacedBy": None if versions.latest is None else places.page_of(record.collection, versions.latest),
        "sameAs": places.stac(record),
    }
    return {name: value for name, value in document.items() if value not in (None, [])}


def schema_org_catalog(settings: Settings, places: Places, titles: dict[str, str]) -> dict[str, Any]:
    """The whole catalog as a schema.org DataCatalog, for the service's own page."""
    return {
        "@context": "https://schema.org/",
        "@type": _CATALOG,
        "@id": places.catalog,
        "name": _catalog_name(settings),
        "url": places.root,
        "publisher": _organisation(settings),
        "about": list(titles.values()),
    }


def _catalog_name(settings: Settings) -> str:
    return f"Soil products of {settings.organisation}"


def _organisation(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = {"@type": "Organization", "name": settings.organisation}
    if settings.contact_url:
        found["url"] = settings.contact_url
    if settings.contact_email:
        found["contactPoint"] = {"@type": "ContactPoint", "email": settings.contact_email}
    return found


def _box(record: ProductRecord) -> str:
    """South, west, north, east, as schema.org orders them."""
    west, south, east, north = record.extent.bbox
    return f"{south:.6f} {west:.6f} {north:.6f} {east:.6f}"


def _variables(record: ProductRecord) -> Iterator[dict[str, Any]]:
    """What each layer holds, with the figures of validation beside the property itself."""
    if record.property_code in property_codes():
        known = soil_property(record.property_code)
        yield {
            "@type": "PropertyValue",
            "name": known.title,
            "propertyID": list(known.terms),
            "unitText": known.unit,
            "description": "; ".join(_facts(record)),
        }
    for layer in record.layers:
        for band in layer.bands:
            yield {"@type": "PropertyValue", "name": band.name, "unitText": band.unit, "description": layer.title}


def _facts(record: ProductRecord) -> Iterator[str]:
    if record.depth:
        yield record.depth
    for measure in record.quality:
        yield f"{measure.name} {measure.value:g} {measure.unit}"


def _distributions(record: ProductRecord, places: Places) -> Iterator[dict[str, str]]:
    files = [(each.file, each.title, COG_MEDIA_TYPE) for each in record.layers]
    files += [(each.file, each.title, each.media_type) for each in record.documents]
    for file, title, media_type in files:
        yield {
            "@type": "DataDownload",
            "name": title,
            "encodingFormat": media_type,
            "contentUrl": places.file(record, file),
        }


def _origins(record: ProductRecord) -> Iterator[str]:
    for source in record.sources:
        if source.role != "scene" and source.href is not None and is_remote(source.href):
            yield source.href
    for publication in publications(record.algorithm):
        if "doi" in publication:
            yield f"https://doi.org/{publication['doi']}"
