"""Models of several properties and depths: what they promise of their maps, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, InvalidRaster, NotFound
from cup4soil.methods import texture
from cup4soil.products import MEC_LOWER_END, NO_SKILL, NO_SKILL_NOTE, ProductRecord
from cup4soil.progress import Silent
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.soil_models import DEPTH_FEATURE, SoilModel, load_model
from cup4soil.soil_outputs import Transform, bounds
from producers import training
from producers.jobs import Delivery, deliver
from producers.prediction import PredictRequest, deliver_maps, plan_predictions
from producers.training import plan_training, plan_trainings
from tests.producers.soil_profiles import STOCK, TEXTURE, Profiles, make_profiles
from tests.producers.soil_world import SETTINGS, SIZE, without_plots, write_raster

DEPTHS = (Depth(0, 20), Depth(20, 50))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Profiles:
    return make_profiles(tmp_path_factory.mktemp("profiles"))


def train(world: Profiles, folder: Path, **changes: Any) -> SoilModel:
    with without_plots():
        deliver(plan_training(world.request(**changes), SETTINGS), folder, None, Silent())
    return load_model(folder)


def predict(world: Profiles, model: Path, out: Path, **changes: Any) -> list[Delivery]:
    request = PredictRequest(**({"model": model, "covariates": (world.covariates,)} | changes))
    return list(deliver_maps(plan_predictions(request, SETTINGS), out, None, Silent()))


def layer(folder: Path, name: str) -> np.ndarray:
    with rasterio.open(folder / f"{name}.tif") as dataset:
        return np.asarray(dataset.read(1)).astype(int)


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


# Texture


@pytest.fixture(scope="module")
def texture_model(world: Profiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texture") / "model"
    train(world, folder, **TEXTURE)
    return folder


@pytest.fixture(scope="module")
def texture_maps(world: Profiles, texture_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Delivery]:
    return predict(world, texture_model, tmp_path_factory.mktemp("maps") / "out")


def test_clay_silt_and_sand_are_recognised_as_a_texture(texture_model: Path) -> None:
    model = load_model(texture_model)
    assert model.description.group == "texture"
    assert model.description.codes == ("clay", "silt", "sand")
    assert model.forest.target.shape[1] == 2
    np.testing.assert_allclose(model.forest.reported.sum(axis=1), 100)
    np.testing.assert_allclose(model.forest.target, texture.alr(*model.forest.reported.T), atol=1e-9)
    assert model.record.id.startswith("model-texture-0-20cm-")


def test_the_means_of_a_texture_sum_to_100_in_the_stored_integers(texture_maps: list[Delivery]) -> None:
    means = np.array([layer(each.folder, "mean") for each in texture_maps])
    known = means[0] != -32768
    assert known.sum() > 3000
    assert np.abs(means[:, known].sum(axis=0) - 1000).max() <= 1


def test_each_fraction_is_a_product_of_its_own(texture_maps: list[Delivery]) -> None:
    assert [each.folder.name for each in texture_maps] == ["clay-0-20cm", "silt-0-20cm", "sand-0-20cm"]
    records = [each.record for each in texture_maps]
    assert [each.property_code for each in records] == ["clay", "silt", "sand"]
    assert len({each.id for each in records}) == 3
    titles = {measure.name for measure in records[0].quality}
    assert {"RMSE", MEC_LOWER_END, "Mapped"} <= titles
    assert not any(":" in name for name in titles)


def test_each_fraction_has_ordered_quantiles_within_what_it_can_be(texture_maps: list[Delivery]) -> None:
    for each in texture_maps:
        low, mid, high = (layer(each.folder, name) for name in ("q05", "q50", "q95"))
        known = low != -32768
        assert (low[known] >= 0).all()
        assert (low <= mid)[known].all()
        assert (mid <= high)[known].all()
        assert (high[known] <= 1000).all()


def test_one_walk_through_the_trees_serves_all_fractions(
    world: Profiles, texture_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cup4soil.methods.forest import QuantileForest

    walks = []
    original = QuantileForest.predict_all
    monkeypatch.setattr(
        QuantileForest, "predict_all", lambda forest, *a, **k: walks.append(1) or original(forest, *a, **k)
    )
    predict(world, texture_model, tmp_path / "out")
    assert len(walks) == 1


def test_one_fraction_alone_has_the_pixels_of_all(
    world: Profiles, texture_model: Path, texture_maps: list[Delivery], tmp_path: Path
) -> None:
    (alone,) = predict(world, texture_model, tmp_path / "out", properties=("silt",))
    assert alone.folder == tmp_path / "out"
    assert alone.record.id == texture_maps[1].record.id
    for name in ("mean", "q05", "q95", "q05-raw", "aoa", "lpd"):
        np.testing.assert_array_equal(layer(alone.folder, name), layer(texture_maps[1].folder, name))


def test_a_property_or_depth_the_model_does_not_have_is_refused(
    world: Profiles, texture_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="no property 'soc'; name one of clay, silt, sand"):
        predict(world, texture_model, tmp_path / "out", properties=("soc",))
    with pytest.raises(NotFound, match="no depth 0-5cm; name one of 0-20cm"):
        predict(world, texture_model, tmp_path / "out", depths=(Depth(0, 5),))


# Joint models


def test_carbon_and_density_are_learnt_together_each_on_its_own_scale(world: Profiles, tmp_path: Path) -> None:
    model = train(world, tmp_path / "m", **STOCK, log_targets=("oc",))
    assert model.description.group == "joint"
    scales = [output.transform.name for output in model.description.outputs]
    assert scales == ["ln", "identity"]
    np.testing.assert_allclose(model.forest.target[:, 0], np.log(model.forest.reported[:, 0]))
    # What the leaves know of both: where carbon is high density is low.
    assert np.corrcoef(model.forest.reported.T)[0, 1] < -0.5
    assert model.record.property_code is None
    names = {measure.name for measure in model.record.quality}
    assert {"Soil organic carbon: RMSE", "Bulk density of the fine earth: MEC"} <= names


def test_several_depths_give_a_model_each(world: Profiles) -> None:
    jobs = plan_trainings(world.request(depths=DEPTHS), SETTINGS)
    assert [job.subject for job in jobs] == ["soc-0-20cm", "soc-20-50cm"]
    with pytest.raises(InvalidInput, match="for 2 models"):
        plan_training(world.request(depths=DEPTHS), SETTINGS)


# Depth as a feature


@pytest.fixture(scope="module")
def deep_model(world: Profiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deep") / "model"
    train(world, folder, depths=DEPTHS, three_d=True, log=True)
    return folder


def test_horizons_are_rows_and_depth_is_a_feature(world: Profiles, deep_model: Path) -> None:
    model = load_model(deep_model)
    assert model.description.features[-1] == DEPTH_FEATURE
    assert model.description.covariates[-1] != DEPTH_FEATURE
    # The horizon at 50-100 cm lies below what is to be mapped.
    assert model.description.samples == 2 * len({line.split(",")[0] for line in _rows(world)})
    assert model.record.depth is None
    assert report(deep_model)["importance"][DEPTH_FEATURE] > 0.2


def _rows(world: Profiles) -> list[str]:
    return world.samples.read_text().splitlines()[1:]


def test_all_horizons_of_a_profile_are_held_out_together(
    world: Profiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    monkeypatch.setattr(training, "model_record", _kept(seen, training.model_record))
    train(world, tmp_path / "m", depths=DEPTHS, three_d=True, trees=5)
    result = seen["result"]
    for folds in (result.outputs[0].random.folds, result.outputs[0].spatial.folds):
        of_profile: dict[str, set[int]] = {}
        for name, fold in zip(result.table.ids, folds, strict=True):
            of_profile.setdefault(name, set()).add(int(fold))
        assert {len(each) for each in of_profile.values()} == {1}


def _kept(seen: dict[str, Any], original: Any) -> Any:
    def keep(result: Any, *given: Any) -> ProductRecord:
        seen["result"] = result
        record: ProductRecord = original(result, *given)
        return record

    return keep


def test_one_model_maps_each_of_its_depths(world: Profiles, deep_model: Path, tmp_path: Path) -> None:
    shallow, deep = predict(world, deep_model, tmp_path / "out")
    assert [each.folder.name for each in (shallow, deep)] == ["soc-0-20cm", "soc-20-50cm"]
    assert (shallow.record.depth, deep.record.depth) == ("0-20cm", "20-50cm")
    first, second = layer(shallow.folder, "mean"), layer(deep.folder, "mean")
    known = first != -32768
    # Carbon falls by 0.02 per cm on the logarithm, and the middles lie 25 cm apart.
    assert np.median(np.log(first[known] / second[known])) == pytest.approx(0.5, abs=0.15)
    with pytest.raises(NotFound, match="no depth 0-5cm; name one of 0-20cm, 20-50cm"):
        load_model(deep_model).interval(Depth(0, 5))


# Calibration


def test_calibrated_intervals_hold_nine_of_ten(world: Profiles, tmp_path: Path) -> None:
    """Where the forest's own are far too wide, as with large leaves on a steep surface."""
    train(world, tmp_path / "m", log=True, trees=40)
    found = report(tmp_path / "m")["validation"]
    raw, calibrated = found["spatial"]["reported"], found["calibrated"]["reported"]
    assert abs(calibrated["picp90"] - 0.9) <= 0.04
    assert abs(calibrated["picp90"] - 0.9) <= abs(raw["picp90"] - 0.9)


def test_the_calibration_of_the_map_is_that_of_all_held_out_samples(world: Profiles, tmp_path: Path) -> None:
    model = train(world, tmp_path / "m", trees=10)
    (calibration,) = model.calibrations
    assert calibration is not None
    assert calibration.counts.tolist() == [model.description.samples]
    raw = train(world, tmp_path / "raw", trees=10, calibrate=False)
    assert raw.calibrations == (None,)
    assert not raw.description.outputs[0].calibrated
    (delivery,) = predict(world, tmp_path / "raw", tmp_path / "map")
    assert "q05-raw" not in [each.name for each in delivery.record.layers]


def test_classes_with_enough_samples_are_calibrated_on_their_own(world: Profiles, tmp_path: Path) -> None:
    model = train(world, tmp_path / "m", trees=10, stratum="land")
    (calibration,) = model.calibrations
    assert calibration is not None
    assert calibration.strata.tolist() == [2, 5]
    (delivery,) = predict(world, tmp_path / "m", tmp_path / "map")
    with rasterio.open(world.covariates / "land.tif") as dataset:
        land = dataset.read(1)
    stack = CovariateStack.open((world.covariates,), ("land",))
    cells = stack.read(stack.geobox).reshape(len(stack.names), -1).T
    known = ~np.isnan(cells).any(axis=1) & (land.ravel() != 9)
    levels = calibration.quantiles[:2]
    low, middle = model.forest.predict(model.features(cells[known], Depth(0, 20))[0], levels).quantiles
    offsets = np.where(land.ravel()[known] == 2, calibration.lower[1], calibration.lower[2])
    expected = np.clip(np.minimum(low - offsets, middle), 0, 600)
    assert np.abs(layer(delivery.folder, "q05").ravel()[known] - 10 * expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("offset", [-2.0, 0.0, 0.7])
def test_bounds_on_the_logarithm_hold_what_they_were_calibrated_for(offset: float) -> None:
    """An observation is inside on the one scale exactly where it is on the other, zeros included."""
    scale = Transform(name="ln", floor=0.5)
    values = np.array([0.0, 1.0, 2.0, 7.0, 30.0])
    low, mid, high = (np.full(values.size, value) for value in (1.0, 3.0, 9.0))
    ends = (
        np.minimum(scale.apply(low) - offset, scale.apply(mid)),
        np.maximum(scale.apply(high) + offset, scale.apply(mid)),
    )
    down, up = bounds(scale, (0.0, 600.0), ends[0], mid, ends[1])
    scaled = scale.apply(values)
    np.testing.assert_array_equal((down <= values) & (values <= up), (ends[0] <= scaled) & (scaled <= ends[1]))
    assert (down <= mid).all()
    assert (mid <= up).all()


# The verdict


@pytest.fixture(scope="module")
def noise_model(world: Profiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise") / "model"
    train(world, folder, target="noise", trees=10)
    return folder


def test_a_model_of_noise_says_that_it_has_no_skill(noise_model: Path) -> None:
    model = load_model(noise_model)
    assert model.description.outputs[0].verdict == model.record.verdict == "no-skill"
    assert model.record.title.endswith(f"({NO_SKILL})")
    assert NO_SKILL_NOTE in model.record.limitations


def test_a_map_without_skill_carries_the_label_everywhere(world: Profiles, noise_model: Path, tmp_path: Path) -> None:
    (delivery,) = predict(world, noise_model, tmp_path / "map", title="A fine map")
    record = delivery.record
    assert record.verdict == "no-skill"
    assert record.title == f"A fine map ({NO_SKILL})"
    assert record.limitations[0] == NO_SKILL_NOTE


@pytest.mark.parametrize("change", [{"verdict": "skill"}, {"verdict": None}, {"limitations": []}, {"title": "Map"}])
def test_a_record_that_hides_the_missing_skill_is_none(noise_model: Path, change: dict[str, Any]) -> None:
    record = json.loads((noise_model / "product.json").read_text())
    with pytest.raises(ValueError, match="without skill"):
        ProductRecord.model_validate(record | change)


def test_a_model_of_the_landscape_has_skill(texture_model: Path) -> None:
    model = load_model(texture_model)
    assert {output.verdict for output in model.description.outputs[:2]} == {"skill"}
    assert NO_SKILL not in model.record.title


# Sources that know their columns


def test_a_mapping_says_where_things_stand(world: Profiles, tmp_path: Path) -> None:
    mapping = tmp_path / "field.yaml"
    mapping.write_text(
        "title: Field survey\ncrs: EPSG:32633\nx: x\ny: y\nid: site\nupper: upper\nlower: lower\n"
        "licence: CC-BY-SA-4.0\nattribution: the surveyors\n"
        "properties:\n  soc: {column: oc, unit: g/kg}\n  bdod: {column: bd, unit: g/cm3}\n"
    )
    plain = {"target": (), "unit": (), "id": None, "upper": None, "lower": None, "x": None, "y": None, "crs": None}
    mapped = {"property_code": ("soc", "bdod"), "mapping": mapping, "log_targets": ("soc",), "trees": 5}
    model = train(world, tmp_path / "m", **plain, **mapped)
    assert model.description.codes == ("soc", "bdod")
    assert [output.column for output in model.description.outputs] == ["oc", "bd"]
    assert (model.record.licence, model.record.attribution) == ("CC-BY-SA-4.0", ("the surveyors",))
    assert {source.id for source in model.record.sources if source.role == "samples"} == {"profiles.csv", "field.yaml"}
    same = train(world, tmp_path / "n", **STOCK, log_targets=("oc",), trees=5)
    np.testing.assert_array_equal(model.forest.reported, same.forest.reported)


def test_a_property_the_source_does_not_know_is_refused(world: Profiles) -> None:
    with pytest.raises(NotFound, match="has no property 'soc'"):
        plan_training(world.request(target=(), unit=()), SETTINGS)


# Kinds of validation


def test_folds_may_match_the_distances_of_the_map(world: Profiles, tmp_path: Path) -> None:
    train(world, tmp_path / "m", validation="knndm", trees=5)
    spatial = report(tmp_path / "m")["validation"]["spatial"]
    assert spatial["support"].startswith("4-fold cross-validation, kNNDM folds")


def test_folds_may_be_whole_regions(world: Profiles, tmp_path: Path) -> None:
    train(world, tmp_path / "m", validation="regions", region_column="region", trees=5)
    spatial = report(tmp_path / "m")["validation"]["spatial"]
    assert spatial["support"].startswith("3-fold cross-validation, whole regions (3 regions of column region)")


def test_blocks_have_the_size_given(world: Profiles, tmp_path: Path) -> None:
    train(world, tmp_path / "m", block_size=300.0, trees=5)
    assert report(tmp_path / "m")["validation"]["spatial"]["block_size"] == 300


# What is chosen by the data


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.training_choices._TREES", 15)


@pytest.mark.usefixtures("few_trees")
def test_covariates_that_say_the_same_and_useless_ones_go(world: Profiles, tmp_path: Path) -> None:
    covariates = tmp_path / "covariates"
    covariates.mkdir()
    for path in world.covariates.iterdir():
        (covariates / path.name).symlink_to(path)
    with rasterio.open(world.covariates / "height.tif") as dataset:
        height = dataset.read(1)
    twin = height * 2 + 0.01 * np.random.default_rng(0).normal(size=height.shape).astype(np.float32)
    write_raster(covariates / "twin.tif", twin.astype(np.float32))
    model = train(
        world, tmp_path / "m", covariates=(covariates,), decorrelate=0.85, select=True, tune=2, trees=10, folds=3
    )
    chosen = report(tmp_path / "m")["choices"]
    assert len({"height", "twin"} & set(model.description.covariates)) == 1
    assert "correlates with" in chosen["dropped"].get("twin", chosen["dropped"].get("height", ""))
    assert "noise" in chosen["dropped"]
    assert tuple(each.name for each in model.description.signature) == model.description.covariates
    assert sum(trial["chosen"] for trial in chosen["trials"]) == 1
    # A covariate that was left out is not asked for.
    for name in set(chosen["dropped"]):
        (covariates / f"{name}.tif").unlink()
    assert predict(world, tmp_path / "m", tmp_path / "map", covariates=(covariates,))[0].made


@pytest.mark.usefixtures("few_trees")
def test_nothing_is_chosen_from_what_it_is_tested_on(
    world: Profiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from producers.training_choices import Chooser

    asked: list[np.ndarray] = []
    original = Chooser.eliminated
    monkeypatch.setattr(
        Chooser, "eliminated", lambda chooser, rows, folds: asked.append(rows) or original(chooser, rows, folds)
    )
    seen: dict[str, Any] = {}
    monkeypatch.setattr(training, "model_record", _kept(seen, training.model_record))
    train(world, tmp_path / "m", select=True, trees=5, folds=3)
    output = seen["result"].outputs[0]
    tested = [output.random.folds == k for k in range(3)] + [output.spatial.folds == k for k in range(3)]
    assert len(asked) == 7
    for rows, held in zip(asked, tested, strict=False):
        np.testing.assert_array_equal(rows, ~held)
    assert asked[-1].all()


def test_the_form_of_soilgrids_is_recorded(world: Profiles, tmp_path: Path) -> None:
    model = train(world, tmp_path / "m", form="one", trees=10)
    assert model.description.form == model.forest.parameters.form == "one"


# Refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": ("oc", "bd")}, "2 targets, 1 units"),
        ({"target": ("oc", "oc"), "unit": ("%", "%"), "property_code": None}, "given twice"),
        ({"three_d": True, "depth": Depth(0, 20)}, "has no depths to map"),
        ({"depths": DEPTHS, "depth": Depth(0, 20)}, "both a depth and several depths"),
        ({"depths": DEPTHS, "upper": None, "lower": None}, "several depths need horizons"),
        ({"validation": "regions"}, "go together"),
        ({"block_size": 100.0, "validation": "knndm"}, "block size does not go with"),
        ({"stratum": "land", "calibrate": False}, "switched off"),
        ({"stratum": "height"}, "is no covariate that holds classes; there are land"),
        ({"log_targets": ("clay",)}, "'clay' is no target"),
        (TEXTURE | {"log": True}, "a texture has log-ratios of its own"),
        ({"select": True, "folds": 2}, "2 folds leave none"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(world: Profiles, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        plan_trainings(world.request(**changes), SETTINGS)


def test_covariates_in_another_unit_are_refused(world: Profiles, tmp_path: Path) -> None:
    metres, feet = tmp_path / "m", tmp_path / "ft"
    for folder, unit in ((metres, "m"), (feet, "ft")):
        folder.mkdir()
        for path in world.covariates.iterdir():
            with rasterio.open(path) as dataset:
                write_raster(folder / path.name, dataset.read(1))
        with rasterio.open(folder / "height.tif", "r+") as dataset:
            dataset.units = (unit,)
    train(world, tmp_path / "model", covariates=(metres,), trees=5)
    with pytest.raises(InvalidRaster, match="height is in ft where the model has m"):
        predict(world, tmp_path / "model", tmp_path / "map", covariates=(feet,))
    (unstated,) = predict(world, tmp_path / "model", tmp_path / "map", covariates=(world.covariates,))
    assert any("it was not checked" in note for note in unstated.record.limitations)


def test_covariates_in_another_crs_are_refused(world: Profiles, texture_model: Path, tmp_path: Path) -> None:
    for path in world.covariates.iterdir():
        values = np.zeros((SIZE, SIZE), np.uint8 if path.stem == "land" else np.float32)
        write_raster(tmp_path / "c" / path.name, values, crs="EPSG:25833")
    with pytest.raises(InvalidRaster, match="in EPSG:25833 where the model has EPSG:32633"):
        predict(world, texture_model, tmp_path / "map", covariates=(tmp_path / "c",))
