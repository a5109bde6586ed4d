"""What a training found out: kept together for the record and the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cup4soil.depths import Depth
from cup4soil.methods.features import Encoding
from cup4soil.methods.forest import ForestParameters, QuantileForest
from cup4soil.methods.validation import CoverageCurve, Scores
from cup4soil.products import Verdict
from cup4soil.properties import SoilProperty
from cup4soil.soil_models import Group
from cup4soil.soil_outputs import Transform
from producers.plots import HeldOut
from producers.samples import SampleReport, SampleTable
from producers.training_request import TrainRequest

type FoldKind = Literal["random", "blocks", "knndm", "regions"]


@dataclass(frozen=True)
class Validation:
    """One kind of cross-validation of one output; m samples.

    ``modelled`` is None where the scale modelled is the one reported, or none of the output's own (a texture's
    log-ratios). ``block_size`` is the side of the blocks in metres, None for folds of another kind. ``folds`` (m,)
    are those the samples were held out in.
    """

    kind: FoldKind
    title: str
    support: str
    block_size: float | None
    folds: NDArray[np.int64]
    reported: Scores
    modelled: Scores | None
    held_out: HeldOut
    curve: CoverageCurve


@dataclass(frozen=True)
class OutputResult:
    """One property of a model, validated; m samples.

    ``observed`` (m,) in the property's unit, ``modelled`` (m,) on the scale the trees were grown on. ``calibrated`` is
    the spatial validation with each sample's interval calibrated on the other folds, None where it is not calibrated.
    ``mec_interval``: 90 % bootstrap interval of the spatial MEC, from which ``verdict`` follows.
    """

    prop: SoilProperty
    column: str
    unit_of_samples: str
    transform: Transform
    observed: NDArray[np.float64]
    modelled: NDArray[np.float64]
    random: Validation
    spatial: Validation
    calibrated: Validation | None = None
    mec_interval: tuple[float, float] | None = None
    verdict: Verdict | None = None

    @property
    def validations(self) -> tuple[Validation, ...]:
        """Random first, then spatial as the forest gives it, then calibrated."""
        return tuple(each for each in (self.random, self.spatial, self.calibrated) if each is not None)


@dataclass(frozen=True)
class Choices:
    """What was chosen by the data before the forest was grown, for the report; empty where nothing was asked for.

    ``dropped``: covariates left out, and why. ``trials``: what was tried, each with its error and whether chosen.
    """

    dropped: Mapping[str, str] = field(default_factory=dict)
    selection: tuple[Mapping[str, Any], ...] = ()
    trials: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class TrainingResult:
    """A trained and validated model; m samples, F features.

    ``depth``: the interval mapped, None for a model of several ``depths`` (then with depth as a feature, its name last
    of ``features``) or of none stated. ``outputs`` share the forest; its columns are in their order.
    """

    request: TrainRequest
    group: Group
    outputs: tuple[OutputResult, ...]
    depth: Depth | None
    depths: tuple[Depth, ...]
    crs: str
    table: SampleTable
    report: SampleReport
    encoding: Encoding
    features: tuple[str, ...]
    training: NDArray[np.float32]
    forest: QuantileForest
    threshold: float
    training_dissimilarity: NDArray[np.float64]
    choices: Choices = field(default_factory=Choices)

    @property
    def importance(self) -> NDArray[np.float64]:
        """Importance of each feature, (F,)."""
        return self.forest.importance

    @property
    def parameters(self) -> ForestParameters:
        """How the forest was grown."""
        return self.forest.parameters

    # What a model of a single property has one of; of several, the first.

    @property
    def prop(self) -> SoilProperty:
        """The first property."""
        return self.outputs[0].prop

    @property
    def transform(self) -> Transform:
        """Scale of the first output."""
        return self.outputs[0].transform

    @property
    def modelled(self) -> NDArray[np.float64]:
        """Values of the first output on the scale modelled, (m,)."""
        return self.outputs[0].modelled

    @property
    def random(self) -> Validation:
        """Random folds, first output."""
        return self.outputs[0].random

    @property
    def spatial(self) -> Validation:
        """Spatial folds, first output, as the forest gives its intervals."""
        return self.outputs[0].spatial

    @property
    def validations(self) -> tuple[Validation, Validation]:
        """Random first, then spatial."""
        return self.random, self.spatial

    @property
    def subject(self) -> str:
        """``Soil organic carbon at 0-20 cm``, or the properties one after the other."""
        titles = [output.prop.title for output in self.outputs]
        first, *rest = titles
        named = ", ".join([first, *(title[:1].lower() + title[1:] for title in rest[:-1])])
        named = f"{named} and {rest[-1][:1].lower() + rest[-1][1:]}" if rest else first
        if self.depths:
            shown = ", ".join(f"{each.upper_cm:g}-{each.lower_cm:g}" for each in self.depths)
            return f"{named} at {shown} cm"
        if self.depth is None:
            return named
        return f"{named} at {self.depth.upper_cm:g}-{self.depth.lower_cm:g} cm"

    @property
    def importance_shares(self) -> dict[str, float]:
        """Share of each covariate in the whole importance: the features of a class are taken together."""
        totals = dict.fromkeys((*self.encoding.covariates, *self.features[len(self.encoding.features) :]), 0.0)
        for feature, value in zip(self.features, self.importance, strict=True):
            name = feature if feature in totals else feature.rpartition("=")[0]
            totals[name] += max(0.0, float(value))
        whole = sum(totals.values()) or 1.0
        return {name: value / whole for name, value in totals.items()}
