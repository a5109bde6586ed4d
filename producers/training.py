"""Training a soil model: samples and covariates in, a validated model with its report out."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidSamples
from cup4soil.grids import crs_code
from cup4soil.licences import derived_licence
from cup4soil.methods.applicability import Applicability
from cup4soil.methods.features import Encoding
from cup4soil.methods.folds import random_folds, spatial_folds
from cup4soil.methods.forest import ForestParameters, QuantileForest
from cup4soil.methods.validation import coverage_curve, cross_validate, interval_quantiles, scores
from cup4soil.products import Algorithm, ProductRecord, Source, file_checksum, product_id
from cup4soil.progress import Advance, Progress
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.settings import Settings
from cup4soil.soil_models import Transform, collection_name, save_arrays, save_description
from producers.coordinates import metric_coordinates
from producers.plots import HeldOut
from producers.reporting import write_report
from producers.samples import (
    SampleReport,
    SampleSpec,
    SampleTable,
    check_enough,
    check_spec,
    read_samples,
    without_gaps,
)
from producers.tables import check_samples_file
from producers.training_record import model_description, model_record
from producers.training_request import TrainRequest, with_factor
from producers.training_result import OutputResult, TrainingResult, Validation

COLLECTION = "models"
_VERSION = "1.1"
_REFERENCES = (
    "Meinshausen, N. (2006): Quantile regression forests. Journal of Machine Learning Research 7, 983-999.",
    "Meyer, H. and Pebesma, E. (2021): Predicting into unknown space? Estimating the area of applicability of spatial"
    " prediction models. Methods in Ecology and Evolution 12, 1620-1633. https://doi.org/10.1111/2041-210X.13650",
    "Poggio, L. et al. (2021): SoilGrids 2.0: producing soil information for the globe with quantified spatial"
    " uncertainty. SOIL 7, 217-240. https://doi.org/10.5194/soil-7-217-2021",
)

__all__ = ["TrainJob", "TrainRequest", "plan_training"]


@dataclass(frozen=True)
class Training:
    """What a forest is trained on: m samples with features (m, F) and targets on both scales, (m,)."""

    table: SampleTable
    report: SampleReport
    encoding: Encoding
    features: NDArray[np.float32]
    transform: Transform
    modelled: NDArray[np.float64]


@dataclass(frozen=True)
class TrainJob:
    """A planned training; see :func:`plan_training`."""

    request: TrainRequest
    settings: Settings
    spec: SampleSpec
    stack: CovariateStack | None
    sources: tuple[Source, ...]
    licence: str

    collection = COLLECTION

    @cached_property
    def algorithm(self) -> Algorithm:
        """The method with all parameters that decide the result."""
        forest = self.forest_parameters
        return Algorithm(
            name="quantile-regression-forest",
            version=_VERSION,
            title="Quantile regression forest",
            description="A random forest whose leaves keep their training values gives mean and quantiles; it is"
            " validated with random and with spatially blocked folds, and an area of applicability is derived.",
            parameters=self.request.parameters()
            | {
                "covariates": list(self.covariate_names),
                "min_leaf": forest.min_leaf,
                "max_features": forest.max_features,
                "licence": self.licence,
            },
            references=_REFERENCES,
        )

    @cached_property
    def id(self) -> str:
        """Identity of the model."""
        name = collection_name(self.spec.target.property.code, self.spec.depth)
        return product_id(f"model-{name}", self.algorithm, self.sources)

    @property
    def covariate_names(self) -> tuple[str, ...]:
        """Covariates, in the order in which the model takes them."""
        return self.request.features if self.stack is None else self.stack.names

    @property
    def forest_parameters(self) -> ForestParameters:
        """How the forest is grown."""
        return ForestParameters(trees=self.request.trees, seed=self.request.seed)

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Train, validate and write the model and its report into ``folder``.

        Raises:
            InvalidSamples: when too few samples can be used, or they all have one value.
            NotFound: when a column is missing.
        """
        with progress.step("Reading samples and covariates", 1) as advance:
            training = self._training()
            advance()
        x, y = metric_coordinates(training.table.x, training.table.y, self.spec.crs)
        groups, folds, seed = training.table.groups, self.request.folds, self.request.seed
        spatial = spatial_folds(x, y, groups, folds, seed)
        with progress.step("Cross-validation", 2 * folds) as advance:
            in_random = self._validate(training, random_folds(groups, folds, seed), None, advance)
            in_blocks = self._validate(training, spatial.folds, spatial.block_size, advance)
        with progress.step("Training and report", 2) as advance:
            forest = QuantileForest.fit(
                training.features,
                training.modelled,
                training.table.value,
                self.forest_parameters,
                threads=self.settings.threads,
            )
            applicability = Applicability.fit(training.features, forest.importance, spatial.folds)
            advance()
            result = self._result(training, forest, applicability, in_random, in_blocks)
            record = self._write(folder, result, save_arrays(folder, forest, applicability))
            advance()
        return record

    def _training(self) -> Training:
        table, report = read_samples(self.request.samples, self.spec)
        covariates = table.features.astype(np.float32)
        if self.stack is not None:
            covariates = self.stack.at_points(table.x, table.y, self.spec.crs)
            kept, table, report = without_gaps(table, report, covariates, self.stack.names)
            covariates = covariates[kept]
        check_enough(table, report)
        encoding = Encoding.fit(self.covariate_names, self._categorical, covariates)
        transform = _transform(table, self.request.log)
        return Training(
            table, report, encoding, encoding.encode(covariates)[0], transform, transform.apply(table.value)
        )

    @property
    def _categorical(self) -> frozenset[str]:
        return frozenset(self.request.categorical) if self.stack is None else self.stack.categorical

    def _validate(
        self, training: Training, folds: NDArray[np.int64], block_size: float | None, advance: Advance
    ) -> Validation:
        levels = interval_quantiles()
        found = cross_validate(
            training.features,
            training.modelled,
            training.table.value,
            folds,
            self.forest_parameters,
            levels,
            threads=self.settings.threads,
            on_fold=advance,
        )
        low, high = levels.index(0.05), levels.index(0.95)
        given, modelled, values = found.reported, found.modelled, training.table.value
        count = int(folds.max()) + 1
        blocks = "" if block_size is None else f" of {block_size:g} m"
        title = "Random folds" if block_size is None else "Spatial blocks"
        return Validation(
            kind="random" if block_size is None else "blocks",
            title=title,
            support=f"{count}-fold cross-validation, {title.lower()}{blocks}, {values.size} samples",
            block_size=block_size,
            folds=folds,
            reported=scores(values, given.mean, given.quantiles[low], given.quantiles[high]),
            modelled=None
            if training.transform.name == "identity"
            else scores(training.modelled, modelled.mean, modelled.quantiles[low], modelled.quantiles[high]),
            held_out=HeldOut(title, values, given.mean, given.quantiles[low], given.quantiles[high]),
            curve=coverage_curve(values, levels, given.quantiles),
        )

    def _result(
        self,
        training: Training,
        forest: QuantileForest,
        applicability: Applicability,
        in_random: Validation,
        in_blocks: Validation,
    ) -> TrainingResult:
        prop, values = self.spec.target.property, training.table.value
        output = OutputResult(
            prop=prop if self.request.property_code else with_factor(prop, values),
            column=self.request.target,
            unit_of_samples=self.request.unit,
            transform=training.transform,
            observed=values,
            modelled=training.modelled,
            random=in_random,
            spatial=in_blocks,
        )
        return TrainingResult(
            request=self.request,
            group="single",
            outputs=(output,),
            depth=self.spec.depth,
            depths=(),
            crs=crs_code(self.spec.crs),
            table=training.table,
            report=training.report,
            encoding=training.encoding,
            features=training.encoding.features,
            training=training.features,
            forest=forest,
            threshold=applicability.threshold,
            training_dissimilarity=applicability.training_di,
        )

    def _write(self, folder: Path, result: TrainingResult, arrays_checksum: str) -> ProductRecord:
        period = self.request.period or (self.stack.period if self.stack else None)
        simulated = self.stack is not None and self.stack.simulated
        record = model_record(result, self.id, self.algorithm, self._told(result), self.licence, period, simulated)
        save_description(folder, model_description(result, self.id, record.sources, arrays_checksum))
        write_report(folder, result, record)
        return record

    def _told(self, result: TrainingResult) -> tuple[Source, ...]:
        """The sources, with what is now known of the samples."""
        return tuple(
            source.model_copy(update={"properties": result.report.summary()}) if source.role == "samples" else source
            for source in self.sources
        )


def plan_training(request: TrainRequest, settings: Settings) -> TrainJob:
    """Check the request and find its sources; nothing is computed yet.

    Raises:
        NotFound: when samples or covariates do not exist.
        InvalidInput: when the request contradicts itself.
        LicenceConflict: when the licences of samples and covariates cannot be combined.
    """
    check_samples_file(request.samples)
    spec = request.sample_spec()
    check_spec(spec)
    stack = CovariateStack.open(request.covariates, request.categorical) if request.covariates else None
    samples = Source(
        role="samples",
        id=request.samples.name,
        title=f"Soil samples {request.samples.name}",
        checksum=file_checksum(request.samples),
        licence=request.licence,
        attribution=request.attribution,
    )
    sources = (samples, *(stack.sources() if stack else ()))
    licence = derived_licence([source.licence for source in sources], settings.data_policy)
    job = TrainJob(request, settings, spec, stack, sources, licence)
    # Parameters of the forest are checked where they are used; now is the time to hear of it.
    _ = job.forest_parameters
    return job


def _transform(table: SampleTable, log: bool) -> Transform:
    """The scale modelled. Zeros (below what was detected) stand at half the smallest positive value under ln.

    Raises:
        InvalidSamples: when there is a negative value, or none above 0.
    """
    if not log:
        return Transform(name="identity")
    if table.value.min() < 0 or table.value.max() <= 0:
        raise InvalidSamples(f"values of {table.value.min():g} have no logarithm", "train without --log")
    positive = float(table.value[table.value > 0].min())
    return Transform(name="ln", floor=positive if table.value.min() > 0 else positive / 2)
