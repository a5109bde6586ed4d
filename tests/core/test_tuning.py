"""Tuning picks the setting of the least error, and that error is what it says."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.forest import ForestParameters
from cup4soil.methods.tuning import TRIALS, tune
from cup4soil.methods.validation import cross_validate


def world(n: int = 120, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 4)).astype(np.float32)
    return x, x[:, 0] + 2 * np.sin(3 * x[:, 1]) + noise * random.normal(size=n)


def test_errors_are_out_of_bag_and_the_least_is_chosen():
    x, y = world()
    base = ForestParameters(trees=300, max_depth=9, seed=4)
    found = tune(x, y, base, trees=60)
    assert [(each.min_leaf, each.max_features) for each in found.trials] == list(TRIALS)
    for trial in found.trials:
        forest = RandomForestRegressor(
            60, min_samples_leaf=trial.min_leaf, max_features=trial.max_features, max_depth=9, oob_score=True,
            random_state=4,
        ).fit(x, y)  # fmt: skip
        assert trial.error == pytest.approx(1 - forest.oob_score_, rel=1e-6)
    best = min(found.trials, key=lambda trial: trial.error)
    assert [each.chosen for each in found.trials].count(True) == 1
    assert best.chosen
    assert found.parameters == ForestParameters(300, best.min_leaf, best.max_features, 9, 4)
    assert found == tune(x, y, base, trees=60, threads=1)


def test_errors_over_folds_are_those_of_cross_validation():
    x, y = world()
    folds = np.arange(120) % 3
    found = tune(x, y, folds=folds, trees=50, trials=[(2, 0.5), (20, 0.5)])
    for trial in found.trials:
        parameters = ForestParameters(50, trial.min_leaf, trial.max_features)
        predicted = cross_validate(x, y, None, folds, parameters, ()).modelled.mean
        assert trial.error == pytest.approx(np.mean((predicted - y) ** 2) / y.var())
    assert found.trials[0].chosen


def test_a_clear_signal_takes_small_leaves_and_noise_large_ones():
    x, y = world()
    assert tune(x, y).parameters.min_leaf == 2
    assert tune(x, np.random.default_rng(1).normal(size=120)).parameters.min_leaf == 10


def test_several_targets_count_alike():
    x, y = world()
    one, both = tune(x, y, trees=50), tune(x, np.column_stack([y, y * 1000]), trees=50)
    np.testing.assert_allclose([each.error for each in both.trials], [each.error for each in one.trials], rtol=0.05)


def test_leaves_too_large_for_the_samples_are_not_tried():
    x, y = world(12)
    assert {each.min_leaf for each in tune(x, y).trials} == {2, 5}
    assert {each.min_leaf for each in tune(x, y, folds=np.arange(12) % 2, trees=50).trials} == {2}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target": np.zeros(3)}, InvalidInput, "per row"),
        ({"trees": 49}, InvalidInput, "49 trees"),
        ({"trials": ()}, InvalidInput, "no settings"),
        ({"trials": ((61, 0.5),)}, InvalidSamples, "too few"),
        ({"trials": ((2, 2.0),)}, InvalidInput, "max_features"),
        ({"target": np.zeros(120)}, InvalidSamples, "do not vary"),
        ({"target": np.full(120, np.nan)}, InvalidSamples, "not finite"),
        ({"folds": np.zeros(120)}, InvalidInput, "at least two"),
    ],
)
def test_what_cannot_be_tuned(change, error, message):
    x, y = world()
    with pytest.raises(error, match=message):
        tune(**{"features": x, "target": y} | change)
