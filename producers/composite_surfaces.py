"""The surfaces a composite is made with: threshold of the index, and land cover."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidRaster
from cup4soil.rasters.reading import read_on_grid

INDEX_RANGE = (-2.0, 2.0)
WORLD_COVER = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100)


def read_threshold(threshold: float | Path, geobox: GeoBox) -> NDArray[np.floating]:
    """Largest index that counts as bare, (rows, columns): a number, or a raster read bilinearly, NaN where missing.

    Raises:
        InvalidRaster: when the raster holds what no index can be.
    """
    if isinstance(threshold, float):
        return np.full(geobox.shape, threshold, dtype=np.float64)
    surface: NDArray[np.floating] = read_on_grid(threshold, geobox)[0]
    low, high = INDEX_RANGE
    odd = surface[(surface < low) | (surface > high)]
    if odd.size:
        raise InvalidRaster(
            f"{threshold} holds the threshold {odd[0]:g}, outside the index's range {low:g} to {high:g}",
            "give PVIR2 itself, or set the raster's scale",
        )
    return surface


def read_land_cover(path: Path, geobox: GeoBox) -> NDArray[np.floating]:
    """WorldCover codes by the nearest cell, (rows, columns), NaN outside the raster; its code 0 is a class, too.

    Raises:
        InvalidRaster: when the raster holds other codes.
    """
    codes: NDArray[np.floating] = read_on_grid(path, geobox, categorical=True, keep_nodata=True)[0]
    odd = codes[~np.isin(codes, WORLD_COVER) & ~np.isnan(codes)]
    if odd.size:
        raise InvalidRaster(f"{path} holds the code {odd[0]:g}, which is none of WorldCover's", "translate its classes")
    return codes
