"""The record's other forms: DCAT-AP, DataCite, schema.org, RO-Crate, citations, versions, links in headers."""

import json
import re
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from lxml import etree
from referencing import Registry, Resource
from requests.utils import parse_header_links

from cup4soil.errors import InvalidInput
from cup4soil.products import Measure, ProductRecord
from cup4soil.settings import Settings
from stac_catalog.citation import bibtex, citation_text, csl_json
from stac_catalog.datacite import datacite
from stac_catalog.datacite_xml import KERNEL, datacite_element, oai_datacite
from stac_catalog.dcat import CONTEXT, dataset_node, dcat, dcat_catalog
from stac_catalog.places import Places
from stac_catalog.rdf_xml import rdf_xml
from stac_catalog.rocrate import CRATE_FILE, ro_crate
from stac_catalog.schema_org import schema_org, schema_org_catalog
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.signposting import link_header, linkset_document, page_links
from stac_catalog.stac import product_item
from stac_catalog.store import Store
from stac_catalog.versions import Versions, find_versions, version_links, versions
from tests.catalog import products
from tests.catalog.conftest import Filled, Made

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of rdflib's dependencies
    rdflib = pytest.importorskip("rdflib")
    from rdflib.compare import isomorphic

# Of rdflib's own parsers and of what pyshacl does with them.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
KINDS = ("composite", "soil-map", "model", "samples")
PLACES = Places("https://survey.example/soil/")
SCHEMAS = Path(__file__).resolve().parents[2] / ".cache" / "metadata-schemas" / "datacite" / "schemas"
SHAPES = Path(__file__).with_name("dcat_ap_shapes.ttl")
OTHERS = Versions("older-1", "newer-2", "newest-3")


@pytest.fixture(params=KINDS)
def record(request: pytest.FixtureRequest, made: dict[str, Made]) -> ProductRecord:
    return made[request.param].record


def graph_of(document: dict[str, Any]) -> Any:
    return rdflib.Graph().parse(data=json.dumps(document), format="json-ld")


class TestDcat:
    def shacl(self, graph: Any) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pyshacl

            sound, _, text = pyshacl.validate(graph, shacl_graph=rdflib.Graph().parse(SHAPES))
        return "" if sound else text

    def test_product_keeps_the_rules(self, record: ProductRecord, settings: Settings) -> None:
        assert not self.shacl(graph_of(dcat(record, settings, PLACES, OTHERS)))

    def test_catalog_keeps_the_rules(self, made: dict[str, Made], settings: Settings) -> None:
        nodes = [dataset_node(each.record, settings, PLACES) for each in made.values()]
        document = dcat_catalog(
            "https://survey.example/soil/dcat/soc?page=1", "Soil", settings, PLACES, datasets=nodes, following="x:y"
        )
        graph = graph_of(document)
        assert not self.shacl(graph)
        assert len(list(graph.subjects(rdflib.RDF.type, rdflib.URIRef(CONTEXT["dcat"] + "Dataset")))) == 4

    @pytest.mark.parametrize(
        "name",
        ["dct:title", "dct:description", "dct:publisher", "dcat:theme", "dct:temporal", "dcat:distribution"],
    )
    def test_the_rules_find_faults(self, made: dict[str, Made], settings: Settings, name: str) -> None:
        document = dcat(made["soil-map"].record, settings, PLACES)
        del document[name]
        assert self.shacl(graph_of(document))

    def test_rdf_xml_states_the_same(self, record: ProductRecord, settings: Settings) -> None:
        document = dcat(record, settings, PLACES, OTHERS)
        xml = rdflib.Graph().parse(data=rdf_xml(document), format="xml")
        assert len(xml) > 50
        assert isomorphic(xml, graph_of(document))

    def test_control_character_is_refused(self, made: dict[str, Made], settings: Settings) -> None:
        record = made["samples"].record.model_copy(update={"title": "a\x00b"})
        with pytest.raises(InvalidInput, match="without control characters"):
            rdf_xml(dcat(record, settings, PLACES))

    def test_content(self, made: dict[str, Made], settings: Settings) -> None:
        record = made["soil-map"].record
        document = dcat(record, settings, PLACES)
        values = [float(each["dqv:value"]["@value"]) for each in document["dqv:hasQualityMeasurement"]]
        assert values == [2.5, 0.91]
        box = shapely.from_wkt(document["dct:spatial"]["dcat:bbox"]["@value"])
        assert box.bounds == pytest.approx(record.extent.bbox, abs=1e-6)
        addresses = [each["dcat:downloadURL"]["@id"] for each in document["dcat:distribution"]]
        assert f"https://survey.example/soil/catalog/soc-0-20cm/{record.id}/mean.tif" in addresses

    def test_licence_that_is_not_public_does_not_make_access_public(
        self, made: dict[str, Made], settings: Settings
    ) -> None:
        record = made["soil-map"].record.model_copy(update={"licence": "proprietary"})
        document = dcat(record, settings, PLACES)
        assert "dct:accessRights" not in document
        assert not self.shacl(graph_of(document))


@pytest.fixture(scope="module")
def datacite_schema() -> Draft7Validator:
    if not SCHEMAS.is_dir():
        pytest.skip("the schemas of DataCite are not unpacked")

    def read(name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((SCHEMAS / name).read_text())
        return document

    schema = read("datacite-v4.5.json")
    resources = [(name, Resource.from_contents(read(name))) for name in ("iso-8601.json", "ietf-bcp-47.json")]
    base = str(schema.get("$id", "")).rpartition("/")[0]
    resources += [(f"{base}/{name}", resource) for name, resource in resources]
    registry: Any = Registry().with_resources(resources)
    return Draft7Validator(schema, registry=registry)


class TestDatacite:
    def test_valid(self, record: ProductRecord, settings: Settings, datacite_schema: Draft7Validator) -> None:
        for document in (
            datacite(record, settings, PLACES),
            datacite(record, settings, PLACES, OTHERS, doi="10.5072/soil-1"),
        ):
            assert [error.message for error in datacite_schema.iter_errors(document)] == []

    def test_the_schema_finds_faults(
        self, made: dict[str, Made], settings: Settings, datacite_schema: Draft7Validator
    ) -> None:
        document = datacite(made["soil-map"].record, settings, PLACES)
        assert not datacite_schema.is_valid({k: v for k, v in document.items() if k != "creators"})
        assert not datacite_schema.is_valid(document | {"geoLocations": [{"geoLocationBox": {"north": 1}}]})

    def test_relations(self, made: dict[str, Made], settings: Settings) -> None:
        document = datacite(made["composite"].record, settings, PLACES, OTHERS)
        relations = {(each["relationType"], each["relatedIdentifier"]) for each in document["relatedIdentifiers"]}
        page = "https://survey.example/soil/products/bare-soil-composites"
        assert ("References", "10.3390/rs14184526") in relations
        assert ("IsNewVersionOf", f"{page}/older-1") in relations
        assert ("IsPreviousVersionOf", f"{page}/newer-2") in relations
        assert ("IsObsoletedBy", f"{page}/newest-3") in relations
        # Paths of this machine are no identifiers.
        assert not [each for _, each in relations if "home" in each]


class TestDataciteXml:
    @pytest.fixture
    def peer(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """DataCite's own client library, which writes XML from the JSON document."""
        if not SCHEMAS.is_dir():
            pytest.skip("the datacite package is not unpacked")
        monkeypatch.syspath_prepend(str(SCHEMAS.parents[1]))
        return pytest.importorskip("datacite.schema45")

    def test_the_library_writes_the_same(self, record: ProductRecord, settings: Settings, peer: Any) -> None:
        document = datacite(record, settings, PLACES, OTHERS, doi="10.5072/soil-1")
        theirs = etree.fromstring(peer.tostring(document).encode())
        assert statements(datacite_element(document)) == statements(theirs)

    def test_without_a_doi_the_page_is_the_identifier(self, made: dict[str, Made], settings: Settings) -> None:
        record = made["samples"].record
        root = oai_datacite(record, settings, PLACES)
        identifier = root.find(f".//{{{KERNEL}}}identifier")
        assert identifier is not None
        assert (identifier.text, identifier.get("identifierType")) == (PLACES.page(record), "URL")


def statements(root: etree._Element) -> set[tuple[object, ...]]:
    """What an XML document says: path, text and attributes of each element that has any; numbers as such."""
    found: set[tuple[object, ...]] = set()
    for each in root.iter():
        text = (each.text or "").strip()
        if each is not root and (text or each.attrib):
            number = re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", text)
            path = tuple(etree.QName(x).localname for x in each.iterancestors())
            attributes = frozenset(dict(each.attrib).items())
            found.add((*path, etree.QName(each).localname, float(text) if number else text, attributes))
    return found


class TestSchemaOrg:
    def test_what_search_engines_need(self, record: ProductRecord, settings: Settings) -> None:
        document = schema_org(record, settings, PLACES)
        assert document["@type"] == "Dataset"
        assert 50 <= len(document["description"]) <= 5000
        assert document["license"] == "https://creativecommons.org/licenses/by-sa/4.0/"
        south, west, north, east = map(float, document["spatialCoverage"]["geo"]["box"].split())
        assert (west, south, east, north) == pytest.approx(record.extent.bbox, abs=1e-6)
        assert all(each["contentUrl"].startswith(PLACES.root) for each in document["distribution"])
        json.dumps(document, allow_nan=False)

    def test_catalog(self, settings: Settings) -> None:
        assert schema_org_catalog(settings, PLACES, {"soc": "SOC"})["about"] == ["SOC"]


class TestCrate:
    @pytest.fixture
    def library(self) -> Any:
        return pytest.importorskip("rocrate.rocrate")

    def test_the_library_reads_it(
        self, record: ProductRecord, made: dict[str, Made], settings: Settings, library: Any, tmp_path: Path,
        no_network: None,
    ) -> None:  # fmt: skip
        document = ro_crate(record, settings, PLACES, beside=True)
        for name in record.files:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((made[record.kind].folder / name).read_bytes())
        (tmp_path / CRATE_FILE).write_text(json.dumps(document))
        crate = library.ROCrate(tmp_path)
        assert crate.root_dataset["name"] == record.title
        assert sorted(each.id for each in crate.data_entities) == sorted(record.files)
        assert crate.root_dataset["license"]["@id"] == "https://creativecommons.org/licenses/by-sa/4.0/"
        (action,) = [each for each in crate.contextual_entities if each.type == "CreateAction"]
        assert len(action["object"]) == len(record.sources)

    def test_everything_named_is_there(self, record: ProductRecord, settings: Settings) -> None:
        graph = ro_crate(record, settings, PLACES)["@graph"]
        ids = [each["@id"] for each in graph]
        assert len(ids) == len(set(ids))
        named = re.findall(r'\{"@id": "([^"]+)"\}', json.dumps(graph))
        assert set(named) <= {*ids, "https://w3id.org/ro/crate/1.1"}


class TestCitation:
    def test_in_words(self, made: dict[str, Made], settings: Settings) -> None:
        record = made["soil-map"].record
        assert citation_text(record, settings, PLACES) == (
            "Soil Survey (2026): Soil organic carbon, 0-20 cm. Version 1.0.0. Soil Survey. [Dataset]. "
            f"https://survey.example/soil/products/soc-0-20cm/{record.id}"
        )

    def test_for_reference_managers(self, record: ProductRecord, settings: Settings) -> None:
        document = csl_json(record, settings, PLACES)
        assert document["issued"] == {"date-parts": [[2026, 3, 4]]}
        assert document["author"] == [{"literal": "Soil Survey"}]

    @pytest.mark.parametrize("title", ["50 % & more_of {it}", "a\\b", "x~y^z #1 $"])
    def test_bibtex_has_no_markup_from_titles(self, made: dict[str, Made], settings: Settings, title: str) -> None:
        record = made["soil-map"].record.model_copy(update={"title": title})
        (line,) = [each for each in bibtex(record, settings, PLACES).splitlines() if each.startswith("  title")]
        inner = line.removeprefix("  title = {{").removesuffix("}},")
        assert not re.search(r"(?<!\\)[&%$#_]", inner)
        plain = inner.replace(r"\textbackslash{}", "").replace(r"\textasciitilde{}", "")
        assert not re.search(r"(?<!\\)[{}]", plain.replace(r"\textasciicircum{}", ""))


class TestVersions:
    @pytest.fixture
    def three(self, made: dict[str, Made]) -> list[ProductRecord]:
        """A product made three times, the last first."""
        record = made["soil-map"].record
        return [
            record.model_copy(update={"id": f"soc-{day}", "created": record.created + timedelta(days=day)})
            for day in (2, 1, 0)
        ]

    def test_lineup(self, three: list[ProductRecord], made: dict[str, Made], settings: Settings) -> None:
        items = [product_item(r, made["soil-map"].folder, settings, lambda s: None).to_dict() for r in three]
        third, second, first = three
        assert versions(first, items) == Versions(None, "soc-1", "soc-2")
        assert versions(second, items) == Versions("soc-0", "soc-2", "soc-2")
        assert versions(third, items) == Versions("soc-1", None, None)
        links = {link.rel: link.href for link in version_links(versions(second, items))}
        assert links == {
            "predecessor-version": "../soc-0/soc-0.json",
            "successor-version": "../soc-2/soc-2.json",
            "latest-version": "../soc-2/soc-2.json",
        }

    @pytest.mark.parametrize("change", ["period", "depth", "method", "place"])
    def test_others_are_no_versions(
        self, three: list[ProductRecord], made: dict[str, Made], settings: Settings, change: str
    ) -> None:
        newest, _, oldest = three
        changes = {
            "period": {"period": newest.period.model_copy(update={"end": newest.period.end + timedelta(days=1)})},
            "depth": {"depth": "0-30cm"},
            "method": {"algorithm": newest.algorithm.model_copy(update={"name": "other"})},
            "place": {"extent": newest.extent.model_copy(update={"bbox": (1.0, 2.0, 3.0, 4.0)})},
        }
        other = newest.model_copy(update=changes[change])
        item = product_item(other, made["soil-map"].folder, settings, lambda s: None).to_dict()
        assert versions(oldest, [item]) == Versions()

    def test_found_in_a_store(self, filled: Filled, settings: Settings, tmp_path: Path) -> None:
        store = Store.open(tmp_path / "store", settings)
        old = products.composite(tmp_path / "a")
        new = products.composite(tmp_path / "b")
        algorithm = new.algorithm.model_copy(update={"version": "1.1.0"})
        changes = {"id": "src-new", "algorithm": algorithm, "created": new.created + timedelta(days=1)}
        store.register(old, tmp_path / "a")
        store.register(new.model_copy(update=changes), tmp_path / "b")
        other = products.composite(tmp_path / "c", left=4_331_000)
        store.register(other, tmp_path / "c")
        index = SearchIndex(store.root / INDEX_FILE)
        try:
            assert find_versions(index, store.record(old.collection, old.id)) == Versions(None, "src-new", "src-new")
            assert find_versions(index, store.record(old.collection, "src-new")) == Versions(old.id, None, None)
            assert find_versions(index, store.record(old.collection, other.id)) == Versions()
        finally:
            index.close()


class TestSignposting:
    FORMS = (("datacite", "application/vnd.datacite.datacite+json"), ("dcat", "application/ld+json"))

    def test_header_is_read_back(self, record: ProductRecord) -> None:
        links = page_links(record, PLACES, self.FORMS)
        read = parse_header_links(link_header(links))
        assert [(each["url"], each["rel"]) for each in read] == [(each.href, each.rel) for each in links]
        relations = [each["rel"] for each in read]
        assert {"cite-as", "type", "describedby", "item", "license"} <= set(relations)
        assert relations.count("item") == len(record.files)

    def test_doi_is_what_is_cited(self, made: dict[str, Made]) -> None:
        (link,) = [x for x in page_links(made["samples"].record, PLACES, (), "10.5072/1") if x.rel == "cite-as"]
        assert link.href == "https://doi.org/10.5072/1"

    def test_many_items_are_left_to_the_link_set(self, made: dict[str, Made]) -> None:
        record = made["samples"].record
        documents = tuple(
            record.documents[0].model_copy(update={"name": f"d{i}", "file": f"d{i}.json"}) for i in range(30)
        )
        links = page_links(record.model_copy(update={"documents": documents}), PLACES, ())
        header = link_header(links, "https://survey.example/set")
        assert 'rel="item"' not in header
        assert 'rel="linkset"; type="application/linkset+json"' in header
        (context,) = linkset_document("https://survey.example/page", links)["linkset"]
        assert len(context["item"]) == 30


# Whatever a record says, every form can be written and read.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=30)


@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=TEXTS, licence=TEXTS, value=st.floats(allow_nan=False, allow_infinity=False))
def test_any_text(
    made: dict[str, Made], datacite_schema: Draft7Validator, title: str, licence: str, value: float
) -> None:
    measure = Measure(name=title, value=value, unit=title, description=title, support=title)
    changes = {"title": title, "keywords": (title,), "licence": licence, "quality": (measure,)}
    record: ProductRecord = made["samples"].record.model_copy(update=changes)
    settings = Settings(organisation=title)
    document = dcat(record, settings, PLACES)
    xml = rdflib.Graph().parse(data=rdf_xml(document), format="xml")
    assert isomorphic(xml, graph_of(document))
    datacite_schema.validate(datacite(record, settings, PLACES))
    for each in (schema_org(record, settings, PLACES), ro_crate(record, settings, PLACES)):
        json.dumps(each, allow_nan=False)
    bibtex(record, settings, PLACES)
