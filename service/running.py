"""Running the service: the web server, and beside it a worker that is kept alive."""

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from cup4soil.errors import InvalidInput
from service.connections import Patience, protocol_of
from service.settings import ServiceSettings

# Where prometheus_client looks; it must be set before that is imported, and is not imported here.
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
_APP = "service.app:from_environment"
_RESTART_S = 2.0
# A client that sends or reads a byte now and then must not keep the service from ending.
_GRACE_S = 10
# On a busy machine a process is slow to answer its parent, above all while it starts: that does not mean it is dead.
_SILENCE_S = 60
# Of new connections, what the protocol makes no room for any more is refused.
_SPARE = 50
# Beside connections, a process holds open rasters, databases and libraries.
_SPARE_FILES = 1000


def serve(store: Path, host: str, port: int, settings: ServiceSettings, *, workers: int, worker: bool) -> None:
    """Serve ``store`` until interrupted, with ``workers`` web processes and, if wanted, a worker for jobs.

    Raises:
        InvalidInput: when the port is taken or not allowed.
    """
    check_port(host, port)
    _allow_files(settings.most_connections + _SPARE_FILES)
    os.environ["CUP4SOIL_STORE"] = str(store.absolute())
    os.environ["CUP4SOIL_LOCAL_URL"] = f"http://{_reachable(host)}:{port}"
    with _kept_alive(store) if worker else _nothing(), _shared_figures(workers):
        uvicorn.run(
            _APP, factory=True, log_config=None, access_log=False,
            host=host, port=port, workers=workers if workers > 1 else None,
            timeout_graceful_shutdown=_GRACE_S, timeout_worker_healthcheck=_SILENCE_S,
            proxy_headers=settings.trust_proxy, forwarded_allow_ips="*" if settings.trust_proxy else None,
            server_header=False, **_connections(settings),
        )  # fmt: skip


def _connections(settings: ServiceSettings) -> dict[str, Any]:
    """What uvicorn is told of connections."""
    patience = Patience(
        settings.head_seconds, settings.body_seconds, settings.stalled_seconds, settings.most_connections
    )
    return {
        "http": protocol_of(patience),
        "ws": "none",
        "timeout_keep_alive": settings.idle_seconds,
        "limit_concurrency": settings.most_connections + _SPARE,
        "h11_max_incomplete_event_size": settings.header_kib * 1024,
    }


def _allow_files(count: int) -> None:
    """Let this process and those it starts have so many open files, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
