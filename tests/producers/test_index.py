"""Index products against composites and brute force, and updates against products made anew."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.warp import transform_bounds, transform_geom

from cup4soil.errors import InvalidInput, NoData, NotFound
from cup4soil.grids import Bounds
from cup4soil.methods.bare_tests import TESTS
from cup4soil.methods.index_statistics import merge_counts, merge_range
from cup4soil.products import ProductRecord, read_record
from cup4soil.progress import Silent
from cup4soil.rasters.scenes import TileSizes, UnreadableScene
from cup4soil.settings import Settings
from producers import block_runs, composite_plan
from producers.block_runs import Execution
from producers.composite import plan_composite
from producers.composite_layers import encode_index
from producers.composite_request import CompositeRequest
from producers.index import IndexJob, IndexRequest, plan_index
from producers.index_engine import index_test, plan_index_blocks
from producers.jobs import deliver
from producers.thresholds import open_index
from service.cli import cli
from stac_catalog.store import Store
from tests.producers.archives import SceneSpec, random_scene, write_archive, write_scene
from tests.producers.engine_runs import raw_scene

LAYERS = ("INDEX", "VPC-MONTHLY")
TILES = {"W": (600_000.0, 5_700_000.0), "E": (600_160.0, 5_700_000.0), "FAR": (600_600.0, 5_700_000.0)}
END_OF_FIRST = datetime(2021, 6, 30, 23, 59, 59, tzinfo=UTC)


def plan(catalog: Path, **more) -> IndexJob:
    return plan_index(IndexRequest(source=str(catalog), **more), Settings(workers=1))


def made(job, folder: Path) -> ProductRecord:
    return deliver(job, folder, None, Silent()).record


def stored(folder: Path) -> dict[str, np.ndarray]:
    return {name: rasterio.open(folder / f"{name}.tif").read() for name in LAYERS}


def assert_same_bytes(one: Path, other: Path) -> None:
    for name in LAYERS:
        assert (one / f"{name}.tif").read_bytes() == (other / f"{name}.tif").read_bytes(), name


def scene(rng: np.random.Generator, name: str, time: str, tile: str = "W", **more) -> SceneSpec:
    properties = {"grid:code": f"MGRS-32{tile}", **more.pop("properties", {})}
    return random_scene(rng, name, time, origin=TILES[tile], properties=properties, **more)


def months(rng: np.random.Generator, numbers=range(1, 9)) -> list[SceneSpec]:
    return [scene(rng, f"S{month}", f"2021-{month:02d}-05T10:00:00Z") for month in numbers]


def random_archive(seed: int) -> list[SceneSpec]:
    """Passes of two satellites over two tiles that overlap, of one or both, some of them within the same month."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(9):
        time = datetime(2021, 1, 1, 10, tzinfo=UTC) + timedelta(days=int(rng.integers(0, 360)), hours=number)
        platform = {"platform": str(rng.choice(["sentinel-2a", "sentinel-2b"]))}
        for place, tile in enumerate(rng.choice(["W", "E"], rng.integers(1, 3), replace=False)):
            seen = (time + timedelta(seconds=14 * place)).isoformat()
            found.append(scene(rng, f"P{number}{tile}", seen, tile, properties=platform))
    # Both tiles appear before and after: the grid does not change.
    for day, half in (("2021-01-02", "A"), ("2021-12-30", "B")):
        found += [scene(rng, f"{half}{tile}", f"{day}T{hour}:00:00Z", tile) for tile, hour in (("W", 20), ("E", 22))]
    return found


# Equal to composites, and to brute force


@pytest.mark.parametrize("method", sorted(TESTS))
def test_layers_are_those_of_a_composite(tmp_path, method):
    catalog = write_archive(tmp_path, random_archive(1))
    made(plan(catalog, method=method), tmp_path / "index")
    asked = CompositeRequest(source=str(catalog), method=method, threshold=0.1)
    made(plan_composite(asked, Settings()), tmp_path / "composite")
    assert_same_bytes(tmp_path / "index", tmp_path / "composite")


def test_layers_are_those_of_a_composite_where_scenes_are_warped_and_cut(tmp_path):
    rng = np.random.default_rng(2)
    west = random_scene(rng, "W", "2021-04-05T10:00:00Z", size=24)
    east = random_scene(rng, "E", "2021-05-05T10:00:00Z", size=24, crs="EPSG:32633", origin=(183_500.0, 5_706_500.0))
    catalog = write_archive(tmp_path, [west, east])
    ring = [[600_000, 5_699_600], [600_440, 5_699_600], [600_000, 5_700_000], [600_000, 5_699_600]]
    triangle = transform_geom("EPSG:32632", "EPSG:4326", {"type": "Polygon", "coordinates": [ring]}, precision=9)
    (tmp_path / "aoi.geojson").write_text(json.dumps(triangle))
    more = {"aoi": tmp_path / "aoi.geojson", "crs": "EPSG:3035"}
    made(plan(catalog, **more), tmp_path / "index")
    asked = CompositeRequest(source=str(catalog), threshold=0.1, **more)
    made(plan_composite(asked, Settings()), tmp_path / "composite")
    assert_same_bytes(tmp_path / "index", tmp_path / "composite")
    seen = stored(tmp_path / "index")["VPC-MONTHLY"][0] >= 0
    assert 0 < seen.sum() < 0.7 * seen.size


def test_layers_equal_brute_force(tmp_path):
    specs = months(np.random.default_rng(3))
    catalog = write_archive(tmp_path, specs)
    record = made(plan(catalog), tmp_path / "out")
    stack = np.array([raw_scene(catalog.parent / "s2" / each.id, 0.0) for each in specs])
    blue, red, nir, swir = (stack[:, band] for band in (0, 2, 6, 9))
    index = (nir - red) / (nir + red) + (nir - swir) / (nir + swir)
    index[np.isnan(blue)] = np.nan
    valid = ~np.isnan(blue)
    found = stored(tmp_path / "out")
    for place, extreme in enumerate((np.fmin, np.fmax)):
        want = extreme.reduce(index) * 1e4
        np.testing.assert_array_equal(found["INDEX"][place] == -32_768, np.isnan(want))
        np.testing.assert_allclose(found["INDEX"][place][~np.isnan(want)], want[~np.isnan(want)], atol=0.51, rtol=0)
    counts = np.zeros((12, 16, 16), int)
    counts[:8] = valid
    np.testing.assert_array_equal(found["VPC-MONTHLY"], np.where(valid.any(axis=0), counts, -10_000))
    figure = record.quality[0]
    assert figure.value == pytest.approx(valid.sum() / valid.any(axis=0).sum(), abs=1e-3)
    assert figure.support == f"{valid.any(axis=0).sum()} observed cells"


def test_record_documents_and_store(tmp_path):
    catalog = write_archive(tmp_path, random_archive(4))
    store = Store.open(tmp_path / "store", Settings())
    job = plan(catalog)
    record = deliver(job, tmp_path / "out", store, Silent()).record
    assert (record.collection, record.kind, record.id) == ("bare-soil-index", "index", job.id)
    assert [layer.name for layer in record.layers] == list(LAYERS)
    assert record.algorithm.parameters["index"] == "PVIR2"
    assert any("median of B02" in note for note in record.limitations)
    tiles = json.loads((tmp_path / "out" / "tiles.geojson").read_text())
    assert sorted(each["properties"]["tile"] for each in tiles["features"]) == ["32E", "32W"]
    lineage = json.loads((tmp_path / "out" / "lineage.json").read_text())
    assert lineage["update"] is None
    assert len(lineage["sources"]) == len(job.scenes)
    assert open_index(tmp_path / "out").record.id == record.id
    assert deliver(job, tmp_path / "out", store, Silent()).made is False


def test_tests_of_one_index_share_a_product(tmp_path):
    catalog = write_archive(tmp_path, months(np.random.default_rng(5), range(1, 3)))
    assert plan(catalog, method="median").id == plan(catalog, method="pvir2").id
    assert plan(catalog, method="ndvi-nbr2").id == plan(catalog, method="nbr2").id
    assert len({plan(catalog, method=method).id for method in ("pvir2", "nbr2", "barest-earth")}) == 3
    assert set(index_test("ndvi-nbr2").bands) == {"B11", "B12"}


def test_blocks_and_processes_do_not_matter(tmp_path, monkeypatch):
    catalog = write_archive(tmp_path, random_archive(6))
    made(plan(catalog), tmp_path / "whole")
    monkeypatch.setattr(composite_plan, "EDGES", (7,))
    monkeypatch.setattr(block_runs, "_WORTH_PROCESSES", 0)
    job = plan_index(IndexRequest(source=str(catalog)), Settings(workers=2))
    assert len(job.blocks) > 6
    made(job, tmp_path / "blocks")
    assert_same_bytes(tmp_path / "whole", tmp_path / "blocks")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["archive", "blocks", "whole"]


def test_blocks_keep_to_the_budget_and_follow_the_tiles():
    def cut(mib, aligned=True, tiles=(256, 512)):
        tiles = TileSizes(*tiles)
        return plan_index_blocks(tiles, TESTS["pvir2"], mib * 2**20, threads=2, aligned=aligned, largest=10_980)

    assert cut(1024).edge == 512
    assert cut(1024, aligned=False).edge == 1024
    for mib in (32, 128, 512, 4096):
        assert cut(mib, aligned=False).bytes <= mib * 2**20
    assert cut(1024).readings == 1.0


# What adds up


@settings(max_examples=60)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_stored_statistics_of_parts_make_up_those_of_all(data, seed):
    """Rounding to integers and clipping commute with extremes: of floats of any size, ties and gaps included."""
    dates = data.draw(st.integers(1, 6))
    special = st.sampled_from([np.nan, 0.0, -0.0, 0.00005, 0.00015, 3.2767, 3.27675, -3.2768, -3.27675, 9.0, -9.0])
    values = data.draw(arrays(np.float32, (dates, 2, 3), elements=special | st.floats(-4, 4, width=32)))
    rng = np.random.default_rng(seed)
    valid = rng.random((dates, 2, 3)) < 0.7
    month = rng.integers(0, 12, dates)
    inside = None if data.draw(st.booleans()) else rng.random((2, 3)) < 0.8
    cut = data.draw(st.integers(0, dates))

    def encoded(part: slice) -> dict[str, np.ndarray]:
        seen = np.where(valid[part], values[part], np.nan).astype(np.float32)
        start = np.full((1, 2, 3), np.nan, np.float32)
        extremes = np.stack([f.reduce(np.concatenate([start, seen])) for f in (np.fmin, np.fmax)])
        counts = np.zeros((12, 2, 3), np.int16)
        np.add.at(counts, month[part], valid[part])
        return encode_index(extremes, counts, inside)

    first, second, whole = encoded(slice(0, cut)), encoded(slice(cut, None)), encoded(slice(None))
    for one, other in ((first, second), (second, first)):
        np.testing.assert_array_equal(merge_range(one["INDEX"], other["INDEX"], -32_768), whole["INDEX"])
        merged = merge_counts(one["VPC-MONTHLY"], other["VPC-MONTHLY"], -10_000)
        np.testing.assert_array_equal(merged, whole["VPC-MONTHLY"])


def test_counts_end_where_the_type_does():
    most = np.full((12, 1, 1), 32_000, np.int16)
    assert (merge_counts(most, most, -10_000) == 32_767).all()


# Updates


def spoil(catalog: Path, specs: list[SceneSpec]) -> None:
    """Other pixels in the files of scenes that must not be read again; their items stay as they are."""
    for spec in specs:
        bands = {name: np.full_like(values, 77 if name == "B08" else 9999) for name, values in spec.bands.items()}
        changed = SceneSpec(**{**spec.__dict__, "bands": bands, "scl": np.full_like(spec.scl, 5)})
        write_scene(catalog.parent / "s2" / spec.id, changed)


@pytest.mark.parametrize("seed", range(10, 18))
def test_an_update_equals_a_product_made_anew(tmp_path, seed):
    specs = random_archive(seed)
    catalog = write_archive(tmp_path, specs)
    whole = made(plan(catalog), tmp_path / "whole")
    first = made(plan(catalog, end=END_OF_FIRST), tmp_path / "first")
    counted = {source.title for source in first.sources}
    spoil(catalog, [spec for spec in specs if spec.id in counted])
    job = plan(catalog, update=tmp_path / "first")
    assert 0 < job.scenes_to_read == len(specs) - len(counted)
    record = made(job, tmp_path / "updated")
    assert_same_bytes(tmp_path / "whole", tmp_path / "updated")
    assert record.id == whole.id
    assert (record.title, record.period, record.quality) == (whole.title, whole.period, whole.quality)
    assert [layer.statistics for layer in record.layers] == [layer.statistics for layer in whole.layers]
    roles = {source.id: source.role for source in record.sources if source.role != "scene"}
    assert roles == {f"bare-soil-index/{first.id}": "index"}
    assert len(record.sources) == len(whole.sources) + 1
    lineage = json.loads((tmp_path / "updated" / "lineage.json").read_text())
    assert lineage["update"] == {"of": first.id, "scenes_read": job.scenes_to_read}


def test_updates_follow_updates_and_go_back_in_time(tmp_path):
    catalog = write_archive(tmp_path, random_archive(20))
    made(plan(catalog), tmp_path / "whole")
    later = {"start": datetime(2021, 7, 1, tzinfo=UTC)}
    made(plan(catalog, **later, end=datetime(2021, 12, 30, 23, tzinfo=UTC)), tmp_path / "one")
    made(plan(catalog, **later, update=tmp_path / "one"), tmp_path / "two")
    made(plan(catalog, update=tmp_path / "two"), tmp_path / "three")
    assert_same_bytes(tmp_path / "whole", tmp_path / "three")


def test_with_nothing_new_the_product_stays_what_it_was(tmp_path):
    catalog = write_archive(tmp_path, random_archive(21))
    before = made(plan(catalog), tmp_path / "first")
    job = plan(catalog, update=tmp_path / "first")
    assert job.scenes_to_read == 0
    record = made(job, tmp_path / "again")
    assert_same_bytes(tmp_path / "first", tmp_path / "again")
    assert (record.id, record.sources) == (before.id, before.sources)


def test_whom_the_earlier_product_credits_stays_credited(tmp_path):
    specs = months(np.random.default_rng(22))
    catalog = write_archive(tmp_path, specs)
    made(plan(catalog, end=END_OF_FIRST, attribution=("A mirror",)), tmp_path / "first")
    record = made(plan(catalog, update=tmp_path / "first", attribution=("B", "A mirror")), tmp_path / "out")
    assert record.attribution == ("Contains modified Copernicus Sentinel data 2021", "A mirror", "B")


def test_a_granule_of_a_counted_pass_is_added_where_it_lies_apart(tmp_path):
    rng = np.random.default_rng(23)
    first = scene(rng, "T1", "2021-04-05T10:00:00Z", "W")
    second = scene(rng, "T2", "2021-04-05T10:00:14Z", "FAR")
    frame = scene(rng, "F", "2021-05-05T10:00:00Z", "FAR")
    catalog = write_archive(tmp_path, [first, frame])
    made(plan(catalog), tmp_path / "first")
    write_archive(tmp_path, [first, second, frame])
    made(plan(catalog, update=tmp_path / "first"), tmp_path / "updated")
    made(plan(catalog), tmp_path / "whole")
    assert_same_bytes(tmp_path / "whole", tmp_path / "updated")


def test_a_granule_that_overlaps_a_counted_pass_is_refused(tmp_path):
    rng = np.random.default_rng(24)
    first = scene(rng, "T1", "2021-04-05T10:00:00Z", "W")
    second = scene(rng, "T2", "2021-04-05T10:00:14Z", "E")
    frame = scene(rng, "F", "2021-05-05T10:00:00Z", "E")
    catalog = write_archive(tmp_path, [first, frame])
    made(plan(catalog), tmp_path / "first")
    write_archive(tmp_path, [first, second, frame])
    with pytest.raises(InvalidInput, match=r"scene T2 belongs to an overpass that is counted already .*overlaps"):
        plan(catalog, update=tmp_path / "first")


def test_passes_that_a_new_granule_joins_are_refused(tmp_path):
    """Two parts of one long pass were counted as two; with the granule between them they are one."""
    rng = np.random.default_rng(25)
    ends = [scene(rng, "A", "2021-04-05T10:00:00Z"), scene(rng, "C", "2021-04-05T10:30:00Z")]
    catalog = write_archive(tmp_path, ends)
    made(plan(catalog), tmp_path / "first")
    write_archive(tmp_path, [*ends, scene(rng, "B", "2021-04-05T10:15:00Z")])
    with pytest.raises(InvalidInput, match="scene B belongs to an overpass"):
        plan(catalog, update=tmp_path / "first")


def test_a_pass_that_now_begins_in_another_month_is_refused(tmp_path):
    rng = np.random.default_rng(26)
    after = scene(rng, "A", "2021-05-01T00:00:05Z", "W")
    frame = scene(rng, "F", "2021-06-05T10:00:00Z", "FAR")
    catalog = write_archive(tmp_path, [after, frame])
    made(plan(catalog), tmp_path / "first")
    write_archive(tmp_path, [after, frame, scene(rng, "B", "2021-04-30T23:59:55Z", "FAR")])
    with pytest.raises(InvalidInput, match="scene B belongs to an overpass that was counted in another month"):
        plan(catalog, update=tmp_path / "first")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"method": "nbr2"}, "another index"),
        ({"max_cloud_percent": 50.0}, "another limit of cloud cover, 80.0 instead of 50.0"),
        ({"boa_offset_dn": 0.0}, "another offset setting"),
        ({"crs": "EPSG:3035"}, r"another grid \(CRS\)"),
        (
            {"bbox": Bounds(*transform_bounds("EPSG:32632", "EPSG:4326", 600_090, 5_699_790, 600_190, 5_699_890))},
            "another grid",
        ),
        ({"start": datetime(2021, 3, 1, tzinfo=UTC)}, "scene S1 of .* is left out now, outside the period"),
    ],
)
def test_another_request_is_refused(tmp_path, more, message):
    catalog = write_archive(tmp_path, months(np.random.default_rng(27)))
    made(plan(catalog, end=END_OF_FIRST), tmp_path / "first")
    with pytest.raises(InvalidInput, match=message):
        plan(catalog, update=tmp_path / "first", **more)


def newer_baseline(rng: np.random.Generator, spec: SceneSpec) -> SceneSpec:
    return scene(rng, f"{spec.id}-N", spec.time, properties={"s2:processing_baseline": "05.00"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rng, specs: specs[1:], "scene S1 of .* is no longer in the archive"),
        (lambda rng, specs: [*specs, newer_baseline(rng, specs[0])], "scene S1 of .* older processing baseline"),
        (
            lambda rng, specs: [scene(rng, "S1", "2021-01-05T10:00:00Z", offset=-0.1), *specs[1:]],
            "scene S1 has changed",
        ),
        (
            lambda rng, specs: [
                scene(rng, "S1", "2021-01-05T10:00:00Z", properties={"platform": "sentinel-2b"}), *specs[1:]
            ],
            "scene S1 has changed",
        ),
        (
            lambda rng, specs: [
                scene(rng, "S1", "2021-01-05T10:00:00Z", properties={"eo:cloud_cover": 90.0}), *specs[1:]
            ],
            "scene S1 of .* is left out now, too cloudy",
        ),
        (lambda rng, specs: [*specs, scene(rng, "NEW", "2021-09-05T10:00:00Z", "E")], r"another grid \(shape\)"),
    ],
)  # fmt: skip
def test_an_archive_that_changed_is_refused(tmp_path, change: Callable, message):
    rng = np.random.default_rng(28)
    specs = months(rng, range(1, 5))
    catalog = write_archive(tmp_path, specs)
    made(plan(catalog), tmp_path / "first")
    write_archive(tmp_path, change(rng, specs))
    with pytest.raises(InvalidInput, match=message):
        plan(catalog, update=tmp_path / "first")


def test_what_is_no_index_product_is_refused(tmp_path):
    catalog = write_archive(tmp_path, months(np.random.default_rng(29), range(1, 3)))
    with pytest.raises(NotFound, match="no product"):
        plan(catalog, update=tmp_path / "nothing")
    made(plan_composite(CompositeRequest(source=str(catalog), threshold=0.2), Settings()), tmp_path / "composite")
    with pytest.raises(InvalidInput, match="kind composite"):
        plan(catalog, update=tmp_path / "composite")
    made(plan(catalog), tmp_path / "index")
    (tmp_path / "index" / "INDEX.tif").unlink()
    with pytest.raises(NotFound, match=r"lost its file INDEX\.tif"):
        plan(catalog, update=tmp_path / "index")


# What cannot be read


def damage(catalog: Path, name: str) -> bytes:
    path = catalog.parent / "s2" / name / "B08.tif"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return content


def test_too_many_broken_scenes_fail_and_a_mended_archive_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(composite_plan, "EDGES", (8,))
    catalog = write_archive(tmp_path, months(np.random.default_rng(30)))
    made(plan(catalog), tmp_path / "whole")
    content = damage(catalog, "S3")
    with pytest.raises(UnreadableScene, match="S3"):
        made(plan(catalog), tmp_path / "out")
    (catalog.parent / "s2" / "S3" / "B08.tif").write_bytes(content)
    made(plan(catalog), tmp_path / "out")
    assert_same_bytes(tmp_path / "whole", tmp_path / "out")


def test_a_product_that_lacks_scenes_says_so_and_cannot_be_updated(tmp_path):
    catalog = write_archive(tmp_path, months(np.random.default_rng(31)))
    damage(catalog, "S3")
    job = plan_index(
        IndexRequest(source=str(catalog), end=END_OF_FIRST), Settings(workers=1), Execution(max_broken_percent=20)
    )
    record = made(job, tmp_path / "first")
    assert record.id != job.id
    assert record.algorithm.parameters["unread"] == {"S3": 1}
    assert any("S3" in note for note in record.limitations)
    with pytest.raises(InvalidInput, match="lacks scenes that could not be read in all places: S3"):
        plan(catalog, update=tmp_path / "first")


def test_blocks_that_are_done_are_not_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(composite_plan, "EDGES", (8,))
    specs = months(np.random.default_rng(32))
    catalog = write_archive(tmp_path, specs)
    made(plan(catalog), tmp_path / "whole")

    class Interrupted(Silent):
        def step(self, title, total):
            if title == "Writing":
                raise KeyboardInterrupt
            return super().step(title, total)

    with pytest.raises(KeyboardInterrupt):
        deliver(plan(catalog), tmp_path / "out", None, Interrupted())
    spoil(catalog, specs)
    made(plan(catalog), tmp_path / "out")
    assert_same_bytes(tmp_path / "whole", tmp_path / "out")


def test_nothing_valid_is_an_error(tmp_path):
    spec = scene(np.random.default_rng(33), "S", "2021-01-05T10:00:00Z")
    spec.scl[:] = 9
    with pytest.raises(NoData, match="no cell has a valid observation"):
        made(plan(write_archive(tmp_path, [spec])), tmp_path / "out")


# The command, and real data


def test_command(tmp_path, monkeypatch):
    monkeypatch.setenv("CUP4SOIL_WORKERS", "1")
    catalog = write_archive(tmp_path, months(np.random.default_rng(34)))
    store = tmp_path / "store"

    def run(*options: str):
        return CliRunner().invoke(cli, ["index", str(catalog), *options, "--store", str(store), "--json"])

    first = run(str(tmp_path / "first"), "--end", "2021-04-30")
    assert first.exit_code == 0, first.output
    updated = run(str(tmp_path / "all"), "--update", str(tmp_path / "first"))
    assert updated.exit_code == 0, updated.output
    told = json.loads(updated.stdout)
    assert told["product"] == plan(catalog).id
    item = json.loads(next(Path(told["item"]).glob("index-*.json")).read_text())
    before = json.loads(first.stdout)["product"]
    assert f"../../bare-soil-index/{before}/{before}.json" in {
        each["href"] for each in item["links"] if each["rel"] == "derived_from"
    }
    again = run(str(tmp_path / "again"))
    assert json.loads(again.stdout)["made"] == "found, nothing was written"
    refused = run(str(tmp_path / "no"), "--update", str(tmp_path / "first"), "--max-cloud", "20")
    assert "another limit of cloud cover" in str(refused.exception)
    assert not (tmp_path / "no").exists()


def test_real_series_updated_from_its_first_year(shared_data, tmp_path):
    catalog = shared_data / "s2-flanders" / "catalog.json"
    made(plan(catalog), tmp_path / "whole")
    first = made(plan(catalog, end=datetime(2017, 12, 31, 23, 59, 59, tzinfo=UTC)), tmp_path / "first")
    job = plan(catalog, update=tmp_path / "first")
    assert job.scenes_to_read == len(job.scenes) - len(first.sources)
    assert made(job, tmp_path / "updated").id == read_record(tmp_path / "whole").id
    assert_same_bytes(tmp_path / "whole", tmp_path / "updated")
    asked = CompositeRequest(source=str(catalog), threshold=0.2065)
    made(plan_composite(asked, Settings(workers=1)), tmp_path / "composite")
    assert_same_bytes(tmp_path / "whole", tmp_path / "composite")
