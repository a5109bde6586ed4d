"""Writing and reading rasters, against rasterio."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin
from rio_cogeo.cogeo import cog_validate

from cup4soil.errors import InvalidRaster, NotFound, StoreError
from cup4soil.grids import Bounds, aligned_geobox, blocks
from cup4soil.products import Band, Layer
from cup4soil.rasters.encoding import decode, encode
from cup4soil.rasters.reading import raster_info, read_at_points, read_on_grid
from cup4soil.rasters.writing import LayerWriter

BOX = aligned_geobox(Bounds(460_000, 5_800_000, 474_000, 5_812_000), CRS("EPSG:32633"), 20)
LAYER = Layer(
    name="x", title="X", description="", file="x.tif", nodata=-32768, scale=0.1,
    bands=(Band(name="a", unit="g/kg"), Band(name="b", scale=1.0)),
)  # fmt: skip


def write(folder, layer=LAYER, box=BOX, seed=0):
    rng = np.random.default_rng(seed)
    stored = rng.integers(-100, 4000, (len(layer.bands), *box.shape)).astype(np.int16)
    stored[:, rng.random(box.shape) < 0.2] = layer.nodata
    with LayerWriter(folder, layer, box) as writer:
        for window in blocks(box.shape, 256):
            writer.write(window, stored[:, *window.slices])
    return stored, writer


def test_written_file_is_a_cog_with_everything_in_it(tmp_path):
    stored, writer = write(tmp_path)
    valid, errors, warnings = cog_validate(tmp_path / "x.tif", quiet=True)
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(tmp_path / "x.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), stored)
        assert dataset.crs.to_epsg() == 32633
        assert dataset.transform == BOX.affine
        assert dataset.descriptions == ("a", "b")
        assert dataset.scales == (0.1, 1.0)
        assert dataset.units[0] == "g/kg"
        assert dataset.nodata == -32768
        assert dataset.overviews(1)
    first = stored[0][stored[0] != -32768] * 0.1
    found = writer.layer.statistics
    assert found.mean == pytest.approx(first.mean(), abs=1e-5)
    assert found.stddev == pytest.approx(first.std(), abs=1e-4)
    assert (found.minimum, found.maximum) == pytest.approx((first.min(), first.max()))
    assert found.valid_percent == pytest.approx(100 * first.size / stored[0].size)
    assert [p.name for p in tmp_path.iterdir()] == ["x.tif"]


def test_same_content_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    assert (tmp_path / "one" / "x.tif").read_bytes() == (tmp_path / "two" / "x.tif").read_bytes()


def test_error_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), LayerWriter(tmp_path, LAYER, BOX):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="cannot write"), LayerWriter(tmp_path / "missing", LAYER, BOX):
        pytest.fail("must not begin")


def test_block_of_the_wrong_kind_is_refused(tmp_path):
    window = next(iter(blocks(BOX.shape, 16)))
    with pytest.raises(ValueError, match="expected"), LayerWriter(tmp_path, LAYER, BOX) as writer:
        writer.write(window, np.zeros((1, 16, 16), np.int16))


@given(arrays(np.float64, (5,), elements=st.floats(-3000, 3000) | st.just(np.nan)))
def test_encoding_keeps_values_to_half_a_step(values):
    back = decode(encode(values, LAYER), LAYER)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    np.testing.assert_allclose(back[~np.isnan(values)], values[~np.isnan(values)], atol=0.0502)


def test_encoding_never_makes_a_value_nodata():
    assert encode(np.array([-1e9, 1e9, np.nan]), LAYER).tolist() == [-32767, 32767, -32768]


def test_reading_scaled_on_its_own_grid_and_at_points(tmp_path):
    stored, _ = write(tmp_path)
    want = np.where(stored == -32768, np.nan, stored * np.array([0.1, 1.0])[:, None, None])
    np.testing.assert_allclose(read_on_grid(tmp_path / "x.tif", BOX), want, rtol=1e-6)
    x = np.array([460_010.0, 473_990.0, 459_999.0, 460_019.999])
    y = np.array([5_811_990.0, 5_800_010.0, 5_805_000.0, 5_811_980.001])
    points = read_at_points(tmp_path / "x.tif", x, y)
    np.testing.assert_allclose(points[:, 0], want[:, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(points[:, 1], want[:, -1, -1], rtol=1e-6)
    assert np.isnan(points[:, 2]).all()
    np.testing.assert_allclose(points[:, 3], want[:, 0, 0], rtol=1e-6)


def test_south_up_and_coarse_surfaces_are_read_rightly(tmp_path):
    """A plane in x and y, stored south-up at 1 km: bilinear reading gives the plane back."""
    n = 30
    west, south = 455_000.0, 5_790_000.0
    centre = (np.arange(n) + 0.5) * 1000
    plane = (south + centre)[:, None] * 1e-5 + (west + centre)[None, :] * 1e-6
    transform = rasterio.Affine(1000, 0, west, 0, 1000, south)
    with rasterio.open(
        tmp_path / "t.tif",
        "w",
        driver="GTiff",
        height=n,
        width=n,
        count=1,
        dtype="float64",
        crs="EPSG:32633",
        transform=transform,
    ) as dataset:
        dataset.write(plane, 1)
    found = read_on_grid(tmp_path / "t.tif", BOX)[0]
    x, y = BOX.affine.c + 20 * (np.arange(BOX.shape[1]) + 0.5), BOX.affine.f - 20 * (np.arange(BOX.shape[0]) + 0.5)
    np.testing.assert_allclose(found, y[:, None] * 1e-5 + x[None, :] * 1e-6, atol=1e-4)


def test_outside_a_raster_is_missing(tmp_path):
    write(tmp_path)
    far = GeoBox((4, 4), rasterio.Affine(20, 0, 100_000, 0, -20, 5_000_000), CRS("EPSG:32633"))
    assert np.isnan(read_on_grid(tmp_path / "x.tif", far)).all()


def test_rasters_that_cannot_be_used(tmp_path):
    with pytest.raises(NotFound, match="no raster"):
        raster_info(tmp_path / "none.tif")
    (tmp_path / "bad.tif").write_bytes(b"II*\0nonsense")
    with pytest.raises(InvalidRaster, match="cannot be"):
        raster_info(tmp_path / "bad.tif")
    with rasterio.open(
        tmp_path / "nocrs.tif",
        "w",
        driver="GTiff",
        height=2,
        width=2,
        count=1,
        dtype="uint8",
        transform=from_origin(5, 5, 1, 1),
    ) as dataset:
        dataset.write(np.ones((1, 2, 2), np.uint8))
    with pytest.raises(InvalidRaster, match="no CRS"):
        raster_info(tmp_path / "nocrs.tif")


def test_band_names(tmp_path):
    write(tmp_path)
    assert raster_info(tmp_path / "x.tif").names == ("a", "b")
    profile = {
        "driver": "GTiff",
        "height": 2,
        "width": 2,
        "dtype": "uint8",
        "crs": "EPSG:3035",
        "transform": from_origin(5, 5, 1, 1),
    }
    for name, count in (("one", 1), ("two", 2)):
        with rasterio.open(tmp_path / f"{name}.tif", "w", count=count, **profile) as dataset:
            dataset.write(np.ones((count, 2, 2), np.uint8))
    assert raster_info(tmp_path / "one.tif").names == ("one",)
    assert raster_info(tmp_path / "two.tif").names == ("two_1", "two_2")


def test_raster_without_nodata_is_missing_outside_its_edges(tmp_path):
    """Zeros there would be measured values to whoever reads on."""
    path = tmp_path / "small.tif"
    inner = BOX[2:6, 3:7]
    with rasterio.open(
        path, "w", driver="GTiff", height=4, width=4, count=1, dtype="float32", crs=str(BOX.crs), transform=inner.affine
    ) as dataset:
        dataset.write(np.full((4, 4), 7, np.float32), 1)
    found = read_on_grid(path, BOX)[0]
    want = np.full(BOX.shape, np.nan)
    want[2:6, 3:7] = 7.0
    np.testing.assert_array_equal(found, want)


_WRITE_UNDER_LIMITS = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from cup4soil.errors import StoreError
from cup4soil.grids import Window
from cup4soil.rasters.writing import LayerWriter
from tests.core.test_rasters import BOX, LAYER
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
shape = (len(LAYER.bands), *BOX.shape)
values = np.random.default_rng(0).integers(0, 300, shape).astype(LAYER.dtype)
def write(folder):
    folder.mkdir()
    with LayerWriter(folder, LAYER, BOX) as writer:
        writer.write(Window(0, 0, *BOX.shape), values)
    return (folder / LAYER.file).stat().st_size
root = Path(sys.argv[1])
size = write(root / "whole")
for step, missing in enumerate(range(1, 8000, 250)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - missing, resource.RLIM_INFINITY))
    folder = root / str(step)
    try:
        write(folder)
    except StoreError:
        print("told", len(list(folder.iterdir())))
    else:
        print("written")
"""


def test_file_that_the_disk_cuts_off_is_told_and_leaves_nothing(tmp_path):
    """The last bytes of a COG do not fit: GDAL alone closes many of these files without a word."""
    command = [sys.executable, "-B", "-c", _WRITE_UNDER_LIMITS, str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, timeout=120)
    assert done.stdout.split("\n")[:-1] == ["told 0"] * 32
