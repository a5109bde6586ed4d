"""What a job is: one execution of a process, as the queue keeps it."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import RowMapping

from processors.jobs.errors import NoSuchJob
from processors.jobs.failures import Failure

ANONYMOUS = "anonymous"
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

type JobStatus = Literal["accepted", "running", "successful", "failed", "dismissed"]
STATES: tuple[JobStatus, ...] = ("accepted", "running", "successful", "failed", "dismissed")
FINAL: frozenset[JobStatus] = frozenset({"successful", "failed", "dismissed"})


@dataclass(frozen=True, slots=True)
class Job:
    """One execution of a process. ``request`` is the checked body that asked for it; ``progress`` in percent.

    ``size`` are the bytes of its results, 0 once they are not kept any more.
    """

    id: str
    process: str
    request: dict[str, Any]
    client: str
    status: JobStatus
    progress: int
    message: str
    created: datetime
    started: datetime | None
    updated: datetime
    finished: datetime | None
    attempts: int
    failure: Failure | None
    size: int

    @classmethod
    def of_row(cls, row: RowMapping) -> "Job":
        """The job that a row of the queue's table tells of."""
        return cls(
            id=row["id"],
            process=row["process"],
            request=json.loads(row["request"]),
            client=row["client"],
            status=row["status"],
            progress=row["progress"],
            message=row["message"],
            created=_time(row["created"]),
            started=None if row["started"] is None else _time(row["started"]),
            updated=_time(row["updated"]),
            finished=None if row["finished"] is None else _time(row["finished"]),
            attempts=row["attempts"],
            failure=None if row["failure"] is None else Failure.from_json(row["failure"]),
            size=row["bytes"],
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """A job held by a worker; ``token`` tells this hold from any other."""

    job: Job
    token: str


def is_job_id(text: str) -> bool:
    """True for what can be the id of a job: nothing that could name another path."""
    return _ID.fullmatch(text) is not None


def no_such_job(id_: str) -> NoSuchJob:
    """The error for an id that names no job."""
    shown = id_ if is_job_id(id_) else "of that id"
    return NoSuchJob(f"no job {shown}", "jobs are forgotten after a time; start it again")


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
