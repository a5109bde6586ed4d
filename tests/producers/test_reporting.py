"""The report of a training: what it says is what was found, for eyes, ears and programs."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import lxml.html
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cup4soil.products import ProductRecord
from cup4soil.progress import Silent
from producers.pages import drawing, svg
from producers.plots import histogram
from producers.report_diagnostics import Diagnostics, diagnose, semivariances
from producers.report_document import report_document
from producers.report_words import interval_words, verdict_words
from producers.reporting import report_page, write_report
from producers.training import plan_training
from producers.training_result import Choices, OutputResult, TrainingResult
from tests.producers.soil_world import SETTINGS, make_world


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, ProductRecord]:
    """A model of carbon and of a column of noise, learnt together."""
    world = make_world(tmp_path_factory.mktemp("report-world"))
    lines = world.samples.read_text().splitlines()
    random = np.random.default_rng(3)
    table = [f"{lines[0]},noise", *(f"{line},{random.uniform(10, 60):.3f}" for line in lines[1:])]
    world.samples.write_text("\n".join(table) + "\n")
    kept: list[tuple[TrainingResult, ProductRecord]] = []
    request = world.request(
        target=("oc", "noise"), unit=("%", "%"), property_code=("soc", "clay"), log_targets=("oc",), folds=4
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("producers.training.write_report", lambda _, result, record, **__: kept.append((result, record)))
        folder = tmp_path_factory.mktemp("report-model") / "model"
        folder.mkdir()
        plan_training(request, SETTINGS).run(folder, Silent())
    return kept[0]


@pytest.fixture(scope="module")
def found(trained: tuple[TrainingResult, ProductRecord]) -> Diagnostics:
    return diagnose(trained[0], 2)


@pytest.fixture(scope="module")
def page(trained: tuple[TrainingResult, ProductRecord], found: Diagnostics) -> str:
    return report_page(*trained, found)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without drawings, which take most of the time."""
    monkeypatch.setattr("producers.pages.svg", lambda figure: "<svg></svg>")


def rows_of(page: str) -> list[list[str]]:
    tree = lxml.html.fromstring(page)
    return [[" ".join(cell.text_content().split()) for cell in row] for row in tree.xpath("//tr")]


def test_each_property_has_its_verdict_and_figures(trained: tuple[TrainingResult, ProductRecord], page: str) -> None:
    result, _ = trained
    carbon, noise = result.outputs
    assert (carbon.verdict, noise.verdict) == ("skill", "no-skill")
    tree = lxml.html.fromstring(page)
    heads = [each.text_content() for each in tree.xpath("//section[contains(@class, 'verdict')]/h2")]
    assert heads == ["Soil organic carbon: Skill shown", "Clay content: No skill shown"]
    rows = rows_of(page)
    for output in (carbon, noise):
        expected = [f"{each.reported.rmse:.3g}" for each in output.validations]
        assert ["RMSE", *expected, output.prop.unit] in [row[:-1] for row in rows]


def test_verdict_in_words_gives_the_interval_it_follows_from(trained: tuple[TrainingResult, ProductRecord]) -> None:
    carbon, noise = trained[0].outputs
    assert carbon.mec_interval is not None
    good, poor = verdict_words(carbon), verdict_words(noise)
    assert good.level == "good"
    assert f"between {carbon.mec_interval[0]:.2f} and {carbon.mec_interval[1]:.2f}" in good.text
    assert poor.level == "poor"
    assert "no better than the mean" in poor.text
    unjudged = verdict_words(replace(carbon, verdict=None, mec_interval=None))
    assert (unjudged.level, unjudged.headline) == ("unknown", "Skill was not judged")


@pytest.mark.parametrize(("share", "told"), [(0.7, "too narrow"), (0.9, "as it should"), (0.99, "wider")])
def test_interval_in_words(trained: tuple[TrainingResult, ProductRecord], share: float, told: str) -> None:
    spatial = trained[0].outputs[0].spatial
    assert told in interval_words(replace(spatial, reported=replace(spatial.reported, picp90=share)))


def test_every_drawing_says_what_it_shows(page: str) -> None:
    tree = lxml.html.fromstring(page)
    drawings = tree.xpath("//*[local-name() = 'svg']")
    # Three scatters, two coverages, residuals, folds, semivariogram and values of each property, and dependence.
    assert len(drawings) >= 2 * 9
    assert all(each.get("role") == "img" and len(each.get("aria-label")) > 20 for each in drawings)
    assert tree.xpath("//html/@lang") == ["en"]


def test_page_asks_for_nothing_and_is_light(page: str) -> None:
    assert not re.search(r"url\((?!#)|@import", page)
    assert not lxml.html.fromstring(page).xpath("//script | //link | //iframe | //img")
    assert len(page) < 900_000


def test_document_holds_what_the_page_shows(trained: tuple[TrainingResult, ProductRecord], found: Diagnostics) -> None:
    result, record = trained
    document = json.loads(json.dumps(report_document(result, record, found), allow_nan=False))
    assert [each["property"]["code"] for each in document["outputs"]] == ["soc", "clay"]
    assert "validation" not in document
    carbon = document["outputs"][0]
    assert set(carbon["validation"]) == {"random", "spatial", "calibrated"}
    assert carbon["mec_interval_90"] == pytest.approx(result.outputs[0].mec_interval, abs=1e-6)
    assert carbon["validation"]["calibrated"]["reported"]["picp90"] == pytest.approx(
        result.outputs[0].validations[-1].reported.picp90, abs=1e-6
    )
    assert sum(carbon["validation"]["spatial"]["folds"]) == len(result.table)
    assert set(carbon["semivariograms"]) == {"samples", "residuals, spatial blocks"}
    assert set(carbon["partial_dependence"]) <= set(result.features)
    assert document["applicability"]["training_dissimilarity"]["values"][-1] == pytest.approx(
        document["applicability"]["training_dissimilarity_max"]
    )


def test_places_and_values_of_samples_are_not_in_the_document(
    trained: tuple[TrainingResult, ProductRecord], found: Diagnostics
) -> None:
    result, record = trained
    text = json.dumps({**report_document(result, record, found), "samples": None})
    for x, value in zip(result.table.x[:20], result.table.values[:20, 0], strict=True):
        assert f"{x:.0f}" not in text
        assert f"{value:.4f}" not in text


def test_a_model_of_one_property_has_its_figures_at_the_top(
    trained: tuple[TrainingResult, ProductRecord], found: Diagnostics
) -> None:
    result, record = trained
    single = report_document(replace(result, outputs=result.outputs[:1]), record, found)
    assert single["validation"] == single["outputs"][0]["validation"]
    assert single["property"]["code"] == "soc"


def test_distances_equal_brute_force(trained: tuple[TrainingResult, ProductRecord], found: Diagnostics) -> None:
    result, _ = trained
    far = cdist(*[np.column_stack([result.table.x, result.table.y])] * 2)
    for validation in (result.random, result.spatial):
        apart = validation.folds[:, None] != validation.folds[None]
        expected = np.where(apart, far, np.inf).min(axis=1)
        assert found.distances[validation.title] == pytest.approx(expected)
    assert np.median(found.distances["Spatial blocks"]) > np.median(found.distances["Random folds"])


def test_dependence_follows_what_the_land_was_made_of(found: Diagnostics) -> None:
    curves = {curve.name: curve for curve, _ in found.dependence["soc"]}
    assert curves["height"].mean[-1] > curves["height"].mean[0] + 3


@pytest.mark.usefixtures("undrawn")
def test_choices_are_told_where_some_were_made(
    trained: tuple[TrainingResult, ProductRecord], found: Diagnostics, page: str
) -> None:
    assert "What was chosen by the data" not in page
    choices = Choices(
        dropped={"<wet>": "0.97 with height"},
        selection=({"covariates": 3, "rmse": 1.25, "chosen": True},),
        trials=({"max_features": 0.5, "error": 2.0}, {"min_leaf": 3, "names": ["a", "b"]}),
    )
    told = report_page(replace(trained[0], choices=choices), trained[1], found)
    rows = rows_of(told)
    assert ["covariates", "rmse", "chosen"] in rows
    assert ["3", "1.25", "yes"] in rows
    assert ["0.5", "2", "", ""] in rows
    assert ["", "", "3", "a, b"] in rows
    assert ["<wet>", "0.97 with height"] in rows
    assert "<wet>" not in told


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("kind", ["blocks", "knndm", "regions"])
def test_each_kind_of_folds_is_explained(
    trained: tuple[TrainingResult, ProductRecord], found: Diagnostics, kind: Any
) -> None:
    result, record = trained

    def other(output: OutputResult) -> OutputResult:
        return replace(output, spatial=replace(output.spatial, kind=kind, title="Held out"))

    told = report_page(replace(result, outputs=tuple(map(other, result.outputs))), record, found)
    assert {"blocks": "Square blocks", "knndm": "kNNDM", "regions": "Whole regions"}[kind] in told


@pytest.mark.usefixtures("undrawn")
def test_files_are_written(trained: tuple[TrainingResult, ProductRecord], tmp_path: Path) -> None:
    write_report(tmp_path, *trained)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["overview.png", "report.html", "report.json"]


class TestSemivariances:
    def test_noise_is_flat_and_trend_rises(self) -> None:
        random = np.random.default_rng(0)
        x, y = random.uniform(0, 1000, (2, 400))
        flat, rising = semivariances(x, y, random.normal(size=400)), semivariances(x, y, x / 100)
        assert flat is not None
        assert rising is not None
        assert flat.gamma == pytest.approx(np.full(flat.gamma.size, 1.0), abs=0.25)
        assert (np.diff(rising.gamma) > 0).all()
        assert rising.fitted is not None

    def test_too_few_places_have_none(self) -> None:
        assert semivariances(np.zeros(5), np.zeros(5), np.arange(5.0)) is None
        assert semivariances(np.arange(5.0), np.zeros(5), np.arange(5.0)) is None


def test_drawing_keeps_labels_and_escapes_its_text() -> None:
    figure = histogram(np.linspace(0.123456, 0.987654, 50), "value 0.123456 <b>")
    text = str(drawing(figure, 'a "quoted" <text>'))
    assert 'aria-label="a &#34;quoted&#34; &lt;text&gt;"' in text
    assert "value 0.123456" in text
    assert text.startswith('<svg role="img"')
    # Coordinates are cut, labels are not.
    assert not re.search(r' d="[^"]*\d\.\d{3}', svg(figure))
