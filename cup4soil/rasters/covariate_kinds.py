"""Rasters that look like classes though nobody declared them so."""

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from cup4soil.rasters.covariate_files import CovariateFile
from cup4soil.rasters.reading import open_raster

# As many values as a legend may have; numbers that vary over space take more.
MAX_CLASSES = 30
_MANY = 12
_LEAST_CELLS = 100
_EDGE = 512


def looks_like_classes(file: CovariateFile) -> dict[str, int]:
    """Bands whose values are few whole numbers, and how many different ones a sample of their cells has.

    Of a large raster every n-th cell is looked at, 512 x 512 at most.
    """
    with open_raster(file.location) as dataset:
        step = max(1, -(-max(dataset.shape) // _EDGE))
        shape = (len(file.bands), -(-dataset.height // step), -(-dataset.width // step))
        cells = dataset.read(list(file.bands), out_shape=shape, masked=True, resampling=Resampling.nearest)
    found = {}
    for name, band in zip(file.names, cells, strict=True):
        stored = band.compressed()
        stored = stored[np.isfinite(stored)]
        if stored.size < _LEAST_CELLS:
            continue
        values = np.unique(stored)
        if 1 < values.size <= MAX_CLASSES and np.array_equal(values, np.round(values)) and not _rounded(values):
            found[name] = int(values.size)
    return found


def _rounded(values: NDArray[np.generic]) -> bool:
    """True for many values at equal steps larger than 1: a quantity that was rounded, not codes."""
    steps = np.diff(values.astype(np.float64))
    return bool(values.size > _MANY and steps[0] > 1 and np.all(steps == steps[0]))
