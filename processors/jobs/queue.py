"""The queue of jobs, which every process of the service opens: see :mod:`processors.jobs.database`.

A worker holds a job by a lease that it renews; a job whose lease ran out is taken again. Every
change by a worker names its claim, so that one which lost its job can change nothing any more.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, literal_column, or_, select, update

from cup4soil.errors import writing
from processors.jobs.database import JOBS, database
from processors.jobs.errors import Busy, NoSuchJob
from processors.jobs.failures import Failure
from processors.jobs.settings import JobSettings

JOBS_FOLDER = "jobs"
DATABASE = "queue.sqlite"
ANONYMOUS = "anonymous"
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_MIB = 2**20
_DAY_S = 86_400.0
# What clients are shown of a time is rounded to microseconds.
_HALF_MICROSECOND = 5e-7
_JOB = JOBS.c
_OPEN = _JOB.status.in_(("accepted", "running"))

type JobStatus = Literal["accepted", "running", "successful", "failed", "dismissed"]
FINAL: frozenset[JobStatus] = frozenset({"successful", "failed", "dismissed"})


@dataclass(frozen=True, slots=True)
class Job:
    """One execution of a process. ``request`` is the checked body that asked for it; ``progress`` in percent."""

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


@dataclass(frozen=True, slots=True)
class Claim:
    """A job held by a worker; ``token`` tells this hold from any other."""

    job: Job
    token: str


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


@dataclass(frozen=True, slots=True)
class Backlog:
    """``jobs``: how many there are of each status; ``waiting_s``: how long the oldest waiting one has waited."""

    jobs: Mapping[str, int]
    waiting_s: float


class Queue:
    """The jobs of the store at ``root``."""

    def __init__(self, root: Path, settings: JobSettings) -> None:
        self.folder = root / JOBS_FOLDER
        self._settings = settings
        url = settings.jobs_database
        self._database = database(self.folder / DATABASE, None if url is None else url.get_secret_value())
        with writing(self.folder):
            self.folder.mkdir(exist_ok=True)
        self._database.prepare()
        # Tells jobs made in the same instant apart.
        self._number: ColumnElement[int] = literal_column(self._database.number)

    def close(self) -> None:
        """Let go of the database; a later use opens it again."""
        self._database.close()

    def submit(self, process: str, request: dict[str, Any], client: str = ANONYMOUS) -> Job:
        """Accept a job.

        Raises:
            Busy: when too many jobs are waiting or running, of this client or of all.
        """
        with self._database.changing() as db:
            self._check_room(db, client)
            job = self._insert(db, str(uuid4()), process, request, client)
        return _job(job)

    def add_finished(
        self, id_: str, process: str, request: dict[str, Any], client: str, *, size: int, publish: Callable[[], None]
    ) -> Job:
        """Record a job that was executed at once; ``publish`` puts its results of ``size`` bytes in place."""
        now = time.time()
        with self._database.changing() as db:
            self._insert(db, id_, process, request, client)
            publish()
            row = self._end(db, id_, "successful", "Finished", now, size=size, started=now)
        return _job(row)

    def backlog(self) -> Backlog:
        """How many jobs there are, and how long they wait.

        Raises:
            StoreError: when the queue cannot be read.
        """
        with self._database.reading() as db:
            rows = db.execute(select(_JOB.status, func.count()).group_by(_JOB.status)).all()
            oldest = db.scalar(select(func.min(_JOB.created)).where(_JOB.status == "accepted"))
        jobs = {str(status): int(count) for status, count in rows}
        return Backlog(jobs, 0.0 if oldest is None else max(0.0, time.time() - oldest))

    def claim(self) -> Claim | None:
        """Take the oldest job that waits or whose worker went silent; None when there is none."""
        now, token = time.time(), uuid4().hex
        with self._database.changing() as db:
            self._give_up(db, now)
            silent = (_JOB.status == "running") & (_JOB.lease_until < now)
            oldest = select(_JOB.id).where(or_(_JOB.status == "accepted", silent)).order_by(_JOB.created, self._number)
            id_ = db.scalar(oldest.limit(1))
            if id_ is None:
                return None
            started = func.coalesce(_JOB.started, now)
            until = now + self._settings.job_lease_seconds
            row = _changed(
                db, id_, status="running", message="Started", progress=0, claim=token, lease_until=until,
                attempts=_JOB.attempts + 1, started=started, updated=now,
            )  # fmt: skip
        return Claim(_job(row), token)

    def beat(self, claim: Claim, progress: int, message: str) -> bool:
        """Renew the lease and tell where the job stands; False when it was dismissed or taken by another worker."""
        now = time.time()
        until = now + self._settings.job_lease_seconds
        return self._held(claim, progress=_percent(progress), message=message, lease_until=until, updated=now)

    def release(self, claim: Claim) -> bool:
        """Give a job back as if it had not been begun."""
        return self._held(
            claim, status="accepted", message="Waiting", progress=0, claim=None, lease_until=None,
            attempts=_JOB.attempts - 1, updated=time.time(),
        )  # fmt: skip

    def finish(self, claim: Claim, *, size: int, publish: Callable[[], None]) -> bool:
        """Mark a job as successful; ``publish`` puts its results of ``size`` bytes in place. False when not held."""
        with self._database.changing() as db:
            if not _is_held(db, claim):
                return False
            publish()
            self._end(db, claim.job.id, "successful", "Finished", time.time(), size=size)
        return True

    def fail(self, claim: Claim, failure: Failure) -> bool:
        """Mark a job as failed; False when it is not held."""
        with self._database.changing() as db:
            if not _is_held(db, claim):
                return False
            self._end(db, claim.job.id, "failed", str(failure), time.time(), failure=failure)
        return True

    def dismiss(self, id_: str) -> Job:
        """End a job, or forget the results of a finished one; a running one is killed by its worker.

        Raises:
            NoSuchJob: when there is none.
        """
        self.get(id_)
        with self._database.changing() as db:
            row = self._end(db, id_, "dismissed", "Dismissed", time.time())
        return _job(row)

    def get(self, id_: str) -> Job:
        """The job of this id.

        Raises:
            NoSuchJob: when there is none.
        """
        row = None
        if is_job_id(id_):
            with self._database.reading() as db:
                row = db.execute(select(JOBS).where(_JOB.id == id_)).mappings().first()
        if row is None:
            raise no_such_job(id_)
        return _job(row)

    def jobs(self, fitting: JobFilter | None = None, *, limit: int = 10, offset: int = 0) -> tuple[list[Job], int]:
        """The jobs that fit, the newest first; and how many there are without ``limit``."""
        wanted = list(_fitting(fitting or JobFilter()))
        newest = select(JOBS).where(*wanted).order_by(_JOB.created.desc(), self._number.desc())
        with self._database.reading() as db:
            matched = _count(db, *wanted)
            rows = db.execute(newest.limit(limit).offset(offset)).mappings().all()
        return [_job(row) for row in rows], matched

    def forget(self) -> list[str]:
        """Drop finished jobs that are too old, or past the room for results; their ids."""
        oldest = time.time() - self._settings.job_retention_days * _DAY_S
        with self._database.changing() as db:
            total = func.sum(_JOB.bytes).over(order_by=(_JOB.finished.desc(), _JOB.id)).label("total")
            sized = select(_JOB.id, total).where(_JOB.finished.is_not(None), _JOB.bytes > 0).subquery()
            past = select(sized.c.id).where(sized.c.total > self._settings.job_results_mib * _MIB)
            old = _JOB.finished.is_not(None) & or_(_JOB.finished < oldest, _JOB.id.in_(past))
            return list(db.scalars(delete(JOBS).where(old).returning(_JOB.id)))

    def _check_room(self, db: Connection, client: str) -> None:
        """The cap of one client comes first: it says what that client can do about it."""
        own = _count(db, _OPEN, _JOB.client == client)
        if own >= self._settings.jobs_per_client:
            raise Busy(
                f"{own} of your jobs are waiting or running, the limit is {self._settings.jobs_per_client}",
                "wait for one to finish, or dismiss one",
            )
        waiting = _count(db, _OPEN)
        if waiting >= self._settings.jobs_waiting:
            raise Busy(
                f"{waiting} jobs are waiting or running, the limit is {self._settings.jobs_waiting}", "try later"
            )

    def _insert(self, db: Connection, id_: str, process: str, request: dict[str, Any], client: str) -> RowMapping:
        now = time.time()
        job = {
            "id": id_,
            "process": process,
            "request": json.dumps(request),
            "client": client,
            "status": "accepted",
            "message": "Waiting",
            "created": now,
            "updated": now,
        }
        return db.execute(insert(JOBS).values(job).returning(*JOBS.c)).mappings().one()

    def _give_up(self, db: Connection, now: float) -> None:
        """Fail the jobs whose workers died too often."""
        attempts = self._settings.job_attempts
        failure = Failure.of_lost_workers(attempts)
        lost = (_JOB.status == "running") & (_JOB.lease_until < now) & (_JOB.attempts >= attempts)
        db.execute(
            update(JOBS).where(lost).values(
                status="failed", message=str(failure), failure=failure.to_json(), claim=None, lease_until=None,
                finished=now, updated=now,
            )
        )  # fmt: skip

    def _end(
        self,
        db: Connection,
        id_: str,
        status: JobStatus,
        message: str,
        now: float,
        *,
        size: int = 0,
        started: float | None = None,
        failure: Failure | None = None,
    ) -> RowMapping:
        more = {"progress": 100} if status == "successful" else {}
        return _changed(
            db, id_, status=status, message=message, claim=None, lease_until=None,
            started=func.coalesce(_JOB.started, started), finished=func.coalesce(_JOB.finished, now), updated=now,
            bytes=size, failure=failure.to_json() if failure else None, **more,
        )  # fmt: skip

    def _held(self, claim: Claim, /, **changes: object) -> bool:
        with self._database.changing() as db:
            return db.execute(update(JOBS).where(_holds(claim)).values(changes)).rowcount == 1


def is_job_id(text: str) -> bool:
    """True for what :meth:`Queue.submit` gives as id: nothing that could name another path."""
    return _ID.fullmatch(text) is not None


def no_such_job(id_: str) -> NoSuchJob:
    """The error for an id that names no job."""
    shown = id_ if is_job_id(id_) else "of that id"
    return NoSuchJob(f"no job {shown}", "jobs are forgotten after a time; start it again")


def _is_held(db: Connection, claim: Claim) -> bool:
    return _count(db, _holds(claim)) == 1


def _holds(claim: Claim) -> ColumnElement[bool]:
    return (_JOB.id == claim.job.id) & (_JOB.claim == claim.token) & (_JOB.status == "running")


def _fitting(wanted: JobFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.client is not None:
        yield _JOB.client == wanted.client
    if wanted.processes:
        yield _JOB.process.in_(wanted.processes)
    if wanted.statuses:
        yield _JOB.status.in_(wanted.statuses)
    earliest, latest = wanted.created
    if earliest is not None:
        yield _JOB.created >= earliest.timestamp() - _HALF_MICROSECOND
    if latest is not None:
        yield _JOB.created <= latest.timestamp() + _HALF_MICROSECOND
    duration = func.coalesce(_JOB.finished, time.time()) - _JOB.started
    if wanted.least_s is not None:
        yield duration >= wanted.least_s
    if wanted.most_s is not None:
        yield duration <= wanted.most_s


def _count(db: Connection, *conditions: ColumnElement[bool]) -> int:
    return db.scalar(select(func.count()).select_from(JOBS).where(*conditions)) or 0


def _changed(db: Connection, id_: str, **changes: object) -> RowMapping:
    row = db.execute(update(JOBS).where(_JOB.id == id_).values(changes).returning(*JOBS.c)).mappings().first()
    if row is None:
        raise no_such_job(id_)
    return row


def _percent(progress: int) -> int:
    return max(0, min(100, progress))


def _job(row: RowMapping) -> Job:
    return Job(
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
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
