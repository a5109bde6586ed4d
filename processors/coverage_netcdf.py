"""Coverages as NetCDF (classic format, 64-bit offsets) by the CF conventions, with an axis of time."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyproj
from numpy.typing import NDArray
from scipy.io import netcdf_file

from cup4soil import __version__
from cup4soil.grids import crs_of
from processors.coverage_formats import origin_of
from processors.coverage_reader import Answer
from processors.coverages import Field

NETCDF: Final = "application/x-netcdf"
CONVENTIONS: Final = "CF-1.8"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Units as UDUNITS writes them, where that differs; pH is a number.
_UDUNITS = {"pH": "1", "cmol(c)/kg": "cmol/kg", "vol %": "%"}
_CRS = "crs"


def netcdf(answers: Sequence[Answer], institution: str) -> bytes:
    """A NetCDF file of the stored integers, with scale, offset, units, classes, grid mapping and origin.

    ``answers`` are the periods, earliest first, on one grid. Bytes become 16 bit: the classic format has no
    unsigned ones.
    """
    stream = _Kept()
    with netcdf_file(stream, "w", mmap=False, version=2) as file:
        _set(file, _about(answers, institution))
        rows, columns = answers[0].grid.shape
        for name, size in (("time", len(answers)), ("y", rows), ("x", columns), ("bounds", 2)):
            file.createDimension(name, size)
        _time(file, answers)
        _space(file, answers[0])
        for position, field in enumerate(answers[0].fields):
            stack = np.stack([answer.values[position] for answer in answers])
            # Bands of one file may have another type than the answer has as a whole.
            _variable(file, field.name, ("time", "y", "x"), stack.astype(np.int16), _attributes(field, answers[0]))
    return stream.content


class _Kept(io.BytesIO):
    """What scipy writes to and closes; ``content`` is what was in it then."""

    content = b""

    def close(self) -> None:
        if not self.closed:
            self.content = self.getvalue()
        super().close()


def _about(answers: Sequence[Answer], institution: str) -> dict[str, Any]:
    coverages = [answer.coverage for answer in answers]
    items = {item.id: item for answer in answers for item in answer.items or answer.coverage.items}
    origin = origin_of(coverages, tuple(items.values()))
    made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} cut out of the items named by cup4soil {__version__}"
    return {
        "Conventions": CONVENTIONS,
        "title": coverages[-1].title,
        "institution": institution,
        "source": f"cup4soil {__version__}: {origin['ITEMS']}",
        "history": made,
        **{name.lower(): text for name, text in origin.items() if not name.startswith("TIFF")},
    }


def _time(file: Any, answers: Sequence[Answer]) -> None:
    """The axis of time: the end of each period, with its beginning and end as bounds."""
    periods = [answer.coverage.period for answer in answers]
    bounds = np.array([[_days(period.start), _days(period.end)] for period in periods])
    about = {
        "standard_name": "time",
        "axis": "T",
        "units": "days since 1970-01-01 00:00:00",
        "calendar": "standard",
        "bounds": "time_bounds",
    }
    _variable(file, "time", ("time",), bounds[:, 1], about)
    _variable(file, "time_bounds", ("time", "bounds"), bounds, {})


def _days(moment: datetime) -> float:
    return (moment - _EPOCH).total_seconds() / 86_400


def _space(file: Any, answer: Answer) -> None:
    """Centres of the cells along x and y, and the grid mapping."""
    affine, (rows, columns) = answer.grid.affine, answer.grid.shape
    crs = pyproj.CRS(crs_of(answer.grid).to_wkt())
    for name, values, (standard, unit) in (
        ("x", affine.c + (np.arange(columns) + 0.5) * affine.a, _axis(crs, "X")),
        ("y", affine.f + (np.arange(rows) + 0.5) * affine.e, _axis(crs, "Y")),
    ):
        _variable(file, name, (name,), values, {"standard_name": standard, "units": unit, "axis": name.upper()})
    # GDAL reads the grid from spatial_ref and GeoTransform; crs_wkt is CF's own.
    transform = " ".join(f"{number!r}" for number in (affine.c, affine.a, affine.b, affine.f, affine.d, affine.e))
    mapping = crs.to_cf() | {"spatial_ref": crs.to_wkt("WKT1_GDAL"), "GeoTransform": transform}
    _variable(file, _CRS, (), np.int32(0), mapping)


def _axis(crs: pyproj.CRS, axis: str) -> tuple[str, str]:
    if crs.is_geographic:
        return ("longitude", "degrees_east") if axis == "X" else ("latitude", "degrees_north")
    unit = crs.axis_info[0].unit_name
    return f"projection_{axis.lower()}_coordinate", "m" if unit == "metre" else unit.replace(" ", "_")


def _attributes(field: Field, answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {
        "_FillValue": np.int16(answer.nodata),
        "long_name": field.title,
        "comment": field.description,
        "grid_mapping": _CRS,
        "units": _UDUNITS.get(field.unit, field.unit),
    }
    if (field.scale, field.offset) != (1.0, 0.0):
        found |= {"scale_factor": np.float64(field.scale), "add_offset": np.float64(field.offset)}
    if field.categories:
        found["flag_values"] = np.array([value for value, _ in field.categories], dtype=np.int16)
        found["flag_meanings"] = " ".join(title.strip().replace(" ", "_") for _, title in field.categories)
    return found


def _variable(
    file: Any, name: str, dimensions: tuple[str, ...], values: NDArray[Any] | np.generic, attributes: dict[str, Any]
) -> None:
    variable = file.createVariable(name, values.dtype, dimensions)
    variable[...] = values
    _set(variable, attributes)


def _set(target: Any, attributes: dict[str, Any]) -> None:
    """Set attributes: text as UTF-8, numbers in double precision, empty text left out."""
    for name, value in attributes.items():
        written = value.encode() if isinstance(value, str) else value
        if isinstance(written, float | list | tuple) and not isinstance(written, np.floating):
            written = np.array(written, dtype=np.float64)
        if not isinstance(written, bytes) or written:
            setattr(target, name, written)
