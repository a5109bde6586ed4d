"""Collections and the root catalog, made from what their items say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pystac

from cup4soil.products import COG_MEDIA_TYPE, Layer, ProductKind, ProductRecord, Verdict
from cup4soil.properties import property_codes, soil_property
from cup4soil.settings import Settings
from stac_catalog.assets import layer_fields, metres_per_cell, own_assets
from stac_catalog.stac import declared_extensions, licence_link, providers

CATALOG_ID = "cup4soil"
CATALOG_FILE = "catalog.json"
COLLECTION_FILE = "collection.json"

_TITLES: dict[ProductKind, str] = {
    "composite": "Bare-soil composites",
    "index": "Extremes of the bare-soil index",
    "thresholds": "Thresholds of the bare-soil index",
    "terrain": "Terrain",
    "soil-map": "Soil maps",
    "model": "Models of soil properties",
    "samples": "Soil samples",
}
# Only what is true of every product of the kind; what an item holds and how good it is, it says itself.
_DESCRIPTIONS: dict[ProductKind, str] = {
    "terrain": (
        "Covariates made of digital elevation models: slope, curvature, position, flow and valley bottoms. Each item "
        "states its elevation model and how it was made."
    ),
    "composite": (
        "Reflectance of bare soil from Sentinel-2 scenes, with statistics of the observations in which the soil was "
        "bare and of all valid ones. Each item states its period, its scenes and its limitations."
    ),
    "index": (
        "Lowest and highest value of the bare-soil index over the valid Sentinel-2 observations of a period, and how "
        "many there were in each month. Each item states its period, its scenes and its limitations."
    ),
    "thresholds": (
        "Largest value of the bare-soil index that counts as bare soil, found by region from the index's extremes and "
        "land cover (HISET) and brought to a smooth surface. Each item states how well the classes separate."
    ),
    "soil-map": (
        "Predictions of a soil property with their uncertainty: mean and quantiles of the predictive distribution, "
        "and where the model is applicable. Each item states how it was validated and its limitations."
    ),
    "model": "Models that predict a soil property. Each item states its figures of validation and its limitations.",
    "samples": "Sets of soil samples.",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a collection needs to know of one of its items."""

    id: str
    title: str
    kind: ProductKind
    property_code: str | None
    depth: str | None
    licence: str
    keywords: tuple[str, ...]
    bbox: tuple[float, float, float, float]
    start: datetime
    end: datetime
    crs: str | None
    resolution: float | None  # in metres
    simulated: bool
    verdict: Verdict | None
    layers: tuple[Layer, ...]

    @classmethod
    def of(cls, record: ProductRecord) -> "Entry":
        """Entry of a product's record."""
        extent = record.extent
        return cls(
            id=record.id,
            title=record.title,
            kind=record.kind,
            property_code=record.property_code,
            depth=record.depth,
            licence=record.licence,
            keywords=record.keywords,
            bbox=extent.bbox,
            start=record.period.start,
            end=record.period.end,
            crs=extent.crs,
            resolution=metres_per_cell(extent),
            simulated=record.simulated,
            verdict=record.verdict,
            layers=tuple(layer.model_copy(update={"statistics": None}) for layer in record.layers),
        )


def collection_dict(collection_id: str, entries: Sequence[Entry], settings: Settings) -> dict[str, Any]:
    """The STAC collection of ``entries``, at least one, as it stands beside the folders of its items."""
    ordered = sorted(entries, key=lambda entry: entry.id)
    licences = {entry.licence for entry in ordered}
    licence = licences.pop() if len(licences) == 1 else "other"
    collection = pystac.Collection(
        id=collection_id,
        title=_title(ordered),
        description=_description(ordered),
        extent=_extent(ordered),
        license=licence,
        keywords=_distinct(word for entry in ordered for word in entry.keywords),
        summaries=pystac.Summaries(_summaries(ordered)),
        extra_fields={"item_assets": _item_assets(ordered)},
    )
    collection.providers = [pystac.Provider.from_dict(provider) for provider in providers(settings)]
    collection.links = [
        pystac.Link("root", f"../{CATALOG_FILE}", pystac.MediaType.JSON),
        pystac.Link("parent", f"../{CATALOG_FILE}", pystac.MediaType.JSON),
        *licence_link(licence),
        *(pystac.Link("item", f"./{e.id}/{e.id}.json", pystac.MediaType.GEOJSON, e.title) for e in ordered),
    ]
    fields = {field for asset in collection.extra_fields["item_assets"].values() for field in _field_names(asset)}
    collection.stac_extensions = declared_extensions(fields)
    return collection.to_dict(include_self_link=False, transform_hrefs=False)


def catalog_dict(collections: Iterable[tuple[str, str]], settings: Settings) -> dict[str, Any]:
    """The root catalog over ``collections``, given as (id, title)."""
    catalog = pystac.Catalog(
        id=CATALOG_ID,
        title=f"Soil products of {settings.organisation}",
        description=(
            "Register of bare-soil composites, soil maps with their uncertainty, models and soil samples. "
            "Each item states how it was made and from what."
        ),
    )
    catalog.links = [
        pystac.Link("root", f"./{CATALOG_FILE}", pystac.MediaType.JSON),
        *(pystac.Link("child", f"./{c}/{COLLECTION_FILE}", pystac.MediaType.JSON, title) for c, title in collections),
    ]
    return catalog.to_dict(include_self_link=False, transform_hrefs=False)


def _title(entries: Sequence[Entry]) -> str:
    first = entries[0]
    if first.kind != "soil-map" or first.property_code is None:
        return _TITLES[first.kind]
    known = first.property_code in property_codes()
    title = soil_property(first.property_code).title if known else first.property_code
    return f"{title}, {first.depth.removesuffix('cm')} cm" if first.depth else title


def _description(entries: Sequence[Entry]) -> str:
    simulated = sum(entry.simulated for entry in entries)
    unskilled = sum(entry.verdict == "no-skill" for entry in entries)
    notes = [_DESCRIPTIONS[entries[0].kind]]
    if simulated:
        notes.append(f"{_which(simulated, entries)} made from simulated input and do not describe a real place.")
    if unskilled:
        notes.append(f"{_which(unskilled, entries)} without skill shown in spatial validation.")
    return " ".join(notes)


def _which(count: int, entries: Sequence[Entry]) -> str:
    return "The items are" if count == len(entries) else "Some of the items, marked as such, are"


def _extent(entries: Sequence[Entry]) -> pystac.Extent:
    west, south, east, north = zip(*(entry.bbox for entry in entries), strict=True)
    box: list[float | int] = [min(west), min(south), max(east), max(north)]
    interval = [min(entry.start for entry in entries), max(entry.end for entry in entries)]
    return pystac.Extent(pystac.SpatialExtent([box]), pystac.TemporalExtent([[*interval]]))


def _summaries(entries: Sequence[Entry]) -> dict[str, Any]:
    summaries = {
        "gsd": _distinct(entry.resolution for entry in entries),
        "proj:code": _distinct(entry.crs for entry in entries if entry.crs and entry.crs.startswith("EPSG:")),
        "cup4soil:kind": _distinct(entry.kind for entry in entries),
        "cup4soil:property": _distinct(entry.property_code for entry in entries),
        "cup4soil:depth": _distinct(entry.depth for entry in entries),
        "cup4soil:simulated": _distinct(entry.simulated for entry in entries),
        "cup4soil:verdict": _distinct(entry.verdict for entry in entries),
    }
    return {name: values for name, values in summaries.items() if values}


def _item_assets(entries: Sequence[Entry]) -> dict[str, Any]:
    """What the items' assets of one name have in common: fields in which they differ are left out."""
    assets: dict[str, Any] = {}
    for layer in (layer for entry in entries for layer in entry.layers):
        about = {
            "type": COG_MEDIA_TYPE,
            "title": layer.title,
            "description": layer.description,
            "roles": list(layer.roles),
        }
        fields = about | layer_fields(layer, None, statistics=False)
        assets[layer.name] = _common(assets.get(layer.name, fields), fields)
    for key, asset in own_assets().items():
        assets.setdefault(key, {name: value for name, value in asset.to_dict().items() if name != "href"})
    return assets


def _common(first: Any, second: Any) -> Any:
    """What two JSON values agree in, None where in nothing; lists of objects are compared one by one."""
    if isinstance(first, dict) and isinstance(second, dict):
        shared = {name: _common(first[name], second[name]) for name in first if name in second}
        return {name: value for name, value in shared.items() if value is not None} or None
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        each = [_common(one, other) for one, other in zip(first, second, strict=True)]
        return None if None in each else each
    return first if first == second else None


def _field_names(asset: dict[str, Any]) -> set[str]:
    return set(asset) | {name for band in asset.get("bands", ()) for name in band}


def _distinct(values: Iterable[Any]) -> list[Any]:
    """The values that are not None, each once, in order."""
    return sorted({value for value in values if value is not None})
