"""Records of OGC API Records (20-004) from items of the catalog."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from cup4soil.errors import NotFound
from cup4soil.licences import licence_url
from cup4soil.properties import soil_property
from cup4soil.settings import Settings
from processors.records_query import SCHEME, TYPES
from stac_catalog.search_documents import filled

COLLECTION: Final = "products"
GEOJSON: Final = "application/geo+json"
HTML: Final = "text/html"
# The relation of a record to the page of its product.
ABOUT: Final = "about"
_SPEC = "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf"
_COVERAGE_REL = "http://www.opengis.net/def/rel/ogc/1.0/coverage"
_SCHEMES = {
    "http://inspire.ec.europa.eu/codelist/SoilDerivedObjectParameterNameValue": "inspire.ec.europa.eu",
    "http://w3id.org/glosis/model/codelists": "w3id.org/glosis",
    "http://aims.fao.org/aos/agrovoc": "aims.fao.org",
}


def record(text: str, settings: Settings, root: str) -> dict[str, Any]:
    """The record of an item of the search index (JSON text); ``root`` is the service's address without a slash."""
    item = json.loads(filled(text, f"{root}/stac/", f"{root}/"))
    properties = item["properties"]
    start, end = (properties.get(name) or properties["datetime"] for name in ("start_datetime", "end_datetime"))
    return {
        "id": item["id"],
        "type": "Feature",
        "conformsTo": [f"{_SPEC}/record-core"],
        "time": {"interval": [start, end]},
        "geometry": item["geometry"],
        "bbox": item["bbox"],
        "properties": _properties(item, settings),
        "links": list(_links(item, root)),
    }


def _properties(item: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    given = item["properties"]
    kind = given.get("cup4soil:kind", "")
    code = given.get("cup4soil:property")
    found = {
        "type": TYPES[1] if kind == TYPES[1] else TYPES[0],
        "title": given["title"],
        "description": given["description"],
        "created": given["created"],
        "updated": given.get("updated", given["created"]),
        "externalIds": [{"scheme": SCHEME, "value": item["id"]}],
        "language": {"code": "en", "name": "English"},
        "keywords": given.get("keywords") or [word for word in ("soil", kind, code) if word],
        "themes": _themes(code) if code else [],
        "formats": _formats(item),
        "contacts": [_contact(settings)],
        "license": given["license"],
        "rights": given.get("attribution", ""),
        "version": given.get("version", ""),
        "collection": item["collection"],
        "kind": kind,
        "property": code,
        "depth": given.get("cup4soil:depth"),
        "simulated": given.get("cup4soil:simulated"),
    }
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _contact(settings: Settings) -> dict[str, Any]:
    contact: dict[str, Any] = {"organization": settings.organisation, "roles": ["publisher"]}
    if settings.contact_email:
        contact["emails"] = [{"value": settings.contact_email}]
    if settings.contact_url:
        contact["links"] = [{"rel": "about", "type": "text/html", "href": settings.contact_url}]
    return contact


def _themes(code: str) -> list[dict[str, Any]]:
    """The terms of a soil property, by vocabulary; none for what is no property of the vocabulary."""
    try:
        terms = soil_property(code).terms
    except NotFound:
        return []
    found = []
    for scheme in _SCHEMES:
        concepts = [{"id": term, "url": term} for term in terms if term.startswith(scheme)]
        if concepts:
            found.append({"concepts": concepts, "scheme": scheme})
    return found


def _formats(item: Mapping[str, Any]) -> list[dict[str, str]]:
    media = {str(asset["type"]) for asset in item["assets"].values() if "data" in asset.get("roles", ())}
    return [{"mediaType": each} for each in sorted(media)]


def _links(item: Mapping[str, Any], root: str) -> Any:
    here, collection, name = f"{root}/ogc/collections/{COLLECTION}", quote(item["collection"]), quote(item["id"])
    yield _link("self", GEOJSON, "This record", f"{here}/items/{name}")
    yield _link("collection", "application/json", "All records", here)
    yield _link(ABOUT, HTML, "Page of the product", f"{root}/products/{collection}/{name}")
    stac = f"{root}/stac/collections/{collection}/items/{name}"
    yield _link("alternate", GEOJSON, "The product in STAC, with its files", stac)
    for key, asset in item["assets"].items():
        if key == "metadata":
            yield _link("describedby", "application/xml", "Metadata record (ISO 19139)", asset["href"])
        if key == "thumbnail":
            yield _link("preview", str(asset["type"]), "Preview", asset["href"])
    if any("bands" in asset for asset in item["assets"].values()):
        yield _link(_COVERAGE_REL, "image/tiff", "Coverage", f"{root}/ogc/collections/{collection}/coverage")
    licence = licence_url(item["properties"]["license"])
    if licence is not None:
        yield _link("license", "text/html", item["properties"]["license"], licence)


def _link(rel: str, media_type: str, title: str, href: str) -> dict[str, str]:
    return {"rel": rel, "type": media_type, "title": title, "href": href}


def catalogue(ogc: str) -> dict[str, Any]:
    """The description of the collection of records, but for its extent; ``ogc`` is the address of the API."""
    here = f"{ogc}/collections/{COLLECTION}"
    rel = "http://www.opengis.net/def/rel/ogc/1.0"
    return {
        "id": COLLECTION,
        "type": "Collection",
        "title": "All products",
        "description": "A record of each product: maps, composites and models, and where their data and metadata are.",
        "keywords": ["soil", "bare soil", "digital soil mapping", "metadata"],
        "itemType": "record",
        "crs": ["http://www.opengis.net/def/crs/OGC/1.3/CRS84"],
        "links": [
            _link("self", "application/json", "This document", f"{here}?f=json"),
            _link("alternate", "text/html", "This document as HTML", f"{here}?f=html"),
            _link("items", GEOJSON, "Records", f"{here}/items"),
            _link("items", HTML, "Records as HTML", f"{here}/items?f=html"),
            _link(f"{rel}/ogc-catalog", "application/json", "Record catalogue", f"{here}?f=json"),
            _link(f"{rel}/queryables", "application/schema+json", "Queryables", f"{here}/queryables"),
            _link(f"{rel}/schema", "application/schema+json", "Schema of records", f"{here}/schema"),
            _link("root", "application/json", "The landing page", f"{ogc}/?f=json"),
        ],
    }


def schema(address: str) -> dict[str, Any]:
    """What a record's properties are, as a JSON schema; ``address`` is where it stands."""
    text = {"type": "string"}
    times = {"type": "string", "format": "date-time"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": address,
        "type": "object",
        "title": "Records of products",
        "properties": {
            "id": text | {"x-ogc-role": "id"},
            "geometry": {"format": "geometry-any", "x-ogc-role": "primary-geometry"},
            "type": text | {"enum": list(TYPES)},
            "title": text,
            "description": text,
            "created": times,
            "updated": times,
            "keywords": {"type": "array", "items": text},
            "license": text,
            "collection": text,
            "kind": text,
            "property": text | {"title": "Code of the soil property"},
            "depth": text | {"title": "Depth interval, such as 0-20cm"},
        },
    }


def queryables(address: str) -> dict[str, Any]:
    """The properties that are parameters of the search, as a JSON schema; ``address`` is where it stands."""
    whole = schema(address)
    names = ("id", "geometry", "type", "property", "depth")
    kept = {name: whole["properties"][name] for name in names}
    return whole | {"title": "Queryables of records", "properties": kept, "additionalProperties": False}
