"""Who asks, and what they may do: keys of programs, people whom a proxy has identified, and everybody else."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from cup4soil.errors import Cup4soilError, StoreError
from processors.process_router import address_hash, client_hash
from service.keys import KeyNeeded, KeyRing, NotAllowed
from service.problems import problem, status_of
from service.settings import ServiceSettings
from stac_catalog.visibility import HIDDEN

WRITE: Final = "write"
EXECUTE: Final = "execute"
_READ = "read:"
_REALM = {"WWW-Authenticate": 'Bearer realm="CUP4SOIL"'}
# Addresses that name a collection, whatever follows.
_DOORS = re.compile(r"/(?:catalog|tiles|products|(?:ogc|stac)/collections)/([^/]+)")
_EXECUTION = re.compile(r"/ogc/processes/[^/]+/execution/?")


@dataclass(frozen=True, slots=True)
class Identity:
    """``name`` of a key or a person, None for everybody else; ``rights`` as :mod:`service.keys` has them."""

    name: str | None = None
    rights: frozenset[str] = frozenset()

    def may(self, right: str) -> bool:
        """True when one of the rights is this, or reading of everything covers it."""
        return right in self.rights or (right.startswith(_READ) and f"{_READ}*" in self.rights)


NOBODY: Final = Identity()


def identity_of(request: Request) -> Identity:
    """Who sent a request that came through :class:`Access`."""
    found = request.scope.get("state", {}).get("identity", NOBODY)
    return found if isinstance(found, Identity) else NOBODY


def demand(request: Request, right: str) -> None:
    """Let only those pass who have a right.

    Raises:
        KeyNeeded: when nobody known asks.
        NotAllowed: when somebody known asks who has not got it.
    """
    identity = identity_of(request)
    if identity.may(right):
        return
    if identity.name is None:
        raise KeyNeeded("this needs a key", "send it as 'Authorization: Bearer KEY'")
    raise NotAllowed(f"{identity.name} may not do this", f"ask the operator for the right {right!r}")


def client_of(request: Request) -> str:
    """What tells clients apart: their name where they have one, else their address, neither readable."""
    name = identity_of(request).name
    return address_hash(request) if name is None else client_hash(f"name {name}")


class Access:
    """Finds out who asks, keeps closed collections from those who may not read them, and checks keys.

    A key that is not good is refused even where none is needed: whoever sends one wants to know.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, settings: ServiceSettings) -> None:
        self._app = app
        self._keys = keys
        self._settings = settings
        self._closed = frozenset(settings.closed_collections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            identity = self._identify(Headers(scope=scope))
        except (KeyNeeded, StoreError) as error:
            await _refused(scope, receive, send, error)
            return
        scope.setdefault("state", {})["identity"] = identity
        hidden = frozenset(name for name in self._closed if not identity.may(f"{_READ}{name}"))
        HIDDEN.set(hidden)
        path = posixpath.normpath("/" + scope["path"].lstrip("/"))
        match = _DOORS.match(path)
        if match is not None and match[1] in hidden:
            answer = problem(Request(scope), HTTPStatus.NOT_FOUND, f"there is nothing at {path[:200]}")
            await answer(scope, receive, send)
            return
        if self._settings.execute_needs_key and scope["method"] == "POST" and _EXECUTION.fullmatch(path):
            try:
                demand(Request(scope), EXECUTE)
            except (KeyNeeded, NotAllowed) as error:
                await _refused(scope, receive, send, error)
                return
        await self._app(scope, receive, send)

    def _identify(self, headers: Headers) -> Identity:
        text = _key_in(headers)
        if text is not None:
            key = self._keys.find(text)
            if key is None:
                raise KeyNeeded("the key is not good, or not any more", "ask the operator for another")
            return Identity(key.name, frozenset(key.rights))
        if self._settings.trust_identity:
            name = headers.get("x-auth-request-user") or headers.get("x-forwarded-user")
            if name:
                groups = headers.get("x-auth-request-groups") or headers.get("x-forwarded-groups") or ""
                return Identity(name, self._rights(part.strip() for part in groups.split(",")))
        return NOBODY

    def _rights(self, groups: Iterable[str]) -> frozenset[str]:
        table = self._settings.group_rights
        return frozenset(right for group in groups for right in table.get(group, ()))


async def _refused(scope: Scope, receive: Receive, send: Send, error: Cup4soilError) -> None:
    status = status_of(error)
    shown = str(error) if status < HTTPStatus.INTERNAL_SERVER_ERROR else "the service cannot answer this at present"
    headers = _REALM if status == HTTPStatus.UNAUTHORIZED else None
    await problem(Request(scope), status, shown, headers)(scope, receive, send)


def _key_in(headers: Headers) -> str | None:
    given = headers.get("x-api-key")
    if given is not None:
        return given
    scheme, _, text = headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None
