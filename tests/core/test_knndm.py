"""kNNDM folds against distances written out, the paper's procedure written out, and their promises."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods import knndm
from cup4soil.methods.knndm import knndm_folds


def clustered(n: int = 120, seed: int = 0, centres: int = 8) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    middles = random.uniform(0, 1000, (centres, 2))
    samples = middles[random.integers(0, centres, n)] + random.normal(0, 15, (n, 2))
    return samples, random.uniform(0, 1000, (400, 2))


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))


def to_other_folds(samples: np.ndarray, folds: np.ndarray) -> np.ndarray:
    return np.where(folds[:, None] != folds[None], apart(samples, samples), np.inf).min(axis=1)


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """Integral of the difference of the two distribution functions, step by step."""
    steps = np.unique(np.r_[a, b])
    total = 0.0
    for left, right in pairwise(steps):
        total += abs(np.mean(a <= left) - np.mean(b <= left)) * (right - left)
    return total


def by_the_paper(samples: np.ndarray, targets: np.ndarray, k: int, numbers: list[int]) -> float:
    """Smallest Wasserstein distance over the numbers of clusters, each step written out."""
    to_samples = apart(targets, samples).min(axis=1)
    tree = linkage(samples, "ward")
    centred = samples - samples.mean(axis=0)
    axis = np.linalg.svd(centred)[2][0]
    axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
    best = np.inf
    for number in numbers:
        cluster = fcluster(tree, number, "maxclust")
        names = sorted(set(cluster), key=lambda c: (centred[cluster == c] @ axis).mean())
        big = [c for c in names if (cluster == c).sum() >= len(samples) / k]
        rest = [c for c in names if c not in big]
        fold_of = {c: i for i, c in enumerate(big)}
        fold_of |= {c: len(big) + i % (k - len(big)) for i, c in enumerate(rest)}
        folds = np.array([fold_of[c] for c in cluster])
        if np.bincount(folds).max() <= len(samples) / 2:
            best = min(best, wasserstein(to_other_folds(samples, folds), to_samples))
    return best


@given(st.integers(0, 200), st.integers(2, 8))
def test_distances_and_statistic_equal_brute_force(seed, k):
    samples, targets = clustered(60, seed)
    found = knndm_folds(samples, targets, np.arange(60), k, seed, candidates=12)
    np.testing.assert_allclose(found.of_predictions, np.sort(apart(targets, samples).min(axis=1)), rtol=1e-12)
    np.testing.assert_allclose(found.of_samples, (apart(samples, samples) + np.diag([np.inf] * 60)).min(axis=1))
    np.testing.assert_allclose(found.of_folds, to_other_folds(samples, found.folds), rtol=1e-12)
    assert found.wasserstein == pytest.approx(wasserstein(found.of_folds, found.of_predictions), rel=1e-9)
    assert set(found.folds) == set(range(k))
    assert found.wasserstein <= found.random_wasserstein
    if found.method == "clustered":
        assert np.bincount(found.folds).max() <= 30


@pytest.mark.parametrize("seed", range(6))
def test_the_folds_are_the_best_of_the_papers_procedure(seed):
    samples, targets = clustered(80, seed)
    found = knndm_folds(samples, targets, np.arange(80), 5, seed, candidates=20)
    numbers = sorted({round(v) for v in np.exp(np.linspace(np.log(5), np.log(78), 20))})
    assert found.method == "clustered"
    assert found.wasserstein == pytest.approx(by_the_paper(samples, targets, 5, numbers), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_clustered_samples_are_tested_further_away_than_by_random_folds(seed):
    samples, targets = clustered(200, seed)
    found = knndm_folds(samples, targets, np.arange(200), 5, seed)
    assert found.method == "clustered"
    assert found.wasserstein < 0.6 * found.random_wasserstein
    assert np.median(found.of_folds) > 3 * np.median(found.of_samples)


def test_samples_that_lie_as_the_map_does_get_random_folds():
    random = np.random.default_rng(0)
    found = knndm_folds(random.uniform(size=(300, 2)), random.uniform(size=(900, 2)), np.arange(300), 6, 1)
    assert (found.method, found.clusters) == ("random", 0)
    assert found.wasserstein == found.random_wasserstein
    assert np.bincount(found.folds).tolist() == [50] * 6


def test_groups_stay_whole_and_count_as_one_place():
    samples, targets = clustered(90)
    rows = np.repeat(np.arange(90), 3)
    shift = np.tile([[-1.0, 0], [0, 0], [1, 0]], (90, 1))
    once = knndm_folds(samples, targets, np.arange(90), 4, 0)
    thrice = knndm_folds(samples[rows] + shift, targets, [f"{g:03d}" for g in rows], 4, 0)
    np.testing.assert_array_equal(thrice.folds, once.folds[rows])
    assert thrice.wasserstein == pytest.approx(once.wasserstein)


def test_many_places_are_clustered_by_cells(monkeypatch):
    samples, targets = clustered(300, 2)
    whole = knndm_folds(samples, targets, np.arange(300), 5, 0)
    monkeypatch.setattr(knndm, "_MOST_LEAVES", 100)
    cells = knndm._cells(samples, 100)
    assert set(cells) == set(range(100))
    assert np.bincount(cells).max() == 3
    some = knndm_folds(samples, targets, np.arange(300), 5, 0)
    np.testing.assert_allclose(some.of_folds, to_other_folds(samples, some.folds))
    assert some.wasserstein < 0.6 * some.random_wasserstein
    assert some.wasserstein < 3 * whole.wasserstein


@given(st.integers(1, 300), st.integers(1, 60))
def test_cells_are_numbered_without_gaps_and_not_too_many(n, most):
    cells = knndm._cells(np.random.default_rng(n).uniform(size=(n, 2)), most)
    assert set(cells) == set(range(cells.max() + 1))
    assert cells.max() + 1 <= most


def test_samples_at_one_place_and_same_result_again():
    samples, targets = clustered(100)
    samples[:40] = samples[0]
    one, other = (knndm_folds(samples, targets, np.arange(100), 4, 0) for _ in range(2))
    np.testing.assert_array_equal(one.folds, other.folds)
    np.testing.assert_allclose(one.of_folds, to_other_folds(samples, one.folds), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 1}, InvalidInput, "1 folds"),
        ({"k": 19}, InvalidSamples, "20 groups for 19 folds"),
        ({"candidates": 0}, InvalidInput, "0 candidates"),
        ({"groups": np.arange(19)}, InvalidInput, "one group per row"),
        ({"samples": np.zeros((20, 3))}, InvalidInput, "row of x and y"),
        ({"predictions": np.empty((0, 2))}, InvalidInput, "predictions of shape"),
        ({"samples": np.r_[np.zeros((19, 2)), [[np.nan, 0]]]}, InvalidSamples, "row 19 of the samples"),
    ],
)
def test_folds_that_cannot_be(change, error, message):
    samples, targets = clustered(20)
    given = {"samples": samples, "predictions": targets, "groups": np.arange(20), "k": 4, "seed": 0}
    with pytest.raises(error, match=message):
        knndm_folds(**given | change)
