"""Where the blocks of a run are computed: here, in processes of this machine, or on a Dask cluster."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Protocol

import dask
from distributed import Client, LocalCluster, wait
from distributed.client import ClosedClientError
from distributed.comm.addressing import get_address_host_port
from distributed.scheduler import KilledWorker

from cup4soil.errors import ClusterLost, InvalidInput, LimitExceeded

# So many blocks wait at each worker: it never idles, and the scheduler never holds a continent.
_AHEAD = 2
_RETRIES = 2
_CONNECT_SECONDS = 10
# How long a run waits while there are no workers: killed ones are replaced, and clusters grow.
_LOOK_SECONDS, _MOST_LOOKS = 30, 20
# Plans of a continent take some ten MB; that is no mistake to warn of.
_MOST_PLAN = "1 GiB"


class Runner(Protocol):
    """Runs tasks that share one plan. A task may be run again: it gives the same result and writes the same file."""

    def run[P, T, R](
        self, task: Callable[[P, T], R], plan: P, items: Sequence[T], *, ordered: bool = False
    ) -> Iterator[tuple[T, R]]:
        """Results of ``task(plan, item)`` as they come, in the order of ``items`` only if they are to be ``ordered``.

        The first error ends the run.
        """
        ...


class Here:
    """Runs the tasks one after the other in this process."""

    def run[P, T, R](
        self,
        task: Callable[[P, T], R],
        plan: P,
        items: Sequence[T],
        *,
        ordered: bool = False,  # noqa: ARG002
    ) -> Iterator[tuple[T, R]]:
        """See :class:`Runner`."""
        for item in items:
            yield item, task(plan, item)


class OnCluster:
    """Runs the tasks on the workers of a Dask scheduler, a few ahead of each."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def run[P, T, R](
        self, task: Callable[[P, T], R], plan: P, items: Sequence[T], *, ordered: bool = False
    ) -> Iterator[tuple[T, R]]:
        """See :class:`Runner`. Results that wait for their turn wait at the workers, and are as many as tasks ahead."""
        waiting = iter(items)
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": _MOST_PLAN}):
            # A task, not data: when every worker that holds the plan is killed, the scheduler makes it again.
            shared = self._client.submit(_same, plan, pure=False)
        pending: dict[Any, T] = {}
        try:
            while True:
                for item in islice(waiting, max(0, _AHEAD * max(1, self._threads()) - len(pending))):
                    pending[self._client.submit(task, shared, item, pure=False, retries=_RETRIES)] = item
                if not pending:
                    return
                for future in self._first_done(pending) if ordered else self._done(list(pending)):
                    result = future.result()
                    yield pending.pop(future), result
        except KilledWorker as error:
            raise LimitExceeded(
                "workers were killed again and again while they computed a block",
                "lower CUP4SOIL_BLOCK_MEMORY_MIB or CUP4SOIL_WORKERS",
            ) from error
        except (CancelledError, ClosedClientError) as error:
            raise _lost() from error
        finally:
            self._client.cancel(list(pending))

    def _first_done(self, pending: dict[Any, Any]) -> list[Any]:
        """The first, once it has ended, and those after it that have."""
        self._done(list(islice(pending, 1)))
        return list(takewhile(lambda future: future.done(), pending))

    def _done(self, futures: list[Any]) -> list[Any]:
        """Those that have ended, at least one.

        Raises:
            ClusterLost: when there are no workers for a long time, as nothing would ever end.
        """
        looks = 0
        while looks < _MOST_LOOKS:
            try:
                with self._client.as_current():
                    return list(wait(futures, timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                # A connection may end without any future's being told.
                if self._client.status not in ("running", "connecting"):
                    break
                looks = 0 if self._threads() else looks + 1
        raise _lost()

    def _threads(self) -> int:
        """Of all workers at this moment: clusters grow and shrink."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        threads: int = sum(worker["nthreads"] for worker in workers)
        return threads


def _lost() -> ClusterLost:
    return ClusterLost(
        "the Dask scheduler or all of its workers were lost",
        "see their logs, and run again, which goes on where it stood",
    )


def _same[P](plan: P) -> P:
    return plan


@contextmanager
def runner(scheduler: str | None, workers: int, scratch: Path) -> Iterator[Runner]:
    """Where to run: the ``scheduler`` at an address, else ``workers`` processes of this machine, else this process.

    Raises:
        InvalidInput: when the scheduler cannot be reached, or has no workers.
    """
    if scheduler is None and workers <= 1:
        yield Here()
    elif scheduler is None:
        with _local(workers, scratch) as cluster, Client(cluster, set_as_default=False) as client:
            yield OnCluster(client)
    else:
        with _connect(scheduler) as client:
            yield OnCluster(client)


@contextmanager
def _local(workers: int, scratch: Path) -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        # Some port of this machine alone: without one Dask takes 8787, and warns where that is in use.
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        # Blocks are sized to their budget; GDAL's memory is none that Dask could spill.
        memory_limit=0,
        local_directory=str(scratch),
        # What goes wrong in a task comes back as an error.
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster


def _connect(scheduler: str) -> Client:
    try:
        # A client that refuses its address is not whole, and cannot be closed.
        get_address_host_port(scheduler)
        client = Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InvalidInput(
            f"no Dask scheduler answers at {scheduler}: {error}", "give its address, such as tcp://host:8786"
        ) from error
    if not client.scheduler_info()["workers"]:
        client.close()
        raise InvalidInput(f"the scheduler at {scheduler} has no workers", "start some, with this package installed")
    return client
