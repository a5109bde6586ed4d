"""Where execute requests arrive: answered at once when small, handed to the queue when asked for so."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore
from uuid import uuid4

from cup4soil.errors import InvalidInput, LimitExceeded
from cup4soil.progress import Silent
from processors.jobs.errors import Busy, JobFailed, ResultNotReady, ResultsGone
from processors.jobs.folders import JobFolders, size_of
from processors.jobs.job import ANONYMOUS, Job
from processors.jobs.job_filter import JobFilter
from processors.jobs.queue import Queue
from processors.jobs.requests import ExecuteRequest
from processors.jobs.results import Results, write_results
from processors.jobs.settings import JobSettings
from processors.processes import Plan, process

_PATIENCE_S = 10.0


class Desk:
    """Executions of the processes over the store at ``store``; safe to use from several threads."""

    def __init__(self, store: Path, settings: JobSettings) -> None:
        self._store = store.absolute()
        self._settings = settings
        self._queue = Queue(self._store, settings)
        self._folders = JobFolders(self._queue.folder)
        self._slots = BoundedSemaphore(settings.sync_at_once)

    def execute(self, process_id: str, body: object, *, as_job: bool, client: str = ANONYMOUS) -> Job:
        """Check the request and execute it: ``as_job`` by the queue, else before this returns.

        Raises:
            NoSuchProcess: when there is no such process.
            InvalidInput: when the request cannot be used.
            LimitExceeded: when it is too large for an answer at once, or for any.
            Busy: when too much is waiting already.
        """
        chosen = process(process_id)
        request = ExecuteRequest.parse(body, chosen.description, self._settings)
        plan = chosen.plan(self._store, self._settings, request.inputs)
        if plan.cells > self._settings.job_cells:
            raise LimitExceeded(
                f"an area of {plan.cells} cells is larger than the limit of {self._settings.job_cells}",
                "choose a smaller area",
            )
        if request.subscriber is not None and not as_job:
            raise InvalidInput("subscriber is for jobs", "send the header 'Prefer: respond-async', or leave it out")
        if as_job:
            return self._queue.submit(process_id, request.to_dict(), client)
        if plan.cells > self._settings.sync_cells:
            raise LimitExceeded(
                f"an area of {plan.cells} cells is larger than the limit of {self._settings.sync_cells} for an answer"
                " at once",
                "send the header 'Prefer: respond-async' to run it as a job",
            )
        return self._run(process_id, request, plan, client)

    def job(self, id_: str) -> Job:
        """The job of this id.

        Raises:
            NoSuchJob: when there is none.
        """
        return self._queue.get(id_)

    def jobs(self, wanted: JobFilter | None = None, *, limit: int = 10, offset: int = 0) -> tuple[list[Job], int]:
        """The jobs that fit, the newest first, and how many there are in all."""
        return self._queue.jobs(wanted, limit=limit, offset=offset)

    def dismiss(self, id_: str) -> Job:
        """End a job and remove its results.

        Raises:
            NoSuchJob: when there is none.
        """
        job = self._queue.dismiss(id_)
        self._folders.remove_results(id_)
        return job

    def results(self, id_: str) -> Results:
        """The outputs of a job.

        Raises:
            NoSuchJob: when there is none.
            ResultsGone: when it was dismissed, or its results made way for others.
            ResultNotReady: when it has not finished.
            Cup4soilError: the reason why it failed.
        """
        job = self._queue.get(id_)
        if job.status == "dismissed":
            raise ResultsGone(f"job {id_} was dismissed and has no results", "start it again")
        if job.status in ("accepted", "running"):
            raise ResultNotReady(f"job {id_} is {job.status}", "ask for its status until it is successful")
        if job.status == "failed":
            raise job.failure.error() if job.failure else JobFailed(job.message)
        outputs = self._folders.results(job)
        request = ExecuteRequest.of_dict(job.request)
        return Results(id_, request, outputs, partial(self._folders.path, job))

    def kept_until(self, id_: str) -> datetime:
        """When the results of a finished job are removed, if not before for want of room.

        Raises:
            NoSuchJob: when there is none.
        """
        job = self._queue.get(id_)
        return (job.finished or job.updated) + timedelta(days=self._settings.job_retention_days)

    def result_file(self, id_: str, name: str) -> Path:
        """Path of a file that a job made.

        Raises:
            NotFound: when there is none.
        """
        return self._folders.result_file(self._queue.get(id_), name)

    def _run(self, process_id: str, request: ExecuteRequest, plan: Plan, client: str) -> Job:
        id_ = str(uuid4())
        with self._slot(), self._folders.attempt(id_) as folder:
            write_results(folder, plan.run(folder, Silent()))
            job = self._queue.add_finished(
                id_,
                process_id,
                request.to_dict(),
                client,
                size=size_of(folder),
                publish=lambda: self._folders.publish(id_, folder),
            )
        self._folders.clean(self._queue)
        return job

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """One of the places for immediate answers."""
        if not self._slots.acquire(timeout=_PATIENCE_S):
            raise Busy(
                "too many immediate answers are being computed", "try later, or send the header 'Prefer: respond-async'"
            )
        try:
            yield
        finally:
            self._slots.release()
