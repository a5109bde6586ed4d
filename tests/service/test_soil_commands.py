"""Training and prediction from the command line, on real samples."""

import json

import numpy as np
import pystac
import pytest
import rasterio

from service.cli import run
from stac_catalog.validation import validate_catalog

LAYERS = ("mean", "q05", "q50", "q95", "q05-raw", "q95-raw", "uncertainty", "pi90", "aoa", "di", "lpd")


def train_arguments(data, model, *more):
    folder = data / "cdsm-peterborough"
    return [
        "train", str(folder / "Analytical.csv"), str(model), "--target", "OC", "--property", "soc", "--unit", "%",
        "--id", "SITE_ID", "--upper", "UPPER", "--lower", "LOWER", "--depth", "0-20", "--x", "x", "--y", "y",
        "--crs", "EPSG:26917", "--covariates", str(folder / "covariates_20m"), "--categorical", "crop2016",
        "--trees", "100", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory, request):
    data = request.getfixturevalue("shared_data")
    folder = tmp_path_factory.mktemp("soil")
    assert run(train_arguments(data, folder / "model", "--log", "--store", str(folder / "store"))) == 0
    covariates = str(data / "cdsm-peterborough" / "covariates_20m")
    arguments = ["predict", str(folder / "model"), str(folder / "map"), "--covariates", covariates]
    assert run([*arguments, "--store", str(folder / "store")]) == 0
    return folder


def test_map_of_peterborough(made):
    maps = {name: rasterio.open(made / "map" / f"{name}.tif").read(1) for name in LAYERS}
    valid = maps["mean"] != -32768
    assert valid.sum() > 200_000
    assert (maps["q05"] <= maps["q50"])[valid].all()
    assert (maps["q50"] <= maps["q95"])[valid].all()
    np.testing.assert_array_equal(maps["pi90"][valid], (maps["q95"] - maps["q05"])[valid])
    assert set(np.unique(maps["aoa"])) <= {0, 1, 255}
    report = json.loads((made / "model" / "report.json").read_text())
    spatial = report["validation"]["spatial"]
    assert spatial["modelled"]["mec"] > 0.45
    assert 0.8 < spatial["reported"]["picp90"] <= 1.0


def test_catalog_of_peterborough(made):
    catalog = pystac.Catalog.from_file(str(made / "store" / "catalog" / "catalog.json"))
    soil, model = (next(catalog.get_child(name).get_items()) for name in ("soc-0-20cm", "models"))
    derived = [link for link in soil.links if link.rel == "derived_from"]
    assert model.id in [link.resolve_stac_object().target.id for link in derived]
    assert validate_catalog(made / "store" / "catalog") == []
    text = (made / "store" / "catalog" / "soc-0-20cm" / soil.id / f"{soil.id}.json").read_text()
    assert str(made) not in text


def test_area_gives_the_pixels_of_the_whole_map(made, shared_data, tmp_path):
    covariates = str(shared_data / "cdsm-peterborough" / "covariates_20m")
    box = ["724000", "4902000", "726000", "4904000"]
    arguments = ["predict", str(made / "model"), str(tmp_path / "part"), "--covariates", covariates]
    assert run([*arguments, "--bbox", *box, "--bbox-crs", "EPSG:26917"]) == 0
    for name in LAYERS:
        with (
            rasterio.open(tmp_path / "part" / f"{name}.tif") as part,
            rasterio.open(made / "map" / f"{name}.tif") as whole,
        ):
            window = rasterio.windows.from_bounds(*part.bounds, whole.transform).round_offsets().round_lengths()
            np.testing.assert_array_equal(part.read(1), whole.read(1, window=window))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--target", "CARBON"], "CARBON"),
        (["--unit", "t/ha"], "t/ha"),
        (["--depth", "20-0"], "0-20"),
        (["--crs", "EPSG:nope"], "coordinate reference system"),
        (["--covariates", "missing"], "missing"),
        (["--property", "gold"], "gold"),
        (["--folds", "1"], "folds"),
        (["--sampled", "2018-01-01"], "first and last day"),
        (["--texture", "S,SI"], "texture"),
    ],
)
def test_bad_training(shared_data, tmp_path, capsys, more, message):
    arguments = train_arguments(shared_data, tmp_path / "model")
    if more[0] in arguments:
        arguments[arguments.index(more[0]) + 1] = more[1]
    else:
        arguments += more
    assert run(arguments) in (1, 2)
    *progress, error = capsys.readouterr().err.strip().splitlines()
    assert all(line.startswith("Reading samples and covariates") for line in progress)
    assert message in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--bbox", "-75", "45", "-74.9", "45.1"], "covariates"),
        (["--bbox", "0", "0", "1", "1"], "domain"),
        (["--bbox", "5", "5", "1", "1"], "swapped"),
        (["--aoi", "missing.geojson"], "missing.geojson"),
    ],
)
def test_bad_prediction(made, shared_data, tmp_path, capsys, more, message):
    covariates = str(shared_data / "cdsm-peterborough" / "covariates_20m")
    assert run(["predict", str(made / "model"), str(tmp_path / "map"), "--covariates", covariates, *more]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_model_that_is_none(shared_data, tmp_path, capsys):
    covariates = str(shared_data / "cdsm-peterborough" / "covariates_20m")
    assert run(["predict", str(tmp_path), str(tmp_path / "map"), "--covariates", covariates]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_samples_with_one_value(shared_data, tmp_path, capsys):
    table = (shared_data / "cdsm-peterborough" / "Analytical.csv").read_text().splitlines()
    rows = [line.split(",") for line in table]
    for row in rows[1:]:
        row[6] = "1.5"
    samples = tmp_path / "flat.csv"
    samples.write_text("\n".join(",".join(row) for row in rows))
    arguments = train_arguments(shared_data, tmp_path / "model")
    arguments[1] = str(samples)
    assert run(arguments) == 1
    assert "value" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_excluded_rows_are_told_at_once(shared_data, tmp_path, capsys):
    """Two thirds of Ebergoetzen miss a texture sum of 100: whoever trains on it sees that."""
    data = shared_data / "eberg"
    arguments = [
        "train", str(data / "eberg.csv"), str(tmp_path / "m"), "--target", "CLYMHT_A", "--property", "clay",
        "--unit", "%", "--x", "X", "--y", "Y", "--crs", "EPSG:31467", "--covariates", str(data / "eberg_grid_100m.tif"),
        "--categorical", "PRMGEO6,LNCCOR6", "--texture", "SNDMHT_A,SLTMHT_A,CLYMHT_A", "--trees", "20", "--folds", "3",
    ]  # fmt: skip
    assert run(arguments) == 0
    told = capsys.readouterr().out
    assert "excluded rows: " in told
    assert "2046 texture-sum" in told
    assert "warning: More than half" in told
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"]["excluded"]["texture-sum"] == 2046
