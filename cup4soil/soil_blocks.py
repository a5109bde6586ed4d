"""Blocks of soil maps: how large they are, how one is predicted, and what another process needs for that."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil.depths import Depth
from cup4soil.errors import StoreError
from cup4soil.grids import Window
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.rasters.masks import cells_inside
from cup4soil.settings import Settings
from cup4soil.soil_maps import Stored, predict_block
from cup4soil.soil_models import SoilModel, load_model

_LEAST_BLOCK, _LARGEST_BLOCK = 64, 2048
# Per cell: flags, index, and what one output's prediction and one map's integers take.
_CELL_BYTES, _OUTPUT_BYTES, _MAP_BYTES = 60, 120, 24

# A property and a depth of the model.
type MapKey = tuple[str, Depth | None]


@dataclass(frozen=True, slots=True)
class MapTask:
    """All that a process has to know to predict blocks of one map; ``mask`` is in the grid's CRS.

    The model is read where it lies by each process, once, and only if it is the one of ``checksum``.
    """

    model: Path
    checksum: str
    stack: CovariateStack
    geobox: GeoBox
    mask: BaseGeometry | None
    key: MapKey
    threads: int


def predict_part(task: MapTask, window: Window) -> tuple[Stored, int]:
    """Stored integers of the map on a window of its grid, and how many of the cells there were asked for."""
    code, depth = task.key
    model = held_model(task.model, task.checksum, (code,))
    maps, asked = predict_window(model, task.stack, window.of(task.geobox), task.mask, (depth,), task.threads)
    return maps[task.key], asked


@lru_cache(maxsize=2)
def held_model(folder: Path, checksum: str, codes: tuple[str, ...]) -> SoilModel:
    """The model in ``folder``, reporting ``codes`` only.

    Raises:
        StoreError: when it is not the one that the run was planned with.
    """
    model = load_model(folder)
    if model.description.arrays_checksum != checksum:
        raise StoreError(f"the model in {folder} was replaced during the run", "run again")
    return model.only(codes)


def block_size(model: SoilModel, depths: int, settings: Settings) -> int:
    """Edge of a block in cells that keeps what is predicted of it within the memory set for it."""
    description, outputs = model.description, len(model.description.outputs)
    inputs = 8 * len(description.covariates) + 28 * len(description.features)
    per_cell = _CELL_BYTES + inputs + outputs * (_OUTPUT_BYTES + depths * _MAP_BYTES)
    edge = int(math.sqrt(settings.block_memory_mib * 2**20 / per_cell))
    return max(_LEAST_BLOCK, min(_LARGEST_BLOCK, edge // _LEAST_BLOCK * _LEAST_BLOCK))


def predict_window(
    model: SoilModel,
    stack: CovariateStack,
    geobox: GeoBox,
    mask: BaseGeometry | None,
    depths: Sequence[Depth | None],
    threads: int,
) -> tuple[dict[MapKey, Stored], int]:
    """Stored integers of the maps of all properties at ``depths`` on ``geobox``, and how many cells were asked for.

    Cells outside ``mask`` (in the CRS of the grid) are not mapped; where there are no others nothing is read.
    """
    covariates, asked = read_covariates(model, stack, geobox, mask)
    maps: dict[MapKey, Stored] = {}
    for depth in depths:
        found = predict_block(model, covariates, depth, threads=threads)
        maps |= {(code, depth): stored for code, stored in found.items()}
    return maps, asked


def read_covariates(
    model: SoilModel, stack: CovariateStack, geobox: GeoBox, mask: BaseGeometry | None
) -> tuple[NDArray[np.float32], int]:
    """Covariates (f, rows, columns) in the model's order, missing outside ``mask``, and how many cells lie inside.

    Where there are none nothing is read.
    """
    names = model.description.covariates
    shape = (int(geobox.shape[0]), int(geobox.shape[1]))
    inside = np.ones(shape, dtype=np.bool_) if mask is None else cells_inside(mask, geobox)
    asked = int(inside.sum())
    if not asked:
        return np.full((len(names), *shape), np.nan, dtype=np.float32), 0
    covariates = stack.read(geobox)[[stack.names.index(name) for name in names]]
    covariates[:, ~inside] = np.nan
    return covariates, asked
