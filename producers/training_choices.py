"""What is chosen by the data before a forest is grown: covariates and parameters, and how that is validated honestly.

Whatever is chosen with the help of the target is chosen anew within each training part of a validation, so that no
held-out sample has had a say in it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidSamples
from cup4soil.methods.folds import random_folds
from cup4soil.methods.forest import ForestParameters, Prediction, QuantileForest
from cup4soil.methods.selection import Selection, decorrelate, eliminate
from cup4soil.methods.tuning import TRIALS, Tuning, tune
from cup4soil.methods.validation import CrossValidation, cross_validate
from producers.training_folds import FoldPlan
from producers.training_request import TrainRequest
from producers.training_result import Choices
from producers.training_targets import Targets

# Elimination within a training part of a validation has so many folds of its own, and its forests so many trees.
_INNER_FOLDS = 3
_TREES = 100
# One is held out, and elimination needs two.
_LEAST_FOLDS = 3

type _Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Chooser:
    """Chooses for m samples with ``features`` (m, F); ``columns``: the covariate behind each, (F,).

    ``fixed`` covariates are never eliminated; ``groups`` (m,) stay together.
    """

    request: TrainRequest
    features: NDArray[np.float32]
    columns: tuple[str, ...]
    targets: Targets
    groups: NDArray[np.int64]
    base: ForestParameters
    fixed: frozenset[str]
    threads: int

    def eliminated(self, rows: _Rows, folds: NDArray[np.int64]) -> Selection:
        """Recursive elimination over ``rows``, judged on their ``folds`` (m,).

        Raises:
            InvalidSamples: when no forest can be grown.
        """
        parameters = ForestParameters(trees=_TREES, min_leaf=self.base.min_leaf, seed=self.base.seed)
        return eliminate(
            self.features[rows],
            self.targets.modelled[rows],
            folds[rows],
            self.columns,
            parameters,
            threads=self.threads,
        )

    def kept_columns(self, kept: Collection[str]) -> _Rows:
        """Which features belong to the covariates ``kept``, or are fixed, (F,)."""
        return np.array([name in kept or name in self.fixed for name in self.columns], dtype=np.bool_)

    def tuned(self, rows: _Rows, columns: _Rows | None = None) -> Tuning:
        """The parameters for ``rows``: out of bag, or held out in groups where rows belong together.

        Raises:
            InvalidSamples: when the samples are too few for any trial.
        """
        groups = self.groups[rows]
        together = np.unique(groups).size < groups.size
        folds = random_folds(groups, _INNER_FOLDS, self.request.seed) if together else None
        features = self.features[rows] if columns is None else self.features[rows][:, columns]
        trials = TRIALS[: self.request.tune]
        return tune(features, self.targets.modelled[rows], self.base, folds, trials=trials, threads=self.threads)

    def parameters(self, rows: _Rows, columns: _Rows | None = None) -> ForestParameters:
        """Those of the request, tuned on ``rows`` where that is asked for."""
        return self.tuned(rows, columns).parameters if self.request.tune else self.base

    def hold_out(self, plan: FoldPlan, levels: Sequence[float], on_fold: Callable[[], None]) -> CrossValidation:
        """Predict each fold by a forest that was chosen and grown without it.

        Raises:
            InvalidSamples: when no forest can be grown without one of the folds.
        """
        if self.request.select:
            return self._hold_out_selecting(plan.folds, levels, on_fold)
        return cross_validate(
            self.features,
            self.targets.modelled,
            self.targets.reported,
            plan.folds,
            self.parameters if self.request.tune else self.base,
            levels,
            threads=self.threads,
            on_fold=on_fold,
        )

    def _hold_out_selecting(
        self, folds: NDArray[np.int64], levels: Sequence[float], on_fold: Callable[[], None]
    ) -> CrossValidation:
        modelled = _empty(self.targets.modelled.shape[1], len(levels), folds.size)
        reported = _empty(self.targets.reported.shape[1], len(levels), folds.size)
        grown = []
        numbers = np.unique(folds)
        if numbers.size < _LEAST_FOLDS:
            raise InvalidSamples(f"{numbers.size} folds leave none to select covariates on", "validate with more folds")
        for number in numbers:
            rest = folds != number
            inner = _merged(folds, int(number))
            columns = self.kept_columns(self.eliminated(rest, inner).kept)
            parameters = self.parameters(rest, columns)
            forest = QuantileForest.fit(
                self.features[rest][:, columns],
                self.targets.modelled[rest],
                self.targets.reported[rest],
                parameters,
                threads=self.threads,
                measure_importance=False,
            )
            unseen = self.features[~rest][:, columns]
            _place(modelled, ~rest, forest.predict_modelled_all(unseen, levels, threads=self.threads))
            _place(reported, ~rest, forest.predict_all(unseen, levels, threads=self.threads))
            grown.append(parameters)
            on_fold()
        return CrossValidation(folds, tuple(levels), modelled, reported, tuple(grown))


def uncorrelated(request: TrainRequest, names: Sequence[str], classes: Collection[str], values: Any) -> Selection:
    """Covariates (m, f) without those that say what another says; classes stay, as does the stratum."""
    kept_anyway = {*classes, *([request.stratum] if request.stratum else [])}
    places = [i for i, name in enumerate(names) if name not in kept_anyway]
    if request.decorrelate is None or len(places) < 2:
        return Selection(tuple(names), ())
    found = decorrelate(values[:, places], [names[i] for i in places], request.decorrelate)
    gone = {each.name for each in found.dropped}
    return Selection(tuple(name for name in names if name not in gone), found.dropped)


def told(*selections: Selection, tuning: Tuning | None) -> Choices:
    """What was chosen, for the report."""
    dropped = {each.name: each.reason for selection in selections for each in selection.dropped}
    steps: list[Mapping[str, Any]] = [asdict(step) for selection in selections for step in selection.steps]
    return Choices(dropped, tuple(steps), () if tuning is None else tuple(asdict(each) for each in tuning.trials))


def _merged(folds: NDArray[np.int64], held: int) -> NDArray[np.int64]:
    """The folds other than ``held`` merged into a few, (m,)."""
    others = np.unique(folds[folds != held])
    return np.asarray(np.searchsorted(others, folds) % min(_INNER_FOLDS, others.size), dtype=np.int64)


def _empty(columns: int, levels: int, rows: int) -> tuple[Prediction, ...]:
    return tuple(Prediction(np.full(rows, np.nan), np.full((levels, rows), np.nan)) for _ in range(columns))


def _place(whole: Sequence[Prediction], rows: _Rows, parts: Sequence[Prediction]) -> None:
    for every, part in zip(whole, parts, strict=True):
        every.mean[rows] = part.mean
        every.quantiles[:, rows] = part.quantiles
