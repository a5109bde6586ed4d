"""The record and the description of a trained model."""

import math
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import pyproj

from cup4soil.areas import WGS84
from cup4soil.grids import Bounds, crs_code, parse_crs
from cup4soil.methods.validation import Scores
from cup4soil.products import Algorithm, Document, Extent, Measure, Period, ProductRecord, Source
from cup4soil.soil_maps import QUANTILES
from cup4soil.soil_models import (
    ARRAYS_FILE,
    DESCRIPTION_FILE,
    UNDATED,
    ModelDescription,
    PropertyDescription,
)
from producers.training_result import TrainingResult, Validation

_SOFTWARE = ("cup4soil", "numpy", "scikit-learn", "scipy", "rasterio", "numba")
# A box around a single place still needs an extent: about 1 m.
_LEAST_EXTENT_DEGREES = 1e-5

# Name, attribute of Scores, whether it has the unit of the property, meaning.
MEASURES = (
    ("RMSE", "rmse", True, "Root mean squared error of the predicted mean."),
    ("ME", "me", True, "Mean error, predicted minus measured: the bias."),
    ("MEC", "mec", False, "Model efficiency: 1 is perfect, 0 no better than the mean of the samples."),
    ("CCC", "ccc", False, "Lin's concordance correlation coefficient."),
    ("PICP90", "picp90", False, "Share of samples inside their 90 % prediction interval; should be 0.9."),
    ("Mean interval width", "mean_width", True, "Mean width of the 90 % prediction interval."),
    ("Interval score", "interval_score", True, "Mean interval score at 90 %: width plus a penalty for misses."),
)


def software() -> dict[str, str]:
    """Versions of what the figures depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _SOFTWARE}


def measures(result: TrainingResult) -> tuple[Measure, ...]:
    """Figures of both validations on the scale reported and, where it is another, on the one modelled.

    What is not defined (the efficiency of constant observations) is left out.
    """
    found = []
    for validation in result.validations:
        found += list(_measures(validation.reported, result.prop.unit, validation.support, ""))
        if validation.modelled is not None:
            unit = f"ln({result.prop.unit})"
            found += list(_measures(validation.modelled, unit, validation.support, " (scale modelled)"))
    return tuple(found)


def _measures(scores: Scores, unit: str, support: str, suffix: str) -> Iterator[Measure]:
    for name, attribute, has_unit, description in MEASURES:
        value = float(getattr(scores, attribute))
        if math.isfinite(value):
            shown = unit if has_unit else "1"
            yield Measure(
                name=name + suffix, value=round(value, 6), unit=shown, description=description, support=support
            )


def model_description(
    result: TrainingResult, product: str, sources: tuple[Source, ...], arrays_checksum: str
) -> ModelDescription:
    """What ``model.json`` says."""
    depth = result.depth
    return ModelDescription(
        id=product,
        soil_property=PropertyDescription.of(result.prop),
        depth_cm=None if depth is None else (depth.upper_cm, depth.lower_cm),
        unit_of_samples=result.request.unit,
        transform=result.transform,
        covariates=result.encoding.covariates,
        levels=dict(result.encoding.levels),
        features=result.encoding.features,
        crs=result.crs,
        sources=sources,
        quantile_levels=QUANTILES,
        applicability_threshold=result.threshold,
        samples=len(result.table),
        software=software(),
        arrays_checksum=arrays_checksum,
    )


def model_record(
    result: TrainingResult,
    product: str,
    algorithm: Algorithm,
    sources: tuple[Source, ...],
    licence: str,
    period: Period | None,
    simulated: bool,
) -> ProductRecord:
    """The record of the model. ``period`` None: nothing tells when the samples were taken."""
    now = datetime.now(UTC).replace(microsecond=0)
    code = result.request.property_code
    return ProductRecord(
        id=product,
        collection="models",
        kind="model",
        title=result.request.title or f"Model of {lower_first(result.subject)}",
        abstract=_abstract(result),
        keywords=("soil", "digital soil mapping", "quantile regression forest", result.prop.title.lower()),
        property_code=code,
        depth=None if result.depth is None else str(result.depth),
        period=period or Period(start=now, end=now),
        extent=Extent.of_bounds(_bounds(result)),
        algorithm=algorithm,
        sources=sources,
        quality=measures(result),
        licence=licence,
        attribution=tuple(dict.fromkeys(s.attribution for s in sources if s.attribution)),
        simulated=simulated,
        limitations=limitations(result) + (() if period else (UNDATED,)),
        documents=_DOCUMENTS,
        created=now,
    )


_DOCUMENTS = (
    Document(
        name="model", title="Model: forest and area of applicability", file=ARRAYS_FILE,
        media_type="application/octet-stream", roles=("model",),
    ),
    Document(
        name="description", title="Model: what the arrays mean", file=DESCRIPTION_FILE, media_type="application/json",
        roles=("metadata",),
    ),
    Document(name="report-json", title="Validation report, figures", file="report.json", media_type="application/json"),
    Document(name="report", title="Validation report", file="report.html", media_type="text/html"),
    Document(
        name="overview", title="Predicted against measured, spatial folds", file="overview.png", media_type="image/png",
        roles=("overview",),
    ),
)  # fmt: skip


def limitations(result: TrainingResult) -> tuple[str, ...]:
    """What a user of the model's maps has to know, in plain words."""
    spatial = result.spatial
    notes = [skill_sentence(result), interval_sentence(spatial)]
    notes.append(
        f"It holds where covariates are like those of the samples: dissimilarity index at most {result.threshold:.3g}."
    )
    notes += result.report.warnings
    return tuple(notes)


def skill_sentence(result: TrainingResult) -> str:
    """How much better than the samples' mean the model is, away from samples and among them."""
    near, far = result.random.reported.mec, result.spatial.reported.mec
    figures = f"MEC {far:.2f} in spatial blocks, {near:.2f} in random folds"
    if not far > 0:
        return f"Away from samples the model is no better than the mean of all samples ({figures})."
    if far < 0.2:
        return f"Away from samples the model explains little of the differences between samples ({figures})."
    return f"Away from samples the model explains {percent(far)} of the variance between samples ({figures})."


def interval_sentence(validation: Validation) -> str:
    """Whether the 90 % interval holds what it promises."""
    share = validation.reported.picp90
    text = f"The 90 % prediction interval held {percent(share)} of the measured values in {validation.title.lower()}"
    if share < 0.85:
        return f"{text}: it is too narrow, the true uncertainty is larger."
    if share > 0.95:
        return f"{text}: it is wider than it would need to be."
    return f"{text}."


def _abstract(result: TrainingResult) -> str:
    depth_note = (
        " Horizons were brought to the interval by their thickness-weighted mean." if result.request.upper else ""
    )
    scale = " Trees were grown on the logarithm." if result.transform.name == "ln" else ""
    return (
        f"Quantile regression forest of {lower_first(result.subject)} ({result.prop.unit}), trained on"
        f" {len(result.table)} samples with {len(result.encoding.covariates)} covariates.{depth_note}{scale}"
        f" {skill_sentence(result)} {interval_sentence(result.spatial)}"
    )


def percent(share: float) -> str:
    """``0.4`` as ``40 %``."""
    return f"{100 * share:.0f} %"


def lower_first(title: str) -> str:
    """A title as it stands within a sentence."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _bounds(result: TrainingResult) -> Bounds:
    transformer = pyproj.Transformer.from_crs(crs_code(parse_crs(result.crs)), crs_code(WGS84), always_xy=True)
    lon, lat = (np.asarray(axis) for axis in transformer.transform(result.table.x, result.table.y))
    edge = _LEAST_EXTENT_DEGREES
    return Bounds(
        max(-180.0, float(lon.min()) - edge), max(-90.0, float(lat.min()) - edge),
        min(180.0, float(lon.max()) + edge), min(90.0, float(lat.max()) + edge),
    )  # fmt: skip
