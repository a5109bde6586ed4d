"""A store with a soil map of two tiles and two periods, and the routes of maps on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.settings import Settings
from processors.map_maker import MapLimits
from processors.maps import map_router
from service.problems import install
from stac_catalog.store import Store
from tests.processors.coverages import worlds

COLLECTION = "soc-0-20cm"
ROOT = "http://service.test"
# In Finland, where meridians lean most against the grid of EPSG:3035.
LEFT, TOP = 5_000_000, 4_800_000


@dataclass(frozen=True)
class MapWorld:
    """A store, and the stored integers of the latest period's mean: ``mosaic`` on ``grid``."""

    store: Store
    grid: GeoBox
    mosaic: NDArray[np.int16]


@pytest.fixture(scope="session")
def map_world(tmp_path_factory: pytest.TempPathFactory) -> MapWorld:
    base = tmp_path_factory.mktemp("maps")
    store = Store.open(base / "store", Settings())
    west, east = worlds.european(LEFT, TOP, 700, 600), worlds.european(LEFT + 500 * 20, TOP - 100 * 20, 700, 600)
    first, second, before = worlds.smooth(west), worlds.smooth(east, 2), worlds.smooth(west, 5)
    new = datetime(2026, 2, 1, tzinfo=UTC)
    worlds.register(store, worlds.product(base / "a", west, first, period=worlds.LATER), base / "a")
    worlds.register(store, worlds.product(base / "b", east, second, period=worlds.LATER, created=new), base / "b")
    worlds.register(store, worlds.product(base / "c", west, before), base / "c")
    mosaic = np.full((800, 1100), worlds.NODATA, dtype=np.int16)
    mosaic[:700, :600] = first
    np.copyto(mosaic[100:, 500:], second, where=second != worlds.NODATA)
    return MapWorld(store, worlds.european(LEFT, TOP, 800, 1100), mosaic)


@pytest.fixture(scope="session")
def client(map_world: MapWorld) -> Iterator[TestClient]:
    app = FastAPI()
    install(app)
    app.include_router(map_router(map_world.store, root=ROOT, limits=MapLimits(pixels=800_000)))
    with TestClient(app, base_url=ROOT) as client:
        yield client
