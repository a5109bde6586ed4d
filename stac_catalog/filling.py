"""Many folders of items filled by several processes, with the result of one."""

import logging
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Self

from cup4soil.errors import Cup4soilError
from stac_catalog.helpers import HelperLost, Helpers
from stac_catalog.item_folders import ItemFolders, Job

_ALONE: Final = 500  # jobs before helpers are called: fewer are done sooner than helpers are there
_SHARE: Final = 20  # jobs that are given out together
_SHARES: Final = 8  # that are under way for each process
_LOG = logging.getLogger(__name__)

type Done = tuple[Job, Cup4soilError | None]


@dataclass(slots=True)
class _Share:
    jobs: list[Job]
    outcomes: Future[list[Cup4soilError | None]]


class Crew:
    """This process and, when there is much to do, helpers. Tells in the order of the jobs how they ended."""

    def __init__(self, folders: ItemFolders, helpers: int) -> None:
        self._folders = folders
        self._wanted = helpers
        self._helpers: Helpers | None = None
        self._count = 0
        self._next: list[Job] = []
        self._shares: deque[_Share] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._helpers is not None:
            self._helpers.dismiss()

    def take(self, job: Job) -> Iterator[Done]:
        """Take on a job; yields those that are done meanwhile, this one or earlier ones."""
        self._count += 1
        if self._count > _ALONE:
            self._call_helpers()
        if self._helpers is None:
            yield job, self._folders.outcome(job)
            return
        self._next.append(job)
        if len(self._next) >= _SHARE:
            self._give_out(self._helpers)
        if len(self._shares) > _SHARES * (1 + self._wanted):
            yield from self._first()

    def rest(self) -> Iterator[Done]:
        """Yields all that were taken on and not told yet."""
        if self._helpers is not None and self._next:
            self._give_out(self._helpers)
        while self._shares:
            yield from self._first()

    def _call_helpers(self) -> None:
        if self._helpers is not None or self._wanted < 1:
            return
        try:
            self._helpers = Helpers(self._folders, self._wanted)
        except OSError as error:
            _LOG.warning("folders of items are filled by one process: %s", error)
            self._wanted = 0

    def _give_out(self, helpers: Helpers) -> None:
        self._shares.append(_Share(self._next, helpers.ask(self._next)))
        self._next = []

    def _first(self) -> Iterator[Done]:
        """The share that was given out first; until it is done, this process does those that nobody has begun."""
        first = self._shares[0]
        for share in reversed(self._shares):
            if first.outcomes.done():
                break
            if share.outcomes.cancel():
                share.outcomes = Future()
                share.outcomes.set_result(self._own(share))
        self._shares.popleft()
        try:
            outcomes = first.outcomes.result()
        except HelperLost as error:
            _LOG.warning("%s; its share is done here", error)
            for job in first.jobs:
                shutil.rmtree(job.part, ignore_errors=True)
            outcomes = self._own(first)
        yield from zip(first.jobs, outcomes, strict=True)

    def _own(self, share: _Share) -> list[Cup4soilError | None]:
        return [self._folders.outcome(job) for job in share.jobs]
