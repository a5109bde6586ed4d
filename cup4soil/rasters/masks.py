"""Which cells of a grid an area holds."""

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask
from shapely.geometry.base import BaseGeometry


def cells_inside(area: BaseGeometry, geobox: GeoBox) -> NDArray[np.bool_]:
    """Cells of ``geobox`` whose centre lies in ``area`` (in the grid's CRS)."""
    outside = geometry_mask([area], out_shape=(geobox.shape[0], geobox.shape[1]), transform=geobox.affine)
    inside: NDArray[np.bool_] = ~outside
    return inside
