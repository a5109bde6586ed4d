"""CSW by pycsw in an environment of its own (``.cache/csw``): filled from OAI-PMH, read by OWSLib."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from fastapi import FastAPI
from owslib.csw import CatalogueServiceWeb
from owslib.fes import PropertyIsLike

from cup4soil.settings import Settings
from stac_catalog.oai import oai_router
from stac_catalog.store import Store
from tests.catalog import products
from tests.catalog.servers import serving
from tests.clients.reading import reads

pytestmark = pytest.mark.xdist_group("clients")
REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".cache" / "csw" / "bin" / "python"
DEPLOY = REPOSITORY / "deploy" / "csw"


@pytest.fixture(scope="module")
def csw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not PYTHON.is_file():
        pytest.skip("pycsw is not installed in .cache/csw: run make csw")
    folder = tmp_path_factory.mktemp("csw")
    settings = Settings(organisation="Soil Survey", contact_email="soil@survey.example")
    store = Store.open(folder / "store", settings)
    for name, make in (("map", products.soil_map), ("composite", products.composite), ("samples", products.samples)):
        store.register(make(folder / name), folder / name)
    app = FastAPI()
    app.include_router(oai_router(store, settings, page=2))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/csw"
    environment = os.environ | {"CSW_HOME": str(folder / "home"), "CSW_URL": address, "PYTHONWARNINGS": "ignore"}
    with serving(app) as oai:
        said = subprocess.run(
            [PYTHON, "fill.py", f"{oai}/oai"], cwd=DEPLOY, env=environment, check=True, capture_output=True, timeout=120
        )
    assert said.stdout.decode().splitlines()[-1] == "3 records"
    command = [PYTHON, "-m", "waitress", f"--listen=127.0.0.1:{port}", "app:application"]
    process = subprocess.Popen(
        command, cwd=DEPLOY, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(f"{address}?service=CSW&version=2.0.2&request=GetCapabilities", process)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        assert process.poll() is None
        try:
            with urlopen(address, timeout=20):
                return
        except URLError:
            time.sleep(0.2)
    raise AssertionError("pycsw does not answer")


@reads("OWSLib", "CSW")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_records_are_found_by_another_client(csw: str) -> None:
    client = CatalogueServiceWeb(csw, timeout=30)
    iso = "http://www.isotc211.org/2005/gmd"
    client.getrecords2(esn="full", outputschema=iso)
    assert client.results["matches"] == 3
    (found,) = [each for each in client.records.values() if each.identifier.startswith("soc-0-20cm")]
    assert found.identification[0].title == "Soil organic carbon, 0-20 cm"
    client.getrecords2(constraints=[PropertyIsLike("csw:AnyText", "%bare-soil composite%")], esn="brief")
    assert client.results["matches"] >= 1


def test_no_file_is_opened_for_a_client(csw: str, tmp_path: Path) -> None:
    (tmp_path / "other.cfg").write_text("[server]\nhome=/\nurl=http://evil.example\n")
    query = f"service=CSW&version=2.0.2&request=GetCapabilities&config={tmp_path / 'other.cfg'}"
    with urlopen(f"{csw}?{query}", timeout=20) as answer:
        assert b"evil.example" not in answer.read()
