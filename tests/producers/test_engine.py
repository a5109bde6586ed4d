"""The composite engine from archives to layers, against brute force from the raw files; blocks, memory, readings."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.transform import from_origin

from cup4soil.grids import Bounds
from cup4soil.methods.bare_tests import bare_test
from cup4soil.rasters.scenes import TileSizes
from cup4soil.settings import Settings
from producers import composite_plan
from producers.composite_plan import BlockPlan, plan_blocks
from tests.core import composite_oracle as oracle
from tests.producers.archives import SceneSpec, typical_scene, write_archive
from tests.producers.engine_runs import (
    assert_same_bytes,
    engine_layers,
    made,
    one_pass,
    placed,
    planned,
    raw_scene,
    warped,
)

ORIGIN = (600_000.0, 5_700_000.0)


def own_grid(spec: SceneSpec) -> GeoBox:
    return GeoBox(spec.scl.shape, from_origin(*spec.origin, 20, 20), spec.crs)


def day(i: int) -> str:
    return f"{2020 + i // 24}-{i // 2 % 12 + 1:02d}-{5 + 10 * (i % 2):02d}T10:00:00Z"


def months_of(specs: list[SceneSpec]) -> np.ndarray:
    return np.array([int(spec.time[5:7]) for spec in specs])


def archive_of(folder: Path, n: int, **more) -> tuple[Path, list[SceneSpec]]:
    specs = [typical_scene(np.random.default_rng(i), f"S{i:02d}", day(i), **more) for i in range(n)]
    return write_archive(folder, specs), specs


def raw_stack(catalog: Path, specs: list[SceneSpec]) -> np.ndarray:
    return np.array([raw_scene(catalog.parent / "s2" / spec.id, (spec.offset or 0.0) * 1e4) for spec in specs])


# Layers


@pytest.mark.parametrize("method", ["pvir2", "nbr2", "ndvi-nbr2", "barest-earth", "median"])
def test_every_layer_of_every_test_equals_brute_force(tmp_path, method):
    catalog, specs = archive_of(tmp_path, 14, shape=(14, 19))
    found = made(planned(catalog, method=method, threshold=0.22), tmp_path / "out")["all"]
    want = oracle.suite(raw_stack(catalog, specs), months_of(specs), 0.22, test=method)
    assert np.nanmax(want["SUSPECTS"]) > 0
    assert set(np.unique(want["MASK"])) >= {1, 2}
    # A geometric median is found by iteration, which ends where a step is shorter than a hundredth of a DN.
    oracle.assert_same_layers(found, want, wider={"SRC": 2.01} if method == "barest-earth" else None)


def test_two_zones_and_overlapping_granules_on_the_european_grid(tmp_path, monkeypatch):
    """Every scene warped once, by a warp of the test's own; the blocks' edges leave no trace."""
    x, y = Transformer.from_crs("EPSG:32632", "EPSG:32633", always_xy=True).transform(600_400, 5_699_600)
    east = {"crs": "EPSG:32633", "origin": (round(x / 20) * 20 - 300.0, round(y / 20) * 20 + 460.0)}
    rng = np.random.default_rng(2)
    groups = [
        [typical_scene(rng, "A0", "2021-03-05T10:00:00Z", (40, 33))],
        [
            typical_scene(rng, "B0", "2021-04-05T10:00:00Z", (40, 33)),
            typical_scene(rng, "B1", "2021-04-05T10:00:20Z", (40, 30), origin=(ORIGIN[0] + 460, ORIGIN[1] - 60)),
            typical_scene(rng, "B2", "2021-04-05T10:00:40Z", (44, 50), **east),
        ],
        [typical_scene(rng, "C0", "2021-04-15T10:00:00Z", (44, 50), offset=-0.1, **east)],
        [typical_scene(rng, "D0", "2021-05-05T10:00:00Z", (40, 33), offset=-0.1)],
        [typical_scene(rng, "E0", "2021-06-05T10:00:00Z", (44, 50), **east)],
        [typical_scene(rng, "F0", "2021-06-15T10:00:00Z", (40, 30), origin=(ORIGIN[0] + 460, ORIGIN[1] - 60))],
    ]
    specs = [spec for group in groups for spec in group]
    catalog = write_archive(tmp_path, specs)
    run = planned(catalog, threshold=0.4)
    assert str(run.geobox.crs) == "EPSG:3035"
    stacks = {spec.id: warped(raw_stack(catalog, [spec])[0], own_grid(spec), run.geobox) for spec in specs}
    stack = np.array([one_pass([stacks[spec.id] for spec in group]) for group in groups])
    seen = (~np.isnan(stack[:, 0])).sum(axis=0)
    assert seen.max() >= 5
    found = engine_layers(run, tmp_path / "one")["all"]
    want = oracle.suite(stack, np.array([3, 4, 4, 5, 6, 6]), 0.4)
    oracle.assert_same_layers(found, want, wider={"INDEX": 0.6})
    for edge in (23, 64):
        monkeypatch.setattr(composite_plan, "EDGES", (edge,))
        assert_same_bytes(engine_layers(planned(catalog, threshold=0.4), tmp_path / f"{edge}")["all"], found)


def test_neighbouring_blocks_see_warped_scenes_alike(tmp_path, monkeypatch):
    """Steep gradients, many cells, no clouds: a rounding that hangs on the block would show."""
    rng = np.random.default_rng(3)
    specs = [typical_scene(rng, f"S{i}", day(i), (110, 120)) for i in range(3)]
    for spec in specs:
        spec.scl[:] = 5
    catalog = write_archive(tmp_path, specs)
    found = []
    for edge in (256, 41):
        monkeypatch.setattr(composite_plan, "EDGES", (edge,))
        found.append(engine_layers(planned(catalog, crs="EPSG:3035"), tmp_path / f"{edge}")["all"])
    assert_same_bytes(*found)


def test_granules_of_one_pass_that_meet_with_different_offsets(tmp_path):
    """The border runs through the area; each side takes its own scene's offset, the overlap the first valid one's."""
    specs, groups = [], []
    rng = np.random.default_rng(4)
    for i in range(6):
        pair = [
            typical_scene(rng, f"S{i}W", day(i), (12, 16), offset=0.0 if i % 2 else -0.1),
            typical_scene(rng, f"S{i}E", day(i).replace("10:00:00", "10:00:14"), (12, 16),
                          origin=(ORIGIN[0] + 12 * 20, ORIGIN[1]), offset=-0.1 if i % 2 else 0.0),
        ]  # fmt: skip
        specs += pair
        groups.append(pair)
    catalog = write_archive(tmp_path, specs)
    run = planned(catalog)
    assert run.geobox.shape == (12, 28)
    stack = []
    for group in groups:
        # In the order of time and name: the western one first.
        stack.append(one_pass([placed(raw_stack(catalog, [s])[0], own_grid(s), run.geobox) for s in group]))
    want = oracle.suite(np.array(stack), months_of([group[0] for group in groups]), 0.2)
    oracle.assert_same_layers(engine_layers(run, tmp_path / "blocks")["all"], want)


@pytest.mark.parametrize(("away", "touched"), [(1, 5), (4, 2), (5, 1), (6, 0)])
def test_clouds_beyond_the_area_and_beyond_blocks_count(tmp_path, monkeypatch, away, touched):
    """A cloud ``away`` cells left of the area takes away that many of its columns, in blocks of any size."""
    rng = np.random.default_rng(5)
    specs = []
    for i in range(4):
        spec = typical_scene(rng, f"S{i}", day(i), (40, 40))
        spec.bands["B02"][:] = 500
        spec.scl[:] = 5
        spec.scl[20, 12 - away] = (3, 8, 9, 10)[i]
        specs.append(spec)
    catalog = write_archive(tmp_path, specs)
    left, top = ORIGIN[0] + 12 * 20, ORIGIN[1] - 4 * 20
    corners = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    west, south = corners.transform(left + 25, top - 25 * 20)
    east, north = corners.transform(left + 25 * 20, top - 25)
    found = []
    for edge in (512, 16, 7):
        monkeypatch.setattr(composite_plan, "EDGES", (edge,))
        run = planned(catalog, bbox=Bounds(west, south, east, north))
        start = round((run.geobox.affine.c - left) / 20)
        found.append(engine_layers(run, tmp_path / f"{edge}")["all"])
        # The row of the cloud; the area begins ``start`` columns further right.
        row = round((run.geobox.affine.f - (ORIGIN[1] - 20 * 20)) / 20)
        valid = found[-1]["SFREQ"][2, row]
        empty = max(0, touched - start)
        assert (valid[:empty] == -10_000).all()
        assert (valid[empty:] == 4).all()
    assert_same_bytes(found[0], found[1])
    assert_same_bytes(found[0], found[2])


def test_bands_of_the_index_that_are_missing_leave_an_observation_valid_but_never_bare(tmp_path):
    catalog, specs = archive_of(tmp_path, 9, shape=(10, 12))
    for i, spec in enumerate(specs):
        spec.bands["B12"][:5] = 0
        spec.bands["B11"][:, 4:9] = 0
        spec.bands["B08"][12:16] = 0
        specs[i] = spec
    catalog = write_archive(tmp_path / "gaps", specs)
    found = engine_layers(planned(catalog), tmp_path / "blocks")["all"]
    want = oracle.suite(raw_stack(catalog, specs), months_of(specs), 0.2)
    oracle.assert_same_layers(found, want)
    seen = found["SFREQ"][2] > 0
    for rows in (slice(0, 5), slice(6, 8)):
        assert (found["SFREQ"][1, rows][seen[rows]] == 0).all()
        assert (found["INDEX"][:, rows] == -32_768).all()
        assert (found["MASK"][0, rows][seen[rows]] == 2).all()
    assert (found["MREF"][8, :, 4:9] == -10_000).all()


@pytest.mark.parametrize(
    "kept",
    [("B02",), ("B02", "B04"), ("B02", "B12", "B08"), ("B02", "B08", "B04", "B12"), ("B02", "B05"), oracle.BANDS],
)
def test_what_is_kept_in_memory_changes_no_bit(tmp_path, kept):
    catalog, _ = archive_of(tmp_path, 19, shape=(21, 17))
    run = planned(catalog)
    usual = engine_layers(run, tmp_path / "usual")["all"]
    other = engine_layers(run, tmp_path / "other", blocks=BlockPlan(512, kept, 1.0, 0.0), threads=3)["all"]
    assert_same_bytes(usual, other)


@pytest.mark.parametrize("method", ["pvir2", "ndvi-nbr2", "barest-earth"])
def test_blocks_and_threads_change_no_bit(tmp_path, monkeypatch, method):
    """Blocks that no scene reaches are among them."""
    catalog, specs = archive_of(tmp_path, 7, shape=(20, 20))
    specs[3].origin = (ORIGIN[0] + 1000, ORIGIN[1] - 700)
    catalog = write_archive(tmp_path / "apart", specs)
    whole = engine_layers(planned(catalog, Settings(threads=1), method=method), tmp_path / "whole")["all"]
    monkeypatch.setattr(composite_plan, "EDGES", (17,))
    blocks = engine_layers(planned(catalog, Settings(threads=4), method=method), tmp_path / "blocks")["all"]
    assert (whole["SFREQ"][2] == -10_000).mean() > 0.5
    assert_same_bytes(whole, blocks)


# Memory


# What an earlier case leaves to its process a later one would take for its own: the largest has one to itself.
MEMORY_CASES = (
    ("pvir2 auto 1", "barest-earth auto 1", "pvir2 auto 9", "pvir2 EPSG:3035 1"),
    ("median EPSG:3035 1",),
)


@pytest.mark.parametrize("cases", MEMORY_CASES)
def test_memory_is_what_was_planned(tmp_path, cases):
    """Peaks of blocks in a process of its own, above what it takes before."""
    specs = [
        typical_scene(np.random.default_rng(i), f"S{i:02d}", day(i), (384, 384),
                      options={"tiled": True, "blockxsize": 128, "blockysize": 128})
        for i in range(2)
    ]  # fmt: skip
    catalog = write_archive(tmp_path, repeated(specs, 36))
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("block_memory.py")), str(catalog), *cases], cwd=root, check=True,
        env=os.environ | {"PYTHONPATH": str(root)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        found = json.loads(line)
        assert 0.6 < found["used"] / found["planned"] < 1.4, found
    assert len(done.stdout.splitlines()) == len(cases)


def repeated(specs: list[SceneSpec], n: int) -> list[SceneSpec]:
    """The same scenes on other days."""
    return [replace(specs[i % len(specs)], id=f"S{i:02d}", time=day(i)) for i in range(n)]


@pytest.mark.parametrize("method", ["pvir2", "nbr2", "median"])
@pytest.mark.parametrize("dates", [1, 60, 300, 1500])
@pytest.mark.parametrize("budget", [32, 256, 1024, 8192])
def test_plans_keep_to_their_budget(method, dates, budget):
    """Down to the smallest block; of plans within the budget none would read less."""
    test, tiles = bare_test(method), TileSizes(512, 512)
    plan = plan_blocks(dates, [dates], tiles, test, budget * 2**20, threads=2, aligned=True, largest=5490)
    assert plan.kept[0] == "B02"
    assert plan.bytes <= budget * 2**20 or plan.edge == min(composite_plan.EDGES)
    richer = plan_blocks(dates, [dates], tiles, test, 2 * budget * 2**20, threads=2, aligned=True, largest=5490)
    assert 1.0 <= richer.readings <= plan.readings
    warped_plan = plan_blocks(dates, [dates], tiles, test, budget * 2**20, threads=2, aligned=False, largest=5490)
    assert warped_plan.readings > plan.readings
    if test.statistic != "mean":
        assert set(plan.kept) == set(oracle.BANDS)
