"""The pictures of a training report, each with a text for who cannot see it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from cup4soil.grids import parse_crs
from producers import plots, plots_space
from producers.coordinates import unit_name
from producers.pages import drawing
from producers.report_diagnostics import Diagnostics
from producers.report_words import significant
from producers.training_record import lower_first, percent
from producers.training_result import OutputResult, TrainingResult, Validation


class Picture(NamedTuple):
    """A drawing for a page; ``alternative`` says what it shows."""

    drawing: Markup
    alternative: str


def label_of(output: OutputResult) -> str:
    """``soil organic carbon (g/kg)``."""
    return f"{lower_first(output.prop.title)} ({output.prop.unit})"


def scatter_figures(output: OutputResult, validations: Sequence[Validation]) -> list[Figure]:
    """Predicted against measured, one panel for each validation, on common axes."""
    log = output.transform.name == "ln"
    held_out = [each.held_out for each in validations]
    limits = plots.common_limits(held_out, log=log)
    return [plots.scatter(each, label_of(output), limits, log=log) for each in held_out]


def output_pictures(result: TrainingResult, output: OutputResult, found: Diagnostics) -> dict[str, list[Picture]]:
    """Pictures of one property, by section."""
    validations = output.validations
    curves = {each.title: each.curve for each in validations}
    last = validations[-1]
    pictures = {
        "scatter": [
            _picture(
                figure,
                f"{each.title}: predicted against measured {label_of(output)} of {each.reported.n} samples,"
                f" RMSE {significant(each.reported.rmse)}, model efficiency {significant(each.reported.mec)}.",
            )
            for figure, each in zip(scatter_figures(output, validations), validations, strict=True)
        ],
        "coverage": [
            _picture(
                plots.coverage({title: (each.nominal, each.picp) for title, each in curves.items()}),
                "Share of samples inside prediction intervals of levels 0.05 to 0.99. At 0.9: "
                + ", ".join(f"{each.title.lower()} {percent(each.reported.picp90)}" for each in validations),
            ),
            _picture(
                plots.quantile_coverage(
                    {title: (each.quantile_levels, each.quantile_coverage) for title, each in curves.items()}
                ),
                f"Share of samples at or below each predicted quantile; {last.title.lower()}: "
                + ", ".join(f"{share:.2f} at {level:g}" for level, share in _some(last)),
            ),
        ],
        "space": [_residual_picture(result, output), _fold_picture(result, output)],
        "variogram": [],
        "values": _value_pictures(output),
    }
    if found.variograms:
        pictures["variogram"] = [_variogram_picture(output, found)]
    return pictures


def model_pictures(result: TrainingResult, found: Diagnostics) -> dict[str, list[Picture]]:
    """Pictures of what the properties of a model share, by section."""
    shares = result.importance_shares
    first = sorted(shares, key=lambda name: (-shares[name], name))[:3]
    di = result.training_dissimilarity
    beyond = int(np.sum(di > result.threshold))
    pictures = {
        "importance": [
            _picture(
                plots.importance(shares),
                "Importance of the covariates; the first are "
                + ", ".join(f"{name} with {percent(shares[name])}" for name in first),
            )
        ],
        "dissimilarity": [
            _picture(
                plots.dissimilarity(di, result.threshold),
                f"Dissimilarity index of the samples: median {np.median(di):.2f}, threshold {result.threshold:.3g},"
                f" {beyond} of {di.size} samples beyond it.",
            )
        ],
        "distances": [],
    }
    if found.distances:
        told = ", ".join(f"{name} {np.median(each):.0f} m" for name, each in found.distances.items())
        figure = plots_space.distance_shares(found.distances)
        pictures["distances"] = [_picture(figure, f"Distances to the nearest training sample, median: {told}.")]
    return pictures


def dependence_pictures(output: OutputResult, found: Diagnostics) -> list[Picture]:
    """How the prediction of one property follows the most important features."""
    curves = found.dependence.get(output.prop.code, ())
    if not curves:
        return []
    ends = [end for each, _ in curves for end in (each.lower.min(), each.upper.max())]
    pad = 0.05 * (max(ends) - min(ends)) or 1.0
    limits = (float(min(ends) - pad), float(max(ends) + pad))
    return [
        _picture(
            plots.dependence(each, training, label_of(output), limits),
            f"Predicted {label_of(output)} against {each.name}: {significant(float(each.mean[0]))} at its lowest value,"
            f" {significant(float(each.mean[-1]))} at its highest.",
        )
        for each, training in curves
    ]


def _picture(figure: Figure, alternative: str) -> Picture:
    return Picture(drawing(figure, alternative), alternative)


def _some(validation: Validation) -> list[tuple[float, float]]:
    curve = validation.curve
    pairs: Mapping[float, float] = dict(zip(curve.quantile_levels, curve.quantile_coverage, strict=True))
    return [(level, pairs[level]) for level in (0.05, 0.5, 0.95) if level in pairs]


def _residual_picture(result: TrainingResult, output: OutputResult) -> Picture:
    held_out = output.spatial.held_out
    residuals = held_out.mean - held_out.observed
    unit = unit_name(parse_crs(result.crs))
    figure = plots_space.residual_map(result.table.x, result.table.y, residuals, output.prop.unit, unit)
    over = percent(float(np.mean(residuals > 0)))
    return _picture(
        figure, f"Map of the residuals in {output.spatial.title.lower()}: {over} of the samples are predicted too high."
    )


def _fold_picture(result: TrainingResult, output: OutputResult) -> Picture:
    unit, folds = unit_name(parse_crs(result.crs)), output.spatial.folds
    figure = plots_space.fold_map(result.table.x, result.table.y, folds, unit)
    return _picture(
        figure, f"Map of the samples by fold: {np.unique(folds).size} folds, {output.spatial.title.lower()}."
    )


def _variogram_picture(output: OutputResult, found: Diagnostics) -> Picture:
    series = found.variograms[output.prop.code]
    figure = plots_space.semivariogram(series, f"({output.prop.unit})²")
    told = "; ".join(
        f"{name}: {each.gamma[0] / each.variance:.0%} of the variance at {each.distance[0]:.0f} m"
        for name, each in series.items()
        if each.variance > 0
    )
    return _picture(figure, f"Semivariogram. {told}.")


def _value_pictures(output: OutputResult) -> list[Picture]:
    label = label_of(output)
    observed = output.observed
    told = f"from {significant(float(observed.min()))} to {significant(float(observed.max()))}"
    pictures = [_picture(plots.histogram(observed, label), f"Distribution of the samples' {label}, {told}.")]
    if output.transform.name == "ln":
        figure = plots.histogram(output.modelled, f"ln of {label}")
        pictures.append(_picture(figure, f"Distribution of the logarithm of the samples' {label}."))
    return pictures
