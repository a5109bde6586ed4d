"""Collections and the root catalog, made from what their items say."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import Any

import pystac

from cup4soil.products import COG_MEDIA_TYPE, Layer, ProductKind, ProductRecord, Verdict
from cup4soil.properties import property_codes, soil_property
from cup4soil.settings import Settings
from stac_catalog.assets import layer_fields, metres_per_cell, own_assets
from stac_catalog.pages import page_file, page_title
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
    "samples": (
        "Places of soil samples with what was measured there, what a model predicted without having seen them, and the "
        "interval of that. Each item states its model, its licence and how exact its places are."
    ),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What many items of a collection have in common: all that its document says of them but place, time and name."""

    kind: ProductKind
    property_code: str | None
    depth: str | None
    licence: str
    keywords: tuple[str, ...]
    crs: str | None
    resolution: float | None  # in metres
    simulated: bool
    verdict: Verdict | None
    layers: tuple[Layer, ...]

    @classmethod
    def of(cls, record: ProductRecord) -> "Facts":
        """Facts of a product's record."""
        return cls(
            kind=record.kind,
            property_code=record.property_code,
            depth=record.depth,
            licence=record.licence,
            keywords=record.keywords,
            crs=record.extent.crs,
            resolution=metres_per_cell(record.extent),
            simulated=record.simulated,
            verdict=record.verdict,
            layers=tuple(layer.model_copy(update={"statistics": None}) for layer in record.layers),
        )

    @property
    def text(self) -> str:
        """As JSON, the same for equal facts."""
        fields = {each.name: getattr(self, each.name) for each in dataclass_fields(self)}
        return json.dumps(fields | {"layers": [layer.model_dump(mode="json") for layer in self.layers]})

    @classmethod
    def from_text(cls, text: str) -> "Facts":
        """The facts that :attr:`text` gave."""
        fields = json.loads(text)
        layers = tuple(Layer.model_validate(layer) for layer in fields["layers"])
        return cls(**fields | {"keywords": tuple(fields["keywords"]), "layers": layers})


@dataclass(frozen=True, slots=True)
class Entry:
    """What a collection needs to know of one of its items."""

    id: str
    title: str
    bbox: tuple[float, float, float, float]
    start: datetime
    end: datetime
    facts: Facts

    @classmethod
    def of(cls, record: ProductRecord) -> "Entry":
        """Entry of a product's record."""
        return cls(
            record.id, record.title, record.extent.bbox, record.period.start, record.period.end, Facts.of(record)
        )


@dataclass(frozen=True, slots=True)
class Overview:
    """What a collection says of all its items, at least one; ``facts`` are distinct, each with its number of items."""

    bbox: tuple[float, float, float, float]
    start: datetime
    end: datetime
    facts: tuple[tuple[Facts, int], ...]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> "Overview":
        """Overview of entries at hand."""
        counts = Counter(entry.facts.text for entry in entries)
        west, south, east, north = zip(*(entry.bbox for entry in entries), strict=True)
        return cls(
            bbox=(min(west), min(south), max(east), max(north)),
            start=min(entry.start for entry in entries),
            end=max(entry.end for entry in entries),
            facts=tuple((Facts.from_text(text), counts[text]) for text in sorted(counts)),
        )

    @property
    def kinds(self) -> tuple[Facts, ...]:
        """The distinct facts."""
        return tuple(facts for facts, _ in self.facts)


def collection_dict(
    collection_id: str, overview: Overview, members: Iterable[pystac.Link], settings: Settings
) -> dict[str, Any]:
    """The STAC collection as it stands beside the folders of its items; ``members`` lead to them or to its pages."""
    kinds = overview.kinds
    licences = {facts.licence for facts in kinds}
    licence = licences.pop() if len(licences) == 1 else "other"
    collection = pystac.Collection(
        id=collection_id,
        title=_title(kinds[0]),
        description=_description(overview),
        extent=_extent(overview),
        license=licence,
        keywords=_distinct(word for facts in kinds for word in facts.keywords),
        summaries=pystac.Summaries(_summaries(kinds)),
        extra_fields={"item_assets": _item_assets(kinds)},
    )
    collection.providers = [pystac.Provider.from_dict(provider) for provider in providers(settings)]
    collection.links = [
        pystac.Link("root", f"../{CATALOG_FILE}", pystac.MediaType.JSON, catalog_title(settings)),
        pystac.Link("parent", f"../{CATALOG_FILE}", pystac.MediaType.JSON, catalog_title(settings)),
        *licence_link(licence),
        *members,
    ]
    fields = {field for asset in collection.extra_fields["item_assets"].values() for field in _field_names(asset)}
    collection.stac_extensions = declared_extensions(fields)
    return collection.to_dict(include_self_link=False, transform_hrefs=False)


def item_link(item: str, title: str) -> pystac.Link:
    """Link to an item, from its collection or a page of it."""
    return pystac.Link("item", f"./{item}/{item}.json", pystac.MediaType.GEOJSON, title)


def page_link(key: str) -> pystac.Link:
    """Link of a collection to one of its pages."""
    return pystac.Link("child", f"./{page_file(key)}", pystac.MediaType.JSON, page_title(key))


def page_dict(collection_id: str, key: str, members: Iterable[pystac.Link]) -> dict[str, Any]:
    """One page of a large collection: a catalog beside the collection's document."""
    page = pystac.Catalog(
        id=f"{collection_id}-{key}",
        title=page_title(key),
        description=f"Items of the collection {collection_id} whose period begins in {page_title(key)}.",
    )
    page.links = [
        pystac.Link("root", f"../{CATALOG_FILE}", pystac.MediaType.JSON, "All products"),
        pystac.Link("parent", f"./{COLLECTION_FILE}", pystac.MediaType.JSON, collection_id),
        *members,
    ]
    return page.to_dict(include_self_link=False, transform_hrefs=False)


def catalog_title(settings: Settings) -> str:
    """What the root catalog is called."""
    return f"Soil products of {settings.organisation}"


def catalog_dict(collections: Iterable[tuple[str, str]], settings: Settings) -> dict[str, Any]:
    """The root catalog over ``collections``, given as (id, title)."""
    catalog = pystac.Catalog(
        id=CATALOG_ID,
        title=catalog_title(settings),
        description=(
            "Register of bare-soil composites, soil maps with their uncertainty, models and soil samples. "
            "Each item states how it was made and from what."
        ),
    )
    catalog.links = [
        pystac.Link("root", f"./{CATALOG_FILE}", pystac.MediaType.JSON, catalog_title(settings)),
        *(pystac.Link("child", f"./{c}/{COLLECTION_FILE}", pystac.MediaType.JSON, title) for c, title in collections),
    ]
    return catalog.to_dict(include_self_link=False, transform_hrefs=False)


def _title(first: Facts) -> str:
    if first.kind != "soil-map" or first.property_code is None:
        return _TITLES[first.kind]
    known = first.property_code in property_codes()
    title = soil_property(first.property_code).title if known else first.property_code
    return f"{title}, {first.depth.removesuffix('cm')} cm" if first.depth else title


def _description(overview: Overview) -> str:
    count = sum(number for _, number in overview.facts)
    simulated = sum(number for facts, number in overview.facts if facts.simulated)
    unskilled = sum(number for facts, number in overview.facts if facts.verdict == "no-skill")
    notes = [_DESCRIPTIONS[overview.kinds[0].kind]]
    if simulated:
        notes.append(f"{_which(simulated, count)} made from simulated input and do not describe a real place.")
    if unskilled:
        notes.append(f"{_which(unskilled, count)} without skill shown in spatial validation.")
    return " ".join(notes)


def _which(some: int, count: int) -> str:
    return "The items are" if some == count else "Some of the items, marked as such, are"


def _extent(overview: Overview) -> pystac.Extent:
    box: list[float | int] = [*overview.bbox]
    return pystac.Extent(pystac.SpatialExtent([box]), pystac.TemporalExtent([[overview.start, overview.end]]))


def _summaries(kinds: Sequence[Facts]) -> dict[str, Any]:
    summaries = {
        "gsd": _distinct(facts.resolution for facts in kinds),
        "proj:code": _distinct(facts.crs for facts in kinds if facts.crs and facts.crs.startswith("EPSG:")),
        "cup4soil:kind": _distinct(facts.kind for facts in kinds),
        "cup4soil:property": _distinct(facts.property_code for facts in kinds),
        "cup4soil:depth": _distinct(facts.depth for facts in kinds),
        "cup4soil:simulated": _distinct(facts.simulated for facts in kinds),
        "cup4soil:verdict": _distinct(facts.verdict for facts in kinds),
    }
    return {name: values for name, values in summaries.items() if values}


def _item_assets(kinds: Sequence[Facts]) -> dict[str, Any]:
    """What the items' assets of one name have in common: fields in which they differ are left out."""
    assets: dict[str, Any] = {}
    for layer in (layer for facts in kinds for layer in facts.layers):
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
