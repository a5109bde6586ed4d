"""Reading Sentinel-2 scenes: reflectance at 20 m, masked on the scene's own grid.

Scenes on the target's grid are read as they lie, every byte once. Others are masked at 20 m on
their own grid first and then warped, once: reflectance bilinear, validity by the nearest cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.warp import Resampling, reproject, transform_bounds
from rasterio.windows import Window as RasterioWindow

from cup4soil.errors import InvalidRaster
from cup4soil.grids import Bounds, aligned_geobox, cell_offset, crs_code, crs_of
from cup4soil.methods.bare_soil import BANDS, DILATION_MARGIN, invalid_scl
from cup4soil.rasters.reading import GDAL_OPTIONS, raster_crs

NATIVE_RESOLUTION_M = 20.0


@dataclass(frozen=True, slots=True)
class BandFile:
    """A band's file. DN (reflectance x 10 000) = stored * ``gain`` + ``offset_dn`` where stored != ``nodata``."""

    href: str
    gain: float = 1.0
    offset_dn: float = 0.0
    nodata: float = 0.0


@dataclass(frozen=True, slots=True)
class SceneFiles:
    """The files of one scene: the ten bands by name, and its scene classification."""

    id: str
    bands: Mapping[str, BandFile]
    scl: str


def read_overpass(scenes: Sequence[SceneFiles], geobox: GeoBox) -> NDArray[np.float32]:
    """What the scenes of one overpass show on ``geobox``: DN, (10, rows, columns), NaN where invalid.

    Where scenes overlap, the first that is valid counts: the ground was seen once.

    Raises:
        InvalidRaster: when a file cannot be read.
    """
    seen = read_scene(scenes[0], geobox)
    for scene in scenes[1:]:
        gaps = np.isnan(seen[0])
        if not gaps.any():
            break
        seen[:, gaps] = read_scene(scene, geobox)[:, gaps]
    return seen


def read_scene(scene: SceneFiles, geobox: GeoBox) -> NDArray[np.float32]:
    """One scene on ``geobox``, as :func:`read_overpass`."""
    try:
        with rasterio.Env(**GDAL_OPTIONS):
            return _read(scene, geobox)
    except RasterioError as error:
        raise InvalidRaster(f"scene {scene.id} cannot be read: {error}", "fetch it again or leave it out") from error


def scene_grid(scene: SceneFiles) -> GeoBox:
    """Grid of the scene's classification, read from the file."""
    try:
        with rasterio.Env(**GDAL_OPTIONS), rasterio.open(scene.scl) as dataset:
            return GeoBox(dataset.shape, dataset.transform, raster_crs(dataset))
    except (RasterioError, AttributeError) as error:
        raise InvalidRaster(
            f"scene {scene.id} has no readable grid: {error}", "fetch it again or leave it out"
        ) from error


def _read(scene: SceneFiles, geobox: GeoBox) -> NDArray[np.float32]:
    with rasterio.open(scene.scl) as dataset:
        if dataset.crs is None:
            raise InvalidRaster(f"scene {scene.id} has no CRS", "assign the right one")
        native = _native_geobox(dataset, geobox)
        if native is None:
            return np.full((len(BANDS), *geobox.shape), np.nan, dtype=np.float32)
        invalid = _invalid_cells(dataset, native)
    stack = np.empty((len(BANDS), *native.shape), dtype=np.float32)
    for index, name in enumerate(BANDS):
        stack[index] = _read_band(scene.bands[name], native)
    stack[:, invalid] = np.nan
    if native == geobox:
        return stack
    return _warp(stack, native, geobox)


def _native_geobox(dataset: DatasetReader, geobox: GeoBox) -> GeoBox | None:
    """``geobox`` itself where the scene lies on its grid, else the part of the scene's 20 m grid that covers it."""
    crs = raster_crs(dataset)
    own = GeoBox(dataset.shape, dataset.transform, crs)
    if cell_offset(own, geobox) is not None and abs(geobox.affine.a - NATIVE_RESOLUTION_M) < 1e-9:
        return geobox
    left, bottom, right, top = transform_bounds(
        crs_code(crs_of(geobox)), crs_code(crs), *geobox.boundingbox.bbox, densify_pts=21
    )
    margin = 2 * NATIVE_RESOLUTION_M
    left, right = max(left - margin, dataset.bounds.left), min(right + margin, dataset.bounds.right)
    bottom, top = max(bottom - margin, dataset.bounds.bottom), min(top + margin, dataset.bounds.top)
    if left >= right or bottom >= top:
        return None
    x0, y0 = dataset.transform.c % NATIVE_RESOLUTION_M, dataset.transform.f % NATIVE_RESOLUTION_M
    shifted = aligned_geobox(Bounds(left - x0, bottom - y0, right - x0, top - y0), crs, NATIVE_RESOLUTION_M)
    return GeoBox(shifted.shape, rasterio.Affine.translation(x0, y0) @ shifted.affine, crs)


def _invalid_cells(dataset: DatasetReader, native: GeoBox) -> NDArray[np.bool_]:
    margin = DILATION_MARGIN
    classes = _read_window(dataset, native, margin, 0).astype(np.uint8)
    factor = round(native.affine.a / dataset.transform.a)
    if factor != 1:
        raise InvalidRaster(f"{dataset.name} has cells of {dataset.transform.a:g} m", "give the classification at 20 m")
    return invalid_scl(classes)[margin:-margin, margin:-margin]


def _read_band(band: BandFile, native: GeoBox) -> NDArray[np.float32]:
    """A band in DN on the 20 m grid; finer cells are averaged over those that are not nodata, without rounding."""
    with rasterio.open(band.href) as dataset:
        stored = _read_window(dataset, native, 0, band.nodata)
        factor = round(native.affine.a / dataset.transform.a)
    rows, cols = native.shape
    valid = stored != band.nodata
    if factor == 1:
        values = stored.astype(np.float32)
    else:
        cells = np.where(valid, stored, 0).reshape(rows, factor, cols, factor).sum(axis=(1, 3), dtype=np.float32)
        count = valid.reshape(rows, factor, cols, factor).sum(axis=(1, 3), dtype=np.float32)
        values = np.divide(cells, count, out=np.zeros_like(cells), where=count > 0)
        valid = count > 0
    dn = values * np.float32(band.gain) + np.float32(band.offset_dn)
    dn[~valid] = np.nan
    return dn


def _read_window(dataset: DatasetReader, native: GeoBox, margin: int, fill: float) -> NDArray[np.number]:
    """The dataset's cells over ``native`` and ``margin`` cells around it, ``fill`` outside the dataset."""
    cell = dataset.transform.a
    factor = native.affine.a / cell
    if abs(factor - round(factor)) > 1e-6 or round(factor) < 1 or dataset.transform.e != -cell:
        raise InvalidRaster(f"{dataset.name} has cells of {cell:g} m", "give bands at 10 or 20 m, north up")
    scale = round(factor)
    col = round((native.affine.c - dataset.transform.c) / cell) - margin * scale
    row = round((dataset.transform.f - native.affine.f) / cell) - margin * scale
    height, width = ((n + 2 * margin) * scale for n in native.shape)
    out = np.full((height, width), fill, dtype=dataset.dtypes[0])
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + height, dataset.height), min(col + width, dataset.width)
    if top < bottom and left < right:
        window = RasterioWindow(left, top, right - left, bottom - top)
        out[top - row : bottom - row, left - col : right - col] = dataset.read(1, window=window)
    return out


def _warp(stack: NDArray[np.float32], native: GeoBox, geobox: GeoBox) -> NDArray[np.float32]:
    out = np.full((stack.shape[0], *geobox.shape), np.nan, dtype=np.float32)
    valid = np.zeros(geobox.shape, dtype=np.uint8)
    common = {
        "src_transform": native.affine,
        "src_crs": crs_code(crs_of(native)),
        "dst_transform": geobox.affine,
        "dst_crs": crs_code(crs_of(geobox)),
    }
    reproject(stack, out, src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling.bilinear, **common)
    reproject((~np.isnan(stack[0])).astype(np.uint8), valid, resampling=Resampling.nearest, **common)
    out[:, valid == 0] = np.nan
    return out
