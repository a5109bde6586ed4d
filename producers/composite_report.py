"""The quality report of a composite: figures as JSON, and a page for people with everything in it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from odc.geo.geobox import GeoBox

from cup4soil.grids import crs_code, crs_of
from cup4soil.methods.bare_soil import BANDS
from cup4soil.methods.composite import MASK_CATEGORIES
from cup4soil.products import Document, Period
from producers.composite_checks import Verdict, ci95_relative, judge, percent, thin_months, typical_ci95, whole
from producers.composite_maps import MapPicture, maps
from producers.composite_plots import count_width, figures
from producers.composite_summary import INDEX_BIN, CompositeSummary, Histogram, share
from producers.pages import drawings, number, render, write_json

DOCUMENTS = (
    Document(
        name="quality-report-data",
        title="Quality report: figures",
        file="report.json",
        media_type="application/json",
        roles=("metadata", "quality-report"),
    ),
    Document(
        name="quality-report",
        title="Quality report",
        file="report.html",
        media_type="text/html",
        roles=("metadata", "quality-report"),
    ),
)
_WORST_SCENES = 20
# A scene of few observations is drawn towards the average as if it had this many average ones more.
_PSEUDO_OBSERVATIONS = 100
_FREQUENCY_BIN = 0.01
_LEVEL_MARKS = {"good": "✓", "fair": "!", "poor": "✗", "unknown": "?"}


@dataclass(frozen=True, slots=True)
class BrokenScene:
    """A scene that could not be read everywhere: why, and in how many blocks."""

    reason: str
    blocks: int


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What the report tells that is not in the layers.

    ``tile`` is the tile's name where there is one; ``scenes_rejected`` counts scenes by the reason they were left out;
    ``months`` are the calendar months (1 to 12) of the window, by default those that ``period`` touches;
    ``separability`` holds HISET scores by the name of the threshold (0 perfect, 0.5 useless); ``suspect_scenes`` the
    valid observations of each scene and how many of them were dropped as residual cloud or haze.
    """

    product: str
    title: str
    period: Period
    tile: str | None
    grid: GeoBox
    scenes_used: int
    threshold: str
    test: str
    licence: str
    software: str
    scenes_rejected: Mapping[str, int] = field(default_factory=dict)
    broken_scenes: Mapping[str, BrokenScene] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    attribution: tuple[str, ...] = ()
    simulated: bool = False
    months: tuple[int, ...] | None = None
    separability: Mapping[str, float] | None = None
    suspect_scenes: Mapping[str, tuple[int, int]] | None = None

    @property
    def months_of_window(self) -> tuple[int, ...]:
        """Calendar months of the window, in the order of the year."""
        return months_of(self.period) if self.months is None else tuple(sorted(set(self.months)))


@dataclass(frozen=True, slots=True)
class SuspectScene:
    """A scene with how many of its valid observations were dropped, and their share."""

    scene: str
    valid: int
    dropped: int
    share: float


def write_composite_report(folder: Path, summary: CompositeSummary, facts: ReportFacts) -> tuple[Document, ...]:
    """Write ``report.json`` and ``report.html`` beside the finished layers in ``folder``.

    The maps are read from the layers' files; the page asks for nothing from elsewhere.

    Raises:
        NotFound: when a layer's file is missing.
        InvalidRaster: when one cannot be read.
        ValueError: when ``summary`` is empty.
    """
    if summary.layers is None:
        raise ValueError("a report of no blocks")
    verdict = judge(summary, facts.months_of_window, facts.scenes_used, len(facts.broken_scenes), facts.separability)
    write_json(folder / DOCUMENTS[0].file, report_document(summary, facts, verdict))
    page = report_page(summary, facts, verdict, maps(folder, summary.layers))
    (folder / DOCUMENTS[1].file).write_text(page, encoding="utf-8")
    return DOCUMENTS


def report_document(summary: CompositeSummary, facts: ReportFacts, verdict: Verdict) -> dict[str, Any]:
    """All figures of the report; the keys are described in ``docs/composite-report.md``."""
    return {
        "product": facts.product,
        "title": facts.title,
        "simulated": facts.simulated,
        "period": facts.period.model_dump(mode="json") | {"months": list(facts.months_of_window)},
        "tile": facts.tile,
        "grid": _grid(facts.grid),
        "verdict": _verdict(verdict),
        "cells": _cells(summary),
        "observations": _observations(summary, facts),
        "suspects": _suspects(summary, facts),
        "reflectance": _reflectance(summary),
        "separability": _separability(summary, facts),
        "histograms": _histograms(summary),
        "scenes": {
            "used": facts.scenes_used,
            "rejected": dict(facts.scenes_rejected),
            "broken": {scene: asdict(why) for scene, why in facts.broken_scenes.items()},
        },
        "method": {"test": facts.test, "threshold": facts.threshold, "references": list(facts.references)},
        "licence": facts.licence,
        "attribution": list(facts.attribution),
        "software": facts.software,
    }


def months_of(period: Period) -> tuple[int, ...]:
    """Calendar months that ``period`` touches, in the order of the year."""
    first = period.start.year * 12 + period.start.month - 1
    last = period.end.year * 12 + period.end.month - 1
    return tuple(sorted({month % 12 + 1 for month in range(first, min(last, first + 11) + 1)}))


def worst_scenes(scenes: Mapping[str, tuple[int, int]]) -> tuple[SuspectScene, ...]:
    """The up to twenty scenes whose observations were dropped more often than the average, the worst first.

    They are ordered by their share, drawn towards the average where a scene has few observations.
    """
    valid = sum(seen for seen, _ in scenes.values())
    average = sum(dropped for _, dropped in scenes.values()) / max(1, valid)

    def order(scene: SuspectScene) -> tuple[float, str]:
        drawn = (scene.dropped + average * _PSEUDO_OBSERVATIONS) / (scene.valid + _PSEUDO_OBSERVATIONS)
        return -drawn, scene.scene

    known = [SuspectScene(name, seen, dropped, dropped / seen) for name, (seen, dropped) in scenes.items() if seen]
    return tuple(sorted((each for each in known if each.share > average), key=order)[:_WORST_SCENES])


def _grid(grid: GeoBox) -> dict[str, Any]:
    return {
        "crs": crs_code(crs_of(grid)),
        "shape": [grid.shape[0], grid.shape[1]],
        "transform": list(grid.affine)[:6],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "answer": verdict.answer,
        "level": verdict.level,
        "checks": {
            check.name: {
                "level": check.level,
                "value": _number(check.value),
                "good": check.good,
                "fair": check.fair,
                "at_least": check.at_least,
                "finding": check.finding,
            }
            for check in verdict.checks
        },
    }


def _cells(summary: CompositeSummary) -> dict[str, Any]:
    return {
        "inside": summary.inside,
        "observed": summary.observed,
        "observed_share": _number(share(summary.observed, summary.inside)),
        "composited": summary.composited,
        "composited_share": _number(share(summary.composited, summary.observed)),
        "by_class": {str(code): count for code, count in summary.classes.items()},
        "composited_from_fewer_than": {str(limit): count for limit, count in summary.few_bare().items()},
    }


def _observations(summary: CompositeSummary, facts: ReportFacts) -> dict[str, Any]:
    thin = thin_months(summary, facts.months_of_window)
    return {
        "valid": summary.valid_observations,
        "bare": summary.bare_observations,
        "bare_per_composited_cell_median": _number(summary.bare_counts.median),
        "by_month": _by_month(summary) if summary.has_months else None,
        "thin_months": None if thin is None else list(thin),
    }


def _by_month(summary: CompositeSummary) -> list[dict[str, Any]]:
    pairs = zip(summary.valid_by_month.tolist(), summary.bare_by_month.tolist(), strict=True)
    return [
        {
            "month": month,
            "valid": valid,
            "valid_per_cell": _number(share(valid, summary.observed)),
            "bare": bare,
            "bare_share": _number(share(bare, valid)),
        }
        for month, (valid, bare) in enumerate(pairs, 1)
    ]


def _suspects(summary: CompositeSummary, facts: ReportFacts) -> dict[str, Any] | None:
    if not summary.has("SUSPECTS"):
        return None
    return {
        "valid": {"dropped": summary.dropped_valid, "share": _number(summary.dropped_valid_share)},
        "bare": {"dropped": summary.dropped_bare, "share": _number(summary.dropped_bare_share)},
        "worst_scenes": None
        if facts.suspect_scenes is None
        else [asdict(each) | {"share": number(each.share)} for each in worst_scenes(facts.suspect_scenes)],
    }


def _reflectance(summary: CompositeSummary) -> dict[str, Any]:
    bands = {
        band: {
            "mean": _number(summary.reflectance[band].mean),
            "ci95_mean": _number(summary.ci95[band].mean),
            "ci95_median": _number(summary.ci95[band].median),
            "ci95_relative": _number(ci95_relative(summary, band)),
        }
        for band in BANDS
    }
    return {"ci95_relative_typical": _number(typical_ci95(summary)), "bands": bands}


def _separability(summary: CompositeSummary, facts: ReportFacts) -> dict[str, Any]:
    known, valley = summary.threshold_range, summary.valley
    return {
        "threshold": None
        if known is None
        else dict(zip(("minimum", "mean", "maximum"), map(number, known), strict=True)),
        "near_threshold_share": _number(summary.near_threshold_share),
        "valley": None
        if valley is None
        else {"index": number(valley.index), "depth": number(valley.depth), "modes": [number(x) for x in valley.modes]},
        "hiset": None if facts.separability is None else {k: number(v) for k, v in facts.separability.items()},
    }


def _histograms(summary: CompositeSummary) -> dict[str, Any]:
    widths = {"BSF": _FREQUENCY_BIN, "IMIN": INDEX_BIN, "IMAX": INDEX_BIN}
    layers = {"IMIN": "INDEX", "IMAX": "INDEX", "SUSPECTS": "SUSPECTS"}
    named = {**summary.histograms, "BSC_COMPOSITED": summary.bare_counts}
    return {
        name: _histogram(each, widths.get(name) or count_width(each))
        for name, each in named.items()
        if summary.has(layers.get(name, "SFREQ"))
    }


def _histogram(histogram: Histogram, width: float) -> dict[str, Any]:
    edges, counts = histogram.binned(width)
    return {
        "bin_width": width,
        "bin_edges": [number(float(edge)) for edge in edges],
        "cells": counts.tolist(),
        "mean": _number(histogram.mean),
        **{f"p{level:02d}": _number(histogram.quantile(level / 100)) for level in (5, 25, 50, 75, 95)},
    }


def _number(value: float | None) -> float | int | None:
    return None if value is None else number(value)


def report_page(summary: CompositeSummary, facts: ReportFacts, verdict: Verdict, pictures: list[MapPicture]) -> str:
    """The report as one page of HTML that asks for nothing from elsewhere."""
    return render(
        "composite.html.j2",
        summary=summary,
        facts=facts,
        verdict=verdict,
        marks=_LEVEL_MARKS,
        cards=_cards(summary, facts),
        maps=pictures,
        figures=drawings(figures(summary, facts.months_of_window)),
        document=report_document(summary, facts, verdict),
        categories=MASK_CATEGORIES,
        worst=None if facts.suspect_scenes is None else worst_scenes(facts.suspect_scenes),
        percent=percent,
        whole=whole,
    )


def _cards(summary: CompositeSummary, facts: ReportFacts) -> list[tuple[str, str, str]]:
    """The few figures at the head of the page: name, value, what it tells."""
    typical, precision = summary.bare_counts.median, typical_ci95(summary)
    composited = share(summary.composited, summary.observed)
    thin = thin_months(summary, facts.months_of_window)
    return [
        ("Composited", percent(composited), "of the observed cells"),
        ("Bare observations", "none" if typical is None else f"{typical:.0f}", "of a typical composited cell"),
        ("Precision", "not known" if precision is None else f"± {percent(precision)}", "of the reflectance, 95 %"),
        (
            "Months hardly seen",
            "not known" if thin is None else f"{len(thin)}",
            f"of the {len(facts.months_of_window)} calendar months of the window",
        ),
    ]
