"""What is told of samples before anything is trained on them: what they hold, their figures, every rejected row."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from cup4soil.errors import InvalidInput, writing
from cup4soil.grids import crs_code
from cup4soil.properties import soil_property
from producers.sample_sources.source import SampleSource
from producers.sample_table import SampleReport, SampleTable


def description(source: SampleSource) -> dict[str, Any]:
    """What a source is and holds, before it is read for a property."""
    layout = source.layout
    return {
        "title": source.title,
        "format": source.format,
        "files": dict(source.files),
        "rows": source.table.total,
        "columns": list(source.table.columns),
        "properties": {code: f"{each.column} ({each.unit})" for code, each in layout.properties.items()},
        "crs": None if layout.crs is None else crs_code(layout.crs),
        "licence": source.licence,
        "attribution": source.attribution,
        "period": None if source.period is None else source.period.model_dump(mode="json"),
        "notes": list(source.notes),
    }


def figures(table: SampleTable) -> dict[str, dict[str, Any]]:
    """Least, quartiles and largest of each property, in its conventional unit."""
    found = {}
    for code, values in zip(table.codes, table.values.T, strict=True):
        quantiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]) if values.size else np.full(5, np.nan)
        named = zip(("min", "q25", "median", "q75", "max"), quantiles, strict=True)
        told = {name: None if np.isnan(value) else float(f"{value:.6g}") for name, value in named}
        found[code] = {"unit": soil_property(code).unit} | told
    return found


def result(table: SampleTable, report: SampleReport) -> dict[str, Any]:
    """What came of the rows: counts, figures, warnings, and each rejected row with its reason."""
    return report.summary() | {
        "profiles": len(set(table.ids)),
        "figures": figures(table),
        "reasons": report.reasons,
        "warnings": list(report.warnings),
        "rejected": [each.model_dump() for each in report.excluded],
    }


def write_rejected(report: SampleReport, path: Path) -> None:
    """Write the rejected rows to ``path``: a table (.csv) or a list (.json) of row, code and message.

    Raises:
        InvalidInput: when the name ends otherwise.
        StoreError: when it cannot be written.
    """
    rows = [each.model_dump() for each in report.excluded]
    suffix = path.suffix.lower()
    if suffix == ".json":
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    elif suffix == ".csv":
        stream = io.StringIO()
        writer = csv.DictWriter(stream, ("row", "code", "message"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = stream.getvalue()
    else:
        raise InvalidInput(f"a report cannot be written as {path.name!r}", "name it .csv or .json")
    with writing(path):
        path.write_text(text, encoding="utf-8")
