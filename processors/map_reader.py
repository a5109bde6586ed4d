"""Values of a coverage at the centres of a picture's pixels, in any CRS, read through overviews."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from cup4soil.errors import reading_product
from cup4soil.grids import Bounds, Window, crs_code, crs_of
from cup4soil.rasters.coverage import Handles
from cup4soil.rasters.reduced import read_reduced
from processors.coverages import Coverage, Field, Item, grid_bounds
from processors.crs import intersection, project_bounds, project_points

# Positions between points this many pixels apart are interpolated where that is exact to this share of a pixel or cell.
_APART = 16
_TOLERANCE = 0.1

type Positions = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Part:
    """An item and the pixels of a picture, ``window``, that it may reach."""

    item: Item
    window: Window


def parts_of(coverage: Coverage, grid: GeoBox) -> tuple[Part, ...]:
    """The items that lie under a picture, newest first. Nothing is read."""
    found = []
    for item in reversed(coverage.items):
        box = _footprint(grid_bounds(item.grid).astuple(), crs_code(crs_of(item.grid)), crs_code(crs_of(grid)))
        shared = None if box is None else intersection(box, grid_bounds(grid))
        window = None if shared is None else _pixels(shared, grid)
        if window is not None:
            found.append(Part(item, window))
    return tuple(found)


def read_values(
    handles: Handles, parts: Sequence[Part], fields: Sequence[Field], grid: GeoBox
) -> NDArray[np.float32] | None:
    """Scaled values of the cells under the centres of pixels, shape (fields, rows, columns); NaN where there is none.

    Where pixels are larger than cells the values are those of an overview with cells between half a pixel and one.
    None where no cell is valid.

    Raises:
        StoreError: when a file of the store cannot be read.
    """
    values = np.full((len(fields), *grid.shape), np.nan, dtype=np.float32)
    for part in parts:
        _lay_under(values, handles, part, fields, grid)
        if np.isfinite(values).all():
            break
    return values if np.isfinite(values).any() else None


def _lay_under(
    values: NDArray[np.float32], handles: Handles, part: Part, fields: Sequence[Field], grid: GeoBox
) -> None:
    """Give pixels that have no value yet the item's."""
    target, source = part.window.of(grid), part.item.grid
    rows, cols = _cells(target, source)
    inside = (rows >= 0) & (rows < source.shape[0]) & (cols >= 0) & (cols < source.shape[1])
    if not inside.any():
        return
    step = 2 ** max(0, math.floor(math.log2(max(1.0, _pixel_size(target, source)))))
    window = _aligned(rows[inside], cols[inside], step, source)
    shape = (math.ceil(window.height / step), math.ceil(window.width / step))
    with np.errstate(invalid="ignore"):
        row = np.clip(((rows - window.row) * (shape[0] / window.height)), 0, shape[0] - 1).astype(np.intp)
        col = np.clip(((cols - window.col) * (shape[1] / window.width)), 0, shape[1] - 1).astype(np.intp)
    place = np.s_[
        part.window.row : part.window.row + part.window.height, part.window.col : part.window.col + part.window.width
    ]
    for positions in _by_file(part.item, fields):
        stored = _stored(handles, part.item, [fields[each].name for each in positions], window, shape)
        for position, cells in zip(positions, stored, strict=True):
            own = part.item.places[fields[position].name].field
            taken = cells[row, col]
            scaled = taken.astype(np.float32) * np.float32(own.scale) + np.float32(own.offset)
            under = values[position][place]
            np.copyto(under, scaled, where=np.isnan(under) & inside & (taken != own.nodata))


def _stored(
    handles: Handles, item: Item, names: Sequence[str], window: Window, shape: tuple[int, int]
) -> NDArray[np.integer]:
    places = [item.places[name] for name in names]
    categorical = bool(places[0].field.categories)
    bands = [place.band for place in places]
    with reading_product(item.name):
        return read_reduced(handles, places[0].path, item.grid, bands, window, shape, categorical=categorical)


def _by_file(item: Item, fields: Sequence[Field]) -> list[list[int]]:
    """Positions of the fields that the item has, those of one file together."""
    files: dict[object, list[int]] = {}
    for position, field in enumerate(fields):
        if field.name in item.places:
            files.setdefault(item.places[field.name].path, []).append(position)
    return list(files.values())


def _aligned(rows: NDArray[np.float64], cols: NDArray[np.float64], step: int, source: GeoBox) -> Window:
    """The cells that hold positions, extended to whole cells of the overview: neighbouring tiles see the same."""
    top, left = (int(each.min()) // step * step for each in (rows, cols))
    bottom = min(source.shape[0], (int(rows.max()) // step + 1) * step)
    right = min(source.shape[1], (int(cols.max()) // step + 1) * step)
    return Window(top, left, bottom - top, right - left)


def _pixels(bounds: Bounds, grid: GeoBox) -> Window | None:
    """The pixels of ``grid`` that a box touches."""
    inverse = ~grid.affine
    (west, north), (east, south) = inverse @ (bounds.left, bounds.top), inverse @ (bounds.right, bounds.bottom)
    top, left = max(0, math.floor(north)), max(0, math.floor(west))
    bottom, right = min(grid.shape[0], math.ceil(south)), min(grid.shape[1], math.ceil(east))
    return Window(top, left, bottom - top, right - left) if top < bottom and left < right else None


def _cells(target: GeoBox, source: GeoBox) -> Positions:
    """Rows and columns of ``source``, as fractions, of the centres of the pixels of ``target``."""
    height, width = target.shape
    rows, cols = (np.arange(size, dtype=np.float64) + 0.5 for size in (height, width))
    if target.crs == source.crs:
        place = ~source.affine @ target.affine
        return np.meshgrid(place.f + rows * place.e, place.c + cols * place.a, indexing="ij")
    return (
        _interpolated(rows, cols, target, source)
        if max(height, width) > 2 * _APART
        else _exact(rows, cols, target, source)
    )


def _exact(rows: NDArray[np.float64], cols: NDArray[np.float64], target: GeoBox, source: GeoBox) -> Positions:
    y = target.affine.f + rows * target.affine.e
    x = target.affine.c + cols * target.affine.a
    ys, xs = np.meshgrid(y, x, indexing="ij")
    projected = project_points(xs.ravel().tolist(), ys.ravel().tolist(), crs_of(target), crs_of(source))
    east, north = (np.array(each).reshape(xs.shape) for each in projected)
    own = ~source.affine
    with np.errstate(invalid="ignore"):
        return own.f + north * own.e, own.c + east * own.a


def _interpolated(rows: NDArray[np.float64], cols: NDArray[np.float64], target: GeoBox, source: GeoBox) -> Positions:
    """As :func:`_exact`, from fewer points, unless positions half-way between them would be wrong."""
    knots = tuple(np.linspace(each[0], each[-1], max(2, math.ceil(each.size / _APART) + 1)) for each in (rows, cols))
    middles = tuple((each[1:] + each[:-1]) / 2 for each in knots)
    coarse = _exact(knots[0], knots[1], target, source)
    between = _exact(middles[0], middles[1], target, source)
    worst = max(
        float(np.abs(_blend(each, knots, middles) - true).max()) for each, true in zip(coarse, between, strict=True)
    )
    # Not-a-number, where points do not exist in the other system, is not below it.
    if not worst <= _TOLERANCE * max(1.0, _pixel_size(target, source)):
        return _exact(rows, cols, target, source)
    return _blend(coarse[0], knots, (rows, cols)), _blend(coarse[1], knots, (rows, cols))


def _blend(
    values: NDArray[np.float64], knots: tuple[NDArray[np.float64], ...], places: tuple[NDArray[np.float64], ...]
) -> NDArray[np.float64]:
    """``values`` at ``knots`` (rows, columns), interpolated linearly along both."""
    with np.errstate(invalid="ignore"):
        for axis in (0, 1):
            knot, place = knots[axis], places[axis]
            low = np.clip(np.searchsorted(knot, place, side="right") - 1, 0, knot.size - 2)
            share = (place - knot[low]) / (knot[low + 1] - knot[low])
            if axis == 0:
                share = share[:, np.newaxis]
            first, second = values.take(low, axis), values.take(low + 1, axis)
            values = first + share * (second - first)
    return values


def _pixel_size(target: GeoBox, source: GeoBox) -> float:
    """Edge of a square with the area of the pixel in the middle of ``target``, in cells of ``source``."""
    rows, cols = np.array([target.shape[0] / 2, target.shape[0] / 2 + 1]), target.shape[1] / 2
    row, col = _exact(rows, np.array([cols, cols + 1]), target, source)
    area = abs((col[0, 1] - col[0, 0]) * (row[1, 0] - row[0, 0]) - (row[0, 1] - row[0, 0]) * (col[1, 0] - col[0, 0]))
    return math.sqrt(area) if math.isfinite(area) else 1.0


@lru_cache(maxsize=65_536)
def _footprint(bounds: tuple[float, float, float, float], source: str, target: str) -> Bounds | None:
    return project_bounds(Bounds(*bounds), CRS(source), CRS(target))
