"""Validation sites: whose are given to others, what they say, and that a store gets them once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.errors import LicenceConflict
from cup4soil.methods.validation import scores
from cup4soil.products import read_record
from cup4soil.progress import Silent
from producers.jobs import deliver
from producers.sample_sources import sample_source
from producers.site_terms import site_terms
from producers.sites_job import SitesJob, deliver_sites
from producers.training import TrainJob, TrainRequest, plan_training
from producers.validation_sites import SITES_FILE, rounded
from stac_catalog.sites import SITES_INDEX_FILE, SiteIndex
from stac_catalog.store import Store
from tests.producers.soil_world import SETTINGS, World, make_world, without_plots

OPEN = {"licence": "CC-BY-4.0", "attribution": "The survey"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainJob, Path]:
    job = plan_training(world.request(**OPEN), SETTINGS)
    folder = tmp_path_factory.mktemp("trained") / "model"
    with without_plots():
        deliver(job, folder, None, Silent())
    return job, folder


def sites_in(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / SITES_FILE).read_text())["features"]
    return found


def test_sites_say_what_the_report_says_of_all(trained: tuple[TrainJob, Path], world: World) -> None:
    job, folder = trained
    assert job.sites is not None
    found = [each["properties"] for each in sites_in(folder / job.sites.id)]
    columns = ("observed", "predicted", "q05", "q95")
    observed, predicted, low, high = (np.array([each[name] for each in found]) for name in columns)
    again = scores(observed, predicted, low, high)
    figures = [m for m in read_record(folder).quality if "calibrated on the other folds" in m.support]
    stated = {each.name: each.value for each in figures}
    assert again.rmse == pytest.approx(stated["RMSE"], rel=1e-4)
    assert again.picp90 == pytest.approx(stated["PICP90"])
    assert sum(each["inside_interval"] for each in found) == round(stated["PICP90"] * len(found))
    assert {each["model"] for each in found} == {job.id}
    assert {(each["unit"], each["depth"], each["property"]) for each in found} == {("g/kg", "0-20cm", "soc")}
    assert {(each["licence"], each["source_licence"]) for each in found} == {("CC-BY-NC-SA-4.0", "CC-BY-4.0")}
    assert {each["fold"] for each in found} == {0, 1, 2}


def test_sites_lie_where_the_samples_lie(trained: tuple[TrainJob, Path], world: World) -> None:
    job, folder = trained
    assert job.sites is not None
    rows = [line.split(",") for line in world.samples.read_text().splitlines()[1:]]
    places = {
        row[0]: (float(row[4]), float(row[5]), float(row[3])) for row in rows if row[0][0] == "S" and row[1] == "0"
    }
    transform = pyproj.Transformer.from_crs("OGC:CRS84", "EPSG:32633", always_xy=True).transform
    for site in sites_in(folder / job.sites.id):
        x, y, percent = places[site["properties"]["sample"]]
        assert transform(*site["geometry"]["coordinates"]) == pytest.approx((x, y), abs=0.02)
        assert site["properties"]["observed"] == pytest.approx(10 * percent, rel=1e-5)


def test_a_store_gets_them_once_and_serves_them(trained: tuple[TrainJob, Path], tmp_path: Path) -> None:
    job, folder = trained
    store = Store.open(tmp_path / "store", SETTINGS)
    assert deliver_sites(job, folder, None, Silent()) is None
    first = deliver_sites(job, folder, store, Silent())
    again = deliver_sites(job, folder, store, Silent())
    assert first is not None
    assert again is not None
    assert (first.made, again.made) == (True, False)
    index = SiteIndex(store.root / SITES_INDEX_FILE)
    extent = index.extent("validation-sites")
    assert extent is not None
    assert extent.count == len(sites_in(first.folder))
    index.close()


def test_sites_of_a_model_that_is_there_already_are_made_anew(
    trained: tuple[TrainJob, Path], world: World, tmp_path: Path
) -> None:
    job, folder = trained
    rough = plan_training(world.request(**OPEN, sites_grid=1000), SETTINGS)
    assert rough.sites is not None
    assert job.sites is not None
    # How the sites are given says nothing of the model.
    assert (rough.id == job.id, rough.sites.id == job.sites.id) == (True, False)
    with without_plots():
        SitesJob(rough, rough.sites.id).run(tmp_path, Silent())
    exact, given = sites_in(folder / job.sites.id), sites_in(tmp_path)
    assert [each["properties"]["predicted"] for each in given] == [each["properties"]["predicted"] for each in exact]
    assert {each["properties"]["position"] for each in given} == {"rounded to 1000 m"}
    # Neither a name nor the extent tells what the rounding hides.
    assert {each["properties"]["sample"] for each in given} == {None}
    west, south, east, north = read_record(tmp_path).extent.bbox
    assert {(west, south), (east, north)}.isdisjoint(tuple(each["geometry"]["coordinates"]) for each in exact)
    assert all(west <= each["geometry"]["coordinates"][0] <= east for each in given)


@given(lon=st.floats(-180, 180), lat=st.floats(-89, 89), metres=st.floats(1, 100_000))
def test_rounding_moves_no_further_than_to_the_middle_of_a_cell(lon: float, lat: float, metres: float) -> None:
    (x,), (y,) = rounded(np.array([lon]), np.array([lat]), metres)
    _, _, moved = pyproj.Geod(ellps="WGS84").inv(lon, lat, float(x), float(y))
    if abs(lat) < 80:
        assert moved <= 0.75 * metres + 0.1
    again = rounded(np.array([x]), np.array([y]), metres)
    assert (float(again[0][0]), float(again[1][0])) == pytest.approx((float(x), float(y)), abs=1e-9)


def request(path: Path, **changes: Any) -> TrainRequest:
    given = {"samples": path, "target": "OC", "unit": "g/kg", "property_code": "soc", "x": "x", "y": "y"}
    return TrainRequest(**(given | {"crs": "EPSG:4326", "features": ("f",)} | changes))


@pytest.mark.parametrize(
    ("header", "changes", "is_open"),
    [
        ("x,y,OC,f", {}, False),
        ("x,y,OC,f", {"licence": "CC-BY-SA-4.0"}, True),
        ("x,y,OC,f", {"licence": "proprietary-permitted"}, False),
        ("x,y,OC,f", {"licence": "CC-BY-4.0", "sites": "closed"}, False),
        ("x,y,OC,f", {"sites_grid": 10_000.0}, False),
        # LUCAS stays closed whatever is stated, however it is read.
        ("POINTID,pH_CaCl2,TH_LONG,TH_LAT,OC,x,y,f", {"licence": "CC-BY-4.0"}, False),
        ("POINTID,pH_CaCl2,TH_LONG,TH_LAT,OC,x,y,f", {"licence": "CC-BY-4.0", "format": "table"}, False),
        ("POINTID,pH_CaCl2,TH_LONG,TH_LAT,OC,x,y,f", {"licence": "CC-BY-4.0", "sites_grid": 10_000.0}, False),
    ],
)  # fmt: skip
def test_sites_are_open_only_where_it_is_known(
    tmp_path: Path, header: str, changes: dict[str, Any], is_open: bool
) -> None:
    path = tmp_path / "samples.csv"
    path.write_text(f"{header}\n" + ",".join("1" for _ in header.split(",")) + "\n")
    asked = request(path, **changes)
    source = sample_source(path, asked.format)
    terms = site_terms(asked, source)
    assert (terms.closed is None) == is_open
    if not is_open and "sites" not in changes:
        with pytest.raises(LicenceConflict, match="cannot be open"):
            site_terms(asked.model_copy(update={"sites": "open"}), source)
