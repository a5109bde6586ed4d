"""Pictures as HTTP answers: validators, lifetimes, and nothing read for what a client has already."""

from collections.abc import Callable, Mapping
from threading import BoundedSemaphore
from types import MappingProxyType

from fastapi import Request
from fastapi.responses import Response

from processors.map_maker import Sheet

# A new item may cover a tile at any time, but nobody needs it within the hour.
_LIFETIME_S = 3600
# Whoever sends one of these may be shown what others must not see: shared caches keep none of it.
_CREDENTIALS = (
    "authorization",
    "cookie",
    "x-api-key",
    "x-auth-request-user",
    "x-forwarded-user",
)
# Reading and drawing take memory: no more than these at once.
_TURNS = BoundedSemaphore(8)


def answer(
    request: Request,
    sheet: Sheet,
    kind: str,
    draw: Callable[[], bytes | None],
    empty: Callable[[], Response],
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    variant: str = "",
) -> Response:
    """The drawn picture, ``empty`` where there is nothing to see, 304 where the client has it.

    ``variant`` is what tells pictures of one sheet and format apart.
    """
    suffix = "-".join(part for part in (kind.rpartition("/")[2], variant) if part)
    tag = f'"{sheet.tag}-{suffix}"'
    shared = not any(name in request.headers for name in _CREDENTIALS)
    common = {
        "ETag": tag,
        "Cache-Control": f"{'public' if shared else 'private'}, max-age={_LIFETIME_S}",
        "Vary": "Accept, Authorization, Cookie, X-Api-Key",
    } | dict(headers)
    if _has(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=common)
    with _TURNS:
        content = draw()
    if content is None:
        response = empty()
        response.headers.update(common)
        return response
    return Response(content, media_type=kind, headers=common)


def _has(given: str | None, tag: str) -> bool:
    if given is None:
        return False
    known = [each.strip().removeprefix("W/") for each in given[:4000].split(",")]
    return tag in known or known == ["*"]
