"""``cup4soil metadata``: each form of a registered product, and what is said where there is none."""

import json
from pathlib import Path

import pytest
from lxml import etree

from cup4soil.settings import Settings
from service.cli import run
from stac_catalog.metadata import FORMS
from stac_catalog.store import Store
from tests.catalog import products


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metadata")
    record = products.soil_map(folder / "map")
    Store.open(folder / "store", Settings()).register(record, folder / "map")
    return folder / "store"


def name_of(root: Path) -> str:
    (name,) = Store.open(root, Settings(), create=False).items("soc-0-20cm")
    return name


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form(root: Path, form: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    name = name_of(root)
    arguments = ["metadata", name, "--store", str(root), "--format", form, "--out", str(out)]
    assert run([*arguments, "--url", "https://survey.example/soil"]) == 0
    content = out.read_bytes()
    assert name.encode() in content
    if form != "csl" and form != "citation":
        assert b"https://survey.example/soil/" in content
    if "json" in FORMS[form].media_type:
        json.loads(content)
    elif "xml" in FORMS[form].media_type:
        etree.fromstring(content)


def test_citation_goes_to_standard_output(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["metadata", f"soc-0-20cm/{name_of(root)}", "--store", str(root)]) == 0
    assert capfd.readouterr().out.startswith("CUP4SOIL (2026): Soil organic carbon, 0-20 cm.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "no product nothing"),
        (["soc-0-20cm/nothing"], "no item soc-0-20cm/nothing"),
        (["x", "--url", "ftp://x"], "--url is 'ftp://x'"),
        (["x", "--format", "marc"], "marc"),
    ],
)
def test_errors(root: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert run(["metadata", *arguments, "--store", str(root)]) != 0
    assert said in capfd.readouterr().err
