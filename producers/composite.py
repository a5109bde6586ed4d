"""Bare-soil composites from a Sentinel-2 archive: the suite of SCMaP, block by block."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from cup4soil.areas import WGS84, project
from cup4soil.errors import NoData
from cup4soil.grids import Window, blocks, crs_of
from cup4soil.licences import derived_licence
from cup4soil.methods.bare_soil import BANDS
from cup4soil.methods.composite import CompositeBlock, CompositeRules, composite_block
from cup4soil.products import Algorithm, ProductRecord, Source, product_id
from cup4soil.progress import Advance, Progress
from cup4soil.rasters.masks import cells_inside
from cup4soil.rasters.scenes import read_overpass
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from producers.archive import ArchiveQuery, archive_items
from producers.composite_layers import LAYERS, encode_block
from producers.composite_record import COLLECTION, LINEAGE, composite_algorithm, composite_lineage, composite_record
from producers.composite_request import CompositeRequest, check_request, raster_sources, requested_area, target_grid
from producers.composite_surfaces import read_land_cover, read_threshold
from producers.scenes import Overpass, SceneFilter, Selection, select_scenes

# Per cell and date: ten bands in float32, flags, and what selection and accumulation need beside them.
_BYTES_PER_OBSERVATION = 48
_BLOCK_SIZES = (512, 256, 128, 64, 32)


@dataclass(frozen=True)
class CompositeJob:
    """A planned composite; see :func:`plan_composite`. ``area`` is in the grid's CRS."""

    request: CompositeRequest
    settings: Settings
    selection: Selection
    geobox: GeoBox
    area: BaseGeometry | None
    sources: tuple[Source, ...]
    licence: str
    rules: CompositeRules = field(default_factory=CompositeRules)

    collection = COLLECTION

    @cached_property
    def algorithm(self) -> Algorithm:
        """The method with all parameters that decide the result."""
        return composite_algorithm(self.request, self.geobox, self.area, self.rules, self.licence)

    @cached_property
    def id(self) -> str:
        """Identity of the product."""
        return product_id("composite", self.algorithm, self.sources)

    @property
    def block_size(self) -> int:
        """Edge of a block in cells, the largest that keeps a block within the memory set for it."""
        memory = self.settings.block_memory_mib * 2**20
        edge = math.sqrt(memory / (_BYTES_PER_OBSERVATION * len(self.selection.overpasses)))
        return next((size for size in _BLOCK_SIZES if size <= edge), _BLOCK_SIZES[-1])

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Write the suite into ``folder``.

        Raises:
            NoData: when no cell has a valid observation.
        """
        counts: Counter[int] = Counter()
        windows = list(blocks((self.geobox.shape[0], self.geobox.shape[1]), self.block_size))
        with ExitStack() as stack:
            writers = {name: stack.enter_context(LayerWriter(folder, x, self.geobox)) for name, x in LAYERS.items()}
            with progress.step("Compositing", len(windows) * len(self.selection.overpasses)) as advance:
                for window in windows:
                    stored = self._block(window, advance)
                    counts.update(_classes(stored["MASK"]))
                    for name, writer in writers.items():
                        writer.write(window, stored[name])
            if not writers["SFREQ"].any_valid:
                raise NoData("no cell has a valid observation", "widen the period, or raise --max-cloud")
        lineage = composite_lineage(self.algorithm, self.sources, self.selection, self.geobox, counts)
        (folder / LINEAGE.file).write_text(json.dumps(lineage, indent=1) + "\n", encoding="utf-8")
        layers = tuple(writer.layer for writer in writers.values())
        return composite_record(
            self.id, self.algorithm, self.sources, self.selection, self.request, self.geobox, layers, counts,
            self.licence,
        )  # fmt: skip

    def _block(self, window: Window, advance: Advance) -> dict[str, NDArray[np.int16]]:
        geobox = window.of(self.geobox)
        overpasses = list(_over(self.selection.overpasses, geobox))
        for _ in range(len(self.selection.overpasses) - len(overpasses)):
            advance()
        block = self._composite(overpasses, geobox, advance)
        return encode_block(block, None if self.area is None else cells_inside(self.area, geobox))

    def _composite(self, overpasses: list[Overpass], geobox: GeoBox, advance: Advance) -> CompositeBlock:
        stack = np.empty((len(overpasses), len(BANDS), *geobox.shape), dtype=np.float32)

        def read(index: int) -> None:
            stack[index] = read_overpass([scene.files for scene in overpasses[index].scenes], geobox)
            advance()

        with ThreadPoolExecutor(self.settings.threads) as pool:
            for done in [pool.submit(read, index) for index in range(len(overpasses))]:
                done.result()
        months = np.array([overpass.time.month for overpass in overpasses], dtype=np.int8)
        threshold = read_threshold(self.request.threshold, geobox)
        cover = None if self.request.land_cover is None else read_land_cover(self.request.land_cover, geobox)
        return composite_block(stack, months, threshold, cover, self.rules, threads=self.settings.threads)


def plan_composite(request: CompositeRequest, settings: Settings) -> CompositeJob:
    """Find the scenes and the grid; none of the scenes' pixels are read.

    Raises:
        InvalidInput: when an argument cannot be used.
        NoData: when no scene fits.
        LimitExceeded: when the grid is too large.
        LicenceConflict: when the sources' licences cannot be combined.
    """
    check_request(request)
    area, area_crs = requested_area(request)
    in_degrees = None if area is None else project(area, area_crs, WGS84)
    items = archive_items(request.source, ArchiveQuery(in_degrees, request.start, request.end, request.collections))
    wanted = SceneFilter(in_degrees, request.start, request.end, request.max_cloud_percent, request.boa_offset_dn)
    selection = select_scenes(items, wanted)
    if not selection.overpasses:
        raise NoData(*_why_none(selection))
    geobox = target_grid(request, selection.scenes, area, area_crs, settings.max_cells)
    polygon = None if area is None or request.aoi is None else project(area, area_crs, crs_of(geobox))
    sources = (*(scene.source() for scene in selection.scenes), *raster_sources(request))
    licence = derived_licence([source.licence for source in sources], settings.data_policy)
    return CompositeJob(request, settings, selection, geobox, polygon, sources, licence)


def _why_none(selection: Selection) -> tuple[str, str]:
    reasons = Counter(rejection.reason for rejection in selection.rejected.values())
    told = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    return f"none of {len(selection.rejected)} scenes can be used: {told}", "check area, period and --max-cloud"


def _over(overpasses: tuple[Overpass, ...], geobox: GeoBox) -> Iterator[Overpass]:
    """The overpasses that touch ``geobox``, with the scenes that do."""
    block = box(*geobox.boundingbox.bbox)
    outlines: dict[CRS, BaseGeometry] = {}
    for overpass in overpasses:
        near = []
        for scene in overpass.scenes:
            crs = crs_of(scene.grid)
            if crs not in outlines:
                outlines[crs] = project(block, crs_of(geobox), crs)
            if outlines[crs].intersects(box(*scene.grid.boundingbox.bbox)):
                near.append(scene)
        if near:
            yield Overpass(overpass.time, tuple(near))


def _classes(mask: NDArray[np.int16]) -> dict[int, int]:
    codes, counts = np.unique(mask, return_counts=True)
    return {int(code): int(count) for code, count in zip(codes, counts, strict=True)}
