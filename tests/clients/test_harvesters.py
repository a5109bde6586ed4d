"""Harvesters: sickle over OAI-PMH, rdflib along DCAT, ro-crate-py, and links of signposting followed."""

import warnings
from pathlib import Path

import httpx
import pytest
import rdflib
import requests

from tests.clients.conftest import Site
from tests.clients.reading import reads

pytestmark = [
    pytest.mark.xdist_group("clients"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of rdflib's parsers
]
_DCAT = rdflib.Namespace("http://www.w3.org/ns/dcat#")
_NEXT = rdflib.URIRef("http://www.w3.org/ns/hydra/core#next")


@reads("sickle", "OAI-PMH")
@pytest.mark.parametrize("prefix", ["oai_dc", "iso19139", "oai_datacite"])
def test_oai_pmh(site: Site, prefix: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of sickle's own
        from sickle import Sickle
    records = list(Sickle(f"{site.url}/oai").ListRecords(metadataPrefix=prefix))
    assert {each.header.identifier.removeprefix("oai:cup4soil.invalid:") for each in records} == site.names


@reads("rdflib", "DCAT-AP")
@pytest.mark.parametrize(("media_type", "parser"), [("application/ld+json", "json-ld"), ("application/rdf+xml", "xml")])
def test_dcat_leads_from_the_catalog_to_every_product(site: Site, media_type: str, parser: str) -> None:
    graph, seen, wanted = rdflib.Graph(), set(), {f"{site.url}/dcat"}
    while wanted - seen:
        address = (wanted - seen).pop()
        seen.add(address)
        answer = httpx.get(address, headers={"Accept": media_type}, timeout=30)
        assert answer.headers["content-type"].startswith(media_type)
        part = rdflib.Graph().parse(data=answer.text, format=parser)
        wanted |= {str(each) for each in [*part.objects(None, _DCAT.catalog), *part.objects(None, _NEXT)]}
        graph += part
    pages = {str(each) for each in graph.subjects(rdflib.RDF.type, _DCAT.Dataset)}
    assert {each.removesuffix("#dataset").split("/products/")[1] for each in pages} == site.names


@reads("ro-crate-py", "RO-Crate")
def test_crate(site: Site, tmp_path: Path) -> None:
    from rocrate.rocrate import ROCrate

    document = httpx.get(f"{site.url}/products/soc/{site.soc}/ro-crate", timeout=30).text
    (tmp_path / "ro-crate-metadata.json").write_text(document)
    crate = ROCrate(tmp_path)
    assert crate.root_dataset["name"] == site.demo.soil_map.record.title
    (mean,) = [each for each in crate.data_entities if each.id.endswith("/mean.tif")]
    assert httpx.get(mean.id, timeout=30).content == site.file("mean").read_bytes()


@reads("HTTP clients", "signposting")
def test_every_link_of_a_product_leads_to_what_it_says(site: Site) -> None:
    page = httpx.head(f"{site.url}/products/soc/{site.soc}", timeout=30)
    relations = set()
    for link in requests.utils.parse_header_links(page.headers["link"]):
        relations.add(link["rel"])
        if link["url"].startswith(site.url):
            answer = httpx.head(link["url"], timeout=30)
            assert answer.status_code == 200, link
            stated = link.get("type", "").split(";")[0]
            assert answer.headers["content-type"].split(";")[0] == stated or not stated, link
    assert {"cite-as", "type", "describedby", "item", "license", "linkset"} <= relations
