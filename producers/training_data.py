"""What a forest is trained on: samples with their covariates as features, their scales and classes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidSamples
from cup4soil.methods.features import Encoding
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.soil_models import DEPTH_FEATURE, with_depth
from producers.sample_sources import SampleSource
from producers.samples import SampleReport, SampleSpec, SampleTable, check_enough, without_gaps
from producers.training_request import TrainRequest
from producers.training_targets import Targets, targets_of


@dataclass(frozen=True)
class Training:
    """m samples with ``covariates`` (m, f) and ``features`` (m, F); ``strata`` (m,), the class each is calibrated in.

    ``stack`` holds the covariates and no others, None where they are columns of the table.
    """

    table: SampleTable
    report: SampleReport
    stack: CovariateStack | None
    encoding: Encoding
    covariates: NDArray[np.float32]
    features: NDArray[np.float32]
    names: tuple[str, ...]
    targets: Targets
    strata: NDArray[np.int64] | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The covariate behind each feature, (F,); depth stands for itself."""
        known = set(self.encoding.covariates) | {DEPTH_FEATURE}
        return tuple(name if name in known else name.rpartition("=")[0] for name in self.names)

    def of(self, kept: Collection[str]) -> "Training":
        """The same samples with these covariates only."""
        names = tuple(name for name in self.encoding.covariates if name in kept)
        if names == self.encoding.covariates:
            return self
        chosen = np.array([name in kept or name == DEPTH_FEATURE for name in self.columns], dtype=np.bool_)
        places = [self.encoding.covariates.index(name) for name in names]
        levels = {name: each for name, each in self.encoding.levels.items() if name in kept}
        return replace(
            self,
            stack=None if self.stack is None else self.stack.select(names),
            encoding=Encoding(names, levels),
            covariates=self.covariates[:, places],
            features=np.ascontiguousarray(self.features[:, chosen]),
            names=tuple(name for name, keep in zip(self.names, chosen, strict=True) if keep),
        )


def read_training(
    request: TrainRequest,
    source: SampleSource,
    spec: SampleSpec,
    stack: CovariateStack | None,
    categorical: Collection[str],
) -> Training:
    """Read the samples of a request and their covariates: those of ``stack``, or columns of the table without.

    Raises:
        InvalidSamples: when too few samples can be used, they all have one value, or classes are none.
        NotFound: when a column is missing.
    """
    table, report = source.read(spec)
    covariates, names = table.features.astype(np.float32), request.features
    if stack is not None:
        covariates, names = stack.at_points(table.x, table.y, spec.crs), stack.names
        kept, table, report = without_gaps(table, report, covariates, names)
        covariates = covariates[kept]
    check_enough(table, report)
    encoding = Encoding.fit(names, categorical, covariates)
    features, columns = encoding.encode(covariates)[0], encoding.features
    if request.three_d:
        features, columns = with_depth(features, table.depth_mid), (*columns, DEPTH_FEATURE)
    targets = targets_of(request, spec.targets, table)
    strata = None if request.stratum is None else _strata(request.stratum, names, covariates)
    return Training(table, report, stack, encoding, covariates, features, columns, targets, strata)


def _strata(name: str, names: Sequence[str], covariates: NDArray[np.float32]) -> NDArray[np.int64]:
    values = covariates[:, names.index(name)]
    odd = values != np.rint(values)
    if odd.any():
        raise InvalidSamples(f"stratum {name} has the class {values[odd][0]:g}", "number its classes")
    return values.astype(np.int64)
