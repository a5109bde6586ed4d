"""Running the service: the web server, and beside it a worker that is kept alive."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from cup4soil.errors import InvalidInput

# Where prometheus_client looks; it must be set before that is imported, and is not imported here.
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
_APP = "service.app:from_environment"
_RESTART_S = 2.0
# A client that sends or reads a byte now and then must not keep the service from ending.
_GRACE_S = 10


def serve(store: Path, host: str, port: int, *, workers: int, worker: bool, trust_proxy: bool) -> None:
    """Serve ``store`` until interrupted, with ``workers`` web processes and, if wanted, a worker for jobs.

    Raises:
        InvalidInput: when the port is taken or not allowed.
    """
    check_port(host, port)
    os.environ["CUP4SOIL_STORE"] = str(store.absolute())
    os.environ["CUP4SOIL_LOCAL_URL"] = f"http://{_reachable(host)}:{port}"
    with _kept_alive(store) if worker else _nothing(), _shared_figures(workers):
        uvicorn.run(
            _APP, factory=True, log_config=None, access_log=False,
            host=host, port=port, workers=workers if workers > 1 else None,
            timeout_graceful_shutdown=_GRACE_S,
            proxy_headers=trust_proxy, forwarded_allow_ips="*" if trust_proxy else None, server_header=False,
        )  # fmt: skip


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104


def check_port(host: str, port: int) -> None:
    """Fail before anything is started, and in one line.

    Raises:
        InvalidInput: when nobody can listen there.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InvalidInput(
                f"cannot listen on {host} port {port}: {error.strerror}", "choose another --port"
            ) from error


@contextmanager
def _shared_figures(workers: int) -> Iterator[None]:
    """A folder in which several web processes count together, for ``/metrics``."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="cup4soil-metrics-") as folder:
        os.environ[MULTIPROCESS] = folder
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _kept_alive(store: Path) -> Iterator[None]:
    """A worker process, begun again when it dies, ended with the context."""
    command = [sys.executable, "-m", "service.cli", "worker", "--store", str(store), "--parent", str(os.getpid())]
    stop = threading.Event()
    child: list[subprocess.Popen[bytes]] = []

    def keep() -> None:
        while not stop.is_set():
            child[:] = [subprocess.Popen(command)]  # noqa: S603
            while child[0].poll() is None and not stop.wait(0.2):
                pass
            if not stop.is_set():
                stop.wait(_RESTART_S)
        if child and child[0].poll() is None:
            child[0].send_signal(signal.SIGTERM)
            child[0].wait(timeout=20)

    thread = threading.Thread(target=keep, name="worker-keeper")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
