"""Large jobs on a Dask cluster of real processes: the same bytes, whatever happens to its workers; and no cluster."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client

from cup4soil import execution
from cup4soil.errors import ClusterLost
from cup4soil.progress import Progress, Silent
from processors import predict_process
from processors.jobs import worker
from processors.jobs.job import Job
from processors.jobs.queue import Queue
from processors.jobs.settings import JobSettings
from processors.processes import process
from tests.clusters import Acting, a_while, scheduler
from tests.clusters import process as process_of
from tests.processors.predict_world import BOTTOM, LEFT, RIGHT, TOP, PredictWorld, make_predict_world
from tests.processors.test_worker import until

ID = "predict-soil-property"
INPUTS = {"bbox": {"bbox": [BOTTOM, LEFT, TOP, RIGHT], "crs": "EPSG:3035"}}
NOBODY = "tcp://127.0.0.1:9"


@dataclass
class Cluster:
    address: str
    client: Client

    @property
    def workers(self) -> list[int]:
        return list(self.client.run(os.getpid).values())

    @property
    def tasks(self) -> int:
        found: int = self.client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> PredictWorld:
    return make_predict_world(tmp_path_factory.mktemp("predict"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with (
        scheduler(tmp_path_factory.mktemp("cluster"), 2) as (address, _),
        Client(address, set_as_default=False) as client,
    ):
        yield Cluster(address, client)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 blocks of the world's 60 x 60 cells."""
    monkeypatch.setattr(predict_process, "_EDGE", 16)


def settings(address: str | None, **more: Any) -> JobSettings:
    return JobSettings(threads=1, jobs_scheduler=address, jobs_scheduler_cells=1000, **more)


def made(world: PredictWorld, folder: Path, settings: JobSettings, progress: Progress | None = None) -> dict[str, Any]:
    """Files and values of a prediction of the whole world."""
    folder.mkdir()
    outputs = process(ID).plan(world.store, settings, INPUTS).run(folder, progress or Silent())
    return {path.name: path.read_bytes() for path in folder.iterdir()} | {"outputs": outputs}


def test_a_cluster_gives_the_same_bytes(
    world: PredictWorld, cluster: Cluster, small_blocks: None, tmp_path: Path
) -> None:
    """Also when one of its workers is killed while it computes."""
    expected = made(world, tmp_path / "here", settings(None))
    assert {"map.tif", "preview.png"} <= set(expected)
    found = made(world, tmp_path / "there", settings(cluster.address))
    assert found == expected

    def kill_one() -> None:
        psutil.Process(cluster.workers[0]).kill()

    again = made(world, tmp_path / "again", settings(cluster.address), Acting(kill_one, 3))
    assert again == expected
    until(lambda: cluster.tasks == 0)


def test_results_come_in_order_and_few_are_ahead(cluster: Cluster) -> None:
    """Memory is bounded by what is ahead: no task begins before an earlier one of long ago was taken."""
    with execution.runner(cluster.address, 1, Path()) as place:
        run = place.run(a_while, 0.0, range(12), ordered=True)
        first = next(run)
        assert cluster.tasks <= 6
        assert [first, *run] == [(n, n * n) for n in range(12)]


_CLIENT = """
import sys
from pathlib import Path
from cup4soil.execution import runner
from tests.clusters import a_while
with runner(sys.argv[1], 1, Path()) as place:
    list(place.run(a_while, 1.0, range(500), ordered=True))
"""


def test_tasks_end_with_the_process_that_wanted_them(cluster: Cluster) -> None:
    """As when a job is dismissed: its process is killed, and does not get to say good-bye."""
    with process_of("-c", _CLIENT, cluster.address) as client:
        until(lambda: cluster.tasks, 120)
        client.send_signal(signal.SIGKILL)
    until(lambda: cluster.tasks == 0, 60)


def worked_off(world: PredictWorld, asked: JobSettings) -> Job:
    """A job of the whole world as a real worker does it."""
    queue = Queue(world.store, asked)
    id_ = queue.submit(ID, {"inputs": INPUTS, "outputs": None, "response": None}).id
    stop = threading.Event()
    thread = threading.Thread(target=worker.run_worker, args=(world.store, asked, stop))
    thread.start()
    try:
        until(lambda: queue.get(id_).finished, 120)
    finally:
        stop.set()
        thread.join()
    return queue.get(id_)


def test_a_worker_has_a_large_job_computed_by_the_cluster(
    world: PredictWorld, cluster: Cluster, tmp_path: Path
) -> None:
    job = worked_off(world.copy(tmp_path / "store"), settings(cluster.address))
    assert (job.status, job.attempts) == ("successful", 1)


def test_without_a_scheduler_a_large_job_fails_clearly_or_is_computed_here(
    world: PredictWorld, small_blocks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(ClusterLost, match="no Dask scheduler answers"):
        made(world, tmp_path / "a", settings(NOBODY))
    fallback = made(world, tmp_path / "b", settings(NOBODY, jobs_scheduler_fallback=True))
    assert fallback == made(world, tmp_path / "c", settings(None))
    # A small one needs none.
    small = settings(NOBODY).model_copy(update={"jobs_scheduler_cells": 10_000})
    assert made(world, tmp_path / "d", small)["outputs"] == fallback["outputs"]


def test_a_client_is_not_told_where_the_cluster_is(world: PredictWorld, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "store")
    job = worked_off(copy, settings(NOBODY))
    assert job.message == "the cluster that computes large jobs cannot be reached; start it again later"
    assert job.failure is not None
    assert "127.0.0.1" not in job.failure.to_json()
    assert NOBODY in (copy.store / "jobs" / job.id / "log.txt").read_text()
