"""Mirrors in folders and buckets: complete, incremental, resumable, and right for plain readers."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pystac
import pystac_client
import pytest
from obstore.store import MemoryStore

from cup4soil.errors import InvalidInput, StoreError
from cup4soil.settings import Settings
from stac_catalog import ledger_entries
from stac_catalog.destinations import BucketDestination, Destination, FolderDestination, destination_of
from stac_catalog.mirror import Mirror, Report
from stac_catalog.mirror_documents import Form
from stac_catalog.mirror_state import STATE_FILE
from stac_catalog.store import Store
from stac_catalog.validation import validate_catalog
from tests.catalog.conftest import Filled, Made, tree

REPOSITORY = Path(__file__).resolve().parents[2]
PLAIN = Form()


@pytest.fixture
def store(filled: Filled, tmp_path: Path, settings: Settings) -> Store:
    """A store of one's own with one product of each kind."""
    shutil.copytree(filled.store.root, tmp_path / "store")
    return Store.open(tmp_path / "store", settings)


class Spy:
    """A destination that keeps what is asked of it, and fails at a chosen write."""

    def __init__(self, inner: Destination, fail_at: int | None = None) -> None:
        self._inner, self._fail_at = inner, fail_at
        self.address = inner.address
        self.written: list[str] = []
        self.seen: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def _count(self, path: str) -> None:
        with self._lock:
            if self._fail_at is not None and len(self.written) >= self._fail_at:
                raise StoreError("the bucket cannot be used: broken off")
            self.written.append(path)

    def write(self, path: str, content: bytes) -> None:
        self._count(path)
        self._inner.write(path, content)
        self.seen()

    def upload(self, path: str, source: Path) -> None:
        self._count(path)
        self._inner.upload(path, source)
        self.seen()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.fixture(params=["folder", "bucket"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    if request.param == "folder":
        return FolderDestination(tmp_path / "mirror")
    return BucketDestination(MemoryStore(), "memory://mirror")


def content(destination: Destination) -> dict[str, bytes]:
    found = {path: destination.read(path) for path in destination.paths() if path != STATE_FILE}
    return {path: data for path, data in found.items() if data is not None}


def run(store: Store, destination: Any, form: Form = PLAIN, **options: Any) -> Report:
    return Mirror(store, destination, form, **options).run()


class TestDestinations:
    """Folders and buckets keep one contract."""

    def test_what_is_written_is_read(self, destination: Destination, tmp_path: Path) -> None:
        destination.write("a/b.json", b"{}")
        (tmp_path / "f").write_bytes(b"x" * 1000)
        destination.upload("a/c/d.tif", tmp_path / "f")
        destination.write("a/b.json", b"[]")
        destination.settle()
        assert destination.read("a/b.json") == b"[]"
        assert destination.read("a/c/d.tif") == b"x" * 1000
        assert destination.read("a") is None
        assert sorted(destination.paths()) == ["a/b.json", "a/c/d.tif"]
        assert list(destination.paths("a/c")) == ["a/c/d.tif"]
        assert list(destination.paths("b")) == []

    def test_what_is_removed_is_gone(self, destination: Destination) -> None:
        for path in ("a/b", "a/c", "d"):
            destination.write(path, b"x")
        destination.remove(iter(["a/b", "none", "d"]))
        assert list(destination.paths()) == ["a/c"]

    def test_media_types_are_told_to_buckets(self) -> None:
        bucket = MemoryStore()
        BucketDestination(bucket, "memory://").write("a/mean.tif", b"x")
        BucketDestination(bucket, "memory://").write("catalog.json", b"x")
        assert bucket.get("a/mean.tif").attributes["Content-Type"].startswith("image/tiff")
        assert bucket.get("catalog.json").attributes["Content-Type"] == "application/json"

    def test_address_names_the_kind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert isinstance(destination_of(str(tmp_path)), FolderDestination)
        assert destination_of(f"file://{tmp_path}").address == str(tmp_path)
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        assert isinstance(destination_of("s3://bucket/prefix"), BucketDestination)
        with pytest.raises(InvalidInput, match="no place for a mirror"):
            destination_of("ftp://example.org/x")

    def test_bucket_that_cannot_be_reached_is_said(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {"ENDPOINT": "http://127.0.0.1:9", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setattr("stac_catalog.destinations._RETRIES", {"max_retries": 0})
        with pytest.raises(StoreError, match=r"s3://nowhere cannot be used: .*; see that it exists") as caught:
            run(store, destination_of("s3://nowhere"))
        assert "Debug" not in str(caught.value)


class TestComplete:
    def test_is_the_catalog_itself(self, store: Store, destination: Destination) -> None:
        report = run(store, destination)
        assert content(destination) == tree(store.catalog_path.parent)
        assert report.items_written == 4
        assert report.documents_written == 5

    def test_a_second_run_writes_nothing_but_its_state(self, store: Store, destination: Destination) -> None:
        run(store, destination)
        spy = Spy(destination)
        report = run(store, spy)
        assert spy.written == [STATE_FILE]
        assert not any(report.figures().values())

    def test_dry_run_tells_and_writes_nothing(self, store: Store, destination: Destination) -> None:
        told = run(store, destination, dry=True)
        assert list(destination.paths()) == []
        assert told.figures() == run(store, destination).figures()

    @pytest.mark.filterwarnings("ignore::pystac_client.warnings.PystacClientWarning")  # it is no API
    def test_plain_web_server_serves_it(self, store: Store, tmp_path: Path) -> None:
        run(store, FolderDestination(tmp_path / "web"))
        with serving(tmp_path / "web") as address:
            client = pystac_client.Client.open(f"{address}/catalog.json")
            items = list(client.get_items(recursive=True))
            assert sorted(item.id for item in items) == sorted(i for c in store.collections() for i in store.items(c))
            for item in items:
                parent, root = item.get_parent(), item.get_root()
                assert parent is not None
                assert root is not None
                assert root.id == "cup4soil"
                for asset in item.assets.values():
                    href = asset.get_absolute_href()
                    assert href is not None
                    assert href.startswith(address)
                    assert pystac.StacIO.default().read_text(href) if href.endswith("json") else True

    def test_validates_offline(self, store: Store, tmp_path: Path) -> None:
        run(store, FolderDestination(tmp_path / "m"))
        assert validate_catalog(tmp_path / "m") == []

    def test_other_content_is_never_touched(self, store: Store, destination: Destination) -> None:
        destination.write("thesis.txt", b"x")
        with pytest.raises(InvalidInput, match=r"is no mirror and holds other files, such as thesis\.txt"):
            run(store, destination)
        assert list(destination.paths()) == ["thesis.txt"]


class serving:  # noqa: N801
    """A plain web server over a folder; its address."""

    def __init__(self, folder: Path) -> None:
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class TestIncremental:
    def test_one_new_item_writes_few_files(self, store: Store, destination: Destination, made: dict[str, Made]) -> None:
        run(store, destination)
        samples = made["samples"]
        new = store.register(samples.record.model_copy(update={"id": "new"}), samples.folder)
        spy = Spy(destination)
        report = run(store, spy)
        wanted = {f"samples/new/{path.name}" for path in new.iterdir()} | {"samples/collection.json", STATE_FILE}
        assert set(spy.written) == wanted
        assert report.items_written == 1
        assert content(destination) == tree(store.catalog_path.parent)

    def test_replaced_and_removed_items_follow(self, store: Store, destination: Destination) -> None:
        run(store, destination)
        (name,) = store.items("soc-0-20cm")
        record = store.record("soc-0-20cm", name)
        folder = store.find("soc-0-20cm", name)
        assert folder is not None
        store.replace(record.model_copy(update={"title": "Better"}), folder)
        store.remove("samples", store.items("samples")[0])
        spy = Spy(destination)
        report = run(store, spy)
        assert content(destination) == tree(store.catalog_path.parent)
        assert not any(path.endswith(".tif") for path in spy.written)  # the rasters are the same
        assert report.items_removed == 1

    def test_lost_state_or_ledger_only_costs_a_look(self, store: Store, destination: Destination) -> None:
        run(store, destination)
        destination.write("samples/gone/gone.json", b"{}")
        destination.write(STATE_FILE, b"{")
        spy = Spy(destination)
        report = run(store, spy)
        assert report.items_unchanged == 4
        assert content(destination) == tree(store.catalog_path.parent)
        for path in store.root.glob(".ledger*"):
            path.unlink()
        again = Store.open(store.root, Settings())
        assert run(again, destination).items_unchanged == 4

    def test_pages_come_and_go(
        self, store: Store, destination: Destination, made: dict[str, Made], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledger_entries, "MOST_ITEMS", 2)
        run(store, destination)
        samples = made["samples"]
        for number in range(4):
            store.register(samples.record.model_copy(update={"id": f"n-{number}"}), samples.folder)
            run(store, destination)
            assert content(destination) == tree(store.catalog_path.parent)
        assert any("/items-" in path for path in destination.paths())
        for number in range(4):
            store.remove("samples", f"n-{number}")
            run(store, destination)
            assert content(destination) == tree(store.catalog_path.parent)

    def test_what_comes_meanwhile_is_not_listed_before_it_is_there(
        self, store: Store, destination: Destination, made: dict[str, Made]
    ) -> None:
        samples, spy = made["samples"], Spy(destination)
        numbers = iter(range(3))

        def another() -> None:
            number = next(numbers, None)
            if number is not None:
                store.register(samples.record.model_copy(update={"id": f"late-{number}"}), samples.folder)
            whole(destination)

        spy.seen = another
        run(store, spy)
        assert content(destination) == tree(store.catalog_path.parent)


def whole(destination: Destination) -> None:
    """Every link from the root leads to what is there, and every item's files are."""
    waiting = ["catalog.json"]
    while waiting:
        path = waiting.pop()
        text = destination.read(path)
        if text is None and path == "catalog.json":
            return  # nothing is published yet
        assert text is not None, path
        document = json.loads(text)
        base = Path(path).parent
        hrefs = [link["href"] for link in document["links"] if link["rel"] in ("child", "item")]
        waiting += [os.path.normpath(base / href) for href in hrefs]
        for asset in document.get("assets", {}).values():
            assert destination.read(os.path.normpath(base / asset["href"])) is not None


class TestFaults:
    def test_broken_off_anywhere_nothing_is_half_and_the_next_run_completes(self, store: Store, tmp_path: Path) -> None:
        wanted = tree(store.catalog_path.parent)
        total = len(wanted) + 2
        for step in range(0, total, 3):
            destination = FolderDestination(tmp_path / f"m{step}")
            with pytest.raises(StoreError, match="broken off"):
                run(store, Spy(destination, fail_at=step))
            whole(destination)
            spy = Spy(destination)
            run(store, spy)
            assert content(destination) == wanted
        assert len(spy.written) < total / 2  # of the last: most was there

    def test_broken_off_before_its_state_a_change_back_is_seen(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        destination = FolderDestination(tmp_path / "m")
        run(store, destination)
        (name,) = store.items("samples")
        folder, record = store.find("samples", name), store.record("samples", name)
        assert folder is not None
        store.replace(record.model_copy(update={"title": "Other"}), folder)
        with monkeypatch.context() as patch:
            patch.setattr(Mirror, "_remove", lambda *_, **__: (_ for _ in ()).throw(StoreError("broken off")))
            with pytest.raises(StoreError, match="broken off"):
                run(store, destination)
        store.replace(record, folder)
        run(store, destination)
        assert content(destination) == tree(store.catalog_path.parent)

    def test_killed_it_is_taken_up_again(self, store: Store, tmp_path: Path) -> None:
        code = (
            "import os, sys; from pathlib import Path; from cup4soil.settings import Settings;"
            "from stac_catalog.store import Store; from stac_catalog.mirror import Mirror; import shutil;"
            "from stac_catalog.mirror_documents import Form; from stac_catalog.destinations import FolderDestination;"
            "copy, seen = shutil.copyfile, []\n"
            "def die(source, target):\n"
            "    seen.append(target)\n"
            "    if len(seen) == 9:\n"
            "        Path(target).write_bytes(b'half'); os.kill(os.getpid(), 9)\n"
            "    return copy(source, target)\n"
            "shutil.copyfile = die\n"
            "Mirror(Store.open(Path(sys.argv[1]), Settings()), FolderDestination(Path(sys.argv[2])), Form()).run()"
        )
        done = subprocess.run([sys.executable, "-c", code, store.root, tmp_path / "m"], cwd=REPOSITORY, check=False)
        assert done.returncode == -9
        destination = FolderDestination(tmp_path / "m")
        run(store, destination)
        assert content(destination) == tree(store.catalog_path.parent)
        assert list((tmp_path / "m").rglob(".*")) == []

    def test_full_disk_is_said_and_what_was_there_stays(self, store: Store, tmp_path: Path, small_disk: Path) -> None:
        wanted = sum(len(data) for data in tree(store.catalog_path.parent).values()) // 1024
        subprocess.run(["mount", "-o", f"remount,size={wanted // 2}k", small_disk], check=True)
        destination = FolderDestination(small_disk / "m")
        with pytest.raises(StoreError, match="no space left on the device; free some space"):
            run(store, destination)
        whole(destination)
        subprocess.run(["mount", "-o", f"remount,size={wanted * 4}k", small_disk], check=True)
        run(store, destination)
        assert content(destination) == tree(store.catalog_path.parent)

    def test_catalog_changed_by_hand_is_not_mirrored(self, store: Store, destination: Destination) -> None:
        store.catalog_path.write_text(store.catalog_path.read_text() + "\n")
        with pytest.raises(StoreError, match="run cup4soil catalog build"):
            run(store, destination)


class TestForms:
    def test_absolute_links(self, store: Store, tmp_path: Path) -> None:
        with serving(tmp_path / "m") as address:
            run(store, FolderDestination(tmp_path / "m"), Form(base_url=address))
            root = pystac.Catalog.from_file(f"{address}/catalog.json")
            assert len(list(root.get_items(recursive=True))) == 4
        for path in (tmp_path / "m").rglob("*.json"):
            document = json.loads(path.read_text())
            if document.get("type") not in ("Feature", "Collection", "Catalog"):
                continue
            assert document["links"][0]["rel"] == "self"
            hrefs = [link["href"] for link in document["links"]]
            hrefs += [asset["href"] for asset in document.get("assets", {}).values()]
            assert all(href.startswith("http") for href in hrefs)

    def test_metadata_alone_lead_to_the_files(self, store: Store, destination: Destination) -> None:
        run(store, destination, Form(files_url="https://soil.example/catalog"))
        found = content(destination)
        assert not any(path.endswith((".tif", ".npz")) for path in found)
        (name,) = store.items("soc-0-20cm")
        item = json.loads(found[f"soc-0-20cm/{name}/{name}.json"])
        assert item["assets"]["mean"]["href"] == f"https://soil.example/catalog/soc-0-20cm/{name}/mean.tif"
        assert item["assets"]["metadata"]["href"] == "./metadata.xml"
        for asset in item["assets"].values():
            if asset["href"].startswith("./"):
                assert f"soc-0-20cm/{name}/{asset['href'][2:]}" in found

    def test_closed_collections_stay_at_home(self, store: Store, destination: Destination) -> None:
        run(store, destination)
        run(store, destination, Form(without=("models",)))
        found = content(destination)
        assert not any(path.startswith("models") for path in found)
        assert b"./models/" not in found["catalog.json"]
        assert not any(
            b"../../models/" in data
            for path, data in found.items()
            if path.endswith(".json") and json.loads(data).get("type") == "Feature"
        )

    def test_change_of_form_is_followed(self, store: Store, destination: Destination) -> None:
        run(store, destination, Form(files_url="https://soil.example/catalog"))
        run(store, destination)
        assert content(destination) == tree(store.catalog_path.parent)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, whose size the test sets."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)
