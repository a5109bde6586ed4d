"""The application of the tests for uvicorn's worker processes; each answer names its process."""

import os
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import Response

from cup4soil.settings import Settings
from stac_catalog.store import Store
from tests.processors.coverages import worlds


def application() -> FastAPI:
    store = Store.open(Path(os.environ["CUP4SOIL_STORE"]), Settings(), create=False)
    app = worlds.application(store, root=os.environ["TEST_ROOT"])

    @app.middleware("http")
    async def name(request: Request, call_next: RequestResponseEndpoint) -> Response:
        answer = await call_next(request)
        answer.headers["x-process"] = str(os.getpid())
        return answer

    return app
