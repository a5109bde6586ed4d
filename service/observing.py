"""The outermost layer: every request gets an id, is counted, timed and logged."""

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from processors.process_router import client_hash
from service.logs import REQUEST, request_id
from service.metrics import DURATION, REQUESTS, RUNNING, SENT
from service.problems import CLIENT_GONE

_LOG = logging.getLogger("cup4soil.access")
# Of what no route of the application answers, only these parts of addresses are told apart: there are few of them.
_PARTS = frozenset({"catalog", "demo", "ogc", "stac", "tiles", "oai", "assets"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observed:
    """Gives each request an id (header ``X-Request-ID``), logs it when it ends, and counts it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = request_id(Headers(scope=scope).get("x-request-id"))
        # Not taken back: it belongs to the request's own task, and what fails is logged further out.
        REQUEST.set(name)
        status, size, started = CLIENT_GONE, 0, time.perf_counter()

        async def counted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = name
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        RUNNING.inc()
        try:
            await self._app(scope, receive, counted)
        except Exception:
            status = 500  # which the application's outermost handler answers
            raise
        finally:
            RUNNING.dec()
            _tell(scope, status, size, time.perf_counter() - started)


def _tell(scope: Scope, status: int, size: int, seconds: float) -> None:
    route = _route(scope)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUESTS.labels(route, method, str(status)).inc()
    DURATION.labels(route, method).observe(seconds)
    SENT.labels(route).inc(size)
    client = scope.get("client")
    facts = {
        "method": scope["method"],
        "path": scope["path"],
        "route": route,
        "status": status,
        "duration_ms": round(1000 * seconds, 1),
        "bytes": size,
        "client": client_hash(client[0] if client else ""),
    }
    level = logging.DEBUG if route.startswith(("/health", "/metrics")) else logging.INFO
    _LOG.log(level, "%s %s %d", scope["method"], scope["path"], status, extra=facts)


def _route(scope: Scope) -> str:
    """The pattern of the address, never the address itself: a monitor cannot keep endlessly many."""
    path = getattr(scope.get("route"), "path", None)
    if path:
        return str(path)
    first = scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
    return f"/{first}/*" if first in _PARTS else "other"
