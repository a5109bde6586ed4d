"""Limits of queries and pictures are those that the operator has set."""

import pytest

from cup4soil.settings import Settings
from stac_catalog.store import Store
from tests.catalog import products
from tests.service.asking import Client, client_of

_PLACES = "POINT(10.005 52.003)", "MULTIPOINT((10.005 52.003),(10.006 52.004))"
_SQUARE = "POLYGON((10.001 52.001,10.002 52.001,10.002 52.002,10.001 52.002,10.001 52.001))"
_LIMITS = {"edr_points": 1, "edr_cells": 1, "edr_vertices": 4, "edr_radius_km": 2, "map_pixels": 70_000}


@pytest.fixture(scope="module")
def strict_and_plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Client, Client]:
    base = tmp_path_factory.mktemp("limits")
    store = Store.open(base / "store", Settings())
    store.register(products.soil_map(base / "map"), base / "map")
    return client_of(base / "store", **_LIMITS), client_of(base / "store")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"position?coords={_PLACES[1]}", "at most 1 at once"),
        (f"position?coords={_PLACES[0]}", "the limit of 1"),
        (f"area?coords={_SQUARE}", "at most 4"),
        (f"radius?coords={_PLACES[0]}&within=3&within-units=km", "at most 2 km"),
        ("map?width=300&height=300", "pixels"),
    ],
)
def test_a_limit_that_is_set_is_kept_and_named(strict_and_plain: tuple[Client, Client], path: str, said: str) -> None:
    strict, plain = (each.get(f"/ogc/collections/soc-0-20cm/{path}") for each in strict_and_plain)
    assert strict.status_code == 413, strict.text
    assert said in strict.json()["detail"]
    assert plain.status_code == 200, plain.text
