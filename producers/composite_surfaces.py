"""The surfaces a composite is made with: threshold of the index, and land cover."""

import math
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidRaster
from cup4soil.grids import Window, crs_code, crs_of
from cup4soil.rasters.reading import raster_info, read_on_grid
from producers.land_cover import BUILT_IN, DEFAULT_LEGEND, Legend

INDEX_RANGE = (-2.0, 2.0)
THRESHOLD_BAND = "T_MIN"
# A centre this near to a centre of the surface's cells (in cells) counts as on it: equal grids keep their values.
_ON_CENTRE = 1e-6
# Along this distance a straight line in one CRS is one in another, within millimetres.
_STRAIGHT_M = 400.0


def read_threshold(threshold: float | Path, geobox: GeoBox) -> NDArray[np.floating]:
    """Largest index that counts as bare, (rows, columns): a number, or a raster read bilinearly, NaN where missing.

    Of a raster with several bands the one named ``T_MIN`` counts, else the first. A cell has a threshold exactly
    where the raster's cell under its centre has one; it is interpolated among those of the four cells around that
    have one. The raster may lie in any CRS, north up or south up, coarse or fine, with integers and a scale.

    Raises:
        InvalidRaster: when the raster is rotated, has no CRS, or holds what no index can be.
    """
    if isinstance(threshold, float):
        return np.full(geobox.shape, threshold, dtype=np.float64)
    info = raster_info(threshold)
    columns, rows = _positions(info.geobox, geobox)
    window = _around(info.geobox, columns, rows)
    if window is None:
        return np.full(geobox.shape, np.nan, dtype=np.float64)
    # By the nearest cell on its own grid: the values as they are, no neighbour's gap in them.
    bands = read_on_grid(threshold, window.of(info.geobox), categorical=True)
    surface = bands[info.names.index(THRESHOLD_BAND) if THRESHOLD_BAND in info.names else 0]
    return _bilinear(_checked(surface, threshold), columns - window.col, rows - window.row)


def _positions(own: GeoBox, target: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows in ``own`` of the centres of ``target``; whole numbers are centres of cells.

    In another CRS every so many centres are projected and those between interpolated: over 400 m the curvature of a
    projection moves them by millimetres.
    """
    height, width = target.shape
    if crs_of(own) == crs_of(target):
        x, y = _centres(target, np.arange(height), np.arange(width))
        columns, rows = ~own.affine @ (x, y)
    else:
        step = max(1, int(_STRAIGHT_M // abs(target.affine.a)))
        knots = [np.unique(np.append(np.arange(0, n, step), n - 1)) for n in (height, width)]
        transformer = pyproj.Transformer.from_crs(crs_code(crs_of(target)), crs_code(crs_of(own)), always_xy=True)
        x, y = transformer.transform(*_centres(target, knots[0], knots[1]))
        columns, rows = (
            _between(each, knots, (height, width)) for each in ~own.affine @ (np.asarray(x), np.asarray(y))
        )
    return _snapped(columns - 0.5), _snapped(rows - 0.5)


def _centres(
    geobox: GeoBox, rows: NDArray[np.integer], columns: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    across, down = np.meshgrid(columns + 0.5, rows + 0.5)
    x, y = (np.asarray(each) for each in geobox.affine @ (across, down))
    return x, y


def _between(
    values: NDArray[np.float64], knots: list[NDArray[np.integer]], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Values at all rows and columns from those at the knots, linear along both."""
    for axis, (known, size) in enumerate(zip(knots, shape, strict=True)):
        if known.size == size:
            continue
        place = np.interp(np.arange(size), known, np.arange(known.size))
        first = np.minimum(place.astype(int), known.size - 2)
        share = place - first
        share = share[:, np.newaxis] if axis == 0 else share
        values = np.take(values, first, axis) * (1 - share) + np.take(values, first + 1, axis) * share
    return values


def _snapped(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        nearest = np.rint(positions)
        snapped: NDArray[np.float64] = np.where(np.abs(positions - nearest) < _ON_CENTRE, nearest, positions)
    return snapped


def _around(own: GeoBox, columns: NDArray[np.float64], rows: NDArray[np.float64]) -> Window | None:
    """The cells of ``own`` that the positions need; None where they all lie outside."""
    edges = []
    for positions, cells in ((rows, own.shape[0]), (columns, own.shape[1])):
        finite = positions[np.isfinite(positions)]
        if not finite.size:
            return None
        first, last = max(math.floor(finite.min()), 0), min(math.ceil(finite.max()), cells - 1)
        if first > last:
            return None
        edges.append((first, last - first + 1))
    (row, height), (col, width) = edges
    return Window(row, col, height, width)


def _checked(surface: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    low, high = INDEX_RANGE
    odd = surface[(surface < low) | (surface > high)]
    if odd.size:
        raise InvalidRaster(
            f"{path} holds the threshold {odd[0]:g}, outside the index's range {low:g} to {high:g}",
            "give PVIR2 itself, or set the raster's scale and nodata",
        )
    return surface


def _bilinear(
    surface: NDArray[np.float32], columns: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    height, width = surface.shape
    inside = _inside(surface.shape, columns, rows)
    safe_rows, safe_columns = np.where(inside, rows, 0.0), np.where(inside, columns, 0.0)
    top, left = np.floor(safe_rows).astype(int), np.floor(safe_columns).astype(int)
    below, right = safe_rows - top, safe_columns - left
    total, share = np.zeros((2, *rows.shape))
    for down, row_weight in ((0, 1 - below), (1, below)):
        for across, column_weight in ((0, 1 - right), (1, right)):
            row, col = top + down, left + across
            exists = (row >= 0) & (row < height) & (col >= 0) & (col < width)
            value = surface[np.clip(row, 0, height - 1), np.clip(col, 0, width - 1)]
            weight = np.where(exists & ~np.isnan(value), row_weight * column_weight, 0.0)
            total += weight * np.nan_to_num(value)
            share += weight
    known = inside & ~np.isnan(_nearest(surface, columns, rows))
    threshold = np.full(rows.shape, np.nan)
    np.divide(total, share, out=threshold, where=known)
    return threshold


def _nearest(
    cells: NDArray[np.float32], columns: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The cells under the positions, NaN outside."""
    inside = _inside(cells.shape, columns, rows)
    row, col = (np.floor(np.where(inside, each, 0.0) + 0.5).astype(int) for each in (rows, columns))
    found: NDArray[np.float32] = np.where(inside, cells[row, col], np.float32(np.nan))
    return found


def _inside(shape: tuple[int, ...], columns: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    height, width = shape
    found: NDArray[np.bool_] = (rows >= -0.5) & (rows < height - 0.5) & (columns >= -0.5) & (columns < width - 0.5)
    return found


def read_land_cover(path: Path, geobox: GeoBox, legend: Legend = BUILT_IN[DEFAULT_LEGEND]) -> NDArray[np.floating]:
    """WorldCover codes by the nearest cell, (rows, columns), NaN outside the raster.

    The raster's nodata is a class where the legend has it (WorldCover's 0), else it is missing.

    Raises:
        InvalidRaster: when the raster holds a code that its legend lacks.
    """
    info = raster_info(path)
    columns, rows = _positions(info.geobox, geobox)
    window = _around(info.geobox, columns, rows)
    if window is None:
        return np.full(geobox.shape, np.nan, dtype=np.float32)
    keep = info.nodata[0] is None or info.nodata[0] in legend.classes
    codes = read_on_grid(path, window.of(info.geobox), categorical=True, keep_nodata=keep)[0]
    return legend.translate(_nearest(codes, columns - window.col, rows - window.row), path)
