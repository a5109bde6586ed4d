"""A store with a soil map of two tiles and two periods, and the routes of maps on it."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from processors.map_maker import MapLimits
from processors.maps import map_router
from service.problems import install
from tests.processors.coverages import worlds

COLLECTION = worlds.COLLECTION
ROOT = "http://service.test"
LEFT, TOP = worlds.LEFT, worlds.TOP
MapWorld = worlds.World


@pytest.fixture(scope="session")
def map_world(tmp_path_factory: pytest.TempPathFactory) -> MapWorld:
    return worlds.two_tiles(tmp_path_factory.mktemp("maps"))


@pytest.fixture(scope="session")
def client(map_world: MapWorld) -> Iterator[TestClient]:
    app = FastAPI()
    install(app)
    app.include_router(map_router(map_world.store, root=ROOT, limits=MapLimits(pixels=800_000)))
    with TestClient(app, base_url=ROOT) as client:
        yield client
