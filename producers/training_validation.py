"""Validation of a model: how good it is at random and in space, before and after calibration, and the verdict."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.conformal import (
    Calibration,
    calibration_levels,
    cross_calibrated_levels,
    cross_calibrated_quantiles,
)
from cup4soil.methods.forest import Prediction
from cup4soil.methods.skill import assess
from cup4soil.methods.validation import CrossValidation, coverage_curve, interval_quantiles, scores
from cup4soil.soil_outputs import bounds
from producers.plots import HeldOut
from producers.training_folds import FoldPlan
from producers.training_result import OutputResult, Validation
from producers.training_targets import Output, Targets

# Of the curve of coverage, and those that calibration chooses from.
_CURVE = interval_quantiles()
LEVELS = calibration_levels()
_LOW, _HIGH = LEVELS.index(0.05), LEVELS.index(0.95)
_IN_CURVE = [LEVELS.index(level) for level in _CURVE]

type _Floats = NDArray[np.float64]
# Predictions of every sample by a forest that has not seen its fold.
type HoldOut = Callable[[FoldPlan], CrossValidation]


@dataclass(frozen=True)
class Checked:
    """An output's result, and the calibration of its map, None where it is to stay as it is."""

    result: OutputResult
    calibration: Calibration | None = None


@dataclass(frozen=True)
class _Held:
    """Samples (n,) and their held-out quantiles (q, n) at ``LEVELS``, on the scale of calibration."""

    observed: _Floats
    quantiles: _Floats
    strata: NDArray[np.int64] | None

    def calibration(self) -> Calibration:
        """By all samples, as the map has it."""
        return Calibration.fit_levels(self.observed, LEVELS, self.quantiles, strata=self.strata)


def validate(
    targets: Targets,
    random: FoldPlan,
    spatial: FoldPlan,
    hold_out: HoldOut,
    strata: NDArray[np.int64] | None,
    *,
    calibrate: bool,
    seed: int,
) -> tuple[Checked, ...]:
    """Validate each output; ``hold_out`` predicts the samples, ``strata`` (m,) are calibrated on their own.

    Raises:
        InvalidSamples: when a fold leaves too few samples to train on or to calibrate with.
    """
    near, far = hold_out(random), hold_out(spatial)
    found = []
    for place, output in enumerate(targets.outputs):
        observed = targets.reported[:, place]
        own = None if output.own is None else targets.modelled[:, output.own]
        given = far.reported_all[place]
        held = _Held(output.transform.apply(observed), output.transform.apply(given.quantiles), strata)
        skill = assess(observed, given.mean, spatial.units, seed)
        result = OutputResult(
            prop=output.prop,
            column=output.column,
            unit_of_samples=output.unit,
            transform=output.transform,
            observed=observed,
            modelled=observed if own is None else own,
            random=_validation(random, near, output, place, observed, own),
            spatial=_validation(spatial, far, output, place, observed, own),
            calibrated=_calibrated(spatial, given, output, observed, held) if calibrate else None,
            mec_interval=(skill.interval.low, skill.interval.high),
            verdict=skill.verdict,
        )
        found.append(Checked(result, held.calibration() if calibrate else None))
    return tuple(found)


def _validation(
    plan: FoldPlan, found: CrossValidation, output: Output, place: int, observed: _Floats, own: _Floats | None
) -> Validation:
    given = found.reported_all[place]
    low, high = given.quantiles[_LOW], given.quantiles[_HIGH]
    modelled = None
    if own is not None and output.own is not None and output.transform.name != "identity":
        scaled = found.modelled_all[output.own]
        modelled = scores(own, scaled.mean, scaled.quantiles[_LOW], scaled.quantiles[_HIGH])
    return Validation(
        kind=plan.kind,
        title=plan.title,
        support=f"{plan.support}, {observed.size} samples",
        block_size=plan.block_size,
        folds=plan.folds,
        reported=scores(observed, given.mean, low, high),
        modelled=modelled,
        held_out=HeldOut(plan.title, observed, given.mean, low, high),
        curve=coverage_curve(observed, _CURVE, given.quantiles[_IN_CURVE]),
    )


def _calibrated(plan: FoldPlan, given: Prediction, output: Output, observed: _Floats, held: _Held) -> Validation:
    """What the calibrated intervals hold where each is calibrated on the other folds."""
    ends = cross_calibrated_levels(held.observed, LEVELS, held.quantiles, plan.folds, strata=held.strata)
    median = given.quantiles[LEVELS.index(0.5)]
    low, high = bounds(output.transform, output.prop.valid_range, ends[0], median, ends[1])
    table = held.quantiles[_IN_CURVE]
    levels, curve = cross_calibrated_quantiles(held.observed, _CURVE, table, plan.folds, held.strata)
    title = f"{plan.title}, calibrated"
    return Validation(
        kind=plan.kind,
        title=title,
        support=f"{plan.support}, calibrated on the other folds, {observed.size} samples",
        block_size=plan.block_size,
        folds=plan.folds,
        reported=scores(observed, given.mean, low, high),
        modelled=None,
        held_out=HeldOut(title, observed, given.mean, low, high),
        curve=coverage_curve(held.observed, levels, curve),
    )
