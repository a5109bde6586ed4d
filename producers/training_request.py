"""What a user asks for when a model is to be trained, checked before anything is read."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.grids import parse_crs
from cup4soil.products import Period
from cup4soil.properties import SoilProperty, property_codes, soil_property
from producers.samples import TEXTURE_TOLERANCE_PERCENT, SampleSpec, TargetSpec

_LARGEST_STORED = 32_767
_FINEST_FACTOR = 1000
# Wide enough for any laboratory's figure, and finite, as JSON has no infinity.
_ANY_VALUE = (-1e12, 1e12)


class TrainRequest(BaseModel):
    """Samples, where in their table what stands, what to learn from, and how.

    Without ``property_code`` the model is of a property named after the target column, in ``unit`` and
    without a range to check. ``depth`` is what the horizons are brought to; without depth columns it
    states what the samples are of. ``texture`` names the columns of sand, silt and clay where their
    names do not tell. ``period`` is when the samples were taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: Path
    target: str
    unit: str
    x: str
    y: str
    crs: str
    property_code: str | None = None
    id: str | None = None
    upper: str | None = None
    lower: str | None = None
    depth: Depth | None = None
    covariates: tuple[Path, ...] = ()
    features: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    texture: tuple[str, str, str] | None = None
    texture_tolerance: float = TEXTURE_TOLERANCE_PERCENT
    minimum_coverage: float = 0.5
    log: bool = False
    folds: int = 10
    trees: int = 500
    seed: int = 0
    licence: str | None = None
    attribution: str | None = None
    title: str | None = None
    period: Period | None = None

    @model_validator(mode="after")
    def _check(self) -> "TrainRequest":
        if bool(self.covariates) == bool(self.features):
            given = "both covariates and features are" if self.covariates else "neither covariates nor features are"
            raise InvalidInput(f"{given} given", "give --covariates or --features")
        if not 2 <= self.folds <= 100:
            raise InvalidInput(f"{self.folds} folds", "give 2 to 100")
        if self.features and self.target in self.features:
            raise InvalidInput(f"column {self.target!r} is target and feature at once", "leave it out of --features")
        unknown = set(self.categorical) - set(self.features) if self.features else set()
        if unknown:
            raise InvalidInput(f"categorical {min(unknown)!r} is no feature", f"there are {', '.join(self.features)}")
        if not 0 < self.minimum_coverage <= 1:
            raise InvalidInput(f"minimum coverage {self.minimum_coverage:g}", "give a share above 0 and at most 1")
        if not 0 < self.texture_tolerance <= 50:
            raise InvalidInput(f"texture tolerance {self.texture_tolerance:g} %", "give percent above 0, such as 1")
        return self

    def sample_spec(self) -> SampleSpec:
        """How the table of samples is to be read.

        Raises:
            InvalidInput: when property, unit or CRS are unknown.
        """
        target = TargetSpec(column=self.target, property=requested_property(self), unit=self.unit)
        return SampleSpec(
            targets=(target,), x=self.x, y=self.y,
            crs=parse_crs(self.crs), id=self.id, upper=self.upper, lower=self.lower, depth=self.depth,
            features=self.features, texture=self.texture, texture_tolerance=self.texture_tolerance,
            minimum_coverage=self.minimum_coverage,
        )  # fmt: skip

    def parameters(self) -> dict[str, Any]:
        """Everything but the paths and what only describes: what decides the result.

        Licence and attribution of the samples count too; they are part of their source's identity.
        """
        left_out = {"samples", "covariates", "title", "licence", "attribution", "depth"}
        stated = self.model_dump(mode="json", exclude=left_out)
        return stated | {"depth": str(self.depth) if self.depth else None}


def requested_property(request: TrainRequest) -> SoilProperty:
    """The property asked for, or a general one named after the target column.

    Raises:
        NotFound: when there is no property of the code.
        InvalidInput: when the column's name is that of a known property, or gives no name.
    """
    if request.property_code is not None:
        return soil_property(request.property_code)
    code = re.sub(r"[^a-z0-9]+", "-", request.target.lower()).strip("-")
    if not code:
        raise InvalidInput(f"column {request.target!r} gives no name to a map", "give --property")
    if code in property_codes():
        raise InvalidInput(f"column {request.target!r} has the name of a soil property", f"give --property {code}")
    return SoilProperty(
        code, request.target, request.unit, request.unit, 1, _ANY_VALUE, {request.unit: 1.0},
        description=f"Values of the column {request.target}, in {request.unit}.",
    )  # fmt: skip


def with_factor(prop: SoilProperty, values: NDArray[np.float64]) -> SoilProperty:
    """A general property with the finest factor, 1 to 1000, that lets all ``values`` fit into int16.

    Raises:
        InvalidSamples: when even whole numbers do not fit.
    """
    largest = float(np.max(np.abs(values)))
    if largest > _LARGEST_STORED:
        raise InvalidSamples(
            f"values up to {largest:g} {prop.unit} are too large for a map",
            f"give them in a unit that keeps them below {_LARGEST_STORED}",
        )
    room = _LARGEST_STORED / largest if largest > 0 else _FINEST_FACTOR
    factor = min(_FINEST_FACTOR, 10 ** math.floor(math.log10(room)))
    stored = prop.unit if factor == 1 else f"{prop.unit}*{factor}"
    return replace(prop, factor=factor, stored_unit=stored)
