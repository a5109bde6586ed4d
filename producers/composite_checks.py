"""Is a composite good enough? What its figures say, against limits that are stated."""

import calendar
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from cup4soil.methods.bare_soil import BANDS
from producers.composite_summary import NEAR_THRESHOLD, CompositeSummary, share

type Level = Literal["good", "fair", "poor", "unknown"]
RARELY_BARE = 4
# A month counts as seen when cells have one observation in it on average.
LEAST_PER_CELL_AND_MONTH = 1.0
_Z95 = 1.96
_ANSWERS: Mapping[Level, str] = {
    "good": "Yes. Nothing that was measured speaks against using it.",
    "fair": "Yes, with care: some points ask for attention.",
    "poor": "Only with reservations: see the points marked as poor.",
    "unknown": "It cannot be told: too little was measured.",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One ground of the verdict.

    ``value`` is the figure judged and ``good`` and ``fair`` the limits up to which (from which, where ``at_least``)
    it counts as such; the value is None, and the level "unknown", where it was not measured.
    """

    name: str
    title: str
    value: float | None
    good: float
    fair: float
    finding: str
    at_least: bool = False

    @property
    def level(self) -> Level:
        """How the value lies to the limits; what lies past both is poor."""
        if self.value is None:
            return "unknown"
        sign = -1 if self.at_least else 1
        if sign * self.value <= sign * self.good:
            return "good"
        return "fair" if sign * self.value <= sign * self.fair else "poor"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer and its grounds; its level is the worst of theirs."""

    answer: str
    level: Level
    checks: tuple[Check, ...]


def judge(
    summary: CompositeSummary,
    months: Sequence[int],
    scenes_used: int,
    scenes_broken: int,
    separability: Mapping[str, float] | None = None,
) -> Verdict:
    """Weigh the figures of a composite over the calendar ``months`` (1 to 12) of its window."""
    checks = (
        _observed(summary),
        _composited(summary),
        _bare_counts(summary),
        _precision(summary),
        _months(summary, months),
        _suspects(summary),
        _threshold(summary),
        *_separability(separability),
        _broken(scenes_used, scenes_broken),
    )
    levels = {check.level for check in checks}
    if not summary.composited:
        return Verdict("No: not a single cell could be composited.", "poor", checks)
    worst: Level = next((level for level in ("poor", "fair", "good") if level in levels), "unknown")
    return Verdict(_ANSWERS[worst], worst, checks)


def ci95_relative(summary: CompositeSummary, band: str) -> float | None:
    """Mean confidence half-width of a band over its mean reflectance."""
    width, mean = summary.ci95[band].mean, summary.reflectance[band].mean
    return width / mean if width is not None and mean is not None and mean > 0 else None


def typical_ci95(summary: CompositeSummary) -> float | None:
    """Median over the bands of :func:`ci95_relative`."""
    known = [value for value in (ci95_relative(summary, band) for band in BANDS) if value is not None]
    return float(np.median(known)) if known else None


def ci95_coverage(count: float) -> float:
    """True coverage of mean ± 1.96 std / sqrt(n) over ``count`` independent normal observations (Student's t)."""
    return float(2 * stats.t.cdf(_Z95, count - 1) - 1)


def thin_months(summary: CompositeSummary, months: Sequence[int]) -> tuple[int, ...] | None:
    """Those of ``months`` with less than one observation per observed cell; None where months were not counted."""
    if not summary.has_months or not summary.observed:
        return None
    per_cell = summary.valid_by_month / summary.observed
    return tuple(month for month in months if per_cell[month - 1] < LEAST_PER_CELL_AND_MONTH)


def percent(value: float | None) -> str:
    """``0.034`` as ``3.4 %``, from ten on without decimals; "not known" for None."""
    if value is None:
        return "not known"
    shown = 100 * value
    if 0 < shown < 0.1:
        return "less than 0.1 %"
    return f"{shown:.0f} %" if shown >= 9.95 or shown == 0 else f"{shown:.1f} %"


def whole(count: int) -> str:
    """``250000`` as ``250 000``, with narrow spaces that do not break."""
    return f"{count:,}".replace(",", "\u202f")


def _observed(summary: CompositeSummary) -> Check:
    value = share(summary.observed, summary.inside)
    finding = (
        f"{percent(value)} of the {whole(summary.inside)} cells inside the area were seen at least once without cloud."
    )
    return Check("observed", "Seen", value, 0.99, 0.90, finding, at_least=True)


def _composited(summary: CompositeSummary) -> Check:
    rare = summary.classes[RARELY_BARE]
    finding = (
        f"{percent(share(summary.composited, summary.observed))} of the observed cells are composited: bare at least "
        f"three times. {percent(share(rare, summary.observed))} were bare only once or twice, too rarely; a longer "
        "window would bring some of them in."
    )
    return Check("rarely-bare", "Composited", share(rare, rare + summary.composited), 0.15, 0.40, finding)


def _bare_counts(summary: CompositeSummary) -> Check:
    typical = summary.bare_counts.median
    if typical is None:
        finding = "No cell is composited."
    else:
        few = summary.few_bare()
        finding = (
            f"A typical composited cell rests on {typical:.0f} bare observations; "
            f"{percent(share(few[5], summary.composited))} of them on fewer than 5."
        )
    return Check("bare-observations", "Bare observations", typical, 10, 5, finding, at_least=True)


def _precision(summary: CompositeSummary) -> Check:
    value, typical = typical_ci95(summary), summary.bare_counts.median
    if value is None or typical is None:
        finding = "The confidence half-width was not measured."
    else:
        red, width = summary.reflectance["B04"].mean, summary.ci95["B04"].mean
        finding = f"The mean reflectance is known to ± {percent(value)} (95 % confidence) in the typical band"
        finding += f"; in red (B04) it is {red:.3f} ± {width:.3f}. " if red is not None and width is not None else ". "
        finding += (
            f"With {typical:.0f} observations such an interval holds the true mean in about "
            f"{100 * ci95_coverage(typical):.0f} % of the cases, if the observations are independent."
        )
    return Check("ci95", "Precision", value, 0.10, 0.20, finding)


def _months(summary: CompositeSummary, months: Sequence[int]) -> Check:
    thin = thin_months(summary, months)
    if thin is None:
        return Check("thin-months", "Months", None, 0, 4, "Observations by month were not counted.")
    if thin:
        named = ", ".join(calendar.month_name[month] for month in thin)
        empty = sum(summary.valid_by_month[month - 1] == 0 for month in thin)
        finding = f"{named}: less than one observation per cell ({empty} of these {len(thin)} months have none at all)."
    else:
        finding = f"Every one of the {len(months)} calendar months of the window was seen at least once per cell."
    return Check("thin-months", "Months", len(thin), 0, 4, finding)


def _suspects(summary: CompositeSummary) -> Check:
    valid, bare = summary.dropped_valid_share, summary.dropped_bare_share
    known = [value for value in (valid, bare) if value is not None]
    finding = (
        f"{percent(valid)} of the valid and {percent(bare)} of the bare observations were dropped as residual cloud "
        "or haze. Many drops mean that the cloud mask missed much, and probably more than was dropped."
        if known
        else "Dropped observations were not counted."
    )
    return Check("suspects", "Residual cloud", max(known, default=None), 0.05, 0.10, finding)


def _threshold(summary: CompositeSummary) -> Check:
    value = summary.near_threshold_share
    finding = (
        "How many cells hang on the choice of the threshold was not measured."
        if value is None
        else f"In {percent(value)} of the cells the lowest index is within {NEAR_THRESHOLD:g} of the threshold: "
        "a slightly other threshold would move them from bare to never bare, or back."
    )
    return Check("near-threshold", "Threshold", value, 0.15, 0.30, finding)


def _separability(scores: Mapping[str, float] | None) -> Iterator[Check]:
    """The worst HISET score of the tile, where land cover gave one."""
    if scores:
        name, value = max(scores.items(), key=lambda pair: pair[1])
        told = "0 is perfect, 0.5 useless; thresholds of scores above 0.25 are rejected"
        yield Check("hiset", "Separability", value, 0.15, 0.25, f"HISET scores {value:.3f} for {name} ({told}).")


def _broken(used: int, broken: int) -> Check:
    finding = (
        f"{broken} of {used} scenes could not be read everywhere; what was readable was used."
        if broken
        else f"All {used} scenes could be read."
    )
    return Check("broken-scenes", "Scenes", share(broken, used), 0.0, 0.05, finding)
