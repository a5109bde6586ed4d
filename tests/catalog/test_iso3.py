"""ISO 19115-3 records: valid against the schemas of ISO, and saying all that the ISO 19139 record says."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from cup4soil.errors import InvalidInput
from cup4soil.products import ProductRecord
from cup4soil.settings import Settings
from stac_catalog.iso import iso_element
from stac_catalog.iso3 import NAMESPACES, SCHEMA, iso3_record
from stac_catalog.metadata import FORMS, Described, metadata, preferred_form
from stac_catalog.oai_formats import FORMATS
from stac_catalog.places import Places
from tests.catalog import products
from tests.catalog.conftest import Made

KINDS = ("composite", "soil-map", "model", "samples")
SPACES = dict(NAMESPACES)
PLACES = Places("https://survey.example/soil/")
CACHE = Path(__file__).resolve().parents[2] / ".cache"
ISO = CACHE / "metadata-schemas" / "iso19115-3" / "ckanext" / "iso19115" / "namespaces"
W3C = CACHE / "iso-schemas" / "pycsw" / "core" / "schemas" / "w3c"
# What the two forms say of themselves, and how a code is called, differ.
OWN = {"ISO 19115:2003/19139", "1.0", "ISO 19115-3", "2018", "dataset", "revision"}


class _Unpacked(etree.Resolver):
    """Leads addresses of schemas to the unpacked files."""

    PLACES = (
        ("://standards.iso.org/iso/", ISO),
        ("://schemas.opengis.net/", ISO / "schemas.opengis.net"),
        ("://www.w3.org/1999/", W3C / "1999"),
        ("://www.w3.org/2001/", W3C / "2001"),
    )

    def resolve(self, url: str | None, _: object, context: Any) -> Any:
        for part, folder in self.PLACES:
            if url is not None and part in url:
                return self.resolve_filename(str(folder / url.partition(part)[2]), context)
        return None


@pytest.fixture(scope="module")
def schema(iso_schemas: Path) -> etree.XMLSchema:
    if not ISO.is_dir():
        pytest.skip("the ISO 19115-3 schemas are not unpacked: run make schemas")
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Unpacked())
    return etree.XMLSchema(etree.parse(ISO / SCHEMA.partition("/iso/")[2], parser))


@pytest.fixture(params=KINDS)
def record(request: pytest.FixtureRequest, made: dict[str, Made]) -> ProductRecord:
    return made[request.param].record


def root_of(record: ProductRecord, **contact: str) -> etree._Element:
    return etree.fromstring(iso3_record(record, Settings.model_validate(contact), PLACES))


@pytest.mark.parametrize("contact", [{}, {"contact_email": "a@b.example", "contact_url": "https://b.example"}])
def test_valid_against_the_schema(record: ProductRecord, schema: etree.XMLSchema, contact: dict[str, str]) -> None:
    schema.assertValid(root_of(record, **contact))


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: products.composite(folder, frequency=True),
        lambda folder: products.composite(folder).model_copy(update={"licence": "own terms", "simulated": True}),
        lambda folder: products.composite(folder).model_copy(update={"verdict": "no-skill"}),
    ],
)
def test_valid_in_other_shapes(make: Callable[[Path], ProductRecord], tmp_path: Path, schema: etree.XMLSchema) -> None:
    schema.assertValid(root_of(make(tmp_path)))


@pytest.mark.parametrize("tag", ["mdb:contact", "mdb:identificationInfo", "mdb:dateInfo"])
def test_the_schema_finds_faults(made: dict[str, Made], schema: etree.XMLSchema, tag: str) -> None:
    root = root_of(made["soil-map"].record)
    for each in root.findall(tag, SPACES):
        root.remove(each)
    assert not schema.validate(root)


def test_nothing_is_lost(record: ProductRecord) -> None:
    settings = Settings(contact_email="a@b.example", contact_url="https://b.example")
    old = iso_element(record, settings, PLACES)
    new = etree.fromstring(iso3_record(record, settings, PLACES))

    def said(root: etree._Element) -> Counter[str]:
        texts = [(each.text or "").strip() for each in root.iter() if isinstance(each.tag, str)]
        links = [value for each in root.iter() for key, value in each.attrib.items() if "href" in key]
        return Counter(text for text in (*texts, *links) if text and text not in OWN)

    assert said(new) == said(old)
    assert not [each for each in new.iter() if "isotc211" in str(each.tag)]


def test_quality_names_its_measures(made: dict[str, Made]) -> None:
    record = made["soil-map"].record
    root = root_of(record)
    names = root.findall(".//mdq:nameOfMeasure/gco:CharacterString", SPACES)
    assert {each.text for each in names} >= {measure.name for measure in record.quality}
    assert root.find("mdb:resourceLineage/mrl:LI_Lineage/mrl:statement", SPACES) is not None


def test_code_lists_are_those_of_the_standard(record: ProductRecord) -> None:
    lists = {each.get("codeList", "") for each in root_of(record).iter() if each.get("codeList")}
    own = {each for each in lists if "loc.gov" not in each}
    assert own
    assert all(each.startswith("http://standards.iso.org/iso/19115/resources/Codelists/cat/") for each in own)


def test_control_characters_are_refused(made: dict[str, Made]) -> None:
    record = made["soil-map"].record.model_copy(update={"title": "a\x00b"})
    with pytest.raises(InvalidInput, match="control characters"):
        iso3_record(record, Settings())


def test_a_form_of_metadata_and_of_harvesting(made: dict[str, Made]) -> None:
    record = made["soil-map"].record
    content = metadata("iso19115-3", Described(record, Settings(), PLACES))
    assert content == iso3_record(record, Settings(), PLACES)
    assert FORMATS["iso19115-3"].namespace == NAMESPACES["mdb"]
    assert preferred_form(FORMS["iso"].media_type) == "iso"
