"""Predicting soil maps in a batch run: a model over covariates, each layer a file, each map a product."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator

from cup4soil.areas import read_area
from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput
from cup4soil.grids import Bounds, parse_crs
from cup4soil.products import Period
from cup4soil.rasters.covariate_signature import declarations
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.settings import Settings
from cup4soil.soil_areas import AreaOfInterest
from cup4soil.soil_models import load_model
from cup4soil.soil_predictions import plan_maps
from producers.block_runs import Execution
from producers.prediction_run import MapJob, MapRun, deliver_maps

__all__ = ["MapJob", "MapRun", "PredictRequest", "deliver_maps", "load_model", "plan_prediction", "plan_predictions"]


class PredictRequest(BaseModel):
    """A model, covariates and where to map: everywhere, in a box (in ``bbox_crs``) or in an area.

    ``properties`` and ``depths`` are those to map, all of the model without. ``period`` is the time the maps speak of;
    without it that of the covariates, else that of the model. ``grid`` is a raster to take the grid of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    covariates: tuple[Path, ...]
    bbox: Bounds | None = None
    bbox_crs: str = "EPSG:4326"
    aoi: Path | None = None
    properties: tuple[str, ...] = ()
    depths: tuple[Depth, ...] = ()
    period: Period | None = None
    title: str | None = None
    grid: Path | None = None

    @model_validator(mode="after")
    def _check(self) -> "PredictRequest":
        if self.bbox is not None and self.aoi is not None:
            raise InvalidInput("both a box and an area are given", "use one of --bbox and --aoi")
        if not self.covariates:
            raise InvalidInput("no covariates are given", "give --covariates")
        return self

    @property
    def area(self) -> AreaOfInterest | None:
        """The area asked for, None for everywhere.

        Raises:
            NotFound: when there is no such file.
            InvalidInput: when it cannot be used.
        """
        if self.aoi is not None:
            return AreaOfInterest.of_polygon(*read_area(self.aoi))
        if self.bbox is not None:
            return AreaOfInterest.of_box(self.bbox, parse_crs(self.bbox_crs))
        return None


def plan_prediction(request: PredictRequest, settings: Settings, execution: Execution | None = None) -> MapJob:
    """The only map of a request; as :func:`plan_predictions`.

    Raises:
        InvalidInput: besides, when the request is for several maps.
    """
    run = plan_predictions(request, settings, execution)
    if len(run.jobs) != 1:
        raise InvalidInput(f"the request is for {len(run.jobs)} maps", "name a property and a depth, or plan a run")
    return run.jobs[0]


def plan_predictions(request: PredictRequest, settings: Settings, execution: Execution | None = None) -> MapRun:
    """Load the model, find the covariates it needs and the grid; nothing is predicted yet.

    Raises:
        NotFound: when the model, a covariate, a property or depth of it or a file is missing.
        InvalidInput: when the model is damaged or an argument cannot be used.
        InvalidRaster: when a covariate is not what the model was trained on.
        InvalidArea: when the area is none or lies outside the covariates.
        LimitExceeded: when the grid is too large.
        LicenceConflict: when the licences of model and covariates cannot be combined.
    """
    model = load_model(request.model)
    computed = declarations(model.description.signature)
    stack = CovariateStack.open(request.covariates, computed=computed, grid=request.grid)
    plans = plan_maps(
        model, stack, request.area, settings, codes=request.properties, depths=request.depths, period=request.period,
        title=request.title,
    )  # fmt: skip
    return MapRun(request.model, plans, settings, execution or Execution())
