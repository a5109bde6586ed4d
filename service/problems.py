"""Errors of the domain as HTTP answers: one table, problem details (RFC 9457) for all of them, a page for browsers."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from cup4soil.errors import (
    ChangedMeanwhile,
    Conflict,
    Cup4soilError,
    DamagedProduct,
    InvalidArea,
    InvalidInput,
    InvalidRaster,
    LicenceConflict,
    LimitExceeded,
    MissingOffset,
    NoData,
    NotFound,
    StoreError,
)
from processors.jobs.errors import Busy, ResultsGone
from processors.negotiation import NotAcceptable
from processors.pages import page, wants_page
from service.keys import KeyNeeded, NotAllowed
from service.logs import REQUEST

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499  # as nginx has it: the client went away before the answer

# The nearest entry along an error's ancestry counts.
STATUS: dict[type[Cup4soilError], HTTPStatus] = {
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    NotFound: HTTPStatus.NOT_FOUND,
    ResultsGone: HTTPStatus.GONE,
    InvalidArea: HTTPStatus.BAD_REQUEST,
    InvalidInput: HTTPStatus.BAD_REQUEST,
    LicenceConflict: HTTPStatus.CONFLICT,
    Conflict: HTTPStatus.CONFLICT,
    ChangedMeanwhile: HTTPStatus.PRECONDITION_FAILED,
    MissingOffset: HTTPStatus.BAD_REQUEST,
    NoData: HTTPStatus.NOT_FOUND,
    LimitExceeded: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Busy: HTTPStatus.TOO_MANY_REQUESTS,
    KeyNeeded: HTTPStatus.UNAUTHORIZED,
    NotAllowed: HTTPStatus.FORBIDDEN,
    # What the server holds is at fault, not what the client asked.
    InvalidRaster: HTTPStatus.INTERNAL_SERVER_ERROR,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    Cup4soilError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_LOG = logging.getLogger(__name__)


def status_of(error: Cup4soilError) -> HTTPStatus:
    """The status an error is answered with."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(
    request: Request,
    status: HTTPStatus,
    detail: str,
    headers: dict[str, str] | None = None,
    *,
    kind: str = "about:blank",
) -> Response:
    """A problem details document; ``kind`` is the address of its type where a standard gives one.

    Who asks for HTML gets the same as a page.
    """
    headers = {"Vary": "Accept"} | (headers or {})
    if wants_page(request):
        # Relative, so that it leads right behind a proxy with a path of its own, too.
        home = "../" * (request.url.path.count("/") - 1) or "./"
        content = page("error_page.html", f"{home}ogc", home=home, title=status.phrase, detail=detail)
        return HTMLResponse(content, status.value, headers)
    body = {
        "type": kind,
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "instance": request.url.path,
    }
    return JSONResponse(body, status.value, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` with problem details. What is not foreseen is logged, and told to nobody."""

    @app.exception_handler(Cup4soilError)
    async def domain(request: Request, error: Cup4soilError) -> Response:
        status = status_of(error)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _LOG.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
            told = error.told if isinstance(error, DamagedProduct) else "the service cannot answer this at present"
            return problem(request, status, told)
        kind = getattr(error, "problem_type", "about:blank")
        return problem(request, status, str(error), kind=kind)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"] if part not in ("query", "path", "body"))
        return problem(request, HTTPStatus.BAD_REQUEST, f"{name or 'the request'} is not valid: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers) if error.headers else None
        if request.method == "OPTIONS" and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        return problem(request, HTTPStatus(error.status_code), str(error.detail), headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:  # noqa: ARG001
        return Response(status_code=CLIENT_GONE)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        # Middleware does not see this answer any more.
        headers = {"X-Request-ID": name} if (name := REQUEST.get()) else None
        return problem(
            request, HTTPStatus.INTERNAL_SERVER_ERROR, "the service failed; the operator can see why", headers
        )
