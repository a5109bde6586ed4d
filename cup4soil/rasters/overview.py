"""Small views of large rasters, read through their overviews."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from cup4soil.rasters.reading import open_raster


@dataclass(frozen=True, slots=True)
class Overview:
    """Bands of a raster made small: ``values`` has shape (bands, rows, columns), scaled, NaN where missing."""

    names: tuple[str, ...]
    values: NDArray[np.float32]

    def band(self, name: str) -> NDArray[np.float32]:
        """Values of the band of this name, shape (rows, columns).

        Raises:
            KeyError: when there is none.
        """
        try:
            values: NDArray[np.float32] = self.values[self.names.index(name)]
        except ValueError:
            raise KeyError(name) from None
        return values


@dataclass(frozen=True, slots=True)
class Pyramid:
    """How a raster file is laid out: shape (rows, columns), whether in tiles, and the factors of its overviews."""

    shape: tuple[int, int]
    tiled: bool
    factors: tuple[int, ...]


def read_overview(source: Path | str, max_size: int, *, categorical: bool = False) -> Overview:
    """All bands of a raster, decimated so that neither side is longer than ``max_size`` cells.

    Cells are averaged over what is valid, or picked (nearest) when ``categorical``. A raster that
    is small enough is read as it is. Bands without a description are named by their number.

    Raises:
        NotFound: when there is no such file.
        InvalidRaster: when it cannot be read.
    """
    if max_size < 1:
        raise ValueError(f"an overview of {max_size} cells is empty")
    resampling = Resampling.nearest if categorical else Resampling.average
    with open_raster(source) as dataset:
        factor = max(1.0, max(dataset.shape) / max_size)
        rows, cols = (max(1, round(size / factor)) for size in dataset.shape)
        stored = dataset.read(
            out_shape=(dataset.count, rows, cols), resampling=resampling, masked=True, out_dtype="float32"
        )
        values = np.ma.filled(stored, np.float32(np.nan))
        scales = np.asarray(dataset.scales, dtype=np.float32)[:, None, None]
        offsets = np.asarray(dataset.offsets, dtype=np.float32)[:, None, None]
        names = tuple(name or str(index) for index, name in enumerate(dataset.descriptions, 1))
        return Overview(names, values * scales + offsets)


def pyramid(source: Path | str) -> Pyramid:
    """Layout of a raster file, without reading its cells.

    Raises:
        NotFound: when there is no such file.
        InvalidRaster: when it cannot be opened.
    """
    with open_raster(source) as dataset:
        rows, cols = dataset.shape
        # Blocks of strips are as wide as the raster.
        tiled = dataset.block_shapes[0][1] < cols
        return Pyramid((rows, cols), tiled, tuple(dataset.overviews(1)))
