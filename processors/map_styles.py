"""The styles in which a collection can be drawn: one for each layer, pictures of composites, maps with a veil."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from cup4soil.errors import NotFound
from processors.coverages import Coverage, Field
from processors.map_colours import ramp_of

APPLICABILITY: Final = "aoa"
VEILED: Final = "-veiled"
# Layers of one quantity, drawn on one scale, so that they can be compared by colour; its ends are the first two's.
COMMON_SCALE: Final = ("q05", "mean", "q50", "q95")
_PICTURES = {
    "true-colour": ("Bare soil, natural colour", ("SRC_B04", "SRC_B03", "SRC_B02")),
    "swir": ("Bare soil, short-wave infrared", ("SRC_B12", "SRC_B8A", "SRC_B04")),
    "surface": ("All surfaces, natural colour", ("MREF_B04", "MREF_B03", "MREF_B02")),
}
# Not drawn under a veil: they say themselves where the model applies.
_UNVEILED = frozenset({APPLICABILITY, "di"})
_FIRST = ("mean", "true-colour")


@dataclass(frozen=True, slots=True)
class Style:
    """A way to draw ``fields``: one by a ramp or as classes, or three as red, green and blue.

    ``veil`` is the layer of the area of applicability where cells outside it are greyed and hatched.
    """

    id: str
    title: str
    kind: Literal["ramp", "classes", "picture"]
    fields: tuple[Field, ...]
    veil: Field | None = None

    @property
    def ramp(self) -> str:
        """Name of the ramp of colours."""
        return ramp_of(self.fields[0].name)

    @property
    def needs(self) -> tuple[Field, ...]:
        """All layers to be read, the veil last."""
        return self.fields if self.veil is None else (*self.fields, self.veil)


def styles_of(coverage: Coverage) -> dict[str, Style]:
    """The styles of a coverage by id, the default one first."""
    known = coverage.fields
    styles = {name: _of_field(field) for name, field in known.items()}
    for name, (title, bands) in _PICTURES.items():
        if all(band in known for band in bands):
            styles[name] = Style(name, title, "picture", tuple(known[band] for band in bands))
    styles |= {each.id: each for each in _veiled(known, styles)}
    first = next((name for name in _FIRST if name in styles), next(iter(styles)))
    return {first: styles[first]} | styles


def style_of(coverage: Coverage, wanted: str | None) -> Style:
    """The style of this id, the default one without any.

    Raises:
        NotFound: when the coverage has no such style.
    """
    styles = styles_of(coverage)
    if wanted is None or wanted == "default":
        return next(iter(styles.values()))
    if wanted not in styles:
        raise NotFound(
            f"{coverage.collection} has no style {wanted[:80]!r}", f"use one of {', '.join(list(styles)[:80])}"
        )
    return styles[wanted]


def _of_field(field: Field) -> Style:
    return Style(field.name, field.title, "classes" if field.categories else "ramp", (field,))


def _veiled(known: Mapping[str, Field], styles: Mapping[str, Style]) -> list[Style]:
    veil = known.get(APPLICABILITY)
    if veil is None:
        return []
    return [
        Style(f"{name}{VEILED}", f"{each.title}, hatched where the model does not apply", each.kind, each.fields, veil)
        for name, each in styles.items()
        if name not in _UNVEILED
    ]
