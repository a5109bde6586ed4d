"""The reader against rasterio, numpy and brute force."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.warp import reproject
from rasterio.windows import Window

from cup4soil.errors import InvalidInput, LimitExceeded, NoData, NotFound, StoreError
from cup4soil.rasters.coverage import Handles
from cup4soil.settings import Settings
from processors import coverage_reader
from processors.coverage_catalog import CoverageCatalog
from processors.coverage_grid import Limits
from processors.coverage_query import CoverageQuery, parse_query
from processors.coverage_reader import Answer, CoverageReader
from processors.coverage_settings import CoverageSettings, limits_of
from stac_catalog.store import Store
from tests.processors.coverages import worlds
from tests.processors.coverages.conftest import COLLECTION, LEFT, TOP, World

_ROWS, _COLS = st.integers(-60, 850), st.integers(-60, 1150)


def _read(reader: CoverageReader, **parameters: str) -> Answer:
    pairs = [(name.replace("_", "-"), value) for name, value in parameters.items()]
    return reader.read(COLLECTION, parse_query(pairs))


@settings(max_examples=60)
@given(rows=st.tuples(_ROWS, _ROWS), cols=st.tuples(_COLS, _COLS), slip=st.floats(-0.49, 0.49))
def test_any_box_is_the_window_of_the_mosaic(
    world: World, reader: CoverageReader, rows: tuple[int, int], cols: tuple[int, int], slip: float
) -> None:
    (top, bottom), (left, right) = sorted(rows), sorted(cols)
    bottom, right = bottom + 1, right + 1
    # Edges inside cells: the whole cells belong to the answer.
    south, north = TOP - (bottom - abs(slip)) * 20, TOP - (top + abs(slip)) * 20
    west, east = LEFT + (left + abs(slip)) * 20, LEFT + (right - abs(slip)) * 20
    expected = world.mosaic[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    box = {"bbox": f"{south},{west},{north},{east}", "bbox_crs": "EPSG:3035", "properties": "mean"}
    if expected.size == 0:
        with pytest.raises(NoData, match="outside"):
            _read(reader, **box)
        return
    answer = _read(reader, **box)
    np.testing.assert_array_equal(answer.values[0], expected)
    assert answer.grid.affine @ (0, 0) == (LEFT + max(0, left) * 20, TOP - max(0, top) * 20)


@settings(max_examples=30)
@given(row=st.integers(0, 500), col=st.integers(0, 400), height=st.integers(1, 99), width=st.integers(1, 99))
def test_pixels_are_those_of_the_file(
    world: World, reader: CoverageReader, row: int, col: int, height: int, width: int
) -> None:
    # The later tile lies south-east of (100, 500).
    north, west = TOP - row * 20, LEFT + col * 20
    subset = f"E({west}:{west + width * 20}),N({north - height * 20}:{north})"
    answer = _read(reader, subset=subset, properties="q95,aoa")
    for position, name in enumerate(("q95", "aoa")):
        with rasterio.open(world.tile / f"{name}.tif") as dataset:
            expected = dataset.read(1, window=Window(col, row, width, height)).astype(np.int16)
            expected[expected == dataset.nodata] = answer.nodata
        np.testing.assert_array_equal(answer.values[position], expected)


def test_a_single_field_keeps_type_and_nodata(reader: CoverageReader) -> None:
    answer = _read(reader, properties="aoa", scale_factor="10")
    assert (answer.values.dtype, answer.nodata) == (np.uint8, 255)
    assert set(np.unique(answer.values)) == {0, 1, 255}


@lru_cache(maxsize=1)
def _centres() -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of all cells."""
    lonlat = pyproj.Transformer.from_crs(3035, 4326, always_xy=True)
    cols, rows = np.meshgrid(np.arange(1100), np.arange(800))
    lon, lat = lonlat.transform(LEFT + (cols + 0.5) * 20, TOP - (rows + 0.5) * 20)
    return lon, lat


@settings(max_examples=25)
@given(x=st.floats(0.05, 0.8), y=st.floats(0.05, 0.8), size=st.floats(0.001, 0.15))
def test_no_cell_of_a_box_in_degrees_is_lost(
    world: World, reader: CoverageReader, x: float, y: float, size: float
) -> None:
    lon, lat = _centres()
    west, south = lon.min() + x * np.ptp(lon), lat.min() + y * np.ptp(lat)
    east, north = west + size * np.ptp(lon), south + size * np.ptp(lat)
    inside = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
    if not inside.any():
        return
    answer = _read(reader, bbox=f"{west},{south},{east},{north}", properties="mean")
    left, top = ~world.grid.affine @ (answer.grid.affine @ (0, 0))
    height, width = answer.grid.shape
    held = np.zeros_like(inside)
    held[round(top) : round(top) + height, round(left) : round(left) + width] = True
    assert not (inside & ~held).any()
    # And not much more than the box's own bounds on the leaning grid, where it lies within.
    if not (inside[[0, -1]].any() or inside[:, [0, -1]].any()):
        found_rows, found_cols = np.nonzero(inside)
        assert height <= np.ptp(found_rows) + 5
        assert width <= np.ptp(found_cols) + 5


def test_a_box_of_the_world_means_all(world: World, reader: CoverageReader) -> None:
    np.testing.assert_array_equal(_read(reader, bbox="-180,-90,180,90", properties="1").values[0], world.mosaic)


def test_scaled_answers_are_the_files_overviews(world: World, reader: CoverageReader) -> None:
    box = f"E({LEFT}:{LEFT + 480 * 20}),N({TOP - 480 * 20}:{TOP})"
    answer = _read(reader, subset=box, properties="mean", scale_factor="4")
    with rasterio.open(world.tile / "mean.tif") as dataset:
        expected = dataset.read(1, window=Window(0, 0, 480, 480), out_shape=(120, 120), resampling=Resampling.average)
    np.testing.assert_array_equal(answer.values[0], expected)
    assert answer.grid.affine.a == 80


def test_means_of_a_mosaic_are_means_of_its_cells(world: World, reader: CoverageReader) -> None:
    answer = _read(reader, properties="mean", scale_factor="10")
    cells = np.ma.masked_equal(world.mosaic, worlds.NODATA).astype(float)
    blocks = cells.reshape(80, 10, 110, 10)
    whole = ~np.ma.getmaskarray(blocks).any(axis=(1, 3))
    # Tiles overlap: where both have a value, the mean of the blocks on the later one counts.
    difference = np.abs(answer.values[0] - blocks.mean(axis=(1, 3)).filled(0))[whole]
    assert answer.values[0].shape == (80, 110)
    assert np.quantile(difference, 0.99) < 3


def test_scale_size_keeps_a_box_that_reaches_past_the_edge(world: World, reader: CoverageReader) -> None:
    subset = f"E({LEFT + 1000 * 20}:{LEFT + 1256 * 20}),N({TOP - 856 * 20}:{TOP - 600 * 20})"
    answer = _read(reader, subset=subset, scale_size="E(256),N(256)", properties="mean")
    np.testing.assert_array_equal(answer.values[0, :200, :100], world.mosaic[600:, 1000:])
    assert (answer.values[0, 200:] == worlds.NODATA).all()
    assert (answer.values[0, :, 100:] == worlds.NODATA).all()


@pytest.mark.parametrize("crs", ["EPSG:32635", "EPSG:4326", "EPSG:3857"])
def test_reprojected_values_are_those_of_the_warper(world: World, reader: CoverageReader, crs: str) -> None:
    answer = _read(reader, subset=f"E({LEFT}:{LEFT + 6000}),N({TOP - 6000}:{TOP})", crs=crs, properties="mean")
    expected = np.full(answer.grid.shape, worlds.NODATA, dtype=np.int16)
    reproject(
        world.mosaic,
        expected,
        src_transform=world.grid.affine,
        src_crs="EPSG:3035",
        src_nodata=worlds.NODATA,
        dst_transform=answer.grid.affine,
        dst_crs=crs,
        dst_nodata=worlds.NODATA,
        resampling=Resampling.bilinear,
    )
    valid = (expected != worlds.NODATA) & (answer.values[0] != worlds.NODATA)
    assert valid.mean() > 0.5
    assert np.abs(answer.values[0][valid] - expected[valid]).max() <= 1
    assert ((expected != worlds.NODATA) ^ (answer.values[0] != worlds.NODATA)).mean() < 0.01


def test_a_box_in_the_output_crs_is_kept(reader: CoverageReader) -> None:
    lonlat = pyproj.Transformer.from_crs(3035, 4326, always_xy=True).transform(LEFT + 8000, TOP - 8000)
    west, south = round(lonlat[0], 2), round(lonlat[1], 2)
    answer = _read(reader, bbox=f"{west},{south},{west + 0.05},{south + 0.02}", crs="CRS84", properties="mean")
    bounds = coverage_reader.grid_bounds(answer.grid).astuple()
    cell = answer.grid.affine.a
    np.testing.assert_allclose(bounds, (west, south, west + 0.05, south + 0.02), atol=1.01 * cell)


def test_time_chooses_the_period(world: World, reader: CoverageReader) -> None:
    latest = _read(reader, properties="mean")
    np.testing.assert_array_equal(latest.values[0], world.mosaic)
    older = _read(reader, properties="mean", datetime="2020-05")
    np.testing.assert_array_equal(older.values[0], world.older)
    both = _read(reader, properties="mean", datetime="2020-05/2022-05")
    assert both.coverage.period == latest.coverage.period
    with pytest.raises(NoData, match="2022-01-03/2022-12-28"):
        _read(reader, datetime="2021")


def test_an_older_scale_is_brought_to_the_newer_one(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", Settings())
    west, east = worlds.european(LEFT, TOP, 30, 30), worlds.european(LEFT + 600, TOP, 30, 30)
    old, new = np.full((30, 30), 15, np.int16), np.full((30, 30), 123, np.int16)
    store.register(worlds.product(tmp_path / "a", west, old, scale=1.0), tmp_path / "a")
    later = datetime(2026, 5, 1, tzinfo=UTC)
    store.register(worlds.product(tmp_path / "b", east, new, created=later), tmp_path / "b")
    reader = CoverageReader(CoverageCatalog(store), Limits())
    answer = _read(reader, properties="mean")
    assert answer.fields[0].scale == 0.1
    assert np.unique(answer.values[0, :, :30]).tolist() == [150]
    assert np.unique(answer.values[0, :, 30:]).tolist() == [123]
    reader.close()


def test_tiles_of_two_zones_form_one_mosaic(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", Settings())
    grid = worlds.european(LEFT, TOP, 60, 60)
    to_utm = pyproj.Transformer.from_crs(3035, 32635, always_xy=True)
    x, y = to_utm.transform(LEFT + 1400, TOP - 600)
    other = worlds.GeoBox((60, 60), worlds.Affine(20, 0, round(x, -1), 0, -20, round(y, -1)), "EPSG:32635")
    store.register(worlds.product(tmp_path / "a", other, np.full((60, 60), 70, np.int16)), tmp_path / "a")
    later = datetime(2026, 5, 1, tzinfo=UTC)
    store.register(worlds.product(tmp_path / "b", grid, np.full((60, 60), 90, np.int16), created=later), tmp_path / "b")
    reader = CoverageReader(CoverageCatalog(store), Limits())
    answer = _read(reader, properties="mean")
    assert (answer.values[0] == 90).sum() == 3600
    assert 0.98 < (answer.values[0] == 70).sum() / 3600 < 1.02
    reader.close()


def test_without_a_selection_the_answer_fits_the_limit(world: World) -> None:
    reader = CoverageReader(CoverageCatalog(world.store), Limits(values=30_000))
    answer = reader.read(COLLECTION, CoverageQuery())
    assert 0.8 * 30_000 < answer.values.size <= 30_000
    assert abs(answer.grid.shape[1] / answer.grid.shape[0] - 1100 / 800) < 0.05
    reader.close()


def test_too_much_is_refused_before_anything_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a raster was read")

    monkeypatch.setattr(coverage_reader, "read_stored", fail)
    reader = CoverageReader(CoverageCatalog(world.store), Limits(values=30_000))
    for parameters in (
        {"bbox": "-180,-90,180,90"},
        {"scale-factor": "1"},
        {"scale-size": "E(900000000),N(900000000)"},
        {"crs": "EPSG:4326", "scale-factor": "0.001"},
    ):
        with pytest.raises(LimitExceeded, match="30000"):
            reader.read(COLLECTION, parse_query(parameters.items()))


def test_what_is_not_there_is_named(reader: CoverageReader) -> None:
    with pytest.raises(InvalidInput, match="q42"):
        _read(reader, properties="q42")
    with pytest.raises(InvalidInput, match="'4'"):
        _read(reader, properties="4")
    with pytest.raises(InvalidInput, match="twice"):
        _read(reader, properties="mean,1")
    with pytest.raises(NotFound, match=r"\.\./etc"):
        reader.read("../etc", CoverageQuery())
    with pytest.raises(InvalidInput, match="crs"):
        _read(reader, crs="EPSG:2193")


def test_many_threads_read_the_same(world: World, reader: CoverageReader) -> None:
    def one(number: int) -> bool:
        row, col = 13 * number % 300, 7 * number % 300
        subset = f"E({LEFT + col * 20}:{LEFT + (col + 50) * 20}),N({TOP - (row + 50) * 20}:{TOP - row * 20})"
        values = _read(reader, subset=subset, properties="mean").values[0]
        return bool((values == world.mosaic[row : row + 50, col : col + 50]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(64)))


def test_a_damaged_file_is_the_stores_fault_and_a_mended_one_is_read(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", Settings())
    grid = worlds.european(LEFT, TOP, 30, 30)
    folder = store.register(worlds.product(tmp_path / "a", grid, np.full((30, 30), 15, np.int16)), tmp_path / "a")
    reader = CoverageReader(CoverageCatalog(store), Limits())
    whole = (folder / "mean.tif").read_bytes()
    (folder / "mean.tif").write_bytes(b"no raster")
    with pytest.raises(StoreError, match=r"mean\.tif"):
        _read(reader)
    (folder / "mean.tif").unlink()
    with pytest.raises(StoreError, match=r"mean\.tif"):
        _read(reader)
    (folder / "mean.tif").write_bytes(whole)
    assert _read(reader, properties="mean").values.max() == 15
    reader.close()


def test_no_more_handles_are_kept_than_allowed(world: World) -> None:
    handles, grid = Handles(max_idle=2), worlds.european(LEFT, TOP, 700, 600)
    for name in ("mean", "q95", "aoa"):
        with handles.take(world.tile / f"{name}.tif", grid):
            pass
    assert len(handles._idle) == 2
    with handles.take(world.tile / "aoa.tif", grid) as first, handles.take(world.tile / "aoa.tif", grid) as second:
        assert first is not second
    handles.close()
    assert not handles._idle


def test_limits_are_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits_of(Settings()) == Limits()
    monkeypatch.setenv("CUP4SOIL_COVERAGE_VALUES", "1234")
    assert limits_of(CoverageSettings()) == Limits(values=1234)
