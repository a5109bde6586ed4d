"""Whether the service is well, for operators and their monitors."""

import shutil
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from cup4soil import __version__
from cup4soil.errors import Cup4soilError, StoreError
from processors.jobs.queue import Backlog, Queue
from service.settings import ServiceSettings
from stac_catalog.search_backend import SearchBackend
from stac_catalog.store import Store

_MIB = 2**20
# A worker looks for jobs twice a second: one that waits this long while none runs has no worker.
_STALLED_S = 120.0


def health_router(store: Store, backend: SearchBackend, settings: ServiceSettings) -> APIRouter:
    """``/health`` for people, ``/health/live`` and ``/health/ready`` for whoever restarts or routes."""
    router = APIRouter(tags=["operation"])
    queue = Queue(store.root, settings)

    @router.get("/health", summary="Whether the service is well")
    def health() -> JSONResponse:
        checks = _checks(store, backend, queue, settings)
        products = store.counts() if checks["store"] == "ok" else {}
        body = {"status": _status(checks), "version": __version__, "products": products, "checks": checks}
        return JSONResponse(body)

    @router.get("/health/live", summary="Whether the process answers")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/health/ready", summary="Whether requests can be answered")
    def ready() -> JSONResponse:
        checks = _checks(store, backend, queue, settings)
        status = _status(checks)
        code = HTTPStatus.SERVICE_UNAVAILABLE if status == "failing" else HTTPStatus.OK
        return JSONResponse({"status": status, "checks": checks}, code.value)

    return router


def _checks(store: Store, backend: SearchBackend, queue: Queue, settings: ServiceSettings) -> dict[str, str]:
    """What was looked at: ``ok``, or what is wrong; ``worker`` and ``disk`` do not keep pages from being answered."""
    return {
        "store": _outcome(lambda: _store(store)),
        "search": _outcome(backend.titles),
        "queue": _outcome(lambda: _taken(queue.backlog())),
        "disk": _outcome(lambda: _room(store, settings.least_free_mib)),
    }


def _status(checks: dict[str, str]) -> str:
    if checks["store"] != "ok" or checks["search"] != "ok":
        return "failing"
    return "ok" if all(each == "ok" for each in checks.values()) else "degraded"


def _outcome(check: Callable[[], Any]) -> str:
    """Errors are told in general: who asks may be anybody."""
    try:
        check()
    except _Unwell as error:
        return str(error)
    except (Cup4soilError, OSError):
        return "cannot be used"
    return "ok"


class _Unwell(Exception):
    """A check that failed, in words for anybody."""


def _store(store: Store) -> None:
    if not store.catalog_path.is_file():
        raise StoreError("the catalog is missing", "run cup4soil catalog build")


def _taken(backlog: Backlog) -> None:
    if backlog.waiting_s > _STALLED_S and not backlog.jobs.get("running"):
        raise _Unwell("jobs wait and no worker takes them")


def _room(store: Store, least_mib: int) -> None:
    if shutil.disk_usage(store.root).free < least_mib * _MIB:
        raise _Unwell(f"less than {least_mib} MiB are free")
