"""Composites from whole archives against brute force from the raw files."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform_bounds, transform_geom
from scipy import ndimage

from cup4soil.errors import (
    InvalidArea,
    InvalidInput,
    InvalidRaster,
    LicenceConflict,
    LimitExceeded,
    MissingOffset,
    NoData,
    NotFound,
)
from cup4soil.grids import Bounds
from cup4soil.progress import Silent
from cup4soil.settings import Settings
from producers import composite_plan
from producers.composite import CompositeJob, plan_composite
from producers.composite_request import CompositeRequest
from tests.core.test_composite import oracle_pixel
from tests.producers.archives import TEN_METRES, random_scene, write_archive
from tests.producers.engine_runs import raw_scene

SUITE = ("SRC", "SRC-STD", "SRC-CI95", "MREF", "MREF-STD", "SFREQ", "SFREQ-MONTHLY", "MASK")


def expected(stack, months, threshold, land_cover=None):
    """The suite in stored integers as floats (nodata -10000), by the oracle of the block."""
    _, _, rows, cols = stack.shape
    out = {
        name: np.full((n, rows, cols), -10_000.0) for name, n in zip(SUITE, (10, 10, 10, 10, 10, 3, 12, 1), strict=True)
    }
    keys = {"SRC": "src", "SRC-STD": "src_std", "SRC-CI95": "src_ci95", "MREF": "mref", "MREF-STD": "mref_std"}
    for row in range(rows):
        for col in range(cols):
            want = oracle_pixel(
                stack[:, :, row, col], months, threshold, None if land_cover is None else land_cover[row, col]
            )
            for name, key in keys.items():
                out[name][:, row, col] = np.where(np.isnan(want[key]), -10_000, want[key])
            if want["vpc"]:
                out["SFREQ"][:, row, col] = [want["bsf"] * 1e4, want["bsc"], want["vpc"]]
            monthly = np.array(want["monthly"])
            out["SFREQ-MONTHLY"][:, row, col] = np.where(np.isnan(monthly), -10_000, monthly * 1e4)
            out["MASK"][0, row, col] = want["mask"]
    return out


def made(job: CompositeJob, folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    record = job.run(folder, Silent())
    return record, {name: rasterio.open(folder / f"{name}.tif").read() for name in SUITE}


def assert_same_suite(found, want, tolerance=0.5001):
    """Equal up to rounding to the integers of the file."""
    for name in SUITE:
        assert found[name].dtype == np.int16
        np.testing.assert_array_equal(found[name] == -10_000, want[name] == -10_000, err_msg=name)
        np.testing.assert_allclose(found[name], want[name], atol=tolerance, rtol=0, err_msg=name)


def request(source: Path, **more) -> CompositeRequest:
    return CompositeRequest(source=str(source), **({"threshold": 0.2} | more))


def test_real_series_equals_brute_force(shared_data, tmp_path):
    source = shared_data / "s2-flanders" / "catalog.json"
    job = plan_composite(request(source, threshold=0.2065), Settings())
    record, found = made(job, tmp_path / "out")
    items = list(pystac.Catalog.from_file(str(source)).get_items(recursive=True))
    used = [i for i in items if i.properties["eo:cloud_cover"] <= 80 and i.properties["view:sun_elevation"] >= 20]
    stack = np.array([raw_scene(Path(item.get_self_href()).parent, 0.0) for item in used])
    months = np.array([item.datetime.month for item in used])
    assert_same_suite(found, expected(stack, months, 0.2065))
    assert len(record.sources) == len(used)


def test_real_series_is_bare_on_cropland_far_more_often_than_on_grassland(shared_data, tmp_path):
    job = plan_composite(request(shared_data / "s2-flanders" / "catalog.json", threshold=0.2065), Settings())
    _, found = made(job, tmp_path / "out")
    labels = rasterio.open(shared_data / "s2-flanders" / "reference_lc.tif").read(1)[::2, ::2]
    frequency = found["SFREQ"][0] / 1e4
    assert frequency[labels == 11].mean() > 10 * frequency[labels == 13].mean()


def forms(rng, offset_of_later):
    """Scenes of two years whose archive names bands and offsets in every known way."""
    old = {"s2:processing_baseline": "03.01"}
    new = {"s2:processing_baseline": "05.09"}
    return [
        random_scene(rng, "A", "2021-03-01T10:00:00Z", properties=old, offset=None),
        random_scene(rng, "B", "2021-03-11T10:00:00Z", naming="common"),
        random_scene(rng, "C", "2021-05-01T10:00:00Z", naming="suffixed", offset_form="bands"),
        random_scene(rng, "D", "2022-03-01T10:00:00Z", naming="opaque", offset=-0.1, offset_form="raster:bands",
                     properties=new),
        random_scene(rng, "E", "2022-04-01T10:00:00Z", naming="common", offset=-0.1, properties=new),
        random_scene(rng, "F", "2022-05-01T10:00:00Z", offset=-0.1, offset_form="bands", properties=new),
    ]  # fmt: skip


def test_mixed_names_and_offsets(tmp_path):
    specs = forms(np.random.default_rng(5), -0.1)
    catalog = write_archive(tmp_path, specs)
    job = plan_composite(request(catalog), Settings())
    _, found = made(job, tmp_path / "out")
    stack = np.array([raw_scene(catalog.parent / "s2" / s.id, (s.offset or 0.0) * 1e4) for s in specs])
    assert_same_suite(found, expected(stack, np.array([int(s.time[5:7]) for s in specs]), 0.2))
    offsets = {s.title: s.properties["boa_offset_dn"] for s in job.sources}
    assert offsets == {"A": 0.0, "B": 0.0, "C": 0.0, "D": -1000.0, "E": -1000.0, "F": -1000.0}
    assert {s.properties["boa_offset_from"] for s in job.sources} == {"processing baseline", "asset"}


def test_block_borders_leave_no_seam(tmp_path, monkeypatch):
    rng = np.random.default_rng(6)
    specs = [random_scene(rng, f"S{i:02d}", f"2021-{i + 1:02d}-05T10:00:00Z", size=48) for i in range(8)]
    catalog = write_archive(tmp_path, specs)
    _, whole = made(plan_composite(request(catalog), Settings()), tmp_path / "whole")
    monkeypatch.setattr(composite_plan, "EDGES", (7,))
    _, blocks = made(plan_composite(request(catalog), Settings()), tmp_path / "blocks")
    for name in SUITE:
        np.testing.assert_array_equal(whole[name], blocks[name])
    assert (tmp_path / "whole" / "SRC.tif").read_bytes() == (tmp_path / "blocks" / "SRC.tif").read_bytes()


def test_area_cuts_the_same_pixels(tmp_path):
    rng = np.random.default_rng(7)
    catalog = write_archive(tmp_path, [random_scene(rng, f"S{i}", f"2021-0{i + 1}-05T10:00:00Z") for i in range(6)])
    _, whole = made(plan_composite(request(catalog), Settings()), tmp_path / "whole")
    job = plan_composite(
        request(
            catalog, bbox=Bounds(*transform_bounds("EPSG:32632", "EPSG:4326", 600_090, 5_699_790, 600_190, 5_699_890))
        ),
        Settings(),
    )
    _, part = made(job, tmp_path / "part")
    left, _, _, top = job.geobox.boundingbox.bbox
    col, row = round((left - 600_000) / 20), round((5_700_000 - top) / 20)
    height, width = job.geobox.shape
    assert 0 < height < 16
    assert 0 < width < 16
    for name in SUITE:
        np.testing.assert_array_equal(part[name], whole[name][:, row : row + height, col : col + width])


def test_polygon_leaves_cells_outside_empty(tmp_path):
    rng = np.random.default_rng(8)
    catalog = write_archive(tmp_path, [random_scene(rng, f"S{i}", f"2021-0{i + 1}-05T10:00:00Z") for i in range(5)])
    ring = [[600_000, 5_699_680], [600_320, 5_699_680], [600_000, 5_700_000], [600_000, 5_699_680]]
    triangle = transform_geom("EPSG:32632", "EPSG:4326", {"type": "Polygon", "coordinates": [ring]}, precision=9)
    (tmp_path / "aoi.geojson").write_text(json.dumps(triangle))
    job = plan_composite(request(catalog, aoi=tmp_path / "aoi.geojson"), Settings())
    _, found = made(job, tmp_path / "out")
    rows, cols = job.geobox.shape
    xs = job.geobox.affine.c + 20 * (np.arange(cols) + 0.5)
    ys = job.geobox.affine.f - 20 * (np.arange(rows) + 0.5)
    inside = shapely.contains_xy(shapely.Polygon(ring), *np.meshgrid(xs, ys))
    on_edge = np.abs(np.add.outer(ys - 5_699_680, xs - 600_000) - 320) < 1
    np.testing.assert_array_equal((found["MASK"][0] != -10_000)[~on_edge], inside[~on_edge])


def test_overlapping_granules_of_one_pass_count_once(tmp_path):
    rng = np.random.default_rng(9)
    first = random_scene(rng, "T1", "2021-04-05T10:00:00Z", properties={"grid:code": "MGRS-32UNB"})
    second = random_scene(
        rng, "T2", "2021-04-05T10:00:14Z", origin=(600_160.0, 5_700_000.0), properties={"grid:code": "MGRS-32UPB"}
    )
    catalog = write_archive(tmp_path, [first, second])
    job = plan_composite(request(catalog), Settings())
    assert len(job.selection.overpasses) == 1
    _, found = made(job, tmp_path / "out")
    assert found["SFREQ"][2].max() == 1
    a, b = (raw_scene(catalog.parent / "s2" / name, 0.0) for name in ("T1", "T2"))
    merged = np.full((10, 16, 24), np.nan)
    merged[:, :, 8:] = b
    merged[:, :, :16] = np.where(np.isnan(a[0]), merged[:, :, :16], a)
    assert_same_suite(found, expected(merged[np.newaxis], np.array([4]), 0.2))


def test_newest_baseline_of_a_datatake_wins(tmp_path):
    rng = np.random.default_rng(10)

    def named(base: str) -> dict[str, str]:
        datatake = f"GS2A_20210405T100000_030000_N{base}"
        return {"s2:datatake_id": datatake, "grid:code": "MGRS-32UNB", "s2:processing_baseline": base}

    bases = ("02.14", "05.00", "03.01")
    specs = [random_scene(rng, f"S-{base}", "2021-04-05T10:00:00Z", properties=named(base)) for base in bases]
    job = plan_composite(request(write_archive(tmp_path, specs)), Settings())
    assert [scene.id for scene in job.selection.scenes] == ["S-05.00"]
    assert {str(r).split(":")[0] for r in job.selection.rejected.values()} == {"older processing baseline"}


def test_two_utm_zones_meet_on_the_european_grid(tmp_path):
    rng = np.random.default_rng(11)
    west = random_scene(rng, "W", "2021-04-05T10:00:00Z", size=24)
    # The same ground from zone 33: about 12 degrees east lies in both.
    east = random_scene(rng, "E", "2021-05-05T10:00:00Z", size=24, crs="EPSG:32633", origin=(183_500.0, 5_706_500.0))
    job = plan_composite(request(write_archive(tmp_path, [west, east])), Settings())
    assert job.geobox.crs == "EPSG:3035"
    assert job.geobox.affine.c % 20 == 0
    assert job.geobox.affine.f % 20 == 0


def test_warped_composite_lies_where_the_scenes_lie(tmp_path):
    rng = np.random.default_rng(12)
    scene = random_scene(rng, "W", "2021-04-05T10:00:00Z", size=40)
    smooth = np.add.outer(np.arange(40) * 20, np.arange(40) * 35) + 300
    scene.bands = {
        b: np.repeat(np.repeat(smooth, 2, 0), 2, 1).astype(np.uint16) if b in TEN_METRES else smooth.astype(np.uint16)
        for b in scene.bands
    }
    scene.scl[:] = 5
    catalog = write_archive(tmp_path, [scene])
    job = plan_composite(request(catalog, crs="EPSG:3035"), Settings())
    _, found = made(job, tmp_path / "out")
    with rasterio.open(catalog.parent / "s2" / "W" / "B05.tif") as source:
        want = np.full(job.geobox.shape, np.nan)
        reproject(rasterio.band(source, 1), want, dst_transform=job.geobox.affine, dst_crs="EPSG:3035",
                  src_nodata=0, dst_nodata=np.nan, resampling=Resampling.bilinear)  # fmt: skip
    values = found["MREF"][3].astype(float)
    both = (values != -10_000) & ~np.isnan(want)
    inner = ndimage.binary_erosion(both, iterations=2)
    assert inner.sum() > 900
    assert np.abs(values - want)[inner].max() < 2.0


def test_land_cover_and_threshold_surface(tmp_path):
    rng = np.random.default_rng(13)
    catalog = write_archive(
        tmp_path, [random_scene(rng, f"S{i:02d}", f"2021-{i + 1:02d}-05T10:00:00Z") for i in range(10)]
    )
    cover = rng.choice([10, 40, 50, 80, 90], (16, 16)).astype(np.uint8)
    transform = rasterio.transform.from_origin(600_000, 5_700_000, 20, 20)
    profile = {"driver": "GTiff", "height": 16, "width": 16, "count": 1, "crs": "EPSG:32632", "transform": transform}
    with rasterio.open(tmp_path / "cover.tif", "w", dtype="uint8", **profile) as dataset:
        dataset.write(cover, 1)
    with rasterio.open(tmp_path / "t.tif", "w", dtype="float32", **profile) as dataset:
        dataset.write(np.full((16, 16), 0.2, np.float32), 1)
    job = plan_composite(request(catalog, land_cover=tmp_path / "cover.tif", threshold=tmp_path / "t.tif"), Settings())
    _, found = made(job, tmp_path / "out")
    stack = np.array([raw_scene(catalog.parent / "s2" / f"S{i:02d}", 0.0) for i in range(10)])
    assert_same_suite(found, expected(stack, np.arange(1, 11), float(np.float32(0.2)), cover))
    assert {s.role for s in job.sources} == {"scene", "threshold", "land-cover"}


def test_identity_depends_on_what_decides_the_result_only(tmp_path):
    rng = np.random.default_rng(14)
    specs = [random_scene(rng, f"S{i}", f"2021-0{i + 1}-05T10:00:00Z") for i in range(3)]
    here, there = (write_archive(tmp_path / name, specs) for name in ("here", "there"))
    one = plan_composite(request(here), Settings())
    assert one.id == plan_composite(request(there), Settings(threads=1, block_memory_mib=64)).id
    assert one.id != plan_composite(request(here, threshold=0.3), Settings()).id
    assert one.id != plan_composite(request(here, boa_offset_dn=-1000.0), Settings()).id


def test_period_and_cloud_cover(tmp_path):
    rng = np.random.default_rng(15)
    specs = [
        random_scene(rng, f"S{i}", f"2021-0{i + 1}-05T10:00:00Z", properties={"eo:cloud_cover": 15.0 * i})
        for i in range(7)
    ]
    specs.append(random_scene(rng, "LOW", "2021-03-06T10:00:00Z", properties={"view:sun_elevation": 19.9}))
    catalog = write_archive(tmp_path, specs)
    job = plan_composite(request(catalog, start=datetime(2021, 2, 1, tzinfo=UTC)), Settings())
    assert [s.id for s in job.selection.scenes] == ["S1", "S2", "S3", "S4", "S5"]
    reasons = {scene: why.reason for scene, why in job.selection.rejected.items()}
    assert reasons == {"S0": "outside the period", "S6": "too cloudy", "LOW": "sun too low"}


# What goes wrong


def test_unknown_offset_is_an_error_that_says_what_to_set(tmp_path):
    spec = random_scene(
        np.random.default_rng(0),
        "X",
        "2023-03-01T10:00:00Z",
        offset=None,
        properties={"s2:processing_baseline": "05.09"},
    )
    catalog = write_archive(tmp_path, [spec])
    with pytest.raises(MissingOffset, match="--boa-offset"):
        plan_composite(request(catalog), Settings())
    assert (
        plan_composite(request(catalog, boa_offset_dn=-1000.0), Settings())
        .selection.scenes[0]
        .scalings["B02"]
        .offset_dn
        == -1000.0
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"resolution_m": 30.0}, InvalidInput, "--resolution 20"),
        ({"threshold": 2065.0}, InvalidInput, "outside the index's range"),
        ({"threshold": Path("missing.tif")}, NotFound, "missing.tif"),
        ({"crs": "EPSG:4326"}, InvalidInput, "in metres"),
        ({"crs": "EPSG:999999"}, InvalidInput, "no coordinate reference system"),
        ({"tile": "0029-0048"}, InvalidInput, "no tile"),
        ({"tile": "0042-0030", "bbox": Bounds(0, 0, 1, 1)}, InvalidInput, "more than one area"),
        ({"bbox": Bounds(120, 10, 121, 11)}, NoData, "outside the area"),
        ({"start": datetime(2030, 1, 1, tzinfo=UTC)}, NoData, "outside the period"),
        ({"start": datetime(2022, 1, 1, tzinfo=UTC), "end": datetime(2021, 1, 1, tzinfo=UTC)}, InvalidInput, "swap"),
        ({"max_cloud_percent": 1.0}, NoData, "too cloudy"),
        ({"aoi": Path("missing.geojson")}, NotFound, "missing.geojson"),
        ({"source": Path("missing.json")}, NotFound, "missing.json"),
    ],
)
def test_bad_requests(tmp_path, change, error, message):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    asked = request(**({"source": catalog} | change))
    with pytest.raises(error, match=message):
        plan_composite(asked, Settings())


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        (
            [[[10.444, 51.440], [10.448, 51.442], [10.448, 51.440], [10.444, 51.442], [10.444, 51.440]]],
            "Self-intersection",
        ),
        ([[[179.0, 51.0], [-179.0, 51.0], [-179.0, 52.0], [179.0, 52.0], [179.0, 51.0]]], "antimeridian"),
        ([[[179.0, 51.0], [181.0, 51.0], [181.0, 52.0], [179.0, 52.0], [179.0, 51.0]]], "antimeridian"),
        ([[[10.0, 51.0], [11.0, 51.0], [12.0, 51.0], [10.0, 51.0]]], "polygon|extent"),
    ],
)
def test_bad_areas(tmp_path, coordinates, message):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    area = tmp_path / "a.geojson"
    area.write_text(f'{{"type":"Polygon","coordinates":{coordinates}}}')
    with pytest.raises(InvalidArea, match=message):
        plan_composite(request(catalog, aoi=area), Settings())


def test_grid_above_the_limit(tmp_path):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    with pytest.raises(LimitExceeded, match="limit of 100"):
        plan_composite(request(catalog), Settings(max_cells=100))


def test_no_valid_observation_writes_nothing(tmp_path):
    spec = random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")
    spec.scl[:] = 9
    job = plan_composite(request(write_archive(tmp_path, [spec])), Settings())
    (tmp_path / "out").mkdir()
    with pytest.raises(NoData, match="no cell has a valid observation"):
        job.run(tmp_path / "out", Silent())


def test_damaged_scene_is_named(tmp_path):
    rng = np.random.default_rng(0)
    catalog = write_archive(tmp_path, [random_scene(rng, f"S{i}", f"2021-0{i + 1}-05T10:00:00Z") for i in range(3)])
    (catalog.parent / "s2" / "S1" / "B11.tif").write_bytes(b"no raster")
    job = plan_composite(request(catalog), Settings())
    (tmp_path / "out").mkdir()
    with pytest.raises(InvalidRaster, match="scene S1"):
        job.run(tmp_path / "out", Silent())


def test_missing_band_and_missing_file(tmp_path):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    (catalog.parent / "s2" / "X" / "B11.tif").unlink()
    with pytest.raises(NotFound, match=r"B11\.tif"):
        plan_composite(request(catalog), Settings())
    item = catalog.parent / "s2" / "X" / "X.json"
    item.write_text(item.read_text().replace("B11", "B99").replace("swir16", "other"))
    with pytest.raises(NotFound, match="no asset for band B11"):
        plan_composite(request(catalog), Settings())


@pytest.mark.parametrize("href", ["<VRTDataset/>", "/vsizip/x.zip/B.tif", "file:///etc/passwd", "ftp://h/x.tif"])
def test_hrefs_that_are_no_files_of_the_archive_are_refused(tmp_path, href):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    item = catalog.parent / "s2" / "X" / "X.json"
    item.write_text(item.read_text().replace("./B11.tif", href))
    with pytest.raises((InvalidInput, NotFound)):
        plan_composite(request(catalog), Settings())


def test_empty_catalog(tmp_path):
    with pytest.raises(NoData, match="holds no scene"):
        plan_composite(request(write_archive(tmp_path, [])), Settings())
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InvalidInput, match="cannot be read as STAC"):
        plan_composite(request(tmp_path / "bad.json"), Settings())


# What a review found


def test_setting_of_the_offset_spares_older_baselines(tmp_path):
    """An archive of several baselines that states no offset can be processed with one setting."""
    rng = np.random.default_rng(50)
    old = random_scene(rng, "A", "2021-03-01T10:00:00Z", offset=None, properties={"s2:processing_baseline": "02.14"})
    new = random_scene(rng, "B", "2022-03-01T10:00:00Z", offset=None, properties={"s2:processing_baseline": "04.00"})
    job = plan_composite(request(write_archive(tmp_path, [old, new]), boa_offset_dn=-1000.0), Settings())
    assert {s.id: s.scalings["B02"].offset_dn for s in job.selection.scenes} == {"A": 0.0, "B": -1000.0}


def test_granule_in_two_parts_of_one_baseline_keeps_both(tmp_path):
    rng = np.random.default_rng(51)
    same = {"s2:datatake_id": "GS2A_1_2_N05.00", "grid:code": "MGRS-32UNB", "s2:processing_baseline": "05.00"}
    parts = [random_scene(rng, f"S_{i}", "2021-04-05T10:00:00Z", properties=same) for i in (0, 1)]
    job = plan_composite(request(write_archive(tmp_path, parts)), Settings())
    assert [s.id for s in job.selection.overpasses[0].scenes] == ["S_0", "S_1"]
    assert job.selection.rejected == {}


def test_shifted_scenes_are_said_to_be_warped(tmp_path):
    rng = np.random.default_rng(52)
    for name, shift, word in (("on", 0.0, "none"), ("off", 10.0, "warped once")):
        origin = (600_000.0 + shift, 5_700_000.0)
        catalog = write_archive(tmp_path / name, [random_scene(rng, "S", "2021-04-05T10:00:00Z", origin=origin)])
        made(plan_composite(request(catalog), Settings()), tmp_path / name / "out")
        assert word in json.loads((tmp_path / name / "out" / "lineage.json").read_text())["warping"]


@pytest.mark.parametrize("crs", ["EPSG:2263", "EPSG:4326"])
def test_only_metres(tmp_path, crs):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    with pytest.raises(InvalidInput, match="in metres"):
        plan_composite(request(catalog, crs=crs), Settings())


def surface(path: Path, values: np.ndarray, nodata: float | None = None) -> Path:
    transform = rasterio.transform.from_origin(600_000, 5_700_000, 20, 20)
    with rasterio.open(
        path, "w", driver="GTiff", height=16, width=16, count=1, crs="EPSG:32632", transform=transform,
        dtype=values.dtype, nodata=nodata,
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    return path


def test_surfaces_that_hold_something_else(tmp_path):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    scaled = surface(tmp_path / "t.tif", np.full((16, 16), 2065, np.int16))
    crops = surface(tmp_path / "c.tif", np.full((16, 16), 1200, np.int16))
    for change, message in (({"threshold": scaled}, "range"), ({"land_cover": crops}, "WorldCover")):
        with pytest.raises(InvalidRaster, match=message):
            made(plan_composite(request(catalog, **change), Settings()), tmp_path / "out")


@pytest.mark.parametrize("nodata", [None, 0])
def test_code_0_of_land_cover_is_a_class_even_as_nodata(tmp_path, nodata):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    codes = np.where(np.arange(16) < 8, 0, 40).astype(np.uint8)[np.newaxis].repeat(16, axis=0)
    cover = surface(tmp_path / "c.tif", codes, nodata)
    _, found = made(plan_composite(request(catalog, land_cover=cover), Settings()), tmp_path / "out")
    assert (found["MASK"][0][:, :8] == 3).all()
    assert (found["MASK"][0][:, 8:] != 3).all()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"coordinates": [[[', '"coordinates": ["x", [['),
        ('"proj:transform": [20.0', '"proj:transform": ["twenty"'),
        ('"raster:scale": 0.0001', '"raster:scale": "abc"'),
        ('"bands": [{', '"bands": ["abc", {'),
    ],
)
def test_items_that_are_odd_are_named(tmp_path, old, new):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    item = catalog.parent / "s2" / "X" / "X.json"
    assert old in item.read_text()
    item.write_text(item.read_text().replace(old, new))
    with pytest.raises((InvalidInput, NotFound), match="X"):
        plan_composite(request(catalog), Settings())


def test_catalog_that_links_to_itself(tmp_path):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    document = json.loads(catalog.read_text())
    document["links"].append({"rel": "child", "href": "./catalog.json"})
    catalog.write_text(json.dumps(document))
    with pytest.raises(InvalidInput, match="cannot be read as STAC"):
        plan_composite(request(catalog), Settings())


@pytest.mark.parametrize(
    ("licence", "expected"), [("proprietary", "CC-BY-NC-SA-4.0"), ("CC-BY-SA-4.0", "CC-BY-SA-4.0")]
)
def test_licence_of_the_scenes_is_followed(tmp_path, licence, expected):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    collection = catalog.parent / "s2" / "collection.json"
    collection.write_text(collection.read_text().replace('"license": "other"', f'"license": "{licence}"'))
    record, _ = made(plan_composite(request(catalog), Settings()), tmp_path / "out")
    assert record.licence == expected


def test_licence_that_nobody_knows_is_refused(tmp_path):
    catalog = write_archive(tmp_path, [random_scene(np.random.default_rng(0), "X", "2021-03-01T10:00:00Z")])
    collection = catalog.parent / "s2" / "collection.json"
    collection.write_text(collection.read_text().replace('"license": "other"', '"license": "ODbL-1.0"'))
    with pytest.raises(LicenceConflict, match=r"ODbL-1\.0"):
        plan_composite(request(catalog), Settings())
