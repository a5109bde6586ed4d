"""Folds: groups stay whole, folds are balanced, blocks are what they say."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.folds import BLOCKS_PER_FOLD, random_folds, region_folds, spatial_folds


@given(st.lists(st.integers(0, 30), min_size=2, max_size=80), st.integers(2, 6), st.integers(0, 5))
def test_random_folds_respect_groups_and_are_balanced(groups, k, seed):
    names = np.array([f"p{g}" for g in groups])
    assume(len(set(groups)) >= k)
    folds = random_folds(names, k, seed)
    assert all(len(set(folds[names == name])) == 1 for name in set(names))
    sizes = np.bincount(folds, minlength=k)
    assert sizes.min() > 0
    # Greedy dealing: the fullest fold exceeds the emptiest by one group at most.
    assert sizes.max() - sizes.min() <= np.unique(names, return_counts=True)[1].max()
    np.testing.assert_array_equal(folds, random_folds(names, k, seed))


def test_another_seed_gives_other_folds():
    assert (random_folds(np.arange(100), 5, 1) != random_folds(np.arange(100), 5, 2)).any()


@pytest.mark.parametrize(
    ("groups", "k", "error"),
    [([1, 1, 2], 3, InvalidSamples), ([], 2, InvalidSamples), ([1, 2], 1, InvalidInput), ([[1], [2]], 2, InvalidInput)],
)
def test_random_folds_that_cannot_be(groups, k, error):
    with pytest.raises(error):
        random_folds(groups, k, 0)


@given(st.integers(0, 1000), st.integers(2, 5), st.floats(5, 30))
def test_spatial_folds_keep_blocks_and_groups_whole(seed, k, size):
    x, y = np.random.default_rng(seed).uniform(0, 100, (2, 60))
    result = spatial_folds(x, y, np.arange(60), k, seed, block_size=size)
    assert result.block_size == size
    cells = np.column_stack([(x - x.min()) // size, (y - y.min()) // size])
    for cell in np.unique(cells, axis=0):
        assert len(set(result.folds[(cells == cell).all(axis=1)])) == 1
    assert set(result.folds) == set(range(k))


@given(st.integers(0, 1000), st.integers(2, 10))
def test_default_block_size_follows_its_rule(seed, k):
    x, y = np.random.default_rng(seed).uniform(0, 5000, (2, 250))
    result = spatial_folds(x, y, np.arange(250), k, 0)
    apart = np.hypot(*(np.subtract.outer(v, v) for v in (x, y))) + np.diag(np.full(250, np.inf))
    assert result.block_size >= np.median(apart.min(axis=1))
    columns, rows = ((v - v.min()) // result.block_size for v in (x, y))
    blocks = set(zip(columns, rows, strict=True))
    assert len(blocks) >= BLOCKS_PER_FOLD * k
    assert np.bincount(result.folds).max() <= 2 * 250 / k


def test_a_group_spread_over_two_blocks_stays_in_one_fold():
    x = np.r_[np.arange(20) * 10.0, 5.0, 195.0]
    groups = np.r_[np.arange(20), 99, 99]
    result = spatial_folds(x, np.zeros(22), groups, 4, 0, block_size=10)
    assert result.folds[20] == result.folds[21]


def test_shifting_all_coordinates_changes_nothing():
    x, y = np.random.default_rng(3).integers(0, 4096, (2, 80)).astype(float)
    here, there = (spatial_folds(x + d, y - d, np.arange(80), 5, 1) for d in (0.0, 2.0**20))
    np.testing.assert_array_equal(here.folds, there.folds)


def test_stacked_samples_do_not_shrink_the_blocks_to_nothing():
    x = np.repeat(np.arange(12.0) * 100, 10)
    result = spatial_folds(x, np.zeros(120), np.arange(120), 3, 0)
    assert result.block_size >= 100


@pytest.mark.parametrize(
    ("x", "k", "size", "error", "message"),
    [
        (np.zeros(10), 2, None, InvalidSamples, "one place"),
        (np.arange(10.0), 5, 100.0, InvalidSamples, "1 blocks"),
        (np.array([0, 1, np.nan]), 2, None, InvalidSamples, "row 2"),
        (np.array([]), 2, None, InvalidSamples, "no samples"),
        (np.arange(10.0), 2, 0.0, InvalidInput, "block size"),
        (np.arange(10.0), 2, float("nan"), InvalidInput, "block size"),
        (np.arange(10.0), 1, None, InvalidInput, "1 folds"),
    ],
)
def test_spatial_folds_that_cannot_be(x, k, size, error, message):
    with pytest.raises(error, match=message):
        spatial_folds(x, np.zeros(x.size), np.arange(x.size), k, 0, block_size=size)


def test_coordinates_of_another_length_are_refused():
    with pytest.raises(InvalidInput, match="one of each"):
        spatial_folds(np.zeros(3), np.zeros(4), np.arange(3), 2, 0)


def test_spatial_folds_tell_their_blocks():
    x, y = np.random.default_rng(0).uniform(0, 100, (2, 60))
    result = spatial_folds(x, y, np.arange(60), 3, 0, block_size=20)
    cells = ((x - x.min()) // 20).astype(int) * 100 + ((y - y.min()) // 20).astype(int)
    assert len(set(zip(cells, result.blocks, strict=True))) == len(set(cells)) == len(set(result.blocks))


def test_each_region_is_a_fold_of_its_own():
    regions = np.array(["b", "a", "c", "a", "b", "c", "c"])
    result = region_folds(regions, np.arange(7))
    assert result.members == (("a",), ("b",), ("c",))
    assert result.folds.tolist() == [1, 0, 2, 0, 1, 2, 2]


@given(st.lists(st.integers(0, 12), min_size=20, max_size=80), st.integers(2, 4), st.integers(0, 5))
def test_regions_dealt_into_folds_stay_whole(regions, k, seed):
    regions = np.array(regions)
    assume(np.unique(regions).size >= k)
    result = region_folds(regions, np.arange(regions.size), k, seed)
    assert all(len(set(result.folds[regions == region])) == 1 for region in set(regions))
    assert set(result.folds) == set(range(k))
    for fold, members in enumerate(result.members):
        assert {str(region) for region in regions[result.folds == fold]} == set(members)


def test_a_group_in_two_regions_goes_with_most_of_its_rows():
    result = region_folds(["a", "a", "b", "b", "c"], [0, 0, 0, 1, 2])
    assert result.folds.tolist() == [0, 0, 0, 1, 2]
    lost = region_folds(["a", "a", "b", "c"], [0, 0, 0, 2])
    assert lost.members == (("a",), ("c",))


@pytest.mark.parametrize(
    ("regions", "k", "error", "message"),
    [
        (["a", "a"], None, InvalidSamples, "1 regions for 2"),
        (["a", "b"], 3, InvalidSamples, "2 regions for 3"),
        (["a", "b"], 1, InvalidInput, "1 folds"),
        (["a"], None, InvalidInput, "one region per row"),
    ],
)
def test_region_folds_that_cannot_be(regions, k, error, message):
    with pytest.raises(error, match=message):
        region_folds(regions, [0, 1], k)


def test_no_rows_are_no_regions():
    with pytest.raises(InvalidSamples, match="0 regions"):
        region_folds([], [])
