"""Compiled loops over one scene against scipy, numpy and GDAL."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.warp import reproject
from scipy import ndimage

from cup4soil.methods.scene_kernels import (
    average_to_reflectance,
    halve_to_reflectance,
    mark_invalid,
    to_reflectance,
    warp_bilinear,
)

INVALID, GROWN = (0, 1, 2, 3, 7, 8, 9, 10, 11), (3, 8, 9, 10)
HALF_CELL = 0.5


def table(codes, dtype):
    return np.isin(np.arange(256), codes).astype(dtype)


def marked(classes, reach):
    invalid = np.empty((classes.shape[0] - 2 * reach, classes.shape[1] - 2 * reach), np.bool_)
    mark_invalid(classes, table(INVALID, np.bool_), table(GROWN, np.uint8), reach, invalid)
    return invalid


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.sampled_from((1, 2, 11, 30)),
    cols=st.sampled_from((1, 5, 12, 40)),
    reach=st.sampled_from((0, 1, 5)),
    clouds=st.sampled_from((0.0, 0.003, 0.05, 1.0)),
)
def test_cloud_borders_equal_binary_dilation(seed, rows, cols, reach, clouds):
    """Clouds anywhere, in the corners of the margin too, which decide of the corner cells only."""
    rng = np.random.default_rng(seed)
    classes = rng.choice([4, 5, 6, 4, 5, 6, 7, 2, 255], (rows + 2 * reach, cols + 2 * reach)).astype(np.uint8)
    cloudy = rng.random(classes.shape) < clouds
    classes[cloudy] = rng.choice(GROWN, cloudy.sum())
    classes[0, 0] = rng.choice([3, 5])
    near = ndimage.binary_dilation(np.isin(classes, GROWN), structure=np.ones((2 * reach + 1, 2 * reach + 1)))
    inner = slice(reach, reach + rows), slice(reach, reach + cols)
    np.testing.assert_array_equal(marked(classes, reach), (near | np.isin(classes, INVALID))[inner])


def test_one_cloud_reaches_five_cells_in_every_direction_and_no_further():
    classes = np.full((31, 31), 5, np.uint8)
    classes[15, 15] = 9
    rows, cols = np.nonzero(marked(classes, 5))
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (5, 15, 5, 15)
    assert rows.size == 121


def plain_mean(stored, factor, nodata, gain, offset):
    values = stored.astype(np.float64)
    values[(stored == nodata) | np.isnan(values)] = np.nan
    rows, cols = (n // factor for n in stored.shape)
    cells = values.reshape(rows, factor, cols, factor).transpose(0, 2, 1, 3).reshape(rows, cols, -1)
    known = (~np.isnan(cells)).sum(axis=2)
    with np.errstate(invalid="ignore"):
        return np.nansum(cells, axis=2) / np.where(known, known, np.nan) * gain + offset


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 9),
    cols=st.sampled_from((1, 7, 8, 33)),
    factor=st.sampled_from((1, 2, 3)),
    dtype=st.sampled_from(("uint16", "int16", "uint8", "float32")),
    nodata=st.sampled_from((0.0, 7.0)),
    scaling=st.sampled_from(((1.0, 0.0), (1.0, -1000.0), (0.5, 12.5))),
)
def test_means_equal_numpy(seed, rows, cols, factor, dtype, nodata, scaling):
    """Means of one, two, three or four cells are not rounded: they agree to float32, thirds too."""
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 250 if dtype == "uint8" else 16_000, (rows * factor, cols * factor)).astype(dtype)
    stored[rng.random(stored.shape) < 0.4] = nodata
    gain, offset = map(np.float32, scaling)
    found = np.empty((rows, cols), np.float32)
    average_to_reflectance(stored, factor, nodata, gain, offset, found)
    want = plain_mean(stored, factor, nodata, *scaling)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(want))
    np.testing.assert_allclose(found, want, rtol=3e-7, atol=1e-3)
    if factor == 2 and dtype != "float32":
        quick = np.empty_like(found)
        halve_to_reflectance(stored, np.int32(nodata), gain, offset, quick)
        np.testing.assert_array_equal(quick, found)
    if factor == 1:
        one = np.empty_like(found)
        to_reflectance(stored, nodata, gain, offset, one)
        np.testing.assert_array_equal(one, found)


def test_third_is_the_nearest_float32():
    stored = np.array([[1000, 1001], [0, 1003]], np.uint16)
    out = np.empty((1, 1), np.float32)
    average_to_reflectance(stored, 2, 0.0, np.float32(1), np.float32(0), out)
    assert out[0, 0] == np.float32(3004 / 3)


def test_means_leave_out_what_is_not_a_number():
    stored = np.array([[1.0, np.nan], [3.0, 0.0]], np.float32)
    out = np.empty((1, 1), np.float32)
    average_to_reflectance(stored, 2, 0.0, np.float32(1), np.float32(0), out)
    assert out[0, 0] == 2.0


def slow_bilinear(values, rows, cols):
    """One cell after the other in Python: weights of the four neighbours, over those that are known."""
    out = np.full(rows.shape, np.nan)
    for place in np.ndindex(rows.shape):
        r, c = float(rows[place]), float(cols[place])
        if not (np.isfinite(r) and np.isfinite(c)):
            continue
        near = int(np.floor(r + 0.5)), int(np.floor(c + 0.5))
        if not (0 <= near[0] < values.shape[0] and 0 <= near[1] < values.shape[1]) or np.isnan(values[near]):
            continue
        total = weights = 0.0
        for i in (int(np.floor(r)), int(np.floor(r)) + 1):
            for j in (int(np.floor(c)), int(np.floor(c)) + 1):
                inside = 0 <= i < values.shape[0] and 0 <= j < values.shape[1]
                if inside and not np.isnan(values[i, j]):
                    weight = (1 - abs(r - i)) * (1 - abs(c - j))
                    total, weights = total + weight * float(values[i, j]), weights + weight
        out[place] = total / weights
    return out


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1), gaps=st.sampled_from((0.0, 0.2, 0.7)), step=st.sampled_from((None, 0.5, 0.25, 1.0))
)
def test_warping_equals_a_slow_one(seed, gaps, step):
    """Places between cells, on centres, on borders of cells, on and beyond the edges, and nowhere."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(-200, 5000, (9, 12)).astype(np.float32)
    values[rng.random(values.shape) < gaps] = np.nan
    rows, cols = rng.uniform(-2, 11, (2, 13, 15))
    if step:
        rows, cols = np.round(rows / step) * step, np.round(cols / step) * step
    rows[0, 0], cols[1, 1] = np.nan, np.inf
    out = np.empty(rows.shape, np.float32)
    warp_bilinear(values, rows, cols, out)
    np.testing.assert_allclose(out, slow_bilinear(values, rows, cols), rtol=1e-6)


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (7.3, -4.1), (10.0, 10.0), (19.0, 1.0)])
def test_warping_equals_gdal_in_smooth_areas(dx, dy):
    y, x = np.mgrid[0:60, 0:50].astype(float)
    values = (2000 + 800 * np.sin(x / 9) + 500 * np.cos(y / 7)).astype(np.float32)
    own, target = from_origin(600_000, 5_700_000, 20, 20), from_origin(600_100 + dx, 5_699_900 - dy, 20, 20)
    want = np.zeros((45, 35), np.float32)
    reproject(values, want, src_transform=own, src_crs="EPSG:32632", dst_transform=target, dst_crs="EPSG:32632",
              resampling=Resampling.bilinear)  # fmt: skip
    cols, rows = ~own @ (target @ np.meshgrid(np.arange(35) + 0.5, np.arange(45) + 0.5))
    out = np.empty((45, 35), np.float32)
    warp_bilinear(values, rows - HALF_CELL, cols - HALF_CELL, out)
    np.testing.assert_allclose(out, want, atol=0.02)


def test_warping_nothing():
    out = np.empty((2, 2), np.float32)
    warp_bilinear(np.full((3, 3), np.nan, np.float32), np.ones((2, 2)), np.ones((2, 2)), out)
    assert np.isnan(out).all()
