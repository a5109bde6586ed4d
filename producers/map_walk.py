"""One pass over a map and the layers it is held against, block by block, in bounded memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.grids import Window, blocks
from cup4soil.methods.border_steps import EdgeTally, StepProfile
from cup4soil.progress import Progress
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.rasters.reading import raster_info, read_on_grid
from cup4soil.settings import Settings

# Cells of the lattice on which patterns are compared; more tell nothing new.
LATTICE_CELLS = 250_000
_LARGEST_BLOCK, _LEAST_BLOCK = 1024, 64
_BYTES_PER_CELL = 24


@dataclass
class Walk:
    """What was seen: values of every ``stride``-th cell, and the steps between all neighbours.

    ``values`` (rows, columns), ``relief`` and ``classes`` (layers, rows, columns) on the lattice; ``edges`` by the
    name of a layer of classes. ``cells`` counts the map's cells with a value.
    """

    file: Path
    geobox: GeoBox
    stride: int
    values: NDArray[np.float64]
    relief: NDArray[np.float32]
    classes: NDArray[np.float32]
    rows: StepProfile
    columns: StepProfile
    edges: dict[str, EdgeTally] = field(default_factory=dict)
    cells: int = 0

    @classmethod
    def over(
        cls,
        file: Path,
        relief: CovariateStack | None,
        classes: CovariateStack | None,
        settings: Settings,
        progress: Progress,
    ) -> Self:
        """Walk over the map in ``file``; relief and classes are read on its grid."""
        geobox = raster_info(file).geobox
        height, width = geobox.shape
        stride = max(1, math.ceil(math.sqrt(height * width / LATTICE_CELLS)))
        shape = (math.ceil(height / stride), math.ceil(width / stride))
        names = () if classes is None else classes.names
        walk = cls(
            file=file,
            geobox=geobox,
            stride=stride,
            values=np.full(shape, np.nan),
            relief=np.full((0 if relief is None else len(relief.names), *shape), np.nan, np.float32),
            classes=np.full((len(names), *shape), np.nan, np.float32),
            rows=StepProfile(height),
            columns=StepProfile(width),
            edges={name: EdgeTally() for name in names},
        )
        windows = list(walk._windows(settings))
        with progress.step("Reading the map", len(windows)) as advance:
            for window in windows:
                walk._see(window, relief, classes)
                advance()
        return walk

    @property
    def spacing(self) -> float:
        """Distance of the lattice's cells, in the unit of the CRS."""
        return self.stride * abs(float(self.geobox.affine.a))

    def centres(
        self, rows: NDArray[np.integer], cols: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x and y of cells of the lattice."""
        affine = self.geobox.affine
        x = affine.c + (cols * self.stride + 0.5) * affine.a
        y = affine.f + (rows * self.stride + 0.5) * affine.e
        return np.asarray(x, np.float64), np.asarray(y, np.float64)

    def _windows(self, settings: Settings) -> Iterator[Window]:
        """Blocks that begin on the lattice and keep within the memory of a block."""
        layers = 2 + len(self.relief) + len(self.classes)
        edge = int(math.sqrt(settings.block_memory_mib * 2**20 / (_BYTES_PER_CELL * layers)))
        edge = max(_LEAST_BLOCK, min(_LARGEST_BLOCK, edge))
        edge = max(self.stride, edge // self.stride * self.stride)
        return blocks((self.geobox.shape[0], self.geobox.shape[1]), edge)

    def _see(self, window: Window, relief: CovariateStack | None, classes: CovariateStack | None) -> None:
        # One cell more below and to the right, for the steps to the next block.
        height, width = self.geobox.shape
        down, right = min(1, height - window.row - window.height), min(1, width - window.col - window.width)
        wide = Window(window.row, window.col, window.height + down, window.width + right)
        values = read_on_grid(self.file, wide.of(self.geobox), categorical=True)[0]
        self.rows.add(values[:, : window.width], window.row, axis=0)
        self.columns.add(values[: window.height], window.col, axis=1)
        own = values[: window.height, : window.width]
        self.cells += int(np.isfinite(own).sum())
        self._keep(self.values[None], own[None], window)
        if relief is not None:
            self._keep(self.relief, relief.read(window.of(self.geobox)), window)
        if classes is not None:
            found = classes.read(window.of(self.geobox))
            self._keep(self.classes, found, window)
            for name, layer in zip(classes.names, found, strict=True):
                self.edges[name].add(own, codes_of(layer))

    def _keep(self, lattice: NDArray[np.floating], block: NDArray[np.floating], window: Window) -> None:
        part = block[:, :: self.stride, :: self.stride]
        top, left = window.row // self.stride, window.col // self.stride
        lattice[:, top : top + part.shape[1], left : left + part.shape[2]] = part


def codes_of(layer: NDArray[np.floating]) -> NDArray[np.int64]:
    """Classes as whole numbers, -1 where missing or negative."""
    known = np.isfinite(layer) & (layer >= 0)
    return np.where(known, np.round(np.where(known, layer, 0.0)), -1).astype(np.int64)
