"""Folders that appear whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cup4soil.errors import StoreError, writing
from cup4soil.staging import occupied, staged, sweep


def test_folder_appears_at_the_end(tmp_path):
    target = tmp_path / "deep" / "target"
    with staged(target) as folder:
        (folder / "a").write_text("x")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["a"]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_stays_after_an_error(tmp_path, error):
    def work() -> None:
        with staged(tmp_path / "t") as folder:
            (folder / "a").write_text("x")
            raise error

    with pytest.raises(error):
        work()
    assert list(tmp_path.iterdir()) == []


def test_occupied_target_is_kept(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "mine").write_text("x")
    with pytest.raises(StoreError, match="exists already"), staged(tmp_path / "t"):
        pytest.fail("must not begin")
    assert occupied(tmp_path / "t")
    assert (tmp_path / "t" / "mine").read_text() == "x"


def test_empty_target_is_filled(tmp_path):
    (tmp_path / "t").mkdir()
    with staged(tmp_path / "t") as folder:
        (folder / "a").touch()
    assert (tmp_path / "t" / "a").exists()


def test_killed_run_is_swept_by_the_next_and_a_running_one_is_not(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from cup4soil.staging import staged\n"
        "with staged(Path(sys.argv[1])) as f:\n"
        " (f / 'half').write_text('x'); print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "t")], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    assert sweep(tmp_path) == 0
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not (tmp_path / "t").exists()
    assert {p.suffix for p in tmp_path.iterdir()} == {"", ".lock"}
    with staged(tmp_path / "t") as folder:
        (folder / "whole").touch()
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "no space"), (errno.EACCES, "no permission"), (errno.EROFS, "read-only")]
)
def test_refusals_of_the_system_in_plain_words(number, words):
    with pytest.raises(StoreError, match=words), writing(Path("here")):
        raise OSError(number, os.strerror(number))


def test_target_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"), staged(tmp_path / "file" / "t"):
        pytest.fail("must not begin")


def test_two_at_once(tmp_path):
    """The later of two runs for the same target is told; the first result stays."""

    def work() -> None:
        with staged(tmp_path / "t") as late:
            with staged(tmp_path / "t") as early:
                (early / "first").touch()
            (late / "second").touch()

    with pytest.raises(StoreError):
        work()
    assert [p.name for p in (tmp_path / "t").iterdir()] == ["first"]


@pytest.mark.parametrize("step", ["before the folder", "after the rename"])
def test_debris_of_every_moment_is_swept(tmp_path, step):
    """A lock that nobody holds is swept, with its folder or without."""
    (tmp_path / ".cup4soil-part-0.lock").touch()
    if step == "after the rename":
        (tmp_path / "t").mkdir()
    assert sweep(tmp_path) == 1
    assert {p.name for p in tmp_path.iterdir()} <= {"t"}


def test_many_at_once_sweep_nobody(tmp_path):
    """Every run sweeps when it begins; none loses its folder to another."""

    def make(number: int) -> None:
        with staged(tmp_path / f"t{number}") as folder:
            (folder / "whole").touch()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(64)))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"t{i}" for i in range(64))
    assert all((tmp_path / f"t{i}" / "whole").exists() for i in range(64))
