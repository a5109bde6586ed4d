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
from cup4soil.errors import Cup4soilError, InvalidArea, InvalidInput, NoData, StoreError
from cup4soil.grids import parse_crs
from cup4soil.products import ProductRecord, read_record
from cup4soil.rasters.covariate_files import field_name
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.soil_models import DESCRIPTION_FILE, ModelDescription, SoilModel, load_model
from cup4soil.soil_predictions import AreaOfInterest
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

    def model(self, code: str, depth: Depth | None) -> Item:
        """The latest model of a property at a depth; without ``depth`` that of the only depth there is.

        Raises:
            InvalidInput: when there is none, or the depth is open.
        """
        models = [item for item in self._items(MODELS) if item.record.kind == "model"]
        of_property = [item for item in models if item.record.property_code == code]
        if not of_property:
            raise InvalidInput(
                f"property {code!r} has no model", _there_are(item.record.property_code for item in models)
            )
        wanted = None if depth is None else str(depth)
        depths = {item.record.depth for item in of_property}
        if wanted is None and len(depths) > 1:
            raise InvalidInput(f"property {code!r} has models of several depths", _there_are(depths))
        found = [item for item in of_property if wanted is None or item.record.depth == wanted]
        if not found:
            raise InvalidInput(f"property {code!r} has no model of depth {wanted}", _there_are(depths))
        return max(found, key=lambda item: (item.record.created, item.record.id))

    def covariates(self, model: Item, area: AreaOfInterest, period: Interval | None) -> CovariateStack:
        """The covariates that a model was trained on, over an area.

        Raises:
            InvalidArea: when the area lies outside them, or across several composites.
            NoData: when there are none, or none of that time.
        """
        with intact():
            needed = description_of(model.folder).covariates
            composite = self._composite(needed, area, period)
            offered = set() if composite is None else _fields(composite.record) & set(needed)
            paths = [] if composite is None else [composite.folder]
            if set(needed) - offered:
                paths.append(self._folder(model, set(needed) - offered))
            stack = CovariateStack.open(paths)
            missing = sorted(set(needed) - set(stack.names))
            if missing:
                raise NoData(
                    f"the covariate {missing[0]} of model {model.record.id} is not available", "tell the operator"
                )
            return with_checksums(stack.select(needed))

    def scenes(self, sources: Iterable[Any]) -> int:
        """How many scenes the composites among the sources of a map were made from."""
        ids = [source.id for source in sources if source.role == "composite"]
        records = [item.record for name in self._collections() for item in self._items(name) if item.record.id in ids]
        return sum(1 for record in records for source in record.sources if source.role == "scene")

    def _composite(self, needed: Sequence[str], area: AreaOfInterest, period: Interval | None) -> Item | None:
        """The composite to take covariates from, None when no composite of the store has any."""
        items = [item for name in self._collections() for item in self._items(name)]
        composites = [item for item in items if item.record.kind == "composite"]
        shares = [len(_fields(item.record) & set(needed)) for item in composites]
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

    def _collections(self) -> list[str]:
        return self._store.collections()

    def _items(self, collection: str) -> list[Item]:
        found = ((self._store.find(collection, item)) for item in self._store.items(collection))
        return [_item(folder) for folder in found if folder is not None]


@contextmanager
def intact() -> Iterator[None]:
    """Turn what is wrong with files of the service into StoreError: the client can do nothing about it."""
    try:
        yield
    except (InvalidArea, NoData, StoreError):
        raise
    except Cup4soilError as error:
        _LOGGER.exception("a file of the service cannot be used")
        raise StoreError("a file of the service cannot be used", "tell the operator") from error


@lru_cache(maxsize=16)
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


def _there_are(names: Iterable[str | None]) -> str:
    known = sorted({name or "no depth" for name in names})
    return f"there are {', '.join(known)}" if known else "the store has no model"


def _extents(items: Sequence[Item]) -> str:
    shown = ["(" + ", ".join(f"{value:.4f}" for value in item.record.extent.bbox) + ")" for item in items[:3]]
    return f"they cover {' and '.join(shown)} (west, south, east, north)"


def _periods(items: Sequence[Item]) -> str:
    spans = sorted({f"{item.record.period.start:%Y-%m-%d}/{item.record.period.end:%Y-%m-%d}" for item in items})
    return f"there are {', '.join(spans[:5])}"
