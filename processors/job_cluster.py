"""Large jobs on a Dask cluster: their blocks are its tasks, the job's own process gathers and writes.

When that process ends, however that happens, the scheduler loses its client and drops the tasks.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cup4soil.errors import ClusterLost, InvalidInput
from cup4soil.execution import runner
from cup4soil.grids import Window
from cup4soil.soil_blocks import predict_part
from cup4soil.soil_maps import Stored
from cup4soil.soil_predictions import Parts, SoilMapPlan
from processors.jobs.settings import JobSettings

_LOGGER = logging.getLogger(__name__)


@contextmanager
def parts_of(plan: SoilMapPlan, model: Path, settings: JobSettings) -> Iterator[Parts | None]:
    """Where the blocks of a map come from: the cluster for a large one where one is set, None for this process.

    ``model`` is the folder of the plan's model.

    Raises:
        ClusterLost: when no scheduler answers and there is to be no other way, or it is lost on the way.
    """
    address = settings.jobs_scheduler
    if address is None or plan.crop.cells < settings.jobs_scheduler_cells:
        yield None
        return
    with ExitStack() as stack:
        try:
            place = stack.enter_context(runner(address, 1, Path()))
        except InvalidInput as error:
            if not settings.jobs_scheduler_fallback:
                raise ClusterLost(error.problem, error.hint) from error
            _LOGGER.warning("%s; the job is computed without it", error)
            yield None
            return
        task = plan.task(model)

        def parts(windows: Sequence[Window]) -> Iterator[tuple[Stored, int]]:
            return (part for _, part in place.run(predict_part, task, windows, ordered=True))

        yield parts
