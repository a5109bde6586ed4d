"""Plain GeoTIFFs: what goes in comes out, as rasterio sees it."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from cup4soil.errors import StoreError
from cup4soil.rasters.plain import write_plain

BOX = GeoBox((30, 40), Affine(20, 0, 400_000, 0, -20, 5_800_000), "EPSG:32633")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_values_grid_and_names_come_back(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 200, (2, 30, 40)).astype(dtype)
    write_plain(tmp_path / "a.tif", values, BOX, nodata=0, names=["one", "two"], scale=0.1, offset=-1)
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert np.array_equal(dataset.read(), values)
        assert dataset.dtypes == (dtype, dtype)
        assert (dataset.crs.to_epsg(), dataset.transform, dataset.nodata) == (32633, BOX.affine, 0)
        assert dataset.descriptions == ("one", "two")
        assert (dataset.scales, dataset.offsets) == ((0.1, 0.1), (-1, -1))
        assert dataset.block_shapes == [(256, 256)] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((30, 40), dtype=np.float32)
    for name in ("a.tif", "b.tif"):
        write_plain(tmp_path / name, values, BOX, nodata=np.nan)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize(
    ("values", "box", "names", "message"),
    [
        (np.zeros((40, 30), np.uint8), BOX, [], "on a grid of"),
        (np.zeros((30, 40), np.float64), BOX, [], "float64"),
        (np.zeros((2, 30, 40), np.uint8), BOX, ["one"], "1 names for 2 bands"),
        (np.zeros((30, 40), np.uint8), GeoBox((30, 40), BOX.affine, None), [], "CRS"),
    ],
)
def test_what_does_not_fit_is_a_mistake_of_the_caller(
    tmp_path: Path, values: np.ndarray, box: GeoBox, names: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_plain(tmp_path / "a.tif", values, box, names=names)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write"):
        write_plain(tmp_path / "missing" / "a.tif", np.zeros((30, 40), np.uint8), BOX)
