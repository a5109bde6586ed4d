"""Parts of stored rasters on any grid, as the integers they hold."""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from cup4soil.errors import StoreError
from cup4soil.grids import crs_code, crs_of

MAX_IDLE_HANDLES = 64
_ALIGNED = 1e-4  # cells: grids of one lattice differ by rounding only
# From here on cells are averaged, below it they are interpolated.
_COARSER = 1.5
# Tiles of one window are decoded at the same time; more threads than this gain little, as a window has few.
_DECODERS = 2


# Path, file, size, and when its content and when anything else of it, such as its permissions, was changed.
type _Identity = tuple[Path, int, int, int, int]


class Handles:
    """Open rasters kept for the next reader. Only one thread at a time holds a handle.

    A file that was replaced, changed or closed to this process is opened anew: see :func:`_identity`.
    """

    def __init__(self, max_idle: int = MAX_IDLE_HANDLES) -> None:
        self._max_idle = max_idle
        self._idle: list[tuple[_Identity, DatasetReader]] = []
        self._lock = threading.Lock()
        # GDAL complains about files that are still open when the interpreter ends.
        weakref.finalize(self, _close, self._idle)

    @contextmanager
    def take(self, path: Path, grid: GeoBox) -> Iterator[DatasetReader]:
        """An open handle of ``path``, which is on ``grid``.

        Raises:
            StoreError: when the file is missing or cannot be read, or is on another grid.
        """
        try:
            key = _identity(path)
            dataset = self._reuse(key) or _open(path, grid)
        except (OSError, RasterioError) as error:
            raise StoreError(f"{path.name} cannot be opened: {error}", "restore the store from a copy") from error
        try:
            yield dataset
        except (RasterioError, rasterio._err.CPLE_BaseError) as error:
            dataset.close()
            raise StoreError(f"{path.name} cannot be read: {error}", "restore the store from a copy") from error
        except BaseException:
            dataset.close()
            raise
        self._keep(key, dataset)

    def close(self) -> None:
        """Close all handles that nobody holds."""
        with self._lock:
            _close(self._idle)

    def _reuse(self, key: _Identity) -> DatasetReader | None:
        with self._lock:
            for position in range(len(self._idle) - 1, -1, -1):
                if self._idle[position][0] == key:
                    return self._idle.pop(position)[1]
        return None

    def _keep(self, key: _Identity, dataset: DatasetReader) -> None:
        with self._lock:
            self._idle.append((key, dataset))
            surplus = self._idle.pop(0)[1] if len(self._idle) > self._max_idle else None
        if surplus is not None:
            surplus.close()


@dataclass(frozen=True, slots=True)
class Piece:
    """Bands (counted from 1) of a file on the grid ``source``. ``nodata`` marks its missing cells."""

    path: Path
    source: GeoBox
    bands: tuple[int, ...]
    nodata: int
    categorical: bool = False


def read_stored(handles: Handles, piece: Piece, target: GeoBox) -> NDArray[np.integer]:
    """Stored integers of ``piece`` on ``target``, shape (bands, rows, columns), nodata outside the file.

    On the file's own lattice they are the file's cells. Coarser cells are means of what is valid, read
    through overviews (nearest for categories); in another CRS values are interpolated bilinearly.

    Raises:
        StoreError: when the file cannot be read.
    """
    shape = (target.shape[0], target.shape[1])
    with handles.take(piece.path, piece.source) as dataset:
        if target.crs == piece.source.crs:
            row, col, height, width = _place(piece.source, target)
            if _on_lattice(row, col, height, width, shape):
                return _cut(dataset, piece, (round(row), round(col)), shape)
            if row >= 0 and col >= 0 and row + height <= dataset.height and col + width <= dataset.width:
                return _decimated(dataset, piece, RasterioWindow(col, row, width, height), shape)
            return _within(_warped(dataset, piece, target), piece, target)
        return _warped(dataset, piece, target)


def _close(idle: list[tuple[_Identity, DatasetReader]]) -> None:
    while idle:
        idle.pop()[1].close()


def _identity(path: Path) -> _Identity:
    facts = path.stat()
    return path, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _open(path: Path, grid: GeoBox) -> DatasetReader:
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        dataset = rasterio.open(path, num_threads=_DECODERS)
    # A file that was damaged or replaced may be a raster all the same.
    if dataset.shape != tuple(grid.shape) or not dataset.transform.almost_equals(grid.affine):
        dataset.close()
        raise StoreError(f"{path.name} is not on the grid of its record", "restore the store from a copy")
    return dataset


def _place(source: GeoBox, target: GeoBox) -> tuple[float, float, float, float]:
    """Row, column, height and width of ``target`` in cells of ``source``; both have the same CRS."""
    inverse = ~source.affine
    left, top = inverse @ (target.affine.c, target.affine.f)
    rows, cols = target.shape
    height = rows * target.affine.e / source.affine.e
    width = cols * target.affine.a / source.affine.a
    return top, left, height, width


def _on_lattice(row: float, col: float, height: float, width: float, shape: tuple[int, int]) -> bool:
    offsets = abs(row - round(row)) < _ALIGNED and abs(col - round(col)) < _ALIGNED
    return offsets and abs(height - shape[0]) < _ALIGNED and abs(width - shape[1]) < _ALIGNED


def _cut(dataset: DatasetReader, piece: Piece, corner: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.integer]:
    (row, col), (rows, cols) = corner, shape
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + rows, dataset.height), min(col + cols, dataset.width)
    if (top, left, bottom, right) == (row, col, row + rows, col + cols):
        window = RasterioWindow(left, top, cols, rows)
        cells: NDArray[np.integer] = dataset.read(piece.bands, window=window)
        return cells
    values = np.full((len(piece.bands), rows, cols), piece.nodata, dtype=dataset.dtypes[0])
    if top < bottom and left < right:
        part = dataset.read(piece.bands, window=RasterioWindow(left, top, right - left, bottom - top))
        values[:, top - row : bottom - row, left - col : right - col] = part
    return values


def _decimated(
    dataset: DatasetReader, piece: Piece, window: RasterioWindow, shape: tuple[int, int]
) -> NDArray[np.integer]:
    resampling = Resampling.nearest if piece.categorical else Resampling.average
    values: NDArray[np.integer] = dataset.read(
        piece.bands, window=window, out_shape=(len(piece.bands), *shape), resampling=resampling
    )
    return values


def _warped(dataset: DatasetReader, piece: Piece, target: GeoBox) -> NDArray[np.integer]:
    with WarpedVRT(
        dataset,
        crs=crs_code(crs_of(target)),
        transform=target.affine,
        height=target.shape[0],
        width=target.shape[1],
        resampling=_resampling(piece, target),
        src_nodata=piece.nodata,
        nodata=piece.nodata,
        add_alpha=False,
    ) as warped:
        values: NDArray[np.integer] = warped.read(piece.bands)
    return values


def _within(values: NDArray[np.integer], piece: Piece, target: GeoBox) -> NDArray[np.integer]:
    """``values`` without the cells that only touch the file: the warper lets averages reach a hair past its edge."""
    row, col, height, width = _place(piece.source, target)
    for axis, start, size, cells in ((1, row, height, piece.source.shape[0]), (2, col, width, piece.source.shape[1])):
        count = values.shape[axis]
        edges = start + np.arange(count + 1) * (size / count)
        beyond = (edges[1:] < _ALIGNED) | (edges[:-1] > cells - _ALIGNED)
        if beyond.any():
            np.moveaxis(values, axis, 0)[beyond] = piece.nodata
    return values


def _resampling(piece: Piece, target: GeoBox) -> Resampling:
    if piece.categorical:
        return Resampling.nearest
    same = target.crs == piece.source.crs
    coarse = same and abs(target.affine.a) > _COARSER * abs(piece.source.affine.a)
    return Resampling.average if coarse else Resampling.bilinear
