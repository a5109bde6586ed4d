"""The worker: real processes, ended in every way they can end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cup4soil.errors import StoreError
from processors.jobs import worker
from processors.jobs.job import Job
from processors.jobs.queue import Queue
from processors.jobs.settings import JobSettings

CHILD = str(Path(__file__).with_name("slow_child.py"))
SETTINGS = JobSettings(job_lease_seconds=2.0, job_memory_mib=1024)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path, SETTINGS)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


def submit(queue: Queue, marker: Path, **inputs: Any) -> str:
    return queue.submit("wait", {"inputs": {"marker": str(marker), **inputs}, "outputs": None, "response": None}).id


def begun(marker: Path) -> list[int]:
    """Process ids of the children that began, in order."""
    return [int(line.split()[0]) for line in marker.read_text().splitlines()] if marker.exists() else []


def until(condition: Callable[[], Any], seconds: float = 90.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def worker_thread(queue: Queue, settings: JobSettings = SETTINGS) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=worker.run_worker, args=(queue.folder.parent, settings, stop))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()


@contextmanager
def worker_process(queue: Queue) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.processors.worker_process"]
    arguments = [str(queue.folder.parent), SETTINGS.model_dump_json(), CHILD]
    with subprocess.Popen([*command, *arguments], stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def slow_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_CHILD", (sys.executable, "-I", CHILD))


def ended(queue: Queue, id_: str, settings: JobSettings = SETTINGS) -> Job:
    with worker_thread(queue, settings):
        return until(lambda: (job := queue.get(id_)).finished and job)


def left_over(queue: Queue, id_: str) -> set[str]:
    return {path.name for path in (queue.folder / id_).iterdir()}


def test_a_job_is_done_and_its_results_are_whole(queue: Queue, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hidden")
    monkeypatch.setenv("CUP4SOIL_STORE", "/elsewhere")
    id_ = submit(queue, marker)
    job = ended(queue, id_)
    assert (job.status, job.progress, job.attempts) == ("successful", 100, 1)
    assert {path.name for path in (queue.folder / id_ / "results").iterdir()} == {"out.txt", "results.json"}
    assert left_over(queue, id_) == {"results", "log.txt"}
    assert "SECRET" not in marker.read_text()
    assert "CUP4SOIL_STORE" not in marker.read_text()
    assert "what libraries print" in (queue.folder / id_ / "log.txt").read_text()


def test_progress_is_told_while_it_runs(queue: Queue, marker: Path) -> None:
    id_ = submit(queue, marker, seconds=4)
    with worker_thread(queue):
        job = until(lambda: (job := queue.get(id_)).progress and job)
    assert 0 < job.progress < 100
    assert job.message == "Waiting"


@pytest.mark.parametrize(
    ("end", "kind", "said"),
    [
        ("area", "InvalidArea", "the area is bad; give a good one"),
        ("bug", "JobFailed", "the job ended by a fault of the service"),
        ("memory", "LimitExceeded", "more memory than its limit of 1024 MiB"),
        ("signal", "JobFailed", "the system ended the job 3 times (signal 11)"),
        ("exit", "JobFailed", "the job ended by a fault of the service"),
    ],
)
def test_every_bad_end_is_told_plainly(queue: Queue, marker: Path, end: str, kind: str, said: str) -> None:
    id_ = submit(queue, marker, end=end)
    job = ended(queue, id_)
    assert job.status == "failed"
    assert job.failure is not None
    assert job.failure.kind == kind
    assert said in job.message
    assert "secret" not in job.message
    assert left_over(queue, id_) == {"log.txt"}


def test_a_child_that_is_killed_is_tried_again(queue: Queue, marker: Path) -> None:
    """By an operator, or by the system for want of memory: the job is not at fault."""
    id_ = submit(queue, marker, seconds=3)
    with worker_thread(queue):
        (child,) = until(lambda: begun(marker))
        os.kill(child, signal.SIGKILL)
        job = until(lambda: (job := queue.get(id_)).finished and job)
    assert (job.status, job.attempts) == ("successful", 2)
    assert left_over(queue, id_) == {"results", "log.txt"}


def test_a_job_goes_on_while_the_queue_is_out_of_reach(
    queue: Queue, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its results are noted when the queue is back, though the work ended before."""
    id_ = submit(queue, marker, seconds=2)
    out = threading.Event()
    for name in ("beat", "finish"):
        plain = getattr(Queue, name)

        def refusing(*given: Any, _plain: Any = plain, **more: Any) -> Any:
            if out.is_set():
                raise StoreError("the job queue cannot be used: database is locked")
            return _plain(*given, **more)

        monkeypatch.setattr(Queue, name, refusing)
    with worker_thread(queue):
        until(lambda: begun(marker))
        out.set()
        until(lambda: (queue.folder / id_).is_dir() and list((queue.folder / id_).glob("attempt-*/results.json")))
        time.sleep(1.5)
        assert queue.get(id_).status == "running"
        out.clear()
        job = until(lambda: (job := queue.get(id_)).finished and job)
    assert (job.status, job.attempts) == ("successful", 1)
    assert left_over(queue, id_) == {"results", "log.txt"}


def test_what_a_bug_was_stands_in_the_log(queue: Queue, marker: Path) -> None:
    id_ = submit(queue, marker, end="bug")
    ended(queue, id_)
    assert "RuntimeError: secret of the program" in (queue.folder / id_ / "log.txt").read_text()


def test_a_job_that_takes_too_long_is_ended(queue: Queue, marker: Path) -> None:
    job = ended(queue, submit(queue, marker, seconds=60), SETTINGS.model_copy(update={"job_seconds": 1}))
    assert job.message.startswith("the job took longer than the limit of 1 s")
    assert not any(map(alive, begun(marker)))


def test_a_dismissed_job_is_killed_within_two_seconds(queue: Queue, marker: Path) -> None:
    id_ = submit(queue, marker, seconds=60)
    with worker_thread(queue):
        (child,) = until(lambda: begun(marker))
        queue.dismiss(id_)
        dismissed = time.monotonic()
        until(lambda: not alive(child), 2.0)
        assert time.monotonic() - dismissed < 2.0
        other = submit(queue, marker)
        until(lambda: queue.get(other).status == "successful")
    assert queue.get(id_).status == "dismissed"
    assert left_over(queue, id_) == {"log.txt"}


def test_a_stopped_worker_gives_its_job_back(queue: Queue, marker: Path) -> None:
    id_ = submit(queue, marker, seconds=60)
    with worker_process(queue) as process:
        (child,) = until(lambda: begun(marker))
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    job = queue.get(id_)
    assert (job.status, job.attempts) == ("accepted", 0)
    assert not alive(child)
    assert left_over(queue, id_) == {"log.txt"}


def test_a_killed_worker_leaves_no_orphan_and_its_job_is_done_by_another(queue: Queue, marker: Path) -> None:
    # A child that tells nothing does not meet the broken pipe either.
    id_ = submit(queue, marker, seconds=3, quiet=True)
    with worker_process(queue) as process:
        (child,) = until(lambda: begun(marker))
        os.kill(process.pid, signal.SIGKILL)
    until(lambda: not alive(child), 2.0)
    assert queue.get(id_).status == "running"
    job = ended(queue, id_)
    assert (job.status, job.attempts) == ("successful", 2)
    assert len(begun(marker)) == 2
    assert left_over(queue, id_) == {"results", "log.txt"}


def test_a_worker_that_slept_past_its_lease_changes_nothing(queue: Queue, marker: Path) -> None:
    id_ = submit(queue, marker, seconds=2)
    with worker_process(queue) as process:
        (child,) = until(lambda: begun(marker))
        for pid in (process.pid, child):
            os.kill(pid, signal.SIGSTOP)
        job = ended(queue, id_)
        assert (job.status, job.attempts) == ("successful", 2)
        results = queue.folder / id_ / "results"
        before = results.stat().st_ino
        for pid in (child, process.pid):
            os.kill(pid, signal.SIGCONT)
        until(lambda: not alive(child))
        process.send_signal(signal.SIGTERM)
        process.wait(5)
        assert results.stat().st_ino == before
    assert queue.get(id_).status == "successful"
    assert left_over(queue, id_) == {"results", "log.txt"}


def test_two_workers_share_the_jobs_and_do_each_once(queue: Queue, marker: Path) -> None:
    ids = [submit(queue, marker) for _ in range(4)]
    with worker_thread(queue), worker_thread(queue):
        until(lambda: all(queue.get(id_).status == "successful" for id_ in ids))
    assert len(begun(marker)) == 4
    assert {queue.get(id_).attempts for id_ in ids} == {1}


def test_a_process_that_is_not_offered_any_more_fails(queue: Queue) -> None:
    job = ended(queue, queue.submit("gone", {"inputs": {}}).id)
    assert job.message.startswith("no process of that name")
