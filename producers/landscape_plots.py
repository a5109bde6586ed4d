"""Plots of a map's evaluation."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cup4soil.methods.landscape import ClassMean
from producers.map_patterns import Profile
from producers.pages import BROWN, TEAL, styled

_MOST_NAMED = 24


@styled
def relief_profile(profile: Profile, label: str) -> Figure:
    """Mean of the map, with the middle two thirds of its cells, along a layer; samples with two standard errors."""
    figure = Figure(figsize=(4.4, 3.3), layout="constrained")
    axes = figure.add_subplot()
    centres, mean = np.array(profile.centres), np.array([each.mean for each in profile.cells])
    spread = np.array([each.sd if np.isfinite(each.sd) else 0.0 for each in profile.cells])
    axes.fill_between(centres, mean - spread, mean + spread, color=TEAL, alpha=0.16, linewidth=0)
    axes.plot(centres, mean, color=TEAL, marker="s", markersize=3.5, linewidth=1.6, label="map, mean and spread")
    at = {each.code: centre for each, centre in zip(profile.cells, profile.centres, strict=True)}
    shown = [each for each in profile.samples if each.code in at]
    if shown:
        axes.errorbar(
            [at[each.code] for each in shown], [each.mean for each in shown], yerr=_two_errors(shown), fmt="o",
            color=BROWN, markersize=4.5, capsize=2.5, linewidth=1, label="samples, mean ± 2 standard errors",
        )  # fmt: skip
    unit = f" ({profile.unit})" if profile.unit else ""
    axes.set_xlabel(f"{profile.layer}{unit}")
    axes.set_ylabel(label, fontsize=9)
    axes.legend(fontsize=7.5, framealpha=0.85, edgecolor="none")
    return figure


@styled
def class_profile(profile: Profile, label: str) -> Figure:
    """Mean of the map and of the samples by class, the classes of most cells where there are many."""
    most = sorted(profile.cells, key=lambda each: -each.n)[:_MOST_NAMED]
    cells = [each for each in profile.cells if each in most]
    figure = Figure(figsize=(4.6, 1.2 + 0.28 * len(cells)), layout="constrained")
    axes = figure.add_subplot()
    place = {each.code: index for index, each in enumerate(cells)}
    spread = [each.sd if np.isfinite(each.sd) else 0.0 for each in cells]
    axes.errorbar([each.mean for each in cells], list(place.values()), xerr=spread, fmt="s", color=TEAL, markersize=5,
                  elinewidth=4, alpha=0.55, label="map, mean and spread")  # fmt: skip
    shown = [each for each in profile.samples if each.code in place]
    if shown:
        axes.errorbar(
            [each.mean for each in shown], [place[each.code] for each in shown], xerr=_two_errors(shown), fmt="o",
            color=BROWN, markersize=4.5, capsize=2.5, linewidth=1, label="samples, mean ± 2 standard errors",
        )  # fmt: skip
    axes.set_yticks(list(place.values()), [profile.names[each.code] for each in cells])
    axes.set_ylim(-0.7, len(cells) - 0.3)
    axes.set_xlabel(label)
    axes.set_title(profile.layer, fontsize=10, loc="left")
    figure.legend(fontsize=7.5, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _two_errors(means: Sequence[ClassMean]) -> list[float]:
    return [2 * each.standard_error if np.isfinite(each.standard_error) else 0.0 for each in means]
