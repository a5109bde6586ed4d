"""``cup4soil worker``: runs the jobs of a store."""

import logging
import signal
import threading
from pathlib import Path
from types import FrameType

import click

from processors.jobs.worker import run_worker
from service.commands.serve import named_store
from service.settings import ServiceSettings


@click.command()
@click.option(
    "--store", type=click.Path(path_type=Path, file_okay=False), help="Store whose jobs to run (or CUP4SOIL_STORE)."
)
def worker(store: Path | None) -> None:
    """Run the jobs of a store until ended; the job at hand goes back to the queue then."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = ServiceSettings()
    root = named_store(store, settings)
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    run_worker(root, settings, stop)
