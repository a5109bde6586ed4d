"""GDAL: Debian's programs (3.6), and the newer ones in rasterio and pyogrio."""

import json
import re
import sys
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import rasterio

from processors.tile_matrices import EUROPEAN, WEB_MERCATOR
from tests import needs
from tests.clients.conftest import Site, told
from tests.clients.reading import reads
from tests.processors.coverages.worlds import COLLECTION, LEFT, NODATA, TOP

pytestmark = pytest.mark.xdist_group("clients")
_DEBIAN, _NEWER = "GDAL 3.6", "GDAL of rasterio and pyogrio"


@pytest.fixture
def translate() -> list[str]:
    return [needs.program("gdal_translate", "gdal-bin"), "-q"]


@reads(_DEBIAN, "OGC API Coverages")
def test_coverage(site: Site, translate: list[str], tmp_path: Path) -> None:
    source, target = f"OGCAPI:{site.url}/ogc/collections/{COLLECTION}", tmp_path / "fetched.tif"
    # The driver calls every coverage EPSG:4326, whatever its domain says.
    told([*translate, "-oo", "CACHE=NO", "-b", "1", "-a_srs", "EPSG:3035", source, str(target)])
    with rasterio.open(target) as dataset:
        np.testing.assert_array_equal(dataset.read(1), site.tiles.mosaic)
        assert tuple(dataset.bounds) == (LEFT, TOP - 16_000, LEFT + 22_000, TOP)


@reads(_DEBIAN, "COGs")
def test_cog(site: Site, translate: list[str], tmp_path: Path) -> None:
    target = tmp_path / "q05.tif"
    told([*translate, f"/vsicurl/{site.address('q05')}", str(target)])
    with rasterio.open(target) as dataset:
        np.testing.assert_array_equal(dataset.read(1), site.stored("q05"))
        assert (dataset.scales, dataset.units, dataset.nodata) == ((0.1,), ("g/kg",), NODATA)


@reads(_DEBIAN, "WMTS")
@pytest.mark.parametrize("name", [WEB_MERCATOR, EUROPEAN])
def test_tiles(site: Site, translate: list[str], tmp_path: Path, name: str) -> None:
    """The tiles lie where the cells are: gaps of the map are their gaps."""
    capabilities = f"{site.url}/tiles/wmts/1.0.0/WMTSCapabilities.xml"
    source = f"WMTS:{capabilities},layer={COLLECTION},tilematrixset={name},style=mean"
    target = tmp_path / "read.tif"
    corners = [str(each) for each in (LEFT, TOP, LEFT + 22_000, TOP - 16_000)]
    srs = ["-projwin_srs", "EPSG:3035"] if name == WEB_MERCATOR else []
    # It keeps tiles in the folder it works in.
    told([*translate, "-outsize", "220", "160", "-projwin", *corners, *srs, source, str(target)], tmp_path)
    with rasterio.open(target) as dataset:
        shown = dataset.read(4) > 0
        assert dataset.crs.to_epsg() == {WEB_MERCATOR: 3857, EUROPEAN: 3035}[name]
    if name == EUROPEAN:
        mapped = site.tiles.mosaic[2::5, 2::5] != NODATA
        assert (shown == mapped).mean() > 0.97
    assert 0.3 < shown.mean() < 0.95


@reads(_DEBIAN, "OGC API Features", "OGC API Records", "STAC API")
def test_sites_records_and_items_as_features(site: Site) -> None:
    program = [needs.program("ogrinfo", "gdal-bin"), "-ro", "-al", "-so"]
    assert "Feature Count: 3" in told([*program, f"OAPIF:{site.url}/stac", COLLECTION])
    assert f"Feature Count: {len(site.names)}\n" in told([*program, f"OAPIF:{site.url}/ogc", "products"])
    assert f"Feature Count: {len(site.sites)}\n" in told([*program, f"OAPIF:{site.url}/ogc", "validation-sites"])


def test_search_as_a_mosaic_of_the_older(site: Site, tmp_path: Path) -> None:
    """GDAL 3.6 knows no ``proj:code``; the search is kept with what stood there before."""
    with urlopen(
        f"{site.url}/stac/search?collections={COLLECTION}&datetime=2022-06-01T00:00:00Z", timeout=30
    ) as answer:
        text = re.sub(r'"proj:code": ?"EPSG:(\d+)"', r'"proj:epsg": \1', answer.read().decode())
    (tmp_path / "search.json").write_text(text)
    x, y = LEFT + 750.5 * 20, TOP - 500.5 * 20
    command = [needs.program("gdallocationinfo", "gdal-bin"), "-valonly", "-geoloc"]
    found = told([*command, f'STACIT:"{tmp_path / "search.json"}":asset=mean', str(x), str(y)])
    assert int(found) == site.tiles.mosaic[500, 750]


@reads(_NEWER, "STAC API", "COGs")
def test_search_as_a_mosaic(site: Site) -> None:
    """Stored integers: the driver does not take over scales."""
    search = f"{site.url}/stac/search?collections={COLLECTION}&datetime=2022-06-01T00:00:00Z"
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
    with rasterio.Env(**options), rasterio.open(f'STACIT:"{search}":asset=mean') as mosaic:
        assert mosaic.crs.to_epsg() == 3035
        assert tuple(mosaic.bounds) == (LEFT, TOP - 16_000, LEFT + 22_000, TOP)
        loaded = mosaic.read(1)
    alone = np.ones(loaded.shape, dtype=bool)
    alone[100:700, 500:600] = False
    np.testing.assert_array_equal(loaded[alone], site.tiles.mosaic[alone])
    with rasterio.Env(**options), rasterio.open(f"/vsicurl/{site.address('mean')}") as remote:
        np.testing.assert_array_equal(remote.read(1), site.stored("mean"))


_READ = """
import json, sys, pyogrio
table = pyogrio.read_dataframe(f"OAPIF:{sys.argv[1]}", layer=sys.argv[2])
assert table.geometry.is_valid.all()
assert (table.crs.to_epsg() or 4326) == 4326
print(json.dumps(list(table["id"])))
"""


@reads(_NEWER, "OGC API Features", "OGC API Records")
def test_tables(site: Site) -> None:
    wanted = {
        ("ogc", "products"): {name.split("/")[1] for name in site.names},
        ("ogc", "validation-sites"): set(site.sites),
        ("stac", COLLECTION): set(site.store.items(COLLECTION)),
    }
    for (door, layer), names in wanted.items():
        assert set(json.loads(told([sys.executable, "-c", _READ, f"{site.url}/{door}", layer]))) == names
