"""The queue of jobs: one SQLite file that every process of the service opens.

A worker holds a job by a lease that it renews; a job whose lease ran out is taken again. Every
change by a worker names its claim, so that one which lost its job can change nothing any more.
"""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from cup4soil.errors import StoreError, writing
from processors.jobs.errors import Busy, NoSuchJob
from processors.jobs.failures import Failure
from processors.jobs.settings import JobSettings
from stac_catalog.files import locked

JOBS_FOLDER = "jobs"
DATABASE = "queue.sqlite"
ANONYMOUS = "anonymous"
_VERSION = 1
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_MIB = 2**20
_DAY_S = 86_400.0
_SCHEMA = """
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, process TEXT NOT NULL, request TEXT NOT NULL, client TEXT NOT NULL,
  status TEXT NOT NULL, progress INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL,
  created REAL NOT NULL, started REAL, updated REAL NOT NULL, finished REAL,
  attempts INTEGER NOT NULL DEFAULT 0, claim TEXT, lease_until REAL,
  failure TEXT, bytes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_by_status ON jobs (status, created);
CREATE INDEX jobs_by_client ON jobs (client, created);
"""
_OPEN = "('accepted', 'running')"

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
class Backlog:
    """``jobs``: how many there are of each status; ``waiting_s``: how long the oldest waiting one has waited."""

    jobs: Mapping[str, int]
    waiting_s: float


class Queue:
    """The jobs of the store at ``root``."""

    def __init__(self, root: Path, settings: JobSettings) -> None:
        self.folder = root / JOBS_FOLDER
        self._path = self.folder / DATABASE
        self._settings = settings
        with writing(self.folder):
            self.folder.mkdir(exist_ok=True)
        self._prepare()

    def submit(self, process: str, request: dict[str, Any], client: str = ANONYMOUS) -> Job:
        """Accept a job.

        Raises:
            Busy: when too many jobs are waiting or running, of this client or of all.
        """
        with self._change() as db:
            self._check_room(db, client)
            job = self._insert(db, str(uuid4()), process, request, client)
        return _job(job)

    def add_finished(
        self, id_: str, process: str, request: dict[str, Any], client: str, *, size: int, publish: Callable[[], None]
    ) -> Job:
        """Record a job that was executed at once; ``publish`` puts its results of ``size`` bytes in place."""
        now = time.time()
        with self._change() as db:
            self._insert(db, id_, process, request, client)
            publish()
            row = self._end(db, id_, "successful", "Finished", now, size=size, started=now)
        return _job(row)

    def backlog(self) -> Backlog:
        """How many jobs there are, and how long they wait.

        Raises:
            StoreError: when the queue cannot be read.
        """
        with self._open() as db:
            jobs = dict(db.execute("SELECT status, count(*) FROM jobs GROUP BY status").fetchall())
            oldest = db.execute("SELECT min(created) FROM jobs WHERE status='accepted'").fetchone()[0]
        return Backlog(jobs, 0.0 if oldest is None else max(0.0, time.time() - oldest))

    def claim(self) -> Claim | None:
        """Take the oldest job that waits or whose worker went silent; None when there is none."""
        now, token = time.time(), uuid4().hex
        with self._change() as db:
            self._give_up(db, now)
            row = db.execute(
                "UPDATE jobs SET status='running', message='Started', progress=0, claim=?, lease_until=?,"
                " attempts=attempts+1, started=coalesce(started, ?), updated=? WHERE id = (SELECT id FROM jobs"
                " WHERE status='accepted' OR (status='running' AND lease_until < ?) ORDER BY created, rowid LIMIT 1)"
                " RETURNING *",
                (token, now + self._settings.job_lease_seconds, now, now, now),
            ).fetchone()
        return None if row is None else Claim(_job(row), token)

    def beat(self, claim: Claim, progress: int, message: str) -> bool:
        """Renew the lease and tell where the job stands; False when it was dismissed or taken by another worker."""
        now = time.time()
        until = now + self._settings.job_lease_seconds
        return self._held(
            claim, "progress=?, message=?, lease_until=?, updated=?", (_percent(progress), message, until, now)
        )

    def release(self, claim: Claim) -> bool:
        """Give a job back as if it had not been begun."""
        return self._held(
            claim,
            "status='accepted', message='Waiting', progress=0, claim=NULL, lease_until=NULL, attempts=attempts-1,"
            " updated=?",
            (time.time(),),
        )

    def finish(self, claim: Claim, *, size: int, publish: Callable[[], None]) -> bool:
        """Mark a job as successful; ``publish`` puts its results of ``size`` bytes in place. False when not held."""
        with self._change() as db:
            if not _is_held(db, claim):
                return False
            publish()
            self._end(db, claim.job.id, "successful", "Finished", time.time(), size=size)
        return True

    def fail(self, claim: Claim, failure: Failure) -> bool:
        """Mark a job as failed; False when it is not held."""
        with self._change() as db:
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
        with self._change() as db:
            row = self._end(db, id_, "dismissed", "Dismissed", time.time())
        return _job(row)

    def get(self, id_: str) -> Job:
        """The job of this id.

        Raises:
            NoSuchJob: when there is none.
        """
        row = None
        if is_job_id(id_):
            with self._open() as db:
                row = db.execute("SELECT * FROM jobs WHERE id=?", (id_,)).fetchone()
        if row is None:
            raise no_such_job(id_)
        return _job(row)

    def jobs(
        self, *, client: str | None = None, status: JobStatus | None = None, limit: int = 10, offset: int = 0
    ) -> tuple[list[Job], int]:
        """Jobs, the newest first, of one client or of all; and how many there are without ``limit``."""
        where = "WHERE (:client IS NULL OR client=:client) AND (:status IS NULL OR status=:status)"
        wanted = {"client": client, "status": status, "limit": limit, "offset": offset}
        with self._open() as db:
            matched = db.execute(f"SELECT count(*) FROM jobs {where}", wanted).fetchone()[0]  # noqa: S608
            rows = db.execute(
                f"SELECT * FROM jobs {where} ORDER BY created DESC, rowid DESC LIMIT :limit OFFSET :offset",  # noqa: S608
                wanted,
            ).fetchall()
        return [_job(row) for row in rows], matched

    def forget(self) -> list[str]:
        """Drop finished jobs that are too old, or past the room for results; their ids."""
        oldest = time.time() - self._settings.job_retention_days * _DAY_S
        with self._change() as db:
            rows = db.execute(
                "DELETE FROM jobs WHERE finished IS NOT NULL AND (finished < ? OR id IN (SELECT id FROM"
                " (SELECT id, sum(bytes) OVER (ORDER BY finished DESC, id) AS total FROM jobs"
                " WHERE finished IS NOT NULL AND bytes > 0) WHERE total > ?)) RETURNING id",
                (oldest, self._settings.job_results_mib * _MIB),
            ).fetchall()
        return [row["id"] for row in rows]

    def _check_room(self, db: sqlite3.Connection, client: str) -> None:
        """The cap of one client comes first: it says what that client can do about it."""
        own = db.execute(f"SELECT count(*) FROM jobs WHERE status IN {_OPEN} AND client=?", (client,)).fetchone()[0]  # noqa: S608
        if own >= self._settings.jobs_per_client:
            raise Busy(
                f"{own} of your jobs are waiting or running, the limit is {self._settings.jobs_per_client}",
                "wait for one to finish, or dismiss one",
            )
        waiting = db.execute(f"SELECT count(*) FROM jobs WHERE status IN {_OPEN}").fetchone()[0]  # noqa: S608
        if waiting >= self._settings.jobs_waiting:
            raise Busy(
                f"{waiting} jobs are waiting or running, the limit is {self._settings.jobs_waiting}", "try later"
            )

    def _insert(
        self, db: sqlite3.Connection, id_: str, process: str, request: dict[str, Any], client: str
    ) -> sqlite3.Row:
        now = time.time()
        row: sqlite3.Row = db.execute(
            "INSERT INTO jobs (id, process, request, client, status, message, created, updated)"
            " VALUES (?, ?, ?, ?, 'accepted', 'Waiting', ?, ?) RETURNING *",
            (id_, process, json.dumps(request), client, now, now),
        ).fetchone()
        return row

    def _give_up(self, db: sqlite3.Connection, now: float) -> None:
        """Fail the jobs whose workers died too often."""
        attempts = self._settings.job_attempts
        failure = Failure.of_lost_workers(attempts)
        db.execute(
            "UPDATE jobs SET status='failed', message=?, failure=?, claim=NULL, lease_until=NULL, finished=?, updated=?"
            " WHERE status='running' AND lease_until < ? AND attempts >= ?",
            (str(failure), failure.to_json(), now, now, now, attempts),
        )

    def _end(
        self,
        db: sqlite3.Connection,
        id_: str,
        status: JobStatus,
        message: str,
        now: float,
        *,
        size: int = 0,
        started: float | None = None,
        failure: Failure | None = None,
    ) -> sqlite3.Row:
        progress = 100 if status == "successful" else None
        row: sqlite3.Row = db.execute(
            "UPDATE jobs SET status=?, message=?, progress=coalesce(?, progress), claim=NULL, lease_until=NULL,"
            " started=coalesce(started, ?), finished=coalesce(finished, ?), updated=?, bytes=?, failure=?"
            " WHERE id=? RETURNING *",
            (status, message, progress, started, now, now, size, failure.to_json() if failure else None, id_),
        ).fetchone()
        if row is None:
            raise no_such_job(id_)
        return row

    def _held(self, claim: Claim, changes: str, values: tuple[object, ...]) -> bool:
        with self._change() as db:
            done = db.execute(
                f"UPDATE jobs SET {changes} WHERE id=? AND claim=? AND status='running'",  # noqa: S608
                (*values, claim.job.id, claim.token),
            )
            return done.rowcount == 1

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other writer can come between."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for each use: none is shared between threads or survives a fork."""
        try:
            db = sqlite3.connect(self._path, timeout=20.0, isolation_level=None)
            try:
                db.row_factory = sqlite3.Row
                yield db
            finally:
                db.close()
        except sqlite3.Error as error:
            raise StoreError(
                f"the job queue {self._path} cannot be used: {error}", "see that the disk has room and is writable"
            ) from error

    def _prepare(self) -> None:
        """Make the tables where there are none; two processes may come at once.

        SQLite does not wait when two change the journal of a new file, so they come one after the other.
        """
        with writing(self._path), locked(self._path.with_suffix(".lock")):
            self._make()

    def _make(self) -> None:
        with self._open() as db:
            db.execute("PRAGMA journal_mode=WAL")
        with self._change() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise StoreError(f"the job queue {self._path} has version {version}", f"this program reads {_VERSION}")
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={_VERSION}")


def is_job_id(text: str) -> bool:
    """True for what :meth:`Queue.submit` gives as id: nothing that could name another path."""
    return _ID.fullmatch(text) is not None


def no_such_job(id_: str) -> NoSuchJob:
    """The error for an id that names no job."""
    shown = id_ if is_job_id(id_) else "of that id"
    return NoSuchJob(f"no job {shown}", "jobs are forgotten after a time; start it again")


def _is_held(db: sqlite3.Connection, claim: Claim) -> bool:
    found = db.execute(
        "SELECT 1 FROM jobs WHERE id=? AND claim=? AND status='running'", (claim.job.id, claim.token)
    ).fetchone()
    return found is not None


def _percent(progress: int) -> int:
    return max(0, min(100, progress))


def _job(row: sqlite3.Row) -> Job:
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
