"""Clients that are slow, vanish, or send nonsense: they harm nobody else and leave nothing behind."""

import gzip
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import httpx
import numpy as np
import psutil
import pytest

from cup4soil.settings import Settings
from stac_catalog.store import Store
from tests.processors.coverages import worlds
from tests.service.running import free_port

COLLECTION = "soc-0-20cm"
COVERAGE = f"/ogc/collections/{COLLECTION}/coverage"
# Short, so that the tests are; long enough that a busy machine does not take a good client for a bad one.
PATIENCE = {
    "CUP4SOIL_HEAD_SECONDS": "3",
    "CUP4SOIL_BODY_SECONDS": "3",
    "CUP4SOIL_IDLE_SECONDS": "8",
    "CUP4SOIL_STALLED_SECONDS": "4",
    "CUP4SOIL_MOST_CONNECTIONS": "60",
    "CUP4SOIL_REQUEST_KIB": "64",
}
GIVEN_UP_S = 180


@dataclass(frozen=True)
class Server:
    """A running service in one process."""

    port: int
    process: psutil.Process

    def get(self, path: str, **more) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=60, **more)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=GIVEN_UP_S)

    def well(self) -> None:
        """A healthy client is answered."""
        assert self.get("/health").json()["status"] == "ok"
        assert self.get(COVERAGE, params={"properties": "mean", "scale-size": "E(20),N(20)"}).status_code == 200

    def sockets(self) -> int:
        return len(self.process.net_connections("tcp")) - 1  # one listens


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("hostile")
    store = Store.open(base / "store", Settings())
    grid = worlds.european(4_500_000, 3_300_000, 1800, 1800)
    noise = np.random.default_rng(0).integers(-9000, 9000, (1800, 1800)).astype("int16")
    worlds.register(store, worlds.product(base / "map", grid, noise), base / "map")
    port = free_port()
    code = "from service.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--store", str(store.root), "--port", str(port), "--no-worker"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CUP4SOIL_")} | PATIENCE
    with (base / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
    running = Server(port, psutil.Process(process.pid))
    with process:
        try:
            _until(lambda: _answers(running))
            running.well()
            yield running
        finally:
            process.terminate()
        assert process.wait(60) in (0, 128 + signal.SIGTERM, -signal.SIGTERM)
    assert "Traceback" not in (base / "log").read_text()


@pytest.fixture(autouse=True)
def nothing_is_left(server: Server) -> Iterator[None]:
    """After each test the connections are gone, and no thread has come to stay."""
    before = server.process.num_threads()
    yield
    server.well()
    _until(lambda: server.sockets() == 0)
    # The framework's threads for requests are 40 and are kept; tiles are compressed by one for each processor.
    assert server.process.num_threads() <= max(before, 60 + (os.cpu_count() or 1))


def _answers(server: Server) -> bool:
    try:
        return server.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + GIVEN_UP_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def _ended(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection, cleanly or not."""
    received = b""
    try:
        while part := connection.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return received


@contextmanager
def _many(server: Server, count: int, begin: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(count)]
        for each in connections:
            each.sendall(begin)
        yield connections


def test_heads_that_never_end_are_given_up(server: Server) -> None:
    with _many(server, 20, b"GET /health HTTP/1.1\r\nHost: x\r\n") as connections:
        server.well()
        connections[0].sendall(b"X-More: 1\r\n")
        assert [_ended(each) for each in connections] == [b""] * 20


def test_a_head_that_trickles_after_an_answer_is_given_up(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        sent = 0
        try:
            for sent in range(600):
                connection.sendall(b"G" if sent == 0 else b"E")
                time.sleep(0.1)
        except OSError:
            pass
        assert sent < 599


def test_a_connection_is_kept_for_another_request_but_not_for_ever(server: Server) -> None:
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while b'"ok"}' not in received:
                received += connection.recv(65_536)
            assert received.startswith(b"HTTP/1.1 200")
            time.sleep(5)  # longer than a head may take, and than uvicorn itself would wait
        assert _ended(connection) == b""


@pytest.mark.parametrize("head", [b"Content-Length: 5000\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("path", ["/stac/search", "/ogc/processes/predict-soil-property/execution"])
def test_bodies_that_never_end_are_given_up(server: Server, path: str, head: bytes) -> None:
    begin = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode() + head + b"\r\n"
    with _many(server, 10, begin + b"5\r\n{") as connections:
        server.well()
        assert all(b" 200 " not in _ended(each) for each in connections)


def test_readers_of_large_answers_who_read_nothing_are_given_up(server: Server) -> None:
    ask = f"GET {COVERAGE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with _many(server, 6, ask) as connections:
        server.well()
        # The memory of the answers is held no longer than this.
        _until(lambda: server.sockets() == 0)
        assert all(len(_ended(each)) < 10_000_000 for each in connections)


def test_a_reader_who_is_only_slow_gets_all(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(f"GET {COVERAGE}?properties=mean HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
            if len(parts) < 200:
                time.sleep(0.03)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    assert len(body) == int(length.split(b":")[1])


def test_idle_connections_keep_nobody_out(server: Server) -> None:
    with _many(server, 150, b"") as connections:
        for _ in range(5):
            server.well()
        assert server.sockets() <= 70
        assert [_ended(each) for each in connections] == [b""] * 150


def test_connections_reset_midway(server: Server) -> None:
    ask = f"GET {COVERAGE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    for wait in (0.0, 0.05, 0.3):
        for _ in range(5):
            with server.connect() as connection:
                connection.sendall(ask)
                time.sleep(wait)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.well()


def test_half_closed_connections(server: Server) -> None:
    for begin in (b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /stac/search HTTP/1.1\r\n"):
        with server.connect() as connection:
            connection.sendall(begin)
            connection.shutdown(socket.SHUT_WR)
            assert b" 500 " not in _ended(connection)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x00" * 200,
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n\xff\xfe nonsense\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" * 20 + b"QUIT\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /stac/search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET " + b"/a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 5000 + b"\r\n",
    ],
)
def test_nonsense_and_heads_beyond_the_limit(server: Server, sent: bytes) -> None:
    with server.connect() as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answer = _ended(connection)
    assert not any(f" {status} ".encode() in answer for status in (500, 502, 503))


def test_bodies_beyond_the_limit(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/stac/search"
    assert httpx.post(url, content=b" " * 70_000, timeout=60).status_code == 413

    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 10_000

    with suppress(httpx.TransportError):  # cut off: as good
        assert httpx.post(url, content=endless(), timeout=60).status_code in (400, 413)


_PLACES = ("/stac/search", "/ogc/processes/predict-soil-property/execution")


@pytest.mark.parametrize("path", _PLACES)
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b'{"filter": ' + b'{"op": "not", "args": [' * 2500 + b"]}" * 2500 + b"}",
        b'{"inputs": {"aoi": ' + b'{"coordinates": ' * 3000 + b"1" + b"}" * 3001 + b"}",
        b"1" * 60_000,
        b'{"limit": 1e99999, "inputs": {"bbox": 1e400}}',
        b'"\\ud800"',
        b"\xff\xfe\x00",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    ],
    ids=["arrays", "objects", "filter", "area", "digits", "numbers", "surrogate", "bytes", "xml"],
)
def test_bodies_that_are_nested_or_nonsense(server: Server, path: str, body: bytes) -> None:
    answer = httpx.post(f"http://127.0.0.1:{server.port}{path}", content=body, timeout=60)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "passwd" not in answer.text


def test_compressed_bodies_are_not_unpacked(server: Server) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    bomb = gzip.compress(b" " * 50_000_000)
    for path in _PLACES:
        answer = httpx.post(f"http://127.0.0.1:{server.port}{path}", content=bomb[:60_000], headers=headers, timeout=60)
        assert answer.status_code == 400


_IDS = (
    "/catalog/{}", f"/catalog/{COLLECTION}/{{}}", f"/catalog/{COLLECTION}/{{}}/mean.tif", "/demo/{}",
    "/ogc/collections/{}", "/ogc/collections/{}/coverage", "/ogc/collections/{}/position?coords=POINT(1%201)",
    "/ogc/collections/{}/map", "/ogc/collections/products/items/{}", "/ogc/jobs/{}", "/ogc/jobs/{}/results?f=json",
    "/ogc/processes/{}", "/results/{}/map.tif", "/results/x/{}", "/stac/collections/{}",
    f"/stac/collections/{COLLECTION}/items/{{}}", "/tiles/{}/0/0/0.png", "/products/{}/x",
    f"/products/{COLLECTION}/{{}}", f"/products/{COLLECTION}/{{}}/iso", "/dcat/{}", "/services/{}", "/sitemap/{}/1.xml",
    "/oai?verb=GetRecord&metadataPrefix=oai_dc&identifier={}",
)  # fmt: skip
_NAMES = (
    "..%2f..%2fstore.json", "%2e%2e", "....//....//etc/passwd", "%2fetc%2fpasswd", "a%00.tif", "%00", "..%5c..%5cx",
    "file:%2f%2f%2fetc%2fpasswd", "%c0%ae%c0%ae%2fx", "%ff", ".lock", ".keys", "a" * 3000, "%0d%0aX-Bad:%201", "*",
    "%25",
)  # fmt: skip


@pytest.mark.parametrize("route", _IDS)
def test_names_lead_nowhere(server: Server, route: str) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        for name in _NAMES:
            answer = client.get(route.format(name))
            is_protocol_error = route.startswith("/oai") and answer.status_code == 200 and b"<error" in answer.content
            assert answer.status_code in (307, 400, 404, 405) or is_protocol_error, (name, answer.status_code)
            assert "x-bad" not in answer.headers
            assert b"root:" not in answer.content
            assert b"cup4soil-store" not in answer.content


def test_many_ranges_cost_no_more_than_the_file(server: Server) -> None:
    item = server.get(f"/stac/collections/{COLLECTION}/items").json()["features"][0]["id"]
    path = f"/catalog/{COLLECTION}/{item}/mean.tif"
    size = int(server.get(path, headers={"Range": "bytes=0-0"}).headers["content-range"].rpartition("/")[2])
    for ranges in (
        ",".join(f"{i * 2}-{i * 2}" for i in range(1500)),
        ",".join(["0-"] * 1500),
        ",".join(f"-{size - i}" for i in range(1000)),
        "0-" + "9" * 4000,
    ):
        answer = server.get(path, headers={"Range": f"bytes={ranges}"})
        assert answer.status_code in (200, 206, 400, 416)
        assert len(answer.content) <= size + 1000


def test_what_clients_may_accept_is_no_way_in(server: Server) -> None:
    for accept in ("a" * 8000, ",".join(["text/html;q=0.1"] * 500), ";;;,,,q=q=q", "\x7f"):
        answer = server.get(COVERAGE, params={"scale-size": "E(5),N(5)"}, headers={"Accept": accept})
        assert answer.status_code < 500
    assert json.loads(server.get("/ogc/collections?f=json").text)["collections"]
