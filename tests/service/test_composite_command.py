"""``cup4soil composite`` as a user runs it: thresholds found by itself, several windows, tiles."""

import json

import numpy as np
import pytest
import rasterio

from cup4soil.errors import NoData
from producers.composite_delivery import tiles_with_scenes
from producers.composite_request import CompositeRequest
from service.cli import run
from tests.producers.archives import random_scene, write_archive


@pytest.fixture
def archive(tmp_path):
    rng = np.random.default_rng(11)
    specs = [
        random_scene(rng, f"S{year}{month:02d}", f"{year}-{month:02d}-05T10:00:00Z")
        for year in (2020, 2021)
        for month in (1, 4, 7, 10)
    ]
    return write_archive(tmp_path, specs)


def composite(capsys, *arguments) -> tuple[int, str, str]:
    code = run(["composite", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_hiset_within_the_run(shared_data, tmp_path, capsys):
    classes = tmp_path / "classes.json"
    classes.write_text('{"11": "cropland", "13": "grassland", "60": "built-up", "99": "other"}')
    source = shared_data / "s2-flanders"
    arguments = (
        source / "catalog.json", tmp_path / "out", "--threshold", "hiset", "--landcover", source / "reference_lc.tif",
        "--landcover-classes", classes, "--store", tmp_path / "store", "--json",
    )  # fmt: skip
    code, told, error = composite(capsys, *arguments)
    assert code == 0, error
    with rasterio.open(tmp_path / "out-thresholds" / "THRESHOLDS.tif") as dataset:
        assert np.unique(dataset.read(1)).tolist() == [3250]
    record = json.loads((tmp_path / "out" / "product.json").read_text())
    (surface,) = [each for each in record["sources"] if each["role"] == "threshold"]
    assert surface["id"].startswith("bare-soil-thresholds/thresholds-")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["separability"]["hiset"]["t_min"] == pytest.approx(0.16, abs=0.001)
    registered = {path.name for path in (tmp_path / "store" / "catalog").iterdir() if path.is_dir()}
    assert {"bare-soil-composites", "bare-soil-index", "bare-soil-thresholds"} <= registered
    code, again, _ = composite(capsys, *arguments)
    assert code == 0
    assert json.loads(again)["made"] == "found, nothing was written"
    assert json.loads(again)["product"] == json.loads(told)["product"]


def test_windows_lie_in_folders_of_their_own(archive, tmp_path, capsys):
    code, told, error = composite(
        capsys, archive, tmp_path / "out", "--threshold", "0.2", "--years", "1", "--years", "2", "--seasons", "--json"
    )
    assert code == 0, error
    names = {"2020", "2021", "2020-2021", "winter", "spring", "summer", "autumn"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert len({each["product"] for each in json.loads(told)}) == len(names)


@pytest.mark.parametrize("method", ["nbr2", "ndvi-nbr2", "barest-earth"])
def test_methods_with_thresholds_of_their_own(archive, tmp_path, capsys, method):
    code, _, error = composite(capsys, archive, tmp_path / "out", "--method", method)
    assert code == 0, error
    record = json.loads((tmp_path / "out" / "product.json").read_text())
    assert record["algorithm"]["parameters"]["test"] == method


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the test pvir2 has no threshold of its own; give --threshold"),
        (["--threshold", "hiset"], "hiset needs land cover; give a raster with --landcover"),
        (["--threshold", "0.2", "--regions", "x.geojson"], "--regions is for --threshold hiset"),
        (["--threshold", "0.2", "--years", "3"], "a window of 3 years does not fit the period 2020 to 2021"),
        (["--threshold", "0.2", "--tile", "0042-0030", "--bbox", "9", "51", "10", "52"], "more than one area is given"),
        (["--threshold", "0.2", "--scheduler", "tcp://127.0.0.1:9"], "no Dask scheduler answers at tcp://127.0.0.1:9"),
        (["--threshold", "0.2", "--landcover-classes", "nowhere.csv"], "no legend 'nowhere.csv'"),
    ],
)
def test_what_cannot_be_meant(archive, tmp_path, capsys, arguments, message):
    code, _, error = composite(capsys, archive, tmp_path / "out", *arguments)
    assert code == 1
    last = error.strip().splitlines()[-1]
    assert last.startswith("cup4soil: error: ")
    assert message in last
    assert not (tmp_path / "out").exists()


def test_tiles_that_scenes_touch(archive):
    assert tiles_with_scenes(CompositeRequest(source=str(archive), threshold=0.2)) == ("0042-0030",)
    with pytest.raises(NoData):
        tiles_with_scenes(CompositeRequest(source=str(archive), threshold=0.2, max_cloud_percent=1.0))
