"""Damaged files and full pictures spoil only their own answers."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from cup4soil.settings import Settings
from processors.map_maker import MapLimits
from processors.maps import map_router
from service.problems import install
from stac_catalog.store import Store
from tests.processors.coverages import worlds

_TILE = "/tiles/soc-0-20cm/{z}/{x}/{y}.png"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(tmp_path / "store", Settings())
    for step in range(3):
        grid = worlds.european(4_500_000 + step * 4000, 3_300_000, 200, 200)
        record = worlds.product(
            tmp_path / f"p{step}", grid, worlds.smooth(grid), created=datetime(2026, 1, 1 + step, tzinfo=UTC)
        )
        worlds.register(store, record, tmp_path / f"p{step}")
    return store


def asking(store: Store, limits: MapLimits | None = None) -> TestClient:
    app = FastAPI()
    install(app)
    app.include_router(map_router(store, root="http://service.test", limits=limits))
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_file_spoils_its_own_answer(store: Store, damage: str) -> None:
    for path in (store.root).rglob("q95.tif"):
        content = path.read_bytes()
        path.chmod(0o644)
        path.unlink()
        if damage != "gone":
            path.write_bytes(content[: len(content) // 3] if damage == "cut" else b"II no raster at all")
    with asking(store) as client:
        base = "/ogc/collections/soc-0-20cm/styles"
        assert client.get(f"{base}/q95/map?range=0,40&width=64").status_code == 503
        assert client.get(f"{base}/aoa/map?width=64").status_code == 200
        assert client.get(f"{base}/mean/map?range=0,40&width=64").status_code == 200
        assert client.get("/tiles/wmts").status_code == 200


def test_too_many_items_are_refused_before_reading(store: Store) -> None:
    for path in (store.root).rglob("mean.tif"):
        path.unlink()
    with asking(store, MapLimits(items=2)) as client:
        answer = client.get(_TILE.format(z=0, x=0, y=0))
        assert answer.status_code == 413
        assert "zoom in" in answer.json()["detail"]
