"""One running service for all clients: the demo's products, a map of two tiles and two periods, and soil samples."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from cup4soil.settings import Settings
from service.demo import Demo
from stac_catalog.sites import SITES, SITES_FILE
from stac_catalog.store import Store
from tests.catalog import products
from tests.demo_store import copy_of, demo
from tests.processors.coverages import worlds
from tests.service.running import end, start

__all__ = ["demo"]


@dataclass(frozen=True)
class Site:
    """A service at ``url``: the demo's map ``soc`` in UTM, and ``tiles``, the map ``soc-0-20cm`` in EPSG:3035."""

    url: str
    store: Store
    demo: Demo
    tiles: worlds.World

    @property
    def soc(self) -> str:
        """The name of the demo's map."""
        return self.demo.soil_map.record.id

    def file(self, layer: str) -> Path:
        """A layer of the demo's map in the store."""
        return self.store.root / "catalog" / "soc" / self.soc / f"{layer}.tif"

    def address(self, layer: str) -> str:
        """The same by HTTP."""
        return f"{self.url}/catalog/soc/{self.soc}/{layer}.tif"

    @property
    def names(self) -> set[str]:
        """Every product of the store, as collection/item."""
        return {f"{each}/{name}" for each in self.store.collections() for name in self.store.items(each)}

    @property
    def sites(self) -> dict[str, dict[str, Any]]:
        """The validation sites of the demo's model, properties by id."""
        (file,) = (self.store.root / "catalog" / SITES).glob(f"*/{SITES_FILE}")
        return {each["id"]: each["properties"] for each in json.loads(file.read_bytes())["features"]}

    def stored(self, layer: str) -> NDArray[np.generic]:
        """The stored integers of a layer of the demo's map."""
        with rasterio.open(self.file(layer)) as dataset:
            return dataset.read(1)


@pytest.fixture(scope="session")
def site(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("clients")
    store = Store.open(copy_of(demo, base / "store"), Settings(), create=False)
    tiles = worlds.two_tiles(base, store)
    store.register(products.samples(base / "samples"), base / "samples")
    running = start(store.root)
    yield Site(running.url, store, demo, tiles)
    end(running)


def told(command: list[str], folder: Path | None = None, **variables: str) -> str:
    """What a program prints; it must succeed. GDAL's part asks for nothing but what it is told, and keeps nothing."""
    environment = os.environ | {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} | variables
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
