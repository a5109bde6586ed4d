"""A request for composites, carried out: over one area or many tiles, in one or many windows."""

from collections.abc import Iterator
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from cup4soil.areas import WGS84, project
from cup4soil.errors import InvalidInput, NoData
from cup4soil.grids import EUROPEAN_CRS, european_tiles
from cup4soil.methods.bare_tests import bare_test
from cup4soil.progress import Progress
from cup4soil.settings import Settings
from producers.archive import ArchiveQuery, archive_items
from producers.block_runs import Execution
from producers.composite import plan_run
from producers.composite_request import CompositeRequest, requested_area
from producers.index import IndexRequest, plan_index
from producers.jobs import Delivery, deliver
from producers.scenes import SceneFilter, select_scenes
from producers.thresholds import ThresholdRequest, plan_thresholds
from stac_catalog.store import Store

HISET = "hiset"
_SURFACE = "THRESHOLDS"
_COMMON = (
    "source", "method", "bbox", "aoi", "start", "end", "max_cloud_percent", "crs", "boa_offset_dn", "collections",
    "attribution",
)  # fmt: skip


def threshold_surface(
    request: CompositeRequest,
    tiles: tuple[str, ...],
    regions: Path | None,
    out: Path,
    store: Store | None,
    settings: Settings,
    execution: Execution,
    progress: Progress,
) -> Path:
    """A surface of regional thresholds found from the archive itself (HISET), beside ``out``, and registered.

    The index's extremes come first, over all tiles together, so that neighbouring tiles share one surface: B02, the
    bands of the index and the classification are read once for it, and again for the composites, whose bare
    observations are not known before. What lies beside ``out`` from an earlier run is used again.

    Raises:
        InvalidInput: when no land cover is given, or the bare-soil test has another index.
        NoData: when no region's threshold can be used.
    """
    if request.land_cover is None:
        raise InvalidInput("hiset needs land cover", "give a raster with --landcover, or a number as --threshold")
    if bare_test(request.method).default_threshold is not None:
        raise InvalidInput(f"hiset does not go with the test {request.method}", "use it with pvir2 or median")
    folders = []
    for tile in tiles or (None,):
        folder = out.with_name(f"{out.name}-index") / (tile or "all")
        wanted_index = IndexRequest(
            **_on_tile(request, tile).model_dump(include=set(_COMMON)), tile=tile or request.tile
        )
        deliver(plan_index(wanted_index, settings, execution), folder, store, progress)
        folders.append(folder)
    surface = out.with_name(f"{out.name}-thresholds")
    wanted = ThresholdRequest(
        index=tuple(folders), land_cover=request.land_cover, legend=request.legend, regions=regions,
        attribution=request.attribution,
    )  # fmt: skip
    made = deliver(plan_thresholds(wanted, settings), surface, store, progress)
    return surface / made.record.layer(_SURFACE).file


def deliver_composites(
    request: CompositeRequest,
    tiles: tuple[str, ...],
    out: Path,
    store: Store | None,
    settings: Settings,
    execution: Execution,
    progress: Progress,
) -> Iterator[Delivery]:
    """Make what is asked for and not there yet, one product after the other.

    A single product lies in ``out`` itself; of several tiles each has its folder in ``out``, of several windows each
    its own in that of the tile. Products that are whole stay, whatever happens to a later one.

    Raises:
        NoData: when a window or a tile has nothing to composite.
    """
    for tile in tiles or (None,):
        folder = out / tile if tile is not None and len(tiles) > 1 else out
        run = plan_run(_on_tile(request, tile), settings, execution)
        # Between the windows nobody else is let at what they share.
        with run.together():
            for job in run.jobs:
                place = folder / job.window.label if len(run.jobs) > 1 else folder
                yield deliver(job, place, store, progress)


def _on_tile(request: CompositeRequest, tile: str | None) -> CompositeRequest:
    """The request for one tile; as it is without one."""
    return request if tile is None else request.model_copy(update={"tile": tile, "bbox": None, "aoi": None})


def tiles_with_scenes(request: CompositeRequest) -> tuple[str, ...]:
    """The 200 km tiles of the European grid that the area asked for, else the usable scenes of the archive, lie in.

    Raises:
        NoData: when there are none.
    """
    area, area_crs = requested_area(request)
    if area is not None:
        places: list[BaseGeometry] = [project(area, area_crs, EUROPEAN_CRS)]
    else:
        items = archive_items(request.source, ArchiveQuery(None, request.start, request.end, request.collections))
        wanted = SceneFilter(None, request.start, request.end, request.max_cloud_percent, request.boa_offset_dn)
        selection = select_scenes(items, wanted, len(items))
        outlines = {shapely.to_wkb(scene.geometry): scene.geometry for scene in selection.scenes}
        places = [project(outline, WGS84, EUROPEAN_CRS) for outline in outlines.values()]
    if not places:
        raise NoData("no scene can be used", "check the period and --max-cloud")
    return european_tiles(shapely.union_all(places))
