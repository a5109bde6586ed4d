"""The map of a derived indicator: a soil map whose forest reports the indicator, with classes and raster factors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidRaster
from cup4soil.indicator_types import Factors, Floats, Indicator
from cup4soil.methods.forest import QUANTILES, Prediction, QuantileForest
from cup4soil.methods.leaf_draws import DRAWS
from cup4soil.products import NO_SKILL_NOTE, Algorithm, Layer, ProductRecord, Verdict
from cup4soil.progress import Progress
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.soil_blocks import read_covariates
from cup4soil.soil_maps import Stored, map_layers, predict_block
from cup4soil.soil_models import SoilModel
from cup4soil.soil_outputs import OutputDescription, PropertyDescription, Transform
from cup4soil.soil_predictions import SoilMapPlan
from producers.derive_layers import class_integers, class_layers
from producers.derive_rows import Derivation
from producers.derive_validation import DerivedValidation, HeldOutSamples, measures, validate_derived

_VERSION = "1.0"
_UNCALIBRATED = (
    "The 90 % interval is that of the forest: the calibration of the properties it follows from does not carry over"
    " to it."
)
_CALIBRATED = (
    "The 90 % interval is calibrated on spatially held-out samples, without the formula's own error; that comes on top."
)
_APPLICABILITY_LAYERS = ("aoa", "di", "lpd")


@dataclass(frozen=True)
class ScaledForest:
    """``forest`` with its predictions times ``factor`` (m,), not negative: mean and quantiles scale exactly."""

    forest: QuantileForest
    factor: Floats

    def predict(self, features: Any, quantiles: Sequence[float] = QUANTILES, *, threads: int = 2) -> Prediction:
        """As :meth:`QuantileForest.predict`, for m rows, scaled."""
        return self.predict_all(features, quantiles, threads=threads)[0]

    def predict_all(
        self, features: Any, quantiles: Sequence[float] = QUANTILES, *, threads: int = 2
    ) -> tuple[Prediction, ...]:
        """As :meth:`QuantileForest.predict_all`, for m rows, scaled."""
        found = self.forest.predict_all(features, quantiles, threads=threads)
        return tuple(Prediction(each.mean * self.factor, each.quantiles * self.factor) for each in found)


@dataclass(frozen=True, kw_only=True)
class DerivedMapPlan(SoilMapPlan):
    """A planned map of an indicator; ``model`` is the one it was derived from, reporting the indicator."""

    derivation: Derivation
    source: SoilModel
    rasters: Mapping[str, CovariateStack] = field(default_factory=dict)
    seed: int = 0

    @cached_property
    def algorithm(self) -> Algorithm:
        """The formula with all that decides the result."""
        indicator = self.derivation.indicator
        plain = super().algorithm
        parameters = {
            "indicator": indicator.code,
            "formula": indicator.expression,
            "settings": dict(self.derivation.settings),
            "error": indicator.error_text,
            "draws": DRAWS if indicator.error is not None else 0,
            "seed": self.seed,
            "rasters": {name: list(stack.names) for name, stack in sorted(self.rasters.items())},
        }
        return Algorithm(
            name="derived-soil-map",
            version=_VERSION,
            title="Derived property from the leaves of a joint quantile regression forest",
            description=f"{indicator.expression}, computed for every training sample and predicted under the weights of"
            " the forest that predicts its inputs jointly.",
            parameters=dict(plain.parameters) | parameters,
            references=(*indicator.sources, *plain.references),
        )

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Validate the indicator, and write each layer of its map as a file of its own into ``folder``.

        Raises:
            InvalidSamples: when no forest can be grown without one of the folds.
            NoData: when no cell has all covariates.
            InvalidRaster: when a raster holds what its factor cannot be.
        """
        plan = self.validated(progress)
        return plan.write(plan.layers, folder, progress)

    def validated(self, progress: Progress) -> "DerivedMapPlan":
        """The same with what spatially held-out samples say of the indicator, and its interval calibrated by them.

        A model for which somebody switched calibration off leaves the indicator's intervals as they are, too; so
        does one whose values the map multiplies by rasters, which samples know nothing of.
        """
        indicator, rows, forest = self.derivation.indicator, self.model.rows, self.source.forest
        values, classes = self.derivation.values, self.derivation.classes
        samples = HeldOutSamples(rows.features, forest.target, rows.folds, forest.parameters, rows.units)
        folds = np.unique(rows.folds).size
        with progress.step("Cross-validation", folds) as advance:
            found = validate_derived(
                samples,
                None if values is None else self.derivation.plain,
                None if classes is None else classes[:, 0],
                0 if indicator.classes is None else len(indicator.classes.keys),
                threads=self.settings.threads,
                on_fold=advance,
            )
        support = f"{folds}-fold cross-validation in space, {len(rows.folds)} samples"
        calibrates = indicator.factors is None and any(each is not None for each in self.source.calibrations)
        return replace(self, model=validated_model(self.model, found, indicator, support, calibrates=calibrates))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of a soil map, those with values only where the indicator has any, and the classes."""
        indicator = self.derivation.indicator
        plain = map_layers(self.model, self.code, self.depth)
        shown = plain if indicator.formula is not None else {name: plain[name] for name in _APPLICABILITY_LAYERS}
        classes = {} if indicator.classes is None else class_layers(indicator.prop.title, indicator.classes)
        return (*classes.values(), *shown.values())

    def _block(self, geobox: GeoBox) -> tuple[Stored, int]:
        covariates, asked = read_covariates(self.model, self.stack, geobox, self.crop.mask)
        model, factors = self.model, self.derivation.indicator.factors
        if factors is not None:
            factor = self._factor(factors, geobox)
            covariates[:, np.isnan(factor)] = np.nan
            known = ~np.isnan(covariates).any(axis=0)
            model = _with_forest(model, cast(QuantileForest, ScaledForest(model.forest, factor[known])))
        stored = predict_block(model, covariates, self.depth, threads=self.settings.threads)[self.code]
        return {**stored, **self._classes(covariates)}, asked

    def _classes(self, covariates: NDArray[np.float32]) -> Mapping[str, NDArray[np.integer]]:
        classes, forest = self.derivation.indicator.classes, self.derivation.of_classes
        if classes is None or forest is None:
            return {}
        known = ~np.isnan(covariates).any(axis=0)
        features = self.model.features(covariates[:, known].T, self.depth)[0]
        shares = np.array([each.mean for each in forest.predict_all(features, (), threads=self.settings.threads)])
        return class_integers(classes, shares, known)

    def _factor(self, factors: Factors, geobox: GeoBox) -> Floats:
        """The factor of each cell of a block, NaN where a raster is missing."""
        rasters = {
            each.name: _read(each.name, self.rasters[each.name], geobox, each.low, each.high)
            for each in factors.inputs
            if each.name in self.rasters
        }
        shape = (int(geobox.shape[0]), int(geobox.shape[1]))
        edge = math.sqrt(abs(geobox.affine.a * geobox.affine.e))
        return factors.combine(rasters, self.derivation.settings, edge).reshape(shape)


def derived_plan(
    plan: SoilMapPlan, derivation: Derivation, rasters: Mapping[str, CovariateStack], seed: int, **changes: Any
) -> DerivedMapPlan:
    """``plan`` of the model's own map, for the indicator instead; ``changes`` replace fields of it."""
    given = {each.name: getattr(plan, each.name) for each in fields(SoilMapPlan)}
    model = derived_model(plan.model, derivation)
    shown = {"model": model, "code": derivation.indicator.prop.code}
    return DerivedMapPlan(
        **given | shown | changes, derivation=derivation, source=plan.model, rasters=rasters, seed=seed
    )


def derived_model(model: SoilModel, derivation: Derivation) -> SoilModel:
    """``model`` whose only property is the indicator; the record keeps the id, for the lineage."""
    indicator = derivation.indicator
    inputs = [each for each in model.description.outputs if each.code in (*indicator.inputs, *indicator.optional)]
    error = f"Error of the formula: {indicator.error_text}."
    told = (*indicator.limits, *_of_inputs(inputs), *([] if indicator.formula is None else [_UNCALIBRATED]))
    output = OutputDescription(
        soil_property=PropertyDescription.of(indicator.prop),
        column=", ".join(each.column for each in inputs),
        unit_of_samples=indicator.prop.unit,
        transform=Transform(name="identity"),
        # What is derived has not been validated itself: it has no more skill than what it is made of.
        verdict="no-skill" if any(each.verdict == "no-skill" for each in inputs) else None,
        limitations=told,
    )
    description = model.description.model_copy(update={"outputs": (output,)})
    record = model.record.model_copy(
        update={
            "abstract": f"{indicator.prop.description} Derived from {', '.join(indicator.inputs)}:"
            f" {indicator.expression}. {error}",
            "property_code": indicator.code,
            "quality": (),
            "limitations": (*told, *model.description.limitations),
        }
    )
    # An indicator that has only classes has no values; one column keeps the shape.
    forest = derivation.of_values or model.forest.with_reported(model.forest.reported[:, 0])
    return SoilModel(record, description, forest, model.applicability, (None,), model.rows)


def validated_model(
    model: SoilModel, found: DerivedValidation, indicator: Indicator, support: str, *, calibrates: bool
) -> SoilModel:
    """A derived ``model`` with the figures ``found``, its verdict and, where it ``calibrates``, its calibration."""
    (output,) = model.description.outputs
    values = found.values
    calibration = values.calibration if values is not None and calibrates else None
    told = list(output.limitations)
    if values is not None:
        shown = values.plain if calibration is None or values.calibrated is None else values.calibrated
        note = _UNCALIBRATED if calibration is None else _CALIBRATED
        share = f"It held {100 * shown.picp90:.0f} % of what the formula makes of held-out samples."
        told = [f"{note} {share}" if each == _UNCALIBRATED else each for each in told]
    verdict: Verdict | None = "no-skill" if "no-skill" in (output.verdict, found.verdict) else found.verdict
    changed = output.model_copy(
        update={
            "quality": measures(found, indicator.prop.unit, support),
            "calibrated": calibration is not None,
            "verdict": verdict,
            "limitations": tuple(told),
        }
    )
    description = model.description.model_copy(update={"outputs": (changed,)})
    return replace(model, description=description, calibrations=(calibration,))


def _of_inputs(inputs: Sequence[OutputDescription]) -> list[str]:
    """What validation found of each input: the first of its limits, that it has no skill apart."""
    notes = []
    for each in inputs:
        found = [note for note in each.limitations if note != NO_SKILL_NOTE][:1]
        notes += [f"{each.soil_property.title}: {note}" for note in found]
    return notes


def _with_forest(model: SoilModel, forest: QuantileForest) -> SoilModel:
    given = {each.name: getattr(model, each.name) for each in fields(model)}
    return SoilModel(**given | {"forest": forest})


def _read(name: str, stack: CovariateStack, geobox: GeoBox, low: float, high: float) -> Floats:
    """A raster on the grid: (bands, cells), checked."""
    values = stack.read(geobox).astype(np.float64).reshape(len(stack.names), -1)
    beyond = (values < low) | (values > high)
    if beyond.any():
        worst = float(values[beyond][0])
        raise InvalidRaster(f"input raster {name} holds {worst:g}", f"give values of {low:g} to {high:g}, and a nodata")
    return values
