"""Reading a product's layer back as the integers of its file."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from cup4soil.errors import InvalidRaster
from cup4soil.grids import Window
from cup4soil.products import Layer
from cup4soil.rasters.reading import open_raster


class LayerReader:
    """Reads blocks of one layer in ``folder``; a context manager, the counterpart of ``LayerWriter``.

    Raises:
        NotFound: on entering, when there is no such file.
        InvalidRaster: when it cannot be read, or is not what the layer says.
    """

    def __init__(self, folder: Path, layer: Layer) -> None:
        self.layer = layer
        self._path = folder / layer.file
        self._opened = open_raster(self._path)

    def __enter__(self) -> Self:
        self._dataset = self._opened.__enter__()
        if self._dataset.count != len(self.layer.bands) or set(self._dataset.dtypes) != {self.layer.dtype}:
            found = f"{self._dataset.count} bands of {self._dataset.dtypes[0]}"
            self._opened.__exit__(None, None, None)
            raise InvalidRaster(
                f"{self._path} has {found}, not {len(self.layer.bands)} of {self.layer.dtype}",
                "make the product again",
            )
        return self

    def read(self, window: Window) -> NDArray[np.int16]:
        """The stored integers of a block, (bands, rows, columns)."""
        values: NDArray[np.int16] = self._dataset.read(
            window=RasterioWindow(window.col, window.row, window.width, window.height)
        )
        return values

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)
