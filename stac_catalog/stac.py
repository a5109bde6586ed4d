"""A product record as a STAC 1.1 item."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pystac

from cup4soil import __version__
from cup4soil.errors import InvalidInput
from cup4soil.licences import licence_url
from cup4soil.products import Algorithm, ProductRecord, Source
from cup4soil.settings import Settings
from stac_catalog import extensions
from stac_catalog.assets import METADATA_FILE, metres_per_cell, product_assets
from stac_catalog.lineage import abstract, statement
from stac_catalog.models import describe_model
from stac_catalog.soil_extension import describe_statistics, soil_fields

# By the prefix of their fields, or the field that has none.
_EXTENSIONS: Final = {
    "classification": extensions.CLASSIFICATION,
    "cup4soil": extensions.CUP4SOIL,
    "eo": extensions.EO,
    "file": extensions.FILE,
    "mlm": extensions.MLM,
    "processing": extensions.PROCESSING,
    "proj": extensions.PROJECTION,
    "raster": extensions.RASTER,
    "sci": extensions.SCIENTIFIC,
    "version": extensions.VERSION,
}

# Tells where a source can be seen by anyone, relative to the item or on the web; None where it cannot.
type Resolve = Callable[[Source], str | None]

_DOI = re.compile(r"\b10\.[0-9]{4,9}/[^\s\"<>]+")
# Role of the page that tells how a product was made.
METHOD_ROLE = "method"
# CEOS processing levels: composites and extremes are resampled in space and time, the others are model output.
_LEVELS = {"composite": "L3", "index": "L3", "thresholds": "L4", "soil-map": "L4", "model": "L4"}


def product_item(record: ProductRecord, folder: Path, settings: Settings, resolve: Resolve) -> pystac.Item:
    """The item of a product whose files lie in ``folder``; every href is relative to the item.

    Raises:
        OSError: when a file of the product cannot be read.
        InvalidInput: when the description of a model is damaged.
    """
    item = pystac.Item(
        id=record.id,
        geometry=dict(record.extent.geometry),
        bbox=list(record.extent.bbox),
        datetime=None,
        start_datetime=record.period.start,
        end_datetime=record.period.end,
        properties=_properties(record, settings),
        collection=record.collection,
    )
    for key, asset in product_assets(record, folder).items():
        item.add_asset(key, asset)
    describe_model(item, record, folder)
    describe_statistics(item, record)
    item.links.extend(_links(record, resolve))
    item.stac_extensions = _declared(item)
    return item


def item_json(item: pystac.Item) -> bytes:
    """The content of the item's file."""
    return json_bytes(item.to_dict(include_self_link=False, transform_hrefs=False))


def json_bytes(document: dict[str, Any]) -> bytes:
    """JSON as it is written into catalogs: one form for equal content.

    Raises:
        InvalidInput: when a number is not finite, which JSON cannot say.
    """
    try:
        return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except ValueError as error:
        raise InvalidInput(
            f"metadata of {document.get('id')}: {error}", "leave out figures that are not finite"
        ) from error


def providers(settings: Settings) -> list[dict[str, Any]]:
    """Who made the product and stands for it."""
    provider: dict[str, Any] = {"name": settings.organisation, "roles": ["producer", "processor", "host"]}
    return [provider | ({"url": settings.contact_url} if settings.contact_url else {})]


def licence_link(licence: str) -> list[pystac.Link]:
    """Link to the text of a public licence; none for any other."""
    url = licence_url(licence)
    return [] if url is None else [pystac.Link("license", url, "text/html", licence)]


def publications(algorithm: Algorithm) -> list[dict[str, str]]:
    """The algorithm's references as the scientific extension has them."""
    return [_publication(citation) for citation in algorithm.references]


def _publication(citation: str) -> dict[str, str]:
    match = _DOI.search(citation)
    return {"citation": citation} | ({"doi": match[0].rstrip(".,;)")} if match else {})


def _properties(record: ProductRecord, settings: Settings) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "title": record.title,
        "description": abstract(record),
        "created": record.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "license": record.licence,
        "providers": providers(settings),
        "version": record.algorithm.version,
        "processing:software": {"cup4soil": __version__},
        "processing:lineage": statement(record),
        "processing:facility": settings.organisation,
        "processing:version": record.algorithm.version,
    }
    if record.keywords:
        fields["keywords"] = list(record.keywords)
    if record.attribution:
        fields["attribution"] = "; ".join(record.attribution)
    if record.kind in _LEVELS:
        fields["processing:level"] = _LEVELS[record.kind]
    if record.algorithm.references:
        fields["sci:publications"] = publications(record.algorithm)
    return fields | _projection(record) | soil_fields(record)


def _projection(record: ProductRecord) -> dict[str, Any]:
    extent = record.extent
    if extent.crs is None or extent.shape is None or extent.transform is None or extent.grid_bbox is None:
        return {}
    coded = extent.crs.startswith("EPSG:")
    crs: dict[str, Any] = {"proj:code": extent.crs} if coded else {"proj:code": None, "proj:wkt2": extent.crs}
    grid = {
        "proj:shape": list(extent.shape),
        "proj:transform": list(extent.transform),
        "proj:bbox": list(extent.grid_bbox),
    }
    metres = metres_per_cell(extent)
    return crs | grid | ({} if metres is None else {"gsd": metres})


def _links(record: ProductRecord, resolve: Resolve) -> Iterator[pystac.Link]:
    yield pystac.Link("root", "../../catalog.json", pystac.MediaType.JSON)
    yield pystac.Link("parent", "../collection.json", pystac.MediaType.JSON)
    yield pystac.Link("collection", "../collection.json", pystac.MediaType.JSON)
    yield pystac.Link("describedby", f"./{METADATA_FILE}", "application/xml", "Metadata record (ISO 19115/19139)")
    for document in record.documents:
        if METHOD_ROLE in document.roles:
            yield pystac.Link("describedby", f"./{document.file}", document.media_type, document.title)
    yield from licence_link(record.licence)
    for publication in publications(record.algorithm):
        if "doi" in publication:
            yield pystac.Link("cite-as", f"https://doi.org/{publication['doi']}")
    yield from _origins(record, resolve)


def _origins(record: ProductRecord, resolve: Resolve) -> Iterator[pystac.Link]:
    for source in record.sources:
        href = resolve(source)
        if href is not None:
            terms = {} if source.licence is None else {"cup4soil:license": source.licence}
            about = {"cup4soil:role": source.role, **terms}
            yield pystac.Link("derived_from", href, title=source.title or source.id, extra_fields=about)


def _declared(item: pystac.Item) -> list[str]:
    """Addresses of the extensions that the item's fields belong to."""
    used = set(item.properties) | {"version"}
    for asset in item.assets.values():
        used |= set(asset.extra_fields)
        used |= {field for band in asset.extra_fields.get("bands", ()) for field in band}
    return declared_extensions(used)


def declared_extensions(fields: set[str]) -> list[str]:
    """Addresses of the extensions that define one of ``fields``, in alphabetical order."""
    prefixes = {field.partition(":")[0] for field in fields}
    return sorted({_EXTENSIONS[prefix] for prefix in prefixes & _EXTENSIONS.keys()})
