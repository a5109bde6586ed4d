"""The files of a product as STAC assets: bands, classes, size and checksum."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac

from cup4soil.grids import parse_crs
from cup4soil.products import COG_MEDIA_TYPE, Document, Extent, Layer, ProductRecord, Statistics
from stac_catalog.lineage import LINEAGE_FILE

METADATA_FILE = "metadata.xml"
THUMBNAIL_FILE = "thumbnail.png"
_SHA256_MULTIHASH = "1220"  # code of sha2-256 and length of 32 bytes, as the file extension demands


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Size in bytes and checksum (multihash, sha2-256, hexadecimal) of a file."""

    size: int
    checksum: str

    @classmethod
    def of(cls, path: Path) -> "FileFacts":
        """Facts of the file at ``path``, read in pieces."""
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return cls(stream.tell(), _SHA256_MULTIHASH + digest)


def metres_per_cell(extent: Extent) -> float | None:
    """Edge of a cell in metres, whatever the unit of the projected CRS; None in degrees and without a grid."""
    if extent.crs is None or extent.resolution_m is None:
        return None
    crs = parse_crs(extent.crs)
    factor = crs.proj.axis_info[0].unit_conversion_factor if crs.projected else 0.0
    return extent.resolution_m * factor if factor > 0 else None


def layer_asset(layer: Layer, resolution_m: float | None) -> pystac.Asset:
    """Asset of a raster layer with cells of ``resolution_m``, if in metres; its key is the layer's name."""
    asset = pystac.Asset(f"./{layer.file}", layer.title, layer.description, COG_MEDIA_TYPE, list(layer.roles))
    asset.extra_fields.update(layer_fields(layer, resolution_m, statistics=True))
    return asset


def layer_fields(layer: Layer, resolution_m: float | None, *, statistics: bool) -> dict[str, Any]:
    """Fields that describe what is in a layer; also for ``item_assets``, where statistics make no sense."""
    bands = [_band(layer, index) for index in range(len(layer.bands))]
    if resolution_m is not None:
        for band in bands:
            band["raster:spatial_resolution"] = resolution_m
    if statistics and layer.statistics is not None:
        bands[0]["statistics"] = _stored(layer, layer.statistics)
    fields: dict[str, Any] = {"bands": bands}
    if layer.categories is not None:
        fields["classification:classes"] = _classes(layer)
    return fields


def document_asset(document: Document) -> pystac.Asset:
    """Asset of a file that is no raster."""
    return pystac.Asset(f"./{document.file}", document.title, None, document.media_type, list(document.roles))


def own_assets() -> dict[str, pystac.Asset]:
    """Assets that the register adds to every product, by key."""
    return {
        "metadata": pystac.Asset(
            f"./{METADATA_FILE}",
            "Metadata record (ISO 19115/19139)",
            None,
            "application/xml",
            ["metadata", "iso-19139"],
        ),
        "thumbnail": pystac.Asset(f"./{THUMBNAIL_FILE}", "Preview", None, "image/png", ["thumbnail"]),
        "lineage": pystac.Asset(f"./{LINEAGE_FILE}", "Lineage", None, "application/json", ["metadata", "lineage"]),
    }


def product_assets(record: ProductRecord, folder: Path) -> dict[str, pystac.Asset]:
    """All assets of a product whose files lie in ``folder``, with size and checksum.

    Those of the register are among them where their files exist and the producer has none of the name.
    """
    resolution = metres_per_cell(record.extent)
    assets = {layer.name: layer_asset(layer, resolution) for layer in record.layers}
    assets |= {document.name: document_asset(document) for document in record.documents}
    for key, asset in own_assets().items():
        if key not in assets and (folder / asset.href).is_file():
            assets[key] = asset
    for asset in assets.values():
        facts = FileFacts.of(folder / asset.href)
        asset.extra_fields |= {"file:size": facts.size, "file:checksum": facts.checksum}
    return assets


def _band(layer: Layer, index: int) -> dict[str, Any]:
    band = layer.bands[index]
    fields: dict[str, Any] = {"name": band.name, "data_type": layer.dtype, "nodata": layer.nodata, "unit": band.unit}
    if band.description:
        fields["description"] = band.description
    if band.common_name:
        fields["eo:common_name"] = band.common_name
    if band.center_wavelength_um is not None:
        fields["eo:center_wavelength"] = band.center_wavelength_um
    return fields | {"raster:scale": layer.scale_of(index), "raster:offset": layer.offset}


def _classes(layer: Layer) -> list[dict[str, Any]]:
    named = dict(layer.categories or {})
    classes: list[dict[str, Any]] = [
        {"value": value, "name": _slug(title), "title": title} for value, title in sorted(named.items())
    ]
    if layer.nodata not in named:
        classes.append({"value": layer.nodata, "name": "nodata", "title": "no data", "nodata": True})
    return classes


def _slug(title: str) -> str:
    return re.sub(r"[^0-9A-Za-z]+", "-", title).strip("-").lower() or "class"


def _stored(layer: Layer, statistics: Statistics) -> dict[str, float]:
    """Statistics of the stored integers, as GDAL, rio-tiler and OpenLayers take them; those of a layer are scaled."""
    scale, offset = layer.scale_of(0), layer.offset
    shifts = {"minimum": offset, "maximum": offset, "mean": offset, "stddev": 0.0}
    stored = {name: round((getattr(statistics, name) - shift) / scale, 6) for name, shift in shifts.items()}
    return stored | {"valid_percent": statistics.valid_percent}
