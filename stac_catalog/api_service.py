"""What the parts of the STAC API share: the backend, addresses, and pieces of answers."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cup4soil.errors import NotFound
from stac_catalog.api_addresses import Addresses
from stac_catalog.search_backend import SearchBackend
from stac_catalog.search_documents import JSON
from stac_catalog.search_values import shown

_QUICK_SECONDS: Final = 0.1


class Service:
    """What answers are made with. A page has ``most_items`` at most."""

    def __init__(self, backend: SearchBackend, addresses: Addresses, most_items: int) -> None:
        self.backend = backend
        self.addresses = addresses
        self.most_items = most_items
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def quick[T](self, ask: Callable[[], T]) -> T:
        """Answer of a question by name; other requests wait for it only where it takes no time."""
        if not self.backend.instant:
            return await run_in_threadpool(ask)
        if not self.backend.is_current():
            await run_in_threadpool(self.backend.sync)
        return ask()

    async def searched[T](self, ask: Callable[[], T]) -> T:
        """Answer of a search. One is at work at a time, unless it takes long: then the next begins beside it.

        In this process threads would hinder each other more than they gain: each waits for the interpreter
        whenever SQLite gives it a row.
        """
        if not self.backend.instant:
            return await run_in_threadpool(ask)
        async with self._turn():
            search = asyncio.ensure_future(run_in_threadpool(ask))
            # Whoever asked may be gone before it fails.
            search.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            await asyncio.wait({search}, timeout=_QUICK_SECONDS)
        return await search

    def _turn(self) -> asyncio.Semaphore:
        return self._turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore())

    async def known(self, collection: str) -> None:
        """See that there is a collection.

        Raises:
            NotFound: when there is none.
        """
        if await self.quick(lambda: self.backend.collection(collection)) is None:
            raise no_collection(collection)

    def answer(self, text: str, request: Request, media_type: str = JSON) -> Response:
        """A document of the backend, with addresses for the one who asks."""
        return Response(self.addresses.fill(text, request), media_type=media_type)

    def paging(
        self, request: Request, values: Mapping[str, Any], token: str | None, media_type: str
    ) -> list[dict[str, Any]]:
        """The links ``self`` and, unless there is no ``token`` for another page, ``next``."""
        here = self.addresses.here(request)
        values = dict(values)
        if request.method == "POST":
            links = [link("self", here, media_type, method="POST", body=values)]
            following = {"method": "POST", "body": values | {"token": token}, "merge": False}
            return links if token is None else [*links, link("next", here, media_type, **following)]
        links = [link("self", f"{here}?{urlencode(values)}" if values else here, media_type)]
        if token is not None:
            links.append(link("next", f"{here}?{urlencode(values | {'token': token})}", media_type, method="GET"))
        return links


def no_collection(name: str) -> NotFound:
    """The error for a collection that is not there."""
    return NotFound(f"no collection {shown(name)}", "see /collections for what there is")


def link(rel: str, href: str, media_type: str, **more: Any) -> dict[str, Any]:
    """A link as STAC has it."""
    return {"rel": rel, "href": href, "type": media_type, **more}
