"""A server with the routes of processes before pygeoapi, for the tests: a factory for uvicorn.

``JOB_SERVER_STORE`` and ``JOB_SERVER_CONFIG`` say where store and pygeoapi's configuration are.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from processors.jobs.settings import JobSettings

_START_S = 60.0
_CONTACT = dict.fromkeys(
    ("name", "position", "address", "city", "stateorprovince", "postalcode", "country", "phone", "fax", "hours",
     "instructions", "role"), "x",
) | {"url": "http://localhost", "email": "e@example.org"}  # fmt: skip


def create_app() -> FastAPI:
    from pygeoapi.starlette_app import APP

    from processors.process_router import process_router
    from service import problems
    from stac_catalog.store import Store

    settings = JobSettings()
    app = FastAPI()
    problems.install(app)
    store = Store.open(Path(os.environ["CUP4SOIL_STORE"]), settings, create=False)
    app.include_router(process_router(store, settings))
    app.mount("/ogc", APP)
    return app


def configuration(url: str) -> dict[str, object]:
    """A configuration of pygeoapi with the process and nothing else; JSON is YAML too."""
    return {
        "server": {"bind": {"host": "127.0.0.1", "port": 5000}, "url": url, "mimetype": "application/json",
            "encoding": "utf-8", "language": "en-US", "gzip": False, "map": {"url": "", "attribution": ""},
            "manager": {"name": "processors.jobs.manager.QueueManager"}},
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {"title": "t", "description": "d", "keywords": ["k"], "keywords_type": "theme",
                "terms_of_service": "none", "url": "http://localhost"},
            "license": {"name": "CC0", "url": "http://localhost"},
            "provider": {"name": "p", "url": "http://localhost"},
            "contact": _CONTACT,
        },
        "resources": {"predict-soil-property": {
            "type": "process", "processor": {"name": "processors.predict.PredictSoilPropertyProcessor"}}},
    }  # fmt: skip


@contextmanager
def serving(store: Path, folder: Path, app: str, prefix: str, settings: Mapping[str, str]) -> Iterator[str]:
    """A uvicorn process with ``app``; gives the address of the OGC API, ``prefix`` included."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{prefix}"
    (folder / "config.yml").write_text(json.dumps(configuration(url)))
    (folder / "openapi.json").write_text(json.dumps({"openapi": "3.0.2", "info": {}, "paths": {}}))
    environment = os.environ | {
        "PYGEOAPI_CONFIG": str(folder / "config.yml"),
        "PYGEOAPI_OPENAPI": str(folder / "openapi.json"),
        "CUP4SOIL_STORE": str(store),
        **settings,
    }
    factory = [] if app.endswith("APP") else ["--factory"]
    command = [sys.executable, "-m", "uvicorn", app, *factory, "--port", str(port), "--log-level", "error"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    with process:
        try:
            _wait_for(url, process)
            yield url
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/conformance?f=json").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")
