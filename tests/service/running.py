"""The whole service as its operator runs it, ``cup4soil serve``, and questions to it."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass
class Server:
    """A running service."""

    url: str
    store: Path
    process: subprocess.Popen

    def get(self, path: str, **more) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60, **more)

    def execute(self, inputs: dict, **headers) -> httpx.Response:
        path = "/ogc/processes/predict-soil-property/execution"
        return httpx.post(self.url + path, json={"inputs": inputs}, headers=headers, timeout=60)

    def finished(self, job: str, seconds: float = 90) -> dict:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = httpx.get(job, timeout=30).json()
            if state["status"] not in ("accepted", "running"):
                return state
            time.sleep(0.3)
        raise TimeoutError(job)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(store: Path, *more: str) -> Server:
    port = free_port()
    code = "from service.cli import main; main()"
    arguments = [sys.executable, "-c", code, "serve", "--store", str(store), "--port", str(port), *more]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CUP4SOIL_")}
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)
    server = Server(f"http://127.0.0.1:{port}", store, process)
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if server.get("/health").status_code == 200:
                return server
        except httpx.TransportError:
            time.sleep(0.2)
    process.kill()
    process.wait()
    raise TimeoutError("the service did not start")


def end(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(timeout=30)
