"""Search among the items of a store: the backend in a pgstac database.

Other programs that know pgstac may read the same database. The static catalog is the truth here, too: whatever process
is asked first after a change brings the database in step, one at a time, and what is lost is made anew.
"""

import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import psycopg

from cup4soil.errors import StoreError, writing
from stac_catalog.files import replace_all
from stac_catalog.pgstac_answers import Answers
from stac_catalog.pgstac_database import PgstacDatabase, set_state, state
from stac_catalog.pgstac_rows import PgstacRows
from stac_catalog.search_aggregation import Aggregated, Aggregation
from stac_catalog.search_backend import Page, PropertySummary, Unreachable
from stac_catalog.search_paging import Counts
from stac_catalog.search_query import Query, allowed
from stac_catalog.search_sync import Watched
from stac_catalog.visibility import is_hidden, visible

_IDENTITY: Final = ".search-database"


class PgstacIndex:
    """The index of the store in ``root`` in the PostgreSQL database at ``address``.

    It is a :class:`stac_catalog.search_backend.SearchBackend`, whose contract its methods have; arguments and threads
    are as for :class:`stac_catalog.search.SearchIndex`. No other store may use the database.

    Raises:
        InvalidInput: when the address is none.
    """

    instant = False

    def __init__(
        self, root: Path, address: str, *, folders: tuple[str, ...] = ("demo",), seconds: float = 10.0
    ) -> None:
        self._watched = Watched(root, folders)
        self._seconds = seconds
        self._database = PgstacDatabase(address, seconds)
        self._mutex = threading.Lock()
        self._prepared = False
        self._seen: str | None = None
        self._counts = Counts()
        self._summaries: dict[tuple[str | None, tuple[str, ...]], tuple[str, dict[str, PropertySummary]]] = {}

    def is_current(self) -> bool:
        """True when the database was in step with the catalog a moment ago. Takes microseconds."""
        return self._seen == self._watched.state()

    def sync(self) -> None:
        """Bring the database in step with the catalog.

        Raises:
            StoreError: when the catalog is damaged or the database cannot be used.
        """
        if self.is_current():
            return
        with self._mutex:
            if not self.is_current():
                with writing(self._watched.root), self._database.writing() as connection:
                    if not self._prepared:
                        self._database.prepare()
                        self._prepared = True
                    with self._watched.unchanging():
                        self._follow(connection)

    def search(self, query: Query) -> Page:
        """One page of the items that fit.

        Raises:
            InvalidInput: when the query's token is not one of this query.
            LimitExceeded: when it takes too long.
            StoreError: as :meth:`sync`.
        """
        asked = allowed(query)
        return self._answered(lambda answers: answers.page(asked, self._matched(asked)))

    def aggregate(self, query: Query, wanted: Sequence[Aggregation]) -> list[Aggregated]:
        """What is asked about the items that fit, on whatever page. Raises as :meth:`search`."""
        asked = allowed(query)
        return self._answered(lambda answers: answers.aggregated(asked, wanted))

    def names(self, collection: str) -> list[str]:
        """Ids of a collection's items in alphabetical order. Raises as :meth:`sync`."""
        return [] if is_hidden(collection) else self._answered(lambda answers: answers.names(collection))

    def item(self, collection: str, name: str) -> str | None:
        """An item as JSON text, None where there is none. Raises as :meth:`sync`."""
        if is_hidden(collection) or "\0" in collection + name:
            return None
        return self._answered(lambda answers: answers.item(collection, name))

    def collection(self, name: str) -> str | None:
        """A collection as JSON text, None where there is none. Raises as :meth:`sync`."""
        return self.collections().get(name)

    def collections(self) -> dict[str, str]:
        """Each collection as JSON text, by id in alphabetical order. Raises as :meth:`sync`."""
        return _visible(self._answered(lambda answers: answers.collections("text")))

    def titles(self) -> dict[str, str]:
        """Title of each collection, by id in alphabetical order. Raises as :meth:`sync`."""
        return _visible(self._answered(lambda answers: answers.collections("title")))

    def properties(self, collection: str | None = None) -> dict[str, PropertySummary]:
        """The properties that items of a collection, or of all, can be selected by. Raises as :meth:`sync`."""
        if collection is not None and is_hidden(collection):
            return {}
        asked = allowed(Query(collections=() if collection is None else (collection,)))
        return self._answered(lambda answers: self._summarised(answers, asked))

    def close(self) -> None:
        """Close the connections; they are opened again when needed."""
        self._database.close()

    def _answered[T](self, ask: Callable[[Answers], T]) -> T:
        """What ``ask`` finds in a database that is in step; where it was lost or changed by others, after a new try."""
        for last in (False, True):
            self.sync()
            try:
                with self._database.reading() as connection:
                    found = state(connection)
                    if found is not None and found[1].state == self._seen:
                        return ask(Answers(connection, self._seconds))
                    self._seen = None
            except Unreachable:
                if last:
                    raise
                self._seen, self._prepared = None, False
        raise StoreError("the search database is changed by others", "give the store a database of its own")

    def _follow(self, connection: psycopg.Connection) -> None:
        """Within the database's lock and the store's, which keeps the catalog as it is."""
        now, store = self._watched.state(), self._identity()
        found = state(connection)
        if found is not None and found[0] != store:
            raise StoreError("the search database is that of another store", "give each store a database of its own")
        if found is None or found[1].state != now:
            with connection.transaction():
                known = None if found is None else found[1]
                set_state(connection, store, self._watched.follow(PgstacRows(connection), known))
        self._seen = now

    def _identity(self) -> str:
        """What tells this store from others."""
        path = self._watched.root / _IDENTITY
        if not path.is_file():
            replace_all({path: uuid.uuid4().hex.encode()})
        return path.read_text()

    def _matched(self, query: Query) -> Callable[[Callable[[], int]], int]:
        state = self._seen or ""
        return lambda count: self._counts.of(query, state, count)

    def _summarised(self, answers: Answers, query: Query) -> dict[str, PropertySummary]:
        """What was found in this state of the catalog is kept: every item has to be looked at."""
        key, now = (next(iter(query.collections), None), query.without), self._seen or ""
        known = self._summaries.get(key)
        if known is None or known[0] != now:
            known = self._summaries[key] = now, answers.properties(query)
        return known[1]


def _visible(texts: dict[str, str]) -> dict[str, str]:
    return {name: texts[name] for name in visible(texts)}
