"""Files that stay open between reads."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import RasterioIOError

from cup4soil.rasters.handles import HandlePool


def raster(path: Path, value: int, size: int = 8) -> str:
    with rasterio.open(
        path, "w", driver="GTiff", height=size, width=size, count=1, dtype="uint8", crs="EPSG:32632",
        transform=rasterio.Affine(20, 0, 0, 0, -20, 0),
    ) as dataset:  # fmt: skip
        dataset.write(np.full((size, size), value, np.uint8), 1)
    return str(path)


def value(pool: HandlePool, source: str) -> int:
    with pool.open(source) as dataset:
        return int(dataset.read(1)[0, 0])


@pytest.fixture
def opened(monkeypatch):
    """What is opened anew."""
    found = []
    really = rasterio.open

    def watched(source, *args, **more):
        found.append(Path(source).name)
        return really(source, *args, **more)

    monkeypatch.setattr(rasterio, "open", watched)
    return found


def test_file_is_opened_once(tmp_path, opened):
    source = raster(tmp_path / "a.tif", 3)
    opened.clear()
    pool = HandlePool(4, 2**20)
    assert [value(pool, source) for _ in range(3)] == [3, 3, 3]
    assert opened == ["a.tif"]
    pool.close()


def test_one_file_in_two_hands_is_two_datasets(tmp_path):
    source = raster(tmp_path / "a.tif", 3)
    pool = HandlePool(4, 2**20)
    with pool.open(source) as one, pool.open(source) as other:
        assert one is not other
    with pool.open(source) as one, pool.open(source) as other:
        assert one is not other
    pool.close()


def test_replaced_file_is_read_anew(tmp_path):
    source = raster(tmp_path / "a.tif", 3)
    pool = HandlePool(4, 2**20)
    assert value(pool, source) == 3
    raster(tmp_path / "b.tif", 5, 9)
    (tmp_path / "b.tif").replace(tmp_path / "a.tif")
    assert value(pool, source) == 5
    pool.close()


def test_full_pool_keeps_what_it_has_while_it_is_used(tmp_path, opened):
    sources = [raster(tmp_path / f"{n}.tif", n) for n in range(6)]
    opened.clear()
    pool = HandlePool(4, 2**20)
    for _ in range(5):
        assert [value(pool, source) for source in sources] == list(range(6))
    # Four are opened once, two each time.
    assert len(opened) == 4 + 2 * 5
    pool.close()


def test_full_pool_gives_way_to_another_archive(tmp_path, opened):
    old = [raster(tmp_path / f"old{n}.tif", n) for n in range(4)]
    new = [raster(tmp_path / f"new{n}.tif", n) for n in range(3)]
    pool = HandlePool(4, 2**20)
    for source in old:
        value(pool, source)
    for _ in range(20):
        assert [value(pool, source) for source in new] == [0, 1, 2]
    opened.clear()
    assert [value(pool, source) for source in new] == [0, 1, 2]
    assert opened == []
    pool.close()


def test_what_makes_room_is_closed(tmp_path, monkeypatch):
    """One large file comes where several small ones wait that nobody uses any more: each of them is closed."""
    small = [raster(tmp_path / f"{n}.tif", n, 16) for n in range(4)]
    large = [raster(tmp_path / f"large{n}.tif", n, 64) for n in range(2)]
    pool = HandlePool(100, 64 * 64 + 1)
    found = []
    really = rasterio.open

    def watched(*args, **more):
        found.append(really(*args, **more))
        return found[-1]

    monkeypatch.setattr(rasterio, "open", watched)
    for _ in range(30):
        for source in [*small, *large] if not found else large:
            value(pool, source)
    pool.close()
    assert len(found) >= len(small) + len(large)
    assert all(dataset.closed for dataset in found)


def test_pool_without_room_closes_everything(tmp_path):
    source = raster(tmp_path / "a.tif", 3)
    for pool in (HandlePool(0, 2**20), HandlePool(4, 0)):
        for _ in range(3):
            with pool.open(source) as dataset:
                pass
            assert dataset.closed


def test_buffers_are_bounded(tmp_path, opened):
    sources = [raster(tmp_path / f"{n}.tif", n, 64) for n in range(4)]
    opened.clear()
    pool = HandlePool(100, 2 * 64 * 64)
    for _ in range(2):
        for source in sources:
            value(pool, source)
    assert len(opened) == 4 + 2
    pool.close()


def test_dataset_after_an_error_is_not_used_again(tmp_path, opened):
    source = raster(tmp_path / "a.tif", 3)
    opened.clear()
    pool = HandlePool(4, 2**20)
    with pytest.raises(RasterioIOError), pool.open(source):
        raise RasterioIOError
    assert value(pool, source) == 3
    assert opened == ["a.tif", "a.tif"]
    pool.close()
