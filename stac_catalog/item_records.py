"""An item that a client posts, as the record of a product: the way back from :mod:`stac_catalog.stac`.

What a product must say of itself has to be in the item: what it is, its period, its licence, how it was made and from
what. What the register makes itself (ISO record, lineage, preview, statistics) is not taken from it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from cup4soil.errors import InvalidInput
from cup4soil.licences import derived_licence, licence_url
from cup4soil.products import COG_MEDIA_TYPE, ProductRecord, first_problem
from stac_catalog.assets import own_assets
from stac_catalog.lineage import notices
from stac_catalog.search_values import parse_bbox, read_geometry, shown
from stac_catalog.validation import schema_errors

type Document = Mapping[str, Any]

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,8}")
_CHECKSUM: Final = re.compile(r"1220([0-9a-f]{64})")
_REQUIRED: Final = ("title", "description", "license", "cup4soil:kind", "cup4soil:simulated", "cup4soil:algorithm")
_MOST_ASSETS: Final = 100
_MODEL: Final = "mlm:"  # what the register says of models, from their files
_TOLERANCE: Final = 1e-6  # degrees
_KNOWN: Final = frozenset({
    *_REQUIRED, "datetime", "start_datetime", "end_datetime", "created", "keywords", "attribution", "providers",
    "version", "gsd", "sci:publications", "proj:code", "proj:wkt2", "proj:shape", "proj:transform", "proj:bbox",
    "processing:software", "processing:lineage", "processing:facility", "processing:version", "processing:level",
    *(f"cup4soil:{name}" for name in (
        "property", "depth", "depth_interval", "verdict", "parameters", "quality", "limitations", "applicability",
        "training_data",
    )),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class AssetFile:
    """Where a file of the product is now, its name in the product's folder, and what it has to be."""

    key: str
    href: str
    name: str
    size: int
    sha256: str


def record_of(item: Document, collection: str) -> tuple[ProductRecord, list[AssetFile]]:
    """The record of an item of this collection, without statistics, and where its files are.

    Raises:
        InvalidInput: naming what is missing or cannot be.
        LicenceConflict: when the licences that the sources state do not go together.
    """
    if item.get("type") != "Feature" or not isinstance(item.get("properties"), Mapping):
        raise InvalidInput("the request is no item", "send a STAC item")
    if item.get("collection", collection) != collection:
        raise InvalidInput(f"collection is {shown(item['collection'])}", f"it is {collection} by the address")
    _check_form(item, collection)
    record, files = stated_record(item, collection)
    _check_terms(record)
    words = record.abstract
    for notice in notices(record):
        words = words.replace(notice, "").strip()
    return record.model_copy(update={"abstract": words}), files


def stated_record(item: Document, collection: str) -> tuple[ProductRecord, list[AssetFile]]:
    """As :func:`record_of`, of an item that need not be one which a client may bring.

    Raises:
        InvalidInput: naming what is missing or cannot be.
    """
    try:
        files = list(_files(item))
        return ProductRecord.model_validate(_fields(item, collection, files)), files
    except ValidationError as error:
        raise InvalidInput(f"the item is no product: {first_problem(error)}", "see the extension cup4soil") from error
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InvalidInput(f"the item cannot be read: {type(error).__name__} {error}", "send a STAC item") from error


def _check_form(item: Document, collection: str) -> None:
    """Refuse what is no valid item, and what would not be in the item that the register makes of it."""
    if missing := [name for name in _REQUIRED if item["properties"].get(name) in (None, "")]:
        raise InvalidInput(f"properties has no {missing[0]}", "a product says so: see the extension cup4soil")
    # The link to the collection follows from the address.
    links = [*item.get("links", []), {"rel": "collection", "href": "../collection.json"}]
    problem = next(schema_errors({**item, "collection": collection, "links": links}), None)
    if problem is not None:
        raise InvalidInput(f"the item is not valid: {shown(problem)}", "send a valid STAC item")
    if unknown := sorted(name for name in item["properties"] if name not in _KNOWN and not name.startswith(_MODEL)):
        raise InvalidInput(f"properties has {shown(unknown[0])}, which no product has", "leave it out")
    geometry = read_geometry(item["geometry"], "geometry")
    boxes = parse_bbox(item["bbox"])
    apart = max(abs(one - other) for one, other in zip(geometry.bounds, boxes[0], strict=True))
    if len(boxes) == 1 and apart > _TOLERANCE:
        raise InvalidInput(f"bbox is {shown(item['bbox'])}", f"that of the geometry is {list(geometry.bounds)}")


def _credits(properties: Document) -> Iterator[str]:
    """Whom the item credits, and who made or licensed the product: the register names itself as its provider."""
    stated = [each for each in str(properties.get("attribution", "")).split("; ") if each]
    yield from stated
    for provider in properties.get("providers", []):
        if {"producer", "licensor"} & set(provider.get("roles", ())) and provider["name"] not in stated:
            yield str(provider["name"])


def _fields(item: Document, collection: str, files: Sequence[AssetFile]) -> dict[str, Any]:
    properties = item["properties"]
    instant = properties.get("datetime")
    names = {each.key: each.name for each in files}
    rasters = {key for key in names if "bands" in item["assets"][key]}
    fields = {
        "id": item.get("id"),
        "collection": collection,
        "kind": properties["cup4soil:kind"],
        "title": properties["title"],
        "abstract": properties["description"],
        "keywords": properties.get("keywords", []),
        "property_code": properties.get("cup4soil:property"),
        "depth": properties.get("cup4soil:depth"),
        "period": {
            "start": properties.get("start_datetime") or instant,
            "end": properties.get("end_datetime") or instant,
        },
        "extent": _extent(item),
        "algorithm": _algorithm(properties),
        "sources": list(_sources(item)),
        "quality": properties.get("cup4soil:quality", []),
        "licence": properties["license"],
        "attribution": list(_credits(properties)),
        "simulated": properties["cup4soil:simulated"],
        "verdict": properties.get("cup4soil:verdict"),
        "limitations": properties.get("cup4soil:limitations", []),
        "layers": [_layer(key, item["assets"][key], names[key]) for key in names if key in rasters],
        "documents": [_document(key, item["assets"][key], names[key]) for key in names if key not in rasters],
    }
    return fields | ({"created": properties["created"]} if properties.get("created") else {})


def _check_terms(record: ProductRecord) -> None:
    if not record.sources and record.kind != "samples":
        raise InvalidInput("links has no derived_from", "say what the product was made from")
    if licence_url(record.licence) is None:
        raise InvalidInput(f"license is {shown(record.licence)}", "give the SPDX name of a public licence")
    allowed = derived_licence((each.licence for each in record.sources), record.licence)
    if allowed != record.licence:
        raise InvalidInput(f"license is {shown(record.licence)}", f"the sources ask for {allowed}")


def _extent(item: Document) -> dict[str, Any]:
    properties = item["properties"]
    return {
        "geometry": item["geometry"],
        "bbox": item["bbox"],
        "crs": properties.get("proj:code") or properties.get("proj:wkt2"),
        "shape": properties.get("proj:shape"),
        "transform": properties["proj:transform"][:6] if properties.get("proj:transform") else None,
        "grid_bbox": properties.get("proj:bbox"),
    }


def _algorithm(properties: Document) -> dict[str, Any]:
    algorithm = properties["cup4soil:algorithm"]
    publications = properties.get("sci:publications", [])
    return {
        "name": algorithm["name"],
        "version": algorithm["version"],
        "title": algorithm["title"],
        "description": algorithm.get("description", algorithm["title"]),
        "parameters": properties.get("cup4soil:parameters", {}),
        "references": [each["citation"] for each in publications if each.get("citation")],
    }


def _sources(item: Document) -> Iterator[dict[str, Any]]:
    for link in item.get("links", []):
        if link.get("rel") == "derived_from":
            name = PurePosixPath(unquote(urlsplit(link["href"]).path)).stem
            if not name or urlsplit(link["href"]).scheme not in ("http", "https"):
                raise InvalidInput(f"derived_from leads to {shown(link['href'])}", "give an address of the web")
            about = {"title": link.get("title", ""), "licence": link.get("cup4soil:license"), "href": link["href"]}
            yield {"role": link.get("cup4soil:role"), "id": name, **about}


def _files(item: Document) -> Iterator[AssetFile]:
    assets = item.get("assets")
    if not isinstance(assets, Mapping) or len(assets) > _MOST_ASSETS:
        raise InvalidInput("assets is no object of bearable size", f"give at most {_MOST_ASSETS} assets")
    for key, asset in assets.items():
        if key in own_assets():
            continue
        if not _KEY.fullmatch(key) or not isinstance(asset, Mapping) or not isinstance(asset.get("href"), str):
            raise InvalidInput(f"assets has {shown(key)}", "name assets by letters and digits, each with its href")
        digest = _CHECKSUM.fullmatch(str(asset.get("file:checksum")))
        size = asset.get("file:size")
        if digest is None or not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise InvalidInput(
                f"the asset {key} has no file:size and file:checksum", "state both, the checksum as sha2-256 multihash"
            )
        suffix = PurePosixPath(urlsplit(asset["href"]).path).suffix
        yield AssetFile(key, asset["href"], key + (suffix if _SUFFIX.fullmatch(suffix) else ""), size, digest[1])


def _layer(key: str, asset: Document, name: str) -> dict[str, Any]:
    bands = asset["bands"]
    first = bands[0]
    if asset.get("type") != COG_MEDIA_TYPE:
        raise InvalidInput(f"the asset {key} is {shown(asset.get('type'))}", f"bands are of files {COG_MEDIA_TYPE}")
    classes = [each for each in asset.get("classification:classes", []) if not each.get("nodata")]
    return {
        "name": key,
        "title": asset.get("title", key),
        "description": asset.get("description", ""),
        "file": name,
        "bands": [_band(each, first.get("raster:scale", 1.0)) for each in bands],
        "dtype": first["data_type"],
        "nodata": first["nodata"],
        "scale": first.get("raster:scale", 1.0),
        "offset": first.get("raster:offset", 0.0),
        "roles": asset.get("roles", ["data"]),
        "categories": {each["value"]: each.get("title", each["name"]) for each in classes} or None,
    }


def _band(band: Document, scale: float) -> dict[str, Any]:
    own = band.get("raster:scale", scale)
    return {
        "name": band["name"],
        "description": band.get("description", ""),
        "unit": band.get("unit", "1"),
        "scale": None if own == scale else own,
        "common_name": band.get("eo:common_name"),
        "center_wavelength_um": band.get("eo:center_wavelength"),
    }


def _document(key: str, asset: Document, name: str) -> dict[str, Any]:
    return {
        "name": key,
        "title": asset.get("title", key),
        "file": name,
        "media_type": asset.get("type", "application/octet-stream"),
        "roles": asset.get("roles", ["metadata"]),
    }
