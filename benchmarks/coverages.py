"""Speed of coverage requests against pygeoapi's own rasterio provider: ``python benchmarks/coverages.py``.

Both serve the same cloud-optimised GeoTIFF in EPSG:3035, each from one uvicorn process, and are asked for the same
random boxes in longitude and latitude, as GeoTIFF. Requests per second with several connections, the
median time of one request alone, and the share of the boxes' area that came back, are printed.
"""

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pyproj
import uvicorn
from affine import Affine
from fastapi import FastAPI
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile

from cup4soil.grids import Window
from cup4soil.products import Algorithm, Band, Extent, Layer, Period, ProductRecord, product_id
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from processors.coverage_router import coverage_router
from processors.openapi import openapi_document
from processors.resources import Addresses, configuration
from stac_catalog.store import Store

_SIZE = 4000
_CELL_M = 20
# In Finland, where meridians lean most against the grid.
_LEFT, _TOP = 5_000_000, 4_900_000
_COLLECTION = "soc-0-20cm"
type Box = tuple[str, NDArray[np.float64]]
_PATH = f"collections/{_COLLECTION}/coverage"


@dataclass(frozen=True)
class Measured:
    """Throughput, time of a single request, and mean share of the wanted area in the answers."""

    per_second: float
    median_ms: float
    share: float


def _fill(root: Path) -> Path:
    """A store with one map; returns the map's file."""
    grid = GeoBox((_SIZE, _SIZE), Affine(_CELL_M, 0, _LEFT, 0, -_CELL_M, _TOP), "EPSG:3035")
    layer = Layer(
        name="mean",
        title="Mean",
        description="Noise on a slope.",
        file="mean.tif",
        bands=(Band(name="mean", unit="g/kg"),),
        nodata=-32768,
        scale=0.1,
    )
    slope = np.add.outer(np.arange(_SIZE), np.arange(_SIZE)) // 40
    values = (slope + np.random.default_rng(0).integers(0, 40, slope.shape)).astype(np.int16)
    with LayerWriter(root, layer, grid) as writer:
        writer.write(Window(0, 0, _SIZE, _SIZE), values[np.newaxis])
    algorithm = Algorithm(name="noise", version="1", title="Noise", description="Noise.", parameters={})
    year = Period(start=datetime(2022, 1, 1, tzinfo=UTC), end=datetime(2022, 12, 31, tzinfo=UTC))
    record = ProductRecord(
        id=product_id("map", algorithm, ()),
        collection=_COLLECTION,
        kind="soil-map",
        title="Noise",
        abstract="Noise.",
        period=year,
        extent=Extent.of_grid(grid),
        algorithm=algorithm,
        sources=(),
        licence="CC-BY-4.0",
        simulated=True,
        layers=(writer.layer,),
    )
    return Store.open(root / "store", Settings()).register(record, root) / "mean.tif"


def _serve_ours(store: Path, port: int) -> None:
    app = FastAPI()
    app.include_router(coverage_router(Store.open(store, Settings(), create=False), Settings()))
    uvicorn.run(app, port=port, log_level="critical")


def _serve_pygeoapi(raster: Path, port: int) -> None:
    """pygeoapi's own application, its rasterio provider told the grid's CRS, which it needs."""
    address = f"http://127.0.0.1:{port}"
    resource = {
        "type": "collection",
        "title": "Noise",
        "description": "Noise.",
        "keywords": [],
        "extents": {"spatial": {"bbox": [5, 50, 15, 60]}},
        "providers": [
            {
                "type": "coverage",
                "name": "rasterio",
                "data": str(raster),
                "format": {"name": "GTiff", "mimetype": "image/tiff"},
            }
        ],
    }
    config = configuration(Settings(), raster, Addresses(address), {_COLLECTION: resource}, manager="Dummy")
    folder = Path(tempfile.mkdtemp())
    (folder / "config.yml").write_text(json.dumps(config))
    (folder / "openapi.json").write_text(json.dumps(openapi_document(config)))
    os.environ |= {"PYGEOAPI_CONFIG": f"{folder}/config.yml", "PYGEOAPI_OPENAPI": f"{folder}/openapi.json"}
    uvicorn.run("pygeoapi.starlette_app:APP", port=port, log_level="critical")


@contextmanager
def _server(serve: Callable[[Path, int], None], data: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(data, port))
    process.start()
    try:
        _wait(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


def _wait(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(port)


def _boxes(count: int, cells: int) -> list[Box]:
    """Boxes of about ``cells`` x ``cells`` cells, each with points spread over it in metres."""
    random = np.random.default_rng(1)
    to_degrees = pyproj.Transformer.from_crs(3035, 4326, always_xy=True)
    to_metres = pyproj.Transformer.from_crs(4326, 3035, always_xy=True)
    found: list[Box] = []
    for _ in range(count):
        x, y = _LEFT + random.uniform(0.2, 0.8) * _SIZE * _CELL_M, _TOP - random.uniform(0.2, 0.8) * _SIZE * _CELL_M
        lon, lat = to_degrees.transform(x, y)
        height = cells * _CELL_M / 111_000
        width = height / np.cos(np.radians(lat))
        lons, lats = np.meshgrid(np.linspace(lon, lon + width, 100), np.linspace(lat, lat + height, 100))
        found.append((f"{lon},{lat},{lon + width},{lat + height}", np.array(to_metres.transform(lons, lats))))
    return found


def _measure(address: str, boxes: list[Box], connections: int) -> Measured:
    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=connections)) as client:

        def ask(box: str) -> bytes:
            answer = client.get(f"{address}/{_PATH}", params={"bbox": box, "f": "GTiff"})
            answer.raise_for_status()
            return answer.content

        for box, _ in boxes[:5]:
            ask(box)
        alone, shares = [], []
        for box, points in boxes:
            start = time.perf_counter()
            content = ask(box)
            alone.append(time.perf_counter() - start)
            shares.append(_held(content, points))
        start = time.perf_counter()
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(lambda each: ask(each[0]), boxes))
        return Measured(
            len(boxes) / (time.perf_counter() - start), 1e3 * statistics.median(alone), statistics.mean(shares)
        )


def _held(content: bytes, points: NDArray[np.float64]) -> float:
    """Share of the points that lie on the raster."""
    with MemoryFile(content) as memory, memory.open() as dataset:
        left, bottom, right, top = dataset.bounds
    x, y = points
    return float(((x >= left) & (x <= right) & (y >= bottom) & (y <= top)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=80)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--cells", type=int, default=128, help="edge of a box in cells")
    arguments = parser.parse_args()
    boxes = _boxes(arguments.requests, arguments.cells)
    with tempfile.TemporaryDirectory() as folder:
        raster = _fill(Path(folder))
        with _server(_serve_ours, Path(folder) / "store") as address:
            ours = _measure(f"{address}/ogc", boxes, arguments.connections)
        with _server(_serve_pygeoapi, raster) as address:
            others = _measure(address, boxes, arguments.connections)
    print(f"{'':26}{'requests/s':>12}{'median ms':>12}{'area back':>12}")
    for name, each in (("router", ours), ("pygeoapi, rasterio provider", others)):
        print(f"{name:26}{each.per_second:12.1f}{each.median_ms:12.1f}{100 * each.share:11.0f}%")
    ratio = ours.per_second / others.per_second
    print(f"throughput x {ratio:.1f}, time of one request x {ours.median_ms / others.median_ms:.2f}")


if __name__ == "__main__":
    main()
