"""The command line as a new user meets it: one line for an error, nothing half-written."""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pystac
import pytest

from service.cli import run
from tests.producers.archives import random_scene, write_archive


@pytest.fixture
def archive(tmp_path):
    rng = np.random.default_rng(30)
    return write_archive(tmp_path, [random_scene(rng, f"S{i}", f"2021-0{i + 1}-05T10:00:00Z") for i in range(6)])


def one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("cup4soil: error: ")
    assert "Traceback" not in text
    return lines[0]


def tree(folder: Path) -> dict[str, tuple[int, float]]:
    # Readers of a database of SQLite touch the index of its log.
    files = (p for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".sqlite-shm"))
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}


def test_composite_with_store_and_its_rerun(archive, tmp_path, capsys):
    out, store = tmp_path / "out", tmp_path / "store"
    arguments = [
        "composite",
        str(archive),
        str(out),
        "--threshold",
        "0.2",
        "--resolution",
        "20",
        "--store",
        str(store),
        "--json",
    ]
    assert run(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    before = tree(tmp_path)
    assert run(arguments) == 0
    second = json.loads(capsys.readouterr().out)
    assert (first["made"], second["made"]) == ("now", "found, nothing was written")
    assert tree(tmp_path) == before
    catalog = pystac.Catalog.from_file(str(store / "catalog" / "catalog.json"))
    assert [item.id for item in catalog.get_items(recursive=True)] == [first["product"]]


def test_fresh_store_gives_the_same_id_and_pixels(archive, tmp_path, capsys):
    found = []
    for name in ("one", "two"):
        assert (
            run(
                [
                    "composite",
                    str(archive),
                    str(tmp_path / name),
                    "--threshold",
                    "0.2",
                    "--store",
                    str(tmp_path / f"store-{name}"),
                    "--json",
                ]
            )
            == 0
        )
        found.append(json.loads(capsys.readouterr().out)["product"])
    assert found[0] == found[1]
    for path in (tmp_path / "one").glob("*.tif"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_product_of_the_store_comes_back_to_a_new_folder(archive, tmp_path):
    base = ["composite", str(archive), "--threshold", "0.2", "--store", str(tmp_path / "store")]
    assert run([*base, str(tmp_path / "one")]) == 0
    items = tree(tmp_path / "store")
    assert run([*base, str(tmp_path / "two")]) == 0
    assert tree(tmp_path / "store") == items
    for path in (tmp_path / "one").iterdir():
        if path.name != "product.json":  # the store's record names no local paths
            assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    assert (tmp_path / "two" / "product.json").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--threshold", "abc"], "neither a number nor a raster"),
        (["--threshold", "missing.tif"], "missing.tif"),
        (["--threshold", "5"], "outside the index's range"),
        (["--bbox", "11", "51", "10", "52"], "swapped"),
        (["--bbox", "100", "10", "101", "11"], "outside the area"),
        (["--bbox", "179", "10", "181", "11"], "antimeridian"),
        (["--aoi", "missing.geojson"], "missing.geojson"),
        (["--start", "yesterday"], "no date"),
        (["--start", "2023-01-01"], "outside the period"),
        (["--crs", "EPSG:0"], "no coordinate reference system"),
        (["--resolution", "30"], "--resolution 20"),
        (["--tile", "x"], "no tile"),
        (["--max-cloud", "101"], "--max-cloud"),
        (["--landcover", "missing.tif"], "missing.tif"),
    ],
)
def test_bad_options(archive, tmp_path, capsys, change, message):
    before = tree(tmp_path)
    status = run(["composite", str(archive), str(tmp_path / "out"), "--threshold", "0.2", *change])
    assert status in (1, 2)
    assert message in one_line(capsys.readouterr().err)
    assert tree(tmp_path) == before


def test_missing_source_and_usage(tmp_path, capsys):
    assert run(["composite", str(tmp_path / "none.json"), str(tmp_path / "out"), "--threshold", "0.2"]) == 1
    assert "no catalog" in one_line(capsys.readouterr().err)
    assert run(["composite", "x"]) == 2
    assert "--help" in one_line(capsys.readouterr().err)
    assert run(["compost"]) == 2
    assert "compost" in one_line(capsys.readouterr().err)
    assert run(["--version"]) == 0


def test_folder_that_holds_something_else(archive, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert run(["composite", str(archive), str(tmp_path / "out"), "--threshold", "0.2"]) == 1
    assert "not empty" in one_line(capsys.readouterr().err)
    assert tree(tmp_path / "out").keys() == {"thesis.txt"}
    assert run(["composite", str(archive), str(tmp_path / "new"), "--threshold", "0.2"]) == 0
    capsys.readouterr()
    assert run(["composite", str(archive), str(tmp_path / "new"), "--threshold", "0.3"]) == 1
    assert "another product" in one_line(capsys.readouterr().err)


def test_product_folder_that_lost_a_file(archive, tmp_path, capsys):
    arguments = ["composite", str(archive), str(tmp_path / "out"), "--threshold", "0.2"]
    assert run(arguments) == 0
    (tmp_path / "out" / "SRC.tif").unlink()
    capsys.readouterr()
    assert run(arguments) == 1
    assert "SRC.tif" in one_line(capsys.readouterr().err)


def command(*arguments: str, **more) -> subprocess.Popen:
    code = "from service.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more
    )


def without_override() -> None:
    """Let root meet permissions as others do: no CAP_DAC_OVERRIDE (1) after the next exec (prctl 24)."""
    if os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).prctl(24, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot drop a capability")


def test_store_without_permission(archive, tmp_path):
    (tmp_path / "store").mkdir(mode=0o555)
    arguments = (
        "composite",
        str(archive),
        str(tmp_path / "out"),
        "--threshold",
        "0.2",
        "--store",
        str(tmp_path / "store"),
    )
    child = command(*arguments, preexec_fn=without_override)
    _, error = child.communicate(timeout=120)
    assert child.returncode == 1, error
    assert "no permission" in error.strip().splitlines()[-1]
    assert "Traceback" not in error
    assert list((tmp_path / "store").iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_disk_that_is_full(archive, tmp_path):
    """The system refuses files above some size, as a full disk would: one line, and nothing stays."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    # Warm the compiled kernels' cache first: it, too, is a file.
    assert run(["composite", str(archive), str(tmp_path / "warm"), "--threshold", "0.2"]) == 0
    child = command("composite", str(archive), str(tmp_path / "out"), "--threshold", "0.2", preexec_fn=limit)
    _, error = child.communicate(timeout=120)
    assert child.returncode == 1, error
    assert error.strip().splitlines()[-1].startswith("cup4soil: error: cannot write")
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".cup4soil-part-*"))


@pytest.fixture(scope="module")
def long_archive(tmp_path_factory):
    """Enough scenes that a run can be interrupted in the middle."""
    rng = np.random.default_rng(31)
    folder = tmp_path_factory.mktemp("long")
    scenes = [
        random_scene(rng, f"S{i:02d}", f"2021-{i % 12 + 1:02d}-{i // 12 + 1:02d}T10:00:00Z", size=150)
        for i in range(36)
    ]
    return write_archive(folder, scenes)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_interrupted_run_and_the_next_one(long_archive, tmp_path, number, status):
    out, store = tmp_path / "out", tmp_path / "store"
    arguments = ("composite", str(long_archive), str(out), "--threshold", "0.2", "--store", str(store))
    child = command(*arguments)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".cup4soil-part-*/*.tif")) and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(number)
    _, error = child.communicate(timeout=60)
    assert child.returncode == status, error
    assert "Traceback" not in error
    assert not out.exists()
    if number != signal.SIGKILL:
        assert not list(tmp_path.glob(".cup4soil-part-*"))
    again = command(*arguments)
    assert again.wait(timeout=120) == 0
    again.communicate()
    assert not list(tmp_path.glob(".cup4soil-part-*"))
    catalog = pystac.Catalog.from_file(str(store / "catalog" / "catalog.json"))
    assert len(list(catalog.get_items(recursive=True))) == 1


def test_setting_that_is_wrong(archive, tmp_path, capsys, monkeypatch):
    for name, value in (("CUP4SOIL_THREADS", "many"), ("CUP4SOIL_DATA_POLICY", "nonsense")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert run(["composite", str(archive), str(tmp_path / "out"), "--threshold", "0.2"]) == 2
            assert name in one_line(capsys.readouterr().err)


def test_another_data_policy_makes_another_product(archive, tmp_path, capsys, monkeypatch):
    """A licence that was corrected is never answered with the product under the old one."""
    arguments = ["composite", str(archive), "--threshold", "0.2", "--json", "--store", str(tmp_path / "store")]
    found = []
    for policy in ("CC-BY-NC-SA-4.0", "CC-BY-4.0"):
        monkeypatch.setenv("CUP4SOIL_DATA_POLICY", policy)
        assert run([*arguments, str(tmp_path / policy.lower())]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [each["licence"] for each in found] == ["CC-BY-NC-SA-4.0", "CC-BY-4.0"]
    assert found[0]["product"] != found[1]["product"]
