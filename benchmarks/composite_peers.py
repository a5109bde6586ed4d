"""What the composite engine is measured against, on the same archive; see ``composite.py``.

``read_floor`` decodes every tile once with rasterio and does nothing else. ``xarray_composite`` follows the same rules
with odc-stac, dask and xarray: either plainly, as their manuals would have it, or tuned by hand.
``geometric_median`` is geomad's, on the stack in memory.

Plain: 10 m bands warped to 20 m while loading (``resampling="average"``), ``DataArray.median``. Tuned: 10 m bands
loaded as they are and averaged by slices, the median by sorting. Tried for both and slower: ``binary_dilation``,
means of 2 x 2 cells by sums over axes, chunks below 256 cells. Those of 512 are as quick and take far more memory.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import odc.stac
import pystac
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from benchmarks.archives import BANDS, TEN_METRES

_KEPT_CLASSES = (4, 5, 6)
_DILATED_CLASSES = (3, 8, 9, 10)
_MARGIN = 5
_COUNTS = ("BSC", "VPC")
# A file is read in strips of this many rows, which every tile of the archives divides.
_STRIP = 1024


def items_of(catalog: Path) -> list[pystac.Item]:
    """All items of an archive, by time."""
    items = pystac.Catalog.from_file(str(catalog)).get_items(recursive=True)
    return sorted(items, key=lambda item: item.datetime)


def files_of(catalog: Path) -> list[Path]:
    """All rasters of an archive."""
    return [Path(asset.get_absolute_href()) for item in items_of(catalog) for asset in item.assets.values()]


def read_floor(files: list[Path], threads: int) -> int:
    """Decode every tile of every file once; returns the bytes decoded."""

    def read(path: Path) -> int:
        with rasterio.open(path) as dataset:
            rows, cols = dataset.shape
            buffer = np.empty((min(_STRIP, rows), cols), dataset.dtypes[0])
            for first in range(0, rows, _STRIP):
                height = min(_STRIP, rows - first)
                dataset.read(1, window=Window(0, first, cols, height), out=buffer[:height])
            return rows * cols * buffer.itemsize

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(read, files))


def masked_stack(items: list[pystac.Item], chunk: int, *, tuned: bool) -> xr.DataArray:
    """Reflectance in DN at 20 m, float32, lazily: (band, time, y, x) in chunks of one date, NaN where invalid.

    The whole extent of the archive.
    """
    geobox = _geobox(items[0])
    scl = odc.stac.load(items, ["SCL"], geobox=geobox, chunks=_chunks(chunk), resampling="nearest")["SCL"]
    bands = _load_tuned(items, geobox, chunk) if tuned else _load_plain(items, geobox, chunk)
    stack = xr.DataArray(
        dask.array.stack([bands[band] for band in BANDS]),
        dims=("band", "time", "y", "x"),
        coords={"band": list(BANDS), "time": scl["time"].data},
    )
    masked = dask.array.map_blocks(_masked, stack.data, _invalid(scl), _offset_dn(items), dtype=np.float32)
    return stack.copy(data=masked)


def _chunks(edge: int) -> dict[str, int]:
    return {"time": 1, "x": edge, "y": edge}


def _load_plain(items: list[pystac.Item], geobox: Any, chunk: int) -> dict[str, dask.array.Array]:
    loaded = odc.stac.load(
        items, BANDS, geobox=geobox, chunks=_chunks(chunk), resampling="average", dtype="float32", nodata=float("nan")
    )
    return {band: loaded[band].data for band in BANDS}


def _load_tuned(items: list[pystac.Item], geobox: Any, chunk: int) -> dict[str, dask.array.Array]:
    coarse = [band for band in BANDS if band not in TEN_METRES]
    at_20 = odc.stac.load(items, coarse, geobox=geobox, chunks=_chunks(chunk))
    at_10 = odc.stac.load(items, TEN_METRES, geobox=geobox.zoom_out(0.5), chunks=_chunks(2 * chunk))
    lying = at_20["B05"].chunks
    averaged = {b: at_10[b].data.map_blocks(_mean_of_four, dtype=np.float32, chunks=lying) for b in TEN_METRES}
    return averaged | {b: at_20[b].data.map_blocks(_as_float, dtype=np.float32) for b in coarse}


def _geobox(item: pystac.Item) -> Any:
    transform = item.assets["SCL"].extra_fields["proj:transform"]
    shape = item.assets["SCL"].extra_fields["proj:shape"]
    return odc.geo.geobox.GeoBox(tuple(shape), rasterio.Affine(*transform[:6]), item.properties["proj:code"])


def _offset_dn(items: list[pystac.Item]) -> float:
    """The archive's one offset."""
    offsets = {item.assets[band].extra_fields["raster:offset"] for item in items for band in BANDS}
    (offset,) = offsets
    return float(offset) * 10_000


def _invalid(scl: xr.DataArray) -> dask.array.Array:
    def find(classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
        cloudy = np.isin(classes, _DILATED_CLASSES).view(np.uint8)
        # A square structure is separable: a maximum filter does it far quicker than binary_dilation.
        near = ndimage.maximum_filter(cloudy, size=(1, 2 * _MARGIN + 1, 2 * _MARGIN + 1), mode="constant")
        return (near > 0) | ~np.isin(classes, _KEPT_CLASSES)

    return scl.data.map_overlap(find, depth={0: 0, 1: _MARGIN, 2: _MARGIN}, boundary=0, dtype=bool)


def _mean_of_four(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Mean of 2 x 2 cells that are not nodata; sums of slices, which numpy does quicker than sums over short axes."""
    corners = [stored[:, row::2, col::2] for row in (0, 1) for col in (0, 1)]
    total = np.zeros(corners[0].shape, np.float32)
    count = np.zeros(corners[0].shape, np.uint8)
    for corner in corners:
        total += corner
        count += corner != 0
    with np.errstate(invalid="ignore"):
        return total / count


def _as_float(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    values = stored.astype(np.float32)
    values[stored == 0] = np.nan
    return values


def _masked(values: NDArray[np.float32], invalid: NDArray[np.bool_], offset: float) -> NDArray[np.float32]:
    shifted = values + np.float32(offset)
    shifted[..., invalid] = np.nan
    return shifted


def xarray_composite(
    catalog: Path, threads: int, threshold: float, *, tuned: bool, load_chunk: int = 512, chunk: int = 256
) -> dict[str, NDArray[np.floating]]:
    """The suite by the same rules: float layers by name, (bands, rows, columns) or (rows, columns), NaN where empty.

    ``load_chunk`` is the edge of what a task reads, ``chunk`` that of what a task works on along time.
    """
    stack = masked_stack(items_of(catalog), load_chunk, tuned=tuned)
    lazy = _rules(stack.chunk(time=-1, x=chunk, y=chunk), threshold, _median if tuned else _plain_median)
    with dask.config.set(scheduler="threads", num_workers=threads):
        return {name: layer.values for name, layer in dask.compute(lazy)[0].items()}


def _rules(
    stack: xr.DataArray, threshold: float, median: Callable[[xr.DataArray], xr.DataArray]
) -> dict[str, xr.DataArray]:
    blue, red, nir, swir = (stack.sel(band=band, drop=True) for band in ("B02", "B04", "B08", "B12"))
    summed = (nir + red > 0) & (nir + swir > 0)
    index = ((nir - red) / (nir + red) + (nir - swir) / (nir + swir)).where(summed)
    valid = blue.notnull()
    found_bare = (index <= threshold) & valid
    bare = found_bare & (blue <= _upper_limit(blue.where(found_bare), 3.0, median))
    kept = valid & (blue <= _upper_limit(blue, 4.0, median))
    bsc, vpc = bare.sum("time"), valid.sum("time")
    src, src_std = _moments(stack.where(bare))
    mref, mref_std = _moments(stack.where(kept))
    shown = bsc >= 3
    month = stack["time"].dt.month.values
    monthly = [bare[month == m].sum("time") / valid[month == m].sum("time") for m in range(1, 13)]
    mask = xr.where(found_bare.any("time"), 4, 2).where(bsc < 3, 1).where(vpc > 0, 0)
    return {
        "SRC": src.where(shown),
        "SRC-STD": src_std.where(shown),
        "SRC-CI95": (1.96 * src_std / np.sqrt(bsc)).where(shown),
        "MREF": mref,
        "MREF-STD": mref_std,
        "BSF": bsc / vpc,
        "BSC": bsc,
        "VPC": vpc,
        "SFREQ-MONTHLY": xr.concat(monthly, "month"),
        "MASK": mask,
    }


def _moments(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    return values.mean("time"), values.std("time", ddof=1)


def _upper_limit(values: xr.DataArray, sigma: float, median: Callable[[xr.DataArray], xr.DataArray]) -> xr.DataArray:
    middle = median(values)
    spread = 1.4826 * median(abs(values - middle))
    return np.maximum(middle + sigma * spread, middle + 80)


def _plain_median(values: xr.DataArray) -> xr.DataArray:
    return values.median("time")


def _median(values: xr.DataArray) -> xr.DataArray:
    return xr.apply_ufunc(
        _sorted_median,
        values,
        input_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[np.float64],
    )


def _sorted_median(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Median along the last axis without NaN. numpy's nanmedian does the same several times slower."""
    ordered = np.sort(values, axis=-1)
    count = ordered.shape[-1] - np.isnan(ordered).sum(axis=-1, keepdims=True)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[-1] - 1)
    pair = np.take_along_axis(ordered, low, -1).astype(np.float64) + np.take_along_axis(ordered, high, -1)
    return np.where(count > 0, pair / 2, np.nan)[..., 0]


def load_cube(catalog: Path, threads: int, chunk: int = 512) -> NDArray[np.float32]:
    """The masked stack in memory as geomad wants it: (rows, columns, bands, dates)."""
    stack = masked_stack(items_of(catalog), chunk, tuned=True)
    bands, dates, rows, cols = stack.shape
    cube = np.empty((rows, cols, bands, dates), np.float32)
    with dask.config.set(scheduler="threads", num_workers=threads):
        dask.array.store(stack.data, cube.transpose(2, 3, 0, 1), lock=False)
    return cube


def geometric_median(cube: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
    """geomad's geometric median of a cube: (rows, columns, bands), to 1 DN, that is 0.0001 of reflectance.

    Its own tolerance is meant for reflectance from 0 to 1; with DN it takes about a hundred times as long.
    """
    from geomad import nangeomedian_pcm

    median: NDArray[np.float32] = nangeomedian_pcm(cube, num_threads=threads, eps=1.0, maxiters=1000)
    return median


def differences(folder: Path, layers: dict[str, NDArray[np.floating]]) -> dict[str, tuple[int, float]]:
    """How the suite in ``folder`` differs from ``layers`` of :func:`xarray_composite`.

    By layer: cells that only one of the two has, and the largest difference in stored integers elsewhere, of which
    one half is the file's rounding.
    """
    wanted = {
        **{name: layers[name] for name in ("SRC", "SRC-STD", "SRC-CI95", "MREF", "MREF-STD")},
        "SFREQ": np.stack([layers["BSF"] * 1e4, *(np.where(layers["VPC"] > 0, layers[n], np.nan) for n in _COUNTS)]),
        "SFREQ-MONTHLY": layers["SFREQ-MONTHLY"] * 1e4,
        "MASK": layers["MASK"][np.newaxis],
    }
    found = {}
    for name, want in wanted.items():
        with rasterio.open(folder / f"{name}.tif") as dataset:
            stored = dataset.read()
            have = np.where(stored == dataset.nodata, np.nan, stored)
        gaps = np.isnan(have) != np.isnan(want)
        found[name] = (int(gaps.sum()), float(np.nanmax(np.abs(have - want), initial=0.0)))
    return found
