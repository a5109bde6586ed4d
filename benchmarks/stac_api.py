"""Speed of the STAC API: ``python benchmarks/stac_api.py``.

A catalog of made-up items is written, indexed and served by one uvicorn worker; eight connections ask it, each
request with other values. Requests per second over a few seconds, and the slowest of a hundred, for searches by box,
by collection, time and box, by CQL2, and for single items.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import uvicorn
from fastapi import FastAPI

from cup4soil.settings import Settings
from stac_catalog.api import add_stac_api
from stac_catalog.search import INDEX_FILE, SearchIndex

PROPERTIES = ("soc", "clay", "phh2o", "bdod", "nitrogen")
DEPTHS = ("0-20cm", "20-50cm")
_CONNECTIONS = 8


def item(number: int) -> dict[str, object]:
    """A map of 20 km somewhere in Europe, as the register describes one."""
    random.seed(number)
    west, south = random.uniform(-10, 30), random.uniform(36, 65)
    east, north = west + 0.3, south + 0.2
    code, depth, year = PROPERTIES[number % 5], DEPTHS[number // 5 % 2], 2000 + number % 20
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": f"{code}-{number:012x}",
        "collection": f"{code}-{depth}",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {
            "title": f"Map of {code}, {depth}",
            "description": "Mean and quantiles of a soil property, and where the model is applicable. " * 5,
            "created": "2026-01-01T00:00:00Z",
            "datetime": None,
            "start_datetime": f"{year}-01-01T00:00:00Z",
            "end_datetime": f"{year + 3}-12-31T23:59:59Z",
            "license": "CC-BY-SA-4.0",
            "version": "1.0",
            "proj:code": "EPSG:3035",
            "gsd": 20.0,
            "cup4soil:kind": "soil-map",
            "cup4soil:property": code,
            "cup4soil:depth": depth,
            "cup4soil:simulated": number % 3 == 0,
            "cup4soil:score": number % 100,
            "cup4soil:parameters": {"trees": 500, "seed": number},
        },
        "assets": {
            name: {
                "href": f"./{name}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "title": name,
                "roles": ["data"],
                "bands": [{"name": name, "data_type": "int16", "nodata": -32768, "unit": "g/kg", "raster:scale": 0.1}],
                "file:size": 123456,
                "file:checksum": "1220" + "ab" * 32,
            }
            for name in ("mean", "q05", "q50", "q95", "uncertainty", "pi90", "aoa", "di", "metadata", "thumbnail")
        },
        "links": [
            {"rel": "root", "href": "../../catalog.json"},
            {"rel": "parent", "href": "../collection.json"},
            {"rel": "collection", "href": "../collection.json"},
            {"rel": "describedby", "href": "./metadata.xml", "type": "application/xml"},
        ],
    }


def write_catalog(root: Path, count: int) -> None:
    """A store with ``count`` items and no files but their descriptions."""
    members: dict[str, list[str]] = {}
    for number in range(count):
        document = item(number)
        collection, name = str(document["collection"]), str(document["id"])
        folder = root / "catalog" / collection / name
        folder.mkdir(parents=True)
        (folder / f"{name}.json").write_text(json.dumps(document))
        members.setdefault(collection, []).append(name)
    for collection, names in members.items():
        links = [{"rel": "item", "href": f"./{name}/{name}.json"} for name in names]
        about = {
            "type": "Collection",
            "stac_version": "1.1.0",
            "id": collection,
            "description": collection,
            "license": "CC-BY-SA-4.0",
            "extent": {"spatial": {"bbox": [[-10, 36, 31, 66]]}, "temporal": {"interval": [[None, None]]}},
            "links": links,
        }
        (root / "catalog" / collection / "collection.json").write_text(json.dumps(about))
    links = [{"rel": "child", "href": f"./{name}/collection.json"} for name in members]
    (root / "catalog" / "catalog.json").write_text(json.dumps({"id": "cup4soil", "links": links}))


def serve(root: Path, port: int) -> None:
    """Serve the store's STAC API with one worker, until stopped."""
    app = FastAPI()
    add_stac_api(app, SearchIndex(root / INDEX_FILE), Settings())
    uvicorn.run(app, port=port, log_level="warning", access_log=False)


def _box() -> str:
    west, south = random.uniform(-10, 28), random.uniform(36, 63)
    return f"{west:.3f},{south:.3f},{west + 2:.3f},{south + 2:.3f}"


def by_box() -> str:
    return f"/stac/search?{urlencode({'bbox': _box()})}"


def by_collection_time_box() -> str:
    year = random.randrange(2000, 2023)
    values = {
        "collections": f"{random.choice(PROPERTIES)}-{random.choice(DEPTHS)}",
        "datetime": f"{year}-03-01T00:00:00Z/{year}-10-01T00:00:00Z",
        "bbox": _box(),
    }
    return f"/stac/search?{urlencode(values)}"


def by_cql2() -> str:
    code, score = random.choice(PROPERTIES), random.randrange(100)
    text = f'"cup4soil:property" = \'{code}\' AND "cup4soil:score" > {score} AND gsd <= 20'
    return f"/stac/search?{urlencode({'filter': text})}"


def by_cql2_functions() -> str:
    code, score = random.choice(PROPERTIES), random.randrange(90, 100)
    text = f'casei("cup4soil:property") = casei(\'{code.upper()}\') AND "cup4soil:score" = {score}'
    return f"/stac/search?{urlencode({'filter': text})}"


def single_item(count: int) -> str:
    about = item(random.randrange(count))
    return f"/stac/collections/{quote(str(about['collection']))}/items/{quote(str(about['id']))}"


async def _connection(port: int, paths: Iterator[str], end: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path in paths:
        begin = time.perf_counter()
        if begin > end:
            break
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path}: {head.decode()}")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append(time.perf_counter() - begin)
    writer.close()


async def _load(port: int, make: Callable[[], str], seconds: float) -> list[float]:
    # Making addresses must not be part of what is measured.
    random.seed(1)
    paths = iter([make() for _ in range(20_000)])
    times: list[float] = []
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_connection(port, paths, end, times) for _ in range(_CONNECTIONS)))
    return times


def _await(port: int, process: subprocess.Popen[bytes]) -> float:
    begin = time.perf_counter()
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return time.perf_counter() - begin
    raise RuntimeError("the server ended")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> None:
    """Write, index, serve and ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--serve", nargs=2, metavar=("STORE", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(Path(options.serve[0]), int(options.serve[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        root, port = Path(folder), _free_port()
        write_catalog(root, options.items)
        command = [sys.executable, __file__, "--serve", folder, str(port)]
        process = subprocess.Popen(command, env=os.environ)
        try:
            print(f"{options.items} items; indexed and served after {_await(port, process):.1f} s")
            size = (root / "index.sqlite").stat().st_size + (root / "index.sqlite-wal").stat().st_size
            print(f"index {size / 1e6:.0f} MB", flush=True)
            cases = {
                "bbox": by_box,
                "collection, time, bbox": by_collection_time_box,
                "CQL2": by_cql2,
                "CQL2 with functions": by_cql2_functions,
                "item": lambda: single_item(options.items),
            }
            for name, make in cases.items():
                times = sorted(asyncio.run(_load(port, make, options.seconds)))
                rate, slowest = len(times) / options.seconds, 1000 * times[int(0.99 * len(times))]
                print(f"  {name:24}{rate:8.0f} requests/s{slowest:10.1f} ms (99 %)", flush=True)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
