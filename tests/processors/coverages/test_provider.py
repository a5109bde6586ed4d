"""The plugin gives what the reader gives; its errors carry their statuses."""

import json
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
from pygeoapi.provider.base import ProviderGenericError
from rasterio.io import MemoryFile

from processors.coverage_formats import coverage_json, geotiff
from processors.coverage_query import parse_query
from processors.coverage_reader import CoverageReader
from processors.provider import CoverageProvider
from tests.processors.coverages.conftest import COLLECTION, LEFT, TOP, World


@pytest.fixture(scope="module")
def provider(world: World) -> CoverageProvider:
    return _provider(world)


def _provider(world: World, collection: str = COLLECTION) -> CoverageProvider:
    return CoverageProvider(
        {
            "type": "coverage",
            "name": "processors.provider.CoverageProvider",
            "data": str(world.store.root),
            "collection": collection,
        }
    )


def test_it_describes_the_coverage(provider: CoverageProvider) -> None:
    assert list(provider.fields) == ["mean", "q95", "aoa"]
    assert provider.fields["q95"]["x-ogc-unit"] == "g/kg"
    assert provider.axes == ["E", "N", "time"]
    assert provider._coverage_properties["width"] == 1100


def test_both_doors_give_the_same_bytes(provider: CoverageProvider, reader: CoverageReader) -> None:
    box = [TOP - 2000, LEFT + 3000, TOP - 1000, LEFT + 5000]
    query = [("bbox", ",".join(map(str, box))), ("bbox-crs", "EPSG:3035"), ("properties", "q95,aoa")]
    answer = reader.read(COLLECTION, parse_query(query))
    arguments: dict[str, Any] = {"bbox": box, "bbox_crs": "EPSG:3035", "properties": ["q95", "aoa"]}
    assert provider.query(**arguments, format_="GTiff") == geotiff(answer)
    assert provider.query(**arguments, format_="json") == json.loads(coverage_json((answer,)))


def test_subsets_of_numbers_and_times(provider: CoverageProvider, world: World) -> None:
    subsets = {"E": [LEFT, LEFT + 1000], "N": [TOP - 1000, TOP], "time": ["2020-01-01", "2020-12-31"]}
    content = provider.query(subsets=subsets, properties=["mean"], format_="GTiff")
    with MemoryFile(content) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(dataset.read(1), world.older[:50, :50])


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"bbox": [1, 2, 3, 4]}, HTTPStatus.NO_CONTENT),
        ({"datetime_": "1990"}, HTTPStatus.NO_CONTENT),
        ({"bbox": [1, 2, 3, 4], "bbox_crs": "moon"}, HTTPStatus.BAD_REQUEST),
        ({"properties": ["q42"]}, HTTPStatus.BAD_REQUEST),
        ({"subsets": {"E": ["a", "b"]}}, HTTPStatus.BAD_REQUEST),
        ({"bbox": [-180, -90, 180, 90], "format_": "json"}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ],
)
def test_errors_carry_their_status(provider: CoverageProvider, arguments: dict[str, Any], status: HTTPStatus) -> None:
    with pytest.raises(ProviderGenericError) as caught:
        provider.query(**arguments)
    assert caught.value.http_status_code == status
    assert caught.value.message == str(caught.value)


def test_an_unknown_collection_is_not_found(world: World) -> None:
    with pytest.raises(ProviderGenericError) as caught:
        _provider(world, "nothing")
    assert caught.value.http_status_code == HTTPStatus.NOT_FOUND
