"""Held-out samples of a derived indicator: figures, calibration that holds, and skill that is or is not there."""

import numpy as np
import pytest

from cup4soil.methods.folds import spatial_folds
from cup4soil.methods.forest import ForestParameters
from cup4soil.products import MEC_LOWER_END
from producers.derive_validation import HeldOutSamples, measures, validate_derived

N = 300


def samples(signal: float, seed: int = 0) -> tuple[HeldOutSamples, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, 4)).astype(np.float32)
    targets = np.column_stack([signal * x[:, 0] + rng.normal(size=N), signal * x[:, 1] + rng.normal(size=N)])
    east, north = rng.uniform(0, 10_000, (2, N))
    folds = spatial_folds(east, north, np.arange(N), 5, 0).folds
    held = HeldOutSamples(x, targets, folds, ForestParameters(trees=40, seed=1))
    return held, np.exp(0.3 * targets[:, 0]) * (2 + 0.2 * targets[:, 1])


def test_values_are_held_out_and_calibrated_on_the_other_folds() -> None:
    held, values = samples(2.0)
    found = validate_derived(held, values, None, 0).values
    assert found is not None
    assert found.skill.verdict == "skill"
    assert found.plain.mec > 0.3
    assert found.calibrated.picp90 == pytest.approx(0.9, abs=0.04)
    assert found.calibration.counts.tolist() == [N]


def test_without_a_signal_there_is_no_skill() -> None:
    held, values = samples(0.0)
    found = validate_derived(held, values, None, 0)
    assert found.verdict == "no-skill"
    told = {each.name: each.value for each in measures(found, "kg/m2", "5 folds")}
    assert told[MEC_LOWER_END] < 0.05


def test_class_figures_by_counting() -> None:
    held, values = samples(2.0)
    classes = np.digitize(values, np.quantile(values, [0.5, 0.8]))
    found = validate_derived(held, None, classes, 3).classes
    assert found is not None
    assert found.commonest == 0.5
    assert found.commonest < found.accuracy < 1
    # Naming the shares of the classes everywhere gives 1 - sum of p squared.
    assert found.brier < 1 - (0.25 + 0.09 + 0.04)


def test_values_and_classes_together_and_what_is_told_of_them() -> None:
    held, values = samples(2.0)
    classes = (values > np.median(values)).astype(np.int64)
    found = validate_derived(held, values, classes, 2)
    alone = validate_derived(held, values, None, 0)
    assert found.values.plain == alone.values.plain
    told = measures(found, "kg/m2", "5 spatial folds")
    assert {"RMSE", "MEC", "PICP90", "Accuracy", "Brier score", MEC_LOWER_END} <= {each.name for each in told}
    assert {each.unit for each in told if each.name == "RMSE"} == {"kg/m2"}
    assert len({each.support for each in told}) == 3


def test_too_few_samples_are_not_calibrated() -> None:
    held, values = samples(2.0)
    few = slice(0, 9)
    small = HeldOutSamples(
        held.features[few], held.targets[few], np.arange(9) % 3, ForestParameters(trees=10, min_leaf=1)
    )
    found = validate_derived(small, values[few], None, 0).values
    assert (found.calibration, found.calibrated) == (None, None)
