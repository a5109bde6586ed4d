"""``cup4soil worker``: runs the jobs of a store."""

import ctypes
import logging
import os
import signal
import threading
from pathlib import Path
from types import FrameType

import click

from processors.jobs.worker import run_worker
from service.commands.serve import named_store
from service.settings import ServiceSettings

_PR_SET_PDEATHSIG = 1


@click.command()
@click.option(
    "--store", type=click.Path(path_type=Path, file_okay=False), help="Store whose jobs to run (or CUP4SOIL_STORE)."
)
@click.option("--parent", type=int, hidden=True, help="Process with which the worker shall end.")
def worker(store: Path | None, parent: int | None) -> None:
    """Run the jobs of a store until ended; the job at hand goes back to the queue then."""
    if parent is not None:
        _end_with(parent)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = ServiceSettings()
    root = named_store(store, settings)
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    run_worker(root, settings, stop)


def _end_with(parent: int) -> None:
    """Be ended by the system when the process that began this one dies, however it dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(0)
