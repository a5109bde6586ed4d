"""Slope, aspect and curvature of an elevation model, by xDEM."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.terrain import extended

# Half the window of the fit, and cells beyond a window that its values depend on where elevation is continued.
_HALF_FIT = 2
MARGIN = 8

type Array = NDArray[np.float32]


class Surface(NamedTuple):
    """Shape of the surface, (rows, columns) each; curvatures are positive where it is convex.

    ``aspect_deg`` is the direction of descent, clockwise from north.
    """

    slope_deg: Array
    aspect_deg: Array
    profile_curvature_per_m: Array
    tangential_curvature_per_m: Array


def surface_of(elevation: Array, cell_m: float) -> Surface:
    """Shape of ``elevation`` (m), (rows, columns) of square cells; NaN where it is missing.

    Two cells beyond the border of what is known, elevation is continued in straight lines.
    Slope and curvature are those of the polynomial that Florinsky (2009, Int. J. Geogr. Inf. Sci. 23, 213-231) fits
    to 5 x 5 cells.
    """
    # Slow to import, and needed by one command alone.
    from xdem.terrain import get_terrain_attribute  # type: ignore[import-untyped]

    names = ["slope", "aspect", "profile_curvature", "tangential_curvature"]
    around = np.pad(elevation.astype(np.float32), _HALF_FIT, constant_values=np.nan)
    found = get_terrain_attribute(
        extended(around, _HALF_FIT), names, resolution=cell_m, surface_fit="Florinsky",
        curv_method="geometric", engine="scipy",
    )  # fmt: skip
    inner = (slice(_HALF_FIT, -_HALF_FIT),) * 2
    slope, aspect, profile, tangential = (_where_known(each[inner], elevation) for each in found)
    # xDEM gives curvatures per 100 m.
    return Surface(slope, aspect, profile / np.float32(100), tangential / np.float32(100))


def _where_known(values: NDArray[np.floating], elevation: Array) -> Array:
    return np.where(np.isfinite(elevation), values, np.nan).astype(np.float32)
