"""Asking a search backend."""

import json

from stac_catalog.search_backend import SearchBackend
from stac_catalog.search_filter import parse_filter
from stac_catalog.search_query import Query
from tests.catalog import catalogs
from tests.catalog.catalogs import Item

ITEMS = catalogs.items()


def names(backend: SearchBackend, query: Query) -> list[str]:
    """Ids of all pages, in order; every page but the last is full."""
    found: list[str] = []
    while True:
        page = backend.search(query)
        found += [json.loads(text)["id"] for text in page.items]
        if page.token is None:
            return found
        assert len(page.items) == query.limit
        query = Query(**{name: getattr(query, name) for name in Query.__slots__} | {"token": page.token})


def ids(items: list[Item]) -> list[str]:
    return [item["id"] for item in items]


def filtered(text: str) -> Query:
    return Query(filter=parse_filter(text, "cql2-text"), limit=100)
