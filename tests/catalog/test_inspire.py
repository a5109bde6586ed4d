"""The requirements of INSPIRE's technical guidance on metadata 2.0 (based on ISO/TS 19139:2007), one by one.

Numbers and subjects are those of the guidance and of its abstract tests; the checks are our own.
"""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from lxml import etree

from cup4soil.errors import InvalidInput
from cup4soil.settings import Settings
from stac_catalog.iso import iso_record
from stac_catalog.iso_elements import NAMESPACES
from stac_catalog.iso_service import SERVICES, Served, service_record
from stac_catalog.places import Places
from tests.catalog.conftest import Made

SPACES = dict(NAMESPACES)
PLACES = Places("https://survey.example/soil/")
DATASETS = ("composite", "soil-map", "samples")
IDENTIFICATION = "gmd:identificationInfo/*"
DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")


class Record:
    """A metadata record, asked by XPath."""

    def __init__(self, content: bytes) -> None:
        self.root = etree.fromstring(content)

    def texts(self, path: str) -> list[str]:
        found = self.root.xpath(path, namespaces=SPACES)
        return ["".join(e.itertext()).strip() if isinstance(e, etree._Element) else str(e) for e in found]

    def one(self, path: str) -> str:
        (text,) = self.texts(path)
        assert text
        return text

    def count(self, path: str) -> int:
        return len(self.root.xpath(path, namespaces=SPACES))


@pytest.fixture(params=DATASETS)
def dataset(request: pytest.FixtureRequest, made: dict[str, Made], settings: Settings) -> Record:
    return Record(iso_record(made[request.param].record, settings, PLACES))


@pytest.fixture(params=sorted(SERVICES))
def service(request: pytest.FixtureRequest, settings: Settings) -> Record:
    return Record(service_record(request.param, served(), settings, PLACES))


def served(*licences: str) -> Served:
    products = [("soc-0-20cm", "soc-0-20cm-0123456789ab"), ("samples", "samples-ba9876543210")]
    return Served(products, (12.0, 51.0, 14.0, 53.0), licences or ("CC-BY-SA-4.0",), date(2026, 3, 4))


@pytest.fixture(scope="module")
def service_schema(iso_schemas: Path) -> etree.XMLSchema:
    folder = iso_schemas / "pycsw/plugins/profiles/apiso/schemas/ogc/iso/19139/20060504"
    names = {"gmx": "gmx/gmx.xsd", "srv": "srv/srv.xsd"}
    imports = "".join(f'<xs:import namespace="{NAMESPACES[n]}" schemaLocation="{f}"/>' for n, f in names.items())
    text = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{imports}</xs:schema>'
    parser = etree.XMLParser(no_network=True)
    return etree.XMLSchema(etree.fromstring(text, parser, base_url=f"{folder}/all.xsd"))


def responsible(record: Record, path: str, role: str | None = None) -> None:
    assert record.one(f"{path}/gmd:CI_ResponsibleParty/gmd:organisationName")
    assert "@" in record.one(f"{path}//gmd:electronicMailAddress")
    if role:
        assert record.one(f"{path}//gmd:role/gmd:CI_RoleCode/@codeListValue") == role


def c2_root_element(r: Record) -> None:
    assert r.root.tag == f"{{{SPACES['gmd']}}}MD_Metadata"


def c3_code_lists(r: Record) -> None:
    coded = r.root.xpath("//*[@codeListValue]", namespaces=SPACES)
    assert coded
    assert all(each.get("codeList", "").startswith("http") and each.get("codeListValue") for each in coded)


def c4_free_text(r: Record) -> None:
    assert all(r.texts("//gco:CharacterString | //gmx:Anchor"))


def c5_language(r: Record) -> None:
    assert r.one("gmd:language/gmd:LanguageCode/@codeListValue") == "eng"


def c6_contact(r: Record) -> None:
    responsible(r, "gmd:contact", "pointOfContact")


def c7_date(r: Record) -> None:
    assert DATE.fullmatch(r.one("gmd:dateStamp/gco:Date"))


def c8_title(r: Record) -> None:
    r.one(f"{IDENTIFICATION}/gmd:citation/*/gmd:title")


def c9_abstract(r: Record) -> None:
    r.one(f"{IDENTIFICATION}/gmd:abstract")


def c10_organisation(r: Record) -> None:
    responsible(r, f"{IDENTIFICATION}/gmd:pointOfContact")


def c11_temporal_reference(r: Record) -> None:
    dates = r.texts(f"{IDENTIFICATION}/gmd:citation/*/gmd:date//gco:Date")
    assert dates
    assert all(DATE.fullmatch(each) for each in dates)


def c12_13_dates_once(r: Record) -> None:
    kinds = r.texts(f"{IDENTIFICATION}/gmd:citation/*/gmd:date//gmd:CI_DateTypeCode/@codeListValue")
    assert len(kinds) == len(set(kinds))


def c14_temporal_extent(r: Record) -> None:
    ends = r.texts(f"{IDENTIFICATION}/gmd:extent//gmd:EX_TemporalExtent//gml:TimePeriod/*")
    assert [bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", each)) for each in ends] == [True, True]
    assert ends[0] <= ends[1]


def c15_vocabularies(r: Record) -> None:
    for path in ("gmd:title", "gmd:date/gmd:CI_Date/gmd:date/gco:Date", "gmd:date//gmd:CI_DateTypeCode"):
        assert r.count(f"//gmd:thesaurusName/gmd:CI_Citation[not({path})]") == 0, path


def c16_one_group_for_each_vocabulary(r: Record) -> None:
    titles = r.texts("//gmd:MD_Keywords/gmd:thesaurusName//gmd:title")
    assert len(titles) == len(set(titles))


def c17_public_access(r: Record) -> None:
    path = "//gmd:MD_LegalConstraints[gmd:accessConstraints]"
    assert r.one(f"{path}/gmd:accessConstraints/*/@codeListValue") == "otherRestrictions"
    address = r.one(f"{path}/gmd:otherConstraints/gmx:Anchor/@xlink:href")
    assert address.startswith("http://inspire.ec.europa.eu/metadata-codelist/LimitationsOnPublicAccess/")


def c18_conditions_of_use(r: Record) -> None:
    path = "//gmd:MD_LegalConstraints[gmd:useConstraints]"
    assert "otherRestrictions" in r.texts(f"{path}/gmd:useConstraints/*/@codeListValue")
    assert "creativecommons" in r.one(f"{path}/gmd:otherConstraints/gmx:Anchor/@xlink:href")


def c19_bounding_box(r: Record) -> None:
    numbers = r.texts("//gmd:EX_GeographicBoundingBox/*/gco:Decimal")
    assert len(numbers) == 4
    assert all(len(each.partition(".")[2]) >= 2 for each in numbers)


def c20_22_conformity(r: Record) -> None:
    path = "//gmd:DQ_DomainConsistency//gmd:DQ_ConformanceResult"
    assert "1089/2010" in r.one(f"{path}/gmd:specification//gmd:title")
    assert r.one(f"{path}/gmd:specification//gco:Date") == "2010-12-08"
    assert r.one(f"{path}/gmd:specification//gmd:CI_DateTypeCode/@codeListValue") == "publication"
    assert r.one(f"{path}/gmd:explanation")
    # Nobody has evaluated it: the guidance wants a pass without value then.
    assert r.one(f"{path}/gmd:pass/@gco:nilReason") == "unknown"


COMMON = [
    c2_root_element, c3_code_lists, c4_free_text, c5_language, c6_contact, c7_date, c8_title, c9_abstract,
    c10_organisation, c11_temporal_reference, c12_13_dates_once, c15_vocabularies, c16_one_group_for_each_vocabulary,
    c17_public_access, c18_conditions_of_use, c19_bounding_box, c20_22_conformity,
]  # fmt: skip


def d1_1_resource_type(r: Record) -> None:
    assert r.one("gmd:hierarchyLevel/gmd:MD_ScopeCode/@codeListValue") in ("dataset", "series")


def d1_2_one_identification(r: Record) -> None:
    assert r.count("gmd:identificationInfo/gmd:MD_DataIdentification") == 1


def d1_3_unique_identifier(r: Record) -> None:
    r.one(f"{IDENTIFICATION}/gmd:citation/*/gmd:identifier/*/gmd:code")


def d1_4_theme(r: Record) -> None:
    path = "//gmd:MD_Keywords[contains(gmd:thesaurusName//gmd:title, 'GEMET - INSPIRE themes, version 1.0')]"
    assert r.one(f"{path}/gmd:keyword") == "Soil"
    assert r.one(f"{path}//gco:Date") == "2008-06-01"
    assert r.one(f"{path}//gmd:CI_DateTypeCode/@codeListValue") == "publication"


def d1_5_resolution(r: Record) -> None:
    grid = r.count("//gmd:spatialRepresentationType/*[@codeListValue='grid']")
    assert r.count("//gmd:spatialResolution//gco:Distance[@uom]") == grid


def d1_6_resource_language(r: Record) -> None:
    assert r.one(f"{IDENTIFICATION}/gmd:language/gmd:LanguageCode/@codeListValue") == "eng"


def d1_7_topic(r: Record) -> None:
    assert r.one(f"{IDENTIFICATION}/gmd:topicCategory/gmd:MD_TopicCategoryCode") == "geoscientificInformation"


def d1_8_locators(r: Record) -> None:
    addresses = r.texts("gmd:distributionInfo//gmd:CI_OnlineResource/gmd:linkage/gmd:URL")
    assert addresses
    assert all(each.startswith("https://survey.example/soil/") for each in addresses)


def d1_9_one_quality_element(r: Record) -> None:
    assert r.count("gmd:dataQualityInfo/gmd:DQ_DataQuality") == 1
    assert r.one("gmd:dataQualityInfo//gmd:DQ_Scope/gmd:level/*/@codeListValue") == "dataset"


def d1_10_conformity(r: Record) -> None:
    assert r.count("gmd:dataQualityInfo/*/gmd:report/gmd:DQ_DomainConsistency") == 1


def d1_11_lineage(r: Record) -> None:
    r.one("gmd:dataQualityInfo/*/gmd:lineage/gmd:LI_Lineage/gmd:statement")


def d2_1_2_reference_system(r: Record) -> None:
    grid = r.count("//gmd:spatialRepresentationType/*[@codeListValue='grid']")
    assert r.count("gmd:referenceSystemInfo//gmd:RS_Identifier/gmd:code/gmx:Anchor[@xlink:href]") == grid


def d2_4_representation(r: Record) -> None:
    assert r.one("//gmd:spatialRepresentationType/*/@codeListValue") in ("grid", "textTable")


def d2_5_encoding_of_characters(r: Record) -> None:
    assert r.one(f"{IDENTIFICATION}/gmd:characterSet/*/@codeListValue") == "utf8"


def d2_6_encoding_of_data(r: Record) -> None:
    assert all(r.texts("gmd:distributionInfo//gmd:MD_Format/gmd:name"))
    assert r.count("gmd:distributionInfo//gmd:MD_Format/gmd:version") == r.count("//gmd:MD_Format")


DATASET = [
    c14_temporal_extent, d1_1_resource_type, d1_2_one_identification, d1_3_unique_identifier, d1_4_theme,
    d1_5_resolution, d1_6_resource_language, d1_7_topic, d1_8_locators, d1_9_one_quality_element, d1_10_conformity,
    d1_11_lineage, d2_1_2_reference_system, d2_4_representation, d2_5_encoding_of_characters, d2_6_encoding_of_data,
]  # fmt: skip


def s3_1_resource_type(r: Record) -> None:
    assert r.one("gmd:hierarchyLevel/gmd:MD_ScopeCode/@codeListValue") == "service"
    r.one("gmd:hierarchyLevelName")


def s3_2_one_identification(r: Record) -> None:
    assert r.count("gmd:identificationInfo/srv:SV_ServiceIdentification") == 1


def s3_4_category(r: Record) -> None:
    known = {"infoCoverageAccessService", "infoCatalogueService"}
    assert known & set(r.texts("//gmd:keyword/gmx:Anchor"))


def s3_5_type(r: Record) -> None:
    kinds = ("discovery", "view", "download", "transformation", "invoke", "other")
    assert r.one("//srv:serviceType/gco:LocalName") in kinds


def s3_6_coupled_resources(r: Record) -> None:
    addresses = r.texts("//srv:operatesOn/@xlink:href")
    assert addresses == [
        "https://survey.example/soil/catalog/soc-0-20cm/soc-0-20cm-0123456789ab/metadata.xml",
        "https://survey.example/soil/catalog/samples/samples-ba9876543210/metadata.xml",
    ]


def s3_7_locator(r: Record) -> None:
    assert r.one("gmd:distributionInfo//gmd:URL").startswith("https://survey.example/soil/")


def s3_8_9_quality(r: Record) -> None:
    assert r.count("gmd:dataQualityInfo/gmd:DQ_DataQuality") == 1
    assert r.one("gmd:dataQualityInfo//gmd:DQ_Scope/gmd:level/*/@codeListValue") == "service"


SERVICE = [
    s3_1_resource_type, s3_2_one_identification, s3_4_category, s3_5_type, s3_6_coupled_resources, s3_7_locator,
    s3_8_9_quality,
]  # fmt: skip
type Check = Callable[[Record], None]


@pytest.mark.parametrize("check", [*COMMON, *DATASET], ids=lambda check: check.__name__)
def test_dataset(dataset: Record, check: Check) -> None:
    check(dataset)


@pytest.mark.parametrize("check", [*COMMON, *SERVICE], ids=lambda check: check.__name__)
def test_service(service: Record, check: Check) -> None:
    check(service)


def test_service_is_valid_c1(service: Record, service_schema: etree.XMLSchema) -> None:
    service_schema.assertValid(service.root)


def test_service_schema_finds_faults(service: Record, service_schema: etree.XMLSchema) -> None:
    (kind,) = service.root.xpath("//srv:couplingType", namespaces=SPACES)
    kind.getparent().remove(kind)
    assert not service_schema.validate(service.root)


def test_checks_can_fail(settings: Settings) -> None:
    record = Record(service_record("ogc", served(), settings, PLACES))
    for each in list(record.root):
        record.root.remove(each)
    failed = 0
    for check in [*COMMON[1:], *SERVICE]:
        try:
            check(record)
        except (AssertionError, ValueError):
            failed += 1
    assert failed >= len(COMMON) + len(SERVICE) - 5


def test_products_of_several_licences(settings: Settings, service_schema: etree.XMLSchema) -> None:
    record = Record(service_record("ogc", served("CC-BY-4.0", "CC-BY-SA-4.0"), settings, PLACES))
    service_schema.assertValid(record.root)
    assert record.texts("//gmd:useLimitation") == ["Each product states its licence."]


def test_unknown_service_is_named(settings: Settings) -> None:
    with pytest.raises(InvalidInput, match="no service 'wms'"):
        service_record("wms", served(), settings, PLACES)
