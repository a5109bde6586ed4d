"""Forests of several targets and outputs, and the form that keeps one row per leaf, against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.forest import ForestParameters, QuantileForest
from tests.core.test_forest import brute_force_weights, sklearn_forest, table

TAUS = (0.05, 0.31, 0.5, 0.95)
ALL = ForestParameters(trees=40, min_leaf=4, seed=5)
ONE = ForestParameters(trees=40, min_leaf=4, seed=5, form="one")


def fractions(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, log-ratios (n, 2) and the three fractions (n, 3) they belong to; scales differ on purpose."""
    x, y = table(n, 5, seed)
    random = np.random.default_rng(seed + 100)
    ratios = np.column_stack([np.log(y), 3 * x[:, 1] + random.normal(size=n)])
    parts = np.exp(np.column_stack([ratios, np.zeros(n)]))
    return x, ratios, 100 * parts / parts.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return fractions(170)


@pytest.fixture(scope="module")
def forest(sample) -> QuantileForest:
    return QuantileForest.fit(*sample, ALL)


@pytest.fixture(scope="module")
def kept(sample) -> QuantileForest:
    return QuantileForest.fit(*sample, ONE, measure_importance=False)


@pytest.fixture(scope="module")
def reference(sample) -> RandomForestRegressor:
    x, ratios, _ = sample
    return sklearn_forest(ALL).fit(x, ratios / ratios.std(axis=0))


@pytest.fixture(scope="module")
def at() -> np.ndarray:
    return table(150, 5, seed=1)[0]


def test_shapes(forest, sample):
    assert forest.outputs == 3
    assert forest.target.shape == (170, 2)
    assert forest.reported.shape == (170, 3)
    found = forest.predict_all(sample[0][:7], TAUS)
    assert [each.mean.shape for each in found] == [(7,)] * 3
    assert [each.quantiles.shape for each in found] == [(4, 7)] * 3


def test_every_column_equals_brute_force_under_the_same_weights(sample, forest, reference, at):
    x, ratios, parts = sample
    weights = brute_force_weights(reference, x, at)
    every = (*forest.predict_all(at, TAUS), *forest.predict_modelled_all(at, TAUS))
    for values, found in zip((*parts.T, *ratios.T), every, strict=True):
        np.testing.assert_allclose(found.mean, weights @ values, rtol=1e-12, atol=1e-12)
        order = np.argsort(values)
        cumulative = np.cumsum(weights[:, order], axis=1)
        for tau, quantile in zip(TAUS, found.quantiles, strict=True):
            np.testing.assert_array_equal(quantile, values[order][np.argmax(cumulative >= tau - 1e-9, axis=1)])


@pytest.mark.parametrize("parameters", [ALL, ONE])
def test_the_mean_is_that_of_sklearn(sample, parameters, reference, at):
    x, ratios, parts = sample
    forest = QuantileForest.fit(x, ratios, parts, parameters, measure_importance=False)
    means = np.column_stack([each.mean for each in forest.predict_modelled_all(at)])
    np.testing.assert_allclose(means, reference.predict(at) * ratios.std(axis=0), rtol=1e-10)


@pytest.mark.parametrize("fixture", ["forest", "kept"])
def test_means_of_fractions_sum_to_a_hundred(request, fixture, at):
    found = request.getfixturevalue(fixture).predict_all(at)
    np.testing.assert_allclose(sum(each.mean for each in found), 100, rtol=1e-12)


def test_the_first_column_is_what_a_single_prediction_gives(forest, at):
    first, modelled = forest.predict_all(at, TAUS)[0], forest.predict_modelled_all(at, TAUS)[0]
    np.testing.assert_array_equal(forest.predict(at, TAUS).quantiles, first.quantiles)
    np.testing.assert_array_equal(forest.predict_modelled(at, TAUS).quantiles, modelled.quantiles)


def test_units_of_the_targets_do_not_change_what_is_found(sample, forest, at):
    x, ratios, parts = sample
    other = QuantileForest.fit(x, ratios * [1000, 0.001] + [5, -7], parts, ALL, measure_importance=False)
    expected = forest.predict(at)
    assert np.mean(other.predict(at).quantiles == expected.quantiles) > 0.99
    np.testing.assert_allclose(other.predict(at).mean.mean(), expected.mean.mean(), rtol=1e-3)


@pytest.mark.parametrize("fixture", ["forest", "kept"])
def test_other_columns_of_the_same_rows_are_reported_under_the_same_weights(request, fixture, sample, at):
    forest = request.getfixturevalue(fixture)
    clay, silt = sample[2][:, 0], sample[2][:, 1]
    derived = forest.with_reported(np.column_stack([clay + silt, clay, -silt]))
    assert derived.outputs == 3
    total, again, negative = derived.predict_all(at, (0.25, 0.5, 0.75))
    before = forest.predict_all(at, (0.25, 0.5, 0.75))
    np.testing.assert_array_equal(again.quantiles, before[0].quantiles)
    np.testing.assert_allclose(total.mean, before[0].mean + before[1].mean, rtol=1e-12)
    np.testing.assert_allclose(negative.mean, -before[1].mean, rtol=1e-12)
    assert forest.with_reported(clay).predict(at).mean.tobytes() == before[0].mean.tobytes()
    assert forest.outputs == 3


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.ones(169), InvalidInput, "170 training rows"),
        (np.ones((170, 0)), InvalidInput, "170 training rows"),
        (np.ones((170, 2, 2)), InvalidInput, "170 training rows"),
        (np.r_[np.ones(169), np.inf], InvalidSamples, "sample 169 has a value"),
    ],
)
def test_columns_that_cannot_be_reported(forest, values, error, message):
    with pytest.raises(error, match=message):
        forest.with_reported(values)


def kept_values(forest: QuantileForest, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(trees, m): the value that the leaf reached in each tree keeps, walking the arrays node by node."""
    trees, out = forest.trees, np.empty((forest.trees.count, len(at)))
    for t in range(trees.count):
        root = trees.tree_start[t]
        for pixel, x in enumerate(at):
            node = root
            while trees.feature[node] >= 0:
                node = root + trees.left[node] + (x[trees.feature[node]] > trees.threshold[node])
            leaf = np.count_nonzero(trees.feature[:node] < 0)
            out[t, pixel] = values[forest.leaves.kept[leaf]]
    return out


@settings(max_examples=30, deadline=None)
@given(taus=st.lists(st.floats(0.0001, 0.9999), min_size=1, max_size=6), seed=st.integers(0, 50))
def test_one_row_per_leaf_gives_exactly_the_quantiles_of_numpy(sample, kept, taus, seed):
    at = table(6, 5, seed=seed)[0]
    for values, found in zip(sample[2].T, kept.predict_all(at, taus), strict=True):
        expected = np.quantile(kept_values(kept, values, at), taus, axis=0)
        np.testing.assert_array_equal(found.quantiles, expected)


@pytest.mark.parametrize("trees", [1, 2, 3])
def test_one_row_per_leaf_with_few_trees(sample, trees):
    x, ratios, parts = sample
    p = ForestParameters(trees=trees, min_leaf=4, form="one")
    forest = QuantileForest.fit(x, ratios, parts[:, 0], p, measure_importance=False)
    expected = np.quantile(kept_values(forest, parts[:, 0], x), TAUS, axis=0)
    np.testing.assert_array_equal(forest.predict(x, TAUS).quantiles, expected)


def test_the_row_kept_is_one_of_the_draws_of_its_leaf_each_as_likely_as_the_other():
    x, y = np.zeros((12, 1)), np.arange(12.0)
    forest = QuantileForest.fit(x, y, None, ForestParameters(trees=1200, form="one"), measure_importance=False)
    leaves = forest.leaves
    assert leaves.sizes.tolist() == [12] * 1200
    position = np.searchsorted(leaves.leaf_of_entry * 12 + leaves.row, np.arange(1200) * 12 + leaves.kept)
    assert (leaves.row[position] == leaves.kept).all()
    # A row drawn c times of 12 is kept c times out of 12.
    for times in (1, 2, 3):
        among = np.add.reduceat(leaves.count == times, leaves.start[:-1]) * times / 12
        share, expected = np.mean(leaves.count[position] == times), among.mean()
        assert share == pytest.approx(expected, abs=4 * np.sqrt(expected / 1200))
    assert np.bincount(leaves.kept, minlength=12).min() > 1200 / 12 * 0.6


def test_the_forms_share_their_trees_and_the_seed_fixes_the_rows_kept(sample, forest, kept, at):
    x, ratios, parts = sample
    again = QuantileForest.fit(x, ratios, parts, ONE, threads=1, measure_importance=False)
    assert again.leaves.kept.tobytes() == kept.leaves.kept.tobytes()
    assert kept.trees.threshold.tobytes() == forest.trees.threshold.tobytes()
    for one, every in zip(kept.predict_all(at), forest.predict_all(at), strict=True):
        assert one.mean.tobytes() == every.mean.tobytes()
        assert np.corrcoef(one.quantiles[1], every.quantiles[1])[0, 1] > 0.9


@pytest.mark.parametrize("fixture", ["forest", "kept"])
def test_stored_and_read_back(request, fixture, tmp_path, at):
    forest = request.getfixturevalue(fixture)
    np.savez(tmp_path / "forest.npz", **forest.to_arrays())
    with np.load(tmp_path / "forest.npz", allow_pickle=False) as stored:
        back = QuantileForest.from_arrays(stored)
    assert back.parameters == forest.parameters
    for a, b in zip(back.predict_all(at), forest.predict_all(at), strict=True):
        assert a.quantiles.tobytes() == b.quantiles.tobytes()


@pytest.mark.parametrize("damage", ["absent", "short", "another row", "out of range", "negative", "float"])
def test_damaged_kept_rows_are_refused(kept, damage):
    stored = {name: array.copy() for name, array in kept.to_arrays().items()}
    rows = stored["leaf_kept"]
    if damage == "absent":
        del stored["leaf_kept"]
    elif damage == "short":
        stored["leaf_kept"] = rows[:-1]
    elif damage == "float":
        stored["leaf_kept"] = rows.astype(np.float64)
    else:
        held = kept.leaves.row[: kept.leaves.start[1]]
        rows[0] = {"another row": np.setdiff1d(np.arange(170), held)[0], "out of range": 170, "negative": -1}[damage]
    with pytest.raises(InvalidInput, match="stored"):
        QuantileForest.from_arrays(stored)


@pytest.mark.parametrize("name", ["target", "reported"])
def test_stored_tables_without_columns_are_refused(forest, name):
    with pytest.raises(InvalidInput, match="inconsistent"):
        QuantileForest.from_arrays({**forest.to_arrays(), name: np.empty((170, 0))})


def test_importance_of_several_targets_weighs_them_alike():
    x, _ = table(400, 5, seed=3)
    noise = np.random.default_rng(2).normal(size=(400, 2))
    y = np.column_stack([x[:, 1] + 0.1 * noise[:, 0], 1000 * (x[:, 3] + 0.1 * noise[:, 1])])
    found = QuantileForest.fit(x, y, None, ForestParameters(trees=80, max_features=1.0)).importance
    assert set(found.argsort()[::-1][:2].tolist()) == {1, 3}
    assert found[1] == pytest.approx(found[3], rel=0.25)
    # Without a feature the target that hangs on it alone is lost: about twice its variance, for one target of two.
    assert 0.5 < found[1] < 1.2


@pytest.mark.parametrize(
    ("target", "reported", "error", "message"),
    [
        (
            np.column_stack([np.arange(20.0), np.full(20, 2.5)]),
            None,
            InvalidSamples,
            "all 20 samples have the value 2.5",
        ),
        (np.column_stack([np.arange(20.0), np.arange(20.0) * 1e-200]), None, InvalidSamples, "double precision"),
        (np.arange(20.0), np.r_[np.nan, np.arange(19.0)], InvalidSamples, "sample 0 has a target"),
        (np.empty((20, 0)), None, InvalidInput, "one value of each per row"),
        (np.arange(20.0), np.ones((19, 2)), InvalidInput, "one value of each per row"),
        (np.ones((20, 2, 1)), None, InvalidInput, "one value of each per row"),
    ],
)
def test_tables_that_cannot_train_a_forest(target, reported, error, message):
    with pytest.raises(error, match=message):
        QuantileForest.fit(np.ones((20, 2)), target, reported)


def test_a_form_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="form 'some'"):
        ForestParameters(form="some")
