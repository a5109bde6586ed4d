"""Plots of a training report: drawn without a display, the same bytes for the same numbers.

Each is one panel, so that a page can set them side by side on a wide screen and below each other on a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from cup4soil.methods.dependence import Dependence
from producers.pages import BROWN, GREY, RED, TEAL, VIOLET, styled

# Beyond this many points a drawing of each one is larger than a picture of them all.
MOST_VECTOR_POINTS = 200
_MOST_BARS = 20
_MOST_LARGE_DOTS = 600
_LINES = ((BROWN, "o"), (TEAL, "s"), (VIOLET, "^"))

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
def scatter(part: HeldOut, label: str, limits: tuple[float, float], *, log: bool) -> Figure:
    """Predicted against observed within ``limits``, as :func:`common_limits` finds them."""
    figure = Figure(figsize=(4.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    _scatter_panel(axes, part, label)
    axes.plot(limits, limits, color=GREY, linewidth=1, linestyle="--", zorder=1.6)
    log = log and limits[0] > 0
    scale = "log" if log else "linear"
    axes.set(xscale=scale, yscale=scale, xlim=limits, ylim=limits, aspect="equal")
    if log:
        _plain_ticks(axes)
    return figure


def common_limits(parts: Sequence[HeldOut], *, log: bool) -> tuple[float, float]:
    """Limits of both axes that suit all ``parts``; logarithmic ones only where all is positive."""
    high = max(float(np.max([part.observed.max(), part.mean.max(), part.upper.max()])) for part in parts)
    low = min(float(np.min([part.observed.min(), part.mean.min(), part.lower.min()])) for part in parts)
    if log and low > 0:
        return low / 1.15, high * 1.15
    pad = 0.03 * (high - low) or 1.0
    return low - pad, high + pad


def _plain_ticks(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _scatter_panel(axes: Axes, part: HeldOut, label: str) -> None:
    missed = (part.observed < part.lower) | (part.observed > part.upper)
    many = part.observed.size > MOST_VECTOR_POINTS
    axes.vlines(part.observed, part.lower, part.upper, color="#d9cfc3", linewidth=0.7, zorder=1.5, rasterized=many)
    size = 14 if part.observed.size <= _MOST_LARGE_DOTS else 7
    for chosen, colour, name in ((~missed, BROWN, "interval holds it"), (missed, RED, "outside the 90 % interval")):
        axes.scatter(
            part.observed[chosen], part.mean[chosen], s=size, color=colour, alpha=0.75, linewidths=0, zorder=2.5,
            label=f"{name} ({int(chosen.sum())})", rasterized=many,
        )  # fmt: skip
    axes.set(title=part.title, xlabel=f"measured {label}", ylabel=f"predicted {label}")
    axes.legend(loc="upper left", fontsize=8, facecolor="white", framealpha=0.85, edgecolor="none")


@styled
def coverage(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Share of samples inside their prediction interval against the nominal level; a curve is (levels, shares)."""
    return _shares(curves, "nominal level of the interval", "share of samples inside")


@styled
def quantile_coverage(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Share of samples at or below each predicted quantile against its level; a curve is (levels, shares)."""
    return _shares(curves, "level of the quantile", "share of samples at or below it")


def _shares(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str) -> Figure:
    figure = Figure(figsize=(4.4, 4.3), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="as it should be")
    for (name, (levels, shares)), (colour, marker) in zip(curves.items(), _LINES, strict=False):
        axes.plot(levels, shares, color=colour, marker=marker, markersize=3.5, linewidth=1.4, label=name)
    axes.set(xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.02))
    axes.set_aspect("equal")
    axes.legend(loc="upper left", fontsize=8, framealpha=0.9, edgecolor="none")
    return figure


@styled
def importance(shares: Mapping[str, float]) -> Figure:
    """Bars of the covariates' shares of the whole importance, the largest on top."""
    ordered = sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_BARS][::-1]
    figure = Figure(figsize=(5.2, 0.8 + 0.26 * len(ordered)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([name for name, _ in ordered], [100 * share for _, share in ordered], color=TEAL, height=0.7)
    axes.set(xlabel="share of the importance (%)")
    axes.grid(visible=False, axis="y")
    return figure


@styled
def dependence(curve: Dependence, training: _Floats, label: str, limits: tuple[float, float]) -> Figure:
    """How the prediction follows one covariate; ticks below are the deciles of its ``training`` values."""
    figure = Figure(figsize=(3.4, 2.9), layout="constrained")
    axes = figure.add_subplot()
    if curve.values.size == 2:
        _two_cases(axes, curve, training)
    else:
        axes.fill_between(curve.values, curve.lower, curve.upper, color=TEAL, alpha=0.18, linewidth=0)
        axes.plot(curve.values, curve.mean, color=TEAL, linewidth=1.8)
        deciles = np.quantile(training, np.arange(1, 10) / 10)
        axes.plot(deciles, np.full(deciles.size, limits[0]), "|", color=GREY, markersize=8, clip_on=False)
    axes.set(xlabel=curve.name, ylim=limits)
    axes.set_ylabel(label, fontsize=9)
    return figure


def _two_cases(axes: Axes, curve: Dependence, training: _Floats) -> None:
    """A covariate that is there or not, such as a class: two points with how many samples they stand for."""
    reach = np.abs(np.stack([curve.mean - curve.lower, curve.upper - curve.mean]))
    axes.errorbar([0, 1], curve.mean, yerr=reach, fmt="o", color=TEAL, capsize=4, elinewidth=1.4)
    counts = [int(np.sum(training == value)) for value in curve.values]
    names = [f"{value:g}\n({count} samples)" for value, count in zip(curve.values, counts, strict=True)]
    axes.set_xticks([0, 1], names)
    axes.set_xlim(-0.6, 1.6)


@styled
def histogram(values: _Floats, name: str) -> Figure:
    """Distribution of the samples' values."""
    figure = Figure(figsize=(4.2, 3.1), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(values, bins=_bins(values), color=BROWN, edgecolor="white")
    axes.set(xlabel=name, ylabel="samples")
    return figure


@styled
def dissimilarity(values: _Floats, threshold: float) -> Figure:
    """How unlike the samples of other folds each sample is, and the threshold that follows."""
    figure = Figure(figsize=(5.2, 3.1), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(values, bins=_bins(values), color=TEAL, edgecolor="white")
    axes.axvline(threshold, color=RED, linewidth=1.4, label=f"threshold {threshold:.3g}")
    axes.set(xlabel="dissimilarity index of the samples", ylabel="samples", xlim=(0, None))
    axes.legend(fontsize=8, framealpha=0.9, edgecolor="none")
    return figure


def _bins(values: _Floats) -> int:
    return min(30, max(8, int(np.sqrt(values.size))))
