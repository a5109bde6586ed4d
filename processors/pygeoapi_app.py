"""pygeoapi inside our own application: its pages and descriptions below ``/ogc``, on a live configuration."""

import importlib.util
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from http import HTTPStatus
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from fastapi import FastAPI
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from cup4soil.settings import Settings
from processors.conformance import CLASSES
from processors.coverage_catalog import CoverageCatalog
from processors.jobs.errors import NoSuchProcess
from processors.jobs.manager import declare_conformance
from processors.map_links import TILING_SCHEMES, tiling_schemes
from processors.openapi import openapi_document
from processors.pygeoapi_pages import Checked, refuse_method
from processors.records_documents import COLLECTION as RECORDS
from processors.resources import (
    MANAGER,
    PROCESSES,
    TEMPLATES,
    Addresses,
    StoreResources,
    configuration,
    records_resource,
)
from stac_catalog.sites import SiteIndex
from stac_catalog.store import Store

# What is left to pygeoapi. Coverages have their own router; the rest of its routes would answer with errors.
_KEPT = (
    "/",
    "/openapi",
    "/conformance",
    "/collections",
    "/processes",
    "/jobs",
)
_COLLECTION_PAGES = tuple(f"/collections/{{collection_id:path}}{tail}" for tail in ("", "/schema", "/queryables"))
PROBLEM = "application/problem+json"
# Of pygeoapi's codes of errors, those for which a standard has an address.
_TYPES = {"NoSuchProcess": NoSuchProcess.problem_type}
_DEFAULT_ROOT = "http://127.0.0.1:8000"
_COPIES = count()


def mount_pygeoapi(
    app: FastAPI,
    store: Store,
    settings: Settings,
    *,
    root: str | None = None,
    sites: SiteIndex | None = None,
    manager: str = MANAGER,
    callbacks: bool = False,
) -> ModuleType:
    """Mount pygeoapi below ``/ogc`` of ``app``; returns its module, the application's own copy.

    ``root`` is the address of the service as clients see it, without a slash at the end; ``sites`` has the features.
    Routes that are to stand before pygeoapi's must have been added before. ``callbacks`` tells whether jobs may call
    back.
    """
    base = (root or _DEFAULT_ROOT).rstrip("/")
    addresses = Addresses(ogc=f"{base}/ogc", root=base)
    fixed = PROCESSES | {RECORDS: records_resource(addresses)}
    resources = StoreResources(CoverageCatalog(store), addresses, fixed, sites)
    config = configuration(settings, store.root, addresses, resources, manager=manager)
    module = _load(config)
    declare_conformance(callbacks=callbacks)
    app.mount("/ogc", _application(module, app), name="ogc")
    return module


def _load(config: Mapping[str, Any]) -> ModuleType:
    """A copy of ``pygeoapi.starlette_app`` that works on ``config``.

    The module reads two files named in the environment when it is imported and keeps them in its globals.
    Each application gets a copy of its own, so that two of them in one process do not share a store. The
    environment is left as it was.
    """
    openapi = openapi_document(config)
    with tempfile.TemporaryDirectory() as folder, _environment(Path(folder), config, openapi):
        spec = importlib.util.find_spec("pygeoapi.starlette_app")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError("pygeoapi.starlette_app")
        own = importlib.util.spec_from_file_location(f"processors._pygeoapi_{next(_COPIES)}", spec.origin)
        if own is None or own.loader is None:
            raise ModuleNotFoundError(spec.origin)
        module = importlib.util.module_from_spec(own)
        sys.modules[own.name] = module
        with warnings.catch_warnings():
            # pygeoapi 0.24 declares its models in the manner of an older pydantic.
            warnings.simplefilter("ignore", DeprecationWarning)
            own.loader.exec_module(module)
    _carry_context(module)
    _state_conformance()
    _describe_in_full()
    _link_in_full()
    from pygeoapi import l10n

    # It caches the configuration of its pages by language, once for all of the process.
    l10n._cfg_cache.clear()
    module.api_ = _api(module)(dict(config), openapi)  # type: ignore[attr-defined]
    return module


def _carry_context(module: ModuleType) -> None:
    """Let what is known of a request (who asks, its id) reach the thread in which pygeoapi answers it."""
    execute = module.execute_from_starlette

    async def carried(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        context = copy_context()
        return await execute(lambda *given: context.run(function, *given), *args, **kwargs)

    module.execute_from_starlette = carried  # type: ignore[attr-defined]


def _state_conformance() -> None:
    """State the classes of our own table alone: pygeoapi's lists say what its own routes do."""
    from pygeoapi import api as core
    from pygeoapi.api import coverages, processes

    coverages.CONFORMANCE_CLASSES.clear()
    processes.CONFORMANCE_CLASSES.clear()
    core.CONFORMANCE_CLASSES[:] = CLASSES


def _describe_in_full() -> None:
    """Let the descriptions of a store's collections have what our own routers offer, in JSON and in HTML."""
    from pygeoapi import api as core

    plain = core.gen_collection
    if getattr(plain, "in_full", False):
        return

    def in_full(api: Any, request: Any, dataset: str, locale_: str) -> dict[str, Any]:
        resources = api.config["resources"]
        own = resources.document(dataset) if isinstance(resources, StoreResources) else None
        if own is not None:
            return own
        found: dict[str, Any] = plain(api, request, dataset, locale_)
        more = resources.members(dataset) if isinstance(resources, StoreResources) else {}
        return found | more | {"links": found["links"] + more.get("links", [])}

    in_full.in_full = True  # type: ignore[attr-defined]
    core.gen_collection = in_full


def _link_in_full() -> None:
    """Let the landing page lead to our own tile matrix sets."""
    from pygeoapi import api as core

    plain = core.landing_page
    if getattr(plain, "in_full", False):
        return

    def in_full(api: Any, request: Any) -> tuple[dict[str, str], int, str]:
        headers, status, content = plain(api, request)
        if request.format in (None, "json"):
            document = json.loads(content)
            kept = [link for link in document["links"] if link["rel"] != TILING_SCHEMES]
            content = json.dumps(document | {"links": [*kept, tiling_schemes(api.base_url)]})
        return headers, status, content

    in_full.in_full = True  # type: ignore[attr-defined]
    core.landing_page = in_full


@contextmanager
def _environment(folder: Path, config: Mapping[str, Any], openapi: Mapping[str, Any]) -> Iterator[None]:
    fixed = dict(config) | {"resources": {}}
    names = {"PYGEOAPI_CONFIG": folder / "config.yml", "PYGEOAPI_OPENAPI": folder / "openapi.json"}
    before = {name: os.environ.get(name) for name in names}
    # JSON is YAML; nothing in it is to be taken for a variable of the environment.
    names["PYGEOAPI_CONFIG"].write_text(json.dumps(fixed).replace("${", "$ {"), encoding="utf-8")
    names["PYGEOAPI_OPENAPI"].write_text(json.dumps(openapi), encoding="utf-8")
    os.environ.update({name: str(path) for name, path in names.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _application(module: ModuleType, app: FastAPI) -> ASGIApp:
    """A bare router: what it does not find it leaves to the application around it to word."""
    kept = [route for route in module.api_routes if _is_kept(route)]
    pages = Router([Mount("/static", StaticFiles(directory=TEMPLATES / "static")), *kept], default=refuse_method(app))
    return Checked(pages)


def _is_kept(route: Route) -> bool:
    first = "/" + route.path.split("/")[1]
    return route.path in _COLLECTION_PAGES or (first in _KEPT and "collection_id" not in route.path)


def _api(module: ModuleType) -> type:
    class Api(module.API):  # type: ignore[misc, name-defined]
        """pygeoapi's API with refusals as problem details (RFC 9457), and without a log entry for each of them."""

        def get_exception(
            self, status: int, headers: dict[str, str], format_: str | None, code: str, description: str
        ) -> tuple[dict[str, str], int, str]:
            if format_ == "html" or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                found: tuple[dict[str, str], int, str] = super().get_exception(
                    status, headers, format_, code, description
                )
                return found
            kind = HTTPStatus(status)
            body = {
                "type": _TYPES.get(code, "about:blank"),
                "title": kind.phrase,
                "status": kind.value,
                "detail": description,
            }
            return headers | {"Content-Type": PROBLEM}, status, json.dumps(body)

    return Api
