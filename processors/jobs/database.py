"""Where the queue of jobs is kept: a SQLite file in the store, or PostgreSQL.

Statements are the same for both; changes come one after the other in either, so that what one has
counted still holds when it writes.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import (
    URL,
    BigInteger,
    Connection,
    Double,
    Engine,
    Integer,
    Text,
    column,
    create_engine,
    make_url,
    table,
    text,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from cup4soil.errors import InvalidInput, StoreError, writing
from stac_catalog.files import locked

JOBS: Final = table(
    "jobs",
    *(
        column(name, kind)
        for kind, names in (
            (Text, ("id", "process", "request", "client", "status", "message", "claim", "failure")),
            (Integer, ("progress", "attempts")),
            (BigInteger, ("bytes",)),
            (Double, ("created", "started", "updated", "finished", "lease_until")),
        )
        for name in names
    ),
)
_VERSION = 1
_TABLE = """
CREATE TABLE jobs ({number}
  id TEXT PRIMARY KEY, process TEXT NOT NULL, request TEXT NOT NULL, client TEXT NOT NULL,
  status TEXT NOT NULL, progress INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL,
  created {real} NOT NULL, started {real}, updated {real} NOT NULL, finished {real},
  attempts INTEGER NOT NULL DEFAULT 0, claim TEXT, lease_until {real},
  failure TEXT, bytes BIGINT NOT NULL DEFAULT 0
)
"""
_INDEXES = (
    "CREATE INDEX jobs_by_status ON jobs (status, created)",
    "CREATE INDEX jobs_by_client ON jobs (client, created)",
)
_BUSY_S = 20
# Of PostgreSQL's locks that programs number themselves; any other number would do.
_LOCK = 0x6370_346A


class SqliteDatabase:
    """A file. Each use has a connection of its own: none is shared between threads or survives a fork."""

    number = "rowid"

    @staticmethod
    def now(_: Connection) -> float:
        """Seconds since 1970 by the clock of the machine, which all that use the file share."""
        return time.time()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = _sqlite(path)

    def prepare(self) -> None:
        """Make the table where there is none; two processes may come at once.

        SQLite does not wait when two change the journal of a new file, so they come one after the other.

        Raises:
            StoreError: when the file cannot be used, or is of another version.
        """
        with writing(self._path), locked(self._path.with_suffix(".lock")):
            with self.reading() as db:
                db.exec_driver_sql("PRAGMA journal_mode=WAL")
            with self.changing() as db:
                version = db.exec_driver_sql("PRAGMA user_version").scalar()
                if version not in (0, _VERSION):
                    raise StoreError(
                        f"the job queue {self._path} has version {version}", f"this program reads {_VERSION}"
                    )
                if version == 0:
                    _make(db, number="", real="REAL")
                    db.exec_driver_sql(f"PRAGMA user_version={_VERSION}")

    def close(self) -> None:
        """Let go of connections that are kept."""
        self._engine.dispose()

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A transaction that no other writer can come between."""
        with self.reading() as db:
            db.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield db
                db.exec_driver_sql("COMMIT")
            except BaseException:
                _rolled_back(db)
                raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection."""
        try:
            with self._engine.connect() as db:
                yield db
        except SQLAlchemyError as error:
            raise _unusable(str(self._path), error) from error


class PostgresDatabase:
    """PostgreSQL, for workers on several machines; the store's files still have to be reached by all of them."""

    number = "number"

    @staticmethod
    def now(db: Connection) -> float:
        """Seconds since 1970 by the clock of the server: those of the workers' machines may differ."""
        return float(db.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def __init__(self, url: str) -> None:
        self._engine = _postgres(url)
        self._name = self._engine.url.render_as_string(hide_password=True)

    def prepare(self) -> None:
        """Make the table where there is none; two processes may come at once.

        Raises:
            StoreError: when the database cannot be reached, or is of another version.
        """
        with self.changing() as db:
            db.execute(text("CREATE TABLE IF NOT EXISTS job_queue (version INTEGER PRIMARY KEY)"))
            version = db.execute(text("SELECT max(version) FROM job_queue")).scalar()
            if version not in (None, _VERSION):
                raise StoreError(f"the job queue {self._name} has version {version}", f"this program reads {_VERSION}")
            if version is None:
                number = "\n  number BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,"
                _make(db, number=number, real="DOUBLE PRECISION")
                db.execute(text("INSERT INTO job_queue VALUES (:version)"), {"version": _VERSION})

    def close(self) -> None:
        """Let go of connections that are kept; a later use makes new ones."""
        self._engine.dispose()

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A transaction that no other writer can come between."""
        try:
            with self._engine.begin() as db:
                db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                yield db
        except SQLAlchemyError as error:
            raise _unusable(self._name, error) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection."""
        try:
            with self._engine.connect() as db:
                yield db
        except SQLAlchemyError as error:
            raise _unusable(self._name, error) from error


type Database = SqliteDatabase | PostgresDatabase


def database(path: Path, url: str | None) -> Database:
    """The database at ``url``, by default the file at ``path``.

    Raises:
        InvalidInput: when the URL is none of PostgreSQL.
    """
    return SqliteDatabase(path) if url is None else PostgresDatabase(url)


def _make(db: Connection, *, number: str, real: str) -> None:
    for statement in (_TABLE.format(number=number, real=real), *_INDEXES):
        db.execute(text(statement))


def _sqlite(path: Path) -> Engine:
    return create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": _BUSY_S},
        isolation_level="AUTOCOMMIT",
    )


@cache
def _postgres(url: str) -> Engine:
    """One pool of connections in a process, tried before they are used: a server may have been restarted."""
    try:
        given = make_url(url)
        if given.get_backend_name() not in ("postgresql", "postgres"):
            raise InvalidInput("CUP4SOIL_JOBS_DATABASE is not PostgreSQL's", "write postgresql://user@host/name")
        # Without the option a lost server would keep a worker waiting for minutes.
        connect = {"connect_timeout": _BUSY_S, "options": f"-c lock_timeout={_BUSY_S}s"}
        return create_engine(given.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=connect)
    except (ArgumentError, NoSuchModuleError) as error:
        raise InvalidInput("CUP4SOIL_JOBS_DATABASE is no address", "write postgresql://user@host/name") from error
    except ModuleNotFoundError as error:
        raise InvalidInput("PostgreSQL needs the package psycopg", "pip install 'cup4soil[postgres]'") from error


def _rolled_back(db: Connection) -> None:
    try:
        db.exec_driver_sql("ROLLBACK")
    except SQLAlchemyError:
        # Of a full disk SQLite has rolled back by itself; the first error is the one to tell.
        return


def _unusable(name: str, error: SQLAlchemyError) -> StoreError:
    reason = str(getattr(error, "orig", None) or error).splitlines()[0]
    return StoreError(f"the job queue {name} cannot be used: {reason}", "see that it is there, writable and has room")
