"""The process predict-soil-property with models of several properties, of several depths, and of an old format."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, StoreError
from cup4soil.progress import Silent
from cup4soil.settings import Settings
from processors.jobs.desk import Desk
from processors.jobs.settings import JobSettings
from processors.predict_sources import description_of, format_of
from producers.jobs import deliver
from producers.training import plan_training
from service.cli import run
from stac_catalog.store import Store
from tests.producers.soil_profiles import TEXTURE, Profiles, make_profiles
from tests.producers.soil_world import LEFT, TOP, without_plots

ID = "predict-soil-property"
BOX = {"bbox": [LEFT + 200, TOP - 600, LEFT + 600, TOP - 300], "crs": "EPSG:32633"}
DEPTHS = (Depth(0, 20), Depth(20, 50))
_SETTINGS = Settings(threads=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Profiles:
    return make_profiles(tmp_path_factory.mktemp("profiles"), count=100)


@pytest.fixture(scope="module")
def store(world: Profiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A texture at 0-20 cm, carbon at two depths by one model, and noise."""
    folder = tmp_path_factory.mktemp("store")
    store = Store.open(folder / "store", _SETTINGS)
    wanted: dict[str, dict[str, Any]] = {
        "texture": TEXTURE,
        "deep": {"depths": DEPTHS, "three_d": True},
        "noise": {"target": "noise", "property_code": "cec", "unit": "cmol(c)/kg"},
    }
    with without_plots():
        for name, changes in wanted.items():
            deliver(plan_training(world.request(**changes, trees=10), _SETTINGS), folder / name, store, Silent())
    return store.root


def desk_of(store: Path, world: Profiles) -> Desk:
    return Desk(store, JobSettings(threads=1, covariates=world.covariates))


def answered(desk: Desk, **inputs: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    job = desk.execute(ID, {"inputs": {"bbox": BOX} | inputs}, as_job=False)
    with rasterio.open(desk.result_file(job.id, "map.tif")) as dataset:
        bands = dict(zip(dataset.descriptions, dataset.read(), strict=True))
    return bands, desk.results(job.id).outputs["provenance"]["value"]


def test_each_property_of_a_model_is_found(world: Profiles, store: Path, tmp_path: Path) -> None:
    desk = desk_of(store, world)
    maps = [answered(desk, property=code)[0]["mean"].astype(int) for code in ("clay", "silt", "sand")]
    known = maps[0] != -32768
    assert np.abs(sum(maps)[known] - 1000).max() <= 1


def test_the_pixels_are_those_of_the_command_line(world: Profiles, store: Path, tmp_path: Path) -> None:
    found, provenance = answered(desk_of(store, world), property="soc", depth="20-50")
    model = store / "catalog" / "models" / provenance["model"]["id"]
    box = list(map(str, BOX["bbox"]))
    arguments = [
        "predict",
        str(model),
        str(tmp_path / "out"),
        "--covariates",
        str(world.covariates),
        "--depth",
        "20-50",
    ]
    assert run([*arguments, "--bbox", *box, "--bbox-crs", "EPSG:32633"]) == 0
    for name in ("mean", "q05", "q95", "q05-raw", "q95-raw", "lpd"):
        with rasterio.open(tmp_path / "out" / f"{name}.tif") as dataset:
            np.testing.assert_array_equal(found[name], dataset.read(1), err_msg=name)
    assert json.loads((tmp_path / "out" / "product.json").read_text())["id"] == provenance["id"]


def test_a_model_of_several_depths_answers_each(world: Profiles, store: Path) -> None:
    desk = desk_of(store, world)
    shallow, _ = answered(desk, property="soc", depth="0-20cm")
    deep, provenance = answered(desk, property="soc", depth="20-50")
    assert provenance["depth"] == "20-50cm"
    known = shallow["mean"] != -32768
    assert (shallow["mean"] > deep["mean"])[known].mean() > 0.95


def test_an_open_or_unknown_depth_is_refused(world: Profiles, store: Path) -> None:
    desk = desk_of(store, world)
    with pytest.raises(InvalidInput, match="'soc' has models of several depths; there are 0-20cm, 20-50cm"):
        answered(desk, property="soc")
    with pytest.raises(InvalidInput, match="'soc' has no model of depth 5-15cm; there are 0-20cm, 20-50cm"):
        answered(desk, property="soc", depth="5-15")
    with pytest.raises(InvalidInput, match="no model; there are cec, clay, sand, silt, soc"):
        answered(desk, property="gold")


def test_missing_skill_is_told(world: Profiles, store: Path) -> None:
    _, provenance = answered(desk_of(store, world), property="cec")
    assert provenance["verdict"] == "no-skill"
    assert provenance["title"].endswith("(no skill shown)")
    assert any(note.startswith("No skill was shown") for note in provenance["limitations"])


def test_a_model_of_an_old_format_is_to_be_trained_again(world: Profiles, store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    for path in (tmp_path / "store").glob("catalog/models/*/model.json"):
        document = json.loads(path.read_text())
        if "cec" in [output["soil_property"]["code"] for output in document["outputs"]]:
            path.write_text(json.dumps(document | {"format_version": 1}))
    for cache in (description_of, format_of):
        cache.cache_clear()
    desk = desk_of(tmp_path / "store", world)
    with pytest.raises(StoreError, match="the model of cec is of a format that is no longer read; train it again"):
        answered(desk, property="cec")
    assert answered(desk, property="silt")[0]["mean"].size


@pytest.mark.parametrize("damage", ["cut", "gone", "other"])
def test_a_damaged_model_stands_in_no_others_way(world: Profiles, store: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(store, tmp_path / "store")
    for path in (tmp_path / "store").glob("catalog/models/*/model.json"):
        document = json.loads(path.read_text())
        if len(document["outputs"]) > 1:
            if damage == "gone":
                path.unlink()
            else:
                path.write_text(path.read_text()[:200] if damage == "cut" else json.dumps(document | {"outputs": 3}))
    desk = desk_of(tmp_path / "store", world)
    assert answered(desk, property="soc", depth="0-20cm")[0]["mean"].size
    with pytest.raises(StoreError, match="a model that may be of clay is damaged"):
        answered(desk, property="clay")
