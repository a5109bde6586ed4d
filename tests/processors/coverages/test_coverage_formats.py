"""Answers as GeoTIFF and CoverageJSON, read by others."""

import json
from typing import Any

import numpy as np
import pyproj
import pytest
from rasterio.io import MemoryFile
from rio_cogeo.cogeo import cog_validate

from processors.coverage_formats import coverage_json, domain_set, field_schema, geotiff, range_type
from processors.coverage_query import parse_query
from processors.coverage_reader import Answer, CoverageReader, common_type
from processors.crs import reference_of
from tests.processors.coverages import worlds
from tests.processors.coverages.conftest import COLLECTION, LEFT, TOP, World


@pytest.fixture(scope="module")
def answer(reader: CoverageReader) -> Answer:
    subset = f"E({LEFT + 1000}:{LEFT + 3000}),N({TOP - 3000}:{TOP - 1000})"
    return reader.read(COLLECTION, parse_query([("subset", subset)]))


def test_a_geotiff_says_what_its_bands_are_and_where_they_come_from(answer: Answer, world: World) -> None:
    with MemoryFile(geotiff(answer)) as memory, memory.open() as dataset:
        assert dataset.descriptions == ("mean", "q95", "aoa")
        assert dataset.units[:2] == ("g/kg", "g/kg")
        assert dataset.scales == (0.1, 0.1, 1.0)
        assert dataset.nodata == worlds.NODATA
        assert dataset.crs.to_epsg() == 3035
        np.testing.assert_array_equal(dataset.read(1), world.mosaic[50:150, 50:150])
        tags = dataset.tags()
    assert tags["ITEMS"] == world.tile.name
    assert tags["LICENCE"] == "CC-BY-SA-4.0"
    assert tags["ATTRIBUTION"] == "Made for tests"
    assert tags["SIMULATED"].startswith("yes")
    assert tags["PERIOD"] == "2022-01-03T00:00:00+00:00/2022-12-28T00:00:00+00:00"
    assert "CC-BY-SA-4.0" in tags["TIFFTAG_COPYRIGHT"]


def test_a_mosaic_names_all_its_items(reader: CoverageReader) -> None:
    whole = reader.read(COLLECTION, parse_query([("scale-factor", "20"), ("properties", "mean")]))
    with MemoryFile(geotiff(whole)) as memory, memory.open() as dataset:
        assert len(dataset.tags()["ITEMS"].split(", ")) == 2


def test_a_cog_has_its_overviews(reader: CoverageReader, world: World) -> None:
    whole = reader.read(COLLECTION, parse_query([("properties", "mean")]))
    with MemoryFile(geotiff(whole, cloud_optimised=True)) as memory:
        valid, problems, _ = cog_validate(memory.name, strict=True)
        assert valid, problems
        with memory.open() as dataset:
            assert dataset.overviews(1)
            np.testing.assert_array_equal(dataset.read(1), world.mosaic)
            assert dataset.tags()["COLLECTION"] == COLLECTION


def test_coverage_json_holds_scaled_values_on_the_native_grid(answer: Answer) -> None:
    document = json.loads(coverage_json((answer,)))
    axes = document["domain"]["axes"]
    assert axes["x"] == {"start": LEFT + 1010, "stop": LEFT + 2990, "num": 100}
    assert axes["y"] == {"start": TOP - 1010, "stop": TOP - 2990, "num": 100}
    spatial = document["domain"]["referencing"][0]
    assert spatial["system"] == {"type": "ProjectedCRS", "id": "http://www.opengis.net/def/crs/EPSG/0/3035"}
    # EPSG:3035 has the northing first.
    assert spatial["coordinates"] == ["y", "x"]
    mean = document["ranges"]["mean"]
    assert (mean["type"], mean["dataType"], mean["axisNames"]) == ("NdArray", "float", ["t", "y", "x"])
    assert mean["shape"] == [1, 100, 100]
    expected = [None if v == worlds.NODATA else round(v * 0.1, 9) for v in answer.values[0].ravel().tolist()]
    assert mean["values"] == expected
    assert None in expected


def test_coverage_json_is_whole(answer: Answer) -> None:
    """The members that the specification demands, each with the form it demands."""
    document = json.loads(coverage_json((answer,)))
    assert document["type"] == "Coverage"
    assert document["domain"]["domainType"] == "Grid"
    coordinates = [name for each in document["domain"]["referencing"] for name in each["coordinates"]]
    assert sorted(coordinates) == sorted(document["domain"]["axes"])
    assert set(document["parameters"]) == set(document["ranges"])
    for name, parameter in document["parameters"].items():
        assert parameter["type"] == "Parameter"
        assert parameter["observedProperty"]["label"]["en"]
        assert ("unit" in parameter) != ("categoryEncoding" in parameter)
        _check_range(document["ranges"][name], document["domain"]["axes"])
    classes = document["parameters"]["aoa"]
    assert {each["label"]["en"] for each in classes["observedProperty"]["categories"]} == {"inside", "outside"}
    assert set(document["ranges"]["aoa"]["values"]) <= set(classes["categoryEncoding"].values()) | {None}
    assert document["ranges"]["aoa"]["dataType"] == "integer"
    assert document["parameters"]["mean"]["unit"]["symbol"]["value"] == "g/kg"


def test_one_cell_is_listed(reader: CoverageReader) -> None:
    cell = reader.read(COLLECTION, parse_query([("subset", f"E({LEFT + 5005}),N({TOP - 5005})")]))
    axes = json.loads(coverage_json((cell,)))["domain"]["axes"]
    assert (axes["x"], axes["y"]) == ({"values": [LEFT + 5010]}, {"values": [TOP - 5010]})


def test_the_domain_follows_the_axis_order_of_the_crs(reader: CoverageReader) -> None:
    coverage = reader.catalog.coverage(COLLECTION)
    grid = domain_set(coverage.grid, reference_of(coverage.crs))["generalGrid"]
    assert grid["axisLabels"] == ["N", "E"]
    bounds = {axis["axisLabel"]: (axis["lowerBound"], axis["upperBound"]) for axis in grid["axis"]}
    assert bounds == {"E": (LEFT, LEFT + 22_000), "N": (TOP - 16_000, TOP)}
    assert pyproj.CRS.from_user_input(grid["srsName"]).to_epsg() == 3035


def test_fields_are_described(reader: CoverageReader) -> None:
    fields = tuple(reader.catalog.coverage(COLLECTION).fields.values())
    record = range_type(fields, common_type(fields)[0])
    assert [each["name"] for each in record["field"]] == ["mean", "q95", "aoa"]
    assert record["field"][0]["definition"] == "ogcType:signedShort"
    schema = field_schema(fields[0])
    assert (schema["type"], schema["minimum"], schema["maximum"]) == ("number", -3276.7, 3276.7)
    assert field_schema(fields[2])["enum"] == [0, 1]


def _check_range(values: dict[str, Any], axes: dict[str, Any]) -> None:
    sizes = {name: axis.get("num") or len(axis["values"]) for name, axis in axes.items()}
    assert values["shape"] == [sizes[name] for name in values["axisNames"]]
    assert len(values["values"]) == np.prod(values["shape"])
