"""Evaluation of maps whose pattern and faults are known."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lxml.html
import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from scipy import ndimage

from cup4soil.errors import InvalidInput, InvalidSamples, NoData
from cup4soil.methods.validation import scores
from cup4soil.products import ProductRecord, Source, file_checksum
from cup4soil.progress import Silent
from cup4soil.rasters.plain import write_plain
from cup4soil.settings import Settings
from producers import map_walk
from producers.landscape import Evaluation, evaluate_map
from producers.landscape_report import evaluation_document, evaluation_page, findings
from producers.landscape_request import EvaluateRequest, OwnPoints
from service.cli import run
from tests.catalog import products

LEFT, TOP, CELL, SIZE = 500_000.0, 5_800_000.0, 20.0, 150
GRID = GeoBox((SIZE, SIZE), Affine(CELL, 0, LEFT, 0, -CELL, TOP), "EPSG:32633")
NODATA = -32768
SETTINGS = Settings()


@dataclass(frozen=True)
class Land:
    """Folders of a map, of relief and of classes, a table of samples, and the arrays behind them."""

    map: Path
    relief: Path
    classes: Path
    samples: Path
    mean: np.ndarray
    aoa: np.ndarray

    def request(self, **changes: Any) -> EvaluateRequest:
        given = {"map": self.map, "relief": (self.relief,), "classes": (self.classes,), "points": self.points()}
        return EvaluateRequest(**(given | changes))

    def points(self, **changes: Any) -> OwnPoints:
        given = {"file": self.samples, "target": "soc", "unit": "g/kg", "x": "x", "y": "y", "crs": "EPSG:32633"}
        return OwnPoints(**(given | changes))


def smooth(seed: int, sigma: float = 8) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(SIZE, SIZE)), sigma)
    return np.asarray((field - field.mean()) / field.std())


def write_map(folder: Path, mean: np.ndarray, aoa: np.ndarray, sources: tuple[Source, ...] = ()) -> ProductRecord:
    """A map of organic carbon in g/kg with an interval of +- 4 around its mean."""
    record = products.soil_map(folder, sources, simulated=False)
    for name, shift in {"mean": 0, "q05": -4, "q50": 0, "q95": 4}.items():
        stored = np.where(np.isfinite(mean), np.round(10 * (np.nan_to_num(mean) + shift)), NODATA).astype(np.int16)
        write_plain(folder / f"{name}.tif", stored, GRID, nodata=NODATA, scale=0.1)
    write_plain(folder / "aoa.tif", aoa.astype(np.uint8), GRID, nodata=255)
    record.write(folder)
    return record


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Land:
    """Carbon falls with height and differs by parent material; the east is outside the area of applicability."""
    folder = tmp_path_factory.mktemp("land")
    height, noise = smooth(1), smooth(2, 3)
    rock = (smooth(3, 12) > 0).astype(np.uint8) + 1
    mean = 20 - 4 * height + 3.0 * rock + 0.5 * noise
    mean[:5] = np.nan
    aoa = np.ones((SIZE, SIZE), int)
    aoa[:, 100:] = 0
    (folder / "relief").mkdir()
    write_plain(folder / "relief" / "height.tif", (100 + 20 * height).astype(np.float32), GRID)
    write_plain(folder / "relief" / "other.tif", smooth(9).astype(np.float32), GRID)
    slope = np.degrees(np.arctan(np.hypot(*np.gradient(20 * height, CELL))))
    write_plain(folder / "relief" / "slope.tif", slope.astype(np.float32), GRID)
    tpi = (height - ndimage.uniform_filter(height, 31)).astype(np.float32)
    write_plain(folder / "relief" / "tpi_300.tif", tpi, GRID)
    write_plain(folder / "rock.tif", rock, GRID, nodata=0)
    random = np.random.default_rng(4)
    rows, cols = random.integers(0, SIZE, (2, 200))
    lines = ["soc,x,y"]
    for row, col in zip(rows, cols, strict=True):
        value = (mean[row, col] if np.isfinite(mean[row, col]) else 20) + random.normal(0, 2 if col < 100 else 6)
        lines.append(f"{max(0.5, value):.3f},{LEFT + CELL * (col + 0.5)},{TOP - CELL * (row + 0.5)}")
    (folder / "samples.csv").write_text("\n".join(lines) + "\n")
    write_map(folder / "map", mean, aoa)
    return Land(folder / "map", folder / "relief", folder / "rock.tif", folder / "samples.csv", mean, aoa)


@pytest.fixture(scope="module")
def evaluation(land: Land) -> Evaluation:
    return evaluate_map(land.request(), SETTINGS, Silent())


def profile(evaluation: Evaluation, layer: str) -> Any:
    return next(each for each in evaluation.profiles if each.layer == layer)


def test_pattern_is_found_where_it_is(evaluation: Evaluation) -> None:
    height, other, rock = (profile(evaluation, name) for name in ("height", "other", "rock"))
    assert height.explained.share > 0.7
    assert height.explained.p <= 0.02
    assert height.spearman < -0.7
    assert rock.explained.share > rock.explained.chance
    assert other.explained.p > 0.05
    means = [each.mean for each in height.cells]
    assert means[0] > means[4] > means[-1]
    assert height.centres == tuple(sorted(height.centres))


def test_samples_by_class_are_those_that_lie_there(evaluation: Evaluation, land: Land) -> None:
    rock = profile(evaluation, "rock")
    assert [rock.names[each.code] for each in rock.cells] == ["1", "2"]
    assert sum(each.n for each in rock.samples) == 200
    assert rock.samples[1].mean > rock.samples[0].mean
    assert 0 < rock.explained_of_samples < 1


def test_places_on_the_slope_come_from_position_and_slope(evaluation: Evaluation) -> None:
    place = profile(evaluation, "place on the slope (tpi_300, slope)")
    by_name = {place.names[each.code]: each.mean for each in place.cells}
    assert by_name["valley"] > by_name["ridge"]


def test_cells_are_counted(evaluation: Evaluation, land: Land) -> None:
    assert evaluation.cells == np.isfinite(land.mean).sum()
    assert evaluation.lattice == CELL


def test_validation_equals_scores_by_hand(evaluation: Evaluation, land: Land) -> None:
    table = np.genfromtxt(land.samples, delimiter=",", names=True)
    rows, cols = ((TOP - table["y"]) // CELL).astype(int), ((table["x"] - LEFT) // CELL).astype(int)
    mean = np.round(land.mean[rows, cols] * 10) / 10
    validation = evaluation.validation
    assert validation is not None
    known = np.isfinite(mean)
    for found, chosen in (
        (validation.whole, known),
        (validation.inside, known & (cols < 100)),
        (validation.outside, known & (cols >= 100)),
    ):
        expected = scores(table["soc"][chosen], mean[chosen], mean[chosen] - 4, mean[chosen] + 4)
        assert found is not None
        assert found.n == expected.n
        assert found.rmse == pytest.approx(expected.rmse, rel=1e-5)
        assert found.picp90 == expected.picp90
    assert validation.unmapped == (~known).sum() > 0
    assert validation.outside is not None
    assert validation.inside is not None
    assert validation.outside.rmse > 2 * validation.inside.rmse
    assert validation.independent
    assert validation.verdict == "skill"


def test_training_samples_are_not_taken_for_independent(land: Land, tmp_path: Path) -> None:
    source = Source(role="samples", id="samples.csv", checksum=file_checksum(land.samples))
    write_map(tmp_path / "map", land.mean, land.aoa, (source,))
    found = evaluate_map(land.request(map=tmp_path / "map", relief=(), classes=()), SETTINGS, Silent())
    assert found.validation is not None
    assert not found.validation.independent
    assert "Not independent" in [each.headline for each in findings(found)]


def test_blocks_do_not_matter(land: Land, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_walk, "_LARGEST_BLOCK", 64)
    found = evaluate_map(land.request(), SETTINGS, Silent())
    ours, whole = evaluation_document(found), evaluation_document(evaluation)
    # Pairs of neighbours in different blocks are left out at the edges of classes only.
    assert [each["pairs"] for each in ours["borders"]] != [each["pairs"] for each in whole["borders"]]
    assert {**ours, "borders": None} == {**whole, "borders": None}


def test_large_maps_are_compared_on_a_lattice(
    land: Land, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_walk, "LATTICE_CELLS", 3000)
    monkeypatch.setattr(map_walk, "_LARGEST_BLOCK", 64)
    found = evaluate_map(land.request(), SETTINGS, Silent())
    assert found.cells == evaluation.cells
    assert found.lattice == 3 * CELL
    share = profile(found, "height").explained.share
    assert share == pytest.approx(profile(evaluation, "height").explained.share, abs=0.03)


def test_offset_of_a_tile_is_found_and_told(land: Land, tmp_path: Path) -> None:
    raised = land.mean.copy()
    raised[:, 50:125] += 3
    write_map(tmp_path / "map", raised, land.aoa)
    # Lines of 1500 m from the origin of the CRS cross the map before columns 50 and 125.
    asked = {"relief": (), "classes": (), "points": None, "tile_m": (1500.0,)}
    spoiled = evaluate_map(land.request(map=tmp_path / "map", **asked), SETTINGS, Silent())
    clean = evaluate_map(land.request(**asked), SETTINGS, Silent())
    name = "tiles of 1.5 km, borders running north-south"
    step = {each.name: each.step for each in spoiled.borders}[name]
    assert step.offset == pytest.approx(3, abs=0.6)
    assert step.p <= 0.05
    assert "Artificial borders" in [each.headline for each in findings(spoiled)]
    assert "Artificial borders" not in [each.headline for each in findings(clean)]


def test_smoothness_is_told_from_semivariances(evaluation: Evaluation) -> None:
    assert set(evaluation.variograms) == {"map", "map, at the samples", "samples"}
    samples, mapped = evaluation.variograms["samples"], evaluation.variograms["map, at the samples"]
    assert samples.variance > mapped.variance
    assert any(each.headline == "How smooth the map is" for each in findings(evaluation))


def test_document_and_page(evaluation: Evaluation, land: Land) -> None:
    document = json.loads(json.dumps(evaluation_document(evaluation), allow_nan=False))
    assert (
        document["validation"]["inside"]["n"] + document["validation"]["outside"]["n"]
        == document["validation"]["all"]["n"]
    )
    text = evaluation_page(evaluation)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org|purl\.org|creativecommons)", text)
    page = lxml.html.fromstring(text)
    drawings = page.xpath("//*[local-name() = 'svg']")
    assert drawings
    assert all(each.get("role") == "img" and each.get("aria-label") for each in drawings)
    assert str(land.map) not in text
    assert len(text) < 800_000


class TestCommand:
    def test_writes_both_files(self, land: Land, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        given = ["--terrain", land.relief, "--classes", land.classes, "--samples", land.samples, "--target", "soc",
                 "--unit", "g/kg", "--x", "x", "--y", "y", "--crs", "EPSG:32633", "--json"]  # fmt: skip
        assert run(["evaluate", str(land.map), str(out), *map(str, given)]) == 0
        told = json.loads(capsys.readouterr().out)
        assert sorted(path.name for path in out.iterdir()) == ["evaluation.html", "evaluation.json", "method.html"]
        assert "The pattern follows relief" in told["findings"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--target", "soc"], "without --samples"),
            (["--samples", "samples.csv", "--target", "soc"], "without --unit"),
            (["--tiles", "0"], "tiles of 0 m"),
            (["--terrain", "nowhere"], "nowhere"),
            (["--report", "nowhere.json"], "nowhere.json"),
        ],
    )
    def test_what_cannot_work_is_refused(
        self, land: Land, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["evaluate", str(land.map), str(tmp_path / "out"), *arguments]) != 0
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_samples_elsewhere_are_refused(land: Land, tmp_path: Path) -> None:
    far = tmp_path / "far.csv"
    far.write_text("soc,x,y\n" + "".join(f"{10 + i},{100_000 + i},{5_000_000}\n" for i in range(40)))
    with pytest.raises(InvalidSamples, match="lie on the map"):
        evaluate_map(land.request(points=land.points(file=far)), SETTINGS, Silent())


def test_empty_map_and_other_products_are_refused(land: Land, tmp_path: Path) -> None:
    write_map(tmp_path / "map", np.full((SIZE, SIZE), np.nan), land.aoa)
    with pytest.raises(NoData, match="no value"):
        evaluate_map(land.request(map=tmp_path / "map", points=None), SETTINGS, Silent())
    products.composite(tmp_path / "composite").write(tmp_path / "composite")
    with pytest.raises(InvalidInput, match="kind composite"):
        evaluate_map(land.request(map=tmp_path / "composite"), SETTINGS, Silent())


def test_measurements_are_no_classes(land: Land) -> None:
    with pytest.raises(InvalidInput, match="classes"):
        evaluate_map(land.request(classes=(land.relief / "height.tif",)), SETTINGS, Silent())


def test_map_without_anything_to_hold_it_against(land: Land) -> None:
    found = evaluate_map(land.request(relief=(), classes=(), points=None), SETTINGS, Silent())
    assert found.profiles == ()
    assert "semivariance" in evaluation_page(found).lower()
