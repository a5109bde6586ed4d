"""Covariates: rasters brought to one grid, and what is computed from them, read as windows or at points."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pyproj
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidInput, NotFound
from cup4soil.grids import Window, blocks, cell_offset, crs_code, crs_of
from cup4soil.products import Period, Source
from cup4soil.rasters.covariate_computed import ComputedCovariate, Coordinates, compute_all, parse_computed
from cup4soil.rasters.covariate_files import CovariateFile, find_covariates
from cup4soil.rasters.covariate_grids import common_grid
from cup4soil.rasters.covariate_kinds import looks_like_classes
from cup4soil.rasters.covariate_reading import GRID_TOLERANCE, Method, read_on, read_points, resampling_method
from cup4soil.rasters.covariate_signature import CovariateKind, CovariateSignature, check_signature
from cup4soil.rasters.covariate_sources import covariate_sources
from cup4soil.rasters.reading import raster_info

__all__ = ["GRID_TOLERANCE", "CovariateSignature", "CovariateStack"]

_POINT_BLOCK = 256

type _Values = NDArray[np.float32]


@dataclass(frozen=True)
class CovariateStack:
    """Covariates in a fixed order on one north-up grid: those of the files, then those computed.

    The grid is ``wanted_grid``, else that of the finest rasters of the most common CRS (of equally fine ones the most
    common), cut to where all rasters lie. Rasters on it are read as they are. Others are brought to it once, also from
    another CRS: numbers bilinear, or averaged where cells become larger, classes nearest, or the most frequent one.
    What is missing stays missing. ``hidden`` are read for computed covariates alone.
    """

    files: tuple[CovariateFile, ...]
    geobox: GeoBox
    categorical: frozenset[str]
    ordered: frozenset[str] = frozenset()
    computed: tuple[ComputedCovariate, ...] = ()
    hidden: frozenset[str] = frozenset()
    wanted_grid: GeoBox | None = None

    @classmethod
    def open(
        cls,
        paths: Sequence[Path],
        categorical: Collection[str] = (),
        *,
        ordered: Collection[str] = (),
        computed: Sequence[str] = (),
        grid: Path | GeoBox | None = None,
        remote: bool = False,
    ) -> Self:
        """Open folders of GeoTIFFs, product folders, GeoTIFFs or STAC items.

        Layers that a product, an item or a colour table declares as classes are categorical, and those in
        ``categorical``. Those in ``ordered`` are classes whose numbers have an order: they are kept as numbers.
        ``computed`` declares covariates such as ``indices:ndvi,nbr2@SRC`` and ``oblique:6@EPSG:25832``. ``grid`` is a
        raster to take the grid of. ``remote`` allows assets of STAC items on web servers.

        Raises:
            NotFound: when a path, a covariate named as categorical or ordered, or a band of an index does not exist.
            InvalidInput: when a computed covariate cannot be, or one is both categorical and ordered.
            InvalidRaster: when a raster has no CRS, contradicts the others or does not overlap them.
        """
        files = tuple(find_covariates(paths, remote=remote))
        names = [name for file in files for name in file.names]
        _check_known([*categorical, *ordered], names)
        _check_apart(categorical, ordered)
        wanted = raster_info(grid).geobox if isinstance(grid, Path) else grid
        geobox = common_grid(files, wanted)
        declared = {name for file in files if file.categorical for name in file.names} - set(ordered)
        return cls(
            files,
            geobox,
            frozenset(declared | set(categorical)),
            frozenset(ordered),
            parse_computed(computed, names, crs_of(geobox)),
            wanted_grid=wanted,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the covariates in the order of :meth:`read`."""
        return (*self._visible, *(each.name for each in self.computed))

    @property
    def crs(self) -> CRS:
        """CRS of the grid."""
        return crs_of(self.geobox)

    @property
    def period(self) -> Period | None:
        """Time the covariates speak of, as far as they say; None when none does."""
        periods = [file.origin.period for file in self.files if file.origin.period is not None]
        if not periods:
            return None
        return Period(start=min(p.start for p in periods), end=max(p.end for p in periods))

    @property
    def simulated(self) -> bool:
        """True when a raster comes from a simulation."""
        return any(file.origin.simulated for file in self.files)

    @property
    def signature(self) -> tuple[CovariateSignature, ...]:
        """What a model has to remember of the covariates, in the order of :attr:`names`."""
        crs = crs_code(self.crs)
        units = {
            name: unit
            for file in self.files
            for name, unit in zip(file.names, file.units or (None,) * len(file.names), strict=True)
        }
        of_files = [
            CovariateSignature(name=name, unit=units[name], kind=self._kind(name), crs=crs) for name in self._visible
        ]
        of_computed = [
            CovariateSignature(name=each.name, unit=each.unit, crs=crs, formula=each.formula, computed=each.spec)
            for each in self.computed
        ]
        return (*of_files, *of_computed)

    @cached_property
    def resampling(self) -> Mapping[str, Method]:
        """How each covariate of the files is brought to the grid; ``none`` where it lies on it."""
        return self._methods(self.geobox)

    def check_against(self, signature: Sequence[CovariateSignature]) -> tuple[str, ...]:
        """Hold the covariates against those of a model, by name, unit, kind, CRS and formula.

        Returns:
            What could not be checked, as a unit that only one side states.

        Raises:
            NotFound: when some are missing.
            InvalidRaster: when some are not what was wanted; the message lists each.
        """
        return check_signature(self.signature, signature)

    def matching(self, signature: Sequence[CovariateSignature]) -> Self:
        """The covariates of a model among these, with the kinds that they have there.

        Raises:
            NotFound, InvalidRaster: as :meth:`check_against`.
        """
        self.check_against(signature)
        chosen = self.select([each.name for each in signature])
        of_kind = {kind: {each.name for each in signature if each.kind == kind} for kind in ("classes", "ordered")}
        return replace(
            chosen,
            categorical=chosen.categorical | of_kind["classes"],
            ordered=chosen.ordered | of_kind["ordered"],
        )

    def suggestions(self) -> tuple[str, ...]:
        """Rasters that nobody declared as classes and whose few whole numbers look like them, one line each."""
        declared = self.categorical | self.ordered
        looks = [looks_like_classes(file) for file in self.files]
        return tuple(
            f"{name} has {count} different whole numbers and is taken as a quantity;"
            " name it categorical if they are classes, or ordered if they are ranks."
            for found in looks
            for name, count in found.items()
            if name in self._visible and name not in declared
        )

    def select(self, names: Sequence[str]) -> Self:
        """The stack of these covariates only; their order is that of the files, see :attr:`names`.

        Raises:
            NotFound: when one is missing; the message lists those there are.
        """
        _check_known(names, self.names)
        computed = tuple(each for each in self.computed if each.name in names)
        needed = {name for each in computed for name in each.inputs}
        visible = {name for name in names if name in self._visible}
        files = tuple(_narrow(f, visible | needed) for f in self.files if (visible | needed) & set(f.names))
        return replace(
            self,
            files=files,
            geobox=common_grid(files, self.wanted_grid) if files else self.geobox,
            categorical=self.categorical & visible,
            ordered=self.ordered & visible,
            computed=computed,
            hidden=frozenset(needed - visible),
        )

    def resolved(self) -> Self:
        """The same with whole paths, for processes that work elsewhere."""
        return replace(self, files=tuple(replace(file, path=file.path.resolve()) for file in self.files))

    def read(self, target: Window | GeoBox) -> NDArray[np.float32]:
        """Covariates on a window of :attr:`geobox`, or on any grid: (f, rows, columns), NaN where missing."""
        geobox = target.of(self.geobox) if isinstance(target, Window) else target
        # Whole grid and windows alike: what a cell is depends on the grid, not on the window.
        ours = cell_offset(self.geobox, geobox, tolerance=GRID_TOLERANCE) is not None
        methods = self.resampling if ours else self._methods(geobox)
        values = {name: band for file in self.files for name, band in _read_file(file, geobox, methods).items()}
        return self._stacked(values, Coordinates.of_cells(geobox, crs_of(geobox)), (geobox.shape[0], geobox.shape[1]))

    def at_points(self, x: NDArray[np.float64], y: NDArray[np.float64], crs: CRS) -> NDArray[np.float32]:
        """Covariates of the cells that hold points given in ``crs``: (n, f), NaN where missing or outside.

        These are the very values that :meth:`read` gives for those cells.
        """
        transformer = pyproj.Transformer.from_crs(crs_code(crs), crs_code(self.crs), always_xy=True)
        east, north = transformer.transform(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
        affine = self.geobox.affine
        cols, rows = (np.asarray(east) - affine.c) / affine.a, (np.asarray(north) - affine.f) / affine.e
        finite = np.isfinite(cols) & np.isfinite(rows)
        rows, cols = np.floor(np.where(finite, rows, -1.0)), np.floor(np.where(finite, cols, -1.0))
        height, width = self.geobox.shape
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        values = np.full((inside.size, len(self.names)), np.nan, dtype=np.float32)
        values[inside] = self._at_cells(rows[inside].astype(np.int64), cols[inside].astype(np.int64)).T
        return values

    def sources(self) -> tuple[Source, ...]:
        """What the covariates come from: one source per product, item or plain file, with its SHA-256.

        Raises:
            InvalidRaster: when a file is not the one that its STAC item describes.
            InvalidInput: when a file cannot be read.
        """
        return covariate_sources(self.files, self.resampling)

    @property
    def _visible(self) -> list[str]:
        return [name for file in self.files for name in file.names if name not in self.hidden]

    def _kind(self, name: str) -> CovariateKind:
        if name in self.ordered:
            return "ordered"
        return "classes" if name in self.categorical else "continuous"

    def _methods(self, geobox: GeoBox) -> dict[str, Method]:
        classes = self.categorical | self.ordered
        return {
            name: resampling_method(file, geobox, classes=name in classes) for file in self.files for name in file.names
        }

    def _stacked(self, values: Mapping[str, _Values], coordinates: Coordinates, shape: tuple[int, ...]) -> _Values:
        bands = [values[name] for name in self._visible] + compute_all(self.computed, values, coordinates)
        return np.stack(bands) if bands else np.empty((0, *shape), dtype=np.float32)

    def _at_cells(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> _Values:
        affine = self.geobox.affine
        x, y = affine.c + (cols + 0.5) * affine.a, affine.f + (rows + 0.5) * affine.e
        places = np.asarray(x, np.float64), np.asarray(y, np.float64)
        values: dict[str, _Values] = {}
        for file in self.files:
            if all(self.resampling[name] == "none" for name in file.names):
                values |= zip(file.names, read_points(file, *places), strict=True)
            else:
                values |= self._in_blocks(file, rows, cols)
        return self._stacked(values, Coordinates(*places, self.crs), rows.shape)

    def _in_blocks(self, file: CovariateFile, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> dict[str, _Values]:
        """Values of a resampled file at cells, from the blocks of the grid that hold them."""
        values = {name: np.full(rows.size, np.nan, dtype=np.float32) for name in file.names}
        block_rows, block_cols = rows // _POINT_BLOCK, cols // _POINT_BLOCK
        for window in blocks((self.geobox.shape[0], self.geobox.shape[1]), _POINT_BLOCK):
            here = (block_rows == window.row // _POINT_BLOCK) & (block_cols == window.col // _POINT_BLOCK)
            if here.any():
                for name, band in _read_file(file, window.of(self.geobox), self.resampling).items():
                    values[name][here] = band[rows[here] - window.row, cols[here] - window.col]
        return values


def _read_file(file: CovariateFile, geobox: GeoBox, methods: Mapping[str, Method]) -> dict[str, _Values]:
    """Bands of a file on ``geobox`` by name; those of one method are read together."""
    values: dict[str, _Values] = {}
    for method in dict.fromkeys(methods[name] for name in file.names):
        part = _narrow(file, {name for name in file.names if methods[name] == method})
        values |= zip(part.names, read_on(part, geobox, method), strict=True)
    return values


def _check_known(wanted: Collection[str], names: Collection[str]) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise NotFound(f"no covariate {missing[0]!r}", f"there are {', '.join(names)}")


def _check_apart(categorical: Collection[str], ordered: Collection[str]) -> None:
    both = [name for name in categorical if name in ordered]
    if both:
        raise InvalidInput(f"{both[0]!r} is named categorical and ordered", "name it as one of them")


def _narrow(file: CovariateFile, wanted: Collection[str]) -> CovariateFile:
    units = file.units or (None,) * len(file.names)
    kept = [each for each in zip(file.names, file.bands, units, strict=True) if each[0] in wanted]
    names, bands, kept_units = zip(*kept, strict=True)
    return replace(file, names=names, bands=bands, units=kept_units)
