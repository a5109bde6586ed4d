"""Many products registered by several processes: the result is that of one after the other, whoever is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from cup4soil.errors import InvalidInput, NotFound, StoreError
from cup4soil.products import ProductRecord
from cup4soil.settings import Settings
from stac_catalog import filling
from stac_catalog.filling import Crew
from stac_catalog.helpers import HelperLost, Helpers
from stac_catalog.item_folders import ItemFolders, Job
from stac_catalog.store import Store
from stac_catalog.validation import validate_catalog
from tests.catalog import products
from tests.catalog.conftest import Made, hidden, tree

type Products = list[tuple[ProductRecord, Path]]

COUNT = 30
# Registers more than one process does alone, from the folder given first into the store given second.
PROGRAM = """
import sys
from pathlib import Path
from cup4soil.products import read_record
from cup4soil.settings import Settings
from stac_catalog import filling
from stac_catalog.store import Store

filling._ALONE = 2
record = read_record(Path(sys.argv[1]))
records = (record.model_copy(update={"id": f"samples-{i}"}) for i in range(100_000))
Store.open(Path(sys.argv[2]), Settings()).register_all((each, Path(sys.argv[1])) for each in records)
"""


@pytest.fixture(autouse=True)
def _helpers_come_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "_ALONE", 2)
    monkeypatch.setattr(filling, "_SHARE", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})


@pytest.fixture
def only_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process takes nothing that a helper can do."""
    monkeypatch.setattr(Future, "cancel", lambda _: False)


@pytest.fixture
def many(made: dict[str, Made]) -> Products:
    """Products of all kinds; some are made from others, some are there twice."""
    samples = made["samples"]
    copies = [(samples.record.model_copy(update={"id": f"samples-{i}"}), samples.folder) for i in range(COUNT)]
    rest = [(each.record, each.folder) for each in made.values()]
    sources = [products.product_source(record, "samples") for record, _ in copies]
    heirs = [
        (made["model"].record.model_copy(update={"id": f"model-{i}", "sources": (source,)}), made["model"].folder)
        for i, source in enumerate(sources[:3])
    ]
    return [*copies[:20], *rest, heirs[0], copies[5], *copies[20:], *heirs[1:], copies[-1]]


def one_by_one(root: Path, settings: Settings, given: Products) -> dict[str, bytes]:
    store = Store.open(root, settings)
    with store.batch() as batch:
        for record, folder in given:
            batch.register(record, folder)
    return tree(root)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_result_is_that_of_one_after_the_other(
    tmp_path: Path, settings: Settings, many: Products, workers: int
) -> None:
    wanted = one_by_one(tmp_path / "one", settings, many)
    store = Store.open(tmp_path / "all", settings.model_copy(update={"workers": workers}))
    assert store.register_all(iter(many)) == {}
    assert tree(store.root) == wanted
    assert hidden(store.catalog_path.parent) == []
    assert store.register_all(many) == {}
    assert tree(store.root) == wanted


@pytest.mark.usefixtures("only_helpers")
def test_helpers_write_the_same_bytes(tmp_path: Path, settings: Settings, many: Products) -> None:
    wanted = one_by_one(tmp_path / "one", settings, many)
    store = Store.open(tmp_path / "all", settings)
    assert store.register_all(many) == {}
    assert tree(store.root) == wanted


@pytest.mark.usefixtures("only_helpers")
def test_what_cannot_be_published_is_told_and_the_others_are_registered(
    tmp_path: Path, settings: Settings, many: Products
) -> None:
    wanted = one_by_one(tmp_path / "one", settings, many)
    record, folder = many[0]
    lacking = record.model_copy(update={"id": "lacking"})
    wrong = record.model_copy(update={"id": "wrong", "title": "a\x00b"})
    heir = many[20][0].model_copy(update={"id": "heir", "sources": (products.product_source(lacking, "samples"),)})
    store = Store.open(tmp_path / "all", settings)
    given = [*many[:9], (lacking, tmp_path), (heir, folder), *many[9:30], (wrong, folder), *many[30:]]
    refused = store.register_all(given)
    assert {name: type(error) for (_, name), error in refused.items()} == {"lacking": NotFound, "wrong": InvalidInput}
    assert "product lacking has no file" in str(refused[lacking.collection, "lacking"])
    item = store.find(heir.collection, "heir")
    assert item is not None
    assert b"derived_from" not in (item / "heir.json").read_bytes()  # of what is not there
    store.remove(heir.collection, "heir")
    names = {name for name in tree(store.root) if name.endswith("metadata.xml")}
    assert names == {name for name in wanted if name.endswith("metadata.xml")}
    assert validate_catalog(store.catalog_path.parent) == []


def test_a_full_disk_ends_it(
    tmp_path: Path, settings: Settings, many: Products, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = ItemFolders.fill

    def full(self: ItemFolders, job: Job) -> None:
        if job.record.id == "samples-10":
            raise StoreError("no space left on the device")
        fill(self, job)

    monkeypatch.setattr(ItemFolders, "fill", full)
    monkeypatch.setattr(Helpers, "ask", lambda *_: Future())  # never done by a helper
    store = Store.open(tmp_path / "all", settings)
    with pytest.raises(StoreError, match="no space left"):
        store.register_all(many)
    assert store.collections() == []
    assert hidden(store.catalog_path.parent) == []


@pytest.mark.usefixtures("only_helpers")
@pytest.mark.parametrize("turn", [1, 3])
def test_what_a_killed_helper_leaves_is_made_here(
    tmp_path: Path, settings: Settings, many: Products, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    answer, asked, lost = Helpers._answer, [], []

    def killed(self: Helpers, jobs: Sequence[Job]) -> Any:
        asked.append(jobs)
        if len(asked) == turn:
            jobs[0].part.mkdir(parents=True)  # half of a folder
            self._own.helper.process.kill()
        try:
            return answer(self, jobs)
        except HelperLost as error:
            lost.append(str(error))
            raise

    monkeypatch.setattr(Helpers, "_answer", killed)
    wanted = one_by_one(tmp_path / "one", settings, many)
    store = Store.open(tmp_path / "all", settings)
    assert store.register_all(many) == {}
    assert "ended with code -9" in lost[0]
    assert tree(store.root) == wanted


def test_without_room_for_helpers_one_process_does_it(
    tmp_path: Path, settings: Settings, many: Products, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    store = Store.open(tmp_path / "all", settings)
    assert store.register_all(many) == {}
    assert tree(store.root) == one_by_one(tmp_path / "one", settings, many)


def test_helpers_are_gone_when_the_crew_is(tmp_path: Path, settings: Settings, many: Products) -> None:
    folders = ItemFolders(tmp_path, tmp_path / "catalog", settings)
    with Crew(folders, 2) as crew:
        for i, (record, folder) in enumerate(many):
            list(crew.take(Job(record, folder, tmp_path / str(i), {})))
        assert crew._helpers is not None
        processes = [helper.process for helper in crew._helpers._helpers]
        assert len(processes) == 2
    assert all(process.returncode is not None for process in processes)


def test_nothing_half_is_listed_and_no_helper_stays_when_the_process_is_killed(
    tmp_path: Path, made: dict[str, Made]
) -> None:
    samples = made["samples"]
    samples.record.write(samples.folder)
    store = Store.open(tmp_path / "store", Settings())
    command = [sys.executable, "-c", PROGRAM, str(samples.folder), str(store.root)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 90
        while not store.items("samples") and time.monotonic() < deadline:
            time.sleep(0.05)
        helpers = children(process.pid)
        process.send_signal(signal.SIGKILL)
    while any(Path(f"/proc/{each}").exists() for each in helpers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{each}").exists() for each in helpers)
    store = Store.open(tmp_path / "store", Settings())
    assert len(store.items("samples")) >= 500
    assert validate_catalog(store.catalog_path.parent) == []


def children(process: int) -> list[str]:
    """Processes that a process has started."""
    return [each for tasks in Path(f"/proc/{process}/task").glob("*/children") for each in tasks.read_text().split()]
