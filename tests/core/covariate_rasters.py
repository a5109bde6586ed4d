"""Small rasters for the tests of covariates."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

LEFT, TOP, ROWS, COLS = 600_000.0, 5_000_000.0, 30, 40


def write_raster(path: Path, values: Any, *, left=LEFT, top=TOP, cell=20.0, crs="EPSG:32633", nodata=None, names=()):
    values = np.atleast_3d(values) if np.ndim(values) == 2 else values
    values = values.transpose(2, 0, 1) if values.shape[-1] == 1 and values.ndim == 3 else values
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[1], width=values.shape[2], count=values.shape[0],
        dtype=values.dtype, crs=crs, transform=from_origin(left, top, cell, cell), nodata=nodata,
    ) as dataset:  # fmt: skip
        dataset.write(values)
        for index, name in enumerate(names, 1):
            dataset.set_band_description(index, name)
    return path


def field(seed: int, rows: int = ROWS, cols: int = COLS) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, cols)).astype(np.float32)
