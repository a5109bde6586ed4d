"""Writing a whole array as a plain tiled GeoTIFF: small, quick to read many times, without overviews."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.grids import crs_code, crs_of
from cup4soil.rasters.writing import writing_raster

_TILE = 256
_DTYPES = ("uint8", "uint16", "int16", "float32")


def write_plain(
    path: Path,
    values: NDArray[np.generic],
    geobox: GeoBox,
    *,
    nodata: float | None = None,
    names: Sequence[str] = (),
    scale: float = 1.0,
    offset: float = 0.0,
) -> None:
    """Write ``values`` of shape (bands, rows, columns) or (rows, columns) on ``geobox`` to ``path``.

    ``names`` describes the bands; ``scale`` and ``offset`` say how stored integers become values. The
    bytes depend on the arguments alone.

    Raises:
        StoreError: when the file cannot be written.
        ValueError: when shape, type or names do not fit the grid.
    """
    bands = values[np.newaxis] if values.ndim == 2 else values
    _check(bands, geobox, names)
    with (
        writing_raster(path),
        rasterio.Env(GDAL_PAM_ENABLED="NO"),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=bands.shape[1],
            width=bands.shape[2],
            count=bands.shape[0],
            dtype=bands.dtype.name,
            nodata=nodata,
            crs=crs_code(crs_of(geobox)),
            transform=geobox.affine,
            tiled=True,
            blockxsize=_TILE,
            blockysize=_TILE,
            compress="DEFLATE",
            zlevel=1,
            predictor=_predictor(bands.dtype),
            interleave="band",
        ) as dataset,
    ):
        if scale != 1.0 or offset != 0.0:
            dataset.scales, dataset.offsets = (scale,) * dataset.count, (offset,) * dataset.count
        for index, name in enumerate(names, 1):
            dataset.set_band_description(index, name)
        dataset.write(bands)


def _check(bands: NDArray[np.generic], geobox: GeoBox, names: Sequence[str]) -> None:
    if bands.ndim != 3 or bands.shape[1:] != tuple(geobox.shape):
        raise ValueError(f"array of shape {bands.shape} on a grid of {tuple(geobox.shape)}")
    if bands.dtype.name not in _DTYPES:
        raise ValueError(f"array of {bands.dtype} where one of {', '.join(_DTYPES)} was expected")
    if names and len(names) != bands.shape[0]:
        raise ValueError(f"{len(names)} names for {bands.shape[0]} bands")


def _predictor(dtype: np.dtype[np.generic]) -> int:
    """Differences help continuous integers, the float predictor floats; classes compress best as they are."""
    return {"uint8": 1, "float32": 3}.get(dtype.name, 2)
