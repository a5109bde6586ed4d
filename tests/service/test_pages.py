"""Every page of the whole service in a real browser: nothing from elsewhere, nothing missing, no link that is dead."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urldefrag
from xml.etree import ElementTree as ET

import httpx
import pytest

from cup4soil.settings import Settings
from service.demo import Demo
from stac_catalog.store import Store
from tests.demo_store import copy_of
from tests.service import whole_service
from tests.service.browser import CHROMIUM, FLAGS, NEEDED

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = [
    NEEDED,
    pytest.mark.xdist_group("pages"),
]

_PHONE = {"width": 390, "height": 844}
_AS_BROWSERS = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
_MOST = 400
# Of addresses that differ in the feature or the place in a list that they are about alone.
_ALIKE = 2
_MISSING = (
    "/nothing", "/ogc/nothing/here", "/ogc/collections/nothing?f=html", "/products/soc/nothing", "/ogc/jobs/nothing",
    "/ogc/collections/soc/items?f=html", "/ogc/collections/products/items?f=html&wrong=1",
)  # fmt: skip
_READ = """() => ({
  title: document.title,
  h1: [...document.querySelectorAll("h1")].map((each) => each.innerText.trim()),
  links: [...document.querySelectorAll("a[href], link[href]")].map((each) => each.href),
  unseen: [...document.images].filter((each) => !each.complete || !each.naturalWidth).map((each) => each.src),
  over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
})"""


@dataclass(frozen=True)
class Visit:
    """What a browser met on a page: see ``_READ``; ``troubles`` are what was not as it has to be."""

    status: int
    title: str
    h1: list[str]
    links: list[str]
    unseen: list[str]
    over: int
    troubles: list[str]


@dataclass
class Crawl:
    """Every address of the service that its pages lead to, with the page that did; and the pages themselves."""

    sources: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)
    pages: dict[str, Visit] = field(default_factory=dict)


@pytest.fixture(scope="module")
def site(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo's products with their reports, others of every kind, and a prediction that has been made."""
    base = tmp_path_factory.mktemp("pages")
    root = copy_of(demo, base / "store")
    whole_service.register(Store.open(root, Settings()), base)
    with whole_service.serving(root) as address:
        west, south, east, north = demo.soil_map.record.extent.bbox
        middle, step = ((west + east) / 2, (south + north) / 2), 0.002
        box = [middle[0] - step, middle[1] - step, middle[0] + step, middle[1] + step]
        made = httpx.post(
            f"{address}/ogc/processes/predict-soil-property/execution",
            json={"inputs": {"bbox": {"bbox": box}, "property": "soc"}},
            timeout=120,
        )
        assert made.status_code == 200, made.text
        yield address


@pytest.fixture(scope="module")
def crawl(site: str) -> Crawl:
    """A walk along all links from where people and search engines begin."""
    found = Crawl(dict.fromkeys(_beginnings(site), ""))
    with sync_api.sync_playwright() as playwright, httpx.Client(headers=_AS_BROWSERS, timeout=60) as client:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        window = _Browser(browser.new_page(viewport=_PHONE), site)
        waiting, alike = list(found.sources), Counter[str]()
        while waiting and len(found.statuses) < _MOST:
            address = waiting.pop(0)
            alike[_shape(address)] += 1
            if alike[_shape(address)] > _ALIKE or not _is_page(client, address, found):
                continue
            visit = found.pages[address] = window.visit(address)
            for link in (urldefrag(each)[0] for each in visit.links):
                if link.startswith(f"{site}/") and link not in found.sources:
                    found.sources[link] = address
                    waiting.append(link)
        browser.close()
    assert not waiting, "there are more links than the crawl may follow"
    return found


def _beginnings(site: str) -> list[str]:
    maps = _locations(f"{site}/sitemap.xml")
    products = [page for each in maps for page in _locations(each)]
    return [f"{site}/", f"{site}/ogc", f"{site}/favicon.ico", *products, *(site + path for path in _MISSING)]


def _locations(address: str) -> list[str]:
    tree = ET.fromstring(httpx.get(address).content)
    return [str(each.text) for each in tree.iter() if each.tag.endswith("}loc")]


def _is_page(client: httpx.Client, address: str, found: Crawl) -> bool:
    """Note how an address answers; True for HTML. No more than the beginning of large files is read."""
    with client.stream("GET", address, follow_redirects=True) as answer:
        found.statuses[address] = answer.status_code
    found.heads[address] = client.head(address, follow_redirects=True).status_code
    return answer.headers.get("content-type", "").startswith("text/html")


def _shape(address: str) -> str:
    """Alike for all features of a collection, and for all pages of a list."""
    return re.sub(r"/items/[^/?]+|(?<=token=)[^&]+", "{}", address)


class _Browser:
    """One window that goes from page to page, and takes note of what a page should not do."""

    def __init__(self, page: Any, site: str) -> None:
        self._page, self._site = page, site
        self._address, self._troubles = "", list[str]()
        page.on("console", self._told)
        page.on("pageerror", lambda error: self._troubles.append(str(error)))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def visit(self, address: str) -> Visit:
        self._address, self._troubles = address, []
        answer = self._page.goto(address)
        if self._page.locator("script:not([type='application/ld+json'])").count():
            self._page.wait_for_load_state("networkidle")
        read = self._page.evaluate(_READ)
        return Visit(status=answer.status, troubles=self._troubles, **read)

    def _told(self, message: Any) -> None:
        # That the page itself is an error is told in its status.
        if message.type == "error" and message.location["url"] != self._address:
            self._troubles.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self._site, "blob:", "data:")):
            self._troubles.append(f"asks {request.url}")

    def _answered(self, answer: Any) -> None:
        if answer.status >= 400 and answer.url != self._address:
            self._troubles.append(f"{answer.status}: {answer.url}")


def test_pages_of_every_kind_were_visited(crawl: Crawl, site: str) -> None:
    visited = " ".join(sorted(crawl.pages))
    for kind in (
        r"/ ", r"/ogc ", r"/ogc/collections\?f=html", r"/ogc/collections/soc\?f=html", r"/ogc/conformance\?f=html",
        r"/ogc/openapi\?f=html", r"/soc/schema\?f=html", r"/soc/queryables\?f=html", r"/soc/coverage\?f=html",
        r"/validation-sites/items\?f=html", r"/validation-sites/items/\S+\?f=html", r"/samples/items\?f=html",
        r"/products/items\?f=html", r"/ogc/processes\?f=html", r"/processes/predict-soil-property\?f=html",
        r"/ogc/jobs\?f=html", r"/ogc/jobs/[^/ ?]+\?f=html", r"/ogc/jobs/[^/ ?]+/results\?f=html",
        r"/products/bare-soil-composites/\S+", r"/products/models/\S+", r"/products/soc/\S+", r"/products/\S*sites\S+",
        r"/catalog/models/\S+/report\.html", r"/catalog/bare-soil-composites/\S+\.html",
        r"/catalog/soc/\S+\.html",
    ):  # fmt: skip
        assert re.search(site + r"\S*" + kind, visited + " "), kind


def test_no_page_asks_elsewhere_or_for_what_is_missing(crawl: Crawl) -> None:
    assert {address: visit.troubles for address, visit in crawl.pages.items() if visit.troubles} == {}
    assert {address: visit.unseen for address, visit in crawl.pages.items() if visit.unseen} == {}


def test_every_page_says_what_it_is(crawl: Crawl) -> None:
    for address, visit in crawl.pages.items():
        assert visit.title, address
        assert visit.title == " ".join(visit.title.split()), address
        assert len(visit.h1) == 1, address
        assert visit.h1[0], address


def test_no_page_is_wider_than_a_phone(crawl: Crawl) -> None:
    assert {address: visit.over for address, visit in crawl.pages.items() if visit.over > 0} == {}


def test_every_link_is_alive(crawl: Crawl, site: str) -> None:
    missing = {site + path for path in _MISSING}
    dead = {each: (status, crawl.sources[each]) for each, status in crawl.statuses.items() if status >= 400}
    assert {each: why for each, why in dead.items() if each not in missing} == {}
    assert missing <= set(dead)
    assert crawl.heads == crawl.statuses
