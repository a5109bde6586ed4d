"""The record and the description of a trained model."""

import math
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import pyproj
from numpy.typing import NDArray

from cup4soil.areas import WGS84
from cup4soil.grids import Bounds, crs_code, parse_crs
from cup4soil.methods.validation import Scores
from cup4soil.products import (
    LEAST_MEC,
    MEC_LOWER_END,
    NO_SKILL_NOTE,
    Algorithm,
    Document,
    Extent,
    Measure,
    Period,
    ProductRecord,
    Source,
    Verdict,
    labelled,
)
from cup4soil.properties import TEXTURE_CODES, property_codes
from cup4soil.rasters.covariate_signature import CovariateSignature
from cup4soil.soil_maps import QUANTILES
from cup4soil.soil_models import (
    ARRAYS_FILE,
    DESCRIPTION_FILE,
    UNDATED,
    ModelDescription,
)
from cup4soil.soil_outputs import OutputDescription, PropertyDescription
from producers.training_result import OutputResult, TrainingResult, Validation

_SOFTWARE = ("cup4soil", "numpy", "scikit-learn", "scipy", "rasterio", "numba")
# A box around a single place still needs an extent: about 1 m.
_LEAST_EXTENT_DEGREES = 1e-5
REPORT_FILE = "report.json"
MEC_UPPER_END = "MEC, upper end of its 90 % interval"

_HARMONISED = {"weighted": "their thickness-weighted mean", "spline": "an equal-area spline"}
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


def measures(output: OutputResult) -> tuple[Measure, ...]:
    """Figures of an output's validations on the scale reported and, where it is another, on the one modelled.

    What is not defined (the efficiency of constant observations) is left out.
    """
    unit = output.prop.unit
    found = []
    for validation in output.validations:
        found += list(_measures(validation.reported, unit, validation.support, ""))
        if validation.modelled is not None:
            found += list(_measures(validation.modelled, f"ln({unit})", validation.support, " (scale modelled)"))
    return (*found, *_mec_interval(output))


def _measures(scores: Scores, unit: str, support: str, suffix: str) -> Iterator[Measure]:
    for name, attribute, has_unit, description in MEASURES:
        value = float(getattr(scores, attribute))
        if math.isfinite(value):
            shown = unit if has_unit else "1"
            yield Measure(
                name=name + suffix, value=round(value, 6), unit=shown, description=description, support=support
            )


def _mec_interval(output: OutputResult) -> Iterator[Measure]:
    """The interval that the verdict follows from."""
    if output.mec_interval is None:
        return
    for name, value in zip((MEC_LOWER_END, MEC_UPPER_END), output.mec_interval, strict=True):
        yield Measure(
            name=name,
            # Rounded down, so that a figure below the limit never reads as the limit.
            value=math.floor(value * 1e6) / 1e6,
            unit="1",
            description="From drawing the samples anew, in groups that belong together. Below"
            f" {LEAST_MEC:g} at the lower end: no skill shown.",
            support=output.spatial.support,
        )


def model_description(
    result: TrainingResult,
    product: str,
    sources: tuple[Source, ...],
    arrays_checksum: str,
    calibrated: Sequence[bool],
    signature: tuple[CovariateSignature, ...],
    *,
    dated: bool,
) -> ModelDescription:
    """What ``model.json`` says.

    ``calibrated``: which outputs have a calibration. ``dated``: whether samples or covariates state when they are from.
    """
    depth = result.depth
    outputs = tuple(
        OutputDescription(
            soil_property=PropertyDescription.of(output.prop),
            column=output.column,
            unit_of_samples=output.unit_of_samples,
            transform=output.transform,
            calibrated=has_calibration,
            quality=measures(output),
            verdict=output.verdict,
            limitations=output_limitations(output),
        )
        for output, has_calibration in zip(result.outputs, calibrated, strict=True)
    )
    return ModelDescription(
        id=product,
        group=result.group,
        outputs=outputs,
        depth_cm=None if depth is None else (depth.upper_cm, depth.lower_cm),
        depths_cm=tuple((each.upper_cm, each.lower_cm) for each in result.depths),
        form=result.parameters.form,
        covariates=result.encoding.covariates,
        levels=dict(result.encoding.levels),
        features=result.features,
        stratum=result.request.stratum,
        signature=signature,
        crs=result.crs,
        sources=sources,
        quantile_levels=QUANTILES,
        applicability_threshold=result.threshold,
        samples=len(result.table),
        limitations=(*limitations(result), *(() if dated else (UNDATED,))),
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
    verdict = model_verdict(result)
    title = result.request.title or f"Model of {lower_first(result.subject)}"
    return ProductRecord(
        id=product,
        collection="models",
        kind="model",
        title=labelled(title, verdict),
        abstract=_abstract(result),
        keywords=(
            "soil", "digital soil mapping", "quantile regression forest",
            *(output.prop.title.lower() for output in result.outputs),
        ),
        property_code=_only_code(result),
        depth=None if result.depth is None else str(result.depth),
        period=period or Period(start=now, end=now),
        extent=Extent.of_bounds(bounds_of_places(*sample_places(result))),
        algorithm=algorithm,
        sources=sources,
        quality=_all_measures(result),
        licence=licence,
        attribution=tuple(dict.fromkeys(s.attribution for s in sources if s.attribution)),
        simulated=simulated,
        verdict=verdict,
        limitations=_all_limitations(result, period is not None),
        documents=_DOCUMENTS,
        created=now,
    )  # fmt: skip


def model_verdict(result: TrainingResult) -> Verdict | None:
    """That of the only output; of several, "no-skill" where none has any."""
    verdicts = {output.verdict for output in result.outputs}
    return "skill" if "skill" in verdicts else next(iter(verdicts))


def _only_code(result: TrainingResult) -> str | None:
    """The property's code, None for several properties and for one that is no known one."""
    codes = [output.prop.code for output in result.outputs]
    return codes[0] if len(codes) == 1 and codes[0] in property_codes() else None


def _all_measures(result: TrainingResult) -> tuple[Measure, ...]:
    """Those of the only output; of several each under the name of its property."""
    if len(result.outputs) == 1:
        return measures(result.outputs[0])
    return tuple(
        each.model_copy(update={"name": f"{output.prop.title}: {each.name}"})
        for output in result.outputs
        for each in measures(output)
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
    Document(name="report-json", title="Validation report, figures", file=REPORT_FILE, media_type="application/json"),
    Document(name="report", title="Validation report", file="report.html", media_type="text/html"),
    Document(
        name="overview", title="Predicted against measured, spatial folds", file="overview.png", media_type="image/png",
        roles=("overview",),
    ),
)  # fmt: skip


def limitations(result: TrainingResult) -> tuple[str, ...]:
    """What a user has to know of all of the model's maps, in plain words."""
    reach = (
        f"It holds where covariates are like those of the samples: dissimilarity index at most {result.threshold:.3g}."
    )
    return (reach, *result.report.warnings)


def output_limitations(output: OutputResult) -> tuple[str, ...]:
    """What a user has to know of the maps of one output."""
    notes = [skill_sentence(output), interval_sentence(output.calibrated or output.spatial)]
    if output.calibrated is not None:
        notes.append(
            "The interval is calibrated on held-out samples of the spatial folds: it holds what it promises as far as"
            " the places mapped are to the samples what the folds were to each other."
        )
    return (NO_SKILL_NOTE, *notes) if output.verdict == "no-skill" else tuple(notes)


def _all_limitations(result: TrainingResult, dated: bool) -> tuple[str, ...]:
    """Those of the outputs, of several each under the name of its property, and those of all maps."""
    several = len(result.outputs) > 1
    notes = [NO_SKILL_NOTE] if several and model_verdict(result) == "no-skill" else []
    for output in result.outputs:
        prefix = f"{output.prop.title}: " if several else ""
        notes += [prefix + note for note in output_limitations(output)]
    return (*notes, *limitations(result), *(() if dated else (UNDATED,)))


def skill_sentence(output: OutputResult) -> str:
    """How much better than the samples' mean the model is, away from samples and among them."""
    near, far = output.random.reported.mec, output.spatial.reported.mec
    figures = f"MEC {far:.2f} in {lower_first(output.spatial.title)}, {near:.2f} in random folds"
    if not far > 0:
        return f"Away from samples the model is no better than the mean of all samples ({figures})."
    if far < 0.2:
        return f"Away from samples the model explains little of the differences between samples ({figures})."
    return f"Away from samples the model explains {percent(far)} of the variance between samples ({figures})."


def interval_sentence(validation: Validation) -> str:
    """Whether the 90 % interval holds what it promises."""
    share = validation.reported.picp90
    title = lower_first(validation.title)
    text = f"The 90 % prediction interval held {percent(share)} of the measured values in {title}"
    if share < 0.85:
        return f"{text}: it is too narrow, the true uncertainty is larger."
    if share > 0.95:
        return f"{text}: it is wider than it would need to be."
    return f"{text}."


def _abstract(result: TrainingResult) -> str:
    horizons = any(len(rows) > 1 for rows in result.table.rows)
    depth_note = (
        f" Horizons were brought to the interval by {_HARMONISED[result.request.harmonise]}." if horizons else ""
    )
    scale = "".join(
        f" Trees were grown on the logarithm of {lower_first(output.prop.title)}."
        for output in result.outputs
        if output.transform.name == "ln"
    )
    if any(output.prop.code in TEXTURE_CODES for output in result.outputs) and result.group != "single":
        scale += " The texture was modelled by its additive log-ratios; the means of its fractions sum to 100 %."
    if result.depths:
        depth_note = " Every horizon is a sample, with the middle of its depth as a feature."
    units = ", ".join(dict.fromkeys(output.prop.unit for output in result.outputs))
    words = " ".join(
        f"{skill_sentence(each)} {interval_sentence(each.calibrated or each.spatial)}" for each in result.outputs[:1]
    )
    if len(result.outputs) > 1:
        words = " ".join(f"{each.prop.title}: {skill_sentence(each)}" for each in result.outputs)
    return (
        f"Quantile regression forest of {lower_first(result.subject)} ({units}), trained on"
        f" {len(result.table)} samples with {len(result.encoding.covariates)} covariates.{depth_note}{scale} {words}"
    )


def percent(share: float) -> str:
    """``0.4`` as ``40 %``."""
    return f"{100 * share:.0f} %"


def lower_first(title: str) -> str:
    """A title as it stands within a sentence."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def sample_places(result: TrainingResult) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude of the samples in degrees, (m,) each."""
    transformer = pyproj.Transformer.from_crs(crs_code(parse_crs(result.crs)), crs_code(WGS84), always_xy=True)
    lon, lat = transformer.transform(result.table.x, result.table.y)
    return np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)


def bounds_of_places(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Bounds:
    """The box around places in degrees, which has an area even around a single one."""
    edge = _LEAST_EXTENT_DEGREES
    return Bounds(
        max(-180.0, float(lon.min()) - edge), max(-90.0, float(lat.min()) - edge),
        min(180.0, float(lon.max()) + edge), min(90.0, float(lat.max()) + edge),
    )  # fmt: skip
