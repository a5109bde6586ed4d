"""Training a soil model: samples and covariates in, a validated model with its report out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from cup4soil.errors import InvalidInput
from cup4soil.grids import crs_code
from cup4soil.licences import derived_licence
from cup4soil.methods.applicability import Applicability
from cup4soil.methods.forest import ForestParameters, QuantileForest
from cup4soil.methods.selection import Selection
from cup4soil.products import Algorithm, ProductRecord, Source, product_id
from cup4soil.progress import Progress
from cup4soil.properties import TEXTURE_CODES
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.settings import Settings
from cup4soil.soil_models import DEPTH_FEATURE, TrainingRows, collection_name, save_arrays, save_description
from producers.reporting import write_report
from producers.sample_sources import SampleSource, sample_source
from producers.samples import SampleSpec, check_spec
from producers.site_terms import SiteTerms, site_terms
from producers.training_choices import Chooser, told, uncorrelated
from producers.training_data import Training, read_training
from producers.training_folds import FoldPlan, random_plan, spatial_plan
from producers.training_record import model_description, model_record
from producers.training_request import TrainRequest
from producers.training_result import Choices, TrainingResult
from producers.training_targets import check_targets
from producers.training_validation import LEVELS, Checked, validate
from producers.validation_sites import SitesPlan

COLLECTION = "models"
_VERSION = "2.0"
_REFERENCES = (
    "Meinshausen, N. (2006): Quantile regression forests. Journal of Machine Learning Research 7, 983-999.",
    "Meyer, H. and Pebesma, E. (2021): Predicting into unknown space? Estimating the area of applicability of spatial"
    " prediction models. Methods in Ecology and Evolution 12, 1620-1633. https://doi.org/10.1111/2041-210X.13650",
    "Romano, Y., Patterson, E. and Candès, E. (2019): Conformalized quantile regression. Advances in Neural Information"
    " Processing Systems 32.",
    "Poggio, L. et al. (2021): SoilGrids 2.0: producing soil information for the globe with quantified spatial"
    " uncertainty. SOIL 7, 217-240. https://doi.org/10.5194/soil-7-217-2021",
)

__all__ = ["TrainJob", "TrainRequest", "plan_training", "plan_trainings"]


@dataclass(frozen=True)
class TrainJob:
    """A planned training; see :func:`plan_training`."""

    request: TrainRequest
    settings: Settings
    source: SampleSource
    spec: SampleSpec
    stack: CovariateStack | None
    sources: tuple[Source, ...]
    licence: str
    terms: SiteTerms

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
        return product_id(f"model-{self.subject}", self.algorithm, self.sources)

    @property
    def subject(self) -> str:
        """What the model is of, in short: ``soc-0-20cm``, ``texture-0-10cm``, ``soc-bdod-3d``."""
        codes = [target.property.code for target in self.spec.targets]
        name = "texture" if set(codes) == set(TEXTURE_CODES) else "-".join(codes)
        return f"{name}-3d" if self.request.three_d else collection_name(name, self.spec.depth)

    @cached_property
    def sites(self) -> SitesPlan | None:
        """The validation sites as a product, None where they are closed."""
        if self.terms.closed is not None:
            return None
        samples = tuple(source for source in self.sources if source.role == "samples")
        return SitesPlan(self.subject, self.id, samples, self.terms.grid_m)

    @property
    def covariate_names(self) -> tuple[str, ...]:
        """Covariates, in the order in which the model takes them."""
        return self.request.features if self.stack is None else self.stack.names

    @property
    def forest_parameters(self) -> ForestParameters:
        """How the forest is grown."""
        return ForestParameters(trees=self.request.trees, seed=self.request.seed, form=self.request.form)

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Train, validate and write the model and its report into ``folder``.

        Raises:
            InvalidSamples: when too few samples can be used, or they all have one value.
            NotFound: when a column is missing.
        """
        with progress.step("Reading samples and covariates", 1) as advance:
            training, correlated = self._training()
            spatial = spatial_plan(self.request, self.source, self.spec, training.table, training.stack)
            random = random_plan(self.request, training.table)
            chooser = self._chooser(training)
            advance()
        rounds = sum(int(plan.folds.max()) + 1 for plan in (random, spatial))
        with progress.step("Cross-validation", rounds) as advance:
            checked = validate(
                training.targets,
                random,
                spatial,
                lambda plan: chooser.hold_out(plan, LEVELS, advance),
                training.strata,
                calibrate=self.request.calibrate,
                seed=self.request.seed,
            )
        with progress.step("Training and report", 2) as advance:
            chosen, parameters, choices = _chosen(self.request, training, chooser, spatial, correlated)
            forest = QuantileForest.fit(
                chosen.features,
                chosen.targets.modelled,
                chosen.targets.reported,
                parameters,
                threads=self.settings.threads,
            )
            applicability = Applicability.fit(chosen.features, forest.importance, spatial.folds)
            advance()
            result = self._result(chosen, forest, applicability, checked, choices)
            rows = TrainingRows(chosen.features, spatial.folds, spatial.units)
            record = self._write(folder, result, chosen, applicability, checked, rows)
            advance()
        return record

    def _training(self) -> tuple[Training, Selection]:
        """The samples with the covariates that do not say what another says, and which were left out."""
        training = read_training(self.request, self.source, self.spec, self.stack, self.categorical)
        names = training.encoding.covariates
        found = uncorrelated(self.request, names, self.categorical, training.covariates)
        if found.kept == names:
            return training, found
        if self.stack is None:
            return training.of(found.kept), found
        # Read again: another grid may be the finest now, and samples may have all that is left.
        stack = self.stack.select(found.kept)
        return read_training(self.request, self.source, self.spec, stack, stack.categorical), found

    def _chooser(self, training: Training) -> Chooser:
        stratum = self.request.stratum
        return Chooser(
            request=self.request,
            features=training.features,
            columns=training.columns,
            targets=training.targets,
            groups=training.table.groups,
            base=self.forest_parameters,
            fixed=frozenset({DEPTH_FEATURE} if stratum is None else {DEPTH_FEATURE, stratum}),
            threads=self.settings.threads,
        )

    @property
    def categorical(self) -> frozenset[str]:
        """Covariates that hold classes."""
        return frozenset(self.request.categorical) if self.stack is None else self.stack.categorical

    def _result(
        self,
        training: Training,
        forest: QuantileForest,
        applicability: Applicability,
        checked: Sequence[Checked],
        choices: Choices,
    ) -> TrainingResult:
        return TrainingResult(
            request=self.request,
            group=training.targets.group,
            outputs=tuple(each.result for each in checked),
            depth=self.request.depth,
            depths=self.request.depths,
            crs=crs_code(self.spec.crs),
            table=training.table,
            report=training.report,
            encoding=training.encoding,
            features=training.names,
            training=training.features,
            forest=forest,
            threshold=applicability.threshold,
            training_dissimilarity=applicability.training_di,
            choices=choices,
        )

    def _write(
        self,
        folder: Path,
        result: TrainingResult,
        training: Training,
        applicability: Applicability,
        checked: Sequence[Checked],
        rows: TrainingRows,
    ) -> ProductRecord:
        period = self.request.period or self.source.period or (self.stack.period if self.stack else None)
        simulated = self.stack is not None and self.stack.simulated
        checksum = save_arrays(folder, result.forest, applicability, [each.calibration for each in checked], rows)
        record = model_record(result, self.id, self.algorithm, self._told(result), self.licence, period, simulated)
        calibrated = [each.calibration is not None for each in checked]
        signature = () if training.stack is None else training.stack.signature
        description = model_description(
            result, self.id, record.sources, checksum, calibrated, signature, dated=period is not None
        )
        save_description(folder, description)
        if self.sites is not None:
            self.sites.write(folder / self.sites.id, result, record, dated=period is not None)
        write_report(folder, result, record, threads=self.settings.threads)
        return record

    def _told(self, result: TrainingResult) -> tuple[Source, ...]:
        """The sources, with what is now known of the samples."""
        return tuple(
            source.model_copy(update={"properties": result.report.summary()}) if source.role == "samples" else source
            for source in self.sources
        )


def plan_trainings(request: TrainRequest, settings: Settings) -> tuple[TrainJob, ...]:
    """The models of a request: one, or one for each of several depths. As :func:`plan_training`."""
    jobs = tuple(plan_training(each, settings) for each in request.each_depth)
    if len(jobs) > 1 and jobs[0].spec.upper is None:
        raise InvalidInput("several depths need horizons", "name their columns with --id, --upper and --lower")
    return jobs


def plan_training(request: TrainRequest, settings: Settings) -> TrainJob:
    """Check the request for one model and find its sources; nothing is computed yet.

    Raises:
        NotFound: when samples or covariates do not exist.
        InvalidInput: when the request contradicts itself, or is for several models.
        LicenceConflict: when the licences of samples and covariates cannot be combined.
    """
    if len(request.each_depth) != 1:
        raise InvalidInput(f"the request is for {len(request.each_depth)} models", "ask for one, or plan several")
    source = sample_source(
        request.samples, request.format, mapping=request.mapping, joins=request.joins, layer=request.layer
    )
    spec = request.sample_spec(source)
    check_spec(spec)
    check_targets(request, spec.targets)
    stack = _stack(request) if request.covariates else None
    sources = (*_sample_sources(request, source), *(stack.sources() if stack else ()))
    licence = derived_licence([each.licence for each in sources], settings.data_policy)
    job = TrainJob(request, settings, source, spec, stack, sources, licence, site_terms(request, source))
    _check_names(job)
    # Parameters of the forest are checked where they are used; now is the time to hear of it.
    _ = job.forest_parameters
    return job


def _sample_sources(request: TrainRequest, source: SampleSource) -> tuple[Source, ...]:
    """One for each file; the terms stated stand before those of the files."""
    return tuple(
        Source(
            role="samples",
            id=name,
            title=f"Soil samples {name}" if name == source.title else f"{source.title}: {name}",
            checksum=checksum,
            licence=request.licence or source.licence,
            attribution=request.attribution or source.attribution,
        )
        for name, checksum in source.files.items()
    )


def _stack(request: TrainRequest) -> CovariateStack:
    return CovariateStack.open(
        request.covariates, request.categorical, ordered=request.ordered, computed=request.computed, grid=request.grid
    )


def _check_names(job: TrainJob) -> None:
    names = job.covariate_names
    if job.request.three_d and DEPTH_FEATURE in names:
        raise InvalidInput(f"a covariate has the name {DEPTH_FEATURE}, which is that of depth", "rename it")
    stratum = job.request.stratum
    if stratum is not None and stratum not in job.categorical:
        there = ", ".join(sorted(job.categorical)) or "none"
        raise InvalidInput(f"stratum {stratum!r} is no covariate that holds classes", f"there are {there}")


def _chosen(
    request: TrainRequest, training: Training, chooser: Chooser, spatial: FoldPlan, correlated: Selection
) -> tuple[Training, ForestParameters, Choices]:
    """The covariates and parameters of the model itself: chosen from all samples, as each validation chose from its."""
    every = np.ones(len(training.table), dtype=np.bool_)
    selection = Selection(training.encoding.covariates, ())
    if request.select:
        selection = chooser.eliminated(every, spatial.folds)
    columns = chooser.kept_columns(selection.kept)
    tuning = chooser.tuned(every, columns) if request.tune else None
    kept = {*selection.kept, *chooser.fixed}
    dropped = tuple(each for each in selection.dropped if each.name not in kept)
    choices = told(correlated, replace(selection, dropped=dropped), tuning=tuning)
    return training.of(kept), chooser.base if tuning is None else tuning.parameters, choices
