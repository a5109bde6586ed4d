"""One block of a composite: read, composited in all windows, written to scratch. The task that a worker runs."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil.grids import Window
from cup4soil.methods.bare_soil import BANDS
from cup4soil.methods.bare_tests import bare_test
from cup4soil.methods.composite import BLUE, BlockComposer, CompositeBlock, CompositeRules, Season
from cup4soil.methods.workspace import Workspace
from cup4soil.rasters.masks import cells_inside
from cup4soil.rasters.scenes import OverpassView, Target, UnreadableScene
from cup4soil.rasters.scratch import write_scratch
from producers.block_tasks import BrokenScenes, Step, all_of, leaving_out_broken, scenes_over
from producers.composite_layers import encode_block
from producers.composite_plan import DATES_AT_ONCE, BlockPlan
from producers.composite_surfaces import read_land_cover, read_threshold
from producers.composite_windows import TimeWindow
from producers.land_cover import Legend
from producers.scenes import Overpass


class Workspaces:
    """The memory of a process for the blocks of one run: one block's when another has ended."""

    def __init__(self) -> None:
        self._idle: list[Workspace] = []
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        # Each process has memory of its own.
        return type(self), ()

    @contextmanager
    def one(self) -> Iterator[Workspace]:
        """Memory for one block."""
        with self._lock:
            workspace = self._idle.pop() if self._idle else Workspace()
        yield workspace
        with self._lock:
            self._idle.append(workspace)


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """All that a worker has to know of a run; ``area`` is in the grid's CRS, ``folder`` takes the blocks."""

    overpasses: tuple[Overpass, ...]
    windows: tuple[TimeWindow, ...]
    geobox: GeoBox
    area: BaseGeometry | None
    threshold: float | Path
    land_cover: Path | None
    legend: Legend
    method: str
    rules: CompositeRules
    blocks: BlockPlan
    threads: int
    folder: Path
    most_broken: int
    workspaces: Workspaces = field(default_factory=Workspaces, compare=False, repr=False)

    def block_path(self, window: TimeWindow, block: Window) -> Path:
        """Where the scratch of a block of a window lies, without suffix."""
        return self.folder / window.label / block.name


def run_block(plan: EnginePlan, block: Window, step: Step | None = None) -> dict[str, str]:
    """Composite a block in all windows and write it; ``step`` is called once for each overpass.

    A scene that cannot be read is left out of the block, which is begun anew without it.

    Returns:
        The scenes left out, and why; no block is written when they are more than the plan allows.
    """
    with plan.workspaces.one() as workspace:
        finished, broken = leaving_out_broken(
            lambda without, each: _composite(plan, block, without, each, workspace), plan.most_broken, step
        )
        if finished is None:
            return broken
        inside = None if plan.area is None else cells_inside(plan.area, block.of(plan.geobox))
        for window, each, seen in zip(plan.windows, *finished, strict=True):
            facts = {"broken": _of_window(broken, window, plan.overpasses), "dates": seen}
            layers = encode_block(each, inside, threads=plan.threads, workspace=workspace)
            write_scratch(plan.block_path(window, block), layers, facts)
    return broken


def _of_window(broken: Mapping[str, str], window: TimeWindow, overpasses: Sequence[Overpass]) -> dict[str, str]:
    """The scenes that a window would have used: other windows lack nothing."""
    if not broken:
        return {}
    used = {scene.id for overpass in overpasses if window.holds(overpass.time) for scene in overpass.scenes}
    return {scene: reason for scene, reason in broken.items() if scene in used}


type _Finished = tuple[list[CompositeBlock], list[dict[str, Any]]]


def _composite(
    plan: EnginePlan, block: Window, broken: Mapping[str, str], step: Step | None, workspace: Workspace
) -> _Finished:
    """The block in each window; for each window the observations of every scene, and how many were dropped."""
    geobox = block.of(plan.geobox)
    overpasses = list(scenes_over(plan.overpasses, geobox, broken))
    threshold = read_threshold(plan.threshold, geobox)
    composer = BlockComposer(
        len(overpasses),
        [_season(window, overpasses) for window in plan.windows],
        threshold,
        plan.blocks.kept,
        test=bare_test(plan.method),
        rules=plan.rules,
        threads=plan.threads,
        workspace=workspace,
    )
    reader = _Reader(composer, overpasses, Target(geobox), step)
    for _ in range(len(plan.overpasses) - len(overpasses)):
        reader.step()
    with ThreadPoolExecutor(plan.threads) as pool:
        all_of([pool.submit(reader.observe, date) for date in range(len(overpasses))])
        composer.select()
        # The bands of 10 m first: the threads end together.
        all_of(
            [pool.submit(reader.sum_up, band) for band in sorted(BANDS, key=lambda b: (b in composer.kept_bands, b))]
        )
    cover = None if plan.land_cover is None else read_land_cover(plan.land_cover, geobox, plan.legend)
    return composer.blocks(cover), [_dropped(overpasses, found) for found in composer.dropped()]


class _Reader:
    """Reads the dates of a block for its composer."""

    def __init__(
        self, composer: BlockComposer, overpasses: Sequence[Overpass], target: Target, step: Step | None
    ) -> None:
        self._composer = composer
        self._overpasses = overpasses
        self._target = target
        self._views: list[OverpassView | None] = [None] * len(overpasses)
        self.step = step or (lambda: None)

    def observe(self, date: int) -> None:
        """Read what decides of a date."""
        composer = self._composer
        files = [scene.files for scene in self._overpasses[date].scenes]
        view, blue = OverpassView.open(files, self._target, composer.slot(date, BLUE))
        bands = {BLUE: blue}
        for band in dict.fromkeys((*composer.test.bands, *composer.kept_bands)):
            values = blue if band == BLUE else view.read(band, composer.slot(date, band))
            if values is not None:
                bands[band] = values
        self._views[date] = view if view.scenes else None
        composer.observe(date, bands if view.scenes else None)
        self.step()

    def sum_up(self, band: str) -> None:
        """Sum a band over all dates."""
        composer = self._composer
        if band in composer.kept_bands:
            composer.add_kept(band)
            return
        sums = composer.band(band)
        buffer = sums.room(DATES_AT_ONCE)
        dates: list[int] = []
        broken = {}
        for date, view in enumerate(self._views):
            try:
                if view is not None and view.read(band, buffer[len(dates), 0]) is not None:
                    dates.append(date)
            except UnreadableScene as error:
                # The dates behind it are tried, too, so that one new beginning leaves all of them out.
                broken[error.scene] = error.problem
            if len(dates) == DATES_AT_ONCE:
                sums.add(np.array(dates), buffer)
                dates.clear()
        if dates:
            sums.add(np.array(dates), buffer[: len(dates)])
        if broken:
            raise BrokenScenes(broken)
        sums.finish()


def _season(window: TimeWindow, overpasses: Sequence[Overpass]) -> Season:
    dates = [date for date, overpass in enumerate(overpasses) if window.holds(overpass.time)]
    months = np.array([overpasses[date].time.month for date in dates], dtype=np.int8)
    return Season(np.array(dates, dtype=np.int64), months)


def _dropped(overpasses: Sequence[Overpass], found: NDArray[np.int64]) -> dict[str, Any]:
    """Valid and dropped observations of each overpass, by the id of its first scene."""
    return {
        overpass.scenes[0].id: [int(valid), int(dropped)]
        for overpass, (valid, dropped) in zip(overpasses, found, strict=True)
        if valid
    }
