"""Covariate stacks against rasterio, and every way in which rasters can contradict each other."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

from cup4soil.errors import InvalidRaster, NotFound, StoreError
from cup4soil.grids import Window, cell_offset
from cup4soil.products import Algorithm, Band, Extent, Layer, Period, ProductRecord, file_checksum
from cup4soil.rasters.covariate_files import field_name
from cup4soil.rasters.covariates import GRID_TOLERANCE, CovariateStack
from tests.core.covariate_rasters import COLS, LEFT, ROWS, TOP, field, write_raster


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> CovariateStack:
    """Two fine rasters, one shifted by rounding, a coarse one and coarse classes."""
    folder = tmp_path_factory.mktemp("mixed")
    write_raster(folder / "a.tif", field(1))
    write_raster(folder / "b.tif", field(2), left=LEFT + 1e-4, top=TOP - 1e-4)
    write_raster(folder / "coarse.tif", field(3, 8, 10), cell=90.0, left=LEFT - 10, top=TOP + 10)
    classes = np.random.default_rng(4).choice([3, 7, 11], (8, 10)).astype(np.uint8)
    write_raster(folder / "land.tif", classes, cell=90.0, left=LEFT - 10, top=TOP + 10)
    return CovariateStack.open([folder], ["land"])


def test_values_are_those_that_rasterio_reads(tmp_path: Path) -> None:
    values = field(1)
    values[2, 3], values[4, 5] = -9.0, np.inf
    path = write_raster(tmp_path / "x" / "height.tif", values, nodata=-9.0)
    stack = CovariateStack.open([tmp_path / "x"])
    read = stack.read(Window(1, 2, 10, 12))
    with rasterio.open(path) as dataset:
        expected = dataset.read(1, masked=True).filled(np.nan)[1:11, 2:14]
    expected[~np.isfinite(expected)] = np.nan
    assert stack.names == ("height",)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read[0], expected)


def test_integers_are_scaled_and_named_by_description(tmp_path: Path) -> None:
    stored = np.array([[[1, 2], [3, -1]], [[10, 20], [30, 40]]], dtype=np.int16)
    path = write_raster(tmp_path / "s.tif", stored, nodata=-1, names=("red", "nir"))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.5, 0.1), (1.0, 0.0)
    stack = CovariateStack.open([path])
    assert stack.names == ("red", "nir")
    np.testing.assert_allclose(stack.read(stack.geobox)[0], [[1.5, 2.0], [2.5, np.nan]])
    np.testing.assert_allclose(stack.read(stack.geobox)[1], [[1, 2], [3, 4]], rtol=1e-6)


def test_an_untagged_sentinel_is_not_guessed(tmp_path: Path) -> None:
    values = field(1)
    values[0, 0] = -9999
    write_raster(tmp_path / "a.tif", values)
    assert CovariateStack.open([tmp_path / "a.tif"]).read(Window(0, 0, 1, 1))[0, 0, 0] == -9999


def test_origins_that_differ_by_rounding_are_one_grid(mixed: CovariateStack) -> None:
    np.testing.assert_array_equal(mixed.read(mixed.geobox)[1], field(2))


@pytest.mark.parametrize(("shift", "same"), [(0.15, True), (0.25, False), (20.0, True), (-39.9, True), (8.0, False)])
def test_lattices_are_told_apart_at_a_hundredth_of_a_cell(shift: float, same: bool) -> None:
    box = GeoBox((10, 10), from_origin(LEFT, TOP, 20, 20), CRS("EPSG:32633"))
    other = GeoBox((10, 10), from_origin(LEFT + shift, TOP, 20, 20), CRS("EPSG:32633"))
    assert (cell_offset(box, other, tolerance=GRID_TOLERANCE) is not None) == same


def test_lattices_whose_cells_drift_apart_are_not_one() -> None:
    box = GeoBox((1000, 1000), from_origin(LEFT, TOP, 20, 20), CRS("EPSG:32633"))
    other = GeoBox((1000, 1000), from_origin(LEFT, TOP, 20.001, 20.001), CRS("EPSG:32633"))
    assert cell_offset(box, other, tolerance=GRID_TOLERANCE) is None


def test_the_finest_grid_is_the_reference_and_classes_stay_classes(mixed: CovariateStack) -> None:
    assert mixed.geobox.shape == (ROWS, COLS)
    assert mixed.geobox.resolution.x == 20
    land = mixed.read(mixed.geobox)[3]
    assert set(np.unique(land)) <= {3, 7, 11}


def test_coarse_rasters_are_interpolated_bilinearly(mixed: CovariateStack) -> None:
    coarse, read = field(3, 8, 10).astype(float), mixed.read(mixed.geobox)[2]
    row, col = 14, 20
    x, y = LEFT + (col + 0.5) * 20, TOP - (row + 0.5) * 20
    u, v = (x - (LEFT - 10)) / 90 - 0.5, ((TOP + 10) - y) / 90 - 0.5
    i, j, a, b = int(v), int(u), v % 1, u % 1
    expected = (coarse[i, j] * (1 - b) + coarse[i, j + 1] * b) * (1 - a)
    expected += (coarse[i + 1, j] * (1 - b) + coarse[i + 1, j + 1] * b) * a
    assert read[row, col] == pytest.approx(expected, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    col=st.floats(-2, COLS + 2, allow_nan=False).filter(lambda v: abs(v - round(v)) > 1e-6),
    row=st.floats(-2, ROWS + 2, allow_nan=False).filter(lambda v: abs(v - round(v)) > 1e-6),
)
def test_a_point_has_the_values_of_its_cell(mixed: CovariateStack, row: float, col: float) -> None:
    x, y = np.array([LEFT + 20 * col]), np.array([TOP - 20 * row])
    values = mixed.at_points(x, y, CRS("EPSG:32633"))[0]
    if 0 <= row < ROWS and 0 <= col < COLS:
        np.testing.assert_array_equal(values, mixed.read(mixed.geobox)[:, int(row), int(col)])
    else:
        assert np.isnan(values).all()


def test_points_are_taken_from_another_crs(mixed: CovariateStack) -> None:
    import pyproj

    x, y = np.array([LEFT + 415.0]), np.array([TOP - 295.0])
    lon, lat = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(x, y)
    expected = mixed.at_points(x, y, CRS("EPSG:32633"))
    np.testing.assert_array_equal(mixed.at_points(lon, lat, CRS("EPSG:4326")), expected)


def test_points_beyond_the_projection_are_missing(mixed: CovariateStack) -> None:
    assert np.isnan(mixed.at_points(np.array([np.nan]), np.array([1e30]), CRS("EPSG:32633"))).all()


def test_a_grid_that_reaches_outside_is_missing_there(mixed: CovariateStack) -> None:
    read = mixed.read(mixed.geobox.pad(2))[0]
    assert np.isnan(read[0]).all()
    np.testing.assert_array_equal(read[2:-2, 2:-2], field(1))


def test_the_stack_is_cut_to_where_all_rasters_are(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", field(1))
    write_raster(tmp_path / "b.tif", field(2), left=LEFT + 200, top=TOP + 60)
    stack = CovariateStack.open([tmp_path])
    assert stack.geobox.shape == (ROWS - 3, COLS - 10)
    assert not np.isnan(stack.read(stack.geobox)).any()


def test_south_up_rasters_are_read_rightly(tmp_path: Path) -> None:
    values = field(5)
    write_raster(tmp_path / "a.tif", field(1))
    with rasterio.open(
        tmp_path / "b.tif", "w", driver="GTiff", height=ROWS, width=COLS, count=1, dtype="float32", crs="EPSG:32633",
        transform=rasterio.Affine(20, 0, LEFT, 0, 20, TOP - 20 * ROWS),
    ) as dataset:  # fmt: skip
        dataset.write(values[::-1], 1)
    np.testing.assert_array_equal(CovariateStack.open([tmp_path]).read(Window(0, 0, ROWS, COLS))[1], values)


def test_selecting_keeps_the_files_order_and_one_band(tmp_path: Path) -> None:
    write_raster(tmp_path / "s.tif", np.stack([field(1), field(2), field(3)]), names=("p", "q", "r"))
    write_raster(tmp_path / "t.tif", field(4))
    chosen = CovariateStack.open([tmp_path], ["q"]).select(["t", "q"])
    assert chosen.names == ("q", "t")
    assert chosen.categorical == {"q"}
    np.testing.assert_array_equal(chosen.read(chosen.geobox), np.stack([field(2), field(4)]))


def test_sources_tell_content_and_not_place(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a" / "dem.tif", field(1))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first, second = (CovariateStack.open([tmp_path / name]).sources() for name in "ab")
    assert first == second
    assert first[0].checksum == file_checksum(path)
    assert str(tmp_path) not in first[0].model_dump_json()


def test_files_of_one_name_in_two_folders_are_two_sources(tmp_path: Path) -> None:
    write_raster(tmp_path / "a" / "x.tif", field(1)[None], names=("dem",))
    write_raster(tmp_path / "b" / "x.tif", field(2)[None], names=("slope",))
    sources = CovariateStack.open([tmp_path / "a", tmp_path / "b"]).sources()
    assert len(sources) == 2
    assert sources[0].checksum != sources[1].checksum


# Rasters that contradict each other, and paths that lead nowhere


def test_the_raster_whose_crs_places_it_elsewhere_is_named(tmp_path: Path) -> None:
    for name in ("a", "c", "d"):
        write_raster(tmp_path / f"{name}.tif", field(1))
    write_raster(tmp_path / "b.tif", field(1), crs="EPSG:32632")
    with pytest.raises(
        InvalidRaster, match=r"b\.tif is in EPSG:32632 where the other covariates are in EPSG:32633, and"
    ):
        CovariateStack.open([tmp_path])


def test_a_raster_without_crs_is_refused(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", field(1), crs=None)
    with pytest.raises(InvalidRaster, match="no CRS"):
        CovariateStack.open([tmp_path])


def test_rasters_that_do_not_overlap_are_refused(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", field(1))
    write_raster(tmp_path / "b.tif", field(1), left=LEFT + 10_000)
    with pytest.raises(InvalidRaster, match="does not overlap"):
        CovariateStack.open([tmp_path])


def test_two_covariates_of_one_name_are_refused(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", field(1)[None], names=("dem",))
    write_raster(tmp_path / "b.tif", field(1)[None], names=("dem",))
    with pytest.raises(InvalidRaster, match=r"'dem' is found twice.*a\.tif and .*b\.tif"):
        CovariateStack.open([tmp_path])


@pytest.mark.parametrize("name", ["missing", "empty", "missing.tif"])
def test_a_path_without_rasters_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="give a"):
        CovariateStack.open([tmp_path / name])


def test_nothing_given_is_refused() -> None:
    with pytest.raises(NotFound, match="no covariates given"):
        CovariateStack.open([])


def test_a_file_that_is_no_raster_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("no raster")
    with pytest.raises(InvalidRaster, match="cannot be opened"):
        CovariateStack.open([tmp_path])


def test_an_unknown_class_covariate_lists_the_known(tmp_path: Path) -> None:
    write_raster(tmp_path / "dem.tif", field(1))
    with pytest.raises(NotFound, match="no covariate 'crop'; there are dem"):
        CovariateStack.open([tmp_path], ["crop"])


@pytest.mark.parametrize("address", ["https://example.org/a.tif", "s3://bucket/a.tif"])
def test_a_remote_path_is_refused(address: str) -> None:
    with pytest.raises(InvalidRaster, match="is remote"):
        CovariateStack.open([Path(address)])


# STAC items and products


def write_item(folder: Path, assets: dict[str, Any], **properties: Any) -> Path:
    item = {"type": "Feature", "stac_version": "1.1.0", "id": "scene", "properties": properties, "assets": assets}
    path = folder / "item.json"
    path.write_text(json.dumps(item))
    return path


def test_a_stac_item_gives_its_local_rasters(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "data" / "x.tif", np.stack([field(1), field(2)]))
    tiff = {"type": "image/tiff; application=geotiff; profile=cloud-optimized"}
    digest = "1220" + file_checksum(path).removeprefix("sha256:")
    assets = {
        "SRC": {"href": "./data/x.tif", **tiff, "bands": [{"name": "B02"}, {"name": "B03"}], "file:checksum": digest},
        "thumbnail": {"href": "./t.png", "type": "image/png"},
    }
    start = "2020-01-01T00:00:00Z"
    item = write_item(tmp_path, assets, datetime=start, license="CC-BY-4.0", **{"cup4soil:simulated": True})
    stack = CovariateStack.open([item])
    (source,) = stack.sources()
    assert stack.names == ("SRC_B02", "SRC_B03")
    assert (source.id, source.checksum, source.licence) == ("scene", file_checksum(path), "CC-BY-4.0")
    assert stack.simulated
    assert stack.period == Period(start=start, end=start)


def test_a_stated_checksum_is_held_against_the_file(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "x.tif", field(1))
    digest = "1220" + file_checksum(path).removeprefix("sha256:").upper()
    item = write_item(tmp_path, {"x": {"href": "x.tif", "type": "image/tiff", "file:checksum": digest}})
    assert CovariateStack.open([item]).sources()[0].checksum == file_checksum(path)
    write_raster(path, field(2))
    with pytest.raises(InvalidRaster, match=r"x\.tif is not the file that its STAC item describes"):
        CovariateStack.open([item]).sources()


def test_a_checksum_of_another_function_leaves_the_files_own(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "x.tif", field(1))
    item = write_item(tmp_path, {"x": {"href": "x.tif", "type": "image/tiff", "file:checksum": "d50110" + "00" * 16}})
    assert CovariateStack.open([item]).sources()[0].checksum == file_checksum(path)


def test_assets_of_one_file_name_both_count_for_the_checksum(tmp_path: Path) -> None:
    paths = [write_raster(tmp_path / name / "x.tif", field(1)) for name in "ab"]
    item = write_item(tmp_path, {name: {"href": f"{name}/x.tif", "type": "image/tiff"} for name in "ab"})
    found = set()
    for path in (None, *paths):
        if path is not None:
            write_raster(path, field(2))
        found.add(CovariateStack.open([item]).sources()[0].checksum)
    assert len(found) == 3


ODD_ASSETS = {"x": {"href": "x.tif", "type": "image/tiff"}}


@pytest.mark.parametrize(
    ("assets", "properties", "where"),
    [
        ({"roles": 5}, {}, r"assets\.x\.roles"),
        ({"bands": [3]}, {}, r"assets\.x\.bands"),
        ({"bands": [{"name": 4}]}, {}, r"assets\.x\.bands"),
        ({"href": 3}, {}, r"assets\.x\.href"),
        ({"type": ["image/tiff"]}, {}, r"assets\.x\.type"),
        ({"file:checksum": 7}, {}, r"assets\.x\.file:checksum"),
        ({"classification:classes": 1}, {}, r"assets\.x\.classification:classes"),
        ({}, {"version": 3}, r"properties\.version"),
        ({}, {"license": {}}, r"properties\.license"),
        ({}, {"attribution": ["a"]}, r"properties\.attribution"),
        ({}, {"datetime": "last summer"}, r"properties\.datetime"),
        ({}, {"datetime": 5}, r"properties\.datetime"),
        ({}, {"datetime": "2020-01-01T00:00:00"}, "a period needs times with a zone"),
        ({}, {"start_datetime": "2021-01-01T00:00:00Z", "end_datetime": "2020-01-01T00:00:00Z"}, "after its end"),
    ],
)
def test_an_item_with_odd_types_is_one_clear_line(
    tmp_path: Path, assets: dict[str, Any], properties: dict[str, Any], where: str
) -> None:
    write_raster(tmp_path / "x.tif", field(1))
    item = write_item(tmp_path, {"x": ODD_ASSETS["x"] | assets}, **properties)
    with pytest.raises(InvalidRaster, match=rf"item\.json is no STAC item that can be used: .*{where}") as caught:
        CovariateStack.open([item]).sources()
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize("name", ["item.json", ".", "product.json"])
def test_what_must_not_be_read_is_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as a user who may read everything, so that the refusal itself is made here."""
    (tmp_path / "item.json").write_text("{}")
    if name == "product.json":
        (tmp_path / name).write_text("{}")

    def refuse(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(Path, "iterdir", refuse)
    given = tmp_path if name == "product.json" else tmp_path / name
    with pytest.raises(StoreError if name == "product.json" else InvalidRaster, match="Permission denied") as caught:
        CovariateStack.open([given])
    assert str(tmp_path / name) in str(caught.value)


def test_a_remote_asset_is_refused(tmp_path: Path) -> None:
    item = write_item(tmp_path, {"a": {"href": "https://example.org/a.tif", "type": "image/tiff"}})
    with pytest.raises(InvalidRaster, match=r"asset 'a' of .* is remote"):
        CovariateStack.open([item])


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "Catalog"}', '{"type": "Feature"}'])
def test_a_file_that_is_no_item_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InvalidRaster, match="is no STAC item"):
        CovariateStack.open([tmp_path / "x.json"])


def test_an_item_without_rasters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no raster asset"):
        CovariateStack.open([write_item(tmp_path, {"m": {"href": "m.xml", "type": "application/xml"}})])


@pytest.mark.parametrize(
    ("layer", "band", "name"),
    [
        ("SRC", "B04", "SRC_B04"), ("SRC", "SRC_B04", "SRC_B04"), ("MREF-STD", "B8A", "MREF-STD_B8A"),
        ("SFREQ", "BSF", "BSF"), ("mean", "mean", "mean"), ("MASK", "MASK", "MASK"),
        ("SFREQ-MONTHLY", "07", "SFREQ-MONTHLY_07"),
    ],
)  # fmt: skip
def test_bands_are_named_as_the_coverages_fields(layer: str, band: str, name: str) -> None:
    assert field_name(layer, band) == name


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A composite's folder with three layers, one of them classes, one about the quality of the others."""
    folder = tmp_path / "composite"
    src = write_raster(folder / "SRC.tif", np.stack([field(1), field(2)]), names=("SRC_B02", "SRC_B03"))
    write_raster(folder / "MASK.tif", np.ones((ROWS, COLS), np.int16), nodata=-10000, names=("MASK",))
    write_raster(folder / "SUSPECTS.tif", np.ones((ROWS, COLS), np.int16), nodata=-10000, names=("VALID",))
    with rasterio.open(src) as dataset:
        grid = GeoBox(dataset.shape, dataset.transform, CRS("EPSG:32633"))
    year = Period(start=datetime(2021, 1, 1, tzinfo=UTC), end=datetime(2021, 12, 31, tzinfo=UTC))
    ProductRecord(
        id="composite-0123456789ab", collection="bare-soil-composites", kind="composite", title="t", abstract="a",
        period=year, extent=Extent.of_grid(grid), licence="CC-BY-NC-SA-4.0", attribution=("someone",), simulated=True,
        algorithm=Algorithm(name="scmap", version="1.0", title="t", description="d", parameters={}), sources=(),
        layers=(
            Layer(
                name="SRC", title="t", description="d", file="SRC.tif", nodata=-10000,
                bands=(Band(name="SRC_B02"), Band(name="SRC_B03")),
            ),
            Layer(
                name="MASK", title="t", description="d", file="MASK.tif", nodata=-10000, bands=(Band(name="MASK"),),
                categories={1: "bare"},
            ),
            Layer(
                name="SUSPECTS", title="t", description="d", file="SUSPECTS.tif", nodata=-10000,
                bands=(Band(name="VALID"),), roles=("data", "quality"),
            ),
        ),
    ).write(folder)  # fmt: skip
    return folder


def test_a_product_is_one_source_with_its_licence(product: Path) -> None:
    stack = CovariateStack.open([product])
    (source,) = stack.sources()
    assert stack.names == ("SRC_B02", "SRC_B03", "MASK")
    assert stack.categorical == {"MASK"}
    assert (source.role, source.id, source.licence) == ("composite", "composite-0123456789ab", "CC-BY-NC-SA-4.0")
    assert source.attribution == "someone"
    assert stack.simulated
    assert stack.period is not None
    assert stack.period.end.year == 2021


def test_a_single_file_of_a_product_is_still_of_the_product(product: Path) -> None:
    alone, whole = (
        CovariateStack.open([product / "SRC.tif"]),
        CovariateStack.open([product]).select(["SRC_B02", "SRC_B03"]),
    )
    assert alone.names == ("SRC_B02", "SRC_B03")
    assert alone.sources() == whole.sources()


def test_quality_of_a_product_is_a_covariate_only_when_it_is_named(product: Path) -> None:
    assert "VALID" not in CovariateStack.open([product]).names
    assert CovariateStack.open([product / "SUSPECTS.tif"]).names == ("VALID",)


def test_the_real_covariates_are_one_grid(shared_data: Path) -> None:
    folder = shared_data / "cdsm-peterborough" / "covariates_20m"
    stack = CovariateStack.open([folder], ["crop2016"])
    with rasterio.open(folder / "RADK.tif") as dataset:
        expected = dataset.read(1)[400:420, 300:330]
    np.testing.assert_array_equal(stack.read(Window(400, 300, 20, 30))[stack.names.index("RADK")], expected)
    assert len(stack.names) == 13
