"""The grid of an answer: what was asked for, on the lattice of the coverage, within the limits."""

import math
from dataclasses import dataclass

from affine import Affine
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidInput, LimitExceeded, NoData
from cup4soil.grids import Bounds, Window, aligned_geobox, crs_of
from processors.axes import WHOLE_TURN
from processors.coverage_query import CoverageQuery
from processors.coverage_scaling import Scaling
from processors.coverages import Coverage, grid_bounds
from processors.crs import CRS84, Reference, intersection, project_bounds, project_points, reference_of

_ALIGNED = 1e-6
# Sizes of cells closer than this to the native one are taken as it.
_SAME_SIZE = 0.01


@dataclass(frozen=True)
class Limits:
    """Most values (cells times fields) of one answer."""

    values: int = 16_000_000
    json_values: int = 1_000_000


def answer_grid(coverage: Coverage, query: CoverageQuery, fields: int, limit: int) -> GeoBox:
    """The grid of the answer to ``query`` with ``fields`` fields.

    A selection is extended to whole cells and cut at the coverage's edges. Where neither a part nor a
    scale was asked for, the whole coverage is decimated to fit ``limit`` values, unless the query is strict.

    Raises:
        NoData: when the selection lies outside the coverage.
        LimitExceeded: when what was asked for is more than ``limit`` values.
        InvalidInput: when the output CRS cannot hold it.
    """
    output = query.crs or reference_of(coverage.crs)
    same = output.crs == coverage.crs
    if same and _sized(query) and query.selects:
        full = _exact(_selection(coverage, query, clip=False), output)
    else:
        window = _native_window(coverage, query)
        full = window if same else _reprojected(window, coverage, query, output)
    if query.scaling is not None:
        full = _stepped(full, query.scaling)
    rows, cols = full.shape
    if query.scaling is not None:
        rows, cols = _scaled(rows, cols, query.scaling)
    elif not (query.selects or query.strict):
        rows, cols = _fitted(rows, cols, fields, limit)
    if rows * cols * fields > limit:
        raise LimitExceeded(
            f"{rows} x {cols} cells of {fields} fields are more than the limit of {limit} values in one answer",
            "choose a smaller area, fewer properties or a scale-factor",
        )
    return _resized(full, rows, cols)


def _sized(query: CoverageQuery) -> bool:
    """True when both sides of the answer are given: then the box is not cut, and tiles at edges keep their scale."""
    return query.scaling is not None and query.scaling.columns is not None and query.scaling.rows is not None


def _exact(bounds: Bounds, output: Reference) -> GeoBox:
    """One cell over ``bounds``, to be divided."""
    width, height = bounds.right - bounds.left, bounds.top - bounds.bottom
    return GeoBox((1, 1), Affine(width, 0, bounds.left, 0, -height, bounds.top), output.crs)


def _native_window(coverage: Coverage, query: CoverageQuery) -> GeoBox:
    if not query.selects:
        return coverage.grid
    return _whole_cells(coverage, _selection(coverage, query, clip=True))


def _selection(coverage: Coverage, query: CoverageQuery, *, clip: bool) -> Bounds:
    """What was selected, in the native CRS. In another one it is cut first, so that a box of the world can be meant."""
    if query.bbox is not None:
        reference, wanted = query.bbox_crs, query.bbox
    else:
        reference = query.subset_crs or reference_of(coverage.crs)
        wanted = _axes_box(coverage, query, reference)
    native = reference.crs == coverage.crs
    if native and not clip:
        return wanted if intersection(wanted, coverage.bounds) is not None else _outside(coverage)
    own = project_bounds(coverage.bounds, coverage.crs, reference.crs)
    if own is None:
        raise InvalidInput("the CRS of the selection does not hold the coverage", "use the coverage's own CRS")
    cut = _cut(wanted, own)
    projected = None if cut is None else project_bounds(cut, reference.crs, coverage.crs)
    inside = None if projected is None else intersection(projected, coverage.bounds)
    return inside if inside is not None else _outside(coverage)


def _cut(wanted: Bounds, own: Bounds) -> Bounds | None:
    """What of a box lies within a coverage's; one that reaches past 180 goes on at -180."""
    if not wanted.right > WHOLE_TURN / 2 or own.right > WHOLE_TURN / 2:
        return intersection(wanted, own)
    beyond = Bounds(wanted.left - WHOLE_TURN, wanted.bottom, wanted.right - WHOLE_TURN, wanted.top)
    parts = [part for each in (wanted, beyond) if (part := intersection(each, own)) is not None]
    if len(parts) < 2:
        return parts[0] if parts else None
    return Bounds(min(each.left for each in parts), parts[0].bottom, max(each.right for each in parts), parts[0].top)


def _axes_box(coverage: Coverage, query: CoverageQuery, reference: Reference) -> Bounds:
    """The box of a subset: ends left open are the coverage's, a single position stands for its cell."""
    own = project_bounds(coverage.bounds, coverage.crs, reference.crs)
    if own is None:
        raise InvalidInput("subset-crs does not hold the coverage", "use the coverage's own CRS")
    left, right = _ends(query.x, own.left, own.right)
    bottom, top = _ends(query.y, own.bottom, own.top)
    if left > right or bottom > top:
        return _outside(coverage)
    hair = _ALIGNED * min(own.right - own.left, own.top - own.bottom) / max(coverage.grid.shape)
    return Bounds(left, bottom, max(right, left + hair), max(top, bottom + hair))


def _ends(wanted: tuple[float | None, float | None] | None, low: float, high: float) -> tuple[float, float]:
    if wanted is None:
        return low, high
    return low if wanted[0] is None else wanted[0], high if wanted[1] is None else wanted[1]


def _outside(coverage: Coverage) -> Bounds:
    own = project_bounds(coverage.bounds, coverage.crs, CRS84.crs)
    where = "" if own is None else "it covers " + ",".join(f"{v:.4f}" for v in own.astuple()) + " (CRS84)"
    raise NoData(f"the selection lies outside {coverage.collection}", where)


def _whole_cells(coverage: Coverage, bounds: Bounds) -> GeoBox:
    grid = coverage.grid
    inverse = ~grid.affine
    (west, north), (east, south) = inverse @ (bounds.left, bounds.top), inverse @ (bounds.right, bounds.bottom)
    rows, cols = grid.shape
    top, left = min(max(0, _floor(north)), rows - 1), min(max(0, _floor(west)), cols - 1)
    bottom, right = min(rows, max(top + 1, _ceil(south))), min(cols, max(left + 1, _ceil(east)))
    return Window(top, left, bottom - top, right - left).of(grid)


def _floor(cells: float) -> int:
    return math.floor(cells + _ALIGNED)


def _ceil(cells: float) -> int:
    return math.ceil(cells - _ALIGNED)


def _reprojected(window: GeoBox, coverage: Coverage, query: CoverageQuery, output: Reference) -> GeoBox:
    """A grid in the output CRS over ``window``, with square cells of about the native size."""
    place = project_bounds(grid_bounds(window), coverage.crs, CRS84.crs)
    usable = place is not None and output.made_for(place)
    bounds = project_bounds(grid_bounds(window), coverage.crs, output.crs) if usable else None
    if bounds is not None and query.bbox is not None and query.bbox_crs.crs == output.crs:
        bounds = intersection(bounds, query.bbox)
    size = None if bounds is None else _cell_size(window, output)
    if bounds is None or size is None:
        raise InvalidInput(f"crs {output.uri} is not made for this place", "choose one whose area of use holds it")
    return aligned_geobox(bounds, output.crs, size)


def _cell_size(window: GeoBox, output: Reference) -> float | None:
    """Edge of a square in the output CRS with the area of the window's central cell; None outside its domain."""
    rows, cols = window.shape
    corners = [window.affine @ (cols / 2 + dx, rows / 2 + dy) for dx, dy in ((0, 0), (1, 0), (0, 1))]
    xs, ys = project_points([c[0] for c in corners], [c[1] for c in corners], crs_of(window), output.crs)
    if not all(map(math.isfinite, (*xs, *ys))):
        return None
    area = abs((xs[1] - xs[0]) * (ys[2] - ys[0]) - (xs[2] - xs[0]) * (ys[1] - ys[0]))
    native = abs(window.affine.a)
    size = math.sqrt(area)
    if output.crs.geographic == crs_of(window).geographic and abs(size / native - 1) < _SAME_SIZE:
        return native
    return size if size > 0 else None


def _stepped(grid: GeoBox, scaling: Scaling) -> GeoBox:
    """The grid with cells of the size asked for; its last cells may reach beyond its edges."""
    (rows, cols), (width, height) = grid.shape, (grid.affine.a, -grid.affine.e)
    x, y = scaling.step_x or width, scaling.step_y or height
    shape = (max(1, _ceil(rows * height / y)), max(1, _ceil(cols * width / x)))
    if (x, y) == (width, height):
        return grid
    return GeoBox(shape, Affine(x, 0, grid.affine.c, 0, -y, grid.affine.f), grid.crs)


def _scaled(rows: int, cols: int, scaling: Scaling) -> tuple[int, int]:
    height = scaling.rows or max(1, round(rows / (scaling.factor_y or 1.0)))
    width = scaling.columns or max(1, round(cols / (scaling.factor_x or 1.0)))
    return height, width


def _fitted(rows: int, cols: int, fields: int, limit: int) -> tuple[int, int]:
    """The largest size of about the same shape within ``limit`` values."""
    factor = max(1.0, math.sqrt(rows * cols * fields / limit))
    height, width = max(1, math.floor(rows / factor)), max(1, math.floor(cols / factor))
    # A very long or very flat grid is held at one cell on its short side.
    return min(height, max(1, limit // (width * fields))), min(width, max(1, limit // (height * fields)))


def _resized(grid: GeoBox, rows: int, cols: int) -> GeoBox:
    if (rows, cols) == tuple(grid.shape):
        return grid
    scale = Affine.scale(grid.shape[1] / cols, grid.shape[0] / rows)
    return GeoBox((rows, cols), grid.affine @ scale, grid.crs)
