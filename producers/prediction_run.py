"""Maps of one model, predicted block by block: several from one walk through its trees, in processes or on a cluster.

Blocks wait beside the maps until all are put together, so that a run that was killed goes on where it stood.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil.errors import NoData, writing
from cup4soil.grids import Window, blocks
from cup4soil.products import Algorithm, ProductRecord, Source
from cup4soil.progress import Progress
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.rasters.scratch import read_scratch, scratch_facts, write_scratch
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from cup4soil.soil_blocks import MapKey, block_size, held_model, predict_window
from cup4soil.soil_maps import AOA_NODATA, MAP_NODATA, Stored
from cup4soil.soil_predictions import SoilMapPlan, Tally
from cup4soil.staging import occupied
from producers.block_runs import Execution, Work, clear_run, compute_blocks, grid_shape, run_folder
from producers.block_tasks import Step
from producers.jobs import Delivery, deliver
from producers.method_page import read_report, with_method_page
from producers.training_record import REPORT_FILE
from stac_catalog.store import Store

# Steps of progress for each block; so many dates of a composite take about as long as a block's maps.
_WEIGHT = 400


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """All that a worker has to know of a run; ``mask`` is in the grid's CRS, ``folder`` takes the blocks.

    The model is read where it lies by each process, once, and only if it is the one of ``checksum``.
    """

    model: Path
    checksum: str
    stack: CovariateStack
    geobox: GeoBox
    mask: BaseGeometry | None
    maps: tuple[MapKey, ...]
    threads: int
    folder: Path

    def block_path(self, key: MapKey, block: Window) -> Path:
        """Where the scratch of a block of a map lies, without suffix."""
        return self.folder / map_name(key) / block.name


@dataclass(frozen=True)
class MapRun:
    """The maps of one model over one area; ``wanted`` are those to compute, all of ``plans`` without."""

    model: Path
    plans: tuple[SoilMapPlan, ...]
    settings: Settings
    execution: Execution
    wanted: tuple[MapKey, ...] | None = None

    @cached_property
    def jobs(self) -> tuple["MapJob", ...]:
        """One for each map."""
        return tuple(MapJob(self, plan) for plan in self.plans)

    @cached_property
    def id(self) -> str:
        """Identity of the run: the maps it makes."""
        maps = " ".join(sorted(plan.id for plan in self.plans))
        return f"maps-{hashlib.sha256(maps.encode()).hexdigest()[:12]}"

    @property
    def keys(self) -> tuple[MapKey, ...]:
        """The maps to compute."""
        return tuple(plan.key for plan in self.plans) if self.wanted is None else self.wanted

    @cached_property
    def blocks(self) -> tuple[Window, ...]:
        """The blocks of the grid. They depend on no more than the run's identity and the memory set."""
        depths = len({plan.depth for plan in self.plans})
        first = self.plans[0]
        return tuple(blocks(grid_shape(first.crop.geobox), block_size(first.model, depths, self.settings)))

    def block_plan(self, folder: Path) -> BlockPlan:
        """What the workers need."""
        first = self.plans[0]
        return BlockPlan(
            model=self.model.resolve(),
            checksum=first.model.description.arrays_checksum,
            stack=first.stack.resolved(),
            geobox=first.crop.geobox,
            mask=first.crop.mask,
            maps=self.keys,
            threads=self.settings.threads,
            folder=folder.resolve(),
        )

    def compute(self, folder: Path, progress: Progress) -> None:
        """Compute the blocks that ``folder`` does not hold yet, of all maps that are not put together yet."""
        maps = tuple(key for key in self.keys if not _put_together(folder, key))
        plan = replace(self.block_plan(folder), maps=maps)
        work = Work(
            title="Predicting",
            task=predict_task,
            plan=plan,
            blocks=self.blocks,
            paths=lambda block: [plan.block_path(key, block) for key in maps],
            dates=_WEIGHT,
            scenes=0,
            most_broken=0,
        )
        compute_blocks(work, folder, self.settings, self.execution, progress)


@dataclass(frozen=True)
class MapJob:
    """A planned map of a run."""

    of: MapRun
    plan: SoilMapPlan

    @property
    def id(self) -> str:
        """Identity of the map."""
        return self.plan.id

    @property
    def collection(self) -> str:
        """Collection of the property and depth."""
        return self.plan.collection

    @property
    def algorithm(self) -> Algorithm:
        """The method with all parameters that decide the result."""
        return self.plan.algorithm

    @property
    def sources(self) -> tuple[Source, ...]:
        """Model, samples and covariates."""
        return self.plan.sources

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Write each layer of the map as a file of its own into ``folder``.

        Raises:
            NoData: when no cell has all covariates.
            InvalidInput: when the scheduler cannot be reached.
        """
        parent, run = folder.parent, self.of
        with run_folder(parent, run.id) as scratch:
            # Asked for again, as when its folder was removed: what an earlier part of the run made of it is gone.
            _done_file(scratch, self.plan.key).unlink(missing_ok=True)
            run.compute(scratch, progress)
            try:
                record = self._put_together(run.block_plan(scratch), folder, progress)
            except NoData:
                clear_run(parent, run.id)
                raise
            _mark_put_together(scratch, self.plan.key)
            if all(_put_together(scratch, key) for key in run.keys):
                clear_run(parent, run.id)
        return record

    def _put_together(self, plan: BlockPlan, folder: Path, progress: Progress) -> ProductRecord:
        tally = Tally()
        layers, grid = self.plan.layers, plan.geobox
        with ExitStack() as stack, progress.step("Writing", len(self.of.blocks) + len(layers)) as advance:
            writers = []
            for layer in layers:
                # Called when the writer has finished its file.
                stack.callback(advance)
                writers.append(stack.enter_context(LayerWriter(folder, layer, grid)))
            for block in self.of.blocks:
                path = plan.block_path(self.plan.key, block)
                stored = _unpacked(read_scratch(path))
                tally.add(stored["aoa"], (scratch_facts(path) or {})["asked"])
                for writer in writers:
                    writer.write(block, stored[writer.layer.name][None])
                advance()
            tally.check()
        record = self.plan.record(tuple(writer.layer for writer in writers), tally)
        report = self.of.model / REPORT_FILE
        return with_method_page(record, folder, read_report(report) if report.is_file() else None)


def predict_task(plan: BlockPlan, block: Window, step: Step | None = None) -> dict[str, str]:
    """Predict a block of all maps of a plan and write them; nothing is ever left out."""
    codes = tuple(dict.fromkeys(code for code, _ in plan.maps))
    depths = tuple(dict.fromkeys(depth for _, depth in plan.maps))
    model = held_model(plan.model, plan.checksum, codes)
    maps, asked = predict_window(model, plan.stack, block.of(plan.geobox), plan.mask, depths, plan.threads)
    for key in plan.maps:
        write_scratch(plan.block_path(key, block), _packed(maps[key]), {"broken": {}, "asked": asked})
    if step is not None:
        for _ in range(_WEIGHT):
            step()
    return {}


def _packed(stored: Stored) -> dict[str, NDArray[np.int16]]:
    """Layers as scratch keeps them: (1, rows, columns) of int16."""
    packed = {}
    for name, values in stored.items():
        signed = values.astype(np.int16)
        packed[name] = (
            np.where(values == AOA_NODATA, np.int16(MAP_NODATA), signed)[None] if name == "aoa" else signed[None]
        )
    return packed


def _unpacked(packed: dict[str, NDArray[np.int16]]) -> dict[str, NDArray[np.integer]]:
    """Layers (rows, columns) in their own types, as :func:`_packed` took them."""
    stored: dict[str, NDArray[np.integer]] = {name: values[0] for name, values in packed.items()}
    aoa = packed["aoa"][0]
    stored["aoa"] = np.where(aoa == MAP_NODATA, AOA_NODATA, aoa).astype(np.uint8)
    return stored


def map_name(key: MapKey) -> str:
    """Name of a map among those of its model: ``clay-0-10cm``."""
    code, depth = key
    return code if depth is None else f"{code}-{depth}"


def deliver_maps(run: MapRun, out: Path, store: Store | None, progress: Progress) -> Iterator[Delivery]:
    """Make the maps that are not there yet, one after the other; a single one lies in ``out`` itself.

    Of several each has its folder in ``out``. Maps that are whole stay, whatever happens to a later one.

    Raises:
        NoData: when no cell has all covariates.
    """
    folders = [out / map_name(plan.key) if len(run.plans) > 1 else out for plan in run.plans]
    missing = tuple(
        plan.key
        for plan, folder in zip(run.plans, folders, strict=True)
        if not occupied(folder) and (store is None or store.find(plan.collection, plan.id) is None)
    )
    for job, folder in zip(replace(run, wanted=missing).jobs, folders, strict=True):
        yield deliver(job, folder, store, progress)


def _mark_put_together(folder: Path, key: MapKey) -> None:
    """The blocks of a map are needed no more."""
    with writing(folder):
        _done_file(folder, key).touch()
    shutil.rmtree(folder / map_name(key), ignore_errors=True)


def _put_together(folder: Path, key: MapKey) -> bool:
    return _done_file(folder, key).exists()


def _done_file(folder: Path, key: MapKey) -> Path:
    return folder / f"{map_name(key)}.done"
