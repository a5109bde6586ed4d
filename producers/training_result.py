"""What a training found out: kept together for the record and the report."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.depths import Depth
from cup4soil.methods.features import Encoding
from cup4soil.methods.validation import CoverageCurve, Scores
from cup4soil.properties import SoilProperty
from cup4soil.soil_models import Transform
from producers.plots import HeldOut
from producers.samples import SampleReport, SampleTable
from producers.training_request import TrainRequest


@dataclass(frozen=True)
class Validation:
    """One kind of cross-validation. ``modelled`` is None where the scale modelled is the one reported.
    ``block_size`` is None for random folds, else the side of the blocks in metres.
    """

    title: str
    support: str
    block_size: float | None
    reported: Scores
    modelled: Scores | None
    held_out: HeldOut
    curve: CoverageCurve


@dataclass(frozen=True)
class TrainingResult:
    """A trained and validated model, without its arrays; m samples, F features."""

    request: TrainRequest
    prop: SoilProperty
    depth: Depth | None
    crs: str
    table: SampleTable
    report: SampleReport
    encoding: Encoding
    transform: Transform
    modelled: NDArray[np.float64]
    importance: NDArray[np.float64]
    threshold: float
    training_dissimilarity: NDArray[np.float64]
    random: Validation
    spatial: Validation

    @property
    def validations(self) -> tuple[Validation, Validation]:
        """Random first, then spatial."""
        return self.random, self.spatial

    @property
    def subject(self) -> str:
        """``Soil organic carbon at 0-20 cm``."""
        if self.depth is None:
            return self.prop.title
        return f"{self.prop.title} at {self.depth.upper_cm:g}-{self.depth.lower_cm:g} cm"

    @property
    def importance_shares(self) -> dict[str, float]:
        """Share of each covariate in the whole importance: the features of a class are taken together."""
        totals = dict.fromkeys(self.encoding.covariates, 0.0)
        for feature, value in zip(self.encoding.features, self.importance, strict=True):
            name = feature if feature in totals else feature.rpartition("=")[0]
            totals[name] += max(0.0, float(value))
        whole = sum(totals.values()) or 1.0
        return {name: value / whole for name, value in totals.items()}
