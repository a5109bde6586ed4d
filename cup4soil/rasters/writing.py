"""Writing layers as cloud-optimised GeoTIFF, block by block."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from cup4soil.errors import StoreError
from cup4soil.grids import Window, crs_code, crs_of
from cup4soil.products import Layer, Statistics
from cup4soil.rasters.reading import open_raster

BLOCK_SIZE = 512
_COG = {
    "compress": "DEFLATE",
    "predictor": "YES",
    "level": "6",
    "blocksize": str(BLOCK_SIZE),
    "bigtiff": "IF_SAFER",
    "num_threads": "2",
}


class _Running:
    """Minimum, maximum, mean and standard deviation of the cells seen so far."""

    def __init__(self) -> None:
        self.cells = self.valid = 0
        self.total = self.squares = 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, stored: NDArray[np.integer], layer: Layer) -> None:
        values = stored[stored != layer.nodata].astype(np.float64) * layer.scale_of(0) + layer.offset
        self.cells += stored.size
        self.valid += values.size
        if values.size:
            self.total += float(values.sum())
            self.squares += float((values**2).sum())
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def statistics(self) -> Statistics | None:
        if not self.valid:
            return None
        mean = self.total / self.valid
        spread = math.sqrt(max(0.0, self.squares / self.valid - mean**2))
        share = 100.0 * self.valid / self.cells
        rounded = (round(v, 6) for v in (self.low, self.high, mean, spread, share))
        return Statistics.model_validate(
            dict(zip(("minimum", "maximum", "mean", "stddev", "valid_percent"), rounded, strict=True))
        )


def layer_statistics(path: Path, layer: Layer) -> Statistics | None:
    """Statistics of a layer whose file is at ``path``, read block by block; None when no cell is valid.

    Raises:
        NotFound: when there is no such file.
        InvalidRaster: when it cannot be read.
    """
    running = _Running()
    with open_raster(path) as dataset:
        for _, window in dataset.block_windows(1):
            running.add(dataset.read(1, window=window), layer)
    return running.statistics()


class LayerWriter:
    """Writes one layer into ``folder``; a context manager.

    Blocks go to a temporary tiled file; leaving the context without an error turns it into the final
    COG with overviews, band names, units, scale and nodata. After an error nothing is left.
    ``layer`` holds the layer with its statistics once the context is left. ``tags`` are written as the
    metadata of the file.
    """

    def __init__(self, folder: Path, layer: Layer, geobox: GeoBox, tags: Mapping[str, str] | None = None) -> None:
        self.layer = layer
        self._tags = dict(tags or {})
        self.path = folder / layer.file
        self._part = self.path.with_suffix(".part.tif")
        self._geobox = geobox
        self._running = _Running()

    def __enter__(self) -> Self:
        layer, box = self.layer, self._geobox
        with writing_raster(self.path):
            self._dataset = rasterio.open(
                self._part,
                "w",
                driver="GTiff",
                height=box.shape[0],
                width=box.shape[1],
                count=len(layer.bands),
                dtype=layer.dtype,
                nodata=layer.nodata,
                crs=crs_code(crs_of(box)),
                transform=box.affine,
                tiled=True,
                blockxsize=256,
                blockysize=256,
                compress="ZSTD",
                zstd_level=1,
                bigtiff="IF_SAFER",
            )
            self._describe()
        return self

    @property
    def any_valid(self) -> bool:
        """True when a cell of the first band was written with something other than nodata."""
        return self._running.valid > 0

    def write(self, window: Window, stored: NDArray[np.integer]) -> None:
        """Write one block of shape (bands, rows, columns) in the layer's integers."""
        expected = (len(self.layer.bands), window.height, window.width)
        if stored.shape != expected or stored.dtype != self.layer.dtype:
            raise ValueError(f"block of {stored.dtype} {stored.shape} where {self.layer.dtype} {expected} was expected")
        target = RasterioWindow(window.col, window.row, window.width, window.height)
        with writing_raster(self.path):
            self._dataset.write(stored, window=target)
        self._running.add(stored[0], self.layer)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with writing_raster(self.path):
                self._dataset.close()
                if kind is None:
                    self._finish()
        finally:
            self._part.unlink(missing_ok=True)

    def _describe(self) -> None:
        layer, dataset = self.layer, self._dataset
        if self._tags:
            dataset.update_tags(**self._tags)
        dataset.scales = tuple(layer.scale_of(band) for band in range(dataset.count))
        dataset.offsets = (layer.offset,) * dataset.count
        dataset.units = tuple("" if band.unit == "1" else band.unit for band in layer.bands)
        for index, band in enumerate(layer.bands, 1):
            dataset.set_band_description(index, band.name)

    def _finish(self) -> None:
        resampling = "NEAREST" if self.layer.categories else "AVERAGE"
        with rasterio.Env(GDAL_PAM_ENABLED="NO"):
            rasterio.shutil.copy(self._part, self.path, driver="COG", overview_resampling=resampling, **_COG)
        if not _same_cells(self._part, self.path):
            self.path.unlink(missing_ok=True)
            raise StoreError(
                f"cannot write {self.path}: not all of it reached the disk", "free some space and run again"
            )
        self.layer = self.layer.model_copy(update={"statistics": self._running.statistics()})


def _same_cells(part: Path, final: Path) -> bool:
    """Whether a COG holds what it was made from: on a disk that fills, GDAL may close it without a word.

    Its overviews lie before the cells of full resolution: where these are whole, so are they.
    """
    try:
        with rasterio.open(part) as source, rasterio.open(final) as copy:
            return all(source.checksum(band) == copy.checksum(band) for band in source.indexes)
    except RasterioError:
        return False


@contextmanager
def writing_raster(path: Path) -> Iterator[None]:
    """Turn what GDAL says while writing ``path`` into StoreError."""
    try:
        yield
    except (RasterioError, rasterio._err.CPLE_BaseError) as error:
        path.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error}", "check that the folder is writable and the disk not full"
        ) from error
