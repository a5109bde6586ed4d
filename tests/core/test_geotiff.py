"""GeoTIFFs in memory against GDAL: what rasterio reads of ours, and what it would have written itself."""

from collections.abc import Sequence

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile

from cup4soil.rasters.geotiff import BandText, geotiff_bytes

_TAGS = {"TIFFTAG_COPYRIGHT": "CC-BY-4.0; Ä & <b>", "ITEMS": "a, b"}
_CRS = ("EPSG:3035", "EPSG:4326", "EPSG:32633", "+proj=laea +lat_0=50 +lon_0=9 +datum=WGS84")
_DTYPES = st.sampled_from([np.int16, np.uint8])


def _bands(count: int) -> list[BandText]:
    return [BandText(f"b{i}", "g/kg" if i else "1", 0.1 * (i + 1), -i, "" if i % 2 else "Länge") for i in range(count)]


def _written(values: NDArray[np.integer], box: GeoBox, bands: Sequence[BandText], nodata: int) -> bytes:
    """The same file by GDAL alone."""
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2], dtype=values.dtype.name,
            nodata=nodata, crs=str(box.crs), transform=box.affine, compress="DEFLATE", interleave="band",
        ) as dataset:  # fmt: skip
            dataset.write(values)
            dataset.update_tags(**_TAGS)
            dataset.scales, dataset.offsets = [b.scale for b in bands], [b.offset for b in bands]
            dataset.units = ["" if b.unit == "1" else b.unit for b in bands]
            dataset.descriptions = [b.name for b in bands]
            for index, band in enumerate(bands, 1):
                if band.long_name:
                    dataset.update_tags(index, long_name=band.long_name)
        return bytes(memory.read())


def _seen(content: bytes) -> tuple[object, ...]:
    with MemoryFile(content) as memory, memory.open() as dataset:
        tags = {name: text for name, text in dataset.tags().items() if name != "AREA_OR_POINT"}
        own = [dataset.tags(index) for index in dataset.indexes]
        return (
            dataset.read().tobytes(), dataset.shape, dataset.dtypes, dataset.nodata, dataset.crs, dataset.transform,
            dataset.scales, dataset.offsets, dataset.units, dataset.descriptions, tags, own,
            dataset.tags().get("AREA_OR_POINT"),
        )  # fmt: skip


@settings(max_examples=40)
@given(
    values=_DTYPES.flatmap(
        lambda dtype: arrays(dtype, st.tuples(st.integers(1, 3), st.integers(1, 300), st.integers(1, 300)))
    ),
    crs=st.sampled_from(_CRS),
    place=st.tuples(st.floats(-9e6, 9e6), st.floats(-9e6, 9e6), st.floats(1e-4, 1e4), st.floats(1e-4, 1e4)),
)
def test_gdal_sees_what_it_would_have_written_itself(
    values: NDArray[np.integer], crs: str, place: tuple[float, float, float, float]
) -> None:
    left, top, width, height = place
    box = GeoBox(values.shape[1:], Affine(width, 0, left, 0, -height, top), crs)
    nodata = 255 if values.dtype == np.uint8 else -32768
    bands = _bands(len(values))
    ours = geotiff_bytes(values, box, bands, nodata=nodata, tags=_TAGS)
    assert _seen(ours) == _seen(_written(values, box, bands, nodata))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 256, 256), (1, 257, 255), (2, 600, 520)])
@pytest.mark.parametrize("dtype", ["int16", "uint8"])
def test_values_over_the_whole_range_come_back_from_every_tile(shape: tuple[int, int, int], dtype: str) -> None:
    info = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    box = GeoBox(shape[1:], Affine(20, 0, 4e6, 0, -20, 3e6), "EPSG:3035")
    content = geotiff_bytes(values, box, _bands(shape[0]), nodata=0, tags={})
    with MemoryFile(content) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(dataset.read(), values)
        assert dataset.profile["compress"] == "deflate"
        # The tiles lie one after the other up to the end of the file.
        last = [dataset.get_tag_item(f"BLOCK_{name}_{(shape[2] - 1) // 256}_{(shape[1] - 1) // 256}", "TIFF",
                bidx=shape[0]) for name in ("OFFSET", "SIZE")]  # fmt: skip
        assert int(last[0]) + int(last[1]) == len(content)


def test_answers_of_one_kind_differ_in_their_place_and_cells_only() -> None:
    values = np.arange(600, dtype=np.int16).reshape(1, 20, 30)
    for shift in (0, 20):
        box = GeoBox((20, 30), Affine(20, 0, 4e6 + shift, 0, -20, 3e6), "EPSG:3035")
        content = geotiff_bytes(values + shift, box, _bands(1), nodata=-1, tags=_TAGS)
        with MemoryFile(content) as memory, memory.open() as dataset:
            assert dataset.transform == box.affine
            np.testing.assert_array_equal(dataset.read(), values + shift)


@pytest.mark.parametrize(("categorical", "middle"), [(True, {0, 9}), (False, set(range(10)))])
def test_a_cloud_optimised_one_has_its_layout_and_overviews(categorical: bool, middle: set[int]) -> None:
    values = np.zeros((1, 1024, 1024), np.uint8)
    values[0, :, 1::2] = 9
    box = GeoBox((1024, 1024), Affine(20, 0, 4e6, 0, -20, 3e6), "EPSG:3035")
    content = geotiff_bytes(
        values, box, _bands(1), nodata=255, tags=_TAGS, cloud_optimised=True, categorical=categorical
    )
    with MemoryFile(content) as memory, memory.open() as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.overviews(1)
        np.testing.assert_array_equal(dataset.read(), values)
        half = dataset.read(1, out_shape=(512, 512), resampling=rasterio.enums.Resampling.nearest)
        assert set(np.unique(half).tolist()) <= middle
        assert dataset.tags()["ITEMS"] == "a, b"
