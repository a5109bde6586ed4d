"""A product as a Research Object Crate 1.1: its files, where they came from, and what made them.

Source: RO-Crate Metadata Specification 1.1 (2020). The files are named by their addresses, so that the document
describes them wherever it is kept; packed beside them it is a crate that needs no network.
"""

from collections.abc import Iterator
from typing import Any, Final

from cup4soil import __version__
from cup4soil.licences import licence_url
from cup4soil.products import COG_MEDIA_TYPE, ProductRecord
from cup4soil.settings import Settings
from stac_catalog.citation import citation_text
from stac_catalog.lineage import abstract, is_remote
from stac_catalog.places import Places

CRATE_FILE: Final = "ro-crate-metadata.json"
_SOFTWARE: Final = "#cup4soil"
_ACTION: Final = "#making"

type Entity = dict[str, Any]


def ro_crate(record: ProductRecord, settings: Settings, places: Places, *, beside: bool = False) -> Entity:
    """The content of ``ro-crate-metadata.json``; ``beside`` says that it will lie in the product's folder."""
    files = list(_files(record, places, beside=beside))
    sources = list(_sources(record))
    organisation = settings.contact_url or "#organisation"
    graph = [
        _descriptor(),
        _root(record, settings, places, organisation) | {"hasPart": [_ref(each["@id"]) for each in files]},
        *files,
        {"@id": organisation, "@type": "Organization", "name": settings.organisation},
        {"@id": _licence(record), "@type": "CreativeWork", "name": record.licence},
        {"@id": _SOFTWARE, "@type": "SoftwareApplication", "name": "CUP4SOIL", "softwareVersion": __version__},
        _action(record, files, sources),
        *sources,
    ]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def _descriptor() -> Entity:
    return {
        "@id": CRATE_FILE,
        "@type": "CreativeWork",
        "conformsTo": _ref("https://w3id.org/ro/crate/1.1"),
        "about": _ref("./"),
    }


def _root(record: ProductRecord, settings: Settings, places: Places, organisation: str) -> Entity:
    west, south, east, north = record.extent.bbox
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": record.title,
        "description": abstract(record),
        "identifier": places.page(record),
        "url": places.page(record),
        "datePublished": f"{record.created:%Y-%m-%d}",
        "version": record.algorithm.version,
        "license": _ref(_licence(record)),
        "author": _ref(organisation),
        "publisher": _ref(organisation),
        "keywords": ", ".join(["soil", *record.keywords]),
        "temporalCoverage": f"{record.period.start:%Y-%m-%d}/{record.period.end:%Y-%m-%d}",
        "spatialCoverage": f"{south:.6f} {west:.6f} {north:.6f} {east:.6f}",
        "creditText": citation_text(record, settings, places),
    }


def _files(record: ProductRecord, places: Places, *, beside: bool) -> Iterator[Entity]:
    named = [(each.file, each.title, COG_MEDIA_TYPE) for each in record.layers]
    named += [(each.file, each.title, each.media_type) for each in record.documents]
    for file, title, media_type in named:
        address = file if beside else places.file(record, file)
        yield {"@id": address, "@type": "File", "name": title, "encodingFormat": media_type}


def _sources(record: ProductRecord) -> Iterator[Entity]:
    seen: set[str] = set()
    for source in record.sources:
        remote = source.href is not None and is_remote(source.href)
        address = str(source.href) if remote else f"#source-{source.role}-{source.id}".replace(" ", "-")
        if address not in seen:
            seen.add(address)
            entity: Entity = {"@id": address, "@type": "CreativeWork", "name": source.title or source.id}
            yield entity | ({"license": source.licence} if source.licence else {})


def _action(record: ProductRecord, files: list[Entity], sources: list[Entity]) -> Entity:
    algorithm = record.algorithm
    return {
        "@id": _ACTION,
        "@type": "CreateAction",
        "name": f"{algorithm.title} ({algorithm.name} {algorithm.version})",
        "description": algorithm.description or algorithm.title,
        "endTime": f"{record.created:%Y-%m-%dT%H:%M:%SZ}",
        "instrument": _ref(_SOFTWARE),
        "object": [_ref(each["@id"]) for each in sources],
        "result": [_ref(each["@id"]) for each in files],
    }


def _licence(record: ProductRecord) -> str:
    return licence_url(record.licence) or f"#licence-{record.licence}".replace(" ", "-")


def _ref(address: str) -> Entity:
    return {"@id": address}
