"""A store with a map of two tiles, an older and a later period, and the server on it."""

from collections.abc import Iterator

import pytest

from processors.coverage_catalog import CoverageCatalog
from processors.coverage_grid import Limits
from processors.coverage_reader import CoverageReader
from tests.processors.coverages import worlds

COLLECTION = worlds.COLLECTION
LEFT, TOP = worlds.LEFT, worlds.TOP
World = worlds.World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return worlds.two_tiles(tmp_path_factory.mktemp("coverages"))


@pytest.fixture(scope="session")
def reader(world: World) -> Iterator[CoverageReader]:
    reader = CoverageReader(CoverageCatalog(world.store), Limits())
    yield reader
    reader.close()


@pytest.fixture(scope="session")
def server(world: World) -> Iterator[str]:
    with worlds.serving(world.store, Limits(values=4_000_000, json_values=50_000)) as root:
        yield root
