"""Coverages: the collections of a store that hold rasters, their periods, mosaics and fields."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from cup4soil.errors import NoData, StoreError
from cup4soil.grids import Bounds, crs_of
from cup4soil.products import Layer, Period, ProductRecord, Verdict
from cup4soil.properties import property_codes, soil_property
from processors.crs import project_bounds

# Tiles of one run begin and end with their own first and last scenes.
SAME_PERIOD = timedelta(days=31)
_ALIGNED = 1e-4
_OF_THE_PROPERTY = ("mean", "q05", "q50", "q95", "q05-raw", "q95-raw")


@dataclass(frozen=True, slots=True)
class Field:
    """One band of a collection. value = stored * ``scale`` + ``offset`` where stored != ``nodata``.

    ``terms`` are addresses of the soil property in public vocabularies, for bands that hold values of it.
    """

    name: str
    title: str
    description: str
    unit: str
    dtype: str
    nodata: int
    scale: float
    offset: float
    categories: tuple[tuple[int, str], ...] = ()
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item keeps a field: file and band, counted from 1."""

    path: Path
    band: int
    field: Field


@dataclass(frozen=True, slots=True)
class Item:
    """A product with rasters: its grid, time, origin and the places of its fields in file order."""

    id: str
    title: str
    folder: Path
    grid: GeoBox
    period: Period
    created: datetime
    licence: str
    attribution: tuple[str, ...]
    simulated: bool
    places: dict[str, Place]
    verdict: Verdict | None = None

    @property
    def name(self) -> str:
        """Collection and id, by which people find the product."""
        return f"{self.folder.parent.name}/{self.id}"

    @classmethod
    def of(cls, record: ProductRecord, folder: Path) -> "Item | None":
        """The item of a record whose files lie in ``folder``; None for a product without rasters."""
        extent = record.extent
        if not record.layers or extent.crs is None or extent.shape is None or extent.transform is None:
            return None
        return cls(
            id=record.id,
            title=record.title,
            folder=folder,
            grid=GeoBox(extent.shape, Affine(*extent.transform[:6]), CRS(extent.crs)),
            period=record.period,
            created=record.created,
            licence=record.licence,
            attribution=record.attribution,
            simulated=record.simulated,
            places=dict(_places(record.layers, folder, _terms(record.property_code))),
            verdict=record.verdict,
        )


@dataclass(frozen=True)
class Coverage:
    """Items of one collection and period as one mosaic. ``items`` are ordered oldest first: newer ones lie on top."""

    collection: str
    title: str
    items: tuple[Item, ...]

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Fields by name, in the newest item's order, then those that only older items have."""
        return {name: place.field for item in reversed(self.items) for name, place in item.places.items()} | {
            name: place.field for item in self.items for name, place in item.places.items()
        }

    @cached_property
    def grid(self) -> GeoBox:
        """The lattice of the newest item, extended over all items."""
        return _mosaic_grid([item.grid for item in reversed(self.items)])

    @cached_property
    def bounds(self) -> Bounds:
        """Bounds of the mosaic in its own CRS."""
        return grid_bounds(self.grid)

    @cached_property
    def crs(self) -> CRS:
        """CRS of the mosaic."""
        return crs_of(self.grid)

    @cached_property
    def period(self) -> Period:
        """From the first beginning to the last end."""
        return Period(
            start=min(item.period.start for item in self.items), end=max(item.period.end for item in self.items)
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """A span of time; None leaves an end open."""

    start: datetime | None
    end: datetime | None

    def meets(self, period: Period) -> bool:
        """True when the two share an instant."""
        return (self.end is None or period.start <= self.end) and (self.start is None or self.start <= period.end)


def periods(items: Sequence[Item]) -> list[list[Item]]:
    """Items in groups of one period, latest first; beginnings and ends may differ by 31 days."""
    groups: list[list[Item]] = []
    for item in sorted(items, key=lambda each: (each.period.end, each.period.start, each.id), reverse=True):
        group = next((each for each in groups if _same_period(each[0].period, item.period)), None)
        if group is None:
            groups.append([item])
        else:
            group.append(item)
    return groups


def choose(items: Sequence[Item], when: Interval | None, collection: str) -> tuple[Item, ...]:
    """The items of the latest period that meets ``when``, oldest first.

    Raises:
        NoData: when there is none.
    """
    for group in periods(items):
        met = [item for item in group if when is None or when.meets(item.period)]
        if met:
            return tuple(sorted(met, key=lambda item: (item.created, item.id)))
    span = ", ".join(f"{g[0].period.start:%Y-%m-%d}/{g[0].period.end:%Y-%m-%d}" for g in periods(items)[:8])
    raise NoData(f"{collection} has nothing at the time asked for", f"its periods are {span}")


def choose_all(items: Sequence[Item], when: Interval | None, collection: str) -> list[tuple[Item, ...]]:
    """The items of every period that meets ``when``, earliest period first, each as :func:`choose` gives them.

    Raises:
        NoData: when there is none.
    """
    groups = [
        met for group in periods(items) if (met := [each for each in group if when is None or when.meets(each.period)])
    ]
    if not groups:
        choose(items, when, collection)
    return [tuple(sorted(group, key=lambda item: (item.created, item.id))) for group in reversed(groups)]


def grid_bounds(grid: GeoBox) -> Bounds:
    """Bounds of a north-up grid in its CRS."""
    rows, cols = grid.shape
    left, top = grid.affine.c, grid.affine.f
    return Bounds(left, top + rows * grid.affine.e, left + cols * grid.affine.a, top)


def _terms(code: str | None) -> tuple[str, ...]:
    """The terms of a soil property; none for what the vocabulary does not know, such as an indicator."""
    return soil_property(code).terms if code in property_codes() else ()


def _places(layers: Sequence[Layer], folder: Path, terms: tuple[str, ...]) -> Iterator[tuple[str, Place]]:
    for layer in layers:
        for position, band in enumerate(layer.bands):
            field = Field(
                name=band.name,
                title=band.description or layer.title,
                description=layer.description,
                unit=band.unit,
                dtype=layer.dtype,
                nodata=layer.nodata,
                scale=layer.scale_of(position),
                offset=layer.offset,
                categories=tuple(sorted((layer.categories or {}).items())),
                terms=terms if band.name in _OF_THE_PROPERTY else (),
            )
            yield band.name, Place(folder / layer.file, position + 1, field)


def _same_period(first: Period, second: Period) -> bool:
    return abs(first.start - second.start) <= SAME_PERIOD and abs(first.end - second.end) <= SAME_PERIOD


def _mosaic_grid(grids: Sequence[GeoBox]) -> GeoBox:
    anchor = grids[0]
    inverse = ~anchor.affine
    left = top = 0
    bottom, right = anchor.shape
    for grid in grids[1:]:
        bounds = project_bounds(grid_bounds(grid), crs_of(grid), crs_of(anchor))
        if bounds is None:
            raise StoreError("items of one period cannot be brought to one CRS", "register them in collections")
        (west, north), (east, south) = inverse @ (bounds.left, bounds.top), inverse @ (bounds.right, bounds.bottom)
        left, top = min(left, _below(west)), min(top, _below(north))
        right, bottom = max(right, -_below(-east)), max(bottom, -_below(-south))
    affine = anchor.affine @ Affine.translation(left, top)
    return GeoBox((bottom - top, right - left), affine, anchor.crs)


def _below(cells: float) -> int:
    """Whole cells at or below, a hair's breadth above a multiple counting as on it."""
    return int((cells + _ALIGNED) // 1)
