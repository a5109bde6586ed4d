"""Maps of derived indicators: a model that predicts the inputs jointly, covariates, and rasters where needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput
from cup4soil.grids import Bounds
from cup4soil.indicator_types import Floats, Indicator
from cup4soil.indicators import indicator
from cup4soil.licences import derived_licence
from cup4soil.products import Period
from cup4soil.rasters.covariate_signature import declarations
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.settings import Settings
from cup4soil.soil_models import SoilModel, load_model
from cup4soil.soil_predictions import plan_map
from producers.derive_maps import DerivedMapPlan, derived_plan
from producers.derive_rows import demand_inputs, derive
from producers.prediction import PredictRequest

__all__ = ["DeriveRequest", "DerivedMapPlan", "plan_derivation", "requests_for"]


class DeriveRequest(BaseModel):
    """A model, an indicator, covariates and where to map, as in :class:`PredictRequest`.

    ``rasters``: inputs that enter cell by cell, by name. ``parameters`` of the formula; what is not given has its
    default. ``depth`` is one of the model's, its only one without. ``seed`` of the deviates that stand for the
    formula's own error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    indicator: str
    covariates: tuple[Path, ...]
    rasters: Mapping[str, Path] = Field(default_factory=dict)
    parameters: Mapping[str, float] = Field(default_factory=dict)
    bbox: Bounds | None = None
    bbox_crs: str = "EPSG:4326"
    aoi: Path | None = None
    depth: Depth | None = None
    grid: Path | None = None
    period: Period | None = None
    title: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _check(self) -> "DeriveRequest":
        asked = indicator(self.indicator)
        if asked.factors is not None:
            asked.factors.check(frozenset(self.rasters))
        elif self.rasters:
            raise InvalidInput(f"{self.indicator} takes no input raster", "leave out --input")
        _ = self.prediction
        return self

    @property
    def prediction(self) -> PredictRequest:
        """The same map, of the model's own property."""
        names = ("model", "covariates", "bbox", "bbox_crs", "aoi", "grid", "period", "title")
        return PredictRequest(**{name: getattr(self, name) for name in names})


def requests_for(
    codes: Sequence[str], rasters: Mapping[str, Path], parameters: Mapping[str, float], shared: Mapping[str, Any]
) -> list[DeriveRequest]:
    """A request for each indicator, with those ``rasters`` and ``parameters`` that it knows; ``shared`` are the rest.

    Raises:
        NotFound: when an indicator is unknown.
        InvalidInput: when none of them knows a raster or parameter, or one cannot be used.
    """
    asked = [indicator(code) for code in codes]
    known = [{each.name for each in one.factors.inputs} if one.factors else set() for one in asked]
    settable = [{each.name for each in one.parameters} for one in asked]
    _demand_known("input raster", rasters, known)
    _demand_known("parameter", parameters, settable)
    return [
        DeriveRequest(
            indicator=one.code,
            rasters={name: path for name, path in rasters.items() if name in files},
            parameters={name: value for name, value in parameters.items() if name in numbers},
            **shared,
        )
        for one, files, numbers in zip(asked, known, settable, strict=True)
    ]


def _demand_known(what: str, given: Mapping[str, object], known: Sequence[set[str]]) -> None:
    everything = set().union(*known)
    for name in sorted(set(given) - everything):
        there = f"there are {', '.join(sorted(everything))}" if everything else "leave it out"
        raise InvalidInput(f"no indicator asked for takes the {what} {name!r}", there)


def plan_derivation(request: DeriveRequest, settings: Settings) -> DerivedMapPlan:
    """Load the model, derive the indicator for its training samples and plan the map; nothing is predicted yet.

    Raises:
        NotFound: when the model, a covariate, a raster, a depth or the indicator is missing.
        InvalidInput: when the model does not predict the inputs jointly, or an argument cannot be used.
        InvalidSamples: when training samples have no value of the indicator.
        InvalidRaster: when a raster has the wrong number of bands.
        InvalidArea: when the area is none or lies outside the covariates.
        LimitExceeded: when the grid is too large.
        LicenceConflict: when the licences of the sources cannot be combined.
    """
    asked = indicator(request.indicator)
    model = load_model(request.model)
    rows = model_rows(model)
    demand_inputs(asked, frozenset(rows))
    depth = model.interval(request.depth)
    values = asked.settings(request.parameters, None if depth is None else depth.thickness_cm)
    _demand_parameters(asked, request, values)
    rasters = {name: _raster(asked, name, path) for name, path in request.rasters.items()}
    plan = plan_map(
        model,
        CovariateStack.open(request.covariates, computed=declarations(model.description.signature), grid=request.grid),
        request.prediction.area,
        settings,
        code=model.description.codes[0],
        depth=depth,
        period=request.period,
        title=request.title,
    )
    sources = (*plan.sources, *(source for stack in rasters.values() for source in stack.sources()))
    unique = tuple({(each.role, each.id, each.checksum): each for each in sources}.values())
    derivation = derive(model.forest, rows, asked, values, seed=request.seed)
    licence = derived_licence([source.licence for source in unique], settings.data_policy)
    return derived_plan(plan, derivation, rasters, request.seed, sources=unique, licence=licence)


def model_rows(model: SoilModel) -> dict[str, Floats]:
    """What the model's training samples have of each property it predicts, (n,), in conventional units."""
    columns = np.asarray(model.forest.reported).T
    return dict(zip(model.description.codes, columns, strict=True))


def _raster(asked: Indicator, name: str, path: Path) -> CovariateStack:
    stack = CovariateStack.open([path])
    bands = {} if asked.factors is None else {each.name: each.bands for each in asked.factors.inputs}
    if len(stack.names) != bands[name]:
        raise InvalidInput(f"{path} has {len(stack.names)} bands", f"give a raster of {bands[name]} for {name}")
    return stack


def _demand_parameters(asked: Indicator, request: DeriveRequest, values: Mapping[str, float]) -> None:
    """Parameters that a raster calls for."""
    calls = {} if asked.factors is None else asked.factors.parameters
    for raster in request.rasters:
        if raster in calls and calls[raster] not in values:
            raise InvalidInput(
                f"input raster {raster} needs {calls[raster]}", f"give --parameter {calls[raster]}=NUMBER"
            )
