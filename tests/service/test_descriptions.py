"""Programs find from the landing pages what describes the service."""

from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import pytest

from tests.service import whole_service


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        whole_service.serving(whole_service.fill(tmp_path_factory.mktemp("descriptions"))) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client


@pytest.mark.parametrize("page", ["/", "/ogc", "/ogc/", "/ogc/?f=json", "/stac", "/stac/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_landing_pages_link_to_the_one_document_of_all(client: httpx.Client, page: str, method: str) -> None:
    answer = client.request(method, page)
    assert answer.status_code == 200
    link = answer.links["service-desc"]
    found = client.get(urljoin(str(answer.url), link["url"]))
    assert found.url.path == "/openapi.json"
    assert found.headers["content-type"].startswith(link["type"])
    assert found.json()["openapi"].startswith("3.1")
    assert {"/stac/search", "/ogc/collections", "/oai"} <= set(found.json()["paths"])
    assert client.get(urljoin(str(answer.url), answer.links["api-catalog"]["url"])).is_success


def test_the_catalog_of_apis_leads_to_what_describes_each(client: httpx.Client) -> None:
    """RFC 9727: a link set by itself, HEAD too."""
    answer = client.get("/.well-known/api-catalog")
    assert answer.headers["content-type"].startswith("application/linkset+json")
    assert client.head("/.well-known/api-catalog").headers["content-type"] == answer.headers["content-type"]
    for entry in answer.json()["linkset"]:
        assert client.get(entry.pop("anchor")).is_success
        for link in (link for links in entry.values() for link in links):
            found = client.get(link["href"])
            assert found.is_success, link
            assert found.headers["content-type"].startswith(link["type"].split(";")[0]), link


def test_the_landing_page_of_the_ogc_apis_keeps_to_their_own_document(client: httpx.Client) -> None:
    """Their clients read OpenAPI 3.0, and the first link of that relation."""
    links = [link for link in client.get("/ogc/?f=json").json()["links"] if link["rel"] == "service-desc"]
    assert [client.get(link["href"]).json()["openapi"][:3] for link in links] == ["3.0"]


@pytest.mark.parametrize(
    ("address", "accept", "kind"),
    [
        ("/nothing", "text/html,*/*;q=0.8", "text/html"),
        ("/nothing", "*/*", "application/problem+json"),
        ("/nothing", "application/json, text/html", "application/problem+json"),
        ("/stac/collections/nothing", "text/html", "text/html"),
        ("/ogc/jobs/nothing?f=html", "*/*", "text/html"),
        ("/ogc/jobs/nothing?f=json", "text/html", "application/problem+json"),
        ("/ogc/collections/a<b>/items", "text/html", "text/html"),
    ],
)
def test_refusals_are_pages_for_browsers_alone(client: httpx.Client, address: str, accept: str, kind: str) -> None:
    answer = client.get(address, headers={"Accept": accept})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith(kind)
    assert "Accept" in answer.headers["vary"]
    assert "<b>" not in answer.text
