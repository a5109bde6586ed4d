"""Runs of maps in blocks so small that there are many."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from producers.block_runs import Execution
from producers.prediction import MapRun, PredictRequest, plan_predictions
from tests.producers.soil_world import SETTINGS

EDGE = 15


@contextmanager
def small_blocks(edge: int = EDGE) -> Iterator[None]:
    with patch("producers.prediction_run.block_size", lambda *_: edge):
        yield


def planned(model: Path, covariates: Path, scheduler: str | None = None, **changes: Any) -> MapRun:
    settings = SETTINGS.model_copy(update={"threads": 1})
    request = PredictRequest(model=model, covariates=(covariates,), **changes)
    return plan_predictions(request, settings, Execution(scheduler))
