"""The report of a training: figures as JSON, and a page for people with everything in it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cup4soil.products import ProductRecord
from producers.pages import png, render, write_json
from producers.report_diagnostics import Diagnostics, diagnose
from producers.report_document import report_document
from producers.report_figures import dependence_pictures, model_pictures, output_pictures, scatter_figures
from producers.report_words import interval_words, significant, verdict_words
from producers.training_record import MEASURES, percent, software
from producers.training_result import OutputResult, TrainingResult

# The page stays readable and small; the JSON holds all rows.
_MOST_ROWS_SHOWN = 1000
_FOLDS_EXPLAINED = {
    "random": "Samples were dealt to folds by chance: the neighbours of a held-out sample were known to the model."
    " This is how good the map is close to samples.",
    "blocks": "Square blocks were held out whole, with all samples in them. This is how good the map is away from"
    " samples.",
    "knndm": "Folds were chosen so that held-out samples lie as far from the training samples as the cells of the map"
    " do (kNNDM). This is how good the map is on average over its cells.",
    "regions": "Whole regions were held out. This is how good the map is where no sample has been taken.",
    "calibrated": "The same held-out samples, with intervals widened or narrowed by what the other folds missed"
    " (conformal calibration): what the map publishes.",
}


def write_report(folder: Path, result: TrainingResult, record: ProductRecord, *, threads: int = 2) -> None:
    """Write ``report.json``, ``report.html`` and ``overview.png`` into ``folder``."""
    found = diagnose(result, threads)
    write_json(folder / "report.json", report_document(result, record, found))
    (folder / "report.html").write_text(report_page(result, record, found), encoding="utf-8")
    first = result.outputs[0]
    (folder / "overview.png").write_bytes(png(scatter_figures(first, [first.validations[-1]])[0]))


def report_page(result: TrainingResult, record: ProductRecord, found: Diagnostics) -> str:
    """The report as one page of HTML that asks for nothing from elsewhere."""
    excluded = result.report.excluded
    return render(
        "report.html.j2",
        result=result,
        record=record,
        report=result.report,
        outputs=[_output_section(result, output, found) for output in result.outputs],
        pictures=model_pictures(result, found),
        kinds=_kinds(result.outputs[0]),
        trials=_table_of(result.choices.trials),
        selection=_table_of(result.choices.selection),
        dropped=result.choices.dropped,
        beyond=percent(float((result.training_dissimilarity > result.threshold).mean())),
        shown=excluded[:_MOST_ROWS_SHOWN],
        software=software(),
        significant=significant,
    )


def _output_section(result: TrainingResult, output: OutputResult, found: Diagnostics) -> dict[str, Any]:
    """What the page says of one property."""
    return {
        "output": output,
        "title": output.prop.title,
        "verdict": verdict_words(output),
        "intervals": [interval_words(each) for each in output.validations],
        "cards": _cards(output),
        "tables": _tables(output),
        "pictures": output_pictures(result, output, found),
        "dependence": dependence_pictures(output, found),
    }


def _kinds(output: OutputResult) -> list[tuple[str, str, str]]:
    """Each kind of validation: title, what was measured on what, what that means."""
    told = [(each.title, each.support, _FOLDS_EXPLAINED[each.kind]) for each in (output.random, output.spatial)]
    if output.calibrated is not None:
        told.append((output.calibrated.title, output.calibrated.support, _FOLDS_EXPLAINED["calibrated"]))
    return told


def _tables(output: OutputResult) -> Sequence[Mapping[str, Any]]:
    """One table for each scale: rows of a measure's name, unit, value in each validation and meaning."""
    unit = output.prop.unit
    scales = [("", unit, [(each.title, each.reported) for each in output.validations])]
    modelled = [(each.title, each.modelled) for each in output.validations if each.modelled is not None]
    if modelled:
        scales.append(("On the logarithmic scale of the model", f"ln {unit}", modelled))
    return [
        {
            "title": title,
            "columns": [name for name, _ in scores],
            "rows": [
                (name, shown if has_unit else "", [significant(getattr(s, attribute)) for _, s in scores], meaning)
                for name, attribute, has_unit, meaning in MEASURES
            ],
        }
        for title, shown, scores in scales
    ]


def _cards(output: OutputResult) -> list[tuple[str, str, str]]:
    """The few figures at the head of a property: name, value, what it tells."""
    unit, spatial, last = output.prop.unit, output.spatial, output.validations[-1]
    where = spatial.title.lower()
    mec = spatial.reported.mec
    return [
        ("Typical error", f"{significant(spatial.reported.rmse)} {unit}", f"RMSE, {where}"),
        ("Explained", percent(max(0.0, mec)) if math.isfinite(mec) else "-", f"of the variance, {where}"),
        ("90 % interval", percent(last.reported.picp90), f"of the measured values inside, {last.title.lower()}"),
        ("Its mean width", f"{significant(last.reported.mean_width)} {unit}", last.title.lower()),
    ]


def _table_of(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Column names and cells of rows given by name; what a row lacks is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return names, [[_cell(row.get(name)) for name in names] for row in rows]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
