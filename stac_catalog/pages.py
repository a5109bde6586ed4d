"""How the items of a large collection are spread over pages: sub-catalogs by year, then by a hash of the id.

A collection of few items lists them itself. Of a larger one each year has a page, and a year of many items has a page
for each first digit of the hash, and so on. Which pages there are follows from the items alone, not from the order in
which they came; an item that comes or goes changes one page, or those that a page splits into.
"""

import hashlib
import re
from datetime import datetime
from typing import Final

MOST_ITEMS: Final = 1000  # that one document lists
WHOLE: Final = ""  # key of the collection itself
_YEAR: Final = 4
_DIGITS: Final = 8
# Of the keys of pages, from the whole collection to the smallest part.
LENGTHS: Final[tuple[int, ...]] = (len(WHOLE), _YEAR, *range(_YEAR + 2, _YEAR + 2 + _DIGITS))
_FILE = re.compile(r"items-(\d{4}(?:-[0-9a-f]{1,8})?)\.json")


def spot_of(start: datetime, item: str) -> str:
    """Where an item stands among those of its collection: the year its period begins in, and a hash of its id."""
    return f"{start.year:0{_YEAR}d}-{hashlib.sha256(item.encode()).hexdigest()[:_DIGITS]}"


def is_smallest(key: str) -> bool:
    """True for a page that cannot be split."""
    return len(key) == LENGTHS[-1]


def child_length(key: str) -> int:
    """Length of the keys of the pages that a page splits into."""
    return next(length for length in LENGTHS if length > len(key))


def page_file(key: str) -> str:
    """Name of a page's file, in the collection's folder."""
    return f"items-{key}.json"


def is_page_file(name: str) -> bool:
    """True for names that pages have; no item may."""
    return _FILE.fullmatch(name) is not None


def page_title(key: str) -> str:
    """What people read of a page."""
    year, _, part = key.partition("-")
    return f"{year}, part {part}" if part else year
