"""What an archive holds for a request: the scenes to use, and the grid and the area that follow."""

from collections import Counter
from dataclasses import dataclass

from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil.areas import WGS84, project
from cup4soil.errors import NoData
from cup4soil.grids import crs_of
from cup4soil.settings import Settings
from producers.archive import ArchiveQuery, archive_items
from producers.block_runs import Execution
from producers.composite_request import ArchiveRequest, requested_area, target_grid
from producers.scenes import SceneFilter, Selection, select_scenes


@dataclass(frozen=True, slots=True)
class FoundScenes:
    """The scenes of a request, its grid, and the polygon outside of which cells stay empty, in the grid's CRS."""

    selection: Selection
    geobox: GeoBox
    area: BaseGeometry | None


def find_scenes(request: ArchiveRequest, settings: Settings, execution: Execution) -> FoundScenes:
    """Ask the archive; none of the scenes' pixels are read.

    Raises:
        InvalidInput: when the archive or the area cannot be read.
        NoData: when no scene fits.
        NotFound: when more scenes lack a file than may be unreadable.
        LimitExceeded: when the grid is too large.
    """
    area, area_crs = requested_area(request)
    in_degrees = None if area is None else project(area, area_crs, WGS84)
    items = archive_items(request.source, ArchiveQuery(in_degrees, request.start, request.end, request.collections))
    wanted = SceneFilter(in_degrees, request.start, request.end, request.max_cloud_percent, request.boa_offset_dn)
    selection = select_scenes(items, wanted, execution.most_broken(len(items)))
    if not selection.overpasses:
        raise NoData(*_why_none(selection))
    geobox = target_grid(request, selection.scenes, area, area_crs, settings.max_cells)
    polygon = None if area is None or request.aoi is None else project(area, area_crs, crs_of(geobox))
    return FoundScenes(selection, geobox, polygon)


def _why_none(selection: Selection) -> tuple[str, str]:
    reasons = Counter(rejection.reason for rejection in selection.rejected.values())
    told = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    return f"none of {len(selection.rejected)} scenes can be used: {told}", "check area, period and --max-cloud"
