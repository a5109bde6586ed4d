"""Plots of a training report that show places and distances."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from producers.pages import BROWN, TEAL, VIOLET, styled
from producers.plots import MOST_VECTOR_POINTS

# Ten folds, told apart by colour and by form.
_FOLDS = (
    ("#8a4f24", "o"), ("#1f7a78", "s"), ("#5b4a9e", "^"), ("#c98a1b", "D"), ("#3f6fb5", "v"),
    ("#b0486f", "P"), ("#5f7f2e", "X"), ("#2b2621", "<"), ("#9a8f84", ">"), ("#d0654a", "p"),
)  # fmt: skip
_CURVES = ((BROWN, "-"), (TEAL, "--"), (VIOLET, ":"))
_METRES_PER_KM = 1000.0

type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Semivariances:
    """Semivariances at distances (k,), in metres, each from ``pairs`` pairs; ``variance`` of the values they are of.

    ``fitted``: distances and semivariances of a fitted model, None where none fits.
    """

    distance: _Floats
    gamma: _Floats
    pairs: NDArray[np.int64]
    variance: float
    fitted: tuple[_Floats, _Floats] | None = None


@styled
def residual_map(x: _Floats, y: _Floats, residuals: _Floats, label: str, unit: str) -> Figure:
    """Where the model predicts too much and where too little, in the unit ``label``; ``unit`` is that of x and y."""
    figure, axes = _place(x, y, unit)
    scale = _scale(unit)
    reach = float(np.quantile(np.abs(residuals), 0.95)) or 1.0
    points = axes.scatter(
        x / scale, y / scale, c=residuals, s=_size(x), cmap="PuOr_r", vmin=-reach, vmax=reach, edgecolors="#555555",
        linewidths=0.3 if x.size <= MOST_VECTOR_POINTS else 0.0, rasterized=x.size > MOST_VECTOR_POINTS,
    )  # fmt: skip
    figure.colorbar(points, ax=axes, extend="both", shrink=0.85, label=f"predicted - measured ({label})")
    return figure


@styled
def fold_map(x: _Floats, y: _Floats, folds: NDArray[np.int64], unit: str) -> Figure:
    """Which samples were held out together."""
    figure, axes = _place(x, y, unit)
    scale = _scale(unit)
    numbers = np.unique(folds)
    for index, number in enumerate(numbers.tolist()):
        colour, marker = _FOLDS[index % len(_FOLDS)]
        here = folds == number
        axes.scatter(
            x[here] / scale, y[here] / scale, s=_size(x), color=colour, marker=marker, linewidths=0,
            label=f"fold {number + 1}", rasterized=x.size > MOST_VECTOR_POINTS,
        )  # fmt: skip
    if numbers.size <= len(_FOLDS):
        figure.legend(fontsize=8, loc="outside right center", framealpha=0.9, edgecolor="none", handletextpad=0.2)
    return figure


@styled
def semivariogram(series: Mapping[str, Semivariances], unit: str) -> Figure:
    """Semivariance against distance of up to three series; the thin line is the variance of each."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for (name, each), (colour, style), marker in zip(series.items(), _CURVES, ("o", "s", "^"), strict=False):
        scale = _METRES_PER_KM
        joined = "none" if each.fitted is not None else style
        axes.plot(each.distance / scale, each.gamma, color=colour, marker=marker, linestyle=joined, markersize=4.5,
                  linewidth=1.2, label=name)  # fmt: skip
        if each.fitted is not None:
            distance, gamma = each.fitted
            axes.plot(distance / scale, gamma, color=colour, linestyle=style, linewidth=1.4)
        axes.axhline(each.variance, color=colour, linewidth=0.7, alpha=0.7)
    axes.set(xlabel="distance (km)", ylabel=f"semivariance, {unit}", xlim=(0, None), ylim=(0, None))
    axes.legend(fontsize=8, framealpha=0.9, edgecolor="none")
    return figure


@styled
def distance_shares(distances: Mapping[str, _Floats]) -> Figure:
    """Share of places whose nearest training sample is at most so far away, in metres; up to three series."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for (name, each), (colour, style) in zip(distances.items(), _CURVES, strict=False):
        levels = np.linspace(0.0, 1.0, 101)
        axes.plot(np.quantile(each, levels) / _METRES_PER_KM, levels, color=colour, linestyle=style, linewidth=1.6,
                  label=name)  # fmt: skip
    axes.set(xlabel="distance to the nearest training sample (km)", ylabel="share of places", ylim=(0, 1.02))
    axes.set_xlim(left=0)
    axes.legend(fontsize=8, loc="lower right", framealpha=0.9, edgecolor="none")
    return figure


def _place(x: _Floats, y: _Floats, unit: str) -> tuple[Figure, Axes]:
    """A panel in the proportions of the extent, within what a page can show."""
    tall = float(np.ptp(y)) / (float(np.ptp(x)) or 1.0)
    figure = Figure(figsize=(4.6, float(np.clip(3.2 * tall + 0.7, 2.4, 5.6))), layout="constrained")
    axes = figure.add_subplot()
    shown = "km" if unit == "m" else unit
    axes.set(xlabel=f"x ({shown})", ylabel=f"y ({shown})", aspect="equal")
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.tick_params(axis="x", rotation=30)
    axes.locator_params(nbins=5)
    return figure, axes


def _scale(unit: str) -> float:
    return _METRES_PER_KM if unit == "m" else 1.0


def _size(x: _Floats) -> float:
    return 26.0 if x.size <= MOST_VECTOR_POINTS else 8.0
