"""A product record in DataCite's metadata schema 4.5, ready for a DOI that leads to the product's page.

Source: DataCite Metadata Working Group (2024), DataCite Metadata Schema Documentation 4.5.
"""

from collections.abc import Iterator
from typing import Any, Final

from cup4soil.licences import licence_url
from cup4soil.products import ProductRecord
from cup4soil.properties import property_codes, soil_property
from cup4soil.settings import Settings
from stac_catalog.lineage import abstract, is_remote, statement
from stac_catalog.places import Places
from stac_catalog.stac import publications
from stac_catalog.versions import ALONE, Versions

_SCHEMA: Final = "http://datacite.org/schema/kernel-4"
_COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
_TYPES: Final = {"model": "Model"}


def datacite(
    record: ProductRecord, settings: Settings, places: Places, versions: Versions = ALONE, doi: str | None = None
) -> dict[str, Any]:
    """The document for a DOI; ``doi`` is that of the product where it has one already."""
    document: dict[str, Any] = {
        "schemaVersion": _SCHEMA,
        "url": places.page(record),
        "types": {"resourceType": _said(record.kind), "resourceTypeGeneral": _TYPES.get(record.kind, "Dataset")},
        "creators": [{"name": settings.organisation, "nameType": "Organizational"}],
        "titles": [{"title": record.title, "lang": "en"}],
        "publisher": {"name": settings.organisation},
        "publicationYear": f"{record.created:%Y}",
        "subjects": list(_subjects(record)),
        "dates": _dates(record),
        "language": "en",
        "alternateIdentifiers": [{"alternateIdentifier": record.id, "alternateIdentifierType": "CUP4SOIL item"}],
        "relatedIdentifiers": list(_related(record, places, versions)),
        "formats": list(_formats(record)),
        "version": record.algorithm.version,
        "rightsList": [_rights(record)],
        "descriptions": list(_descriptions(record)),
        "geoLocations": [{"geoLocationBox": _box(record)}],
    }
    if doi is not None:
        document["doi"] = doi
    return {name: value for name, value in document.items() if value != []}


def _said(kind: str) -> str:
    return kind.replace("-", " ").capitalize()


def _subjects(record: ProductRecord) -> Iterator[dict[str, str]]:
    yield {
        "subject": "Soil",
        "subjectScheme": "GEMET - INSPIRE themes, version 1.0",
        "schemeUri": "http://www.eionet.europa.eu/gemet/inspire_themes",
        "valueUri": "http://inspire.ec.europa.eu/theme/so",
    }
    if record.property_code in property_codes():
        known = soil_property(record.property_code)
        for term in known.terms:
            yield {"subject": known.title, "valueUri": term}
    for word in record.keywords:
        yield {"subject": word}


def _dates(record: ProductRecord) -> list[dict[str, str]]:
    start, end = record.period.start, record.period.end
    made = f"{record.created:%Y-%m-%d}"
    return [
        {"date": made, "dateType": "Created"},
        {"date": made, "dateType": "Issued"},
        # What the product speaks of, not when somebody was in the field.
        {"date": f"{start:%Y-%m-%d}/{end:%Y-%m-%d}", "dateType": "Other", "dateInformation": "Period of the product"},
    ]


def _related(record: ProductRecord, places: Places, versions: Versions) -> Iterator[dict[str, str]]:
    for publication in publications(record.algorithm):
        if "doi" in publication:
            yield _relation("IsDescribedBy" if record.kind == "model" else "References", publication["doi"], "DOI")
    for source in record.sources:
        if source.href is not None and is_remote(source.href):
            yield _relation("IsDerivedFrom", source.href, "URL")
    yield _relation("HasMetadata", places.iso(record), "URL")
    yield _relation("IsPartOf", places.catalog, "URL")
    for relation, other in (
        ("IsNewVersionOf", versions.predecessor),
        ("IsPreviousVersionOf", versions.successor),
        ("IsObsoletedBy", versions.latest),
    ):
        if other is not None:
            yield _relation(relation, places.page_of(record.collection, other), "URL")


def _relation(kind: str, identifier: str, identifier_type: str) -> dict[str, str]:
    return {"relationType": kind, "relatedIdentifier": identifier, "relatedIdentifierType": identifier_type}


def _formats(record: ProductRecord) -> Iterator[str]:
    yield from dict.fromkeys([_COG] * bool(record.layers) + [each.media_type for each in record.documents])


def _rights(record: ProductRecord) -> dict[str, str]:
    url = licence_url(record.licence)
    if url is None:
        return {"rights": record.licence}
    spdx = {
        "rightsIdentifier": record.licence,
        "rightsIdentifierScheme": "SPDX",
        "schemeUri": "https://spdx.org/licenses/",
    }
    return {"rights": record.licence, "rightsUri": url} | spdx


def _descriptions(record: ProductRecord) -> Iterator[dict[str, str]]:
    yield {"description": abstract(record), "descriptionType": "Abstract", "lang": "en"}
    yield {"description": statement(record), "descriptionType": "Methods", "lang": "en"}
    if record.quality:
        figures = "; ".join(f"{m.name}: {m.value:g} {m.unit} ({m.support})" for m in record.quality)
        yield {"description": figures, "descriptionType": "TechnicalInfo", "lang": "en"}
    for limit in record.limitations:
        yield {"description": limit, "descriptionType": "Other", "lang": "en"}


def _box(record: ProductRecord) -> dict[str, float]:
    west, south, east, north = record.extent.bbox
    return {
        "westBoundLongitude": west,
        "eastBoundLongitude": east,
        "southBoundLatitude": south,
        "northBoundLatitude": north,
    }
