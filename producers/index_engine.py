"""One block of an index product: read date by date, nothing kept but the running statistics."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil.grids import Window
from cup4soil.methods.bare_tests import TESTS, BareTest, bare_test
from cup4soil.methods.composite import BLUE
from cup4soil.methods.index_statistics import IndexStatistics
from cup4soil.rasters.masks import cells_inside
from cup4soil.rasters.scenes import OverpassView, Target, TileSizes
from cup4soil.rasters.scratch import write_scratch
from producers.block_tasks import Step, all_of, leaving_out_broken, scenes_over
from producers.composite_layers import encode_index
from producers.composite_plan import FINE, FINE_CELLS, BlockPlan, edges, overhead
from producers.scenes import Overpass

# Per cell: extremes, monthly counts, and the same on their way to integers.
_STATISTICS_BYTES, _FINISHED_BYTES = 40.0, 300.0
# Per cell and thread: a band as stored at 10 m, reflectance of the bands, index, places on a scene's own grid.
_THREAD_BYTES = 80.0


def index_test(method: str) -> BareTest:
    """The test that tells the index of ``method`` from the fewest bands: tests that share an index share its product.

    Raises:
        InvalidInput: when there is no such test.
    """
    title = bare_test(method).index_title
    return min((test for test in TESTS.values() if test.index_title == title), key=lambda test: len(test.bands))


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """All that a worker has to know; ``area`` is in the grid's CRS, ``folder`` takes the blocks."""

    overpasses: tuple[Overpass, ...]
    geobox: GeoBox
    area: BaseGeometry | None
    test: str
    threads: int
    folder: Path
    most_broken: int

    def block_path(self, block: Window) -> Path:
        """Where the scratch of a block lies, without suffix."""
        return self.folder / "blocks" / block.name


def plan_index_blocks(
    tiles: TileSizes, test: BareTest, budget_bytes: float, *, threads: int, aligned: bool, largest: int
) -> BlockPlan:
    """The smallest block that reads least within ``budget_bytes``, whatever the number of dates.

    The arguments are those of :func:`producers.composite_plan.plan_blocks`.
    """
    per_cell = _STATISTICS_BYTES + _FINISHED_BYTES + threads * _THREAD_BYTES
    plans = [
        BlockPlan(edge, (), _readings(edge, tiles, test, aligned=aligned), edge**2 * per_cell)
        for edge in edges(largest)
    ]
    fitting = [plan for plan in plans if plan.bytes <= budget_bytes] or plans[:1]
    return min(fitting, key=lambda plan: (round(plan.readings, 9), plan.edge))


def _readings(edge: int, tiles: TileSizes, test: BareTest, *, aligned: bool) -> float:
    """Cells decoded for each cell stored, over the bands that are read and the classification."""
    decoded, stored = overhead(edge, tiles.coarse, aligned=aligned), 1.0
    for band in {BLUE, *test.bands}:
        cells = FINE_CELLS if band in FINE else 1
        decoded += cells * overhead(edge, tiles.fine if band in FINE else tiles.coarse, aligned=aligned)
        stored += cells
    return decoded / stored


def run_index_block(plan: IndexPlan, block: Window, step: Step | None = None) -> dict[str, str]:
    """Compute a block and write it; ``step`` is called once for each overpass.

    Returns:
        The scenes left out as they cannot be read, and why; no block is written when they are more than is allowed.
    """
    found, broken = leaving_out_broken(
        lambda without, each: _observe(plan, block, without, each), plan.most_broken, step
    )
    if found is None:
        return broken
    inside = None if plan.area is None else cells_inside(plan.area, block.of(plan.geobox))
    write_scratch(plan.block_path(block), encode_index(found.range, found.monthly, inside), {"broken": broken})
    return broken


def _observe(plan: IndexPlan, block: Window, broken: Mapping[str, str], step: Step | None) -> IndexStatistics:
    geobox = block.of(plan.geobox)
    overpasses = list(scenes_over(plan.overpasses, geobox, broken))
    reader = _Reader(bare_test(plan.test), overpasses, Target(geobox), step)
    for _ in range(len(plan.overpasses) - len(overpasses)):
        reader.step()
    with ThreadPoolExecutor(plan.threads) as pool:
        all_of([pool.submit(reader.observe, date) for date in range(len(overpasses))])
    return reader.statistics


class _Reader:
    """Reads the dates of a block into its statistics."""

    def __init__(self, test: BareTest, overpasses: Sequence[Overpass], target: Target, step: Step | None) -> None:
        self._test = test
        self._overpasses = overpasses
        self._target = target
        # Which observations are bare is not asked here.
        self._threshold = np.full(target.geobox.shape, np.nan)
        self.step = step or (lambda: None)
        self.statistics = IndexStatistics((target.geobox.shape[0], target.geobox.shape[1]))

    def observe(self, date: int) -> None:
        overpass = self._overpasses[date]
        view, blue = OverpassView.open([scene.files for scene in overpass.scenes], self._target)
        bands = {BLUE: blue}
        for band in self._test.bands:
            values = blue if band == BLUE else view.read(band)
            if values is not None:
                bands[band] = values
        if view.scenes:
            index, _ = self._test.observe(bands, self._threshold)
            self.statistics.add(overpass.time.month, index, blue)
        self.step()
