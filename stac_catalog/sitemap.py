"""What search engines read first: which pages there are, and which addresses are no pages.

Source: Sitemaps protocol 0.9 (sitemaps.org); RFC 9309 on robots.txt.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from lxml import etree

_NAMESPACE: Final = "http://www.sitemaps.org/schemas/sitemap/0.9"
_DEFAULT: Final[Any] = {None: _NAMESPACE}  # the types of lxml do not know that this is how a default is named
PAGE: Final = 10_000  # addresses in one file; the protocol allows 50 000


def sitemap_index(addresses: Iterable[str]) -> bytes:
    """An index of sitemaps."""
    return _document("sitemapindex", "sitemap", ((address, None) for address in addresses))


def sitemap(pages: Iterable[tuple[str, float | None]]) -> bytes:
    """A sitemap of pages, each with the time of its last change in seconds since 1970, where known."""
    return _document("urlset", "url", pages)


def robots(sitemap_address: str) -> str:
    """robots.txt: everything may be read but searches and jobs, which have no end."""
    closed = ("/stac/search", "/ogc/jobs", "/ogc/processes/", "/results/", "/oai")
    return "\n".join(["User-agent: *", *(f"Disallow: {path}" for path in closed), f"Sitemap: {sitemap_address}", ""])


def _document(root: str, entry: str, pages: Iterable[tuple[str, float | None]]) -> bytes:
    document = etree.Element(f"{{{_NAMESPACE}}}{root}", nsmap=_DEFAULT)
    for address, changed in pages:
        element = etree.SubElement(document, f"{{{_NAMESPACE}}}{entry}")
        etree.SubElement(element, f"{{{_NAMESPACE}}}loc").text = address
        if changed is not None:
            when = datetime.fromtimestamp(changed, UTC)
            etree.SubElement(element, f"{{{_NAMESPACE}}}lastmod").text = f"{when:%Y-%m-%dT%H:%M:%SZ}"
    text: bytes = etree.tostring(document, xml_declaration=True, encoding="UTF-8")
    return text
