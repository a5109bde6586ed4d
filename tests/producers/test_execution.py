"""Runs that are killed, shared, starved of disk, or given broken scenes: they go on, or say clearly why not."""

import json
import os
import pickle
import signal
import subprocess
from pathlib import Path

import dask
import numpy as np
import psutil
import pytest
import rasterio
from distributed import Client
from rasterio.transform import from_origin

from cup4soil import execution
from cup4soil.errors import InvalidInput, LimitExceeded, NotFound, StoreError
from cup4soil.execution import Here, runner
from cup4soil.progress import Silent
from cup4soil.rasters.scenes import UnreadableScene
from cup4soil.rasters.scratch import read_scratch, scratch_facts, write_scratch
from cup4soil.settings import Settings
from producers import block_runs, composite, composite_plan
from producers.block_runs import Broken, Execution, clear_run, run_folder
from producers.composite import CompositeRun, plan_run
from producers.jobs import deliver
from tests.clusters import Acting, a_while, process, scheduler, wait_for
from tests.producers.archives import SceneSpec, typical_scene, write_archive, write_scene
from tests.producers.engine_runs import assert_same_bytes, files_of, planned, request

SCRIPT = Path(__file__).with_name("killed_run.py")


def some_scenes(n: int, shape: tuple[int, int] = (20, 20)) -> list[SceneSpec]:
    return [
        typical_scene(
            np.random.default_rng(i), f"S{i:02d}", f"2021-{i % 12 + 1:02d}-{5 + i // 12:02d}T10:00:00Z", shape
        )
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return write_archive(tmp_path_factory.mktemp("runs"), some_scenes(6))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, archive):
    out = tmp_path_factory.mktemp("undisturbed")
    planned(archive).jobs[0].run(out, Silent())
    return files_of(out)


def small_blocks(monkeypatch, edge: int = 5) -> None:
    monkeypatch.setattr(composite_plan, "EDGES", (edge,))


def run_into(run: CompositeRun, out: Path, progress=None):
    out.mkdir(parents=True, exist_ok=True)
    record = run.jobs[0].run(out, progress or Silent())
    return record, files_of(out)


def blocks_in(parent: Path) -> list[Path]:
    return sorted(parent.glob(".cup4soil-run-*/*/*.json"))


# Ended from outside


def test_killed_run_goes_on_where_it_stood(tmp_path, monkeypatch, archive, undisturbed):
    """And while it runs, another one for the same products is told so."""
    small_blocks(monkeypatch)
    run = planned(archive)
    with process(SCRIPT, archive, tmp_path / "out", 5, 0.004) as child:
        wait_for(lambda: len(blocks_in(tmp_path)) >= 5)
        with pytest.raises(StoreError, match="another process is making"):
            run_into(run, tmp_path / "other")
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in blocks_in(tmp_path)}
    assert 5 <= len(done) < len(run.blocks) == 16
    computed = []

    def counted(plan, block, *more):
        computed.append(block)
        return original(plan, block, *more)

    def at_the_end(parent, name):
        assert {path: path.stat().st_mtime_ns for path in done if path.exists()} == {}
        clear_run(parent, name)

    original = composite.run_block
    monkeypatch.setattr(composite, "run_block", counted)
    put_together = composite.CompositeJob._put_together

    def checked(job, scratch, folder, progress):
        assert {path: path.stat().st_mtime_ns for path in done} == done
        assert len(blocks_in(tmp_path)) == 16
        return put_together(job, scratch, folder, progress)

    monkeypatch.setattr(composite.CompositeJob, "_put_together", checked)
    monkeypatch.setattr(composite, "clear_run", at_the_end)
    _, found = run_into(run, tmp_path / "out")
    assert len(computed) == 16 - len(done)
    assert_same_bytes(found, undisturbed)
    assert list(tmp_path.glob(".cup4soil-run-*")) == []


def test_disk_that_fills_is_told_and_the_run_goes_on_afterwards(tmp_path, monkeypatch, archive, undisturbed):
    with process(SCRIPT, archive, tmp_path / "out", 10, 0, 4096) as child:
        _, told = child.communicate(timeout=60)
    assert child.returncode == 1
    # GDAL talks, too.
    assert told.splitlines()[-1].startswith("StoreError: cannot write")
    assert blocks_in(tmp_path) == []
    assert not list(tmp_path.glob(".cup4soil-run-*/*/.*"))
    small_blocks(monkeypatch, 10)
    _, found = run_into(planned(archive), tmp_path / "out")
    assert_same_bytes(found, undisturbed)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_small_disk(tmp_path, monkeypatch, archive, undisturbed):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "none", disk], check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        small_blocks(monkeypatch, 10)
        run = planned(archive)
        (disk / "ballast").write_bytes(bytes(64 * 1024))
        with pytest.raises(StoreError, match="cannot write"):
            run_into(run, disk / "out")
        (disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        _, found = run_into(run, disk / "out")
        assert_same_bytes(found, undisturbed)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_locks(tmp_path):
    with run_folder(tmp_path, "r") as folder:
        assert folder.is_dir()
        with pytest.raises(StoreError, match="another process"), run_folder(tmp_path, "r"):
            pass
        with run_folder(tmp_path, "other"):
            pass
        clear_run(tmp_path, "r")
    with run_folder(tmp_path, "r"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="a file is in the way"), run_folder(tmp_path / "file", "r"):
        pass


def test_a_lock_that_its_owner_removed_is_none(tmp_path, monkeypatch):
    """Opened before the owner removed it, taken after: another may hold the new one already."""
    taken = []
    lock = block_runs.fcntl.flock

    def late(descriptor, how):
        if not taken:
            taken.append(descriptor)
            clear_run(tmp_path, "r")
        return lock(descriptor, how)

    monkeypatch.setattr(block_runs.fcntl, "flock", late)
    with pytest.raises(StoreError, match="another process"), run_folder(tmp_path, "r"):
        pass


def test_blocks_that_are_not_whole_are_none(tmp_path):
    layers = {"A": np.arange(12, dtype=np.int16).reshape(1, 3, 4), "B": np.ones((2, 3, 4), np.int16)}
    path = tmp_path / "w" / "0-0"
    assert scratch_facts(path) is None
    write_scratch(path, layers, {"broken": {}})
    assert scratch_facts(path)["broken"] == {}
    for name, values in read_scratch(path).items():
        np.testing.assert_array_equal(values, layers[name])
    cells = path.with_suffix(".cells")
    whole = cells.read_bytes()
    for harmed in (whole[: len(whole) // 2], whole[:-1], b"", bytes(len(whole)), whole[:-1] + bytes([whole[-1] ^ 1])):
        cells.write_bytes(harmed)
        with pytest.raises(StoreError, match="damaged"):
            read_scratch(path)
    for text in ("", "{", "[]", '"x"', "{}"):
        path.with_suffix(".json").write_text(text)
        assert scratch_facts(path) is None
    cells.unlink()
    with pytest.raises(StoreError, match="not finished"):
        read_scratch(path)
    assert {each.name for each in path.parent.iterdir()} == {"0-0.json"}


# On other processes


def refuse(plan: str, item: int) -> int:
    if item == 3:
        raise StoreError(f"{plan} is full", "free some")
    return item


def refuse_scene(plan: str, item: int) -> int:
    raise UnreadableScene(plan, "is odd", "mend it")


def die(plan: float, item: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def workers_of(pid: int | None = None) -> list[psutil.Process]:
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_local_workers_that_are_killed_are_replaced(tmp_path, monkeypatch, archive, undisturbed):
    """One of them, then all at once: with them goes every copy of the plan."""
    small_blocks(monkeypatch)
    monkeypatch.setattr(block_runs, "_WORTH_PROCESSES", 0)
    killed = []

    def kill_all():
        killed.extend(workers_of())
        for worker in killed:
            worker.kill()

    _, found = run_into(planned(archive), tmp_path / "out", Acting(kill_all, 12))
    assert len(killed) == 2
    assert_same_bytes(found, undisturbed)


def test_errors_of_local_workers_come_back_as_they_are(tmp_path, capfd):
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), runner(None, 2, tmp_path) as place:
        with pytest.raises(StoreError) as told:
            list(place.run(refuse, "disk", range(6)))
        assert (told.value.problem, told.value.hint) == ("disk is full", "free some")
        with pytest.raises(UnreadableScene) as scene:
            list(place.run(refuse_scene, "S1", range(2)))
        assert str(scene.value) == "scene S1 is odd; mend it"
        with pytest.raises(LimitExceeded, match="killed again and again"):
            list(place.run(die, 0.0, [1]))
        # After an error the workers take the next run.
        assert sorted(result for _, result in place.run(a_while, 0.0, range(9))) == [i * i for i in range(9)]
    assert "Traceback" not in capfd.readouterr().err


def test_here_is_one_after_the_other(tmp_path):
    with runner(None, 1, tmp_path) as place:
        assert isinstance(place, Here)
        assert list(place.run(a_while, 0.0, [3, 1])) == [(3, 9), (1, 1)]


def test_cluster_of_other_processes(tmp_path, monkeypatch, archive, undisturbed):
    """The same bytes; and when the scheduler dies, one clear error."""
    small_blocks(monkeypatch, 7)
    with scheduler(tmp_path, 2) as (address, main):
        run = plan_run(request(archive), Settings(), Execution(scheduler=address))
        _, found = run_into(run, tmp_path / "out")
        assert_same_bytes(found, undisturbed)
        with pytest.raises(StoreError, match="were lost"), runner(address, 1, tmp_path) as place:
            [main.kill() for _ in place.run(a_while, 0.2, range(50))]


def test_scheduler_without_workers(tmp_path, monkeypatch, archive):
    with scheduler(tmp_path, 0) as (address, _):
        run = plan_run(request(archive), Settings(), Execution(scheduler=address))
        with pytest.raises(InvalidInput, match="has no workers"):
            run_into(run, tmp_path / "out")
        # Workers that were there once, and will never come back.
        monkeypatch.setattr(execution, "_LOOK_SECONDS", 0.1)
        monkeypatch.setattr(execution, "_MOST_LOOKS", 3)
        with Client(address, set_as_default=False) as client, pytest.raises(StoreError, match="were lost"):
            list(execution.OnCluster(client).run(a_while, 0.0, [1]))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tcp://nowhere.invalid:8786", "nonsense", "ftp://x:1"])
def test_scheduler_that_is_not_there(tmp_path, monkeypatch, address):
    monkeypatch.setattr(execution, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(InvalidInput, match="no Dask scheduler answers"), runner(address, 1, tmp_path):
        pass


@pytest.mark.parametrize("address", ["nonsense", "ftp://x:1", "", "tcp://", "tcp://host", "://", "tcp://host:port"])
def test_address_of_no_scheduler_reaches_no_client(tmp_path, monkeypatch, address):
    monkeypatch.setattr(execution, "Client", pytest.fail)
    with pytest.raises(InvalidInput, match="no Dask scheduler answers"), runner(address, 1, tmp_path):
        pass


# Scenes that cannot be read


def cut_short(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def damage(folder: Path, specs: list[SceneSpec]) -> None:
    """In what is read first (classification, B02, bands of the index), and in what is summed later."""
    s2 = folder / "archive" / "s2"
    cut_short(s2 / "S01" / "B02.tif", 0.5)
    (s2 / "S03" / "B11.tif").unlink()
    (s2 / "S04" / "SCL.tif").write_bytes(b"II*\0" + bytes(range(256)))
    cut_short(s2 / "S06" / "B05.tif", 0.9)
    (s2 / "S07" / "B12.tif").write_bytes(b"no raster at all")
    write_odd(s2 / "S08", "B03", specs[8], cell=30.0)
    write_odd(s2 / "S09", "B8A", specs[9], shift=7.0)


def write_odd(folder: Path, band: str, spec: SceneSpec, cell: float = 20.0, shift: float = 0.0) -> None:
    left, top = spec.origin
    with rasterio.open(
        folder / f"{band}.tif", "w", driver="GTiff", height=20, width=20, count=1, dtype="uint16", nodata=0,
        crs=spec.crs, transform=from_origin(left + shift, top, cell, cell),
    ) as dataset:  # fmt: skip
        dataset.write(np.full((20, 20), 900, np.uint16), 1)


DAMAGED = ("S01", "S03", "S04", "S06", "S07", "S08", "S09")


def test_broken_scenes_within_the_allowance_are_left_out_and_named(tmp_path, monkeypatch):
    small_blocks(monkeypatch, 10)
    specs = some_scenes(16)
    run = plan_run(request(write_archive(tmp_path, specs)), Settings(), Execution(max_broken_percent=50))
    damage(tmp_path, specs)
    record, found = run_into(run, tmp_path / "out" / "a")
    whole = [spec for spec in specs if spec.id not in DAMAGED]
    _, want = run_into(planned(write_archive(tmp_path / "whole", whole)), tmp_path / "out" / "b")
    assert_same_bytes(found, want)
    lineage = json.loads((tmp_path / "out" / "a" / "lineage.json").read_text())
    assert sorted(lineage["unread"]) == list(DAMAGED)
    assert all(each["reason"] and 1 <= each["blocks"] <= 4 for each in lineage["unread"].values())
    assert lineage["unread"]["S03"]["blocks"] == 4
    (note,) = (note for note in record.limitations if "could not be read" in note)
    report = json.loads((tmp_path / "out" / "a" / "report.json").read_text())
    for scene in DAMAGED:
        assert scene in note
        assert scene in json.dumps(report)
    assert record.id != run.jobs[0].id


def test_a_scene_that_is_broken_in_some_blocks_is_used_in_the_others(tmp_path, monkeypatch):
    small_blocks(monkeypatch, 10)
    specs = some_scenes(8)
    for spec in specs:
        spec.options = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    run = plan_run(request(write_archive(tmp_path, specs)), Settings(), Execution(max_broken_percent=50))
    cut_short(tmp_path / "archive" / "s2" / "S02" / "B06.tif", 0.99)
    _, found = run_into(run, tmp_path / "out")
    unread = json.loads((tmp_path / "out" / "lineage.json").read_text())["unread"]
    assert list(unread) == ["S02"]
    # Rows and columns from 16 on lie in the last of its tiles.
    assert unread["S02"]["blocks"] == 1
    assert found["SFREQ"][2].max() == 8


def test_too_many_broken_scenes_end_the_run_which_goes_on_when_they_are_mended(tmp_path, monkeypatch):
    small_blocks(monkeypatch, 10)
    specs = some_scenes(10)
    for spec in specs:
        spec.options = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    catalog = write_archive(tmp_path, specs)
    run = planned(catalog)
    for name in ("S02", "S05"):
        cut_short(tmp_path / "archive" / "s2" / name / "B06.tif", 0.99)
    with pytest.raises(UnreadableScene, match=r"scene S02 .*and 1 others of 10.*--max-broken"):
        run_into(run, tmp_path / "out" / "a")
    done = blocks_in(tmp_path / "out")
    assert len(done) == 3
    for spec in specs:
        write_scene(tmp_path / "archive" / "s2" / spec.id, spec)
    record, found = run_into(planned(catalog), tmp_path / "out" / "a")
    assert record.id == run.jobs[0].id
    assert not any("could not be read" in note for note in record.limitations)
    _, want = run_into(planned(write_archive(tmp_path / "clean", specs)), tmp_path / "out" / "b")
    assert_same_bytes(found, want)


def test_files_that_are_missing_before_anything_is_read(tmp_path):
    specs = some_scenes(8)
    catalog = write_archive(tmp_path, specs)
    (tmp_path / "archive" / "s2" / "S03" / "B11.tif").unlink()
    with pytest.raises(NotFound, match=r"S03.*B11\.tif"):
        planned(catalog)
    run = plan_run(request(catalog), Settings(), Execution(max_broken_percent=13))
    assert run.selection.unreadable == ("S03",)
    # One in eight is allowed, and one was met.
    assert run.most_broken == 0
    record, found = run_into(run, tmp_path / "out" / "a")
    assert any("S03" in note for note in record.limitations)
    whole = write_archive(tmp_path / "whole", [spec for spec in specs if spec.id != "S03"])
    assert_same_bytes(found, run_into(planned(whole), tmp_path / "out" / "b")[1])


def test_windows_name_their_own_broken_scenes_only(tmp_path):
    specs = some_scenes(12)
    run = plan_run(request(write_archive(tmp_path, specs), seasons=True), Settings(), Execution(max_broken_percent=50))
    (tmp_path / "archive" / "s2" / "S06" / "B11.tif").unlink()
    plan = run.engine_plan(tmp_path / "blocks")
    (block,) = run.blocks
    assert sorted(composite.run_block(plan, block)) == ["S06"]
    named = {window.label: list(scratch_facts(plan.block_path(window, block))["broken"]) for window in plan.windows}
    assert named == {"winter": [], "spring": [], "summer": ["S06"], "autumn": []}


def test_broken_scene_does_not_make_every_window_read_again(tmp_path, monkeypatch):
    specs = some_scenes(12)
    run = plan_run(request(write_archive(tmp_path, specs), seasons=True), Settings(), Execution(max_broken_percent=50))
    (tmp_path / "archive" / "s2" / "S06" / "B11.tif").unlink()
    computed = []
    really = composite.run_block

    def watched(*arguments):
        computed.append(arguments[1])
        return really(*arguments)

    monkeypatch.setattr(composite, "run_block", watched)
    for job in run.jobs:
        deliver(job, tmp_path / "out" / job.window.label, None, Silent())
    assert len(computed) == len(run.blocks)


def test_broken_scenes_are_counted_by_block():
    broken = Broken()
    for found in ({"A": "is cut"}, {}, {"A": "is cut", "B": "is gone"}):
        broken.add(found)
    assert dict(broken.blocks) == {"A": 2, "B": 1}
    broken.check(2, 100)
    with pytest.raises(UnreadableScene, match="and 1 others of 100"):
        broken.check(1, 100)


@pytest.mark.parametrize(("scenes", "percent", "most"), [(100, 2.0, 2), (49, 2.0, 0), (50, 2.0, 1), (7, 100.0, 7)])
def test_allowance(scenes, percent, most):
    assert Execution(max_broken_percent=percent).most_broken(scenes) == most


def test_unreadable_scenes_travel():
    error = pickle.loads(pickle.dumps(UnreadableScene("S1", "is odd", "mend it")))
    assert (error.scene, str(error)) == ("S1", "scene S1 is odd; mend it")
