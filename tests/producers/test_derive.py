"""Maps of derived indicators: pixels against the forest and the formula, classes, raster factors, refusals."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, InvalidRaster, NotFound
from cup4soil.indicators import indicator
from cup4soil.methods.leaf_draws import deviates, repeated
from cup4soil.products import MEC_LOWER_END, ProductRecord
from cup4soil.progress import Silent
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.soil_models import SoilModel, load_model
from producers import derive as producing
from producers.derive import DeriveRequest, plan_derivation, requests_for
from producers.jobs import deliver
from producers.training import plan_training
from service.cli import run
from stac_catalog.store import Store
from tests.producers.soil_world import SETTINGS, SIZE, World, make_world, write_raster

VALUES = ("mean", "q05", "q50", "q95", "uncertainty", "pi90", "aoa", "di", "lpd")
CALIBRATED = ("mean", "q05", "q50", "q95", "q05-raw", "q95-raw", *VALUES[4:])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def model(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    deliver(plan_training(world.request(), SETTINGS), folder, None, Silent())
    return folder


def joint_rows(model: SoilModel) -> dict[str, np.ndarray]:
    """Properties as if the samples had been measured for them too."""
    soc = np.asarray(model.forest.reported[:, 0])
    texture = np.random.default_rng(0).dirichlet([3, 4, 5], soc.size).T * 100
    return {"soc": soc, "bdod": 1.6 - 0.02 * soc, **dict(zip(("clay", "silt", "sand"), texture, strict=True))}


@pytest.fixture
def joint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producing, "model_rows", joint_rows)


def derive(world: World, model: Path, out: Path, code: str, **given: Any) -> ProductRecord:
    request = DeriveRequest(model=model, indicator=code, covariates=(world.covariates,), **given)
    return deliver(plan_derivation(request, SETTINGS), out, None, Silent()).record


def read(folder: Path, name: str) -> np.ndarray:
    with rasterio.open(folder / f"{name}.tif") as dataset:
        return dataset.read()


def features(world: World, model: SoilModel) -> tuple[np.ndarray, np.ndarray]:
    stack = CovariateStack.open([world.covariates], ["land"])
    cells = stack.read(stack.geobox).reshape(len(stack.names), -1).T
    known = ~np.isnan(cells).any(axis=1)
    return model.description.encoding.encode(cells[known])[0], known.reshape(SIZE, SIZE)


@pytest.mark.usefixtures("joint")
def test_every_pixel_is_the_distribution_of_the_derived_rows(world: World, model: Path, tmp_path: Path) -> None:
    record = derive(world, model, tmp_path / "ocs", "ocs")
    loaded = load_model(model)
    rows = joint_rows(loaded)
    stock = 0.01 * rows["soc"] * rows["bdod"] * 20
    x, known = features(world, loaded)
    expected = loaded.forest.with_reported(stock).predict(x)
    for name, values in zip(("mean", "q05-raw", "q50", "q95-raw"), (expected.mean, *expected.quantiles), strict=True):
        assert np.abs(read(tmp_path / "ocs", name)[0][known] - 10 * values).max() <= 0.5 + 1e-9
        assert (read(tmp_path / "ocs", name)[0][~known] == -32768).all()
    assert tuple(layer.name for layer in record.layers) == CALIBRATED
    assert (record.collection, record.property_code, record.kind) == ("ocs-0-20cm", "ocs", "soil-map")
    assert record.layer("mean").bands[0].unit == "kg/m2"


@pytest.mark.usefixtures("joint")
def test_the_error_of_the_function_is_in_the_interval(world: World, model: Path, tmp_path: Path) -> None:
    derive(world, model, tmp_path / "wv", "wv1500", seed=4)
    loaded = load_model(model)
    rows = joint_rows(loaded)
    plain = 100 * producing.indicator("wv1500").formula(rows, {}) / 100
    noisy = np.clip(plain[:, None] + 4.91 * deviates(plain.size, 8, 4), 0, 100)
    x, known = features(world, loaded)
    expected = repeated(loaded.forest, noisy).predict(x)
    assert np.abs(read(tmp_path / "wv", "q95-raw")[0][known] - 10 * expected.quantiles[2]).max() <= 0.5 + 1e-9
    bare = loaded.forest.with_reported(plain).predict(x)
    assert (expected.quantiles[2] - expected.quantiles[0] > bare.quantiles[2] - bare.quantiles[0]).mean() > 0.95


@pytest.fixture(scope="module")
def trained_jointly(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Carbon, bulk density, clay and silt of the same samples, learnt together, with depth as a feature."""
    folder = tmp_path_factory.mktemp("joint")
    header, *lines = [line for line in world.samples.read_text().splitlines() if not line.startswith(("bad", "worse"))]
    rng = np.random.default_rng(3)
    rows = []
    for line in lines:
        carbon = float(line.split(",")[3])
        clay, silt, _ = 100 * rng.dirichlet([3, 4, 5])
        rows.append(f"{line},{1.5 - 0.05 * carbon + 0.03 * rng.normal():.4f},{clay:.3f},{silt:.3f}")
    (folder / "samples.csv").write_text("\n".join([f"{header},bd,clay,silt", *rows]) + "\n")
    command = [
        "train", str(folder / "samples.csv"), str(folder / "model"), "--x", "x", "--y", "y", "--crs", "EPSG:32633",
        "--id", "site", "--upper", "upper", "--lower", "lower", "--depths", "0-20,20-40", "--three-d",
        "--covariates", str(world.covariates), "--categorical", "land", "--folds", "2", "--trees", "20",
    ]  # fmt: skip
    measured = {"oc": ("soc", "%"), "bd": ("bdod", "g/cm3"), "clay": ("clay", "%"), "silt": ("silt", "%")}
    for column, (code, unit) in measured.items():
        command += ["--target", column, "--property", code, "--unit", unit]
    assert run(command) == 0
    return folder / "model"


def test_from_samples_to_stock_and_water_by_the_commands(
    world: World, trained_jointly: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["derive", str(trained_jointly), str(tmp_path / "out"), "--covariates", str(world.covariates), "--json"]
    capsys.readouterr()
    assert run([*command, "--indicator", "ocs,awc,socclay"]) != 0
    assert "of several depths; name one of 0-20cm, 20-40cm" in capsys.readouterr().err
    assert run([*command, "--indicator", "ocs,awc,socclay", "--depth", "20-40"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["product"].split("-20-40cm")[0] for each in told] == ["ocs", "awc", "socclay"]
    loaded = load_model(trained_jointly)
    soc, density = loaded.forest.reported[:, :2].T
    stack = CovariateStack.open([world.covariates], ["land"])
    cells = stack.read(stack.geobox).reshape(len(stack.names), -1).T
    known = ~np.isnan(cells).any(axis=1)
    x, _ = loaded.features(cells[known], loaded.description.intervals[1])
    expected = loaded.forest.with_reported(0.01 * soc * density * 20).predict(x)
    stored = read(tmp_path / "out" / "ocs", "q95-raw")[0].ravel()[known]
    assert np.abs(stored - 10 * expected.quantiles[2]).max() <= 0.5 + 1e-9
    assert read(tmp_path / "out" / "awc", "mean").max() > 0


def test_no_skill_of_an_input_is_no_skill_of_what_follows(world: World, trained_jointly: Path, tmp_path: Path) -> None:
    """The texture was drawn at random: nothing can be known of it from the covariates."""
    outputs = load_model(trained_jointly).description.outputs
    verdicts = {output.code: output.verdict for output in outputs}
    assert verdicts["clay"] == "no-skill"
    assert verdicts["soc"] == "skill"
    record = derive(world, trained_jointly, tmp_path / "awc", "awc", depth=Depth(0, 20))
    assert record.verdict == "no-skill"
    assert "no skill shown" in record.title


@pytest.mark.usefixtures("joint")
def test_a_class_map_has_the_probable_class_and_all_probabilities(world: World, model: Path, tmp_path: Path) -> None:
    record = derive(world, model, tmp_path / "texture", "texture-fao")
    assert [layer.name for layer in record.layers] == ["class", "class-probability", "probability", "aoa", "di", "lpd"]
    shares = read(tmp_path / "texture", "probability").astype(int)
    chosen, certain = read(tmp_path / "texture", "class")[0], read(tmp_path / "texture", "class-probability")[0]
    known = features(world, load_model(model))[1]
    assert (np.abs(shares[:, known].sum(axis=0) - 100) <= 2).all()
    assert (certain[known] == shares[:, known].max(axis=0)).all()
    picked = np.take_along_axis(shares[:, known], chosen[known][None].astype(int), axis=0)[0]
    np.testing.assert_array_equal(picked, certain[known])
    assert (chosen[~known] == 255).all()
    assert (shares[:, ~known] == 255).all()
    assert record.layer("class").categories == {0: "fine", 1: "medium", 2: "coarse"}
    assert [band.name for band in record.layer("probability").bands] == ["p-fine", "p-medium", "p-coarse"]


@pytest.mark.usefixtures("joint")
def test_values_and_classes_stand_side_by_side(world: World, model: Path, tmp_path: Path) -> None:
    record = derive(world, model, tmp_path / "pd", "pd")
    assert [layer.name for layer in record.layers] == ["class", "class-probability", "probability", *CALIBRATED]


def test_the_interval_of_the_map_is_calibrated_on_what_the_formula_makes_of_samples(
    world: World, trained_jointly: Path, tmp_path: Path
) -> None:
    record = derive(world, trained_jointly, tmp_path / "ocs", "ocs", depth=Depth(0, 20))
    told = {(each.name, "calibrated" in each.support): each.value for each in record.quality}
    assert told["PICP90", True] != told["PICP90", False]
    plan = plan_derivation(
        DeriveRequest(model=trained_jointly, indicator="ocs", covariates=(world.covariates,), depth=Depth(0, 20)),
        SETTINGS,
    ).validated(Silent())
    (calibration,) = plan.model.calibrations
    assert calibration is not None
    stack = CovariateStack.open([world.covariates], ["land"])
    cells = stack.read(stack.geobox).reshape(len(stack.names), -1).T
    known = ~np.isnan(cells).any(axis=1)
    x, _ = plan.model.features(cells[known], Depth(0, 20))
    low, middle, _ = plan.model.forest.predict(x, calibration.quantiles).quantiles
    expected = np.maximum(np.minimum(low - calibration.offset()[0], middle), 0)
    assert np.abs(read(tmp_path / "ocs", "q05")[0].ravel()[known] - 10 * expected).max() <= 0.5 + 1e-9


@pytest.fixture(scope="module")
def rasters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("rasters")
    rain = np.full((SIZE, SIZE), 600, np.float32)
    rain[:, :4] = np.nan
    relief = np.linspace(0, 4, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)
    cover = np.full((SIZE, SIZE), 0.25, np.float32)
    return {
        name: write_raster(folder / f"{name}.tif", values)
        for name, values in {"r": rain, "ls": relief, "c": cover}.items()
    }


@pytest.mark.usefixtures("joint")
def test_soil_loss_is_erodibility_times_rain_relief_and_cover(
    world: World, model: Path, rasters: dict[str, Path], tmp_path: Path
) -> None:
    record = derive(world, model, tmp_path / "loss", "soil-loss", rasters=rasters)
    loaded = load_model(model)
    soil = indicator("usle-k").formula(joint_rows(loaded), {"structure": 3.0})
    x, known = features(world, loaded)
    expected = loaded.forest.with_reported(soil).predict(x)
    factor = 150 * np.linspace(0, 4, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)[known]
    rained = known.copy()
    rained[:, :4] = False
    for name, values in zip(("mean", "q05", "q95"), (expected.mean, *expected.quantiles[::2]), strict=True):
        whole = np.full((SIZE, SIZE), np.nan)
        whole[known] = 10 * values * factor
        stored = read(tmp_path / "loss", name)[0]
        assert np.abs(stored - whole)[rained].max() <= 0.5 + 1e-4
        assert (stored[~rained] == -32768).all()
    assert {"r.tif", "ls.tif", "c.tif"} <= {source.id for source in record.sources}
    assert any("too narrow for the soil loss" in note for note in record.limitations)


@pytest.mark.usefixtures("joint")
def test_cover_from_monthly_bare_soil(world: World, model: Path, rasters: dict[str, Path], tmp_path: Path) -> None:
    """Half a year bare, else 80 % covered: C = 0.5 + 0.5 exp(-2.8)."""
    months = np.zeros((12, SIZE, SIZE), np.float32)
    months[:6] = 1
    with rasterio.open(rasters["r"]) as like:
        profile = like.profile | {"count": 12}
    with rasterio.open(tmp_path / "bare.tif", "w", **profile) as dataset:
        dataset.write(months)
    given = {"r": rasters["r"], "ls": rasters["ls"]}
    derive(world, model, tmp_path / "c", "soil-loss", rasters=rasters)
    derive(
        world, model, tmp_path / "bare", "soil-loss", rasters={**given, "bare": tmp_path / "bare.tif"},
        parameters={"cover": 80},
    )  # fmt: skip
    by_raster, by_months = (read(tmp_path / name, "q95")[0].astype(float) for name in ("c", "bare"))
    certain = by_raster > 50
    ratio = (0.5 + 0.5 * np.exp(-2.8)) / 0.25
    np.testing.assert_allclose(by_months[certain] / by_raster[certain], ratio, rtol=0.02)


@pytest.mark.usefixtures("joint")
def test_a_rerun_is_found_and_other_settings_are_another_map(world: World, model: Path, tmp_path: Path) -> None:
    def plan(code: str = "awc", **given: Any) -> str:
        request = DeriveRequest(model=model, indicator=code, covariates=(world.covariates,), **given)
        return plan_derivation(request, SETTINGS).id

    assert plan() == plan()
    assert len({plan(), plan(seed=1), plan("ocs"), plan("texture-usda"), plan("texture-ka5")}) == 5
    assert plan("texture-ka5", parameters={"silt-limit": 63}) != plan("texture-ka5")


@pytest.mark.usefixtures("joint")
def test_the_record_leads_to_model_samples_and_formula(world: World, model: Path, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", SETTINGS)
    request = DeriveRequest(model=model, indicator="awc", covariates=(world.covariates,))
    delivery = deliver(plan_derivation(request, SETTINGS), tmp_path / "awc", store, Silent())
    record, trained = delivery.record, load_model(model).record
    assert delivery.item is not None
    assert trained.id in {source.id for source in record.sources if source.role == "model"}
    assert {source.role for source in record.sources} == {"model", "samples", "covariate"}
    assert record.algorithm.parameters["formula"] == "(EU-PTF 09 - EU-PTF 12) H (1 - CF/100)"
    assert record.algorithm.parameters["settings"] == {"thickness": 20}
    assert record.algorithm.references[0].startswith("Tóth")
    # Its own figures: those of the model are of other properties.
    figures = {"RMSE", "ME", "MEC", "PICP90", "Mean interval width", MEC_LOWER_END}
    assert {measure.name for measure in record.quality} == {"Mapped", "Inside the area of applicability", *figures}
    assert {measure.unit for measure in record.quality if measure.name == "RMSE"} == {"mm"}
    assert any(note.startswith("Soil organic carbon: Away from samples") for note in record.limitations)
    assert sum("calibrated on spatially held-out samples" in note for note in record.limitations) == 1


def test_a_model_of_one_property_is_refused(world: World, model: Path) -> None:
    request = DeriveRequest(model=model, indicator="ocs", covariates=(world.covariates,))
    with pytest.raises(InvalidInput, match="this one has no bdod; train soc, bdod jointly"):
        plan_derivation(request, SETTINGS)


@pytest.mark.parametrize(
    ("changes", "kind", "problem"),
    [
        ({"indicator": "gold"}, NotFound, "no indicator 'gold'"),
        ({"indicator": "earthworms"}, NotFound, "not mapped"),
        ({"rasters": {"r": Path("r.tif")}}, InvalidInput, "takes no input raster"),
        ({"indicator": "soil-loss"}, InvalidInput, "of r there is none"),
        ({"parameters": {"lod": 1.0}}, InvalidInput, "no parameter 'lod'"),
        ({"model": Path("nowhere")}, NotFound, "no model"),
    ],
)
@pytest.mark.usefixtures("joint")
def test_what_cannot_be_derived_is_refused(
    world: World, model: Path, changes: dict[str, Any], kind: type[Exception], problem: str
) -> None:
    given = {"model": model, "indicator": "ocs", "covariates": (world.covariates,)} | changes
    with pytest.raises(kind, match=problem):
        plan_derivation(DeriveRequest(**given), SETTINGS)


@pytest.mark.usefixtures("joint")
def test_rasters_that_cannot_be_used_are_refused(
    world: World, model: Path, rasters: dict[str, Path], tmp_path: Path
) -> None:
    swapped = {**rasters, "c": rasters["r"]}
    with pytest.raises(InvalidRaster, match=r"input raster c holds 600; give values of 0 to 1\.5"):
        derive(world, model, tmp_path / "out", "soil-loss", rasters=swapped)
    assert not (tmp_path / "out").exists()
    monthly = {"r": rasters["r"], "ls": rasters["ls"], "bare": rasters["c"]}
    with pytest.raises(InvalidInput, match="needs cover"):
        derive(world, model, tmp_path / "out", "soil-loss", rasters=monthly)
    with pytest.raises(InvalidInput, match="has 1 bands; give a raster of 12 for bare"):
        derive(world, model, tmp_path / "out", "soil-loss", rasters=monthly, parameters={"cover": 80})


def test_each_indicator_gets_the_rasters_and_parameters_that_it_knows(world: World, model: Path) -> None:
    shared = {"model": model, "covariates": (world.covariates,)}
    files = {"r": Path("r.tif"), "c": Path("c.tif"), "ls": Path("ls.tif")}
    loss, ratio = requests_for(["soil-loss", "cn"], files, {"lod": 0.2}, shared)
    assert (set(loss.rasters), loss.parameters) == ({"r", "c", "ls"}, {})
    assert (ratio.rasters, ratio.parameters) == ({}, {"lod": 0.2})
    with pytest.raises(InvalidInput, match="takes the parameter 'gold'; there are lod"):
        requests_for(["cn"], {}, {"gold": 1.0}, shared)


@pytest.mark.usefixtures("joint")
def test_the_command_maps_several_and_tells_them(
    world: World, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["derive", str(model), str(tmp_path / "maps"), "--covariates", str(world.covariates), "--json"]
    assert run([*command, "--indicator", "ocs,texture-fao", "--store", str(tmp_path / "store")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["folder"] for each in told] == [str(tmp_path / "maps" / code) for code in ("ocs", "texture-fao")]
    assert all(Path(each["item"]).is_dir() for each in told)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--indicator", "ocs,ocs"], "name each indicator once"),
        (["--indicator", "soil-loss", "--input", "r"], "give NAME=VALUE"),
        (["--indicator", "cn", "--parameter", "lod=low"], "has no number"),
        (["--indicator", "cn", "--parameter", "gold=1"], "takes the parameter 'gold'"),
    ],
)
def test_wrong_options_are_told_in_one_line(
    world: World, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert run(["derive", str(model), str(tmp_path / "x"), "--covariates", str(world.covariates), *arguments]) != 0
    told = capsys.readouterr().err
    assert problem in told
    assert told.count("\n") == 1
