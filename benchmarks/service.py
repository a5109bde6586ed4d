"""Speed of the service's answers in one run: ``python benchmarks/service.py``.

On a made-up map of one Sentinel-2 tile (10 980 px) in EPSG:3035, each through the service as ``cup4soil serve`` starts
it, with one web process and one connection, so that times of answers and of their parts compare:

- a coverage window of 512 x 512 cells against a bare rasterio read of the same window with encoding as GeoTIFF, and
  against pygeoapi's own rasterio provider through HTTP, both asked for the same box: in degrees, as clients do that
  know no more than ``bbox``, and along the axes of the grid, which spares pygeoapi a transformation. pygeoapi's
  answer is not compressed and says nothing of the values;
- the whole tile scaled to 512 x 512;
- a point with all layers;
- map tiles of WebMercatorQuad and of EuropeanETRS89_LAEAQuad, by zoom, and the processor time of their drawing alone,
  which a busy machine does not change much.

Medians are printed with the bounds that are aimed at, for windows also the processor time that a server takes, and
where that goes: what decoding the tiles under a window takes, no service can save that has not seen them before.
"""

import argparse
import multiprocessing
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
from affine import Affine
from odc.geo.geobox import GeoBox
from psutil import Process
from rasterio.io import MemoryFile
from rasterio.windows import Window as RasterioWindow

from cup4soil.grids import Window
from cup4soil.products import Algorithm, Band, Extent, Layer, Period, ProductRecord, product_id
from cup4soil.rasters.coverage import Piece, read_stored
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from processors.coverage_catalog import CoverageCatalog
from processors.coverage_formats import geotiff
from processors.coverage_grid import Limits, answer_grid
from processors.coverage_query import parse_query
from processors.coverage_reader import CoverageReader
from processors.map_maker import Look, MapMaker
from processors.map_pictures import PNG
from processors.tile_matrices import EUROPEAN, SETS, WEB_MERCATOR, code_of, origin, tile_grid
from stac_catalog.store import Store

sys.path.insert(0, str(Path(__file__).parent))
from coverages import _serve_pygeoapi, _server
from serving import serving

_COLLECTION = "soc-0-20cm"
_SIZE, _CELL_M = 10_980, 20
_LEFT, _TOP = 4_400_000, 3_400_000
_WINDOW = 512
_LAYERS = ("mean", "q05", "q50", "q95", "uncertainty", "di")
type Corners = Sequence[tuple[int, int]]
type Work = Callable[[int], object]
type Ask = Callable[..., bytes]
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


def _shares(store: Path, corners: Corners) -> dict[str, float]:
    """Milliseconds of processor time that the parts of an answer take, medians; tiles are decoded anew each time."""
    reader = CoverageReader(CoverageCatalog(Store.open(store, Settings(), create=False)), Limits())
    spent: dict[str, list[float]] = {}
    clock = time.process_time

    def part[T](name: str, work: Callable[[], T]) -> T:
        start = clock()
        result = work()
        spent.setdefault(name, []).append(1e3 * (clock() - start))
        return result

    for row, col in corners:
        left, top, edge = _LEFT + col * _CELL_M, _TOP - row * _CELL_M, _WINDOW * _CELL_M
        pairs = [("subset", f"E({left}:{left + edge}),N({top - edge}:{top})"), ("properties", "mean")]
        query = part("reading the query", lambda pairs=pairs: parse_query(pairs))
        coverage = reader.catalog.coverage(_COLLECTION)
        grid = part("its grid", lambda query=query, cover=coverage: answer_grid(cover, query, 1, 10**9))
        name = next(iter(coverage.items)).places["mean"]
        piece = Piece(name.path, coverage.grid, (1,), name.field.nodata)
        part("decoding the tiles", lambda piece=piece, grid=grid: read_stored(reader.handles, piece, grid))
        answer = part("laying out the cells", lambda query=query: reader.read(_COLLECTION, query))
        part("encoding", lambda answer=answer: geotiff(answer))
    reader.close()
    return {name: statistics.median(times[3:]) for name, times in spent.items()}


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


def _bare(raster: Path, corners: Corners) -> Work:
    """Read a window from an open file and write it as a GeoTIFF in memory."""
    dataset = rasterio.open(raster)

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


def _window_of(ask: Callable[..., bytes], path: str, x: str, y: str, corners: Corners, **more: str) -> Work:
    """Windows along the axes of the grid, by the names that a server has for them."""

    def work(turn: int) -> bytes:
        row, col = corners[turn]
        left, top, edge = _LEFT + col * _CELL_M, _TOP - row * _CELL_M, _WINDOW * _CELL_M
        subset = f"{x}({left}:{left + edge}),{y}({top - edge}:{top})"
        return ask(path, subset=subset, f="GTiff", **more)

    return work


def _lonlat_of(ask: Callable[..., bytes], path: str, corners: Corners, **more: str) -> Work:
    """The same in degrees: about as many cells."""
    to_degrees = pyproj.Transformer.from_crs(3035, 4326, always_xy=True)

    def work(turn: int) -> bytes:
        row, col = corners[turn]
        left, top, edge = _LEFT + col * _CELL_M, _TOP - row * _CELL_M, _WINDOW * _CELL_M
        (west, east), (south, north) = to_degrees.transform([left, left + edge], [top - edge, top])
        return ask(path, bbox=f"{west},{south},{east},{north}", f="GTiff", **more)

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


def _processor_ms(process: Process, work: Work, turns: range) -> float:
    """Mean processor time that one answer takes a server."""

    def spent() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    start = spent()
    for turn in turns:
        work(turn)
    return 1e3 * (spent() - start) / len(turns)


def _windows(raster: Path, size: int, count: int, ours: tuple[Ask, Process], theirs: tuple[Ask, Process]) -> None:
    """Times of windows, each server asked for the same places, which nobody has asked for before."""
    corners = _corners(size, _WINDOW)
    here, there = f"/ogc/collections/{_COLLECTION}/coverage", f"/collections/{_COLLECTION}/coverage"
    mean = {"properties": "mean"}
    # Each row has places of its own: what one has read is no help to the next.
    apart = [corners[step * 200 : step * 200 + 200] for step in range(3)]
    works = {
        "rasterio and encoding": (_bare(raster, apart[0]), Process()),
        "service, axes of the grid": (_window_of(ours[0], here, "E", "N", apart[1], **mean), ours[1]),
        "service, degrees": (_lonlat_of(ours[0], here, apart[2], **mean), ours[1]),
        "pygeoapi, axes of the grid": (_window_of(theirs[0], there, "x", "y", apart[1]), theirs[1]),
        "pygeoapi, degrees": (_lonlat_of(theirs[0], there, apart[2]), theirs[1]),
    }
    measured = _in_turns([work for work, _ in works.values()], count)
    found, processor = {}, {}
    for (name, (work, process)), times in zip(works.items(), measured, strict=True):
        processor[name] = _processor_ms(process, work, range(3 + count, 3 + 2 * count))
        found[name] = _line(f"window 512 x 512: {name}", times, f"processor {processor[name]:.1f} ms")
    for said, each in (("time", found), ("processor time", processor)):
        bare, axes, degrees, their_axes, their_degrees = each.values()
        print(
            f"{said}: x {axes / bare:.2f} of the bare read (aim: at most 2); pygeoapi takes "
            f"x {their_degrees / degrees:.1f} in degrees (aim: 8), x {their_axes / axes:.1f} along the axes"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=40, help="at most 90")
    parser.add_argument("--size", type=int, default=_SIZE, help="edge of the map in cells")
    arguments = parser.parse_args()
    count, size = min(90, arguments.requests), arguments.size
    coverage = f"/ogc/collections/{_COLLECTION}/coverage"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        raster = _fill(Path(folder), size)
        print(f"{'ms':52}{'median':>10}{'worst':>10}")
        with (
            _server(_serve_pygeoapi, raster) as other,
            serving(store, "--no-worker", settings={"CUP4SOIL_LOG_LEVEL": "warning"}) as server,
            _client(server.url) as ask,
            _client(other) as ask_other,
        ):
            peer = Process(multiprocessing.active_children()[0].pid)
            _windows(raster, size, count, (ask, Process(server.pid)), (ask_other, peer))
            for name, share in _shares(store, _corners(size, _WINDOW)[600 : 600 + count]).items():
                print(f"of a window's processor time: {name:30}{share:7.2f} ms")
            scaled = {"scale-size": "E(512),N(512)", "properties": "mean", "f": "GTiff"}
            _line("whole tile scaled to 512 x 512", _times(lambda _: ask(coverage, **scaled), count), "aim: 100 ms")
            _line(f"point with {len(_LAYERS)} layers", _times(_point_of(ask, size), count), "aim: 50 ms")
            for name, zooms in _ZOOMS.items():
                for zoom in zooms:
                    times = _times(_tiles_of(ask, size, name, zoom), count)
                    alone = _drawn(store, size, name, zoom, count)
                    rate = f"{1e3 / statistics.mean(times):.0f}/s, one core draws {alone:.0f}/s; aim: 30"
                    _line(f"tile of {name}, zoom {zoom}", times, rate)


if __name__ == "__main__":
    main()
