"""What a user asks for when a model is to be trained, checked before anything is read."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.grids import parse_crs
from cup4soil.methods.tuning import TRIALS
from cup4soil.products import Period
from cup4soil.properties import TEXTURE_CODES, SoilProperty, property_codes, soil_property
from producers.sample_sources import SampleSource
from producers.samples import TEXTURE_TOLERANCE_PERCENT, SampleSpec, TargetSpec

_LARGEST_STORED = 32_767
_FINEST_FACTOR = 1000
# Wide enough for any laboratory's figure, and finite, as JSON has no infinity.
_ANY_VALUE = (-1e12, 1e12)
_MOST_TARGETS, _MOST_DEPTHS = 12, 20


@dataclass(frozen=True, slots=True)
class Target:
    """A column to learn from, its unit, and the property it holds where that is a known one."""

    column: str
    unit: str
    property_code: str | None


class TrainRequest(BaseModel):
    """Samples, where in their table what stands, what to learn from, and how.

    ``format``, ``mapping``, ``joins`` and ``layer`` are those of :func:`producers.sample_sources.sample_source`. Where
    the source knows its columns, ``property_code`` alone says what to learn; ``x``, ``y`` and ``crs`` may be left out.
    ``target``, ``unit`` and ``property_code`` are one each, or several in pairs: properties learnt together by one
    forest; clay, silt and sand as a texture. Without ``property_code`` the model is of a property named after the
    target column, in ``unit`` and without a range to check. ``depth`` is what the horizons are brought to; without
    depth columns it states what the samples are of. Of several ``depths`` each gets a model of its own, or with
    ``three_d`` all are mapped by one that learns from every horizon, with depth as a feature. ``texture`` names the
    columns of sand, silt and clay where their names do not tell. ``log_targets`` are the columns or properties whose
    logarithm is modelled, all with ``log``. ``ordered`` names classes whose numbers have an order,
    ``computed`` declares covariates computed of others, ``grid`` is a raster to take the grid of.
    ``block_size`` is in metres, ``period`` when the samples were taken. ``sites`` and ``sites_grid`` (m) say
    whether and how exactly the places of the samples are given to others, see :mod:`producers.site_terms`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: Path
    target: str | tuple[str, ...] = ()
    unit: str | tuple[str, ...] = ()
    x: str | None = None
    y: str | None = None
    crs: str | None = None
    format: str = "auto"
    mapping: Path | None = None
    joins: tuple[Path, ...] = ()
    layer: str | None = None
    property_code: str | tuple[str, ...] | None = None
    id: str | None = None
    upper: str | None = None
    lower: str | None = None
    depth: Depth | None = None
    depths: tuple[Depth, ...] = ()
    three_d: bool = False
    covariates: tuple[Path, ...] = ()
    features: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    ordered: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    grid: Path | None = None
    texture: tuple[str, str, str] | None = None
    texture_tolerance: float = TEXTURE_TOLERANCE_PERCENT
    minimum_coverage: float = 0.5
    harmonise: Literal["weighted", "spline"] = "weighted"
    smoothing: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    below_detection: Literal["exclude", "half"] | None = None
    log: bool = False
    log_targets: tuple[str, ...] = ()
    folds: int = 10
    trees: int = 500
    form: Literal["all", "one"] = "all"
    seed: int = 0
    tune: int = Field(default=0, ge=0, le=len(TRIALS))
    decorrelate: float | None = Field(default=None, gt=0, lt=1)
    select: bool = False
    validation: Literal["blocks", "knndm", "regions"] = "blocks"
    block_size: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    region_column: str | None = None
    calibrate: bool = True
    stratum: str | None = None
    licence: str | None = None
    attribution: str | None = None
    title: str | None = None
    period: Period | None = None
    sites: Literal["auto", "open", "closed"] = "auto"
    sites_grid: float | None = Field(default=None, ge=1, le=100_000, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check(self) -> "TrainRequest":
        _check_sources(self)
        _check_targets(self)
        _check_depths(self)
        _check_validation(self)
        if not 0 < self.minimum_coverage <= 1:
            raise InvalidInput(f"minimum coverage {self.minimum_coverage:g}", "give a share above 0 and at most 1")
        if not 0 < self.texture_tolerance <= 50:
            raise InvalidInput(f"texture tolerance {self.texture_tolerance:g} %", "give percent above 0, such as 1")
        return self

    @property
    def targets(self) -> tuple[Target, ...]:
        """The columns to learn from, in order; none where the source of the samples knows them."""
        columns, units, codes = _several(self.target), _several(self.unit), _several(self.property_code)
        given = codes or (None,) * len(columns)
        return tuple(Target(*each) for each in zip(columns, units, given, strict=True)) if columns else ()

    @property
    def codes(self) -> tuple[str, ...]:
        """The properties asked for."""
        return _several(self.property_code)

    @property
    def each_depth(self) -> tuple["TrainRequest", ...]:
        """A request for each model: one for each of several depths, unless one model is for all."""
        if self.three_d or not self.depths:
            return (self,)
        return tuple(self.model_copy(update={"depth": depth, "depths": ()}) for depth in self.depths)

    def sample_spec(self, source: SampleSource) -> SampleSpec:
        """How the samples of ``source`` are to be read.

        Raises:
            NotFound: when a property is unknown, or not in the source.
            InvalidInput: when a unit or CRS is unknown, or the request contradicts the source.
        """
        targets = [
            TargetSpec(column=each.column, property=requested_property(each), unit=each.unit) for each in self.targets
        ]
        whole = self.depth
        if self.three_d:
            whole = Depth(min(d.upper_cm for d in self.depths), max(d.lower_cm for d in self.depths))
        return source.spec(
            () if targets else self.codes, targets=targets, x=self.x, y=self.y,
            crs=None if self.crs is None else parse_crs(self.crs), id=self.id, upper=self.upper, lower=self.lower,
            depth=whole, depths_as_rows=self.three_d, features=self.features,
            texture=self.texture or _texture_columns(self.targets), texture_tolerance=self.texture_tolerance,
            minimum_coverage=self.minimum_coverage, harmonise=self.harmonise, smoothing=self.smoothing,
            below_detection=self.below_detection,
        )  # fmt: skip

    def parameters(self) -> dict[str, Any]:
        """Everything but the paths and what only describes: what decides the result.

        Licence and attribution of the samples count too; they are part of their source's identity.
        """
        left_out = {
            "samples",
            "mapping",
            "joins",
            "covariates",
            "grid",
            "title",
            "licence",
            "attribution",
            "depth",
            "depths",
            "sites",
            "sites_grid",
        }
        stated = self.model_dump(mode="json", exclude=left_out)
        depths = [str(depth) for depth in self.depths]
        return stated | {"depth": str(self.depth) if self.depth else None, "depths": depths}


def _several(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else given


def _check_sources(request: TrainRequest) -> None:
    if bool(request.covariates) == bool(request.features):
        given = "both covariates and features are" if request.covariates else "neither covariates nor features are"
        raise InvalidInput(f"{given} given", "give --covariates or --features")
    if request.features and (request.ordered or request.computed or request.grid):
        raise InvalidInput("ordered or computed covariates, or a grid, without rasters", "give --covariates")
    unknown = set(request.categorical) - set(request.features) if request.features else set()
    if unknown:
        raise InvalidInput(f"categorical {min(unknown)!r} is no feature", f"there are {', '.join(request.features)}")


def _check_targets(request: TrainRequest) -> None:
    columns, units, codes = _several(request.target), _several(request.unit), _several(request.property_code)
    if not columns and not units and codes:
        return
    if not columns or len(columns) != len(units) or len(codes) not in (0, len(columns)):
        problem = f"{len(columns)} targets, {len(units)} units and {len(codes)} properties"
        raise InvalidInput(problem, "give a unit for each target, and a property for each or for none")
    if len(columns) > _MOST_TARGETS:
        raise InvalidInput(f"{len(columns)} targets", f"give at most {_MOST_TARGETS}")
    for names in (columns, codes):
        if len(set(names)) != len(names):
            raise InvalidInput(f"a target is given twice: {', '.join(names)}", "give each once")
    both = [column for column in columns if column in request.features]
    if both:
        raise InvalidInput(f"column {both[0]!r} is target and feature at once", "leave it out of --features")


def _check_depths(request: TrainRequest) -> None:
    if request.depth is not None and request.depths:
        raise InvalidInput("both a depth and several depths are given", "use one of --depth and --depths")
    if len(request.depths) > _MOST_DEPTHS:
        raise InvalidInput(f"{len(request.depths)} depths", f"give at most {_MOST_DEPTHS}")
    if len(set(request.depths)) != len(request.depths):
        raise InvalidInput("a depth is given twice", "give each once")
    if request.three_d and not request.depths:
        raise InvalidInput("a model in three dimensions has no depths to map", "give --depths, such as 0-5,5-15,15-30")


def _check_validation(request: TrainRequest) -> None:
    if not 2 <= request.folds <= 100:
        raise InvalidInput(f"{request.folds} folds", "give 2 to 100")
    if request.select and request.folds < 3:
        raise InvalidInput(f"{request.folds} folds leave none to select covariates on", "give 3 or more")
    if request.block_size is not None and request.validation != "blocks":
        raise InvalidInput(f"a block size does not go with validation by {request.validation}", "leave one out")
    if (request.region_column is not None) != (request.validation == "regions"):
        raise InvalidInput("validation by regions and a column of regions go together", "give both or none")
    if request.validation == "knndm" and request.features:
        raise InvalidInput("knndm needs a map to match", "give --covariates, or validate by blocks")
    if request.stratum is not None and not request.calibrate:
        raise InvalidInput("a stratum is for calibration, which is switched off", "leave one out")


def _texture_columns(targets: Sequence[Target]) -> tuple[str, str, str] | None:
    """Sand, silt and clay by the properties of the targets, None unless all three are there."""
    by_code = {each.property_code: each.column for each in targets}
    if not set(TEXTURE_CODES) <= set(by_code):
        return None
    return by_code["sand"], by_code["silt"], by_code["clay"]


def requested_property(target: Target) -> SoilProperty:
    """The property asked for, or a general one named after the target column.

    Raises:
        NotFound: when there is no property of the code.
        InvalidInput: when the column's name is that of a known property, or gives no name.
    """
    if target.property_code is not None:
        return soil_property(target.property_code)
    code = re.sub(r"[^a-z0-9]+", "-", target.column.lower()).strip("-")
    if not code:
        raise InvalidInput(f"column {target.column!r} gives no name to a map", "give --property")
    if code in property_codes():
        raise InvalidInput(f"column {target.column!r} has the name of a soil property", f"give --property {code}")
    return SoilProperty(
        code, target.column, target.unit, target.unit, 1, _ANY_VALUE, {target.unit: 1.0},
        description=f"Values of the column {target.column}, in {target.unit}.",
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
