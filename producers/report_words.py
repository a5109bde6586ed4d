"""What a training found, in plain words."""

import math
from typing import Literal, NamedTuple

from cup4soil.products import LEAST_MEC
from producers.training_record import percent
from producers.training_result import OutputResult, Validation

_NARROW, _WIDE = 0.85, 0.95


class Words(NamedTuple):
    """A finding: ``level`` for the eye, a headline, and a sentence or two."""

    level: Literal["good", "poor", "unknown"]
    headline: str
    text: str


def verdict_words(output: OutputResult) -> Words:
    """Whether validation showed skill, with the interval from which that follows."""
    spatial = output.spatial
    found = f"In {spatial.title.lower()}, away from the other samples, {_explained(spatial.reported.mec)}."
    if output.verdict is None or output.mec_interval is None:
        return Words("unknown", "Skill was not judged", found)
    low, high = output.mec_interval
    spread = (
        f"Had other samples been taken, this efficiency would in nine of ten cases lie between {low:.2f} and {high:.2f}"
        " (bootstrap of whole groups)."
    )
    if output.verdict == "skill":
        return Words(
            "good", "Skill shown",
            f"{found} {spread} Its lower end is above {LEAST_MEC:g}: the map is better than giving the mean of all"
            " samples everywhere.",
        )  # fmt: skip
    return Words(
        "poor", "No skill shown",
        f"{found} {spread} Its lower end is below {LEAST_MEC:g}: the map may be no better than the mean of all samples,"
        " and it is published only under this label.",
    )  # fmt: skip


def interval_words(validation: Validation) -> str:
    """Whether the 90 % interval of a validation holds what it promises."""
    share = validation.reported.picp90
    text = f"{validation.title}: the 90 % interval held {percent(share)} of the measured values"
    if share < _NARROW:
        return f"{text}; it is too narrow."
    if share > _WIDE:
        return f"{text}; it is wider than it would need to be."
    return f"{text}, as it should."


def _explained(mec: float) -> str:
    if not math.isfinite(mec):
        return "the model's efficiency is not defined"
    if mec <= 0:
        return f"the model does no better than the mean of all samples (model efficiency, MEC, {mec:.2f})"
    return f"the model explains {percent(mec)} of the variance between samples (model efficiency, MEC, {mec:.2f})"


def significant(value: float) -> str:
    """A figure with three digits that count."""
    return f"{value:.3g}" if math.isfinite(value) else "not defined"
