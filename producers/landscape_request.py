"""What a user asks for when a map is to be evaluated, checked before anything is read."""

import math
from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator

from cup4soil.errors import InvalidInput
from cup4soil.grids import parse_crs
from cup4soil.properties import SoilProperty
from producers.samples import SampleSpec, TargetSpec


class OwnPoints(BaseModel):
    """A table of samples to hold a map against: where in it the values are, their unit, and where they were taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path
    target: str
    unit: str
    x: str
    y: str
    crs: str
    id: str | None = None

    def spec(self, prop: SoilProperty) -> SampleSpec:
        """How the table is to be read, as samples of the map's property.

        Raises:
            InvalidInput: when the CRS is unknown.
        """
        target = TargetSpec(column=self.target, property=prop, unit=self.unit)
        return SampleSpec(targets=(target,), x=self.x, y=self.y, crs=parse_crs(self.crs), id=self.id)


class EvaluateRequest(BaseModel):
    """A map's folder, and what to hold it against: relief layers, rasters of classes, samples.

    ``tile_m``: spacings of borders to look at beside the usual ones, in metres from the origin of the map's CRS.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    map: Path
    relief: tuple[Path, ...] = ()
    classes: tuple[Path, ...] = ()
    points: OwnPoints | None = None
    tile_m: tuple[float, ...] = ()
    seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> "EvaluateRequest":
        for spacing in self.tile_m:
            if not (math.isfinite(spacing) and spacing > 0):
                raise InvalidInput(f"tiles of {spacing:g} m", "give a length above 0, such as 100000")
        return self
