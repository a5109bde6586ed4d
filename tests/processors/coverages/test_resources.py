"""pygeoapi on a store: live collections in every process, pages without foreign files, the plain server."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import numpy as np
import pytest
import yaml
from jsonschema import Draft4Validator

from cup4soil.settings import Settings
from processors.coverage_catalog import CoverageCatalog
from processors.openapi import openapi_document
from processors.resources import PROCESSES, Addresses, StoreResources, configuration
from stac_catalog.store import Store
from tests.processors.coverages import worlds
from tests.processors.coverages.conftest import COLLECTION, LEFT, TOP, World

_ROOT = Path(__file__).resolve().parents[3]
_OGC = Addresses(ogc="http://service.example/ogc", root="http://service.example")
_PAGES = (
    "/ogc/",
    "/ogc/collections",
    f"/ogc/collections/{COLLECTION}",
    f"/ogc/collections/{COLLECTION}/schema",
    f"/ogc/collections/{COLLECTION}/queryables",
    f"/ogc/collections/{COLLECTION}/coverage",
    "/ogc/conformance",
    "/ogc/openapi",
    "/ogc/processes",
    "/ogc/processes/predict-soil-property",
    "/ogc/jobs",
    "/ogc/collections/nothing",
)


@pytest.fixture
def small(tmp_path: Path) -> Store:
    store = Store.open(tmp_path / "store", Settings())
    _add(store, tmp_path / "first", "soc-0-20cm")
    return store


def _add(store: Store, folder: Path, collection: str) -> Path:
    grid = worlds.european(LEFT, TOP, 20, 20)
    values = np.full((20, 20), 77, np.int16)
    return store.register(worlds.product(folder, grid, values, collection=collection), folder)


def test_the_mapping_follows_the_store(small: Store, tmp_path: Path) -> None:
    resources = StoreResources(CoverageCatalog(small), _OGC, PROCESSES)
    assert list(resources) == ["soc-0-20cm", "predict-soil-property"]
    target = _add(small, tmp_path / "second", "clay-0-20cm")
    assert list(resources) == ["clay-0-20cm", "soc-0-20cm", "predict-soil-property"]
    assert "clay-0-20cm" in resources
    shutil.rmtree(target)
    small.rebuild()
    assert "clay-0-20cm" not in resources
    with pytest.raises(KeyError):
        resources["clay-0-20cm"]


def test_an_unchanged_store_is_not_read_again(small: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = StoreResources(CoverageCatalog(small), _OGC, PROCESSES)
    before = resources["soc-0-20cm"]
    monkeypatch.setattr(CoverageCatalog, "_read", lambda *_: pytest.fail("the store was read"))
    assert resources["soc-0-20cm"] is before
    assert deepcopy({"resources": resources})["resources"]["soc-0-20cm"] == before


def test_describing_collections_opens_no_raster(small: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasterio.open", lambda *_, **__: pytest.fail("a raster was opened"))
    resources = StoreResources(CoverageCatalog(small), _OGC, PROCESSES)
    assert resources["soc-0-20cm"]["extents"]["spatial"]["bbox"]


def test_a_collection_tells_extent_fields_and_where_its_metadata_are(server: str, world: World) -> None:
    found = httpx.get(f"{server}/ogc/collections/{COLLECTION}").json()
    west, south, east, north = found["extent"]["spatial"]["bbox"][0]
    assert 24 < west < east < 26
    assert 65 < south < north < 66
    assert found["extent"]["spatial"]["crs"].endswith("CRS84")
    assert found["extent"]["spatial"]["grid"][0] == {"cellsCount": 1100, "resolution": 20}
    assert found["extent"]["temporal"]["interval"][0][0].startswith("2020-01-03")
    assert "mean (g/kg)" in found["description"]
    links = {(link["rel"], link["href"]) for link in found["links"]}
    item = world.tile.name
    assert ("license", "https://creativecommons.org/licenses/by-sa/4.0/") in links
    assert ("item", f"{server}/stac/collections/{COLLECTION}/items/{item}") in links
    assert ("describedby", f"{server}/catalog/{COLLECTION}/{item}/metadata.xml") in links
    schema = httpx.get(f"{server}/ogc/collections/{COLLECTION}/schema").json()
    assert schema["properties"]["mean"]["x-ogc-unit"] == "g/kg"


@pytest.mark.parametrize("page", _PAGES)
def test_pages_load_nothing_from_elsewhere(server: str, page: str) -> None:
    # The first question about processes imports what they compute with.
    answer = httpx.get(f"{server}{page}?f=html", follow_redirects=True, timeout=60)
    assert answer.headers["content-type"].startswith("text/html")
    loaded = _Loaded(f"{server}{page}")
    loaded.feed(answer.text)
    assert loaded.addresses, "a page without its style sheet"
    for address in loaded.addresses:
        assert urlsplit(address).netloc == urlsplit(server).netloc
        assert httpx.get(address).status_code == 200
    for script in re.findall(r"<script.*?</script>", answer.text, re.S):
        assert not re.search(r"https?://(?!127\.0\.0\.1)", script)


def test_links_within_the_api_lead_somewhere(server: str) -> None:
    for page in ("/ogc/", "/ogc/collections", f"/ogc/collections/{COLLECTION}"):
        document = httpx.get(f"{server}{page}").json()
        for link in document["links"]:
            if link["href"].startswith(f"{server}/ogc"):
                assert httpx.get(link["href"], follow_redirects=True, timeout=60).status_code == 200, link


@pytest.mark.parametrize(
    "tail",
    ["/nothing", "/stac", "/admin/config", f"/collections/{COLLECTION}/items", "/collections/x?f=xyz", "/?f=xyz"],
)
def test_refusals_of_pygeoapi_are_problem_details(server: str, tail: str) -> None:
    answer = httpx.get(f"{server}/ogc{tail}")
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_the_openapi_document_is_valid_and_whole_in_itself(server: str) -> None:
    document = httpx.get(f"{server}/ogc/openapi?f=json").json()
    schema = files("pygeoapi") / "resources" / "schemas" / "openapi" / "openapi-3.0.x.json"
    Draft4Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(document)
    references = re.findall(r'"\$ref": "([^"]*)"', json.dumps(document))
    assert references
    for reference in set(references):
        node = document
        assert reference.startswith("#/")
        for part in reference[2:].split("/"):
            node = node[part]
    ids = [about["operationId"] for path in document["paths"].values() for about in path.values()]
    assert len(ids) == len(set(ids))


def test_the_documented_paths_are_the_routes(server: str) -> None:
    document = openapi_document(configuration(Settings(), Path("store"), _OGC, {}))
    named = {
        "collectionId": COLLECTION,
        "processId": "predict-soil-property",
        "jobId": "nothing",
        "recordId": "nothing",
        "styleId": httpx.get(f"{server}/ogc/collections/{COLLECTION}/styles", timeout=60).json()["default"],
        "tileMatrixSetId": "WebMercatorQuad",
        "tileMatrix": "0",
        "tileRow": "0",
        "tileCol": "0",
    }
    for path, methods in document["paths"].items():
        # Features need the sites of models, which are not served here.
        if "get" in methods and not path.startswith(("/collections/samples", "/collections/validation-sites")):
            answer = httpx.get(f"{server}/ogc{path.format(**named)}", timeout=60)
            asks = any(p.get("in") == "query" and p.get("required") for p in methods["get"]["parameters"])
            unknown = "jobId" in path or "recordId" in path
            # All of the map lies within a part of the largest tile's pixel.
            empty = "tileRow" in path
            assert answer.status_code == (400 if asks else 404 if unknown else 204 if empty else 200), path


def test_the_file_for_the_plain_server_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUP4SOIL_OGC_URL", "http://plain.example")
    monkeypatch.setenv("CUP4SOIL_STORE", "store")
    from pygeoapi.util import yaml_load

    with (_ROOT / "pygeoapi-config.yml").open(encoding="utf-8") as stream:
        written = yaml_load(stream)
    made = configuration(Settings(), Path("store"), Addresses("http://plain.example"), PROCESSES)
    for config in (written, made):
        del config["path"], config["server"]["templates"], config["server"]["manager"]["name"]
    assert written == made


def test_the_file_for_the_plain_server_is_valid() -> None:
    from pygeoapi.config import validate_config

    written = yaml.safe_load((_ROOT / "pygeoapi-config.yml").read_text(encoding="utf-8"))
    for part in (written["server"], *(written["metadata"][name] for name in ("identification", "provider", "contact"))):
        part["url"] = "http://plain.example"
    assert validate_config(written)


def test_two_worker_processes_see_a_new_product(small: Store, tmp_path: Path) -> None:
    with _workers(small) as address, httpx.Client(headers={"Connection": "close"}) as client:
        processes: set[str] = set()
        _ask_until(client, f"{address}/ogc/collections/soc-0-20cm", 200, processes)
        target = _add(small, tmp_path / "second", "clay-0-20cm")
        for path in ("/ogc/collections/clay-0-20cm", "/ogc/collections/clay-0-20cm/coverage"):
            _ask_until(client, f"{address}{path}", 200, set())
        shutil.rmtree(target)
        small.rebuild()
        _ask_until(client, f"{address}/ogc/collections/clay-0-20cm", 404, set())


def test_plain_pygeoapi_serves_the_store(small: Store, tmp_path: Path) -> None:
    port = _free_port()
    config = yaml.safe_load((_ROOT / "pygeoapi-config.yml").read_text(encoding="utf-8"))
    config["server"]["bind"]["port"] = port
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "CUP4SOIL_STORE": str(small.root),
        "PYGEOAPI_CONFIG": str(tmp_path / "config.yml"),
        "PYGEOAPI_OPENAPI": str(tmp_path / "openapi.json"),
        "CUP4SOIL_OGC_URL": address,
        "PWD": str(_ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    made = subprocess.run(
        [sys.executable, "-m", "processors.plain"], cwd=_ROOT, env=environment, check=True, capture_output=True
    )
    (tmp_path / "openapi.json").write_bytes(made.stdout)
    program = Path(sys.executable).with_name("pygeoapi")
    with _running([str(program), "serve"], environment, f"{address}/"):
        names = [each["id"] for each in httpx.get(f"{address}/collections").json()["collections"]]
        assert names == ["soc-0-20cm"]
        _add(small, tmp_path / "second", "clay-0-20cm")
        coverage = f"{address}/collections/clay-0-20cm/coverage"
        box = f"{TOP - 100},{LEFT},{TOP},{LEFT + 200}"
        answer = httpx.get(f"{coverage}?f=GTiff&properties=mean&bbox={box}&bbox-crs=EPSG:3035")
        with worlds.MemoryFile(answer.content) as memory, memory.open() as dataset:
            assert dataset.shape == (5, 10)
            assert dataset.descriptions == ("mean",)
            assert (dataset.read(1) == 77).all()
        document = httpx.get(f"{coverage}?f=json&properties=mean&subset=E({LEFT + 10}),N({TOP - 10})").json()
        assert document["ranges"]["mean"]["values"] == [7.7]
        statuses = [
            httpx.get(f"{coverage}?{query}").status_code
            for query in ("bbox=1,2,3,4", "properties=q42", "subset=E(a:b)", "bbox=1,2,3,4&bbox-crs=moon")
        ]
        assert statuses == [204, 400, 400, 400]
        assert httpx.get(f"{address}/static/style.css").status_code == 200
        assert "https://unpkg.com" not in httpx.get(f"{coverage}?f=html").text


class _Loaded(HTMLParser):
    """Addresses of what a browser loads by itself with a page."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = {"script": "src", "img": "src", "link": "href", "iframe": "src"}.get(tag)
        loads = tag != "link" or given.get("rel") in ("stylesheet", "icon", "preload", "shortcut icon")
        address = given.get(name) if name and loads else None
        if address:
            self.addresses.append(urljoin(self._base, address))


def _ask_until(client: httpx.Client, address: str, status: int, processes: set[str]) -> None:
    """Every answer must have ``status``, until both processes have given one."""
    deadline = time.monotonic() + 20
    while len(processes) < 2:
        assert time.monotonic() < deadline, "only one process answers"
        answers = [client.get(address) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {status}
        processes |= {answer.headers["x-process"] for answer in answers}


@contextmanager
def _workers(store: Store) -> Iterator[str]:
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "CUP4SOIL_STORE": str(store.root),
        "TEST_ROOT": address,
        "PYTHONWARNINGS": "ignore",
    }
    module = "tests.processors.coverages.served:application"
    options = ["--factory", "--port", str(port), "--workers", "2", "--log-level", "critical"]
    command = [sys.executable, "-m", "uvicorn", module, *options]
    with _running(command, environment, f"{address}/ogc/"):
        yield address


@contextmanager
def _running(command: list[str], environment: dict[str, str], address: str) -> Iterator[None]:
    """A server in processes of its own, ended with all of its children."""
    with subprocess.Popen(
        command,
        cwd=_ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not _answers(address):
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
