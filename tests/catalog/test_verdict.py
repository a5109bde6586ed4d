"""A product without skill says so wherever it is described."""

import json

import numpy as np
import pytest
from affine import Affine
from lxml import etree
from odc.geo.geobox import GeoBox

from cup4soil.products import NO_SKILL, NO_SKILL_NOTE, ProductRecord
from cup4soil.settings import Settings
from processors.coverage_formats import origin
from processors.coverage_reader import Answer
from processors.coverages import Coverage, Item
from processors.crs import reference_of
from stac_catalog.catalogs import Entry, Overview, collection_dict
from stac_catalog.iso import iso_record
from stac_catalog.stac import item_json, product_item
from stac_catalog.validation import schema_errors
from tests.catalog.conftest import Made
from tests.catalog.test_iso import schema as schema
from tests.catalog.test_iso import texts

_PASS = "//gmd:DQ_ConformanceResult[contains(gmd:explanation/*, 'kill was shown')]/gmd:pass/gco:Boolean"


def judged(made: Made, verdict: str | None) -> ProductRecord:
    """The record of ``made`` as it is with a verdict."""
    fields = made.record.model_dump(mode="json") | {"verdict": verdict}
    if verdict == "no-skill":
        fields |= {"title": f"{made.record.title}: {NO_SKILL}", "limitations": [NO_SKILL_NOTE]}
    return ProductRecord.model_validate(fields)


@pytest.mark.parametrize("kind", ["soil-map", "model"])
@pytest.mark.parametrize("verdict", ["skill", "no-skill", None])
def test_item(made: dict[str, Made], settings: Settings, kind: str, verdict: str | None) -> None:
    record = judged(made[kind], verdict)
    item = json.loads(item_json(product_item(record, made[kind].folder, settings, lambda source: source.href)))
    assert list(schema_errors(item)) == []
    assert item["properties"].get("cup4soil:verdict") == verdict
    assert (NO_SKILL in item["properties"]["title"]) is (verdict == "no-skill")
    assert (NO_SKILL_NOTE in item["properties"]["description"]) is (verdict == "no-skill")
    assert (NO_SKILL_NOTE in item["properties"]["cup4soil:limitations"]) is (verdict == "no-skill")


@pytest.mark.parametrize(("verdict", "told"), [("skill", ["true"]), ("no-skill", ["false"]), (None, [])])
def test_iso_record(made: dict[str, Made], schema: etree.XMLSchema, verdict: str | None, told: list[str]) -> None:
    root = etree.fromstring(iso_record(judged(made["soil-map"], verdict), Settings()))
    schema.assertValid(root)
    assert texts(root, _PASS) == told
    places = (
        "//gmd:identificationInfo//gmd:citation//gmd:title", "//gmd:abstract", "//gmd:useLimitation", "//gmd:keyword",
        "//gmd:DQ_ConformanceResult/gmd:explanation",
    )  # fmt: skip
    for path in places:
        said = any(word in text for text in texts(root, path) for word in (NO_SKILL, NO_SKILL_NOTE))
        assert said is (verdict == "no-skill"), path


def test_notice_stands_once_in_an_abstract_that_has_it(made: dict[str, Made]) -> None:
    record = judged(made["soil-map"], "no-skill").model_copy(update={"abstract": f"A map. {NO_SKILL_NOTE}"})
    (abstract,) = texts(etree.fromstring(iso_record(record, Settings())), "//gmd:abstract")
    assert abstract.count(NO_SKILL_NOTE) == 1


def test_collection_tells_of_its_items(made: dict[str, Made], settings: Settings) -> None:
    good, bad = judged(made["soil-map"], "skill"), judged(made["soil-map"], "no-skill").model_copy(update={"id": "b"})
    mixed = collection_dict("soc-0-20cm", Overview.of([Entry.of(good), Entry.of(bad)]), [], settings)
    assert mixed["summaries"]["cup4soil:verdict"] == ["no-skill", "skill"]
    assert "Some of the items, marked as such, are without skill shown" in mixed["description"]
    alone = collection_dict("soc-0-20cm", Overview.of([Entry.of(good)]), [], settings)
    assert "without skill" not in alone["description"]


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [(["skill"], "skill"), (["no-skill"], "no-skill:"), (["no-skill", "skill"], "no-skill in part:"), ([None], None)],
)
def test_coverage(made: dict[str, Made], verdicts: list[str | None], told: str | None) -> None:
    records = [judged(made["soil-map"], verdict) for verdict in verdicts]
    items = tuple(item for record in records if (item := Item.of(record, made["soil-map"].folder)) is not None)
    coverage = Coverage("soc-0-20cm", "Soil organic carbon", items)
    fields = (coverage.fields["mean"],)
    grid = GeoBox((1, 1), Affine(20, 0, 0, 0, -20, 0), "EPSG:3035")
    answer = Answer(coverage, fields, grid, np.zeros((1, 1, 1), np.int16), -32768, items, reference_of(coverage.crs))
    found = origin(answer).get("VERDICT")
    assert found is None if told is None else found is not None and found.startswith(told)
