"""The ledger: what has come, changed and gone; and the pages of large collections."""

import itertools
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pystac
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cup4soil.errors import InvalidInput, NotFound, StoreError
from cup4soil.products import Period, ProductRecord
from cup4soil.settings import Settings
from stac_catalog import ledger_entries
from stac_catalog.files import signature
from stac_catalog.ledger import LEDGER_FILE, Ledger
from stac_catalog.listing import listed_collections, listed_items
from stac_catalog.pages import is_page_file, spot_of
from stac_catalog.store import Store
from stac_catalog.validation import schema_errors, validate_catalog
from tests.catalog import products
from tests.catalog.conftest import Made, hidden, tree

FEW = 4


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of few items, so that few make many pages."""
    monkeypatch.setattr(ledger_entries, "MOST_ITEMS", FEW)


@pytest.fixture
def store(tmp_path: Path, settings: Settings) -> Store:
    return Store.open(tmp_path / "store", settings)


@pytest.fixture
def sample(tmp_path: Path) -> Made:
    return Made(products.samples(tmp_path / "sample"), tmp_path / "sample")


def named(made: Made, number: int, year: int = 2019, **changes: object) -> ProductRecord:
    period = Period(start=datetime(year, 1, 1, tzinfo=UTC), end=datetime(year, 12, 31, tzinfo=UTC))
    return made.record.model_copy(update={"id": f"s-{number}", "period": period, **changes})


def fill(store: Store, made: Made, numbers: range, year: int = 2019) -> None:
    with store.batch() as batch:
        for number in numbers:
            batch.register(named(made, number, year), made.folder)


def walked(store: Store) -> dict[str, list[str]]:
    """What a client finds that walks from the root."""
    root = pystac.Catalog.from_file(str(store.catalog_path))
    found: dict[str, list[str]] = {each.id: [] for each in root.get_collections()}
    for item in root.get_items(recursive=True):
        assert item.collection_id is not None
        found[item.collection_id].append(item.id)
    return {name: sorted(items) for name, items in found.items()}


def pages(store: Store, collection: str) -> dict[str, list[str]]:
    folder = store.catalog_path.parent / collection
    files = sorted(path for path in folder.glob("*.json") if is_page_file(path.name))
    return {
        path.name: [link["href"] for link in json.loads(path.read_text())["links"] if link["rel"] == "item"]
        for path in files
    }


class TestPages:
    def test_small_collection_has_none(self, store: Store, sample: Made, few: None) -> None:
        fill(store, sample, range(FEW))
        assert pages(store, "samples") == {}
        assert walked(store) == {"samples": [f"s-{n}" for n in range(FEW)]}

    def test_large_one_is_spread_by_year_then_by_hash(self, store: Store, sample: Made, few: None) -> None:
        fill(store, sample, range(30), 2019)
        fill(store, sample, range(30, 33), 2020)
        found = pages(store, "samples")
        assert "items-2020.json" in found
        assert len(found) > 30 // FEW
        for name, hrefs in found.items():
            key = name.removeprefix("items-").removesuffix(".json")
            assert 1 <= len(hrefs) <= FEW
            years = {2019 if int(Path(href).stem[2:]) < 30 else 2020 for href in hrefs}
            assert all(
                spot_of(datetime(year, 1, 1), Path(href).stem).startswith(key)
                for href, year in zip(hrefs, itertools.cycle(years), strict=False)
            )
        assert walked(store)["samples"] == sorted(f"s-{n}" for n in range(33)) == store.items("samples")
        assert sorted(listed_items(store.catalog_path.parent, "samples")) == store.items("samples")
        assert store.counts() == {"samples": 33}

    def test_documents_are_valid(self, store: Store, sample: Made, few: None) -> None:
        fill(store, sample, range(12))
        assert validate_catalog(store.catalog_path.parent) == []
        for name in pages(store, "samples"):
            assert list(schema_errors(json.loads((store.catalog_path.parent / "samples" / name).read_text()))) == []

    def test_one_item_rewrites_its_page_alone(self, store: Store, sample: Made, few: None) -> None:
        fill(store, sample, range(30))
        catalog = store.catalog_path.parent
        before = {path: (path.read_bytes(), path.stat().st_ino) for path in catalog.rglob("*.json")}
        marks = [signature(store.catalog_path), signature(catalog / "samples" / "collection.json")]
        store.register(named(sample, 99), sample.folder)
        changed = {
            path.name
            for path, (content, inode) in before.items()
            if path.exists() and (path.read_bytes() != content or path.stat().st_ino != inode)
        }
        made = set(pages(store, "samples")) - {path.name for path in before}
        assert changed - {"collection.json"} == set() if made else len(changed) == 1
        assert marks[0] != signature(store.catalog_path)
        assert marks[1] != signature(catalog / "samples" / "collection.json")

    @given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([2018, 2019]), st.booleans()), max_size=40))
    @examples(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_order_of_coming_and_going_does_not_matter(
        self, sample: Made, settings: Settings, few: None, steps: list[tuple[int, int, bool]]
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            one, other = (Store.open(Path(folder) / name, settings) for name in ("one", "other"))
            kept: dict[int, int] = {}
            for number, year, stays in steps:
                record = named(sample, number, year)
                if number not in kept:
                    one.register(record, sample.folder)
                elif stays:
                    one.replace(record, sample.folder)
                else:
                    one.remove("samples", record.id)
                    del kept[number]
                    continue
                kept[number] = year
            with other.batch() as batch:
                for number, year in kept.items():
                    batch.register(named(sample, number, year), sample.folder)
            wanted = tree(other.root)
            assert tree(one.root) == wanted
            one.rebuild()
            assert tree(one.root) == wanted
            assert one.ledger.mark()

    def test_lost_page_is_made_again(self, store: Store, sample: Made, few: None, settings: Settings) -> None:
        fill(store, sample, range(20))
        before = tree(store.root)
        folder = store.catalog_path.parent / "samples"
        lost, spoilt, *_ = pages(store, "samples")
        (folder / lost).unlink()
        (folder / spoilt).write_text("{")
        (folder / "items-1999-ab.json").write_text("{}")
        assert tree(Store.open(store.root, settings).root) == before

    @pytest.mark.parametrize("name", ["items-2019.json", "collection.json", "a.json"])
    def test_name_of_a_document_is_refused(self, store: Store, sample: Made, name: str) -> None:
        with pytest.raises(InvalidInput, match="is named like a file"):
            store.register(sample.record.model_copy(update={"id": name}), sample.folder)


class TestChanges:
    def test_follow_what_comes_changes_and_goes(self, store: Store, sample: Made) -> None:
        fill(store, sample, range(3))
        first = store.ledger.mark()
        assert [(c.collection, c.id, c.deleted) for c in store.ledger.changes() or ()] == [
            ("samples", f"s-{n}", False) for n in range(3)
        ]
        store.replace(named(sample, 1, title="Other"), sample.folder)
        store.remove("samples", "s-0")
        store.register(named(sample, 7), sample.folder)
        changes = list(store.ledger.changes(first) or ())
        assert [(c.id, c.deleted) for c in changes] == [("s-1", False), ("s-0", True), ("s-7", False)]
        assert [c.number for c in changes] == sorted(c.number for c in changes)
        assert list(store.ledger.changes(store.ledger.mark()) or ()) == []
        store.register(named(sample, 0), sample.folder)
        assert [(c.id, c.deleted) for c in store.ledger.changes(first) or ()][-1] == ("s-0", False)

    def test_many_are_read_page_by_page(self, store: Store, sample: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(store, sample, range(7))
        monkeypatch.setattr("stac_catalog.ledger._AT_ONCE", 2)
        assert [c.id for c in store.ledger.changes() or ()] == [f"s-{n}" for n in range(7)]
        assert store.items("samples") == [f"s-{n}" for n in range(7)]

    def test_what_it_cannot_tell_it_does_not(self, store: Store, sample: Made, tmp_path: Path) -> None:
        fill(store, sample, range(2))
        mark = store.ledger.mark()
        assert store.ledger.changes("other:3") is None
        catalog = json.loads(store.catalog_path.read_text())
        store.catalog_path.write_text(json.dumps(catalog | {"title": "by hand"}))
        assert store.ledger.mark() == ""
        assert store.ledger.changes(mark) is None
        assert store.counts() == {"samples": 2}
        assert store.items("samples") == ["s-0", "s-1"]
        assert Ledger(tmp_path / "none").mark() == ""

    def test_lost_ledger_begins_anew(self, store: Store, sample: Made, settings: Settings) -> None:
        fill(store, sample, range(2))
        mark, before = store.ledger.mark(), tree(store.root)
        for path in store.root.glob(f"{LEDGER_FILE}*"):
            path.unlink()
        again = Store.open(store.root, settings)
        assert again.ledger.changes(mark) is None
        assert [c.id for c in again.ledger.changes() or ()] == ["s-0", "s-1"]
        assert tree(store.root) == before

    @pytest.mark.parametrize("how", ["garbage", "empty", "table", "version", "behind"])
    def test_damaged_ledger_is_mended(self, store: Store, sample: Made, settings: Settings, how: str) -> None:
        fill(store, sample, range(3))
        path, old = store.root / LEDGER_FILE, store.root / "old"
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        shutil.copy(path, old)
        store.register(named(sample, 5), sample.folder)
        before = tree(store.catalog_path.parent)
        if how == "garbage":
            path.write_bytes(b"no database" * 1000)
        elif how == "empty":
            path.write_bytes(b"")
        elif how == "behind":
            for each in store.root.glob(f"{LEDGER_FILE}*"):
                each.unlink()
            shutil.copy(old, path)
        else:
            with sqlite3.connect(path) as db:
                db.execute("DROP TABLE kinds" if how == "table" else "PRAGMA user_version = 77")
            db.close()
        again = Store.open(store.root, settings)
        assert again.counts() == {"samples": 4}
        assert tree(store.catalog_path.parent) == before
        again.register(named(sample, 6), sample.folder)
        assert walked(again) == {"samples": ["s-0", "s-1", "s-2", "s-5", "s-6"]}


def test_change_that_was_broken_off_is_seen_by_those_who_watch(
    store: Store, sample: Made, few: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, sample, range(20))
    watched = (store.catalog_path, store.catalog_path.parent / "samples" / "collection.json")
    before = [signature(path) for path in watched]

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("stac_catalog.index.move_on", killed)
        with pytest.raises(KeyboardInterrupt):
            store.register(named(sample, 50), sample.folder)
    again = Store.open(store.root, settings)
    assert "s-50" in again.items("samples")
    assert all(signature(path) != old for path, old in zip(watched, before, strict=True))


class TestBatch:
    def test_is_the_same_as_one_by_one(self, made: dict[str, Made], tmp_path: Path, settings: Settings) -> None:
        one, other = (Store.open(tmp_path / name, settings) for name in ("one", "other"))
        for each in made.values():
            one.register(each.record, each.folder)
        with other.batch() as batch:
            for each in [*made.values(), *made.values()]:
                batch.register(each.record, each.folder)
        assert tree(one.root) == tree(other.root)
        assert hidden(other.catalog_path.parent) == []

    def test_error_drops_what_was_not_listed(self, store: Store, sample: Made) -> None:
        def interrupted() -> None:
            with store.batch() as batch:
                batch.register(named(sample, 0), sample.folder)
                batch.flush()
                batch.register(named(sample, 1), sample.folder)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert store.items("samples") == ["s-0"]
        assert hidden(store.catalog_path.parent) == []

    def test_one_that_is_refused_spoils_no_other(self, store: Store, sample: Made, tmp_path: Path) -> None:
        with store.batch() as batch:
            batch.register(named(sample, 0), sample.folder)
            with pytest.raises(NotFound):
                batch.register(named(sample, 1), tmp_path / "nowhere")
            batch.register(named(sample, 2), sample.folder)
        assert store.items("samples") == ["s-0", "s-2"]
        assert validate_catalog(store.catalog_path.parent) == []


@pytest.fixture
def three(store: Store, sample: Made) -> Store:
    fill(store, sample, range(3))
    return store


class TestRemove:
    def test_item_goes_and_its_folder(self, three: Store) -> None:
        three.remove("samples", "s-1")
        assert three.find("samples", "s-1") is None
        assert walked(three) == {"samples": ["s-0", "s-2"]}
        assert not (three.catalog_path.parent / "samples" / "s-1").exists()
        assert hidden(three.catalog_path.parent) == []

    def test_last_item_takes_its_collection_along(self, three: Store) -> None:
        for number in range(3):
            three.remove("samples", f"s-{number}")
        assert three.collections() == []
        assert [path.name for path in three.catalog_path.parent.iterdir()] == ["catalog.json"]

    def test_extent_shrinks(self, store: Store, sample: Made) -> None:
        wide = sample.record.extent.model_copy(update={"bbox": (-10.0, 40.0, 30.0, 70.0)})
        fill(store, sample, range(2))
        path = store.catalog_path.parent / "samples" / "collection.json"
        before = path.read_bytes()
        store.register(named(sample, 9, extent=wide), sample.folder)
        assert json.loads(path.read_text())["extent"]["spatial"]["bbox"] == [[-10.0, 40.0, 30.0, 70.0]]
        store.remove("samples", "s-9")
        assert path.read_bytes() == before

    def test_none_is_said(self, three: Store) -> None:
        with pytest.raises(NotFound, match="no item samples/none"):
            three.remove("samples", "none")


class TestReplace:
    def test_other_metadata_of_the_same_files(self, three: Store) -> None:
        folder = three.find("samples", "s-1")
        assert folder is not None
        inode = (folder / "samples-report.json").stat().st_ino
        record = three.record("samples", "s-1")
        three.replace(record.model_copy(update={"title": "Better"}), folder)
        assert three.record("samples", "s-1").title == "Better"
        assert (folder / "samples-report.json").stat().st_ino == inode  # not copied
        assert validate_catalog(three.catalog_path.parent) == []
        assert hidden(three.catalog_path.parent) == []
        links = json.loads((folder.parent / "collection.json").read_text())["links"]
        assert [link["title"] for link in links if link["rel"] == "item"].count("Better") == 1

    def test_none_is_said(self, three: Store, sample: Made) -> None:
        with pytest.raises(NotFound, match="no item samples/s-8"):
            three.replace(named(sample, 8), sample.folder)

    def test_refused_one_leaves_the_old(self, three: Store, sample: Made, tmp_path: Path) -> None:
        before = tree(three.root)
        with pytest.raises(NotFound):
            three.replace(named(sample, 1, title="Better"), tmp_path / "nowhere")
        assert tree(three.root) == before
        assert hidden(three.catalog_path.parent) == []

    def test_without_exchange_by_the_file_system(
        self, three: Store, sample: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stac_catalog.files.exchange", lambda *_: False)
        three.replace(named(sample, 1, title="Better"), sample.folder)
        assert three.record("samples", "s-1").title == "Better"
        assert validate_catalog(three.catalog_path.parent) == []
        assert hidden(three.catalog_path.parent) == []


@pytest.fixture
def unlisted(three: Store) -> Iterator[Path]:
    """An item with a damaged record, in a store that lost its ledger."""
    path = three.catalog_path.parent / "samples" / "s-1" / "product.json"
    content = path.read_bytes()
    path.write_text("{")
    for each in three.root.glob(f"{LEDGER_FILE}*"):
        each.unlink()
    yield path
    path.write_bytes(content)
    three.rebuild()
    assert three.items("samples") == ["s-0", "s-1", "s-2"]


def test_damaged_item_does_not_keep_a_store_from_opening(
    three: Store, unlisted: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store.open(three.root, settings)
    assert store.items("samples") == ["s-0", "s-2"]
    assert "not listed" in caplog.text
    assert str(unlisted) in caplog.text
    with pytest.raises(StoreError, match="is damaged"):
        store.rebuild()
    assert store.items("samples") == ["s-0", "s-2"]
    assert listed_collections(store.catalog_path.parent) == ["samples"]
