"""Reading rasters: opening, describing, windows on another grid, values at points."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from cup4soil.errors import InvalidRaster, NotFound
from cup4soil.grids import crs_code, crs_of

# Remote folders are never listed, and what is read once is not read again.
GDAL_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_MULTIRANGE": "YES",
}


@dataclass(frozen=True, slots=True)
class RasterInfo:
    """What a raster file says of itself; one entry per band in the tuples."""

    geobox: GeoBox
    names: tuple[str, ...]
    nodata: tuple[float | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]


@contextmanager
def open_raster(source: Path | str) -> Iterator[DatasetReader]:
    """Open a raster for reading.

    Raises:
        NotFound: when there is no such file.
        InvalidRaster: when it is no raster that can be read.
    """
    if isinstance(source, Path) and not source.is_file():
        raise NotFound(f"no raster {source}", "give the path of a GeoTIFF")
    try:
        dataset = rasterio.open(source)
    except RasterioError as error:
        raise InvalidRaster(f"{source} cannot be opened as a raster: {error}", "give a GeoTIFF") from error
    with dataset:
        try:
            yield dataset
        except RasterioError as error:
            raise InvalidRaster(f"{source} cannot be read: {error}", "fetch or make the file again") from error


def raster_info(source: Path | str) -> RasterInfo:
    """Grid, band names, nodata and scaling of a raster.

    Bands are named by their descriptions; without one by the file's stem, numbered if there are several.

    Raises:
        InvalidRaster: when the raster has no CRS or is not north-up.
    """
    with open_raster(source) as dataset:
        if dataset.crs is None:
            raise InvalidRaster(f"{source} has no CRS", "assign the right one")
        transform = dataset.transform
        if transform.b or transform.d:
            raise InvalidRaster(f"{source} is rotated", "warp it to a north-up grid")
        stem = Path(str(source)).stem
        default = [stem] if dataset.count == 1 else [f"{stem}_{i + 1}" for i in range(dataset.count)]
        names = tuple(given or name for given, name in zip(dataset.descriptions, default, strict=True))
        return RasterInfo(
            GeoBox(dataset.shape, transform, raster_crs(dataset)),
            names,
            tuple(dataset.nodatavals),
            tuple(dataset.scales),
            tuple(dataset.offsets),
        )


def raster_crs(dataset: DatasetReader) -> CRS:
    """CRS of an open raster, by its EPSG code where it has one, so that equal systems compare equal."""
    code = dataset.crs.to_epsg()
    return CRS(f"EPSG:{code}" if code is not None else dataset.crs.to_wkt())


def read_on_grid(
    source: Path | str, geobox: GeoBox, *, categorical: bool = False, keep_nodata: bool = False
) -> NDArray[np.float32]:
    """All bands of a raster on ``geobox``, scaled, NaN where missing: shape (bands, rows, columns).

    Bilinear, or nearest neighbour when ``categorical``; on an equal grid the values are the file's own.
    A raster without nodata is missing only outside its edges, and so is one whose nodata is a class of its own and
    shall be kept (``keep_nodata``). South-up rasters are read rightly.
    """
    resampling = Resampling.nearest if categorical else Resampling.bilinear
    with open_raster(source) as dataset:
        if dataset.crs is None:
            raise InvalidRaster(f"{source} has no CRS", "assign the right one")
        nodata = None if keep_nodata else dataset.nodata
        with WarpedVRT(
            dataset,
            crs=crs_code(crs_of(geobox)),
            transform=geobox.affine,
            height=geobox.shape[0],
            width=geobox.shape[1],
            resampling=resampling,
            dtype="float32",
            src_nodata=nodata,
            nodata=nodata,
            add_alpha=nodata is None,
        ) as warped:
            values = warped.read(range(1, dataset.count + 1), out_dtype="float32")
            if nodata is None:
                # The added band tells what lies outside; GDAL takes none of float32 for a mask by itself.
                values[:, ~(warped.read(warped.count) > 0)] = np.nan
        return _scaled(values, dataset, keep_nodata=keep_nodata)


def read_at_points(source: Path | str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values of all bands in the cells that hold the points: shape (bands, points), NaN where missing or outside.

    ``x`` and ``y`` are in the raster's CRS.
    """
    with open_raster(source) as dataset:
        cols, rows = ~dataset.transform @ (np.asarray(x, dtype=float), np.asarray(y, dtype=float))
        rows, cols = np.floor(rows), np.floor(cols)
        inside = (rows >= 0) & (rows < dataset.height) & (cols >= 0) & (cols < dataset.width)
        values = np.full((dataset.count, rows.size), np.nan, dtype=np.float32)
        points = list(zip(np.asarray(x)[inside], np.asarray(y)[inside], strict=True))
        sampled = np.array(list(dataset.sample(points)), dtype=np.float32).reshape(-1, dataset.count)
        values[:, inside] = sampled.T
        return _scaled(values, dataset)


def _scaled(values: NDArray[np.float32], dataset: DatasetReader, *, keep_nodata: bool = False) -> NDArray[np.float32]:
    for band, nodata in enumerate(dataset.nodatavals):
        if nodata is not None and not np.isnan(nodata) and not keep_nodata:
            values[band][values[band] == np.float32(nodata)] = np.nan
        values[band] = values[band] * np.float32(dataset.scales[band]) + np.float32(dataset.offsets[band])
    return values
