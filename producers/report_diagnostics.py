"""What a report shows beyond the figures of validation: how residuals vary in space, and what the forest learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from cup4soil.grids import parse_crs
from producers.coordinates import metric_coordinates
from producers.pages import number
from producers.plots import DependenceCurve
from producers.plots_space import Semivariances
from producers.training_result import OutputResult, TrainingResult

_MOST_POINTS = 1500
_LAGS = 12
_LEAST_PAIRS = 30
_MOST_FEATURES = 6
_BACKGROUND = 200
_STEPS = 16

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Diagnostics:
    """By the code of a property: semivariances of samples and residuals, and curves of dependence with the training
    values of their feature. ``distances``: to the nearest training sample in metres, by what they are measured from;
    empty where folds were not matched to them.
    """

    variograms: Mapping[str, Mapping[str, Semivariances]] = field(default_factory=dict)
    dependence: Mapping[str, tuple[tuple[DependenceCurve, _Floats], ...]] = field(default_factory=dict)
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
        dependence=_dependence(result, threads),
    )


def semivariances(x: _Floats, y: _Floats, values: _Floats) -> Semivariances | None:
    """Semivariances of ``values`` up to half the largest distance; None where too few pairs of places differ.

    Of many places some are drawn; which, depends on their number alone.
    """
    if x.size > _MOST_POINTS:
        chosen = np.sort(np.random.default_rng(0).permutation(x.size)[:_MOST_POINTS])
        x, y, values = x[chosen], y[chosen], values[chosen]
    distance = pdist(np.column_stack([x, y]))
    half = 0.5 * (pdist(values[:, None]) ** 2)
    if not distance.size or distance.max() == 0:
        return None
    edges = np.linspace(0.0, distance.max() / 2, _LAGS + 1)
    lag = np.digitize(distance, edges) - 1
    pairs = np.array([np.sum(lag == i) for i in range(_LAGS)])
    usable = np.flatnonzero(pairs >= _LEAST_PAIRS)
    if not usable.size:
        return None
    return Semivariances(
        distance=np.array([distance[lag == i].mean() for i in usable]),
        gamma=np.array([half[lag == i].mean() for i in usable]),
        pairs=pairs[usable],
        variance=float(np.var(values)),
    )


def _variograms(x: _Floats, y: _Floats, output: OutputResult) -> dict[str, Semivariances]:
    held_out = output.spatial.held_out
    found = {
        "samples": semivariances(x, y, output.observed),
        f"residuals, {output.spatial.title.lower()}": semivariances(x, y, held_out.mean - held_out.observed),
    }
    return {name: each for name, each in found.items() if each is not None}


def _dependence(result: TrainingResult, threads: int) -> dict[str, tuple[tuple[DependenceCurve, _Floats], ...]]:
    order = np.argsort(-result.importance, kind="stable")[:_MOST_FEATURES]
    chosen = [int(index) for index in order if result.importance[index] > 0 and np.ptp(result.training[:, index]) > 0]
    rows = np.random.default_rng(0).permutation(len(result.training))[:_BACKGROUND]
    background = result.training[np.sort(rows)]
    curves: dict[str, list[tuple[DependenceCurve, _Floats]]] = {output.prop.code: [] for output in result.outputs}
    for index in chosen:
        training = result.training[:, index].astype(np.float64)
        values = np.unique(np.quantile(training, np.linspace(0.02, 0.98, _STEPS)))
        asked = np.repeat(background[None], values.size, axis=0)
        asked[:, :, index] = values[:, None]
        predictions = result.forest.predict_all(asked.reshape(-1, asked.shape[2]), (0.5,), threads=threads)
        for output, prediction in zip(result.outputs, predictions, strict=True):
            means = prediction.mean.reshape(values.size, -1)
            lower, upper = np.quantile(means, [0.25, 0.75], axis=1)
            curve = DependenceCurve(result.features[index], values, means.mean(axis=1), lower, upper)
            curves[output.prop.code].append((curve, training))
    return {code: tuple(each) for code, each in curves.items()}


def semivariances_document(each: Semivariances) -> dict[str, Any]:
    """Semivariances as JSON has them."""
    return {
        "distance_m": [number(float(value)) for value in each.distance],
        "semivariance": [number(float(value)) for value in each.gamma],
        "pairs": each.pairs.tolist(),
        "variance": number(each.variance),
    }
