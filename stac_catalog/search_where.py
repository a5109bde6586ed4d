"""What the items of a query have in common, in the words of a backend's dialect."""

from collections.abc import Iterator

from stac_catalog.search_conditions import Condition, Dialect, all_of, any_of
from stac_catalog.search_filter import condition_of
from stac_catalog.search_query import Query
from stac_catalog.search_text import probe_of


def where(query: Query, dialect: Dialect) -> Condition:
    """True for the items of the query, whichever page is asked for."""
    return all_of(_parts(query, dialect))


def _parts(query: Query, dialect: Dialect) -> Iterator[Condition]:
    if query.collections:
        yield dialect.of_collections(query.collections)
    if query.without:
        yield dialect.of_collections(query.without, wanted=False)
    if query.ids:
        yield dialect.named(query.ids)
    if query.period is not None:
        yield dialect.meeting_period(query.period)
    if query.boxes:
        yield any_of(dialect.meeting_box(box) for box in query.boxes)
    if query.intersects is not None:
        yield dialect.meeting(query.intersects)
    if query.filter is not None:
        yield condition_of(query.filter, dialect)
    if query.terms:
        yield dialect.evaluated(probe_of(query.terms))
