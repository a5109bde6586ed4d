"""pystac-client, odc-stac and stac-check on the STAC API and on the static catalog."""

from functools import partial
from pathlib import Path

import numpy as np
import odc.stac
import pystac
import pystac_client
import pytest
import rasterio

from tests.catalog.schemas import local_schemas
from tests.clients.conftest import Site
from tests.clients.reading import reads
from tests.processors.coverages.worlds import COLLECTION, LEFT, NODATA, TOP

pytestmark = [
    pytest.mark.xdist_group("clients"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),  # in odc-geo
]


@pytest.fixture
def client(site: Site) -> pystac_client.Client:
    return pystac_client.Client.open(f"{site.url}/stac")


@reads("pystac-client", "STAC API")
def test_search(site: Site, client: pystac_client.Client) -> None:
    assert {each.id for each in client.get_collections()} == set(site.store.collections())
    (item,) = client.search(collections=["soc"], bbox=site.demo.soil_map.record.extent.bbox).items()
    assert item.id == site.soc
    with rasterio.open(item.assets["q95"].href) as remote:
        np.testing.assert_array_equal(remote.read(1), site.stored("q95"))
    later = client.search(collections=[COLLECTION], datetime="2022-01-01/..", limit=1)
    assert len(list(later.items())) == 2
    wanted = {"op": "=", "args": [{"property": "cup4soil:kind"}, "composite"]}
    assert [each.collection_id for each in client.search(filter=wanted).items()] == ["bare-soil-composites"]


@reads("PySTAC", "static STAC catalog")
def test_static_catalog(site: Site) -> None:
    catalog = pystac.Catalog.from_file(f"{site.url}/catalog/catalog.json")
    items = {item.id: item for item in catalog.get_items(recursive=True)}
    assert set(items) == {name for each in site.store.collections() for name in site.store.items(each)}
    with rasterio.open(items[site.soc].assets["mean"].get_absolute_href()) as remote:
        np.testing.assert_array_equal(remote.read(1), site.stored("mean"))


@reads("odc-stac", "STAC API", "COGs")
def test_layers_of_a_map(site: Site, client: pystac_client.Client) -> None:
    bands = ["mean", "q05", "q95"]
    items = list(client.search(collections=["soc"]).items())
    data = odc.stac.load(items, bands=bands)
    for name in bands:
        assert data[name].nodata == NODATA
        np.testing.assert_array_equal(data[name].values[0], site.stored(name))
    assert data.odc.geobox.crs.epsg == 32633


def test_tiles_become_one_mosaic(site: Site, client: pystac_client.Client) -> None:
    items = list(client.search(collections=[COLLECTION], datetime="2022-01-01/..", sortby="created").items())
    box = {"x": (LEFT, LEFT + 22_000), "y": (TOP - 16_000, TOP)}
    data = odc.stac.load(items, bands=["mean"], crs="EPSG:3035", resolution=20, groupby="time", **box)
    loaded = data["mean"].values[0]
    # Where tiles overlap, the first with data counts there, the newest in the service.
    alone = np.ones(loaded.shape, dtype=bool)
    alone[100:700, 500:600] = False
    np.testing.assert_array_equal(loaded[alone], site.tiles.mosaic[alone])


@pytest.fixture
def linter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type:
    """stac-check's, with the schemas of this machine in place of those of the web."""
    from stac_check import lint

    places = local_schemas(tmp_path)
    monkeypatch.setattr(lint, "StacValidate", partial(lint.StacValidate, schema_map=places))
    return lint.Linter


# Advice that is not followed: a static catalog that can be moved names no place of its own, a product is of a period
# and not of an instant, and what is known of it is not left out.
_KNOWN = ("A link to 'self' in links", "Please avoid setting the datetime", "You have ")


@reads("stac-check", "STAC API", "static STAC catalog")
def test_stac_check(site: Site, linter: type) -> None:
    paths = ["catalog/catalog.json", "catalog/soc/collection.json", f"catalog/soc/{site.soc}/{site.soc}.json"]
    paths += ["stac", "stac/collections/soc", f"stac/collections/soc/items/{site.soc}"]
    for path in paths:
        found = linter(f"{site.url}/{path}")
        assert found.valid_stac, (path, found.error_msg)
        assert found.geometry_errors_msg == [], path
        advice = [each for each in found.best_practices_msg[1:] if each and not each.startswith(_KNOWN)]
        assert advice == [], path
