"""What everything that lists, searches or opens products asks of a search backend, whichever there is.

The static catalog is the truth. A backend repeats what it says, follows it before it answers, and may be lost and
made anew at any time. All backends pass one contract (``tests/catalog/test_search_backends.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cup4soil.errors import StoreError
from stac_catalog.search_aggregation import Aggregated, Aggregation
from stac_catalog.search_query import Query
from stac_catalog.search_values import Kind

PAGE_BYTES: Final = 16_000_000  # a page may be shorter than asked for, but is no larger than this, or a single item
SAMPLE_VALUES: Final = 20  # a property with more strings has none of them told


@dataclass(frozen=True, slots=True)
class Page:
    """Items as JSON text (see :mod:`stac_catalog.search_documents`), in the query's order.

    ``token`` leads to the next page, None on the last; ``matched`` counts the items of all pages, None
    where a filter would have to be asked about every item.
    """

    items: tuple[str, ...]
    token: str | None
    matched: int | None


@dataclass(frozen=True, slots=True)
class PropertySummary:
    """What values a property has: their kinds and, where there are few strings, each of them."""

    kinds: frozenset[Kind]
    values: tuple[str, ...] | None


class Unreachable(StoreError):
    """The server of a backend cannot be reached, or has lost what it knew: it may be well again later."""


class SearchBackend(Protocol):
    """Items and collections of a store's catalog, for many threads at once.

    Collections that the present request may not see (:mod:`stac_catalog.visibility`) are as if they were not there.
    Every method but :meth:`is_current` and :meth:`close` raises StoreError when the catalog is damaged or the backend
    cannot be used. ``instant`` says that what is asked by name is answered in microseconds, without waiting for others.
    """

    @property
    def instant(self) -> bool: ...  # noqa: D102 - see above

    def is_current(self) -> bool:
        """True when the backend was in step with the catalog a moment ago. Takes microseconds."""
        ...

    def sync(self) -> None:
        """Bring the backend in step with the catalog."""
        ...

    def search(self, query: Query) -> Page:
        """One page of the items that fit.

        Raises:
            InvalidInput: when the query's token is not one of this query.
            LimitExceeded: when it takes too long.
        """
        ...

    def aggregate(self, query: Query, wanted: Sequence[Aggregation]) -> list[Aggregated]:
        """What is asked about the items that fit, on whatever page.

        Raises:
            LimitExceeded: when it takes too long.
        """
        ...

    def names(self, collection: str) -> list[str]:
        """Ids of a collection's items in alphabetical order."""
        ...

    def item(self, collection: str, name: str) -> str | None:
        """An item as JSON text, None where there is none."""
        ...

    def collection(self, name: str) -> str | None:
        """A collection as JSON text, None where there is none."""
        ...

    def collections(self) -> dict[str, str]:
        """Each collection as JSON text, by id in alphabetical order."""
        ...

    def titles(self) -> dict[str, str]:
        """Title of each collection, by id in alphabetical order."""
        ...

    def properties(self, collection: str | None = None) -> dict[str, PropertySummary]:
        """The properties that items of a collection, or of all, can be selected by."""
        ...

    def close(self) -> None:
        """Give back what is held open; it is opened again when needed."""
        ...
