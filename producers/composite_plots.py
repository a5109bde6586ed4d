"""Plots of a composite's report: narrow enough for a phone, the same bytes for the same numbers."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cup4soil.methods.bare_soil import BANDS
from producers.composite_layers import LAYERS
from producers.composite_summary import INDEX_BIN, NEAR_THRESHOLD, CompositeSummary, Histogram
from producers.pages import BROWN, GREY, TEAL, styled

_SIZE = (4.4, 2.8)
_MONTHS = tuple("JFMAMJJASOND")
_MOST_BINS = 120


def figures(summary: CompositeSummary, months: Sequence[int]) -> dict[str, Figure]:
    """The plots of the report by name, those of layers that were given."""
    drawn = {
        "valid": counts(summary.histograms["VPC"], "valid observations of a cell", TEAL),
        "bare": counts(summary.bare_counts, "bare observations of a composited cell", BROWN),
        "frequency": frequency(summary.histograms["BSF"]),
    }
    if summary.has_months:
        drawn["months"] = by_month(summary, months)
    if summary.has("SRC"):
        drawn["spectrum"] = spectrum(summary)
    if summary.has("INDEX"):
        drawn["index"] = index(summary)
    if summary.has("SUSPECTS"):
        drawn["suspects"] = counts(summary.histograms["SUSPECTS"], "dropped observations of a cell", GREY)
    return drawn


@styled
def counts(histogram: Histogram, label: str, colour: str) -> Figure:
    """Share of the cells by a whole number."""
    figure, axes = _axes()
    edges, cells = histogram.binned(count_width(histogram))
    _stairs(axes, edges - 0.5, cells, colour)
    axes.set(xlabel=label, ylabel="share of the cells (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def count_width(histogram: Histogram) -> int:
    """Width of the bins of whole numbers that keeps their number within what can be read."""
    edges, _ = histogram.binned(1)
    return max(1, -(-edges.size // _MOST_BINS))


@styled
def frequency(histogram: Histogram) -> Figure:
    """Bare-soil frequency of the cells that were bare at all: most land never is."""
    figure, axes = _axes()
    edges, cells = histogram.binned(0.02)
    if edges.size:
        never = histogram.below(histogram.scale)
        cells = cells.copy()
        cells[0] -= never if edges[0] == 0 else 0
        axes.set_title(f"{100 * never / histogram.total:.0f} % of the cells were never bare (not drawn)", fontsize=9)
        _stairs(axes, edges, cells, BROWN, histogram.total)
    axes.set(xlabel="bare-soil frequency of a cell", ylabel="share of the cells (%)")
    return figure


@styled
def index(summary: CompositeSummary) -> Figure:
    """The lowest and the highest index of the cells, the threshold with the cells near it, and the valley."""
    figure, axes = _axes()
    for name, colour, label in (("IMIN", BROWN, "lowest of a cell"), ("IMAX", TEAL, "highest of a cell")):
        edges, cells = summary.histograms[name].binned(INDEX_BIN)
        _stairs(axes, edges, cells, colour, label=label)
    known, valley = summary.threshold_range, summary.valley
    if known:
        low, mean, high = known
        axes.axvspan(low - NEAR_THRESHOLD, high + NEAR_THRESHOLD, color="#f0e442", alpha=0.35, linewidth=0)
        axes.axvline(mean, color="black", linewidth=1.2, label="threshold")
    if valley:
        axes.axvline(valley.index, color=GREY, linewidth=1.2, linestyle="--", label="valley")
    axes.set(xlabel="bare-soil index", ylabel="share of the cells (%)")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, framealpha=0.85, edgecolor="none")
    return figure


@styled
def by_month(summary: CompositeSummary, months: Sequence[int]) -> Figure:
    """Observations per cell and bare share in each calendar month; months outside the window are shaded."""
    figure = Figure(figsize=(_SIZE[0], 4.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    places = np.arange(1, 13)
    upper.bar(places, summary.valid_by_month / max(1, summary.observed), color=TEAL, width=0.75)
    upper.set(ylabel="valid per cell")
    seen = np.maximum(summary.valid_by_month, 1)
    lower.bar(places, 100 * summary.bare_by_month / seen, color=BROWN, width=0.75)
    lower.set(ylabel="bare (%)", xlabel="calendar month", xlim=(0.4, 12.6))
    lower.set_xticks(places, _MONTHS)
    for axes in (upper, lower):
        axes.grid(visible=False, axis="x")
        for month in set(range(1, 13)) - set(months):
            axes.axvspan(month - 0.5, month + 0.5, color="#eeeae4", linewidth=0)
    return figure


@styled
def spectrum(summary: CompositeSummary) -> Figure:
    """Mean reflectance of bare soil by wavelength with the mean confidence half-width."""
    figure, axes = _axes()
    waves = {band.name.removeprefix("SRC_"): band.center_wavelength_um or np.nan for band in LAYERS["SRC"].bands}
    shown = [band for band in BANDS if summary.reflectance[band].mean is not None]
    mean = np.array([summary.reflectance[band].mean for band in shown], dtype=float)
    width = np.array([summary.ci95[band].mean or 0.0 for band in shown], dtype=float)
    axes.errorbar(
        [waves[band] for band in shown], mean, yerr=width, color=BROWN, marker="o", markersize=4, capsize=3,
        linewidth=1.2,
    )  # fmt: skip
    axes.set(xlabel="wavelength (µm)", ylabel="reflectance")
    axes.set_ylim(bottom=0)
    return figure


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    return figure, figure.add_subplot()


def _stairs(
    axes: Axes, edges: NDArray[np.float64], cells: NDArray[np.int64], colour: str, of: int = 0, label: str | None = None
) -> None:
    """Bars in one path, as shares of ``of`` or of all."""
    if edges.size:
        shares = 100 * cells / max(1, of or int(cells.sum()))
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.85, label=label)
