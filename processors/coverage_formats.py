"""Coverages in the formats that clients read: GeoTIFF and CoverageJSON."""

import json
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from cup4soil import __version__
from cup4soil.grids import crs_of
from cup4soil.products import COG_MEDIA_TYPE, NO_SKILL_NOTE, Verdict
from cup4soil.rasters.coverage import BandText, geotiff_bytes
from processors.coverage_reader import Answer
from processors.coverages import Field
from processors.crs import Reference, reference_of

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
    items = answer.items or answer.coverage.items
    licences = sorted({item.licence for item in items})
    attribution = sorted({text for item in items for text in item.attribution})
    names = [item.id for item in items]
    listed = ", ".join(names[:_LISTED_ITEMS])
    more = len(names) - _LISTED_ITEMS
    period = answer.coverage.period
    tags = {
        "TIFFTAG_IMAGEDESCRIPTION": answer.coverage.title,
        "TIFFTAG_SOFTWARE": f"cup4soil {__version__}",
        "TIFFTAG_COPYRIGHT": "; ".join([*licences, *attribution]),
        "COLLECTION": answer.coverage.collection,
        "ITEMS": f"{listed} and {more} more" if more > 0 else listed,
        "LICENCE": ", ".join(licences),
        "ATTRIBUTION": "; ".join(attribution),
        "PERIOD": f"{period.start.isoformat()}/{period.end.isoformat()}",
        "SIMULATED": _simulated([item.simulated for item in items]),
        "VERDICT": _verdict([item.verdict for item in items]),
    }
    return {name: text for name, text in tags.items() if text}


def coverage_json(answer: Answer) -> bytes:
    """As :func:`coverage_json_document`, written."""
    return json.dumps(
        coverage_json_document(answer), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode()


def coverage_json_document(answer: Answer) -> dict[str, Any]:
    """CoverageJSON of the scaled values, on a grid in the CRS of the answer, null where there is none."""
    names = [field.name for field in answer.fields]
    return {
        "type": "Coverage",
        "id": answer.coverage.collection,
        "domain": _domain(answer),
        "parameters": {field.name: _parameter(field) for field in answer.fields},
        "ranges": {name: _range(answer, position) for position, name in enumerate(names)},
        "cup4soil:origin": {name.lower(): text for name, text in origin(answer).items() if not name.startswith("TIFF")},
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


def field_schema(field: Field) -> dict[str, Any]:
    """A field as a property of the collection's JSON schema; values are the scaled ones."""
    whole = field.scale == 1 and float(field.offset).is_integer()
    schema: dict[str, Any] = {
        "title": field.title,
        "description": field.description,
        "type": "integer" if whole else "number",
        "x-ogc-unit": field.unit,
        "x-ogc-unitLang": "UCUM",
        "x-cup4soil-stored": {
            "dtype": field.dtype,
            "nodata": field.nodata,
            "scale": field.scale,
            "offset": field.offset,
        },
    }
    if field.categories:
        schema["enum"] = [value for value, _ in field.categories]
        schema["x-cup4soil-categories"] = {str(value): title for value, title in field.categories}
    else:
        low, high = _representable(field)
        schema |= {"minimum": low, "maximum": high}
    return schema


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


def _domain(answer: Answer) -> dict[str, Any]:
    grid, reference, period = answer.grid, reference_of(crs_of(answer.grid)), answer.coverage.period
    (rows, cols), affine = grid.shape, grid.affine
    start, end = period.start.isoformat(), period.end.isoformat()
    return {
        "type": "Domain",
        "domainType": "Grid",
        "axes": {
            "t": {"values": [end], "bounds": [start, end]},
            "y": _centres(affine.f, affine.e, rows),
            "x": _centres(affine.c, affine.a, cols),
        },
        "referencing": [
            {
                "coordinates": ["y", "x"] if reference.y_first else ["x", "y"],
                "system": {
                    "type": "GeographicCRS" if reference.crs.geographic else "ProjectedCRS",
                    "id": reference.uri,
                },
            },
            {"coordinates": ["t"], "system": {"type": "TemporalRS", "calendar": "Gregorian"}},
        ],
    }


def _centres(edge: float, step: float, count: int) -> dict[str, Any]:
    if count == 1:
        return {"values": [edge + step / 2]}
    return {"start": edge + step / 2, "stop": edge + (count - 0.5) * step, "num": count}


def _parameter(field: Field) -> dict[str, Any]:
    observed: dict[str, Any] = {"label": {"en": field.title}, "description": {"en": field.description}}
    parameter: dict[str, Any] = {"type": "Parameter", "description": {"en": field.description or field.title}}
    if field.categories:
        names = {value: f"{field.name}-{value}" for value, _ in field.categories}
        observed["categories"] = [{"id": names[value], "label": {"en": title}} for value, title in field.categories]
        parameter["categoryEncoding"] = {names[value]: value for value, _ in field.categories}
    else:
        symbol = _UCUM_CODES.get(field.unit, field.unit)
        parameter["unit"] = {"label": {"en": field.unit}, "symbol": {"value": symbol, "type": _UCUM}}
    return parameter | {"observedProperty": observed}


def _range(answer: Answer, position: int) -> dict[str, Any]:
    field, stored = answer.fields[position], answer.values[position]
    whole = field.scale == 1 and float(field.offset).is_integer()
    values: list[Any]
    if whole:
        values = (stored.astype(np.int64) + int(field.offset)).ravel().tolist()
    else:
        values = np.round(stored * np.float64(field.scale) + field.offset, _DECIMALS).ravel().tolist()
    for index in np.flatnonzero(stored == answer.nodata).tolist():
        values[index] = None
    return {
        "type": "NdArray",
        "dataType": "integer" if whole else "float",
        "axisNames": ["t", "y", "x"],
        "shape": [1, *answer.grid.shape],
        "values": values,
    }


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
        "uom": {"type": "UnitReference", "code": _UCUM_CODES.get(field.unit, field.unit)},
        "nilValues": [{"type": "NilValue", "value": field.nodata, "reason": "no data"}],
        "scale": field.scale,
        "offset": field.offset,
    }
