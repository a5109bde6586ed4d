"""Speed of the service's answers in one run: ``python benchmarks/service.py``.

On a made-up map of one Sentinel-2 tile (10 980 px) in EPSG:3035, each through the application that clients ask, in one
process and one connection, so that times of answers and of their parts compare:

- a coverage window of 512 x 512 cells against a bare rasterio read of the same window with encoding as GeoTIFF, and
  against pygeoapi's own rasterio provider (both through HTTP);
- the whole tile scaled to 512 x 512;
- a point with all layers;
- map tiles of WebMercatorQuad and of EuropeanETRS89_LAEAQuad, by zoom, and the processor time of their drawing alone,
  which a busy machine does not change much.

Medians are printed with the bounds that are aimed at.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pyproj
import rasterio
import uvicorn
from affine import Affine
from fastapi import FastAPI
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile
from rasterio.windows import Window as RasterioWindow

from cup4soil.grids import Window
from cup4soil.products import Algorithm, Band, Extent, Layer, Period, ProductRecord, product_id
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from processors.coverage_router import coverage_router
from processors.edr_router import edr_router
from processors.map_maker import Look, MapMaker
from processors.map_pictures import PNG
from processors.maps import map_router
from processors.tile_matrices import EUROPEAN, SETS, WEB_MERCATOR, code_of, origin, tile_grid
from stac_catalog.store import Store

sys.path.insert(0, str(Path(__file__).parent))
from coverages import _serve_pygeoapi, _server

_COLLECTION = "soc-0-20cm"
_SIZE, _CELL_M = 10_980, 20
_LEFT, _TOP = 4_400_000, 3_400_000
_WINDOW = 512
_LAYERS = ("mean", "q05", "q50", "q95", "uncertainty", "di")
_ZOOMS = {WEB_MERCATOR: (8, 10, 12, 14), EUROPEAN: (6, 8, 10)}


def _fill(root: Path, size: int) -> Path:
    """A store with one map of all layers; returns the file of the mean."""
    grid = GeoBox((size, size), Affine(_CELL_M, 0, _LEFT, 0, -_CELL_M, _TOP), "EPSG:3035")
    slope = np.add.outer(np.arange(size), np.arange(size)) // 80
    noise = np.random.default_rng(0).integers(0, 40, (size, size), dtype=np.int16)
    values = slope.astype(np.int16) + noise
    layers = tuple(_written(root, name, grid, values + 10 * shift) for shift, name in enumerate(_LAYERS))
    algorithm = Algorithm(name="noise", version="1", title="Noise", description="Noise.", parameters={})
    record = ProductRecord(
        id=product_id("map", algorithm, ()),
        collection=_COLLECTION,
        kind="soil-map",
        title="Noise",
        abstract="Noise.",
        period=Period(start=datetime(2022, 1, 1, tzinfo=UTC), end=datetime(2022, 12, 31, tzinfo=UTC)),
        extent=Extent.of_grid(grid),
        algorithm=algorithm,
        sources=(),
        licence="CC-BY-4.0",
        simulated=True,
        layers=layers,
    )
    return Store.open(root / "store", Settings()).register(record, root) / "mean.tif"


def _written(root: Path, name: str, grid: GeoBox, values: np.ndarray) -> Layer:
    layer = Layer(
        name=name,
        title=name,
        description="Noise on a slope.",
        file=f"{name}.tif",
        bands=(Band(name=name, unit="g/kg"),),
        nodata=-32768,
        scale=0.1,
    )
    with LayerWriter(root, layer, grid) as writer:
        writer.write(Window(0, 0, *grid.shape), values[np.newaxis])
    return writer.layer


def _serve_ours(store: Path, port: int) -> None:
    app, opened = FastAPI(), Store.open(store, Settings(), create=False)
    app.include_router(coverage_router(opened, Settings()))
    app.include_router(edr_router(opened, Settings()))
    app.include_router(map_router(opened, root=f"http://127.0.0.1:{port}"))
    uvicorn.run(app, port=port, log_level="critical")


def _times(work: Callable[[int], object], count: int) -> list[float]:
    """Milliseconds of each call but the first few, which open files."""
    return _in_turns([work], count)[0]


def _in_turns(works: Sequence[Callable[[int], object]], count: int) -> list[list[float]]:
    """As :func:`_times`, of several that are asked one after the other, so that a busy minute touches all of them."""
    found: list[list[float]] = [[] for _ in works]
    for turn in range(3 + count):
        for work, times in zip(works, found, strict=True):
            start = time.perf_counter()
            work(turn)
            times.append(1e3 * (time.perf_counter() - start))
    return [times[3:] for times in found]


def _corners(size: int, cells: int) -> list[tuple[int, int]]:
    """Row and column of windows inside the map, the same in every run."""
    places = random.Random(1)
    return [(places.randrange(size - cells), places.randrange(size - cells)) for _ in range(1000)]


def _bare(raster: Path, size: int) -> Callable[[int], object]:
    """Read a window from an open file and write it as a GeoTIFF in memory."""
    dataset, corners = rasterio.open(raster), _corners(size, _WINDOW)

    def read(turn: int) -> bytes:
        row, col = corners[turn]
        window = RasterioWindow(col, row, _WINDOW, _WINDOW)
        values = dataset.read(window=window)
        profile = {
            "driver": "GTiff",
            "count": 1,
            "height": _WINDOW,
            "width": _WINDOW,
            "dtype": "int16",
            "nodata": -32768,
        }
        profile |= {"crs": dataset.crs, "transform": dataset.window_transform(window)}
        profile |= {
            "compress": "DEFLATE",
            "zlevel": 1,
            "predictor": 2,
            "tiled": True,
            "blockxsize": 256,
            "blockysize": 256,
        }
        with MemoryFile() as memory:
            with memory.open(**profile) as target:
                target.write(values)
            return bytes(memory.read())

    return read


@contextmanager
def _client(address: str) -> Iterator[Callable[..., bytes]]:
    with httpx.Client(base_url=address, timeout=120) as client:

        def ask(path: str, **query: str) -> bytes:
            answer = client.get(path, params=query)
            answer.raise_for_status()
            return answer.content

        yield ask


def _window_of(ask: Callable[..., bytes], size: int, path: str) -> Callable[[int], object]:
    corners = _corners(size, _WINDOW)

    def work(turn: int) -> bytes:
        row, col = corners[turn]
        left, top = _LEFT + col * _CELL_M, _TOP - row * _CELL_M
        edge = _WINDOW * _CELL_M
        subset = f"E({left}:{left + edge}),N({top - edge}:{top})"
        return ask(path, subset=subset, properties="mean", f="GTiff")

    return work


def _lonlat_of(ask: Callable[..., bytes], size: int, path: str) -> Callable[[int], object]:
    """pygeoapi takes boxes in degrees here: about as many cells."""
    corners, to_degrees = _corners(size, _WINDOW), pyproj.Transformer.from_crs(3035, 4326, always_xy=True)

    def work(turn: int) -> bytes:
        row, col = corners[turn]
        left, top, edge = _LEFT + col * _CELL_M, _TOP - row * _CELL_M, _WINDOW * _CELL_M
        (west, east), (south, north) = to_degrees.transform([left, left + edge], [top - edge, top])
        return ask(path, bbox=f"{west},{south},{east},{north}", f="GTiff")

    return work


def _tiles_of(ask: Callable[..., bytes], size: int, name: str, zoom: int) -> Callable[[int], object]:
    """Tiles over places inside the map."""
    level = SETS[name].tileMatrices[zoom]
    left, top = origin(name, level)
    edge = level.tileWidth * float(level.cellSize)
    to_set = pyproj.Transformer.from_crs(3035, code_of(name), always_xy=True)
    corners = _corners(size, _WINDOW)

    def work(turn: int) -> bytes:
        row, col = corners[turn]
        x, y = to_set.transform(_LEFT + col * _CELL_M, _TOP - row * _CELL_M)
        place = f"{name}/{zoom}/{int((top - y) // edge)}/{int((x - left) // edge)}"
        return ask(f"/ogc/collections/{_COLLECTION}/map/tiles/{place}")

    return work


def _drawn(store: Path, size: int, name: str, zoom: int, count: int) -> float:
    """Tiles that one core draws in a second, by processor time."""
    maker = MapMaker(Store.open(store, Settings(), create=False))

    def ask(path: str) -> bytes:
        matrix_set, matrix, row, col = path.split("/")[-4:]
        grid = tile_grid(matrix_set, matrix, int(row), int(col))
        return maker.draw(maker.prepare(_COLLECTION, Look(), grid), PNG) or b""

    work = _tiles_of(ask, size, name, zoom)
    for turn in range(3):
        work(turn)
    start = time.process_time()
    for turn in range(3, 3 + count):
        work(turn)
    spent = time.process_time() - start
    maker.close()
    return count / spent


def _point_of(ask: Callable[..., bytes], size: int) -> Callable[[int], object]:
    corners, to_degrees = _corners(size, 1), pyproj.Transformer.from_crs(3035, 4326, always_xy=True)

    def work(turn: int) -> bytes:
        row, col = corners[turn]
        lon, lat = to_degrees.transform(_LEFT + (col + 0.5) * _CELL_M, _TOP - (row + 0.5) * _CELL_M)
        return ask(f"/ogc/collections/{_COLLECTION}/position", coords=f"POINT({lon} {lat})")

    return work


def _line(name: str, times: list[float], said: str = "") -> float:
    median = statistics.median(times)
    print(f"{name:52}{median:10.1f}{max(times):10.1f}  {said}", flush=True)
    return median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--size", type=int, default=_SIZE, help="edge of the map in cells")
    arguments = parser.parse_args()
    count, size = arguments.requests, arguments.size
    coverage = f"/ogc/collections/{_COLLECTION}/coverage"
    with tempfile.TemporaryDirectory() as folder:
        raster = _fill(Path(folder), size)
        print(f"{'ms':52}{'median':>10}{'worst':>10}")
        with (
            _server(_serve_ours, Path(folder) / "store") as address,
            _server(_serve_pygeoapi, raster) as other,
            _client(address) as ask,
            _client(other) as ask_other,
        ):
            theirs_work = _lonlat_of(ask_other, size, f"/collections/{_COLLECTION}/coverage")
            works = (_bare(raster, size), _window_of(ask, size, coverage), theirs_work)
            names = ("rasterio and encoding", "service", "pygeoapi's rasterio provider")
            measured = zip(names, _in_turns(works, count), strict=True)
            bare, ours, theirs = (_line(f"window 512 x 512: {name}", times) for name, times in measured)
            scaled = {"scale-size": "E(512),N(512)", "properties": "mean", "f": "GTiff"}
            _line("whole tile scaled to 512 x 512", _times(lambda _: ask(coverage, **scaled), count), "aim: 100 ms")
            _line(f"point with {len(_LAYERS)} layers", _times(_point_of(ask, size), count), "aim: 50 ms")
            for name, zooms in _ZOOMS.items():
                for zoom in zooms:
                    times = _times(_tiles_of(ask, size, name, zoom), count)
                    alone = _drawn(Path(folder) / "store", size, name, zoom, count)
                    rate = f"{1e3 / statistics.mean(times):.0f}/s, one core draws {alone:.0f}/s; aim: 30"
                    _line(f"tile of {name}, zoom {zoom}", times, rate)
    print(f"window: x {ours / bare:.2f} of the bare read (aim: at most 2), pygeoapi's x {theirs / ours:.1f} (aim: 8)")


if __name__ == "__main__":
    main()
