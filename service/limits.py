"""Limits on what a client may send."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cup4soil.errors import LimitExceeded


class BodyLimit:
    """Refuses a request whose body is larger than ``most_bytes``, stated or not."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise LimitExceeded(f"the request is larger than {self._most} bytes", "send less")
            return message

        await self._app(scope, counted, send)
