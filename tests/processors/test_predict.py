"""The process predict-soil-property: its pixels against the command line, its figures against numpy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from cup4soil.errors import InvalidArea, InvalidInput, NoData, StoreError
from processors.jobs.desk import Desk
from processors.jobs.job import Job
from processors.jobs.settings import JobSettings
from service.cli import run
from stac_catalog.store import Store
from tests.catalog.products import composite
from tests.processors.predict_world import (
    BOTTOM,
    CELL,
    LEFT,
    RIGHT,
    SIZE,
    TOP,
    PredictWorld,
    make_predict_world,
    polygon,
)

ID = "predict-soil-property"
BANDS = ("mean", "q05", "q50", "q95", "q05-raw", "q95-raw", "uncertainty", "pi90", "aoa", "di", "lpd")
SETTINGS = JobSettings(threads=1)
TRIANGLE = polygon((500, 100), (1100, 100), (1100, 900))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> PredictWorld:
    return make_predict_world(tmp_path_factory.mktemp("predict"))


@pytest.fixture(scope="module")
def settings(world: PredictWorld) -> JobSettings:
    return SETTINGS.model_copy(update={"covariates": world.covariates})


@pytest.fixture(scope="module")
def desk(world: PredictWorld, settings: JobSettings) -> Desk:
    return Desk(world.store, settings)


@pytest.fixture(scope="module")
def triangle(desk: Desk) -> Job:
    return desk.execute(ID, {"inputs": {"aoi": TRIANGLE}}, as_job=False)


def answered(desk: Desk, **inputs: Any) -> dict[str, Any]:
    job = desk.execute(ID, {"inputs": inputs}, as_job=False)
    return desk.results(job.id).document(lambda name: str(desk.result_file(job.id, name)))


def bands(path: Path | str) -> dict[str, np.ndarray]:
    with rasterio.open(path) as dataset:
        return dict(zip(dataset.descriptions, dataset.read(), strict=True))


def by_command_line(folder: Path, *arguments: str) -> dict[str, np.ndarray]:
    assert run(["predict", *arguments]) == 0
    found = {}
    for name in BANDS:
        with rasterio.open(folder / f"{name}.tif") as dataset:
            values = dataset.read(1)
            found[name] = (
                np.where(values == 255, np.int16(-32768), values.astype(np.int16)) if name == "aoa" else values
            )
    return found


# The same pixels by every way


def test_command_line_and_process_give_the_same_pixels(
    world: PredictWorld, desk: Desk, triangle: Job, tmp_path: Path
) -> None:
    (tmp_path / "aoi.json").write_text(json.dumps(TRIANGLE))
    expected = by_command_line(
        tmp_path / "out", str(world.model), str(tmp_path / "out"), "--covariates", str(world.composite),
        "--aoi", str(tmp_path / "aoi.json"),
    )  # fmt: skip
    path = desk.result_file(triangle.id, "map.tif")
    found = bands(path)
    assert tuple(found) == BANDS
    for name in BANDS:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    with rasterio.open(path) as own, rasterio.open(tmp_path / "out" / "mean.tif") as other:
        assert (own.transform, own.crs) == (other.transform, other.crs)
    made = json.loads((tmp_path / "out" / "product.json").read_text())
    provenance = desk.results(triangle.id).outputs["provenance"]["value"]
    assert provenance["id"] == made["id"]
    assert provenance["licence"] == made["licence"] == "CC-BY-SA-4.0"
    assert provenance["limitations"] == made["limitations"]


def test_the_map_of_an_area_is_part_of_the_whole_map(desk: Desk, triangle: Job) -> None:
    whole = bands(answered(desk, bbox={"bbox": [BOTTOM, LEFT, TOP, RIGHT], "crs": "EPSG:3035"})["map"]["href"])
    part = bands(desk.result_file(triangle.id, "map.tif"))
    rows, cols = slice(SIZE - 45, SIZE - 5), slice(25, 55)
    centre_x, centre_y = np.meshgrid(CELL * (np.arange(25, 55) + 0.5), CELL * (SIZE - np.arange(15, 55) - 0.5))
    inside = centre_y - 100 < (centre_x - 500) * 800 / 600
    for name in BANDS:
        np.testing.assert_array_equal(part[name][inside], whole[name][rows, cols][inside], err_msg=name)
        assert (part[name][~inside] == -32768).all()


def test_covariates_of_the_operator_give_the_same_pixels(world: PredictWorld, desk: Desk, tmp_path: Path) -> None:
    box = (500_205, 5_799_005, 500_805, 5_799_705)
    expected = by_command_line(
        tmp_path / "out", str(world.outside), str(tmp_path / "out"), "--covariates", str(world.covariates),
        "--bbox", *map(str, box), "--bbox-crs", "EPSG:32633",
    )  # fmt: skip
    given_box = {"bbox": list(box), "crs": "http://www.opengis.net/def/crs/EPSG/0/32633"}
    found = bands(answered(desk, bbox=given_box, property="nitrogen", depth="0-20")["map"]["href"])
    for name in BANDS:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


# What comes


def test_the_map_is_a_cog_that_says_what_it_holds(desk: Desk, triangle: Job) -> None:
    with rasterio.open(desk.result_file(triangle.id, "map.tif")) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert set(dataset.dtypes) == {"int16"}
        assert set(dataset.nodatavals) == {-32768}
        assert dataset.units[:9] == (*("g/kg",) * 6, None, "g/kg", None)
        np.testing.assert_allclose(dataset.scales, (*(0.1,) * 6, 0.01, 0.1, 1, 0.001, 1))
        tags = dataset.tags()
    assert tags["LICENCE"] == "CC-BY-SA-4.0"
    assert "the field team" in tags["ATTRIBUTION"]
    assert tags["MODEL"].startswith("model-soc-")
    assert tags["SIMULATED"] == "no"


def test_the_preview_is_a_picture(desk: Desk, triangle: Job) -> None:
    with Image.open(desk.result_file(triangle.id, "preview.png")) as picture:
        assert max(picture.size) > 200


def test_the_statistics_are_those_of_the_map(desk: Desk, triangle: Job) -> None:
    found = desk.results(triangle.id).outputs["statistics"]["value"]
    stored = bands(desk.result_file(triangle.id, "map.tif"))
    valid = stored["mean"] != -32768
    means = stored["mean"][valid] / 10
    inside = stored["aoa"] == 1
    assert found["mapped_cells"] == valid.sum()
    assert found["area_ha"] == pytest.approx(valid.sum() * 0.04, rel=1e-4)
    assert found["mean"] == pytest.approx(means.mean(), abs=1e-4)
    expected = np.quantile(means, (0.05, 0.5, 0.95))
    np.testing.assert_allclose([found["q05"], found["median"], found["q95"]], expected, atol=1e-4)
    assert found["mean_interval_width"] == pytest.approx(stored["pi90"][valid].mean() / 10, abs=1e-4)
    assert found["inside_percent"] == pytest.approx(100 * inside.sum() / valid.sum(), abs=1e-4)
    assert found["mean_inside"] == pytest.approx(stored["mean"][inside].mean() / 10, abs=1e-4)
    assert found["unit"] == "g/kg"
    assert any("spatial correlation" in note for note in found["notes"])


def test_the_provenance_tells_model_scenes_and_limits(world: PredictWorld, desk: Desk, triangle: Job) -> None:
    found = desk.results(triangle.id).outputs["provenance"]["value"]
    assert found["model"]["id"] == world.model.name
    assert [source["id"] for source in found["covariates"]] == [world.composite.name]
    assert found["scenes"] == 5
    assert found["period"]["start"] == "2019-01-01T00:00:00Z"
    assert "contains modified Copernicus Sentinel data 2019-2021" in found["attribution"]
    assert {"RMSE", "PICP90"} <= {measure["name"] for measure in found["quality"]}
    assert found["simulated"] is False
    assert str(world.store) not in json.dumps(found)


def test_statistics_are_left_out_on_request(desk: Desk) -> None:
    assert "statistics" not in answered(desk, aoi=TRIANGLE, statistics=False)


# The area in all its forms

SQUARE = polygon((700, 200), (900, 200), (900, 400), (700, 400))
FEATURE = {
    "type": "Feature",
    "properties": {},
    "geometry": {name: SQUARE[name] for name in ("type", "coordinates")},
    "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}},
}


@pytest.mark.parametrize(
    "inputs",
    [
        {"bbox": {"bbox": [BOTTOM + 200, LEFT + 700, BOTTOM + 400, LEFT + 900], "crs": "EPSG:3035"}},
        {"bbox": [BOTTOM + 200, LEFT + 700, BOTTOM + 400, LEFT + 900], "bbox-crs": "[EPSG:3035]"},
        {"bbox": {"value": [BOTTOM + 200, LEFT + 700, BOTTOM + 400, LEFT + 900]}, "bbox-crs": {"value": "EPSG:3035"}},
        {"aoi": SQUARE},
        {"aoi": FEATURE},
        {"aoi": {"value": SQUARE, "mediaType": "application/geo+json"}},
    ],
)  # fmt: skip
def test_an_area_may_be_given_in_many_ways(desk: Desk, inputs: dict[str, Any]) -> None:
    with rasterio.open(answered(desk, **inputs)["map"]["href"]) as dataset:
        assert dataset.bounds == (LEFT + 700, BOTTOM + 200, LEFT + 900, BOTTOM + 400)


def test_degrees_are_longitude_first_in_crs84_and_latitude_first_in_epsg_4326(desk: Desk) -> None:
    west, south, east, north = 10.0105, 52.002, 10.0135, 52.004
    first = bands(answered(desk, bbox=[west, south, east, north])["map"]["href"])
    second = bands(answered(desk, bbox=[south, west, north, east], **{"bbox-crs": "EPSG:4326"})["map"]["href"])
    for name in BANDS:
        np.testing.assert_array_equal(first[name], second[name])


def test_a_multipolygon_leaves_out_what_lies_between(desk: Desk) -> None:
    parts = [polygon((x, 100), (x + 100, 100), (x + 100, 200), (x, 200))["coordinates"] for x in (700, 1000)]
    area = polygon((0, 0)) | {"type": "MultiPolygon", "coordinates": parts}
    statistics = answered(desk, aoi=area)["statistics"]
    assert statistics["cells"] == 50


def test_an_area_partly_outside_is_mapped_where_it_can_be_and_said(desk: Desk) -> None:
    found = answered(desk, aoi=polygon((1000, 100), (1400, 100), (1400, 300), (1000, 300)))
    assert any("50 % of the area asked for lie outside" in note for note in found["provenance"]["limitations"])


# Models and covariates of the store


def test_a_model_of_covariates_outside_the_store_needs_the_operators_folder(world: PredictWorld) -> None:
    bare = Desk(world.store, SETTINGS)
    inputs = {"bbox": [500_200, 5_799_000, 500_800, 5_799_700], "bbox-crs": "EPSG:32633", "property": "nitrogen"}
    with pytest.raises(NoData, match="covariates that the store does not hold: height, land, noise, wet; the operator"):
        bare.execute(ID, {"inputs": inputs}, as_job=False)


def test_covariates_that_are_damaged_are_no_fault_of_the_client(world: PredictWorld, tmp_path: Path) -> None:
    (tmp_path / "height.tif").write_text("no raster")
    broken = Desk(world.store, SETTINGS.model_copy(update={"covariates": tmp_path}))
    inputs = {"bbox": [500_200, 5_799_000, 500_800, 5_799_700], "bbox-crs": "EPSG:32633", "property": "nitrogen"}
    with pytest.raises(StoreError) as caught:
        broken.execute(ID, {"inputs": inputs}, as_job=False)
    assert str(tmp_path) not in str(caught.value)


@pytest.fixture
def several(world: PredictWorld, tmp_path: Path) -> Callable[..., Desk]:
    """A desk whose store holds one more composite, changed as told."""

    def make(shift_cells: int = 0, **changes: Any) -> Desk:
        copy = world.copy(tmp_path / "store")
        record = composite(tmp_path / "more", left=LEFT + CELL * shift_cells, size=SIZE)
        changed = record.model_copy(update={"id": "src-another", **changes})
        Store.open(copy.store, SETTINGS).register(changed, tmp_path / "more")
        return Desk(copy.store, SETTINGS)

    return make


def later(world: PredictWorld) -> Any:
    period = Store(world.store, SETTINGS).record("bare-soil-composites", world.composite.name).period
    return period.model_copy(update={"start": period.start.replace(year=2022), "end": period.end.replace(year=2024)})


def covariates_used(desk: Desk, **inputs: Any) -> list[str]:
    return [source["id"] for source in answered(desk, **inputs)["provenance"]["covariates"]]


def test_the_latest_composite_is_taken_unless_a_period_is_given(
    world: PredictWorld, several: Callable[..., Desk]
) -> None:
    desk = several(period=later(world))
    assert covariates_used(desk, aoi=TRIANGLE) == ["src-another"]
    assert covariates_used(desk, aoi=TRIANGLE, period="2020") == [world.composite.name]
    assert covariates_used(desk, aoi=TRIANGLE, period="2020-06-01/2023-01-01") == ["src-another"]


def test_of_neighbours_the_one_that_holds_the_area_is_taken(world: PredictWorld, several: Callable[..., Desk]) -> None:
    desk = several(SIZE)
    assert covariates_used(desk, aoi=TRIANGLE) == [world.composite.name]
    across = polygon((900, 100), (2100, 100), (2100, 300), (900, 300))
    with pytest.raises(InvalidArea, match="the area lies across 2 composites; choose an area within one of src-"):
        desk.execute(ID, {"inputs": {"aoi": across}}, as_job=False)


def test_without_a_model_the_process_says_so(tmp_path: Path) -> None:
    Store.open(tmp_path / "empty", SETTINGS)
    with pytest.raises(InvalidInput, match="property 'soc' has no model; the store has no model"):
        Desk(tmp_path / "empty", SETTINGS).execute(ID, {"inputs": {"aoi": TRIANGLE}}, as_job=False)
