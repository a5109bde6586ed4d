"""Scores against textbook cases, Monte Carlo and identities; cross-validation against doing it by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import r2_score, root_mean_squared_error

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.forest import ForestParameters, QuantileForest
from cup4soil.methods.validation import (
    NOMINAL_LEVELS,
    central_intervals,
    coverage_curve,
    cross_validate,
    interval_quantiles,
    scores,
)

columns = arrays(np.float64, (2, 12), elements=st.floats(-100, 100).map(lambda v: round(v, 3)))


@given(columns)
def test_rmse_and_efficiency_equal_sklearn(pair):
    y, p = pair
    found = scores(y, p, p, p)
    assert found.rmse == pytest.approx(root_mean_squared_error(y, p))
    if np.ptp(y) > 0.01:
        assert found.mec == pytest.approx(r2_score(y, p), rel=1e-6, abs=1e-9)


@given(columns)
def test_concordance_is_at_most_the_correlation_and_lins_product(pair):
    y, p = pair
    if min(y.std(), p.std()) < 0.01:
        return
    r = np.corrcoef(y, p)[0, 1]
    ratio = y.std() / p.std()
    shift = (y.mean() - p.mean()) / math.sqrt(y.std() * p.std())
    ccc = scores(y, p, p, p).ccc
    assert abs(ccc) <= abs(r) + 1e-9
    assert ccc == pytest.approx(r * 2 / (ratio + 1 / ratio + shift**2), rel=1e-6, abs=1e-9)


@given(columns, st.floats(0, 50))
def test_identities(pair, half):
    y, p = pair
    found = scores(y, p, p - half, p + half)
    assert found.rmse**2 == pytest.approx(found.me**2 + np.var(p - y), rel=1e-6, abs=1e-6)
    assert found.interval_score >= found.mean_width - 1e-9
    assert found.mean_width == pytest.approx(2 * half, abs=1e-9)
    assert found.picp90 == np.mean((p - half <= y) & (y <= p + half))


def test_a_case_by_hand():
    found = scores([1, 2, 3, 4], [1, 3, 3, 5], [0, 2, 3.5, 4], [2, 4, 5, 6])
    assert found.n == 4
    assert found.me == 0.5
    assert found.rmse == math.sqrt(0.5)
    assert found.mec == pytest.approx(1 - 2 / 5)
    assert found.ccc == pytest.approx(2 * 1.5 / (1.25 + 2 + 0.25))
    assert found.picp90 == 0.75
    assert found.mean_width == 1.875
    assert found.interval_score == pytest.approx(1.875 + 20 * 0.5 / 4)


def test_the_true_interval_scores_best():
    y = np.random.default_rng(0).normal(size=20_000)
    ones = np.ones_like(y)
    score = {width: scores(y, 0 * y, -width * ones, width * ones).interval_score for width in (1.2, 1.6449, 2.1)}
    assert min(score, key=score.__getitem__) == 1.6449


def test_perfect_prediction():
    y = np.arange(5.0)
    found = scores(y, y, y, y)
    assert (found.mec, found.ccc, found.picp90, found.interval_score) == (1, 1, 1, 0)


def test_undefined_figures_are_nan():
    same = np.full(4, 0.1)
    assert math.isnan(scores(same, [1, 2, 3, 4], same, same).mec)
    assert scores(same, [1, 2, 3, 4], same, same).ccc == 0.0
    assert math.isnan(scores(same, same, same, same).ccc)


def test_rows_with_a_missing_value_are_left_out():
    y, p = np.array([1.0, 2, np.nan, 4, 5]), np.array([1.5, np.nan, 3, 4, 6])
    low, high = p - 1, p + 1
    high[3] = np.nan
    assert scores(y, p, low, high) == scores(y[[0, 4]], p[[0, 4]], low[[0, 4]], high[[0, 4]])
    assert scores(y, p, low, high).n == 2


@pytest.mark.parametrize(
    ("observed", "mean", "lower", "upper", "message"),
    [
        ([1, 2], [1, 2, 3], [0, 0], [9, 9], "shapes"),
        ([1, 2], [1, 2], [0, 9], [9, 0], "lower bound"),
        ([1, np.inf], [1, 2], [0, 0], [9, 9], "infinite"),
        ([np.nan], [1], [0], [9], "none of 1 rows"),
        ([], [], [], [], "none of 0 rows"),
        ([[1]], [[1]], [[1]], [[1]], "shapes"),
    ],
)
def test_what_cannot_be_scored(observed, mean, lower, upper, message):
    with pytest.raises(InvalidInput, match=message):
        scores(observed, mean, lower, upper)


def test_coverage_of_true_quantiles_lies_on_the_line():
    y = np.random.default_rng(1).uniform(size=50_000)
    levels = interval_quantiles()
    curve = coverage_curve(y, levels, np.tile(np.array(levels)[:, None], y.size))
    assert curve.nominal == NOMINAL_LEVELS
    np.testing.assert_allclose(curve.picp, NOMINAL_LEVELS, atol=0.01)
    np.testing.assert_allclose(curve.quantile_coverage, levels, atol=0.01)
    assert curve.n == y.size


def test_quantile_coverage_shows_the_one_sided_bias_that_intervals_hide():
    y = np.random.default_rng(2).uniform(size=50_000)
    shifted = np.tile(np.array([[0.0], [0.9]]), y.size)
    curve = coverage_curve(y, (0.05, 0.95), shifted)
    assert curve.picp[0] == pytest.approx(0.9, abs=0.01)
    assert curve.quantile_coverage == pytest.approx((0.0, 0.9), abs=0.01)


@given(arrays(np.float64, (5, 30), elements=st.floats(-10, 10)))
def test_coverage_of_nested_intervals_rises(table):
    quantiles = np.sort(table[:4], axis=0)
    curve = coverage_curve(table[4], (0.05, 0.25, 0.75, 0.95), quantiles)
    assert curve.nominal == (0.5, 0.9)
    assert curve.picp[0] <= curve.picp[1]
    assert list(curve.quantile_coverage) == sorted(curve.quantile_coverage)


def test_coverage_leaves_out_rows_with_a_missing_value():
    curve = coverage_curve([1, np.nan, 3], (0.1, 0.9), [[0, 0, np.nan], [2, 2, 2]])
    assert (curve.n, curve.picp) == (1, (1.0,))


@pytest.mark.parametrize(
    ("levels", "rows", "message"),
    [
        ((0.05, 0.95), 3, "one row per level"),
        ((0.95, 0.05), 2, "ascending"),
        ((0.0, 1.0), 2, "ascending"),
        ((0.5, 0.5), 2, "ascending"),
        ((0.05, 0.9), 2, "central"),
        ((0.5,), 1, "central"),
    ],
)
def test_levels_that_make_no_curve(levels, rows, message):
    with pytest.raises(InvalidInput, match=message):
        coverage_curve(np.zeros(4), levels, np.zeros((rows, 4)))


SMALL = ForestParameters(trees=20, min_leaf=3, seed=1)


def example() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    x = random.normal(size=(60, 3))
    return x, np.exp(x[:, 0] + 0.3 * random.normal(size=60)), np.arange(60) % 3


def test_cross_validation_predicts_each_fold_from_the_others():
    x, y, folds = example()
    calls = []
    found = cross_validate(x, np.log(y), y, folds, SMALL, (0.1, 0.9), on_fold=lambda: calls.append(1))
    assert len(calls) == 3
    assert found.levels == (0.1, 0.9)
    for fold in range(3):
        held = folds == fold
        forest = QuantileForest.fit(x[~held], np.log(y[~held]), y[~held], SMALL)
        np.testing.assert_array_equal(found.reported.mean[held], forest.predict(x[held]).mean)
        np.testing.assert_array_equal(found.reported.quantiles[:, held], forest.predict(x[held], (0.1, 0.9)).quantiles)
        np.testing.assert_array_equal(found.modelled.mean[held], forest.predict_modelled(x[held]).mean)
    np.testing.assert_array_equal(found.modelled.quantiles, np.log(found.reported.quantiles))


def test_cross_validation_of_several_targets_and_outputs():
    x, y, folds = example()
    targets, shown = np.column_stack([np.log(y), x[:, 1] ** 2]), np.column_stack([y, y**2, x[:, 1]])
    found = cross_validate(x, targets, shown, folds, SMALL, (0.1, 0.9))
    assert (len(found.modelled_all), len(found.reported_all)) == (2, 3)
    assert found.reported is found.reported_all[0]
    assert found.modelled is found.modelled_all[0]
    held = folds == 1
    forest = QuantileForest.fit(x[~held], targets[~held], shown[~held], SMALL)
    for part, whole in zip(forest.predict_all(x[held], (0.1, 0.9)), found.reported_all, strict=True):
        np.testing.assert_array_equal(whole.mean[held], part.mean)
        np.testing.assert_array_equal(whole.quantiles[:, held], part.quantiles)
    for part, whole in zip(forest.predict_modelled_all(x[held], (0.1, 0.9)), found.modelled_all, strict=True):
        np.testing.assert_array_equal(whole.mean[held], part.mean)


def test_without_reported_values_the_scale_modelled_is_reported():
    x, y, folds = example()
    found = cross_validate(x, y, None, folds, SMALL, (0.5,))
    np.testing.assert_array_equal(found.reported.mean, found.modelled.mean)
    np.testing.assert_array_equal(found.reported.mean, cross_validate(x, y, y, folds, SMALL, (0.5,)).reported.mean)


def test_parameters_may_be_chosen_from_what_a_fold_may_see():
    x, y, folds = example()
    seen = []

    def choose(rows: np.ndarray) -> ForestParameters:
        seen.append(rows)
        return ForestParameters(trees=20, min_leaf=2 + len(seen), seed=1)

    found = cross_validate(x, y, None, folds, choose, (0.5,))
    np.testing.assert_array_equal(seen, [folds != fold for fold in range(3)])
    assert [each.min_leaf for each in found.parameters] == [3, 4, 5]
    whole = cross_validate(x, y, None, folds, ForestParameters(trees=20, min_leaf=4, seed=1), (0.5,))
    np.testing.assert_array_equal(found.reported.mean[folds == 1], whole.reported.mean[folds == 1])


def test_central_intervals_from_the_narrowest():
    assert central_intervals((0.05, 0.25, 0.4, 0.5, 0.75, 0.95)) == [(1, 4), (0, 5)]
    assert central_intervals((0.1, 0.5)) == []


def test_cross_validation_cannot_see_what_it_predicts():
    x, y, folds = example()
    noise = np.random.default_rng(4).normal(size=60)
    found = cross_validate(x, noise, None, folds, SMALL, (0.05, 0.95))
    assert scores(noise, found.reported.mean, *found.reported.quantiles).mec < 0.25
    altered = np.where(folds == 1, 5.0 + y, y)
    a, b = (cross_validate(x, t, None, folds, SMALL, (0.5,)) for t in (y, altered))
    np.testing.assert_array_equal(a.reported.mean[folds == 1], b.reported.mean[folds == 1])


def test_cross_validation_that_cannot_be():
    x, y, folds = example()
    with pytest.raises(InvalidInput, match="1 folds"):
        cross_validate(x, y, None, np.zeros(60), SMALL, (0.5,))
    for target, reported, split in ((y, None, folds[:-1]), (y[:-1], None, folds), (y, y[:-1], folds), (0.0, y, folds)):
        with pytest.raises(InvalidInput, match="per row"):
            cross_validate(x, target, reported, split, SMALL, (0.5,))
    with pytest.raises(InvalidSamples, match="without fold 2: all 40 samples have the value 1"):
        cross_validate(x, np.where(folds == 2, y, 1.0), None, folds, SMALL, (0.5,))
