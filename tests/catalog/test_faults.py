"""Registration under kill -9, races, full disks, limits and missing permission."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cup4soil.errors import StoreError
from cup4soil.settings import Settings
from stac_catalog.store import Store
from stac_catalog.validation import validate_catalog
from tests.catalog import products
from tests.catalog.conftest import Made, hidden, tree

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_STEPS = 200


def crash(*arguments: object) -> list[str]:
    """Run the module crash; its lines."""
    command = [sys.executable, "-m", "tests.catalog.crash", *map(str, arguments)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=100, check=True
    )
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def published(made: dict[str, Made]) -> dict[str, Made]:
    """The products, each with its record in its folder."""
    for each in made.values():
        each.record.write(each.folder)
    return made


def test_killed_at_any_change_of_the_disk_nothing_is_half_and_the_next_run_mends(
    published: dict[str, Made], tmp_path: Path
) -> None:
    settings = Settings()
    first, second = published["samples"], published["model"]
    Store.open(tmp_path / "before", settings).register(first.record, first.folder)
    lines = crash("kill", tmp_path, second.folder, MOST_STEPS)
    *killed, last = [line.rsplit(" ", 1) if line.endswith("killed") else line.split(" ", 1) for line in lines]
    assert last[1] == "exit 0"
    assert len(killed) > 20  # the product has several files; each is opened, written and renamed
    wanted = tree(Path(last[0]))
    for root in (Path(line[0]) for line in killed):
        seen = validate_catalog(root / "catalog")
        assert all("rebuild the catalog" in problem.message for problem in seen), root
        store = Store.open(root, settings)
        assert validate_catalog(root / "catalog") == []
        assert store.find(first.record.collection, first.record.id) is not None
        store.register(second.record, second.folder)
        assert tree(root) == wanted
        left = [name for name in hidden(root / "catalog") if "cup4soil-part" not in name]
        assert left == []


@pytest.mark.parametrize("act", ["replace", "remove"])
def test_killed_while_an_item_is_replaced_or_removed_it_is_whole_or_gone(
    published: dict[str, Made], tmp_path: Path, act: str
) -> None:
    settings = Settings()
    first, second = published["samples"], published["model"]
    store = Store.open(tmp_path / "before", settings)
    for each in (first, second):
        store.register(each.record, each.folder)
    other = tmp_path / "other"
    shutil.copytree(second.folder, other)
    second.record.model_copy(update={"title": "Better"}).write(other)
    lines = crash(act, tmp_path, other, MOST_STEPS)
    *killed, last = [line.rsplit(" ", 1) if line.endswith("killed") else line.split(" ", 1) for line in lines]
    assert last[1] == "exit 0"
    assert len(killed) > 5
    before, after = tree(tmp_path / "before"), tree(Path(last[0]))
    seen = set()
    for root in (Path(line[0]) for line in killed):
        assert all("rebuild the catalog" in problem.message for problem in validate_catalog(root / "catalog")), root
        Store.open(root, settings)
        found = tree(root)
        assert found in (before, after), root
        seen.add(found == after)
        assert [name for name in hidden(root / "catalog") if "cup4soil-part" not in name] == []
    assert seen == {False, True}


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    folders = []
    for i in range(4):
        folder = tmp_path / f"p{i}"
        record = products.samples(folder)
        record.model_copy(update={"id": f"samples-{i}", "collection": f"samples-{i % 2}"}).write(folder)
        folders.append(folder)
    assert crash("race", tmp_path / "store", 6, *folders) == ["0 0 0 0 0 0"]
    store = Store.open(tmp_path / "store", Settings(), create=False)
    assert {c: store.items(c) for c in store.collections()} == {
        "samples-0": ["samples-0", "samples-2"],
        "samples-1": ["samples-1", "samples-3"],
    }
    assert validate_catalog(tmp_path / "store" / "catalog") == []
    assert hidden(tmp_path / "store" / "catalog") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, whose size the test sets."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def refusal(store: Store, made: Made) -> str | None:
    """What the store says against the product; None when it takes it."""
    try:
        store.register(made.record, made.folder)
    except StoreError as error:
        return str(error)
    return None


def resize(folder: Path, kib: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kib}k", folder], check=True)


def test_full_disk_is_said_and_leaves_nothing(small_disk: Path, made: dict[str, Made], settings: Settings) -> None:
    composite, samples = made["composite"], made["samples"]
    resize(small_disk, 1024)
    store = Store.open(small_disk / "store", settings)
    store.register(samples.record, samples.folder)
    before, refused = tree(store.root), 0
    used = sum(path.stat().st_blocks for path in store.root.rglob("*")) // 2
    for kib in range(used + 4, used + 1024, 12):
        resize(small_disk, kib)
        said = refusal(store, composite)
        if said is None:
            break
        refused += 1
        assert "no space left on the device; free some space" in said
        assert "\n" not in said
        assert tree(store.root) == before
        assert hidden(store.root / "catalog") == []
    assert refused > 3
    assert store.find(composite.record.collection, composite.record.id) is not None
    assert validate_catalog(store.root / "catalog") == []


def test_index_that_cannot_be_written_drops_the_new_item(
    made: dict[str, Made], tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path / "s", settings)
    store.register(made["samples"].record, made["samples"].folder)
    before = tree(store.root)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("stac_catalog.files.sync_files", full)
        with pytest.raises(StoreError, match="no space left on the device"):
            store.register(made["model"].record, made["model"].folder)
        assert tree(store.root) == before
        # What had been taken in before is not dropped, whatever befalls the index.
        (store.root / "catalog" / "catalog.json").unlink()
        with pytest.raises(StoreError, match="no space left"):
            store.register(made["samples"].record, made["samples"].folder)
        assert store.find("samples", made["samples"].record.id) is not None
    assert Store.open(store.root, settings).collections() == ["samples"]


def test_limit_on_the_size_of_files_is_said_and_leaves_nothing(
    made: dict[str, Made], tmp_path: Path, settings: Settings
) -> None:
    store = Store.open(tmp_path / "s", settings)
    before = tree(store.root)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old[1]))
    try:
        with pytest.raises(StoreError, match="a file grew past the size the system allows"):
            store.register(made["composite"].record, made["composite"].folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert tree(store.root) == before
    assert hidden(store.root / "catalog") == []


class _Nobody:
    """As an ordinary user, for whom permissions count; root has to step down."""

    def __enter__(self) -> None:
        self._user = os.geteuid()
        if self._user == 0:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        os.seteuid(self._user)


@pytest.fixture
def locked_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that ordinary users may read but not write, reachable by all."""
    folder = Path("/tmp") / f"cup4soil-{os.getpid()}-locked"
    folder.mkdir()
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def test_folder_without_permission_is_refused(locked_folder: Path, settings: Settings) -> None:
    locked_folder.chmod(0o555)
    with _Nobody(), pytest.raises(StoreError, match="no permission to write; choose a folder you may write to"):
        Store.open(locked_folder / "store", settings)
    assert list(locked_folder.iterdir()) == []


def test_store_without_permission_is_read_but_not_written(
    locked_folder: Path, settings: Settings, made: dict[str, Made]
) -> None:
    store = Store.open(locked_folder, settings)
    store.register(made["samples"].record, made["samples"].folder)
    for path in [locked_folder, *locked_folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    with _Nobody():
        with pytest.raises(StoreError, match="no permission to write"):
            Store.open(locked_folder, settings)
        assert Store.open(locked_folder, settings, create=False).collections() == ["samples"]
