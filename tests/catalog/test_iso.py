"""ISO 19139 records: valid against the schemas, and saying what the product is."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lxml import etree

from cup4soil.errors import InvalidInput, NotFound
from cup4soil.products import Algorithm, Measure, ProductRecord
from cup4soil.settings import Settings
from stac_catalog.iso import iso_element, iso_record
from stac_catalog.iso_elements import NAMESPACES
from stac_catalog.validation import load_iso_schema
from tests.catalog import products
from tests.catalog.conftest import Filled, Made

KINDS = ("composite", "soil-map", "model", "samples")
SPACES = dict(NAMESPACES)


@pytest.fixture(scope="session")
def schema(iso_schemas: Path) -> etree.XMLSchema:
    return load_iso_schema(iso_schemas)


def texts(root: etree._Element, path: str) -> list[str]:
    found = root.xpath(path, namespaces=SPACES)
    return ["".join(each.itertext()).strip() if isinstance(each, etree._Element) else str(each) for each in found]


def record_of(made: dict[str, Made], kind: str) -> etree._Element:
    return etree.fromstring(iso_record(made[kind].record, Settings(contact_email="a@b.example")))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("contact", [{}, {"contact_email": "a@b.example", "contact_url": "https://b.example"}])
def test_valid_against_the_schema(
    made: dict[str, Made], schema: etree.XMLSchema, kind: str, contact: dict[str, str]
) -> None:
    schema.assertValid(etree.fromstring(iso_record(made[kind].record, Settings.model_validate(contact))))


def test_the_schema_finds_faults(made: dict[str, Made], schema: etree.XMLSchema) -> None:
    root = record_of(made, "soil-map")
    contact = root.find("gmd:contact", SPACES)
    assert contact is not None
    root.remove(contact)
    assert not schema.validate(root)


def test_the_file_in_the_store_is_the_record(filled: Filled, schema: etree.XMLSchema) -> None:
    for path in filled.catalog.rglob("metadata.xml"):
        tree = etree.parse(path)
        schema.assertValid(tree)
        assert texts(tree.getroot(), "gmd:fileIdentifier") == [path.parent.name]
        assert "/home/" not in path.read_text()


def test_online_resources_are_there(filled: Filled) -> None:
    for path in filled.catalog.rglob("metadata.xml"):
        for name in texts(etree.parse(path).getroot(), "gmd:distributionInfo//gmd:URL"):
            assert (path.parent / name).is_file(), name


class TestContent:
    def test_identification(self, made: dict[str, Made]) -> None:
        root, record = record_of(made, "soil-map"), made["soil-map"].record
        about = "gmd:identificationInfo/gmd:MD_DataIdentification"
        assert texts(root, f"{about}/gmd:citation//gmd:title") == [record.title]
        assert texts(root, f"{about}/gmd:citation//gmd:identifier") == [record.id]
        assert texts(root, f"{about}/gmd:citation//gmd:date/gco:Date") == ["2026-03-04"]
        assert texts(root, f"{about}/gmd:topicCategory") == ["geoscientificInformation"]
        assert texts(root, f"{about}/gmd:credit") == ["LimeSoDa BB.250"]
        assert texts(root, f"{about}//gmd:electronicMailAddress") == ["a@b.example"]
        assert texts(root, "gmd:hierarchyLevel/gmd:MD_ScopeCode/@codeListValue") == ["dataset"]

    def test_where_and_when(self, made: dict[str, Made]) -> None:
        root, extent = record_of(made, "composite"), made["composite"].record.extent
        edges = ("westBoundLongitude", "southBoundLatitude", "eastBoundLongitude", "northBoundLatitude")
        assert [float(texts(root, f"//gmd:{edge}")[0]) for edge in edges] == pytest.approx(list(extent.bbox), abs=1e-7)
        assert texts(root, "//gml:TimePeriod[@gml:id='period']/*") == ["2019-01-01T00:00:00Z", "2021-12-31T23:59:59Z"]
        assert texts(root, "//gmd:RS_Identifier/gmd:code/gmx:Anchor/@xlink:href") == [
            "http://www.opengis.net/def/crs/EPSG/0/3035"
        ]
        assert texts(root, "//gmd:spatialResolution//gco:Distance") == ["20.0"]
        assert texts(root, "//gmd:dimensionSize") == ["40", "40"]

    def test_keywords_name_the_concepts(self, made: dict[str, Made]) -> None:
        root = record_of(made, "soil-map")
        anchors = texts(root, "//gmd:keyword/gmx:Anchor/@xlink:href")
        assert anchors == [
            "http://inspire.ec.europa.eu/theme/so",
            "http://inspire.ec.europa.eu/codelist/SoilDerivedObjectParameterNameValue/organicCarbonContent",
            "http://w3id.org/glosis/model/codelists/physioChemicalPropertyCode-Carorg",
            "http://aims.fao.org/aos/agrovoc/c_389fe908",
        ]
        assert texts(root, "//gmd:thesaurusName//gmd:title")[0] == "GEMET - INSPIRE themes, version 1.0"

    def test_licence_and_limits(self, made: dict[str, Made]) -> None:
        root = record_of(made, "composite")
        anchors = texts(root, "//gmd:otherConstraints/gmx:Anchor/@xlink:href")
        assert "https://creativecommons.org/licenses/by-sa/4.0/" in anchors
        assert any(each.endswith("noLimitations") for each in anchors)
        assert texts(root, "//gmd:useLimitation") == ["SRC-CI95 is a half-width by the normal formula."]

    def test_licence_that_is_not_public_is_given_by_name(self, made: dict[str, Made], schema: etree.XMLSchema) -> None:
        record = made["composite"].record.model_copy(update={"licence": "proprietary"})
        root = etree.fromstring(iso_record(record, Settings()))
        schema.assertValid(root)
        assert "proprietary" in texts(root, "//gmd:otherConstraints")
        assert not [each for each in texts(root, "//gmx:Anchor/@xlink:href") if "noLimitations" in each]

    @pytest.mark.parametrize(
        ("crs", "distance", "uom", "cell"),
        [("EPSG:2263", [20 * 1200 / 3937], "m", 20 * 1200 / 3937), ("EPSG:4326", [], "deg", 20.0)],
    )
    def test_resolution_states_its_unit(
        self, made: dict[str, Made], schema: etree.XMLSchema, crs: str, distance: list[float], uom: str, cell: float
    ) -> None:
        record = made["composite"].record
        extent = record.extent.model_copy(update={"crs": crs})
        root = etree.fromstring(iso_record(record.model_copy(update={"extent": extent}), Settings()))
        schema.assertValid(root)
        assert [float(each) for each in texts(root, "//gco:Distance[@uom='m']")] == pytest.approx(distance)
        cells = texts(root, f"//gmd:MD_Dimension/gmd:resolution/*[@uom='{uom}']")
        assert [float(each) for each in cells] == pytest.approx([cell, cell])

    def test_formats_are_those_of_the_data(self, made: dict[str, Made]) -> None:
        formats = "//gmd:MD_Format/gmd:name"
        assert texts(record_of(made, "soil-map"), formats) == ["Cloud Optimized GeoTIFF"]
        assert "application/octet-stream" in texts(record_of(made, "model"), formats)

    def test_figures_of_quality(self, made: dict[str, Made]) -> None:
        root = record_of(made, "soil-map")
        report = "//gmd:DQ_QuantitativeAttributeAccuracy"
        assert texts(root, f"{report}/gmd:nameOfMeasure") == ["RMSE, spatial folds", "PICP90"]
        assert [float(v) for v in texts(root, f"{report}//gco:Record")] == [2.5, 0.91]
        assert texts(root, f"{report}//gml:UnitDefinition/gml:identifier") == ["g/kg", "1"]
        assert texts(root, f"{report}/gmd:evaluationMethodDescription") == ["spatial folds, 247 samples"] * 2
        assert not texts(root, "//gml:BaseUnit")

    def test_share_of_cells_is_completeness_and_no_accuracy(self, made: dict[str, Made]) -> None:
        root = record_of(made, "composite")
        assert texts(root, "//gmd:DQ_CompletenessOmission/gmd:nameOfMeasure") == ["share composited"]
        assert not texts(root, "//gmd:DQ_QuantitativeAttributeAccuracy")

    def test_conformance_is_said_to_be_unknown(self, made: dict[str, Made]) -> None:
        root = record_of(made, "soil-map")
        assert "1089/2010" in texts(root, "//gmd:DQ_ConformanceResult//gmd:title")[0]
        assert texts(root, "//gmd:DQ_ConformanceResult/gmd:pass/@gco:nilReason") == ["unknown"]

    def test_lineage(self, made: dict[str, Made]) -> None:
        root = record_of(made, "composite")
        (step,) = texts(root, "//gmd:LI_ProcessStep/gmd:description")
        assert "threshold = 0.2" in step
        assert "10.3390/rs14184526" in step
        assert texts(root, "//gmd:LI_Source/gmd:description") == [
            "Satellite images: 5 scenes of 2019-01-15 to 2019-05-15."
        ]
        sources = texts(record_of(made, "soil-map"), "//gmd:LI_Source/gmd:description")
        assert [each.split(":")[0] for each in sources] == ["Model", "Bare-soil composite"]

    def test_sources_are_named_by_their_ids_and_not_by_paths(self, filled: Filled) -> None:
        record = filled.products["soil-map"].record
        path = filled.catalog / record.collection / record.id / "metadata.xml"
        root = etree.parse(path).getroot()
        assert texts(root, "//gmd:LI_Source//gmd:identifier//gmd:code") == [
            filled.products["model"].record.id,
            filled.products["composite"].record.id,
        ]

    def test_parameters_that_were_not_given_are_not_named(self, made: dict[str, Made]) -> None:
        record = made["composite"].record
        algorithm = record.algorithm.model_copy(update={"parameters": {"end": None, "log": True, "levels": [0.05]}})
        root = etree.fromstring(iso_record(record.model_copy(update={"algorithm": algorithm}), Settings()))
        (step,) = texts(root, "//gmd:LI_ProcessStep/gmd:description")
        assert "Parameters: log = true; levels = [0.05]." in step

    @pytest.mark.parametrize("simulated", [True, False])
    def test_simulated_is_said_where_people_look(self, made: dict[str, Made], simulated: bool) -> None:
        record = made["soil-map"].record.model_copy(update={"simulated": simulated})
        root = etree.fromstring(iso_record(record, Settings()))
        for path in ("//gmd:abstract", "//gmd:useLimitation", "//gmd:lineage//gmd:statement", "//gmd:keyword"):
            assert any("simulated" in text for text in texts(root, path)) is simulated, path

    def test_bands_and_their_units(self, made: dict[str, Made]) -> None:
        root = record_of(made, "soil-map")
        assert texts(root, "//gmd:MD_RangeDimension/gmd:descriptor")[0] == (
            "mean [g/kg], value = stored * 0.1 + 0, missing = -32768"
        )
        composite = record_of(made, "composite")
        assert len(texts(composite, "//gmd:MD_Band")) == 20
        assert texts(composite, "//gmd:MD_Band/gmd:peakResponse")[0] == "0.49"
        assert texts(composite, "//gmd:contentType/*/@codeListValue") == [
            "physicalMeasurement", "physicalMeasurement", "thematicClassification",
        ]  # fmt: skip

    def test_bands_of_one_file_have_their_own_scales(self, tmp_path: Path) -> None:
        root = etree.fromstring(iso_record(products.composite(tmp_path, frequency=True), Settings()))
        said = [each for each in texts(root, "//gmd:descriptor") if each.startswith("Bare-soil frequency")]
        assert [each.split("stored * ")[1].split(" ")[0] for each in said] == ["0.0001", "1", "1"]

    def test_scale_factor_of_a_band_is_its_own(self, made: dict[str, Made]) -> None:
        record = made["composite"].record
        src = record.layers[0]
        bands = (src.bands[0].model_copy(update={"scale": 0.5}), *src.bands[1:])
        layers = (src.model_copy(update={"bands": bands}),)
        root = etree.fromstring(iso_record(record.model_copy(update={"layers": layers}), Settings()))
        assert texts(root, "//gmd:MD_Band/gmd:scaleFactor")[:2] == ["0.5", "0.0001"]

    def test_classes_are_named(self, made: dict[str, Made]) -> None:
        said = texts(record_of(made, "composite"), "//gmd:MD_RangeDimension/gmd:descriptor")
        assert said[-1] == "Mask: 1 = bare soil; 2 = permanently vegetated; 3 = other; missing = 0"

    def test_product_without_a_grid(self, made: dict[str, Made]) -> None:
        root = record_of(made, "model")
        assert texts(root, "gmd:hierarchyLevel/gmd:MD_ScopeCode/@codeListValue") == ["model"]
        assert not texts(root, "//gmd:referenceSystemInfo | //gmd:spatialRepresentationInfo | //gmd:spatialResolution")
        assert not texts(root, "//gmd:spatialRepresentationType")


def test_control_character_is_refused(made: dict[str, Made]) -> None:
    record = made["samples"].record.model_copy(update={"title": "a\x00b"})
    with pytest.raises(InvalidInput, match="use texts without control characters"):
        iso_record(record, Settings())


def test_missing_schema_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no schema"):
        load_iso_schema(tmp_path)


# What XML 1.0 allows: letters, marks, symbols; no control characters or non-characters.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=30)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    title=TEXTS, notes=st.lists(TEXTS, max_size=3), unit=TEXTS, value=st.floats(allow_nan=False, allow_infinity=False)
)
def test_any_text_makes_a_valid_record_and_comes_back(
    made: dict[str, Made], schema: etree.XMLSchema, title: str, notes: list[str], unit: str, value: float
) -> None:
    algorithm = Algorithm(name="x", version="1", title=title, description=unit, parameters={title: value, "n": notes})
    changes = {
        "title": title,
        "attribution": tuple(notes),
        "keywords": tuple(notes),
        "limitations": tuple(notes),
        "algorithm": algorithm,
        "quality": (Measure(name=title, value=value, unit=unit, description=title, support=unit),),
    }
    record: ProductRecord = made["composite"].record.model_copy(update=changes)
    root = etree.fromstring(iso_record(record, Settings()))
    schema.assertValid(root)
    (said,) = root.xpath("//gmd:identificationInfo//gmd:citation/gmd:CI_Citation/gmd:title", namespaces=SPACES)
    assert "".join(said.itertext()).strip("\n ") == title.strip("\n ")
    assert float(root.xpath("string(//gco:Record)", namespaces=SPACES)) == value


def test_a_record_that_is_changed_leaves_others_as_they_are(made: dict[str, Made]) -> None:
    record = made["soil-map"].record
    before = iso_record(record, Settings())
    for each in list(iso_element(record, Settings()).iter()):
        each.clear()
    assert iso_record(record, Settings()) == before
