"""Prediction: the pixels of a soil map against the methods they come from, and what is refused."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from cup4soil.errors import InvalidArea, InvalidInput, InvalidRaster, LicenceConflict, LimitExceeded, NoData, NotFound
from cup4soil.grids import Bounds, Window
from cup4soil.products import Period, ProductRecord
from cup4soil.progress import Silent
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.soil_blocks import block_size
from cup4soil.soil_maps import predict_block, soil_map_layers
from cup4soil.soil_models import load_model
from producers.jobs import deliver
from producers.prediction import PredictRequest, plan_prediction
from producers.training import plan_training
from tests.producers.soil_world import CELL, LEFT, SETTINGS, SIZE, TOP, World, make_world, without_plots, write_raster

LAYERS = ("mean", "q05", "q50", "q95", "q05-raw", "q95-raw", "uncertainty", "pi90", "aoa", "di", "lpd")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def model(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    with without_plots():
        deliver(plan_training(world.request(attribution="the field team"), SETTINGS), folder, None, Silent())
    return folder


def predict(model: Path, world: World, out: Path, **changes: Any) -> ProductRecord:
    settings = changes.pop("settings", SETTINGS)
    given = {"model": model, "covariates": (world.covariates,)}
    return deliver(plan_prediction(PredictRequest(**(given | changes)), settings), out, None, Silent()).record


@pytest.fixture(scope="module")
def soil_map(world: World, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps") / "map"
    predict(model, world, folder)
    return folder


def stored(folder: Path) -> dict[str, np.ndarray]:
    found = {}
    for name in LAYERS:
        with rasterio.open(folder / f"{name}.tif") as dataset:
            found[name] = dataset.read(1)
    return found


@pytest.fixture(scope="module")
def layers(soil_map: Path) -> dict[str, np.ndarray]:
    return stored(soil_map)


@pytest.fixture(scope="module")
def valid(layers: dict[str, np.ndarray]) -> np.ndarray:
    return layers["mean"] != -32768


def test_every_layer_holds_what_the_forest_says(world: World, model: Path, layers: dict[str, np.ndarray]) -> None:
    loaded = load_model(model)
    stack = CovariateStack.open([world.covariates], ["land"])
    cells = stack.read(stack.geobox).reshape(len(stack.names), -1).T
    known = ~np.isnan(cells).any(axis=1)
    features, unseen = loaded.description.encoding.encode(cells[known])
    expected = loaded.forest.predict(features, (0.05, 0.5, 0.95))
    index = loaded.applicability.dissimilarity(features)
    low, mid, high = expected.quantiles
    (calibration,) = loaded.calibrations
    assert calibration is not None
    inner = loaded.forest.predict(features, calibration.quantiles[::2]).quantiles
    down, up = calibration.apply(inner[0], mid, inner[1])
    raw = {"mean": expected.mean, "q05-raw": low, "q50": mid, "q95-raw": high}
    for name, values in {**raw, "q05": np.maximum(down, 0), "q95": up}.items():
        assert np.abs(layers[name].ravel()[known] - values * 10).max() <= 0.5 + 1e-9, name
    np.testing.assert_allclose(layers["di"].ravel()[known][~unseen], index[~unseen] * 1000, atol=0.51)
    scaled = loaded.applicability.dissimilarity_and_density(features)[1]
    np.testing.assert_array_equal(layers["lpd"].ravel()[known], np.where(unseen, -32768, scaled))
    np.testing.assert_array_equal(
        layers["aoa"].ravel()[known], (index <= np.float32(loaded.applicability.threshold)) & ~unseen
    )


def test_missing_covariates_are_missing_in_every_layer(layers: dict[str, np.ndarray], valid: np.ndarray) -> None:
    assert not valid[:3].any()
    assert valid[3:].all()
    for name in LAYERS:
        nodata = 255 if name == "aoa" else -32768
        missing = layers[name] == nodata
        assert missing[~valid].all()
        if name not in ("uncertainty", "di", "lpd"):
            assert not missing[valid].any()


def test_the_stored_layers_agree_with_each_other(layers: dict[str, np.ndarray], valid: np.ndarray) -> None:
    q05, q50, q95 = (layers[name][valid].astype(int) for name in ("q05", "q50", "q95"))
    assert (q05 <= q50).all()
    assert (q50 <= q95).all()
    np.testing.assert_array_equal(layers["pi90"][valid], q95 - q05)
    np.testing.assert_allclose(layers["uncertainty"][valid], 100 * (q95 - q05) / q50, atol=0.51)


def test_a_class_that_training_did_not_see_is_outside(layers: dict[str, np.ndarray]) -> None:
    corner = np.s_[50:, :5]
    assert (layers["aoa"][corner] == 0).all()
    assert (layers["di"][corner] == -32768).all()
    assert (layers["mean"][corner] > 0).all()


def test_a_sampled_cell_is_inside_at_distance_zero(world: World, layers: dict[str, np.ndarray]) -> None:
    x, y = (float(v) for v in world.samples.read_text().splitlines()[1].split(",")[4:6])
    row, col = int((TOP - y) / CELL), int((x - LEFT) / CELL)
    assert layers["di"][row, col] == 0
    assert layers["aoa"][row, col] == 1


def test_the_files_say_what_they_hold(soil_map: Path) -> None:
    with rasterio.open(soil_map / "q95.tif") as dataset:
        assert (dataset.dtypes[0], dataset.nodata, dataset.scales[0]) == ("int16", -32768, 0.1)
        assert (dataset.descriptions[0], dataset.units[0], dataset.crs.to_epsg()) == ("q95", "g/kg", 32633)
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.transform.c == LEFT


def test_the_record_tells_model_samples_and_limits(soil_map: Path, model: Path) -> None:
    record = ProductRecord.model_validate_json((soil_map / "product.json").read_bytes())
    trained = load_model(model).record
    assert (record.kind, record.collection, record.property_code) == ("soil-map", "soc-0-20cm", "soc")
    assert tuple(layer.name for layer in record.layers) == LAYERS
    assert {source.role for source in record.sources} == {"model", "samples", "covariate"}
    assert trained.id in {source.id for source in record.sources}
    assert set(trained.quality) < set(record.quality)
    shares = {measure.name: measure.value for measure in record.quality if measure.unit == "%"}
    assert shares["Mapped"] == pytest.approx(100 * 57 / 60)
    assert "outside the area of applicability" in record.limitations[0]
    assert record.attribution == ("the field team",)
    assert record.layer("aoa").categories == {0: "outside", 1: "inside"}
    assert re.fullmatch(r"soc-0-20cm-[0-9a-f]{12}", record.id)


def test_neither_blocks_nor_threads_change_a_pixel(
    world: World, model: Path, layers: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.prediction_run.block_size", lambda *_: 17)
    predict(model, world, tmp_path / "out", settings=SETTINGS.model_copy(update={"threads": 1}))
    for name, values in stored(tmp_path / "out").items():
        np.testing.assert_array_equal(values, layers[name], err_msg=name)


def test_a_block_alone_gives_the_pixels_of_the_map(world: World, model: Path, layers: dict[str, np.ndarray]) -> None:
    stack = CovariateStack.open([world.covariates])
    block = predict_block(load_model(model), stack.read(Window(10, 20, 7, 9)), threads=1)["soc"]
    for name in LAYERS:
        np.testing.assert_array_equal(block[name], layers[name][10:17, 20:29], err_msg=name)


def test_a_rerun_gives_the_same_bytes_and_id(world: World, model: Path, soil_map: Path, tmp_path: Path) -> None:
    record = predict(model, world, tmp_path / "again")
    assert record.id == json.loads((soil_map / "product.json").read_text())["id"]
    for name in LAYERS:
        assert (tmp_path / "again" / f"{name}.tif").read_bytes() == (soil_map / f"{name}.tif").read_bytes()


def test_the_blocks_keep_to_the_memory_set(world: World, model: Path) -> None:
    loaded = load_model(model)
    sizes = [block_size(loaded, 1, SETTINGS.model_copy(update={"block_memory_mib": mib})) for mib in (32, 128, 100_000)]
    assert sizes[0] < sizes[1] < sizes[2] == 2048


# Areas


def write_area(path: Path, ring: list[list[float]], crs: str = "EPSG:32633") -> Path:
    document = {"type": "Polygon", "coordinates": [ring], "crs": {"type": "name", "properties": {"name": crs}}}
    path.write_text(json.dumps(document))
    return path


def square(left: float, bottom: float, right: float, top: float) -> list[list[float]]:
    return [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]


def test_a_box_gives_the_cells_it_touches(
    world: World, model: Path, layers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    box = Bounds(LEFT + 205, TOP - 595, LEFT + 400, TOP - 300)
    predict(model, world, tmp_path / "m", bbox=box, bbox_crs="EPSG:32633")
    for name, values in stored(tmp_path / "m").items():
        np.testing.assert_array_equal(values, layers[name][15:30, 10:20], err_msg=name)


def test_an_area_masks_cells_by_their_centre(
    world: World, model: Path, layers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    ring = [[LEFT + 200, TOP - 600], [LEFT + 600, TOP - 600], [LEFT + 200, TOP - 200], [LEFT + 200, TOP - 600]]
    predict(model, world, tmp_path / "m", aoi=write_area(tmp_path / "a.json", ring))
    found = stored(tmp_path / "m")["mean"]
    rows, cols = np.mgrid[10:30, 10:30] + 0.5
    inside = cols - 10 < rows - 10
    np.testing.assert_array_equal(found[inside], layers["mean"][10:30, 10:30][inside])
    assert (found[cols - 10 > rows - 10] == -32768).all()


def test_an_area_partly_outside_is_mapped_where_it_can_be_and_said(world: World, model: Path, tmp_path: Path) -> None:
    ring = square(LEFT - 400, TOP - 800, LEFT + 400, TOP - 400)
    record = predict(model, world, tmp_path / "m", aoi=write_area(tmp_path / "a.json", ring))
    assert "50 % of the area asked for lie outside the covariates and are not mapped." in record.limitations
    assert record.extent.shape == (20, 20)


def test_an_area_outside_is_refused(world: World, model: Path, tmp_path: Path) -> None:
    ring = square(LEFT - 400, TOP - 800, LEFT - 20, TOP - 400)
    with pytest.raises(InvalidArea, match="the area lies outside the covariates; they cover"):
        predict(model, world, tmp_path / "m", aoi=write_area(tmp_path / "a.json", ring))
    with pytest.raises(InvalidArea, match="outside the covariates"):
        predict(model, world, tmp_path / "m", bbox=Bounds(13, 52, 13.1, 52.1))


def test_an_area_without_any_valid_cell_has_no_data_and_leaves_nothing(
    world: World, model: Path, tmp_path: Path
) -> None:
    box = Bounds(LEFT, TOP - 60, LEFT + 400, TOP)
    with pytest.raises(NoData, match="no cell of the area has all covariates"):
        predict(model, world, tmp_path / "maps" / "m", bbox=box, bbox_crs="EPSG:32633")
    assert list((tmp_path / "maps").iterdir()) == []


def test_another_area_is_another_map(world: World, model: Path, tmp_path: Path) -> None:
    rings = (
        square(LEFT, TOP - 800, LEFT + 400, TOP - 400),
        [*square(LEFT, TOP - 800, LEFT + 400, TOP - 400)[:-2], [LEFT, TOP - 800]],
    )
    ids = set()
    for index, ring in enumerate(rings):
        area = write_area(tmp_path / f"{index}.json", ring)
        ids.add(plan_prediction(PredictRequest(model=model, covariates=(world.covariates,), aoi=area), SETTINGS).id)
    assert len(ids) == 2


# What cannot be predicted


def test_a_missing_covariate_is_named(world: World, model: Path, tmp_path: Path) -> None:
    shutil.copytree(world.covariates, tmp_path / "c")
    (tmp_path / "c" / "wet.tif").unlink()
    with pytest.raises(NotFound, match=r"needs 1 covariates that are not given: wet; .* there are height, land, noise"):
        predict(model, world, tmp_path / "m", covariates=(tmp_path / "c",))


def test_covariates_the_model_does_not_need_are_not_its_sources(world: World, model: Path, tmp_path: Path) -> None:
    shutil.copytree(world.covariates, tmp_path / "c")
    write_raster(tmp_path / "c" / "extra.tif", np.zeros((SIZE, SIZE), np.float32))
    first, second = (
        plan_prediction(PredictRequest(model=model, covariates=(folder,)), SETTINGS)
        for folder in (world.covariates, tmp_path / "c")
    )
    assert first.id == second.id


def test_a_covariate_in_another_crs_is_refused(world: World, model: Path, tmp_path: Path) -> None:
    shutil.copytree(world.covariates, tmp_path / "c")
    write_raster(tmp_path / "c" / "wet.tif", np.zeros((SIZE, SIZE), np.float32), crs="EPSG:3035")
    with pytest.raises(InvalidRaster, match=r"wet\.tif is in EPSG:3035 where the other covariates are in EPSG:32633"):
        predict(model, world, tmp_path / "m", covariates=(tmp_path / "c",))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": Path("none")}, NotFound, "no model in none"),
        ({"covariates": ()}, InvalidInput, "no covariates are given"),
        ({"covariates": (Path("none"),)}, NotFound, "no covariates at none"),
        ({"bbox": Bounds(1, 2, 3, 4), "aoi": Path("a.json")}, InvalidInput, "both a box and an area"),
        ({"bbox": Bounds(1, 2, 3, 4), "bbox_crs": "EPSG:x"}, InvalidInput, "no coordinate reference system"),
        ({"aoi": Path("none.json")}, NotFound, "no area file"),
        ({"settings": SETTINGS.model_copy(update={"max_cells": 100})}, LimitExceeded, "a map of 3600 cells"),
    ],
)
def test_a_request_that_cannot_work_is_refused(
    world: World, model: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    chosen = changes.get("model", model)
    rest = {name: value for name, value in changes.items() if name != "model"}
    with pytest.raises(error, match=re.escape(message)):
        predict(chosen, world, tmp_path / "m", **rest)
    assert not (tmp_path / "m").exists()


def test_licences_that_cannot_be_combined_are_refused(world: World, model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    record = json.loads((model / "product.json").read_text())
    (tmp_path / "model" / "product.json").write_text(json.dumps(record | {"licence": "CC-BY-SA-4.0"}))
    item = {
        "type": "Feature", "stac_version": "1.1.0", "id": "covariates", "properties": {"license": "CC-BY-NC-SA-4.0"},
        "assets": {
            name: {"href": str(world.covariates / f"{name}.tif"), "type": "image/tiff"}
            for name in ("height", "land", "noise", "wet")
        },
    }  # fmt: skip
    (tmp_path / "item.json").write_text(json.dumps(item))
    with pytest.raises(LicenceConflict, match=r"CC-BY-NC-SA-4\.0 and CC-BY-SA-4\.0 cannot be combined"):
        predict(tmp_path / "model", world, tmp_path / "m", covariates=(tmp_path / "item.json",))


def test_the_period_is_the_one_given(world: World, model: Path, tmp_path: Path) -> None:
    period = Period.model_validate({"start": "2021-01-01T00:00:00Z", "end": "2022-12-31T00:00:00Z"})
    record = predict(model, world, tmp_path / "m", period=period)
    assert record.period == period
    assert not any("time of training" in note for note in record.limitations)


def test_an_interrupted_run_leaves_no_map(world: World, model: Path, tmp_path: Path) -> None:
    class Interrupted(Silent):
        def step(self, title: str, total: int) -> Any:
            raise KeyboardInterrupt

    job = plan_prediction(PredictRequest(model=model, covariates=(world.covariates,)), SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        deliver(job, tmp_path / "maps" / "m", None, Interrupted())
    # What was computed stays for the next run; nothing looks like a map.
    assert all(path.name.startswith(".cup4soil-run-") for path in (tmp_path / "maps").iterdir())
    deliver(job, tmp_path / "maps" / "m", None, Silent())
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["m"]


# Parts


def test_a_property_without_natural_zero_says_so() -> None:
    from cup4soil.properties import soil_property

    layers = soil_map_layers(soil_property("phh2o"), None, calibrated=True)
    assert "no natural zero" in layers["uncertainty"].description
    assert tuple(layers) == LAYERS
    assert set(LAYERS) - set(soil_map_layers(soil_property("phh2o"), None)) == {"q05-raw", "q95-raw"}


def test_a_median_of_zero_has_no_relative_uncertainty(model: Path) -> None:
    from cup4soil.methods.forest import Prediction

    loaded = load_model(model)

    class NearZero:
        def predict_all(self, features: Any, quantiles: Any, *, threads: int) -> tuple[Prediction, ...]:
            n = features.shape[0]
            return (Prediction(np.full(n, 4000.0), np.array([[-0.04], [0.04], [4000.0]]).repeat(n, axis=1)),)

    raw = loaded.description.outputs[0].model_copy(update={"calibrated": False})
    description = loaded.description.model_copy(update={"outputs": (raw,)})
    changed = dataclasses.replace(loaded, forest=NearZero(), calibrations=(None,), description=description)  # type: ignore[arg-type]
    block = predict_block(changed, np.full((4, 1, 2), 2, np.float32))["soc"]
    assert block["q05"].tolist() == block["q50"].tolist() == [[0, 0]]
    assert block["q95"].tolist() == block["pi90"].tolist() == [[32767, 32767]]
    assert block["uncertainty"].tolist() == [[-32768, -32768]]
