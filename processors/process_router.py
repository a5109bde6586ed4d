"""Routes of OGC API Processes for executions and jobs, to stand before the mounted pygeoapi.

pygeoapi reads only one form of the header Prefer, does not check inputs, answers faults with what
Python says and fails on DELETE; the list and the descriptions of processes stay its own.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from typing import cast

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.datastructures import QueryParams

from cup4soil.errors import InvalidInput, LimitExceeded, NoData
from cup4soil.products import COG_MEDIA_TYPE
from processors.coverages import Interval
from processors.job_pages import job_list_page, job_page, results_page
from processors.jobs.desk import Desk
from processors.jobs.documents import job_list, status_info
from processors.jobs.errors import Busy
from processors.jobs.job import STATES, JobStatus
from processors.jobs.job_filter import JobFilter
from processors.jobs.prefer import wants_async
from processors.jobs.references import parsed
from processors.jobs.results import Output, Results, multipart
from processors.jobs.settings import JobSettings
from processors.openapi_processes import MOST_JOBS
from processors.pages import wants_page
from processors.times import parse_interval
from stac_catalog.store import Store

_KIB = 1024
# Results never change; they go when the job is forgotten.
_CACHE = {"Cache-Control": "private, max-age=3600"}

type ClientOf = Callable[[Request], str]


def address_hash(request: Request) -> str:
    """A client by its address, which is not kept itself."""
    return client_hash(request.client.host if request.client else "")


def client_hash(host: str) -> str:
    """A name for the address ``host`` that does not tell it."""
    return hashlib.sha256(f"cup4soil client {host}".encode()).hexdigest()[:16]


def process_router(store: Store, settings: JobSettings, client_of: ClientOf = address_hash) -> APIRouter:
    """Routes ``/ogc/processes/{id}/execution``, ``/ogc/jobs...`` and ``/results/{job}/{file}``.

    ``client_of`` tells clients apart: each has its own limit of jobs, and the list shows it its own jobs.
    Who knows the id of a job may see and dismiss it. Errors are those of :mod:`cup4soil.errors`; the
    application says what statuses they have.
    """
    doors = _Doors(Desk(store.root, settings), settings, client_of)
    router = APIRouter(tags=["processes"])
    router.add_api_route("/ogc/jobs", doors.jobs, methods=["GET"], summary="Jobs of the client")
    router.add_api_route("/ogc/jobs/{job_id}", doors.job, methods=["GET"], summary="Status of a job")
    router.add_api_route("/ogc/jobs/{job_id}/results", doors.results, methods=["GET"], summary="Results of a job")
    router.add_api_route(
        "/ogc/processes/{process_id}/execution", doors.execute, methods=["POST"], summary="Execute a process"
    )
    router.add_api_route("/ogc/jobs/{job_id}", doors.dismiss, methods=["DELETE"], summary="Dismiss a job")
    router.add_api_route("/results/{job_id}/{name}", doors.file, methods=["GET"], summary="File of a result")
    router.add_api_route("/results/{job_id}/{name}", doors.file, methods=["HEAD"], include_in_schema=False)
    return router


_JOB_PARAMETERS = frozenset(
    {"f", "limit", "offset", "type", "processID", "status", "datetime", "minDuration", "maxDuration"}
)
# Threads beside those that compute: refusals and jobs take no time.
_QUICK = 2
_MOST_WAITING = 16


class _Doors:
    """The endpoints. Those that are no coroutines run in the framework's threads."""

    def __init__(self, desk: Desk, settings: JobSettings, client_of: ClientOf) -> None:
        self._desk = desk
        self._settings = settings
        self._client_of = client_of
        # Threads of their own: whoever waits for a prediction holds up no other answer.
        self._threads = CapacityLimiter(settings.sync_at_once + _QUICK)

    async def execute(self, process_id: str, request: Request) -> Response:
        content = await _body(request, self._settings.execute_kib * _KIB)
        body = parsed(content, "the request", 'send {"inputs": {...}}')
        as_job = wants_async(request.headers.getlist("prefer"))
        if self._threads.statistics().tasks_waiting >= _MOST_WAITING:
            raise Busy("too many executions are waiting", "try later, or send the header 'Prefer: respond-async'")
        work = partial(self._execute, process_id, body, request, as_job=as_job)
        return await to_thread.run_sync(work, limiter=self._threads)

    def jobs(self, request: Request) -> Response:
        query = request.query_params
        unknown = set(query) - _JOB_PARAMETERS
        if unknown:
            known = ", ".join(sorted(_JOB_PARAMETERS))
            raise InvalidInput(f"there is no parameter {min(unknown)[:40]!r} for jobs", f"use one of {known}")
        limit = min(_whole(query, "limit", 10, least=1), MOST_JOBS)
        offset = _whole(query, "offset", 0, least=0)
        wanted = _job_filter(query, self._client_of(request))
        jobs, matched = self._desk.jobs(wanted, limit=limit, offset=offset)
        given = [(name, value) for name, value in query.multi_items() if name not in ("limit", "offset", "f")]
        as_page = _wants_page(request)
        document = job_list(
            jobs, matched, self._ogc(request), given, limit=limit, offset=offset, form="html" if as_page else "json"
        )
        return HTMLResponse(job_list_page(document, self._ogc(request))) if as_page else JSONResponse(document)

    def job(self, job_id: str, request: Request) -> Response:
        document = status_info(self._desk.job(job_id), self._ogc(request))
        if _wants_page(request):
            return HTMLResponse(job_page(document, self._ogc(request)))
        return JSONResponse(document)

    def results(self, job_id: str, request: Request) -> Response:
        results, until = self._desk.results(job_id), self._desk.kept_until(job_id)
        if _wants_page(request):
            answer: Response = HTMLResponse(
                results_page(results, until, self._ogc(request), self._file_address(results, request))
            )
        else:
            answer = self._answer(results, request)
        answer.headers["Sunset"] = _http_date(until)
        return answer

    def dismiss(self, job_id: str, request: Request) -> JSONResponse:
        return JSONResponse(status_info(self._desk.dismiss(job_id), self._ogc(request)))

    def file(self, job_id: str, name: str) -> FileResponse:
        path = self._desk.result_file(job_id, name)
        headers = _CACHE | {"Sunset": _http_date(self._desk.kept_until(job_id))}
        return FileResponse(path, headers=headers, media_type=_MEDIA_TYPES.get(path.suffix, "application/octet-stream"))

    def _execute(self, process_id: str, body: object, request: Request, *, as_job: bool) -> Response:
        job = self._desk.execute(process_id, body, as_job=as_job, client=self._client_of(request))
        address = f"{self._ogc(request)}/jobs/{job.id}"
        if as_job:
            headers = {"Location": address, "Preference-Applied": "respond-async"}
            return JSONResponse(status_info(job, self._ogc(request)), 201, headers)
        answer = self._answer(self._desk.results(job.id), request)
        answer.headers.append("Link", f'<{address}>; rel="monitor"')
        return answer

    def _answer(self, results: Results, request: Request) -> Response:
        link = self._file_address(results, request)
        if not results.request.is_raw:
            return JSONResponse(results.document(link))
        asked = results.asked
        if not asked:
            raise NoData("the process gave none of the outputs asked for", "leave outputs out for all there are")
        if all(output.by_reference for output in asked):
            return _links_only(asked, link)
        if len(asked) == 1:
            return _raw(asked[0])
        media_type, content = multipart(asked, link)
        return Response(content, media_type=media_type)

    def _file_address(self, results: Results, request: Request) -> Callable[[str], str]:
        base = f"{self._base(request)}/results/{results.job_id}"
        return lambda name: f"{base}/{name}"

    def _base(self, request: Request) -> str:
        return (self._settings.public_url or str(request.base_url)).rstrip("/")

    def _ogc(self, request: Request) -> str:
        return f"{self._base(request)}/ogc"


_MEDIA_TYPES = {".tif": COG_MEDIA_TYPE, ".png": "image/png", ".json": "application/json"}


def _wants_page(request: Request) -> bool:
    wanted = request.query_params.get("f")
    if wanted not in (None, "json", "html"):
        raise InvalidInput(f"f is {wanted[:40]!r}", "use json or html")
    return wants_page(request)


def _raw(output: Output) -> Response:
    if output.is_value:
        return JSONResponse(output.value)
    return FileResponse(output.file, media_type=output.media_type, filename=output.file.name)


def _links_only(outputs: tuple[Output, ...], link: Callable[[str], str]) -> Response:
    """No content, but where it is; of several an output's name tells which is which."""
    answer = Response(status_code=204)
    for output in outputs:
        answer.headers.append(
            "Link", f'<{link(output.file.name)}>; rel="item"; title="{output.name}"; type="{output.media_type}"'
        )
    return answer


def _http_date(when: datetime) -> str:
    return format_datetime(when, usegmt=True)


async def _body(request: Request, most: int) -> bytes:
    """The request's body, read no further than ``most`` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise LimitExceeded(f"the request has more than the limit of {most} bytes", "simplify the area")
        parts.append(part)
    return b"".join(parts)


def _job_filter(query: QueryParams, client: str) -> JobFilter:
    """The filters of the conformance class job-list; lists may have commas or come in several parameters."""
    if set(_listed(query, "type")) - {"process"}:
        raise InvalidInput("type is not process", "use process, or leave it out")
    statuses = _listed(query, "status")
    unknown = sorted(set(statuses) - set(STATES))
    if unknown:
        raise InvalidInput(f"status is {unknown[0][:40]!r}", f"use one of {', '.join(sorted(STATES))}")
    when = query.get("datetime")
    interval = Interval(None, None) if when is None else parse_interval(when, "datetime")
    least, most = (
        None if name not in query else _whole(query, name, 0, least=0) for name in ("minDuration", "maxDuration")
    )
    return JobFilter(
        client, _listed(query, "processID"), cast("tuple[JobStatus, ...]", statuses), (interval.start, interval.end),
        least, most,
    )  # fmt: skip


def _listed(query: QueryParams, name: str) -> tuple[str, ...]:
    values = tuple(part.strip() for text in query.getlist(name) for part in text.split(","))
    if any(not value or len(value) > 200 for value in values) or len(values) > 100:
        raise InvalidInput(f"{name} has an empty or overlong entry", "give values separated by commas")
    return values


def _whole(query: QueryParams, name: str, default: int, *, least: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < least:
        raise InvalidInput(f"{name} is {text[:40]!r}", f"give a whole number from {least} on")
    return int(text)
