"""A store with a map of two tiles, an older and a later period, and the server on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.settings import Settings
from processors.coverage_catalog import CoverageCatalog
from processors.coverage_grid import Limits
from processors.coverage_reader import CoverageReader
from stac_catalog.store import Store
from tests.processors.coverages import worlds

COLLECTION = "soc-0-20cm"
# In Finland, where meridians lean most against the grid of EPSG:3035.
LEFT, TOP = 5_000_000, 4_800_000


@dataclass(frozen=True)
class World:
    """A store, and what the latest period of its one map holds: ``mosaic`` on ``grid``."""

    store: Store
    grid: GeoBox
    mosaic: NDArray[np.int16]
    tile: Path
    older: NDArray[np.int16]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    base = tmp_path_factory.mktemp("coverages")
    store = Store.open(base / "store", Settings())
    west, east = worlds.european(LEFT, TOP, 700, 600), worlds.european(LEFT + 500 * 20, TOP - 100 * 20, 700, 600)
    first, second, before = worlds.smooth(west), worlds.smooth(east, 2), worlds.smooth(west, 5)
    new = datetime(2026, 2, 1, tzinfo=UTC)
    folder = worlds.register(store, worlds.product(base / "a", west, first, period=worlds.LATER), base / "a")
    worlds.register(store, worlds.product(base / "b", east, second, period=worlds.LATER, created=new), base / "b")
    worlds.register(store, worlds.product(base / "c", west, before), base / "c")
    mosaic = np.full((800, 1100), worlds.NODATA, dtype=np.int16)
    mosaic[:700, :600] = first
    np.copyto(mosaic[100:, 500:], second, where=second != worlds.NODATA)
    return World(store, worlds.european(LEFT, TOP, 800, 1100), mosaic, folder, before)


@pytest.fixture(scope="session")
def reader(world: World) -> Iterator[CoverageReader]:
    reader = CoverageReader(CoverageCatalog(world.store), Limits())
    yield reader
    reader.close()


@pytest.fixture(scope="session")
def server(world: World) -> Iterator[str]:
    with worlds.serving(world.store, Limits(values=4_000_000, json_values=50_000)) as root:
        yield root
