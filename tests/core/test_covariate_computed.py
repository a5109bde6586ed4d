"""Computed covariates, what a model remembers of covariates, and STAC items with all they may state."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from odc.geo import CRS

from cup4soil.errors import InvalidInput, InvalidRaster, NotFound
from cup4soil.grids import Window
from cup4soil.methods.spectral_indices import INDICES, spectral_index
from cup4soil.products import file_checksum
from cup4soil.rasters.covariate_signature import CovariateSignature, declarations
from cup4soil.rasters.covariates import CovariateStack
from tests.core.covariate_rasters import COLS, LEFT, ROWS, TOP, field, write_raster

BANDS = ("B02", "B03", "B04", "B05", "B08", "B8A", "B11", "B12")


@pytest.fixture(scope="module")
def bands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    values = rng.uniform(0.02, 0.5, (len(BANDS), ROWS, COLS)).astype(np.float32)
    values[2, 4, 5] = np.nan
    values[6:, 7, 8] = 0.0
    names = [f"SRC_{band}" for band in BANDS]
    return write_raster(tmp_path_factory.mktemp("bands") / "SRC.tif", values, names=names)


def test_indices_are_their_formulas(bands: Path) -> None:
    stack = CovariateStack.open([bands], computed=["indices:all@SRC"])
    values = dict(zip(stack.names, stack.read(stack.geobox).astype(float), strict=True))
    given = {band: values[f"SRC_{band}"] for band in BANDS}
    with np.errstate(invalid="ignore", divide="ignore"):
        for index in INDICES.values():
            expected = eval(index.formula.replace("^", "**"), {"sqrt": np.sqrt}, given)
            found = values[f"SRC_{index.name}"]
            np.testing.assert_allclose(found, np.where(np.isfinite(expected), expected, np.nan), rtol=1e-4)
    assert np.isnan(values["SRC_NDVI"][4, 5])
    assert np.isnan(values["SRC_CLAY"][7, 8])
    assert np.isfinite(values["SRC_NDVI"]).sum() == ROWS * COLS - 1


def test_an_index_of_equal_bands_and_of_opposite_ones() -> None:
    one, zero = np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)
    assert (spectral_index("ndvi").compute([one, one]) == 0).all()
    assert (spectral_index("ndvi").compute([one, zero]) == 1).all()
    assert np.isnan(spectral_index("ndvi").compute([zero, zero])).all()
    assert np.isnan(spectral_index("clay").compute([one, -one])).all()


def test_bands_that_only_an_index_needs_are_hidden(bands: Path) -> None:
    stack = CovariateStack.open([bands], computed=["indices:ndvi,nbr2@SRC"])
    chosen = stack.select(["SRC_NDVI", "SRC_B03"])
    assert chosen.names == ("SRC_B03", "SRC_NDVI")
    whole = stack.read(stack.geobox)
    np.testing.assert_array_equal(chosen.read(chosen.geobox)[1], whole[stack.names.index("SRC_NDVI")])
    assert chosen.read(Window(0, 0, 3, 4)).shape == (2, 3, 4)
    assert [each.name for each in chosen.signature] == ["SRC_B03", "SRC_NDVI"]
    assert chosen.select(["SRC_NDVI"]).sources()[0].properties["covariates"] == ["SRC_B04", "SRC_B08"]


def test_computed_covariates_at_points_are_those_of_the_cells(bands: Path) -> None:
    stack = CovariateStack.open([bands], computed=["indices:bsi@SRC", "oblique:5@EPSG:3035"])
    rows, cols = np.random.default_rng(1).integers(0, 30, (2, 20))
    at = stack.at_points(LEFT + (cols + 0.3) * 20, TOP - (rows + 0.6) * 20, CRS("EPSG:32633"))
    np.testing.assert_array_equal(at, stack.read(stack.geobox)[:, rows, cols].T)


def test_oblique_coordinates_are_distances_along_directions(bands: Path) -> None:
    stack = CovariateStack.open([bands], computed=["oblique:4@EPSG:25832"])
    assert stack.names[-4:] == ("oblique_00", "oblique_01", "oblique_02", "oblique_03")
    read = stack.read(stack.geobox)[-4:].astype(float)
    rows, cols = np.mgrid[:ROWS, :COLS]
    to_named = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:25832", always_xy=True)
    x, y = to_named.transform(LEFT + (cols + 0.5) * 20, TOP - (rows + 0.5) * 20)
    # Moller et al. (2020): the length of the place times the cosine of its angle to the direction.
    for index, angle in enumerate(np.deg2rad([0, 45, 90, 135])):
        expected = np.hypot(x, y) * np.cos(angle - np.arctan2(y, x))
        np.testing.assert_allclose(read[index], expected, atol=0.5)


def test_oblique_coordinates_without_crs_take_and_record_that_of_the_grid(bands: Path) -> None:
    stack = CovariateStack.open([bands], computed=["oblique:2"])
    assert stack.signature[-1].computed == "oblique:2@EPSG:32633"
    assert stack.signature[-1].unit == "m"
    assert stack.select(["oblique_01"]).read(Window(0, 0, 1, 1))[0, 0, 0] == pytest.approx(TOP - 10)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("ndvi", InvalidInput, "declares no computed covariate; give indices:"),
        ("indices:ndvi", InvalidInput, "declares no computed"),
        ("indices:@SRC", InvalidInput, "declares no computed"),
        ("oblique:", InvalidInput, "declares no computed"),
        ("indices:nothing@SRC", InvalidInput, "no spectral index 'nothing'; use some of ndvi"),
        ("indices:ndvi@MREF", NotFound, "ndvi needs the covariate 'MREF_B08'; there are SRC_B02"),
        ("oblique:0@EPSG:25832", InvalidInput, "along '0' directions"),
        ("oblique:101@EPSG:25832", InvalidInput, "give 1 to 100"),
        ("oblique:six@EPSG:25832", InvalidInput, "along 'six' directions"),
        ("oblique:6@EPSG:4326", InvalidInput, "give a projected CRS in metres"),
        ("oblique:6@nowhere", InvalidInput, "is no coordinate reference system"),
        ("__import__('os')", InvalidInput, "declares no computed"),
    ],
)
def test_what_cannot_be_computed_is_refused(bands: Path, spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CovariateStack.open([bands], computed=[spec])


@pytest.mark.parametrize("specs", [["indices:ndvi,ndvi@SRC"], ["oblique:2", "oblique:3"]])
def test_a_covariate_is_declared_once(bands: Path, specs: list[str]) -> None:
    with pytest.raises(InvalidInput, match="is declared twice"):
        CovariateStack.open([bands], computed=specs)


# What a model remembers


def tagged(path: Path, unit: str | None, values: np.ndarray | None = None, **more: Any) -> Path:
    write_raster(path, field(1) if values is None else values, **more)
    with rasterio.open(path, "r+") as dataset:
        dataset.units = (unit,)
    return path


def test_a_signature_brings_back_the_same_covariates(bands: Path, tmp_path: Path) -> None:
    slope = tagged(tmp_path / "slope.tif", "degree")
    land = write_raster(tmp_path / "land.tif", np.ones((ROWS, COLS), np.uint8))
    computed = ["indices:ndvi,clay@SRC", "oblique:3@EPSG:25832"]
    trained = CovariateStack.open([bands, slope, land], ["land"], computed=computed)
    learned = trained.select(["slope", "land", "SRC_CLAY", "oblique_01", "oblique_02"])
    kept = [CovariateSignature.model_validate_json(each.model_dump_json()) for each in learned.signature]
    assert {each.name: (each.unit, each.kind) for each in kept}["slope"] == ("degree", "continuous")
    again = CovariateStack.open([bands, slope, land], computed=declarations(kept)).matching(kept)
    assert again.signature == learned.signature
    assert again.categorical == {"land"}
    np.testing.assert_array_equal(again.read(again.geobox), learned.read(learned.geobox))


def test_every_mismatch_is_listed(tmp_path: Path) -> None:
    stack = CovariateStack.open(
        [tagged(tmp_path / "slope.tif", "%"), tagged(tmp_path / "dem.tif", "m")], computed=["oblique:2@EPSG:25832"]
    )
    crs = "EPSG:32633"
    wanted = (
        CovariateSignature(name="slope", unit="degree", crs=crs),
        CovariateSignature(name="dem", unit="m", crs="EPSG:32632"),
        CovariateSignature(
            name="oblique_00", unit="m", crs=crs, formula="x of EPSG:3035", computed="oblique:2@EPSG:3035"
        ),
    )
    with pytest.raises(InvalidRaster) as caught:
        stack.check_against(wanted)
    for part in (
        "slope is in % where the model has degree",
        "dem is in EPSG:32633 where the model has EPSG:32632",
        "oblique_00 is x cos 0 deg + y sin 0 deg in EPSG:25832 where the model has x of EPSG:3035",
    ):
        assert part in str(caught.value)


def test_missing_covariates_are_named(tmp_path: Path) -> None:
    stack = CovariateStack.open([tagged(tmp_path / "dem.tif", "m")])
    with pytest.raises(NotFound, match=r"needs 1 covariates that are not given: slope; .* there are dem"):
        stack.check_against([CovariateSignature(name="slope", crs="EPSG:32633")])


def test_declared_classes_are_not_taken_for_a_quantity(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "land.tif", np.ones((ROWS, COLS), np.uint8))
    stack = CovariateStack.open([path], ["land"])
    with pytest.raises(InvalidRaster, match="land holds classes values where the model has continuous"):
        stack.check_against([CovariateSignature(name="land", crs="EPSG:32633")])


def test_a_unit_that_one_side_states_is_told(tmp_path: Path) -> None:
    stack = CovariateStack.open([tagged(tmp_path / "dem.tif", None)])
    (told,) = stack.check_against([CovariateSignature(name="dem", unit="m", crs="EPSG:32633")])
    assert told.startswith("The unit of dem is stated as m on one side only")


# STAC items


def write_item(folder: Path, assets: dict[str, Any]) -> Path:
    path = folder / "item.json"
    path.write_text(json.dumps({"type": "Feature", "id": "i", "properties": {}, "assets": assets}))
    return path


def test_an_item_states_what_its_file_does_not(tmp_path: Path) -> None:
    stored = np.full((ROWS, COLS), 1200, np.uint16)
    stored[0, 0] = 0
    write_raster(tmp_path / "deep er" / "b.tif", stored)
    said = {"unit": "1", "nodata": 0, "scale": 1e-4, "offset": -0.1}
    new = {"name": "b", "unit": "K", "nodata": 0, "raster:scale": 1e-4, "raster:offset": -0.1}
    for key, fields in {"raster:bands": said, "bands": new}.items():
        for href in ("deep%20er/b.tif", (tmp_path / "deep er" / "b.tif").as_uri(), str(tmp_path / "deep er" / "b.tif")):
            asset = {"href": href, "type": "image/tiff", key: [fields]}
            if href == "deep%20er/b.tif":
                asset["href"] = "deep er/b.tif"
            stack = CovariateStack.open([write_item(tmp_path, {"b": asset})])
            read = stack.read(stack.geobox)[0]
            assert np.isnan(read[0, 0])
            assert read[5, 5] == pytest.approx(0.02, abs=1e-6)
            assert stack.signature[0].unit == (None if key == "raster:bands" else "K")


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"scale": 0.5}, "has the scale 0.1, its item states 0.5"),
        ({"nodata": 7}, "has the nodata -1, its item states 7"),
    ],
)
def test_an_item_that_contradicts_its_file_is_refused(tmp_path: Path, stated: dict[str, Any], message: str) -> None:
    path = write_raster(tmp_path / "b.tif", np.ones((ROWS, COLS), np.int16), nodata=-1)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (0.1,)
    asset = {"href": "./b.tif", "type": "image/tiff", "raster:bands": [stated]}
    with pytest.raises(InvalidRaster, match=message):
        CovariateStack.open([write_item(tmp_path, {"b": asset})])


def test_a_remote_asset_is_read_only_where_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    path = write_raster(tmp_path / "b.tif", field(1))
    with web_server(tmp_path) as address:
        asset = {"href": f"{address}/b.tif", "type": "image/tiff"}
        with pytest.raises(InvalidRaster, match="is remote: http"):
            CovariateStack.open([write_item(tmp_path, {"b": asset})])
        with pytest.raises(InvalidRaster, match=r"states no SHA-256; add file:checksum"):
            CovariateStack.open([write_item(tmp_path, {"b": asset})], remote=True)
        digest = file_checksum(path).removeprefix("sha256:")
        item = write_item(tmp_path, {"b": asset | {"file:checksum": f"1220{digest}"}})
        stack = CovariateStack.open([item], remote=True)
        np.testing.assert_array_equal(stack.read(stack.geobox)[0], field(1))
        assert stack.sources()[0].checksum == f"sha256:{digest}"


@pytest.mark.parametrize("href", ["s3://bucket/b.tif", "ftp://example.org/b.tif", "gs://bucket/b.tif"])
def test_other_remote_addresses_are_refused_though_allowed(tmp_path: Path, href: str) -> None:
    with pytest.raises(InvalidRaster, match="is remote"):
        CovariateStack.open([write_item(tmp_path, {"b": {"href": href, "type": "image/tiff"}})], remote=True)


@pytest.mark.parametrize("href", ["/vsicurl/http://127.0.0.1:9/b.tif", "/vsizip/b.zip/b.tif"])
def test_addresses_of_gdal_are_no_files(tmp_path: Path, href: str) -> None:
    with pytest.raises(NotFound, match="no raster"):
        CovariateStack.open([write_item(tmp_path, {"b": {"href": href, "type": "image/tiff"}})])


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """The files of a folder over HTTP on this machine, from a process of its own: GDAL keeps ours while it reads."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            port = server.stdout.readline().split(" port ")[1].split()[0]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
