"""What a soil model reports: properties as they were when it was trained, their scales, and how good each is."""

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from cup4soil.products import LEAST_MEC, MEC_LOWER_END, Frozen, Measure, Verdict
from cup4soil.properties import SoilProperty

type Floats = NDArray[np.float64]


class PropertyDescription(Frozen):
    """A :class:`SoilProperty` as it was when the model was trained."""

    code: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    title: str
    unit: str
    stored_unit: str
    factor: int = Field(ge=1)
    valid_range: tuple[float, float]
    conversions: Mapping[str, float]
    terms: tuple[str, ...]
    ratio_scale: bool
    description: str

    @classmethod
    def of(cls, prop: SoilProperty) -> Self:
        """Describe ``prop``."""
        names = tuple(cls.model_fields)
        return cls.model_validate(
            {name: getattr(prop, name) for name in names} | {"conversions": dict(prop.conversions)}
        )

    def to_property(self) -> SoilProperty:
        """The property described."""
        return SoilProperty(**{name: getattr(self, name) for name in type(self).model_fields})


class Transform(Frozen):
    """Scale of a property: the values themselves, or ln(max(value, ``floor``)).

    Intervals are calibrated on this scale: for a skewed property a factor is to be found, not a summand.
    """

    name: Literal["identity", "ln"]
    floor: float | None = None

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.name == "ln" and not (self.floor is not None and self.floor > 0):
            raise ValueError("ln needs a positive floor")
        return self

    def apply(self, values: ArrayLike) -> Floats:
        """Values on this scale, in their shape."""
        given = np.asarray(values, dtype=np.float64)
        if self.name == "identity":
            return given
        return np.asarray(np.log(np.maximum(given, self.floor or 0.0)), dtype=np.float64)

    def invert(self, scaled: ArrayLike) -> Floats:
        """Values of numbers on this scale; what does not exceed the floor is 0, as nothing else is told apart there."""
        given = np.asarray(scaled, dtype=np.float64)
        if self.name == "identity":
            return given
        found = np.exp(given)
        # ln and exp may lose the last digit between them.
        return np.asarray(np.where(found <= (self.floor or 0.0) * (1 + 1e-12), 0.0, found), dtype=np.float64)


def bounds(
    scale: Transform, limits: tuple[float, float], lower: ArrayLike, median: ArrayLike, upper: ArrayLike
) -> tuple[Floats, Floats]:
    """An interval (m,) from its calibrated ends on ``scale``, around ``median`` on the scale reported.

    It stays within what the property can be, which takes no observation out of it, and never passes the median, as
    ln and exp may lose the last digit between them.
    """
    middle = np.asarray(median, np.float64)
    low, high = (np.clip(scale.invert(end), *limits) for end in (lower, upper))
    return np.minimum(low, middle), np.maximum(high, middle)


class OutputDescription(Frozen):
    """One property that a model reports, and how good it is.

    ``column`` of the samples' table in ``unit_of_samples`` was learnt from; ``calibrated`` tells whether the arrays
    hold a calibration of its interval. ``quality`` are the figures of its validation, ``verdict`` what follows (None
    for what is derived of a model, which nothing has validated), and ``limitations`` what a user of its maps has to
    know.
    """

    soil_property: PropertyDescription
    column: str
    unit_of_samples: str
    transform: Transform
    calibrated: bool = False
    quality: tuple[Measure, ...] = ()
    verdict: Verdict | None
    limitations: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _honest(self) -> Self:
        lower = [each.value for each in self.quality if each.name == MEC_LOWER_END]
        if lower and (min(lower) < LEAST_MEC) != (self.verdict == "no-skill"):
            raise ValueError(f"verdict {self.verdict} contradicts a lower end of the MEC of {min(lower):g}")
        return self

    @property
    def code(self) -> str:
        """Code of the property."""
        return self.soil_property.code
