"""The grid that covariates are brought to."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidRaster
from cup4soil.grids import cell_offset, crs_code, crs_of
from cup4soil.rasters.covariate_files import CovariateFile
from cup4soil.rasters.covariate_reading import GRID_TOLERANCE, bounds_in


def common_grid(files: Sequence[CovariateFile], given: GeoBox | None = None) -> GeoBox:
    """The grid ``given``, or the finest, then most common lattice of the files, cut to where all of them lie.

    Its CRS is the most common one; a projected one goes before degrees.

    Raises:
        InvalidRaster: when a raster does not overlap the others.
    """
    reference = _finest(files) if given is None else north_up(given)
    top, left, bottom, right = 0, 0, reference.shape[0], reference.shape[1]
    for file in files:
        first_row, first_col, last_row, last_col = _covered_cells(reference, file.info.geobox)
        top, left = max(top, first_row), max(left, first_col)
        bottom, right = min(bottom, last_row), min(right, last_col)
        if top >= bottom or left >= right:
            raise _apart(file, crs_of(reference))
    return reference[top:bottom, left:right]


def north_up(box: GeoBox) -> GeoBox:
    """The same cells with the north on top."""
    a = box.affine
    if a.e < 0:
        return box
    rows, cols = box.shape
    return GeoBox((rows, cols), Affine(a.a, 0.0, a.c, 0.0, -a.e, a.f + rows * a.e), box.crs)


def _finest(files: Sequence[CovariateFile]) -> GeoBox:
    crs = _common_crs(files)
    boxes = [north_up(file.info.geobox) for file in files if _is(file, crs)]
    finest = min(_cell_area(box) for box in boxes)
    candidates = [box for box in boxes if _cell_area(box) <= finest * (1 + 1e-6)]
    alike = [
        sum(cell_offset(box, other, tolerance=GRID_TOLERANCE) is not None for other in candidates) for box in candidates
    ]
    return candidates[int(np.argmax(alike))]


def _common_crs(files: Sequence[CovariateFile]) -> CRS:
    systems = [crs_of(file.info.geobox) for file in files]
    codes = Counter(crs_code(crs) for crs in systems)
    return max(systems, key=lambda crs: (crs.projected, codes[crs_code(crs)]))


def _is(file: CovariateFile, crs: CRS) -> bool:
    return crs_code(crs_of(file.info.geobox)) == crs_code(crs)


def _covered_cells(reference: GeoBox, other: GeoBox) -> tuple[int, int, int, int]:
    """Rows and columns [first, last) of ``reference`` whose centres lie in the bounds of ``other``."""
    bounds = other.boundingbox.bbox if reference.crs == other.crs else _shared(reference, other)
    if bounds is None:
        return 0, 0, 0, 0
    left, bottom, right, top = bounds
    own = reference.affine
    rows, cols = ((top - own.f) / own.e, (bottom - own.f) / own.e), ((left - own.c) / own.a, (right - own.c) / own.a)
    return round(rows[0]), round(cols[0]), round(rows[1]), round(cols[1])


def _shared(reference: GeoBox, other: GeoBox) -> tuple[float, float, float, float] | None:
    """Bounds, in the CRS of ``reference``, of what it shares with a raster of another CRS; None for nothing.

    Found in the CRS of ``other``: the whole of a global raster has no place in a projected one.
    """
    left, bottom, right, top = bounds_in(reference, other)
    if not all(math.isfinite(value) for value in (left, bottom, right, top)):
        return None
    west, south, east, north = other.boundingbox.bbox
    if west <= left and south <= bottom and right <= east and top <= north:
        found = reference.boundingbox.bbox
        return (found[0], found[1], found[2], found[3])
    west, south, east, north = max(west, left), max(south, bottom), min(east, right), min(north, top)
    if west >= east or south >= north:
        return None
    part = GeoBox((1, 1), Affine(east - west, 0.0, west, 0.0, south - north, north), other.crs)
    bounds = bounds_in(part, reference)
    return bounds if all(math.isfinite(value) for value in bounds) else None


def _apart(file: CovariateFile, crs: CRS) -> InvalidRaster:
    own = crs_code(crs_of(file.info.geobox))
    if own == crs_code(crs):
        return InvalidRaster(f"{file.path} does not overlap the other covariates", "give rasters of one area")
    return InvalidRaster(
        f"{file.path} is in {_short(own)} where the other covariates are in {_short(crs_code(crs))},"
        " and does not overlap them",
        "give rasters of one area, or assign the right CRS if it is mislabelled",
    )


def _cell_area(box: GeoBox) -> float:
    return float(abs(box.affine.a * box.affine.e))


def _short(code: str) -> str:
    return code if len(code) < 40 else f"another system ({code[:36]}...)"
