"""Kills the server, the worker and the jobs' processes at random moments, and looks for what was lost.

    python benchmarks/kill_jobs.py --kills 60 --seed 1 [--database postgresql://...] [--store FOLDER]

A real web server takes jobs, a real worker runs each in its own process, and one of the three is killed (SIGKILL)
again and again while a client goes on asking. At the end every job that was accepted has to be done, its results
whole and there once, and no process left over. One job in ten crashes its process whenever it runs: it has to end as
failed after few tries.
"""

import argparse
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from pydantic import SecretStr

from processors import processes
from processors.jobs.queue import Queue
from processors.jobs.settings import JobSettings
from stac_catalog.store import Store

PROCESS = "wait"
ATTEMPTS = 8
_PATIENCE_S = 600.0
# Isolated: a neighbour of this file has the name of a package.
_PROGRAM = (sys.executable, "-I", str(Path(__file__).resolve()))


@dataclass
class _Wait:
    """A process that takes a time and writes down what it was told, or crashes."""

    description: Mapping[str, Any] = field(
        default_factory=lambda: {"inputs": {name: {} for name in ("seconds", "name", "crash")}, "outputs": {}}
    )

    def plan(self, _store: Path, _settings: JobSettings, inputs: Mapping[str, Any]) -> "_Plan":
        return _Plan(inputs)


@dataclass
class _Plan:
    inputs: Mapping[str, Any]
    cells: int = 1

    def run(self, folder: Path, progress: Any) -> dict[str, dict[str, Any]]:
        with progress.step("Waiting", 10) as advance:
            for _ in range(10):
                time.sleep(self.inputs["seconds"] / 10)
                advance()
        if self.inputs["crash"]:
            os.kill(os.getpid(), signal.SIGSEGV)
        (folder / "out.txt").write_text(self.inputs["name"])
        return {"out": {"file": "out.txt", "type": "text/plain"}}


WAIT = _Wait()


@dataclass
class Outcome:
    """What was done and what came of it; ``faults`` is empty where all is as it has to be."""

    kills: dict[str, int]
    accepted: int
    refused: int
    unanswered: int
    successful: int
    crashed: int
    most_attempts: int
    seconds: float
    faults: list[str]


def settings_of(database: str | None) -> JobSettings:
    """Short leases, so that the dead are missed soon."""
    return JobSettings(
        job_lease_seconds=3.0,
        job_attempts=ATTEMPTS,
        job_memory_mib=1024,
        jobs_per_client=1000,
        jobs_waiting=1000,
        jobs_database=None if database is None else SecretStr(database),
    )


class Service:
    """Server and worker as processes, begun anew when they are gone."""

    def __init__(self, store: Path, database: str | None) -> None:
        self._arguments = [str(store), database or ""]
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._killed: Counter[str] = Counter()

    def keep(self) -> None:
        """See that both are there."""
        for role in ("server", "worker"):
            if role not in self.processes or self.processes[role].poll() is not None:
                command = [*_PROGRAM, role, *self._arguments, str(self._port)]
                self.processes[role] = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill(self, role: str) -> bool:
        """Kill one of them, or a process of a job; False when there is none."""
        if role != "child":
            _kill(self.processes[role].pid)
            return True
        for pid in self.children():
            folder = _folder_of(pid)
            # What is killed again and again is rightly taken for a job that cannot be done.
            if self._killed[folder] < ATTEMPTS // 2:
                self._killed[folder] += 1
                _kill(pid)
                return True
        return False

    def children(self) -> list[int]:
        """Processes of jobs, whoever began them."""
        return [each.pid for each in psutil.process_iter(["cmdline"]) if _is_child(each, self._arguments[0])]

    def end(self) -> None:
        """Stop both, as an operator does."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(30)


def run(store: Path, database: str | None, kills: int, seed: int) -> Outcome:
    """One run: kill so often, wait for what was accepted, and look."""
    rng = random.Random(seed)
    asked: dict[str, tuple[str, bool]] = {}
    counts = {"server": 0, "worker": 0, "child": 0}
    refused = unanswered = 0
    begun = time.monotonic()
    Store.open(store, settings_of(database))
    with _service(store, database) as service:
        queue = Queue(store, settings_of(database))
        while sum(counts.values()) < kills:
            service.keep()
            name, crash = secrets.token_hex(8), rng.random() < 0.1
            try:
                answer = _submit(service.url, {"seconds": rng.random() / 2, "name": name, "crash": crash})
                if answer.status_code == 201:
                    asked[answer.json()["jobID"]] = (name, crash)
                else:
                    refused += 1
            except httpx.TransportError:
                unanswered += 1
                time.sleep(0.1)
            if len(asked) > 3 and rng.random() < 0.3:
                role = rng.choice(("server", "worker", "child"))
                counts[role] += service.kill(role)
            time.sleep(rng.random() / 2)
        _settle(service, queue)
        faults = [*_lost(queue, asked), *_wrong(queue, asked), *_doubled(queue, asked, unanswered)]
        jobs = queue.jobs(limit=100_000)[0]
        service.end()
        faults += [f"process {pid} is left over" for pid in service.children()]
        queue.close()
    return Outcome(
        kills=counts,
        accepted=len(asked),
        refused=refused,
        unanswered=unanswered,
        successful=sum(job.status == "successful" for job in jobs),
        crashed=sum(job.status == "failed" for job in jobs),
        most_attempts=max(job.attempts for job in jobs),
        seconds=round(time.monotonic() - begun, 1),
        faults=faults,
    )


@contextmanager
def _service(store: Path, database: str | None) -> Iterator[Service]:
    service = Service(store, database)
    try:
        service.keep()
        yield service
    finally:
        for pid in (*(each.pid for each in service.processes.values()), *service.children()):
            _kill(pid)
        for process in service.processes.values():
            process.wait()


def _submit(url: str, inputs: dict[str, Any]) -> httpx.Response:
    address = f"{url}/ogc/processes/{PROCESS}/execution"
    return httpx.post(address, json={"inputs": inputs}, headers={"Prefer": "respond-async"}, timeout=30)


def _settle(service: Service, queue: Queue) -> None:
    end = time.monotonic() + _PATIENCE_S
    while (jobs := queue.backlog().jobs) and jobs.get("accepted", 0) + jobs.get("running", 0):
        if time.monotonic() > end:
            return
        service.keep()
        time.sleep(0.2)


def _lost(queue: Queue, asked: Mapping[str, Any]) -> list[str]:
    return [f"job {id_} is lost" for id_ in set(asked) - queue.known(list(asked))]


def _wrong(queue: Queue, asked: Mapping[str, tuple[str, bool]]) -> list[str]:
    """Jobs in a state they should not be in, or with other results than theirs."""
    faults = []
    for job in queue.jobs(limit=100_000)[0]:
        # What was not answered may have been accepted all the same, and says itself what it wanted.
        wanted = job.request["inputs"]
        name, crash = asked.get(job.id, (wanted["name"], wanted["crash"]))
        if job.status != ("failed" if crash else "successful"):
            faults.append(f"job {job.id} is {job.status}: {job.message}")
        folder = queue.folder / job.id
        kept = {path.name for path in folder.glob("*")} - {"log.txt"}
        if kept != (set() if crash else {"results"}):
            faults.append(f"job {job.id} left {sorted(kept)}")
        elif not crash and (folder / "results" / "out.txt").read_text() != name:
            faults.append(f"job {job.id} has the results of another")
    return faults


def _doubled(queue: Queue, asked: Mapping[str, Any], unanswered: int) -> list[str]:
    more = queue.jobs(limit=1)[1] - len(asked)
    return [] if 0 <= more <= unanswered else [f"{more} jobs nobody asked for, with {unanswered} requests unanswered"]


def _is_child(process: psutil.Process, store: str) -> bool:
    line = process.info["cmdline"] or []
    return _PROGRAM[-1] in line and "child" in line and _works_in(process, store)


def _works_in(process: psutil.Process, store: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.cwd().startswith(store)
    except psutil.Error:
        return False


def _folder_of(pid: int) -> str:
    """The folder of the job that a process works at; empty when it has just ended."""
    try:
        return psutil.Process(pid).cwd()
    except psutil.Error:
        return ""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# What the processes run


def _serve(store: Path, settings: JobSettings, port: int) -> None:
    import uvicorn
    from fastapi import FastAPI

    from processors.process_router import process_router
    from service import problems

    app = FastAPI()
    problems.install(app)
    app.include_router(process_router(Store.open(store, settings, create=False), settings))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def _work(store: Path, settings: JobSettings) -> None:
    from processors.jobs import worker
    from processors.jobs.kinship import end_with

    worker._CHILD = (*_PROGRAM, "child")  # type: ignore[assignment]
    if end_with(os.getppid(), signal.SIGTERM):
        worker.run_worker(store, settings, worker.stop_on_signals())


def _role(name: str, arguments: list[str]) -> int:
    processes._PROCESSES[PROCESS] = f"{__name__}:WAIT"
    if name == "child":
        from processors.jobs import child

        return child.main()
    store, database, port = arguments
    settings = settings_of(database or None)
    if name == "server":
        _serve(Path(store), settings, int(port))
    else:
        _work(Path(store), settings)
    return 0


def main() -> int:
    """The command; 1 when something was lost."""
    if len(sys.argv) > 1 and sys.argv[1] in ("server", "worker", "child"):
        return _role(sys.argv[1], sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", help="PostgreSQL for the queue; a file without it")
    parser.add_argument("--store", type=Path, help="folder to work in; a temporary one without it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-jobs-") as folder:
        outcome = run(given.store or Path(folder), given.database, given.kills, given.seed)
    print(json.dumps(vars(outcome), indent=1))
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
