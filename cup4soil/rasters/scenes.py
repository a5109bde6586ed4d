"""Reading Sentinel-2 scenes: reflectance at 20 m, masked on the scene's own grid.

Scenes on the target's grid are read as they lie. Others are masked and averaged to 20 m on their own grid first and
then warped, once: bilinear over valid cells, and valid where the nearest cell is. Each band is read by itself, when
its turn comes, so that a block of many dates never has to hold all bands.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, local
from typing import Any, Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from cup4soil.errors import InvalidRaster
from cup4soil.grids import cell_offset, crs_of
from cup4soil.methods.bare_soil import BANDS, DILATION_MARGIN, invalid_scl
from cup4soil.methods.scene_kernels import average_to_reflectance, halve_to_reflectance, to_reflectance, warp_bilinear
from cup4soil.rasters.handles import POOL
from cup4soil.rasters.reading import GDAL_OPTIONS, raster_crs

NATIVE_RESOLUTION_M = 20.0
_BLUE = "B02"
_arrays = local()
# Files stay open, and each would keep what was read of it for good.
_OPTIONS = {**GDAL_OPTIONS, "VSI_CACHE": "FALSE"}
# Files of a scene whose cells do not coincide within this share of a cell are no files of one scene.
_MOST_SHIFT = 0.05


class UnreadableScene(InvalidRaster):
    """A scene whose files cannot be read; ``scene`` is its id."""

    def __init__(self, scene: str, problem: str, hint: str = "fetch it again or leave it out") -> None:
        super().__init__(f"scene {scene} {problem}", hint)
        self.scene = scene

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str]]:
        return type(self), (self.scene, self.problem.removeprefix(f"scene {self.scene} "), self.hint)


@dataclass(frozen=True, slots=True)
class BandFile:
    """A band's file. DN (reflectance x 10 000) = stored * ``gain`` + ``offset_dn`` where stored != ``nodata``."""

    href: str
    gain: float = 1.0
    offset_dn: float = 0.0
    nodata: float = 0.0


@dataclass(frozen=True, slots=True)
class SceneFiles:
    """The files of one scene: the ten bands by name, and its scene classification."""

    id: str
    bands: Mapping[str, BandFile]
    scl: str


@dataclass(frozen=True, slots=True)
class TileSizes:
    """Edges of the tiles in which a scene's files are compressed, in cells of 20 m: of the 10 m and the 20 m bands."""

    fine: int
    coarse: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a target's cells lie on a scene's grid.

    ``native`` is the part of that grid that is needed; ``rows`` and ``cols`` are the places in it of the target's
    centres, (rows, columns), whole numbers being centres; None when they are the same cells.
    """

    native: GeoBox
    rows: NDArray[np.float64] | None = None
    cols: NDArray[np.float64] | None = None


class Target:
    """The grid that is read for, and where its cells lie on the grids of scenes: found once for each of those grids."""

    def __init__(self, geobox: GeoBox) -> None:
        self.geobox = geobox
        self._placements: dict[GeoBox, Placement | None] = {}
        self._coordinates: dict[CRS, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._lock = Lock()

    def placement(self, own: GeoBox) -> Placement | None:
        """Where the cells lie on a scene's grid, None where the scene does not reach them."""
        with self._lock:
            if own not in self._placements:
                self._placements[own] = self._place(own)
            return self._placements[own]

    def _place(self, own: GeoBox) -> Placement | None:
        if cell_offset(own, self.geobox) is not None:
            return Placement(self.geobox)
        cols, rows = ~own.affine @ self._centres(crs_of(own))
        corner = _cover(own, rows, cols)
        if corner is None:
            return None
        top, left, native = corner
        # Whole cells come off last, and exactly: neighbouring blocks see a place alike.
        return Placement(native, rows - 0.5 - top, cols - 0.5 - left)

    def _centres(self, crs: CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates x and y of the cells' centres in ``crs``, (rows, columns) each."""
        if crs not in self._coordinates:
            rows, cols = (np.arange(n) + 0.5 for n in self.geobox.shape)
            x, y = (np.asarray(values) for values in self.geobox.affine @ np.meshgrid(cols, rows))
            self._coordinates[crs] = _transform(x, y, crs_of(self.geobox), crs)
        return self._coordinates[crs]


@dataclass(frozen=True, slots=True)
class SceneView:
    """One scene as it is seen on a target; ``invalid`` are the packed bits of the native cells that are not used."""

    scene: SceneFiles
    placement: Placement
    shape: tuple[int, int]
    invalid: NDArray[np.uint8]

    @classmethod
    def open(cls, scene: SceneFiles, target: Target) -> Self | None:
        """Read the scene's classification around ``target``; None where the scene shows nothing of it.

        Raises:
            UnreadableScene: when that cannot be done.
        """
        with _reading(scene), POOL.open(scene.scl) as dataset:
            placement = target.placement(_own_grid(dataset, scene))
            if placement is None:
                return None
            invalid = _invalid_cells(dataset, placement.native)
        if invalid.all():
            return None
        return cls(scene, placement, (target.geobox.shape[0], target.geobox.shape[1]), np.packbits(invalid))

    def read(self, band: str, *, masked: bool = True, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """A band in DN on the target, (rows, columns), NaN where it is missing or invalid; in ``out`` if that is given.

        Without ``masked`` invalid cells may hold anything, which is quicker where nothing has to be warped.

        Raises:
            UnreadableScene: when the file cannot be read.
        """
        native, rows, cols = self.placement.native, self.placement.rows, self.placement.cols
        if out is None:
            out = np.empty(self.shape, dtype=np.float32)
        with _reading(self.scene):
            values = _read_band(self.scene.bands[band], native, out if rows is None else None)
        if rows is None and not masked:
            return values
        values[np.unpackbits(self.invalid, count=values.size).reshape(values.shape).view(np.bool_)] = np.nan
        if rows is not None:
            warp_bilinear(values, rows, cols, out)
        return out


@dataclass(frozen=True, slots=True)
class OverpassView:
    """The scenes of one overpass on a target: where they overlap, the first that is valid counts, as the ground was
    seen once. ``given`` are the packed bits of the cells that each scene gives, empty for a single scene.
    """

    scenes: tuple[SceneView, ...]
    given: tuple[NDArray[np.uint8], ...]

    @classmethod
    def open(
        cls, scenes: Sequence[SceneFiles], target: Target, out: NDArray[np.float32] | None = None
    ) -> tuple[Self, NDArray[np.float32]]:
        """The view and B02 of it, in DN: NaN where there is no valid observation; (rows, columns), in ``out`` if that
        is given.

        Raises:
            UnreadableScene: when a file cannot be read.
        """
        blue: NDArray[np.float32] | None = None
        views: list[SceneView] = []
        given: list[NDArray[np.uint8]] = []
        for scene in scenes:
            gaps = None if blue is None else np.isnan(blue)
            if gaps is not None and not gaps.any():
                break
            view = SceneView.open(scene, target)
            if view is None:
                continue
            values = view.read(_BLUE, out=out if blue is None else None)
            gives = ~np.isnan(values) if gaps is None else gaps & ~np.isnan(values)
            if gives.any():
                if blue is None:
                    blue = values
                else:
                    np.copyto(blue, values, where=gives)
                views.append(view)
                given.append(np.packbits(gives))
        if blue is None:
            blue = np.empty(target.geobox.shape, dtype=np.float32) if out is None else out
            blue.fill(np.nan)
        return cls(tuple(views), tuple(given)), blue

    def read(self, band: str, out: NDArray[np.float32] | None = None) -> NDArray[np.float32] | None:
        """A band in DN, in ``out`` if that is given; None where no scene shows anything. Cells without a valid B02 may
        hold anything.

        Raises:
            UnreadableScene: when a file cannot be read.
        """
        if not self.scenes:
            return None
        values = self.scenes[0].read(band, masked=False, out=out)
        for view, gives in zip(self.scenes[1:], self.given[1:], strict=True):
            chosen = np.unpackbits(gives, count=values.size).reshape(values.shape).view(np.bool_)
            values[chosen] = view.read(band, masked=False)[chosen]
        return values


def read_overpass(scenes: Sequence[SceneFiles], geobox: GeoBox) -> NDArray[np.float32]:
    """What the scenes of one overpass show on ``geobox``: DN, (10, rows, columns), NaN where B02 is invalid.

    Raises:
        UnreadableScene: when a file cannot be read.
    """
    view, blue = OverpassView.open(scenes, Target(geobox))
    stack = np.empty((len(BANDS), *blue.shape), dtype=np.float32)
    for index, band in enumerate(BANDS):
        values = blue if band == _BLUE else view.read(band)
        stack[index] = np.nan if values is None else values
    stack[:, np.isnan(blue)] = np.nan
    return stack


def read_scene(scene: SceneFiles, geobox: GeoBox) -> NDArray[np.float32]:
    """One scene on ``geobox``, as :func:`read_overpass`."""
    return read_overpass([scene], geobox)


def scene_grid(scene: SceneFiles) -> GeoBox:
    """Grid of the scene's classification, read from the file.

    Raises:
        UnreadableScene: when it has none.
    """
    with _reading(scene), POOL.open(scene.scl) as dataset:
        return _own_grid(dataset, scene)


def tile_sizes(scenes: Iterable[SceneFiles]) -> TileSizes:
    """How the files of scenes are cut into tiles, as seen in one band of each resolution of the first that is readable.

    Raises:
        UnreadableScene: when none is.
    """
    unreadable: list[UnreadableScene] = []
    for scene in scenes:
        try:
            return _tile_sizes(scene)
        except UnreadableScene as error:
            unreadable.append(error)
    raise unreadable[0]


def _tile_sizes(scene: SceneFiles) -> TileSizes:
    edges = []
    for band in (_BLUE, "B11"):
        with _reading(scene), rasterio.open(scene.bands[band].href) as dataset:
            edge = max(dataset.block_shapes[0]) * dataset.transform.a / NATIVE_RESOLUTION_M
            edges.append(max(1, round(edge)))
    return TileSizes(*edges)


@contextmanager
def _reading(scene: SceneFiles) -> Iterator[None]:
    try:
        with rasterio.Env(**_OPTIONS):
            yield
    except UnreadableScene:
        raise
    except (RasterioError, CRSError) as error:
        raise UnreadableScene(scene.id, f"cannot be read: {error}") from error
    except InvalidRaster as error:
        raise UnreadableScene(scene.id, f"cannot be used: {error.problem}", error.hint) from error


def _own_grid(dataset: DatasetReader, scene: SceneFiles) -> GeoBox:
    if dataset.crs is None:
        raise UnreadableScene(scene.id, "has no CRS", "assign the right one")
    if abs(dataset.transform.a - NATIVE_RESOLUTION_M) > 1e-6:
        raise UnreadableScene(
            scene.id, f"has a classification with cells of {dataset.transform.a:g} m", "give it at 20 m"
        )
    return GeoBox(dataset.shape, dataset.transform, raster_crs(dataset))


def _transform(
    x: NDArray[np.float64], y: NDArray[np.float64], source: CRS, target: CRS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if source == target:
        return x, y
    moved = Transformer.from_crs(source.proj, target.proj, always_xy=True).transform(x, y)
    return np.asarray(moved[0]), np.asarray(moved[1])


def _cover(own: GeoBox, rows: NDArray[np.float64], cols: NDArray[np.float64]) -> tuple[int, int, GeoBox] | None:
    """First row and column, and grid, of the part of a scene that holds the cells around places; None for nothing."""
    known = np.isfinite(cols) & np.isfinite(rows)
    if not known.any():
        return None
    edges = []
    for places, cells in ((rows[known], own.shape[0]), (cols[known], own.shape[1])):
        first, last = int(np.floor(places.min())) - 1, int(np.floor(places.max())) + 2
        edges.append((max(0, first), min(cells, last)))
    (top, bottom), (left, right) = edges
    if top >= bottom or left >= right:
        return None
    native = GeoBox((bottom - top, right - left), own.affine @ Affine.translation(left, top), own.crs)
    return top, left, native


def _invalid_cells(dataset: DatasetReader, native: GeoBox) -> NDArray[np.bool_]:
    return invalid_scl(_read_window(dataset, native, DILATION_MARGIN, 0).astype(np.uint8, copy=False))


def _read_band(band: BandFile, native: GeoBox, out: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """A band in DN on the 20 m grid; finer cells are averaged over those that are not nodata, without rounding."""
    with POOL.open(band.href) as dataset:
        stored = _read_window(dataset, native, 0, band.nodata)
        factor = round(native.affine.a / dataset.transform.a)
    values = np.empty(native.shape, dtype=np.float32) if out is None else out
    gain, offset = np.float32(band.gain), np.float32(band.offset_dn)
    if factor == 1:
        to_reflectance(stored, band.nodata, gain, offset, values)
    elif factor == 2 and stored.dtype == np.uint16 and float(band.nodata).is_integer() and abs(band.nodata) < 2**31:
        halve_to_reflectance(stored, np.int32(band.nodata), gain, offset, values)
    else:
        average_to_reflectance(stored, factor, band.nodata, gain, offset, values)
    return values


def _read_window(dataset: DatasetReader, native: GeoBox, margin: int, fill: float) -> NDArray[np.number]:
    """The dataset's cells over ``native`` and ``margin`` cells around it, ``fill`` outside the dataset.

    The array is the thread's own, and filled anew by its next call.
    """
    cell = dataset.transform.a
    factor = native.affine.a / cell
    if abs(factor - round(factor)) > 1e-6 or round(factor) < 1 or dataset.transform.e != -cell:
        raise InvalidRaster(f"{dataset.name} has cells of {cell:g} m", "give bands at 10 or 20 m, north up")
    scale = round(factor)
    across, down = (native.affine.c - dataset.transform.c) / cell, (dataset.transform.f - native.affine.f) / cell
    if max(abs(across - round(across)), abs(down - round(down))) > _MOST_SHIFT:
        raise InvalidRaster(
            f"{dataset.name} lies between the cells of the scene's other files", "give files of one grid"
        )
    col, row = round(across) - margin * scale, round(down) - margin * scale
    height, width = ((n + 2 * margin) * scale for n in native.shape)
    out = _own_array((height, width), np.dtype(dataset.dtypes[0]))
    if row >= 0 and col >= 0 and row + height <= dataset.height and col + width <= dataset.width:
        dataset.read(1, window=RasterioWindow(col, row, width, height), out=out)
        return out
    out[:] = fill
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + height, dataset.height), min(col + width, dataset.width)
    if top < bottom and left < right:
        window = RasterioWindow(left, top, right - left, bottom - top)
        out[top - row : bottom - row, left - col : right - col] = dataset.read(1, window=window)
    return out


def _own_array(shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array that this thread uses again and again: fresh memory costs as much as what is done with it."""
    size = shape[0] * shape[1] * dtype.itemsize
    kept = getattr(_arrays, "kept", None)
    if kept is None or kept.size < size:
        kept = _arrays.kept = np.empty(size, dtype=np.uint8)
    found: NDArray[Any] = kept[:size].view(dtype).reshape(shape)
    return found
