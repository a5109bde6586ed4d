"""What a composite holds, counted block by block: the figures behind its report.

Only counts and histograms are kept, about 15 MiB whatever the size of the grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from cup4soil.methods.bare_soil import BANDS
from cup4soil.methods.composite import MASK_CATEGORIES
from producers.composite_layers import NODATA

INDEX_NODATA = -32_768
INDEX_SCALE = 1e-4
FREQUENCY_SCALE = 1e-4
REFLECTANCE_SCALE = 1e-4
COMPOSITED = 1
FEW_BARE_COUNTS = (5, 10)
# A cell whose lowest index is this close to the threshold would change sides with a slightly other threshold.
NEAR_THRESHOLD = 0.05
# Width of the bins of HISET (Heiden et al. 2022).
INDEX_BIN = 0.0075

_REQUIRED = ("MASK", "SFREQ")
_MONTHLY = ("SFREQ-MONTHLY", "VPC-MONTHLY")
_LOWEST, _NUMBERS = -32_768, 65_536
_VALLEY_SMOOTHING_BINS = 2.5
_VALLEY_PROMINENCE = 0.05


class Histogram:
    """How often each stored number occurred, exactly; values are the numbers times ``scale``."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._counts = np.zeros(_NUMBERS, dtype=np.int64)

    def add(self, stored: NDArray[np.int16], nodata: int = NODATA) -> None:
        """Count the numbers of an array of any shape, those that mean "no data" not."""
        places = stored[stored != nodata].astype(np.intp) - _LOWEST
        if places.size:
            counts = np.bincount(places)
            self._counts[: counts.size] += counts

    @property
    def total(self) -> int:
        """How many numbers were counted."""
        return int(self._counts.sum())

    @property
    def sum(self) -> float:
        """Sum of all values."""
        return float(self._counts @ np.arange(_LOWEST, _LOWEST + _NUMBERS)) * self.scale

    @property
    def mean(self) -> float | None:
        """Mean of the values, None without any."""
        return self.sum / self.total if self.total else None

    def quantile(self, level: float) -> float | None:
        """The least value that at least the share ``level`` of the values do not exceed, None without any."""
        if not self.total:
            return None
        place = int(np.searchsorted(np.cumsum(self._counts), max(1.0, np.ceil(level * self.total))))
        return (place + _LOWEST) * self.scale

    @property
    def median(self) -> float | None:
        """Lower median of the values, None without any."""
        return self.quantile(0.5)

    def below(self, value: float) -> int:
        """How many values lie below ``value``."""
        return int(self._counts[: max(0, int(np.ceil(value / self.scale - 1e-9)) - _LOWEST)].sum())

    def binned(self, width: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Edges (n + 1,) at multiples of ``width`` that span the values, and counts (n,); both empty without values.

        A bin holds its lower edge and not its upper one. ``width`` is a multiple of the scale.
        """
        step = round(width / self.scale)
        seen = np.flatnonzero(self._counts)
        if not seen.size:
            return np.empty(0), np.empty(0, dtype=np.int64)
        bins = (seen + _LOWEST) // step
        counts = np.zeros(int(bins[-1] - bins[0]) + 1, dtype=np.int64)
        np.add.at(counts, bins - bins[0], self._counts[seen])
        return np.arange(bins[0], bins[-1] + 2) * step * self.scale, counts


@dataclass(frozen=True, slots=True)
class Valley:
    """The gap between the two main modes of the lowest index.

    ``depth`` is 1 - count in the valley / count at the lower mode, of the smoothed histogram: near 0 there is
    hardly a gap, near 1 the modes stand apart.
    """

    index: float
    depth: float
    modes: tuple[float, float]


class CompositeSummary:
    """Figures of a composite, filled by :meth:`add`.

    ``classes`` counts the cells of each MASK code, ``histograms`` holds VPC, BSC, BSF, IMIN, IMAX (of all observed
    cells) and SUSPECTS (dropped valid observations of a cell), ``bare_counts`` BSC of composited cells only;
    ``reflectance`` and ``ci95`` are by band; ``valid_by_month`` and ``bare_by_month`` sum observations over all
    cells. Figures of layers that were never given are None or empty; see :attr:`layers`.
    """

    def __init__(self) -> None:
        self.layers: frozenset[str] | None = None
        self.classes = dict.fromkeys(MASK_CATEGORIES, 0)
        self.observed = 0
        self.histograms = {name: Histogram() for name in ("VPC", "BSC", "SUSPECTS")}
        self.histograms["BSF"] = Histogram(FREQUENCY_SCALE)
        self.histograms |= {name: Histogram(INDEX_SCALE) for name in ("IMIN", "IMAX")}
        self.bare_counts = Histogram()
        self.reflectance = {band: Histogram(REFLECTANCE_SCALE) for band in BANDS}
        self.ci95 = {band: Histogram(REFLECTANCE_SCALE) for band in BANDS}
        self.valid_by_month = np.zeros(12, dtype=np.int64)
        self.bare_by_month = np.zeros(12, dtype=np.int64)
        self.dropped_valid = self.dropped_bare = 0
        self._thresholds = _Thresholds()

    def add(
        self, stored: Mapping[str, NDArray[np.int16]], threshold: float | NDArray[np.floating] | None = None
    ) -> None:
        """Count one block.

        Args:
            stored: the integers of the files by layer name, each (bands, rows, columns). MASK and SFREQ are needed;
                SRC, SRC-CI95, SFREQ-MONTHLY with VPC-MONTHLY, INDEX and SUSPECTS are counted where they are.
            threshold: the largest index that counts as bare, one for all cells or (rows, columns), NaN where unknown.

        Raises:
            ValueError: when a needed layer lacks, or a block has other layers than the one before.
        """
        self._check(stored)
        mask, (frequency, bare, valid) = stored["MASK"][0], stored["SFREQ"]
        for code, count in enumerate(np.bincount(mask[mask >= 0], minlength=len(self.classes))):
            self.classes[code] += int(count)
        self.observed += int((valid > 0).sum())
        for name, values in (("BSF", frequency), ("BSC", bare), ("VPC", valid)):
            self.histograms[name].add(values)
        self.bare_counts.add(bare[mask == COMPOSITED])
        for name, histograms in (("SRC", self.reflectance), ("SRC-CI95", self.ci95)):
            for histogram, values in zip(histograms.values(), stored.get(name, ()), strict=False):
                histogram.add(values)
        if stored.keys() >= set(_MONTHLY):
            self._add_months(*(stored[name] for name in _MONTHLY))
        if "INDEX" in stored:
            self._add_index(stored["INDEX"], threshold)
        if "SUSPECTS" in stored:
            self._add_suspects(stored["SUSPECTS"])

    def _check(self, stored: Mapping[str, NDArray[np.int16]]) -> None:
        missing = [name for name in _REQUIRED if name not in stored]
        if missing:
            raise ValueError(f"a block without {' and '.join(missing)}")
        if self.layers is not None and self.layers != stored.keys():
            raise ValueError(f"a block of {sorted(stored)} after blocks of {sorted(self.layers)}")
        self.layers = frozenset(stored)

    def _add_months(self, shares: NDArray[np.int16], counts: NDArray[np.int16]) -> None:
        valid = np.maximum(counts, 0).astype(np.int64)
        bare = np.rint(np.maximum(shares, 0) * FREQUENCY_SCALE * valid).astype(np.int64)
        self.valid_by_month += valid.sum(axis=(1, 2))
        self.bare_by_month += bare.sum(axis=(1, 2))

    def _add_index(self, index: NDArray[np.int16], threshold: float | NDArray[np.floating] | None) -> None:
        for name, values in zip(("IMIN", "IMAX"), index, strict=True):
            self.histograms[name].add(values, INDEX_NODATA)
        if threshold is not None:
            lowest = np.where(index[0] == INDEX_NODATA, np.nan, index[0] * INDEX_SCALE)
            self._thresholds.add(lowest, np.broadcast_to(np.asarray(threshold, dtype=np.float64), lowest.shape))

    def _add_suspects(self, suspects: NDArray[np.int16]) -> None:
        valid, bare = suspects
        self.histograms["SUSPECTS"].add(valid)
        self.dropped_valid += int(np.maximum(valid, 0).sum(dtype=np.int64))
        self.dropped_bare += int(np.maximum(bare, 0).sum(dtype=np.int64))

    @property
    def inside(self) -> int:
        """Cells inside the area."""
        return sum(self.classes.values())

    @property
    def composited(self) -> int:
        """Cells of MASK 1: bare at least three times."""
        return self.classes[COMPOSITED]

    @property
    def valid_observations(self) -> int:
        """Valid observations of all cells, before any outlier is removed."""
        return round(self.histograms["VPC"].sum)

    @property
    def bare_observations(self) -> int:
        """Bare observations of all cells that were kept."""
        return round(self.histograms["BSC"].sum)

    @property
    def has_months(self) -> bool:
        """True when observations by month were given."""
        return self.layers is not None and self.layers >= set(_MONTHLY)

    def has(self, layer: str) -> bool:
        """True when the blocks held ``layer``."""
        return self.layers is not None and layer in self.layers

    @property
    def dropped_valid_share(self) -> float | None:
        """Share of the valid observations that the outlier rule dropped, None where it was not counted."""
        return share(self.dropped_valid, self.valid_observations) if self.has("SUSPECTS") else None

    @property
    def dropped_bare_share(self) -> float | None:
        """Share of the bare observations that the outlier rule dropped, None where it was not counted."""
        before = self.bare_observations + self.dropped_bare
        return share(self.dropped_bare, before) if self.has("SUSPECTS") else None

    @property
    def near_threshold_share(self) -> float | None:
        """Share of the cells whose lowest index is within ``NEAR_THRESHOLD`` of their threshold."""
        return share(self._thresholds.near, self._thresholds.cells)

    @property
    def threshold_range(self) -> tuple[float, float, float] | None:
        """Least, mean and largest threshold of the cells with an index, None where none was given."""
        known = self._thresholds
        return (known.low, known.total / known.cells, known.high) if known.cells else None

    @property
    def valley(self) -> Valley | None:
        """Where the histogram of the lowest index has its valley, None where it has only one mode."""
        return find_valley(self.histograms["IMIN"])

    def few_bare(self) -> dict[int, int]:
        """Composited cells with fewer bare observations than each of ``FEW_BARE_COUNTS``."""
        return {limit: self.bare_counts.below(limit) for limit in FEW_BARE_COUNTS}


class _Thresholds:
    """How the cells' lowest index lies to their threshold."""

    def __init__(self) -> None:
        self.cells = self.near = 0
        self.total = 0.0
        self.low, self.high = np.inf, -np.inf

    def add(self, lowest: NDArray[np.float64], threshold: NDArray[np.float64]) -> None:
        known = np.isfinite(lowest) & np.isfinite(threshold)
        if known.any():
            values = threshold[known]
            # The limit itself is near, whatever the last digit of a difference of decimals.
            self.near += int((np.abs(lowest[known] - values) <= NEAR_THRESHOLD + 1e-9).sum())
            self.cells += values.size
            self.total += float(values.sum())
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))


def share(part: float, whole: float) -> float | None:
    """``part / whole``, None of nothing."""
    return part / whole if whole else None


def find_valley(histogram: Histogram) -> Valley | None:
    """The lowest place between the two most prominent modes of ``histogram`` in bins of ``INDEX_BIN``.

    The counts are smoothed by a Gaussian of 2.5 bins; a mode stands out by at least 5 % of the highest.
    """
    edges, counts = histogram.binned(INDEX_BIN)
    if not counts.size:
        return None
    # Empty bins beside the outer ones let a mode at the edge be a mode.
    smooth = np.pad(ndimage.gaussian_filter1d(counts.astype(np.float64), _VALLEY_SMOOTHING_BINS, mode="constant"), 1)
    modes, found = signal.find_peaks(smooth, prominence=_VALLEY_PROMINENCE * smooth.max())
    if len(modes) < 2:
        return None
    first, second = np.sort(modes[np.argsort(-found["prominences"], kind="stable")[:2]])
    between = smooth[first : second + 1]
    # The middle of a flat bottom.
    bottom = first + round(float(np.flatnonzero(between == between.min()).mean()))
    centres = edges[:-1] + INDEX_BIN / 2
    depth = 1.0 - float(smooth[bottom] / min(smooth[first], smooth[second]))
    return Valley(float(centres[bottom - 1]), depth, (float(centres[first - 1]), float(centres[second - 1])))
