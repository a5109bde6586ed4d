"""The job manager as a plugin of pygeoapi 0.24: it writes to the queue and reads from it.

pygeoapi hands over neither the header Prefer in full nor who asks; the routes of
:mod:`processors.process_router`, which stand before it in the service, know both.
"""

import logging
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pygeoapi.api import processes as processes_api
from pygeoapi.process.base import JobNotFoundError, JobResultNotFoundError, ProcessorExecuteError
from pygeoapi.process.manager.base import BaseManager
from pygeoapi.util import JobStatus, RequestedProcessExecutionMode

from cup4soil.errors import Cup4soilError, InvalidInput, LimitExceeded, NoData, NotFound, StoreError
from processors.jobs.desk import Desk
from processors.jobs.documents import instant
from processors.jobs.errors import JobFailed, NoSuchJob
from processors.jobs.job import Job
from processors.jobs.job_filter import JobFilter
from processors.jobs.results import Results
from processors.jobs.settings import JobSettings

_LOGGER = logging.getLogger(__name__)
_CONFORMANCE = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"
_JSON = "application/json"
_ASYNC = RequestedProcessExecutionMode.respond_async

type Executed = tuple[str, str, Any, JobStatus, dict[str, str] | None]


class QueueManager(BaseManager):  # type: ignore[misc]
    """Executes small requests at once and queues the others, for ``cup4soil worker``.

    ``connection`` in the configuration is the folder of the store; without it the setting CUP4SOIL_STORE.
    """

    def __init__(self, manager_def: Mapping[str, Any]) -> None:
        super().__init__(dict(manager_def))
        self.is_async = True
        self.supports_subscribing = False
        declare_conformance(callbacks=bool(self._settings.callback_hosts))

    @cached_property
    def _settings(self) -> JobSettings:
        return JobSettings()

    @cached_property
    def _desk(self) -> Desk:
        store = self.connection or self._settings.store
        if store is None:
            raise InvalidInput("no store was named", "set CUP4SOIL_STORE to the folder of a store")
        return Desk(Path(store), self._settings)

    def execute_process(
        self,
        process_id: str,
        data_dict: dict[str, Any],
        execution_mode: RequestedProcessExecutionMode | None = None,
        requested_outputs: dict[str, Any] | None = None,
        subscriber: object | None = None,
        requested_response: str | None = None,
    ) -> Executed:
        """Execute at once, or queue where the client prefers that; see the class of pygeoapi."""
        body: dict[str, Any] = {"inputs": data_dict}
        if requested_outputs is not None:
            body["outputs"] = requested_outputs
        if subscriber is not None:
            body["subscriber"] = subscriber
        # Without a choice of the client pygeoapi says raw, even where several outputs are meant.
        if requested_response != "raw":
            body["response"] = requested_response
        as_job = execution_mode == _ASYNC
        try:
            job = self._desk.execute(process_id, body, as_job=as_job)
            if as_job:
                return job.id, _JSON, None, JobStatus.accepted, {"Preference-Applied": _ASYNC.value}
            media_type, outputs = self._answer(self._desk.results(job.id))
        except Cup4soilError as error:
            raise _Refused(error) from error
        except Exception as error:
            # pygeoapi would tell the client what Python says.
            _LOGGER.exception("process %s failed", process_id)
            raise _Refused(JobFailed("the process failed", "tell the operator")) from error
        return job.id, media_type, outputs, JobStatus.successful, None

    def get_jobs(
        self, status: JobStatus | None = None, limit: int | None = None, offset: int | None = None
    ) -> dict[str, Any]:
        """A page of the jobs, the newest first."""
        wanted = JobFilter() if status is None else JobFilter(statuses=(JobStatus(status).value,))
        jobs, matched = self._desk.jobs(wanted, limit=limit or 10, offset=offset or 0)
        return {"jobs": [_described(job) for job in jobs], "numberMatched": matched}

    def get_job(self, job_id: str) -> dict[str, Any]:
        """One job.

        Raises:
            JobNotFoundError: when there is none.
        """
        try:
            return _described(self._desk.job(job_id))
        except NoSuchJob as error:
            raise JobNotFoundError from error

    def get_job_result(self, job_id: str) -> tuple[str, Any]:
        """Media type and content of the results.

        Raises:
            JobNotFoundError: when there is no such job.
            JobResultNotFoundError: when it has no results.
        """
        try:
            return self._answer(self._desk.results(job_id))
        except NoSuchJob as error:
            raise JobNotFoundError from error
        except Cup4soilError as error:
            raise JobResultNotFoundError from error

    def delete_job(self, job_id: str) -> bool:
        """End a job and drop its results.

        Raises:
            JobNotFoundError: when there is none.
        """
        try:
            self._desk.dismiss(job_id)
        except NoSuchJob as error:
            raise JobNotFoundError from error
        return True

    def _answer(self, results: Results) -> tuple[str, Any]:
        """A single output as it is; several in a document, with files in it where they have no address."""
        asked = results.asked
        if results.request.is_raw and len(asked) == 1 and not asked[0].by_reference:
            output = asked[0]
            return output.media_type, output.value if output.is_value else output.content()
        base = self._settings.public_url
        return _JSON, results.document(None if base is None else lambda name: results_address(base, results, name))


def results_address(base: str, results: Results, name: str) -> str:
    """Address of a file of a job's results below that of the service."""
    return f"{base.rstrip('/')}/results/{results.job_id}/{name}"


def declare_conformance(*, callbacks: bool) -> None:
    """Have pygeoapi name what this manager adds (dismiss), and callbacks only where the operator allows hosts.

    pygeoapi has one list for all managers, which it reads for every answer.
    """
    known = processes_api.CONFORMANCE_CLASSES
    for name, offered in (("dismiss", True), ("callback", callbacks)):
        uri = _CONFORMANCE + name
        if offered and uri not in known:
            known.append(uri)
        elif not offered and uri in known:
            known.remove(uri)


class _Refused(ProcessorExecuteError):  # type: ignore[misc]
    """An error of the domain, as pygeoapi answers it; what concerns the server's own files is not told."""

    def __init__(self, error: Cup4soilError) -> None:
        status, code = next(answer for kind, answer in _ANSWERS if isinstance(error, kind))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _LOGGER.error("%s", error)
        super().__init__(user_msg=str(error) if status < HTTPStatus.INTERNAL_SERVER_ERROR else "the process failed")
        self.http_status_code, self.ogc_exception_code = status, code


# The first that fits counts. The service itself answers by its own table; this is for pygeoapi alone.
_ANSWERS: tuple[tuple[type[Cup4soilError], tuple[HTTPStatus, str]], ...] = (
    (NotFound, (HTTPStatus.NOT_FOUND, "NotFound")),
    (InvalidInput, (HTTPStatus.BAD_REQUEST, "InvalidParameterValue")),
    (LimitExceeded, (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "LimitExceeded")),
    (NoData, (HTTPStatus.NOT_FOUND, "NotFound")),
    (StoreError, (HTTPStatus.SERVICE_UNAVAILABLE, "NoApplicableCode")),
    (Cup4soilError, (HTTPStatus.INTERNAL_SERVER_ERROR, "NoApplicableCode")),
)


def _described(job: Job) -> dict[str, Any]:
    """A job with the names that pygeoapi uses; it sorts by ``started``, which must not be missing."""
    return {
        "type": "process",
        "identifier": job.id,
        "process_id": job.process,
        "status": job.status,
        "message": job.message,
        "progress": job.progress,
        "parameters": None,
        "mimetype": _JSON,
        "created": instant(job.created),
        "started": instant(job.started or job.created),
        "finished": None if job.finished is None else instant(job.finished),
        "updated": instant(job.updated),
    }
