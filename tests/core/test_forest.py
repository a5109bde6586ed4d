"""Quantile forest against scikit-learn, brute-force weights and the package quantile-forest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from quantile_forest import RandomForestQuantileRegressor
from sklearn.ensemble import RandomForestRegressor

from cup4soil.errors import InvalidInput, InvalidSamples, LimitExceeded
from cup4soil.methods import forest_importance, forest_values
from cup4soil.methods.forest import ForestParameters, QuantileForest
from cup4soil.methods.forest_importance import OutOfBag
from cup4soil.methods.forest_kernels import BLOCK, ordered

TAUS = (0.05, 0.5, 0.95)
PARAMETERS = ForestParameters(trees=60, min_leaf=4, seed=7)


def table(n: int, f: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features and a skewed, partly tied target that depends on them."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, f)).astype(np.float32)
    y = np.exp(0.5 * x[:, 0] + 0.3 * x[:, -1] ** 2 + 0.2 * random.normal(size=n))
    return x, np.round(y, 1)


def sklearn_forest(p: ForestParameters) -> RandomForestRegressor:
    return RandomForestRegressor(
        p.trees, min_samples_leaf=p.min_leaf, max_features=p.max_features, max_depth=p.max_depth, random_state=p.seed
    )


def brute_force_weights(fitted: RandomForestRegressor, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Meinshausen's weights (m, n): per tree a row's share of the draws in the leaf reached."""
    total = np.zeros((len(at), len(x)))
    reached, training = fitted.apply(at), fitted.apply(x)
    for t, drawn in enumerate(fitted.estimators_samples_):
        shared = (reached[:, t, None] == training[None, :, t]) * np.bincount(drawn, minlength=len(x))
        total += shared / shared.sum(axis=1, keepdims=True)
    return total / fitted.n_estimators


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray]:
    return table(180, 5)


@pytest.fixture(scope="module")
def forest(sample) -> QuantileForest:
    x, y = sample
    return QuantileForest.fit(x, np.log(y + 1), y, PARAMETERS)


@pytest.fixture(scope="module")
def reference(sample) -> RandomForestRegressor:
    x, y = sample
    return sklearn_forest(PARAMETERS).fit(x, np.log(y + 1))


@pytest.mark.parametrize(("min_leaf", "max_depth", "trees"), [(4, None, 60), (1, None, 7), (40, None, 20), (5, 2, 1)])
def test_mean_and_quantiles_equal_brute_force(sample, min_leaf, max_depth, trees):
    x, y = sample
    parameters = ForestParameters(trees=trees, min_leaf=min_leaf, max_depth=max_depth, seed=3)
    at = table(300, 5, seed=1)[0]
    weights = brute_force_weights(sklearn_forest(parameters).fit(x, np.log(y + 1)), x, at)
    found = QuantileForest.fit(x, np.log(y + 1), y, parameters).predict(at, TAUS)
    np.testing.assert_allclose(found.mean, weights @ y, rtol=1e-12)
    order = np.argsort(y)
    cumulative = np.cumsum(weights[:, order], axis=1)
    for tau, quantile in zip(TAUS, found.quantiles, strict=True):
        expected = y[order][np.argmax(cumulative >= tau - 1e-9, axis=1)]
        np.testing.assert_array_equal(quantile, expected)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(8, 90), trees=st.integers(1, 9), min_leaf=st.integers(1, 4), ties=st.integers(0, 3),
    taus=st.lists(st.integers(1, 998), min_size=1, max_size=5), seed=st.integers(0, 1000),
)  # fmt: skip
def test_any_small_forest_equals_brute_force(n, trees, min_leaf, ties, taus, seed):
    x, _ = table(n, 3, seed)
    y = np.round(np.random.default_rng(seed).normal(size=n), ties)
    y[0] += 1
    parameters = ForestParameters(trees=trees, min_leaf=min_leaf, seed=seed)
    wanted = [tau / 999 for tau in taus]
    weights = brute_force_weights(sklearn_forest(parameters).fit(x, y), x, x)
    found = QuantileForest.fit(x, y, None, parameters, measure_importance=False).predict(x, wanted)
    order = np.argsort(y)
    cumulative = np.cumsum(weights[:, order], axis=1)
    for tau, quantile in zip(wanted, found.quantiles, strict=True):
        np.testing.assert_array_equal(quantile, y[order][np.argmax(cumulative >= tau - 1e-8, axis=1)])


def test_mean_on_the_modelled_scale_is_that_of_sklearn(sample, forest, reference):
    at = table(500, 5, seed=2)[0]
    np.testing.assert_allclose(forest.predict_modelled(at).mean, reference.predict(at), rtol=1e-12)


def test_agrees_with_the_package_quantile_forest():
    x, _ = table(150, 4)
    y = x[:, 0] + np.random.default_rng(4).normal(size=150)
    parameters = ForestParameters(trees=80, min_leaf=5, seed=11)
    other = RandomForestQuantileRegressor(
        80, min_samples_leaf=5, max_features=1 / 3, random_state=11, max_samples_leaf=None
    ).fit(x, y)  # fmt: skip
    at = table(200, 4, seed=5)[0]
    expected = other.predict(at, quantiles=list(TAUS), weighted_leaves=True).T
    found = QuantileForest.fit(x, y, parameters=parameters).predict(at, TAUS)
    np.testing.assert_allclose(found.mean, other.predict(at, quantiles="mean", weighted_leaves=True), rtol=1e-6)
    # It interpolates between neighbours among the observations that weigh anything; we name one of them.
    weights = brute_force_weights(sklearn_forest(parameters).fit(x, y), x, at)
    for pixel, weight in enumerate(weights):
        values = np.sort(y[weight > 0])
        rank = np.searchsorted(values, found.quantiles[:, pixel])
        assert (values[np.maximum(rank - 1, 0)] <= expected[:, pixel]).all()
        assert (expected[:, pixel] <= values[np.minimum(rank + 1, values.size - 1)]).all()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (9, 5), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_leaves_equal_sklearn_for_any_finite_input(forest, reference, x):
    assert_same_leaves(forest, reference, x)


def test_leaves_equal_sklearn_at_the_thresholds_themselves(forest, reference):
    inner = forest.trees.feature >= 0
    x = np.zeros((inner.sum(), 5), np.float32)
    x[np.arange(len(x)), forest.trees.feature[inner]] = forest.trees.threshold[inner]
    nudged = [np.nextafter(x, np.float32(to)) for to in (-np.inf, np.inf)]
    for rows in (x, *nudged):
        assert_same_leaves(forest, reference, rows)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 63, 64, 65, BLOCK - 1, BLOCK, BLOCK + 1])
def test_leaves_equal_sklearn_for_any_number_of_rows(forest, reference, rows):
    assert_same_leaves(forest, reference, table(rows, 5, seed=rows)[0])


@given(arrays(np.float32, 8, elements=st.floats(width=32, allow_nan=False)))
def test_ordered_integers_compare_as_the_numbers_do(values):
    codes = ordered(values)
    np.testing.assert_array_equal(codes[:, None] > codes, values[:, None] > values)
    np.testing.assert_array_equal(codes[:, None] == codes, values[:, None] == values)


@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_leaf_values_made_in_parts_are_the_same(sample, monkeypatch, at_once):
    whole = QuantileForest.fit(*sample, None, PARAMETERS, measure_importance=False)._on_target[0]
    monkeypatch.setattr(forest_values, "_ENTRIES_AT_ONCE", at_once)
    parts = QuantileForest.fit(*sample, None, PARAMETERS, measure_importance=False)._on_target[0]
    assert parts.entries.tobytes() == whole.entries.tobytes()
    assert parts.start.tobytes() == whole.start.tobytes()


def test_more_values_than_can_be_addressed_are_refused(sample, monkeypatch):
    monkeypatch.setattr(forest_values, "_MOST_ENTRIES", 1000)
    forest = QuantileForest.fit(*sample, None, PARAMETERS, measure_importance=False)
    with pytest.raises(LimitExceeded, match="values in the leaves"):
        forest.predict(sample[0])


def assert_same_leaves(forest: QuantileForest, reference: RandomForestRegressor, x: np.ndarray) -> None:
    """Leaves are numbered otherwise, but each of ours must be one of sklearn's, known by its value."""
    ours = forest._on_target[0].mean[forest.trees.apply(x)]
    reached = zip(reference.estimators_, reference.apply(x).T, strict=True)
    theirs = [tree.tree_.value[leaf, 0, 0] for tree, leaf in reached]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=5), st.integers(0, 100))
def test_quantiles_are_ordered_training_values(sample, forest, taus, seed):
    at = table(20, 5, seed=seed)[0] * 3
    found = forest.predict(at, taus)
    order = np.argsort(taus)
    assert (np.diff(found.quantiles[order], axis=0) >= 0).all()
    assert np.isin(found.quantiles, sample[1]).all()
    assert ((sample[1].min() <= found.mean) & (found.mean <= sample[1].max())).all()


def test_quantiles_follow_any_monotone_transform_of_what_is_reported(sample, forest):
    x, y = sample
    at = table(200, 5, seed=6)[0]
    cubed = QuantileForest.fit(x, np.log(y + 1), y**3, PARAMETERS, measure_importance=False)
    np.testing.assert_array_equal(cubed.predict(at).quantiles, forest.predict(at).quantiles ** 3)
    np.testing.assert_array_equal(forest.predict_modelled(at).quantiles, np.log(forest.predict(at).quantiles + 1))


def test_without_a_reported_scale_the_modelled_one_is_reported(sample):
    x, y = sample
    forest = QuantileForest.fit(x, y, None, PARAMETERS, measure_importance=False)
    np.testing.assert_array_equal(forest.predict(x).mean, forest.predict_modelled(x).mean)


def test_missing_features_give_nan_and_leave_other_rows_alone(forest):
    at = np.array(table(50, 5, seed=8)[0], np.float64)
    whole = forest.predict(at)
    at[3, 0], at[10, 4], at[49, 2] = np.nan, np.inf, 1e300
    found = forest.predict(at)
    assert np.isnan(found.mean[[3, 10, 49]]).all()
    assert np.isnan(found.quantiles[:, [3, 10, 49]]).all()
    kept = np.setdiff1d(np.arange(50), [3, 10, 49])
    np.testing.assert_array_equal(found.mean[kept], whole.mean[kept])
    np.testing.assert_array_equal(found.quantiles[:, kept], whole.quantiles[:, kept])


def test_no_rows_and_only_missing_rows(forest):
    assert forest.predict(np.empty((0, 5))).quantiles.shape == (3, 0)
    assert np.isnan(forest.predict(np.full((4, 5), np.nan)).mean).all()


def test_blocks_threads_and_neighbours_do_not_change_a_row(forest):
    at = table(3 * BLOCK + 5, 5, seed=9)[0]
    whole = forest.predict(at, threads=1)
    threaded = forest.predict(at, threads=3)
    alone = forest.predict(at[2 * BLOCK - 3 : 2 * BLOCK + 10])
    assert whole.mean.tobytes() == threaded.mean.tobytes()
    assert whole.quantiles.tobytes() == threaded.quantiles.tobytes()
    np.testing.assert_array_equal(alone.quantiles, whole.quantiles[:, 2 * BLOCK - 3 : 2 * BLOCK + 10])


def test_quantiles_come_in_the_order_asked_for(forest, sample):
    a, b = forest.predict(sample[0], (0.9, 0.1, 0.9)), forest.predict(sample[0], (0.1, 0.9))
    np.testing.assert_array_equal(a.quantiles, b.quantiles[[1, 0, 1]])


def test_same_seed_same_bytes_whatever_the_threads(sample):
    x, y = sample
    one, two = (QuantileForest.fit(x, y, None, PARAMETERS, threads=t).to_arrays() for t in (1, 2))
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
    other = QuantileForest.fit(x, y, None, ForestParameters(trees=60, min_leaf=4, seed=8)).to_arrays()
    assert other["threshold"].tobytes() != one["threshold"].tobytes()


def test_out_of_bag_prediction_equals_sklearn(sample):
    x, y = sample
    reference = sklearn_forest(PARAMETERS).set_params(oob_score=True).fit(x, y)
    forest = QuantileForest.fit(x, y, None, PARAMETERS)
    # What the importance rests on.
    codes = ordered(x)
    found = OutOfBag(forest.trees, forest.leaves, forest.target).predictions(codes, codes)
    np.testing.assert_allclose(found[0, :, 0], reference.oob_prediction_, rtol=1e-12)
    np.testing.assert_array_equal(found[1:], np.broadcast_to(found[0], found[1:].shape))


@pytest.mark.parametrize(("n", "trees"), [(60, 3), (300, 40), (2500, 12)])
@pytest.mark.parametrize("targets", [1, 2])
def test_importance_equals_brute_force(n, trees, targets):
    x, y = table(n, 4, seed=n)
    y = np.column_stack([y, 100 * x[:, 1] + y])[:, :targets]
    parameters = ForestParameters(trees=trees, min_leaf=3, seed=9)
    reference = sklearn_forest(parameters).fit(x, y[:, 0] if targets == 1 else y / y.std(axis=0))
    seen = np.stack([np.bincount(drawn, minlength=n) > 0 for drawn in reference.estimators_samples_])
    spread = 1.0 if targets == 1 else y.std(axis=0)

    def error(at):
        said = np.stack([tree.predict(at).reshape(n, targets) for tree in reference.estimators_])
        said[seen] = np.nan
        known = ~seen.all(axis=0)
        mean = np.nanmean(said[:, known], axis=0) * spread
        return ((mean - y[known]) ** 2).mean(axis=0)

    expected = np.empty(4)
    for feature in range(4):
        random = np.random.default_rng([9, feature])
        errors = []
        for _ in range(-(-2000 // n)):
            shuffled = x.copy()
            shuffled[:, feature] = random.permutation(x[:, feature])
            errors.append(error(shuffled))
        growth = np.mean(errors, axis=0) - error(x)
        expected[feature] = (growth / (1.0 if targets == 1 else y.var(axis=0))).mean()
    found = QuantileForest.fit(x, y, None, parameters).importance
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_importance_in_parts_is_the_same_whatever_the_threads(sample, monkeypatch):
    whole = QuantileForest.fit(*sample, None, PARAMETERS).importance
    monkeypatch.setattr(forest_importance, "_HELD", 1)
    parts = [QuantileForest.fit(*sample, None, PARAMETERS, threads=threads).importance for threads in (1, 3)]
    assert parts[0].tobytes() == parts[1].tobytes()
    np.testing.assert_allclose(parts[0], whole, rtol=1e-9, atol=1e-12)


def test_importance_finds_the_features_that_matter():
    x, _ = table(300, 6, seed=10)
    y = 3 * x[:, 2] + x[:, 4] + 0.1 * np.random.default_rng(0).normal(size=300)
    importance = QuantileForest.fit(x, y, None, ForestParameters(trees=100)).importance
    assert importance.argsort()[::-1][:2].tolist() == [2, 4]
    assert np.abs(importance[[0, 1, 3, 5]]).max() < 0.02 * importance[2]


def test_importance_is_nan_when_not_measured(sample):
    forest = QuantileForest.fit(*sample, None, PARAMETERS, measure_importance=False)
    assert np.isnan(forest.importance).all()


def test_features_that_never_vary_give_the_mean_of_all():
    y = np.arange(40.0)
    forest = QuantileForest.fit(np.ones((40, 2)), y, None, ForestParameters(trees=200))
    found = forest.predict(np.ones((1, 2)))
    assert found.mean[0] == pytest.approx(19.5, abs=1.0)
    np.testing.assert_allclose(found.quantiles[:, 0], [2, 19.5, 37], atol=2)


def test_a_tie_at_the_quantile_takes_the_lower_value():
    x = np.array([[0.0], [0.0], [0.0], [0.0]])
    forest = QuantileForest.fit(x, [1.0, 2.0, 3.0, 4.0], None, ForestParameters(trees=1, min_leaf=1, seed=0))
    drawn = np.sort(np.repeat(forest.target[forest.leaves.row, 0], forest.leaves.count))
    for k, tau in enumerate((0.25, 0.5, 0.75)):
        assert forest.predict(x[:1], [tau]).quantiles[0, 0] == drawn[k]


@pytest.mark.parametrize("field", ["trees", "min_leaf", "max_features", "max_depth", "seed"])
@pytest.mark.parametrize("value", [-1, 2**40])
def test_impossible_parameters_are_refused(field, value):
    if value > 0 and field in ("min_leaf", "max_depth"):
        return
    with pytest.raises(InvalidInput, match=field):
        ForestParameters(**{field: value})


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (np.ones((20, 2)), np.full(20, 3.5), InvalidSamples, "all 20 samples have the value 3.5"),
        (np.ones((5, 2)), np.arange(5.0), InvalidSamples, "5 samples"),
        (np.ones((20, 2)), np.r_[np.nan, np.arange(19.0)], InvalidSamples, "sample 0 has a target"),
        (np.r_[np.ones((19, 2)), [[1, np.inf]]], np.arange(20.0), InvalidSamples, "sample 19 has a feature"),
        (np.ones((20, 2)), np.arange(19.0), InvalidInput, "one value of each per row"),
        (np.ones(20), np.arange(20.0), InvalidInput, "features of shape"),
        (np.ones((20, 0)), np.arange(20.0), InvalidInput, "features of shape"),
        (np.ones((20, 1025)), np.arange(20.0), InvalidInput, "1024 columns"),
    ],
)
def test_samples_that_cannot_train_a_forest(x, y, error, message):
    with pytest.raises(error, match=message):
        QuantileForest.fit(x, y)


def test_predicting_wrongly_is_refused(forest):
    with pytest.raises(InvalidInput, match="rows of 5 columns"):
        forest.predict(np.ones((3, 4)))
    with pytest.raises(InvalidInput, match="threads"):
        forest.predict(np.ones((3, 5)), threads=0)
    for tau in (0.0, 1.0, np.nan):
        with pytest.raises(InvalidInput, match="quantiles"):
            forest.predict(np.ones((3, 5)), [tau])
