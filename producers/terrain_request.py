"""What a user asks for when covariates are to be made of an elevation model, and the model itself, checked."""

import math
from pathlib import Path

from odc.geo.geobox import GeoBox
from pydantic import BaseModel, ConfigDict

from cup4soil.errors import InvalidInput, InvalidRaster, LimitExceeded, NotFound
from cup4soil.grids import crs_code, crs_of
from cup4soil.methods.valley_bottoms import scales_of
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.settings import Settings

# Half edges of squares, in cells, where none are asked for.
_DEFAULT_CELLS = (5, 15, 45)
MAX_RADIUS = 500
MAX_SCALES = 10
# What flow and valley bottoms hold of each cell of the whole model.
WHOLE_BYTES_PER_CELL = 96
_LEAST_EDGE = 16


class TerrainRequest(BaseModel):
    """An elevation model (in metres), and what to make of it.

    ``scales_m`` are half edges of the squares in which a cell's position is looked at; ``band`` names the elevation in
    a raster of several bands. Without ``flow`` all that needs the whole model at once is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dem: Path
    band: str | None = None
    scales_m: tuple[float, ...] = ()
    flow: bool = True
    licence: str | None = None
    attribution: str | None = None
    title: str | None = None


def open_elevation(request: TerrainRequest, settings: Settings) -> CovariateStack:
    """The elevation alone, on its own grid.

    Raises:
        NotFound: when the file or the band does not exist, or several bands leave it open.
        InvalidRaster: when it is not in a metric CRS with square cells, or not in metres.
        LimitExceeded: when it is too large for what is asked for.
    """
    stack = CovariateStack.open([request.dem])
    if request.band is not None:
        stack = stack.select([request.band])
    elif len(stack.names) > 1:
        raise NotFound(f"{request.dem} has {len(stack.names)} bands", f"name one by --band: {', '.join(stack.names)}")
    _check_metric(request.dem, stack.geobox)
    unit = stack.signature[0].unit
    if unit is not None and unit.lower() not in {"m", "metre", "metres", "meter", "meters"}:
        raise InvalidRaster(f"{request.dem} is in {unit}", "give elevation in metres")
    if min(stack.geobox.shape) < _LEAST_EDGE:
        raise InvalidRaster(
            f"{request.dem} has {stack.geobox.shape[0]} x {stack.geobox.shape[1]} cells",
            f"give at least {_LEAST_EDGE} x {_LEAST_EDGE}",
        )
    _check_size(request, stack.geobox, settings)
    return stack


def cell_size_m(geobox: GeoBox) -> float:
    """Edge of a square cell."""
    return float(abs(geobox.affine.a))


def radii(request: TerrainRequest, cell_m: float) -> dict[float, int]:
    """Half edge of each square asked for, in metres and in cells.

    Raises:
        InvalidInput: when one is smaller than a cell or too large, there are too many, or two are the same.
    """
    asked = request.scales_m or tuple(cells * cell_m for cells in _DEFAULT_CELLS)
    if len(asked) > MAX_SCALES:
        raise InvalidInput(f"{len(asked)} scales are asked for", f"give {MAX_SCALES} at most")
    found: dict[float, int] = {}
    for scale in asked:
        cells = round(scale / cell_m) if math.isfinite(scale) else 0
        if not 1 <= cells <= MAX_RADIUS:
            raise InvalidInput(
                f"a scale of {scale:g} m cannot be looked at in cells of {cell_m:g} m",
                f"give {cell_m:g} to {MAX_RADIUS * cell_m:g} m",
            )
        if cells in found.values():
            raise InvalidInput(f"the scale of {scale:g} m is given twice, in whole cells", "give each once")
        found[scale] = cells
    return found


def _check_metric(path: Path, geobox: GeoBox) -> None:
    crs = crs_of(geobox)
    units = {axis.unit_name for axis in crs.proj.axis_info}
    if units != {"metre"}:
        code = crs_code(crs)
        raise InvalidRaster(
            f"{path} is in {code if len(code) < 40 else 'a CRS'} that counts in {' and '.join(sorted(units))}",
            "warp it to a projected CRS in metres first, such as gdalwarp -t_srs EPSG:3035 -tr 25 25 -r bilinear",
        )
    across, down = abs(geobox.affine.a), abs(geobox.affine.e)
    if not math.isclose(across, down, rel_tol=1e-3):
        raise InvalidRaster(f"{path} has cells of {across:g} x {down:g} m", "warp it to square cells")


def _check_size(request: TerrainRequest, geobox: GeoBox, settings: Settings) -> None:
    rows, cols = geobox.shape
    if rows * cols > settings.max_cells:
        raise LimitExceeded(
            f"an elevation model of {rows} x {cols} cells is larger than the limit of {settings.max_cells}",
            "cut it, or raise CUP4SOIL_MAX_CELLS",
        )
    needed = math.ceil(rows * cols * WHOLE_BYTES_PER_CELL / 2**20)
    if request.flow and needed > settings.block_memory_mib:
        raise LimitExceeded(
            f"flow and valley bottoms of {rows} x {cols} cells need {needed} MiB at once, the limit is"
            f" {settings.block_memory_mib}",
            "cut the model along watersheds, raise CUP4SOIL_BLOCK_MEMORY_MIB, or give --no-flow",
        )


def valley_scales(request: TerrainRequest, geobox: GeoBox) -> int | None:
    """How many scales the flatness of valleys has, None where it is not asked for."""
    return scales_of((geobox.shape[0], geobox.shape[1])) if request.flow else None
