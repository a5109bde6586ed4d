"""The composite of a block against brute force, pixel by pixel in plain numpy."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cup4soil.methods.bare_soil import BANDS, DILATION_MARGIN, invalid_scl, pvir2
from cup4soil.methods.bare_tests import bare_test
from cup4soil.methods.composite import BlockComposer, CompositeBlock, CompositeRules, Season, composite_block
from cup4soil.methods.composite_kernels import BARE, VALID, select_rows
from tests.core import composite_oracle as oracle

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


# The compiled loops, around the number of cells they handle at once

WIDTHS = (1, 2, 63, 255, 256, 257, 511, 512, 513)


def blue_series(rng, dates, cols, kind):
    """B02 of one row: ties, negative numbers, quarters, thirds, haze; gaps; some cells never or once seen."""
    blue = rng.normal(300, 60, (dates, cols))
    blue[rng.random(blue.shape) < 0.15] += 900
    if kind == "ties":
        blue = rng.choice([-5.0, 0.0, 200.0, 200.25, 279.75, 280.0, 280.25, 2000.0], blue.shape)
    elif kind == "negative":
        blue -= 500
    elif kind == "thirds":
        blue = np.round(blue * 3) / 3
    elif kind == "equal":
        blue[:] = 120.25
    blue[rng.random(blue.shape) < rng.choice([0.0, 0.3, 0.95])] = np.nan
    blue[:, cols // 2] = np.nan
    blue[1:, cols // 3] = np.nan
    return blue.astype(np.float32)


def selected(blue, bare, months, limits=(4.0, 3.0, 80.0), dates=None):
    """What the kernel finds for rows (dates, rows, columns): largest B02 kept, counts, monthly counts."""
    shape = blue.shape[1:]
    tops, counts = np.empty((2, *shape), np.float32), np.empty((4, *shape), np.int32)
    by_month = np.full((2, 12, *shape), -1, np.int16)
    dates = np.arange(len(blue)) if dates is None else dates
    chosen, slots = np.full((len(dates) + 2, *shape), 255, np.uint8), np.arange(len(dates))[::-1] + 1
    found = (tops, counts, by_month, chosen)
    select_rows(blue[:, np.newaxis], bare, dates, months, limits, slots, 0, shape[0], found)
    seen = blue[dates]
    want = (seen <= tops[0]).astype(np.uint8) * VALID + ((seen <= tops[1]) & (bare[dates] > 0)) * BARE
    np.testing.assert_array_equal(chosen[slots], want)
    assert (chosen[[0, -1]] == 255).all()
    return tops, counts, by_month


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    dates=st.integers(1, 26),
    cols=st.sampled_from(WIDTHS),
    kind=st.sampled_from(("plain", "ties", "negative", "thirds", "equal")),
)
def test_selection_equals_brute_force(seed, dates, cols, kind):
    rng = np.random.default_rng(seed)
    blue = np.stack([blue_series(rng, dates, cols, kind) for _ in range(2)], axis=1)
    bare = (rng.random(blue.shape) < 0.5).astype(np.uint8)
    months = rng.integers(0, 12, dates)
    tops, counts, by_month = selected(blue, bare, months)
    valid = ~np.isnan(blue)
    low = valid & (bare > 0)
    values = blue.astype(np.float64)
    kept, kept_bare = oracle.kept_by_brightness(values, valid, 4.0), oracle.kept_by_brightness(values, low, 3.0)
    np.testing.assert_array_equal(valid & (blue <= tops[0]), kept)
    np.testing.assert_array_equal(low & (blue <= tops[1]), kept_bare)
    np.testing.assert_array_equal(counts, [each.sum(axis=0) for each in (valid, low, kept, kept_bare)])
    np.testing.assert_array_equal(np.isnan(tops), [~valid.any(axis=0), ~low.any(axis=0)])
    np.testing.assert_array_equal(by_month[0], oracle.monthly(valid, months + 1))
    np.testing.assert_array_equal(by_month[1], oracle.monthly(kept_bare, months + 1))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    dates=st.integers(1, 41),
    cols=st.sampled_from((1, 255, 257)),
    kind=st.sampled_from(("plain", "ties", "negative", "thirds")),
)
def test_medians_are_those_of_numpy(seed, dates, cols, kind):
    """Without spread and excess the limit is the median; with a spread of one and no floor, median and deviation."""
    rng = np.random.default_rng(seed)
    blue = blue_series(rng, dates, cols, kind)[:, np.newaxis]
    bare = np.zeros(blue.shape, np.uint8)
    middle = oracle.nan_median(blue.astype(np.float64))
    tops, _, _ = selected(blue, bare, np.zeros(dates, np.int64), (0.0, 0.0, 0.0))
    np.testing.assert_array_equal(tops[0], not_above(middle))
    # Distances are kept as float32.
    distance = oracle.nan_median(np.abs(blue.astype(np.float64) - middle).astype(np.float32).astype(np.float64))
    tops, _, _ = selected(blue, bare, np.zeros(dates, np.int64), (1.0, 1.0, -1e9))
    np.testing.assert_allclose(tops[0], not_above(middle + 1.4826 * distance), rtol=1.5e-7)


def not_above(limits):
    near = limits.astype(np.float32)
    return np.where(near > limits, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


@pytest.mark.parametrize(
    ("others", "limit"),
    [
        # No spread: the least excess decides.
        ([100, 100, 100], 180),
        ([-100, -100, -100], -20),
        ([1 / 3, 1 / 3, 1 / 3, 1 / 3], float(np.float32(1 / 3)) + 80),
        # 4 * 1.4826 * 1250 is a whole number: the spread decides.
        ([0, 0, 1250, 2500], 1250 + 7413),
        # Even number: the median, 101, lies between two.
        ([90, 100, 102], 181),
    ],
)
def test_what_lies_on_the_limit_is_kept_and_what_lies_above_is_not(others, limit):
    on = not_above(np.array(limit, dtype=float))
    above = np.nextafter(on, np.float32(np.inf))
    for value, dropped in ((on, 0), (above, 1)):
        blue = np.array([*others, value], np.float32).reshape(-1, 1, 1)
        _, counts, _ = selected(blue, np.zeros(blue.shape, np.uint8), np.zeros(blue.size, np.int64))
        assert counts[2, 0, 0] == blue.size - dropped


def typical_stack(rng, dates, rows, cols):
    """Random series whose bands hold thirds and gaps, so that no sum is exact."""
    stack = np.round(rng.uniform(-150, 4000, (dates, 10, rows, cols)) * 3) / 3
    stack[:, oracle.B02] = np.stack([blue_series(rng, dates, rows * cols, "thirds").reshape(dates, rows, cols)])
    stack[np.broadcast_to(np.isnan(stack[:, :1]), stack.shape)] = np.nan
    stack[rng.random(stack.shape) < 0.02] = np.nan
    return stack.astype(np.float32)


def assert_same_bits(one, two, but=()):
    for field in fields(CompositeBlock):
        if field.name not in but:
            np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name), err_msg=field.name)


SEASONS = {
    "all": np.arange(23),
    "one": np.array([4]),
    "none": np.array([], dtype=np.int64),
    "odd": np.array([1, 2, 3, 7, 11, 12, 22]),
    "late": np.arange(9, 23),
    "every other": np.arange(0, 23, 2),
}


def streamed(stack, months, threshold, seasons, batch, *, kept=("B02",), threads=1, name="pvir2"):
    """As the engine does it: dates observed in any order, bands not kept summed a few dates at a time."""
    composer = BlockComposer(len(stack), seasons, threshold, kept, test=bare_test(name), threads=threads)
    for date in reversed(range(len(stack))):
        composer.observe(date, dict(zip(BANDS, stack[date], strict=True)))
    composer.select()
    for place, band in enumerate(BANDS):
        if band in kept:
            composer.add_kept(band)
            continue
        sums = composer.band(band)
        for first in range(0, len(stack), batch):
            dates = np.arange(first, min(first + batch, len(stack)))
            sums.add(dates, np.ascontiguousarray(stack[dates, place : place + 1]))
        sums.finish()
    return composer.blocks()


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("kept", [("B02",), ("B02", "B08", "B04", "B12"), BANDS])
def test_each_season_is_what_its_dates_alone_give(batch, kept):
    """To the last bit, whatever is kept and however the dates are grouped."""
    rng = np.random.default_rng(batch)
    stack, months = typical_stack(rng, 23, 3, 57), rng.integers(1, 13, 23)
    threshold = rng.uniform(-0.3, 0.8, (3, 57))
    seasons = [Season(dates, months[dates]) for dates in SEASONS.values()]
    for dates, block in zip(
        SEASONS.values(), streamed(stack, months, threshold, seasons, batch, kept=kept), strict=True
    ):
        assert_same_bits(block, composite_block(stack[dates], months[dates], threshold))


def test_a_season_without_dates_is_empty():
    season = Season(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    (block,) = streamed(np.ones((2, 10, 2, 3), np.float32), None, np.zeros((2, 3)), [season], 4)
    assert not block.vpc.any()
    assert not block.mask.any()
    for name in ("src", "mref", "bsf", "index_range"):
        assert np.isnan(getattr(block, name)).all()


@pytest.mark.parametrize("name", ["pvir2", "ndvi-nbr2", "barest-earth"])
def test_number_of_threads_changes_no_bit(name):
    rng = np.random.default_rng(3)
    stack, months = typical_stack(rng, 10, 37, 19), rng.integers(1, 13, 10)
    threshold = np.full((37, 19), 0.3)
    one = composite_block(stack, months, threshold, test=bare_test(name), threads=1)
    for threads in (2, 5):
        assert_same_bits(one, composite_block(stack, months, threshold, test=bare_test(name), threads=threads))


@pytest.mark.parametrize("cols", WIDTHS)
@pytest.mark.parametrize("dates", [1, 2, 3, 5, 8, 13])
def test_wide_rows_equal_brute_force(cols, dates):
    rng = np.random.default_rng(cols + dates)
    stack, months = typical_stack(rng, dates, 2, cols), rng.integers(1, 13, dates)
    threshold = rng.uniform(-0.3, 0.8, (2, cols))
    assert_block_equals_oracle(composite_block(stack, months, threshold), stack, months, threshold, "pvir2")


@pytest.mark.parametrize("name", ["pvir2", "nbr2", "ndvi-nbr2", "barest-earth", "median"])
@pytest.mark.parametrize("unseen", [(), (0, 3, 7)])
def test_named_tests_equal_brute_force(name, unseen):
    """With dates on which nothing was seen, too."""
    rng = np.random.default_rng(8)
    stack, months = typical_stack(rng, 12, 17, 6), rng.integers(1, 13, 12)
    stack[list(unseen)] = np.nan
    threshold = np.full((17, 6), 0.25)
    season = Season(np.arange(12), months)
    composer = BlockComposer(12, [season], threshold, BANDS, test=bare_test(name), threads=2)
    composer.kept[:] = np.float32(np.inf)
    if composer._weights is not None:
        # What memory may hold before anything is written to it.
        composer._weights[:] = np.float32(np.inf)
    for date in range(12):
        composer.observe(date, None if date in unseen else dict(zip(BANDS, stack[date], strict=True)))
    composer.select()
    for band in BANDS:
        composer.add_kept(band)
    assert_block_equals_oracle(composer.blocks()[0], stack, months, threshold, name)
    assert_same_bits(composer.blocks()[0], composite_block(stack, months, threshold, test=bare_test(name)))


def assert_block_equals_oracle(block, stack, months, threshold, name):
    want = oracle.suite(stack.astype(np.float64), months, threshold, test=name)
    found = {
        "SRC": block.src, "SRC-STD": block.src_std, "SRC-CI95": block.src_ci95, "MREF": block.mref,
        "MREF-STD": block.mref_std, "SFREQ-MONTHLY": block.bsf_monthly * 1e4, "INDEX": block.index_range * 1e4,
    }  # fmt: skip
    for layer, values in found.items():
        # A geometric median is found by iteration.
        loose = 0.5 if name == "barest-earth" and layer == "SRC" else 2e-2
        np.testing.assert_allclose(values, want[layer], rtol=2e-5, atol=loose, err_msg=layer)
    seen = block.vpc > 0
    np.testing.assert_array_equal(np.where(seen, block.mask, 0), np.where(seen, want["MASK"][0], 0))
    for values, layer in ((np.stack([block.bsc, block.vpc]), "SFREQ"), (block.suspects, "SUSPECTS")):
        np.testing.assert_array_equal(values, np.nan_to_num(want[layer][-2:]))
    np.testing.assert_array_equal(block.vpc_monthly, np.nan_to_num(want["VPC-MONTHLY"]))


def test_observations_that_were_dropped_are_counted_by_date():
    rng = np.random.default_rng(12)
    stack, months = typical_stack(rng, 20, 5, 9), rng.integers(1, 13, 20)
    season = Season(np.arange(2, 17), months[2:17])
    composer = BlockComposer(20, [season], np.full((5, 9), 0.2), ("B02",))
    for date in range(20):
        composer.observe(date, dict(zip(BANDS, stack[date], strict=True)))
    composer.select()
    blue = stack[:, 0].astype(np.float64)
    used = np.zeros(blue.shape, bool)
    used[2:17] = ~np.isnan(blue[2:17])
    kept = oracle.kept_by_brightness(blue, used, 4.0)
    want = np.stack([used.sum(axis=(1, 2)), (used & ~kept).sum(axis=(1, 2))], axis=1)
    np.testing.assert_array_equal(composer.dropped()[0], want)
    assert want[:, 1].any()


def test_rules_are_followed():
    rng = np.random.default_rng(10)
    stack = typical_stack(rng, 9, 4, 8)
    rules = CompositeRules(sigma_bare=1e9, sigma_valid=1e9, least_bare_count=1)
    block = composite_block(stack, np.ones(9, np.int64), np.full((4, 8), 3.0), rules=rules)
    assert not block.suspects.any()
    np.testing.assert_array_equal(~np.isnan(block.src[0]), block.bsc >= 1)
    np.testing.assert_array_equal(block.mask == 1, block.bsc >= 1)


def test_bands_kept_must_fit_the_test():
    for kept, name in ((("B04", "B02"), "pvir2"), (("B02", "B04"), "median")):
        with pytest.raises(ValueError, match="B02 first"):
            BlockComposer(2, [], np.zeros((1, 1)), kept, test=bare_test(name))
