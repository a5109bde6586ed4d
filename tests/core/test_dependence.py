"""Partial dependence against the definition and scikit-learn."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import partial_dependence as of_sklearn

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.dependence import partial_dependence


def world() -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(0)
    x = np.column_stack([random.normal(size=(150, 2)), random.integers(0, 2, 150)]).astype(np.float32)
    return x, ["a", "b", "class=1"]


def rule(x: np.ndarray) -> np.ndarray:
    return 2 * x[:, 0] + x[:, 0] * x[:, 1] + 5 * x[:, 2]


def test_equals_the_definition():
    x, names = world()
    found = partial_dependence(rule, x, names, ["a", "class=1"], points=9)
    assert [each.name for each in found] == ["a", "class=1"]
    assert found[1].values.tolist() == [0.0, 1.0]
    for each, column in zip(found, (0, 2), strict=True):
        for i, value in enumerate(each.values):
            varied = x.copy()
            varied[:, column] = value
            curves = rule(varied)
            assert each.mean[i] == pytest.approx(curves.mean(), rel=1e-6)
            expected = np.quantile(curves, [0.05, 0.95])
            assert (each.lower[i], each.upper[i]) == pytest.approx(tuple(expected), rel=1e-6)
    assert (found[0].values[0], found[0].values[-1]) == pytest.approx(tuple(np.quantile(x[:, 0], [0.02, 0.98])))


def test_mean_equals_sklearns():
    x, names = world()
    forest = RandomForestRegressor(20, random_state=0).fit(x, rule(x))
    found = partial_dependence(forest.predict, x, names, ["b"], points=7)[0]
    theirs = of_sklearn(forest, x, [1], custom_values={1: found.values.astype(np.float32)}, method="brute")
    np.testing.assert_allclose(found.mean, theirs["average"][0], rtol=1e-6)


def test_an_effect_that_depends_on_others_has_a_wide_band():
    x, names = world()
    a, b = partial_dependence(lambda rows: rows[:, 0] + 0 * rows[:, 1], x, names, ["a", "b"])
    np.testing.assert_allclose(a.upper - a.lower, 0, atol=1e-6)
    np.testing.assert_allclose(np.diff(b.mean), 0, atol=1e-6)
    assert (b.upper - b.lower > 1).all()


def test_many_rows_are_drawn_once_and_each_feature_is_one_call():
    x, names = world()
    calls = []

    def predict(rows: np.ndarray) -> np.ndarray:
        calls.append(len(rows))
        return rule(rows)

    one = partial_dependence(predict, x, names, names, points=5, rows=30, seed=3)
    assert calls == [150, 150, 60]
    other = partial_dependence(rule, x, names, names, points=5, rows=30, seed=3)
    np.testing.assert_array_equal(one[0].mean, other[0].mean)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"names": ["a"]}, InvalidInput, "for 1 names"),
        ({"chosen": ["z"]}, InvalidInput, "no feature 'z'"),
        ({"points": 1}, InvalidInput, "1 points"),
        ({"rows": 1}, InvalidInput, "1 rows"),
        ({"features": np.empty((0, 3))}, InvalidSamples, "no samples"),
        ({"features": np.full((5, 3), np.nan)}, InvalidSamples, "not finite"),
    ],
)
def test_what_cannot_be_varied(change, error, message):
    x, names = world()
    with pytest.raises(error, match=message):
        partial_dependence(**{"predict": rule, "features": x, "names": names, "chosen": ["a"]} | change)
