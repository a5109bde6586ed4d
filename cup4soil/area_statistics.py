"""Statistics of a soil map over an area, gathered block by block from its stored integers."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.areas import WGS84
from cup4soil.grids import Window, crs_code, crs_of
from cup4soil.properties import SoilProperty
from cup4soil.soil_maps import MAP_NODATA

_VALUES = 2**16
_M2_PER_HA = 10_000.0
_DECIMALS = 4
NOTES = (
    "mean, median, q05 and q95 describe how the predicted means of the cells are spread over the area; q05 and q95"
    " are no interval of the area's mean.",
    "mean_interval_width is the mean width of the 90 % prediction intervals of single cells. The mean of an area has"
    " an interval of its own, which needs the spatial correlation of the errors; it is not given here.",
)


class AreaStatistics:
    """Counts the blocks of a map of ``prop`` on ``geobox``; see :meth:`to_dict`.

    Quantiles are exact: the stored means are counted by value.
    """

    def __init__(self, prop: SoilProperty, geobox: GeoBox) -> None:
        self._prop = prop
        self._geobox = geobox
        self._counts = np.zeros(_VALUES, dtype=np.int64)
        self._rows = np.zeros(geobox.shape[0], dtype=np.int64)
        self._asked = self._inside = 0
        self._sum_inside = self._sum_width = 0

    def add(self, window: Window, stored: Mapping[str, NDArray[np.integer]], asked: int) -> None:
        """Take in one block: its stored integers by layer, and how many of its cells were asked for."""
        mean = stored["mean"]
        valid, inside = mean != MAP_NODATA, stored["aoa"] == 1
        self._asked += asked
        self._counts += np.bincount(mean[valid].astype(np.int64) - MAP_NODATA, minlength=_VALUES)
        self._rows[window.slices[0]] += valid.sum(axis=1)
        self._inside += int(inside.sum())
        self._sum_inside += int(mean[inside].sum(dtype=np.int64))
        self._sum_width += int(stored["pi90"][valid].sum(dtype=np.int64))

    def to_dict(self) -> dict[str, Any]:
        """The figures, in the property's unit, with what they mean; of an area with at least one mapped cell."""
        mapped = int(self._counts.sum())
        mean = float(np.arange(_VALUES) @ self._counts) / mapped + MAP_NODATA
        q05, median, q95 = _quantiles(self._counts, (0.05, 0.5, 0.95))
        return {
            "property": self._prop.code,
            "unit": self._prop.unit,
            "cells": self._asked,
            "mapped_cells": mapped,
            "area_ha": _rounded(float(self._rows @ row_cell_areas_ha(self._geobox))),
            "mean": self._scaled(mean),
            "median": self._scaled(median),
            "q05": self._scaled(q05),
            "q95": self._scaled(q95),
            "mean_interval_width": self._scaled(self._sum_width / mapped),
            "inside_percent": _rounded(100.0 * self._inside / mapped),
            "mean_inside": self._scaled(self._sum_inside / self._inside) if self._inside else None,
            "notes": list(NOTES),
        }

    def _scaled(self, stored: float) -> float:
        return _rounded(stored / self._prop.factor)


def row_cell_areas_ha(geobox: GeoBox) -> NDArray[np.float64]:
    """Area on the ellipsoid (ha) of one cell in each row of ``geobox``: the mean over the row."""
    crs = crs_of(geobox)
    rows, cols = geobox.shape
    own = geobox.affine
    north = np.asarray(own.f + own.e * np.arange(rows + 1), dtype=np.float64)
    lines = [_in_degrees(np.full(rows + 1, east), north, crs_code(crs)) for east in (own.c, own.c + own.a * cols)]
    (west_lon, west_lat), (east_lon, east_lat) = lines
    geod = pyproj.CRS(crs_code(crs)).get_geod() or pyproj.Geod(ellps="WGS84")
    areas = np.empty(rows)
    for row in range(rows):
        pair, back = [row, row + 1], [row + 1, row]
        lons = np.concatenate([west_lon[pair], east_lon[back]])
        lats = np.concatenate([west_lat[pair], east_lat[back]])
        areas[row] = abs(geod.polygon_area_perimeter(lons, lats)[0])
    return areas / (cols * _M2_PER_HA)


def _in_degrees(
    x: NDArray[np.float64], y: NDArray[np.float64], code: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lon, lat = _to_degrees(code).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


@lru_cache(maxsize=16)
def _to_degrees(code: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(code, crs_code(WGS84), always_xy=True)


def _quantiles(counts: NDArray[np.int64], levels: Sequence[float]) -> list[float]:
    """Quantiles of integers counted from ``MAP_NODATA`` on, interpolated linearly between neighbours."""
    below = np.cumsum(counts)
    found = []
    for level in levels:
        place = level * (int(below[-1]) - 1)
        first = int(np.searchsorted(below, int(place), side="right"))
        second = int(np.searchsorted(below, min(int(place) + 1, int(below[-1]) - 1), side="right"))
        found.append(first + (place - int(place)) * (second - first) + MAP_NODATA)
    return found


def _rounded(value: float) -> float:
    return round(value, _DECIMALS)
