"""Cells of covariate rasters as numbers, missing ones as NaN, and how they are brought to another grid.

Nothing is filled: a cell is missing where less than half of its area is known (going coarser), or where the source
cell under its centre is missing (going finer).
"""

import math
from typing import Literal

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.warp import reproject
from rasterio.windows import Window as RasterioWindow

from cup4soil.grids import cell_offset, crs_code, crs_of
from cup4soil.rasters.covariate_files import CovariateFile
from cup4soil.rasters.reading import open_raster

# Origins that differ by less than this share of a cell are one grid: rounding, not a shift.
GRID_TOLERANCE = 0.01
_BEYOND_TOLERANCE = 0.4
# Cells whose edges differ by less are about equally large: they are interpolated, not averaged.
_COARSER = 1.2
# A cell that is known to less than this share of its area is missing.
LEAST_KNOWN = 0.5
_ROUNDING = 1e-6
# Cells of a source held at once, over all of its bands.
_MAX_SOURCE_CELLS = 16_000_000
_PAD = 2

type Method = Literal["none", "nearest", "mode", "bilinear", "average"]


def resampling_method(file: CovariateFile, geobox: GeoBox, *, classes: bool) -> Method:
    """How ``file`` is brought to ``geobox``: the cells as they are on an equal lattice, else by kind and size of cell.

    Classes: nearest, or the most frequent (``mode``) where cells become larger. Numbers: bilinear, or the mean.
    """
    if cell_offset(file.info.geobox, geobox, tolerance=GRID_TOLERANCE) is not None:
        return "none"
    coarser = _edge_ratio(file.info.geobox, geobox) > _COARSER
    if classes:
        return "mode" if coarser else "nearest"
    return "average" if coarser else "bilinear"


def read_on(file: CovariateFile, geobox: GeoBox, method: Method) -> NDArray[np.float32]:
    """All bands of ``file`` on ``geobox``: (bands, rows, columns), scaled, NaN where missing.

    Every cell depends on its own place alone, so that windows of a grid give what the whole grid gives.
    """
    shape = (geobox.shape[0], geobox.shape[1])
    if method == "none":
        # The lattice was found to be equal over the grid; beyond its edges rounding may add up to a little more.
        offset = cell_offset(file.info.geobox, geobox, tolerance=_BEYOND_TOLERANCE)
        if offset is None:
            raise ValueError(f"{file.path} does not lie on this grid")
        return _read_cells(file, *offset, shape)
    window = _source_window(file.info.geobox, geobox)
    if window is None:
        return np.full((len(file.bands), *shape), np.nan, dtype=np.float32)
    row, col, height, width = window
    if height * width * len(file.bands) > _MAX_SOURCE_CELLS and max(shape) > 1:
        return _in_halves(file, geobox, method)
    own = file.info.geobox
    a, e = own.affine.a, own.affine.e
    affine = Affine(a, 0.0, own.affine.c + col * a, 0.0, e, own.affine.f + row * e)
    cells = _read_cells(file, row, col, (height, width))
    return np.stack([_warped(band, affine, crs_code(crs_of(own)), geobox, method) for band in cells])


def read_points(file: CovariateFile, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
    """Cells of ``file`` that hold points of its CRS: (bands, points), scaled, NaN where missing or outside."""
    affine, (height, width) = file.info.geobox.affine, file.info.geobox.shape
    cols, rows = np.floor((x - affine.c) / affine.a), np.floor((y - affine.f) / affine.e)
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    values = np.full((len(file.bands), x.size), np.nan, dtype=np.float32)
    with open_raster(file.location) as dataset:
        points = zip(x[inside], y[inside], strict=True)
        found = list(dataset.sample(points, indexes=list(file.bands), masked=_has_mask(dataset)))
    if found:
        stored = np.ma.stack(found).T
        known = ~np.ma.getmaskarray(stored)
        values[:, inside] = _scaled(np.ma.getdata(stored).astype(np.float32), known, file)
    return values


def _read_cells(file: CovariateFile, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Cells of ``file`` from (row, col) on; NaN where missing and outside the file."""
    height, width = file.info.geobox.shape
    values = np.full((len(file.bands), *shape), np.nan, dtype=np.float32)
    top, left = max(0, row), max(0, col)
    bottom, right = min(height, row + shape[0]), min(width, col + shape[1])
    if top >= bottom or left >= right:
        return values
    with open_raster(file.location) as dataset:
        window, bands = RasterioWindow(left, top, right - left, bottom - top), list(file.bands)
        stored = dataset.read(bands, window=window, out_dtype="float32")
        known = dataset.read_masks(bands, window=window) > 0 if _has_mask(dataset) else np.ones(stored.shape, bool)
    values[:, top - row : bottom - row, left - col : right - col] = _scaled(stored, known, file)
    return values


def _has_mask(dataset: DatasetReader) -> bool:
    """True where a mask of its own, not a value, tells what is missing."""
    return any(MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums)


def _scaled(stored: NDArray[np.float32], known: NDArray[np.bool_], file: CovariateFile) -> NDArray[np.float32]:
    for index, band in enumerate(file.bands):
        nodata = file.info.nodata[band - 1]
        missing = ~known[index]
        if nodata is not None and not math.isnan(nodata):
            missing |= stored[index] == np.float32(nodata)
        scale, offset = np.float32(file.info.scales[band - 1]), np.float32(file.info.offsets[band - 1])
        stored[index] = np.where(missing, np.float32(np.nan), stored[index] * scale + offset)
    # An infinite covariate (a logarithm of zero, say) is no value a model can be asked about.
    stored[~np.isfinite(stored)] = np.nan
    return stored


def _in_halves(file: CovariateFile, geobox: GeoBox, method: Method) -> NDArray[np.float32]:
    rows, cols = geobox.shape
    if rows >= cols:
        parts = [geobox[: rows // 2, :], geobox[rows // 2 :, :]]
        return np.concatenate([read_on(file, part, method) for part in parts], axis=1)
    parts = [geobox[:, : cols // 2], geobox[:, cols // 2 :]]
    return np.concatenate([read_on(file, part, method) for part in parts], axis=2)


def _warped(
    values: NDArray[np.float32], affine: Affine, source_crs: str, geobox: GeoBox, method: Method
) -> NDArray[np.float32]:
    """One band on ``geobox``; the rule on missing cells is that of the module."""

    def warp(array: NDArray[np.float32], resampling: Resampling, nodata: float | None = None) -> NDArray[np.float32]:
        result = np.full((geobox.shape[0], geobox.shape[1]), 0.0 if nodata is None else nodata, dtype=np.float32)
        reproject(
            array, result, src_transform=affine, src_crs=source_crs, src_nodata=nodata,
            dst_transform=geobox.affine, dst_crs=crs_code(crs_of(geobox)), dst_nodata=nodata, resampling=resampling,
            # Exact places, and no filter that follows from the size of a window: each cell stands for itself.
            tolerance=0.0, **({"XSCALE": "1", "YSCALE": "1"} if resampling is Resampling.bilinear else {}),
        )  # fmt: skip
        return result

    present = np.isfinite(values)
    if not present.any():
        return np.full((geobox.shape[0], geobox.shape[1]), np.nan, dtype=np.float32)
    share = present.astype(np.float32)
    if method == "nearest":
        return warp(values, Resampling.nearest, math.nan)
    if method == "mode":
        known = warp(share, Resampling.average) >= LEAST_KNOWN - _ROUNDING
        return np.where(known, warp(values, Resampling.mode, math.nan), np.float32(np.nan))
    resampling = Resampling.average if method == "average" else Resampling.bilinear
    weight, total = warp(share, resampling), warp(np.where(present, values, np.float32(0)), resampling)
    known = weight >= LEAST_KNOWN - _ROUNDING if method == "average" else warp(share, Resampling.nearest) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(known, total / weight, np.float32(np.nan))


def _source_window(own: GeoBox, target: GeoBox) -> tuple[int, int, int, int] | None:
    """(row, col, height, width) of the cells of ``own`` that ``target`` needs; they may reach beyond its edges.

    None where ``target`` lies outside, or where the CRS of ``own`` does not reach.
    """
    left, bottom, right, top = bounds_in(target, own)
    if not all(math.isfinite(value) for value in (left, bottom, right, top)):
        return None
    affine = own.affine
    cols = sorted(((left - affine.c) / affine.a, (right - affine.c) / affine.a))
    rows = sorted(((top - affine.f) / affine.e, (bottom - affine.f) / affine.e))
    if rows[0] >= own.shape[0] or rows[1] <= 0 or cols[0] >= own.shape[1] or cols[1] <= 0:
        return None
    row, col = math.floor(rows[0]) - _PAD, math.floor(cols[0]) - _PAD
    return row, col, math.ceil(rows[1]) + _PAD - row, math.ceil(cols[1]) + _PAD - col


def bounds_in(geobox: GeoBox, other: GeoBox) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of ``geobox`` in the CRS of ``other``, infinite where it does not reach."""
    left, bottom, right, top = geobox.boundingbox.bbox
    if geobox.crs == other.crs:
        return left, bottom, right, top
    # Straight edges may be curved there.
    found = _transformer(geobox, other).transform_bounds(left, bottom, right, top, densify_pts=64)
    return (float(found[0]), float(found[1]), float(found[2]), float(found[3]))


def _edge_ratio(own: GeoBox, target: GeoBox) -> float:
    """Edge of a cell in the middle of ``target`` in edges of the cells of ``own``; 0 where its CRS does not reach."""
    rows, cols = target.shape
    affine = target.affine
    x, y = affine.c + (cols // 2) * affine.a, affine.f + (rows // 2) * affine.e
    corners = np.array([x, x + affine.a, x]), np.array([y, y, y + affine.e])
    xs, ys = corners if own.crs == target.crs else _transformer(target, own).transform(*corners)
    area = abs((xs[1] - xs[0]) * (ys[2] - ys[0]) - (xs[2] - xs[0]) * (ys[1] - ys[0]))
    return math.sqrt(area / abs(own.affine.a * own.affine.e)) if math.isfinite(area) else 0.0


def _transformer(geobox: GeoBox, other: GeoBox) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(crs_code(crs_of(geobox)), crs_code(crs_of(other)), always_xy=True)
