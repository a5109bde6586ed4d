"""Databases with PostGIS on a PostgreSQL server of the tests' own, started once in a process."""

import atexit
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from pypgstac.migrate import Migrate

from stac_catalog.pgstac_database import Given
from tests.postgres import postgres


@cache
def server() -> str:
    """Address of the server, which ends with the process."""
    stack = ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    address = stack.enter_context(postgres(Path(folder)))
    atexit.register(stack.close)
    return address


@cache
def _with_pgstac() -> str:
    """Name of a database that has pgstac's tables and nothing in them, to be copied: making them takes seconds."""
    name = "with_pgstac"
    with psycopg.connect(server(), autocommit=True) as db:
        if not db.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'postgis'").fetchone():
            pytest.skip("PostGIS is not installed")
        db.execute(f"CREATE DATABASE {name}".encode())
    with psycopg.connect(_address(name), autocommit=True) as db:
        Migrate(Given(connection=db)).run_migration()
    return name


def _address(name: str) -> str:
    return f"{server().rpartition('/')[0]}/{name}"


@contextmanager
def new_database(*, empty: bool = False) -> Iterator[str]:
    """Address of a database with pgstac's tables, or ``empty``, which is dropped in the end."""
    name = f"search_{uuid4().hex}"
    template = "template1" if empty else _with_pgstac()
    with psycopg.connect(server(), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    try:
        yield _address(name)
    finally:
        with psycopg.connect(server(), autocommit=True) as db:
            db.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
