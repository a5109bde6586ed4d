"""The benchmarks compare like with like: on a tiny archive the peers compute what the engine computes."""

import numpy as np
import pytest
import rasterio

from benchmarks import composite_peers as peers
from benchmarks.archives import BANDS, ArchiveSpec, simulated_archive, thinned
from benchmarks.composite import THRESHOLD, run_engine
from benchmarks.composite_cost import draw, fitted
from cup4soil.settings import Settings

# Means of nothing, and what odc-stac calls in shapely and rasterio.
pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*shapely.ops.transform:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]
SPEC = ArchiveSpec(48, 16)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return simulated_archive(SPEC, tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="module")
def composite(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("composite") / "out"
    run_engine(archive, folder, Settings())
    return folder


@pytest.mark.parametrize("tuned", [False, True])
def test_xarray_composite_equals_the_engines(archive, composite, tuned):
    layers = peers.xarray_composite(archive, 2, THRESHOLD, tuned=tuned)
    assert 0.05 < np.isfinite(layers["SRC"]).mean() < 0.95
    assert len(np.unique(layers["MASK"])) > 2
    for name, (gaps, largest) in peers.differences(composite, layers).items():
        assert gaps == 0, name
        assert largest < 0.501, name


def test_differences_are_seen(archive, composite):
    layers = peers.xarray_composite(archive, 2, THRESHOLD + 0.2, tuned=True)
    gaps, largest = peers.differences(composite, layers)["SFREQ"]
    assert gaps or largest > 1


def test_floor_reads_every_byte(archive):
    files = peers.files_of(archive)
    assert len(files) == SPEC.dates * (len(BANDS) + 1)
    assert peers.read_floor(files, 2) == SPEC.decoded_bytes


def test_cube_for_the_geometric_median_is_the_masked_stack(archive):
    cube = peers.load_cube(archive, 2)
    stack = peers.masked_stack(peers.items_of(archive), 512, tuned=False).transpose("y", "x", "band", "time")
    np.testing.assert_allclose(cube, stack.values, rtol=1e-6)
    pytest.importorskip("geomad", reason="geomad is not installed")
    median = peers.geometric_median(cube, 2)
    nearest = np.nanmin(cube, axis=3), np.nanmax(cube, axis=3)
    seen = ~np.isnan(median)
    assert (median[seen] >= nearest[0][seen] - 1).all()
    assert (median[seen] <= nearest[1][seen] + 1).all()


def test_archives_are_drawn_from_their_seed_and_kept(tmp_path):
    first, second = (simulated_archive(ArchiveSpec(32, 2), tmp_path / name) for name in ("a", "b"))
    for path in first.parent.rglob("*.tif"):
        assert path.read_bytes() == (second.parent / path.relative_to(first.parent)).read_bytes()
    written = first.stat().st_mtime_ns
    assert simulated_archive(ArchiveSpec(32, 2), tmp_path / "a").stat().st_mtime_ns == written


def test_repeated_dates_take_no_bytes(tmp_path):
    catalog = simulated_archive(ArchiveSpec(32, 6, distinct=2), tmp_path)
    assert len({path.stat().st_ino for path in catalog.parent.rglob("B02.tif")}) == 2
    assert [len(peers.items_of(thinned(catalog, every))) for every in (1, 2, 3)] == [6, 3, 2]


def test_archive_deflates_as_reflectance_does(tmp_path):
    catalog = simulated_archive(ArchiveSpec(512, 2), tmp_path)
    path = next(catalog.parent.rglob("B04.tif"))
    with rasterio.open(path) as dataset:
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.compression.name == "deflate"
        decoded = dataset.read(1).nbytes
    assert 1.2 < decoded / path.stat().st_size < 2.0


def test_line_of_the_costs(tmp_path):
    seconds = {30.0: 1.6, 60.0: 3.1, 120.0: 6.1, 240.0: 12.1}
    line = fitted(seconds)
    np.testing.assert_allclose([line.start, line.slope, line.fit], [0.1, 0.05, 1.0])
    for name in ("a.svg", "b.svg"):
        draw(seconds, line, "dates", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert fitted({1.0: 1.0, 2.0: 4.0, 3.0: 9.0}).fit < 0.99
