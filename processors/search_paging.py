"""Pages of searches by offset, and what the parameters of OGC APIs have in common on the way into the search index."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Final

from cup4soil.errors import InvalidInput
from processors.times import parse_interval
from stac_catalog.search_backend import Page, SearchBackend
from stac_catalog.search_query import Query
from stac_catalog.search_values import SECOND, Period

MOST_SKIPPED: Final = 10_000
_SKIP = 1000
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def parse_offset(given: dict[str, str]) -> int:
    """The parameter ``offset``, 0 without it.

    Raises:
        InvalidInput: when it is no number, too large, or stands beside a token.
    """
    text = given.get("offset", "0")
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) > MOST_SKIPPED:
        raise InvalidInput(
            f"offset is {text[:80]!r}", f"give a whole number up to {MOST_SKIPPED}, or follow the links of rel next"
        )
    if int(text) and "token" in given:
        raise InvalidInput("both offset and token are given", "follow the link of rel next as it is")
    return int(text)


def parse_period(text: str) -> Period:
    """The parameter ``datetime``, of dates or times, in microseconds.

    Raises:
        InvalidInput: when it is none.
    """
    interval = parse_interval(text, "datetime")
    ends = (
        None if end is None else round((end - _EPOCH).total_seconds() * SECOND)
        for end in (interval.start, interval.end)
    )
    return Period(*ends)


def page_at(index: SearchBackend, query: Query, offset: int) -> Page:
    """The page that begins ``offset`` finds after the first. Raises as :meth:`SearchBackend.search`."""
    left, matched = offset, None
    while left:
        skipped = index.search(replace(query, limit=min(left, _SKIP)))
        matched = skipped.matched if matched is None else matched
        left -= len(skipped.items)
        if skipped.token is None:
            return Page((), None, matched)
        query = replace(query, token=skipped.token)
    page = index.search(query)
    return page if matched is None else replace(page, matched=matched)


def place_of(query: Query, offset: int) -> dict[str, str]:
    """The parameter that leads to the same page again."""
    if query.token is not None:
        return {"token": query.token}
    return {"offset": str(offset)} if offset else {}
