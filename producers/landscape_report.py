"""The report of a map's evaluation: figures as JSON, and a page in plain words."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cup4soil import __version__
from producers import landscape_plots, plots, plots_space
from producers.landscape import Evaluation
from producers.map_borders import Border
from producers.map_patterns import Profile
from producers.map_validation import MapValidation
from producers.pages import drawing, number, render, write_json
from producers.report_diagnostics import semivariances_document
from producers.report_figures import Picture
from producers.report_words import Words, significant
from producers.training_record import MEASURES, lower_first, percent

JSON_FILE, PAGE_FILE = "evaluation.json", "evaluation.html"
_CHANCE = 0.05
_STEP = 1.2
_REFERENCES = (
    "Weiss, A. (2001): Topographic position and landforms analysis. ESRI User Conference, San Diego.",
    "Harms, K. E., Condit, R., Hubbell, S. P. and Foster, R. B. (2001): Habitat associations of trees and shrubs in a"
    " 50-ha neotropical forest plot. Journal of Ecology 89, 947-959. (Shifts on a torus.)",
)


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write ``evaluation.json`` and ``evaluation.html`` into ``folder``."""
    write_json(folder / JSON_FILE, evaluation_document(evaluation))
    (folder / PAGE_FILE).write_text(evaluation_page(evaluation), encoding="utf-8")


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """All figures of the evaluation; values of single samples are not in it."""
    band = evaluation.layer.bands[0]
    return {
        "product": evaluation.record.id,
        "title": evaluation.record.title,
        "layer": evaluation.layer.name,
        "unit": band.unit,
        "simulated": evaluation.record.simulated,
        "cells": evaluation.cells,
        "lattice": number(evaluation.lattice),
        "findings": [each._asdict() for each in findings(evaluation)],
        "profiles": [_profile(each) for each in evaluation.profiles],
        "borders": [_border(each) for each in evaluation.borders],
        "semivariograms": {name: semivariances_document(each) for name, each in evaluation.variograms.items()},
        "validation": None if evaluation.validation is None else _validation(evaluation.validation),
        "notes": list(evaluation.notes),
        "references": list(_REFERENCES),
        "software": {"cup4soil": __version__},
    }


def evaluation_page(evaluation: Evaluation) -> str:
    """The evaluation as one page of HTML that asks for nothing from elsewhere."""
    validation = evaluation.validation
    return render(
        "evaluation.html.j2",
        evaluation=evaluation,
        record=evaluation.record,
        unit=evaluation.layer.bands[0].unit,
        findings=findings(evaluation),
        profiles=[(each, _profile_row(each)) for each in evaluation.profiles],
        pictures=_pictures(evaluation),
        borders=[(each.name, *_step_cells(each)) for each in evaluation.borders],
        validation=validation,
        columns=() if validation is None else [(name, scores.n) for name, scores in _parts(validation)],
        measures=() if validation is None else list(_measure_rows(validation, evaluation.layer.bands[0].unit)),
        percent=percent,
        references=_REFERENCES,
        version=__version__,
    )


def findings(evaluation: Evaluation) -> list[Words]:
    """What was found, the most important first."""
    found: list[Words] = []
    if evaluation.validation is not None:
        found.append(_validation_words(evaluation.validation))
    relief = [each for each in evaluation.profiles if each.kind != "classes"]
    if relief:
        found.append(_pattern_words(relief, "relief", "the layers of relief"))
    classes = [each for each in evaluation.profiles if each.kind == "classes"]
    if classes:
        found.append(_pattern_words(classes, "the classes given", "the classes"))
    smooth = _smoothing_words(evaluation)
    if smooth is not None:
        found.append(smooth)
    found.append(_border_words([each for each in evaluation.borders if each.kind == "tiles"]))
    return found


def _validation_words(validation: MapValidation) -> Words:
    whole = validation.whole
    text = (
        f"At {whole.n} samples the map has an RMSE of {significant(whole.rmse)}, a bias of {significant(whole.me)}"
        f" and a model efficiency (MEC) of {significant(whole.mec)}; its 90 % interval holds"
        f" {percent(whole.picp90)} of them."
    )
    if validation.mec_interval is not None:
        low, high = validation.mec_interval
        text += f" With other samples the efficiency would, nine times in ten, lie between {low:.2f} and {high:.2f}."
    if not validation.independent:
        return Words(
            "unknown", "Not independent",
            f"The model was trained on this very table, so these figures flatter the map. {text}",
        )  # fmt: skip
    if validation.verdict is None:
        return Words("unknown", "Own samples", text)
    headline = "Own samples confirm skill" if validation.verdict == "skill" else "Own samples show no skill"
    return Words("good" if validation.verdict == "skill" else "poor", headline, text)


def _pattern_words(profiles: list[Profile], what: str, layers: str) -> Words:
    telling = [each for each in profiles if each.explained.p <= _CHANCE]
    if not telling:
        return Words(
            "poor", f"The pattern does not follow {what}",
            f"None of {layers} explains more of the map's variance than it does when shifted at random.",
        )  # fmt: skip
    best = max(telling, key=lambda each: each.explained.share - each.explained.chance)
    text = (
        f"{best.layer} explains {percent(best.explained.share)} of the map's variance"
        f" ({percent(best.explained.chance)} by chance)."
    )
    agreeing = _agreement(best)
    if agreeing is not None:
        text += f" {agreeing}"
    return Words("good", f"The pattern follows {what}", text)


def _agreement(profile: Profile) -> str | None:
    """In how many classes the map's mean is within two standard errors of the samples'."""
    cells = {each.code: each.mean for each in profile.cells}
    told = [each for each in profile.samples if each.n > 2 and each.code in cells]
    if not told:
        return None
    within = sum(abs(cells[each.code] - each.mean) <= 2 * each.standard_error for each in told)
    return (
        f"In {within} of {len(told)} of its classes the map's mean agrees with the samples' within two standard errors."
    )


def _smoothing_words(evaluation: Evaluation) -> Words | None:
    samples, mapped = evaluation.variograms.get("samples"), evaluation.variograms.get("map, at the samples")
    if samples is None or mapped is None or samples.variance <= 0:
        return None
    share = mapped.variance / samples.variance
    text = (
        f"At the samples the map varies {percent(share)} as much as the samples do (variance). A map of means is"
        " smoother than the soil: what is missing is in the prediction interval, not in the mean."
    )
    return Words("unknown", "How smooth the map is", text)


def _border_words(borders: list[Border]) -> Words:
    known = [each for each in borders if math.isfinite(each.step.ratio)]
    if not known:
        return Words("unknown", "No tile borders to judge", "No border of tiles or blocks crosses the map.")
    seen = [each for each in known if each.step.ratio > _STEP and not each.step.p > _CHANCE]
    if not seen:
        worst = max(known, key=lambda each: each.step.ratio)
        return Words(
            "good", "No artificial borders",
            f"Across the borders of tiles and blocks the map steps as it does beside them: at most"
            f" {worst.step.ratio:.2f} times as much ({worst.name}).",
        )  # fmt: skip
    worst = max(seen, key=lambda each: each.step.ratio)
    return Words(
        "poor", "Artificial borders",
        f"Across {worst.name} the map steps {worst.step.ratio:.2f} times as much as beside them, by up to"
        f" {significant(worst.step.offset)} on average along one border.",
    )  # fmt: skip


def _pictures(evaluation: Evaluation) -> dict[str, list[Picture]]:
    label = f"{lower_first(evaluation.record.title)}"
    unit = evaluation.layer.bands[0].unit
    label = unit if len(label) > 40 else f"{label} ({unit})"
    pictures: dict[str, list[Picture]] = {"relief": [], "classes": [], "variogram": [], "scatter": []}
    for each in evaluation.profiles:
        relief = each.kind == "relief"
        figure = (landscape_plots.relief_profile if relief else landscape_plots.class_profile)(each, label)
        means = ", ".join(f"{each.names[cell.code]}: {significant(cell.mean)}" for cell in each.cells[:12])
        told = f"Mean of the map by {each.layer}: {means}."
        pictures["relief" if relief else "classes"].append(Picture(drawing(figure, told), told))
    if evaluation.variograms:
        told = "Semivariance against distance of " + ", ".join(
            f"{name} (variance {significant(each.variance)})" for name, each in evaluation.variograms.items()
        )
        figure = plots_space.semivariogram(evaluation.variograms, f"({unit})²")
        pictures["variogram"] = [Picture(drawing(figure, told), told)]
    if evaluation.validation is not None:
        held_out = evaluation.validation.held_out
        told = f"Map against {held_out.observed.size} samples."
        figure = plots.scatter(held_out, f"({unit})", plots.common_limits([held_out], log=False), log=False)
        pictures["scatter"] = [Picture(drawing(figure, told), told)]
    return pictures


def _parts(validation: MapValidation) -> Iterator[tuple[str, Any]]:
    named = {
        "All samples": validation.whole,
        "Inside the area of applicability": validation.inside,
        "Outside": validation.outside,
    }
    yield from ((name, scores) for name, scores in named.items() if scores is not None)


def _measure_rows(validation: MapValidation, unit: str) -> Iterator[tuple[str, str, list[str], str]]:
    for name, attribute, has_unit, meaning in MEASURES:
        values = [significant(getattr(scores, attribute)) for _, scores in _parts(validation)]
        yield name, unit if has_unit else "", values, meaning


def _profile_row(profile: Profile) -> tuple[str, str, str, str, str]:
    found = profile.explained
    return (
        percent(found.share) if math.isfinite(found.share) else "-",
        percent(found.chance) if math.isfinite(found.chance) else "-",
        f"{found.p:.2f}" if math.isfinite(found.p) else "-",
        percent(profile.explained_of_samples) if math.isfinite(profile.explained_of_samples) else "-",
        f"{profile.spearman:+.2f}" if math.isfinite(profile.spearman) else "",
    )


def _step_cells(border: Border) -> tuple[str, str, str, str]:
    step = border.step
    return (
        f"{step.ratio:.2f}" if math.isfinite(step.ratio) else "-",
        f"{step.p:.2f}" if math.isfinite(step.p) else "",
        significant(step.offset) if math.isfinite(step.offset) else "",
        f"{step.pairs}",
    )


def _profile(profile: Profile) -> dict[str, Any]:
    def means(rows: Any) -> list[dict[str, Any]]:
        return [
            {"class": profile.names.get(each.code, str(each.code)), "n": each.n, "mean": number(each.mean),
             "sd": number(each.sd)}
            for each in rows
        ]  # fmt: skip

    return {
        "layer": profile.layer,
        "kind": profile.kind,
        "unit": profile.unit,
        "explained": {
            "share": number(profile.explained.share),
            "by_chance": number(profile.explained.chance),
            "p": number(profile.explained.p),
            "shifts": profile.explained.shifts,
        },
        "explained_of_samples": number(profile.explained_of_samples),
        "spearman": number(profile.spearman),
        "medians_of_layer": [number(each) for each in profile.centres],
        "map": means(profile.cells),
        "samples": means(profile.samples),
    }


def _border(border: Border) -> dict[str, Any]:
    step = border.step
    return {
        "name": border.name,
        "kind": border.kind,
        "ratio": number(step.ratio),
        "p": number(step.p),
        "largest_offset": number(step.offset),
        "pairs": step.pairs,
    }


def _validation(validation: MapValidation) -> dict[str, Any]:
    parts = {"all": validation.whole, "inside": validation.inside, "outside": validation.outside}
    interval = validation.mec_interval
    return {
        "independent": validation.independent,
        "unmapped": validation.unmapped,
        "verdict": validation.verdict,
        "mec_interval_90": None if interval is None else [number(end) for end in interval],
        **{
            name: None if scores is None else {key: number(value) for key, value in dataclasses.asdict(scores).items()}
            for name, scores in parts.items()
        },
    }
