"""Covariates: rasters of one CRS, brought to one grid, read as windows or at points."""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyproj
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from rasterio.windows import Window as RasterioWindow

from cup4soil.errors import InvalidRaster, NotFound
from cup4soil.grids import Window, blocks, cell_offset, crs_code
from cup4soil.products import Period, Source, file_checksum
from cup4soil.rasters.covariate_files import CovariateFile, Origin, find_covariates
from cup4soil.rasters.reading import open_raster, read_at_points, read_on_grid

# Origins that differ by less than this share of a cell are one grid: rounding, not a shift.
GRID_TOLERANCE = 0.01
_POINT_BLOCK = 256


@dataclass(frozen=True)
class CovariateStack:
    """Covariates in a fixed order on one north-up grid.

    The grid is that of the finest rasters (of equally fine ones the most common), cut to where all rasters lie.
    Rasters on it are read as they are; others are resampled to it, bilinear, or nearest where categorical.
    """

    files: tuple[CovariateFile, ...]
    geobox: GeoBox
    categorical: frozenset[str]

    @classmethod
    def open(cls, paths: Sequence[Path], categorical: Collection[str] = ()) -> Self:
        """Open folders of GeoTIFFs, product folders, GeoTIFFs or STAC items with local assets.

        Layers that their product declares as categories are categorical, and those in ``categorical``.

        Raises:
            NotFound: when a path, or a covariate named as categorical, does not exist.
            InvalidRaster: when a raster has no CRS, contradicts the others or does not overlap them.
        """
        files = tuple(find_covariates(paths))
        _check_crs(files)
        declared = {name for file in files if file.categorical for name in file.names}
        names = [name for file in files for name in file.names]
        _check_known(categorical, names)
        return cls(files, _common_grid(files), frozenset(declared | set(categorical)))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the covariates in the order of :meth:`read`."""
        return tuple(name for file in self.files for name in file.names)

    @property
    def crs(self) -> CRS:
        """CRS that all rasters share."""
        return _crs(self.geobox)

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

    def select(self, names: Sequence[str]) -> Self:
        """The stack of these covariates only; their order is that of the files, see :attr:`names`.

        Raises:
            NotFound: when one is missing; the message lists those there are.
        """
        _check_known(names, self.names)
        wanted = set(names)
        files = tuple(_narrow(file, wanted) for file in self.files if wanted & set(file.names))
        return replace(self, files=files, geobox=_common_grid(files), categorical=self.categorical & wanted)

    def read(self, target: Window | GeoBox) -> NDArray[np.float32]:
        """Covariates on a window of :attr:`geobox`, or on any grid: (f, rows, columns), NaN where missing."""
        geobox = target.of(self.geobox) if isinstance(target, Window) else target
        return np.concatenate([self._read_file(file, geobox) for file in self.files])

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
        cells = rows[inside].astype(np.int64), cols[inside].astype(np.int64)
        values[inside] = np.concatenate([self._at_cells(file, *cells) for file in self.files]).T
        return values

    def sources(self) -> tuple[Source, ...]:
        """What the covariates come from: one source per product, item or plain file, with its SHA-256.

        Raises:
            InvalidRaster: when a file is not the one that its STAC item describes.
            InvalidInput: when a file cannot be read.
        """
        keys = dict.fromkeys(file.source_key for file in self.files)
        return tuple(_source([file for file in self.files if file.source_key == key]) for key in keys)

    def _read_file(self, file: CovariateFile, geobox: GeoBox) -> NDArray[np.float32]:
        offset = cell_offset(file.info.geobox, geobox, tolerance=GRID_TOLERANCE)
        if offset is not None:
            return _finite(_read_aligned(file, *offset, (geobox.shape[0], geobox.shape[1])))
        categorical = bool(self.categorical & set(file.names))
        return _finite(read_on_grid(file.path, geobox, categorical=categorical)[_index(file)])

    def _at_cells(self, file: CovariateFile, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32]:
        if cell_offset(file.info.geobox, self.geobox, tolerance=GRID_TOLERANCE) is not None:
            affine = self.geobox.affine
            east, north = affine.c + (cols + 0.5) * affine.a, affine.f + (rows + 0.5) * affine.e
            return _finite(
                read_at_points(file.path, np.asarray(east, np.float64), np.asarray(north, np.float64))[_index(file)]
            )
        values = np.full((len(file.bands), rows.size), np.nan, dtype=np.float32)
        for window in blocks((self.geobox.shape[0], self.geobox.shape[1]), _POINT_BLOCK):
            here = (rows // _POINT_BLOCK == window.row // _POINT_BLOCK) & (
                cols // _POINT_BLOCK == window.col // _POINT_BLOCK
            )
            if here.any():
                block = self._read_file(file, window.of(self.geobox))
                values[:, here] = block[:, rows[here] - window.row, cols[here] - window.col]
        return values


def _read_aligned(file: CovariateFile, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Cells of ``file`` from (row, col) on, as stored and scaled; NaN outside the file."""
    height, width = file.info.geobox.shape
    values = np.full((len(file.bands), *shape), np.nan, dtype=np.float32)
    top, left = max(0, row), max(0, col)
    bottom, right = min(height, row + shape[0]), min(width, col + shape[1])
    if top >= bottom or left >= right:
        return values
    with open_raster(file.path) as dataset:
        window = RasterioWindow(left, top, right - left, bottom - top)
        stored = dataset.read(list(file.bands), window=window, out_dtype="float32")
    for index, band in enumerate(file.bands):
        nodata = file.info.nodata[band - 1]
        if nodata is not None and not math.isnan(nodata):
            stored[index][stored[index] == np.float32(nodata)] = np.nan
        stored[index] = stored[index] * np.float32(file.info.scales[band - 1]) + np.float32(file.info.offsets[band - 1])
    values[:, top - row : bottom - row, left - col : right - col] = stored
    return values


def _check_crs(files: Sequence[CovariateFile]) -> None:
    codes = [crs_code(_crs(file.info.geobox)) for file in files]
    common = Counter(codes).most_common(1)[0][0]
    for file, code in zip(files, codes, strict=True):
        if code != common:
            raise InvalidRaster(
                f"{file.path} is in {_short(code)} where the other covariates are in {_short(common)}",
                "warp it to their CRS, or assign the right one if it is mislabelled",
            )


def _common_grid(files: Sequence[CovariateFile]) -> GeoBox:
    """The finest, then most common lattice, cut to the cells whose centres lie in all rasters."""
    boxes = [file.info.geobox for file in files]
    north_up = [box for box in boxes if box.affine.e < 0]
    if not north_up:
        raise InvalidRaster(f"{files[0].path} has its south on top", "warp it to a north-up grid")
    finest = min(_cell_area(box) for box in north_up)
    candidates = [box for box in north_up if _cell_area(box) <= finest * (1 + 1e-6)]
    alike = [
        sum(cell_offset(box, other, tolerance=GRID_TOLERANCE) is not None for other in candidates) for box in candidates
    ]
    reference = candidates[int(np.argmax(alike))]
    top, left, bottom, right = 0, 0, reference.shape[0], reference.shape[1]
    for file in files:
        first_row, first_col, last_row, last_col = _covered_cells(reference, file.info.geobox)
        top, left, bottom, right = (
            max(top, first_row),
            max(left, first_col),
            min(bottom, last_row),
            min(right, last_col),
        )
        if top >= bottom or left >= right:
            raise InvalidRaster(f"{file.path} does not overlap the other covariates", "give rasters of one area")
    return reference[top:bottom, left:right]


def _covered_cells(reference: GeoBox, other: GeoBox) -> tuple[int, int, int, int]:
    """Rows and columns [first, last) of ``reference`` whose centres lie in ``other``."""
    left, bottom, right, top = other.boundingbox.bbox
    own = reference.affine
    rows, cols = ((top - own.f) / own.e, (bottom - own.f) / own.e), ((left - own.c) / own.a, (right - own.c) / own.a)
    return round(rows[0]), round(cols[0]), round(rows[1]), round(cols[1])


def _cell_area(box: GeoBox) -> float:
    return abs(box.affine.a * box.affine.e)


def _check_known(wanted: Collection[str], names: Collection[str]) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise NotFound(f"no covariate {missing[0]!r}", f"there are {', '.join(names)}")


def _narrow(file: CovariateFile, wanted: set[str]) -> CovariateFile:
    kept = [(name, band) for name, band in zip(file.names, file.bands, strict=True) if name in wanted]
    return replace(file, names=tuple(name for name, _ in kept), bands=tuple(band for _, band in kept))


def _source(files: Sequence[CovariateFile]) -> Source:
    origin: Origin = files[0].origin
    shared = {name for name, count in Counter(file.path.name for file in files).items() if count > 1}
    checksums = {
        f"{file.path.name} ({file.names[0]})" if file.path.name in shared else file.path.name: _checksum(file)
        for file in files
    }
    names = [name for file in files for name in file.names]
    return Source(
        role=origin.role,
        id=origin.id,
        title=origin.title,
        version=origin.version,
        checksum=_joint(checksums),
        licence=origin.licence,
        attribution=origin.attribution,
        properties={**origin.properties, "covariates": names, "files": checksums},
    )


def _checksum(file: CovariateFile) -> str:
    """SHA-256 of a file, which a STAC item's claim does not replace."""
    if file.stated_checksum is not None:
        return file.stated_checksum
    found = file_checksum(file.path)
    if file.claimed_checksum not in (None, found):
        raise InvalidRaster(
            f"{file.path} is not the file that its STAC item describes: its content has another checksum",
            "fetch the file again, or mend file:checksum in the item",
        )
    return found


def _joint(checksums: dict[str, str]) -> str:
    """The checksum of one file, or one over the names and checksums of several."""
    if len(checksums) == 1:
        return next(iter(checksums.values()))
    lines = "".join(f"{name} {checksum}\n" for name, checksum in sorted(checksums.items()))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _index(file: CovariateFile) -> list[int]:
    return [band - 1 for band in file.bands]


def _finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    # An infinite covariate (a logarithm of zero, say) is no value a model can be asked about.
    values[~np.isfinite(values)] = np.nan
    return values


def _crs(box: GeoBox) -> CRS:
    if box.crs is None:
        raise ValueError("a covariate grid needs a CRS")
    return box.crs


def _short(code: str) -> str:
    return code if len(code) < 40 else f"another system ({code[:36]}...)"
