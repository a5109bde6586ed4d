"""What a report shows beyond the figures of validation: how residuals vary in space, and what the forest learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from cup4soil.errors import InvalidSamples
from cup4soil.grids import parse_crs
from cup4soil.methods.dependence import Dependence, partial_dependence
from cup4soil.methods.variogram import empirical_variogram, fit_variogram
from producers.coordinates import metric_coordinates
from producers.pages import number
from producers.plots_space import Semivariances
from producers.training_result import OutputResult, TrainingResult

_CLASSES = 12
_LEAST_CLASSES = 3
_LEAST_PAIRS = 30
_MOST_FEATURES = 6
_SMOOTH = 60

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Diagnostics:
    """By the code of a property: semivariances of samples and residuals, and curves of dependence with the training
    values of their feature. ``distances``: from held-out samples to the nearest training sample in metres, by the kind
    of folds.
    """

    variograms: Mapping[str, Mapping[str, Semivariances]] = field(default_factory=dict)
    dependence: Mapping[str, tuple[tuple[Dependence, _Floats], ...]] = field(default_factory=dict)
    distances: Mapping[str, _Floats] = field(default_factory=dict)

    def document(self, code: str) -> dict[str, Any]:
        """The figures of one property as JSON has them."""
        return {
            "semivariograms": {
                name: semivariances_document(each) for name, each in self.variograms.get(code, {}).items()
            },
            "partial_dependence": {
                curve.name: {
                    name: [number(float(value)) for value in getattr(curve, name)]
                    for name in ("values", "mean", "lower", "upper")
                }
                for curve, _ in self.dependence.get(code, ())
            },
        }


def diagnose(result: TrainingResult, threads: int) -> Diagnostics:
    """Compute what the report shows beside the figures of validation."""
    x, y = metric_coordinates(result.table.x, result.table.y, parse_crs(result.crs))
    return Diagnostics(
        variograms={output.prop.code: _variograms(x, y, output) for output in result.outputs},
        dependence={
            output.prop.code: _dependence(result, position, threads) for position, output in enumerate(result.outputs)
        },
        distances=_distances(x, y, result.outputs[0]),
    )


def semivariances(x: _Floats, y: _Floats, values: _Floats) -> Semivariances | None:
    """Semivariances of ``values`` at ``x``, ``y`` in metres with a fitted model; None where too few pairs tell them.

    By Matheron's estimator, which levels off at the variance that it is compared with.
    """
    try:
        found = empirical_variogram(x, y, values, classes=_CLASSES)
    except InvalidSamples:
        return None
    enough = found.pairs >= _LEAST_PAIRS
    if not enough.any():
        return None
    fitted = None
    if enough.sum() >= _LEAST_CLASSES:
        distance = np.linspace(0.0, found.distance[enough].max(), _SMOOTH)[1:]
        fitted = distance, fit_variogram(found).semivariance(distance)
    return Semivariances(
        distance=found.distance[enough],
        gamma=found.semivariance[enough],
        pairs=found.pairs[enough],
        variance=float(np.nanvar(values)),
        fitted=fitted,
    )


def _variograms(x: _Floats, y: _Floats, output: OutputResult) -> dict[str, Semivariances]:
    held_out = output.spatial.held_out
    found = {
        "samples": semivariances(x, y, output.observed),
        f"residuals, {output.spatial.title.lower()}": semivariances(x, y, held_out.mean - held_out.observed),
    }
    return {name: each for name, each in found.items() if each is not None}


def _dependence(result: TrainingResult, position: int, threads: int) -> tuple[tuple[Dependence, _Floats], ...]:
    """Curves of the output at ``position`` for the most important features that vary."""
    order = np.argsort(-result.importance, kind="stable")
    varying = [i for i in order.tolist() if result.importance[i] > 0 and np.ptp(result.training[:, i]) > 0]
    chosen = [result.features[index] for index in varying[:_MOST_FEATURES]]

    def predict(features: NDArray[np.float32]) -> NDArray[np.floating]:
        return result.forest.predict_all(features, (0.5,), threads=threads)[position].mean

    curves = partial_dependence(predict, result.training, result.features, chosen)
    return tuple((each, result.training[:, result.features.index(each.name)].astype(np.float64)) for each in curves)


def _distances(x: _Floats, y: _Floats, output: OutputResult) -> dict[str, _Floats]:
    places = np.column_stack([x, y])
    return {each.title: _held_out_distances(places, each.folds) for each in (output.random, output.spatial)}


def _held_out_distances(places: _Floats, folds: NDArray[np.int64]) -> _Floats:
    """Distance of each sample to the nearest one of another fold."""
    found = np.empty(len(places))
    for fold in np.unique(folds):
        held = folds == fold
        found[held] = KDTree(places[~held]).query(places[held])[0]
    return found


def semivariances_document(each: Semivariances) -> dict[str, Any]:
    """Semivariances as JSON has them."""
    return {
        "distance_m": [number(float(value)) for value in each.distance],
        "semivariance": [number(float(value)) for value in each.gamma],
        "pairs": each.pairs.tolist(),
        "variance": number(each.variance),
    }
