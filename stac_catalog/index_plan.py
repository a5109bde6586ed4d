"""Which documents list the items of a collection, and which of them have to be written after a change."""

from collections.abc import Iterator
from dataclasses import dataclass

import pystac

from stac_catalog.catalogs import item_link, page_link
from stac_catalog.ledger_entries import Entries
from stac_catalog.pages import WHOLE


@dataclass(frozen=True, slots=True)
class Plan:
    """Keys of the pages of a collection: all that there are now, those to ``write`` anew, and the ``obsolete``.

    A small collection has no pages. ``complete`` when all of it was looked through.
    """

    collection: str
    number: int
    pages: frozenset[str]
    write: tuple[str, ...]
    obsolete: tuple[str, ...]
    empty: bool
    complete: bool

    @property
    def documents(self) -> frozenset[str]:
        """Keys of all documents of the collection."""
        return frozenset() if self.empty else self.pages | {WHOLE}


def plan_of(entries: Entries, collection: str, spots: set[str]) -> Plan:
    """What is to be written where items came or went at ``spots``; all of it where one of them is the whole."""
    number = entries.collection(collection)
    known = entries.documents(number).keys()
    before = known - {WHOLE}
    regions = {WHOLE} if WHOLE in spots else {_region(entries, number, spot, before) for spot in spots}
    regions = {
        region for region in regions if not any(region != other and region.startswith(other) for other in regions)
    }
    wanted = {key for region in regions for key in entries.pages(number, region) if key != WHOLE}
    filled = {key for key in wanted if entries.has_any(number, key)}
    gone = {key for key in before - filled if any(key.startswith(region) for region in regions)}
    empty = not entries.has_any(number, WHOLE)
    return Plan(
        collection=collection,
        number=number,
        pages=frozenset((before - gone) | filled),
        write=tuple(sorted(filled)),
        obsolete=(*sorted(gone), *([WHOLE] if empty else [])),
        empty=empty,
        complete=WHOLE in spots,
    )


def members_of(entries: Entries, plan: Plan) -> Iterator[pystac.Link]:
    """The links of a collection's document: to its pages, or to its items where it has none."""
    if plan.pages:
        return (page_link(key) for key in sorted(plan.pages))
    return (item_link(*each) for each in entries.titles_of(plan.number, WHOLE))


def _region(entries: Entries, number: int, spot: str, before: set[str]) -> str:
    """Key of the part in which pages may change: the page that an item has now, or the larger one that it had."""
    if not before:
        return WHOLE
    now = entries.page_of(number, spot)
    had = next((key for key in before if spot.startswith(key)), now)
    return min(now, had, key=len)
