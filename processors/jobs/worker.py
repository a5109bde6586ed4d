"""The worker: takes jobs from the queue and runs each in a child process that it can end."""

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from cup4soil.errors import StoreError, writing
from processors.jobs.callbacks import Callbacks
from processors.jobs.documents import status_info
from processors.jobs.failures import Failure
from processors.jobs.folders import LOG_FILE, JobFolders, size_of
from processors.jobs.job import Claim
from processors.jobs.queue import Queue
from processors.jobs.requests import ExecuteRequest
from processors.jobs.results import Results
from processors.jobs.settings import JobSettings

_LOGGER = logging.getLogger(__name__)
# Isolated: neither the folder it works in nor the environment adds modules.
_CHILD = (sys.executable, "-I", "-m", "processors.jobs.child")
_IDLE_S = 0.5
_BEAT_S = 1.0
_TICK_S = 0.1
# Between the last line of a child and its end.
_EXIT_S = 10.0
_SWEEP_S = 600.0
_TROUBLE_S = 5.0
# How long a job that has ended waits for a queue that cannot be written to.
_SETTLE_S = 300.0
# What a child may know of the worker's environment: where libraries lie, nothing secret.
_ENVIRONMENT = (
    "GDAL_DATA", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "PATH", "PROJ_DATA",
    "PROJ_LIB", "TMPDIR", "TZ",
)  # fmt: skip


def run_worker(store: Path, settings: JobSettings, stop: Event) -> None:
    """Run jobs of the store, one at a time, until ``stop`` is set; the job at hand then goes back to the queue.

    The calling thread must stay alive while this runs: the kernel ends the child with the thread that began it.
    """
    with closing(_Worker(store.absolute(), settings, stop)) as worker:
        _run(worker, stop)


def _run(worker: "_Worker", stop: Event) -> None:
    swept = -_SWEEP_S
    while not stop.is_set():
        try:
            if time.monotonic() - swept >= _SWEEP_S:
                worker.sweep()
                swept = time.monotonic()
            if not worker.work():
                stop.wait(_IDLE_S)
        except StoreError as error:
            # A full disk or a busy queue passes; the lease brings the job back.
            _LOGGER.warning("%s", error)
            stop.wait(_TROUBLE_S)


def stop_on_signals() -> Event:
    """An event that SIGTERM and SIGINT set, for :func:`run_worker`. Only for the main thread."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@dataclass
class _State:
    """What the child has told so far."""

    progress: int = 0
    message: str = "Starting"
    done: bool = False
    failure: Failure | None = None

    def take(self, line: bytes) -> None:
        told = json.loads(line)
        self.progress, self.message = told.get("progress", self.progress), told.get("message", self.message)
        self.done = self.done or told.get("done", False)
        if "failure" in told:
            self.failure = Failure.from_json(told["failure"])


class _Worker:
    def __init__(self, store: Path, settings: JobSettings, stop: Event) -> None:
        self._store = store
        self._settings = settings
        self._stop = stop
        self._queue = Queue(store, settings)
        self._folders = JobFolders(self._queue.folder)
        self._callbacks = Callbacks(settings.callback_hosts)

    def close(self) -> None:
        self._callbacks.close()

    def sweep(self) -> None:
        self._folders.sweep(self._queue)

    def work(self) -> bool:
        """Run one job; False when there is none."""
        claim = self._queue.claim()
        if claim is None:
            return False
        job = claim.job
        _LOGGER.info("%s begun, attempt %d", job.process, job.attempts, extra={"job": job.id})
        self._tell(job.id, "inProgressUri")
        with self._folders.attempt(job.id) as folder:
            state = _State()
            with self._child(claim, folder) as child:
                end = self._watch(claim, child, state)
                if end is not None:
                    child.kill()
            self._settle(claim, folder, end or self._end_of(claim, child, state))
        self._folders.clean(self._queue)
        return True

    def _watch(self, claim: Claim, child: subprocess.Popen[bytes], state: _State) -> Failure | str | None:
        """Follow the child to its end; tells why when it is ended from here."""
        started = beaten = time.monotonic()
        with closing(_Lines(child)) as lines:
            while not lines.ended:
                for line in lines.read(_TICK_S):
                    state.take(line)
                now = time.monotonic()
                if self._stop.is_set():
                    return "released"
                if now - started > self._settings.job_seconds:
                    return Failure.of_time(self._settings.job_seconds)
                if now - beaten >= _BEAT_S:
                    if not self._beat(claim, state):
                        return "lost"
                    beaten = time.monotonic()
        return None

    def _beat(self, claim: Claim, state: _State) -> bool:
        """While the queue cannot be asked the work goes on: whether the job was lost shows when it can."""
        try:
            return self._queue.beat(claim, state.progress, state.message)
        except StoreError as error:
            _LOGGER.warning("%s", error, extra={"job": claim.job.id})
            return True

    def _end_of(self, claim: Claim, child: subprocess.Popen[bytes], state: _State) -> Failure | str:
        """How a child ended that was not ended from here. One that was killed may be tried again."""
        if state.failure is not None:
            return state.failure
        if state.done:
            return "done"
        if child.returncode >= 0:
            return Failure.unexpected()
        if claim.job.attempts < self._settings.job_attempts:
            return f"killed by signal {-child.returncode}"
        return Failure.of_signal(-child.returncode, claim.job.attempts)

    def _settle(self, claim: Claim, folder: Path, end: Failure | str) -> None:
        """Tell the queue how it ended, again and again while the queue or the disk refuse: the work is done."""
        patience, size = time.monotonic() + _SETTLE_S, size_of(folder)
        while True:
            try:
                event = self._told(claim, folder, end, size)
                break
            except StoreError as error:
                if self._stop.is_set() or time.monotonic() > patience:
                    raise
                _LOGGER.warning("%s", error, extra={"job": claim.job.id})
                self._stop.wait(_BEAT_S)
        if event is not None:
            self._tell(claim.job.id, event)
        _LOGGER.info("%s", end, extra={"job": claim.job.id})

    def _told(self, claim: Claim, folder: Path, end: Failure | str, size: int) -> str | None:
        """Note the end of a job; the event to call back for, if any."""
        id_ = claim.job.id
        if isinstance(end, Failure):
            return "failedUri" if self._queue.fail(claim, end) else None
        if end == "done":
            done = self._queue.finish(claim, size=size, publish=lambda: self._folders.publish(id_, folder))
            return "successUri" if done else None
        if end != "lost":
            self._queue.release(claim, tried=end != "released")
        return None

    def _tell(self, id_: str, event: str) -> None:
        """Call the client back where it wants that: with the results of a job that succeeded, else with its status."""
        job = self._queue.get(id_)
        subscriber = job.request.get("subscriber")
        if subscriber is None:
            return
        request = ExecuteRequest.of_dict(job.request)
        base = (self._settings.public_url or "").rstrip("/")
        body = status_info(job, f"{base}/ogc")
        if event == "successUri":
            results = Results(id_, request, self._folders.results(job), partial(self._folders.path, job))
            body = results.document(lambda name: f"{base}/results/{id_}/{name}")
        self._callbacks.tell(id_, subscriber, event, body)

    @contextmanager
    def _child(self, claim: Claim, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
        """The child process; it is gone when the context is left."""
        with writing(folder), (folder.parent / LOG_FILE).open("ab") as log, tempfile.TemporaryFile() as task:
            task.write(json.dumps(self._task(claim, folder)).encode())
            task.seek(0)
            child = subprocess.Popen(  # noqa: S603
                _CHILD,
                stdin=task,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | {"PROJ_NETWORK": "OFF"},
            )
        with writing(folder), child:
            try:
                yield child
                # It has closed its pipe, or is not wanted any more.
                child.wait(_EXIT_S)
            except subprocess.TimeoutExpired:
                _LOGGER.warning("the child had to be ended", extra={"job": claim.job.id})
            finally:
                child.kill()

    def _task(self, claim: Claim, folder: Path) -> dict[str, Any]:
        return {
            "worker": os.getpid(),
            "store": str(self._store),
            "process": claim.job.process,
            "inputs": claim.job.request["inputs"],
            "folder": str(folder),
            "memory_mib": self._settings.job_memory_mib,
            "settings": self._settings.model_dump(
                mode="json", include=set(JobSettings.model_fields) - {"jobs_database"}
            ),
        }


class _Lines:
    """Lines a child writes, without waiting for the next one longer than asked."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        if child.stdout is None:
            raise ValueError("the child has no pipe")
        self.ended = False
        self._pipe = child.stdout
        self._rest = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)

    def close(self) -> None:
        self._selector.close()

    def read(self, wait_s: float) -> list[bytes]:
        if not self._selector.select(wait_s):
            return []
        chunk = os.read(self._pipe.fileno(), 65_536)
        self.ended = not chunk
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return lines
