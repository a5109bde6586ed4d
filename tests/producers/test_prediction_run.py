"""Runs of maps: several from one walk, killed and resumed, on workers, and what masked cells cost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from distributed import LocalCluster

from cup4soil.errors import StoreError
from cup4soil.grids import Bounds
from cup4soil.progress import Silent
from cup4soil.rasters.covariates import CovariateStack
from producers import prediction_run
from producers.jobs import deliver
from producers.prediction import deliver_maps
from producers.training import plan_training
from stac_catalog.store import Store
from tests.producers.map_runs import EDGE, planned, small_blocks
from tests.producers.soil_profiles import TEXTURE, Profiles, make_profiles
from tests.producers.soil_world import LEFT, SETTINGS, SIZE, TOP, without_plots

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = (SIZE // EDGE) ** 2
MAPS = ("clay-0-20cm", "silt-0-20cm", "sand-0-20cm")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Profiles:
    return make_profiles(tmp_path_factory.mktemp("profiles"), count=100)


@pytest.fixture(scope="module")
def model(world: Profiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texture") / "model"
    with without_plots():
        deliver(plan_training(world.request(**TEXTURE, trees=10), SETTINGS), folder, None, Silent())
    return folder


@pytest.fixture(scope="module")
def undisturbed(world: Profiles, model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    list(deliver_maps(planned(model, world.covariates), out, None, Silent()))
    return rasters(out)


def rasters(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.tif"))}


def finished_blocks(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob(".cup4soil-run-*/*/*.json")}


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The blocks predicted, one after the other."""
    blocks: list[object] = []
    original = prediction_run.predict_window
    monkeypatch.setattr(prediction_run, "predict_window", lambda *given: blocks.append(given[2]) or original(*given))
    return blocks


def test_a_killed_run_goes_on_where_it_stood(
    world: Profiles, model: Path, undisturbed: dict[str, bytes], tmp_path: Path, counted: list[object]
) -> None:
    """And while it runs, another one for the same maps is told so."""
    out = tmp_path / "out"
    script = Path(__file__).with_name("killed_prediction.py")
    child = subprocess.Popen(
        [sys.executable, script, model, world.covariates, out], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    try:
        wait_for(lambda: len(finished_blocks(out)) >= 6)
        with small_blocks(), pytest.raises(StoreError, match="another process is making"):
            list(deliver_maps(planned(model, world.covariates), out, None, Silent()))
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    finally:
        child.kill()
        child.wait()
    done = finished_blocks(out)
    whole = min(sum(path.parent.name == name for path in done) for name in MAPS)
    assert 1 <= whole < BLOCKS
    assert not [path for path in out.iterdir() if path.name in MAPS]
    with small_blocks():
        list(deliver_maps(planned(model, world.covariates), out, None, Silent()))
    assert len(counted) == BLOCKS - whole
    assert rasters(out) == undisturbed
    assert sorted(path.name for path in out.iterdir()) == sorted(MAPS)


def test_a_scheduler_gives_the_same_bytes(
    world: Profiles, model: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Plans and blocks travel as they do between machines."""
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1",
        dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False},
    )  # fmt: skip
    with small_blocks(30), cluster:
        run = planned(model, world.covariates, cluster.scheduler_address)
        list(deliver_maps(run, tmp_path / "out", None, Silent()))
    assert rasters(tmp_path / "out") == undisturbed


def test_a_map_that_is_there_is_not_made_again(
    world: Profiles, model: Path, undisturbed: dict[str, bytes], tmp_path: Path, counted: list[object]
) -> None:
    out = tmp_path / "out"
    first, *_ = list(deliver_maps(planned(model, world.covariates), out, None, Silent()))
    assert len(counted) == 1
    for path in (out / "silt-0-20cm").iterdir():
        path.unlink()
    again = list(deliver_maps(planned(model, world.covariates), out, None, Silent()))
    assert [each.made for each in again] == [False, True, False]
    assert len(counted) == 2
    assert rasters(out) == undisturbed
    assert first.record.id == again[0].record.id


def test_a_map_removed_while_others_wait_is_made_again(
    world: Profiles, model: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    maps = deliver_maps(planned(model, world.covariates), out, None, Silent())
    first = next(maps)
    maps.close()
    for path in first.folder.iterdir():
        path.unlink()
    list(deliver_maps(planned(model, world.covariates), out, None, Silent()))
    assert rasters(out) == undisturbed


def test_maps_of_a_store_are_fetched(
    world: Profiles, model: Path, undisturbed: dict[str, bytes], tmp_path: Path, counted: list[object]
) -> None:
    store = Store.open(tmp_path / "store", SETTINGS)
    list(deliver_maps(planned(model, world.covariates), tmp_path / "first", store, Silent()))
    list(deliver_maps(planned(model, world.covariates), tmp_path / "second", store, Silent()))
    assert len(counted) == 1
    assert rasters(tmp_path / "second") == undisturbed


def test_a_model_replaced_during_the_run_is_told(world: Profiles, model: Path, tmp_path: Path) -> None:
    run = planned(model, world.covariates)
    plan = run.block_plan(tmp_path)
    with pytest.raises(StoreError, match="was replaced during the run"):
        prediction_run.held_model(plan.model, "sha256:other", ("clay",))


def test_blocks_outside_the_area_are_not_read(
    world: Profiles, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    original = CovariateStack.read
    monkeypatch.setattr(CovariateStack, "read", lambda stack, grid: read.append(grid) or original(stack, grid))
    ring = [[LEFT + 20, TOP - 1190], [LEFT + 290, TOP - 1190], [LEFT + 290, TOP - 620], [LEFT + 20, TOP - 1190]]
    far = [[LEFT + 910, TOP - 80], [LEFT + 990, TOP - 80], [LEFT + 990, TOP - 20], [LEFT + 910, TOP - 80]]
    area = tmp_path / "area.json"
    crs = {"type": "name", "properties": {"name": "EPSG:32633"}}
    area.write_text(json.dumps({"type": "MultiPolygon", "coordinates": [[ring], [far]], "crs": crs}))
    with small_blocks():
        made = list(deliver_maps(planned(model, world.covariates, aoi=area), tmp_path / "out", None, Silent()))
    # The bounds hold 4 x 4 blocks; the triangles lie in a few.
    assert 1 <= len(read) <= 4
    with rasterio.open(made[0].folder / "mean.tif") as dataset:
        mapped = dataset.read(1) != -32768
    assert 0 < mapped.mean() < 0.2


def test_the_blocks_of_a_box_lie_on_the_grid_of_the_whole(
    world: Profiles, model: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    box = Bounds(LEFT + 205, TOP - 595, LEFT + 400, TOP - 300)
    run = planned(model, world.covariates, bbox=box, bbox_crs="EPSG:32633", properties=("sand",))
    (made,) = deliver_maps(run, tmp_path / "out", None, Silent())
    (tmp_path / "whole.tif").write_bytes(undisturbed["sand-0-20cm/mean.tif"])
    with rasterio.open(made.folder / "mean.tif") as part, rasterio.open(tmp_path / "whole.tif") as whole:
        np.testing.assert_array_equal(part.read(1), whole.read(1)[15:30, 10:20])
