"""Index products: temporal extremes of the bare-soil index and monthly counts, made anew or brought up to date."""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import NoData
from cup4soil.grids import Window
from cup4soil.licences import derived_licence
from cup4soil.methods.bare_tests import BareTest
from cup4soil.methods.index_statistics import IndexStatistics
from cup4soil.products import Algorithm, ProductRecord, Source, product_id
from cup4soil.progress import Progress
from cup4soil.rasters.scenes import tile_sizes
from cup4soil.rasters.scratch import read_scratch, scratch_facts
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from producers.block_runs import Broken, Execution, Work, clear_run, compute_blocks, grid_shape, run_folder
from producers.composite_layers import INDEX_LAYER, VPC_MONTHLY_LAYER, encode_index
from producers.composite_plan import BlockPlan
from producers.composite_record import LINEAGE, TILES, tile_outlines
from producers.composite_request import check_archive_request
from producers.found_scenes import FoundScenes, find_scenes
from producers.index_engine import IndexPlan, index_test, plan_index_blocks, run_index_block
from producers.index_record import COLLECTION, IndexMaking, index_algorithm, index_lineage, index_record
from producers.index_request import IndexRequest
from producers.index_update import UNREAD, PreviousBlocks, PreviousIndex, overpasses_to_read
from producers.jobs import write_document
from producers.scenes import Overpass

__all__ = ["IndexJob", "IndexRequest", "plan_index"]

type _Stored = Mapping[str, NDArray[np.int16]]


@dataclass(frozen=True)
class IndexJob:
    """A planned index product; see :func:`plan_index`. ``overpasses`` are those to be read."""

    request: IndexRequest
    settings: Settings
    execution: Execution
    found: FoundScenes
    test: BareTest
    licence: str
    previous: PreviousIndex | None
    overpasses: tuple[Overpass, ...]

    collection = COLLECTION

    @cached_property
    def algorithm(self) -> Algorithm:
        """The method with all parameters that decide the result."""
        return index_algorithm(self.request, self.test, self.found.geobox, self.found.area, self.licence)

    @cached_property
    def scenes(self) -> tuple[Source, ...]:
        """All scenes the product speaks of, read now or earlier."""
        return tuple(scene.source() for scene in self.found.selection.scenes)

    @cached_property
    def id(self) -> str:
        """Identity of the product: that of one made anew from the same scenes."""
        return product_id("index", self.algorithm, self.scenes)

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The scenes, and the product that is brought up to date."""
        if self.previous is None or self.previous.record.id == self.id:
            return self.scenes
        return (*self.scenes, self.previous.source())

    @cached_property
    def plan(self) -> BlockPlan:
        """How the grid is cut."""
        selection, geobox = self.found.selection, self.found.geobox
        return plan_index_blocks(
            tile_sizes(scene.files for scene in selection.scenes),
            self.test,
            self.settings.block_memory_mib * 2**20,
            threads=self.settings.threads,
            aligned=selection.lies_on(geobox),
            largest=max(grid_shape(geobox)),
        )

    @cached_property
    def blocks(self) -> tuple[Window, ...]:
        """The blocks of the grid."""
        return self.found.selection.blocks(self.found.geobox, self.plan.edge)

    @property
    def scenes_to_read(self) -> int:
        """How many scenes are read."""
        return sum(len(overpass.scenes) for overpass in self.overpasses)

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Write the layers into ``folder``; a run that was killed goes on where it stood.

        Raises:
            NoData: when no cell has a valid observation.
            UnreadableScene: when more scenes cannot be read than is allowed.
            InvalidRaster: when the product to update cannot be read.
        """
        parent, name = folder.parent, self._run_name()
        with run_folder(parent, name) as scratch:
            plan = self._plan(scratch)
            if self.overpasses:
                compute_blocks(self._work(plan), scratch, self.settings, self.execution, progress)
            record = self._put_together(plan, folder, progress)
            clear_run(parent, name)
        return record

    def _run_name(self) -> str:
        """What waits in scratch depends on what was counted already."""
        before = self.previous.record.id if self.previous else ""
        return f"index-{hashlib.sha256(f'{self.id} {before}'.encode()).hexdigest()[:12]}"

    def _plan(self, scratch: Path) -> IndexPlan:
        return IndexPlan(
            overpasses=self.overpasses,
            geobox=self.found.geobox,
            area=self.found.area,
            test=self.test.name,
            threads=self.settings.threads,
            folder=scratch.resolve(),
            most_broken=self.execution.most_broken(self.scenes_to_read, len(self.found.selection.unreadable)),
        )

    def _work(self, plan: IndexPlan) -> Work[IndexPlan]:
        return Work(
            title="Reading the index",
            task=run_index_block,
            plan=plan,
            blocks=self.blocks,
            paths=lambda block: [plan.block_path(block)],
            dates=len(self.overpasses),
            scenes=self.scenes_to_read,
            most_broken=plan.most_broken,
        )

    def _put_together(self, plan: IndexPlan, folder: Path, progress: Progress) -> ProductRecord:
        broken, counts = Broken(), _Counts()
        with ExitStack() as stack, progress.step("Writing", len(self.blocks)) as advance:
            layers = (INDEX_LAYER, VPC_MONTHLY_LAYER)
            writers = [stack.enter_context(LayerWriter(folder, each, self.found.geobox)) for each in layers]
            before = stack.enter_context(PreviousBlocks(self.previous)) if self.previous else None
            for block in self.blocks:
                stored, unread = self._read(plan, block)
                broken.add(unread)
                if before is not None:
                    stored = before.merged(block, stored)
                counts.add(stored[VPC_MONTHLY_LAYER.name])
                for writer in writers:
                    writer.write(block, stored[writer.layer.name])
                advance()
            if not counts.observed:
                raise NoData("no cell has a valid observation", "widen the period, or raise --max-cloud")
        making = self._making(broken, counts)
        write_document(folder / LINEAGE.file, index_lineage(making))
        write_document(folder / TILES.file, tile_outlines(self.found.selection))
        final = product_id("index", making.algorithm, self.scenes)
        return index_record(final, making, tuple(writer.layer for writer in writers))

    def _read(self, plan: IndexPlan, block: Window) -> tuple[_Stored, dict[str, str]]:
        """What was found in a block, and the scenes that could not be read."""
        if not self.overpasses:
            empty = IndexStatistics((block.height, block.width))
            return encode_index(empty.range, empty.monthly, None), {}
        path = plan.block_path(block)
        return read_scratch(path), (scratch_facts(path) or {}).get("broken", {})

    def _making(self, broken: Broken, counts: "_Counts") -> IndexMaking:
        algorithm = self.algorithm
        if broken.reasons:
            # Another product, so that a mended archive is used again, and one that no update may start from.
            parameters = {**algorithm.parameters, UNREAD: dict(sorted(broken.blocks.items()))}
            algorithm = algorithm.model_copy(update={"parameters": parameters})
        return IndexMaking(
            request=self.request,
            selection=self.found.selection,
            geobox=self.found.geobox,
            test=self.test,
            algorithm=algorithm,
            sources=self.sources,
            licence=self.licence,
            previous=self.previous.record if self.previous else None,
            read=self.scenes_to_read,
            broken=broken,
            blocks=len(self.blocks),
            plan=self.plan,
            observed=counts.observed,
            observations=counts.observations,
        )


class _Counts:
    """Cells with valid observations, and these observations."""

    def __init__(self) -> None:
        self.observed = self.observations = 0

    def add(self, monthly: NDArray[np.int16]) -> None:
        seen = monthly[0] != VPC_MONTHLY_LAYER.nodata
        self.observed += int(np.count_nonzero(seen))
        self.observations += int(monthly[:, seen].sum(dtype=np.int64))


def plan_index(request: IndexRequest, settings: Settings, execution: Execution | None = None) -> IndexJob:
    """Find the scenes and the grid, and with ``update`` what has to be read; none of the scenes' pixels are read.

    Raises:
        InvalidInput: when an argument cannot be used, or an update cannot be exact.
        NotFound: when a product to update, or more files of scenes than is allowed, are missing.
        NoData: when no scene fits.
        LimitExceeded: when the grid is too large.
        LicenceConflict: when the sources' licences cannot be combined.
    """
    check_archive_request(request)
    test = index_test(request.method)
    previous = PreviousIndex.open(request.update) if request.update is not None else None
    execution = execution or Execution()
    found = find_scenes(request, settings, execution)
    licence = derived_licence([scene.licence for scene in found.selection.scenes], settings.data_policy)
    overpasses = found.selection.overpasses
    if previous is not None:
        algorithm = index_algorithm(request, test, found.geobox, found.area, licence)
        overpasses = overpasses_to_read(previous, algorithm, found.selection, found.geobox)
    return IndexJob(request, settings, execution, found, test, licence, previous, overpasses)
