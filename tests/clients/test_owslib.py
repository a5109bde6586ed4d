"""OWSLib: coverages, positions, records, maps, tiles and processes."""

from io import BytesIO

import httpx
import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.warp
import rasterio.windows
from numpy.typing import NDArray
from owslib.ogcapi.coverages import Coverages
from owslib.ogcapi.edr import EnvironmentalDataRetrieval
from owslib.ogcapi.features import Features
from owslib.ogcapi.maps import Maps
from owslib.ogcapi.processes import Processes
from owslib.ogcapi.records import Records
from owslib.wmts import WebMapTileService
from PIL import Image
from rasterio.io import MemoryFile

from processors.tile_matrices import EUROPEAN, WEB_MERCATOR
from tests.clients.conftest import Site
from tests.clients.reading import reads
from tests.processors.coverages.worlds import COLLECTION, LEFT, NODATA, TOP
from tests.processors.maps.test_map_router import middle_tile

pytestmark = pytest.mark.xdist_group("clients")
_LONLAT = pyproj.Transformer.from_crs("EPSG:3035", "EPSG:4326", always_xy=True)


def pixels(content: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGBA"))


@reads("OWSLib", "OGC API Coverages")
def test_coverages(site: Site) -> None:
    client = Coverages(f"{site.url}/ogc/")
    assert set(client.coverages()) == {"bare-soil-composites", "soc", COLLECTION}
    assert list(client.collection_schema(COLLECTION)["properties"]) == ["mean", "q95", "aoa"]
    with MemoryFile(client.coverage(COLLECTION).read()) as memory, memory.open() as dataset:
        assert dataset.descriptions == ("mean", "q95", "aoa")
        np.testing.assert_array_equal(dataset.read(1), site.tiles.mosaic)
    layers = ["mean", "q05", "q95"]
    with MemoryFile(client.coverage("soc", properties=layers).read()) as memory, memory.open() as dataset:
        assert dataset.descriptions == tuple(layers)
        np.testing.assert_array_equal(dataset.read(), [site.stored(name) for name in layers])


def test_parts_of_a_coverage(site: Site) -> None:
    client = Coverages(f"{site.url}/ogc/")
    subset = [("E", LEFT + 2000, LEFT + 4000), ("N", TOP - 2000, TOP)]
    part = client.coverage(COLLECTION, properties=["mean"], subset=subset, datetime=("2022-01-01", ".."))
    with MemoryFile(part.read()) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(dataset.read(1), site.tiles.mosaic[:100, 100:200])
    older = client.coverage(COLLECTION, properties=["mean"], subset=subset, datetime=("..", "2021-01-01"))
    with MemoryFile(older.read()) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(dataset.read(1), site.tiles.older[:100, 100:200])
    half = client.coverage(COLLECTION, properties=["mean"], subset=subset, scale_factor=2)
    with MemoryFile(half.read()) as memory, memory.open() as dataset:
        assert (dataset.shape, dataset.count, dataset.res) == ((50, 50), 1, (40, 40))
    sized = client.coverage(COLLECTION, scale_size={"E": 30, "N": 20}, properties=["q95"])
    with MemoryFile(sized.read()) as memory, memory.open() as dataset:
        assert dataset.shape == (20, 30)


@reads("OWSLib", "OGC API EDR")
def test_a_position_and_a_cube(site: Site) -> None:
    client = EnvironmentalDataRetrieval(f"{site.url}/ogc/")
    assert set(client.data()) == {"bare-soil-composites", "soc", COLLECTION}
    lon, lat = _LONLAT.transform(LEFT + 300.5 * 20, TOP - 300.5 * 20)
    found = client.query_data(COLLECTION, "position", coords=f"POINT({lon} {lat})", parameter_names=["mean"])
    assert found["ranges"]["mean"]["values"] == [pytest.approx(site.tiles.mosaic[300, 300] * 0.1)]
    box = [lon, lat, lon + 0.002, lat + 0.002]
    cube = client.query_data(COLLECTION, "cube", bbox=box, parameter_names=["mean"])
    values = {round(each * 10) for each in cube["ranges"]["mean"]["values"] if each is not None}
    assert values
    assert values <= set(site.tiles.mosaic[280:310, 290:320].ravel().tolist())


@reads("OWSLib", "OGC API Records")
def test_records(site: Site) -> None:
    client = Records(f"{site.url}/ogc/")
    assert client.records() == ["products"]
    found = client.collection_items("products", q="carbon", bbox=[24, 65, 26, 67], limit=2, offset=1)
    assert {each["id"] for each in found["features"]} < set(site.store.items(COLLECTION))
    assert found["numberReturned"] == 2
    assert client.collection_item("products", site.soc)["properties"]["title"] == site.demo.soil_map.record.title
    assert "type" in client.collection_queryables("products")["properties"]


@reads("OWSLib", "OGC API Features")
def test_validation_sites(site: Site) -> None:
    client = Features(f"{site.url}/ogc/")
    assert "validation-sites" in client.feature_collections()
    found = client.collection_items("validation-sites", limit=1000, filter="inside_interval = true")
    assert {each["id"]: each["properties"]["observed"] for each in found["features"]} == {
        name: each["observed"] for name, each in site.sites.items() if each["inside_interval"]
    }
    assert all(each["properties"]["q05"] <= each["properties"]["observed"] for each in found["features"])


@reads("OWSLib", "OGC API Maps")
def test_maps(site: Site) -> None:
    client = Maps(f"{site.url}/ogc/")
    assert set(client.maps()) == {"bare-soil-composites", "soc", COLLECTION}
    picture = pixels(client.map(COLLECTION, width=110, height=80).read())
    assert picture.shape == (80, 110, 4)
    # Of each ten cells the one in the middle, where all around it are alike.
    blocks = (site.tiles.mosaic == NODATA).reshape(80, 10, 110, 10).mean(axis=(1, 3))
    assert (picture[blocks == 1][:, 3] == 0).all()
    assert (picture[blocks == 0][:, 3] == 255).all()


@reads("OWSLib", "WMTS")
@pytest.mark.parametrize("name", [WEB_MERCATOR, EUROPEAN])
def test_tiles(site: Site, name: str) -> None:
    """They are those of OGC API Tiles, whose pixels other tests hold against the cells."""
    service = WebMapTileService(f"{site.url}/tiles/wmts")
    layer = service[COLLECTION]
    assert [style for style, each in layer.styles.items() if each["isDefault"]] == ["mean"]
    assert set(layer.formats) == {"image/png", "image/webp"}
    assert service.tilematrixsets[name].crs.endswith({WEB_MERCATOR: "3857", EUROPEAN: "3035"}[name])
    z, row, col = middle_tile(name, 9)
    place = {"tilematrixset": name, "tilematrix": str(z), "row": row, "column": col}
    found = pixels(service.gettile(layer=COLLECTION, style="mean", format="image/png", **place).read())
    ours = httpx.get(f"{site.url}/ogc/collections/{COLLECTION}/map/tiles/{name}/{z}/{row}/{col}", timeout=30)
    assert found[..., 3].any()
    assert (found == pixels(ours.content)).all()
    limits = layer.tilematrixsetlinks[name].tilematrixlimits[str(z)]
    assert limits.mintilerow <= row <= limits.maxtilerow
    assert limits.mintilecol <= col <= limits.maxtilecol


@reads("OWSLib", "OGC API Processes")
def test_processes(site: Site) -> None:
    """What is predicted for an area is what the map holds there."""
    client = Processes(f"{site.url}/ogc/")
    assert "predict-soil-property" in [each["id"] for each in client.processes()]
    assert {"aoi", "bbox", "property"} <= set(client.process("predict-soil-property")["inputs"])
    with rasterio.open(site.file("q95")) as local:
        left, bottom = local.bounds[:2]
        inner = (left + 600, bottom + 600, left + 1400, bottom + 1400)
        box = rasterio.warp.transform_bounds(local.crs, "EPSG:4326", *inner, densify_pts=21)
        inputs = {"bbox": {"bbox": list(box)}, "property": "soc"}
        answer = client.execute("predict-soil-property", inputs)
        with rasterio.open(f"/vsicurl/{answer['map']['href']}") as made:
            window = rasterio.windows.from_bounds(*made.bounds, local.transform)
            theirs = made.read(made.descriptions.index("q95") + 1)
            ours = local.read(1, window=window)
    inside = theirs != NODATA
    assert inside.any()
    np.testing.assert_array_equal(theirs[inside], ours[inside])
