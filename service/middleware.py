"""What stands before every route: a limit on what is sent, headers on what is answered, HEAD wherever there is GET."""

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.routing import Match, Mount, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cup4soil.errors import LimitExceeded
from service.problems import problem


class BodyLimit:
    """Refuses a request whose body is larger than ``most_bytes``; one that does not say its size is cut off there."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > self._most:
            detail = f"the request's body is larger than {self._most} bytes; send less"
            answer = problem(Request(scope), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
            await answer(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise LimitExceeded(f"the request's body is larger than {self._most} bytes", "send less")
            return message

        await self._app(scope, counted, send)


_SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
# What older browsers know of what "frame-ancestors" says.
_FRAME_OPTIONS = {("'self'",): "SAMEORIGIN", ("'none'",): "DENY"}


class SafeHeaders:
    """Headers that keep a browser from guessing types, from framing the page elsewhere and from leaving HTTPS.

    ``frame_ancestors`` are the sources of the policy of that name; browsers keep to HTTPS for ``hsts_seconds``.
    """

    def __init__(self, app: ASGIApp, *, frame_ancestors: tuple[str, ...], hsts_seconds: int) -> None:
        self._app = app
        self._headers = _SAFE | {"content-security-policy": f"frame-ancestors {' '.join(frame_ancestors)}"}
        if frame_ancestors in _FRAME_OPTIONS:
            self._headers["x-frame-options"] = _FRAME_OPTIONS[frame_ancestors]
        if hsts_seconds:
            self._headers["strict-transport-security"] = f"max-age={hsts_seconds}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, marked if scope["type"] == "http" else send)


class HeadLikeGet:
    """Answers HEAD as GET, without the content, where the routes of ``router`` know GET alone.

    FastAPI's routes do, unlike Starlette's. Those that answer HEAD by themselves spare the work for the content.
    """

    def __init__(self, app: ASGIApp, router: Router) -> None:
        self._app = app
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or not self._knows_get_alone(scope):
            await self._app(scope, receive, send)
            return

        async def without_content(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_content)

    def _knows_get_alone(self, scope: Scope) -> bool:
        # What is mounted takes every method, and comes last.
        routes = [route for route in self._router.routes if not isinstance(route, Mount)]
        asked = {"type": "http", "path": scope["path"], "root_path": scope.get("root_path", "")}
        head, get = (
            any(route.matches({**asked, "method": method})[0] is Match.FULL for route in routes)
            for method in ("HEAD", "GET")
        )
        return get and not head


class WithSlash:
    """Answers a path as if it had a slash at the end.

    Behind a proxy a redirect there would have to be relative, and those QGIS 3.22 does not follow.
    """

    def __init__(self, router: ASGIApp) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        await self._router({**scope, "path": f"{scope['path']}/"}, receive, send)
