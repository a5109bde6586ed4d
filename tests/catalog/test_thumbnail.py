"""Previews, and the small views of rasters that they are made from."""

from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from PIL import Image

from cup4soil.errors import InvalidInput, InvalidRaster, NotFound
from cup4soil.products import Band, Layer, ProductRecord
from cup4soil.rasters.overview import pyramid, read_overview
from stac_catalog.thumbnail import SIZE, thumbnail
from tests.catalog import products
from tests.catalog.conftest import Made


def layer(name: str = "x", bands: int = 1, **fields: object) -> Layer:
    named = tuple(Band(name=f"{name}{i}") for i in range(bands))
    base = {"name": name, "title": name, "description": name, "file": f"{name}.tif", "bands": named, "nodata": -32768}
    return Layer.model_validate(base | fields)


def picture(record: ProductRecord, folder: Path) -> np.ndarray:
    content = thumbnail(record, folder)
    assert content is not None
    with Image.open(BytesIO(content)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGBA"))


class TestOverview:
    def test_small_raster_is_read_as_it_is(self, tmp_path: Path) -> None:
        values = np.arange(1600).reshape(1, 40, 40)
        values[0, 3, 4] = -32768
        products.write_layer(tmp_path, layer(scale=0.1, offset=5.0), values, products.grid())
        overview = read_overview(tmp_path / "x.tif", 512)
        expected = np.where(values == -32768, np.nan, values * 0.1 + 5.0)
        np.testing.assert_allclose(overview.values, expected, rtol=1e-6)
        assert overview.names == ("x0",)

    @pytest.mark.parametrize("size", [1, 3, 20, 39])
    def test_decimated_is_the_mean_of_what_is_valid(self, tmp_path: Path, size: int) -> None:
        rng = np.random.default_rng(3)
        values = rng.integers(0, 1000, (2, 40, 40))
        values[:, :20] = -32768
        products.write_layer(tmp_path, layer(bands=2), values, products.grid())
        overview = read_overview(tmp_path / "x.tif", size)
        assert overview.values.shape == (2, size, size)
        if size == 20:
            blocks = np.where(values == -32768, np.nan, values).reshape(2, 20, 2, 20, 2)[:, 10:]
            np.testing.assert_allclose(overview.values[:, 10:], blocks.mean(axis=(2, 4)), atol=0.51)
            assert np.isnan(overview.values[:, :10]).all()

    def test_categories_are_picked_not_mixed(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).choice([1, 3], (1, 40, 40))
        mask = layer(dtype="uint8", nodata=0, categories={1: "a", 3: "b"})
        products.write_layer(tmp_path, mask, values, products.grid())
        assert set(np.unique(read_overview(tmp_path / "x.tif", 10, categorical=True).values)) == {1.0, 3.0}

    def test_shape_keeps_its_proportion(self, tmp_path: Path) -> None:
        box = products.grid()[:10, :]
        products.write_layer(tmp_path, layer(), np.ones((1, 10, 40)), box)
        assert read_overview(tmp_path / "x.tif", 20).values.shape == (1, 5, 20)

    def test_band_by_name(self, tmp_path: Path) -> None:
        products.write_layer(
            tmp_path, layer(bands=2), np.stack([np.zeros((40, 40)), np.ones((40, 40))]), products.grid()
        )
        overview = read_overview(tmp_path / "x.tif", 5)
        assert (overview.band("x1") == 1).all()
        with pytest.raises(KeyError):
            overview.band("x2")

    def test_faults(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            read_overview(tmp_path / "none.tif", 5)
        (tmp_path / "x.tif").write_text("x")
        with pytest.raises(InvalidRaster):
            read_overview(tmp_path / "x.tif", 5)
        with pytest.raises(ValueError, match="is empty"):
            read_overview(tmp_path / "x.tif", 0)

    def test_pyramid(self, tmp_path: Path) -> None:
        big: GeoBox = products.grid(size=1100)
        products.write_layer(tmp_path, layer(), np.zeros((1, 1100, 1100)), big)
        found = pyramid(tmp_path / "x.tif")
        assert (found.shape, found.tiled, found.factors[0]) == ((1100, 1100), True, 2)


class TestThumbnail:
    def test_composite_in_true_colour(self, made: dict[str, Made]) -> None:
        seen = picture(made["composite"].record, made["composite"].folder)
        assert max(seen.shape[:2]) == SIZE // products.SIZE * products.SIZE
        half = seen.shape[1] // 2
        assert (seen[:, :half, 3] == 0).all()
        assert (seen[:, half:, 3] == 255).all()
        values = read_overview(made["composite"].folder / "SRC.tif", SIZE)
        rgb = np.stack([values.band(name) for name in ("SRC_B04", "SRC_B03", "SRC_B02")], axis=-1)
        expected = np.clip(rgb[0, -1] / np.nanpercentile(rgb, 98), 0, 1) * 255
        np.testing.assert_allclose(seen[0, -1, :3], expected, atol=1)

    def test_composite_without_bare_soil_shows_all_dates(self, tmp_path: Path) -> None:
        record = products.composite(tmp_path, bare=False)
        seen = picture(record, tmp_path)
        assert (seen[..., 3] == 255).all()

    def test_composite_without_anything_has_none(self, tmp_path: Path) -> None:
        record = products.composite(tmp_path, bare=False)
        empty = np.full((10, products.SIZE, products.SIZE), -10000)
        products.write_layer(tmp_path, record.layer("MREF"), empty, products.grid())
        assert thumbnail(record, tmp_path) is None

    def test_soil_map_in_the_colour_map_with_gaps(self, tmp_path: Path) -> None:
        record = products.soil_map(tmp_path)
        values = np.tile(np.arange(products.SIZE), (1, products.SIZE, 1))
        values[0, 0, :] = -32768
        products.write_layer(tmp_path, record.layer("mean"), values, products.grid())
        seen = picture(record, tmp_path)
        factor = SIZE // products.SIZE
        assert (seen[:factor, :, 3] == 0).all()
        assert (seen[factor:, :, 3] == 255).all()
        colours = (np.asarray(mpl.colormaps["viridis"]([0.0, 1.0])) * 255).round()
        np.testing.assert_allclose(seen[-1, 0], colours[0], atol=1)
        np.testing.assert_allclose(seen[-1, -1], colours[1], atol=1)

    def test_constant_map_is_shown(self, tmp_path: Path) -> None:
        record = products.soil_map(tmp_path)
        values = np.full((1, products.SIZE, products.SIZE), 7)
        values[0, 0, 0] = 30000
        products.write_layer(tmp_path, record.layer("mean"), values, products.grid())
        assert (picture(record, tmp_path)[..., 3] == 255).all()

    def test_own_picture_goes_first_and_is_made_to_fit(self, made: dict[str, Made]) -> None:
        assert picture(made["model"].record, made["model"].folder).shape == (307, 512, 4)

    def test_samples_without_a_picture_have_none(self, made: dict[str, Made]) -> None:
        assert thumbnail(made["samples"].record, made["samples"].folder) is None

    @pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\x00" * 30])
    def test_picture_that_is_none_is_refused(self, tmp_path: Path, content: bytes) -> None:
        record = products.model(tmp_path)
        (tmp_path / "overview.png").write_bytes(content)
        with pytest.raises(InvalidInput, match="is no PNG picture"):
            thumbnail(record, tmp_path)

    def test_cut_off_picture_is_refused(self, tmp_path: Path) -> None:
        record = products.model(tmp_path)
        content = (tmp_path / "overview.png").read_bytes()
        (tmp_path / "overview.png").write_bytes(content[: len(content) // 2])
        with pytest.raises(InvalidInput, match="is no PNG picture"):
            thumbnail(record, tmp_path)

    def test_same_product_same_bytes(self, made: dict[str, Made]) -> None:
        for each in made.values():
            assert thumbnail(each.record, each.folder) == thumbnail(each.record, each.folder)
