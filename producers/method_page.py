"""The method page of a map: how it was made and from what, how good it is, and what it cannot do.

Made from the map's record, the report of its model and, where there is one, the evaluation of its pattern; nothing is
told that they do not hold.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cup4soil import __version__
from cup4soil.errors import InvalidInput, reading
from cup4soil.grids import parse_crs
from cup4soil.licences import licence_url
from cup4soil.products import MEC_LOWER_END, NO_SKILL_NOTE, Document, Measure, ProductRecord, Source
from producers.pages import render
from producers.report_words import Words, significant
from stac_catalog.assets import metres_per_cell
from stac_catalog.stac import METHOD_ROLE

METHOD_DOCUMENT = Document(
    name="method",
    title="How this map was made",
    file="method.html",
    media_type="text/html",
    roles=("metadata", METHOD_ROLE),
)
_MOST_REPORT_BYTES = 64 * 2**20
_ROLES = {
    "samples": "Soil samples",
    "covariate": "Covariates",
    "composite": "Bare-soil composite",
    "index": "Index of bare soil",
    "model": "Model",
    "scene": "Satellite images",
    "threshold": "Thresholds",
    "land-cover": "Land cover",
}
_VALIDATIONS = {"random": "Random folds", "spatial": "Spatial folds", "calibrated": "Spatial folds, calibrated"}
# Figures of a validation as reports name them: how a page does, and whether it has the property's unit.
_FIGURES = (
    ("rmse", "RMSE", True),
    ("me", "Bias (ME)", True),
    ("mec", "Model efficiency (MEC)", False),
    ("ccc", "Concordance (CCC)", False),
    ("picp90", "Share inside the 90 % interval (PICP90)", False),
    ("mean_width", "Mean width of the 90 % interval", True),
    ("interval_score", "Interval score", True),
)


def with_method_page(
    record: ProductRecord,
    folder: Path,
    report: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> ProductRecord:
    """Write ``method.html`` into ``folder`` and return the record that lists it.

    ``report`` is the document of the model's report, ``evaluation`` that of the map's evaluation.
    """
    others = tuple(each for each in record.documents if each.name != METHOD_DOCUMENT.name)
    listed = record.model_copy(update={"documents": (*others, METHOD_DOCUMENT)})
    page = method_page(listed, report, evaluation)
    (folder / METHOD_DOCUMENT.file).write_text(page, encoding="utf-8")
    return listed


def read_report(path: Path) -> dict[str, Any]:
    """A report or an evaluation, as JSON.

    Raises:
        InvalidInput: when it cannot be read or is none.
    """
    with reading(path):
        if path.stat().st_size > _MOST_REPORT_BYTES:
            raise InvalidInput(f"{path} is larger than {_MOST_REPORT_BYTES} bytes", "give the report of a model")
        content = path.read_bytes()
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is no JSON: {error}", "make the report again") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} is no report", "give the report.json of a model")
    return document


def method_page(
    record: ProductRecord, report: Mapping[str, Any] | None = None, evaluation: Mapping[str, Any] | None = None
) -> str:
    """The page as HTML that asks for nothing from elsewhere."""
    output = _output_of(report, record.property_code)
    unit = record.layers[0].bands[0].unit if record.layers else "1"
    return render(
        "method.html.j2",
        record=record,
        verdict=_verdict(record),
        facts=list(_facts(record)),
        steps=list(_steps(record, report, output)),
        sources=[_source_row(each) for each in record.sources],
        validations=_validation_table(output, unit),
        figures=_figures(record, told=output is not None),
        findings=[] if evaluation is None else evaluation.get("findings", []),
        profiles=[] if evaluation is None else list(_profile_rows(evaluation)),
        evaluated=evaluation is not None,
        licence_url=licence_url(record.licence),
        version=__version__,
    )


def _verdict(record: ProductRecord) -> Words | None:
    if record.verdict is None:
        return None
    if record.verdict == "no-skill":
        return Words("poor", "No skill shown", NO_SKILL_NOTE)
    low = next((each.value for each in record.quality if each.name == MEC_LOWER_END), None)
    told = "" if low is None else f" In 19 of 20 drawings of the samples its efficiency (MEC) is at least {low:.2f}."
    return Words("good", "Skill shown", f"In spatial validation the map is better than the mean of all samples.{told}")


def _facts(record: ProductRecord) -> Iterator[tuple[str, str]]:
    extent = record.extent
    yield "Product", record.id
    if record.property_code:
        yield "Property", record.property_code
    if record.depth:
        yield "Depth", record.depth
    yield "Period", f"{record.period.start:%Y-%m-%d} to {record.period.end:%Y-%m-%d}"
    west, south, east, north = extent.bbox
    yield "Extent", f"{west:.4f} to {east:.4f} ° E, {south:.4f} to {north:.4f} ° N"
    metres = metres_per_cell(extent)
    if extent.shape is not None and extent.crs is not None:
        size = f", cells of {metres:g} m" if metres is not None else ""
        yield "Grid", f"{extent.shape[0]} rows, {extent.shape[1]} columns{size}, {_crs_name(extent.crs)}"
    yield "Made", f"{record.created:%Y-%m-%d} with {record.algorithm.title}, version {record.algorithm.version}"


def _crs_name(text: str) -> str:
    crs = parse_crs(text)
    return f"{crs.proj.name} ({text})" if text.startswith("EPSG:") else str(crs.proj.name)


def _steps(
    record: ProductRecord, report: Mapping[str, Any] | None, output: Mapping[str, Any] | None
) -> Iterator[tuple[str, str]]:
    """What was done, in the order it was done: a headline and what the report knows of it."""
    if report is not None:
        yield from _sample_step(report)
        yield from _choice_step(report)
        yield from _model_step(report, output)
        yield from _validation_step(output)
    yield "Prediction", record.algorithm.description
    if any(layer.name == "aoa" for layer in record.layers):
        threshold = None if report is None else report.get("applicability", {}).get("threshold")
        limit = "" if threshold is None else f" (up to {significant(float(threshold))})"
        yield (
            "Area of applicability",
            "Each cell's covariates were compared with those of the samples, the important ones counting most"
            f" (dissimilarity index). Cells as unlike as spatial validation tested{limit} are inside the area of"
            " applicability; the others are marked.",
        )


def _sample_step(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    samples = report.get("samples")
    if not isinstance(samples, Mapping):
        return
    excluded = samples.get("excluded", {})
    told = "; ".join(f"{count} {reason}" for reason, count in excluded.items())
    yield (
        "Samples",
        f"{samples.get('samples')} samples from {samples.get('rows_used')} of {samples.get('rows_in_file')} rows."
        + (f" Excluded: {told}. The report lists each row with its reason." if told else " No row was excluded."),
    )


def _choice_step(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    choices = report.get("choices", {})
    dropped, trials = choices.get("dropped", {}), choices.get("trials", [])
    if dropped:
        yield "Choice of covariates", f"{len(dropped)} were left out: {', '.join(dropped)}. The report tells why."
    if trials:
        yield "Tuning", f"{len(trials)} settings of the forest were tried on the training samples."


def _model_step(report: Mapping[str, Any], output: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    parameters = report.get("parameters", {})
    importance = report.get("importance", {})
    first = sorted(importance, key=lambda name: (-(importance[name] or 0.0), name))[:3]
    scale = (output or {}).get("transform", {}).get("name")
    text = f"A quantile regression forest of {parameters.get('trees', 'many')} trees"
    text += " was grown on the logarithm of the values" if scale == "ln" else " was grown"
    text += f" with {len(importance)} covariates" if importance else ""
    text += f"; the most important are {', '.join(first)}." if first else "."
    yield "Model", f"{text} Its leaves keep the measured values, whose mean and quantiles are the prediction."


def _validation_step(output: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    found = (output or {}).get("validation", {})
    told = [str(each.get("support")) for each in found.values() if isinstance(each, Mapping) and each.get("support")]
    if told:
        yield "Validation", f"Each sample was predicted by models that had not seen it: {'; '.join(told)}."
    if "calibrated" in found:
        yield (
            "Calibration",
            "The 90 % interval was widened or narrowed so that it holds nine of ten held-out samples of spatial"
            " validation (conformal calibration). The interval as the forest gave it stays available as q05-raw and"
            " q95-raw.",
        )


def _output_of(report: Mapping[str, Any] | None, code: str | None) -> Mapping[str, Any] | None:
    """The part of the report that speaks of the map's property; of a model of one property, that one."""
    outputs = [] if report is None else report.get("outputs", [])
    for each in outputs:
        if each.get("property", {}).get("code") == code:
            return dict(each)
    return dict(outputs[0]) if len(outputs) == 1 else None


def _validation_table(
    output: Mapping[str, Any] | None, unit: str
) -> tuple[list[str], list[tuple[str, list[str], str]]]:
    """Columns of the validations, and a row for each figure: name, values, unit."""
    found = (output or {}).get("validation", {})
    kinds = [kind for kind in _VALIDATIONS if isinstance(found.get(kind), Mapping)]
    names = [str(found[kind].get("title") or _VALIDATIONS[kind]) for kind in kinds]
    rows = []
    for key, name, has_unit in _FIGURES:
        values = [found[kind].get("reported", {}).get(key) for kind in kinds]
        shown = [significant(float(value)) if value is not None else "not defined" for value in values]
        rows.append((name, shown, unit if has_unit else ""))
    return names, rows if kinds else []


def _figures(record: ProductRecord, *, told: bool) -> dict[str, list[Measure]]:
    """Figures of the record by what they were measured on; those of validation only where no table ``told`` them."""
    grouped: dict[str, list[Measure]] = {}
    for each in record.quality:
        if not (told and "fold" in each.support) or each.name == MEC_LOWER_END:
            grouped.setdefault(each.support, []).append(each)
    return grouped


def _profile_rows(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for each in evaluation.get("profiles", []):
        found = each.get("explained", {})
        shares = [found.get("share"), found.get("by_chance")]
        told = [f"{100 * share:.0f} %" if share is not None else "-" for share in shares]
        p = found.get("p")
        yield str(each.get("layer")), told[0], told[1], "-" if p is None else f"{p:.2f}"


def _source_row(source: Source) -> tuple[str, str, str, str, str]:
    version = source.version or ""
    return (
        _ROLES[source.role], source.title or source.id, version, source.licence or "not stated",
        source.attribution or "",
    )  # fmt: skip
