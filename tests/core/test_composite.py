"""The composite of a block against brute force, pixel by pixel in plain numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cup4soil.methods.bare_soil import BANDS, DILATION_MARGIN, invalid_scl, pvir2
from cup4soil.methods.composite import CompositeBlock, composite_block

B02, B04, B08, B12 = (BANDS.index(band) for band in ("B02", "B04", "B08", "B12"))


def oracle_pixel(series, months, threshold, land_cover):
    """One pixel by the written rules; ``series`` is (dates, 10) in float64."""
    valid = ~np.isnan(series[:, B02])
    with np.errstate(all="ignore"):
        red, nir, swir = series[:, B04], series[:, B08], series[:, B12]
        index = (nir - red) / (nir + red) + (nir - swir) / (nir + swir)
        index[~((nir + red > 0) & (nir + swir > 0))] = np.nan
        bare = valid & (index <= threshold)
    ever_bare = bare.any()
    bare = drop_outliers(series[:, B02], bare, 3.0)
    kept = drop_outliers(series[:, B02], valid, 4.0)
    vpc, bsc = valid.sum(), bare.sum()
    out = {"vpc": vpc, "bsc": bsc, "bsf": bsc / vpc if vpc else np.nan}
    out["mref"], out["mref_std"] = moments(series[kept])
    out["src"], out["src_std"] = moments(series[bare])
    if bsc < 3 or land_cover in (50, 80):
        out["src"][:] = out["src_std"][:] = np.nan
    out["src_ci95"] = 1.96 * out["src_std"] / np.sqrt(max(bsc, 1))
    out["monthly"] = [
        bare[months == m].sum() / valid[months == m].sum() if valid[months == m].any() else np.nan for m in range(1, 13)
    ]
    if land_cover in (0, 50, 70, 80, 90, 95):
        out["mask"] = 3
    elif not vpc or np.isnan(threshold):
        out["mask"] = 0
    else:
        out["mask"] = 1 if bsc > 2 else 4 if ever_bare else 2
    return out


def drop_outliers(blue, chosen, k):
    if not chosen.any():
        return chosen
    middle = np.median(blue[chosen])
    spread = 1.4826 * np.median(np.abs(blue[chosen] - middle))
    return chosen & ~((blue > middle + k * spread) & (blue > middle + 80.0))


def moments(rows):
    mean, std = np.full(10, np.nan), np.full(10, np.nan)
    for band in range(10):
        values = rows[:, band][~np.isnan(rows[:, band])]
        if values.size:
            mean[band] = values.mean()
        if values.size > 1:
            std[band] = values.std(ddof=1)
    return mean, std


def random_stack(rng, dates, rows, cols):
    """Series with everything that may occur: gaps, single bands missing, ties, cloud, negative numbers."""
    stack = rng.integers(-150, 4000, (dates, 10, rows, cols)).astype(np.float32) + np.float32(0.25)
    stack[:, B02] = rng.choice([200, 210, 210, 250, 600, 2500], (dates, rows, cols))
    stack[np.broadcast_to(rng.random((dates, 1, rows, cols)) < 0.35, stack.shape)] = np.nan
    holes = rng.random(stack.shape) < 0.03
    holes[:, B02] = False
    stack[holes] = np.nan
    stack[:, :, 0, 0] = np.nan  # never seen
    stack[1:, :, 0, 1] = np.nan  # seen once
    stack[:, [B04, B08], 0, 2] = 0.0  # the index cannot be computed
    return stack


def assert_equal_to_oracle(block: CompositeBlock, stack, months, threshold, land_cover):
    rows, cols = threshold.shape
    for row in range(rows):
        for col in range(cols):
            cover = None if land_cover is None else land_cover[row, col]
            want = oracle_pixel(stack[:, :, row, col].astype(np.float64), months, threshold[row, col], cover)
            at = (..., row, col)
            assert block.vpc[at] == want["vpc"]
            assert block.bsc[at] == want["bsc"]
            assert block.mask[at] == want["mask"], (row, col)
            np.testing.assert_allclose(block.bsf[at], want["bsf"], rtol=1e-6)
            np.testing.assert_allclose(block.bsf_monthly[at], want["monthly"], rtol=1e-6)
            for name in ("src", "src_std", "src_ci95", "mref", "mref_std"):
                np.testing.assert_allclose(
                    getattr(block, name)[at], want[name], rtol=2e-5, atol=2e-2, err_msg=f"{name} {row} {col}"
                )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dates=st.integers(1, 30), with_cover=st.booleans())
def test_equals_brute_force(seed, dates, with_cover):
    rng = np.random.default_rng(seed)
    rows, cols = 3, 4
    stack = random_stack(rng, dates, rows, cols)
    months = rng.integers(1, 13, dates)
    threshold = rng.uniform(-0.5, 0.8, (rows, cols))
    threshold[2, 3] = np.nan
    cover = rng.choice([np.nan, 0, 10, 40, 50, 80, 95], (rows, cols)) if with_cover else None
    block = composite_block(stack, months, threshold, cover)
    assert_equal_to_oracle(block, stack, months, threshold, cover)


def test_stack_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        composite_block(np.zeros((2, 10, 3, 3), np.float32), np.array([1, 2]), np.zeros((3, 4)))


def test_counts_are_consistent():
    rng = np.random.default_rng(1)
    stack = random_stack(rng, 40, 8, 8)
    months = rng.integers(1, 13, 40)
    block = composite_block(stack, months, np.full((8, 8), 0.3))
    assert (block.bsc <= block.vpc).all()
    valid_by_month = np.stack([(~np.isnan(stack[months == m, B02])).sum(axis=0) for m in range(1, 13)])
    bare_by_month = np.nansum(np.nan_to_num(block.bsf_monthly) * valid_by_month, axis=0)
    np.testing.assert_allclose(bare_by_month, block.bsc, atol=1e-3)


def test_order_of_dates_does_not_matter():
    rng = np.random.default_rng(2)
    stack, months = random_stack(rng, 20, 4, 4), rng.integers(1, 13, 20)
    order = rng.permutation(20)
    one = composite_block(stack, months, np.full((4, 4), 0.3))
    two = composite_block(stack[order], months[order], np.full((4, 4), 0.3))
    np.testing.assert_allclose(one.src, two.src, rtol=1e-6)
    np.testing.assert_array_equal(one.mask, two.mask)


def test_index_of_known_reflectance():
    assert pvir2(np.array([1000.0]), np.array([2000.0]), np.array([3000.0]))[0] == pytest.approx(1 / 3 - 1 / 5)
    assert np.isnan(pvir2(np.array([0.0]), np.array([0.0]), np.array([1.0]))[0])
    assert np.isnan(pvir2(np.array([-5.0]), np.array([5.0]), np.array([1.0]))[0])


def test_scene_classification_against_binary_dilation():
    rng = np.random.default_rng(3)
    scl = rng.choice([4, 5, 6, 4, 5, 2, 7, 11, 0, 1], (80, 70)).astype(np.uint8)
    for code in (3, 8, 9, 10):
        scl[tuple(rng.integers(0, 70, 2))] = code
    near = ndimage.binary_dilation(np.isin(scl, (3, 8, 9, 10)), structure=np.ones((11, 11)))
    margin = DILATION_MARGIN
    wanted = (near | ~np.isin(scl, (4, 5, 6)))[margin:-margin, margin:-margin]
    np.testing.assert_array_equal(invalid_scl(scl), wanted)


def test_dilation_of_a_block_with_margin_has_no_seam():
    rng = np.random.default_rng(4)
    scl = np.where(rng.random((64, 64)) < 0.01, 9, 5).astype(np.uint8)
    whole = invalid_scl(scl)
    margin = DILATION_MARGIN
    block = invalid_scl(scl[20:60, 10:60])
    np.testing.assert_array_equal(block, whole[20 : 60 - 2 * margin, 10 : 60 - 2 * margin])
