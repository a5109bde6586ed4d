"""Answers of EDR queries in the formats that clients read: CoverageJSON, GeoJSON and CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from processors.coverage_formats import (
    COVERAGE_JSON,
    coverage_json_document,
    is_whole,
    json_bytes,
    origin_members,
    parameter,
    referencing,
    span,
    time_axis,
)
from processors.coverage_reader import Answer
from processors.coverages import Field
from processors.crs import Reference
from processors.edr_reader import PointsAnswer, in_crs84, points_of
from processors.edr_statement import share_outside, statement
from processors.negotiation import Formats

GEOJSON: Final = "application/geo+json"
CSV: Final = "text/csv"
FORMATS: Final = Formats(
    names={
        "coveragejson": COVERAGE_JSON,
        "covjson": COVERAGE_JSON,
        "json": COVERAGE_JSON,
        "geojson": GEOJSON,
        "csv": CSV,
    },
    accepted={
        "application/prs.coverage+json": COVERAGE_JSON,
        "application/vnd.cov+json": COVERAGE_JSON,
        "application/json": COVERAGE_JSON,
        "application/geo+json": GEOJSON,
        "text/csv": CSV,
    },
    wildcards={"*/*": COVERAGE_JSON, "application/*": COVERAGE_JSON, "text/*": CSV},
    default=COVERAGE_JSON,
    said="CoverageJSON, GeoJSON or CSV",
)


def points_body(answer: PointsAnswer, kind: str) -> bytes:
    """The answer to a position query in a media type of this module."""
    if kind == COVERAGE_JSON:
        return json_bytes(points_document(answer))
    return _features(answer) if kind == GEOJSON else _table(answer)


def grid_body(answers: Sequence[Answer], kind: str) -> bytes:
    """The answer to an area, cube or radius query in a media type of this module."""
    if kind == COVERAGE_JSON:
        return json_bytes(coverage_json_document(answers) | _shares(answers))
    points = points_of(answers)
    return _features(points) if kind == GEOJSON else _table(points)


def points_document(answer: PointsAnswer) -> dict[str, Any]:
    """CoverageJSON of points: of one as PointSeries, of several as MultiPointSeries."""
    return {
        "type": "Coverage",
        "id": answer.coverages[-1].collection,
        "domain": {
            "type": "Domain",
            "domainType": "PointSeries" if len(answer.xs) == 1 else "MultiPointSeries",
            "axes": _axes(answer) | {"t": time_axis([coverage.period for coverage in answer.coverages])},
            "referencing": referencing(answer.reference),
        },
        "parameters": {field.name: parameter(field) for field in answer.fields},
        "ranges": {field.name: _range(answer, position) for position, field in enumerate(answer.fields)},
        "cup4soil:origin": origin_members(answer.coverages, answer.items),
    } | ({"cup4soil:statements": list(_statements(answer))} if answer.told else {})


def _axes(answer: PointsAnswer) -> dict[str, Any]:
    if len(answer.xs) == 1:
        return {"x": {"values": [answer.xs[0]]}, "y": {"values": [answer.ys[0]]}}
    values = [list(place) for place in zip(answer.xs, answer.ys, strict=True)]
    return {"composite": {"dataType": "tuple", "coordinates": ["x", "y"], "values": values}}


def _range(answer: PointsAnswer, position: int) -> dict[str, Any]:
    times, points = len(answer.coverages), len(answer.xs)
    several = points > 1
    return {
        "type": "NdArray",
        "dataType": "integer" if is_whole(answer.fields[position]) else "float",
        "axisNames": ["t", "composite"] if several else ["t"],
        "shape": [times, points] if several else [times],
        "values": [_number(answer.fields[position], value) for value in answer.values[:, position].ravel().tolist()],
    }


def _statements(answer: PointsAnswer) -> Iterator[dict[str, Any]]:
    """One for each period and point."""
    for time, coverage in enumerate(answer.coverages):
        for point, (x, y) in enumerate(zip(answer.xs, answer.ys, strict=True)):
            yield {"datetime": span(coverage.period), "x": x, "y": y} | _statement(answer, time, point)


def _statement(answer: PointsAnswer, time: int, point: int) -> dict[str, Any]:
    told = {name: float(values[time, point]) for name, values in answer.told.items()}
    return statement(answer.coverages[time], told)


def _shares(answers: Sequence[Answer]) -> dict[str, Any]:
    """What part of an area lies outside the area of applicability, period by period."""
    names = [field.name for field in answers[0].fields]
    if "aoa" not in names:
        return {}
    found = []
    for answer in answers:
        stored = answer.values[names.index("aoa")]
        valid = stored != answer.nodata
        text = share_outside(answer.coverage, int(valid.sum()), int((valid & (stored == 0)).sum()))
        found.append({"datetime": span(answer.coverage.period), "text": text})
    return {"cup4soil:statements": found}


def _features(answer: PointsAnswer) -> bytes:
    """GeoJSON: a feature for each period and point."""
    placed = in_crs84(answer)
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [x, y]},
            "properties": {"datetime": span(coverage.period), **_values(placed, time, point)},
        }
        for time, coverage in enumerate(placed.coverages)
        for point, (x, y) in enumerate(zip(placed.xs, placed.ys, strict=True))
    ]
    return json_bytes(
        {
            "type": "FeatureCollection",
            "parameters": {field.name: parameter(field) for field in answer.fields},
            "numberReturned": len(features),
            "features": features,
            "cup4soil:origin": origin_members(answer.coverages, answer.items),
        }
    )


def _values(answer: PointsAnswer, time: int, point: int) -> dict[str, Any]:
    values = answer.values[time, :, point].tolist()
    found: dict[str, Any] = {
        field.name: _number(field, value) for field, value in zip(answer.fields, values, strict=True)
    }
    return found | ({"statement": _statement(answer, time, point)["text"]} if answer.told else {})


def _table(answer: PointsAnswer) -> bytes:
    """CSV: a row for each period and point, units in the heads of the columns."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    heads = [field.name if field.unit == "1" else f"{field.name} ({field.unit})" for field in answer.fields]
    writer.writerow([*_coordinates(answer.reference), "start", "end", *heads, *(["statement"] if answer.told else [])])
    for time, coverage in enumerate(answer.coverages):
        ends = (coverage.period.start.isoformat(), coverage.period.end.isoformat())
        for point, place in enumerate(zip(answer.xs, answer.ys, strict=True)):
            writer.writerow([*place, *ends, *_values(answer, time, point).values()])
    return stream.getvalue().encode()


def _coordinates(reference: Reference) -> tuple[str, str]:
    return ("longitude", "latitude") if reference.crs.geographic else ("easting", "northing")


def _number(field: Field, value: float) -> int | float | None:
    if np.isnan(value):
        return None
    return int(value) if is_whole(field) else value
