"""Tables from any file that holds samples: text, GeoPackage, shapefile, GeoParquet and Parquet."""

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
    columns = {
        str(name): _cells(points.attributes[name])
        for name in points.attributes.columns
        if keep is None or str(name) in keep
    }
    if points.x is not None and points.y is not None:
        columns |= {X_COLUMN: [_cell(v) for v in points.x.tolist()], Y_COLUMN: [_cell(v) for v in points.y.tolist()]}
    count = len(points.attributes)
    rows = tuple(zip(*columns.values(), strict=True)) if columns else ((),) * count
    numbers = tuple(int(i) for i in np.arange(count) + 2)
    name = path.name if layer is None else f"{path.name}:{layer}"
    return Table(name, file_checksum(path), "utf-8", "", tuple(columns), numbers, rows, {}, (), len(columns))


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
