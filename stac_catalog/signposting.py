"""Links in HTTP headers by which programs find their way between a product's page, its files and its metadata.

Source: Van de Sompel et al., FAIR Signposting Profile (signposting.org); RFC 8288 on links, RFC 9264 on link sets.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from cup4soil.licences import licence_url
from cup4soil.products import COG_MEDIA_TYPE, ProductRecord
from stac_catalog.places import Places

LINKSET_TYPE: Final = "application/linkset+json"
# Proxies refuse long headers; the link set has everything.
_MOST_ITEMS: Final = 20
_TYPES: Final = {"model": "https://schema.org/SoftwareSourceCode"}


@dataclass(frozen=True, slots=True)
class Link:
    """A link of one relation; ``type`` is the media type of what it leads to."""

    href: str
    rel: str
    type: str | None = None


def page_links(
    record: ProductRecord, places: Places, forms: Iterable[tuple[str, str]], doi: str | None = None
) -> list[Link]:
    """Links of a product's landing page; ``forms`` are names and media types of its metadata."""
    page = places.page(record)
    licence = licence_url(record.licence)
    links = [
        Link(f"https://doi.org/{doi}" if doi else page, "cite-as"),
        Link("https://schema.org/AboutPage", "type"),
        Link(_TYPES.get(record.kind, "https://schema.org/Dataset"), "type"),
        *(Link(places.form(record, name), "describedby", media_type) for name, media_type in forms),
        Link(places.stac(record), "describedby", "application/geo+json"),
        *_items(record, places),
    ]
    return links if licence is None else [*links, Link(licence, "license")]


def file_links(places: Places, collection: str, item: str) -> list[Link]:
    """Links of a file of a product, or of its metadata: to the page, which it belongs to."""
    return [Link(places.page_of(collection, item), "collection", "text/html")]


def link_header(links: Iterable[Link], linkset: str | None = None) -> str:
    """The value of the header ``Link``; a long list of items is left to the ``linkset`` at that address."""
    kept = list(links)
    if linkset is not None:
        items = [each for each in kept if each.rel == "item"]
        kept = [each for each in kept if each.rel != "item" or len(items) <= _MOST_ITEMS]
        kept.append(Link(linkset, "linkset", LINKSET_TYPE))
    return ", ".join(_header(each) for each in kept)


def linkset_document(anchor: str, links: Iterable[Link]) -> dict[str, Any]:
    """The same links as a document."""
    context: dict[str, Any] = {"anchor": anchor}
    for each in links:
        target = {"href": each.href} | ({"type": each.type} if each.type else {})
        context.setdefault(each.rel, []).append(target)
    return {"linkset": [context]}


def _items(record: ProductRecord, places: Places) -> Iterator[Link]:
    for layer in record.layers:
        yield Link(places.file(record, layer.file), "item", COG_MEDIA_TYPE)
    for document in record.documents:
        yield Link(places.file(record, document.file), "item", document.media_type)


def _header(link: Link) -> str:
    media_type = f'; type="{link.type}"' if link.type else ""
    return f'<{link.href}>; rel="{link.rel}"{media_type}'
