"""Search backends by name, each opened on the store of a folder."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

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
def pgstac(root: Path) -> Iterator[SearchBackend]:
    """The one in PostgreSQL, in a database of its own."""
    with postgis.new_database() as address:
        index = PgstacIndex(root, address)
        try:
            yield index
        finally:
            index.close()


BACKENDS: Final[dict[str, Opened]] = {"sqlite": sqlite, "pgstac": pgstac}
