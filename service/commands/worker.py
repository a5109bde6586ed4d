"""``cup4soil worker``: runs the jobs of a store."""

import signal
from pathlib import Path

import click

from processors.jobs.kinship import end_with
from processors.jobs.worker import run_worker, stop_on_signals
from service import logs
from service.commands.serve import named_store
from service.settings import ServiceSettings


@click.command()
@click.option(
    "--store", type=click.Path(path_type=Path, file_okay=False), help="Store whose jobs to run (or CUP4SOIL_STORE)."
)
@click.option("--parent", type=int, hidden=True, help="Process with which the worker shall end.")
def worker(store: Path | None, parent: int | None) -> None:
    """Run the jobs of a store until ended; the job at hand goes back to the queue then."""
    if parent is not None and not end_with(parent, signal.SIGTERM):
        return
    settings = ServiceSettings()
    logs.configure(settings)
    root = named_store(store, settings)
    run_worker(root, settings, stop_on_signals())
