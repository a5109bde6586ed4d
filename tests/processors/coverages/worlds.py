"""Stores with rasters of known content, and servers on them."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import uvicorn
from affine import Affine
from fastapi import FastAPI
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile

from cup4soil.products import Algorithm, Band, Extent, Layer, Period, ProductRecord, product_id
from cup4soil.settings import Settings
from processors.coverage_grid import Limits
from processors.coverage_router import coverage_router
from processors.edr_router import edr_router
from processors.maps import map_router
from processors.pygeoapi_app import mount_pygeoapi
from processors.records_router import records_router
from service.problems import install
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.store import Store
from tests.catalog.products import write_layer

__all__ = ["Affine", "GeoBox", "MemoryFile"]

COLLECTION = "soc-0-20cm"
NODATA = -32768
# In Finland, where meridians lean most against the grid of EPSG:3035.
LEFT, TOP = 5_000_000, 4_800_000
YEAR = Period(start=datetime(2020, 1, 3, tzinfo=UTC), end=datetime(2020, 12, 28, tzinfo=UTC))
LATER = Period(start=datetime(2022, 1, 3, tzinfo=UTC), end=datetime(2022, 12, 28, tzinfo=UTC))


def european(left: int, top: int, rows: int, cols: int, resolution: int = 20) -> GeoBox:
    """A grid in EPSG:3035."""
    return GeoBox((rows, cols), Affine(resolution, 0, left, 0, -resolution, top), "EPSG:3035")


def smooth(grid: GeoBox, seed: int = 0) -> NDArray[np.int16]:
    """A field without jumps, so that interpolated values can be foretold; a tenth of it is missing."""
    rows, cols = grid.shape
    y, x = np.mgrid[0:rows, 0:cols]
    values = (200 + 50 * np.sin(x / 37 + seed) + 60 * np.cos(y / 29)).astype(np.int16)
    values[:, : cols // 10] = NODATA
    return values


def product(
    folder: Path,
    grid: GeoBox,
    values: NDArray[np.int16],
    *,
    collection: str = COLLECTION,
    period: Period = YEAR,
    scale: float = 0.1,
    created: datetime = datetime(2026, 1, 1, tzinfo=UTC),
) -> ProductRecord:
    """A soil map with ``mean``, ``q95`` (10 more) and ``aoa`` (1 where the mean is even) in ``folder``."""
    folder.mkdir(parents=True)
    missing = values == NODATA
    q95 = np.where(missing, NODATA, values + 10).astype(np.int16)
    aoa = np.where(missing, 255, values % 2 == 0).astype(np.uint8)
    unit = Band(name="mean", description="Mean", unit="g/kg")
    layers = (
        (_layer("mean", (unit,), scale=scale), values),
        (_layer("q95", (Band(name="q95", description="Upper end", unit="g/kg"),), scale=scale), q95),
        (
            _layer(
                "aoa",
                (Band(name="aoa", description="Applicability"),),
                scale=1.0,
                dtype="uint8",
                nodata=255,
                categories={0: "outside", 1: "inside"},
            ),
            aoa,
        ),
    )
    algorithm = Algorithm(
        name="made",
        version="1.0",
        title="Made",
        description="By formula.",
        parameters={"grid": str(grid), "period": str(period.start), "scale": scale, "created": str(created)},
    )
    return ProductRecord(
        id=product_id("map", algorithm, ()),
        collection=collection,
        kind="soil-map",
        title="Soil organic carbon",
        abstract="Made by formula.",
        property_code="soc",
        depth="0-20cm",
        period=period,
        extent=Extent.of_grid(grid),
        algorithm=algorithm,
        sources=(),
        licence="CC-BY-SA-4.0",
        attribution=("Made for tests",),
        simulated=True,
        layers=tuple(write_layer(folder, layer, array[np.newaxis], grid) for layer, array in layers),
        created=created,
    )


def register(store: Store, record: ProductRecord, folder: Path) -> Path:
    return store.register(record, folder)


def application(store: Store, *, root: str, limits: Limits | None = None) -> FastAPI:
    """The two doors in one application, as the service wires them."""
    app = FastAPI()
    install(app)
    app.include_router(coverage_router(store, Settings(), limits))
    app.include_router(edr_router(store, Settings(), limits))
    app.include_router(records_router(SearchIndex(store.root / INDEX_FILE), Settings(), root=root))
    app.include_router(map_router(store, root=root))
    mount_pygeoapi(app, store, Settings(), root=root, manager="Dummy")
    return app


@dataclass(frozen=True)
class World:
    """A store, and what the latest period of its one map holds: ``mosaic`` on ``grid``."""

    store: Store
    grid: GeoBox
    mosaic: NDArray[np.int16]
    tile: Path
    older: NDArray[np.int16]


def two_tiles(base: Path, store: Store | None = None) -> World:
    """A store (a new one in ``base`` by default) with a map of two tiles that overlap, and an older period of one."""
    store = store or Store.open(base / "store", Settings())
    west, east = european(LEFT, TOP, 700, 600), european(LEFT + 500 * 20, TOP - 100 * 20, 700, 600)
    first, second, before = smooth(west), smooth(east, 2), smooth(west, 5)
    new = datetime(2026, 2, 1, tzinfo=UTC)
    tile = register(store, product(base / "a", west, first, period=LATER), base / "a")
    register(store, product(base / "b", east, second, period=LATER, created=new), base / "b")
    register(store, product(base / "c", west, before), base / "c")
    mosaic = np.full((800, 1100), NODATA, dtype=np.int16)
    mosaic[:700, :600] = first
    np.copyto(mosaic[100:, 500:], second, where=second != NODATA)
    return World(store, european(LEFT, TOP, 800, 1100), mosaic, tile, before)


@contextlib.contextmanager
def serving(store: Store, limits: Limits | None = None) -> Iterator[str]:
    """A running server of the OGC APIs alone in a thread; gives its address."""
    with running(lambda root: application(store, root=root, limits=limits)) as root:
        yield root


@contextlib.contextmanager
def running(make: Callable[[str], FastAPI]) -> Iterator[str]:
    """What ``make`` gives for an address, on the air there in a thread; gives the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = f"http://127.0.0.1:{port}"
    server = uvicorn.Server(uvicorn.Config(make(root), port=port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    try:
        yield root
    finally:
        server.should_exit = True
        thread.join(10)


def _layer(name: str, bands: tuple[Band, ...], **fields: object) -> Layer:
    about = {"name": name, "title": name, "description": f"{name} of the map.", "file": f"{name}.tif", "bands": bands}
    return Layer.model_validate({"nodata": NODATA} | about | fields)
