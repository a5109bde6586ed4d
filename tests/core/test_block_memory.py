"""Blocks of a composite: their integers, and the memory that one block leaves to the next."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cup4soil.methods.bare_soil import BANDS
from cup4soil.methods.composite import BlockComposer, Season
from cup4soil.methods.composite_kernels import store_rows
from cup4soil.methods.workspace import Workspace
from cup4soil.rasters.encoding import to_integers
from tests.core.test_composite import WIDTHS, assert_same_bits, typical_stack


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.sampled_from(WIDTHS)),
    dtype=st.sampled_from((np.float32, np.int32, np.int16, np.uint8)),
    scale=st.sampled_from((1.0, 1e4)),
    nodata=st.sampled_from((-10_000, -32_768, 0)),
)
def test_stored_integers_are_those_of_the_layers(seed, shape, dtype, scale, nodata):
    rng = np.random.default_rng(seed)
    numbers = rng.normal(0, 20_000 / scale, shape) if dtype == np.float32 else rng.integers(0, 120, shape)
    values = numbers.astype(dtype)
    if dtype == np.float32:
        values[rng.random(shape) < 0.3] = rng.choice([np.nan, np.inf, -np.inf, 0.5, 1.5, -0.5, 2.5, 1e30])
    shown = rng.random(shape[1:]) < 0.8
    stored = np.full(shape, 77, np.int16)
    half = shape[1] // 2
    for first, last in ((0, half), (half, shape[1])):
        store_rows(values, np.float32(scale), shown, nodata, first, last, stored)
    # As the layers are encoded elsewhere.
    known = np.where(shown, values, np.nan).astype(np.float32) * np.float32(scale)
    np.testing.assert_array_equal(stored, to_integers(known, nodata, "int16"))


def test_memory_is_used_again_and_grows():
    room = Workspace()
    small = room.empty("a", (2, 3), np.int16)
    large = room.empty("a", (4, 3), np.float64)
    other = room.empty("b", (4, 3), np.float64)
    again = room.empty("a", (5, 2), np.float32)
    assert (small.shape, large.dtype, again.shape, again.dtype) == ((2, 3), np.float64, (5, 2), np.float32)
    assert np.may_share_memory(large, again)
    assert not np.may_share_memory(small, large)
    assert not np.may_share_memory(large, other)
    large[:], other[:] = 1, 2
    again[:] = 3
    assert (other == 2).all()


def test_blocks_that_share_memory_are_those_of_blocks_that_do_not():
    rng, room = np.random.default_rng(5), Workspace()
    for dates, shape in ((9, (12, 300)), (14, (7, 40)), (3, (20, 301)), (9, (12, 300))):
        stack, months = typical_stack(rng, dates, *shape), rng.integers(1, 13, dates)
        found = []
        for each in (room, Workspace()):
            season = Season(np.arange(dates), months)
            composer = BlockComposer(dates, [season], np.full(shape, 0.2), ("B02", "B04"), workspace=each, threads=2)
            for date in range(dates):
                composer.observe(date, dict(zip(BANDS, stack[date], strict=True)) if date % 4 else None)
            composer.select()
            for band in BANDS:
                sums = composer.band(band)
                sums.add(np.arange(dates), stack, BANDS.index(band))
                sums.finish()
            (block,) = composer.blocks()
            found.append(block)
        assert_same_bits(*found)
