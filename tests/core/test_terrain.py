"""Shape of surfaces whose answer is known, against gdaldem and pysheds, and by brute force."""

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from cup4soil.methods.flow import contributing_area, topographic_wetness
from cup4soil.methods.flow_kernels import accumulate, fill_and_order, share_lower
from cup4soil.methods.terrain import extended, facing, position_index, relative_height, roughness, slope_percent
from cup4soil.methods.valley_bottoms import flatness_of_valleys_and_ridges, scales_of
from cup4soil.rasters.terrain_surface import surface_of
from tests.core.covariate_rasters import write_raster

CELL, SIZE = 10.0, 61


def place() -> tuple[np.ndarray, np.ndarray]:
    """Easting and northing (m) from the middle."""
    rows, cols = np.mgrid[:SIZE, :SIZE]
    return (cols - SIZE // 2) * CELL, (SIZE // 2 - rows) * CELL


X, Y = place()
INSIDE = (slice(3, -3), slice(3, -3))


def smooth(seed: int, size: int = SIZE, height: float = 40.0) -> np.ndarray:
    """Hills of several sizes."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:size, :size] / 61
    waves = sum(
        rng.normal() / n * np.sin(n * (rows * math.cos(a) + cols * math.sin(a)) * 3 + rng.uniform(0, 6))
        for n, a in zip(range(1, 9), rng.uniform(0, math.pi, 8), strict=True)
    )
    return (500 + height * waves).astype(np.float32)


# Slope, aspect, curvature


@pytest.mark.parametrize(
    ("east", "north", "aspect"), [(0.1, 0, 270), (-0.1, 0, 90), (0, 0.2, 180), (0, -0.2, 0), (-0.1, -0.1, 45)]
)
def test_a_plane_has_its_slope_and_aspect_also_at_the_edge(east: float, north: float, aspect: float) -> None:
    plane = (300 + east * X + north * Y).astype(np.float32)
    plane[20:23, 30:33] = np.nan
    surface = surface_of(plane, CELL)
    known = np.isfinite(plane)
    np.testing.assert_array_equal(np.isfinite(surface.slope_deg), known)
    np.testing.assert_allclose(surface.slope_deg[known], math.degrees(math.atan(math.hypot(east, north))), atol=2e-3)
    north_wards, east_wards = facing(surface.slope_deg, surface.aspect_deg)
    np.testing.assert_allclose(north_wards[known], math.cos(math.radians(aspect)), atol=2e-3)
    np.testing.assert_allclose(east_wards[known], math.sin(math.radians(aspect)), atol=2e-3)
    np.testing.assert_allclose(surface.profile_curvature_per_m[known], 0, atol=1e-5)
    np.testing.assert_allclose(slope_percent(plane, CELL)[INSIDE][:10], 100 * math.hypot(east, north), rtol=1e-3)


def test_level_ground_faces_nowhere() -> None:
    surface = surface_of(np.full((20, 20), 7, np.float32), CELL)
    north, east = facing(surface.slope_deg, surface.aspect_deg)
    assert np.abs(surface.slope_deg).max() < 1e-4
    assert (north == 0).all()
    assert (east == 0).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_paraboloid_has_the_curvatures_of_its_formula(sign: int) -> None:
    a = sign * 2e-4
    surface = surface_of((1000 - a * (X**2 + Y**2)).astype(np.float32), CELL)
    steep = 2 * a * np.hypot(X, Y)
    away = np.hypot(X, Y) > 50
    inner = np.zeros_like(away)
    inner[INSIDE] = away[INSIDE]
    np.testing.assert_allclose(surface.slope_deg[inner], np.degrees(np.arctan(np.abs(steep)))[inner], atol=0.02)
    profile, across = 2 * a / (1 + steep**2) ** 1.5, 2 * a / np.sqrt(1 + steep**2)
    np.testing.assert_allclose(surface.profile_curvature_per_m[inner], profile[inner], rtol=0.02)
    np.testing.assert_allclose(surface.tangential_curvature_per_m[inner], across[inner], rtol=0.02)


def test_a_cone_bends_across_and_a_ridge_does_not() -> None:
    cone = surface_of((1000 - 0.2 * np.hypot(X, Y)).astype(np.float32), CELL)
    far = np.zeros(X.shape, bool)
    far[INSIDE] = (np.hypot(X, Y) > 150)[INSIDE]
    expected = 0.2 / np.hypot(X, Y)[far] / math.sqrt(1.04)
    np.testing.assert_allclose(cone.tangential_curvature_per_m[far], expected, rtol=0.05)
    np.testing.assert_allclose(cone.profile_curvature_per_m[far], 0, atol=2e-5)
    ridge = surface_of((1000 - 3e-4 * X**2).astype(np.float32), CELL)
    np.testing.assert_allclose(ridge.tangential_curvature_per_m[INSIDE], 0, atol=2e-5)
    assert (ridge.profile_curvature_per_m[INSIDE] > 3e-4).all()


def test_slope_and_aspect_are_those_of_gdaldem(tmp_path: Path) -> None:
    if shutil.which("gdaldem") is None:
        pytest.skip("gdaldem is not installed")
    hills = smooth(1)
    dem = write_raster(tmp_path / "dem.tif", hills, cell=CELL)
    surface = surface_of(hills, CELL)
    for what, ours in (("slope", surface.slope_deg), ("aspect", surface.aspect_deg)):
        subprocess.run(["gdaldem", what, dem, tmp_path / f"{what}.tif"], check=True, capture_output=True)
        with rasterio.open(tmp_path / f"{what}.tif") as dataset:
            theirs = dataset.read(1)
        steep = surface.slope_deg[INSIDE] > 1
        difference = (ours[INSIDE] - theirs[INSIDE])[steep]
        difference = (difference + 180) % 360 - 180
        # Two fits, of 5 x 5 and of 3 x 3 cells.
        assert np.quantile(np.abs(difference), 0.95) < (0.5 if what == "slope" else 3)
        assert abs(difference.mean()) < 0.5
    rows, cols = 20, 30
    around = hills[rows - 1 : rows + 2, cols - 1 : cols + 2]
    assert roughness(hills)[rows, cols] == pytest.approx(np.abs(around - hills[rows, cols]).max())


def test_elevation_is_continued_in_straight_lines() -> None:
    plane = (0.3 * X - 0.1 * Y).astype(np.float32)
    cut = plane.copy()
    cut[:2], cut[30:32, 40:42] = np.nan, np.nan
    np.testing.assert_allclose(extended(cut, 2)[:32, 3:], plane[:32, 3:], atol=0.15)
    np.testing.assert_allclose(extended(cut, 2)[30:32, 40:42], plane[30:32, 40:42], atol=1e-3)
    alone = np.full((5, 5), np.nan, np.float32)
    alone[2, 2] = 4
    np.testing.assert_array_equal(extended(alone, 1)[1:4, 1:4], 4)


# Position


def test_positions_are_those_of_brute_force() -> None:
    hills = smooth(2, 30)
    hills[5:9, 6] = np.nan
    for radius in (1, 4):
        index, share = position_index(hills, radius), relative_height(hills, radius)
        for row in range(0, 30, 3):
            for col in range(30):
                square = hills[max(0, row - radius) : row + radius + 1, max(0, col - radius) : col + radius + 1]
                if np.isnan(hills[row, col]):
                    assert np.isnan([index[row, col], share[row, col]]).all()
                    continue
                low, high = np.nanmin(square), np.nanmax(square)
                assert index[row, col] == pytest.approx(hills[row, col] - np.nanmean(square), abs=1e-3)
                assert share[row, col] == pytest.approx((hills[row, col] - low) / (high - low), abs=1e-4)


def test_level_ground_lies_in_the_middle() -> None:
    flat = np.full((9, 9), 3, np.float32)
    assert (relative_height(flat, 2) == 0.5).all()
    np.testing.assert_allclose(position_index(flat, 2), 0, atol=1e-6)


# Flow


def test_flow_down_a_plane_gathers_row_by_row() -> None:
    area = contributing_area(np.repeat(np.arange(20.0, 0, -1)[:, None], 5, axis=1), CELL, exponent=30)
    np.testing.assert_allclose(area, np.repeat(np.arange(1.0, 21)[:, None], 5, axis=1) * CELL**2, rtol=1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), gaps=st.floats(0, 0.3))
def test_all_water_leaves_and_none_is_made(seed: int, gaps: float) -> None:
    """On rough ground with pits, plains and holes: what leaves at the borders is what fell."""
    rng = np.random.default_rng(seed)
    ground = np.round(rng.normal(size=(17, 23)), 1)
    ground[rng.random(ground.shape) < gaps] = np.nan
    filled, order = fill_and_order(ground, 1e-5)
    known = np.isfinite(ground)
    assert np.array_equal(np.sort(order), np.flatnonzero(known))
    assert (np.diff(filled.ravel()[order]) >= 0).all()
    assert (filled[known] >= ground[known]).all()
    total = accumulate(filled, order, 1.1)
    padded = np.pad(filled, 1, constant_values=np.nan)
    around = np.stack([padded[1 + i : 18 + i, 1 + j : 24 + j] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j])
    sinks = known & ~(around < filled).any(axis=0)
    assert total[sinks].sum() == pytest.approx(known.sum())
    assert (np.isnan(around).any(axis=0))[sinks].all()  # nowhere but at a border


def test_filling_raises_to_the_lowest_way_out() -> None:
    """Against the definition: the least, over all ways to the edge, of the highest point on the way."""
    ground = np.round(np.random.default_rng(4).normal(size=(9, 9)), 1)
    filled, _ = fill_and_order(ground, 0.0)
    level = np.where(np.pad(np.zeros((7, 7), bool), 1, constant_values=True), ground, np.inf)
    for _ in range(81):
        padded = np.pad(level, 1, constant_values=np.inf)
        around = np.min([padded[1 + i : 10 + i, 1 + j : 10 + j] for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
        level = np.minimum(level, np.maximum(ground, around))
    np.testing.assert_array_equal(filled, level)


def test_flow_is_that_of_pysheds() -> None:
    """Water divided in proportion to the slope, on hills without depressions."""
    from affine import Affine
    from pysheds.sgrid import sGrid
    from pysheds.sview import Raster, ViewFinder

    cone = 1000 - 0.05 * X - 0.03 * Y + 3e-5 * X * Y + 2 * np.sin(X / 100)
    view = ViewFinder(affine=Affine(CELL, 0, 0, 0, -CELL, 0), shape=cone.shape, nodata=np.float64(np.nan))
    grid, dem = sGrid(viewfinder=view), Raster(cone.astype(np.float64), view)
    theirs = np.asarray(grid.accumulation(grid.flowdir(dem, routing="mfd"), routing="mfd"))
    filled, order = fill_and_order(cone, 1e-5)
    ours = accumulate(filled, order, 1.0)
    assert np.array_equal(filled, cone)
    # Along the outermost cells pysheds hands nothing on: what follows from that lies within the first rows.
    inner = (slice(20, -1), slice(1, -1))
    np.testing.assert_allclose(ours[inner], theirs[inner], rtol=1e-6)
    assert np.isclose(ours, theirs, rtol=0.02).mean() > 0.97


def test_water_flows_into_gaps_and_not_around_them() -> None:
    ground = np.repeat(np.arange(30.0, 0, -1)[:, None], 21, axis=1)
    ground[10:12, 8:13] = np.nan
    area = contributing_area(ground, 1.0, exponent=30)
    assert area[12, 10] == pytest.approx(1, abs=0.1)
    assert area[9, 10] == pytest.approx(10, abs=0.1)
    assert np.isnan(area[10, 10])


def test_wetness_is_its_formula() -> None:
    area, slope = np.array([500.0, 500.0]), np.array([10.0, 0.0])
    expected = [math.log(50 / math.tan(math.radians(10))), math.log(50 / 1e-3)]
    np.testing.assert_allclose(topographic_wetness(area, slope, 10.0), expected)


# Valley bottoms


def test_share_lower_is_that_of_brute_force() -> None:
    hills = smooth(5, 20)
    hills[3, 4:8] = np.nan
    found = share_lower(hills, 3)
    for row in range(20):
        for col in range(20):
            if np.isnan(hills[row, col]):
                assert np.isnan(found[row, col])
                continue
            near = [
                hills[i, j] < hills[row, col]
                for i in range(20) for j in range(20)
                if 0 < (i - row) ** 2 + (j - col) ** 2 <= 9 and np.isfinite(hills[i, j])
            ]  # fmt: skip
            assert found[row, col] == pytest.approx(np.mean(near))


def valley(width: float) -> np.ndarray:
    """A level floor of this width (m) between slopes of 30 %, cells of 25 m."""
    cols = np.arange(240) * 25.0 - 3000
    return np.tile(100 + 0.3 * np.maximum(0, np.abs(cols) - width / 2), (240, 1)).astype(np.float32)


def test_broader_valleys_have_a_higher_flatness_and_slopes_none() -> None:
    floors = []
    for width in (100, 400, 1500):
        bottom, top = flatness_of_valleys_and_ridges(valley(width), 25.0)
        assert bottom[120, 40] < 0.5
        assert top[120, 120] < 0.5 or width > 400
        floors.append(bottom[120, 120])
    assert floors[0] < floors[1] < floors[2]
    assert floors[0] > 0.5
    assert floors[2] > 2.5


def test_ridges_are_valleys_upside_down() -> None:
    hills = smooth(6, 90, 80)
    hills[10:14, 50:60] = np.nan
    bottom, top = flatness_of_valleys_and_ridges(hills, 25.0)
    upside_down = flatness_of_valleys_and_ridges(1000 - hills, 25.0)
    np.testing.assert_allclose(bottom, upside_down[1], atol=0.02)
    np.testing.assert_allclose(top, upside_down[0], atol=0.02)
    np.testing.assert_array_equal(np.isnan(bottom), np.isnan(hills))
    assert bottom[np.isfinite(bottom)].min() >= 0
    assert np.nanmax(bottom) <= scales_of(hills.shape)


@pytest.mark.parametrize(("edge", "scales"), [(16, 2), (39, 3), (117, 4), (100_000, 8)])
def test_scales_follow_from_the_width_of_the_model(edge: int, scales: int) -> None:
    assert scales_of((edge, edge * 2)) == scales
