"""The method page of a map: made of record, report and evaluation, listed in the record and linked in the catalog."""

import json
import re
from pathlib import Path
from typing import Any

import lxml.html
import pytest

from cup4soil.errors import InvalidInput
from cup4soil.products import MEC_LOWER_END, NO_SKILL, NO_SKILL_NOTE, Measure, ProductRecord, Source
from cup4soil.settings import Settings
from producers.method_page import METHOD_DOCUMENT, method_page, read_report, with_method_page
from stac_catalog.store import Store
from stac_catalog.validation import validate_catalog
from tests.catalog import products

SCORES = {
    "n": 90, "rmse": 2.5, "me": 0.1, "mec": 0.41, "ccc": 0.6, "picp90": 0.88, "mean_width": 9.0, "interval_score": 12.0,
}  # fmt: skip
REPORT: dict[str, Any] = {
    "samples": {"samples": 90, "rows_used": 95, "rows_in_file": 100, "excluded": {"no-covariates": 5}},
    "importance": {"height": 0.7, "wet": 0.2, "land": 0.1},
    "parameters": {"trees": 321},
    "choices": {"dropped": {"slope": "0.97 with height"}, "trials": [{}, {}]},
    "applicability": {"threshold": 0.3271},
    "outputs": [
        {
            "property": {"code": code},
            "transform": {"name": "ln"},
            "validation": {
                "random": {"title": "Random folds", "support": "10-fold, random", "reported": SCORES},
                "spatial": {
                    "title": "Spatial blocks", "support": "10-fold, blocks", "reported": SCORES | {"mec": spatial},
                },
                "calibrated": {"title": "Calibrated", "support": "held out", "reported": SCORES | {"picp90": 0.9}},
            },
        }
        for code, spatial in (("clay", 0.91), ("soc", 0.23))
    ],
}  # fmt: skip
EVALUATION: dict[str, Any] = {
    "findings": [{"level": "good", "headline": "The pattern follows relief", "text": "Height explains 40 %."}],
    "profiles": [{"layer": "height", "explained": {"share": 0.4, "by_chance": 0.1, "p": 0.01}}],
}


@pytest.fixture
def record(tmp_path: Path) -> ProductRecord:
    source = Source(role="samples", id="a.csv", title="Samples <of> a region", licence="CC-BY-4.0", attribution="Them")
    return products.soil_map(tmp_path / "map", (source,), simulated=False)


def text_of(page: str) -> str:
    return " ".join(str(lxml.html.fromstring(page).text_content()).split())


def test_everything_that_is_known_is_told(record: ProductRecord) -> None:
    page = method_page(record, REPORT, EVALUATION)
    text = text_of(page)
    for told in (
        record.title, record.id, record.licence, "90 samples from 95 of 100 rows", "5 no-covariates", "321 trees",
        "logarithm", "height, wet, land", "slope", "2 settings", "0.327", "q05-raw", "Samples <of> a region", "Them",
        "The pattern follows relief", "40 %", "Meinshausen",
    ):  # fmt: skip
        assert told in text, told
    assert "<of>" not in page


def test_figures_are_those_of_the_map_s_property(record: ProductRecord) -> None:
    page = lxml.html.fromstring(method_page(record, REPORT))
    rows = [[cell.text_content() for cell in row] for row in page.xpath("//tr")]
    assert ["Model efficiency (MEC)", "0.41", "0.23", "0.41", ""] in rows
    assert ["RMSE", "2.5", "2.5", "2.5", "g/kg"] in rows
    assert ["Share inside the 90 % interval (PICP90)", "0.88", "0.88", "0.9", ""] in rows


def test_record_alone_is_enough(record: ProductRecord) -> None:
    text = text_of(method_page(record))
    assert "RMSE, spatial folds" in text
    assert "has not been held against relief" in text
    assert "q05-raw" not in text


@pytest.mark.parametrize("report", [{}, {"outputs": []}, {"samples": None, "outputs": [{}]}, {"outputs": [{}, {}]}])
def test_reports_that_lack_something_do_no_harm(record: ProductRecord, report: dict[str, Any]) -> None:
    assert record.title in text_of(method_page(record, report, {}))


def test_missing_skill_stands_at_the_head(record: ProductRecord) -> None:
    low = Measure(name=MEC_LOWER_END, value=-0.1, unit="1", description="", support="spatial folds")
    label = {"title": f"{record.title}: {NO_SKILL}", "limitations": (NO_SKILL_NOTE,), "verdict": "no-skill"}
    unskilled = ProductRecord.model_validate(record.model_dump() | label | {"quality": (low,)})
    page = lxml.html.fromstring(method_page(unskilled, REPORT))
    (verdict,) = page.xpath("//header//section[contains(@class, 'poor')]")
    assert "No skill shown" in verdict.text_content()
    assert NO_SKILL_NOTE in verdict.text_content()
    assert not lxml.html.fromstring(method_page(record)).xpath("//section[contains(@class, 'verdict')]")


def test_nothing_is_asked_from_elsewhere(record: ProductRecord) -> None:
    page = method_page(record, REPORT, EVALUATION)
    assert not re.search(r"url\(|@import", page)
    tree = lxml.html.fromstring(page)
    assert not tree.xpath("//script | //link | //iframe | //img | //*[@src]")
    assert tree.xpath("//a/@rel") == ["license"]


def test_page_is_listed_linked_and_checked(record: ProductRecord, tmp_path: Path) -> None:
    listed = with_method_page(record, tmp_path / "map", REPORT)
    assert listed.documents == (*record.documents, METHOD_DOCUMENT)
    assert with_method_page(listed, tmp_path / "map", REPORT).documents == listed.documents
    store = Store.open(tmp_path / "store", Settings())
    item = json.loads((store.register(listed, tmp_path / "map") / f"{record.id}.json").read_text())
    assert item["assets"]["method"]["href"] == "./method.html"
    links = [each for each in item["links"] if each["rel"] == "describedby"]
    assert [each["href"] for each in links] == ["./metadata.xml", "./method.html"]
    assert validate_catalog(store.catalog_path.parent) == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_report_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"report\.json"):
        read_report(tmp_path / "report.json")


def test_report_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere"):
        read_report(tmp_path / "nowhere.json")
