"""Speed of the STAC API and of its peers: ``python -m benchmarks.stac_api``.

A catalog of made-up items is written and served, one after the other, by one uvicorn worker over the embedded index, by
one over pgstac, and by stac-fastapi-pgstac on the same database. Eight connections ask each of them, every request with
other values. Requests per second and the slowest of twenty, for each kind of search, and how many times the embedded
index answers what a peer does; then how long a search waits that is the first after items came.

PostgreSQL's programs and PostGIS have to be installed, or ``--database`` names an empty database; without either only
the embedded index is measured. ``--peer`` names a Python that has stac-fastapi-pgstac, where this one has not.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import math
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from benchmarks.stac_items import Asked, searches, write_catalog
from cup4soil.settings import Settings
from stac_catalog.api import add_stac_api
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.search_backend import SearchBackend

_CONNECTIONS = 8
_PAGES = 60  # walked before deep pages are asked for
_PEER = """
import sys, uvicorn
uvicorn.run("stac_fastapi.pgstac.app:create_app", factory=True, port=int(sys.argv[1]), log_level="warning")
"""


@dataclass(frozen=True, slots=True)
class Server:
    """One of those that are compared."""

    name: str
    command: list[str]
    environment: dict[str, str]
    prefix: str


def serve(root: Path, port: int, address: str) -> None:
    """Serve the store's STAC API with one worker, until stopped."""
    app = FastAPI()
    begin = time.perf_counter()
    add_stac_api(app, _backend(root, address), Settings())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  first in step after {time.perf_counter() - begin:.1f} s, {most:.0f} MB at most", flush=True)
    uvicorn.run(app, port=port, log_level="warning", access_log=False)


def _backend(root: Path, address: str) -> SearchBackend:
    if not address:
        return SearchIndex(root / INDEX_FILE)
    from stac_catalog.pgstac import PgstacIndex

    return PgstacIndex(root, address)


@contextlib.contextmanager
def running(server: Server) -> Iterator[int]:
    """The port on which the server answers."""
    port = _free_port()
    print(server.name, flush=True)
    process = subprocess.Popen([*server.command, str(port)], env=os.environ | server.environment)
    try:
        _await(port, server.prefix, process)
        yield port
    finally:
        process.terminate()
        process.wait()


def measured(server: Server, items: int, seconds: float) -> dict[str, float]:
    """Requests per second of each kind of search."""
    with running(server) as port:
        rates = {name: _rate(port, server.prefix, name, make, seconds) for name, make in searches(items).items()}
        pages = _deep_pages(port, server.prefix)
        return rates | {"deep paging": _rate(port, "", "deep paging", lambda: random.choice(pages), seconds)}


def follow(server: Server, root: Path, items: int) -> int:
    """How long the first search waits after items came; returns how many there are now."""
    with running(server) as port:
        for more in (1, items // 10):
            write_catalog(root, items + more, known=items)
            items += more
            begin = time.perf_counter()
            _get(port, f"{server.prefix}/search?limit=1")
            print(f"  {more} more items: the next search waits {time.perf_counter() - begin:.2f} s", flush=True)
    return items


def _rate(port: int, prefix: str, name: str, make: Callable[[], Asked], seconds: float) -> float:
    times, took = asyncio.run(_load(port, prefix, make, seconds))
    times.sort()
    answered = sum(map(math.isfinite, times))
    # The last answers come after the end: slow ones would otherwise count as more than they are.
    rate, slow = answered / took, 1000 * times[int(0.95 * len(times))]
    failed = f", {len(times) - answered} failed" if answered < len(times) else ""
    print(f"  {name:24}{rate:8.1f} requests/s{slow:10.1f} ms (95 %){failed}", flush=True)
    return rate


def _deep_pages(port: int, prefix: str) -> list[Asked]:
    """Pages far from the first, each by the address that the one before it gives."""
    path, pages = f"{prefix}/search?limit=100", []
    for number in range(_PAGES):
        page = json.loads(_get(port, path))
        following = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
        if following is None:
            break
        parts = urlsplit(following)
        path = f"{parts.path}?{parts.query}"
        if number >= _PAGES // 2:
            pages.append(Asked(path.replace("limit=100", "limit=10")))
    return pages or [Asked(path)]


def _get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=600) as answer:
        return answer.read()


async def _connection(port: int, requests: Iterator[bytes], end: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        begin = time.perf_counter()
        if begin > end:
            break
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        good = head.startswith(b"HTTP/1.1 200")
        times.append(time.perf_counter() - begin if good else math.inf)
    writer.close()


async def _load(port: int, prefix: str, make: Callable[[], Asked], seconds: float) -> tuple[list[float], float]:
    # Making requests must not be part of what is measured.
    random.seed(1)
    requests = iter([make().http(prefix, port) for _ in range(20_000)])
    times: list[float] = []
    begin = time.perf_counter()
    await asyncio.gather(*(_connection(port, requests, begin + seconds, times) for _ in range(_CONNECTIONS)))
    return times, time.perf_counter() - begin


def _await(port: int, prefix: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            _get(port, f"{prefix}/collections?limit=1")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server ended")


@contextlib.contextmanager
def _database(given: str) -> Iterator[str]:
    """Address of the database that is given, or of a server made for the purpose; empty where there is none."""
    from tests.postgres import _programs, postgres

    if given or _programs() is None:
        yield given
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, postgres(Path(folder)) as address:
        yield address


def _servers(root: Path, address: str, peer: str) -> list[Server]:
    own = [sys.executable, "-m", "benchmarks.stac_api", "--serve", str(root)]
    servers = [Server("embedded index", [*own, ""], {}, "/stac")]
    if address:
        servers.append(Server("pgstac", [*own, address], {}, "/stac"))
    if address and peer:
        parts = urlsplit(address)
        environment = {
            "PGHOST": parts.hostname or "", "PGPORT": str(parts.port or 5432), "PGUSER": parts.username or "",
            "PGPASSWORD": parts.password or "", "PGDATABASE": parts.path.strip("/"),
        }  # fmt: skip
        servers.append(Server("stac-fastapi-pgstac", [peer, "-c", _PEER], environment, ""))
    return servers


def main() -> None:
    """Write, index, serve and ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--database", default="", metavar="ADDRESS")
    installed = importlib.util.find_spec("stac_fastapi.pgstac") is not None
    parser.add_argument("--peer", default=sys.executable if installed else "", metavar="PYTHON")
    parser.add_argument("--serve", nargs=3, metavar=("STORE", "ADDRESS", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(Path(options.serve[0]), int(options.serve[2]), options.serve[1])
        return
    with tempfile.TemporaryDirectory() as folder, _database(options.database) as address:
        root = Path(folder)
        write_catalog(root, options.items)
        servers = _servers(root, address, options.peer)
        found = {server.name: measured(server, options.items, options.seconds) for server in servers}
        print(f"embedded index of {options.items} items: {(root / INDEX_FILE).stat().st_size / 1e6:.0f} MB")
        first, *peers = found
        for peer in peers:
            ratios = ", ".join(
                f"{name} {rate / found[peer][name]:.1f}" if found[peer][name] else f"{name} (none answered)"
                for name, rate in found[first].items()
            )
            print(f"times {peer}: {ratios}")
        items = options.items
        for server in servers[:2]:
            items = follow(server, root, items)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    main()
