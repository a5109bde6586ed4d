"""Whether the service is well, for operators and their monitors."""

from typing import Any

from fastapi import APIRouter

from cup4soil import __version__
from service.settings import ServiceSettings
from stac_catalog.store import Store


def health_router(store: Store, settings: ServiceSettings) -> APIRouter:  # noqa: ARG001
    """``/health``: version, products by collection."""
    router = APIRouter(tags=["operation"])

    @router.get("/health", summary="Whether the service is well")
    async def health() -> dict[str, Any]:
        return {
            "status": "ok",
            "version": __version__,
            "products": {name: len(store.items(name)) for name in store.collections()},
        }

    return router
