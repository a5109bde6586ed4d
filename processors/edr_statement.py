"""How sure a value is and whether it holds there, in words beside the numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cup4soil.products import NO_SKILL_NOTE
from processors.coverages import Coverage, Field

# Read at every position, whatever was asked for: no value goes out without them.
TOLD: Final = ("mean", "q05", "q95", "aoa", "di")
INSIDE: Final = "Inside the area of applicability."
OUTSIDE: Final = (
    "Outside the area of applicability: training held nothing like this place, so neither the value nor its interval"
    " can be relied on."
)
UNKNOWN: Final = "No value: the cell was masked, or bare soil was never seen there."


def is_told(coverage: Coverage) -> bool:
    """True for a collection that says where it applies."""
    return "aoa" in coverage.fields


def statement(coverage: Coverage, values: Mapping[str, float]) -> dict[str, Any]:
    """What ``values`` by name of field (NaN where missing) say of one place.

    ``inside`` is None where nothing is known; ``dissimilarity`` is the index ``di`` where there is one.
    """
    known = {name: value for name, value in values.items() if value == value}
    aoa = known.get("aoa")
    found: dict[str, Any] = {"inside": None if aoa is None else aoa >= 0.5}
    if "di" in known:
        found["dissimilarity"] = known["di"]
    return found | {"text": " ".join(_sentences(coverage, known))}


def share_outside(coverage: Coverage, cells: int, outside: int) -> str:
    """The sentence for an area of ``cells`` valid cells."""
    if not cells:
        return UNKNOWN
    text = f"{outside} of {cells} cells lie outside the area of applicability."
    return " ".join([text, *_notes(coverage)])


def _sentences(coverage: Coverage, known: Mapping[str, float]) -> list[str]:
    aoa = known.get("aoa")
    where = [] if aoa is None else [INSIDE if aoa >= 0.5 else OUTSIDE]
    if "mean" not in known:
        return [UNKNOWN, *where]
    return [_interval(coverage.fields, known), *where, *_notes(coverage)]


def _interval(fields: Mapping[str, Field], known: Mapping[str, float]) -> str:
    field = fields["mean"]
    unit = "" if field.unit == "1" else f" {field.unit}"
    text = f"Mean {known['mean']:g}{unit}"
    if "q05" in known and "q95" in known:
        text += f", 90 % prediction interval {known['q05']:g} to {known['q95']:g}{unit}"
    return text + "."


def _notes(coverage: Coverage) -> Sequence[str]:
    notes = []
    if any(item.verdict == "no-skill" for item in coverage.items):
        notes.append(NO_SKILL_NOTE)
    if any(item.simulated for item in coverage.items):
        notes.append("Made from simulated input: does not describe a real place.")
    return notes
