"""Windows of stored rasters at a reduced size, straight from their overviews."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterioWindow

from cup4soil.grids import Window
from cup4soil.rasters.coverage import Handles


def read_reduced(
    handles: Handles,
    path: Path,
    grid: GeoBox,
    bands: Sequence[int],
    window: Window,
    shape: tuple[int, int],
    *,
    categorical: bool,
) -> NDArray[np.integer]:
    """Stored integers of ``window``, which lies inside the file's ``grid``, in ``shape``: (bands, rows, columns).

    Where a window has the size and the place of cells of an overview, they are that overview's cells; else means
    of what is valid (nearest for categories). ``bands`` are counted from 1.

    Raises:
        StoreError: when the file is missing or cannot be read.
    """
    with handles.take(path, grid) as dataset:
        values: NDArray[np.integer] = dataset.read(
            list(bands),
            window=RasterioWindow(window.col, window.row, window.width, window.height),
            out_shape=(len(bands), *shape),
            resampling=Resampling.nearest if categorical else Resampling.average,
        )
    return values
