"""Coordinates of samples in metres, whatever the unit of their CRS."""

import numpy as np
import pyproj
from numpy.typing import NDArray
from odc.geo import CRS

from cup4soil.grids import crs_code


def metres_per_unit(crs: CRS) -> float:
    """Length of the unit of a projected CRS: 1 for metres, 0.3048... for feet."""
    return float(crs.proj.axis_info[0].unit_conversion_factor)


def unit_name(crs: CRS) -> str:
    """``m``, ``degrees``, or what the CRS calls its unit, such as ``US survey foot``."""
    if crs.geographic:
        return "degrees"
    return "m" if metres_per_unit(crs) == 1.0 else str(crs.proj.axis_info[0].unit_name)


def metric_coordinates(
    x: NDArray[np.float64], y: NDArray[np.float64], crs: CRS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions in metres: the samples' own where their CRS is projected, else in an equal-area one around them."""
    if not crs.geographic:
        return x * metres_per_unit(crs), y * metres_per_unit(crs)
    centre = f"+lat_0={y.mean():.4f} +lon_0={x.mean():.4f}"
    local = pyproj.CRS.from_proj4(f"+proj=laea {centre} +datum=WGS84 +units=m")
    east, north = pyproj.Transformer.from_crs(crs_code(crs), local, always_xy=True).transform(x, y)
    return np.asarray(east), np.asarray(north)
