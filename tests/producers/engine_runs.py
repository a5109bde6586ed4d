"""Running the engine without reports, and what archives hold by their raw files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy import ndimage

from cup4soil.progress import Silent
from cup4soil.rasters.scratch import read_scratch
from cup4soil.settings import Settings
from producers.composite import CompositeRun, plan_run
from producers.composite_engine import EnginePlan, run_block
from producers.composite_request import CompositeRequest
from tests.core.composite_oracle import BANDS, LAYERS

type Layers = dict[str, np.ndarray]


def request(source: Path, **more: Any) -> CompositeRequest:
    return CompositeRequest(source=str(source), **({"threshold": 0.2} | more))


def planned(source: Path, settings: Settings | None = None, **more: Any) -> CompositeRun:
    return plan_run(request(source, **more), settings or Settings())


def engine_layers(run: CompositeRun, folder: Path, **changes: Any) -> dict[str, Layers]:
    """What the engine's blocks hold, put together: stored integers by layer, for each window's label."""
    plan = replace(run.engine_plan(folder), **changes)
    for block in run.blocks:
        assert run_block(plan, block) == {}
    return {window.label: together(run, plan, window.label) for window in plan.windows}


def together(run: CompositeRun, plan: EnginePlan, label: str) -> Layers:
    window = next(window for window in plan.windows if window.label == label)
    found: Layers = {}
    for block in run.blocks:
        for name, values in read_scratch(plan.block_path(window, block)).items():
            empty = np.zeros((len(values), *run.geobox.shape), values.dtype)
            found.setdefault(name, empty)[(slice(None), *block.slices)] = values
    return found


def made(run: CompositeRun, folder: Path) -> dict[str, Layers]:
    """The files of whole products by label: each window in its own folder below ``folder``."""
    found = {}
    for job in run.jobs:
        place = folder / job.window.label
        place.mkdir(parents=True)
        job.run(place, Silent())
        found[job.window.label] = files_of(place)
    return found


def files_of(folder: Path) -> Layers:
    found = {}
    for name in LAYERS:
        with rasterio.open(folder / f"{name}.tif") as dataset:
            found[name] = dataset.read()
    return found


def assert_same_bytes(one: Layers, two: Layers) -> None:
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)


def raw_scene(folder: Path, offset: float = 0.0) -> np.ndarray:
    """A scene in DN on its own 20 m grid by the rules, straight from its files; (10, rows, columns)."""
    with rasterio.open(folder / "SCL.tif") as dataset:
        scl = dataset.read(1)
    bands = []
    for band in BANDS:
        with rasterio.open(folder / f"{band}.tif") as dataset:
            values = dataset.read(1).astype(np.float64)
        values[values == 0] = np.nan
        if values.shape != scl.shape:
            rows, cols = scl.shape
            cells = values.reshape(rows, 2, cols, 2).transpose(0, 2, 1, 3).reshape(rows, cols, 4)
            seen = (~np.isnan(cells)).sum(axis=2)
            values = np.where(seen > 0, np.nansum(cells, axis=2) / np.maximum(seen, 1), np.nan)
        bands.append(values + offset)
    stack = np.array(bands)
    cloud = ndimage.binary_dilation(np.isin(scl, (3, 8, 9, 10)), structure=np.ones((11, 11)))
    stack[:, cloud | ~np.isin(scl, (4, 5, 6))] = np.nan
    return stack


def warped(stack: np.ndarray, own: GeoBox, target: GeoBox) -> np.ndarray:
    """A scene on another grid: bilinear over valid cells where the nearest is valid, in numpy with pyproj."""
    rows, cols = np.arange(target.shape[0]) + 0.5, np.arange(target.shape[1]) + 0.5
    x, y = np.meshgrid(target.affine.c + cols * target.affine.a, target.affine.f + rows * target.affine.e)
    x, y = Transformer.from_crs(str(target.crs), str(own.crs), always_xy=True).transform(x, y)
    col, row = (x - own.affine.c) / own.affine.a - 0.5, (y - own.affine.f) / own.affine.e - 0.5
    height, width = own.shape
    # A frame of nothing, so that every neighbour exists.
    framed = np.full((stack.shape[0], height + 4, width + 4), np.nan)
    framed[:, 2:-2, 2:-2] = stack
    row, col = np.clip(row + 2, 0.5, height + 2.5), np.clip(col + 2, 0.5, width + 2.5)
    top, left = np.floor(row).astype(int), np.floor(col).astype(int)
    total, share = np.zeros((2, stack.shape[0], *row.shape))
    for i, weight_row in ((0, top + 1 - row), (1, row - top)):
        for j, weight_col in ((0, left + 1 - col), (1, col - left)):
            value = framed[:, top + i, left + j]
            weight = np.where(np.isnan(value), 0.0, weight_row * weight_col)
            total += weight * np.nan_to_num(value)
            share += weight
    known = ~np.isnan(framed[:, np.floor(row + 0.5).astype(int), np.floor(col + 0.5).astype(int)])
    return np.where(known, total / np.where(known, share, 1.0), np.nan)


def placed(stack: np.ndarray, own: GeoBox, target: GeoBox) -> np.ndarray:
    """A scene of the same lattice on a target."""
    down = round((own.affine.f - target.affine.f) / target.affine.e)
    across = round((own.affine.c - target.affine.c) / target.affine.a)
    out = np.full((stack.shape[0], *target.shape), np.nan)
    for row in range(own.shape[0]):
        for col in range(own.shape[1]):
            if 0 <= row + down < target.shape[0] and 0 <= col + across < target.shape[1]:
                out[:, row + down, col + across] = stack[:, row, col]
    return out


def one_pass(stacks: list[np.ndarray]) -> np.ndarray:
    """Granules of one overpass: the first with a valid B02 counts."""
    out = np.full_like(stacks[0], np.nan)
    for stack in stacks:
        out = np.where(np.isnan(out[0]), stack, out)
    # Of what has no valid B02 nothing counts.
    return np.where(np.isnan(out[0]), np.nan, out)
