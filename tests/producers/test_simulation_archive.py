"""The simulated archive as files: complete, valid, reproducible, or not there at all."""

import csv
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio

from cup4soil.errors import InvalidInput, NotFound, StoreError
from cup4soil.methods.bare_soil import BANDS
from cup4soil.progress import Advance
from producers.simulation import SimulatedLandscape, simulate_archive
from producers.simulation.bb250 import load_samples
from producers.simulation.plan import BASELINE_WITH_OFFSET, draw_plan
from producers.simulation.stac import NOTICE
from stac_catalog.validation import schema_errors

SIZE = 60


@pytest.fixture(scope="module")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> SimulatedLandscape:
    return simulate_archive(tmp_path_factory.mktemp("simulation") / "archive", size=SIZE)


@pytest.fixture(scope="module")
def items(landscape: SimulatedLandscape) -> list[pystac.Item]:
    catalog = pystac.Catalog.from_file(str(landscape.catalog))
    return sorted(catalog.get_items(recursive=True), key=lambda item: item.id)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def _asset(item: pystac.Item, name: str) -> Path:
    return Path(item.assets[name].get_absolute_href() or "")


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads(landscape: SimulatedLandscape, tmp_path: Path) -> None:
    again = simulate_archive(tmp_path / "again", size=SIZE, threads=1)
    assert _digests(again.folder) == _digests(landscape.folder)


def test_another_seed_gives_other_scenes() -> None:
    assert draw_plan(21) != draw_plan(20)


def test_a_complete_archive_is_used_again(landscape: SimulatedLandscape) -> None:
    before = {path: path.stat().st_mtime_ns for path in landscape.folder.rglob("*")}
    assert simulate_archive(landscape.folder, size=SIZE) == landscape
    assert SimulatedLandscape.open(landscape.folder) == landscape
    assert {path: path.stat().st_mtime_ns for path in landscape.folder.rglob("*")} == before


@pytest.mark.parametrize(("seed", "size"), [(21, SIZE), (20, SIZE + 2)])
def test_a_folder_with_another_simulation_is_refused(landscape: SimulatedLandscape, seed: int, size: int) -> None:
    with pytest.raises(StoreError, match=r"another simulation.*choose a new folder"):
        simulate_archive(landscape.folder, seed, size=size)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="is not empty"):
        simulate_archive(tmp_path, size=SIZE)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("text", ["{", "[]", '{"seed": 20}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "simulation.json").write_text(text)
    with pytest.raises(StoreError, match=r"simulation\.json is damaged"):
        simulate_archive(tmp_path, size=SIZE)


def test_opening_a_folder_without_a_simulation_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no simulated landscape"):
        SimulatedLandscape.open(tmp_path)


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"size": 39}, {"size": 2001}, {"threads": 0}])
def test_values_out_of_range_are_refused_before_anything_is_written(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        simulate_archive(tmp_path / "archive", **wrong)
    assert list(tmp_path.iterdir()) == []


class _Interrupting:
    """Interrupts the run in the middle of the scenes."""

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Advance]:
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            if total > 1 and done > total // 2:
                raise KeyboardInterrupt

        yield advance


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        simulate_archive(tmp_path / "archive", progress=_Interrupting(), size=40)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_write_permission_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        simulate_archive(tmp_path / "file" / "archive", size=40)


def test_the_archive_has_what_real_ones_have(items: list[pystac.Item]) -> None:
    days = {item.datetime for item in items}
    baselines = {item.properties["s2:processing_baseline"] for item in items}
    assert len(days) >= 40
    assert len(items) == len(days) + 1
    assert min(baselines) < BASELINE_WITH_OFFSET <= max(baselines)
    assert 3 <= sum(item.properties["eo:cloud_cover"] > 80 for item in items) <= 8
    assert sum(item.properties["view:sun_elevation"] < 20 for item in items) >= 4


def test_core_and_extension_schemas_accept_the_catalog(landscape: SimulatedLandscape) -> None:
    documents = [json.loads(path.read_text()) for path in landscape.folder.rglob("*.json") if path.stem != "simulation"]
    found = {error for document in documents for error in schema_errors(document) if "not at hand" not in error}
    assert len(documents) > 50
    assert found == set()


def test_every_file_fits_its_item(items: list[pystac.Item]) -> None:
    for item in items:
        assert sorted(item.assets) == sorted([*BANDS, "SCL"])
        for name, asset in item.assets.items():
            with rasterio.open(_asset(item, name)) as dataset:
                assert list(dataset.shape) == item.properties["proj:shape"]
                assert list(dataset.transform)[:6] == item.properties["proj:transform"]
                assert dataset.crs.to_string() == item.properties["proj:code"]
                assert dataset.dtypes[0] == asset.extra_fields["data_type"]
                assert dataset.nodata == asset.extra_fields["nodata"] == 0


def test_the_grid_is_aligned_to_20_m_around_the_samples(landscape: SimulatedLandscape) -> None:
    samples = load_samples()
    with rasterio.open(landscape.landcover) as dataset:
        left, bottom, right, top = dataset.bounds
        assert [v % 20 for v in dataset.bounds] == [0, 0, 0, 0]
    assert left < samples.x.mean() < right
    assert bottom < samples.y.mean() < top


def test_every_document_says_that_it_is_simulated(landscape: SimulatedLandscape, items: list[pystac.Item]) -> None:
    catalog = pystac.Catalog.from_file(str(landscape.catalog))
    for part in (catalog, *catalog.get_children()):
        assert part.description.startswith(NOTICE)
    assert all(item.properties["description"] == NOTICE for item in items)
    assert all(item.properties["cup4soil:simulated"] is True for item in items)


def test_offsets_follow_the_baseline(items: list[pystac.Item]) -> None:
    for item in items:
        expected = -0.1 if item.properties["s2:processing_baseline"] >= BASELINE_WITH_OFFSET else 0.0
        for band in BANDS:
            assert item.assets[band].extra_fields["raster:offset"] == pytest.approx(expected)
            assert item.assets[band].extra_fields["raster:scale"] == 0.0001


def test_decoded_reflectance_does_not_jump_with_the_baseline(
    landscape: SimulatedLandscape, items: list[pystac.Item]
) -> None:
    """Clear woods are alike before and after the change; read without the offset they would differ by 0.1."""
    woods = _read(landscape.true_landcover) == 10
    before: list[float] = []
    after: list[float] = []
    for item in items:
        clear = woods & (_read(_asset(item, "SCL")) == 4)
        if clear.sum() < 50:
            continue
        fields = item.assets["B04"].extra_fields
        red = _read(_asset(item, "B04"))[clear] * fields["raster:scale"] + fields["raster:offset"]
        (after if fields["raster:offset"] else before).append(float(np.median(red)))
    assert len(before) > 5
    assert len(after) > 5
    assert np.median(after) == pytest.approx(np.median(before), abs=0.01)


def test_the_older_of_two_baselines_of_a_datatake_is_the_worse(items: list[pystac.Item]) -> None:
    by_time: dict[object, list[pystac.Item]] = {}
    for item in items:
        by_time.setdefault(item.datetime, []).append(item)
    (pair,) = (group for group in by_time.values() if len(group) == 2)
    older, newer = sorted(pair, key=lambda item: item.properties["s2:processing_baseline"])
    names = [item.properties["s2:datatake_id"].rsplit("_", 1)[0] for item in pair]
    assert names[0] == names[1]
    blue = [_read(_asset(item, "B02")).astype(float) for item in (older, newer)]
    blue[1] -= 1000
    assert np.median(blue[0] - blue[1]) > 200


def test_the_classes_agree_with_nodata_and_with_the_cloud_cover(items: list[pystac.Item]) -> None:
    for item in items:
        scl = _read(_asset(item, "SCL"))
        assert np.array_equal(scl == 0, _read(_asset(item, "B02")) == 0)
        clouds = 100 * np.isin(scl, (8, 9, 10)).sum() / (scl > 0).sum()
        assert item.properties["eo:cloud_cover"] == pytest.approx(clouds, abs=0.006)


def test_all_classes_occur(items: list[pystac.Item]) -> None:
    seen = set(np.unique(np.stack([_read(_asset(item, "SCL")) for item in items])).tolist())
    assert {0, 3, 4, 5, 6, 7, 8, 9, 10, 11} <= seen


def test_the_truth_is_kept_for_cropland_alone(landscape: SimulatedLandscape) -> None:
    cropland = _read(landscape.true_landcover) == 40
    assert np.array_equal(np.isfinite(_read(landscape.true_soc)), cropland)
    assert np.array_equal(np.isfinite(_read(landscape.true_reflectance)), cropland)
    bare = _read(landscape.true_bare_count)
    assert bare[~cropland].max() == 0
    assert np.median(bare[cropland]) >= 3


def test_true_carbon_is_distributed_as_in_the_samples(landscape: SimulatedLandscape) -> None:
    soc = _read(landscape.true_soc)
    known = 10 * load_samples().soc_percent
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    assert np.nanquantile(soc, levels) == pytest.approx(np.quantile(known, levels), rel=0.05)


def test_the_samples_are_the_real_ones(landscape: SimulatedLandscape) -> None:
    with landscape.samples.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    samples = load_samples()
    assert list(rows[0]) == ["id", "x", "y", "soc", *(f"SRC_{band}" for band in BANDS)]
    assert len({row["id"] for row in rows}) == 250
    assert [float(row["soc"]) for row in rows] == pytest.approx(samples.soc_percent.tolist())
    spectra = [[float(row[f"SRC_{band}"]) for band in BANDS] for row in rows]
    assert np.array(spectra) == pytest.approx(samples.reflectance, abs=1e-9)
    assert [float(row["x"]) for row in rows] == pytest.approx(samples.x.tolist(), abs=0.01)
