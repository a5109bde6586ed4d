"""What stands between clients and the pages that are left to pygeoapi: parameters, formats and methods, checked first.

pygeoapi ignores parameters that it does not know, and labels JSON as whatever media type was asked for.
"""

from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from processors.coverage_query import collect
from processors.negotiation import Formats

_JSON, _HTML = "application/json", "text/html"
FORMATS: Final = Formats(
    names={"json": _JSON, "html": _HTML, "jsonld": "application/ld+json"},
    accepted={
        _JSON: _JSON,
        "application/schema+json": _JSON,
        "application/geo+json": _JSON,
        "application/openapi+json": _JSON,
        "application/vnd.oai.openapi+json": _JSON,
        _HTML: _HTML,
        "application/xhtml+xml": _HTML,
        "application/ld+json": "application/ld+json",
    },
    wildcards={"*/*": _JSON, "application/*": _JSON, "text/*": _HTML},
    default=_JSON,
    said="json or html",
)
_PARAMETERS = ("f", "lang")
# These have parameters of their own.
_OTHERS = ("processes", "jobs", "static")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Checked:
    """Lets requests through to ``pages`` whose parameters and formats it knows; the rest is refused in our own words.

    Raises:
        InvalidInput: naming the parameter.
        NotAcceptable: when no media type of the Accept header is offered.
    """

    def __init__(self, pages: ASGIApp) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            scope = _checked(scope)

        async def negotiated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).add_vary_header("Accept")
            await send(message)

        await self._pages(scope, receive, negotiated)


def _checked(scope: Scope) -> Scope:
    """The request with the one media type that it is answered with."""
    request = Request(scope)
    first = scope["path"].removeprefix(scope.get("root_path", "")).strip("/").split("/")[0]
    if first in _OTHERS:
        return scope
    given = collect(request.query_params.multi_items(), _PARAMETERS)
    kind = FORMATS.choose(given.get("f"), request.headers.get("accept"))
    headers = [(name, value) for name, value in scope["headers"] if name != b"accept"]
    return {**scope, "headers": [*headers, (b"accept", kind.encode())]}


def refuse_method(app: FastAPI) -> ASGIApp:
    """What answers where no page is: 405 where the application has a route for other methods there, else 404."""

    async def refuse(scope: Scope, _receive: Receive, _send: Send) -> None:
        allowed = [method for method in _METHODS if _answers(app, scope, method)]
        if allowed:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(allowed)})
        raise HTTPException(HTTPStatus.NOT_FOUND)

    return refuse


def _answers(app: FastAPI, scope: Scope, method: str) -> bool:
    """True when a route of the application, not one of what is mounted in it, is for this address and method."""
    outer = {"type": "http", "path": scope["path"], "root_path": scope.get("app_root_path", ""), "method": method}
    routes = (route for route in app.router.routes if not isinstance(route, Mount))
    return any(route.matches(outer)[0] is Match.FULL for route in routes)
