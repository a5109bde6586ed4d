"""Plots of a training report: drawn without a display, the same bytes for the same numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from producers.pages import BROWN, GREY, RED, TEAL, styled

# Beyond this many points a drawing of each one is larger than a picture of them all.
_MOST_VECTOR_POINTS = 3000
_MOST_BARS = 20

type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions for samples their model did not see, (n,), with the 90 % interval."""

    title: str
    observed: _Floats
    mean: _Floats
    lower: _Floats
    upper: _Floats


@styled
def scatter(parts: Sequence[HeldOut], label: str, *, log: bool) -> Figure:
    """Predicted against observed, one panel for each kind of validation; on logarithmic axes where all is positive."""
    figure = Figure(figsize=(4.4 * len(parts), 4.4), layout="constrained")
    high = max(float(np.max([part.observed.max(), part.mean.max(), part.upper.max()])) for part in parts)
    low = min(float(np.min([part.observed.min(), part.mean.min(), part.lower.min()])) for part in parts)
    log = log and low > 0
    pad = 0.03 * (high - low)
    limits = (low / 1.15, high * 1.15) if log else (low - pad, high + pad)
    for index, part in enumerate(parts):
        axes = figure.add_subplot(1, len(parts), index + 1)
        _scatter_panel(axes, part, label)
        axes.plot(limits, limits, color=GREY, linewidth=1, linestyle="--", zorder=1.6)
        scale = "log" if log else "linear"
        axes.set(xscale=scale, yscale=scale, xlim=limits, ylim=limits, aspect="equal")
        if log:
            _plain_ticks(axes)
    return figure


def _plain_ticks(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _scatter_panel(axes: Axes, part: HeldOut, label: str) -> None:
    missed = (part.observed < part.lower) | (part.observed > part.upper)
    many = part.observed.size > _MOST_VECTOR_POINTS
    axes.vlines(part.observed, part.lower, part.upper, color="#d9cfc3", linewidth=0.7, zorder=1.5, rasterized=many)
    for chosen, colour, name in ((~missed, BROWN, "interval holds it"), (missed, RED, "outside the 90 % interval")):
        axes.scatter(
            part.observed[chosen], part.mean[chosen], s=14, color=colour, alpha=0.75, linewidths=0, zorder=2.5,
            label=f"{name} ({int(chosen.sum())})", rasterized=many,
        )  # fmt: skip
    axes.set(title=part.title, xlabel=f"measured {label}", ylabel=f"predicted {label}")
    axes.legend(loc="upper left", fontsize=8, facecolor="white", framealpha=0.85, edgecolor="none")


@styled
def coverage(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Share of samples inside their prediction interval against the nominal level; a curve is (levels, shares)."""
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="as it should be")
    for (name, (levels, shares)), colour, marker in zip(curves.items(), (BROWN, TEAL), ("o", "s"), strict=False):
        axes.plot(levels, shares, color=colour, marker=marker, markersize=3.5, linewidth=1.4, label=name)
    axes.set(xlabel="nominal level of the interval", ylabel="share of samples inside", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_aspect("equal")
    axes.legend(loc="upper left", fontsize=8, framealpha=0.9, edgecolor="none")
    return figure


@styled
def importance(shares: Mapping[str, float]) -> Figure:
    """Bars of the covariates' shares of the whole importance, the largest on top."""
    ordered = sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_BARS][::-1]
    figure = Figure(figsize=(6.4, 0.8 + 0.26 * len(ordered)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([name for name, _ in ordered], [100 * share for _, share in ordered], color=TEAL, height=0.7)
    axes.set(xlabel="share of the importance (%)")
    axes.grid(visible=False, axis="y")
    return figure


@styled
def residual_map(x: _Floats, y: _Floats, residuals: _Floats, label: str, unit: str) -> Figure:
    """Where the model predicts too much and where too little; ``unit`` is that of the coordinates."""
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    scale = 1000.0 if unit == "m" else 1.0
    reach = float(np.quantile(np.abs(residuals), 0.95)) or 1.0
    points = axes.scatter(
        x / scale, y / scale, c=residuals, s=26, cmap="PuOr_r", vmin=-reach, vmax=reach, edgecolors="#555555",
        linewidths=0.3, rasterized=x.size > _MOST_VECTOR_POINTS,
    )  # fmt: skip
    shown = "km" if unit == "m" else unit
    axes.set(xlabel=f"x ({shown})", ylabel=f"y ({shown})", aspect="equal")
    axes.ticklabel_format(useOffset=False, style="plain")
    figure.colorbar(points, ax=axes, extend="both", shrink=0.85, label=f"predicted - measured, {label}")
    return figure


@styled
def histogram(values: _Floats, label: str, modelled: _Floats | None) -> Figure:
    """Distribution of the samples' values, and on the scale modelled where that is another."""
    panels = [(values, label)] + ([(modelled, f"ln of {label}")] if modelled is not None else [])
    figure = Figure(figsize=(4.4 * len(panels), 3.2), layout="constrained")
    for index, (numbers, name) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        axes.hist(numbers, bins=min(30, max(8, int(np.sqrt(numbers.size)))), color=BROWN, edgecolor="white")
        axes.set(xlabel=name, ylabel="samples")
    return figure
