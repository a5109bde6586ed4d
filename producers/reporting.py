"""The report of a training: figures as JSON, and a page for people with everything in it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from cup4soil.grids import parse_crs
from cup4soil.products import ProductRecord
from producers import plots
from producers.coordinates import unit_name
from producers.pages import drawings, number, png, render, write_json
from producers.samples import SampleReport
from producers.training_record import MEASURES, interval_sentence, lower_first, percent, skill_sentence, software
from producers.training_result import TrainingResult, Validation

# The page stays readable and small; the JSON holds all rows.
_MOST_ROWS_SHOWN = 1000


def write_report(folder: Path, result: TrainingResult, record: ProductRecord) -> None:
    """Write ``report.json``, ``report.html`` and ``overview.png`` into ``folder``."""
    write_json(folder / "report.json", report_document(result, record))
    (folder / "report.html").write_text(report_page(result, record), encoding="utf-8")
    (folder / "overview.png").write_bytes(png(_scatter(result, [result.spatial])))


def report_document(result: TrainingResult, record: ProductRecord) -> dict[str, Any]:
    """All figures of the training. Values of single samples and their places are not in it."""
    return {
        "model": record.id,
        "title": record.title,
        "property": {"code": result.prop.code, "title": result.prop.title, "unit": result.prop.unit},
        "depth": None if result.depth is None else str(result.depth),
        "samples": _samples(result.report),
        "transform": result.transform.model_dump(mode="json"),
        "validation": {
            name: _validation(each) for name, each in (("random", result.random), ("spatial", result.spatial))
        },
        "importance": {name: number(share) for name, share in result.importance_shares.items()},
        "importance_of_features": dict(zip(result.encoding.features, map(number, result.importance), strict=True)),
        "levels": dict(result.encoding.levels),
        "applicability": {
            "threshold": number(result.threshold),
            "training_dissimilarity_max": number(float(result.training_dissimilarity.max())),
        },
        "parameters": record.algorithm.model_dump(mode="json")["parameters"],
        "references": list(record.algorithm.references),
        "sources": [source.model_dump(mode="json", exclude_none=True) for source in record.sources],
        "licence": record.licence,
        "attribution": list(record.attribution),
        "limitations": list(record.limitations),
        "software": software(),
    }


def _samples(report: SampleReport) -> dict[str, Any]:
    """What became of the rows: ``excluded`` counts them by reason, ``excluded_rows`` names each."""
    about = report.model_dump(mode="json", include={"file", "checksum", "encoding", "delimiter", "decimal_comma"})
    rows = [each.model_dump(mode="json") for each in report.excluded]
    return {**about, **report.summary(), "warnings": list(report.warnings), "excluded_rows": rows}


def _validation(validation: Validation) -> dict[str, Any]:
    scales, curve = {"reported": validation.reported, "modelled": validation.modelled}, validation.curve
    return {
        "title": validation.title,
        "support": validation.support,
        "block_size": validation.block_size,
        **{name: _scores(scores) for name, scores in scales.items() if scores is not None},
        "coverage": {
            "interval_levels": list(curve.nominal),
            "share_inside": [number(share) for share in curve.picp],
            "quantiles": list(curve.quantile_levels),
            "share_at_or_below": [number(share) for share in curve.quantile_coverage],
        },
    }


def _scores(scores: Any) -> dict[str, float | int | None]:
    return {name: number(value) for name, value in dataclasses.asdict(scores).items()}


def report_page(result: TrainingResult, record: ProductRecord) -> str:
    """The report as one page of HTML that asks for nothing from elsewhere."""
    excluded = result.report.excluded
    return render(
        "report.html.j2",
        result=result,
        record=record,
        report=result.report,
        figures=drawings(_figures(result)),
        tables=list(_tables(result)),
        skill=skill_sentence(result),
        interval=interval_sentence(result.spatial),
        shown=excluded[:_MOST_ROWS_SHOWN],
        software=software(),
        summary=_summary(result),
    )


def _figures(result: TrainingResult) -> dict[str, Figure]:
    label = _label(result)
    held_out = result.spatial.held_out
    return {
        "scatter": _scatter(result, result.validations),
        "coverage": plots.coverage({each.title: (each.curve.nominal, each.curve.picp) for each in result.validations}),
        "importance": plots.importance(result.importance_shares),
        "residuals": plots.residual_map(
            result.table.x,
            result.table.y,
            held_out.mean - held_out.observed,
            label,
            unit_name(parse_crs(result.crs)),
        ),
        "histogram": plots.histogram(
            result.table.value, label, result.modelled if result.transform.name == "ln" else None
        ),
    }


def _scatter(result: TrainingResult, validations: Sequence[Validation]) -> Figure:
    held_out = [each.held_out for each in validations]
    return plots.scatter(held_out, _label(result), log=result.transform.name == "ln")


def _tables(result: TrainingResult) -> Sequence[Mapping[str, Any]]:
    """One table for each scale: rows of a measure's name, meaning, unit and its value in both validations."""
    unit = result.prop.unit
    scales = [("As reported", unit, [each.reported for each in result.validations])]
    modelled = [each.modelled for each in result.validations if each.modelled is not None]
    if modelled:
        scales.append(("On the logarithmic scale of the model", f"ln {unit}", modelled))
    return [
        {
            "title": title,
            "rows": [
                (name, meaning, shown if has_unit else "", *(_three_digits(getattr(s, attribute)) for s in scores))
                for name, attribute, has_unit, meaning in MEASURES
            ],
        }
        for title, shown, scores in scales
    ]


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not defined"


def _summary(result: TrainingResult) -> list[tuple[str, str, str]]:
    """The few figures at the head of the page: name, value, what it tells."""
    unit, spatial = result.prop.unit, result.spatial.reported
    return [
        ("Samples", f"{len(result.table)}", f"from {result.report.used_rows} of {result.report.rows} rows"),
        ("Typical error", f"{_three_digits(spatial.rmse)} {unit}", "RMSE in spatial blocks"),
        (
            "Explained",
            percent(max(0.0, spatial.mec)) if math.isfinite(spatial.mec) else "-",
            "of the variance, spatial blocks",
        ),
        ("90 % interval", percent(spatial.picp90), "of the measured values inside, spatial blocks"),
    ]


def _label(result: TrainingResult) -> str:
    return f"{lower_first(result.prop.title)} ({result.prop.unit})"
