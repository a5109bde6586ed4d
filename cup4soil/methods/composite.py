"""The bare-soil composite of a block: statistics along time, arrays in, arrays out.

Operational SCMaP rules (DLR, openEO process ``scmap_composite``, 2026). An observation is valid where
B02 is there, and bare where, besides, the bare-soil test holds (by default: the index PVIR2 is at most the threshold).
Residual cloud and haze are bright in B02: a date is dropped where B02 > median + k * s and B02 > median + 80 DN with
s = 1.4826 * median|B02 - median|, k = 3 among the bare and k = 4 among the valid observations.

A block is composited in the order in which an archive can be read with little memory: date by date the bands that
decide (:meth:`BlockComposer.observe`), then every band's dates through running sums (:meth:`BlockComposer.add`).
Of each date only B02, the bare flag, what is kept of it in each season, and the bands named as kept stay in memory.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cup4soil.methods.bare_soil import BANDS
from cup4soil.methods.bare_tests import BareTest, bare_test
from cup4soil.methods.composite_kernels import BARE, VALID, add_moments, finish_moments, finish_src, select_rows, widen
from cup4soil.methods.robust import geometric_median, median_along_time
from cup4soil.methods.workspace import Workspace

BUILT_UP, WATER = 50, 80
OTHER_LAND_COVER = (0, 50, 70, 80, 90, 95)
MASK_CATEGORIES = {
    0: "not observed, or no threshold",
    1: "bare soil at some time",
    2: "permanently vegetated",
    3: "other surface by land cover",
    4: "bare once or twice, too rarely for a composite",
}
BLUE = "B02"
# Half-width of a 95 % interval in standard errors, and how much wider a median's is than a mean's (normal form).
_NORMAL_95, _MEDIAN_FACTOR = 1.96, 1.2533
# Of the work of a thread at a time.
ROWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class CompositeRules:
    """Parameters of the outlier rule and the least number of bare observations."""

    sigma_bare: float = 3.0
    sigma_valid: float = 4.0
    least_excess_dn: float = 80.0
    least_bare_count: int = 3


@dataclass(frozen=True, slots=True)
class Season:
    """A part of a series: ``dates`` are places along its first axis in their order, ``months`` theirs, 1 to 12."""

    dates: NDArray[np.int64]
    months: NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class CompositeBlock:
    """Products of one block. Reflectance in DN (x 10 000), float32, NaN where there is none.

    ``src``, ``src_std``, ``src_ci95``, ``mref``, ``mref_std``: (10, rows, columns);
    ``bsc`` and ``vpc`` counts, ``bsf`` = bsc / vpc: (rows, columns); ``bsf_monthly`` and the counts ``vpc_monthly``:
    (12, rows, columns); ``mask``: codes of ``MASK_CATEGORIES``; ``index_range``: least and largest index over the valid
    observations, (2, rows, columns); ``suspects``: valid and bare observations dropped as residual cloud,
    (2, rows, columns).
    """

    src: NDArray[np.float32]
    src_std: NDArray[np.float32]
    src_ci95: NDArray[np.float32]
    mref: NDArray[np.float32]
    mref_std: NDArray[np.float32]
    bsf: NDArray[np.float32]
    bsc: NDArray[np.int32]
    vpc: NDArray[np.int32]
    bsf_monthly: NDArray[np.float32]
    vpc_monthly: NDArray[np.int16]
    mask: NDArray[np.uint8]
    index_range: NDArray[np.float32]
    suspects: NDArray[np.int32]


class IndexRange:
    """Temporal minimum and maximum of the index over the valid observations of a block, float32, NaN without any."""

    def __init__(self, shape: tuple[int, int], room: NDArray[np.float32] | None = None) -> None:
        self.values = np.empty((2, *shape), dtype=np.float32) if room is None else room
        self.values.fill(np.nan)
        self._lock = Lock()

    def add(self, index: NDArray[np.float32], blue: NDArray[np.float32]) -> None:
        """Take in one date: its index, and B02, NaN where the date is not valid."""
        with self._lock:
            widen(index, blue, self.values[0], self.values[1])


class _Part:
    """The running statistics of one season in a block; ``chosen`` flags what of each of its dates enters the means.

    It takes the place of the ``bare`` flags where they are ``spare``, as no other season needs them.
    """

    def __init__(
        self, season: Season, bare: NDArray[np.uint8], rules: CompositeRules, room: "_Room", *, spare: bool
    ) -> None:
        dates, shape = len(bare), (bare.shape[1], bare.shape[2])
        self.season = season
        self.range = IndexRange(shape, room("range", (2, *shape), np.float32))
        self.tops = room("tops", (2, *shape), np.float32)
        self.counts = room("counts", (4, *shape), np.int32)
        self.monthly = room("monthly", (2, 12, *shape), np.int16)
        self.chosen = bare if spare else room("chosen", (season.dates.size, *shape), np.uint8)
        self.slots = season.dates if spare else np.arange(season.dates.size)
        # MREF and SRC; mean and standard deviation.
        self.moments = room("moments", (2, 2, len(BANDS), *shape), np.float32)
        self.ci95 = room("ci95", (len(BANDS), *shape), np.float32)
        self._months = season.months.astype(np.int64) - 1
        self._limits = (rules.sigma_valid, rules.sigma_bare, rules.least_excess_dn)
        self._places = np.full(dates, -1, dtype=np.int64)
        self._places[season.dates] = self.slots

    def select(self, kept: NDArray[np.float32], bare: NDArray[np.uint8], threads: int) -> None:
        found = (self.tops, self.counts, self.monthly, self.chosen)

        def work(first: int, last: int) -> None:
            select_rows(kept, bare, self.season.dates, self._months, self._limits, self.slots, first, last, found)

        over_rows(work, bare.shape[1], threads)

    def add(self, dates: NDArray[np.int64], values: NDArray[np.float32], place: int, sums: "_Sums") -> None:
        places = self._places[dates]
        used = np.flatnonzero(places >= 0)
        if used.size:
            add_moments(values, place, self.chosen, places[used], used, 0, values.shape[2], sums)


type _Room = Callable[[str, tuple[int, ...], DTypeLike], NDArray[Any]]
type _Sums = tuple[NDArray[np.float64], NDArray[np.int32]]


class BandSums:
    """Running sums of one band; see :meth:`BlockComposer.band`. :meth:`finish` leaves their memory to the next."""

    def __init__(self, composer: "BlockComposer", band: str, slot: int) -> None:
        self.slot = slot
        self._composer = composer
        self._band = BANDS.index(band)
        self._sums = [self._zeros(number) for number in range(len(composer.parts))]

    def _zeros(self, part: int) -> "_Sums":
        name, shape = f"{self.slot} {part}", self._composer.threshold.shape
        totals = self._composer.workspace.empty(f"totals {name}", (4, *shape), np.float64)
        numbers = self._composer.workspace.empty(f"numbers {name}", (2, *shape), np.int32)
        totals.fill(0)
        numbers.fill(0)
        return totals, numbers

    def room(self, dates: int) -> NDArray[np.float32]:
        """Memory into which dates of the band may be read, (dates, 1, rows, columns); as long as the sums last."""
        shape = (dates, 1, *self._composer.threshold.shape)
        return self._composer.workspace.empty(f"dates {self.slot}", shape, np.float32)

    def add(self, dates: NDArray[np.int64], values: NDArray[np.float32], place: int = 0) -> None:
        """Add dates: ``values`` (dates, bands, rows, columns) holds the band in ``place``, NaN where it is missing."""
        for part, sums in zip(self._composer.parts, self._sums, strict=True):
            part.add(dates, values, place, sums)

    def finish(self) -> None:
        """Hand the means and deviations to the composer."""
        for part, sums in zip(self._composer.parts, self._sums, strict=True):
            for kind in range(2):
                finish_moments(sums, kind, part.moments[kind, 0, self._band], part.moments[kind, 1, self._band])
        self._composer.finished(self)


class BlockComposer:
    """A block's composites over one or several seasons, from one reading.

    Call :meth:`observe` for each date (any order, any thread), then :meth:`select`, then for each band
    :meth:`band`, and at last :meth:`blocks`. A test whose statistic is a median needs all bands kept.

    Args:
        dates: number of dates of the series.
        seasons: the parts of the series to composite.
        threshold: largest index that counts as bare, (rows, columns), NaN where unknown.
        kept: bands that stay in memory for each date, B02 first.
        test: the bare-soil test.
        rules: the parameters of the outlier rule.
        threads: how many share the work; the result does not depend on it.
        stack: the kept bands of all dates where they are in memory already, (dates, kept bands, rows, columns).
        workspace: memory to use; the products lie in it, and last until it is used for another block.
    """

    def __init__(
        self,
        dates: int,
        seasons: Sequence[Season],
        threshold: NDArray[np.floating],
        kept: Sequence[str] = (BLUE,),
        *,
        test: BareTest | None = None,
        rules: CompositeRules | None = None,
        threads: int = 1,
        stack: NDArray[np.float32] | None = None,
        workspace: Workspace | None = None,
    ) -> None:
        self.test = test or bare_test("pvir2")
        self.rules = rules or CompositeRules()
        self.threads = threads
        self.kept_bands = tuple(kept)
        self.threshold = np.ascontiguousarray(threshold, dtype=np.float64)
        shape = (threshold.shape[0], threshold.shape[1])
        if kept[0] != BLUE or (self.test.statistic != "mean" and set(kept) != set(BANDS)):
            raise ValueError(f"bands {', '.join(kept)} are not what test {self.test.name} has to keep, B02 first")
        room = self.workspace = workspace or Workspace()
        self.kept = room.empty("kept", (dates, len(kept), *shape), np.float32) if stack is None else stack
        self.bare = room.empty("bare", (dates, *shape), np.uint8)
        weighted = self.test.statistic == "geometric-median"
        self._weights = room.empty("weights", (dates, *shape), np.float32) if weighted else None
        self.parts = [
            _Part(season, self.bare, self.rules, _named_room(room, number), spare=not shared)
            for number, (season, shared) in enumerate(zip(seasons, sharing(seasons, dates), strict=True))
        ]
        self._slots: list[int] = []
        self._most_slots = 0
        self._lock = Lock()
        self._parts_of = [[part for part in self.parts if date in part.season.dates] for date in range(dates)]

    def slot(self, date: int, band: str) -> NDArray[np.float32] | None:
        """Where a band of a date stays in memory, to be read into; None where it does not."""
        if band not in self.kept_bands:
            return None
        found: NDArray[np.float32] = self.kept[date, self.kept_bands.index(band)]
        return found

    def observe(self, date: int, bands: Mapping[str, NDArray[np.float32]] | None) -> None:
        """Take in one date: B02, NaN where the observation is invalid, the bands of the test, and those kept; in DN,
        (rows, columns) each; None where nothing was seen.
        """
        if bands is None:
            self.kept[date] = np.nan
            self.bare[date] = 0
            if self._weights is not None:
                self._weights[date] = 0
            return
        for band in self.kept_bands:
            slot = self.slot(date, band)
            if slot is not None and not np.may_share_memory(slot, bands[band]):
                slot[:] = bands[band]
        index, self.bare[date] = self.test.observe(bands, self.threshold)
        if self._weights is not None:
            self._weights[date] = self.test.weights(bands)
        for part in self._parts_of[date]:
            part.range.add(index, bands[BLUE])

    def select(self) -> None:
        """Find the observations that enter the means, once all dates are observed."""
        for part in self.parts:
            part.select(self.kept, self.bare, self.threads)

    def band(self, name: str) -> BandSums:
        """Begin the sums of a band, after :meth:`select`."""
        with self._lock:
            if not self._slots:
                self._slots.append(self._most_slots)
                self._most_slots += 1
            slot = self._slots.pop()
        return BandSums(self, name, slot)

    def finished(self, sums: BandSums) -> None:
        """Take back the memory of sums."""
        with self._lock:
            self._slots.append(sums.slot)

    def add_kept(self, band: str) -> None:
        """Sum a band that stayed in memory."""
        sums = self.band(band)
        sums.add(np.arange(self.kept.shape[0]), self.kept, self.kept_bands.index(band))
        sums.finish()

    def blocks(self, land_cover: NDArray[np.floating] | None = None) -> list[CompositeBlock]:
        """The products, one block for each season; ``land_cover`` are WorldCover codes, NaN where unknown."""
        return [self._block(part, land_cover) for part in self.parts]

    def dropped(self) -> list[NDArray[np.int64]]:
        """For each season: valid observations of every date, and those dropped as residual cloud; (dates, 2)."""
        return [self._dropped(part) for part in self.parts]

    def _dropped(self, part: _Part) -> NDArray[np.int64]:
        found = np.zeros((self.bare.shape[0], 2), dtype=np.int64)
        for date in part.season.dates:
            blue = self.kept[date, 0]
            found[date] = np.count_nonzero(~np.isnan(blue)), np.count_nonzero(blue > part.tops[0])
        return found

    def _block(self, part: _Part, land_cover: NDArray[np.floating] | None) -> CompositeBlock:
        (mref, mref_std), (src, src_std) = part.moments
        n_valid, n_bare, kept_valid, bsc = part.counts
        src, wider = self._centre(part, src)
        hidden = bsc < self.rules.least_bare_count
        if land_cover is not None:
            hidden |= np.isin(land_cover, (BUILT_UP, WATER))

        def finish(first: int, last: int) -> None:
            finish_src(src, src_std, part.ci95, bsc, hidden, wider * _NORMAL_95, first, last)

        over_rows(finish, bsc.shape[0], self.threads)
        bsf = _share(bsc, n_valid)
        monthly = _share(part.monthly[1], part.monthly[0])
        mask = _mask(bsc, n_valid, n_bare > 0, np.isnan(self.threshold), land_cover, self.rules.least_bare_count)
        suspects = np.stack([n_valid - kept_valid, n_bare - bsc])
        return CompositeBlock(
            src, src_std, part.ci95, mref, mref_std, bsf, bsc, n_valid, monthly, part.monthly[0], mask,
            part.range.values, suspects,
        )  # fmt: skip

    def _centre(self, part: _Part, mean: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """The test's statistic of the bare observations, and how much wider than a mean's its interval is."""
        if self.test.statistic == "mean":
            return mean, 1.0
        centre = np.empty_like(mean)
        for first in range(0, mean.shape[1], ROWS_AT_ONCE * self.threads):
            rows = slice(first, first + ROWS_AT_ONCE * self.threads)
            centre[:, rows] = self._centre_of(part, rows)
        return centre, _MEDIAN_FACTOR

    def _centre_of(self, part: _Part, rows: slice) -> NDArray[np.float32]:
        """The median of some rows: only theirs are copied out of the series."""
        dates = part.season.dates
        order = np.array([self.kept_bands.index(band) for band in BANDS])
        kept = np.ascontiguousarray(self.kept[dates[:, np.newaxis], order, rows])
        chosen = part.chosen[part.slots, rows]
        if self._weights is None:
            return median_along_time(kept, chosen & np.uint8(BARE), threads=self.threads)
        weights = np.where(chosen & np.uint8(VALID), self._weights[dates, rows], np.float32(0))
        return geometric_median(kept, weights, threads=self.threads)


def sharing(seasons: Sequence[Season], dates: int) -> list[bool]:
    """Which seasons have a date that is another's, too; ``dates`` are those of the series."""
    owners = np.zeros(dates, dtype=np.int64)
    for season in seasons:
        owners[season.dates] += 1
    return [bool((owners[season.dates] > 1).any()) for season in seasons]


def _named_room(workspace: Workspace, part: int) -> "_Room":
    return lambda name, shape, dtype: workspace.empty(f"{name} of part {part}", shape, dtype)


def _share(part: NDArray[np.integer], whole: NDArray[np.integer]) -> NDArray[np.float32]:
    """part / whole, NaN where there is nothing to share."""
    shares = np.full(whole.shape, np.nan, dtype=np.float32)
    np.divide(part, whole, out=shares, where=whole > 0, dtype=np.float32)
    return shares


def composite_block(
    stack: NDArray[np.float32],
    months: NDArray[np.integer],
    threshold: NDArray[np.floating],
    land_cover: NDArray[np.floating] | None = None,
    rules: CompositeRules | None = None,
    *,
    test: BareTest | None = None,
    threads: int = 1,
) -> CompositeBlock:
    """Composite a block that is in memory.

    Args:
        stack: reflectance in DN, (dates, 10 bands in the order of ``BANDS``, rows, columns), NaN where invalid.
        months: calendar month of each date, 1 to 12.
        threshold: largest index that counts as bare, (rows, columns), NaN where unknown.
        land_cover: WorldCover codes, (rows, columns), NaN where unknown; None when there is no land cover.
        rules: the parameters, by default the operational ones.
        test: the bare-soil test, by default PVIR2.
        threads: how many share the work; the result does not depend on it.

    Raises:
        ValueError: when the shapes do not fit each other.
    """
    dates, bands, rows, cols = stack.shape
    if bands != len(BANDS) or months.shape != (dates,) or threshold.shape != (rows, cols):
        raise ValueError(f"stack {stack.shape}, months {months.shape} and threshold {threshold.shape} do not fit")
    season = Season(np.arange(dates), months)
    stack = np.ascontiguousarray(stack)
    composer = BlockComposer(dates, [season], threshold, BANDS, test=test, rules=rules, threads=threads, stack=stack)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda date: composer.observe(date, _named(stack[date])), range(dates)))
        composer.select()
        list(pool.map(composer.add_kept, BANDS))
    return composer.blocks(land_cover)[0]


def _named(bands: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    return dict(zip(BANDS, bands, strict=True))


def over_rows(work: Callable[[int, int], None], rows: int, threads: int) -> None:
    """Call ``work`` for runs of rows on ``threads`` threads; short runs, so that all end together."""
    edges = [*range(0, rows, ROWS_AT_ONCE), rows]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, a, b) for a, b in pairwise(edges)]:
            done.result()


def _mask(
    bsc: NDArray[np.int32],
    vpc: NDArray[np.int32],
    ever_bare: NDArray[np.bool_],
    unknown: NDArray[np.bool_],
    land_cover: NDArray[np.floating] | None,
    least_bare_count: int,
) -> NDArray[np.uint8]:
    """Codes of ``MASK_CATEGORIES``; land cover stands above what was observed."""
    mask = np.where(ever_bare, 4, 2).astype(np.uint8)
    mask[bsc >= least_bare_count] = 1
    mask[(vpc == 0) | unknown] = 0
    if land_cover is not None:
        mask[np.isin(land_cover, OTHER_LAND_COVER)] = 3
    return mask
