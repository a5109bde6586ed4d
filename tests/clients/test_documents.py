"""Every example of the documents that asks the service is run, and the table of clients is what the tests show."""

import importlib
import os
import re
import sys
from pathlib import Path

import pytest

from service.keys import KeyRing
from tests import needs
from tests.clients.conftest import Site, told
from tests.clients.reading import READ, reads

pytestmark = pytest.mark.xdist_group("clients")
_DOCS = Path(__file__).resolve().parents[2] / "docs"
_ADDRESS = "http://127.0.0.1:8000"
_BLOCK = re.compile(r"^```(sh|python|r)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_EXAMPLES = {
    f"{name}-{number}": (language, text)
    for name in ("service", "clients", "harvesting")
    for number, (language, text) in enumerate(_BLOCK.findall((_DOCS / f"{name}.md").read_text(encoding="utf-8")))
    if _ADDRESS in text
}
_QGIS = """
import os
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from qgis.core import QgsApplication
application = QgsApplication([], False)
application.initQgis()
{}
import sys
sys.stdout.flush()
os._exit(0)
"""


@reads("curl", "everything in [service.md](service.md) and [harvesting.md](harvesting.md)")
@pytest.mark.parametrize("name", _EXAMPLES)
def test_example(site: Site, name: str, tmp_path: Path) -> None:
    language, text = _EXAMPLES[name]
    if re.search(r"\bKEY\b", text):
        text = re.sub(r"\bKEY\b", KeyRing(site.store.root).add("of the documents", ["read:*", "write"])[1], text)
    text = (
        re.sub(r"\bITEM\b", site.soc, text)
        .replace(_ADDRESS, site.url)
        .replace("--store DIR", f"--store {site.store.root}")
    )
    told(_command(language, text), tmp_path, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def _command(language: str, text: str) -> list[str]:
    if "qgis" in text:
        return ["/usr/bin/env", "PYTHONPATH=", needs.qgis(), "-c", _QGIS.format(text)]
    if language == "python":
        return [sys.executable, "-W", "ignore", "-c", text]
    if language == "r":
        return [needs.program("Rscript", "r-base-core"), "-e", text]
    for program in re.findall(r"^(gdal\w+|ogrinfo|curl)\b", text, re.MULTILINE):
        needs.program(program, "curl" if program == "curl" else "gdal-bin")
    # An answer that is an error fails the example, too.
    return ["bash", "-euo", "pipefail", "-c", f'curl() {{ command curl --fail-with-body -sS "$@"; }}\n{text}']


def test_table_of_clients_is_what_the_tests_show() -> None:
    for module in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.clients.{module.stem}")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", (_DOCS / "clients.md").read_text(encoding="utf-8"), re.MULTILINE)
    table = {client: set(what.split("; ")) for client, what in rows if client != "client"}
    assert table == READ
    assert [client for client, _ in rows[1:]] == sorted(table)
