"""A page about records for people who follow their links in a browser."""

from collections.abc import Sequence
from typing import Any

from processors.pages import page
from processors.records_documents import ABOUT


def records_page(records: Sequence[dict[str, Any]], links: Sequence[dict[str, str]], matched: int | None) -> str:
    """HTML with a table of records, each leading to the page of its product; it loads nothing from elsewhere."""
    pages = {each["id"]: _target(each["links"], ABOUT) for each in records}
    by_rel = {link["rel"]: link["href"] for link in links}
    # The root is that of .../collections/products/items.
    return page("records_page.html", "../..", records=records, pages=pages, links=by_rel, matched=matched)


def _target(links: Sequence[dict[str, str]], rel: str) -> str:
    return next(link["href"] for link in links if link["rel"] == rel)
