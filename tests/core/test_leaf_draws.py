"""Rows that stand several times, and a formula's error added to them, against the exact convolution."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import kstest

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.forest import ForestParameters, QuantileForest
from cup4soil.methods.leaf_draws import DRAWS, deviates, repeated

N = 150


@pytest.fixture(scope="module", params=["all", "one"])
def forest(request: pytest.FixtureRequest) -> QuantileForest:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 4))
    y = np.exp(0.5 * x[:, 0] + 0.3 * rng.normal(size=N))
    parameters = ForestParameters(trees=60, seed=1, form=request.param)
    return QuantileForest.fit(x, y, None, parameters, measure_importance=False)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(9).normal(size=(25, 4))


def weights(forest: QuantileForest, pixels: np.ndarray) -> np.ndarray:
    """(pixels, rows): the mean of a row's indicator is its weight."""
    return np.array([p.mean for p in forest.with_reported(np.eye(N)).predict_all(pixels, ())]).T


def test_repeating_rows_changes_nothing(forest: QuantileForest, pixels: np.ndarray) -> None:
    again = repeated(forest, np.repeat(forest.target, 5, axis=1)).predict(pixels, (0.05, 0.3, 0.95))
    once = forest.predict(pixels, (0.05, 0.3, 0.95))
    np.testing.assert_allclose(again.mean, once.mean, rtol=1e-12)
    np.testing.assert_array_equal(again.quantiles, once.quantiles)


def test_pooled_values_are_the_weighted_mixture(pixels: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 4))
    forest = QuantileForest.fit(x, x[:, 0] + rng.normal(size=N), None, ForestParameters(trees=40, seed=2))
    values = rng.normal(size=(N, 3))
    found = repeated(forest, values).predict(pixels, (0.1, 0.5, 0.9))
    for row, weight in enumerate(weights(forest, pixels)):
        order = np.argsort(values.ravel())
        reached = np.cumsum(np.repeat(weight / 3, 3)[order])
        for tau, quantile in zip((0.1, 0.5, 0.9), found.quantiles[:, row], strict=True):
            assert quantile == values.ravel()[order][np.searchsorted(reached, tau - 1e-6)]
        assert found.mean[row] == pytest.approx(np.sum(weight * values.mean(axis=1)))


def test_bounds_with_an_error_come_near_the_convolution(pixels: np.ndarray) -> None:
    """With one deviate a row the mean square deviation is about 5 % of the interval's width, with eight about 1 %."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 4))
    values = np.exp(0.5 * x[:, 0] + 0.3 * rng.normal(size=N))
    forest = QuantileForest.fit(x, values, None, ForestParameters(trees=60, seed=1), measure_importance=False)
    sd = 0.3
    exact = np.array([[_quantile(w, values, sd, tau) for w in weights(forest, pixels)] for tau in (0.05, 0.5, 0.95)])
    width = exact[2] - exact[0]

    def deviation(draws: int) -> float:
        found = repeated(forest, values[:, None] + sd * deviates(N, draws, 0)).predict(pixels)
        return float(np.sqrt(np.mean(((found.quantiles - exact) / width) ** 2)))

    assert deviation(DRAWS) < 0.02
    assert deviation(DRAWS) < deviation(1) / 2
    plain = (forest.predict(pixels).quantiles - exact) / width
    assert deviation(DRAWS) < np.sqrt(np.mean(plain**2)) / 2


def _quantile(weight: np.ndarray, values: np.ndarray, sd: float, tau: float) -> float:
    return float(brentq(lambda z: np.sum(weight * ndtr((z - values) / sd)) - tau, -5, 50))


def test_deviates_are_stratified_normals() -> None:
    z = deviates(200, 8, 3)
    assert z.shape == (200, 8)
    assert kstest(z.ravel(), "norm").statistic < 1 / z.size
    assert abs(z.mean()) < 1e-12
    assert z.var() == pytest.approx(1, abs=0.005)
    # One of each share in every row; the rows are therefore centred far better than by chance.
    np.testing.assert_array_equal(np.sort(np.floor(8 * ndtr(z)), axis=1), np.tile(np.arange(8), (200, 1)))
    np.testing.assert_array_equal(z, deviates(200, 8, 3))
    assert (z != deviates(200, 8, 4)).any()


def test_what_does_not_fit_is_refused(forest: QuantileForest) -> None:
    with pytest.raises(InvalidInput, match="values of shape"):
        repeated(forest, np.ones((N - 1, 2)))
    with pytest.raises(InvalidInput, match="values of shape"):
        repeated(forest, np.ones(N))
    with pytest.raises(InvalidSamples, match="not finite"):
        repeated(forest, np.full((N, 2), np.nan))
    with pytest.raises(InvalidInput, match="0 deviates"):
        deviates(10, 0, 1)
