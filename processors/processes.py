"""The processes that the service offers, by id: the one list that router, manager and worker use."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from cup4soil.progress import Progress
from processors.jobs.errors import NoSuchProcess
from processors.jobs.settings import JobSettings

# A process is imported when it is used: the worker, which only watches, needs none.
_PROCESSES = {"predict-soil-property": "processors.predict_process:PROCESS"}


class Plan(Protocol):
    """An execution whose inputs are checked; nothing is read yet."""

    @property
    def cells(self) -> int:
        """Cells to compute: what decides between an answer at once and a job."""
        ...

    def run(self, folder: Path, progress: Progress) -> dict[str, dict[str, Any]]:
        """Write the outputs into ``folder``; returns them by name: ``file`` and ``type``, or a ``value``."""
        ...


class Process(Protocol):
    """A process: its description as OGC API Processes has it, and how an execution is planned."""

    @property
    def description(self) -> Mapping[str, Any]:
        """``id``, ``title``, ``inputs``, ``outputs`` and so on."""
        ...

    def plan(self, store: Path, settings: JobSettings, inputs: Mapping[str, Any]) -> Plan:
        """Check ``inputs`` and plan the execution.

        Raises:
            InvalidInput: when an input is missing, unknown or cannot be used.
            LimitExceeded: when the request is larger than any job may be.
            NoData: when the store has nothing to compute from.
        """
        ...


def process_ids() -> tuple[str, ...]:
    """Ids of all processes."""
    return tuple(_PROCESSES)


def process(id_: str) -> Process:
    """The process of this id.

    Raises:
        NoSuchProcess: when there is none.
    """
    if id_ not in _PROCESSES:
        raise NoSuchProcess("no process of that name", f"use one of {', '.join(_PROCESSES)}")
    module, _, name = _PROCESSES[id_].partition(":")
    return cast(Process, getattr(import_module(module), name))
