"""One job in a process of its own: ``python -m processors.jobs.child``, started by the worker.

The task comes as JSON on standard input; progress and the end go as lines of JSON to standard output.
What libraries print goes to standard error, the job's log.
"""

import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from processors.jobs.kinship import end_with

_MIB = 2**20
# The rest is the preview and the statistics.
_SHARE_OF_STEPS = 95


class PipeProgress:
    """Sends the progress of a job, in percent, to the worker."""

    def __init__(self, report: TextIO) -> None:
        self._report = report

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Any]:
        """See :class:`cup4soil.progress.Progress`."""
        done = 0

        def advance(parts: int = 1, /) -> None:
            nonlocal done
            done += parts
            send(self._report, progress=_SHARE_OF_STEPS * done // max(total, 1), message=title)

        send(self._report, progress=0, message=title)
        yield advance


def send(report: TextIO, **line: object) -> None:
    """Write one line to the worker."""
    report.write(json.dumps(line) + "\n")
    report.flush()


def main() -> int:
    """Run the task given on standard input; 0 when its end, good or bad, was reported."""
    task = json.load(sys.stdin)
    if not end_with(task["worker"], signal.SIGKILL):
        return 1
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = task["memory_mib"] * _MIB
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with _report() as report:
        send(report, **_run(task, report))
    return 0


def _run(task: dict[str, Any], report: TextIO) -> dict[str, object]:
    """Run the process; the last line for the worker."""
    # Heavy imports come after the limits, and after the kernel knows whom to follow.
    from cup4soil.errors import ClusterLost, Cup4soilError, StoreError
    from processors.jobs.failures import Failure
    from processors.jobs.results import write_results
    from processors.jobs.settings import JobSettings
    from processors.processes import process

    settings = JobSettings.model_validate(task["settings"])
    folder = Path(task["folder"])
    try:
        plan = process(task["process"]).plan(Path(task["store"]), settings, task["inputs"])
        write_results(folder, plan.run(folder, PipeProgress(report)))
    except MemoryError:
        traceback.print_exc()
        return {"failure": Failure.of_memory(task["memory_mib"]).to_json()}
    except ClusterLost:
        traceback.print_exc()
        return {"failure": Failure.of_cluster().to_json()}
    except StoreError:
        # Its words name folders of this machine: they belong into the log.
        traceback.print_exc()
        return {"failure": Failure.unexpected().to_json()}
    except Cup4soilError as error:
        return {"failure": Failure.of(error).to_json()}
    return {"done": True}


@contextmanager
def _report() -> Iterator[TextIO]:
    """Standard output for the report alone; whatever else is printed goes to standard error."""
    own = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with os.fdopen(own, "w", encoding="utf-8") as report:
        yield report


if __name__ == "__main__":
    sys.exit(main())
