"""The search among training points against all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cup4soil.methods.density import PointIndex


def all_pairs(points: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return np.sqrt(((queries[:, None] - points[None]) ** 2).sum(axis=2))


@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(1, 14), st.integers(0, 99), st.floats(0, 4))
def test_nearest_and_count_equal_all_pairs(n, f, seed, radius):
    random = np.random.default_rng(seed)
    points, queries = (random.normal(size=(rows, f)) * random.uniform(0.1, 2, f) for rows in (n, 40))
    distance = all_pairs(points, queries)
    nearest, count = PointIndex.of(points).measure(queries, radius)
    np.testing.assert_allclose(nearest, distance.min(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(count, (distance <= radius).sum(axis=1))


def test_ties_duplicates_and_classes():
    """One-hot columns and whole numbers put many points at equal distances, some at the radius itself."""
    random = np.random.default_rng(0)
    points = np.column_stack([random.integers(0, 3, 500), np.eye(4)[random.integers(0, 4, 500)]]).astype(float)
    queries = points[::7]
    distance = all_pairs(points, queries)
    for radius in (0.0, 1.0, 2.0):
        nearest, count = PointIndex.of(points).measure(queries, radius)
        assert (nearest == 0).all()
        np.testing.assert_array_equal(count, (distance <= radius).sum(axis=1))


def test_order_and_threads_do_not_matter():
    random = np.random.default_rng(1)
    points, queries = random.normal(size=(2000, 6)), random.normal(size=(9000, 6))
    index = PointIndex.of(points)
    one = index.measure(queries, 1.0, threads=1)
    two = index.measure(queries, 1.0, threads=2)
    back = index.measure(queries[::-1], 1.0, threads=2)
    for a, b, c in zip(one, two, back, strict=True):
        assert a.tobytes() == b.tobytes() == c[::-1].tobytes()


@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 65, 1000])
def test_every_point_lies_in_one_leaf(n):
    points = np.random.default_rng(n).normal(size=(n, 3))
    index = PointIndex.of(points)
    assert np.isfinite(index.leaves[:, 0]).sum() == n
    assert len(index.leaves) == -(-n // 32)
    assert (index.measure(points, -1.0)[0] == 0).all()
    assert (index.measure(points, -1.0)[1] == 0).all()


def test_no_queries_are_no_error():
    nearest, count = PointIndex.of(np.zeros((3, 2))).measure(np.empty((0, 2)), 1.0, threads=2)
    assert (nearest.size, count.size) == (0, 0)
