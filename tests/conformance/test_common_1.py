"""OGC API Common, Part 1 (19-072)."""

from html.parser import HTMLParser

import pytest

from tests.conformance.asking import follow, link, links, problem
from tests.conformance.conftest import Service

PART = "ogcapi-common-1/1.0"
PAGES = ("/", "/conformance", "/collections", "/collections/soc-0-20cm", "/collections/soc-0-20cm/schema")
RESOURCES = (
    *PAGES, "/openapi", "/tileMatrixSets", "/collections/soc-0-20cm/coverage", "/collections/soc-0-20cm/map",
    "/collections/soc-0-20cm/map/tiles", "/collections/products/items", "/collections/products/schema",
)  # fmt: skip


@pytest.mark.parametrize("path", RESOURCES)
def test_http(service: Service, path: str) -> None:
    """/conf/core/http: GET and HEAD agree, OPTIONS names the methods, others are refused with them."""
    full = service.get(path)
    head = service.client.head(path)
    assert full.status_code == head.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == full.headers["content-type"]
    asked = service.client.options(path)
    assert asked.status_code == 204
    refused = service.client.delete(path)
    problem(refused, 405)
    for answer in (asked, refused):
        assert {"GET", "HEAD"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(
    "path", ["/nothing", "/collections/nothing", "/collections/nothing/coverage", "/conformance/x"]
)
def test_not_found(service: Service, path: str) -> None:
    """/conf/core/http: what is not there is 404, whatever the method."""
    problem(service.get(path), 404)
    assert service.client.post(path).status_code in (404, 405)


@pytest.mark.parametrize("path", RESOURCES)
def test_parameters_that_are_not_known(service: Service, path: str) -> None:
    """/conf/core/query-param-name-unknown /conf/core/query-param-value-invalid: each is named."""
    problem(service.get(path, params={"wrong": "1"}), 400, "wrong")
    problem(service.get(path, params={"f": "nonsense"}), 400, "nonsense")


@pytest.mark.parametrize("path", RESOURCES)
def test_names_of_parameters_are_in_small_letters(service: Service, path: str) -> None:
    """/conf/core/query-param-capitalization: F is not f."""
    problem(service.get(path, params={"F": "json"}), 400, "F")


@pytest.mark.parametrize("path", [path for path in RESOURCES if not path.startswith("/collections/products/")])
def test_formats_that_are_not_offered(service: Service, path: str) -> None:
    """/conf/core/http: an Accept header that nothing meets is answered with 406; one that anything meets is met."""
    problem(service.get(path, headers={"Accept": "video/mp4"}), 406, "video/mp4")
    plain = service.get(path).headers["content-type"]
    for accept in ("*/*", "video/mp4, */*;q=0.1"):
        assert service.get(path, headers={"Accept": accept}).headers["content-type"] == plain


def test_landing_page(service: Service) -> None:
    """/conf/landing-page/root-op /conf/landing-page/root-success"""
    page = service.json("/")
    assert page["title"]
    assert page["description"]
    for rel in ("service-desc", "service-doc", "conformance", "data"):
        assert links(page, rel), rel
    self = link(page, "self")
    assert service.client.get(self, follow_redirects=True).json() == page


def test_every_link_of_the_landing_page_leads_where_it_says(service: Service) -> None:
    """/conf/landing-page/root-success: relations and media types of links hold; jobs are tested with Processes."""
    for each in service.json("/")["links"]:
        if "/jobs" not in each["href"]:
            follow(service.client, each)


@pytest.mark.parametrize("rel", ["service-desc", "service-doc"])
def test_api_definition(service: Service, rel: str) -> None:
    """/conf/landing-page/api-definition-op /conf/landing-page/api-definition-success"""
    (each,) = links(service.json("/"), rel)
    answer = follow(service.client, each)
    if rel == "service-desc":
        assert answer.json()["openapi"].startswith("3.0")


def test_conformance(service: Service) -> None:
    """/conf/landing-page/conformance-op /conf/landing-page/conformance-success"""
    document = service.client.get(link(service.json("/"), "conformance")).json()
    assert {f"http://www.opengis.net/spec/{PART}/conf/{name}" for name in ("core", "landing-page")} <= set(
        document["conformsTo"]
    )


@pytest.mark.parametrize("path", PAGES)
def test_json(service: Service, path: str) -> None:
    """/conf/json/definition /conf/json/content"""
    answer = service.get(path, headers={"Accept": "application/json"})
    assert answer.headers["content-type"] in ("application/json", "application/schema+json")
    assert answer.json() == service.json(path, params={"f": "json"})


class _Checker(HTMLParser):
    """Every element that is opened is closed; what is seen is kept."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr", "col", "wbr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if tag == "a" and name == "href"]

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] != tag and self.open[-1] in ("p", "li", "dt", "dd", "td", "th", "tr"):
            self.open.pop()
        assert self.open, tag
        assert self.open.pop() == tag


@pytest.mark.parametrize("path", PAGES)
def test_html(service: Service, path: str) -> None:
    """/conf/html/definition /conf/html/content: a well-formed page, by f or by negotiation, with good links."""
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = service.get(path, headers={"Accept": browser})
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.content == service.get(path, params={"f": "html"}).content
    page = _Checker()
    page.feed(answer.text)
    page.close()
    assert not page.open
    for href in page.links:
        if href.startswith(service.root):
            assert service.client.get(href, follow_redirects=True).status_code == 200, href


def test_openapi_document(service: Service) -> None:
    """/conf/oas30/oas-definition-1 /conf/oas30/oas-definition-2: as OpenAPI 3.0, stated by the landing page."""
    (each,) = links(service.json("/"), "service-desc")
    assert each["type"] == "application/vnd.oai.openapi+json;version=3.0"
    document = follow(service.client, each).json()
    assert document["openapi"].startswith("3.0.")
    assert document["servers"][0]["url"] == f"{service.root}/ogc"


def test_paths_of_the_openapi_document(service: Service) -> None:
    """/conf/oas30/oas-impl /conf/oas30/completeness: what is documented is there."""
    document = service.json("/openapi")
    for path in ("/", "/conformance", "/collections", "/collections/{collectionId}"):
        operation = document["paths"][path]["get"]
        assert "200" in operation["responses"]
        assert service.get(path.format(collectionId="soc-0-20cm")).status_code == 200


def test_exceptions_are_documented(service: Service) -> None:
    """/conf/oas30/exceptions-codes: each operation with parameters says how it refuses."""
    for path, methods in service.json("/openapi")["paths"].items():
        for operation in methods.values():
            if operation.get("parameters"):
                assert any(code.startswith("4") for code in operation["responses"]), path


def test_security_is_documented(service: Service) -> None:
    """/conf/oas30/security: nothing has to be proven to read, and none is asked for."""
    for path in ("/", "/conformance", "/collections"):
        operation = service.json("/openapi")["paths"][path]["get"]
        assert not operation.get("security")
        assert service.get(path).status_code == 200
