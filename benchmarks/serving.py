"""The service as an operator starts it, for the benchmarks: a process of its own, and what it takes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx
import psutil

COMMAND = Path(sys.executable).with_name("cup4soil")
_START_S = 120.0


@dataclass(frozen=True)
class Serving:
    """A running ``cup4soil serve``."""

    url: str
    pid: int

    def web_processes(self) -> list[psutil.Process]:
        """The processes that answer: the server itself, or where it has several, those."""
        server = psutil.Process(self.pid)
        several = [each for each in server.children() if any("spawn_main" in word for word in each.cmdline())]
        return several or [server]


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(
    store: Path, *options: str, settings: Mapping[str, str] = MappingProxyType({}), log: Path | None = None
) -> Iterator[Serving]:
    """``cup4soil serve`` on a store, with ``options`` of its own; what it logs goes to ``log``."""
    port = free_port()
    command = [COMMAND, "serve", "--store", store, "--port", str(port), *options]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUP4SOIL_")}
    with (log or Path(os.devnull)).open("wb") as stream:
        process = subprocess.Popen(command, env=kept | dict(settings), stdout=stream, stderr=stream)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield Serving(url, process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/health/live", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    process.terminate()  # which ends its web processes, too
    raise RuntimeError("the service did not start")
