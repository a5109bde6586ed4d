"""Finding covariate rasters: a folder, a product, one GeoTIFF or a STAC item, and the names of what they hold."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cup4soil.errors import InvalidRaster, NotFound
from cup4soil.products import RECORD_FILE, Layer, Period, ProductRecord, SourceRole, read_record
from cup4soil.rasters.reading import RasterInfo, raster_info

_SUFFIXES = frozenset({".tif", ".tiff"})
_REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
# A spectral band or a month says nothing without the layer it belongs to.
_NEEDS_LAYER = re.compile(r"B\d[\dA]|\d{1,2}|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """What a raster file belongs to: a product, a STAC item, or only itself."""

    role: SourceRole
    id: str
    title: str = ""
    version: str | None = None
    licence: str | None = None
    attribution: str | None = None
    period: Period | None = None
    simulated: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    is_file: bool = False


@dataclass(frozen=True)
class CovariateFile:
    """A raster file and the covariates taken from it: ``names`` of the ``bands`` (counted from 1)."""

    path: Path
    names: tuple[str, ...]
    bands: tuple[int, ...]
    info: RasterInfo
    origin: Origin
    categorical: bool = False
    stated_checksum: str | None = None

    @property
    def source_key(self) -> str:
        """Equal for files that are one source."""
        return str(self.path) if self.origin.is_file else f"{self.origin.role} {self.origin.id}"


def field_name(layer: str, band: str) -> str:
    """Name of a product's band among all bands: ``SRC_B04``, but ``BSF``, ``mean`` or ``MASK`` as they are."""
    if band.startswith(f"{layer}_") or not _NEEDS_LAYER.fullmatch(band):
        return band
    return f"{layer}_{band}"


def find_covariates(paths: Iterable[Path]) -> list[CovariateFile]:
    """All covariate files of folders, products, GeoTIFFs and STAC items, in the order given.

    Raises:
        NotFound: when a path does not exist or holds no raster.
        InvalidRaster: when a file cannot be used, is remote, or two covariates have one name.
    """
    files = [each for path in paths for each in _files_of(path)]
    if not files:
        raise NotFound("no covariates given", "give a folder of GeoTIFFs, a GeoTIFF or a STAC item")
    seen: dict[str, Path] = {}
    for file in files:
        for name in file.names:
            if name in seen:
                raise InvalidRaster(
                    f"covariate {name!r} is found twice, in {seen[name]} and {file.path}",
                    "give each band a description of its own, or leave one file out",
                )
            seen[name] = file.path
    return files


def _files_of(path: Path) -> list[CovariateFile]:
    _refuse_remote(str(path), str(path))
    if path.is_dir():
        return _product_files(path) if (path / RECORD_FILE).is_file() else _folder_files(path)
    if not path.is_file():
        raise NotFound(f"no covariates at {path}", "give a folder of GeoTIFFs, a GeoTIFF or a STAC item")
    if path.suffix.lower() in {".json", ".geojson"}:
        return _product_files(path.parent) if _is_item_of_product(path) else _item_files(path)
    return [_single_file(path)]


def _folder_files(folder: Path) -> list[CovariateFile]:
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
    if not found:
        raise NotFound(f"no GeoTIFF in {folder}", "give a folder that holds *.tif files")
    return [_plain_file(path) for path in found]


def _plain_file(path: Path) -> CovariateFile:
    info = raster_info(path)
    return CovariateFile(path, info.names, _all_bands(info), info, Origin("covariate", path.name, is_file=True))


def _single_file(path: Path) -> CovariateFile:
    if not (path.parent / RECORD_FILE).is_file():
        return _plain_file(path)
    record = read_record(path.parent)
    layer = next((each for each in record.layers if each.file == path.name), None)
    return _plain_file(path) if layer is None else _layer_file(path, layer, _product_origin(record))


def _product_files(folder: Path) -> list[CovariateFile]:
    record = read_record(folder)
    if not record.layers:
        raise NotFound(f"product {record.id} in {folder} has no raster", "give a composite or another map")
    origin = _product_origin(record)
    return [_layer_file(folder / layer.file, layer, origin) for layer in record.layers]


def _layer_file(path: Path, layer: Layer, origin: Origin) -> CovariateFile:
    info = raster_info(path)
    if len(info.names) != len(layer.bands):
        raise InvalidRaster(
            f"{path} has {len(info.names)} bands where its product says {len(layer.bands)}", "make it again"
        )
    names = tuple(field_name(layer.name, band.name) for band in layer.bands)
    return CovariateFile(path, names, _all_bands(info), info, origin, categorical=bool(layer.categories))


def _product_origin(record: ProductRecord) -> Origin:
    return Origin(
        "composite" if record.kind == "composite" else "covariate",
        record.id,
        record.title,
        record.algorithm.version,
        record.licence,
        "; ".join(record.attribution) or None,
        record.period,
        record.simulated,
        {"collection": record.collection},
    )


def _is_item_of_product(path: Path) -> bool:
    return (path.parent / RECORD_FILE).is_file() and read_record(path.parent).id == path.stem


def _item_files(path: Path) -> list[CovariateFile]:
    item = _read_item(path)
    origin = _item_origin(item, path)
    assets = {key: asset for key, asset in item["assets"].items() if _is_raster(asset)}
    if not assets:
        raise NotFound(f"STAC item {path} has no raster asset", "give an item with GeoTIFF assets")
    return [_asset_file(path, key, asset, origin) for key, asset in assets.items()]


def _read_item(path: Path) -> dict[str, Any]:
    try:
        item = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidRaster(f"{path} is no STAC item: {error}", "give a STAC item or a GeoTIFF") from error
    if not isinstance(item, dict) or item.get("type") != "Feature" or not isinstance(item.get("assets"), dict):
        raise InvalidRaster(f"{path} is no STAC item", "give a STAC item, not a catalogue or collection")
    return item


def _item_origin(item: Mapping[str, Any], path: Path) -> Origin:
    properties = item.get("properties") or {}
    return Origin(
        "covariate",
        str(item.get("id") or path.stem),
        str(properties.get("title") or ""),
        properties.get("version"),
        _public_licence(properties.get("license")),
        properties.get("attribution"),
        _item_period(properties),
        properties.get("cup4soil:simulated") is True,
        {"collection": item["collection"]} if item.get("collection") else {},
    )


def _public_licence(licence: str | None) -> str | None:
    # STAC's "other" and its older forms name no licence.
    return None if licence in {None, "other", "proprietary", "various"} else licence


def _item_period(properties: Mapping[str, Any]) -> Period | None:
    start = properties.get("start_datetime") or properties.get("datetime")
    end = properties.get("end_datetime") or properties.get("datetime")
    return Period.model_validate({"start": start, "end": end}) if start and end else None


def _is_raster(asset: object) -> bool:
    if not isinstance(asset, Mapping) or not isinstance(asset.get("href"), str):
        return False
    if {"thumbnail", "overview"} & set(asset.get("roles") or ()):
        return False
    media = asset.get("type")
    if media is None:
        return Path(urlsplit(asset["href"]).path).suffix.lower() in _SUFFIXES
    return str(media).startswith(("image/tiff", "image/vnd.stac.geotiff"))


def _asset_file(item: Path, key: str, asset: Mapping[str, Any], origin: Origin) -> CovariateFile:
    href = asset["href"]
    _refuse_remote(href, f"asset {key!r} of {item}")
    local = unquote(urlsplit(href).path) if href.startswith("file:") else href
    path = item.parent / local
    info = raster_info(path)
    band_names = (key,) if len(info.names) == 1 else _stated_bands(asset, info)
    names = tuple(field_name(key, name) for name in band_names)
    categorical = bool(asset.get("classification:classes"))
    return CovariateFile(
        path, names, _all_bands(info), info, origin, categorical, _multihash(asset.get("file:checksum"))
    )


def _stated_bands(asset: Mapping[str, Any], info: RasterInfo) -> tuple[str, ...]:
    bands = asset.get("bands") or asset.get("eo:bands") or []
    stated = tuple(band.get("name") for band in bands if isinstance(band, Mapping))
    if len(stated) == len(info.names) and all(stated):
        return tuple(str(name) for name in stated)
    return info.names


def _multihash(text: object) -> str | None:
    """``sha256:...`` of a multihash in hexadecimal, None for another hash function."""
    if isinstance(text, str) and re.fullmatch(r"1220[0-9a-f]{64}", text):
        return f"sha256:{text[4:]}"
    return None


def _all_bands(info: RasterInfo) -> tuple[int, ...]:
    return tuple(range(1, len(info.names) + 1))


def _refuse_remote(address: str, what: str) -> None:
    if _REMOTE.match(address):
        raise InvalidRaster(f"{what} is remote: {address}", "fetch the covariates first and give local files")
