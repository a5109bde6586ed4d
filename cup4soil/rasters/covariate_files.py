"""Finding covariate rasters: a folder, a product, one GeoTIFF or a STAC item, and the names of what they hold."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from cup4soil.errors import InvalidRaster, NotFound, reading
from cup4soil.products import RECORD_FILE, Layer, Period, ProductRecord, SourceRole, first_problem, read_record
from cup4soil.rasters.covariate_bands import declares_classes, known_unit, stated_units, with_statements
from cup4soil.rasters.covariate_items import StacAsset, StacItem
from cup4soil.rasters.reading import RasterInfo, raster_info

_SUFFIXES = frozenset({".tif", ".tiff"})
_QUALITY = "quality"
_REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_WEB = re.compile(r"https?://", re.IGNORECASE)
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
    """A raster file and the covariates taken from it: ``names`` of the ``bands`` (counted from 1).

    ``claimed_checksum`` is what a STAC item says of the file, and is held against it. ``stated_checksum`` is what
    a store vouches for that wrote the file itself, and is taken as it is. ``units`` are those of the scaled values,
    None where nothing tells. ``address`` is where a remote file lies, whose ``path`` is its name alone.
    """

    path: Path
    names: tuple[str, ...]
    bands: tuple[int, ...]
    info: RasterInfo
    origin: Origin
    categorical: bool = False
    stated_checksum: str | None = None
    claimed_checksum: str | None = None
    units: tuple[str | None, ...] = ()
    address: str | None = None

    @property
    def location(self) -> Path | str:
        """Where the file is opened."""
        return self.address or self.path

    @property
    def source_key(self) -> str:
        """Equal for files that are one source."""
        return str(self.path) if self.origin.is_file else f"{self.origin.role} {self.origin.id}"


def field_name(layer: str, band: str) -> str:
    """Name of a product's band among all bands: ``SRC_B04``, but ``BSF``, ``mean`` or ``MASK`` as they are."""
    if band.startswith(f"{layer}_") or not _NEEDS_LAYER.fullmatch(band):
        return band
    return f"{layer}_{band}"


def find_covariates(paths: Iterable[Path], *, remote: bool = False) -> list[CovariateFile]:
    """All covariate files of folders, products, GeoTIFFs and STAC items, in the order given.

    With ``remote``, assets of a STAC item may lie on a web server if the item states their checksum.

    Raises:
        NotFound: when a path does not exist or holds no raster.
        InvalidRaster: when a file cannot be used, is remote, or two covariates have one name.
        StoreError: when the record of a product is damaged.
    """
    files = [each for path in paths for each in _files_of(path, remote)]
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


def _files_of(path: Path, remote: bool) -> list[CovariateFile]:
    _refuse_remote(str(path), str(path))
    with reading(path, InvalidRaster):
        return _local_files(path, remote)


def _local_files(path: Path, remote: bool) -> list[CovariateFile]:
    if path.is_dir():
        return _product_files(path) if (path / RECORD_FILE).is_file() else _folder_files(path)
    if not path.is_file():
        raise NotFound(f"no covariates at {path}", "give a folder of GeoTIFFs, a GeoTIFF or a STAC item")
    if path.suffix.lower() in {".json", ".geojson"}:
        return _product_files(path.parent) if _is_item_of_product(path) else _item_files(path, remote)
    return [_single_file(path)]


def _folder_files(folder: Path) -> list[CovariateFile]:
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
    if not found:
        raise NotFound(f"no GeoTIFF in {folder}", "give a folder that holds *.tif files")
    return [_plain_file(path) for path in found]


def _plain_file(path: Path) -> CovariateFile:
    info = raster_info(path)
    return CovariateFile(
        path,
        info.names,
        _all_bands(info),
        info,
        Origin("covariate", path.name, is_file=True),
        categorical=declares_classes(path),
        units=stated_units(path),
    )


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
    # How well something was observed says nothing of the soil; who wants it all the same gives the file by itself.
    about_soil = [layer for layer in record.layers if _QUALITY not in layer.roles] or record.layers
    return [_layer_file(folder / layer.file, layer, origin) for layer in about_soil]


def _layer_file(path: Path, layer: Layer, origin: Origin) -> CovariateFile:
    info = raster_info(path)
    if len(info.names) != len(layer.bands):
        raise InvalidRaster(
            f"{path} has {len(info.names)} bands where its product says {len(layer.bands)}", "make it again"
        )
    names = tuple(field_name(layer.name, band.name) for band in layer.bands)
    units = tuple(known_unit(band.unit) for band in layer.bands)
    return CovariateFile(path, names, _all_bands(info), info, origin, categorical=bool(layer.categories), units=units)


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


def _item_files(path: Path, remote: bool) -> list[CovariateFile]:
    try:
        item = StacItem.model_validate_json(path.read_bytes())
        origin = _item_origin(item, path)
    except ValidationError as error:
        raise InvalidRaster(
            f"{path} is no STAC item that can be used: {first_problem(error)}", "give a STAC item or a GeoTIFF"
        ) from error
    assets = {key: asset for key, asset in item.assets.items() if _is_raster(asset)}
    if not assets:
        raise NotFound(f"STAC item {path} has no raster asset", "give an item with GeoTIFF assets")
    return [_asset_file(path, key, asset, origin, remote) for key, asset in assets.items()]


def _item_origin(item: StacItem, path: Path) -> Origin:
    said = item.properties
    return Origin(
        "covariate",
        item.id or path.stem,
        said.title or "",
        said.version,
        _public_licence(said.license),
        said.attribution,
        _item_period(item),
        said.simulated is True,
        {"collection": item.collection} if item.collection else {},
    )


def _public_licence(licence: str | None) -> str | None:
    # STAC's "other" and its older forms name no licence.
    return None if licence in {None, "other", "proprietary", "various"} else licence


def _item_period(item: StacItem) -> Period | None:
    start, end = item.properties.start or item.properties.instant, item.properties.end or item.properties.instant
    return Period(start=start, end=end) if start and end else None


def _is_raster(asset: StacAsset) -> bool:
    if {"thumbnail", "overview", _QUALITY} & set(asset.roles or ()):
        return False
    if asset.type is None:
        return Path(urlsplit(asset.href).path).suffix.lower() in _SUFFIXES
    return asset.type.startswith(("image/tiff", "image/vnd.stac.geotiff"))


def _asset_file(item: Path, key: str, asset: StacAsset, origin: Origin, remote: bool) -> CovariateFile:
    path, address = _place(item, key, asset, remote)
    info = raster_info(address or path)
    band_names = (key,) if len(info.names) == 1 else _stated_bands(asset, info)
    file = CovariateFile(
        path,
        tuple(field_name(key, name) for name in band_names),
        _all_bands(info),
        info,
        origin,
        categorical=bool(asset.classes) or declares_classes(address or path),
        claimed_checksum=_multihash(asset.checksum),
        units=stated_units(address or path),
        address=address,
    )
    return with_claims(file, asset, f"asset {key!r} of {item}")


def _place(item: Path, key: str, asset: StacAsset, remote: bool) -> tuple[Path, str | None]:
    """Path of a local asset; name and address of a remote one, which has to be allowed."""
    if remote and _WEB.match(asset.href):
        if _multihash(asset.checksum) is None:
            raise InvalidRaster(
                f"asset {key!r} of {item} is remote and states no SHA-256",
                "add file:checksum to the item, or fetch the file and give it",
            )
        return Path(Path(urlsplit(asset.href).path).name), asset.href
    _refuse_remote(asset.href, f"asset {key!r} of {item}")
    local = unquote(urlsplit(asset.href).path) if asset.href.startswith("file:") else asset.href
    return item.parent / local, None


def with_claims(file: CovariateFile, asset: StacAsset, what: str) -> CovariateFile:
    """``file`` with the units, scaling and missing values that its STAC asset states and the file itself does not.

    Raises:
        InvalidRaster: when file and item state different ones.
    """
    info, units = with_statements(file.info, file.units, asset, what)
    return replace(file, info=info, units=units)


def _stated_bands(asset: StacAsset, info: RasterInfo) -> tuple[str, ...]:
    stated = tuple(band.name for band in asset.bands or asset.eo_bands or () if band.name)
    return stated if len(stated) == len(info.names) else info.names


def _multihash(text: str | None) -> str | None:
    """``sha256:...`` of a multihash in hexadecimal, None for another hash function."""
    found = re.fullmatch(r"1220([0-9a-f]{64})", text or "", re.IGNORECASE)
    return f"sha256:{found[1].lower()}" if found else None


def _all_bands(info: RasterInfo) -> tuple[int, ...]:
    return tuple(range(1, len(info.names) + 1))


def _refuse_remote(address: str, what: str) -> None:
    if _REMOTE.match(address):
        raise InvalidRaster(f"{what} is remote: {address}", "fetch the covariates first and give local files")
