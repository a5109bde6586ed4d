"""Predicting a soil map in a batch run: a model over covariates, each layer a file."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator

from cup4soil.areas import read_area
from cup4soil.errors import InvalidInput
from cup4soil.grids import Bounds, parse_crs
from cup4soil.products import Period
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.settings import Settings
from cup4soil.soil_models import load_model
from cup4soil.soil_predictions import AreaOfInterest, SoilMapPlan, plan_map

__all__ = ["PredictJob", "PredictRequest", "load_model", "plan_prediction"]

# A planned map is what every producer offers: it has an identity and runs into a folder.
PredictJob = SoilMapPlan


class PredictRequest(BaseModel):
    """A model, covariates and where to map: everywhere, in a box (in ``bbox_crs``) or in an area.

    ``period`` is the time the map speaks of; without it that of the covariates, else that of the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    covariates: tuple[Path, ...]
    bbox: Bounds | None = None
    bbox_crs: str = "EPSG:4326"
    aoi: Path | None = None
    period: Period | None = None
    title: str | None = None

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


def plan_prediction(request: PredictRequest, settings: Settings) -> PredictJob:
    """Load the model, find the covariates it needs and the grid; nothing is predicted yet.

    Raises:
        NotFound: when the model, a covariate of it or a file is missing.
        InvalidInput: when the model is damaged or an argument cannot be used.
        InvalidArea: when the area is none or lies outside the covariates.
        LimitExceeded: when the grid is too large.
        LicenceConflict: when the licences of model and covariates cannot be combined.
    """
    model = load_model(request.model)
    stack = CovariateStack.open(request.covariates)
    return plan_map(model, stack, request.area, settings, period=request.period, title=request.title)
