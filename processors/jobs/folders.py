"""Folders of jobs: ``jobs/<id>/results`` appears whole, ``jobs/<id>/attempt-*`` is what a worker fills."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from cup4soil.errors import NotFound, writing
from processors.jobs.errors import ResultsGone
from processors.jobs.job import Job, is_job_id, no_such_job
from processors.jobs.queue import Queue
from processors.jobs.results import RESULTS_FILE
from stac_catalog.files import discard, remove_leftovers, sync_file, sync_folder

LOG_FILE = "log.txt"
_RESULTS = "results"
_ATTEMPT = "attempt-"
# An answer given at once has a folder before it has an entry in the queue, but never for so long.
_ORPHAN_S = 86_400.0


class JobFolders:
    """The folders beside the queue in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, id_: str) -> Path:
        """Folder of a job.

        Raises:
            NoSuchJob: when ``id_`` is no id of a job.
        """
        if not is_job_id(id_):
            raise no_such_job(id_)
        return self._folder / id_

    @contextmanager
    def attempt(self, id_: str) -> Iterator[Path]:
        """A folder to fill; what is not published by then is gone when the context is left."""
        job = self.of(id_)
        with writing(job):
            for old in job.glob(f"{_ATTEMPT}*"):
                shutil.rmtree(old, ignore_errors=True)
            remove_leftovers(job)
            folder = job / f"{_ATTEMPT}{uuid4().hex}"
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                # Only where nothing else is in it: neither results nor a log.
                job.rmdir()

    def publish(self, id_: str, attempt: Path) -> None:
        """Make what was filled the results of the job, on the disk for good; once more does no harm."""
        results = self.of(id_) / _RESULTS
        if results.exists() and not attempt.exists():
            # The queue could not note it then.
            return
        with writing(results):
            for path in attempt.iterdir():
                sync_file(path)
            sync_folder(attempt)
            if results.exists():
                # A worker was killed between this rename and the note in the queue.
                discard(results)
            attempt.rename(results)
            sync_folder(results.parent)

    def results(self, job: Job) -> dict[str, Any]:
        """What the process wrote about its outputs.

        Raises:
            ResultsGone: when they are not there any more.
        """
        try:
            found: dict[str, Any] = json.loads(self.path(job, RESULTS_FILE).read_bytes())
        except FileNotFoundError:
            raise _gone(job.id) from None
        return found

    def path(self, job: Job, name: str) -> Path:
        """Path of a file that is known to be one of the results of a job.

        Raises:
            ResultsGone: when it is not there any more.
        """
        path = self.of(job.id) / _RESULTS / name
        if not path.is_file():
            raise _gone(job.id)
        return path

    def result_file(self, job: Job, name: str) -> Path:
        """Path of a file among the results of a finished job.

        Raises:
            NotFound: when there is none of this name.
            ResultsGone: when it is not there any more.
        """
        outputs = self.results(job) if job.status == "successful" else {}
        if PurePosixPath(name).name != name or name not in {output.get("file") for output in outputs.values()}:
            raise NotFound(f"job {job.id} has no file of that name", "see its results for what there is")
        return self.path(job, name)

    def remove(self, id_: str) -> None:
        """Remove everything of a job; nobody sees a part of it."""
        folder = self.of(id_)
        try:
            discard(folder)
        except FileNotFoundError:
            return

    def remove_results(self, id_: str) -> None:
        """Remove the results of a job that was dismissed."""
        results = self.of(id_) / _RESULTS
        try:
            discard(results)
        except FileNotFoundError:
            return

    def clean(self, queue: Queue) -> None:
        """Drop jobs that are too old, and the oldest results where the room for them is used up.

        Raises:
            StoreError: when they cannot be removed.
        """
        with writing(self._folder):
            for id_ in queue.forget():
                self.remove(id_)
            for id_ in queue.make_room():
                self.remove_results(id_)

    def sweep(self, queue: Queue) -> None:
        """Clean, and remove what killed processes left: folders that no job has.

        Raises:
            StoreError: when they cannot be removed.
        """
        self.clean(queue)
        with writing(self._folder):
            remove_leftovers(self._folder)
            old = [path.name for path in self._folder.iterdir() if is_job_id(path.name) and _is_old(path)]
            for id_ in set(old) - queue.known(old):
                self.remove(id_)


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _is_old(folder: Path) -> bool:
    try:
        return folder.stat().st_mtime < time.time() - _ORPHAN_S
    except FileNotFoundError:
        return False


def _gone(id_: str) -> ResultsGone:
    return ResultsGone(f"the results of job {id_} are not kept any more", "start it again")
