"""Looking after a store from the command line."""

import json
import shutil

import numpy as np
import pystac
import pytest

from service.cli import run
from tests.producers.archives import random_scene, write_archive


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    rng = np.random.default_rng(40)
    catalog = write_archive(folder, [random_scene(rng, f"S{i}", f"2021-0{i + 1}-05T10:00:00Z") for i in range(5)])
    store = folder / "store"
    assert run(["composite", str(catalog), str(folder / "out"), "--threshold", "0.2", "--store", str(store)]) == 0
    return store


@pytest.fixture
def store(filled, tmp_path):
    return shutil.copytree(filled, tmp_path / "store")


def test_sound_store_is_valid(store, capsys):
    assert run(["catalog", "validate", str(store)]) == 0
    assert "problems: 0" in capsys.readouterr().out


def test_damage_is_found_and_named(store, capsys):
    (image,) = store.glob("catalog/*/*/SRC.tif")
    image.write_bytes(image.read_bytes()[:-10])
    assert run(["catalog", "validate", str(store)]) == 1
    assert "asset SRC has" in capsys.readouterr().err


def test_lost_index_is_built_again(store):
    (store / "catalog" / "catalog.json").unlink()
    (store / "catalog" / "bare-soil-composites" / "collection.json").unlink()
    assert run(["catalog", "build", str(store)]) == 0
    catalog = pystac.Catalog.from_file(str(store / "catalog" / "catalog.json"))
    assert len(list(catalog.get_items(recursive=True))) == 1
    assert run(["catalog", "validate", str(store)]) == 0


@pytest.mark.parametrize("command", ["build", "validate"])
def test_folder_that_is_no_store(tmp_path, capsys, command):
    assert run(["catalog", command, str(tmp_path)]) == 1
    assert "no store" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_mirror_and_export(store, tmp_path, capsys):
    assert run(["catalog", "mirror", str(store), str(tmp_path / "m"), "--geoparquet", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["items_written"], told["documents_written"]) == (1, 2)
    catalog = pystac.Catalog.from_file(str(tmp_path / "m" / "catalog.json"))
    assert len(list(catalog.get_items(recursive=True))) == 1
    assert run(["catalog", "mirror", str(store), str(tmp_path / "m"), "--geoparquet", "--dry-run"]) == 0
    assert "items written: 0" in capsys.readouterr().out
    assert run(["catalog", "export", str(store), str(tmp_path / "items.parquet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 1
    assert (tmp_path / "items.parquet").is_file()


def test_mirror_without_files_needs_their_address(store, tmp_path, capsys):
    assert run(["catalog", "mirror", str(store), str(tmp_path / "m"), "--metadata-only"]) == 1
    assert "give --files-url or CUP4SOIL_PUBLIC_URL" in capsys.readouterr().err
    url = "https://soil.example/catalog"
    assert run(["catalog", "mirror", str(store), str(tmp_path / "m"), "--metadata-only", "--files-url", url]) == 0
    assert not list((tmp_path / "m").rglob("*.tif"))
    assert run(["catalog", "mirror", str(store), "ftp://example.org/x"]) == 1
    assert "no place for a mirror" in capsys.readouterr().err
