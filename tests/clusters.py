"""Dask clusters of real processes, and runs that are disturbed at a known moment."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from distributed import Client

from cup4soil.progress import Silent

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def process(*arguments: object) -> Iterator[subprocess.Popen]:
    child = subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def wait_for(condition, seconds: float = 30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


class Acting(Silent):
    """Calls ``act`` once, when ``after`` parts of the first step are done."""

    def __init__(self, act, after: int = 1) -> None:
        self._act, self._after, self._done = act, after, 0

    @contextmanager
    def step(self, title: str, total: int):
        def advance(parts: int = 1, /) -> None:
            self._done += parts
            if self._act and self._done >= self._after:
                act, self._act = self._act, None
                act()

        yield advance


@contextmanager
def scheduler(folder: Path, workers: int) -> Iterator[tuple[str, subprocess.Popen]]:
    """A Dask scheduler and workers, each a process of its own; the address."""
    note = folder / "scheduler.json"
    quiet = ["--no-dashboard"]
    start = ["-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", note, *quiet]
    with process(*start) as main:
        address = wait_for(lambda: note.exists() and note.read_text() and json.loads(note.read_text())["address"], 120)
        if not workers:
            yield address, main
            return
        options = ["--nworkers", workers, "--nthreads", 1, "--local-directory", folder, *quiet]
        with process("-m", "dask", "worker", address, *options) as helpers:
            with Client(address, set_as_default=False) as client:
                client.wait_for_workers(workers, timeout=300)
            yield address, main
            for worker in psutil.Process(helpers.pid).children(recursive=True):
                worker.kill()


def a_while(plan: float, item: int) -> int:
    """A task that takes ``plan`` seconds."""
    time.sleep(plan)
    return item * item
