"""The PostgreSQL database of the pgstac backend: its connections, its schema, and what its errors mean."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict
from pypgstac.db import PgstacDB
from pypgstac.migrate import Migrate

from cup4soil.errors import InvalidInput, LimitExceeded, StoreError
from stac_catalog.search_backend import Unreachable
from stac_catalog.search_sync import Known

type Rows = list[tuple[Any, ...]]

_CONNECT_SECONDS: Final = 5
_AT_ONCE: Final = 8
_SEARCH_PATH: Final = "-c search_path=pgstac,public -c timezone=UTC"
# Any number that other programs on the database are unlikely to lock.
_LOCK: Final = 0x637570347063
_HINT: Final = "see that the server runs and may be reached"
_STATE: Final = """
CREATE SCHEMA IF NOT EXISTS cup4soil;
CREATE TABLE IF NOT EXISTS cup4soil.search_state (
    one int PRIMARY KEY CHECK (one = 1), store text NOT NULL, signature text NOT NULL, mark text NOT NULL
);
"""


class Given(PgstacDB):
    """pypgstac on a connection that was opened elsewhere, without a pool of its own."""

    def connect(self) -> psycopg.Connection:
        """The connection that was given."""
        if self.connection is None:
            raise StoreError("the connection to the search database is closed", _HINT)
        return self.connection


class PgstacDatabase:
    """Connections to the database at ``address``, for many threads; a search that takes ``seconds`` is given up.

    Raises:
        InvalidInput: when it is no address of a PostgreSQL database.
    """

    def __init__(self, address: str, seconds: float) -> None:
        try:
            conninfo_to_dict(address)
        except psycopg.Error as error:
            raise InvalidInput("the search database has no address", "write postgresql://user@host/name") from error
        self._address = address
        self._milliseconds = max(1, round(seconds * 1000))
        self._seconds = seconds
        self._idle: deque[psycopg.Connection] = deque()
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection]:
        """A connection within a transaction that sees one state of the database.

        Raises:
            LimitExceeded: when a statement takes too long.
            InvalidInput: when a value that was asked for is none that the database can hold.
            Unreachable: when the connection broke or the tables are not there; StoreError for any other reason.
        """
        with self._errors(), self._places:
            connection = self._idle.pop() if self._idle else self._reader()
            try:
                with connection.transaction():
                    yield connection
            except BaseException:
                if connection.closed or connection.broken:
                    self.close()
                connection.close()
                raise
            self._idle.append(connection)

    def prepare(self) -> None:
        """See that the database has the tables. Only within :meth:`writing`.

        Raises:
            StoreError: when it cannot have them.
        """
        # pgstac's migrations leave their connection in a role and with a path of their own.
        with self._errors(), self._connected(_SEARCH_PATH) as connection:
            connection.autocommit = True
            _migrate(connection)
        with self._errors(), self._connected(_SEARCH_PATH) as connection:
            _prepare(connection)

    @contextmanager
    def writing(self) -> Iterator[psycopg.Connection]:
        """A connection outside of a transaction, which one at a time has, of all processes.

        Raises:
            StoreError: when the server cannot be reached or refuses.
        """
        with self._errors(), self._connected(_SEARCH_PATH) as connection:
            connection.autocommit = True
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            yield connection

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def _reader(self) -> psycopg.Connection:
        connection = self._connected(f"{_SEARCH_PATH} -c statement_timeout={self._milliseconds}")
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return connection

    def _connected(self, options: str) -> psycopg.Connection:
        # No prepared statements: plans that know the values use the right partitions, and poolers have no trouble.
        return psycopg.connect(
            self._address, connect_timeout=_CONNECT_SECONDS, prepare_threshold=None, options=options,
            application_name="cup4soil",
        )  # fmt: skip

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.QueryCanceled as error:
            raise LimitExceeded(f"the search took longer than {self._seconds:g} s", "ask for less at a time") from error
        except (psycopg.DataError, UnicodeEncodeError) as error:
            raise InvalidInput("the search has a value that no item can have", "leave out what is no text") from error
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise Unreachable("the search database has lost its tables", _HINT) from error
        except psycopg.OperationalError as error:
            raise Unreachable(f"the search database cannot be reached: {_reason(error)}", _HINT) from error
        except psycopg.Error as error:
            raise StoreError(f"the search database cannot be used: {_reason(error)}", _HINT) from error


def _migrate(connection: psycopg.Connection) -> None:
    """Install pgstac, or bring it to the version of pypgstac. The connection is not to be used any more.

    Raises:
        StoreError: when the database is of a later version, or refuses.
    """
    try:
        Migrate(Given(connection=connection)).run_migration()
    except psycopg.Error:
        raise
    except Exception as error:  # pypgstac raises nothing more specific
        raise StoreError(f"pgstac cannot be installed or brought up to date: {error}", "see its notes") from error


def _prepare(connection: psycopg.Connection) -> None:
    """Make what the backend keeps beside pgstac's tables.

    Raises:
        StoreError: when the database holds somebody else's collections.
    """
    ours = connection.execute("SELECT to_regclass('cup4soil.search_state') IS NOT NULL").fetchone()
    others = connection.execute("SELECT id FROM pgstac.collections LIMIT 1").fetchone()
    if others and not (ours and ours[0]):
        raise StoreError(
            f"the search database holds collections of others, such as {others[0]}", "give the store one of its own"
        )
    connection.execute(_STATE)


def state(connection: psycopg.Connection) -> tuple[str, Known] | None:
    """Which store the database repeats, and what of it."""
    row = connection.execute("SELECT store, signature, mark FROM cup4soil.search_state").fetchone()
    return None if row is None else (str(row[0]), Known(*row[1:]))


def set_state(connection: psycopg.Connection, store: str, now: Known) -> None:
    """Note what the database repeats."""
    connection.execute(
        "INSERT INTO cup4soil.search_state VALUES (1, %s, %s, %s) "
        "ON CONFLICT (one) DO UPDATE SET signature = excluded.signature, mark = excluded.mark",
        (store, *now),
    )


def _reason(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
