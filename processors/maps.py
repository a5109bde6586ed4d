"""Maps and tiles in one router: OGC API Maps and Tiles, XYZ and WMTS."""

from fastapi import APIRouter

from processors.map_maker import MapLimits, MapMaker
from processors.map_router import add_maps
from processors.tile_router import add_tiles, add_xyz
from processors.tile_wmts import add_wmts
from stac_catalog.store import Store


def map_router(store: Store, *, root: str, limits: MapLimits | None = None) -> APIRouter:
    """Routes of maps and tiles of the coverages of ``store``; ``root`` is the service's address as clients see it.

    Errors are those of :mod:`cup4soil.errors`; the application says what statuses they have.
    """
    base = root.rstrip("/")
    maker = MapMaker(store, limits)
    ogc, tiles = APIRouter(prefix="/ogc", tags=["maps"]), APIRouter(prefix="/tiles", tags=["tiles"])
    add_maps(ogc, maker, f"{base}/ogc")
    add_tiles(ogc, maker, f"{base}/ogc")
    add_xyz(tiles, maker)
    add_wmts(tiles, maker, base)
    router = APIRouter()
    router.include_router(ogc)
    router.include_router(tiles)
    return router
