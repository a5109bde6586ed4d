"""Metadata over HTTP: pages, forms, the catalog in DCAT, sitemaps, and what is not to be seen."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from lxml import etree, html
from requests.utils import parse_header_links

from cup4soil.errors import Cup4soilError, NotFound
from cup4soil.settings import Settings
from stac_catalog import metadata_router as module
from stac_catalog.extensions import CUP4SOIL
from stac_catalog.metadata import FORMS
from stac_catalog.metadata_router import SCHEMA_PATH, metadata_router
from stac_catalog.places import Places
from stac_catalog.schema_org import schema_org
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.store import Store
from stac_catalog.visibility import HIDDEN
from tests.catalog.conftest import Filled

SITEMAP = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
PUBLIC = "https://soil.survey.example/maps/"


@dataclass
class Asking:
    app: FastAPI

    def __call__(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, path, headers=headers)

        return anyio.run(ask)


@pytest.fixture(scope="module")
def store(filled: Filled, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("described") / "store"
    shutil.copytree(filled.store.root, root)
    return Store.open(root, settings)


@pytest.fixture(scope="module")
def ask(store: Store, settings: Settings) -> Iterator[Asking]:
    app = FastAPI()
    index = SearchIndex(store.root / INDEX_FILE)
    app.include_router(metadata_router(store, settings, index, public_url=PUBLIC))

    @app.exception_handler(Cup4soilError)
    async def domain(request: Request, error: Cup4soilError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 404 if isinstance(error, NotFound) else 400)

    yield Asking(app)
    index.close()


def product(store: Store, collection: str = "soc-0-20cm") -> str:
    (name,) = store.items(collection)
    return f"/products/{collection}/{name}"


class TestPage:
    def test_says_what_the_product_is(self, ask: Asking, store: Store) -> None:
        answer = ask(product(store))
        assert answer.status_code == 200
        text = html.fromstring(answer.text).text_content()
        for said in ("Soil organic carbon, 0-20 cm", "RMSE, spatial folds", "does not describe a real place"):
            assert said in text

    def test_loads_nothing(self, ask: Asking, store: Store) -> None:
        page = html.fromstring(ask(product(store)).text)
        assert not page.xpath("//*[@src] | //link[@rel='stylesheet'] | //style[contains(., 'url')]")

    def test_holds_the_document_for_search_engines(self, ask: Asking, store: Store, settings: Settings) -> None:
        page = html.fromstring(ask(product(store)).text)
        (script,) = page.xpath("//script")
        assert script.get("type") == "application/ld+json"
        (name,) = store.items("soc-0-20cm")
        assert json.loads(script.text) == schema_org(store.record("soc-0-20cm", name), settings, Places(PUBLIC))

    def test_texts_are_no_markup(self, ask: Asking, store: Store) -> None:
        assert "<see layers>" not in ask(product(store, "bare-soil-composites")).text

    def test_links_lead_to_what_is_there(self, ask: Asking, store: Store) -> None:
        answer = ask(product(store))
        links = parse_header_links(answer.headers["link"])
        inside = [each for each in links if each["url"].startswith(PUBLIC)]
        assert len(inside) > len(FORMS)
        for each in inside:
            path = each["url"].removeprefix(PUBLIC)
            if path.startswith("catalog/"):
                assert (store.root / path).is_file(), path
            else:
                found = ask(f"/{path}")
                assert found.status_code == 200, path
                assert found.headers["content-type"].partition(";")[0] == each.get("type", "text/html"), path

    @pytest.mark.parametrize(
        ("accept", "media_type"),
        [
            ("text/html,application/xml;q=0.9,*/*;q=0.8", "text/html"),
            ("*/*", "text/html"),
            ("application/ld+json", "application/ld+json"),
            ("text/html;q=0.5, application/x-bibtex", "application/x-bibtex"),
            ("application/vnd.datacite.datacite+json;q=1.0", "application/vnd.datacite.datacite+json"),
            ("application/xml;q=x, ;;, q", "text/html"),
            ("application/xml;q=0, application/x-bibtex;q=0.1", "application/x-bibtex"),
            ("nonsense", "text/html"),
        ],
    )
    def test_form_that_is_accepted(self, ask: Asking, store: Store, accept: str, media_type: str) -> None:
        answer = ask(product(store), accept=accept)
        assert answer.headers["content-type"].partition(";")[0] == media_type
        assert answer.headers["vary"] == "Accept"

    def test_head(self, ask: Asking, store: Store) -> None:
        assert ask(product(store), "HEAD").headers["link"] == ask(product(store)).headers["link"]


class TestForms:
    @pytest.mark.parametrize("form", sorted(FORMS))
    @pytest.mark.parametrize("collection", ["soc-0-20cm", "bare-soil-composites", "models", "samples"])
    def test_each_is_given(self, ask: Asking, store: Store, form: str, collection: str) -> None:
        answer = ask(f"{product(store, collection)}/{form}")
        assert answer.status_code == 200
        if "json" in FORMS[form].media_type:
            json.loads(answer.content)
        elif "xml" in FORMS[form].media_type:
            etree.fromstring(answer.content)
        assert 'rel="describes"' in answer.headers["link"]

    @pytest.mark.parametrize(
        "path",
        ["/products/soc/none", "/products/..%2f..%2fetc/passwd", "/products/models/%00", "/dcat/none",
         "/dcat/models?page=2", "/services/wms", "/sitemap/none/1.xml", "/sitemap/models/0.xml"],
    )  # fmt: skip
    def test_what_is_not_there(self, ask: Asking, path: str) -> None:
        assert ask(path).status_code == 404

    def test_unknown_form_names_the_known(self, ask: Asking, store: Store) -> None:
        answer = ask(f"{product(store)}/marc")
        assert answer.status_code == 404
        assert "datacite" in answer.text


class TestCatalog:
    def test_dcat_leads_to_every_product(self, ask: Asking, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_DCAT_PAGE", 1)
        root = ask("/dcat").json()
        found: list[str] = []
        for part in (each["@id"] for each in root["dcat:catalog"]):
            following: str | None = part.removeprefix(PUBLIC[:-1])
            while following:
                document = ask(following).json()
                found += [each["dct:identifier"] for each in document["dcat:dataset"]]
                view = document.get("hydra:view")
                following = view["hydra:next"]["@id"].removeprefix(PUBLIC[:-1]) if view else None
        assert sorted(found) == sorted(f"{PUBLIC}products/{c}/{i}" for c in store.collections() for i in store.items(c))

    def test_dcat_as_rdf_xml(self, ask: Asking) -> None:
        for answer in (ask("/dcat/soc-0-20cm?f=rdf"), ask("/dcat/soc-0-20cm", Accept="application/rdf+xml")):
            assert answer.headers["content-type"].startswith("application/rdf+xml")
            assert etree.fromstring(answer.content)[0].tag == "{http://www.w3.org/ns/dcat#}Catalog"

    @pytest.mark.parametrize("name", ["ogc", "stac", "oai"])
    def test_services_operate_on_every_product(self, ask: Asking, store: Store, name: str) -> None:
        root = etree.fromstring(ask(f"/services/{name}").content)
        addresses = root.xpath("//@*[local-name() = 'href' and contains(., 'metadata.xml')]")
        assert len(addresses) == sum(len(store.items(each)) for each in store.collections())
        assert all((store.root / each.removeprefix(PUBLIC)).is_file() for each in addresses)

    def test_sitemaps_name_every_page(self, ask: Asking, store: Store) -> None:
        index = etree.fromstring(ask("/sitemap.xml").content)
        pages: list[str] = []
        for address in index.xpath("//s:loc/text()", namespaces=SITEMAP):
            part = etree.fromstring(ask(address.removeprefix(PUBLIC[:-1])).content)
            pages += part.xpath("//s:loc/text()", namespaces=SITEMAP)
            changed = part.xpath("//s:lastmod/text()", namespaces=SITEMAP)
            assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", each) for each in changed)
        assert len(pages) == 4
        assert all(ask(each.removeprefix(PUBLIC[:-1])).status_code == 200 for each in pages)

    def test_robots(self, ask: Asking) -> None:
        from urllib.robotparser import RobotFileParser

        parser = RobotFileParser()
        parser.parse(ask("/robots.txt").text.splitlines())
        assert parser.can_fetch("any", "/products/soc/x")
        assert not parser.can_fetch("any", "/stac/search?limit=1")
        assert parser.site_maps() == [f"{PUBLIC}sitemap.xml"]

    def test_schema(self, ask: Asking) -> None:
        assert ask(SCHEMA_PATH).json()["$id"] == CUP4SOIL


def test_closed_collections_are_nowhere(ask: Asking, store: Store) -> None:
    paths: list[Any] = ["/dcat", "/sitemap.xml", "/services/ogc"]
    assert all("models" in ask(path).text for path in paths)
    token = HIDDEN.set(frozenset({"models"}))
    try:
        assert not [path for path in paths if "models/" in ask(path).text]
        closed = [product(store, "models"), f"{product(store, 'models')}/iso", "/dcat/models", "/sitemap/models/1.xml"]
        assert [ask(path).status_code for path in closed] == [404] * 4
    finally:
        HIDDEN.reset(token)
