"""How a composite is cut into blocks: within a budget of memory, reading the archive as few times as possible."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cup4soil.methods.bare_soil import BANDS
from cup4soil.methods.bare_tests import BareTest
from cup4soil.methods.composite import BLUE, ROWS_AT_ONCE
from cup4soil.rasters.scenes import TileSizes

EDGES = (2048, 1024, 512, 256, 128, 64, 32)
# Dates of a band that are summed at once: few enough to stay in the cache, enough to spare loads of the sums.
DATES_AT_ONCE = 8
FINE = frozenset(("B02", "B03", "B04", "B08"))
FINE_CELLS = 4
# Per cell and date: a kept band, and the bare flag with what is packed of the masks.
_KEPT_BYTES, _FLAG_BYTES = 4.0, 1.5
# Per cell and date of a window that shares dates with another: what of it enters the means.
_CHOSEN_BYTES = 1.0
# Per cell and window: limits, counts, monthly counts, moments, layers; and the encoded layers of one window at a time,
# with what is in between.
_WINDOW_BYTES, _FINISHED_BYTES = 350.0, 500.0
# Per cell and thread: a band as stored at 10 m, as reflectance, dates to add, running sums.
_THREAD_BYTES, _SUMS_BYTES = 40.0 + 4.0 * DATES_AT_ONCE, 40.0
# Per cell, where scenes are warped: coordinates and places of the cells on the grids of scenes, while they are found.
_PLACES_BYTES = 160.0


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """Edge of a block in cells, the bands kept in memory for each date, and how often a stored byte is decoded on
    average.
    """

    edge: int
    kept: tuple[str, ...]
    readings: float
    bytes: float


def plan_blocks(
    dates: int,
    windows: Sequence[int],
    tiles: TileSizes,
    test: BareTest,
    budget_bytes: float,
    *,
    threads: int,
    aligned: bool,
    largest: int,
    shared: int = 0,
) -> BlockPlan:
    """The block and the bands kept that read least within ``budget_bytes``.

    A median of B02 has to be known before any band can be summed, so that bands of the bare-soil test are read twice
    unless they are kept; and a block smaller than a tile of the archive has its tile decoded for each block.

    Args:
        dates: number of dates.
        windows: number of dates in each window in time.
        tiles: tiles of the archive.
        test: the bare-soil test.
        budget_bytes: memory a block may take.
        threads: threads of a worker.
        aligned: whether blocks can follow the archive's tiles (no warping, one grid).
        shared: dates of all windows that have a date in common with another.
        largest: longest edge of the grid in cells; a block is not larger than its next size.
    """
    best: BlockPlan | None = None
    for edge in edges(largest):
        for kept in _kept_choices(test):
            need = edge**2 * (_bytes_per_cell(dates, len(windows), len(kept), threads) + shared * _CHOSEN_BYTES)
            need += 0.0 if aligned else edge**2 * _PLACES_BYTES
            need += 0.0 if test.statistic == "mean" else _median_bytes(edge, max(windows), threads)
            plan = BlockPlan(edge, kept, _readings(edge, kept, test, tiles, aligned=aligned), need)
            smallest = edge == EDGES[-1] and len(kept) == len(_kept_choices(test)[0])
            if (need <= budget_bytes or smallest) and (best is None or plan.readings < best.readings - 1e-9):
                best = plan
    if best is None:
        raise ValueError(f"no block of {dates} dates")
    return best


def edges(largest: int) -> Iterator[int]:
    """From small to large: of two that read equally, the smaller takes less memory and shares work better."""
    for edge in reversed(EDGES):
        yield edge
        if edge >= largest:
            return


def _kept_choices(test: BareTest) -> Sequence[tuple[str, ...]]:
    """From few bands to many; B02 is always kept, and a median needs them all."""
    if test.statistic != "mean":
        return [BANDS]
    again = sorted((band for band in test.bands if band != BLUE), key=lambda band: (band not in FINE, band))
    return [(BLUE, *again[:n]) for n in range(len(again) + 1)]


def _bytes_per_cell(dates: int, windows: int, kept: int, threads: int) -> float:
    series = dates * (_KEPT_BYTES * kept + _FLAG_BYTES)
    return series + windows * (_WINDOW_BYTES + threads * _SUMS_BYTES) + threads * _THREAD_BYTES + _FINISHED_BYTES


def _median_bytes(edge: int, dates: int, threads: int) -> float:
    """The medians of a window, and the series of the rows at which all threads work, copied once more."""
    rows = min(edge, ROWS_AT_ONCE * threads)
    return len(BANDS) * _KEPT_BYTES * edge * (edge + rows * dates)


def _readings(edge: int, kept: tuple[str, ...], test: BareTest, tiles: TileSizes, *, aligned: bool) -> float:
    """Cells decoded for each cell stored, over all bands and the classification."""
    decoded, stored = overhead(edge, tiles.coarse, aligned=aligned), 1.0
    for band in BANDS:
        fine = band in FINE
        cells = FINE_CELLS if fine else 1
        times = 2 if band in test.bands and band not in kept else 1
        decoded += times * cells * overhead(edge, tiles.fine if fine else tiles.coarse, aligned=aligned)
        stored += cells
    return decoded / stored


def overhead(edge: int, tile: int, *, aligned: bool) -> float:
    """Cells of the tiles that a block touches for each of its own, on average."""
    if aligned:
        return max(1.0, tile / edge) ** 2
    # A block that lies anywhere touches half a tile more on each side.
    return (1.0 + tile / edge) ** 2
