"""Coverages as NetCDF, read by xarray and by GDAL."""

import io
from pathlib import Path

import httpx
import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
from rasterio.warp import transform

from processors.coverage_netcdf import NETCDF, netcdf
from processors.coverage_query import parse_query
from processors.coverage_reader import CoverageReader
from tests.processors.coverages import worlds
from tests.processors.coverages.conftest import COLLECTION, LEFT, TOP, World

_PART = ("subset", f"E({LEFT + 5000}:{LEFT + 6000}),N({TOP - 6600}:{TOP - 6000})")


@pytest.fixture(scope="module")
def body(reader: CoverageReader) -> bytes:
    query = parse_query([_PART, ("datetime", "2019/..")])
    return netcdf(reader.read_series(COLLECTION, query), "The survey of Ångström")


def test_xarray_reads_values_times_and_units(world: World, body: bytes) -> None:
    with xr.open_dataset(io.BytesIO(body), engine="scipy", decode_coords="all") as found:
        assert dict(found.sizes) == {"time": 2, "y": 30, "x": 50, "bounds": 2}
        assert found["mean"].attrs["units"] == "g/kg"
        assert found["mean"].attrs["long_name"] == "Mean"
        for time, stored in enumerate((world.older, world.mosaic)):
            cells = stored[300:330, 250:300].astype(float)
            want = np.where(cells == worlds.NODATA, np.nan, cells * 0.1)
            np.testing.assert_allclose(found["mean"].values[time], want, rtol=1e-6)
        np.testing.assert_array_equal(found["x"].values[:2], [LEFT + 5010, LEFT + 5030])
        np.testing.assert_array_equal(found["y"].values[:2], [TOP - 6010, TOP - 6030])
        assert str(found["time"].values[1]).startswith("2022-12-28")
        assert str(found["time_bounds"].values[0, 0]).startswith("2020-01-03")
        assert pyproj.CRS.from_cf(found["crs"].attrs) == pyproj.CRS("EPSG:3035")
        assert found["x"].attrs["standard_name"] == "projection_x_coordinate"
        assert found.attrs["Conventions"] == "CF-1.8"
        assert found.attrs["licence"] == "CC-BY-SA-4.0"
        assert found.attrs["simulated"].startswith("yes")


def test_classes_have_their_meanings(world: World, body: bytes) -> None:
    with xr.open_dataset(io.BytesIO(body), engine="scipy", mask_and_scale=False) as found:
        aoa = found["aoa"]
        np.testing.assert_array_equal(aoa.attrs["flag_values"], [0, 1])
        assert aoa.attrs["flag_meanings"] == "outside inside"
        assert "scale_factor" not in aoa.attrs
        cells = world.mosaic[300:330, 250:300]
        np.testing.assert_array_equal(aoa.values[1], cells % 2 == 0)
        assert found.attrs["institution"].encode("utf-8", "surrogateescape").decode() == "The survey of Ångström"


def test_classes_alone_keep_their_missing_cells(reader: CoverageReader) -> None:
    west = ("subset", f"E({LEFT}:{LEFT + 2000}),N({TOP - 400}:{TOP})")
    answers = reader.read_series(COLLECTION, parse_query([west, ("properties", "aoa")]))
    with xr.open_dataset(io.BytesIO(netcdf(answers, "x")), engine="scipy") as found:
        missing = np.isnan(found["aoa"].values[0])
        np.testing.assert_array_equal(missing, answers[0].values[0] == 255)
        assert missing.any()
        assert not missing.all()


def test_gdal_places_it_where_it_lies(world: World, body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "part.nc"
    path.write_bytes(body)
    with rasterio.open(f"netcdf:{path}:mean") as dataset:
        # Its axes stand x before y there, so it is not EPSG:3035 to the letter.
        places = [transform(crs, "EPSG:4326", [LEFT], [TOP]) for crs in (dataset.crs, "EPSG:3035")]
        np.testing.assert_allclose(places[0], places[1], atol=1e-9)
        assert dataset.transform == worlds.Affine(20, 0, LEFT + 5000, 0, -20, TOP - 6000)
        assert dataset.nodata == worlds.NODATA
        assert dataset.scales[0] == pytest.approx(0.1)
        np.testing.assert_array_equal(dataset.read(2), world.mosaic[300:330, 250:300])


def test_a_geographic_answer_has_degrees(reader: CoverageReader) -> None:
    query = parse_query([_PART, ("crs", "EPSG:4326"), ("properties", "mean")])
    with xr.open_dataset(io.BytesIO(netcdf(reader.read_series(COLLECTION, query), "x")), engine="scipy") as found:
        assert found["x"].attrs["units"] == "degrees_east"
        assert 24 < float(found["x"][0]) < 26
        assert 65 < float(found["y"][0]) < 66


def test_the_service_gives_it(server: str) -> None:
    address = f"{server}/ogc/collections/{COLLECTION}/coverage?{'='.join(_PART)}"
    answer = httpx.get(f"{address}&f=NetCDF")
    assert (answer.status_code, answer.headers["content-type"]) == (200, NETCDF)
    assert answer.headers["content-disposition"].endswith('.nc"')
    with xr.open_dataset(io.BytesIO(answer.content), engine="scipy") as found:
        assert found.sizes["time"] == 1
    series = httpx.get(f"{address}&datetime=2019/..", headers={"Accept": "application/x-netcdf"})
    assert series.headers["content-datetime"].startswith("2020-01-03")
    with xr.open_dataset(io.BytesIO(series.content), engine="scipy") as found:
        assert found.sizes["time"] == 2
    by_subset = httpx.get(f'{address},time("2019-01-01":"2023-01-01")&f=json&properties=mean').json()
    assert by_subset["ranges"]["mean"]["shape"] == [2, 30, 50]
    # GeoTIFF has no axis of time: it gives the latest period.
    latest = httpx.get(f"{address}&datetime=2019/..&f=GTiff")
    assert latest.headers["content-datetime"].startswith("2022-01-03")
