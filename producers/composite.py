"""Bare-soil composites from a Sentinel-2 archive: the suite of SCMaP, block by block, in one or several windows."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil.errors import InvalidInput, NoData, writing
from cup4soil.grids import Window
from cup4soil.licences import derived_licence
from cup4soil.methods.bare_tests import bare_test
from cup4soil.methods.composite import CompositeRules
from cup4soil.products import Algorithm, ProductRecord, Source, product_id
from cup4soil.progress import Progress
from cup4soil.rasters.scenes import tile_sizes
from cup4soil.rasters.scratch import read_scratch, scratch_facts
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from producers.block_runs import Broken, Execution, Work, clear_run, compute_blocks, grid_shape, run_folder
from producers.composite_engine import EnginePlan, run_block
from producers.composite_layers import LAYERS
from producers.composite_plan import BlockPlan, plan_blocks
from producers.composite_record import (
    COLLECTION,
    LINEAGE,
    TILES,
    Making,
    composite_algorithm,
    composite_lineage,
    composite_record,
    report_facts,
    tile_outlines,
)
from producers.composite_report import write_composite_report
from producers.composite_request import CompositeRequest, check_request, raster_sources
from producers.composite_summary import CompositeSummary
from producers.composite_surfaces import read_threshold
from producers.composite_windows import TimeWindow, dates_of, time_windows
from producers.found_scenes import find_scenes
from producers.jobs import write_document
from producers.land_cover import Legend, read_legend
from producers.scenes import Selection


class _Locks(NamedTuple):
    """Folders that stay locked until ``stack`` is left, by the folder each lies in."""

    stack: ExitStack
    held: dict[Path, Path]


@dataclass(frozen=True)
class CompositeRun:
    """One reading of an archive and the windows it gives; see :func:`plan_run`. ``area`` is in the grid's CRS."""

    request: CompositeRequest
    settings: Settings
    execution: Execution
    selection: Selection
    windows: tuple[TimeWindow, ...]
    geobox: GeoBox
    area: BaseGeometry | None
    legend: Legend
    rasters: tuple[Source, ...]
    rules: CompositeRules = field(default_factory=CompositeRules)
    # Folders that this run has been through: what could not be read for one window is not asked for again by the next.
    _computed: set[Path] = field(default_factory=set, init=False, repr=False, compare=False)
    _locks: list["_Locks"] = field(default_factory=list, init=False, repr=False, compare=False)

    @cached_property
    def jobs(self) -> tuple["CompositeJob", ...]:
        """One for each window."""
        return tuple(CompositeJob(self, window, _within(self.selection, window)) for window in self.windows)

    @cached_property
    def id(self) -> str:
        """Identity of the run: the products it makes."""
        products = " ".join(sorted(job.id for job in self.jobs))
        return f"composites-{hashlib.sha256(products.encode()).hexdigest()[:12]}"

    @cached_property
    def plan(self) -> BlockPlan:
        """How the grid is cut, and what stays in memory."""
        used = dates_of(self.windows, [overpass.time for overpass in self.selection.overpasses])
        return plan_blocks(
            len(self.selection.overpasses),
            [len(dates) for dates in used],
            tile_sizes(scene.files for scene in self.selection.scenes),
            bare_test(self.request.method),
            self.settings.block_memory_mib * 2**20,
            threads=self.settings.threads,
            aligned=self.selection.lies_on(self.geobox),
            largest=max(grid_shape(self.geobox)),
            shared=sum(len(dates) for dates in used if any(dates & other for other in used if other is not dates)),
        )

    @cached_property
    def blocks(self) -> tuple[Window, ...]:
        """The blocks of the grid."""
        return self.selection.blocks(self.geobox, self.plan.edge)

    @property
    def most_broken(self) -> int:
        """How many more scenes may turn out unreadable."""
        return self.execution.most_broken(len(self.selection.scenes), len(self.selection.unreadable))

    def engine_plan(self, folder: Path) -> EnginePlan:
        """What the workers need."""
        return EnginePlan(
            overpasses=self.selection.overpasses,
            windows=self.windows,
            geobox=self.geobox,
            area=self.area,
            threshold=self.request.index_threshold,
            land_cover=self.request.land_cover,
            legend=self.legend,
            method=self.request.method,
            rules=self.rules,
            blocks=self.plan,
            threads=self.settings.threads,
            folder=folder.resolve(),
            most_broken=self.most_broken,
        )

    @contextmanager
    def together(self) -> Iterator[None]:
        """While this lasts, the folder of the run stays locked between one job and the next."""
        with ExitStack() as stack:
            self._locks.append(_Locks(stack, {}))
            try:
                yield
            finally:
                self._locks.pop()

    @contextmanager
    def scratch(self, parent: Path) -> Iterator[Path]:
        """The folder in ``parent`` where blocks wait, locked.

        Raises:
            StoreError: when another process is at the same run.
        """
        if not self._locks:
            with run_folder(parent, self.id) as folder:
                yield folder
            return
        stack, held = self._locks[-1]
        if parent not in held:
            held[parent] = stack.enter_context(run_folder(parent, self.id))
        yield held[parent]

    def clear(self, parent: Path) -> None:
        """Remove what the run left in ``parent``, once all its windows are whole."""
        clear_run(parent, self.id)
        for locks in self._locks:
            locks.held.pop(parent, None)

    def compute(self, folder: Path, progress: Progress) -> None:
        """Compute the blocks that ``folder`` does not hold yet, in all windows that are not put together yet.

        Raises:
            UnreadableScene: when more scenes cannot be read than is allowed.
        """
        windows = tuple(window for window in self.windows if not _put_together(folder, window))
        plan = replace(self.engine_plan(folder), windows=windows)
        work = Work(
            title="Compositing",
            task=run_block,
            plan=plan,
            blocks=self.blocks,
            paths=lambda block: [plan.block_path(window, block) for window in windows],
            dates=len(self.selection.overpasses),
            scenes=len(self.selection.scenes),
            most_broken=plan.most_broken,
            mended=folder not in self._computed,
        )
        compute_blocks(work, folder, self.settings, self.execution, progress)
        self._computed.add(folder)


@dataclass(frozen=True)
class CompositeJob:
    """A planned composite of one window; ``selection`` holds the scenes of the window."""

    of: CompositeRun
    window: TimeWindow
    selection: Selection

    collection = COLLECTION

    @property
    def geobox(self) -> GeoBox:
        """Grid of the product."""
        return self.of.geobox

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """Scenes, threshold surface and land cover."""
        return (*(scene.source() for scene in self.selection.scenes), *self.of.rasters)

    @cached_property
    def licence(self) -> str:
        """Licence of the product, from its sources."""
        return derived_licence([source.licence for source in self.sources], self.of.settings.data_policy)

    @cached_property
    def algorithm(self) -> Algorithm:
        """The method with all parameters that decide the result."""
        of = self.of
        return composite_algorithm(of.request, self.window, of.geobox, of.area, of.rules, of.legend, self.licence)

    @cached_property
    def id(self) -> str:
        """Identity of the product."""
        return product_id("composite", self.algorithm, self.sources)

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Write the suite into ``folder``.

        What is computed waits beside ``folder`` until every window is put together: a run that was killed goes on
        where it stood.

        Raises:
            NoData: when no cell has a valid observation.
            UnreadableScene: when more scenes cannot be read than is allowed.
        """
        parent = folder.parent
        with self.of.scratch(parent) as scratch:
            self.of.compute(scratch, progress)
            record = self._put_together(scratch, folder, progress)
            _mark_put_together(scratch, self.window)
            if all(_put_together(scratch, window) for window in self.of.windows):
                self.of.clear(parent)
        return record

    def _put_together(self, scratch: Path, folder: Path, progress: Progress) -> ProductRecord:
        plan = self.of.engine_plan(scratch)
        summary, broken = CompositeSummary(), Broken()
        seen: Counter[str] = Counter()
        dropped: Counter[str] = Counter()
        with progress.step("Writing", len(self.of.blocks) + len(LAYERS)) as advance, ExitStack() as stack:
            writers = {}
            for name, layer in LAYERS.items():
                # Called when the writer has finished its file.
                stack.callback(advance)
                writers[name] = stack.enter_context(LayerWriter(folder, layer, self.geobox))
            for block in self.of.blocks:
                path = plan.block_path(self.window, block)
                facts, stored = scratch_facts(path) or {}, read_scratch(path)
                summary.add(stored, read_threshold(self.of.request.index_threshold, block.of(self.geobox)))
                broken.add(facts["broken"])
                for scene, (valid, lost) in facts["dates"].items():
                    seen[scene] += valid
                    dropped[scene] += lost
                for name, writer in writers.items():
                    writer.write(block, stored[name])
                advance()
            if not summary.observed:
                raise NoData("no cell has a valid observation", "widen the period, or raise --max-cloud")
        layers = tuple(writer.layer for writer in writers.values())
        making = Making(
            self.of.request, self.window, self.selection, self.geobox, self.algorithm, self.sources, self.licence,
            broken, dict(summary.classes), len(self.of.blocks), self.of.plan,
        )  # fmt: skip
        suspects = {scene: (valid, dropped[scene]) for scene, valid in seen.items()}
        record = composite_record(self._final_id(broken), making, layers)
        with writing(folder):
            write_document(folder / LINEAGE.file, composite_lineage(making))
            write_document(folder / TILES.file, tile_outlines(self.selection))
            documents = write_composite_report(folder, summary, report_facts(record, making, suspects))
        return record.model_copy(update={"documents": (*record.documents, *documents)})

    def _final_id(self, broken: Broken) -> str:
        """The planned identity; another one where scenes could not be read, so that a mended archive is used again."""
        if not broken.reasons:
            return self.id
        parameters = {**self.algorithm.parameters, "unread": dict(sorted(broken.blocks.items()))}
        return product_id("composite", self.algorithm.model_copy(update={"parameters": parameters}), self.sources)


def plan_composite(request: CompositeRequest, settings: Settings, execution: Execution | None = None) -> CompositeJob:
    """The composite of a request for one window; as :func:`plan_run`.

    Raises:
        InvalidInput: besides, when the request is for several windows.
    """
    run = plan_run(request, settings, execution)
    if len(run.jobs) != 1:
        raise InvalidInput(f"the request is for {len(run.jobs)} windows", "ask for one, or plan a run")
    return run.jobs[0]


def plan_run(request: CompositeRequest, settings: Settings, execution: Execution | None = None) -> CompositeRun:
    """Find the scenes, the grid and the windows; none of the scenes' pixels are read.

    Raises:
        InvalidInput: when an argument cannot be used.
        NoData: when no scene fits.
        UnreadableScene: when more scenes cannot be read than is allowed.
        LimitExceeded: when the grid is too large.
        LicenceConflict: when the sources' licences cannot be combined.
    """
    check_request(request)
    execution = execution or Execution()
    found = find_scenes(request, settings, execution)
    selection = found.selection
    times = [overpass.time for overpass in selection.overpasses]
    windows = time_windows(request.start, request.end, years=request.years, seasons=request.seasons, times=times)
    empty = [window.label for window in windows if not any(map(window.holds, times))]
    if empty:
        raise NoData(f"no usable scene in {', '.join(empty)}", "narrow the period, or ask for other windows")
    legend = read_legend(request.legend)
    run = CompositeRun(
        request,
        settings,
        execution,
        selection,
        windows,
        found.geobox,
        found.area,
        legend,
        tuple(raster_sources(request)),
    )
    # Whether the licences go together is known before anything is read.
    for job in run.jobs:
        _ = job.licence
    return run


def _within(selection: Selection, window: TimeWindow) -> Selection:
    overpasses = tuple(overpass for overpass in selection.overpasses if window.holds(overpass.time))
    return replace(selection, overpasses=overpasses)


def _mark_put_together(folder: Path, window: TimeWindow) -> None:
    """The blocks of a window are needed no more."""
    with writing(folder):
        (folder / f"{window.label}.done").touch()
    shutil.rmtree(folder / window.label, ignore_errors=True)


def _put_together(folder: Path, window: TimeWindow) -> bool:
    return (folder / f"{window.label}.done").exists()
