"""Search backends by name, each opened on the store of a folder."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest

from stac_catalog import search_answers, search_facts
from stac_catalog.pgstac import PgstacIndex
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.search_backend import SearchBackend
from tests import postgis

type Opened = Callable[[Path], AbstractContextManager[SearchBackend]]


@contextmanager
def sqlite(root: Path) -> Iterator[SearchBackend]:
    """The embedded one."""
    index = SearchIndex(root / INDEX_FILE)
    try:
        yield index
    finally:
        index.close()


@contextmanager
def sqlite_of_many(root: Path) -> Iterator[SearchBackend]:
    """The embedded one as it asks stores with so many items that it lists none, looks at few, and has to go on."""
    with pytest.MonkeyPatch.context() as patched, sqlite(root) as index:
        for name in ("_MOST_EQUAL", "_MOST_IN_RANGE", "_MOST_NEAR", "_MOST_VALUES"):
            patched.setattr(search_facts, name, 0)
        for name in ("_WHOLE", "_FEWEST", "ASKED_AT_ONCE"):
            patched.setattr(search_answers, name, 1)
        yield index


@contextmanager
def pgstac(root: Path) -> Iterator[SearchBackend]:
    """The one in PostgreSQL, in a database of its own."""
    with postgis.new_database() as address:
        index = PgstacIndex(root, address)
        try:
            yield index
        finally:
            index.close()


BACKENDS: Final[dict[str, Opened]] = {"sqlite": sqlite, "sqlite of many": sqlite_of_many, "pgstac": pgstac}
