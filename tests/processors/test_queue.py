"""The queue: order, leases, limits, and what outlives a killed process."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr

from cup4soil.errors import Cup4soilError, InvalidArea, InvalidInput, NotFound, StoreError
from processors.jobs.database import PostgresDatabase
from processors.jobs.errors import Busy, JobFailed, NoSuchJob, ResultsGone
from processors.jobs.failures import Failure
from processors.jobs.folders import JobFolders
from processors.jobs.job import Claim, is_job_id
from processors.jobs.job_filter import JobFilter
from processors.jobs.prefer import preferences, wants_async
from processors.jobs.queue import Queue
from processors.jobs.results import write_results
from processors.jobs.settings import JobSettings
from tests.postgres import postgres

SETTINGS = JobSettings(job_lease_seconds=30)
REQUEST: dict[str, Any] = {"inputs": {"a": 1}, "outputs": None, "response": None}
BAD_IDS = ("", "..", "../../etc/passwd", "x" * 36, "0" * 36, "%2e%2e", "6f1c6f5e-0000-1000-8000-000000000000", "é")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def queue(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """Both databases have to keep the same promises."""
    if request.param == "sqlite":
        yield Queue(tmp_path, SETTINGS)
        return
    url = new_database(request.getfixturevalue("server"))
    # For the processes that a test starts.
    monkeypatch.setenv("CUP4SOIL_JOBS_DATABASE", url)
    made = Queue(tmp_path, SETTINGS.model_copy(update={"jobs_database": SecretStr(url)}))
    yield made
    made.close()


def new_database(server: str) -> str:
    name = f"jobs_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{server.rpartition('/')[0]}/{name}"


def submitted(queue: Queue, count: int = 1, **given: Any) -> list[str]:
    return [queue.submit("p", REQUEST, **given).id for _ in range(count)]


def claimed(queue: Queue) -> Claim:
    claim = queue.claim()
    assert claim is not None
    return claim


def patched(queue: Queue, **settings: Any) -> Queue:
    """The same queue as a process with other settings sees it."""
    return Queue(queue.folder.parent, queue._settings.model_copy(update=settings))


def silent(queue: Queue) -> Claim:
    """A claim whose lease has run out."""
    claim = patched(queue, job_lease_seconds=0.01).claim()
    assert claim is not None
    time.sleep(0.02)
    return claim


# Order and states


def test_a_job_goes_its_way(queue: Queue) -> None:
    job = queue.submit("p", REQUEST, "c")
    assert (job.status, job.progress, job.request, job.client, job.attempts) == ("accepted", 0, REQUEST, "c", 0)
    claim = claimed(queue)
    assert (claim.job.id, claim.job.status, claim.job.attempts) == (job.id, "running", 1)
    assert queue.beat(claim, 40, "Half")
    running = queue.get(job.id)
    assert (running.progress, running.message, running.finished) == (40, "Half", None)
    assert queue.finish(claim, size=7, publish=lambda: None)
    done = queue.get(job.id)
    assert (done.status, done.progress) == ("successful", 100)
    assert done.finished is not None
    assert done.started is not None
    assert done.created <= done.started <= done.finished


def test_the_oldest_is_taken_first_and_each_once(queue: Queue) -> None:
    ids = submitted(queue, 4)
    assert [claimed(queue).job.id for _ in ids] == ids
    assert queue.claim() is None


def test_a_failure_is_kept_with_its_kind(queue: Queue) -> None:
    submitted(queue)
    claim = claimed(queue)
    assert queue.fail(claim, Failure.of(InvalidArea("the area is bad", "give a good one")))
    job = queue.get(claim.job.id)
    assert (job.status, job.message) == ("failed", "the area is bad; give a good one")
    assert job.failure is not None
    assert isinstance(job.failure.error(), InvalidArea)


def test_an_error_of_a_kind_unknown_to_the_queue_keeps_the_nearest() -> None:
    class Special(NotFound):
        pass

    assert type(Failure.of(Special("x")).error()) is NotFound
    assert type(Failure("Nonsense", "x").error()) is JobFailed
    assert isinstance(Failure.of(NoSuchJob("x")).error(), Cup4soilError)


def test_progress_stays_within_bounds(queue: Queue) -> None:
    submitted(queue)
    claim = claimed(queue)
    queue.beat(claim, 250, "")
    assert queue.get(claim.job.id).progress == 100


# Leases


def test_a_silent_workers_job_is_taken_again_and_is_lost_to_it(queue: Queue) -> None:
    submitted(queue)
    first = silent(queue)
    second = claimed(queue)
    assert (second.job.id, second.job.attempts) == (first.job.id, 2)
    published: list[int] = []
    assert not queue.beat(first, 50, "")
    assert not queue.finish(first, size=0, publish=lambda: published.append(1))
    assert not queue.fail(first, Failure("InvalidInput", "x"))
    assert not queue.release(first)
    assert queue.get(first.job.id).status == "running"
    assert published == []
    assert queue.finish(second, size=0, publish=lambda: published.append(2))
    assert published == [2]


def test_a_beat_keeps_the_job(queue: Queue) -> None:
    submitted(queue)
    claim = silent(queue)
    assert queue.beat(claim, 1, "")
    assert queue.claim() is None


def test_a_job_is_given_up_after_three_dead_workers(queue: Queue) -> None:
    (id_,) = submitted(queue)
    for _ in range(3):
        silent(queue)
    assert queue.claim() is None
    job = queue.get(id_)
    assert (job.status, job.attempts) == ("failed", 3)
    assert "the worker died 3 times" in job.message


def test_a_job_given_back_was_no_attempt(queue: Queue) -> None:
    submitted(queue)
    for _ in range(5):
        assert queue.release(claimed(queue))
    assert claimed(queue).job.attempts == 1


def test_results_that_cannot_be_put_in_place_leave_the_job_running(queue: Queue) -> None:
    submitted(queue)
    claim = claimed(queue)

    def full() -> None:
        raise StoreError("no space")

    with pytest.raises(StoreError):
        queue.finish(claim, size=0, publish=full)
    assert queue.get(claim.job.id).status == "running"
    assert queue.finish(claim, size=0, publish=lambda: None)


def test_results_put_in_place_twice_are_the_same(queue: Queue) -> None:
    """The queue took no note the first time."""
    (id_,) = submitted(queue)
    folders = JobFolders(queue.folder)
    with folders.attempt(id_) as folder:
        (folder / "out").write_text("x")
        for _ in range(2):
            folders.publish(id_, folder)
    assert (queue.folder / id_ / "results" / "out").read_text() == "x"


def test_a_clock_that_is_set_makes_no_job_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back by a day: the dead worker's lease seems to last until tomorrow. Forth: a live one loses it, no more."""
    queue = Queue(tmp_path, SETTINGS)
    (id_,) = submitted(queue)
    first = claimed(queue)
    now = time.time()
    monkeypatch.setattr("processors.jobs.database.time.time", lambda: now - 86_400)
    second = claimed(queue)
    assert (second.job.id, second.job.attempts) == (id_, 2)
    assert not queue.beat(first, 1, "")
    assert queue.claim() is None
    monkeypatch.setattr("processors.jobs.database.time.time", lambda: now + 86_400)
    third = claimed(queue)
    assert not queue.finish(second, size=0, publish=lambda: None)
    assert queue.finish(third, size=0, publish=lambda: None)
    assert queue.get(id_).status == "successful"


def test_a_job_tried_in_vain_keeps_count(queue: Queue) -> None:
    submitted(queue)
    for attempt in (1, 2):
        claim = claimed(queue)
        assert claim.job.attempts == attempt
        assert queue.release(claim, tried=True)
        assert queue.get(claim.job.id).started is None


# Dismissing


@pytest.mark.parametrize("state", ["accepted", "running", "successful", "dismissed"])
def test_a_job_in_any_state_can_be_dismissed(queue: Queue, state: str) -> None:
    (id_,) = submitted(queue)
    claim = None if state in ("accepted", "dismissed") else claimed(queue)
    if state == "successful" and claim:
        queue.finish(claim, size=0, publish=lambda: None)
    if state == "dismissed":
        queue.dismiss(id_)
    assert queue.dismiss(id_).status == "dismissed"
    assert queue.claim() is None
    if claim:
        assert not queue.beat(claim, 1, "")
        assert not queue.finish(claim, size=0, publish=lambda: None)
    assert queue.get(id_).status == "dismissed"


@pytest.mark.parametrize("id_", BAD_IDS)
def test_what_is_no_id_names_no_job(queue: Queue, id_: str) -> None:
    assert not is_job_id(id_)
    for ask in (queue.get, queue.dismiss, JobFolders(queue.folder).of):
        with pytest.raises(NoSuchJob):
            ask(id_)


# Limits


def test_each_client_has_its_limit(queue: Queue) -> None:
    few = patched(queue, jobs_per_client=2)
    submitted(few, 2, client="a")
    with pytest.raises(Busy, match="2 of your jobs are waiting or running, the limit is 2"):
        few.submit("p", REQUEST, "a")
    few.submit("p", REQUEST, "b")
    claim = claimed(few)
    few.finish(claim, size=0, publish=lambda: None)
    few.submit("p", REQUEST, "a")


def test_all_clients_together_have_theirs(queue: Queue) -> None:
    few = patched(queue, jobs_waiting=3)
    for client in "abc":
        few.submit("p", REQUEST, client)
    with pytest.raises(Busy, match="3 jobs are waiting or running, the limit is 3"):
        few.submit("p", REQUEST, "d")


def test_the_limit_holds_when_many_come_at_once(queue: Queue) -> None:
    few = patched(queue, jobs_per_client=5)

    def attempt(_: int) -> bool:
        try:
            few.submit("p", REQUEST, "a")
        except Busy:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(24))) == 5


# The list


def test_the_list_has_the_newest_first_in_pages(queue: Queue) -> None:
    ids = submitted(queue, 7)
    page, matched = queue.jobs(limit=3)
    assert ([job.id for job in page], matched) == (ids[:3:-1], 7)
    assert [job.id for job in queue.jobs(limit=3, offset=6)[0]] == ids[:1]
    assert queue.jobs(limit=3, offset=9) == ([], 7)


def test_the_list_can_be_of_one_client_and_one_state(queue: Queue) -> None:
    (mine,) = submitted(queue, client="a")
    submitted(queue, client="b")
    assert [job.id for job in queue.jobs(JobFilter("a"))[0]] == [mine]
    queue.finish(claimed(queue), size=0, publish=lambda: None)
    assert [job.id for job in queue.jobs(JobFilter(statuses=("successful",)))[0]] == [mine]
    assert queue.jobs(JobFilter("b", statuses=("successful",))) == ([], 0)


def test_the_list_can_be_of_a_time_and_a_duration(queue: Queue) -> None:
    ids = submitted(queue, 3)
    first, second, third = (queue.get(id_).created for id_ in ids)
    assert {job.id for job in queue.jobs(JobFilter(created=(second, None)))[0]} == set(ids[1:])
    assert {job.id for job in queue.jobs(JobFilter(created=(None, second)))[0]} == set(ids[:2])
    assert {job.id for job in queue.jobs(JobFilter(created=(first, third)))[0]} == set(ids)
    # What has not begun has no duration.
    assert queue.jobs(JobFilter(least_s=0)) == ([], 0)
    claim = claimed(queue)
    assert [job.id for job in queue.jobs(JobFilter(least_s=0, most_s=60))[0]] == [claim.job.id]
    assert queue.jobs(JobFilter(least_s=60))[1] == 0
    assert queue.jobs(JobFilter(processes=("p", "q")))[1] == 3
    assert queue.jobs(JobFilter(processes=("q",)))[1] == 0


# Keeping and forgetting


def finished(queue: Queue, size: int = 0) -> str:
    (id_,) = submitted(queue)
    folders = JobFolders(queue.folder)
    claim = claimed(queue)
    with folders.attempt(id_) as folder:
        (folder / "map.tif").write_text("x")
        write_results(folder, {"map": {"file": "map.tif", "type": "image/tiff"}})
        queue.finish(claim, size=size, publish=lambda: folders.publish(id_, folder))
    return id_


def test_old_results_go_and_young_ones_stay(queue: Queue) -> None:
    id_ = finished(queue)
    waiting = submitted(queue)
    folders = JobFolders(queue.folder)
    folders.sweep(queue)
    assert folders.result_file(queue.get(id_), "map.tif").read_text() == "x"
    folders.sweep(patched(queue, job_retention_days=1e-9))
    assert not (queue.folder / id_).exists()
    with pytest.raises(NoSuchJob):
        queue.get(id_)
    assert queue.get(waiting[0]).status == "accepted"


def test_the_oldest_results_make_way_where_room_is_short(queue: Queue) -> None:
    mib = 2**20
    ids = [finished(queue, size) for size in (2 * mib, 2 * mib, 2 * mib)]
    JobFolders(queue.folder).sweep(patched(queue, job_results_mib=4))
    assert [(queue.folder / id_ / "results").exists() for id_ in ids] == [False, True, True]
    # The job stays known, and says what became of them.
    job = queue.get(ids[0])
    assert (job.status, job.size) == ("successful", 0)
    with pytest.raises(ResultsGone, match="not kept any more"):
        JobFolders(queue.folder).results(job)


def test_folders_that_no_job_has_go_once_they_are_old(queue: Queue) -> None:
    folders = JobFolders(queue.folder)
    others = set(queue.folder.iterdir())
    orphan = queue.folder / "11111111-1111-4111-8111-111111111111"
    (orphan / "results").mkdir(parents=True)
    folders.sweep(queue)
    assert orphan.exists()
    os.utime(orphan, (1, 1))
    folders.sweep(queue)
    assert not orphan.exists()
    assert set(queue.folder.iterdir()) == others


@pytest.mark.parametrize("name", ["results.json", "../log.txt", "..", "", "/etc/passwd", "map.tif/", "MAP.TIF", "x\0y"])
def test_only_the_files_of_the_results_are_given_out(queue: Queue, name: str) -> None:
    job = queue.get(finished(queue))
    with pytest.raises(NotFound, match="no file of that name"):
        JobFolders(queue.folder).result_file(job, name)


def test_an_attempt_that_is_not_published_leaves_nothing(queue: Queue) -> None:
    (id_,) = submitted(queue)
    folders = JobFolders(queue.folder)

    def interrupted() -> None:
        with folders.attempt(id_) as folder:
            (folder / "part").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not (queue.folder / id_).exists()


def test_results_of_a_killed_finish_are_replaced(queue: Queue) -> None:
    """Killed between the rename and the note in the queue: results are there, the job runs."""
    (id_,) = submitted(queue)
    folders = JobFolders(queue.folder)
    for text in ("first", "second"):
        with folders.attempt(id_) as folder:
            (folder / "out").write_text(text)
            folders.publish(id_, folder)
    assert (queue.folder / id_ / "results" / "out").read_text() == "second"


# Several processes

_CLAIMER = """
import sys
from pathlib import Path
from processors.jobs.queue import Queue
from processors.jobs.settings import JobSettings
queue = Queue(Path(sys.argv[1]), JobSettings())
while (claim := queue.claim()) is not None:
    print(claim.job.id, flush=True)
"""
_SUBMITTER = """
import sys
from pathlib import Path
from processors.jobs.queue import Queue
from processors.jobs.settings import JobSettings
queue = Queue(Path(sys.argv[1]), JobSettings(jobs_per_client=100000, jobs_waiting=100000))
while True:
    print(queue.submit("p", {"inputs": {}}).id, flush=True)
"""


def started(code: str, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True)


def test_no_job_is_claimed_by_two_processes(queue: Queue) -> None:
    ids = submitted(patched(queue, jobs_per_client=1000, jobs_waiting=1000), 60)
    claimers = [started(_CLAIMER, queue.folder.parent) for _ in range(3)]
    taken = [line for claimer in claimers for line in claimer.communicate(timeout=60)[0].split()]
    assert sorted(taken) == sorted(ids)


def test_what_was_acknowledged_outlives_a_kill(queue: Queue) -> None:
    with started(_SUBMITTER, queue.folder.parent) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().split("\n")[:-1]
    for id_ in filter(None, acknowledged):
        assert queue.get(id_).status == "accepted"
    assert queue.jobs()[1] - len(list(filter(None, acknowledged))) in (0, 1)


def test_a_damaged_queue_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "queue.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="cannot be used"):
        Queue(tmp_path, SETTINGS)


def test_a_queue_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    queue = Queue(tmp_path, SETTINGS)
    db = sqlite3.connect(queue.folder / "queue.sqlite")
    db.execute("PRAGMA user_version=2")
    db.close()
    with pytest.raises(StoreError, match="has version 2"):
        Queue(queue.folder.parent, SETTINGS)


def test_a_database_of_a_later_version_is_left_alone(server: str, tmp_path: Path) -> None:
    url = new_database(server)
    settings = JobSettings(jobs_database=SecretStr(url))
    Queue(tmp_path, settings).close()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE job_queue SET version=2")
    with pytest.raises(StoreError, match="has version 2"):
        Queue(tmp_path, settings)
    PostgresDatabase(url).close()


def test_a_server_that_went_away_is_a_store_error_that_tells_no_password(tmp_path: Path) -> None:
    url = "postgresql://worker:hush@127.0.0.1:1/jobs"
    with pytest.raises(StoreError, match="cannot be used") as caught:
        Queue(tmp_path, JobSettings(jobs_database=SecretStr(url)))
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(JobSettings(jobs_database=SecretStr(url)))


def test_connections_that_a_server_dropped_are_made_anew(server: str, tmp_path: Path) -> None:
    url = new_database(server)
    queue = Queue(tmp_path, JobSettings(jobs_database=SecretStr(url)))
    (id_,) = submitted(queue)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'jobs_%'")
    assert queue.get(id_).status == "accepted"
    queue.close()


@pytest.mark.parametrize("url", ["mysql://a/b", "nonsense", "sqlite:///x.db", ""])
def test_only_postgres_is_taken(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="CUP4SOIL_JOBS_DATABASE"):
        Queue(tmp_path, JobSettings(jobs_database=SecretStr(url)))


def test_requests_come_back_as_they_were(queue: Queue) -> None:
    request = {"inputs": {"aoi": {"type": "Polygon", "coordinates": [[[1.5, -2]]]}, "ü": "\u2028"}, "outputs": None}
    job = queue.submit("p", request)
    assert queue.get(job.id).request == json.loads(json.dumps(request))


# The header Prefer


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["respond-async"], True),
        (["Respond-Async"], True),
        (["respond-async, wait=1"], True),
        (["wait=10,respond-async"], True),
        (["wait=10", "respond-async"], True),
        (["respond-async; foo=bar"], True),
        (['handling="a, respond-async"'], False),
        (['return="x", respond-async'], True),
        (["respond-sync"], False),
        (["xrespond-async"], False),
        (["wait=1"], False),
        ([""], False),
        ([], False),
        (["\x00,=,;;,respond-async"], True),
    ],
)
def test_prefer_is_read_as_rfc_7240_has_it(headers: list[str], expected: bool) -> None:
    assert wants_async(headers) is expected


def test_of_a_preference_stated_twice_the_first_counts() -> None:
    assert preferences(["wait=1, Wait=2", 'wait="3"']) == {"wait": "1"}
    assert preferences(['a="b, c"; d, e']) == {"a": "b, c", "e": ""}


def test_service_and_worker_that_begin_at_once_share_a_new_queue(tmp_path: Path) -> None:
    """A fresh store: whoever comes first makes the queue, nobody is turned away."""
    code = (
        "import sys; from pathlib import Path; from processors.jobs.queue import Queue;"
        "from processors.jobs.settings import JobSettings; print('ready', flush=True);"
        "root = sys.stdin.readline().strip();"
        "print(Queue(Path(root), JobSettings()).jobs()[1], flush=True)"
    )
    for turn in range(4):
        root = tmp_path / str(turn)
        root.mkdir()
        started = [
            subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        for each in started:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in started:
            assert each.stdin is not None
            each.stdin.write(f"{root}\n")
            each.stdin.flush()
        assert [each.communicate(timeout=60)[0] for each in started] == ["0\n"] * 4
