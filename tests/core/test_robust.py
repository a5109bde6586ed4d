"""Median and geometric median along time against numpy and a general minimiser."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import optimize

from cup4soil.methods.robust import geometric_median, median_along_time

VALUES = st.one_of(st.sampled_from([np.nan, 0.0, 100.0, 100.5, -30.0]), st.floats(-1000, 10000, width=32))
WEIGHTS = st.one_of(st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0, np.nan, -1.0]), st.floats(0, 100, width=32))


def as_cells(points):
    """(dates, bands) of one cell as a stack (dates, bands, 1, 1)."""
    return np.asarray(points, dtype=np.float32)[:, :, None, None]


def one(points, weights=None, **options):
    """Geometric median of the points (dates, bands)."""
    weights = np.ones(len(points)) if weights is None else weights
    masses = np.asarray(weights, dtype=np.float32)[:, None, None]
    return geometric_median(as_cells(points), masses, **options)[:, 0, 0]


def cost(points, weights, at):
    """Weighted sum of distances."""
    distance = np.linalg.norm(np.asarray(points, np.float32).astype(np.float64) - at, axis=1)
    return float((np.asarray(weights, np.float64) * distance).sum())


def minimum(points, weights):
    """Where a quasi-Newton search from the weighted mean ends."""
    points, weights = np.asarray(points, np.float32).astype(np.float64), np.asarray(weights, np.float64)

    def slope(at):
        distance = np.linalg.norm(points - at, axis=1)
        factors = np.divide(weights, distance, out=np.zeros_like(distance), where=distance > 0)
        return -(factors[:, None] * (points - at)).sum(axis=0)

    start = np.average(points, axis=0, weights=weights)
    return optimize.minimize(lambda at: cost(points, weights, at), start, jac=slope, method="BFGS").x


def least_cost(points, weights):
    """The smallest cost: of any observation, or of the minimum that the search finds."""
    return min(cost(points, weights, at) for at in [minimum(points, weights), *np.asarray(points, np.float64)])


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_median_is_that_of_the_chosen_values(data):
    dates = data.draw(st.integers(1, 21))
    rows, cols = data.draw(st.tuples(st.integers(1, 3), st.sampled_from([1, 5, 33])))
    stack = data.draw(hnp.arrays(np.float32, (dates, 2, rows, cols), elements=VALUES))
    chosen = data.draw(hnp.arrays(np.bool_, (dates, rows, cols)))
    kept = np.where(chosen[:, None], stack, np.nan).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        right = np.nanmedian(kept, axis=0).astype(np.float32)
    np.testing.assert_array_equal(median_along_time(stack, chosen, threads=2), right)
    np.testing.assert_array_equal(median_along_time(stack, chosen.astype(np.uint8)), right)


@pytest.mark.parametrize("dates", [1, 2, 3, 31, 32, 33, 100, 257])
def test_median_of_any_number_of_dates(dates):
    rng = np.random.default_rng(dates)
    # Many ties, and neighbours close to each other.
    stack = rng.integers(0, 50, (dates, 3, 9, 70)).astype(np.float32) / 64
    everything = np.ones((dates, 9, 70), np.uint8)
    right = np.median(stack.astype(np.float64), axis=0).astype(np.float32)
    np.testing.assert_array_equal(median_along_time(stack, everything, threads=2), right)


def test_nothing_chosen_gives_nothing():
    stack = np.ones((4, 2, 3, 3), np.float32)
    assert np.isnan(median_along_time(stack, np.zeros((4, 3, 3), np.bool_))).all()
    assert np.isnan(geometric_median(stack, np.zeros((4, 3, 3), np.float32))).all()
    assert np.isnan(median_along_time(stack[:0], np.zeros((0, 3, 3), np.bool_))).all()
    assert np.isnan(geometric_median(stack[:0], np.zeros((0, 3, 3), np.float32))).all()


@given(
    points=st.integers(1, 9).flatmap(lambda n: hnp.arrays(np.float32, (n, 3), elements=VALUES)),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_no_point_has_a_smaller_weighted_sum_of_distances(points, data):
    """Also with repeated points, points on a line, and observations without a band or weight."""
    weights = data.draw(hnp.arrays(np.float32, len(points), elements=WEIGHTS))
    found = one(points, weights, tolerance=1e-3, max_iterations=20000)
    kept = (weights > 0) & ~np.isnan(points).any(axis=1)
    if not kept.any():
        assert np.isnan(found).all()
        return
    points, weights = points[kept], weights[kept]
    # Rounding the result to float32 moves it by about 1e-7 of its size.
    slack = weights.sum(dtype=np.float64) * (1e-2 + 2e-7 * np.abs(points).max())
    assert cost(points, weights, found) <= least_cost(points, weights) + slack


def test_in_ten_bands_it_is_where_the_minimiser_ends():
    rng = np.random.default_rng(4)
    for _ in range(10):
        points = rng.normal(2000, 400, (15, 10)).astype(np.float32)
        weights = rng.uniform(0.1, 2, 15).astype(np.float32)
        np.testing.assert_allclose(one(points, weights, tolerance=1e-5), minimum(points, weights), atol=1e-3)


def test_an_observation_that_outweighs_all_others_is_returned_as_it_is():
    rng = np.random.default_rng(5)
    points = rng.uniform(0, 3000, (20, 10)).astype(np.float32)
    weights = np.ones(20, np.float32)
    weights[7] = 19.5
    np.testing.assert_array_equal(one(points, weights), points[7])
    np.testing.assert_array_equal(one(points[:1]), points[0])
    # Three of five at one place.
    np.testing.assert_array_equal(one(points[[0, 1, 1, 2, 1]]), points[1])


def test_a_start_upon_an_observation_is_left_where_that_is_not_the_median():
    """The mean is the first point, but the median is in the cluster: plain Weiszfeld would stop or divide by zero."""
    points = np.array([[0, 0], [-30, 0], [10, 1], [10, -1], [10, 0]], dtype=np.float32)
    np.testing.assert_array_equal(points.mean(axis=0), points[0])
    found = one(points, tolerance=1e-6, max_iterations=10000)
    assert cost(points, np.ones(5), found) <= least_cost(points, np.ones(5)) + 1e-4
    assert found[0] > 5


def test_one_spoilt_observation_in_three_hardly_moves_it():
    rng = np.random.default_rng(6)
    soil = rng.normal(1500, 20, (20, 10)).astype(np.float32)
    clouds = np.full((10, 10), 9000, np.float32)
    assert np.abs(one(np.concatenate([soil, clouds])) - soil.mean(axis=0)).max() < 40


@given(seed=st.integers(0, 10_000), shift=st.sampled_from([-500, 250, 4096]), factor=st.sampled_from([0.25, 2.0, 8.0]))
@settings(max_examples=30, deadline=None)
def test_it_moves_with_its_observations(seed, shift, factor):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 3000, (12, 10)).astype(np.float32)
    weights = rng.uniform(0, 2, 12).astype(np.float32)
    exact = {"tolerance": 1e-4, "max_iterations": 10000}
    here = one(points, weights, **exact)
    np.testing.assert_allclose(one(points + shift, weights, **exact), here + shift, atol=0.01)
    np.testing.assert_allclose(one(points * factor, weights, **exact), here * factor, atol=0.05)
    np.testing.assert_allclose(one(points, weights * factor, **exact), here, atol=0.01)
    order = rng.permutation(12)
    np.testing.assert_allclose(one(points[order], weights[order], **exact), here, atol=0.01)
    bands = rng.permutation(10)
    np.testing.assert_allclose(one(points[:, bands], weights, **exact), here[bands], atol=0.01)


def test_threads_and_neighbours_change_nothing():
    rng = np.random.default_rng(7)
    stack = rng.uniform(0, 3000, (12, 4, 37, 19)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.1] = np.nan
    weights = np.where(rng.random((12, 37, 19)) < 0.4, 0, rng.random((12, 37, 19))).astype(np.float32)
    whole = geometric_median(stack, weights, threads=3)
    np.testing.assert_array_equal(whole, geometric_median(stack, weights))
    part = geometric_median(np.ascontiguousarray(stack[..., 5:9, 3:7]), np.ascontiguousarray(weights[:, 5:9, 3:7]))
    np.testing.assert_array_equal(whole[:, 5:9, 3:7], part)
    np.testing.assert_array_equal(geometric_median(stack[..., ::2], weights[..., ::2]), whole[..., ::2])


def test_refusals():
    stack = np.ones((4, 2, 3, 3), np.float32)
    with pytest.raises(ValueError, match="do not fit"):
        median_along_time(stack, np.ones((4, 3, 2), np.uint8))
    with pytest.raises(ValueError, match="do not fit"):
        geometric_median(stack, np.ones((3, 3, 3), np.float32))
    with pytest.raises(ValueError, match="must be positive"):
        geometric_median(stack, np.ones((4, 3, 3), np.float32), tolerance=0)
    with pytest.raises(ValueError, match="must be positive"):
        geometric_median(stack, np.ones((4, 3, 3), np.float32), max_iterations=0)
