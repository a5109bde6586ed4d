"""Validation of a model: how good it is at random and in space, before and after calibration, and the verdict."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.conformal import Calibration, cross_calibrated, cross_calibrated_quantiles
from cup4soil.methods.forest import Prediction
from cup4soil.methods.skill import assess
from cup4soil.methods.validation import CrossValidation, coverage_curve, interval_quantiles, scores
from cup4soil.soil_outputs import bounds
from producers.plots import HeldOut
from producers.training_folds import FoldPlan
from producers.training_result import OutputResult, Validation
from producers.training_targets import Output, Targets

LEVELS = interval_quantiles()
_LOW, _MID, _HIGH = (LEVELS.index(level) for level in (0.05, 0.5, 0.95))

type _Floats = NDArray[np.float64]
# Predictions of every sample by a forest that has not seen its fold.
type HoldOut = Callable[[FoldPlan], CrossValidation]


@dataclass(frozen=True)
class Checked:
    """An output's result, and the calibration of its map, None where it is to stay as it is."""

    result: OutputResult
    calibration: Calibration | None


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
            calibrated=_calibrated(spatial, given, output, observed, strata) if calibrate else None,
            mec_interval=(skill.interval.low, skill.interval.high),
            verdict=skill.verdict,
        )
        found.append(Checked(result, _calibration(given, output, observed, strata) if calibrate else None))
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
        curve=coverage_curve(observed, LEVELS, given.quantiles),
    )


def _calibrated(
    plan: FoldPlan, given: Prediction, output: Output, observed: _Floats, strata: NDArray[np.int64] | None
) -> Validation:
    """What the calibrated intervals hold where each is calibrated on the other folds."""
    scale = output.transform
    seen, quantiles = scale.apply(observed), scale.apply(given.quantiles)
    ends = cross_calibrated(
        seen, quantiles[_LOW], quantiles[_HIGH], plan.folds, strata=strata, median=quantiles[_MID]
    )  # fmt: skip
    low, high = bounds(scale, output.prop.valid_range, ends[0], given.quantiles[_MID], ends[1])
    levels, curve = cross_calibrated_quantiles(seen, LEVELS, quantiles, plan.folds, strata)
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
        curve=coverage_curve(seen, levels, curve),
    )


def _calibration(given: Prediction, output: Output, observed: _Floats, strata: NDArray[np.int64] | None) -> Calibration:
    """The calibration of the map: from all held-out samples."""
    low, high = (output.transform.apply(given.quantiles[place]) for place in (_LOW, _HIGH))
    return Calibration.fit(output.transform.apply(observed), low, high, strata=strata)
