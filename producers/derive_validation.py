"""How good a derived indicator is: predicted for samples held out in space, by forests grown without them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidSamples
from cup4soil.indicator_types import Floats, Numbers
from cup4soil.methods.conformal import Calibration, calibration_levels, cross_calibrated_levels
from cup4soil.methods.forest import QUANTILES, ForestParameters
from cup4soil.methods.skill import Skill, assess
from cup4soil.methods.validation import CrossValidation, Scores, cross_validate, scores
from cup4soil.products import MEC_LOWER_END, Measure, Verdict

LEVELS = calibration_levels()
# Name, attribute of Scores, whether it has the indicator's unit, meaning.
_FIGURES = (
    ("RMSE", "rmse", True, "Root mean squared error of the predicted mean."),
    ("ME", "me", True, "Mean error, predicted minus derived from measurements: the bias."),
    ("MEC", "mec", False, "Model efficiency: 1 is perfect, 0 no better than the mean of the samples."),
    ("PICP90", "picp90", False, "Share of samples inside their 90 % prediction interval; should be 0.9."),
    ("Mean interval width", "mean_width", True, "Mean width of the 90 % prediction interval."),
)


@dataclass(frozen=True)
class HeldOutSamples:
    """What a model was trained on: ``features`` (n, f), ``targets`` (n, t) and spatial ``folds`` (n,).

    ``units``: (n,), what the bootstrap resamples as a whole; every sample by itself without.
    """

    features: NDArray[np.float32]
    targets: Floats
    folds: NDArray[np.int64]
    parameters: ForestParameters
    units: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class ValueValidation:
    """Values held out: as the forest gives them, and with intervals calibrated on the other folds.

    ``calibration`` is for the map: from all held-out samples; None, as ``calibrated``, where they are too few.
    """

    plain: Scores
    calibrated: Scores | None
    calibration: Calibration | None
    skill: Skill


@dataclass(frozen=True)
class ClassValidation:
    """Classes held out.

    ``accuracy``: of the most probable class; ``commonest``: of always naming the largest class; ``brier``: mean squared
    error of the probabilities, summed over the classes (0 to 2).
    """

    n: int
    accuracy: float
    commonest: float
    brier: float


@dataclass(frozen=True)
class DerivedValidation:
    """Validation of an indicator's values and classes, None for what it does not have."""

    values: ValueValidation | None
    classes: ClassValidation | None

    @property
    def verdict(self) -> Verdict | None:
        """Whether the values show skill; None for classes alone."""
        return None if self.values is None else self.values.skill.verdict


def validate_derived(
    samples: HeldOutSamples,
    values: Floats | None,
    classes: Numbers | None,
    kinds: int,
    *,
    threads: int = 2,
    on_fold: Callable[[], None] | None = None,
) -> DerivedValidation:
    """Hold out each fold of ``samples`` and predict its ``values`` (n,) and ``classes`` (n,), of ``kinds`` kinds.

    What is held out is what the formula makes of measurements, without the formula's own error: that enters the
    map's intervals on top.

    Raises:
        InvalidSamples: when no forest can be grown without a fold, or all values are one.
    """
    columns = [] if values is None else [values]
    if classes is not None:
        columns += list((classes[:, None] == np.arange(kinds)).T.astype(np.float64))
    found = cross_validate(
        samples.features,
        samples.targets,
        np.column_stack(columns),
        samples.folds,
        samples.parameters,
        LEVELS,
        threads=threads,
        on_fold=on_fold,
    )
    shares = found.reported_all if values is None else found.reported_all[1:]
    return DerivedValidation(
        None if values is None else _of_values(values, found, samples),
        None if classes is None else _of_classes(classes, np.array([each.mean for each in shares])),
    )


def measures(found: DerivedValidation, unit: str, support: str) -> tuple[Measure, ...]:
    """Figures of a derived map, each with what it was measured on."""
    told: list[Measure] = []
    if found.values is not None:
        told += _figures(found.values.plain, unit, f"{support}, as predicted")
        if found.values.calibrated is not None:
            told += _figures(found.values.calibrated, unit, f"{support}, intervals calibrated on the other folds")[3:]
        low = found.values.skill.interval.low
        told.append(_measure(MEC_LOWER_END, low, "1", "Whole samples resampled (bootstrap).", support))
    if found.classes is not None:
        of = found.classes
        told += [
            _measure("Accuracy", of.accuracy, "1", "Share of samples in their most probable class.", support),
            _measure("Share of the largest class", of.commonest, "1", "Accuracy of naming it everywhere.", support),
            _measure("Brier score", of.brier, "1", "Squared error of the classes' probabilities, 0 best.", support),
        ]
    return tuple(told)


def _of_values(values: Floats, found: CrossValidation, samples: HeldOutSamples) -> ValueValidation:
    held = found.reported_all[0]
    low, high = (held.quantiles[LEVELS.index(level)] for level in QUANTILES[::2])
    plain = scores(values, held.mean, low, high)
    skill = assess(values, held.mean, samples.units)
    try:
        down, up = cross_calibrated_levels(values, LEVELS, held.quantiles, samples.folds)
        calibration = Calibration.fit_levels(values, LEVELS, held.quantiles)
    except InvalidSamples:
        # Too few for the level: the interval stays as the forest gives it, and no calibrated figures are told.
        return ValueValidation(plain, None, None, skill)
    return ValueValidation(plain, scores(values, held.mean, down, up), calibration, skill)


def _of_classes(classes: Numbers, shares: Floats) -> ClassValidation:
    observed = classes == np.arange(len(shares))[:, None]
    return ClassValidation(
        classes.size,
        float(np.mean(shares.argmax(axis=0) == classes)),
        float(np.bincount(classes).max() / classes.size),
        float(np.mean(np.sum((shares - observed) ** 2, axis=0))),
    )


def _figures(of: Scores, unit: str, support: str) -> list[Measure]:
    found = [
        _measure(name, float(getattr(of, attribute)), unit if has_unit else "1", meaning, support)
        for name, attribute, has_unit, meaning in _FIGURES
    ]
    return [each for each in found if np.isfinite(each.value)]


def _measure(name: str, value: float, unit: str, description: str, support: str) -> Measure:
    return Measure(name=name, value=round(value, 6), unit=unit, description=description, support=support)
