"""Tables from any file that holds samples: text, GeoPackage, shapefile, GeoParquet and Parquet."""

import hashlib
import math
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from odc.geo import CRS

from cup4soil.errors import InvalidInput
from cup4soil.products import file_checksum
from cup4soil.rasters.point_tables import PointTable, point_driver, read_points
from producers.sample_sources.source import X_COLUMN, Y_COLUMN
from producers.tables import Table, check_samples_file, read_header, read_table


def read_any_table(
    path: Path, layer: str | None = None, keep: Collection[str] | None = None
) -> tuple[Table, CRS | None]:
    """Read the table at ``path``, whatever it is by its first bytes; and the CRS of its points where it has some.

    Points become the columns "x of the point" and "y of the point". Rows count as in a spreadsheet: the first
    feature is row 2. Numbers keep all their digits.

    Raises:
        NotFound: when there is no such file or layer.
        InvalidSamples: when it is no table, or holds lines or areas.
        InvalidInput: when a layer is named of a file that has none.
        LimitExceeded: when it is too large.
    """
    check_samples_file(path)
    if point_driver(path) is None:
        if layer is not None:
            raise InvalidInput(f"{path.name} has no layers", "leave the layer away, or give a GeoPackage")
        return read_table(path, keep), None
    points = read_points(path, layer)
    return _as_table(path, layer, points, keep), points.crs


def columns_of(path: Path) -> tuple[str, ...]:
    """Names of the columns of a text file, without reading its rows; of other files none."""
    check_samples_file(path)
    return () if point_driver(path) is not None else read_header(path)


def _as_table(path: Path, layer: str | None, points: PointTable, keep: Collection[str] | None) -> Table:
    frame, names, columns = points.attributes, [], []
    for i, name in enumerate(map(str, frame.columns)):
        if keep is None or name in keep:
            names.append(name)
            columns.append(_cells(frame.iloc[:, i]))
    if points.x is not None and points.y is not None:
        names += [X_COLUMN, Y_COLUMN]
        columns += [[_cell(value) for value in axis.tolist()] for axis in (points.x, points.y)]
    rows = tuple(zip(*columns, strict=True)) if columns else ((),) * len(frame)
    numbers = tuple(range(2, 2 + len(frame)))
    name = path.name if layer is None else f"{path.name}:{layer}"
    return Table(name, _checksum(path), "utf-8", "", tuple(names), numbers, rows, {}, (), len(names))


def _checksum(path: Path) -> str:
    """Of the file; of a shapefile with those beside it that hold its attributes and its CRS."""
    parts = [path]
    if point_driver(path) == "ESRI Shapefile":
        parts += [beside for suffix in (".dbf", ".prj") if (beside := path.with_suffix(suffix)).is_file()]
    sums = [file_checksum(part) for part in parts]
    return sums[0] if len(sums) == 1 else f"sha256:{hashlib.sha256(' '.join(sums).encode()).hexdigest()}"


def _cells(column: pd.Series) -> list[str]:
    return [_cell(value) for value in column.astype(object).tolist()]


def _cell(value: object) -> str:
    """A cell as text: a number with all digits it has, nothing for what is missing."""
    if value is None or value is pd.NA or value is pd.NaT or isinstance(value, bytes):
        return ""
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isnan(number):
            return ""
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return " ".join(str(value).split())
