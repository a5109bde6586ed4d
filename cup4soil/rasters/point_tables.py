"""Points with attributes from files of geographic tables: GeoPackage, shapefile and (Geo)Parquet."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
import pyogrio  # type: ignore[import-untyped]
import shapely
from numpy.typing import NDArray
from odc.geo import CRS
from pyogrio.errors import DataSourceError  # type: ignore[import-untyped]

from cup4soil.errors import InvalidSamples, LimitExceeded, NotFound, reading

MAX_POINTS = 2_000_000
_MAGIC = {b"SQLite format 3\x00": "GPKG", b"PAR1": "Parquet", b"\x00\x00\x27\x0a": "ESRI Shapefile"}
# Where the header of an SQLite file holds the application's id, and those of GeoPackage 1.2 and later, 1.0 and 1.1.
_APPLICATION_ID = slice(68, 72)
_GEOPACKAGE_IDS = (b"GPKG", b"GP10", b"GP11")
_POINT = 0


@dataclass(frozen=True, slots=True)
class PointTable:
    """n rows of attributes; ``x``, ``y`` (n,) are NaN where a row has no point, None in a table without geometry.

    ``crs`` is None where the file states none.
    """

    attributes: pd.DataFrame
    x: NDArray[np.float64] | None
    y: NDArray[np.float64] | None
    crs: CRS | None


def point_driver(path: Path) -> str | None:
    """``GPKG``, ``Parquet`` or ``ESRI Shapefile`` by the file's first bytes; None when it is none of them.

    Raises:
        InvalidSamples: when it is another SQLite database than a GeoPackage.
    """
    with reading(path, InvalidSamples), path.open("rb") as stream:
        start = stream.read(72)
    driver = next((driver for magic, driver in _MAGIC.items() if start.startswith(magic)), None)
    if driver == "GPKG" and start[_APPLICATION_ID] not in _GEOPACKAGE_IDS:
        raise InvalidSamples(f"{path} is an SQLite database, but no GeoPackage", "export the points as a GeoPackage")
    return driver


def point_layers(path: Path) -> tuple[str, ...]:
    """Names of the layers of a GeoPackage, in the order of the file; of other files none.

    Raises:
        InvalidSamples: when the file is damaged.
    """
    if point_driver(path) != "GPKG":
        return ()
    try:
        with _any_extension():
            return tuple(str(name) for name, _ in pyogrio.list_layers(path))
    except DataSourceError as error:
        raise InvalidSamples(f"{path} cannot be read: {error}", "write the file again") from error


def read_points(path: Path, layer: str | None = None, *, max_points: int = MAX_POINTS) -> PointTable:
    """Read the points and attributes of a file; of a GeoPackage with several layers the one named.

    Raises:
        NotFound: when there is no such layer, or several and none is named.
        InvalidSamples: when the file is damaged or holds lines or areas.
        LimitExceeded: when it has more rows than ``max_points``; nothing is read then.
    """
    driver = point_driver(path)
    if driver is None:
        raise InvalidSamples(f"{path} is no GeoPackage, shapefile or Parquet file", "give one of these, or a CSV file")
    try:
        frame = _parquet(path, max_points) if driver == "Parquet" else _vector(path, driver, layer, max_points)
    except (DataSourceError, pa.ArrowException) as error:
        raise InvalidSamples(f"{path} cannot be read: {error}", "write the file again") from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        return PointTable(frame, None, None, None)
    return _points(path, frame)


def _vector(path: Path, driver: str, layer: str | None, max_points: int) -> pd.DataFrame:
    chosen = _layer(path, layer) if driver == "GPKG" else None
    with _any_extension():
        info = pyogrio.read_info(path, layer=chosen, force_feature_count=True)
        if info["driver"] != driver:
            raise InvalidSamples(f"{path} is read by {info['driver']}, not as {driver}", "give a plain GeoPackage")
        _check_size(path, int(info["features"]), max_points)
        frame: pd.DataFrame = geopandas.read_file(path, layer=chosen, engine="pyogrio")
    return frame


@contextmanager
def _any_extension() -> Iterator[None]:
    """What a file is, its first bytes have told: how it is called does not matter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*non conformant file extension", category=RuntimeWarning)
        yield


def _layer(path: Path, layer: str | None) -> str:
    layers = point_layers(path)
    if layer is None and len(layers) == 1:
        return layers[0]
    if layer is None or layer not in layers:
        problem = f"{path.name} has several layers" if layer is None else f"{path.name} has no layer {layer!r}"
        raise NotFound(problem, f"name one of {', '.join(layers[:30])}")
    return layer


def _parquet(path: Path, max_points: int) -> pd.DataFrame:
    with parquet.ParquetFile(path) as file:
        metadata = file.metadata.metadata or {}
        _check_size(path, file.metadata.num_rows, max_points)
    if b"geo" not in metadata:
        return pd.read_parquet(path, engine="pyarrow")
    try:
        frame: pd.DataFrame = geopandas.read_parquet(path)
    except ValueError as error:
        raise InvalidSamples(f"{path} is no valid GeoParquet: {error}", "write the file again") from error
    return frame


def _check_size(path: Path, rows: int, max_points: int) -> None:
    if rows > max_points:
        raise LimitExceeded(f"{path.name} has {rows} rows", f"give at most {max_points}, such as those of one region")


def _points(path: Path, frame: geopandas.GeoDataFrame) -> PointTable:
    shapes = np.asarray(frame.geometry.values, dtype=object)
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    other = there & (shapely.get_type_id(shapes) != _POINT)
    if other.any():
        kind = shapes[np.flatnonzero(other)[0]].geom_type
        raise InvalidSamples(f"{path.name} holds a {kind} where points are expected", "give one point for each row")
    x, y = (np.where(there, get(shapes), np.nan).astype(np.float64) for get in (shapely.get_x, shapely.get_y))
    crs = None if frame.crs is None else CRS(frame.crs.to_epsg() or frame.crs.to_wkt())
    attributes = pd.DataFrame(frame.drop(columns=frame.geometry.name))
    return PointTable(attributes, x, y, crs)
