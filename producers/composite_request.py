"""What a composite is asked for: the request, its area and the grid that follows from it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import shapely
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pydantic import BaseModel, ConfigDict, Field
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from cup4soil.areas import WGS84, bounds_of, box_area, project, read_area
from cup4soil.errors import InvalidInput, LimitExceeded
from cup4soil.grids import EUROPEAN_CRS, Bounds, aligned_geobox, crs_of, european_tile, parse_metric_crs
from cup4soil.methods.bare_tests import bare_test
from cup4soil.products import RECORD_FILE, Source, file_checksum, read_record
from cup4soil.rasters.reading import raster_info
from cup4soil.rasters.scenes import NATIVE_RESOLUTION_M
from producers.land_cover import DEFAULT_LEGEND
from producers.scenes import Scene


class ArchiveRequest(BaseModel):
    """Which scenes of which archive, and the grid. ``bbox`` is in WGS 84 degrees; times are in UTC.

    ``method`` names the bare-soil test.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    source: str
    method: str = "pvir2"
    bbox: Bounds | None = None
    aoi: Path | None = None
    tile: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    max_cloud_percent: float = Field(default=80.0, ge=0, le=100)
    crs: str = "auto"
    boa_offset_dn: float | None = None
    collections: tuple[str, ...] = ("sentinel-2-l2a",)
    attribution: tuple[str, ...] = ()


class CompositeRequest(ArchiveRequest):
    """What to composite.

    Without a ``threshold`` the test's own is used, where it has one. ``years`` are lengths of windows in calendar
    years, ``seasons`` asks for one window for each season; by default one window is the whole period. ``legend`` says
    what the codes of ``land_cover`` mean: the name of a built-in one, or a file.
    """

    threshold: float | Path | None = None
    years: tuple[int, ...] = ()
    seasons: bool = False
    land_cover: Path | None = None
    legend: str | Path = DEFAULT_LEGEND
    resolution_m: float = NATIVE_RESOLUTION_M

    @property
    def index_threshold(self) -> float | Path:
        """The threshold given, else that of the test.

        Raises:
            InvalidInput: when there is none.
        """
        default = bare_test(self.method).default_threshold
        if self.threshold is not None:
            return self.threshold
        if default is None:
            raise InvalidInput(
                f"the test {self.method} has no threshold of its own",
                "give --threshold: a number such as 0.2065, a GeoTIFF, or hiset",
            )
        return default


def check_request(request: CompositeRequest) -> None:
    """Refuse what contradicts itself or is not offered.

    Raises:
        InvalidInput: naming the option, or the raster that cannot be read.
    """
    if request.resolution_m != NATIVE_RESOLUTION_M:
        raise InvalidInput(
            f"composites at {request.resolution_m:g} m are not made",
            "use --resolution 20, the resolution of the method",
        )
    check_archive_request(request)
    threshold = request.index_threshold
    low, high = bare_test(request.method).index_range
    if isinstance(threshold, float) and not low <= threshold <= high:
        hint = "European values lie between 0 and 0.4" if request.method == "pvir2" else "see docs/bare-soil-tests.md"
        raise InvalidInput(f"threshold {threshold:g} is outside the index's range {low:g} to {high:g}", hint)
    for path in (threshold, request.land_cover):
        if isinstance(path, Path):
            raster_info(path)


def check_archive_request(request: ArchiveRequest) -> None:
    """Refuse more than one area, and a period that ends before it starts.

    Raises:
        InvalidInput: naming the option.
    """
    if sum(x is not None for x in (request.bbox, request.aoi, request.tile)) > 1:
        raise InvalidInput("more than one area is given", "use one of --bbox, --aoi and --tile")
    if request.start and request.end and request.start > request.end:
        raise InvalidInput(
            f"the period starts {request.start:%Y-%m-%d} after its end {request.end:%Y-%m-%d}", "swap --start and --end"
        )


def requested_area(request: ArchiveRequest) -> tuple[BaseGeometry | None, CRS]:
    """The area asked for and its CRS; None for all that the archive covers."""
    if request.aoi is not None:
        return read_area(request.aoi)
    if request.tile is not None:
        return box(*european_tile(request.tile).boundingbox.bbox), EUROPEAN_CRS
    return (box_area(request.bbox) if request.bbox else None), WGS84


def target_crs(request: ArchiveRequest, scenes: tuple[Scene, ...]) -> CRS:
    """CRS of the result: the one asked for, else the one all scenes share, else EPSG:3035."""
    if request.crs != "auto":
        return parse_metric_crs(request.crs)
    common = {crs_of(scene.grid) for scene in scenes}
    return common.pop() if len(common) == 1 and request.tile is None else EUROPEAN_CRS


def target_grid(
    request: ArchiveRequest, scenes: tuple[Scene, ...], area: BaseGeometry | None, area_crs: CRS, max_cells: int
) -> GeoBox:
    """Grid of the result: the tile, the area's box, or all that the scenes cover.

    Raises:
        LimitExceeded: when it has more than ``max_cells`` cells.
    """
    crs = target_crs(request, scenes)
    if request.tile is not None and crs == EUROPEAN_CRS:
        geobox = european_tile(request.tile)
        if geobox.shape[0] * geobox.shape[1] > max_cells:
            raise LimitExceeded(f"tile {request.tile} has more than {max_cells} cells", "raise CUP4SOIL_MAX_CELLS")
        return geobox
    if area is not None:
        bounds = bounds_of(project(area, area_crs, crs))
    else:
        outlines = [project(box(*scene.grid.boundingbox.bbox), crs_of(scene.grid), crs) for scene in scenes]
        bounds = Bounds(*shapely.total_bounds(outlines))
    return aligned_geobox(bounds, crs, NATIVE_RESOLUTION_M, max_cells=max_cells)


def raster_sources(request: CompositeRequest) -> Iterator[Source]:
    """Threshold surface and land cover as sources, where they are rasters."""
    threshold = request.index_threshold
    if isinstance(threshold, Path):
        yield _threshold_source(threshold)
    if request.land_cover is not None:
        checksum = file_checksum(request.land_cover)
        yield Source(role="land-cover", id=request.land_cover.name, title="Land cover", checksum=checksum)


def _threshold_source(path: Path) -> Source:
    """The surface with the terms and the identity of the product it belongs to, where it does."""
    checksum = file_checksum(path)
    if not (path.parent / RECORD_FILE).is_file():
        return Source(role="threshold", id=path.name, title="Threshold of the index", checksum=checksum)
    record = read_record(path.parent)
    return Source(
        role="threshold",
        id=f"{record.collection}/{record.id}",
        title=record.title,
        version=record.algorithm.version,
        checksum=checksum,
        licence=record.licence,
        attribution="; ".join(record.attribution) or None,
    )


def utc_day(text: str, *, end: bool = False) -> datetime:
    """Start, or with ``end`` the last second, of a day given as ``2024-03-01``.

    Raises:
        InvalidInput: when the text is no date.
    """
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no date", "give year-month-day, such as 2024-03-01") from error
    return day.replace(hour=23, minute=59, second=59) if end else day
