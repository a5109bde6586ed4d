"""OGC API Coverages, Part 1, draft 19-087: encodings and the API definition."""

import io
import json

import numpy as np
import pytest
import rasterio
import rasterio.warp as warp
import xarray as xr
from covjson_pydantic.coverage import Coverage
from PIL import Image
from rasterio.io import MemoryFile

from tests.conformance.asking import links, problem
from tests.conformance.conftest import Service

PART = "ogcapi-coverages-1/1.0"
COVERAGE = "/collections/soc-0-20cm/coverage"
# 30 rows and 40 columns from row 300 and column 400.
PLACE = {"subset": "E(5008000:5008800),N(4793400:4794000)"}
ROWS, COLS = slice(300, 330), slice(400, 440)


@pytest.mark.parametrize("asked", [{"f": "GTiff"}, {}, "image/tiff; application=geotiff", "image/geotiff"])
def test_geotiff(service: Service, asked: dict | str) -> None:
    """/conf/geotiff/coverage: by f, by default and by negotiation; bands in order, with scale, unit, nodata, origin."""
    headers = {"Accept": asked} if isinstance(asked, str) else {}
    answer = service.get(COVERAGE, params=PLACE | (asked if isinstance(asked, dict) else {}), headers=headers)
    assert answer.headers["content-type"] == "image/tiff; application=geotiff"
    with MemoryFile(answer.content) as memory, memory.open() as file:
        assert file.driver == "GTiff"
        assert file.descriptions == ("mean", "q95", "aoa")
        assert (file.crs.to_epsg(), file.nodata) == (3035, -32768)
        assert (file.scales, file.units[0]) == ((0.1, 0.1, 1.0), "g/kg")
        assert (file.bounds.left, file.bounds.top) == (5008000, 4794000)
        np.testing.assert_array_equal(file.read(1), service.world.mosaic[ROWS, COLS])
        assert file.tags()["LICENCE"] == "CC-BY-SA-4.0"


def test_cells_of_a_geotiff_are_areas(service: Service) -> None:
    """/conf/geotiff/raster-type: GTRasterTypeGeoKey is RasterPixelIsArea."""
    for name in ("GTiff", "COG"):
        with MemoryFile(service.get(COVERAGE, params=PLACE | {"f": name}).content) as memory, memory.open() as file:
            assert file.tags()["AREA_OR_POINT"] == "Area"


def test_netcdf(service: Service, tmp_path) -> None:
    """/conf/netcdf/coverage: every period of an interval, by CF, with the names of the axes."""
    answer = service.get(COVERAGE, params=PLACE | {"datetime": "2020/2022"}, headers={"Accept": "application/x-netcdf"})
    assert answer.headers["content-type"] == "application/x-netcdf"
    with xr.open_dataset(io.BytesIO(answer.content), engine="scipy") as data:
        assert data.attrs["Conventions"].startswith("CF-")
        assert data["mean"].dims == ("time", "y", "x")
        assert data["mean"].attrs["units"] == "g/kg"
        assert data["x"].attrs["standard_name"] == "projection_x_coordinate"
        assert list(data["time"].dt.year.values) == [2020, 2022]
        for values, stored in zip(data["mean"].values, (service.world.older, service.world.mosaic), strict=True):
            expected = np.full((800, 1100), np.nan)
            expected[: stored.shape[0], : stored.shape[1]] = np.where(stored == -32768, np.nan, stored * 0.1)
            np.testing.assert_allclose(values, expected[ROWS, COLS], atol=1e-9)
        np.testing.assert_allclose(data["x"].values, 5008010 + 20 * np.arange(40))
    path = tmp_path / "answer.nc"
    path.write_bytes(answer.content)
    with rasterio.open(f"netcdf:{path}:mean") as file:
        assert (file.count, file.bounds.top) == (2, 4794000)
        places = [warp.transform(crs, "EPSG:4326", [5008000], [4794000]) for crs in (file.crs, "EPSG:3035")]
        np.testing.assert_allclose(places[0], places[1], atol=1e-9)


@pytest.mark.parametrize("accept", ["application/vnd.cov+json", "application/prs.coverage+json", "application/json"])
def test_coverage_json(service: Service, accept: str) -> None:
    """/conf/coveragejson/coverage: valid by the community standard's model, values scaled, axes at centres of cells."""
    answer = service.get(COVERAGE, params=PLACE, headers={"Accept": accept})
    assert answer.headers["content-type"] in ("application/prs.coverage+json", accept)
    document = answer.json()
    Coverage.model_validate_json(json.dumps({k: v for k, v in document.items() if ":" not in k}))
    assert document["domain"]["axes"]["x"] == {"start": 5008010, "stop": 5008790, "num": 40}
    assert document["domain"]["axes"]["y"] == {"start": 4793990, "stop": 4793410, "num": 30}
    referencing = document["domain"]["referencing"]
    assert referencing[0]["coordinates"] == ["y", "x"], "northing comes first in EPSG:3035"
    found = np.array(document["ranges"]["mean"]["values"], float).reshape(30, 40)
    np.testing.assert_allclose(found, service.world.mosaic[ROWS, COLS] * 0.1, atol=1e-9)
    assert document["parameters"]["mean"]["unit"]["symbol"]["type"] == "http://www.opengis.net/def/uom/UCUM/"
    degrees = service.json(COVERAGE, params=PLACE | {"crs": "[OGC:CRS84]", "f": "json"})["domain"]["referencing"][0]
    assert degrees["coordinates"] == ["x", "y"]
    assert degrees["system"] == {"type": "GeographicCRS", "id": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}


def test_html(service: Service) -> None:
    """/conf/html/coverage: a page about the coverage, by negotiation and by f, that loads nothing from elsewhere."""
    answer = service.get(COVERAGE, headers={"Accept": "text/html"})
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.content == service.get(COVERAGE, params={"f": "html"}).content
    for said in ("Soil organic carbon", "2022-01-03", "mean", "EPSG/0/3035"):
        assert said in answer.text
    assert 'src="http' not in answer.text


def test_png_shows_one_field(service: Service) -> None:
    """/conf/core/get-coverage: a picture for people, whose colours have a legend; it is no data encoding."""
    answer = service.get(COVERAGE, params=PLACE | {"properties": "mean", "f": "png"})
    assert Image.open(io.BytesIO(answer.content)).size == (40, 30)
    legend = answer.headers["link"].split(">")[0].lstrip("<")
    assert service.get(f"/collections/soc-0-20cm/{legend}").headers["content-type"] == "image/png"
    problem(service.get(COVERAGE, params=PLACE | {"properties": "mean,q95", "f": "png"}), 400, "properties")


def test_the_api_definition_has_the_coverage(service: Service) -> None:
    """/conf/oas30/completeness /conf/api-operations/completeness: its path, every parameter, formats and refusals."""
    document = service.json("/openapi")
    operation = document["paths"]["/collections/{collectionId}/coverage"]["get"]
    names = {_resolved(document, each)["name"] for each in operation["parameters"]}
    assert names == {
        "collectionId", "bbox", "bbox-crs", "subset", "subset-crs", "datetime", "properties", "exclude-properties",
        "scale-factor", "scale-axes", "scale-size", "resolution", "width", "height", "crs", "f",
    }  # fmt: skip
    kinds = {kind.split(";")[0] for kind in operation["responses"]["200"]["content"]}
    assert {"image/tiff", "application/x-netcdf", "application/prs.coverage+json", "image/png"} <= kinds
    assert {"400", "404", "413"} <= operation["responses"].keys()
    base = document["servers"][0]["url"]
    for each in links(service.json("/collections/soc-0-20cm"), "ogc:coverage"):
        assert each["href"].split("?")[0] == f"{base}/collections/soc-0-20cm/coverage"


def test_the_operation_has_its_name(service: Service) -> None:
    """/conf/oas30/operation-id /conf/api-operations/operation-id"""
    operation = service.json("/openapi")["paths"]["/collections/{collectionId}/coverage"]["get"]
    assert operation["operationId"].endswith(".getCoverage")


def _resolved(document: dict, part: dict) -> dict:
    for name in part.get("$ref", "#/").split("/")[1:]:
        document = document[name] if name else document
    return document if "$ref" in part else part
