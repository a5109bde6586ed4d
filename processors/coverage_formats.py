"""Coverages in the formats that clients read: GeoTIFF and CoverageJSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from cup4soil import __version__
from cup4soil.products import COG_MEDIA_TYPE, NO_SKILL_NOTE, Period, Verdict
from cup4soil.rasters.geotiff import BandText, geotiff_bytes
from processors.coverage_reader import Answer
from processors.coverages import Coverage, Field, Item
from processors.crs import Reference

GEOTIFF = "image/tiff; application=geotiff"
COG = COG_MEDIA_TYPE
COVERAGE_JSON = "application/prs.coverage+json"
_UCUM = "http://www.opengis.net/def/uom/UCUM/"
# Units as UCUM writes them, where that differs.
_UCUM_CODES = {"pH": "[pH]", "kg/dm3": "kg/dm3", "cmol(c)/kg": "cmol/kg", "vol %": "%"}
_LISTED_ITEMS = 50
_DECIMALS = 9


def geotiff(answer: Answer, *, cloud_optimised: bool = False) -> bytes:
    """A GeoTIFF of the stored integers, with names, units, scale and offset of the bands and where they come from."""
    bands = [BandText(field.name, field.unit, field.scale, field.offset, field.title) for field in answer.fields]
    return geotiff_bytes(
        answer.values,
        answer.grid,
        bands,
        nodata=answer.nodata,
        tags=origin(answer),
        cloud_optimised=cloud_optimised,
        categorical=any(field.categories for field in answer.fields),
    )


def origin(answer: Answer) -> dict[str, str]:
    """Where the values of an answer come from, for the metadata of a file."""
    return origin_of([answer.coverage], answer.items or answer.coverage.items)


def origin_of(coverages: Sequence[Coverage], items: Sequence[Item]) -> dict[str, str]:
    """Where values of ``items`` of one collection come from; ``coverages`` are its periods, earliest first."""
    licences = sorted({item.licence for item in items})
    attribution = sorted({text for item in items for text in item.attribution})
    names = [item.id for item in items]
    listed = ", ".join(names[:_LISTED_ITEMS])
    more = len(names) - _LISTED_ITEMS
    tags = {
        "TIFFTAG_IMAGEDESCRIPTION": coverages[-1].title,
        "TIFFTAG_SOFTWARE": f"cup4soil {__version__}",
        "TIFFTAG_COPYRIGHT": "; ".join([*licences, *attribution]),
        "COLLECTION": coverages[-1].collection,
        "ITEMS": f"{listed} and {more} more" if more > 0 else listed,
        "LICENCE": ", ".join(licences),
        "ATTRIBUTION": "; ".join(attribution),
        "PERIOD": ", ".join(span(each.period) for each in coverages),
        "SIMULATED": _simulated([item.simulated for item in items]),
        "VERDICT": _verdict([item.verdict for item in items]),
    }
    return {name: text for name, text in tags.items() if text}


def origin_members(coverages: Sequence[Coverage], items: Sequence[Item]) -> dict[str, str]:
    """:func:`origin_of` for JSON: without what only a TIFF says."""
    return {n.lower(): text for n, text in origin_of(coverages, items).items() if not n.startswith("TIFF")}


def span(period: Period) -> str:
    """A period as an interval of RFC 3339."""
    return f"{period.start.isoformat()}/{period.end.isoformat()}"


def coverage_json(answers: Sequence[Answer]) -> bytes:
    """As :func:`coverage_json_document`, written."""
    return json_bytes(coverage_json_document(answers))


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """A document as compact JSON; numbers that JSON does not know are an error."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def coverage_json_document(answers: Sequence[Answer]) -> dict[str, Any]:
    """CoverageJSON of the scaled values, null where there is none.

    ``answers`` are the periods, earliest first, on one grid, in whose CRS the values stand.
    """
    first = answers[0]
    coverages = [answer.coverage for answer in answers]
    items = {item.id: item for answer in answers for item in answer.items or answer.coverage.items}
    return {
        "type": "Coverage",
        "id": first.coverage.collection,
        "domain": _domain(answers),
        "parameters": {field.name: parameter(field) for field in first.fields},
        "ranges": {field.name: _range(answers, position) for position, field in enumerate(first.fields)},
        "cup4soil:origin": origin_members(coverages, tuple(items.values())),
    }


def domain_set(grid: GeoBox, reference: Reference) -> dict[str, Any]:
    """The domain of a coverage as a general grid of CIS 1.1.

    Axis labels stand in the order of the CRS. The axes themselves stand x before y on a projected grid,
    latitude before longitude on a geographic one: GDAL's driver takes them by position.
    """
    (rows, cols), affine = grid.shape, grid.affine
    x_name, y_name = axis_names(reference)
    unit = "deg" if reference.crs.geographic else "m"
    x_axis = _axis(x_name, affine.c, affine.c + cols * affine.a, affine.a, unit)
    y_axis = _axis(y_name, affine.f + rows * affine.e, affine.f, -affine.e, unit)
    geographic = bool(reference.crs.geographic)
    limits = [_index("i", rows), _index("j", cols)] if reference.y_first else [_index("i", cols), _index("j", rows)]
    return {
        "type": "DomainSet",
        "generalGrid": {
            "type": "GeneralGridCoverage",
            "srsName": reference.uri,
            "axisLabels": [y_name, x_name] if reference.y_first else [x_name, y_name],
            "axis": [y_axis, x_axis] if geographic and reference.y_first else [x_axis, y_axis],
            "gridLimits": {
                "type": "GridLimits",
                "srsName": "http://www.opengis.net/def/crs/OGC/0/Index2D",
                "axisLabels": ["i", "j"],
                "axis": limits,
            },
        },
    }


def range_type(fields: tuple[Field, ...], dtype: np.dtype[np.integer]) -> dict[str, Any]:
    """The fields of a coverage as a record of SWE Common."""
    definition = {"uint8": "ogcType:unsignedByte", "int16": "ogcType:signedShort"}[dtype.name]
    return {"type": "DataRecord", "field": [_swe(field, definition) for field in fields]}


def axis_names(reference: Reference) -> tuple[str, str]:
    """Names of the x and the y axis, as ``subset`` understands them."""
    return ("Lon", "Lat") if reference.crs.geographic else ("E", "N")


def schema_document(coverage: Coverage) -> dict[str, Any]:
    """The fields of a coverage as a JSON schema, in their order."""
    properties = {
        name: field_schema(field) | {"x-ogc-propertySeq": position}
        for position, (name, field) in enumerate(coverage.fields.items(), 1)
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "title": coverage.title,
        "properties": properties,
    }


def field_schema(field: Field) -> dict[str, Any]:
    """A field as a property of the collection's JSON schema; values are the scaled ones."""
    schema: dict[str, Any] = {
        "title": field.title,
        "description": field.description,
        "type": "integer" if is_whole(field) else "number",
        "x-ogc-unit": _ucum(field),
        "x-ogc-unitLang": "UCUM",
        "x-cup4soil-stored": {
            "dtype": field.dtype,
            "nodata": field.nodata,
            "scale": field.scale,
            "offset": field.offset,
        },
    }
    if field.terms:
        schema |= {"x-ogc-definition": field.terms[0], "x-cup4soil-definitions": list(field.terms)}
    if field.categories:
        schema["enum"] = [value for value, _ in field.categories]
        schema["x-cup4soil-categories"] = {str(value): title for value, title in field.categories}
    else:
        low, high = _representable(field)
        schema |= {"minimum": low, "maximum": high}
    return schema


def _ucum(field: Field) -> str:
    return _UCUM_CODES.get(field.unit, field.unit)


def _representable(field: Field) -> tuple[float, float]:
    info = np.iinfo(field.dtype)
    low = info.min + 1 if info.min else 0
    ends = sorted(round(end * field.scale + field.offset, _DECIMALS) for end in (low, info.max))
    return ends[0], ends[1]


def _simulated(flags: list[bool]) -> str:
    if not any(flags):
        return "no"
    return "yes: made from simulated input, does not describe a real place" if all(flags) else "in part"


def _verdict(verdicts: list[Verdict | None]) -> str:
    """What validation found; nothing where it judged none of the items."""
    unskilled = verdicts.count("no-skill")
    if not unskilled:
        return "skill" if "skill" in verdicts else ""
    return f"no-skill: {NO_SKILL_NOTE}" if unskilled == len(verdicts) else f"no-skill in part: {NO_SKILL_NOTE}"


def _domain(answers: Sequence[Answer]) -> dict[str, Any]:
    grid = answers[0].grid
    (rows, cols), affine = grid.shape, grid.affine
    return {
        "type": "Domain",
        "domainType": "Grid",
        "axes": {
            "t": time_axis([answer.coverage.period for answer in answers]),
            "y": _centres(affine.f, affine.e, rows),
            "x": _centres(affine.c, affine.a, cols),
        },
        "referencing": referencing(answers[0].reference),
    }


def time_axis(periods: Sequence[Period]) -> dict[str, Any]:
    """The axis of time in CoverageJSON: the end of each period, with its beginning and end as bounds."""
    ends = [[period.start.isoformat(), period.end.isoformat()] for period in periods]
    return {"values": [end for _, end in ends], "bounds": [time for pair in ends for time in pair]}


def referencing(reference: Reference) -> list[dict[str, Any]]:
    """The systems of CoverageJSON's axes x, y and t."""
    kind = "GeographicCRS" if reference.crs.geographic else "ProjectedCRS"
    return [
        {
            "coordinates": ["y", "x"] if reference.y_first else ["x", "y"],
            "system": {"type": kind, "id": reference.uri},
        },
        {"coordinates": ["t"], "system": {"type": "TemporalRS", "calendar": "Gregorian"}},
    ]


def _centres(edge: float, step: float, count: int) -> dict[str, Any]:
    if count == 1:
        return {"values": [edge + step / 2]}
    return {"start": edge + step / 2, "stop": edge + (count - 0.5) * step, "num": count}


def parameter(field: Field) -> dict[str, Any]:
    """A field as a parameter of CoverageJSON and of EDR."""
    observed: dict[str, Any] = {"label": {"en": field.title}, "description": {"en": field.description}}
    if field.terms:
        observed["id"] = field.terms[0]
    found: dict[str, Any] = {"type": "Parameter", "description": {"en": field.description or field.title}}
    if field.categories:
        names = {value: f"{field.name}-{value}" for value, _ in field.categories}
        observed["categories"] = [{"id": names[value], "label": {"en": title}} for value, title in field.categories]
        found["categoryEncoding"] = {names[value]: value for value, _ in field.categories}
    else:
        found["unit"] = {"label": {"en": field.unit}, "symbol": {"value": _ucum(field), "type": _UCUM}}
    return found | {"observedProperty": observed}


def _range(answers: Sequence[Answer], position: int) -> dict[str, Any]:
    whole = is_whole(answers[0].fields[position])
    return {
        "type": "NdArray",
        "dataType": "integer" if whole else "float",
        "axisNames": ["t", "y", "x"],
        "shape": [len(answers), *answers[0].grid.shape],
        "values": [value for answer in answers for value in scaled_values(answer, position)],
    }


def is_whole(field: Field) -> bool:
    """True for a field whose scaled values are whole numbers."""
    return field.scale == 1 and float(field.offset).is_integer()


def scaled_values(answer: Answer, position: int) -> list[int | float | None]:
    """The scaled values of one field, row by row, None where there is none."""
    field, stored = answer.fields[position], answer.values[position]
    values: list[int | float | None]
    if is_whole(field):
        values = (stored.astype(np.int64) + int(field.offset)).ravel().tolist()
    else:
        values = np.round(stored * np.float64(field.scale) + field.offset, _DECIMALS).ravel().tolist()
    for index in np.flatnonzero(stored == answer.nodata).tolist():
        values[index] = None
    return values


def _axis(name: str, low: float, high: float, step: float, unit: str) -> dict[str, Any]:
    return {
        "type": "RegularAxis",
        "axisLabel": name,
        "lowerBound": low,
        "upperBound": high,
        "resolution": step,
        "uomLabel": unit,
    }


def _index(name: str, count: int) -> dict[str, Any]:
    return {"type": "IndexAxis", "axisLabel": name, "lowerBound": 0, "upperBound": count - 1}


def _swe(field: Field, definition: str) -> dict[str, Any]:
    return {
        "type": "Quantity",
        "name": field.name,
        "label": field.title,
        "description": field.description,
        "definition": definition,
        "uom": {"type": "UnitReference", "code": _ucum(field)},
        "nilValues": [{"type": "NilValue", "value": field.nodata, "reason": "no data"}],
        "scale": field.scale,
        "offset": field.offset,
    }
