"""Bringing covariates to one grid: known answers by kind, and against brute force."""

from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo import CRS
from rasterio.transform import from_origin

from cup4soil.errors import InvalidInput, InvalidRaster
from cup4soil.grids import Window
from cup4soil.rasters import covariate_reading
from cup4soil.rasters.covariates import CovariateStack
from tests.core.covariate_rasters import COLS, LEFT, ROWS, TOP, field, write_raster

NAN = np.float32(np.nan)


def stack_of(folder: Path, **given_: object) -> CovariateStack:
    return CovariateStack.open([folder], **given_)  # type: ignore[arg-type]


def on_20_m(
    folder: Path, name: str, values: np.ndarray, *, cell: float, nodata=None, classes=(), **place
) -> np.ndarray:
    """A raster of another cell, on the grid of a 20 m raster."""
    grid = write_raster(folder / "in" / "grid.tif", field(1))
    write_raster(folder / "in" / f"{name}.tif", values, cell=cell, nodata=nodata, **place)
    stack = CovariateStack.open([folder / "in"], classes, grid=grid)
    return stack.read(stack.geobox)[stack.names.index(name)]


def test_fine_classes_become_the_most_frequent_one(tmp_path: Path) -> None:
    fine = np.zeros((2 * ROWS, 2 * COLS), np.uint8)
    fine[:2, :4] = [[1, 1, 3, 5], [1, 2, 5, 5]]
    read = on_20_m(tmp_path, "land", fine, cell=10, classes=["land"])
    assert read.shape == (ROWS, COLS)
    assert (read[0, 0], read[0, 1], read[3, 3]) == (1, 5, 0)


@pytest.mark.parametrize(("missing", "expected"), [(1, 4.0), (2, 4.0), (3, NAN), (4, NAN)])
def test_fine_classes_are_missing_where_most_of_a_cell_is(tmp_path: Path, missing: int, expected: float) -> None:
    fine = np.full((2 * ROWS, 2 * COLS), 4, np.uint8)
    fine[:2, :2].flat[:0] = 0
    corner = np.full(4, 4, np.uint8)
    corner[:missing] = 255
    fine[:2, :2] = corner.reshape(2, 2)
    read = on_20_m(tmp_path, "land", fine, cell=10, classes=["land"], nodata=255)
    np.testing.assert_equal(read[0, 0], np.float32(expected))
    assert read[0, 1] == 4


def test_coarse_classes_are_taken_from_the_cell_of_the_centre(tmp_path: Path) -> None:
    coarse = np.arange(10 * 14, dtype=np.int16).reshape(10, 14)
    read = on_20_m(tmp_path, "land", coarse, cell=60, classes=["land"])
    rows, cols = np.mgrid[:ROWS, :COLS]
    np.testing.assert_array_equal(read, coarse[rows // 3, cols // 3])


def test_ordered_classes_are_not_interpolated_and_stay_numbers(tmp_path: Path) -> None:
    grid = write_raster(tmp_path / "grid.tif", field(1))
    coarse = write_raster(tmp_path / "drainage.tif", np.tile([[1, 9]], (5, 7)).astype(np.uint8), cell=120)
    stack = CovariateStack.open([grid, coarse], ordered=["drainage"])
    assert set(np.unique(stack.read(stack.geobox)[1])) == {1, 9}
    assert stack.categorical == frozenset()
    assert stack.signature[1].kind == "ordered"


def test_a_name_is_not_both_categorical_and_ordered(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", field(1))
    with pytest.raises(InvalidInput, match="'a' is named categorical and ordered"):
        CovariateStack.open([path], ["a"], ordered=["a"])


def test_fine_numbers_are_averaged_over_what_is_known(tmp_path: Path) -> None:
    fine = np.random.default_rng(2).normal(size=(2 * ROWS, 2 * COLS)).astype(np.float32)
    gaps = np.random.default_rng(3).random(fine.shape) < 0.4
    fine[gaps] = -9
    read = on_20_m(tmp_path, "fine", fine, cell=10, nodata=-9.0)
    cells = np.where(gaps, np.nan, fine.astype(float)).reshape(ROWS, 2, COLS, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
    known = np.isfinite(cells).sum(axis=1)
    expected = np.where(known >= 2, np.nansum(cells, axis=1) / np.maximum(known, 1), np.nan)
    np.testing.assert_allclose(read.ravel(), expected, atol=1e-5)
    assert 0 < np.isnan(read).sum() < read.size


def test_an_average_weighs_parts_of_cells(tmp_path: Path) -> None:
    # 20 m cells over 8 m ones: 2.5 to each side.
    fine = np.random.default_rng(2).normal(size=(75, 100)).astype(np.float32)
    read = on_20_m(tmp_path, "fine", fine, cell=8)
    edges = np.arange(0, 5) * 0.5 + 0  # in fine cells of half a cell: 5 halves make 20 m
    halves = np.repeat(np.repeat(fine.astype(float), 2, axis=0), 2, axis=1)
    assert edges.size == 5
    expected = halves.reshape(ROWS, 5, COLS, 5).mean(axis=(1, 3))
    np.testing.assert_allclose(read, expected, atol=1e-5)


def test_an_average_is_missing_where_the_raster_covers_less_than_half_of_the_cell(tmp_path: Path) -> None:
    fine = np.ones((2 * ROWS, 2 * COLS), np.float32)
    read = on_20_m(tmp_path, "fine", fine, cell=4, left=LEFT + 12, top=TOP - 8)
    # The grid is cut to cells whose centres lie inside; of its outer right corner 12 m x 12 m are covered.
    assert np.argwhere(np.isnan(read)).tolist() == [[0, read.shape[1] - 1]]
    grid = CovariateStack.open([tmp_path / "in"], grid=tmp_path / "in" / "grid.tif")
    whole = grid.read(grid.wanted_grid)[grid.names.index("fine")]
    assert np.isnan(whole[:, 0]).all()  # 8 m of 20 m are covered
    assert np.isfinite(whole[0, 1:13]).all()  # 12 m of 20 m in the first row


def bilinear(values: np.ndarray, u: float, v: float) -> float:
    """By hand, from what is known of the four nearest cells; missing where the cell of the place is."""
    row, col = int(np.floor(v)), int(np.floor(u))
    inside = 0 <= row < values.shape[0] and 0 <= col < values.shape[1]
    if not inside or np.isnan(values[row, col]):
        return np.nan
    total = weight = 0.0
    top, left = int(np.floor(v - 0.5)), int(np.floor(u - 0.5))
    for i in (top, top + 1):
        for j in (left, left + 1):
            share = (1 - abs(v - 0.5 - i)) * (1 - abs(u - 0.5 - j))
            if 0 <= i < values.shape[0] and 0 <= j < values.shape[1] and np.isfinite(values[i, j]):
                total, weight = total + share * values[i, j], weight + share
    return total / weight


@pytest.mark.parametrize("cell", [90.0, 25.0, 20.5])
def test_coarse_numbers_are_interpolated_and_gaps_keep_their_outline(tmp_path: Path, cell: float) -> None:
    """A climate raster of 90 m with gaps, and rasters that are hardly coarser."""
    climate = np.random.default_rng(5).normal(size=(30, 40)).astype(np.float32)
    climate[2, 3], climate[4:6, 5] = -99, -99
    read = on_20_m(tmp_path, "climate", climate, cell=cell, nodata=-99.0, left=LEFT - 10, top=TOP + 10)
    known = np.where(climate == -99, np.nan, climate.astype(float))
    rows, cols = np.mgrid[:ROWS, :COLS]
    places = zip(((cols + 0.5) * 20 + 10).ravel() / cell, ((rows + 0.5) * 20 + 10).ravel() / cell, strict=True)
    expected = np.reshape([bilinear(known, u, v) for u, v in places], (ROWS, COLS))
    np.testing.assert_allclose(read[: expected.shape[0], : expected.shape[1]], expected, atol=1e-4)
    assert np.isnan(read).any()


def test_integers_with_nodata_scale_and_offset(tmp_path: Path) -> None:
    stored = np.array([[10, 20, -1, 40]] * 4, dtype=np.int16).repeat(10, axis=0).repeat(15, axis=1)
    grid = write_raster(tmp_path / "grid.tif", field(1))
    path = write_raster(tmp_path / "t.tif", stored, cell=10.0, nodata=-1, names=("temperature",))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets, dataset.units = (0.1,), (-5.0,), ("degC",)
    stack = CovariateStack.open([grid, path], grid=grid)
    read = stack.read(stack.geobox)[1]
    assert stack.signature[1].unit == "degC"
    np.testing.assert_allclose(np.unique(read[np.isfinite(read)]), [-4, -3.5, -3, -1], atol=1e-5)
    assert np.isnan(read[:, 16:22]).all()


def test_south_up_rasters_are_resampled_rightly_and_may_be_alone(tmp_path: Path) -> None:
    values = field(5, 15, 20)
    path = tmp_path / "south.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=15, width=20, count=1, dtype="float32", crs="EPSG:32633",
        transform=rasterio.Affine(40, 0, LEFT, 0, 40, TOP - 40 * 15),
    ) as dataset:  # fmt: skip
        dataset.write(values[::-1], 1)
    alone = CovariateStack.open([path])
    assert alone.geobox.affine.e == -40
    np.testing.assert_array_equal(alone.read(alone.geobox)[0], values)
    north = on_20_m(tmp_path, "north", values, cell=40)
    both = CovariateStack.open([tmp_path / "in" / "grid.tif", path])
    np.testing.assert_allclose(both.read(both.geobox)[1], north, atol=1e-6)


def test_a_geographic_raster_is_warped_once_to_the_projected_grid(tmp_path: Path) -> None:
    """A plane in degrees is that plane at every cell's own longitude and latitude."""
    write_raster(tmp_path / "a.tif", field(1))
    to_degrees = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(LEFT, TOP - 600, LEFT + 800, TOP)
    cell = 0.001
    left, top = west - 5 * cell, north + 5 * cell
    shape = int((north - south) / cell) + 12, int((east - west) / cell) + 12
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    lon, lat = (cols + 0.5) * cell, -(rows + 0.5) * cell
    plane = (1000 * lon + 500 * lat).astype(np.float32)
    write_raster(tmp_path / "climate.tif", plane, crs="EPSG:4326", left=left, top=top, cell=cell)
    stack = CovariateStack.open([tmp_path])
    assert stack.crs == CRS("EPSG:32633")
    assert stack.geobox.shape == (ROWS, COLS)
    assert stack.resampling == {"a": "none", "climate": "bilinear"}
    rows, cols = np.mgrid[:ROWS, :COLS]
    x, y = to_degrees.transform(LEFT + (cols + 0.5) * 20, TOP - (rows + 0.5) * 20)
    np.testing.assert_allclose(stack.read(stack.geobox)[1], 1000 * (x - left) + 500 * (y - top), atol=2e-3)
    (source,) = (each for each in stack.sources() if each.id == "climate.tif")
    assert source.properties["resampling"] == {"climate": "bilinear"}


def test_a_global_raster_does_not_cut_the_grid(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", field(1))
    globe = np.arange(18 * 36, dtype=np.float32).reshape(18, 36)
    write_raster(tmp_path / "globe.tif", globe, crs="EPSG:4326", left=-180.0, top=90.0, cell=10.0)
    stack = CovariateStack.open([tmp_path])
    assert stack.geobox.shape == (ROWS, COLS)
    assert np.isfinite(stack.read(stack.geobox)).all()


@settings(max_examples=25, deadline=None)
@given(row=st.integers(0, ROWS - 1), col=st.integers(0, COLS - 1), height=st.integers(1, 9), width=st.integers(1, 9))
def test_a_window_gives_what_the_whole_grid_gives(
    many: CovariateStack, row: int, col: int, height: int, width: int
) -> None:
    window = Window(row, col, min(height, ROWS - row), min(width, COLS - col))
    whole = many.read(many.geobox)[(slice(None), *window.slices)]
    np.testing.assert_allclose(many.read(window), whole, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> CovariateStack:
    """Every kind of resampling, with gaps, also from another CRS."""
    folder = tmp_path_factory.mktemp("many")
    grid = write_raster(folder / "grid.tif", field(1))
    gappy = field(2, 90, 120)
    gappy[gappy > 1] = np.nan
    write_raster(folder / "average.tif", gappy, cell=7.0)
    write_raster(folder / "bilinear.tif", gappy, cell=33.0, left=LEFT - 100, top=TOP + 60)
    write_raster(folder / "classes.tif", np.round(2 * gappy), cell=7.0)
    transformer = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:3035", always_xy=True)
    left, _, _, top = transformer.transform_bounds(LEFT, TOP - 600, LEFT + 800, TOP)
    write_raster(folder / "laea.tif", gappy, crs="EPSG:3035", left=left - 50, top=top + 50, cell=9.0)
    write_raster(folder / "laea-coarse.tif", field(4), crs="EPSG:3035", left=left - 50, top=top + 50, cell=45.0)
    return CovariateStack.open([folder], ["classes"], grid=grid)


def test_points_are_read_as_cells_for_every_kind(many: CovariateStack) -> None:
    rows, cols = np.random.default_rng(1).integers(0, 30, (2, 50))
    at = many.at_points(LEFT + (cols + 0.3) * 20, TOP - (rows + 0.6) * 20, CRS("EPSG:32633"))
    np.testing.assert_allclose(at, many.read(many.geobox)[:, rows, cols].T, rtol=1e-6, atol=1e-6)


def test_a_large_source_is_read_in_parts_that_give_the_same(
    many: CovariateStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = many.read(many.geobox)
    monkeypatch.setattr(covariate_reading, "_MAX_SOURCE_CELLS", 500)
    np.testing.assert_allclose(many.read(many.geobox), whole, rtol=1e-6, atol=1e-6)


def test_bands_of_one_file_are_resampled_by_their_own_kind(tmp_path: Path) -> None:
    grid = write_raster(tmp_path / "grid.tif", field(1))
    both = np.stack([field(2, 8, 10), np.full((8, 10), 3, np.float32)])
    both[1, ::2] = 7
    path = write_raster(tmp_path / "both.tif", both, cell=90.0, left=LEFT - 10, top=TOP + 10, names=("height", "rock"))
    stack = CovariateStack.open([grid, path], ["rock"])
    read = stack.read(stack.geobox)
    assert stack.resampling == {"grid": "none", "height": "bilinear", "rock": "nearest"}
    assert set(np.unique(read[2])) == {3, 7}
    assert np.unique(read[1]).size > 100


def test_a_mask_of_the_file_is_heeded(tmp_path: Path) -> None:
    path = tmp_path / "masked.tif"
    known = np.ones((ROWS, COLS), bool)
    known[3:5, 6] = False
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", height=ROWS, width=COLS, count=1, dtype="float32", crs="EPSG:32633",
            transform=from_origin(LEFT, TOP, 20, 20),
        ) as dataset,
    ):  # fmt: skip
        dataset.write(field(1), 1)
        dataset.write_mask(known)
    stack = CovariateStack.open([path])
    np.testing.assert_array_equal(np.isnan(stack.read(stack.geobox)[0]), ~known)
    at = stack.at_points(np.array([LEFT + 130.0, LEFT + 130.0]), np.array([TOP - 70.0, TOP - 50.0]), stack.crs)
    np.testing.assert_array_equal(np.isnan(at[:, 0]), [True, False])


def test_a_colour_table_declares_classes(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "land.tif", np.ones((ROWS, COLS), np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {1: (255, 0, 0, 255)})
    assert CovariateStack.open([path]).categorical == {"land"}
    assert CovariateStack.open([path], ordered=["land"]).categorical == frozenset()


def test_undeclared_classes_are_suggested(tmp_path: Path) -> None:
    crops = np.random.default_rng(1).choice([1.0, 5.0, 147.0], (ROWS, COLS)).astype(np.float32)
    crops[0] = np.nan
    write_raster(tmp_path / "crop.tif", crops)
    write_raster(tmp_path / "dem.tif", field(1))
    write_raster(tmp_path / "land.tif", crops)
    stack = CovariateStack.open([tmp_path], ["land"])
    (told,) = stack.suggestions()
    assert told.startswith("crop has 3 different whole numbers")


def test_only_the_untagged_crops_of_peterborough_look_like_classes(shared_data: Path) -> None:
    stack = CovariateStack.open([shared_data / "cdsm-peterborough" / "covariates_20m"])
    assert [told.split()[0] for told in stack.suggestions()] == ["crop2016"]


def test_a_grid_that_does_not_meet_the_rasters_is_refused(tmp_path: Path) -> None:
    grid = write_raster(tmp_path / "grid.tif", field(1), left=LEFT + 90_000)
    path = write_raster(tmp_path / "a.tif", field(1))
    with pytest.raises(InvalidRaster, match="does not overlap"):
        CovariateStack.open([path], grid=grid)
