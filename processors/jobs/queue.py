"""The queue of jobs, which every process of the service opens: see :mod:`processors.jobs.database`.

A worker holds a job by a lease that it renews; a job whose lease ran out is taken again. Every
change by a worker names its claim, so that one which lost its job can change nothing any more.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, literal_column, or_, select, update

from cup4soil.errors import writing
from processors.jobs.database import JOBS, database
from processors.jobs.errors import Busy
from processors.jobs.failures import Failure
from processors.jobs.job import ANONYMOUS, Claim, Job, JobStatus, is_job_id, no_such_job
from processors.jobs.job_filter import JobFilter
from processors.jobs.settings import JobSettings

JOBS_FOLDER = "jobs"
DATABASE = "queue.sqlite"
_MIB = 2**20
_DAY_S = 86_400.0
_IDS_AT_ONCE = 500
_JOB = JOBS.c
_OPEN = _JOB.status.in_(("accepted", "running"))


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
        return Job.of_row(job)

    def add_finished(
        self, id_: str, process: str, request: dict[str, Any], client: str, *, size: int, publish: Callable[[], None]
    ) -> Job:
        """Record a job that was executed at once; ``publish`` puts its results of ``size`` bytes in place."""
        with self._database.changing() as db:
            started = self._insert(db, id_, process, request, client)["created"]
            publish()
            row = self._end(db, id_, "successful", "Finished", size=size, started=started)
        return Job.of_row(row)

    def backlog(self) -> Backlog:
        """How many jobs there are, and how long they wait.

        Raises:
            StoreError: when the queue cannot be read.
        """
        with self._database.reading() as db:
            rows = db.execute(select(_JOB.status, func.count()).group_by(_JOB.status)).all()
            oldest = db.scalar(select(func.min(_JOB.created)).where(_JOB.status == "accepted"))
            waiting_s = 0.0 if oldest is None else max(0.0, self._database.now(db) - oldest)
        return Backlog({str(status): int(count) for status, count in rows}, waiting_s)

    def claim(self) -> Claim | None:
        """Take the oldest job that waits or whose worker went silent; None when there is none."""
        token = uuid4().hex
        with self._database.changing() as db:
            now = self._database.now(db)
            silent = self._is_silent(now)
            self._give_up(db, silent, now)
            oldest = select(_JOB.id).where(or_(_JOB.status == "accepted", silent)).order_by(_JOB.created, self._number)
            id_ = db.scalar(oldest.limit(1))
            if id_ is None:
                return None
            row = _changed(
                db, id_, status="running", message="Started", progress=0, claim=token, updated=now,
                lease_until=now + self._settings.job_lease_seconds, attempts=_JOB.attempts + 1,
                started=func.coalesce(_JOB.started, now),
            )  # fmt: skip
        return Claim(Job.of_row(row), token)

    def beat(self, claim: Claim, progress: int, message: str) -> bool:
        """Renew the lease and tell where the job stands; False when it was dismissed or taken by another worker."""
        with self._database.changing() as db:
            now = self._database.now(db)
            until = now + self._settings.job_lease_seconds
            return _held(
                db, claim, progress=max(0, min(100, progress)), message=message, lease_until=until, updated=now
            )

    def release(self, claim: Claim, *, tried: bool = False) -> bool:
        """Give a job back, as if it had not been begun unless it was ``tried``; False when it is not held."""
        attempts = _JOB.attempts if tried else _JOB.attempts - 1
        with self._database.changing() as db:
            return _held(
                db, claim, status="accepted", message="Waiting", progress=0, claim=None, lease_until=None,
                started=None, attempts=attempts, updated=self._database.now(db),
            )  # fmt: skip

    def finish(self, claim: Claim, *, size: int, publish: Callable[[], None]) -> bool:
        """Mark a job as successful; ``publish`` puts its results of ``size`` bytes in place. False when not held."""
        with self._database.changing() as db:
            if not _is_held(db, claim):
                return False
            publish()
            self._end(db, claim.job.id, "successful", "Finished", size=size)
        return True

    def fail(self, claim: Claim, failure: Failure) -> bool:
        """Mark a job as failed; False when it is not held."""
        with self._database.changing() as db:
            if not _is_held(db, claim):
                return False
            self._end(db, claim.job.id, "failed", str(failure), failure=failure)
        return True

    def dismiss(self, id_: str) -> Job:
        """End a job, or forget the results of a finished one; a running one is killed by its worker.

        Raises:
            NoSuchJob: when there is none.
        """
        if not is_job_id(id_):
            raise no_such_job(id_)
        with self._database.changing() as db:
            row = self._end(db, id_, "dismissed", "Dismissed")
        return Job.of_row(row)

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
        return Job.of_row(row)

    def jobs(self, fitting: JobFilter | None = None, *, limit: int = 10, offset: int = 0) -> tuple[list[Job], int]:
        """The jobs that fit, the newest first; and how many there are without ``limit``."""
        with self._database.reading() as db:
            wanted = list((fitting or JobFilter()).conditions(self._database.now(db)))
            newest = select(JOBS).where(*wanted).order_by(_JOB.created.desc(), self._number.desc())
            matched = _count(db, *wanted)
            rows = db.execute(newest.limit(limit).offset(offset)).mappings().all()
        return [Job.of_row(row) for row in rows], matched

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of ``ids`` that are jobs."""
        parts = (ids[first : first + _IDS_AT_ONCE] for first in range(0, len(ids), _IDS_AT_ONCE))
        with self._database.reading() as db:
            return {id_ for part in parts for id_ in db.scalars(select(_JOB.id).where(_JOB.id.in_(part)))}

    def forget(self) -> list[str]:
        """Drop finished jobs that are too old; their ids."""
        with self._database.changing() as db:
            oldest = self._database.now(db) - self._settings.job_retention_days * _DAY_S
            return list(db.scalars(delete(JOBS).where(_JOB.finished < oldest).returning(_JOB.id)))

    def make_room(self) -> list[str]:
        """Ids of the jobs, the oldest, whose results have no room any more; the jobs stay known."""
        room = self._settings.job_results_mib * _MIB
        total = func.sum(_JOB.bytes).over(order_by=(_JOB.finished.desc(), _JOB.id)).label("total")
        sized = select(_JOB.id, total).where(_JOB.finished.is_not(None), _JOB.bytes > 0).subquery()
        past = _JOB.id.in_(select(sized.c.id).where(sized.c.total > room))
        with self._database.changing() as db:
            return list(db.scalars(update(JOBS).where(past).values(bytes=0).returning(_JOB.id)))

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
        now = self._database.now(db)
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

    def _is_silent(self, now: float) -> ColumnElement[bool]:
        """Of a job whose worker gives no sign of life; nor does one whose last sign lies ahead of a clock set back."""
        lease = self._settings.job_lease_seconds
        return (_JOB.status == "running") & or_(_JOB.lease_until < now, _JOB.updated > now + lease)

    def _give_up(self, db: Connection, silent: ColumnElement[bool], now: float) -> None:
        """Fail the jobs whose workers died too often."""
        attempts = self._settings.job_attempts
        failure = Failure.of_lost_workers(attempts)
        db.execute(
            update(JOBS).where(silent & (_JOB.attempts >= attempts)).values(
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
        *,
        size: int = 0,
        started: float | None = None,
        failure: Failure | None = None,
    ) -> RowMapping:
        now = self._database.now(db)
        more = {"progress": 100} if status == "successful" else {}
        return _changed(
            db, id_, status=status, message=message, claim=None, lease_until=None,
            started=func.coalesce(_JOB.started, started), finished=func.coalesce(_JOB.finished, now), updated=now,
            bytes=size, failure=failure.to_json() if failure else None, **more,
        )  # fmt: skip


def _held(db: Connection, claim: Claim, /, **changes: object) -> bool:
    return db.execute(update(JOBS).where(_holds(claim)).values(changes)).rowcount == 1


def _is_held(db: Connection, claim: Claim) -> bool:
    return _count(db, _holds(claim)) == 1


def _holds(claim: Claim) -> ColumnElement[bool]:
    return (_JOB.id == claim.job.id) & (_JOB.claim == claim.token) & (_JOB.status == "running")


def _count(db: Connection, *conditions: ColumnElement[bool]) -> int:
    return db.scalar(select(func.count()).select_from(JOBS).where(*conditions)) or 0


def _changed(db: Connection, id_: str, **changes: object) -> RowMapping:
    row = db.execute(update(JOBS).where(_JOB.id == id_).values(changes).returning(*JOBS.c)).mappings().first()
    if row is None:
        raise no_such_job(id_)
    return row
