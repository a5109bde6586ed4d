"""Which jobs a list holds, as a choice of the client and as conditions of the queue's table."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func

from processors.jobs.database import JOBS
from processors.jobs.job import JobStatus

# What clients are shown of a time is rounded to microseconds.
_HALF_MICROSECOND = 5e-7
_JOB = JOBS.c


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; an empty field asks nothing.

    ``created``: earliest and latest instant, each open where None; durations (s) of jobs that have begun, up to
    now for those that have not ended.
    """

    client: str | None = None
    processes: tuple[str, ...] = ()
    statuses: tuple[JobStatus, ...] = ()
    created: tuple[datetime | None, datetime | None] = (None, None)
    least_s: float | None = None
    most_s: float | None = None

    def conditions(self, now: float) -> Iterator[ColumnElement[bool]]:
        """What has to hold for a row; ``now`` in seconds since 1970."""
        if self.client is not None:
            yield _JOB.client == self.client
        if self.processes:
            yield _JOB.process.in_(self.processes)
        if self.statuses:
            yield _JOB.status.in_(self.statuses)
        earliest, latest = self.created
        if earliest is not None:
            yield _JOB.created >= earliest.timestamp() - _HALF_MICROSECOND
        if latest is not None:
            yield _JOB.created <= latest.timestamp() + _HALF_MICROSECOND
        duration = func.coalesce(_JOB.finished, now) - _JOB.started
        if self.least_s is not None:
            yield duration >= self.least_s
        if self.most_s is not None:
            yield duration <= self.most_s
