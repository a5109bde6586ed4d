"""The search index is kept true to the catalog, whatever happens to either."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cup4soil.errors import StoreError
from cup4soil.settings import Settings
from stac_catalog import search_answers, search_paging
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.search_query import Query
from stac_catalog.search_values import parse_bbox
from stac_catalog.store import Store
from tests.catalog import catalogs
from tests.catalog.conftest import Made
from tests.catalog.searching import ITEMS, filtered, ids, names

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    catalogs.write(tmp_path, ITEMS[:6])
    return tmp_path


class TestInStepWithTheCatalog:
    def test_what_comes_and_goes_is_noticed(self, root: Path) -> None:
        index = SearchIndex(root / INDEX_FILE)
        assert set(names(index, Query())) == set(ids(ITEMS[:6]))
        assert index.is_current()
        catalogs.write(root, ITEMS[:9])
        assert not index.is_current()
        assert set(names(index, Query())) == set(ids(ITEMS[:9]))
        shutil.rmtree(root / "catalog" / "c1")
        left = [item for item in ITEMS[:9] if item["collection"] != "c1"][1:]
        catalogs.write(root, left)
        assert set(names(index, Query())) == set(ids(left))
        assert set(index.collections()) == {"c0", "c2"} == set(index.titles())
        assert index.collection("c1") is None
        assert index.item("c0", left[0]["id"] + "x") is None
        index.close()

    def test_item_that_was_replaced_is_read_again(self, root: Path) -> None:
        index = SearchIndex(root / INDEX_FILE)
        index.sync()
        changed = {**ITEMS[0], "properties": ITEMS[0]["properties"] | {"title": "changed"}}
        catalogs.write(root, [changed, *ITEMS[1:6]])
        assert names(index, filtered("title = 'changed'")) == [ITEMS[0]["id"]]
        assert index.search(Query()).matched == 6
        index.close()

    def test_other_index_on_the_same_file_sees_it_too(self, root: Path) -> None:
        one, other = SearchIndex(root / INDEX_FILE), SearchIndex(root / INDEX_FILE)
        assert one.search(Query()).matched == other.search(Query()).matched == 6
        catalogs.write(root, ITEMS[:8])
        assert one.search(Query()).matched == other.search(Query()).matched == 8
        one.close()
        other.close()

    def _spoil_garbage(self, path: Path) -> None:
        path.write_bytes(b"no database" * 5000)

    def _spoil_empty(self, path: Path) -> None:
        path.write_bytes(b"")

    def _spoil_deleted(self, path: Path) -> None:
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()

    def _spoil_tables(self, path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute("DROP TABLE facts")
        db.close()

    def _spoil_version(self, path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()

    def _spoil_middle(self, path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        data = bytearray(path.read_bytes())
        data[4096:] = os.urandom(len(data) - 4096)
        path.write_bytes(data)

    @pytest.mark.parametrize("how", ["garbage", "empty", "deleted", "tables", "version", "middle"])
    @pytest.mark.parametrize("open_before", [True, False])
    def test_index_that_was_spoilt_is_made_anew(self, root: Path, how: str, open_before: bool) -> None:
        index = SearchIndex(root / INDEX_FILE)
        index.sync()
        if not open_before:
            index.close()
            index = SearchIndex(root / INDEX_FILE)
        getattr(self, f"_spoil_{how}")(root / INDEX_FILE)
        for _ in range(2):
            assert set(names(index, filtered("score IS NULL OR score <> 99"))) == set(ids(ITEMS[:6]))
        index.close()

    @pytest.mark.parametrize("bad", ["{", "[]", "{}", '{"properties": {}}', None])
    def test_damaged_item_is_left_out_and_comes_back(
        self, root: Path, bad: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        index = SearchIndex(root / INDEX_FILE)
        path = root / "catalog" / "c0" / ITEMS[0]["id"] / f"{ITEMS[0]['id']}.json"
        good = path.read_text()
        path.unlink()
        if bad is not None:
            path.write_text(bad)
        assert set(names(index, Query())) == set(ids(ITEMS[1:6]))
        assert f"{path.name} is left out of searches" in caplog.text
        path.unlink(missing_ok=True)
        path.write_text(good)
        catalogs.write(root, ITEMS[:7])
        assert set(names(index, Query())) == set(ids(ITEMS[:7]))
        index.close()

    def test_damaged_collection_is_an_error_and_comes_back(self, root: Path) -> None:
        index = SearchIndex(root / INDEX_FILE)
        path = root / "catalog" / "c0" / "collection.json"
        good = path.read_text()
        path.write_text("{")
        with pytest.raises(StoreError, match="run cup4soil catalog build"):
            index.search(Query())
        path.write_text(good)
        assert index.search(Query()).matched == 6
        index.close()

    def test_folders_beside_the_catalog_count_when_they_are_there(self, root: Path) -> None:
        index = SearchIndex(root / INDEX_FILE)
        name = ITEMS[0]["id"]

        def hrefs() -> list[str]:
            item = json.loads(index.item("c0", name) or "")
            return [link["href"] for link in item["links"] if link["rel"] == "derived_from"]

        assert hrefs() == ["cup4soil-api:/collections/c0/items/x"]
        (root / "demo").mkdir()
        assert hrefs() == ["cup4soil-api:/collections/c0/items/x", "cup4soil-files:/demo/archive/a%20scene.json"]
        assert list(json.loads(index.item("c0", name) or "")["assets"]) == ["mean"]
        index.close()

    def test_registration_feeds_an_index_that_is_there(self, made: dict[str, Made], tmp_path: Path) -> None:
        store = Store.open(tmp_path / "s", Settings())
        store.register(made["samples"].record, made["samples"].folder)
        assert not (store.root / INDEX_FILE).exists()
        index = SearchIndex(store.root / INDEX_FILE)
        assert index.search(Query()).matched == 1
        store.register(made["model"].record, made["model"].folder)
        with sqlite3.connect(store.root / INDEX_FILE) as db:
            assert {row[0] for row in db.execute("SELECT collection FROM items")} == {"samples", "models"}
        db.close()
        assert index.search(Query()).matched == 2
        index.close()

    def test_registration_does_not_need_the_index(
        self, made: dict[str, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = Store.open(tmp_path / "s", Settings())
        index = SearchIndex(store.root / INDEX_FILE)
        index.sync()

        def full(self: SearchIndex) -> None:
            raise StoreError("no space left on the device")

        with monkeypatch.context() as patch:
            patch.setattr(SearchIndex, "sync", full)
            store.register(made["model"].record, made["model"].folder)
        assert "the search index does not follow: no space left" in caplog.text
        assert index.search(Query()).matched == 1
        index.close()


class TestManyAtOnce:
    def test_threads_see_every_state_whole(self, root: Path) -> None:
        """Collections are replaced one after the other, each at once: each is seen as it was or as it is."""
        index = SearchIndex(root / INDEX_FILE)
        counts = (6, 20, 40)

        def of(collection: str, count: int) -> set[str]:
            return set(ids([item for item in ITEMS[:count] if item["collection"] == collection]))

        collections = sorted({item["collection"] for item in ITEMS})

        def look(_: int) -> bool:
            seen = set(names(index, Query(limit=100)))
            return all(seen & of(name, 40) in [of(name, count) for count in counts] for name in collections)

        with ThreadPoolExecutor(8) as pool:
            looks = [pool.submit(look, number) for number in range(60)]
            for count in (20, 40):
                catalogs.write(root, ITEMS[:count])
            assert all(each.result() for each in looks)
        assert set(names(index, Query(limit=100))) == set(ids(ITEMS[:40]))
        index.close()

    def test_processes_make_it_together_and_may_be_killed(self, tmp_path: Path) -> None:
        catalogs.write(tmp_path, catalogs.items(800))
        code = (
            "import sys; from pathlib import Path; from stac_catalog.search import SearchIndex, INDEX_FILE;"
            "from stac_catalog.search_query import Query; print('ready', flush=True); sys.stdin.readline();"
            "print(SearchIndex(Path(sys.argv[1]) / INDEX_FILE).search(Query()).matched, flush=True)"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        started = [
            subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        for each in started:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        doomed, *others = started
        assert doomed.stdin is not None
        doomed.stdin.write("go\n")
        doomed.stdin.flush()
        while not (tmp_path / f"{INDEX_FILE}-wal").exists() and doomed.poll() is None:
            time.sleep(0.001)
        doomed.send_signal(signal.SIGKILL)
        doomed.communicate()
        assert [each.communicate("go\n", timeout=60)[0] for each in others] == ["800\n", "800\n"]


class TestOneSearchSeesOneState:
    """Another process brings the index in step in the midst of a search."""

    @pytest.fixture
    def indexes(self, root: Path) -> Iterator[tuple[SearchIndex, SearchIndex]]:
        """The one that searches, and another on the same file."""
        one, other = SearchIndex(root / INDEX_FILE), SearchIndex(root / INDEX_FILE)
        one.sync()
        yield one, other
        one.close()
        other.close()

    def test_items_that_go_are_still_read(
        self, root: Path, indexes: tuple[SearchIndex, SearchIndex], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = indexes
        texts = search_answers._texts

        def after_all_went(*given: Any) -> tuple[str, ...]:
            catalogs.write(root, ITEMS[6:8])
            other.sync()
            return texts(*given)

        with monkeypatch.context() as patched:
            patched.setattr(search_answers, "_texts", after_all_went)
            assert len(one.search(Query()).items) == 6
        assert set(names(one, Query())) == set(ids(ITEMS[6:8]))

    def test_the_number_of_an_item_is_not_taken_for_another_of_that_number(
        self, root: Path, indexes: tuple[SearchIndex, SearchIndex], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = indexes
        candidates = search_answers.candidates

        def after_others_came(*given: Any) -> Any:
            for made in ([], [item | {"id": f"other-{item['id']}"} for item in ITEMS[:6]]):
                catalogs.write(root, made)
                other.sync()
            return candidates(*given)

        query = Query(boxes=parse_bbox([-180, -90, 180, 90]))
        with monkeypatch.context() as patched:
            patched.setattr(search_answers, "candidates", after_others_came)
            assert {json.loads(text)["id"] for text in one.search(query).items} == set(ids(ITEMS[:6]))

    def test_what_was_counted_is_not_remembered_for_a_later_state(
        self, root: Path, indexes: tuple[SearchIndex, SearchIndex], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, _ = indexes
        token = search_paging.encode_token

        def after_some_went(*given: Any) -> str:
            catalogs.write(root, ITEMS[:4])
            with ThreadPoolExecutor() as another:
                another.submit(one.sync).result()
            return token(*given)

        query = Query(boxes=parse_bbox([-180, -90, 180, 90]), limit=1)
        with monkeypatch.context() as patched:
            patched.setattr(search_paging, "encode_token", after_some_went)
            assert one.search(query).matched == 6
        assert one.search(query).matched == 4
