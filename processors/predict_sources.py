"""The model of a property and the covariates it needs, found in a store."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from odc.geo.crs import CRS
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from cup4soil.areas import project
from cup4soil.depths import Depth
from cup4soil.errors import Cup4soilError, InvalidArea, InvalidInput, LimitExceeded, NoData, NotFound, StoreError
from cup4soil.grids import parse_crs
from cup4soil.products import ProductRecord, read_record
from cup4soil.rasters.covariate_computed import parse_computed
from cup4soil.rasters.covariate_files import field_name
from cup4soil.rasters.covariate_signature import declarations
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.soil_areas import AreaOfInterest
from cup4soil.soil_models import DESCRIPTION_FILE, FORMAT_VERSION, ModelDescription, SoilModel, load_model
from processors.coverages import Interval
from processors.jobs.settings import JobSettings
from stac_catalog.store import Store

_LOGGER = logging.getLogger(__name__)
MODELS = "models"
_SHA256 = "1220"
# Tiles of one period are not composited from the very same first and last scenes.
_SAME_PERIOD = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Item:
    """A registered product: its record and its folder."""

    record: ProductRecord
    folder: Path


class Shelf:
    """What a store offers to predict from. Items never change: each is read once in a process."""

    def __init__(self, root: Path, settings: JobSettings) -> None:
        self._store = Store(root, settings)
        self._covariates = settings.covariates

    def model(self, code: str, depth: Depth | None) -> tuple[Item, Depth | None]:
        """The latest model of a property at a depth, and that depth; without ``depth`` the only one there is.

        A model may be of several properties, and of several depths.

        Raises:
            InvalidInput: when there is none, or the depth is open.
            StoreError: when the only ones are of a format that is no longer read, or a description is damaged.
        """
        models = [item for item in self._items(MODELS) if item.record.kind == "model"]
        # The record of a model of several properties names none.
        possible = [item for item in models if item.record.property_code in (code, None)]
        sound = [item for item in possible if _is_sound(item)]
        readable = [item for item in sound if format_of(item.folder) == FORMAT_VERSION]
        of_property = [item for item in readable if code in description_of(item.folder).codes]
        if not of_property:
            if any(item.record.property_code == code for item in sound):
                raise StoreError(f"the model of {code} is of a format that is no longer read", "train it again")
            if len(sound) < len(possible):
                raise StoreError(f"a model that may be of {code} is damaged", "train it again")
            known = {item.record.property_code for item in models} - {None}
            known |= {each for item in readable for each in description_of(item.folder).codes}
            raise InvalidInput(f"property {code!r} has no model", _there_are(known))
        depths = {each for item in of_property for each in description_of(item.folder).intervals}
        if depth is None and len(depths) > 1:
            raise InvalidInput(f"property {code!r} has models of several depths", _there_are(map(_named, depths)))
        wanted = next(iter(depths)) if depth is None else depth
        found = [item for item in of_property if wanted in description_of(item.folder).intervals]
        if not found:
            raise InvalidInput(f"property {code!r} has no model of depth {wanted}", _there_are(map(_named, depths)))
        return max(found, key=lambda item: (item.record.created, item.record.id)), wanted

    def covariates(self, model: Item, area: AreaOfInterest, period: Interval | None) -> CovariateStack:
        """The covariates that a model was trained on, over an area.

        Raises:
            InvalidArea: when the area lies outside them, or across several composites.
            NoData: when there are none, or none of that time.
        """
        with intact():
            description = description_of(model.folder)
            needed = description.covariates
            composite = self._composite(description, area, period)
            fields = set() if composite is None else _fields(composite.record)
            paths = [] if composite is None else [composite.folder]
            lacking = _read_as_rasters(description) - fields
            if lacking or _inputs(description, fields) is None:
                paths.append(self._folder(model, lacking or {"inputs of computed ones"}))
            stack = CovariateStack.open(paths, computed=declarations(description.signature))
            missing = sorted(set(needed) - set(stack.names))
            if missing:
                raise NoData(
                    f"the covariate {missing[0]} of model {model.record.id} is not available", "tell the operator"
                )
            return with_checksums(stack.select(needed))

    def scenes(self, sources: Iterable[Any]) -> int:
        """How many scenes the composites among the sources of a map were made from."""
        ids = [source.id for source in sources if source.role == "composite"]
        records = [item.record for item in self._composites() if item.record.id in ids]
        return sum(1 for record in records for source in record.sources if source.role == "scene")

    def _composite(self, description: ModelDescription, area: AreaOfInterest, period: Interval | None) -> Item | None:
        """The composite to take covariates from, None when no composite of the store has any."""
        composites = self._composites()
        rasters = _read_as_rasters(description)
        offers = [_fields(item.record) for item in composites]
        shares = [len(fields & (rasters | (_inputs(description, fields) or set()))) for fields in offers]
        most = max(shares, default=0)
        if not most:
            return None
        offering = [item for item, share in zip(composites, shares, strict=True) if share == most]
        here = [item for item in offering if _overlaps(item, area)]
        if not here:
            raise InvalidArea("the area lies outside the covariates", _extents(offering))
        timely = [item for item in here if period is None or period.meets(item.record.period)]
        if not timely:
            raise NoData("there are no covariates of that period for the area", _periods(here))
        return _whole(_latest(timely), area)

    def _folder(self, model: Item, missing: set[str]) -> Path:
        if self._covariates is None:
            names = ", ".join(sorted(missing)[:5])
            raise NoData(
                f"model {model.record.id} needs covariates that the store does not hold: {names}",
                "the operator names their folder in CUP4SOIL_COVARIATES",
            )
        return self._covariates

    def _composites(self) -> list[Item]:
        """All composites. Items of one collection are all of one kind: of the others one is looked at."""
        return [
            item for name in self._store.collections() if self._holds_composites(name) for item in self._items(name)
        ]

    def _holds_composites(self, collection: str) -> bool:
        folders = (self._store.find(collection, item) for item in self._store.items(collection))
        first = next((folder for folder in folders if folder is not None), None)
        return first is not None and _item(first).record.kind == "composite"

    def _items(self, collection: str) -> list[Item]:
        found = ((self._store.find(collection, item)) for item in self._store.items(collection))
        return [_item(folder) for folder in found if folder is not None]


@contextmanager
def intact() -> Iterator[None]:
    """Turn what is wrong with files of the service into StoreError: the client can do nothing about it."""
    try:
        yield
    except (InvalidArea, LimitExceeded, NoData, StoreError):
        raise
    except Cup4soilError as error:
        _LOGGER.exception("a file of the service cannot be used")
        raise StoreError("a file of the service cannot be used", "tell the operator") from error


def _is_sound(model: Item) -> bool:
    """Whether a model says what it is; one that does not stands in no other's way."""
    try:
        if format_of(model.folder) == FORMAT_VERSION:
            description_of(model.folder)
    except StoreError as error:
        _LOGGER.warning("%s", error)
        return False
    return True


@lru_cache(maxsize=512)
def format_of(folder: Path) -> Any:
    """Format of the model in ``folder``, whatever else is in it; None where it states none."""
    try:
        document = json.loads((folder / DESCRIPTION_FILE).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"the model in {folder} is damaged", "train it again") from error
    return document.get("format_version") if isinstance(document, dict) else None


@lru_cache(maxsize=512)
def description_of(folder: Path) -> ModelDescription:
    """What the model in ``folder`` says of itself, without its arrays."""
    try:
        return ModelDescription.model_validate_json((folder / DESCRIPTION_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"the model in {folder} is damaged", "train it again") from error


@lru_cache(maxsize=2)
def loaded_model(folder: Path) -> SoilModel:
    """The model in ``folder``; the last two are kept."""
    with intact():
        return load_model(folder)


@lru_cache(maxsize=512)
def _item(folder: Path) -> Item:
    return Item(read_record(folder), folder)


def with_checksums(stack: CovariateStack) -> CovariateStack:
    """The stack with the checksums that the items of the store state, so that no file is read for its own."""
    files = (
        replace(file, stated_checksum=file.stated_checksum or _stated(file.path.parent).get(file.path.name))
        for file in stack.files
    )
    return replace(stack, files=tuple(files))


@lru_cache(maxsize=64)
def _stated(folder: Path) -> dict[str, str]:
    """``sha256:...`` of the files of an item by name; none for a folder that is no item."""
    path = folder / f"{folder.name}.json"
    if not path.is_file():
        return {}
    assets = json.loads(path.read_bytes())["assets"].values()
    return {
        Path(asset["href"]).name: f"sha256:{asset['file:checksum'][len(_SHA256) :]}"
        for asset in assets
        if str(asset.get("file:checksum", "")).startswith(_SHA256)
    }


def _fields(record: ProductRecord) -> set[str]:
    return {field_name(layer.name, band.name) for layer in record.layers for band in layer.bands}


def _read_as_rasters(description: ModelDescription) -> set[str]:
    """The covariates of a model that are not computed of others."""
    computed = {each.name for each in description.signature if each.computed is not None}
    return set(description.covariates) - computed


def _inputs(description: ModelDescription, fields: set[str]) -> set[str] | None:
    """What the computed covariates of a model are computed of, None where ``fields`` do not hold it."""
    specs = declarations(description.signature)
    try:
        computed = parse_computed(specs, sorted(fields), parse_crs(description.crs))
    except NotFound:
        return None
    return {name for each in computed for name in each.inputs}


def _grid(item: Item) -> tuple[BaseGeometry, CRS] | None:
    extent = item.record.extent
    return None if extent.grid_bbox is None or extent.crs is None else (box(*extent.grid_bbox), parse_crs(extent.crs))


def _overlaps(item: Item, area: AreaOfInterest) -> bool:
    grid = _grid(item)
    if grid is None:
        return False
    try:
        return bool(project(area.geometry, area.crs, grid[1]).intersects(grid[0]))
    except InvalidArea:
        # It lies where the composite's CRS does not reach.
        return False


def _covers(item: Item, area: AreaOfInterest) -> bool:
    grid = _grid(item)
    return grid is not None and bool(grid[0].covers(project(area.geometry, area.crs, grid[1])))


def _latest(items: Sequence[Item]) -> list[Item]:
    """The items of the latest period."""
    last = max((item.record.period for item in items), key=lambda period: (period.end, period.start))
    return [
        item
        for item in items
        if abs(item.record.period.end - last.end) <= _SAME_PERIOD
        and abs(item.record.period.start - last.start) <= _SAME_PERIOD
    ]


def _whole(items: Sequence[Item], area: AreaOfInterest) -> Item:
    """The one item that the area lies in, or the only one it touches."""
    covering = [item for item in items if _covers(item, area)]
    if not covering and len(items) > 1:
        names = ", ".join(sorted(item.record.id for item in items)[:5])
        raise InvalidArea(f"the area lies across {len(items)} composites", f"choose an area within one of {names}")
    return max(covering or items, key=lambda item: (item.record.period.end, item.record.created, item.record.id))


def _named(depth: Depth | None) -> str | None:
    return None if depth is None else str(depth)


def _there_are(names: Iterable[str | None]) -> str:
    known = sorted({name or "no depth" for name in names})
    return f"there are {', '.join(known)}" if known else "the store has no model"


def _extents(items: Sequence[Item]) -> str:
    shown = ["(" + ", ".join(f"{value:.4f}" for value in item.record.extent.bbox) + ")" for item in items[:3]]
    return f"they cover {' and '.join(shown)} (west, south, east, north)"


def _periods(items: Sequence[Item]) -> str:
    spans = sorted({f"{item.record.period.start:%Y-%m-%d}/{item.record.period.end:%Y-%m-%d}" for item in items})
    return f"there are {', '.join(spans[:5])}"
