"""The whole service on a store with composites, maps of two tiles and two periods, a model and samples.

Each module tests one part of the OGC's standards, named by ``PART``; a test's docstring begins with the ids of the
abstract tests that it stands for, such as ``/conf/core/root-op``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.settings import ServiceSettings
from tests.catalog import products
from tests.processors import site_products
from tests.processors.coverages import worlds

# Small, so that what is too large can be asked for.
VALUES, JSON_VALUES = 4_000_000, 50_000


@dataclass(frozen=True)
class Service:
    """A running service at ``root``, asked through ``client``, whose paths begin at ``/ogc``."""

    root: str
    client: httpx.Client
    world: worlds.World

    def get(self, path: str, **more) -> httpx.Response:
        return self.client.get(path, **more)

    def json_of(self, path: str) -> dict:
        """Of a path that begins at the root of the service."""
        return self.json(f"{self.root}{path}")

    def json(self, path: str, **more) -> dict:
        answer = self.get(path, **more)
        assert answer.status_code == 200, answer.text[:500]
        return answer.json()


def every(service: Service, path: str, **params: str) -> list[dict]:
    """The features of all pages."""
    found, address, given = [], path, params | {"limit": "100"}
    while True:
        page = service.json(address, params=given)
        found += page["features"]
        following = [each["href"] for each in page["links"] if each["rel"] == "next"]
        if not following:
            return found
        address, given = following[0], None


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    base = tmp_path_factory.mktemp("conformance")
    world = worlds.two_tiles(base)
    for name, make in (("composite", products.composite), ("model", products.model), ("samples", products.samples)):
        world.store.register(make(base / name), base / name)

    site_products.register(world.store, base / "sites", site_products.scattered(40))

    def application(root: str):
        settings = ServiceSettings(local_url=root, coverage_values=VALUES, coverage_json_values=JSON_VALUES)
        return create_app(world.store.root, settings)

    with worlds.running(application) as root, httpx.Client(base_url=f"{root}/ogc", timeout=60) as client:
        yield Service(root, client, world)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process has the service; the others need not start it, too."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("conformance"))
