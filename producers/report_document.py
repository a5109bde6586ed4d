"""The figures of a training report as JSON."""

import dataclasses
from typing import Any

import numpy as np

from cup4soil.products import ProductRecord
from producers.pages import number
from producers.report_diagnostics import Diagnostics
from producers.samples import SampleReport
from producers.training_record import software
from producers.training_result import OutputResult, TrainingResult, Validation

_DECILES = tuple(round(0.1 * step, 1) for step in range(11))


def report_document(result: TrainingResult, record: ProductRecord, found: Diagnostics) -> dict[str, Any]:
    """All figures of the training. Values of single samples and their places are not in it.

    A model of one property has its figures also at the top.
    """
    outputs = [_output(output, found) for output in result.outputs]
    single = {name: outputs[0][name] for name in ("property", "transform", "validation")} if len(outputs) == 1 else {}
    return {
        "model": record.id,
        "title": record.title,
        "group": result.group,
        "verdict": record.verdict,
        "depth": None if result.depth is None else str(result.depth),
        "depths": [str(each) for each in result.depths],
        **single,
        "outputs": outputs,
        "samples": _samples(result.report),
        "importance": {name: number(share) for name, share in result.importance_shares.items()},
        "importance_of_features": {
            name: number(float(value)) for name, value in zip(result.features, result.importance, strict=True)
        },
        "levels": dict(result.encoding.levels),
        "choices": _choices(result),
        "applicability": _applicability(result),
        "distances_m": {name: _quantiles(each) for name, each in found.distances.items()},
        "parameters": record.algorithm.model_dump(mode="json")["parameters"],
        "references": list(record.algorithm.references),
        "sources": [source.model_dump(mode="json", exclude_none=True) for source in record.sources],
        "licence": record.licence,
        "attribution": list(record.attribution),
        "limitations": list(record.limitations),
        "software": software(),
    }


def _output(output: OutputResult, found: Diagnostics) -> dict[str, Any]:
    parts = {"random": output.random, "spatial": output.spatial, "calibrated": output.calibrated}
    interval = output.mec_interval
    return {
        "property": {"code": output.prop.code, "title": output.prop.title, "unit": output.prop.unit},
        "transform": output.transform.model_dump(mode="json"),
        "verdict": output.verdict,
        "mec_interval_90": None if interval is None else [number(end) for end in interval],
        "validation": {name: _validation(each) for name, each in parts.items() if each is not None},
        **found.document(output.prop.code),
    }


def _samples(report: SampleReport) -> dict[str, Any]:
    """What became of the rows: ``excluded`` counts them by reason, ``excluded_rows`` names each."""
    about = report.model_dump(mode="json", include={"file", "checksum", "encoding", "delimiter", "decimal_comma"})
    rows = [each.model_dump(mode="json") for each in report.excluded]
    return {**about, **report.summary(), "warnings": list(report.warnings), "excluded_rows": rows}


def _validation(validation: Validation) -> dict[str, Any]:
    scales, curve = {"reported": validation.reported, "modelled": validation.modelled}, validation.curve
    return {
        "kind": validation.kind,
        "title": validation.title,
        "support": validation.support,
        "block_size": validation.block_size,
        "folds": np.unique(validation.folds, return_counts=True)[1].tolist(),
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


def _choices(result: TrainingResult) -> dict[str, Any]:
    chosen = result.choices
    return {
        "dropped": dict(chosen.dropped),
        "selection": [_plain(row) for row in chosen.selection],
        "trials": [_plain(row) for row in chosen.trials],
    }


def _plain(row: Any) -> dict[str, Any]:
    return {name: number(value) if isinstance(value, float) else value for name, value in row.items()}


def _applicability(result: TrainingResult) -> dict[str, Any]:
    di = result.training_dissimilarity
    return {
        "threshold": number(result.threshold),
        "training_dissimilarity_max": number(float(di.max())),
        "training_dissimilarity": _quantiles(di),
        "training_beyond_threshold": number(float(np.mean(di > result.threshold))),
    }


def _quantiles(values: Any) -> dict[str, Any]:
    return {"levels": list(_DECILES), "values": [number(float(each)) for each in np.quantile(values, _DECILES)]}
