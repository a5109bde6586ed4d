"""What lies under the centres of pixels, against pyproj and the cells one by one."""

import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.grids import crs_code, crs_of
from cup4soil.rasters.coverage import Handles
from processors.coverage_catalog import CoverageCatalog
from processors.map_reader import parts_of, read_values
from tests.processors.coverages import worlds
from tests.processors.maps.conftest import COLLECTION, LEFT, TOP, MapWorld


def looked_up(world: MapWorld, grid: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scaled mean under every pixel's centre, NaN where there is none; and where a cell's edge is not near."""
    rows, cols = np.mgrid[0 : grid.shape[0], 0 : grid.shape[1]] + 0.5
    x, y = grid.affine @ (cols, rows)
    to_native = pyproj.Transformer.from_crs(crs_code(crs_of(grid)), 3035, always_xy=True)
    col, row = ~world.grid.affine @ to_native.transform(x, y)
    clear = (np.abs(col - np.rint(col)) > 0.12) & (np.abs(row - np.rint(row)) > 0.12)
    inside = (row >= 0) & (row < 800) & (col >= 0) & (col < 1100)
    stored = np.full(grid.shape, worlds.NODATA, dtype=np.int16)
    stored[inside] = world.mosaic[row[inside].astype(int), col[inside].astype(int)]
    return np.where(stored == worlds.NODATA, np.nan, stored * 0.1), clear


def read(world: MapWorld, grid: GeoBox) -> NDArray[np.float32]:
    coverage = CoverageCatalog(world.store).coverage(COLLECTION)
    handles = Handles()
    values = read_values(handles, parts_of(coverage, grid), [coverage.fields["mean"]], grid)
    handles.close()
    return np.full(grid.shape, np.nan, dtype=np.float32) if values is None else values[0]


def mercator(x: float, y: float, size: float, pixels: int = 128) -> GeoBox:
    return GeoBox((pixels, pixels), Affine(size, 0, x, 0, -size, y), "EPSG:3857")


def corner(east: float, north: float) -> tuple[float, float]:
    return pyproj.Transformer.from_crs(3035, 3857, always_xy=True).transform(east, north)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dx=st.floats(-8_000, 26_000), dy=st.floats(-20_000, 8_000), size=st.floats(2.0, 60.0))
def test_native_cells_are_found(map_world: MapWorld, dx: float, dy: float, size: float) -> None:
    """A pixel up to twice a cell's size (Web Mercator doubles lengths here) shows the cell under its centre."""
    grid = mercator(*corner(LEFT + dx, TOP + dy), size)
    expected, clear = looked_up(map_world, grid)
    np.testing.assert_allclose(read(map_world, grid)[clear], expected[clear], atol=1e-3)


def test_same_crs_is_exact(map_world: MapWorld) -> None:
    grid = GeoBox((300, 400), Affine(20, 0, LEFT + 8_000, 0, -20, TOP - 1_000), "EPSG:3035")
    expected, _ = looked_up(map_world, grid)
    np.testing.assert_allclose(read(map_world, grid), expected, atol=1e-3)


@pytest.mark.parametrize("crs", ["EPSG:3035", "EPSG:3857"])
def test_coarse_pixels_show_means(map_world: MapWorld, crs: str) -> None:
    """The field is smooth: a mean over a pixel is near the value at its centre, and near the neighbours' extremes."""
    x, y = (LEFT, TOP) if crs == "EPSG:3035" else corner(LEFT, TOP)
    grid = GeoBox((40, 50), Affine(400, 0, x, 0, -400, y), crs)
    expected, _ = looked_up(map_world, grid)
    found = read(map_world, grid)
    both = np.isfinite(found) & np.isfinite(expected)
    assert both.sum() > 0.9 * np.isfinite(expected).sum()
    assert np.abs(found - expected)[both].mean() < 1.5


def test_tiles_join_without_seams(map_world: MapWorld) -> None:
    x, y = corner(LEFT + 6_000, TOP - 4_000)
    whole = read(map_world, mercator(x, y, 150, 128))
    right = read(map_world, mercator(x + 64 * 150, y, 150, 64))
    # Positions are interpolated between other points: a hair's breadth from an edge a neighbour may be taken.
    same = np.isclose(whole[:64, 64:], right, equal_nan=True)
    assert same.mean() > 0.97


def test_far_away_nothing_is_read(map_world: MapWorld) -> None:
    coverage = CoverageCatalog(map_world.store).coverage(COLLECTION)
    assert parts_of(coverage, mercator(-1e6, -1e6, 100)) == ()
    # The whole world is one pixel or less of the collection, and projects without an error.
    world = mercator(-20037508.34, 20037508.34, 156543.03, 256)
    assert len(parts_of(coverage, world)) == 2
    assert np.isfinite(read(map_world, world)).sum() <= 4
